"""Summary of the data before a fit: medians, robust scales and ties."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.core.parallel import ordered_map, reduced, resolve_jobs
from bayesmix.core.rows import Summary
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.gaps import without_gaps
from bayesmix.numerics.quantiles import quantiles

# Interquartile range of a normal distribution in standard deviations.
IQR_OF_NORMAL = 1.349
# Values closer than this, relative to the scale, count as tied.
SAME_VALUE = 1e-9
# In longer columns ties are first searched in a subsample, as continuous data have none.
LOOK_AT_ALL = 100_000
# Observations from which on a column deserves a thread.
WORTH_A_THREAD = 4096
# Above this size quantiles and ties are those of a subsample, to limit memory.
MOST_SORTED = 250_000
PART = 32_768


def summarise(values: Any, weights: Array | None, n_jobs: int | None) -> Summary:
    """Return the summary, with a thread per column; large data use a subsample for quantiles."""
    n_rows, n_features = values.shape
    if n_rows > MOST_SORTED:
        return _summary_of_many(values, weights, n_jobs)
    present = None if weights is None or np.all(weights > 0) else weights > 0
    used = weights if weights is None or present is None else weights[present]
    # Equal weights do not change quantiles; without them, repeating the data is exactly neutral.
    if used is not None and np.all(used == used[0]):
        used = None
    repeated = weights is not None and bool(np.any(weights > 1))

    n_missing = missing_in(values)

    def summed_up(d: int) -> tuple[float, ...]:
        own = np.asarray(values[:, d] if present is None else values[present, d], dtype=np.float64)
        if not n_missing:
            return _column(own, used, repeated)
        known = ~np.isnan(own)
        return _column(own[known], None if used is None else used[known], repeated)

    jobs = resolve_jobs(n_jobs) if n_rows > WORTH_A_THREAD else 1
    columns = list(ordered_map(summed_up, range(n_features), jobs))
    centre, scale, minimum, maximum, gap, mean, lower, upper = (
        np.array(part) for part in zip(*columns, strict=True)
    )
    return Summary(
        n_rows=n_rows,
        total_weight=float(n_rows if weights is None else weights.sum()),
        centre=centre,
        scale=scale,
        minimum=minimum,
        maximum=maximum,
        gap=gap,
        constant=minimum == maximum,
        mean=mean,
        lower=lower,
        upper=upper,
        n_missing=n_missing,
    )


@dataclass(frozen=True)
class _Part:
    """Sums and extremes of some observations, about the centre."""

    total: float
    known: Array  # Σ w of observed values by column
    sums: Array
    squares: Array
    minimum: Array
    maximum: Array
    n_missing: int

    @classmethod
    def of(cls, values: Any, weights: Array | None, centre: Array) -> _Part:
        rows = np.asarray(values, dtype=np.float64)
        weights_or_ones = np.ones(len(rows)) if weights is None else weights
        away = rows - centre
        present = rows if weights is None else rows[weights_or_ones > 0]
        n_missing = missing_in(rows)
        total = float(weights_or_ones.sum())
        known = np.full(rows.shape[1], total)
        if n_missing:
            known = weights_or_ones @ ~np.isnan(rows)
            away = without_gaps(away)
        return cls(
            total,
            known,
            weights_or_ones @ away,
            weights_or_ones @ (away * away),
            np.fmin.reduce(present, axis=0, initial=np.inf),
            np.fmax.reduce(present, axis=0, initial=-np.inf),
            n_missing,
        )

    def __add__(self, other: _Part) -> _Part:
        return _Part(
            self.total + other.total,
            self.known + other.known,
            self.sums + other.sums,
            self.squares + other.squares,
            np.minimum(self.minimum, other.minimum),
            np.maximum(self.maximum, other.maximum),
            self.n_missing + other.n_missing,
        )


def _summary_of_many(values: Any, weights: Array | None, n_jobs: int | None) -> Summary:
    """Summarise large data: quantiles and ties of a subsample, extremes and means of all."""
    every = -(-len(values) // MOST_SORTED)
    sample = summarise(values[::every], None if weights is None else weights[::every], n_jobs)

    def part(start: int) -> _Part:
        rows = slice(start, start + PART)
        return _Part.of(values[rows], None if weights is None else weights[rows], sample.centre)

    whole: _Part = reduced(part, range(0, len(values), PART), resolve_jobs(n_jobs))
    constant = whole.minimum == whole.maximum
    mean = whole.sums / whole.known
    deviation = np.sqrt(np.maximum(whole.squares / whole.known - mean * mean, 0.0))
    return replace(
        sample,
        n_rows=len(values),
        total_weight=whole.total,
        # Columns constant in the subsample only have some extent.
        scale=np.where(sample.constant & ~constant, deviation, sample.scale),
        minimum=whole.minimum,
        maximum=whole.maximum,
        constant=constant,
        mean=sample.centre + mean,
        n_missing=whole.n_missing,
    )


def missing_in(values: Any) -> int:
    """Count missing values."""
    return int(np.count_nonzero(np.isnan(values))) if values.dtype.kind == "f" else 0


def _column(column: Array, weights: Array | None, repeated: bool) -> tuple[float, ...]:
    # One sort serves quantiles and ties; long columns do without.
    short = len(column) <= LOOK_AT_ALL
    ordered = np.sort(column) if short else column
    levels = (0.25, 0.5, 0.75)
    lower, middle, upper = quantiles(ordered if weights is None else column, weights, levels)
    away = column - middle
    mean = float(np.average(away, weights=weights))
    scale = (upper - lower) / IQR_OF_NORMAL
    if scale == 0.0:
        scale = float(np.sqrt(np.average((away - mean) ** 2, weights=weights)))
    if scale == 0.0:
        scale = 1.0
    gap = _gap(ordered - middle if short else away, scale, repeated)
    smallest, largest = (ordered[0], ordered[-1]) if short else (column.min(), column.max())
    return middle, scale, float(smallest), float(largest), gap, middle + mean, lower, upper


def _gap(values: Array, scale: float, repeated: bool) -> float:
    """Return the smallest difference of distinct values if there are ties or repeats, else 0.

    Short columns must be sorted.
    """
    if len(values) > LOOK_AT_ALL and not repeated:
        sample = values[:: len(values) // LOOK_AT_ALL + 1]
        if len(np.unique(sample)) == len(sample):
            return 0.0
    steps = np.diff(values if len(values) <= LOOK_AT_ALL else np.sort(values))
    distinct = steps > SAME_VALUE * scale
    if not distinct.any() or not (repeated or len(steps) > np.count_nonzero(distinct)):
        return 0.0
    return float(steps[distinct].min())
