"""The first look at partitions: in one reading all that is known of the rows before a fit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bayesmix.numerics.arrays import Array, Stored
from bayesmix.records import Faults, Rows, Summary
from bayesmix.records.faults import faults_in
from bayesmix.sources.in_memory.array import ArraySource
from bayesmix.sources.summary import MOST_SORTED, summarise

# Values of the rows that are brought along: quantiles are theirs where there are more.
MOST_BROUGHT = 2**25
# Rows that are enough for quantiles, however many columns they have.
FEWEST_BROUGHT = 10_000


@dataclass(frozen=True)
class FirstLook:
    """Sums over rows that are additive, extremes, and one row in so many, in their order."""

    faults: Faults
    n_present: int  # rows of positive weight
    total: float
    mean: Array
    squares: Array  # Σ w (x - mean)² (D,)
    minimum: Array
    maximum: Array
    values: tuple[Stored, ...]
    weights: tuple[Array | None, ...]

    def __add__(self, other: FirstLook) -> FirstLook:
        total = self.total + other.total
        share = other.total / total if total > 0.0 else 0.0
        delta = other.mean - self.mean
        return FirstLook(
            self.faults + other.faults,
            self.n_present + other.n_present,
            total,
            self.mean + share * delta,
            self.squares + other.squares + self.total * share * delta * delta,
            np.minimum(self.minimum, other.minimum),
            np.maximum(self.maximum, other.maximum),
            self.values + other.values,
            self.weights + other.weights,
        )

    def some(self, n_jobs: int | None, columns: tuple[str, ...] | None) -> ArraySource:
        """The rows that were brought along."""
        own = [weights for weights in self.weights if weights is not None]
        weights = np.concatenate(own) if own else None
        return ArraySource(np.concatenate(self.values), weights, n_jobs, columns)

    def summary(self, some: ArraySource, n_rows: int) -> Summary:
        """Quantiles and ties of the rows that were brought along; extremes and means of all."""
        if len(some.values) == n_rows:
            return some.summary
        known = summarise(some.values, some.weights, some.n_jobs)
        constant = self.minimum == self.maximum
        deviation = np.sqrt(self.squares / self.total)
        return replace(
            known,
            n_rows=n_rows,
            total_weight=self.total,
            # A column in which only these rows agree has some extent in the others.
            scale=np.where(known.constant & ~constant, deviation, known.scale),
            minimum=self.minimum,
            maximum=self.maximum,
            constant=constant,
            mean=self.mean,
        )


def one_in(n_rows: int, n_features: int) -> int:
    """Of how many rows one is brought along."""
    most = min(MOST_SORTED, max(FEWEST_BROUGHT, MOST_BROUGHT // n_features))
    return -(-n_rows // most)


@dataclass(frozen=True)
class LookStep:
    """The look at a chunk, which brings one row in ``every`` along."""

    every: int

    def __call__(self, rows: Rows) -> FirstLook:
        found = faults_in(rows)
        brought = slice(-rows.first % self.every, None, self.every)
        values = np.asarray(rows.values, dtype=np.float64)
        weights = rows.weights_or_ones
        if found:
            # Nothing is fitted to them: the sums say nothing.
            none = np.zeros(values.shape[1])
            sums = 0.0, none, none, none, none
        else:
            sums = _sums(values, weights)
        return FirstLook(
            found,
            int(np.count_nonzero(weights)),
            *sums,
            (np.array(rows.values[brought]),),
            (None if rows.weights is None else np.array(rows.weights[brought]),),
        )


def _sums(values: Array, weights: Array) -> tuple[float, Array, Array, Array, Array]:
    present = values if weights.all() else values[weights > 0.0]
    total = float(weights.sum())
    if not len(present):
        none = np.zeros(values.shape[1])
        return 0.0, none, none, none + np.inf, none - np.inf
    away = values - present[0]
    shift = weights @ away / total
    away -= shift
    return (
        total,
        present[0] + shift,
        weights @ (away * away),
        present.min(axis=0),
        present.max(axis=0),
    )
