"""A guard that reports components at the floor and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from bayesmix.core.components import FittedComponents
from bayesmix.core.mixture import Mixture, Repair
from bayesmix.core.rows import Event
from bayesmix.families.gaussian.degenerate import components_of
from bayesmix.numerics.arrays import Array

if TYPE_CHECKING:
    from bayesmix.core.engines import Whole

C = TypeVar("C", bound=FittedComponents)


@dataclass(frozen=True)
class FloorGuard(Generic[C]):
    """Reports components at the floor and changes nothing.

    ``held`` returns events of a mixture for its degenerate components.
    """

    floor: Array  # (D,)
    held: Callable[[Mixture[C], Array], Sequence[Event]]

    @property
    def resolution(self) -> Array:
        return self.floor[None]

    def among(self, whole: Whole) -> FloorGuard[C]:
        return self

    def examine(
        self,
        mixture: Mixture[C],
        resolution: Array | None,
        events: tuple[Event, ...],
        thorough: bool,
    ) -> Repair | None:
        if not thorough:
            return None
        reported = components_of(events, "held")
        new = [e for e in self.held(mixture, self.floor) if reported.isdisjoint(e.components)]
        return Repair(tuple(new), resolution) if new else None

    def spurious(self, mixture: Mixture[C]) -> tuple[int, ...]:
        return ()
