"""Partitions read by threads of this process, packed messages, and the tree of sums over parts.

Neighbouring parts are added level by level; a group that is a whole node can be added anywhere.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from threading import Lock
from typing import Any, TypeVar

import numpy as np

from bayesmix.core.mixture import Mixture
from bayesmix.core.parallel import ordered_map, resolve_jobs
from bayesmix.core.sources import Loader, Partition, PartitionTask
from bayesmix.core.tree_sums import climb, height, reduced
from bayesmix.em.expectation import ExpectationStep
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.device_arrays import host
from bayesmix.sources.partitions_of_rows import step_of

Made = TypeVar("Made")


@dataclass(frozen=True)
class Local:
    """Engine that loads partitions in threads, or one after another (``alone``)."""

    loaders: tuple[Loader, ...]
    n_jobs: int | None = 1
    alone: bool = False

    def _run(self, task: PartitionTask[Made], part: Partition) -> Made:
        loaded: Any = self.loaders[part.index]()
        values, weights = loaded
        if isinstance(values, np.ndarray):
            return task(part, values, weights)
        from bayesmix.sources.device_steps import on_device

        found: Made | None = on_device(step_of(task), values, weights)
        return found if found is not None else task(part, host(values), weights)

    def reduce(self, task: PartitionTask[Made], parts: Sequence[Partition]) -> Made:
        return reduced(partial(self._run, task), parts, resolve_jobs(self.n_jobs))

    def map(self, task: PartitionTask[Made], parts: Sequence[Partition]) -> list[Made]:
        return list(ordered_map(partial(self._run, task), parts, resolve_jobs(self.n_jobs)))

    def with_jobs(self, n_jobs: int | None) -> Local:
        return self if self.alone else replace(self, n_jobs=n_jobs)


# Smaller matrices are sent in full.
SMALLEST_MATRIX = 4


def packed(value: Any) -> bytes:
    """Serialise a value; cached properties and redundant triangles are omitted.

    Only for messages between a client and its workers, as ``unpacked`` uses pickle.
    """
    stream = io.BytesIO()
    _Packer(stream, protocol=5).dump(value)
    return stream.getvalue()


def unpacked(content: bytes) -> Any:
    """Deserialise a value."""
    return pickle.loads(content)


class _Packer(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        kind: Any = type(value)
        if kind is np.ndarray:
            return _of_array(value)
        if kind is ExpectationStep:
            lean = {"mixture": _linear(value.mixture), "arithmetic": value.arithmetic}
            return _record, (kind, lean)
        if is_dataclass(kind) and "__getstate__" not in vars(kind):
            return _record, (kind, {one.name: getattr(value, one.name) for one in fields(value)})
        return NotImplemented


def _linear(mixture: Mixture[Any]) -> Mixture[Any]:
    """Return the mixture with only the linear forms of its components, which are smaller."""
    return Mixture(mixture.weights, mixture.linear, mixture.frame, mixture.noise)


def _record(kind: type, values: dict[str, Any]) -> Any:
    record: Any = object.__new__(kind)
    record.__dict__.update(values)
    return record


def _of_array(array: Array) -> Any:
    """Reduce stacked matrices to a triangle if the other is its mirror image or zero."""
    *_, height, size = array.shape if array.ndim > 1 else (0, 0)
    if height == size >= SMALLEST_MATRIX and array.dtype == np.float64:
        low, high = np.tril_indices(size)
        lower, upper = (size, array[..., low, high]), (size, array[..., high, low])
        for halves in ((*lower, lower[1]), (*lower, None), (size, None, upper[1])):
            if np.array_equal(_matrices(*halves), array):
                return _matrices, halves
    return NotImplemented


def _matrices(size: int, lower: Array | None, upper: Array | None) -> Array:
    """Rebuild matrices from their triangles; None is zero."""
    low, high = np.tril_indices(size)
    half: Any = upper if lower is None else lower
    array = np.zeros((*half.shape[:-1], size, size))
    if lower is not None:
        array[..., low, high] = lower
    if upper is not None:
        array[..., high, low] = upper
    return array


@dataclass(frozen=True)
class Node:
    """A node of the tree, with parts from ``start`` to ``stop``."""

    level: int
    index: int
    start: int
    stop: int


def runs(n_parts: int, most: int, holders: Sequence[Any] | None) -> list[Node]:
    """Return the parts as nodes of at most ``most``, each on one holder (None: anywhere)."""

    def node(level: int, index: int) -> list[Node]:
        start, stop = index << level, min((index + 1) << level, n_parts)
        alone = holders is None or len(set(holders[start:stop]) - {None}) <= 1
        if level == 0 or (stop - start <= most and alone):
            return [Node(level, index, start, stop)]
        halves = node(level - 1, 2 * index)
        if (2 * index + 1) << (level - 1) < n_parts:
            halves += node(level - 1, 2 * index + 1)
        return halves

    return node(height(n_parts), 0)


def climbed(sums: Iterable[tuple[Node, Any]], n_parts: int, top: int | None = None) -> Any:
    """Add the sums of nodes up to level ``top``, by default the root."""
    waiting: dict[tuple[int, int], Any] = {}
    top, lock = height(n_parts) if top is None else top, Lock()
    for node, total in sums:
        climb(waiting, (node.level, node.index), total, n_parts, top, lock)
    (total,) = waiting.values()
    return total
