"""M-steps: covariances that maximise -½ Σ_k (n_k log|Σ_k| + tr(S_k Σ_k⁻¹)) in a structure.

Closed forms: Celeux & Govaert 1995. Common axes (EVE, VVE) are found by Newton's method with
variances maximised out, as in Flury & Gautschi 1986; common shapes by Newton's method over log
volumes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg.lapack import dposv

from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array, Integers, align, frozen
from bayesmix.numerics.triangular import inverse_root

# Stand-in for a variance of zero, in columns of unit scale: far below the floor, so that the guard
# sees it, while products stay finite.
NO_VARIANCE = 1e-100


def of_one_volume(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """EVI: Σ_k = λ B_k with B_k diagonal and |B_k| = 1."""
    shapes = unit_volume(scatter)
    volumes = np.maximum((scatter / (counts * shapes)).mean(axis=1, keepdims=True), NO_VARIANCE)
    share = counts[:, :1] / counts[:, :1].sum()
    return (share * volumes).sum() * shapes


def of_own_forms(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """EVV: Σ_k = λ C_k with |C_k| = 1."""
    extents = np.maximum(np.trace(scatter, axis1=-2, axis2=-1), 1.0)
    volumes = np.maximum(determinant_roots(scatter), NO_VARIANCE * extents)
    return volumes.sum() / counts.sum() * (scatter / align(volumes, scatter))


def of_own_axes(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """EEV: Σ_k = λ D_k A D_kᵀ with |A| = 1."""
    squares, axes = principal(scatter)
    return along(axes, squares.sum(axis=0) / counts.sum())


def principal(scatter: Array) -> tuple[Array, Array]:
    """Return sums of squares (K, D) along the principal axes, and the axes (K, D, D)."""
    squares, axes = np.linalg.eigh(scatter)
    return np.maximum(squares, 0.0), axes


def along(axes: Array, variances: Array) -> Array:
    """Return the matrices (K, D, D) with these axes and variances."""
    roots = axes * np.sqrt(variances)[..., None, :]
    return roots @ np.swapaxes(roots, -1, -2)


def determinant_roots(matrices: Array) -> Array:
    """Return |S|^(1/D), bounded away from zero."""
    logs = np.linalg.slogdet(matrices)[1] / matrices.shape[-1]
    return np.exp(np.maximum(logs, np.log(NO_VARIANCE)))


def unit_volume(variances: Array) -> Array:
    """Scale variances to a product of 1 over the columns."""
    logs = np.log(np.maximum(variances, NO_VARIANCE))
    return np.exp(logs - logs.mean(axis=-1, keepdims=True))


# Most rotations, and the angle in radians that counts as converged: errors of joint rotations are
# squared in each, those of single pairs fall linearly.
TURNS = 50
UNTURNED = 1e-7
UNTURNED_BY_PAIRS = 1e-9
# Longest angle in radians, beyond which the quadratic model fails.
LONGEST = 1.0
# A rotation with less than this fraction of the predicted gain is halved, at most this often.
ENOUGH = 1e-4
HALVINGS = 30
# Relative rounding of the cost.
ROUNDING = 1e-14
# Smallest relative second derivative, so that undetermined axes stay.
LEAST_CURVATURE = 1e-8
# Largest number of features for joint rotations, whose equations cost the sixth power.
TOGETHER_UP_TO = 32


def of_common_axes(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """VVE: Σ_k = λ_k D A_k Dᵀ."""
    axes = _turned(scatter, previous, FreeVolumes(counts))
    return along(axes, _along(_seen(scatter, axes)) / counts[:, None])


def of_common_axes_and_volume(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """EVE: Σ_k = λ D A_k Dᵀ."""
    total = float(counts.sum())
    axes = _turned(scatter, previous, OneVolume(total))
    logs = np.log(_along(_seen(scatter, axes)))
    centre = logs.mean(axis=1, keepdims=True)
    return along(axes, np.exp(centre).sum() / total * np.exp(logs - centre))


@dataclass(frozen=True)
class FreeVolumes:
    """Cost Σ_k n_k Σ_i log v_ki, with the best volume of each component."""

    counts: Array

    def value(self, logs: Array) -> tuple[float, Array]:
        """Return the cost from log v (K, D), and its derivative by their sum over i (K,)."""
        return float(self.counts @ logs.sum(axis=1)), self.counts

    def bend(self, slopes: Array, shares: Array) -> Array | float:
        """Return the second derivative beyond that of log v at fixed shares; slopes (K, P)."""
        return 0.0


@dataclass(frozen=True)
class OneVolume:
    """Cost n D log Σ_k (Π_i v_ki)^(1/D), with the best common volume."""

    total: float

    def value(self, logs: Array) -> tuple[float, Array]:
        means = logs.mean(axis=1)
        highest = means.max()
        volumes = np.exp(means - highest)
        summed = volumes.sum()
        value = self.total * logs.shape[1] * (np.log(summed) + highest)
        return float(value), self.total * volumes / summed

    def bend(self, slopes: Array, shares: Array) -> Array | float:
        centre = shares @ slopes / self.total
        away = slopes - centre
        return (away.T * shares) @ away


Cost = FreeVolumes | OneVolume


def _turned(scatter: Array, previous: Array | None, cost: Cost) -> Array:
    """Return the axes (D, D), as columns, of least cost from several starts."""
    begun = [_axes_of(scatter if previous is None else previous)]
    if previous is None:
        begun += list(np.linalg.eigh(scatter)[1])
    here = min((_Point.at(axes, scatter, cost) for axes in begun), key=lambda each: each.cost)
    for _ in range(TURNS if scatter.shape[1] > 1 else 0):
        angles, promised, unturned = here.descent(cost)
        share, slack = 1.0, ROUNDING * abs(here.cost)
        for _ in range(HALVINGS):
            there = _Point.at(here.axes @ _rotation(share * angles), scatter, cost)
            if there.cost <= here.cost + ENOUGH * share * promised + slack:
                break
            share *= 0.5
        else:
            break
        here = there
        if np.abs(angles).max() <= unturned:
            break
    return here.axes


@dataclass(frozen=True)
class _Point:
    """Axes, the scatters along them, and the cost."""

    axes: Array
    seen: Array  # (K, D, D)
    cost: float
    shares: Array  # (K,)

    @classmethod
    def at(cls, axes: Array, scatter: Array, cost: Cost) -> _Point:
        seen = _seen(scatter, axes)
        value, shares = cost.value(np.log(_along(seen)))
        return cls(axes, seen, value, shares)

    def descent(self, cost: Cost) -> tuple[Array, float, float]:
        """Return antisymmetric angles (D, D), the slope along them, and the largest angle."""
        n_features = len(self.axes)
        left, right = _pairs(n_features).sides
        own = _along(self.seen)
        relative = self.seen / own[:, None, :]  # M_ba / M_aa
        slopes = 2.0 * (relative[:, right, left] - relative[:, left, right])  # (K, P)
        slope = self.shares @ slopes
        angles, unturned = None, UNTURNED
        if n_features <= TOGETHER_UP_TO:
            # With scales 1e130 apart second derivatives overflow.
            with np.errstate(over="ignore", invalid="ignore"):
                bend = self._curvature(relative, own) + cost.bend(slopes, self.shares) / n_features
                _, angles, refused = dposv(bend, -slope)
            if refused or not np.abs(angles).max() <= LONGEST:
                angles = None
        if angles is None:
            angles, unturned = -slope / self._by_pairs(own), UNTURNED_BY_PAIRS
            angles = angles / max(1.0, np.abs(angles).max() / LONGEST)
        turn = np.zeros((n_features, n_features))
        turn[right, left] = angles
        return turn - turn.T, float(slope @ angles), unturned

    def _by_pairs(self, own: Array) -> Array:
        """Return second derivatives (P,) by single angles, if all scatters share the axes."""
        left, right = _pairs(len(self.axes)).sides
        ratio = own[:, left] / own[:, right]
        curvature: Array = 2.0 * self.shares @ (ratio + 1.0 / ratio - 2.0)
        return np.maximum(curvature, LEAST_CURVATURE * self.shares.sum())

    def _curvature(self, relative: Array, own: Array) -> Array:
        """Return second derivatives (P, P) of Σ_k n_k Σ_a log M_aa, M = Dᵀ S_k D, at fixed shares.

        For D e^X this is Σ_a Σ_bc X_ba X_ca G_abc to second order, where G_abc sums n_k (M_bc /
        M_aa - (M_bc / M_bb + M_bc / M_cc) / 2 - 2 M_ba M_ca / M_aa²).
        """
        n_components, size = len(own), len(self.axes)
        weighed = self.shares[:, None] / own
        G = (weighed.T @ self.seen.reshape(n_components, -1)).reshape(size, size, size)
        G -= 2.0 * np.einsum("k,kba,kca->abc", self.shares, relative, relative)
        plain = np.einsum("k,kbc->bc", self.shares, relative)
        G -= 0.5 * (plain + plain.T)
        pairs = _pairs(size)
        signed = 2.0 * pairs.signs * G[pairs.centre, pairs.first, pairs.second]
        n_pairs = len(pairs.sides[0])
        flat: Array = np.bincount(pairs.place, weights=signed, minlength=n_pairs**2).astype(float)
        return flat.reshape(n_pairs, n_pairs)


def _rotation(angles: Array) -> Array:
    """Return the rotation (D, D) by antisymmetric angles (D, D), by Cayley's map."""
    identity = np.eye(len(angles))
    turned = np.linalg.solve(identity - 0.5 * angles, identity + 0.5 * angles)
    return turned.astype(np.float64, copy=False)


