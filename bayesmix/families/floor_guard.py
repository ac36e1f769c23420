"""Variances held at a floor from the start: a constraint that no likelihood falls under."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bayesmix.core.components import FittedComponents
from bayesmix.core.engines import Whole
from bayesmix.core.mixture import Mixture, Repair
from bayesmix.core.rows import Event
from bayesmix.families.gaussian.collapse import held_before
from bayesmix.numerics.arrays import Array

C = TypeVar("C", bound=FittedComponents)


@dataclass(frozen=True)
class FloorGuard(Generic[C]):
    """Names components that are held at the floor: it looks at no rows and changes nothing.

    ``held`` are events of a mixture, each for components that have run out.
    """

    floor: Array  # (D,)
    held: Callable[[Mixture[C], Array], Sequence[Event]]

    @property
    def resolution(self) -> Array:
        """The floor (1, D), for all components."""
        return self.floor[None]

    def among(self, whole: Whole) -> FloorGuard[C]:
        """Itself."""
        return self

    def examine(
        self,
        mixture: Mixture[C],
        resolution: Array | None,
        events: tuple[Event, ...],
        thorough: bool,
    ) -> Repair | None:
        """Names, once each, components that have run out."""
        if not thorough:
            return None
        known = set(held_before(events))
        every = self.held(mixture, self.floor)
        found = [event for event in every if known.isdisjoint(event.components)]
        return Repair(tuple(found), resolution) if found else None
