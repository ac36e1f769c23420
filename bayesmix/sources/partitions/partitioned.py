"""Rows in partitions that an engine holds: files that are read anew in every pass, or a cluster.

Sums are added in one fixed tree, over the chunks of a partition and then over partitions, so that
bits depend on the layout of the rows and on nothing else. Never are all rows here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Generic, TypeVar, cast

import numpy as np

from bayesmix.errors import InvalidInputError, TooManyRowsError
from bayesmix.numerics.arrays import Array, Indices, Integers, Stored
from bayesmix.parallel import ordered_map, reduced
from bayesmix.protocols import DeviceStep, Engine, Kept, Partition, PartitionTask
from bayesmix.records import Faults, Rows, Summary
from bayesmix.sources.in_memory.array import ArraySource, chunk_rows
from bayesmix.sources.partitions.chosen_rows import Choice, Numbered, WithWeight
from bayesmix.sources.partitions.first_look import FirstLook, LookStep, one_in

Value = TypeVar("Value")

# Values that are brought here at once: half a gigabyte.
MOST_AT_HAND = 2**26
OF_THE_ROWS = ("look", "some", "summary")


@dataclass(frozen=True)
class Within(Generic[Value]):
    """Σ of a step over the chunks of a partition in a fixed tree; or its output, in order."""

    step: Callable[[Rows], Value]
    width: int
    mapped: bool = False
    n_jobs: int = 1

    def __call__(self, rows: Rows) -> Value:
        n_rows, n_features = rows.values.shape
        chunks = rows.blocks(chunk_rows(n_rows, n_features, self.width))
        if len(chunks) == 1:
            return self.step(chunks[0])
        if self.mapped:
            output: Any = list(ordered_map(self.step, chunks, self.n_jobs))
            return cast("Value", np.concatenate(output))
        return reduced(self.step, chunks, self.n_jobs)


@dataclass(frozen=True)
class OnChosen(Generic[Value]):
    """A task: work on those rows of a partition that are chosen."""

    work: Callable[[Rows], Value]
    choices: tuple[Choice, ...] = ()

    def __call__(
        self, part: Partition, values: Stored, weights: Array | None, earlier: Indices | None
    ) -> Value:
        for choice, first in zip(self.choices, part.firsts, strict=False):
            kept = choice(Rows(values, weights, first))
            values = values[kept]
            weights = None if weights is None else weights[kept]
        return self.work(Rows(values, weights, part.first, earlier))


def step_of(task: Any) -> DeviceStep[Any] | None:
    """The step of a task over all rows of a partition, where these may lie on a device."""
    whole = isinstance(task, OnChosen) and isinstance(task.work, Within) and not task.choices
    return task.work.step if whole and isinstance(task.work.step, DeviceStep) else None


@dataclass(frozen=True)
class Brought:
    """Some rows by ascending number among those of a source, copied."""

    rows: Indices | slice

    def __call__(self, rows: Rows) -> tuple[Stored, Array | None]:
        first, end = rows.first, rows.first + len(rows)
        own: Any
        if isinstance(self.rows, slice):
            own = _within(self.rows, first, end)
        else:
            own = self.rows[slice(*np.searchsorted(self.rows, [first, end]))] - first
        weights = None if rows.weights is None else np.array(rows.weights[own])
        return np.array(rows.values[own]), weights


@dataclass
class Passed:
    """How many rows passes were asked to go over so far, each time they were."""

    n_rows: int = 0


@dataclass(frozen=True)
class PartitionedSource:
    """Partitions (``parts``, none of them empty) of rows (D columns), and who works on them.

    ``names`` are what messages call the partitions of the engine; ``choices`` keep some rows only.
    """

    engine: Engine
    parts: tuple[Partition, ...]
    n_features: int
    names: tuple[str, ...]
    columns: tuple[str, ...] | None = None
    choices: tuple[Choice, ...] = ()
    n_jobs: int | None = 1
    passed: Passed = field(default_factory=Passed, repr=False, compare=False)

    numbers = None

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
        """All rows of partitions of these lengths."""
        parts = tuple(
            Partition(index, (first,), n_rows)
            for index, (n_rows, first) in enumerate(zip(lengths, _firsts(lengths), strict=True))
            if n_rows
        )
        return cls(engine.with_jobs(n_jobs), parts, n_features, names, columns, (), n_jobs)

    def __getstate__(self) -> dict[str, Any]:
        """Without what was learned of the rows."""
        return {name: value for name, value in vars(self).items() if name not in OF_THE_ROWS}

    @property
    def shape(self) -> tuple[int, int]:
        last = self.parts[-1] if self.parts else None
        return (0 if last is None else last.first + last.n_rows), self.n_features

    # What is known of the rows, from one reading

    @cached_property
    def look(self) -> FirstLook:
        """One look at all rows; some of them come along."""
        return self.reduce(LookStep(one_in(*self.shape)), 1)

    @cached_property
    def some(self) -> ArraySource:
        """Rows that the look brought along, evenly spaced; all where they are few."""
        return self.look.some(self.n_jobs, self.columns)

    @cached_property
    def summary(self) -> Summary:
        return self.look.summary(self.some, self.shape[0])

    @property
    def faults(self) -> Faults:
        """What is wrong with values and weights."""
        return self.look.faults

    @property
    def total_weight(self) -> float:
        return self.look.total

    def row_text(self, row: int) -> str:
        """What messages call a row: its number, and where it is found."""
        part = next(part for part in self.parts if row < part.first + part.n_rows)
        if self.choices:
            return f"row {row} of those chosen (in {self.names[part.index]})"
        return f"row {row} (row {row - part.first} of {self.names[part.index]})"

    # Passes

    def idle(self, width: int) -> int:
        """No thread has nothing to do: partitions are many."""
        return 0

    def reduce(
        self, step: Callable[[Rows], Value], width: int, earlier: Kept | None = None
    ) -> Value:
        """Σ over the chunks of partitions, then over partitions, in a fixed binary tree."""
        self.passed.n_rows += self.shape[0]
        return self.engine.reduce(self._task(step, width), self.parts, earlier)

    def map(self, step: Callable[[Rows], Value], width: int, earlier: Kept | None = None) -> Value:
        """Per-row output, brought here in the order of the rows."""
        self.refuse_many(1)
        found: Any = self.engine.map(self._task(step, width, mapped=True), self.parts, earlier)
        return cast("Value", np.concatenate(found))

    def said(self, step: Callable[[Rows], Value], width: int) -> list[Value]:
        """Per-row output of every part, in their order, where it was made."""
        return self.engine.map(self._task(step, width, mapped=True), self.parts)

    def refuse_many(self, n_columns: int) -> None:
        """Refuse to bring so many numbers of every row here, where all are too many."""
        n_rows = self.shape[0]
        if n_rows * n_columns > MOST_AT_HAND:
            raise TooManyRowsError(
                f"{n_columns} numbers for each of {n_rows:,} rows are more than are brought here "
                f"({MOST_AT_HAND:,}): ask for some at a time, rows.subset(slice(start, stop)), or "
                "give a Dask collection, whose answers are lazy"
            )

    def keep(
        self, step: Callable[[Rows], Indices], width: int, earlier: Kept | None = None
    ) -> Kept:
        """Per-row output, left where the rows are."""
        self.passed.n_rows += self.shape[0]
        return self.engine.keep(self._task(step, width, mapped=True), self.parts, earlier)

    def _task(
        self, step: Callable[[Rows], Value], width: int, mapped: bool = False
    ) -> PartitionTask[Value]:
        return OnChosen(Within(step, width, mapped), self.choices)

    def with_jobs(self, n_jobs: int | None) -> PartitionedSource:
        """The same rows for so many threads here."""
        if n_jobs == self.n_jobs:
            return self
        other = replace(self, engine=self.engine.with_jobs(n_jobs), n_jobs=n_jobs)
        known = {name: self.__dict__[name] for name in OF_THE_ROWS if name in self.__dict__}
        other.__dict__.update(known)
        return other

    # Some of the rows

    def present(self) -> PartitionedSource:
        """Without rows of weight zero."""
        return self if self.look.n_present == self.shape[0] else self.chosen(WithWeight())

    def subset(self, rows: Any) -> PartitionedSource:
        """Some rows, by ascending numbers, a mask or a slice; they stay where they are."""
        if isinstance(rows, slice):
            return self.chosen(Numbered(slice(*rows.indices(self.shape[0]))))
        return self.chosen(Numbered(_numbers(rows)))

    def chosen(self, choice: Choice) -> PartitionedSource:
        """Those rows that a rule keeps."""
        choices = (*self.choices, choice)
        lengths = self.engine.map(OnChosen(len, choices), self.parts)
        parts = tuple(
            Partition(part.index, (*part.firsts, first), n_rows)
            for part, n_rows, first in zip(self.parts, lengths, _firsts(lengths), strict=True)
            if n_rows
        )
        if not parts:
            raise InvalidInputError("X must hold rows, but none are chosen")
        return replace(self, parts=parts, choices=choices)

    def sample(self, n: int, generator: np.random.Generator) -> ArraySource:
        """At most n rows without replacement, in their order."""
        n_rows = self.shape[0]
        if n >= n_rows:
            return self.in_memory()
        return self.in_memory(np.sort(generator.choice(n_rows, n, replace=False)))

    def spread(self, n: int) -> ArraySource:
        """About n rows, evenly spaced, of those that the look brought along."""
        return self.some.spread(n)

    def in_memory(self, rows: Any = None) -> ArraySource:
        """Some rows (indices or a slice), by default all of them, brought here."""
        n_rows = self.shape[0]
        numbers = slice(None) if rows is None else rows
        if isinstance(numbers, slice):
            numbers = slice(*numbers.indices(n_rows))
            size = len(range(n_rows)[numbers])
        else:
            numbers = _numbers(numbers)
            size = len(numbers)
        if size * self.n_features > MOST_AT_HAND:
            raise TooManyRowsError(
                f"{size:,} rows x {self.n_features} columns are more than are looked at at once "
                f"({MOST_AT_HAND:,} values): give a sample of them, as "
                "rows.sample(100_000, numpy.random.default_rng(0)), or of a Dask array X[::100]"
            )
        if "look" in self.__dict__ and len(self.some.values) == n_rows:
            return self.some if rows is None else self.some.subset(numbers)
        if isinstance(numbers, slice) or bool((np.diff(numbers) > 0).all()):
            return self._brought(numbers)
        ascending, places = np.unique(numbers, return_inverse=True)
        return self._brought(ascending).subset(places)

    def _brought(self, numbers: Any) -> ArraySource:
        """Some rows by ascending number, from the partitions that they are in."""
        touched = [part for part in self.parts if _touches(numbers, part)]
        if not touched:
            raise InvalidInputError("no rows are asked for")
        found = self.engine.map(OnChosen(Brought(numbers), self.choices), touched)
        weights = None
        if found[0][1] is not None:
            weights = np.concatenate([own for _, own in found if own is not None])
        values = np.concatenate([part[0] for part in found])
        return ArraySource(values, weights, self.n_jobs, self.columns)


def counted(engine: Engine, n_parts: int) -> list[int]:
    """How many rows each partition of an engine has, where only reading them tells."""
    return engine.map(OnChosen(len), [Partition(index, (0,), 0) for index in range(n_parts)])


def _firsts(lengths: list[int]) -> list[int]:
    """The number of the first row of every partition."""
    ends: list[int] = np.cumsum(lengths).tolist()
    return [end - n_rows for end, n_rows in zip(ends, lengths, strict=True)]


def _numbers(rows: Any) -> Integers:
    """Row numbers from numbers or a mask."""
    rows = np.asarray(rows)
    return np.flatnonzero(rows) if rows.dtype == bool else rows


def _within(rows: slice, first: int, end: int) -> slice:
    """The part of a slice with a positive step that is from ``first`` to ``end``, counted there."""
    begin = rows.start + -(-max(0, first - rows.start) // rows.step) * rows.step
    return slice(begin - first, max(begin, min(rows.stop, end)) - first, rows.step)


def _touches(numbers: Any, part: Partition) -> bool:
    end = part.first + part.n_rows
    if isinstance(numbers, slice):
        own = _within(numbers, part.first, end)
        return bool(own.start < own.stop and own.start < part.n_rows)
    low, high = np.searchsorted(numbers, [part.first, end])
    return bool(high > low)
