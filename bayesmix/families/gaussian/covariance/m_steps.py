"""M-steps: covariances that maximise -½ Σ_k (n_k log|Σ_k| + tr(S_k Σ_k⁻¹)) within a structure.

Scatters S_k and n_k come as the structure's blocks have them, n_k above 0. A variance that is none
is found when the covariance is inverted. Those here have a closed form (Celeux & Govaert 1995).
"""

from __future__ import annotations

import numpy as np

from bayesmix.numerics.arrays import Array, align

# In place of a variance of zero, in columns of about unit scale: far below any that rows support,
# so that it is looked at, and so far from zero that products of a few stay within a double.
NO_VARIANCE = 1e-100


def of_one_volume(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """EVI: Σ_k = λ B_k with B_k diagonal and |B_k| = 1."""
    shapes = unit_volume(scatter)
    volumes = np.maximum((scatter / (counts * shapes)).mean(axis=1, keepdims=True), NO_VARIANCE)
    share = counts[:, :1] / counts[:, :1].sum()
    covariances: Array = (share * volumes).sum() * shapes
    return covariances


def of_own_forms(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """EVV: Σ_k = λ C_k with |C_k| = 1."""
    extents = np.maximum(np.trace(scatter, axis1=-2, axis2=-1), 1.0)
    volumes = np.maximum(determinant_roots(scatter), NO_VARIANCE * extents)
    covariances: Array = volumes.sum() / counts.sum() * (scatter / align(volumes, scatter))
    return covariances


def of_own_axes(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """EEV: Σ_k = λ D_k A D_kᵀ with |A| = 1."""
    squares, axes = principal(scatter)
    return along(axes, squares.sum(axis=0) / counts.sum())


def principal(scatter: Array) -> tuple[Array, Array]:
    """Sums of squares (K, D) along the axes of every component, and the axes (K, D, D)."""
    squares, axes = np.linalg.eigh(scatter)
    return np.maximum(squares, 0.0), axes


def along(axes: Array, variances: Array) -> Array:
    """The matrices (K, D, D) with these axes and variances."""
    roots = axes * np.sqrt(variances)[..., None, :]
    matrices: Array = roots @ np.swapaxes(roots, -1, -2)
    return matrices


def determinant_roots(matrices: Array) -> Array:
    """|S|^(1/D), never zero."""
    logs = np.linalg.slogdet(matrices)[1] / matrices.shape[-1]
    roots: Array = np.exp(np.maximum(logs, np.log(NO_VARIANCE)))
    return roots


def unit_volume(variances: Array) -> Array:
    """The same in proportion, with a product of 1 over the columns."""
    logs = np.log(np.maximum(variances, NO_VARIANCE))
    shapes: Array = np.exp(logs - logs.mean(axis=-1, keepdims=True))
    return shapes
