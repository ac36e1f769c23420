"""Partitions on the workers of a Dask cluster; sums are added there, in the one fixed tree.

Nothing is scattered, which would die with its worker: what a task needs is an argument of a task,
so that the scheduler can do again whatever is lost. Errors of the data come back as values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar, cast

import numpy as np

from bayesmix.errors import BayesmixError
from bayesmix.numerics.arrays import Indices
from bayesmix.parallel import reduced, single_threaded_blas
from bayesmix.protocols import Kept, Partition, PartitionTask
from bayesmix.records import ChunkSums, FeatureSums
from bayesmix.sources.workers.packing import packed, unpacked
from bayesmix.sources.workers.sum_tree import Node, climbed, runs

Made = TypeVar("Made")

# A task of fewer bytes travels inside every one that needs it, a larger one as one of its own.
SMALL = 2**16
# Runs of partitions for each thread of the cluster: fewer would wait for the slowest.
TASKS_PER_THREAD = 4
# Sums of so many bytes in all come back as they are; of more, so many neighbours are added there.
MOST_AT_ONCE = 2**22
LEVELS_AT_ONCE = 3


@dataclass(frozen=True)
class Refused:
    """An error of the data, which would only come again if the task were tried again."""

    error: BayesmixError


class KeptThere:
    """An integer of every row, by part, beside the rows: futures of a client."""

    def __init__(self, client: Any, parts: Sequence[Partition], values: Sequence[Any]) -> None:
        self.client = client
        self.parts = tuple(parts)
        self.values = tuple(values)

    def differing(self, other: Kept) -> int:
        """For how many rows two of them differ."""
        theirs = cast("KeptThere", other).values
        return sum(
            _results(self.client, self.client.map(_differing, self.values, theirs, pure=False))
        )

    def some(self, rows: slice) -> Indices:
        """Those of some rows."""
        found = [
            self.client.submit(_cut, values, *own, pure=False)
            for part, values in zip(self.parts, self.values, strict=True)
            for own in [_overlap(rows, part)]
            if own[1] > own[0]
        ]
        return np.concatenate(_results(self.client, found))


class DaskEngine:
    """``blocks``: of every partition who reads it, or a future of its values and weights."""

    def __init__(self, client: Any, blocks: Sequence[Any]) -> None:
        self.client = client
        self.blocks = tuple(blocks)
        self._bytes_of_a_sum = 0

    def reduce(
        self, task: PartitionTask[Made], parts: Sequence[Partition], earlier: Kept | None = None
    ) -> Made:
        """Σ over parts, in a fixed tree, whoever adds."""
        sent, blocks, kept = self._sent(task), self._of(parts), _of_parts(parts, earlier)
        nodes = self._nodes(parts)
        sums = []
        for node in nodes:
            own = slice(node.start, node.stop)
            arguments = sent, list(parts[own]), blocks[own], list(kept[own])
            sums.append(self.client.submit(_sum_of_parts, *arguments, pure=False))
        while len(nodes) > 2**LEVELS_AT_ONCE and self._bytes_of_a_sum * len(nodes) > MOST_AT_ONCE:
            nodes, sums = self._added(nodes, sums, len(parts))
        found = _results(self.client, sums)
        self._bytes_of_a_sum = len(found[0])
        total = climbed(zip(nodes, map(unpacked, found), strict=True), len(parts))
        return cast("Made", _dressed(total, task))

    def map(
        self, task: PartitionTask[Made], parts: Sequence[Partition], earlier: Kept | None = None
    ) -> list[Made]:
        """What a task makes of every part, brought here."""
        return _results(self.client, self._outputs(task, parts, earlier))

    def keep(
        self, task: PartitionTask[Indices], parts: Sequence[Partition], earlier: Kept | None = None
    ) -> KeptThere:
        """The same, left there."""
        return KeptThere(self.client, parts, self._outputs(task, parts, earlier))

    def with_jobs(self, n_jobs: int | None) -> DaskEngine:
        """Itself: how many threads there are is the cluster's."""
        return self

    def _outputs(
        self, task: PartitionTask[Made], parts: Sequence[Partition], earlier: Kept | None
    ) -> list[Any]:
        sent, blocks, kept = self._sent(task), self._of(parts), _of_parts(parts, earlier)
        return [
            self.client.submit(_output_of_part, sent, *each, pure=False)
            for each in zip(parts, blocks, kept, strict=True)
        ]

    def _of(self, parts: Sequence[Partition]) -> list[Any]:
        return [self.blocks[part.index] for part in parts]

    def _sent(self, task: PartitionTask[Made]) -> Any:
        """The task as bytes, or a future of them; as an argument of a task it is never lost."""
        content = packed(task)
        if len(content) <= SMALL:
            return content
        import dask

        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GB"}):
            return self.client.submit(_itself, content, pure=False)

    def _nodes(self, parts: Sequence[Partition]) -> list[Node]:
        """Runs of partitions that lie on one worker, no longer than keeps all threads busy."""
        with _scheduler_of(self.client):
            threads = sum(self.client.nthreads().values())
        most = len(parts) // max(1, TASKS_PER_THREAD * threads)
        if most < 2:
            return runs(len(parts), 1, None)
        blocks = self._of(parts)
        futures = [block for block in blocks if not callable(block)]
        where = self.client.who_has(futures) if futures else {}
        return runs(len(parts), most, [_holder(block, where) for block in blocks])

    def _added(
        self, nodes: list[Node], sums: list[Any], n_parts: int
    ) -> tuple[list[Node], list[Any]]:
        """The next levels of the tree, added by the workers."""
        level = min(node.level for node in nodes) + LEVELS_AT_ONCE
        above: dict[tuple[int, int], list[int]] = {}
        for place, node in enumerate(nodes):
            up = max(level, node.level)
            above.setdefault((up, node.index >> (up - node.level)), []).append(place)
        higher, added = [], []
        for (up, index), places in above.items():
            own, theirs = [nodes[place] for place in places], [sums[place] for place in places]
            higher.append(Node(up, index, own[0].start, own[-1].stop))
            several = len(theirs) > 1
            arguments = _added_up, own, n_parts, up, theirs
            added.append(self.client.submit(*arguments, pure=False) if several else theirs[0])
        return higher, added


