"""Draws of Wishart matrices, as roots, and of normal vectors with given precisions."""

from __future__ import annotations

import numpy as np

from bayesmix.families.gaussian.covariance.models import Algebra
from bayesmix.numerics.arrays import AXES, LOG_2, Array
from bayesmix.numerics.special import log_gammas


def draw_roots(
    algebra: Algebra,
    root: Array,
    degrees_of_freedom: Array,
    n_draws: int,
    generator: np.random.Generator,
) -> Array:
    """Return roots (S, B, ...) of S draws from Wishart(U Uᵀ, ν) by block."""
    if algebra.kind == AXES:
        logs = log_gammas(0.5 * degrees_of_freedom, n_draws, generator)
        return root * np.exp(0.5 * (LOG_2 + logs))
    # Bartlett 1933 in reversed order, so that the product of upper triangles is upper
    # triangular.
    n_blocks, size, _ = root.shape
    bartlett = np.triu(generator.standard_normal((n_draws, n_blocks, size, size)), 1)
    shape = 0.5 * (degrees_of_freedom[:, None] - np.arange(size)[::-1])
    diagonal = np.arange(size)
    logs = log_gammas(shape, n_draws, generator)
    bartlett[:, :, diagonal, diagonal] = np.exp(0.5 * (LOG_2 + logs))
    return root @ bartlett


def coloured(algebra: Algebra, normal: Array, roots: Array) -> Array:
    """Return U⁻ᵀ z, which has precision U Uᵀ, for standard normal z (S, K, D)."""
    if algebra.kind == AXES:
        return normal / roots
    solved = np.linalg.solve(np.swapaxes(roots, -1, -2), normal[..., None])[..., 0]
    return solved.astype(np.float64, copy=False)
