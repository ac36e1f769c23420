"""Special functions of the Wishart distribution (Bishop 2006, appendix B, eq. B.78 to B.82)."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import digamma, gammaln

from bayesmix.numerics.arrays import Array

LOG_2 = math.log(2.0)
LOG_PI = math.log(math.pi)
LOG_2PI = math.log(2.0 * math.pi)


def multivariate_gammaln(a: Array, dimension: int) -> Array:
    """log Γ_D(a), elementwise."""
    steps = np.arange(dimension) / 2.0
    total: Array = gammaln(np.asarray(a)[..., None] - steps).sum(axis=-1)
    return total + dimension * (dimension - 1) / 4.0 * LOG_PI


def multivariate_digamma(a: Array, dimension: int) -> Array:
    """ψ_D(a) = d log Γ_D(a) / da, elementwise."""
    steps = np.arange(dimension) / 2.0
    total: Array = digamma(np.asarray(a)[..., None] - steps).sum(axis=-1)
    return total
