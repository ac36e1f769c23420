"""Log gamma draws, and special functions of Wishart distributions (Bishop 2006, B.78 to B.82)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import digamma, gammaln

from bayesmix.numerics.arrays import Array, frozen
from bayesmix.numerics.sparse import is_sparse


def log_gammas(shape: Array, n_draws: int, generator: np.random.Generator) -> Array:
    """Return logarithms of n draws (n, *shape.shape) of Gamma(shape, 1), also for small shapes.

    G_a = G_{a+1} U^(1/a) (Marsaglia & Tsang 2000, sec. 6).
    """
    size = (n_draws, *np.shape(shape))
    boosted: Array = np.log(generator.standard_gamma(shape + 1.0, size=size))
    # 1 - U is in (0, 1], so that its logarithm is finite.
    return boosted + np.log1p(-generator.random(size)) / shape


LOG_PI = math.log(math.pi)


def multivariate_gammaln(a: Array, dimension: int) -> Array:
    """Return log Γ_D(a), elementwise."""
    shifted = np.asarray(a)[..., None] - _halves(dimension)
    return np.add.reduce(gammaln(shifted), axis=-1) + dimension * (dimension - 1) / 4.0 * LOG_PI


def multivariate_gammas(a: Array, dimension: int) -> tuple[Array, float]:
    """Return ψ_D(a) = d log Γ_D(a) / da, elementwise, and the sum of log Γ_D(a)."""
    shifted = a[..., None] - _halves(dimension)
    constant = a.size * dimension * (dimension - 1) / 4.0 * LOG_PI
    total = float(np.add.reduce(gammaln(shifted), axis=None)) + constant
    return np.add.reduce(digamma(shifted), axis=-1), total


@lru_cache(maxsize=64)
def _halves(dimension: int) -> Array:
    return frozen(0.5 * np.arange(dimension, dtype=np.float64))


def log_factorials(counts: Array) -> Array:
    """Return log x!."""
    out: Array = gammaln(counts + 1.0)
    return out


def log_rising(starts: Array, counts: Any) -> Array:
    """Return Σ_d log Γ(a_d + x_d) - log Γ(a_d) (n,) for a (D,), of rows that may be sparse."""
    if is_sparse(counts):
        own = starts[counts.matrix.indices]
        return counts.row_sums(gammaln(own + counts.matrix.data) - gammaln(own))
    out: Array = (gammaln(starts + counts) - gammaln(starts)).sum(axis=1)
    return out


def log_choices(successes: Array, trials: Array | float) -> Array:
    """Return log binomial coefficients (n,) over all columns."""
    logs = gammaln(trials + 1.0) - gammaln(successes + 1.0) - gammaln(trials - successes + 1.0)
    out: Array = logs.sum(axis=-1)
    return out
