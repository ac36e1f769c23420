"""Triangular factors of stacks of small matrices."""

from __future__ import annotations

import numpy as np
from scipy.linalg.blas import dasum, dnrm2
from scipy.linalg.lapack import dpotrf, dtrtri

from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array

# Smallest conditional variance of a column given the others, relative to its variance.
SMALLEST_SHARE = 1e-14
# Squares of longer roots overflow.
LONGEST_ROOT = 1e150


def inverse_root(matrices: Array) -> Array:
    """Return upper triangular U (B, D, D) with inverse(matrices) = U Uᵀ, for matrices (B, D, D).

    Raises ``DegenerateFitError`` if a matrix is not positive definite, or if a conditional variance
    is lost in rounding.
    """
    if not matrices.size:
        return matrices.copy()
    root = np.empty(matrices.shape)
    for index, matrix in enumerate(matrices):
        upper, refused = dpotrf(matrix)
        if refused:
            raise _singular(matrices)
        # LAPACK leaves the other triangle of the factor at zero.
        root[index] = dtrtri(upper)[0]
    if not _sound(root, matrices):
        raise _singular(matrices)
    return root


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


def diagonals(matrices: Array) -> Array:
    """Return diagonals (B, D) of a stack of matrices, as a view."""
    return matrices.diagonal(0, 1, 2)


def _singular(matrices: Array) -> DegenerateFitError:
    if not np.isfinite(matrices).all():
        return DegenerateFitError("a covariance is not finite: use a prior, or fewer components")
    smallest = np.linalg.eigvalsh(matrices)[:, 0]
    worst = int(smallest.argmin())
    return DegenerateFitError(
        f"the covariance of component {worst + 1} is singular (smallest eigenvalue "
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
