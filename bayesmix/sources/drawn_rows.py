"""Numbers of observations drawn by a hash, the same on all machines and in any parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bayesmix.numerics.arrays import Integers

# Finaliser of splitmix64 (Steele, Lea & Flood 2014).
STEP = np.uint64(0x9E3779B97F4A7C15)
ROUNDS = ((30, np.uint64(0xBF58476D1CE4E5B9)), (27, np.uint64(0x94D049BB133111EB)))


def hashed(numbers: Integers, seed: int) -> Any:
    """Return 64 pseudo-random bits of each number (n,), the same on all machines."""
    with np.errstate(over="ignore"):
        mixed = (numbers.astype(np.uint64) + np.uint64(1)) * STEP + np.uint64(seed % 2**64)
        for shift, factor in ROUNDS:
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * factor
        return mixed ^ (mixed >> np.uint64(31))


def one_of_each(every: int, first: int, n: int) -> Integers:
    """Return the places (m,), among ``n`` observations from ``first`` on, of a spread sample.

    It has one observation of each run of ``every``, drawn, as every k-th of data with a period
    would be of one phase.
    """
    runs = np.arange(first // every, -(-(first + n) // every))
    places = runs * every + (hashed(runs, 0) % np.uint64(every)).astype(np.int64) - first
    return places[(places >= 0) & (places < n)]
