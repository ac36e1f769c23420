"""Scale matrices that have run out: held at a floor, and components named that are there."""

from __future__ import annotations

import numpy as np

from bayesmix.families.gaussian.collapse.collapse_guard import (
    AT_THE_FLOOR,
    variance_floor,
)
from bayesmix.families.gaussian.covariance.algebra import BELOW_FLOOR
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.student_t.components import StudentComponents
from bayesmix.numerics.arrays import Array
from bayesmix.records import Event, Frame, Mixture, Summary


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


def floor_of_scales(frame: Frame, summary: Summary) -> Array:
    """The smallest variances (D,) of scales, in the frame."""
    return variance_floor(frame.directions(summary.scale), frame.directions(summary.gap))


def held_scales(mixture: Mixture[StudentComponents], floor: Array) -> list[Event]:
    """Components whose scale is at the floor."""
    structure, n_components = mixture.components.structure, mixture.n_components
    low = structure.algebra.narrow(mixture.components.blocks, AT_THE_FLOOR / BELOW_FLOOR * floor)
    return [
        Event(
            "held",
            "{which} collapsed onto rows that agree in some direction, so its likelihood has "
            "no maximum. Its scale is held at the resolution of the data: use fewer "
            "components, or a simpler covariance",
            components=tuple(range(n_components)) if structure.shared else (k,),
        )
        for k, axes in enumerate(low)
        if axes.shape[1]
    ]
