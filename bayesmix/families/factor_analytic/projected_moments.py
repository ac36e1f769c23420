"""Centred moments of rows as factor analysers need them: the scatter times a few directions.

Additive over rows that were seen along the same directions, merged as in Chan, Golub & LeVeque
(1983). K (D (q + 2) + 1) numbers, whatever the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bayesmix.families.factor_analytic.factor_model import FactorModel, low_rank
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.filled import filled_at_once
from bayesmix.numerics.once import once

# Counts at or under this are no rows at all.
NO_ROWS = 1e-200


@filled_at_once
@dataclass(frozen=True)
class SeenAlong:
    """Of the scatters S_k the diagonal and S_k B_k.

    The directions B_k are the βᵀ of the mixture that the E-step was made with, ``unsure`` the
    covariances of its factors given a row, ``noise`` its noise. At a start, where there is no such
    mixture, directions are arbitrary and the two are None.
    """

    squares: Array  # (K, D)
    directions: Array  # (K, D, m)
    projected: Array  # (K, D, m)
    unsure: Array | None = None  # (K, q, q)
    noise: Array | None = None  # (K, D)

    def merged(self, other: SeenAlong, weights: Array, away: Array) -> SeenAlong:
        """With those of other rows, and Σ w_k δ_k δ_kᵀ between the two."""
        along = np.einsum("kd,kdm->km", away, self.directions)
        between = weights[:, None] * away
        return replace(
            self,
            squares=self.squares + other.squares + between * away,
            projected=self.projected + other.projected + between[:, :, None] * along[:, None, :],
        )

    def estimate(self, model: FactorModel, counts: Array) -> tuple[Array, Array]:
        """Loadings (K, D, q) and noise variances (K, D)."""
        if self.unsure is None or self.noise is None:
            return model.begun(counts, self.squares, low_rank(self.directions, self.projected))
        second = self.directions.transpose(0, 2, 1) @ self.projected
        second += counts[:, None, None] * self.unsure
        return model.updated(counts, self.squares, self.projected, second, self.noise)


@filled_at_once
@dataclass(frozen=True)
class ProjectedMoments:
    """counts (K,), means (K, D), and what rows show of the scatters about them.

    Moments that are put together of others, or extrapolated, hold what an update makes of them
    instead: loadings (K, D, q) and noise (K, D). They are not added to any more.
    """

    model: FactorModel
    counts: Array
    means: Array
    seen: SeenAlong | None
    known: tuple[Array, Array] | None = None

    shared = False

    def __add__(self, other: ProjectedMoments) -> ProjectedMoments:
        assert self.seen is not None
        assert other.seen is not None
        counts = self.counts + other.counts
        share = np.zeros_like(counts)
        np.divide(other.counts, counts, out=share, where=counts > 0)
        away = other.means - self.means
        seen = self.seen.merged(other.seen, self.counts * share, away)
        return ProjectedMoments(self.model, counts, self.means + share[:, None] * away, seen)

    @once
    def estimate(self) -> tuple[Array, Array]:
        """Loadings (K, D, q) and noise variances (K, D); of components without rows, zeros."""
        if self.known is not None:
            return self.known
        assert self.seen is not None
        return self.seen.estimate(self.model, np.maximum(self.counts, NO_ROWS))

    def scaled(self, factor: float) -> ProjectedMoments:
        """The moments of rows repeated ``factor`` times."""
        seen = self.seen
        if seen is not None:
            squares, projected = factor * seen.squares, factor * seen.projected
            seen = replace(seen, squares=squares, projected=projected)
        return replace(self, counts=factor * self.counts, seen=seen)

    def subset(self, keep: Integers) -> ProjectedMoments:
        """Those of some components."""
        loadings, noise = self.estimate
        return self._holding(self.counts[keep], self.means[keep], loadings[keep], noise[keep])

    def merged(self, first: int, second: int) -> ProjectedMoments:
        """With ``second`` added to ``first`` and left out, as their densities have it."""
        counts, means, loadings, noise = (each.copy() for each in self._parts)
        pair = [first, second]
        total = counts[pair].sum()
        share = counts[second] / total if total > 0 else 0.0
        away = means[second] - means[first]
        wide = np.sqrt(np.maximum(counts[pair], NO_ROWS))[:, None, None] * loadings[pair]
        between = np.sqrt(counts[first] * share) * away
        left = np.concatenate([*wide, between[:, None]], axis=1)[None]
        squares = (counts[pair] @ noise[pair])[None] + np.square(left).sum(axis=2)
        count = np.maximum(total, NO_ROWS)[None]
        if self.model.shared_loadings:
            explained = np.square(loadings[first]).sum(axis=1)
            own = np.maximum(squares / count - explained, noise[pair].min(axis=0))
            noise[first] = self.model.of_noise(own)[0]
        else:
            begun, left_over = self.model.begun(count, squares, left)
            loadings[first], noise[first] = begun[0], left_over[0]
        counts[first], means[first] = total, means[first] + share * away
        rest = np.delete(np.arange(len(counts)), second)
        return self._holding(counts[rest], means[rest], loadings[rest], noise[rest])

    def split(self, k: int, halves: ProjectedMoments) -> ProjectedMoments:
        """With the first half in the place of component k, and the other at the end."""
        parts = []
        for own, other in zip(self._parts, halves._parts, strict=True):
            part = np.concatenate([own, other[1:]])
            part[k] = other[0]
            parts.append(part)
        return self._holding(*parts)

    def exchanged(self, keep: Integers, others: ProjectedMoments) -> ProjectedMoments:
        """Some components, and others in the place of the rest."""
        return self.joined([self.subset(keep), others])

    @staticmethod
    def joined(parts: Sequence[ProjectedMoments]) -> ProjectedMoments:
        """Those of all components of several."""
        together = zip(*(part._parts for part in parts), strict=True)
        return parts[0]._holding(*(np.concatenate(each) for each in together))

    def pack(self) -> Array:
        """N, N μ, N Λ and N Ψ of what an update makes of them, as one vector."""
        counts, *rest = self._parts
        return np.concatenate(
            [counts, *((counts.reshape(-1, *[1] * (x.ndim - 1)) * x).ravel() for x in rest)]
        )

    def units(self) -> Array:
        """What entries of ``pack`` are multiplied by: columns then have unit second moments."""
        counts, means, loadings, noise = self._parts
        K, _, q = loadings.shape
        second = np.square(means) + np.square(loadings).sum(axis=2) + noise
        square = counts @ second / counts.sum()
        unit = 1.0 / np.sqrt(np.where(square > 0.0, square, 1.0))
        return np.concatenate(
            [np.ones(K), np.tile(unit, K), np.tile(np.repeat(unit, q), K), np.tile(unit**2, K)]
        )

    def unpack(self, vector: Array) -> ProjectedMoments:
        """The moments that pack to ``vector``; components without rows stay what they are."""
        ends = np.cumsum([part.size for part in self._parts])
        counts, *sums = np.split(vector, ends[:-1])
        present = counts > NO_ROWS
        parts = []
        for before, total in zip(self._parts[1:], sums, strict=True):
            part, shape = before.copy(), (-1, *[1] * (before.ndim - 1))
            np.divide(
                total.reshape(before.shape),
                counts.reshape(shape),
                out=part,
                where=present.reshape(shape),
            )
            parts.append(part)
        return self._holding(counts, *parts)

    @property
    def _parts(self) -> tuple[Array, Array, Array, Array]:
        loadings, noise = self.estimate
        return self.counts, self.means, loadings, noise

    def _holding(
        self, counts: Array, means: Array, loadings: Array, noise: Array
    ) -> ProjectedMoments:
        """Moments of which an update makes these; what is shared is that of most rows."""
        if self.model.shared_loadings:
            shares = np.maximum(counts, NO_ROWS)
            one = np.tensordot(shares / shares.sum(), loadings, 1)
            loadings = np.broadcast_to(one, loadings.shape)
        return ProjectedMoments(self.model, counts, means, None, (loadings, noise))


def projected_moments(
    model: FactorModel,
    values: Array,
    responsibilities: Array,
    directions: Array,
    unsure: Array | None = None,
    noise: Array | None = None,
) -> ProjectedMoments:
    """Moments of framed rows under responsibilities (n, K): the means first, then the scatters."""
    columns = values.T
    counts = responsibilities.sum(axis=0)
    totals = columns @ responsibilities
    means = np.zeros_like(totals)
    np.divide(totals, counts, out=means, where=counts > 0)
    means = np.ascontiguousarray(means.T)
    squares, projected = np.empty(means.shape), np.empty(directions.shape)
    for k, along in enumerate(directions):
        away = columns - means[k][:, None]
        projected[k] = (away * responsibilities[:, k]) @ (away.T @ along)
        away *= away
        np.dot(away, responsibilities[:, k], out=squares[k])
    seen = SeenAlong(squares, directions, projected, unsure, noise)
    return ProjectedMoments(model, counts, means, seen)
