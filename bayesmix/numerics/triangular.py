"""Triangular factors of stacks of small matrices."""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtri

from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array

# Share of its diagonal that a pivot must keep.
SMALLEST_PIVOT = 1e-14


def inverse_root(matrices: Array) -> Array:
    """Upper triangular U (B, D, D) with inverse(matrices) = U Uᵀ, for symmetric matrices (B, D, D).

    Raises ``DegenerateFitError`` where a matrix is not positive definite, or where a pivot is lost
    in the rounding of its diagonal, so that the inverse would be noise.
    """
    root = np.empty(matrices.shape)
    for index, matrix in enumerate(matrices):
        upper, refused = dpotrf(matrix)
        if refused:
            raise _singular(matrices)
        # The other triangle is zero in the factor, and LAPACK leaves it alone.
        root[index] = dtrtri(upper)[0]
    # A pivot is 1 / u²: one product says whether its digits are rounding.
    ends = diagonals(root)
    if np.count_nonzero(ends * ends * diagonals(matrices) > 1.0 / SMALLEST_PIVOT):
        raise _singular(matrices)
    return root


def diagonals(matrices: Array) -> Array:
    """Diagonals (B, D) of a stack of matrices, as a view."""
    return matrices.diagonal(0, 1, 2)


def _singular(matrices: Array) -> DegenerateFitError:
    if not np.isfinite(matrices).all():
        return DegenerateFitError("a covariance is not finite: use a prior, or fewer components")
    smallest = np.linalg.eigvalsh(matrices)[:, 0]
    worst = int(smallest.argmin())
    return DegenerateFitError(
        f"the covariance of component {worst} is singular (smallest eigenvalue "
        f"{smallest[worst]:.1e} in columns of unit scale): use a prior, or fewer components"
    )


def inverse_from_root(root: Array) -> Array:
    """(U Uᵀ)⁻¹ (B, D, D) from upper triangular roots (B, D, D)."""
    covariances = np.empty_like(root)
    for index, factor in enumerate(root):
        inverse = dtrtri(factor, lower=0)[0]
        covariances[index] = inverse.T @ inverse
    return covariances
