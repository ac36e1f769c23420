"""Centred moments of weighted rows, merged pairwise (Chan, Golub & LeVeque 1983).

``(count, mean, scatter about the mean)`` is additive over rows without cancellation, wherever the
data lie. Moments are merged and scaled, never subtracted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bayesmix.families.gaussian.covariance.algebra import averages
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.filled import filled_at_once
from bayesmix.numerics.once import once


@filled_at_once
@dataclass(frozen=True)
class Moments:
    """counts (K,), means (K, D) and scatter in the structure's blocks."""

    structure: Structure
    counts: Array
    means: Array
    scatter: Array

    def __add__(self, other: Moments) -> Moments:
        counts = self.counts + other.counts
        share = np.zeros_like(counts)
        np.divide(other.counts, counts, out=share, where=counts > 0)
        delta = other.means - self.means
        return Moments(
            self.structure,
            counts,
            self.means + share[:, None] * delta,
            self.scatter + other.scatter + _between(self.structure, self.counts * share, delta),
        )

    @property
    def shared(self) -> bool:
        """Whether components have their scatter in common."""
        return self.structure.shared

    def scaled(self, factor: float) -> Moments:
        """The moments of rows repeated ``factor`` times."""
        return replace(self, counts=factor * self.counts, scatter=factor * self.scatter)

    def subset(self, keep: Integers) -> Moments:
        """Those of some components; a shared scatter stays whole."""
        structure = self.structure
        scatter = structure.blocks.keep(self.scatter, keep)
        return Moments(structure, self.counts[keep], self.means[keep], scatter)

    def merged(self, first: int, second: int) -> Moments:
        """With ``second`` added to ``first`` and left out."""
        pair = np.array([first, second])
        counts, means = self.counts[pair], self.means[pair]
        total = counts.sum()
        share = counts[1] / total if total > 0 else 0.0
        delta = means[1:] - means[:1]
        rest = np.delete(np.arange(len(self.counts)), second)
        place = first - (second < first)
        new_counts, new_means = self.counts[rest], self.means[rest]
        new_counts[place], new_means[place] = total, means[0] + share * delta[0]
        pooled = _between(self.structure, np.array([counts[0] * share]), delta)
        if self.shared:
            scatter = self.scatter + pooled
        else:
            scatter = self.scatter[rest]
            scatter[place] = self.scatter[first] + self.scatter[second] + pooled[0]
        return Moments(self.structure, new_counts, new_means, scatter)

    def split(self, k: int, halves: Moments) -> Moments:
        """With the first half in the place of component k, and the other at the end."""
        if len(self.counts) == 1:
            return halves
        counts = np.append(self.counts, halves.counts[1])
        means = np.vstack([self.means, halves.means[1:]])
        counts[k], means[k] = halves.counts[0], halves.means[0]
        if self.shared:
            # What they share loses the scatter between the two.
            delta = halves.means[1:] - halves.means[:1]
            share = halves.counts[:1] * halves.counts[1:] / max(halves.counts.sum(), 1e-300)
            scatter = self.scatter - _between(self.structure, share, delta)
        else:
            scatter = np.concatenate([self.scatter, halves.scatter[1:]])
            scatter[k] = halves.scatter[0]
        return Moments(self.structure, counts, means, scatter)

    def exchanged(self, keep: Integers, others: Moments) -> Moments:
        """Some components, and others in the place of the rest; a shared scatter stays whole."""
        joined = self.joined([self.subset(keep), others])
        return replace(joined, scatter=self.scatter) if self.shared else joined

    @staticmethod
    def joined(parts: Sequence[Moments]) -> Moments:
        """Those of all components of several; what their components share is summed."""
        structure = parts[0].structure
        return Moments(
            structure,
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.means for part in parts]),
            structure.blocks.pool(np.concatenate([part.scatter for part in parts])),
        )

    def about(self, point: Array, shrink: Array) -> Array:
        """Scatter plus shrink_k N_k (mean_k - point)(mean_k - point)ᵀ, in blocks."""
        return self.scatter + _between(self.structure, shrink * self.counts, self.means - point)

    def pack(self) -> Array:
        """Sums of 1, x and x xᵀ as one vector: the mean parameters of an exponential family.

        Only extrapolation uses it; its cancellation far from the origin costs steps, not digits.
        """
        return self._packed

    @once
    def _packed(self) -> Array:
        totals = self.counts[:, None] * self.means
        return np.concatenate([self.counts, totals.ravel(), self.second.ravel()])

    def units(self) -> Array:
        """What entries of ``pack`` are multiplied by: columns then have unit second moments."""
        (n_components, n_features), algebra = self.means.shape, self.structure.algebra
        total = self.second.sum(axis=0, keepdims=True)
        total /= self.structure.blocks.counts(self.counts, n_features).sum()
        square = algebra.spread(total, 1, n_features)[0]
        unit = 1.0 / np.sqrt(np.where(square > 0.0, square, 1.0))
        of_second = algebra.stretch(np.ones(self.scatter.shape), unit).ravel()
        return np.concatenate([np.ones(n_components), np.tile(unit, n_components), of_second])

    def unpack(self, vector: Array) -> Moments:
        """The moments that pack to ``vector``."""
        n_components, n_features = self.means.shape
        end = n_components * (1 + n_features)
        counts = vector[:n_components]
        totals = vector[n_components:end].reshape(n_components, n_features)
        second = vector[end:].reshape(self.scatter.shape)
        return Moments.about_origin(self.structure, counts, totals, second)

    @classmethod
    def about_origin(
        cls, structure: Structure, counts: Array, totals: Array, second: Array
    ) -> Moments:
        """From Σ r x, and Σ r x xᵀ in blocks, instead of means and the scatter about them."""
        means = averages(totals, counts)
        between = structure.blocks.pool(structure.algebra.outer(totals, means))
        made = cls(structure, counts, means, second - between)
        Moments.second.given(made, second)
        return made

    @once
    def second(self) -> Array:
        """Σ r x xᵀ in blocks."""
        n_components, n_features = self.means.shape
        return self.about(np.zeros(n_features), np.ones(n_components))

    @property
    def squares(self) -> Array:
        """Σ r x² (K, D) of every component, not negative."""
        spread = self.structure.algebra.spread
        if self.scatter.shape[:2] == self.means.shape:  # nothing is pooled
            return spread(self.second, *self.means.shape)
        # The scatter of a component on one row may be rounding, of either sign.
        own = np.maximum(spread(self.scatter, *self.means.shape), 0.0)
        return own + self.counts[:, None] * self.means * self.means


def _between(structure: Structure, weight: Array, delta: Array) -> Array:
    """Σ w_k δ_k δ_kᵀ in blocks."""
    return structure.blocks.pool(structure.algebra.outer(weight[:, None] * delta, delta))


def moments(structure: Structure, values: Array, responsibilities: Array) -> Moments:
    """Moments of framed rows under responsibilities (n, K): the mean first, then the scatter."""
    counts = responsibilities.sum(axis=0)
    means = averages((values.T @ responsibilities).T, counts)
    scatter = structure.algebra.scatter(values, responsibilities, means)
    return Moments(structure, counts, means, structure.blocks.pool(scatter))
