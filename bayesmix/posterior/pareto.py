"""Pareto smoothed importance weights (Vehtari, Simpson, Gelman, Yao & Gabry 2024).

The largest weights are replaced by quantiles of a generalised Pareto distribution fitted to them
(Zhang & Stephens 2009); with shape k above 0.7 estimates are unreliable.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import boxcox1p

from bayesmix.numerics.arrays import Array
from bayesmix.posterior import BATCH_VALUES

TRUSTED_UP_TO = 0.7
FEWEST_IN_TAIL = 5
# Relative differences below this are rounding.
SAME_WEIGHT = 1e-9
# Weakly informative prior on k, worth this many weights with k = 0.5.
PRIOR_WEIGHTS, PRIOR_SHAPE = 10.0, 0.5


def pareto_smoothed(log_weights: Array) -> tuple[Array, Array]:
    """Return smoothed log weights (..., S) and Pareto k (...) of log weights (..., S).

    Weights are not normalised, and none exceeds the largest input. k is 0 where the largest
    weights are equal, and infinite for S below 25, too few to fit a tail.
    """
    log_weights = np.asarray(log_weights, dtype=np.float64)
    n_draws = log_weights.shape[-1]
    n_tail = math.ceil(min(n_draws / 5.0, 3.0 * math.sqrt(n_draws)))
    rows = log_weights.reshape(-1, n_draws).copy()
    k = np.full(len(rows), np.inf)
    if n_tail >= FEWEST_IN_TAIL:
        size = max(1, BATCH_VALUES // (n_tail * _n_candidates(n_tail)))
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            k[part] = _smooth(rows[part], n_tail)
    return rows.reshape(log_weights.shape), k.reshape(log_weights.shape[:-1])


def _smooth(rows: Array, n_tail: int) -> Array:
    """Smooth the tails of log weights (n, S) in place and return k (n,)."""
    n_draws = rows.shape[1]
    largest = np.argpartition(rows, n_draws - n_tail - 1, axis=1)[:, n_draws - n_tail - 1 :]
    ascending = np.argsort(np.take_along_axis(rows, largest, axis=1), axis=1, kind="stable")
    places = np.take_along_axis(largest, ascending, axis=1)
    logs = np.take_along_axis(rows, places, axis=1)
    top = logs[:, -1:]
    weights = np.exp(logs - top)
    cutoff, excess = weights[:, :1], weights[:, 1:] - weights[:, :1]
    k = np.zeros(len(rows))
    tailed = excess[:, -1] > SAME_WEIGHT
    k[tailed], scale = generalised_pareto(excess[tailed])
    # Quantiles of the generalised Pareto distribution at (j + 1/2) / M.
    odds = 1.0 / (1.0 - (np.arange(n_tail) + 0.5) / n_tail) - 1.0
    quantiles = scale[:, None] * boxcox1p(odds, k[tailed, None])
    smoothed = np.minimum(np.log(cutoff[tailed] + quantiles), 0.0) + top[tailed]
    chosen = rows[tailed]
    np.put_along_axis(chosen, places[tailed, 1:], smoothed, axis=1)
    rows[tailed] = chosen
    return k


def generalised_pareto(excess: Array) -> tuple[Array, Array]:
    """Return shape k and scale (n,) fitted to ascending excesses (n, M) (Zhang & Stephens 2009).

    Uses the quasi-posterior mean with the prior on k of Vehtari et al. (2024), appendix G.
    """
    n_tail = excess.shape[1]
    steps = np.arange(1, _n_candidates(n_tail) + 1) - 0.5
    quartile = np.maximum(excess[:, int(n_tail / 4 + 0.5) - 1], np.finfo(float).tiny)
    b = (1.0 - np.sqrt(len(steps) / steps)) / (3.0 * quartile[:, None]) + 1.0 / excess[:, -1:]
    shapes = np.log1p(-b[:, :, None] * excess[:, None, :]).mean(axis=2)
    profile = n_tail * (np.log(-b / shapes) - shapes - 1.0)
    posterior = np.exp(profile - profile.max(axis=1, keepdims=True))
    best = (b * posterior).sum(axis=1) / posterior.sum(axis=1)
    shape = np.log1p(-best[:, None] * excess).mean(axis=1)
    shrunk = (n_tail * shape + PRIOR_WEIGHTS * PRIOR_SHAPE) / (n_tail + PRIOR_WEIGHTS)
    return shrunk, -shape / best


def _n_candidates(n_tail: int) -> int:
    return 30 + int(math.sqrt(n_tail))
