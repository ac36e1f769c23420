"""Draws of Gamma variables by their logarithms: small shapes underflow nothing."""

from __future__ import annotations

import numpy as np

from bayesmix.numerics.arrays import Array


def log_gammas(shape: Array, n_draws: int, generator: np.random.Generator) -> Array:
    """log of n draws (n, *shape.shape) of Gamma(shape, 1).

    G_a = G_{a+1} U^(1/a) (Marsaglia & Tsang 2000, sec. 6).
    """
    size = (n_draws, *np.shape(shape))
    boosted: Array = np.log(generator.standard_gamma(shape + 1.0, size=size))
    # 1 - U lies in (0, 1], so that its logarithm is finite.
    return boosted + np.log1p(-generator.random(size)) / shape
