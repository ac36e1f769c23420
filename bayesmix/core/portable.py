"""L1: work on rows that lie on a device, as arrays of any library that keeps the array API."""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

from bayesmix.core.components import Statistics
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.namespaces import DeviceArray, Namespace

Value = TypeVar("Value", covariant=True)


class OnDevice(Protocol):
    """Linear forms over framed rows (n, D) of a namespace ``xp``."""

    def features(self, xp: Namespace, values: DeviceArray) -> DeviceArray:
        """Features (n, F)."""
        ...

    def log_density(self, xp: Namespace, values: DeviceArray) -> DeviceArray:
        """Expected log densities (n, K), centred form."""
        ...

    def statistics(
        self, xp: Namespace, values: DeviceArray, responsibilities: DeviceArray
    ) -> Statistics:
        """Statistics of the rows, on the host."""
        ...


@runtime_checkable
class Portable(Protocol):
    """Components that can be looked at on a device."""

    @property
    def on_device(self) -> OnDevice:
        """Their log densities there."""
        ...


@runtime_checkable
class DeviceStep(Protocol[Value]):
    """A step over rows that may be done where they lie."""

    def on_device(self, values: DeviceArray, weights: Array | None) -> Value | None:
        """The same as over ``Rows``; None where only NumPy can."""
        ...
