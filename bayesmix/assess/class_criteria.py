"""Criteria of class enumeration on the scale of the field: -2 log, smaller is better.

Functions of the log likelihood, the number of parameters, the sample size and the entropy of the
assignment E = -Σ_n Σ_k r log r, in nats.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from bayesmix.core import validation
from bayesmix.em.result import FitResult
from bayesmix.numerics.arrays import Array

ENTROPIES = ("relative", "sum", "mean")


def information_criteria(
    log_likelihood: float, p: int, n: float, entropy: float, log_largest: float
) -> dict[str, float]:
    """Return AIC, BIC, sample-size adjusted BIC, CAIC, AWE and ICL.

    AWE = -2 log L + 2 E + 2 p (3/2 + log n) (Banfield & Raftery 1993); CAIC: Bozdogan 1987; ICL has
    hard assignments: ``log_largest`` is Σ_n log max_k r.
    """
    deviance = -2.0 * log_likelihood
    bic = deviance + p * math.log(n)
    return {
        "aic": deviance + 2.0 * p,
        "bic": bic,
        "sabic": deviance + p * math.log((n + 2.0) / 24.0),
        "caic": bic + p,
        "awe": deviance + 2.0 * entropy + 2.0 * p * (1.5 + math.log(n)),
        "icl": bic - 2.0 * log_largest,
    }


def entropy_of(total: float, n: float, n_classes: int, definition: str = "relative") -> float:
    """Return the entropy of the assignment E by its definition.

    "relative": 1 - E / (n log K), as in Mplus, tidyLPA and lcmm (Ramaswamy et al. 1993), NaN at
    K = 1; "sum": E; "mean": E / n.
    """
    validation.one_of("entropy_definition", definition, ENTROPIES)
    if definition == "relative":
        return 1.0 - total / (n * math.log(n_classes)) if n_classes > 1 else math.nan
    return total if definition == "sum" else total / n


def mean_posteriors(shares: Array, weights: Array) -> pd.DataFrame:
    """Return mean posterior probabilities (K, K) of the columns among samples assigned to a row.

    The diagonal has the average posterior probabilities of assignment (AvePP; Nagin 2005). Rows
    without samples are NaN.
    """
    K = shares.shape[1]
    assigned = np.eye(K)[shares.argmax(axis=1)] * weights[:, None]
    totals = assigned.sum(axis=0)
    with np.errstate(invalid="ignore"):
        means = (assigned.T @ shares) / np.where(totals > 0.0, totals, np.nan)[:, None]
    index = pd.RangeIndex(1, K + 1, name="class")
    return pd.DataFrame(means, index=index.rename("assigned class"), columns=index)


def described(result: FitResult, entropy_definition: str) -> dict[str, float]:
    """Return criteria, entropy, and smallest and largest class of a fit."""
    sums, n, K = result.plug_in_sums, result.total_weight, result.n_components
    values = information_criteria(
        result.log_likelihood, result.n_parameters, n, sums.entropy, sums.log_largest
    )
    shares = result.hard_counts / n
    return {
        "log_likelihood": result.log_likelihood,
        "n_parameters": result.n_parameters,
        **values,
        "entropy": entropy_of(sums.entropy, n, K, entropy_definition),
        "smallest": float(shares.min()),
        "largest": float(shares.max()),
    }
