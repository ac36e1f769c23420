"""Criteria of class enumeration on the scale of the field: -2 log, smaller is better.

Functions of the log likelihood, the number of parameters, the sample size and the entropy of the
assignment E = -Σ_n Σ_k r log r, in nats.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from bayesmix.core import validation
from bayesmix.core.sources import InMemory
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
    index = pd.RangeIndex(1, shares.shape[1] + 1, name="class")
    assigned = np.eye(len(index))[shares.argmax(axis=1)] * weights[:, None]
    with np.errstate(invalid="ignore"):
        means = (assigned.T @ shares) / assigned.sum(axis=0)[:, None]
    return pd.DataFrame(means, index=index.rename("assigned class"), columns=index)


def described(result: FitResult, source: InMemory) -> dict[str, float]:
    """Return criteria, relative entropy, sizes of classes and mean posteriors of a fit."""
    sums, n, p = result.plug_in_sums, result.total_weight, result.n_parameters
    shares = result.hard_counts / n
    posteriors, _ = result.mixture.responsibilities(source.rows)
    certain = mean_posteriors(posteriors, source.rows.weights_or_ones).to_numpy().diagonal()
    return {
        "log_likelihood": result.log_likelihood,
        "n_parameters": p,
        **information_criteria(result.log_likelihood, p, n, sums.entropy, sums.log_largest),
        "entropy": entropy_of(sums.entropy, n, result.n_components),
        "smallest": float(shares.min()),
        "largest": float(shares.max()),
        "min_probability": float(np.nanmin(certain)),
        "max_probability": float(np.nanmax(certain)),
    }
