"""Guard against collapse in products: each part is checked, with log joints of all parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bayesmix.core.engines import Guard, Whole
from bayesmix.core.mixture import Mixture, Repair
from bayesmix.core.rows import Event
from bayesmix.families.product.layout import Layout
from bayesmix.numerics.arrays import Array, Integers, Stored

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Resolutions:
    """Floors of each part (K, ...) or (1, ...), or None."""

    parts: tuple[Array | None, ...]

    def __len__(self) -> int:
        return max(len(part) for part in self.parts if part is not None)

    def __getitem__(self, keep: Any) -> Resolutions:
        some = (part if part is None or len(part) == 1 else part[keep] for part in self.parts)
        return Resolutions(tuple(some))


def of_parts(resolution: Any, n_parts: int) -> tuple[Array | None, ...]:
    """Return the floors of each part."""
    return (None,) * n_parts if resolution is None else resolution.parts


def together(parts: Sequence[Array | None]) -> Array | None:
    """Combine the floors of all parts, None if no part has any."""
    if all(part is None for part in parts):
        return None
    # Other code only indexes it by component, as an array.
    return cast("Array", Resolutions(tuple(parts)))


def with_part(components: Any, part: int, own: Any) -> Any:
    """Replace the components of a part."""
    parts = components.parts
    return replace(components, parts=(*parts[:part], own, *parts[part + 1 :]))


@dataclass(frozen=True)
class WholeRows:
    """Mixture of a product, for the guard of one of its parts."""

    mixture: Mixture
    part: int
    columns: Integers

    def log_joint(self, values: Stored, components: Any) -> Array:
        """Return log joints (n, K) of all columns with ``components`` in the part's place."""
        changed = with_part(self.mixture.components, self.part, components)
        mixture = replace(self.mixture, components=changed)
        return mixture.log_joint(mixture.frame.apply(values))


@dataclass(frozen=True)
class ProductGuard:
    """Guards of all parts."""

    layout: Layout
    guards: tuple[Guard, ...]

    @property
    def resolution(self) -> Array | None:
        return together([guard.resolution for guard in self.guards])

    def among(self, whole: Whole) -> ProductGuard:
        """Return self, as products are not nested."""
        return self

    def examine(
        self,
        mixture: Mixture,
        resolution: Array | None,
        events: tuple[Event, ...],
        thorough: bool,
    ) -> Repair | None:
        """Return the repair of the first part with collapsed components."""
        components: Any = mixture.components
        frames = self.layout.frames(mixture.frame)
        known = of_parts(resolution, len(self.guards))
        for part, guard in enumerate(self.guards):
            own = Mixture(mixture.weights, components.parts[part], frames[part])
            whole = WholeRows(mixture, part, np.array(self.layout.columns[part]))
            repair = guard.among(whole).examine(own, known[part], events, thorough)
            if repair is not None:
                return self._whole(repair, mixture, known, part)
        return None

    def _whole(
        self, repair: Repair, mixture: Mixture, known: tuple[Array | None, ...], part: int
    ) -> Repair:
        """Extend the repair of a part to the whole mixture."""
        resolved = [*known[:part], repair.resolution, *known[part + 1 :]]
        moved = repair.mixture
        if moved is not None:
            changed = with_part(mixture.components, part, moved.components)
            moved = replace(mixture, weights=moved.weights, components=changed)
        return Repair(repair.events, together(resolved), moved)
