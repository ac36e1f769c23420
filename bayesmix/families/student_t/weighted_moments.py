"""Statistics of Student-t components: sums of rows that each weights by how near they are.

u is the hidden precision of a row, E[u] = (ν + D) / (ν + δ²) under the parameters that the E-step
was made with (Peel & McLachlan 2000); far rows count little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayesmix.families.gaussian.moments import Moments
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.filled import filled_at_once


@filled_at_once
@dataclass(frozen=True)
class WeightedMoments:
    """Σ r (K,), the moments of rows weighted by r E[u], and what ν is learned from.

    ``tails`` are Σ r (E[log u] - E[u]) (K,) at a point, and Σ r log p(x | ν) (K, J) where ν is on a
    grid.
    """

    counts: Array
    weighted: Moments
    tails: Array

    @property
    def shared(self) -> bool:
        """Whether components have their scatter in common."""
        return self.weighted.shared

    def __add__(self, other: WeightedMoments) -> WeightedMoments:
        return WeightedMoments(
            self.counts + other.counts, self.weighted + other.weighted, self.tails + other.tails
        )

    def scaled(self, factor: float) -> WeightedMoments:
        """Those of rows repeated ``factor`` times."""
        return WeightedMoments(
            factor * self.counts, self.weighted.scaled(factor), factor * self.tails
        )

    def subset(self, keep: Integers) -> WeightedMoments:
        """Those of some components; a shared scatter stays whole."""
        return WeightedMoments(self.counts[keep], self.weighted.subset(keep), self.tails[keep])

    @staticmethod
    def joined(parts: Sequence[WeightedMoments]) -> WeightedMoments:
        """Those of all components of several."""
        return WeightedMoments(
            np.concatenate([part.counts for part in parts]),
            Moments.joined([part.weighted for part in parts]),
            np.concatenate([part.tails for part in parts]),
        )

    def merged(self, first: int, second: int) -> WeightedMoments:
        """With ``second`` added to ``first`` and left out."""
        counts, tails = self.counts.copy(), self.tails.copy()
        counts[first] += counts[second]
        tails[first] += tails[second]
        weighted, tails = self.weighted.merged(first, second), np.delete(tails, second, axis=0)
        return WeightedMoments(np.delete(counts, second), weighted, tails)

    def split(self, k: int, halves: WeightedMoments) -> WeightedMoments:
        """With the first half in the place of component k, and the other at the end."""
        counts = np.append(self.counts, halves.counts[1])
        tails = np.concatenate([self.tails, halves.tails[1:]])
        counts[k], tails[k] = halves.counts[0], halves.tails[0]
        return WeightedMoments(counts, self.weighted.split(k, halves.weighted), tails)

    def exchanged(self, keep: Integers, others: WeightedMoments) -> WeightedMoments:
        """Some components, and others in the place of the rest; a shared scatter stays whole."""
        return WeightedMoments(
            np.append(self.counts[keep], others.counts),
            self.weighted.exchanged(keep, others.weighted),
            np.concatenate([self.tails[keep], others.tails]),
        )

    def pack(self) -> Array:
        """One vector of all sums."""
        return np.concatenate([self.counts, self.tails.ravel(), self.weighted.pack()])

    def units(self) -> Array:
        """What entries of ``pack`` are multiplied by."""
        own = len(self.counts) + self.tails.size
        return np.concatenate([np.ones(own), self.weighted.units()])

    def unpack(self, vector: Array) -> WeightedMoments:
        """The sums that ``pack`` to ``vector``."""
        n_components = len(self.counts)
        counts, tails, rest = np.split(vector, [n_components, n_components + self.tails.size])
        tails = tails.reshape(self.tails.shape)
        return WeightedMoments(counts, self.weighted.unpack(rest), tails)
