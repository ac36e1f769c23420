"""Statistics of a product: those of its parts, over the same responsibilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bayesmix.families.product.layout import Layout
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.filled import filled_at_once
from bayesmix.protocols import Statistics


@filled_at_once
@dataclass(frozen=True)
class ProductStatistics:
    """The statistics of every part."""

    layout: Layout
    parts: tuple[Statistics, ...]

    @property
    def counts(self) -> Array:
        """Σ w r (K,), which all parts share."""
        return self.parts[0].counts

    @property
    def shared(self) -> bool:
        """Whether components of some part have sums in common."""
        return any(part.shared for part in self.parts)

    def __add__(self, other: ProductStatistics) -> ProductStatistics:
        pairs = zip(self.parts, other.parts, strict=True)
        return ProductStatistics(self.layout, tuple(one + two for one, two in pairs))

    def scaled(self, factor: float) -> ProductStatistics:
        return self._each(lambda part: part.scaled(factor))

    def subset(self, keep: Integers) -> ProductStatistics:
        return self._each(lambda part: part.subset(keep))

    @classmethod
    def joined(cls, parts: Sequence[ProductStatistics]) -> ProductStatistics:
        columns = zip(*(one.parts for one in parts), strict=True)
        joined = tuple(type(own[0]).joined(own) for own in columns)
        return cls(parts[0].layout, joined)

    def merged(self, first: int, second: int) -> ProductStatistics:
        return self._each(lambda part: part.merged(first, second))

    def split(self, k: int, halves: ProductStatistics) -> ProductStatistics:
        pairs = zip(self.parts, halves.parts, strict=True)
        return ProductStatistics(self.layout, tuple(part.split(k, own) for part, own in pairs))

    def exchanged(self, keep: Integers, others: ProductStatistics) -> ProductStatistics:
        pairs = zip(self.parts, others.parts, strict=True)
        exchanged = tuple(part.exchanged(keep, own) for part, own in pairs)
        return ProductStatistics(self.layout, exchanged)

    def pack(self) -> Array:
        return np.concatenate([part.pack() for part in self.parts])

    def units(self) -> Array:
        return np.concatenate(
            [np.broadcast_to(part.units(), part.pack().shape) for part in self.parts]
        )

    def unpack(self, vector: Array) -> ProductStatistics:
        parts, first = [], 0
        for part in self.parts:
            size = len(part.pack())
            parts.append(part.unpack(vector[first : first + size]))
            first += size
        return ProductStatistics(self.layout, tuple(parts))

    def _each(self, change: Callable[[Statistics], Statistics]) -> ProductStatistics:
        return ProductStatistics(self.layout, tuple(map(change, self.parts)))
