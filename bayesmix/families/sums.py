"""Counts and totals: the sufficient statistics of families that are linear in x."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.numerics.arrays import Array


@dataclass(frozen=True)
class Sums:
    """counts (K,) Σ w r and totals (K, D) Σ w r x."""

    counts: Array
    totals: Array

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.counts + other.counts, self.totals + other.totals)

    def scaled(self, factor: float) -> Sums:
        """The sums of rows repeated ``factor`` times."""
        return Sums(factor * self.counts, factor * self.totals)

    def pack(self) -> Array:
        """One vector of all sums."""
        return np.concatenate([self.counts, self.totals.ravel()])

    def unpack(self, vector: Array) -> Sums:
        """The sums that pack to ``vector``."""
        n_components = len(self.counts)
        return Sums(vector[:n_components], vector[n_components:].reshape(self.totals.shape))

    def shares(self, where_empty: Array | float) -> Array:
        """totals / counts, and ``where_empty`` for components without rows."""
        out = np.broadcast_to(np.asarray(where_empty, dtype=float), self.totals.shape).copy()
        present = self.counts[:, None] > 0
        np.divide(self.totals, self.counts[:, None], out=out, where=present)
        return out


def sums(values: Array, responsibilities: Array) -> Sums:
    """Sums of rows under responsibilities (n, K)."""
    return Sums(responsibilities.sum(axis=0), (values.T @ responsibilities).T)
