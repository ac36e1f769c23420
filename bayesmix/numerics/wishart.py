"""Special functions of the Wishart distribution (Bishop 2006, appendix B, eq. B.78 to B.82)."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.special import digamma, gammaln

from bayesmix.numerics.arrays import Array, frozen

LOG_2 = math.log(2.0)
LOG_PI = math.log(math.pi)
LOG_2PI = math.log(2.0 * math.pi)


def multivariate_gammaln(a: Array, dimension: int) -> Array:
    """log Γ_D(a), elementwise."""
    a = np.asarray(a)
    if dimension == 1:
        return np.asarray(gammaln(a))
    if a.size == 1:  # that of a prior, the same in every pass
        return np.full(a.shape, _one_multivariate_gammaln(a.item(), dimension))
    total: Array = gammaln(a[..., None] - _steps(dimension)).sum(axis=-1)
    return total + dimension * (dimension - 1) / 4.0 * LOG_PI


@lru_cache(maxsize=256)
def _one_multivariate_gammaln(a: float, dimension: int) -> float:
    total = float(gammaln(a - _steps(dimension)).sum())
    return total + dimension * (dimension - 1) / 4.0 * LOG_PI


def multivariate_digamma(a: Array, dimension: int) -> Array:
    """ψ_D(a) = d log Γ_D(a) / da, elementwise."""
    if dimension == 1:
        return np.asarray(digamma(a))
    total: Array = digamma(a[..., None] - _steps(dimension)).sum(axis=-1)
    return total


@lru_cache(maxsize=64)
def _steps(dimension: int) -> Array:
    """0, 1/2, ..., (D - 1)/2."""
    return frozen(np.arange(dimension) / 2.0)
