"""Criteria on one scale: nats, greater is better; each says what it is for and when it misleads.

scikit-learn's signs and factors (-2, lower is better) exist only at its own methods.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bayesmix.workflow.assess import Sums


@dataclass(frozen=True)
class Score:
    """A criterion's value with its standard error, where it has one, and a note."""

    value: float
    standard_error: float = math.nan
    note: str = ""


def bic(sums: Sums, n_parameters: int) -> float:
    """log L - p/2 log n (Schwarz 1978).

    For the number of components that made the data, at large n. Assumes a regular model, which a
    mixture with too many components is not: it then tends to choose too few at small n.
    """
    return sums.log_likelihood - 0.5 * n_parameters * math.log(sums.n)


def aic(sums: Sums, n_parameters: int) -> float:
    """log L - p (Akaike 1974).

    For prediction. As a count of clusters it chooses too many.
    """
    return sums.log_likelihood - n_parameters


def aicc(sums: Sums, n_parameters: int) -> float:
    """log L - p - p (p + 1) / (n - p - 1) (Hurvich & Tsai 1989); never chosen when n - p - 1 <= 0.

    For prediction at small n. As a count of clusters it chooses too many.
    """
    left = sums.n - n_parameters - 1.0
    if left <= 0:
        return -math.inf
    return sums.log_likelihood - n_parameters - n_parameters * (n_parameters + 1.0) / left


def icl(sums: Sums, n_parameters: int) -> float:
    """BIC plus Σ log of the largest posterior (Biernacki, Celeux & Govaert 2000), as in mclust.

    For well separated clusters: overlapping components count as one. Not for density estimation.
    """
    return bic(sums, n_parameters) + sums.log_largest


def icl_soft(sums: Sums, n_parameters: int) -> float:
    """BIC minus the entropy of the assignment; beside ``icl``, which uses the largest posterior."""
    return bic(sums, n_parameters) - sums.entropy


PLUG_IN = {"bic": bic, "aic": aic, "aicc": aicc, "icl": icl, "icl_soft": icl_soft}
