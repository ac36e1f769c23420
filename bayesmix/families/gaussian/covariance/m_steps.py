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
from bayesmix.numerics.arrays import Array, Booleans, Integers, align, frozen
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


# Smallest relative extent of a scatter that stays positive definite in rounding.
THINNEST = 1e-12


def of_own_forms(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """EVV: Σ_k = λ C_k with |C_k| = 1."""
    n_features = scatter.shape[-1]
    extents = np.maximum(np.trace(scatter, axis1=-2, axis2=-1) / n_features, NO_VARIANCE)
    volumes = determinant_roots(scatter)
    if (volumes < THINNEST ** (1.0 / n_features) * extents).any():  # some may be singular
        squares, axes = principal(scatter)
        squares = np.maximum(squares, np.maximum(THINNEST * squares[:, -1:], NO_VARIANCE))
        scatter, volumes = along(axes, squares), np.exp(np.log(squares).mean(axis=1))
    return volumes.sum() / counts.sum() * (scatter / align(volumes, scatter))


def of_own_axes(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """EEV: Σ_k = λ D_k A D_kᵀ with |A| = 1."""
    squares, axes = principal(scatter)
    return along(axes, squares.sum(axis=0) / counts.sum())


def principal(scatter: Array) -> tuple[Array, Array]:
    """Return sums of squares (K, D) along the principal axes, and the axes (K, D, D).

    Eigenvalues of a matrix that falls along its diagonal have small relative errors.
    """
    falling = np.argsort(-np.diagonal(scatter.sum(axis=0)), kind="stable")
    squares, axes = np.linalg.eigh(scatter[:, falling[:, None], falling])
    return np.maximum(squares, 0.0), axes[:, np.argsort(falling)]


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


# Most rotations: along a flat ridge 50 ended .08 nats below the maximum.
TURNS = 200
# Angle in radians that counts as converged: errors of joint rotations are squared in each, those of
# single pairs fall linearly.
UNTURNED = 1e-4
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
        begun += list(principal(scatter)[1])
    best = min((_Point.at(axes, scatter, cost) for axes in begun), key=lambda point: point.cost)
    for _ in range(TURNS if scatter.shape[1] > 1 else 0):
        angles, promised, unturned = best.descent(cost)
        share, slack = 1.0, ROUNDING * abs(best.cost)
        for _ in range(HALVINGS):
            trial = _Point.at(best.axes @ _rotation(share * angles), scatter, cost)
            if trial.cost <= best.cost + ENOUGH * share * promised + slack:
                break
            share *= 0.5
        else:
            break
        best = trial
        if np.abs(angles).max() <= unturned:
            break
    return best.axes


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
        along = _along(self.seen)
        relative = self.seen / along[:, None, :]  # M_ba / M_aa
        slopes = 2.0 * (relative[:, right, left] - relative[:, left, right])  # (K, P)
        slope = self.shares @ slopes
        angles, unturned = None, UNTURNED
        if n_features <= TOGETHER_UP_TO:
            # With scales 1e130 apart second derivatives overflow.
            with np.errstate(over="ignore", invalid="ignore"):
                bend = (
                    self._curvature(relative, along) + cost.bend(slopes, self.shares) / n_features
                )
                _, angles, refused = dposv(bend, -slope)
            if refused or not np.abs(angles).max() <= LONGEST:
                angles = None
        if angles is None:
            angles, unturned = -slope / self._by_pairs(along), UNTURNED_BY_PAIRS
            angles = angles / max(1.0, np.abs(angles).max() / LONGEST)
        turn = np.zeros((n_features, n_features))
        turn[right, left] = angles
        return turn - turn.T, float(slope @ angles), unturned

    def _by_pairs(self, along: Array) -> Array:
        """Return second derivatives (P,) by single angles, if all scatters share the axes."""
        left, right = _pairs(len(self.axes)).sides
        ratio = along[:, left] / along[:, right]
        curvature: Array = 2.0 * self.shares @ (ratio + 1.0 / ratio - 2.0)
        return np.maximum(curvature, LEAST_CURVATURE * self.shares.sum())

    def _curvature(self, relative: Array, along: Array) -> Array:
        """Return second derivatives (P, P) of Σ_k n_k Σ_a log M_aa, M = Dᵀ S_k D, at fixed shares.

        For D e^X this is Σ_a Σ_bc X_ba X_ca G_abc to second order, where G_abc sums n_k (M_bc /
        M_aa - (M_bc / M_bb + M_bc / M_cc) / 2 - 2 M_ba M_ca / M_aa²).
        """
        n_components, size = len(along), len(self.axes)
        weighed = self.shares[:, None] / along
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
    return principal(np.einsum("k,kij->ij", shares, matrices)[None])[1][0]


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


# Most steps, and the longest: a volume that falls without limit belongs to a collapse.
STEPS = 30
LONGEST_STEP = 5.0
# Step length below which the error is negligible, as it is squared.
SHORT = 1e-4
# Ridge that keeps the equations regular if a component adds nothing.
RIDGE = 1e-12

# Function of log λ (K,): log |Σ_k S_k / λ_k| and C^-½ (S_k / λ_k) C^-½, C the sum (K, m).
Pooled = Callable[[Array], tuple[float, Array, Array]]


def of_one_shape(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """VEI: Σ_k = λ_k B with B diagonal and |B| = 1."""
    shape = unit_volume(scatter.sum(axis=0) if previous is None else previous[0])
    per_row = counts[:, 0]
    begun = np.log(_at_least((scatter / shape).mean(axis=1) / per_row))
    # The scatter of coinciding observations is rounding, of either sign.
    scattered = np.where(_has_scatter(begun)[:, None], np.maximum(scatter, 0.0), 0.0)

    def pooled(logs: Array) -> tuple[float, Array, Array]:
        parts = scattered * np.exp(-logs)[:, None]
        total = np.maximum(parts.sum(axis=0), NO_VARIANCE)
        shares = parts / total
        return float(np.log(total).sum()), shares.sum(axis=1), shares

    logs = _least(pooled, per_row, scatter.shape[1], begun)
    shape = unit_volume((scattered * np.exp(-logs)[:, None]).sum(axis=0))
    volumes = _at_least((scatter / shape).mean(axis=1) / per_row)
    return volumes[:, None] * shape


def of_own_axes_and_volumes(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """VEV: Σ_k = λ_k D_k A D_kᵀ, the VEI of sums of squares along the principal axes."""
    squares, axes = principal(scatter)
    earlier = None if previous is None else principal(previous[:1])[0]
    return along(axes, of_one_shape(squares, counts[:, None], earlier))


def of_one_matrix(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """VEE: Σ_k = λ_k C with |C| = 1; a singular C is kept.

    Where the scatter of coinciding observations is rounding, their sum may not be positive
    definite: then C stays, and its volumes are the best.
    """
    n_components, n_features, _ = scatter.shape
    matrix = scatter.sum(axis=0) if previous is None else previous[0]
    matrix = matrix / determinant_roots(matrix)
    try:
        root = inverse_root(matrix[None])[0]
    except DegenerateFitError:
        return np.broadcast_to(matrix, scatter.shape).copy()

    def volumes(root: Array) -> Array:
        squares = np.trace(_seen_by(root, scatter), axis1=1, axis2=2)
        return _at_least(squares / (n_features * counts))

    begun = np.log(volumes(root))
    scattered = np.where(_has_scatter(begun)[:, None, None], scatter, 0.0)

    def pooled(logs: Array) -> tuple[float, Array, Array]:
        parts = scattered * np.exp(-logs)[:, None, None]
        root = inverse_root(parts.sum(axis=0)[None])[0]
        shares = _seen_by(root, parts)
        log_det = -2.0 * float(np.log(np.diagonal(root)).sum())
        return log_det, np.trace(shares, axis1=1, axis2=2), shares.reshape(n_components, -1)

    try:
        logs = _least(pooled, counts, n_features, begun)
        learned = (scattered * np.exp(-logs)[:, None, None]).sum(axis=0)
        learned = learned / determinant_roots(learned)
        root, matrix = inverse_root(learned[None])[0], learned
    except DegenerateFitError:
        pass
    return align(volumes(root), scatter) * matrix


def _least(pooled: Pooled, counts: Array, n_features: int, begun: Array) -> Array:
    """Return log λ (K,) that minimises n log|Σ_k S_k / λ_k| + D Σ_k n_k log λ_k."""
    total, root = counts.sum(), np.sqrt(counts)
    wanted = n_features * counts / total
    logs = begun
    log_det, traces, shares = pooled(logs)
    cost = log_det + wanted @ logs
    for _ in range(STEPS):
        slope = np.where(_has_scatter(begun), wanted - traces, 0.0)
        # In units of sqrt(n_k), so that small components converge as well.
        scaled = shares / root[:, None]
        curvature = np.diag(traces / counts + RIDGE) - scaled @ scaled.T
        # A common factor of all volumes has no effect.
        curvature += n_features / total**2 * np.outer(root, root)
        _, scaled_step, refused = dposv(curvature, -slope / root)
        if refused:  # the scatter is negligible
            break
        step = scaled_step / root
        longest = np.abs(step).max()
        step *= min(1.0, LONGEST_STEP / max(longest, LONGEST_STEP))
        for _ in range(HALVINGS):
            trial = pooled(logs + step)
            trial_cost = trial[0] + wanted @ (logs + step)
            if trial_cost <= cost + ROUNDING * (abs(cost) + abs(log_det)):
                break
            step *= 0.5
        else:
            break
        logs, cost, (log_det, traces, shares) = logs + step, trial_cost, trial
        if longest <= SHORT:
            break
    return logs


def _seen_by(root: Array, matrices: Array) -> Array:
    return root.T @ matrices @ root


def _has_scatter(logs: Array) -> Booleans:
    return logs > np.log(NO_VARIANCE)


def _at_least(volumes: Array) -> Array:
    return np.maximum(volumes, NO_VARIANCE)
