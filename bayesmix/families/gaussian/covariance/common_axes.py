"""M-steps of matrices with axes in common (EVE, VVE): those that make all scatters most diagonal.

Celeux & Govaert 1995 alternate; Browne & McNicholas 2014 take steps on a bound. Here the variances
along the axes are maximised out, as in Flury & Gautschi 1986, and all axes are turned at once, by
Newton's method.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg.lapack import dposv

from bayesmix.families.gaussian.covariance.m_steps import NO_VARIANCE, along
from bayesmix.numerics.arrays import Array, Integers, frozen

# Turns at most, and the angles, in radians, after which all axes stay: a turn of all pairs together
# leaves an error of its square, one pair by pair a share of itself.
TURNS = 50
# Where earlier axes are there to begin from, so many: the next M-step goes on from where it ends.
TURNS_OF_EARLIER = 12
UNTURNED = 1e-7
UNTURNED_BY_PAIRS = 1e-9
# The longest angle, in radians: beyond, what was said of it near by is no guide.
LONGEST = 1.0
# A turn that gains less than this share of what its slope promises is halved; at most so often.
ENOUGH = 1e-4
HALVINGS = 30
# Of the cost, what two sums of the same may differ by.
ROUNDING = 1e-14
# Of a second derivative, what is left of it at least: axes between which nothing decides stay.
LEAST_CURVATURE = 1e-8
# Features up to which all pairs are turned together: their equations grow with the sixth power.
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
    """Σ_k n_k Σ_i log v_ki, which is least where every component has its own best volume."""

    counts: Array

    def value(self, logs: Array) -> tuple[float, Array]:
        """From log v (K, D) the value, and its derivative by their sum over i (K,)."""
        return float(self.counts @ logs.sum(axis=1)), self.counts

    def bend(self, slopes: Array, shares: Array) -> Array | float:
        """What the second derivative has beside that of log v at fixed shares; slopes (K, P)."""
        return 0.0


@dataclass(frozen=True)
class OneVolume:
    """n D log Σ_k (Π_i v_ki)^(1/D), which is least where one volume is best for all."""

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
        spread: Array = (away.T * shares) @ away
        return spread


Cost = FreeVolumes | OneVolume


def _turned(scatter: Array, previous: Array | None, cost: Cost) -> Array:
    """The axes (D, D), as columns, at which the cost is least, from the best of some."""
    begun = [_axes_of(scatter if previous is None else previous)]
    if previous is None:
        begun += list(np.linalg.eigh(scatter)[1])
    here = min((_Point.at(axes, scatter, cost) for axes in begun), key=lambda each: each.cost)
    most = TURNS if previous is None else TURNS_OF_EARLIER
    for _ in range(most if scatter.shape[1] > 1 else 0):
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
    """Axes, the scatters as they are seen along them, and the cost."""

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
        """Angles (D, D) to turn by, antisymmetric, their slope, and how small an end has them."""
        n_features = len(self.axes)
        left, right = _pairs(n_features).sides
        own = _along(self.seen)
        relative = self.seen / own[:, None, :]  # M_ba / M_aa
        slopes = 2.0 * (relative[:, right, left] - relative[:, left, right])  # (K, P)
        slope = self.shares @ slopes
        angles, unturned = None, UNTURNED
        if n_features <= TOGETHER_UP_TO:
            # Of columns 1e130 times apart second derivatives are no doubles.
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
        """The second derivatives (P,) of single angles where all scatters agree on the axes."""
        left, right = _pairs(len(self.axes)).sides
        ratio = own[:, left] / own[:, right]
        curvature: Array = 2.0 * self.shares @ (ratio + 1.0 / ratio - 2.0)
        least: Array = np.maximum(curvature, LEAST_CURVATURE * self.shares.sum())
        return least

    def _curvature(self, relative: Array, own: Array) -> Array:
        """Second derivatives (P, P) of Σ_k n_k Σ_a log M_aa, M = Dᵀ S_k D, at these shares.

        With D e^X for D it is Σ_a Σ_bc X_ba X_ca G_abc to second order, G_abc the sum of
        n_k (M_bc / M_aa - (M_bc / M_bb + M_bc / M_cc) / 2 - 2 M_ba M_ca / M_aa²).
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
    """The rotation (D, D) by antisymmetric angles (D, D), by Cayley's map."""
    identity = np.eye(len(angles))
    turned = np.linalg.solve(identity - 0.5 * angles, identity + 0.5 * angles)
    return turned.astype(np.float64, copy=False)


def _axes_of(matrices: Array) -> Array:
    """The axes that matrices (K, D, D) share; where they share none, those of an average."""
    traces = np.maximum(np.trace(matrices, axis1=1, axis2=2), NO_VARIANCE)
    # Odd shares: axes that two of them exchange would be none in a plain average.
    shares = np.sqrt(np.arange(1.0, len(matrices) + 1.0)) / traces
    axes: Array = np.linalg.eigh(np.einsum("k,kij->ij", shares, matrices))[1]
    return axes


def _seen(scatter: Array, axes: Array) -> Array:
    """Dᵀ S_k D."""
    seen: Array = axes.T @ scatter @ axes
    return seen


def _along(seen: Array) -> Array:
    """(Dᵀ S_k D)_ii (K, D), none of them zero."""
    return np.maximum(np.diagonal(seen, axis1=1, axis2=2), NO_VARIANCE)


@dataclass(frozen=True)
class _Angles:
    """The angles X_ji, i < j, and where products X_ba X_ca of two of them stand in a matrix."""

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
