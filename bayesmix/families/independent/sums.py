"""Counts and totals: sufficient statistics of columns that are independent of one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayesmix.numerics.arrays import Array, Integers


@dataclass(frozen=True)
class Sums:
    """counts (K,) Σ w r and totals (K, D) Σ w r x, or (K, F) Σ w r t(x)."""

    counts: Array
    totals: Array
    measured: bool = False  # whether totals have the units of the data, or count events
    shared = False

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.counts + other.counts, self.totals + other.totals, self.measured)

    def scaled(self, factor: float) -> Sums:
        """The sums of rows repeated ``factor`` times."""
        return Sums(factor * self.counts, factor * self.totals, self.measured)

    def subset(self, keep: Integers) -> Sums:
        """Those of some components."""
        return Sums(self.counts[keep], self.totals[keep], self.measured)

    def merged(self, first: int, second: int) -> Sums:
        """With ``second`` added to ``first`` and left out."""
        counts, totals = self.counts.copy(), self.totals.copy()
        counts[first] += counts[second]
        totals[first] += totals[second]
        totals = np.delete(totals, second, axis=0)
        return Sums(np.delete(counts, second), totals, self.measured)

    def split(self, k: int, halves: Sums) -> Sums:
        """With the first half in the place of component k, and the other at the end."""
        counts = np.append(self.counts, halves.counts[1])
        totals = np.vstack([self.totals, halves.totals[1:]])
        counts[k], totals[k] = halves.counts[0], halves.totals[0]
        return Sums(counts, totals, self.measured)

    def exchanged(self, keep: Integers, others: Sums) -> Sums:
        """Some components, and others in the place of the rest."""
        return self.joined([self.subset(keep), others])

    @staticmethod
    def joined(parts: Sequence[Sums]) -> Sums:
        """Those of all components of several."""
        return Sums(
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.totals for part in parts]),
            parts[0].measured,
        )

    def pack(self) -> Array:
        """One vector of all sums."""
        return np.concatenate([self.counts, self.totals.ravel()])

    def units(self) -> Array | float:
        """1 where all entries are numbers of events; else totals are as in columns of mean 1."""
        if not self.measured:
            return 1.0
        n_components, total = len(self.counts), self.totals.sum(axis=0)
        unit = self.counts.sum() / np.where(total > 0.0, total, 1.0)
        return np.concatenate([np.ones(n_components), np.tile(unit, n_components)])

    def unpack(self, vector: Array) -> Sums:
        """The sums that pack to ``vector``."""
        n_components = len(self.counts)
        totals = vector[n_components:].reshape(self.totals.shape)
        return Sums(vector[:n_components], totals, self.measured)

    def shares(self, where_empty: Array | float) -> Array:
        """totals / counts, and ``where_empty`` for components without rows."""
        out = np.broadcast_to(np.asarray(where_empty, dtype=float), self.totals.shape).copy()
        present = self.counts[:, None] > 0
        np.divide(self.totals, self.counts[:, None], out=out, where=present)
        return out
