"""Which rows of partitions are chosen, by a rule that travels to where they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bayesmix.numerics.arrays import Booleans, Indices, Integers
from bayesmix.records import Rows

# The finaliser of splitmix64 (Steele, Lea & Flood 2014): every bit of a number moves every other.
STEP = np.uint64(0x9E3779B97F4A7C15)
ROUNDS = ((30, np.uint64(0xBF58476D1CE4E5B9)), (27, np.uint64(0x94D049BB133111EB)))


class Choice(Protocol):
    """Rows to keep (n,) of those that earlier choices left; ``rows.first`` counts among these."""

    def __call__(self, rows: Rows) -> Booleans: ...


@dataclass(frozen=True)
class OfFold:
    """A fold of so many, by a hash of the number of a row; or all rows outside it.

    Only one row in ``every`` is looked at.
    """

    seed: int
    n_folds: int
    fold: int
    inside: bool
    every: int = 1

    def __call__(self, rows: Rows) -> Booleans:
        numbers = _numbers(rows)
        return np.asarray(self._own(numbers) & (numbers % self.every == 0))

    def _own(self, numbers: Integers) -> Booleans:
        own = hashed(numbers, self.seed) % np.uint64(self.n_folds) == self.fold
        return np.asarray(own == self.inside)

    def places(self, n_rows: int) -> Integers:
        """Where they are among so many rows that are looked at."""
        return np.flatnonzero(self._own(self.every * np.arange(n_rows)))


@dataclass(frozen=True)
class WithWeight:
    """Rows with a weight."""

    def __call__(self, rows: Rows) -> Booleans:
        return np.asarray(rows.weights_or_ones > 0.0)


@dataclass(frozen=True)
class Complete:
    """Rows without missing values."""

    def __call__(self, rows: Rows) -> Booleans:
        return np.asarray(~np.isnan(np.asarray(rows.values)).any(axis=1))


@dataclass(frozen=True)
class Numbered:
    """Rows by ascending numbers among those left so far, or a slice of them."""

    rows: Indices | slice

    def __call__(self, rows: Rows) -> Booleans:
        among = _numbers(rows)
        if isinstance(self.rows, slice):
            start, stop, step = self.rows.start, self.rows.stop, self.rows.step
            return np.asarray((among >= start) & (among < stop) & ((among - start) % step == 0))
        place = np.searchsorted(self.rows, among)
        place[place == len(self.rows)] = 0
        return np.asarray(self.rows[place] == among) if len(self.rows) else np.zeros(0, dtype=bool)


def _numbers(rows: Rows) -> Integers:
    return rows.first + np.arange(len(rows))


def hashed(numbers: Integers, seed: int) -> Any:
    """64 bits of each number (n,) that look like chance, the same on every machine."""
    with np.errstate(over="ignore"):
        mixed = (numbers.astype(np.uint64) + np.uint64(1)) * STEP + np.uint64(seed % 2**64)
        for shift, factor in ROUNDS:
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * factor
        return mixed ^ (mixed >> np.uint64(31))
