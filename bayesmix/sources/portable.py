"""Protocols of computations on a device, in any library with the array API."""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

from bayesmix.core.components import Statistics
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.device_arrays import DeviceArray, Namespace

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