def _results(client: Any, futures: Sequence[Any]) -> list[Any]:
    """What came of tasks; an error of the data is raised here."""
    from distributed import wait

    with _scheduler_of(client):
        # Interrupted while it gathers, a client would log every future that it gave up.
        wait(list(futures))
        found = client.gather(list(futures))
    for one in found:
        if isinstance(one, Refused):
            raise one.error
    return list(found)


@contextmanager
def _scheduler_of(client: Any) -> Iterator[None]:
    """Says what to do where the scheduler is gone, whatever it is that fails then."""
    try:
        yield
    except (CancelledError, AttributeError, OSError, RuntimeError) as problem:
        there = client.status == "running" and client.scheduler is not None
        if there and "connection-lost" not in str(problem):
            raise
        raise ConnectionError(
            "the scheduler of the cluster is gone: connect again, and give the rows on the new "
            "client; a search with checkpoint=... goes on where it ended"
        ) from problem


# What runs on the workers


@lru_cache(maxsize=4)
def _task_of(content: bytes) -> Any:
    """The task, once a process: what it computes once, all parts that are here share."""
    return unpacked(content)


def _sum_of_parts(content: bytes, parts: Any, blocks: Any, earlier: Any) -> Any:
    task = _task_of(content)
    try:
        with single_threaded_blas():
            each = list(zip(parts, blocks, earlier, strict=True))
            return packed(_bare(reduced(lambda one: _run(task, *one), each, 1)))
    except BayesmixError as error:
        return Refused(error)


def _output_of_part(content: bytes, part: Partition, block: Any, earlier: Any) -> Any:
    try:
        with single_threaded_blas():
            return _run(_task_of(content), part, block, earlier)
    except BayesmixError as error:
        return Refused(error)


def _run(task: Any, part: Partition, block: Any, earlier: Any) -> Any:
    return task(part, *(block() if callable(block) else block), earlier)


def _added_up(nodes: list[Node], n_parts: int, level: int, sums: list[Any]) -> Any:
    for one in sums:
        if isinstance(one, Refused):
            return one
    return packed(climbed(zip(nodes, map(unpacked, sums), strict=True), n_parts, level))


def _itself(value: Any) -> Any:
    return value


def _differing(own: Any, theirs: Any) -> int:
    return int(np.count_nonzero(own != theirs))


def _cut(values: Any, start: int, stop: int) -> Any:
    return np.array(values[start:stop])


def _bare(total: Any) -> Any:
    """Sums of features without the form that finishes them: the other side has it."""
    if isinstance(total, ChunkSums) and isinstance(total.statistics, FeatureSums):
        without: Any = None
        return replace(total, statistics=replace(total.statistics, form=without))
    return total


def _dressed(total: Any, task: Any) -> Any:
    if isinstance(total, ChunkSums) and isinstance(total.statistics, FeatureSums):
        form = task.work.step.mixture.linear
        return replace(total, statistics=replace(total.statistics, form=form))
    return total


def _overlap(rows: slice, part: Partition) -> tuple[int, int]:
    start, stop = max(rows.start, part.first), min(rows.stop, part.first + part.n_rows)
    return start - part.first, max(start, stop) - part.first


def _of_parts(parts: Sequence[Partition], earlier: Kept | None) -> Sequence[Any]:
    return [None] * len(parts) if earlier is None else cast("KeptThere", earlier).values


def _holder(block: Any, where: Any) -> Any:
    """The worker that has a partition; None where any can read it."""
    if callable(block):
        return None
    return next(iter(where.get(block.key, ())), block.key)
