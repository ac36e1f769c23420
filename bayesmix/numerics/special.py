"""Log gamma draws, and special functions of Wishart distributions (Bishop 2006, B.78 to B.82)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import digamma, gammaln

from bayesmix.numerics.arrays import Array


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
    return function(np.asarray(a)[..., None] - 0.5 * np.arange(dimension)).sum(axis=-1)
