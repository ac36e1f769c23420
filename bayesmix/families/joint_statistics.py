"""Statistics that consist of others, of the same components."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from operator import add
from typing import Self

import numpy as np

from bayesmix.core.components import Statistics
from bayesmix.numerics.arrays import Array, Integers


class StatisticsOfParts(ABC):
    """Statistics that consist of others, the parts, all of the same components."""

    @property
    @abstractmethod
    def _parts(self) -> Sequence[Statistics]:
        """The parts."""

    @abstractmethod
    def _of(self, parts: Iterable[Statistics]) -> Self:
        """Return statistics of the same type with other parts."""

    @property
    def shared(self) -> bool:
        return any(part.shared for part in self._parts)

    def __add__(self, other: Self) -> Self:
        return self._of(map(add, self._parts, other._parts))

    def scaled(self, factor: float) -> Self:
        return self._of(part.scaled(factor) for part in self._parts)

    def subset(self, keep: Integers) -> Self:
        return self._of(part.subset(keep) for part in self._parts)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        each = zip(*(whole._parts for whole in parts), strict=True)
        return parts[0]._of(type(own[0]).joined(own) for own in each)

    def merged(self, first: int, second: int) -> Self:
        return self._of(part.merged(first, second) for part in self._parts)

    def split(self, k: int, halves: Self) -> Self:
        pairs = zip(self._parts, halves._parts, strict=True)
        return self._of(part.split(k, own) for part, own in pairs)

    def exchanged(self, keep: Integers, others: Self) -> Self:
        pairs = zip(self._parts, others._parts, strict=True)
        return self._of(part.exchanged(keep, own) for part, own in pairs)

    def pack(self) -> Array:
        return np.concatenate([part.pack() for part in self._parts])

    def units(self) -> Array:
        pairs = [(part.units(), part.pack().shape) for part in self._parts]
        return np.concatenate([np.broadcast_to(units, shape) for units, shape in pairs])

    def unpack(self, vector: Array) -> Self:
        ends = np.cumsum([len(part.pack()) for part in self._parts])
        vectors = np.split(vector, ends[:-1])
        return self._of(part.unpack(own) for part, own in zip(self._parts, vectors, strict=True))
