"""Sources of partitions: files that are read in each pass, or data on a cluster.

Sums are added in a fixed tree, over chunks and then over partitions; the data are never all in
memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Generic, TypeVar, cast

import numpy as np

from bayesmix.core.rows import (
    NO_SIDE_INFORMATION,
    AddedByField,
    Faults,
    Rows,
    SideInformation,
    Summary,
    faults_in,
)
from bayesmix.core.sources import Choice, Engine, Partition, PartitionTask, Source
from bayesmix.errors import InvalidInputError, TooManyRowsError, UnsupportedError
from bayesmix.numerics.arrays import Array, Booleans, Indices, Integers, Stored
from bayesmix.sources.chunks import Within
from bayesmix.sources.column_sums import ColumnSums
from bayesmix.sources.drawn_rows import hashed, one_of_each
from bayesmix.sources.memory import MOST_SORTED, ArraySource, in_parts, summarise

# Selection mask (n,) among observations that earlier selections left.


@dataclass(frozen=True)
class OfFold:
    """A fold by a hash of observation numbers, or the rest, of every ``every``-th observation."""

    seed: int
    n_folds: int
    fold: int
    inside: bool
    every: int = 1

    def __call__(self, rows: Rows) -> Booleans:
        numbers = _row_numbers(rows)
        return np.asarray(self._own(numbers) & (numbers % self.every == 0))

    def _own(self, numbers: Integers) -> Booleans:
        own = hashed(numbers, self.seed) % np.uint64(self.n_folds) == self.fold
        return np.asarray(own == self.inside)

    def places(self, n_rows: int) -> Integers:
        """Return the positions of the fold among ``n_rows`` observations."""
        return np.flatnonzero(self._own(self.every * np.arange(n_rows)))


def has_weight(rows: Rows) -> Booleans:
    """Return which observations have positive weight."""
    return np.asarray(rows.weights_or_ones > 0.0)


def is_complete(rows: Rows) -> Booleans:
    """Return which observations have no missing values."""
    return np.asarray(~np.isnan(np.asarray(rows.values)).any(axis=1))


def has_number(numbers: Indices | slice, rows: Rows) -> Booleans:
    """Return which observations have these ascending numbers, or numbers in a slice."""
    among = _row_numbers(rows)
    if isinstance(numbers, slice):
        start, stop, step = numbers.start, numbers.stop, numbers.step
        return np.asarray((among >= start) & (among < stop) & ((among - start) % step == 0))
    place = np.searchsorted(numbers, among)
    place[place == len(numbers)] = 0
    return np.asarray(numbers[place] == among) if len(numbers) else np.zeros(0, dtype=bool)


def _row_numbers(rows: Rows) -> Integers:
    return rows.first + np.arange(len(rows))


# Values of the subsample of the first pass, used for quantiles.
MOST_BROUGHT = 2**25
# Observations that suffice for quantiles, for any number of columns.
FEWEST_BROUGHT = 10_000


@dataclass(frozen=True)
class FirstLook(AddedByField):
    """Additive sums and extremes of the first pass, and a spread subsample."""

    faults: Faults
    n_present: int  # observations of positive weight
    sums: ColumnSums
    values: tuple[Stored, ...]
    weights: tuple[Array | None, ...]

    def some(self, n_jobs: int | None, columns: tuple[str, ...] | None) -> ArraySource:
        present_weights = [weights for weights in self.weights if weights is not None]
        weights = np.concatenate(present_weights) if present_weights else None
        return ArraySource(np.concatenate(self.values), weights, n_jobs, columns)

    def summary(self, some: ArraySource, n_rows: int) -> Summary:
        """Return the summary: quantiles and ties of the subsample, the rest of all data."""
        if len(some.values) == n_rows:
            return some.summary
        return self.sums.summary(summarise(some.values, some.weights, some.n_jobs), n_rows)


def one_in(n_rows: int, n_features: int) -> int:
    """Return of how many observations the subsample has one."""
    most = min(MOST_SORTED, max(FEWEST_BROUGHT, MOST_BROUGHT // n_features))
    return -(-n_rows // most)


def first_look(every: int, rows: Rows) -> FirstLook:
    """Pass over a chunk for the first time, with one of ``every`` observations brought along."""
    faults = faults_in(rows)
    brought = one_of_each(every, rows.first, len(rows))
    # Faulty data are not fitted, so their sums are not needed.
    summed = slice(0 if faults else None)
    return FirstLook(
        faults,
        int(np.count_nonzero(rows.weights_or_ones)),
        ColumnSums.of(rows.values[summed], rows.weights_or_ones[summed]),
        (rows.values[brought],),
        (None if rows.weights is None else rows.weights[brought],),
    )


Value = TypeVar("Value")

# Values that may be brought into memory together (half a gigabyte).
MOST_AT_HAND = 2**26
OF_THE_ROWS = ("look", "some", "summary")


@dataclass(frozen=True)
class OnChosen(Generic[Value]):
    """Task on the selected observations of a partition."""

    work: Callable[[Rows], Value]
    choices: tuple[Choice, ...] = ()

    def __call__(self, part: Partition, values: Stored, weights: Array | None) -> Value:
        for choice, first in zip(self.choices, part.firsts, strict=False):
            mask = choice(Rows(values, weights, first))
            values = values[mask]
            weights = None if weights is None else weights[mask]
        side = SideInformation(begins=part.begins)
        return self.work(Rows(values, weights, part.first, side))


def step_of(task: Any) -> Any | None:
    """Return the step of a task over a whole partition, None for other tasks."""
    whole = isinstance(task, OnChosen) and isinstance(task.work, Within) and not task.choices
    return task.work.step if whole else None


def _copied(numbers: Indices, rows: Rows) -> tuple[Stored, Array | None]:
    """Return copies of some observations by ascending number."""
    own = numbers[_inside(numbers, rows.first, len(rows))] - rows.first
    weights = None if rows.weights is None else np.array(rows.weights[own])
    return np.array(rows.values[own]), weights


@dataclass
class Passed:
    """Number of observations read so far."""

    n_rows: int = 0


@dataclass(frozen=True)
class PartitionedSource:
    """Partitions (``parts``, none empty) of data with D columns, and the engine that works on them.

    ``names`` are those of the engine's partitions in messages; ``choices`` select observations.
    """

    engine: Engine
    parts: tuple[Partition, ...]
    n_features: int
    names: tuple[str, ...]
    columns: tuple[str, ...] | None = None
    choices: tuple[Choice, ...] = ()
    n_jobs: int | None = 1
    passed: Passed = field(default_factory=Passed, repr=False, compare=False)
    side: SideInformation = NO_SIDE_INFORMATION

    numbers = None
    partitioned = True

    @classmethod
    def of(
        cls,
        engine: Engine,
        lengths: list[int],
        n_features: int,
        names: tuple[str, ...],
        columns: tuple[str, ...] | None = None,
        n_jobs: int | None = 1,
    ) -> PartitionedSource:
        """Return a source of all observations of partitions of these lengths."""
        parts = tuple(
            Partition(index, (first,), n_rows)
            for index, (n_rows, first) in enumerate(zip(lengths, _firsts(lengths), strict=True))
            if n_rows
        )
        return cls(engine.with_jobs(n_jobs), parts, n_features, names, columns, (), n_jobs)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without cached values."""
        return {name: value for name, value in vars(self).items() if name not in OF_THE_ROWS}

    @property
    def shape(self) -> tuple[int, int]:
        last = self.parts[-1] if self.parts else None
        return (0 if last is None else last.first + last.n_rows), self.n_features

    def folds(self, seed: int, n_folds: int, every: int) -> list[tuple[Choice, Choice]]:
        return [
            (OfFold(seed, n_folds, fold, False), OfFold(seed, n_folds, fold, True, every))
            for fold in range(n_folds)
        ]

    # Summary of the data, from one pass.

    @cached_property
    def look(self) -> FirstLook:
        """First pass over the data."""
        return self.reduce(partial(first_look, one_in(*self.shape)), 1)

    @cached_property
    def some(self) -> ArraySource:
        """Subsample, one drawn from each run of as many, or all data if small."""
        return self.look.some(self.n_jobs, self.columns)

    @property
    def is_brought_whole(self) -> bool:
        """Whether the first pass brought all observations into memory, as they are few."""
        return one_in(*self.shape) == 1

    @cached_property
    def summary(self) -> Summary:
        return self.look.summary(self.some, self.shape[0])

    @property
    def faults(self) -> Faults:
        """Faults of values and weights."""
        return self.look.faults

    @property
    def total_weight(self) -> float:
        return self.look.sums.total

    def row_text(self, row: int) -> str:
        part = next(part for part in self.parts if row < part.first + part.n_rows)
        if self.choices:
            return f"row {row} of those chosen (in {self.names[part.index]})"
        return f"row {row} (row {row - part.first} of {self.names[part.index]})"

    def idle(self, width: int) -> int:
        """Return 0, as there are enough partitions for all threads."""
        return 0

    def reduce(self, step: Callable[[Rows], Value], width: int) -> Value:
        self.passed.n_rows += self.shape[0]
        return self.engine.reduce(self._task(step, width), self.parts)

    def map(self, step: Callable[[Rows], Value], width: int) -> Value:
        self.refuse_many(1)
        outputs: Any = self.said(step, width)
        return cast("Value", np.concatenate(outputs))

    def said(self, step: Callable[[Rows], Value], width: int) -> list[Value]:
        """Return the output of each part, in order, without concatenation."""
        return self.engine.map(self._task(step, width, mapped=True), self.parts)

    def refuse_many(self, n_columns: int) -> None:
        """Raise an error if ``n_columns`` numbers per observation are too many to return."""
        n_rows = self.shape[0]
        if n_rows * n_columns > MOST_AT_HAND:
            raise TooManyRowsError(
                f"{n_columns} numbers for each of {n_rows:,} rows exceed the limit of "
                f"{MOST_AT_HAND:,} values in memory: use parts, rows.subset(slice(start, stop)), "
                "or a Dask collection, whose results are lazy"
            )

    def _task(
        self, step: Callable[[Rows], Value], width: int, mapped: bool = False
    ) -> PartitionTask[Value]:
        return OnChosen(Within(step, width, mapped), self.choices)

    def with_jobs(self, n_jobs: int | None) -> PartitionedSource:
        if n_jobs == self.n_jobs:
            return self
        return self._of_the_same_rows(engine=self.engine.with_jobs(n_jobs), n_jobs=n_jobs)

    def _of_the_same_rows(self, **changes: Any) -> PartitionedSource:
        other = replace(self, **changes)
        cached = {name: self.__dict__[name] for name in OF_THE_ROWS if name in self.__dict__}
        other.__dict__.update(cached)
        return other

    def in_sequences(self, begins: Booleans) -> PartitionedSource:
        """Return the source in sequences, of which none may lie in two parts.

        ``begins`` (n,) is where they begin.
        """
        divided = [part for part in self.parts if not begins[part.first]]
        if divided:
            raise InvalidInputError(
                "each sequence must lie in one part of X, but that of "
                f"{self.row_text(divided[0].first)} begins in an earlier part: divide X where "
                "sequences end, or give X in memory"
            )
        stops = [part.first + part.n_rows for part in self.parts]
        parts = tuple(
            replace(part, begins=begins[part.first : stop])
            for part, stop in zip(self.parts, stops, strict=True)
        )
        return self._of_the_same_rows(parts=parts, side=SideInformation(begins=begins))

    def present(self) -> PartitionedSource:
        return self if self.look.n_present == self.shape[0] else self.chosen(has_weight)

    def subset(self, rows: Any) -> PartitionedSource:
        """Return a subset (ascending numbers, a mask or a slice), left in place."""
        if isinstance(rows, slice):
            return self.chosen(partial(has_number, slice(*rows.indices(self.shape[0]))))
        return self.chosen(partial(has_number, _numbers(rows)))

    def chosen(self, choice: Choice) -> PartitionedSource:
        """Return the observations that a rule selects."""
        if self.side:
            raise UnsupportedError("sequences in parts have no subsets: give X in memory")
        choices = (*self.choices, choice)
        lengths = self.engine.map(OnChosen(len, choices), self.parts)
        parts = tuple(
            Partition(part.index, (*part.firsts, first), n_rows)
            for part, n_rows, first in zip(self.parts, lengths, _firsts(lengths), strict=True)
            if n_rows
        )
        if not parts:
            raise InvalidInputError("at least one row must be selected, got none")
        return replace(self, parts=parts, choices=choices)

    def sample(self, n: int, generator: np.random.Generator) -> ArraySource:
        """Draw at most n observations, of the subsample if it has so many, without a pass."""
        n_rows = self.shape[0]
        if n >= n_rows:
            return self.in_memory()
        if n <= len(self.some.values):
            return self.some.sample(n, generator)
        return self.in_memory(np.sort(generator.choice(n_rows, n, replace=False)))

    def spread(self, n: int) -> ArraySource:
        return self.some.spread(n)

    def in_memory(self, rows: Any = None) -> ArraySource:
        whole, numbers = self._in_memory(rows), slice(None) if rows is None else rows
        return replace(whole, side=self.side[numbers]) if self.side else whole

    def _in_memory(self, rows: Any) -> ArraySource:
        n_rows = self.shape[0]
        numbers: Any = slice(None) if rows is None else rows
        numbers = range(n_rows)[numbers] if isinstance(numbers, slice) else _numbers(numbers)
        size = len(numbers)
        if size * self.n_features > MOST_AT_HAND:
            raise TooManyRowsError(
                f"{size:,} rows x {self.n_features} columns exceed the limit of {MOST_AT_HAND:,} "
                "values in memory: use a sample, such as rows.sample(100_000, "
                "numpy.random.default_rng(0)), or X[::100] of a Dask array"
            )
        if "look" in self.__dict__ and self.is_brought_whole:
            return self.some if rows is None else self.some.subset(rows)
        if isinstance(numbers, range):
            numbers = np.arange(numbers.start, numbers.stop, numbers.step)
        if (np.diff(numbers) > 0).all():
            return self._brought(numbers)
        ascending, places = np.unique(numbers, return_inverse=True)
        return self._brought(ascending).subset(places)

    def _brought(self, numbers: Indices) -> ArraySource:
        """Bring observations by ascending number into memory."""
        touched = [
            part
            for part in self.parts
            if np.ptp(np.searchsorted(numbers, [part.first, part.first + part.n_rows]))
        ]
        if not touched:
            raise InvalidInputError("at least one row must be selected, got none")
        parts = self.engine.map(OnChosen(partial(_copied, numbers), self.choices), touched)
        values, all_weights = zip(*parts, strict=True)
        weights = None if all_weights[0] is None else np.concatenate(all_weights)
        return ArraySource(np.concatenate(values), weights, self.n_jobs, self.columns)


def counted(engine: Engine, n_parts: int) -> list[int]:
    """Return the number of observations in each partition, by reading all of them."""
    return engine.map(OnChosen(len), [Partition(index, (0,), 0) for index in range(n_parts)])


def _firsts(lengths: list[int]) -> list[int]:
    ends: list[int] = np.cumsum(lengths).tolist()
    return [end - n_rows for end, n_rows in zip(ends, lengths, strict=True)]


def _numbers(rows: Any) -> Integers:
    rows = np.asarray(rows)
    return np.flatnonzero(rows) if rows.dtype == bool else rows


def _inside(numbers: Indices, first: int, n_rows: int) -> slice:
    """Return where ascending numbers lie among ``n_rows`` from ``first`` on."""
    return slice(*np.searchsorted(numbers, [first, first + n_rows]))


def complete(source: Source) -> Source:
    """Return the complete observations, in memory with their original numbers."""
    if (parts := in_parts(source)) is not None:
        return parts.chosen(is_complete) if source.faults.not_finite else source
    whole = source.in_memory()
    assert isinstance(whole, ArraySource)
    mask = is_complete(whole.rows)
    return whole if mask.all() else whole.numbered(np.flatnonzero(mask))
