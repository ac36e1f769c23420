"""Triangular factors of stacks of small matrices."""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dtrtri

from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array

# Share of its diagonal that a pivot must keep.
SMALLEST_PIVOT = 1e-14


def inverse_root(matrices: Array) -> Array:
    """Upper triangular U (B, D, D) with inverse(matrices) = U Uᵀ, for symmetric matrices (B, D, D).

    Raises ``DegenerateFitError`` where a matrix is not positive definite, or where a pivot is lost
    in the rounding of its diagonal, so that the inverse would be noise.
    """
    try:
        lower = np.linalg.cholesky(matrices)
        pivots = np.diagonal(lower, axis1=1, axis2=2) ** 2
        if (pivots < SMALLEST_PIVOT * np.diagonal(matrices, axis1=1, axis2=2)).any():
            raise np.linalg.LinAlgError
    except np.linalg.LinAlgError:
        smallest = np.linalg.eigvalsh(matrices)[:, 0]
        worst = int(smallest.argmin())
        raise DegenerateFitError(
            f"the covariance of component {worst} is singular (smallest eigenvalue "
            f"{smallest[worst]:.1e} in columns of unit scale): use a prior, or fewer components"
        ) from None
    root = np.empty_like(lower)
    for index, factor in enumerate(lower):
        # The other triangle is zero in the factor, and LAPACK leaves it alone.
        root[index] = dtrtri(factor, lower=1)[0].T
    return root


def inverse_from_root(root: Array) -> Array:
    """(U Uᵀ)⁻¹ (B, D, D) from upper triangular roots (B, D, D)."""
    covariances = np.empty_like(root)
    for index, factor in enumerate(root):
        inverse = dtrtri(factor, lower=0)[0]
        covariances[index] = inverse.T @ inverse
    return covariances
