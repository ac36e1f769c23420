"""Arrays of other libraries as sources, with passes on their device."""

from __future__ import annotations

from functools import partial
from typing import Protocol, TypeVar, cast, runtime_checkable

import numpy as np

from bayesmix.core.components import Statistics
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Stored
from bayesmix.numerics.device_arrays import DeviceArray, Namespace, as_doubles, chosen
from bayesmix.sources.local_workers import Local
from bayesmix.sources.partitions_of_rows import PartitionedSource

Value = TypeVar("Value", covariant=True)


class OnDevice(Protocol):
    """Linear forms over framed data (n, D) of a namespace ``xp``."""

    def features(self, xp: Namespace, values: DeviceArray) -> DeviceArray:
        """Return features (n, F)."""

    def log_density(self, xp: Namespace, values: DeviceArray) -> DeviceArray:
        """Return expected log densities (n, K) in centred form."""

    def statistics(
        self, xp: Namespace, values: DeviceArray, responsibilities: DeviceArray
    ) -> Statistics:
        """Return statistics on the host."""


@runtime_checkable
class Portable(Protocol):
    """Components that can be evaluated on a device."""

    @property
    def on_device(self) -> OnDevice:
        """Log densities on the device."""


@runtime_checkable
class DeviceStep(Protocol[Value]):
    """A step that may run on the device that holds the data."""

    def on_device(self, values: DeviceArray, weights: Array | None) -> Value | None:
        """Run the step on a device; None if only NumPy can."""


# Values per part, such that features and log joints fit into the memory of a device.
PART_VALUES = 2**23


def _sliced(X: DeviceArray, weights: Array | None, rows: slice) -> tuple[Stored, Array | None]:
    return cast("Stored", X[rows, :]), None if weights is None else weights[rows]


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
    ends = np.cumsum(lengths).tolist()
    parts = [slice(end - n, end) for end, n in zip(ends, lengths, strict=True)]
    # A device has its own threads.
    engine = Local(tuple(partial(_sliced, X, weights, part) for part in parts), alone=True)
    return PartitionedSource.of(engine, lengths, n_features, names, None, n_jobs)
