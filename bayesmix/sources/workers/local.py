"""Partitions that threads of this process read, work on and forget: out of core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, cast

import numpy as np

from bayesmix.numerics.arrays import Indices
from bayesmix.parallel import ordered_map, reduced, resolve_jobs
from bayesmix.protocols import Kept, Loader, Partition, PartitionTask

Made = TypeVar("Made")


@dataclass(frozen=True)
class KeptParts:
    """An integer of every row, by part."""

    parts: tuple[Partition, ...]
    values: tuple[Indices, ...]

    def differing(self, other: Kept) -> int:
        """For how many rows two of them differ."""
        pairs = zip(self.values, cast("KeptParts", other).values, strict=True)
        return sum(int(np.count_nonzero(own != theirs)) for own, theirs in pairs)

    def some(self, rows: slice) -> Indices:
        """Those of some rows."""
        found = [
            values[max(0, rows.start - part.first) : max(0, rows.stop - part.first)]
            for part, values in zip(self.parts, self.values, strict=True)
        ]
        return np.concatenate(found)


@dataclass(frozen=True)
class Local:
    """Who reads each partition, and how many threads do so at a time."""

    loaders: tuple[Loader, ...]
    n_jobs: int | None = 1

    def _run(self, task: PartitionTask[Made], part: Partition, earlier: Indices | None) -> Made:
        return task(part, *self.loaders[part.index](), earlier)

    def reduce(
        self, task: PartitionTask[Made], parts: Sequence[Partition], earlier: Kept | None = None
    ) -> Made:
        """Σ over parts, in a fixed tree."""
        kept, run, jobs = kept_of(parts, earlier), self._run, resolve_jobs(self.n_jobs)
        return reduced(lambda i: run(task, parts[i], kept[i]), range(len(parts)), jobs)

    def map(
        self, task: PartitionTask[Made], parts: Sequence[Partition], earlier: Kept | None = None
    ) -> list[Made]:
        """What a task makes of every part."""
        kept, run, jobs = kept_of(parts, earlier), self._run, resolve_jobs(self.n_jobs)
        return list(ordered_map(lambda i: run(task, parts[i], kept[i]), range(len(parts)), jobs))

    def keep(
        self, task: PartitionTask[Indices], parts: Sequence[Partition], earlier: Kept | None = None
    ) -> KeptParts:
        """The same, for a later pass."""
        return KeptParts(tuple(parts), tuple(self.map(task, parts, earlier)))

    def with_jobs(self, n_jobs: int | None) -> Local:
        """The same for so many threads."""
        return replace(self, n_jobs=n_jobs)


def kept_of(parts: Sequence[Partition], earlier: Kept | None) -> Sequence[Indices | None]:
    """What an earlier pass kept of each part."""
    return [None] * len(parts) if earlier is None else cast("KeptParts", earlier).values
