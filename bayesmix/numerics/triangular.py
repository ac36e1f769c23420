"""Triangular factors of stacks of small matrices."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.linalg.lapack import dpbtrf, dpotrf, dtbtrs, dtrtri

from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array, frozen

# Share of its diagonal that a pivot must keep.
SMALLEST_PIVOT = 1e-14
# Matrices up to this size are factorised together: it is the number of calls that costs there.
TOGETHER_UP_TO = 6


def inverse_root(matrices: Array) -> Array:
    """Upper triangular U (B, D, D) with inverse(matrices) = U Uᵀ, for symmetric matrices (B, D, D).

    Raises ``DegenerateFitError`` where a matrix is not positive definite, or where a pivot is lost
    in the rounding of its diagonal, so that the inverse would be noise.
    """
    root = (_together if matrices.shape[1] <= TOGETHER_UP_TO else _one_by_one)(matrices)
    if root is None:
        raise _singular(matrices)
    # A pivot is 1 / u²: one product says whether its digits are rounding, or no number at all.
    ends = diagonals(root)
    sound = ends * ends * diagonals(matrices) <= 1.0 / SMALLEST_PIVOT
    if np.count_nonzero(sound) < sound.size:
        raise _singular(matrices)
    return root


def _one_by_one(matrices: Array) -> Array | None:
    """The roots; None where a matrix is not positive definite."""
    root = np.empty(matrices.shape)
    for index, matrix in enumerate(matrices):
        upper, refused = dpotrf(matrix)
        if refused:
            return None
        # The other triangle is zero in the factor, and LAPACK leaves it alone.
        root[index] = dtrtri(upper)[0]
    return root


def _together(matrices: Array) -> Array | None:
    """The same: along the diagonal of one band matrix they do not touch one another."""
    n_matrices, size, _ = matrices.shape
    band = np.zeros((size, n_matrices, size))
    for above in range(size):
        band[size - 1 - above, :, above:] = matrices.diagonal(above, 1, 2)
    upper, refused = dpbtrf(band.reshape(size, n_matrices * size))
    if refused:
        return None
    root: Array = dtbtrs(upper, _identities(n_matrices, size))[0]
    return root.reshape(matrices.shape)


@lru_cache(maxsize=64)
def _identities(n_matrices: int, size: int) -> Any:
    """Identity matrices one below the other (B D, D), not to be written."""
    return frozen(np.tile(np.eye(size), (n_matrices, 1)))


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
