"""Protocols of data sources and of engines that work on partitions of data.

Chunks, threads, workers and files are details of the implementations in ``sources``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

import numpy as np

from bayesmix.core.rows import Faults, Rows, Summary
from bayesmix.numerics.arrays import Array, Booleans, Indices, Integers, Stored

if TYPE_CHECKING:
    from bayesmix.core.protocols import RowsRead

Value = TypeVar("Value")
# Subset of the data: indices, a mask or a slice.
Chosen: TypeAlias = Indices | Booleans | slice
# Rule that picks observations of a chunk.
Choice: TypeAlias = Callable[[Rows], Booleans]


class Source(Protocol):
    """A source of data, ordered and numbered from 0, with sample weights.

    Computations are steps over ``Rows``, chunk by chunk, which may be pickled.
    """

    @property
    def shape(self) -> tuple[int, int]: ...

    @property
    def total_weight(self) -> float: ...

    @property
    def summary(self) -> Summary: ...

    @property
    def faults(self) -> Faults:
        """Faults of values and weights."""

    def row_text(self, row: int) -> str:
        """Return the name of an observation in messages, with its file if there are several."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the features, or None."""

    @property
    def numbers(self) -> Integers | None:
        """Numbers of the observations in the user's data, if this is a subset."""

    @property
    def n_jobs(self) -> int | None:
        """Number of threads, for this source and for subsets."""

    def idle(self, width: int) -> int:
        """Return the number of idle threads in a pass over ``width`` components."""

    def reduce(self, step: Callable[[Rows], Value], width: int) -> Value:
        """Sum ``step(rows)`` over chunks in a fixed tree; ``width`` is K."""

    def map(self, step: Callable[[Rows], Value], width: int) -> Value:
        """Return the concatenated output of ``step``."""

    def with_jobs(self, n_jobs: int | None) -> Source:
        """Return the source with another number of threads."""

    def present(self) -> Source:
        """Return the source without observations of weight zero."""

    def subset(self, rows: Chosen) -> Source:
        """Return a subset (ascending indices or a slice) with its weights."""

    def sample(self, n: int, generator: np.random.Generator) -> InMemory:
        """Draw at most n observations without replacement."""

    def spread(self, n: int) -> InMemory:
        """Return about n evenly spaced observations."""

    def in_memory(self, rows: Chosen | None = None) -> InMemory:
        """Return a subset (indices or a slice, by default all) in memory.

        Raises ``TooManyRowsError`` if it is too large.
        """


class Partitioned(Source, Protocol):
    """Data in partitions that stay where they are."""

    @property
    def passed(self) -> RowsRead:
        """Counter of the observations read."""

    @property
    def some(self) -> InMemory:
        """Subsample in memory: one observation, drawn, of each run of some length, or all."""

    @property
    def is_brought_whole(self) -> bool:
        """Whether the first pass brought all observations into memory, as they are few."""

    def refuse_many(self, n_columns: int) -> None:
        """Raise an error if ``n_columns`` numbers per observation are too many to return."""

    def chosen(self, choice: Choice) -> Partitioned:
        """Return the observations that a rule picks from each chunk."""

    def folds(self, seed: int, n_folds: int, every: int) -> list[tuple[Choice, Choice]]:
        """Return rules for the two parts of each fold; every k-th held-out sample is scored."""


class InMemory(Source, Protocol):
    """Data in memory."""

    @property
    def values(self) -> Stored:
        """Values (n, D) of any real type."""

    @property
    def weights(self) -> Array | None:
        """Sample weights (n,), or None."""

    @property
    def rows(self) -> Rows:
        """All observations as a single chunk."""

    def reweighted(self, factors: Array) -> InMemory:
        """Multiply the sample weights by factors (n,)."""

    def standing_for(self, total_weight: float) -> InMemory:
        """Scale the sample weights to a given total."""


# Picklable function that reads the values and weights of a partition.
Loader: TypeAlias = Callable[[], tuple[Stored, Array | None]]

Made = TypeVar("Made")
MadeBy = TypeVar("MadeBy", covariant=True)


@dataclass(frozen=True)
class Partition:
    """A partition of a source.

    ``index`` is its number in the engine; ``firsts`` the number of its first observation in the
    full data and after each selection; ``begins`` (n,) where its sequences begin.
    """

    index: int
    firsts: tuple[int, ...]
    n_rows: int
    begins: Booleans | None = None

    @property
    def first(self) -> int:
        """Number of the first selected observation."""
        return self.firsts[-1]


class PartitionTask(Protocol[MadeBy]):
    """A picklable computation on a partition."""

    def __call__(self, part: Partition, values: Stored, weights: Array | None) -> MadeBy:
        """Run on a partition."""


class Engine(Protocol):
    """Runs tasks where partitions are: threads over files, or workers of a cluster.

    Sums are added in a fixed tree, so that rounding does not depend on scheduling or failures.
    """

    def reduce(self, task: PartitionTask[Made], parts: Sequence[Partition]) -> Made:
        """Sum the task over parts."""

    def map(self, task: PartitionTask[Made], parts: Sequence[Partition]) -> list[Made]:
        """Return the results of the task, in the order of the parts."""

    def with_jobs(self, n_jobs: int | None) -> Engine:
        """Return the engine with another number of threads."""