def _axes_of(matrices: Array) -> Array:
    """Return the common axes of matrices (K, D, D), or those of an average."""
    traces = np.maximum(np.trace(matrices, axis1=1, axis2=2), NO_VARIANCE)
    # Unequal weights, as an equal average loses axes that two matrices exchange.
    shares = np.sqrt(np.arange(1.0, len(matrices) + 1.0)) / traces
    return np.linalg.eigh(np.einsum("k,kij->ij", shares, matrices))[1]


def _seen(scatter: Array, axes: Array) -> Array:
    return axes.T @ scatter @ axes


def _along(seen: Array) -> Array:
    """Return (Dᵀ S_k D)_ii (K, D), bounded away from zero."""
    return np.maximum(np.diagonal(seen, axis1=1, axis2=2), NO_VARIANCE)


@dataclass(frozen=True)
class _Angles:
    """Angles X_ji, i < j, and positions of products X_ba X_ca in a matrix."""

    sides: tuple[Integers, Integers]  # i and j (P,)
    centre: Integers  # a
    first: Integers  # b
    second: Integers  # c
    signs: Array
    place: Integers  # in the flattened matrix (P, P)


@lru_cache(maxsize=64)
def _pairs(n_features: int) -> _Angles:
    left, right = np.triu_indices(n_features, 1)
    number = np.zeros((n_features, n_features), dtype=np.int64)
    sign = np.zeros((n_features, n_features))
    number[right, left] = number[left, right] = np.arange(len(left))
    sign[right, left], sign[left, right] = 1.0, -1.0
    a, b, c = np.indices((n_features,) * 3).reshape(3, -1)
    other = (a != b) & (a != c)
    a, b, c = a[other], b[other], c[other]
    place = number[b, a] * len(left) + number[c, a]
    return frozen(_Angles((left, right), a, b, c, sign[b, a] * sign[c, a], place))


