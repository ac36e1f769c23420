"""M-steps: covariances that maximise -½ Σ_k (n_k log|Σ_k| + tr(S_k Σ_k⁻¹)) within a structure.

Scatters S_k and n_k come as the structure's blocks have them, n_k above 0. A variance that is none
is found when the covariance is inverted.
"""

from __future__ import annotations

import numpy as np

from bayesmix.numerics.arrays import Array, align

# Turns of volumes and shape at most, and the change of the shape, as a share of itself, at which
# both stay: what it still costs is the square of it, below rounding.
TURNS = 1000
UNCHANGED = 1e-12
# In place of a variance of zero, in columns of about unit scale: far below any that rows support,
# so that it is looked at, and so far from zero that products of a few stay within a double.
NO_VARIANCE = 1e-100


def averaged(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """What a block holds, over the rows behind it (Bishop 2006, eq. 9.25)."""
    return scatter / align(counts, scatter)


def of_one_shape(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """VEI: Σ_k = λ_k B with B diagonal and |B| = 1 (Celeux & Govaert 1995).

    λ_k given B and B given λ_k, in turns until both stay, from the shape that was. Each is a
    maximum, and in logarithms the whole is concave, so that what stays is the maximum of both.
    """
    shape = _unit_volume(scatter.sum(axis=0) if previous is None else previous[0])
    for _ in range(TURNS):
        before = shape
        shape = _unit_volume((scatter / _volumes(scatter, counts, shape)).sum(axis=0))
        if np.all(np.abs(shape - before) <= UNCHANGED * shape):
            break
    return _volumes(scatter, counts, shape) * shape


def of_one_volume(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """EVI: Σ_k = λ B_k with B_k diagonal and |B_k| = 1 (Celeux & Govaert 1995)."""
    shapes = _unit_volume(scatter)
    share = counts[:, :1] / counts[:, :1].sum()
    volume = (share * _volumes(scatter, counts, shapes)).sum()
    covariances: Array = volume * shapes
    return covariances


def _volumes(scatter: Array, counts: Array, shapes: Array) -> Array:
    """The best λ_k (K, 1), given shapes."""
    volumes: Array = (scatter / (counts * shapes)).mean(axis=1, keepdims=True)
    return np.maximum(volumes, NO_VARIANCE)


def _unit_volume(variances: Array) -> Array:
    """The same in proportion, with a product of 1 over the columns."""
    logs = np.log(np.maximum(variances, NO_VARIANCE))
    shapes: Array = np.exp(logs - logs.mean(axis=-1, keepdims=True))
    return shapes
