"""Triangular factors of stacks of small matrices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg.blas import dasum, dnrm2
from scipy.linalg.lapack import dpbtrf, dpotrf, dtbtrs, dtrtri

from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array, Integers, frozen

# Share of a variance that must be left given the other columns.
SMALLEST_SHARE = 1e-14
# Matrices up to this size are factorised together: it is the number of calls that costs there.
TOGETHER_UP_TO = 6

# The squares of longer roots are no doubles.
LONGEST_ROOT = 1e150


def inverse_root(matrices: Array) -> Array:
    """Upper triangular U (B, D, D) with inverse(matrices) = U Uᵀ, for symmetric matrices (B, D, D).

    Raises ``DegenerateFitError`` where a matrix is not positive definite, or where what a column
    has given the others is lost in the rounding of its diagonal: the inverse would be noise.
    """
    if not matrices.size:
        return matrices.copy()
    root = (_together if matrices.shape[1] <= TOGETHER_UP_TO else _one_by_one)(matrices)
    if root is None or not _sound(root, matrices):
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
    places = _places(n_matrices, size)
    band = matrices.take(places.entries)
    band *= places.within
    upper, refused = dpbtrf(band.T)
    if refused:
        return None
    root: Array = dtbtrs(upper, places.identities)[0]
    return np.ascontiguousarray(root.reshape(matrices.shape))


def _sound(root: Array, matrices: Array) -> bool:
    """Whether no variance given all other columns, 1 / |u|², is lost in rounding; all are numbers.

    The last pivot alone may be a thousand times larger than that of another order.
    """
    most = 1.0 / SMALLEST_SHARE
    norm = dnrm2(root.ravel())
    if norm * norm * dasum(matrices.ravel()) <= most:  # all of them together
        return True
    if not norm < LONGEST_ROOT:
        return False
    return bool((np.vecdot(root, root) * diagonals(matrices) <= most).all())


@dataclass(frozen=True)
class _Places:
    """How B matrices of one size D lie in a band."""

    entries: Integers  # (B D, D) of a flattened stack: column by column, the diagonal last
    within: Array  # (B D, D) 1 in a matrix, 0 between two
    identities: Array  # (B D, D) one below the other


@lru_cache(maxsize=64)
def _places(n_matrices: int, size: int) -> _Places:
    column, above = np.divmod(np.arange(size * size).reshape(size, size), size)
    row = column + above - (size - 1)
    first = np.arange(n_matrices)[:, None, None] * size * size
    entries = (first + np.maximum(row, 0) * size + column).reshape(-1, size)
    within = np.tile(np.where(row >= 0, 1.0, 0.0), (n_matrices, 1))
    return frozen(_Places(entries, within, np.tile(np.eye(size), (n_matrices, 1))))


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
    if not root.size:
        return covariances
    for index, factor in enumerate(root):
        inverse = dtrtri(factor, lower=0)[0]
        covariances[index] = inverse.T @ inverse
    return covariances
