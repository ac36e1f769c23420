"""L1: where rows come from: what everything above asks of them, and nothing else.

One file in ``sources`` brings rows from somewhere else: chunks, threads, workers and files are
known there alone.

L1: where partitions of rows are, and who works on them there.

L1: what comes from outside and has no types: that it does is said at least.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np

from bayesmix.core.rows import Faults, Rows, Summary
from bayesmix.numerics.arrays import Array, Booleans, Indices, Integers, Stored

Value = TypeVar("Value")
# Some of the rows: their numbers, whether each is one of them, or a slice.
Chosen: TypeAlias = Indices | Booleans | slice


class Kept(Protocol):
    """An integer of every row, which stays where the rows are: what one pass leaves to another."""

    def differing(self, other: Kept) -> int:
        """For how many rows two of them differ; both are of one source."""
        ...

    def some(self, rows: slice) -> Indices:
        """Those of some rows, brought here."""
        ...


class Source(Protocol):
    """Where rows come from: the only one who knows of chunks, threads or workers.

    Rows have an order and numbers from 0; their weights are repetition counts. What is done to them
    is a step over ``Rows``, chunk by chunk, which may be pickled.
    """

    @property
    def shape(self) -> tuple[int, int]: ...

    @property
    def total_weight(self) -> float: ...

    @property
    def summary(self) -> Summary: ...

    @property
    def faults(self) -> Faults:
        """What is wrong with values and weights."""
        ...

    def row_text(self, row: int) -> str:
        """What messages call a row, with the file where it lies in one of several."""
        ...

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the features, where they have any."""
        ...

    @property
    def numbers(self) -> Integers | None:
        """What messages call the rows, where these are some of the rows that were given."""
        ...

    @property
    def n_jobs(self) -> int | None:
        """How many threads may work: here, and on what is made of these rows."""
        ...

    def idle(self, width: int) -> int:
        """How many threads have nothing to do in a pass; ``width`` is K."""
        ...

    def reduce(
        self, step: Callable[[Rows], Value], width: int, earlier: Kept | None = None
    ) -> Value:
        """Σ over chunks of ``step(rows)``, summed in a fixed tree; ``width`` is K.

        The rows come with what an ``earlier`` pass over this source kept of them.
        """
        ...

    def map(self, step: Callable[[Rows], Value], width: int, earlier: Kept | None = None) -> Value:
        """Per-row output of every chunk, in the order of the rows."""
        ...

    def keep(
        self, step: Callable[[Rows], Indices], width: int, earlier: Kept | None = None
    ) -> Kept:
        """Per-row output, an integer of every row, left where the rows are."""
        ...

    def with_jobs(self, n_jobs: int | None) -> Source:
        """The same rows for so many threads."""
        ...

    def present(self) -> Source:
        """Without rows of weight zero, which are no rows."""
        ...

    def subset(self, rows: Chosen) -> Source:
        """Some rows (ascending indices or a slice), with their weights."""
        ...

    def sample(self, n: int, generator: np.random.Generator) -> InMemory:
        """At most n rows drawn without replacement (all of them where there are fewer)."""
        ...

    def spread(self, n: int) -> InMemory:
        """About n rows, evenly spaced; all of them where there are fewer."""
        ...

    def in_memory(self, rows: Chosen | None = None) -> InMemory:
        """Some rows (indices or a slice) at hand, by default all of them.

        All are for what cannot work in parts; raises ``TooManyRowsError`` where they are too many.
        """
        ...


class InMemory(Source, Protocol):
    """Rows at hand: the few that a search works on, or what looks at all of them at once."""

    @property
    def values(self) -> Stored:
        """Values (n, D) of any real type."""
        ...

    @property
    def weights(self) -> Array | None:
        """Weights (n,), None where every row counts once."""
        ...

    @property
    def rows(self) -> Rows:
        """All of them at once."""
        ...

    def reweighted(self, factors: Array) -> InMemory:
        """The same rows with their weights multiplied by factors (n,)."""
        ...

    def standing_for(self, total_weight: float) -> InMemory:
        """The same rows with weights in the same proportions that add up to so much."""
        ...


# Reads the rows of a partition, and their weights where they have any; picklable.
Loader: TypeAlias = Callable[[], tuple[Stored, Array | None]]

Made = TypeVar("Made")
MadeBy = TypeVar("MadeBy", covariant=True)


@dataclass(frozen=True)
class Partition:
    """A partition as a source sees it.

    ``index`` is its place among those of the engine, ``firsts`` the number of its first row: among
    all rows, and again among those that each choice of rows leaves.
    """

    index: int
    firsts: tuple[int, ...]
    n_rows: int

    @property
    def first(self) -> int:
        """The number of the first row that is chosen."""
        return self.firsts[-1]


class PartitionTask(Protocol[MadeBy]):
    """What is done to a partition where it lies; picklable."""

    def __call__(
        self, part: Partition, values: Stored, weights: Array | None, earlier: Indices | None
    ) -> MadeBy:
        """``earlier``: what an earlier task kept beside these rows, None where nothing is asked."""
        ...


class Engine(Protocol):
    """Runs tasks where partitions are: threads over files, or the workers of a cluster.

    Sums are added in one fixed tree over the parts in their order, so that no bit depends on who
    works, on how tasks are grouped, or on what failed and was done again.
    """

    def reduce(
        self, task: PartitionTask[Made], parts: Sequence[Partition], earlier: Kept | None = None
    ) -> Made:
        """Σ of the task over parts."""
        ...

    def map(
        self, task: PartitionTask[Made], parts: Sequence[Partition], earlier: Kept | None = None
    ) -> list[Made]:
        """What the task makes of every part, in their order."""
        ...

    def keep(
        self, task: PartitionTask[Indices], parts: Sequence[Partition], earlier: Kept | None = None
    ) -> Kept:
        """The same, left where the parts are: an integer of every row."""
        ...

    def with_jobs(self, n_jobs: int | None) -> Engine:
        """The same for so many threads here."""
        ...


# Rows as a user hands them in: an array, a frame, a list, a source.
UserRows: TypeAlias = Any
# What a user may set of an estimator, by name.
Parameters: TypeAlias = dict[str, Any]


class Procedure(Protocol):
    """What is fitted to rows as scikit-learn does it, and gives rows a density.

    A mixture estimator, a pipeline that ends in one, a search over them.
    """

    @property
    def fit(self) -> Callable[..., object]:
        """``fit(X, y=None, ...)``, which returns the procedure itself."""
        ...

    @property
    def score_samples(self) -> Callable[[UserRows], Array]:
        """Log density (n,) in nats."""
        ...


class FittedMixture(Procedure, Protocol):
    """One whose density is a mixture: an estimator, or a pipeline that ends in one."""

    @property
    def predict_proba(self) -> Callable[[UserRows], Array]:
        """Probabilities of the components (n, K)."""
        ...
