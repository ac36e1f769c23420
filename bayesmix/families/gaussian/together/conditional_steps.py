"""M-steps of many mixtures of one structure at once; where none is closed, a step towards it.

What they maximise is that of ``covariance.models``, mixture by mixture. A step that is not closed
begins at what was kept of the one before, and is no lower than there: generalised EM (Dempster,
Laird & Rubin 1977). Few calls of NumPy do for all mixtures what one of them would cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np

from bayesmix.families.gaussian.covariance.m_steps import (
    NO_VARIANCE,
    principal,
    unit_volume,
)
from bayesmix.numerics.arrays import Array, Booleans, Integers, align

# Turns between volumes and a shape in common: of a first step, and of those that go on.
FIRST_TURNS, FURTHER_TURNS = 8, 2
# The longest angle, in radians, and of a second derivative what is left of it at least.
LONGEST = 1.0
LEAST_CURVATURE = 1e-8
# A turn that raises the cost by more than rounding is shortened so often, and left out then.
SHORTER, SHORTENINGS, ROUNDING = 0.4, 6, 1e-12


Values = TypeVar("Values", Array, Booleans, Integers)


@dataclass(frozen=True)
class Ownership:
    """Which of M components are those of which of C mixtures: ``sizes`` (C,), one after another."""

    sizes: Integers

    @cached_property
    def owner(self) -> Integers:
        """The mixture (M,) of every component."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @cached_property
    def starts(self) -> Integers:
        """The first component (C,) of every mixture."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]])

    def total(self, each: Array) -> Array:
        """(M, ...) summed over the components of every mixture (C, ...)."""
        summed: Array = np.add.reduceat(each, self.starts, axis=0)
        return summed

    def spread(self, each: Values) -> Values:
        """(C, ...) for every component (M, ...)."""
        return each[self.owner]


class Shapes(NamedTuple):
    """Precisions in blocks (M, ...), log |Σ_k| (M,), and what the next step begins at (C, ...)."""

    precisions: Array
    log_det: Array
    kept: Array | None = None


# (division, counts (M,), scatter (M, D) or (M, D, D), what was kept) -> Shapes
Together: TypeAlias = Callable[[Ownership, Array, Array, Array | None], Shapes]


def one_variance(parts: Ownership, counts: Array, scatter: Array, kept: Array | None) -> Shapes:
    """EII."""
    rows = parts.total(counts) * scatter.shape[1]
    return _diagonal(_columns(parts.spread(parts.total(scatter.sum(axis=1)) / rows), scatter))


def own_variance(parts: Ownership, counts: Array, scatter: Array, kept: Array | None) -> Shapes:
    """VII."""
    return _diagonal(_columns(scatter.mean(axis=1) / counts, scatter))


def one_diagonal(parts: Ownership, counts: Array, scatter: Array, kept: Array | None) -> Shapes:
    """EEI."""
    return _diagonal(parts.spread(parts.total(scatter) / parts.total(counts)[:, None]))


def own_diagonal(parts: Ownership, counts: Array, scatter: Array, kept: Array | None) -> Shapes:
    """VVI."""
    return _diagonal(scatter / counts[:, None])


def one_volume(parts: Ownership, counts: Array, scatter: Array, kept: Array | None) -> Shapes:
    """EVI."""
    shapes = unit_volume(scatter)
    volumes = np.maximum((scatter / shapes).mean(axis=1), NO_VARIANCE)
    volume = parts.spread(parts.total(volumes) / parts.total(counts))
    return _diagonal(volume[:, None] * shapes)


def one_shape(parts: Ownership, counts: Array, scatter: Array, kept: Array | None) -> Shapes:
    """VEI: volumes given the shape, the shape given volumes, in turns."""
    shape = unit_volume(parts.total(scatter)) if kept is None else kept
    for _ in range(FIRST_TURNS if kept is None else FURTHER_TURNS):
        shape = unit_volume(parts.total(scatter / _volumes(parts, counts, scatter, shape)))
    variances = _volumes(parts, counts, scatter, shape) * parts.spread(shape)
    return _diagonal(variances)._replace(kept=shape)


def one_matrix(parts: Ownership, counts: Array, scatter: Array, kept: Array | None) -> Shapes:
    """EEE."""
    covariance = parts.total(scatter) / align(parts.total(counts), scatter)
    precision, log_det = _inverse(covariance)
    return Shapes(parts.spread(precision), parts.spread(log_det))


def own_matrix(parts: Ownership, counts: Array, scatter: Array, kept: Array | None) -> Shapes:
    """VVV."""
    return Shapes(*_inverse(scatter / align(counts, scatter)))


def own_form(parts: Ownership, counts: Array, scatter: Array, kept: Array | None) -> Shapes:
    """EVV."""
    inverse, log_det = _inverse(scatter)
    roots = np.exp(np.maximum(log_det / scatter.shape[-1], np.log(NO_VARIANCE)))
    volume = parts.spread(parts.total(roots) / parts.total(counts))
    sound = np.isfinite(log_det)
    of_all = np.where(sound, scatter.shape[-1] * np.log(volume), -np.inf)
    return Shapes(inverse * align(roots / volume, scatter), of_all)


def one_form(parts: Ownership, counts: Array, scatter: Array, kept: Array | None) -> Shapes:
    """VEE: volumes given the matrix, the matrix given volumes, in turns."""
    size = scatter.shape[-1]
    inverse = _unit_inverse(parts.total(scatter)) if kept is None else kept
    for _ in range(FIRST_TURNS if kept is None else 1):
        volumes = _seen_volumes(parts, counts, scatter, inverse)
        inverse = _unit_inverse(parts.total(scatter / align(volumes, scatter)))
    volumes = _seen_volumes(parts, counts, scatter, inverse)
    precisions = parts.spread(inverse) / align(volumes, scatter)
    return Shapes(precisions, size * np.log(volumes), inverse)


def own_axes(parts: Ownership, counts: Array, scatter: Array, kept: Array | None) -> Shapes:
    """EEV."""
    squares, axes = principal(scatter)
    return _turned_back(axes, one_diagonal(parts, counts, squares, None))


def own_axes_and_volumes(
    parts: Ownership, counts: Array, scatter: Array, kept: Array | None
) -> Shapes:
    """VEV: of the sums of squares along the own axes, VEI."""
    squares, axes = principal(scatter)
    squares = np.maximum(squares, NO_VARIANCE)
    return _turned_back(axes, one_shape(parts, counts, squares, kept))


def common_axes(parts: Ownership, counts: Array, scatter: Array, kept: Array | None) -> Shapes:
    """VVE."""
    axes, variances = _turned(parts, counts, scatter, kept, _cost_of_free_volumes)
    return _turned_back(parts.spread(axes), _diagonal(variances / counts[:, None]), axes)


def common_axes_and_volume(
    parts: Ownership, counts: Array, scatter: Array, kept: Array | None
) -> Shapes:
    """EVE."""
    axes, variances = _turned(parts, counts, scatter, kept, _cost_of_one_volume)
    return _turned_back(parts.spread(axes), one_volume(parts, counts, variances, None), axes)


TOGETHER: dict[str, Together] = {
    "EII": one_variance,
    "VII": own_variance,
    "EEI": one_diagonal,
    "VEI": one_shape,
    "EVI": one_volume,
    "VVI": own_diagonal,
    "EEE": one_matrix,
    "VEE": one_form,
    "EVE": common_axes_and_volume,
    "VVE": common_axes,
    "EEV": own_axes,
    "VEV": own_axes_and_volumes,
    "EVV": own_form,
    "VVV": own_matrix,
}


def _columns(each: Array, like: Array) -> Array:
    return np.repeat(each[:, None], like.shape[1], axis=1)


def _diagonal(variances: Array) -> Shapes:
    variances = np.maximum(variances, NO_VARIANCE)
    return Shapes(1.0 / variances, np.log(variances).sum(axis=1))


def _turned_back(axes: Array, along: Shapes, kept: Array | None = None) -> Shapes:
    """Precisions along axes (M, D, D) as matrices."""
    precisions = (axes * along.precisions[:, None, :]) @ axes.swapaxes(1, 2)
    return Shapes(precisions, along.log_det, along.kept if kept is None else kept)


def _volumes(parts: Ownership, counts: Array, scatter: Array, shape: Array) -> Array:
    """λ_k (M, 1) given a shape (C, D)."""
    volumes = (scatter / parts.spread(shape)).mean(axis=1, keepdims=True) / counts[:, None]
    least: Array = np.maximum(volumes, NO_VARIANCE)
    return least


def _seen_volumes(parts: Ownership, counts: Array, scatter: Array, inverse: Array) -> Array:
    """λ_k (M,) given a matrix (C, D, D) of unit volume by its inverse."""
    traces = np.einsum("kij,kij->k", scatter, parts.spread(inverse))
    least: Array = np.maximum(traces / (scatter.shape[-1] * counts), NO_VARIANCE)
    return least


def _unit_inverse(matrices: Array) -> Array:
    inverse, log_det = _inverse(matrices)
    scale = np.exp(np.where(np.isfinite(log_det), log_det, 0.0) / matrices.shape[-1])
    return inverse * align(scale, matrices)


def _inverse(matrices: Array) -> tuple[Array, Array]:
    """Inverses, and log determinants: -inf, and some inverse, where a matrix is not definite."""
    try:
        root = np.linalg.cholesky(matrices)
        bad = None
    except np.linalg.LinAlgError:
        sizes = np.trace(matrices, axis1=1, axis2=2) / matrices.shape[-1]
        bad = ~(np.linalg.eigvalsh(matrices)[:, 0] > 1e-13 * sizes)
        matrices = np.where(bad[:, None, None], np.eye(matrices.shape[-1]), matrices)
        root = np.linalg.cholesky(matrices)
    log_det = 2.0 * np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
    if bad is not None:
        log_det[bad] = -np.inf
    return np.linalg.inv(matrices).astype(np.float64, copy=False), log_det


Cost: TypeAlias = Callable[[Ownership, Array, Array], tuple[Array, Array]]


def _cost_of_free_volumes(parts: Ownership, counts: Array, along: Array) -> tuple[Array, Array]:
    """Σ_k n_k Σ_i log v_ki (C,), and its derivative by the inner sum (M,)."""
    return parts.total(counts * np.log(along).sum(axis=1)), counts


def _cost_of_one_volume(parts: Ownership, counts: Array, along: Array) -> tuple[Array, Array]:
    """n D log Σ_k (Π_i v_ki)^(1/D) (C,), and likewise."""
    volumes = np.exp(np.log(along).mean(axis=1))
    rows, summed = parts.total(counts), parts.total(volumes)
    cost = rows * along.shape[1] * np.log(summed)
    return cost, parts.spread(rows / summed) * volumes


def _turned(
    parts: Ownership, counts: Array, scatter: Array, kept: Array | None, cost: Cost
) -> tuple[Array, Array]:
    """Axes (C, D, D) at which the cost is lower, and sums of squares along them (M, D)."""
    size = scatter.shape[-1]
    axes, turns = kept, 1
    if axes is None:
        traces = np.maximum(np.trace(scatter, axis1=1, axis2=2), NO_VARIANCE)
        # Odd shares: axes that two of them exchange would be none in a plain average.
        place = 1.0 + np.arange(len(scatter)) - parts.spread(parts.starts)
        shares = np.sqrt(place) / traces
        axes = np.linalg.eigh(parts.total(scatter * align(shares, scatter)))[1]
        turns = FIRST_TURNS
    left, right = np.triu_indices(size, 1)
    for _ in range(turns if size > 1 else 0):
        seen = _seen(parts, scatter, axes)
        along = _along(seen)
        before, shares = cost(parts, counts, along)
        off = seen[:, right, left]
        slope = parts.total(shares[:, None] * (off / along[:, left] - off / along[:, right]))
        ratio = along[:, left] / along[:, right]
        curvature = parts.total(shares[:, None] * (ratio + 1.0 / ratio - 2.0))
        least = LEAST_CURVATURE * parts.total(counts)[:, None]
        angles = -slope / np.maximum(curvature, least)
        angles /= np.maximum(1.0, np.abs(angles).max(axis=1, keepdims=True) / LONGEST)
        share = np.ones(len(axes))
        for _ in range(SHORTENINGS):
            turn = np.zeros((len(axes), size, size))
            turn[:, right, left] = share[:, None] * angles
            turn -= turn.swapaxes(1, 2)
            there = axes @ np.linalg.solve(np.eye(size) - 0.5 * turn, np.eye(size) + 0.5 * turn)
            found, _ = cost(parts, counts, _along(_seen(parts, scatter, there)))
            higher = found > before + ROUNDING * np.abs(before)
            if not higher.any():
                break
            share[higher] *= SHORTER
        axes = np.where(higher[:, None, None], axes, there)
    return axes, _along(_seen(parts, scatter, axes))


def _seen(parts: Ownership, scatter: Array, axes: Array) -> Array:
    """Dᵀ S_k D."""
    own = parts.spread(axes)
    seen: Array = own.swapaxes(1, 2) @ scatter @ own
    return seen


def _along(seen: Array) -> Array:
    """(Dᵀ S_k D)_ii (M, D), none of them zero."""
    return np.maximum(np.diagonal(seen, axis1=1, axis2=2), NO_VARIANCE)
