"""Arrays of other libraries as sources, with passes on their device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from bayesmix.core.parallel import reduced
from bayesmix.core.sources import Kept, Partition, PartitionTask
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, DeviceArray, Indices, as_doubles, chosen, host
from bayesmix.sources.local_workers import KeptParts, kept_of
from bayesmix.sources.partitions_of_rows import PartitionedSource, step_of

Made = TypeVar("Made")

# Values per part, such that features and log joints fit into the memory of a device.
PART_VALUES = 2**23


@dataclass(frozen=True)
class Device:
    """Engine over slices of an array, one after the other."""

    values: DeviceArray
    weights: Array | None
    size: int

    def _run(self, task: PartitionTask[Made], part: Partition, earlier: Indices | None) -> Made:
        start = self.size * part.index
        part_slice = slice(start, min(start + self.size, self.values.shape[0]))
        values, weights = (
            self.values[part_slice, :],
            None if self.weights is None else self.weights[part_slice],
        )
        step = step_of(task)
        result: Made | None = None if step is None else step.on_device(values, weights)
        return result if result is not None else task(part, host(values), weights, earlier)

    def reduce(
        self, task: PartitionTask[Made], parts: Sequence[Partition], earlier: Kept | None = None
    ) -> Made:
        earlier_values = kept_of(parts, earlier)
        return reduced(lambda i: self._run(task, parts[i], earlier_values[i]), range(len(parts)), 1)

    def map(
        self, task: PartitionTask[Made], parts: Sequence[Partition], earlier: Kept | None = None
    ) -> list[Made]:
        earlier_values = kept_of(parts, earlier)
        return [
            self._run(task, part, part_values)
            for part, part_values in zip(parts, earlier_values, strict=True)
        ]

    def keep(
        self, task: PartitionTask[Indices], parts: Sequence[Partition], earlier: Kept | None = None
    ) -> KeptParts:
        return KeptParts(tuple(parts), tuple(self.map(task, parts, earlier)))

    def with_jobs(self, n_jobs: int | None) -> Device:
        """Return the engine itself, as a device has its own threads."""
        return self


def on_device(X: DeviceArray, weights: Array | None, n_jobs: int | None) -> PartitionedSource:
    """Return an array (n, D) of another library as a source, without observations of weight 0."""
    if X.ndim != 2 or not all(X.shape):
        raise InvalidInputError(f"X must have two dimensions, rows and columns, got {X.shape}")
    as_doubles(X[:1, :])
    if weights is not None and not weights.all():
        present = np.flatnonzero(weights)
        X, weights = chosen(X, present), weights[present]
    n_rows, n_features = X.shape
    size = max(1, PART_VALUES // n_features)
    lengths = [min(size, n_rows - start) for start in range(0, n_rows, size)]
    names = tuple(f"part {number}" for number in range(len(lengths)))
    return PartitionedSource.of(Device(X, weights, size), lengths, n_features, names, None, n_jobs)
