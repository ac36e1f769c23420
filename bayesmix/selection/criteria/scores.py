"""Criteria on one scale: nats, greater is better; each says what it is for and when it misleads.

scikit-learn's signs and factors (-2, lower is better) exist only at its own methods.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from bayesmix.protocols import Source
from bayesmix.workflow.result import DensitySums, FitResult


@dataclass(frozen=True)
class Score:
    """A criterion's value with its standard error, where it has one, a note, and the Pareto k.

    ``pareto_k`` is that of estimates by importance sampling: above 0.7 they are not to be trusted.
    """

    value: float
    standard_error: float = math.nan
    note: str = ""
    pareto_k: float = math.nan


# What a fit is worth on its rows.
ScoreFunction: TypeAlias = Callable[[FitResult, Source], float | Score]


def bic(sums: DensitySums, n_parameters: int) -> float:
    """log L - p/2 log n (Schwarz 1978).

    For the number of components that made the data, at large n. Assumes a regular model, which a
    mixture with too many components is not: it then tends to choose too few at small n.
    """
    return sums.log_likelihood - 0.5 * n_parameters * math.log(sums.n)


def sabic(sums: DensitySums, n_parameters: int) -> float:
    """log L - p/2 log((n + 2) / 24): sample-size adjusted BIC (Sclove 1987).

    Between BIC and AIC: for small n, where BIC tends to choose too few. Assumes a regular model, as
    BIC does; at large n, and with many parameters, it chooses too many.
    """
    return sums.log_likelihood - 0.5 * n_parameters * math.log((sums.n + 2.0) / 24.0)


def aic(sums: DensitySums, n_parameters: int) -> float:
    """log L - p (Akaike 1974).

    For prediction. As a count of clusters it chooses too many.
    """
    return sums.log_likelihood - n_parameters


def aicc(sums: DensitySums, n_parameters: int) -> float:
    """log L - p - p (p + 1) / (n - p - 1) (Hurvich & Tsai 1989); never chosen when n - p - 1 <= 0.

    For prediction at small n. As a count of clusters it chooses too many.
    """
    left = sums.n - n_parameters - 1.0
    if left <= 0:
        return -math.inf
    return sums.log_likelihood - n_parameters - n_parameters * (n_parameters + 1.0) / left


def icl(sums: DensitySums, n_parameters: int) -> float:
    """BIC plus Σ log of the largest posterior (Biernacki, Celeux & Govaert 2000), as in mclust.

    For well separated clusters: overlapping components count as one. Not for density estimation.
    """
    return bic(sums, n_parameters) + sums.log_largest


def icl_soft(sums: DensitySums, n_parameters: int) -> float:
    """BIC minus the entropy of the assignment; beside ``icl``, which uses the largest posterior.

    For well separated clusters, as ``icl``; here rows that two components share count in part.
    """
    return bic(sums, n_parameters) - sums.entropy


def nec(sums: DensitySums, alone: DensitySums) -> float:
    """Entropy over log L(K) - log L(1) (Celeux & Soromenho 1996): a ratio, smaller is better.

    For well separated clusters: near 0 where every row is sure of its component. 1 at K=1 by
    convention (Biernacki, Celeux & Govaert 1999). Shown beside the scale of the others, on which it
    is not; it says nothing of density, and misleads where one component has a far larger likelihood
    for its shape alone. NaN where K components do not fit better than one.
    """
    gain = sums.log_likelihood - alone.log_likelihood
    return sums.entropy / gain if gain > 0.0 else math.nan
