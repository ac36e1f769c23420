"""Triangular factors of stacks of small matrices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg.blas import dasum, dnrm2
from scipy.linalg.lapack import dpbtrf, dpotrf, dtbtrs, dtrtri

from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array, Integers, frozen

# Smallest conditional variance of a column given the others, relative to its variance.
SMALLEST_SHARE = 1e-14
# Matrices up to this size are factorised in a single call, as calls dominate the cost.
TOGETHER_UP_TO = 6

# Squares of longer roots overflow.
LONGEST_ROOT = 1e150


def inverse_root(matrices: Array) -> Array:
    """Return upper triangular U (B, D, D) with inverse(matrices) = U Uᵀ, for matrices (B, D, D).

    Raises ``DegenerateFitError`` if a matrix is not positive definite, or if a conditional variance
    is lost in rounding.
    """
    if not matrices.size:
        return matrices.copy()
    root = (_together if matrices.shape[1] <= TOGETHER_UP_TO else _one_by_one)(matrices)
    if root is None or not _sound(root, matrices):
        raise _singular(matrices)
    return root


def _one_by_one(matrices: Array) -> Array | None:
    """Return the roots; None if a matrix is not positive definite."""
    root = np.empty(matrices.shape)
    for index, matrix in enumerate(matrices):
        upper, refused = dpotrf(matrix)
        if refused:
            return None
        # LAPACK leaves the other triangle of the factor at zero.
        root[index] = dtrtri(upper)[0]
    return root


def _together(matrices: Array) -> Array | None:
    """Return the roots by factorising one band matrix with all matrices along its diagonal."""
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
    """Whether all conditional variances 1 / |u|² are above rounding and finite.

    The last pivot alone may exceed that of another order a thousand times.
    """
    most = 1.0 / SMALLEST_SHARE
    norm = dnrm2(root.ravel())
    if norm * norm * dasum(matrices.ravel()) <= most:  # sufficient condition for all matrices
        return True
    if not norm < LONGEST_ROOT:
        return False
    return bool((np.vecdot(root, root) * diagonals(matrices) <= most).all())


@dataclass(frozen=True)
class _Places:
    """Positions of B matrices of size D in a band matrix."""

    entries: Integers  # (B D, D) in the flattened stack: column by column, diagonal last
    within: Array  # (B D, D) 1 inside a matrix, 0 between two
    identities: Array  # (B D, D) stacked identity matrices


@lru_cache(maxsize=64)
def _places(n_matrices: int, size: int) -> _Places:
    column, above = np.divmod(np.arange(size * size).reshape(size, size), size)
    row = column + above - (size - 1)
    first = np.arange(n_matrices)[:, None, None] * size * size
    entries = (first + np.maximum(row, 0) * size + column).reshape(-1, size)
    within = np.tile(np.where(row >= 0, 1.0, 0.0), (n_matrices, 1))
    return frozen(_Places(entries, within, np.tile(np.eye(size), (n_matrices, 1))))


def diagonals(matrices: Array) -> Array:
    """Return diagonals (B, D) of a stack of matrices, as a view."""
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
    """Return (U Uᵀ)⁻¹ (B, D, D) for upper triangular roots (B, D, D)."""
    covariances = np.empty_like(root)
    if not root.size:
        return covariances
    for index, factor in enumerate(root):
        inverse = dtrtri(factor, lower=0)[0]
        covariances[index] = inverse.T @ inverse
    return covariances
