"""Summaries of large data: additive sums of columns, and quantiles of a subsample."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.core.parallel import resolve_jobs
from bayesmix.core.rows import (
    Summary,
)
from bayesmix.core.tree_sums import reduced
from bayesmix.numerics.arrays import Array, Stored, without_gaps
from bayesmix.sources.drawn_rows import one_of_each
from bayesmix.sources.memory import missing_in, summarise

PART = 32_768


@dataclass(frozen=True)
class ColumnSums:
    """Additive sums about the mean, and extremes, of the observed values of each column."""

    total: float
    counts: Array  # Σ w of observed values (D,)
    mean: Array
    squares: Array  # Σ w (x - mean)² (D,)
    minimum: Array
    maximum: Array
    n_missing: int

    @classmethod
    def of(cls, values: Stored, weights: Array | None) -> ColumnSums:
        rows = np.asarray(values, dtype=np.float64)
        weights = np.ones(len(rows)) if weights is None else weights
        if not weights.all():
            rows, weights = rows[weights > 0.0], weights[weights > 0.0]
        n_missing = missing_in(rows)
        counts = np.full(rows.shape[1], weights.sum())
        away = rows - (first := without_gaps(rows[:1]))
        if n_missing:
            counts, away = weights @ ~np.isnan(rows), without_gaps(away)
        shift = np.divide(weights @ away, counts, out=np.zeros(len(counts)), where=counts > 0.0)
        away -= shift
        if n_missing:
            away[np.isnan(rows)] = 0.0
        return cls(
            float(weights.sum()),
            counts,
            first.sum(axis=0) + shift,
            weights @ (away * away),
            np.fmin.reduce(rows, axis=0, initial=np.inf),
            np.fmax.reduce(rows, axis=0, initial=-np.inf),
            n_missing,
        )

    def __add__(self, other: ColumnSums) -> ColumnSums:
        counts = self.counts + other.counts
        share = np.divide(other.counts, counts, out=np.zeros(len(counts)), where=counts > 0.0)
        delta = other.mean - self.mean
        return ColumnSums(
            self.total + other.total,
            counts,
            self.mean + share * delta,
            self.squares + other.squares + self.counts * share * delta * delta,
            np.minimum(self.minimum, other.minimum),
            np.maximum(self.maximum, other.maximum),
            self.n_missing + other.n_missing,
        )

    def summary(self, sampled: Summary, n_rows: int) -> Summary:
        """Return a summary with quantiles and ties of a subsample, and the rest of all data."""
        constant = self.minimum == self.maximum
        deviation = np.sqrt(self.squares / self.counts)
        equal = sampled.lower == sampled.upper
        return replace(
            sampled,
            n_rows=n_rows,
            total_weight=self.total,
            # Where quartiles are equal, the scale is the standard deviation.
            scale=np.where(equal & ~constant, deviation, sampled.scale),
            minimum=self.minimum,
            maximum=self.maximum,
            constant=constant,
            mean=self.mean,
            n_missing=self.n_missing,
        )


def summary_of_many(
    values: Any, weights: Array | None, n_jobs: int | None, most_sorted: int
) -> Summary:
    """Summarise large data: quantiles and ties of a subsample, extremes and means of all."""
    rows = one_of_each(-(-len(values) // most_sorted), 0, len(values))
    sample = summarise(values[rows], None if weights is None else weights[rows], n_jobs)

    def part(start: int) -> ColumnSums:
        some = slice(start, start + PART)
        return ColumnSums.of(values[some], None if weights is None else weights[some])

    whole = reduced(part, range(0, len(values), PART), resolve_jobs(n_jobs))
    return whole.summary(sample, len(values))
