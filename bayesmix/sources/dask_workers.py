"""Dask arrays and frames as sources, on the workers of a client or by threads of this process.

Sums are added on the workers in a fixed tree. Nothing is scattered, so that the scheduler can
recompute what a lost worker held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, TypeVar, cast

import numpy as np

from bayesmix.core.mixture import ChunkSums, FeatureSums
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.sources import Partition, PartitionTask
from bayesmix.core.tree_sums import reduced
from bayesmix.errors import BayesmixError, InvalidInputError
from bayesmix.numerics.arrays import Array, Stored
from bayesmix.sources.local_workers import Local, Node, climbed, packed, runs, unpacked
from bayesmix.sources.memory import is_collection
from bayesmix.sources.partitions_of_rows import PartitionedSource, counted

# Bytes of blocks kept in memory without a client; the others are recomputed in each pass.
MOST_KEPT = 2**28


def columns_of(X: Any) -> tuple[str, ...] | None:
    """Return the column names of a Dask frame, all numerical; None for an array."""
    if not hasattr(X, "columns"):
        return None
    kinds = zip(X.columns, X.dtypes, strict=True)
    wrong = [
        f"{name!r} ({kind})" for name, kind in kinds if getattr(kind, "kind", "O") not in "fiub"
    ]
    if wrong:
        raise InvalidInputError(
            f"X must be numeric, but these columns are not: {', '.join(wrong)}: drop or encode them"
        )
    return tuple(map(str, X.columns))


def collected(X: Any, sample_weight: Any, n_jobs: int | None) -> PartitionedSource:
    """Return a Dask collection as a source with one partition per block."""
    columns = columns_of(X)
    blocks = _blocks(X, sample_weight)
    names = tuple(f"block {number}" for number in range(len(blocks)))
    client = current_client()
    n_features = int(X.shape[1])
    if client is None:
        held, lengths = _held(blocks)
        return PartitionedSource.of(Local(held), lengths, n_features, names, columns, n_jobs)

    engine = DaskEngine(client, client.compute(blocks))
    lengths = counted(engine, len(blocks))
    return PartitionedSource.of(engine, lengths, n_features, names, columns, n_jobs)


def gathered(X: Any) -> Any:
    """Return a Dask collection as a source; other data unchanged."""
    return collected(X, None, 1) if is_collection(X) else X


def current_client() -> Any:
    """Return the current Dask client, or None."""
    try:
        from distributed import default_client
    except ImportError:
        return None
    try:
        return default_client()
    except ValueError:
        return None


def whole_rows(X: Any) -> Any:
    """Return a Dask array with all columns in one block; frames unchanged."""
    if hasattr(X, "columns"):
        return X
    if X.ndim != 2:
        raise InvalidInputError(
            f"X must have two dimensions, rows and columns, got shape {X.shape}"
        )
    return X if X.numblocks[1] == 1 else X.rechunk({1: -1})


def _blocks(X: Any, sample_weight: Any) -> list[Any]:
    """Return delayed (values, weights) of each block."""
    from dask import delayed

    make = delayed(_rows_of, pure=False)
    if hasattr(X, "columns") and hasattr(sample_weight, "to_frame"):
        # As a single frame, since Dask may read fewer columns of a file in fewer blocks.
        joined = X.assign(**{"_".join(["weight", *map(str, X.columns)]): sample_weight})
        return [make(block, None, number, True) for number, block in enumerate(joined.to_delayed())]
    rows = np.ravel(np.array(whole_rows(X).to_delayed(), dtype=object)).tolist()
    weights: list[Any] = [None] * len(rows)
    if sample_weight is not None:
        if not is_collection(sample_weight):
            raise InvalidInputError(
                "sample_weight must be a Dask collection with the same blocks as X, "
                f"got {type(sample_weight).__name__}: give dask.array.from_array(weights, "
                "chunks=X.chunks[0])"
            )
        weights = np.ravel(np.array(sample_weight.to_delayed(), dtype=object)).tolist()
        if len(weights) != len(rows):
            raise InvalidInputError(
                f"sample_weight must have the {len(rows)} blocks that X has, got {len(weights)}: "
                "rechunk it"
            )
    return [
        make(block, block_weights, number)
        for number, (block, block_weights) in enumerate(zip(rows, weights, strict=True))
    ]


def _at_hand(values: Stored, weights: Array | None) -> tuple[Stored, Array | None]:
    return values, weights


def _held(blocks: list[Any]) -> tuple[tuple[Any, ...], list[int]]:
    """Return a loader and the number of observations of each block."""
    loaders: list[Any] = []
    lengths: list[int] = []
    n_bytes = 0
    for block in blocks:
        values, weights = block.compute()
        n_bytes += values.nbytes
        computed = partial(block.compute, scheduler="synchronous")
        loaders.append(partial(_at_hand, values, weights) if n_bytes <= MOST_KEPT else computed)
        lengths.append(len(values))
    return tuple(loaders), lengths


def _rows_of(
    block: Any, weights: Any, number: int, weights_last: bool = False
) -> tuple[Array, Array | None]:
    """Return a block as contiguous numbers; its last column may be the weights."""
    if weights_last:
        block, weights = block.iloc[:, :-1], block.iloc[:, -1]
    values = numbers_of(block)
    if weights is None:
        return values, None
    row_weights = np.asarray(weights, dtype=np.float64).ravel()
    if len(row_weights) != len(values):
        raise InvalidInputError(
            f"sample_weight must be one number for each row, but in block {number} there are "
            f"{len(row_weights)} for {len(values)} rows"
        )
    return values, row_weights


def numbers_of(block: Any) -> Array:
    """Return a block as float32 or float64, with NaN for missing values."""
    if hasattr(block, "iloc"):
        kinds = set(block.dtypes)
        single = kinds == {np.dtype(np.float32)}
        values = block.to_numpy(dtype=np.float32 if single else np.float64, na_value=np.nan)
    else:
        values = np.asarray(block)
        if values.dtype not in (np.float32, np.float64) or not values.dtype.isnative:
            values = values.astype(np.float64)
    return np.ascontiguousarray(values)


Made = TypeVar("Made")

# Larger tasks are sent once, as separate futures.
SMALL = 2**16
# Groups of partitions per thread: with fewer, threads would wait for the slowest.
TASKS_PER_THREAD = 4
# Sums of at most this many bytes are returned; larger ones are added on the workers over this many
# levels of the tree.
MOST_AT_ONCE = 2**22
LEVELS_AT_ONCE = 3


@dataclass(frozen=True)
class Refused:
    """An error of the data, returned as a value since retrying the task cannot help."""

    error: BayesmixError


class DaskEngine:
    """Engine on a Dask cluster; ``blocks`` are loaders, or futures of values and weights."""

    def __init__(self, client: Any, blocks: Sequence[Any]) -> None:
        self.client = client
        self.blocks = tuple(blocks)
        self._bytes_of_a_sum = 0

    def reduce(self, task: PartitionTask[Made], parts: Sequence[Partition]) -> Made:
        sent, blocks = self._sent(task), self._of(parts)
        nodes = self._nodes(parts)
        sums = []
        for node in nodes:
            span = slice(node.start, node.stop)
            arguments = sent, list(parts[span]), blocks[span]
            sums.append(self.client.submit(_refusing, _sum_of_parts, *arguments, pure=False))
        while len(nodes) > 2**LEVELS_AT_ONCE and self._bytes_of_a_sum * len(nodes) > MOST_AT_ONCE:
            nodes, sums = self._added(nodes, sums, len(parts))
        results = _results(self.client, sums)
        self._bytes_of_a_sum = len(results[0])
        total = climbed(zip(nodes, map(unpacked, results), strict=True), len(parts))
        of_task: Any = task
        return cast("Made", _with_form(total, lambda: of_task.work.step.mixture.linear))

    def map(self, task: PartitionTask[Made], parts: Sequence[Partition]) -> list[Made]:
        sent = self._sent(task)
        outputs = [
            self.client.submit(_refusing, _output_of_part, sent, *each, pure=False)
            for each in zip(parts, self._of(parts), strict=True)
        ]
        return _results(self.client, outputs)

    def with_jobs(self, n_jobs: int | None) -> DaskEngine:
        return self

    def _of(self, parts: Sequence[Partition]) -> list[Any]:
        return [self.blocks[part.index] for part in parts]

    def _sent(self, task: PartitionTask[Made]) -> Any:
        """Return the task as bytes, or as a future if large."""
        content = packed(task)
        if len(content) <= SMALL:
            return content
        import dask

        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GB"}):
            return self.client.submit(_itself, content, pure=False)

    def _nodes(self, parts: Sequence[Partition]) -> list[Node]:
        """Return groups of partitions on the same worker, small enough for all threads."""
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
        """Add the next levels of the tree on the workers."""
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
    """Return results of futures; raise errors of the data."""
    from distributed import wait

    with _scheduler_of(client):
        # If interrupted while it gathers, a client would log each cancelled future.
        wait(list(futures))
        results = client.gather(list(futures))
    for result in results:
        if isinstance(result, Refused):
            raise result.error
    return list(results)


@contextmanager
def _scheduler_of(client: Any) -> Iterator[None]:
    """Raise a ``ConnectionError`` with advice if the scheduler is lost."""
    try:
        yield
    except (CancelledError, AttributeError, OSError, RuntimeError) as problem:
        there = client.status == "running" and client.scheduler is not None
        if there and "connection-lost" not in str(problem):
            raise
        raise ConnectionError(
            "the scheduler of the cluster no longer answers: connect again, and pass the data "
            "with the new client; a search with checkpoint=... continues where it stopped"
        ) from problem


# Functions that run on the workers.


@lru_cache(maxsize=4)
def _task_of(content: bytes) -> Any:
    """Unpack a task once per process, so that parts share its cached values."""
    return unpacked(content)


def _sum_of_parts(content: bytes, parts: Any, blocks: Any) -> Any:
    pairs = list(zip(parts, blocks, strict=True))
    total = reduced(lambda one: _output_of_part(content, *one), pairs, 1)
    return packed(_with_form(total, lambda: None))


def _output_of_part(content: bytes, part: Partition, block: Any) -> Any:
    loaded = block() if callable(block) else block
    with single_threaded_blas():
        return _task_of(content)(part, *loaded)


def _refusing(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of a task, or an error of the data as a value."""
    try:
        return work(*arguments)
    except BayesmixError as error:
        return Refused(error)


def _added_up(nodes: list[Node], n_parts: int, level: int, sums: list[Any]) -> Any:
    for total in sums:
        if isinstance(total, Refused):
            return total
    return packed(climbed(zip(nodes, map(unpacked, sums), strict=True), n_parts, level))


def _itself(value: Any) -> Any:
    return value


def _with_form(total: Any, form: Callable[[], Any]) -> Any:
    """Replace the linear form of sums of features, which does not travel as the client has it."""
    if isinstance(total, ChunkSums) and isinstance(total.statistics, FeatureSums):
        return replace(total, statistics=replace(total.statistics, form=form()))
    return total


def _holder(block: Any, where: Any) -> Any:
    """Return the worker of a partition; None if any can read it."""
    if callable(block):
        return None
    return next(iter(where.get(block.key, ())), block.key)
