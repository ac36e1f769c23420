"""Scale matrices that have run out: held at a floor, and components named that are there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bayesmix.families.gaussian.collapse.collapse_guard import (
    AT_THE_FLOOR,
    held_before,
    variance_floor,
)
from bayesmix.families.gaussian.covariance.algebra import BELOW_FLOOR
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.student_t.components import StudentComponents
from bayesmix.numerics.arrays import Array
from bayesmix.protocols import Whole
from bayesmix.records import Event, Frame, Mixture, Repair, Summary


def at_least(structure: Structure, blocks: Array, floor: Array) -> Array:
    """Blocks with no variance below the floor (D,) along any direction in columns of unit floor.

    Under that constraint they are the most likely where ``blocks`` are without it.
    """
    if blocks.ndim == 2:
        own = np.full(1, floor.max()) if blocks.shape[1] != len(floor) else floor
        return np.maximum(blocks, own)
    unit = np.sqrt(floor)
    values, axes = np.linalg.eigh(blocks / np.multiply.outer(unit, unit))
    if values.min() >= 1.0:
        return blocks
    axes *= unit[:, None]
    raised: Array = (axes * np.maximum(values, 1.0)[:, None, :]) @ axes.transpose(0, 2, 1)
    return raised


@dataclass(frozen=True)
class ScaleGuard:
    """Watches Student-t components fitted to rows with this summary, in ``frame``."""

    structure: Structure
    frame: Frame
    summary: Summary

    @cached_property
    def resolution(self) -> Array:
        """The smallest variances (1, D) of scales, in the frame."""
        unit = self.frame.directions(self.summary.scale)
        tied = self.frame.directions(self.summary.gap)
        return variance_floor(unit, tied)[None]

    def among(self, whole: Whole) -> ScaleGuard:
        """Itself: it looks at no rows."""
        return self

    def examine(
        self,
        mixture: Mixture[StudentComponents],
        resolution: Array | None,
        events: tuple[Event, ...],
        thorough: bool,
    ) -> Repair | None:
        """Names components whose scale is at the floor."""
        if not thorough:
            return None
        blocks, algebra = mixture.components.blocks, self.structure.algebra
        low = algebra.narrow(blocks, AT_THE_FLOOR / BELOW_FLOOR * self.resolution[0])
        flat = [k for k, axes in enumerate(low) if axes.shape[1]]
        known = held_before(events)
        held = [k for k in flat if k not in known]
        if not held:
            return None
        named = tuple(
            Event(
                "held",
                "{which} collapsed onto rows that agree in some direction, so its likelihood has "
                "no maximum. Its scale is held at the resolution of the data: use fewer "
                "components, or a simpler covariance",
                components=tuple(range(mixture.n_components)) if self.structure.shared else (k,),
            )
            for k in held
        )
        return Repair(named, resolution)
