"""Expected numbers of groups, the statistics of mixing weights if groups share them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.numerics.arrays import Array


@dataclass(frozen=True)
class GroupCounts:
    """Expected numbers (K,) of groups, the statistics of mixing weights if groups share them."""

    counts: Array

    def __add__(self, other: GroupCounts) -> GroupCounts:
        return GroupCounts(self.counts + other.counts)

    def pack(self) -> Array:
        return self.counts

    def units(self) -> Array:
        return np.full(len(self.counts), 1.0 / self.counts.sum())

    def unpack(self, vector: Array) -> GroupCounts:
        return GroupCounts(vector)

    @property
    def feasible(self) -> bool:
        return bool(self.counts.min() >= 0.0)
