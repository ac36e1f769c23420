"""Counts and totals: sufficient statistics of columns that are independent of one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bayesmix.numerics.arrays import Array, Integers


@dataclass(frozen=True)
class Sums:
    """counts (K,) Σ w r and totals (K, D) Σ w r x, or (K, F) Σ w r t(x).

    ``known_counts`` (K, F) are Σ w r of the rows that have a value behind a total; None where all
    have.
    """

    counts: Array
    totals: Array
    measured: bool = False  # whether totals have the units of the data, or count events
    known_counts: Array | None = None
    shared = False

    @property
    def known(self) -> Array:
        """Σ w r behind every total (K, F), or (K, 1) where it is the same for all."""
        return self.counts[:, None] if self.known_counts is None else self.known_counts

    def __add__(self, other: Sums) -> Sums:
        known = None
        if self.known_counts is not None or other.known_counts is not None:
            known = self.known + other.known
        counts, totals = self.counts + other.counts, self.totals + other.totals
        return Sums(counts, totals, self.measured, known)

    def _each(self, change: Callable[[Array], Array]) -> Sums:
        """Every array changed alike."""
        known = None if self.known_counts is None else change(self.known_counts)
        return Sums(change(self.counts), change(self.totals), self.measured, known)

    def scaled(self, factor: float) -> Sums:
        """The sums of rows repeated ``factor`` times."""
        return self._each(lambda sums: factor * sums)

    def subset(self, keep: Integers) -> Sums:
        """Those of some components."""
        return self._each(lambda sums: sums[keep])

    def merged(self, first: int, second: int) -> Sums:
        """With ``second`` added to ``first`` and left out."""

        def merged(sums: Array) -> Array:
            added = sums.copy()
            added[first] += added[second]
            return np.delete(added, second, axis=0)

        return self._each(merged)

    def split(self, k: int, halves: Sums) -> Sums:
        """With the first half in the place of component k, and the other at the end."""
        order = np.arange(len(self.counts) + 1)
        order[k], order[-1] = len(self.counts), len(self.counts) + 1
        return self.joined([self, halves]).subset(order)

    def exchanged(self, keep: Integers, others: Sums) -> Sums:
        """Some components, and others in the place of the rest."""
        return self.joined([self.subset(keep), others])

    @staticmethod
    def joined(parts: Sequence[Sums]) -> Sums:
        """Those of all components of several."""
        known = None
        if any(part.known_counts is not None for part in parts):
            known = np.concatenate([np.broadcast_to(p.known, p.totals.shape) for p in parts])
        return Sums(
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.totals for part in parts]),
            parts[0].measured,
            known,
        )

    def pack(self) -> Array:
        """One vector of all sums."""
        known = [] if self.known_counts is None else [self.known_counts.ravel()]
        return np.concatenate([self.counts, self.totals.ravel(), *known])

    def units(self) -> Array | float:
        """1 where all entries are numbers of events; else totals are as in columns of mean 1."""
        if not self.measured:
            return 1.0
        n_components, total = len(self.counts), self.totals.sum(axis=0)
        unit = self.known.sum(axis=0) / np.where(total > 0.0, total, 1.0)
        of_known = np.ones(0 if self.known_counts is None else self.known_counts.size)
        return np.concatenate([np.ones(n_components), np.tile(unit, n_components), of_known])

    def unpack(self, vector: Array) -> Sums:
        """The sums that pack to ``vector``."""
        n_components = len(self.counts)
        totals, known = vector[n_components:], None
        if self.known_counts is not None:
            totals, known = (half.reshape(self.totals.shape) for half in np.split(totals, 2))
        totals = totals.reshape(self.totals.shape)
        return replace(self, counts=vector[:n_components], totals=totals, known_counts=known)

    def shares(self, where_empty: Array | float) -> Array:
        """totals / counts, and ``where_empty`` where there are no rows."""
        out = np.broadcast_to(np.asarray(where_empty, dtype=float), self.totals.shape).copy()
        np.divide(self.totals, self.known, out=out, where=self.known > 0)
        return out
