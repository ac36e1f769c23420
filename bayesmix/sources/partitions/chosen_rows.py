"""Which rows of partitions are chosen, by a rule that travels to where they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bayesmix.numerics.arrays import Array, Booleans, Indices, Integers

# The finaliser of splitmix64 (Steele, Lea & Flood 2014): every bit of a number moves every other.
STEP = np.uint64(0x9E3779B97F4A7C15)
ROUNDS = ((30, np.uint64(0xBF58476D1CE4E5B9)), (27, np.uint64(0x94D049BB133111EB)))


class Choice(Protocol):
    """Rows to keep of some with numbers among all, numbers among those left, and weights."""

    def __call__(self, among_all: Integers, among: Integers, weights: Array | None) -> Booleans: ...


@dataclass(frozen=True)
class OfFold:
    """A fold of so many, by a hash of the number of a row; or all rows outside it."""

    seed: int
    n_folds: int
    fold: int
    inside: bool

    def __call__(self, among_all: Integers, among: Integers, weights: Array | None) -> Booleans:
        own = hashed(among, self.seed) % np.uint64(self.n_folds) == self.fold
        return np.asarray(own == self.inside)

    def numbers(self, n_rows: int) -> Integers:
        """Which of so many rows they are."""
        every = np.arange(n_rows)
        return np.flatnonzero(self(every, every, None))


@dataclass(frozen=True)
class WithWeight:
    """Rows with a weight."""

    def __call__(self, among_all: Integers, among: Integers, weights: Array | None) -> Booleans:
        assert weights is not None
        return np.asarray(weights > 0.0)


@dataclass(frozen=True)
class Numbered:
    """Rows by ascending numbers among those left so far, or a slice of them."""

    rows: Indices | slice

    def __call__(self, among_all: Integers, among: Integers, weights: Array | None) -> Booleans:
        if isinstance(self.rows, slice):
            start, stop, step = self.rows.start, self.rows.stop, self.rows.step
            return np.asarray((among >= start) & (among < stop) & ((among - start) % step == 0))
        place = np.searchsorted(self.rows, among)
        place[place == len(self.rows)] = 0
        return np.asarray(self.rows[place] == among) if len(self.rows) else np.zeros(0, dtype=bool)


def hashed(numbers: Integers, seed: int) -> Any:
    """64 bits of each number (n,) that look like chance, the same on every machine."""
    with np.errstate(over="ignore"):
        mixed = (numbers.astype(np.uint64) + np.uint64(1)) * STEP + np.uint64(seed % 2**64)
        for shift, factor in ROUNDS:
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * factor
        return mixed ^ (mixed >> np.uint64(31))
