"""L1: where partitions of rows are, and who works on them there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from bayesmix.numerics.arrays import Array, Indices, Stored
from bayesmix.protocols.source import Kept

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
