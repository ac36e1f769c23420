"""Log gamma draws, and special functions of Wishart distributions (Bishop 2006, B.78 to B.82)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import digamma, gammaln

from bayesmix.numerics.arrays import Array, frozen


def log_gammas(shape: Array, n_draws: int, generator: np.random.Generator) -> Array:
    """Return logarithms of n draws (n, *shape.shape) of Gamma(shape, 1), also for small shapes.

    G_a = G_{a+1} U^(1/a) (Marsaglia & Tsang 2000, sec. 6).
    """
    size = (n_draws, *np.shape(shape))
    boosted: Array = np.log(generator.standard_gamma(shape + 1.0, size=size))
    # 1 - U is in (0, 1], so that its logarithm is finite.
    return boosted + np.log1p(-generator.random(size)) / shape


LOG_2 = math.log(2.0)
LOG_PI = math.log(math.pi)
LOG_2PI = math.log(2.0 * math.pi)


def multivariate_gammaln(a: Array, dimension: int) -> Array:
    """Return log Γ_D(a), elementwise."""
    return _summed(gammaln, a, dimension) + dimension * (dimension - 1) / 4.0 * LOG_PI


def multivariate_digamma(a: Array, dimension: int) -> Array:
    """Return ψ_D(a) = d log Γ_D(a) / da, elementwise."""
    return _summed(digamma, a, dimension)


def _summed(function: Any, a: Array, dimension: int) -> Array:
    """Return Σ_d f(a - d/2), d < D, elementwise."""
    if dimension == 1:
        return np.asarray(function(a))
    a = np.asarray(a)
    if a.size == 1:  # the value of a prior, the same in each pass
        return _summed_once(function, a.item(), dimension, a.shape)
    return function(a[..., None] - _steps(dimension)).sum(axis=-1)


@lru_cache(maxsize=256)
def _summed_once(function: Any, a: float, dimension: int, shape: tuple[int, ...]) -> Array:
    return frozen(np.full(shape, function(a - _steps(dimension)).sum()))


@lru_cache(maxsize=64)
def _steps(dimension: int) -> Array:
    return frozen(np.arange(dimension) / 2.0)