# Most alternations of shape and volumes, and the change of log volumes that counts as converged.
STEPS = 200
SHORT = 1e-13


def of_one_shape(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """VEI: Σ_k = λ_k B with B diagonal and |B| = 1."""
    shape = unit_volume(scatter.sum(axis=0) if previous is None else previous[0])

    def volumes(shape: Array) -> Array:
        return (scatter / shape).mean(axis=1) / counts[:, 0]

    def pooled(weights: Array) -> Array:
        return unit_volume(weights @ scatter)

    shape, sizes = _alternated(shape, volumes, pooled)
    return sizes[:, None] * shape


def of_own_axes_and_volumes(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """VEV: Σ_k = λ_k D_k A D_kᵀ, the VEI of sums of squares along the principal axes."""
    squares, axes = principal(scatter)
    earlier = None if previous is None else principal(previous[:1])[0]
    return along(axes, of_one_shape(squares, counts[:, None], earlier))


def of_one_matrix(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """VEE: Σ_k = λ_k C with |C| = 1; a singular C is kept."""
    n_features = scatter.shape[1]
    matrix = scatter.sum(axis=0) if previous is None else previous[0]

    def volumes(matrix: Array) -> Array:
        root = inverse_root(matrix[None])[0]
        return np.einsum("kij,ij->k", scatter, root @ root.T) / (n_features * counts)

    def pooled(weights: Array) -> Array:
        total = np.tensordot(weights, scatter, 1)
        return total / determinant_roots(total)

    matrix = matrix / determinant_roots(matrix)
    try:
        matrix, sizes = _alternated(matrix, volumes, pooled)
    except DegenerateFitError:
        return np.broadcast_to(matrix, scatter.shape).copy()
    return align(sizes, scatter) * matrix


def _alternated(
    form: Array, volumes: Callable[[Array], Array], pooled: Callable[[Array], Array]
) -> tuple[Array, Array]:
    """Return common form and volumes (K,), each the best given the other (Celeux & Govaert)."""
    sizes = np.maximum(volumes(form), NO_VARIANCE)
    for _ in range(STEPS):
        # The scatter of coinciding observations is rounding, of either sign.
        before, form = sizes, pooled(np.where(sizes > NO_VARIANCE, 1.0 / sizes, 0.0))
        sizes = np.maximum(volumes(form), NO_VARIANCE)
        if np.abs(np.log(sizes / before)).max() <= SHORT:
            break
    return form, sizes
