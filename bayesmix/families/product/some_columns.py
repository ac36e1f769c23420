"""Some columns of a source, as a source: what one part of a product sees of the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast

import numpy as np

from bayesmix.families.product.layout import summary_of
from bayesmix.numerics.arrays import Array, Indices, Integers
from bayesmix.numerics.once import once
from bayesmix.protocols import InMemory, Kept, Source
from bayesmix.records import Faults, Rows, Summary

Value = TypeVar("Value")


@dataclass(frozen=True)
class OfColumns(Generic[Value]):
    """A step over some columns of a chunk; picklable, as the step is."""

    step: Callable[[Rows], Value]
    columns: Integers

    def __call__(self, rows: Rows) -> Value:
        return self.step(replace(rows, values=rows.values[:, self.columns]))


def some_columns(source: Source, columns: tuple[int, ...]) -> SomeColumns:
    """A part's columns of a source."""
    return SomeColumns(cast("InMemory", source), np.array(columns))


@dataclass(frozen=True)
class SomeColumns:
    """Some columns of a source; in memory where that is."""

    source: InMemory  # or a source that is not, asked for less
    picked: Integers

    @property
    def shape(self) -> tuple[int, int]:
        return self.source.shape[0], len(self.picked)

    @property
    def total_weight(self) -> float:
        weight: float = self.source.total_weight
        return weight

    @once
    def summary(self) -> Summary:
        return summary_of(self.source.summary, self.picked)

    @property
    def columns(self) -> tuple[str, ...] | None:
        names = self.source.columns
        return None if names is None else tuple(names[column] for column in self.picked)

    @property
    def numbers(self) -> Integers | None:
        numbers: Integers | None = self.source.numbers
        return numbers

    @property
    def n_jobs(self) -> int | None:
        n_jobs: int | None = self.source.n_jobs
        return n_jobs

    def idle(self, width: int) -> int:
        n_threads: int = self.source.idle(width)
        return n_threads

    @property
    def faults(self) -> Faults:
        """Those of all columns: rows are checked whole."""
        faults: Faults = self.source.faults
        return faults

    def row_text(self, row: int) -> str:
        text: str = self.source.row_text(row)
        return text

    def reduce(
        self, step: Callable[[Rows], Value], width: int, earlier: Kept | None = None
    ) -> Value:
        value: Value = self.source.reduce(OfColumns(step, self.picked), width, earlier)
        return value

    def map(self, step: Callable[[Rows], Value], width: int, earlier: Kept | None = None) -> Value:
        value: Value = self.source.map(OfColumns(step, self.picked), width, earlier)
        return value

    def keep(
        self, step: Callable[[Rows], Indices], width: int, earlier: Kept | None = None
    ) -> Kept:
        return self.source.keep(OfColumns(step, self.picked), width, earlier)

    def with_jobs(self, n_jobs: int | None) -> Source:
        return self._of(self.source.with_jobs(n_jobs))

    def present(self) -> Source:
        return self._of(self.source.present())

    def subset(self, rows: Any) -> Source:
        return self._of(self.source.subset(rows))

    def sample(self, n: int, generator: np.random.Generator) -> InMemory:
        return self._of(self.source.sample(n, generator))

    def spread(self, n: int) -> InMemory:
        return self._of(self.source.spread(n))

    def in_memory(self, rows: Any = None) -> InMemory:
        return self._of(self.source.in_memory(rows))

    @property
    def values(self) -> Any:
        return self.source.values[:, self.picked]

    @property
    def weights(self) -> Array | None:
        weights: Array | None = self.source.weights
        return weights

    @property
    def rows(self) -> Rows:
        return Rows(self.values, self.weights)

    def reweighted(self, factors: Array) -> InMemory:
        return self._of(self.source.reweighted(factors))

    def standing_for(self, total_weight: float) -> InMemory:
        return self._of(self.source.standing_for(total_weight))

    def _of(self, source: Source) -> SomeColumns:
        return replace(self, source=cast("InMemory", source))
