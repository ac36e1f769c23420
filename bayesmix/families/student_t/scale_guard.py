"""Scale matrices that have run out: held at a floor, and components named that are there."""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dgejsv

from bayesmix.families.gaussian.collapse.collapse_guard import (
    AT_THE_FLOOR,
    variance_floor,
)
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.student_t.components import StudentComponents
from bayesmix.numerics.arrays import Array, Booleans
from bayesmix.records import Event, Frame, Mixture, Summary

# Standard deviations that are this share of a mean see nothing of its rounding: 2^-52 of it is
# 2^-16 of them, and moves a log density by 2^-33.
LEAST_OF_MEANS = 2.0**-36
# What LAPACK's dgejsv is to do: columns are of many sizes, no left vectors, right vectors.
COLUMNS_OF_MANY_SIZES = {"joba": 0, "jobu": 3, "jobv": 0}


def floors(structure: Structure, floor: Array, means: Array) -> Array:
    """The smallest variances (B, D) of blocks: none that the rounding of a mean would show in.

    One row that is all of its component would otherwise lie many scales from its mean.
    """
    own: Array = np.maximum(floor, (LEAST_OF_MEANS * means) ** 2)
    return own.max(axis=0, keepdims=True) if structure.shared else own


def at_least(blocks: Array, floor: Array) -> Array:
    """Blocks with no variance below the floor (B, D) along any direction in columns of unit floor.

    Under that constraint they are the most likely where ``blocks`` are without it.
    """
    if blocks.ndim == 2:
        return np.maximum(blocks, _of_axes(blocks, floor))
    raised = blocks.copy()
    for k in np.flatnonzero(_may_be_below(blocks, floor)):
        values, axes = variances_and_axes(blocks[k], floor[k])
        axes = axes * np.sqrt(np.maximum(1.0 - values, 0.0)) * np.sqrt(floor[k])[:, None]
        raised[k] += axes @ axes.T
    return raised


def _of_axes(blocks: Array, floor: Array) -> Array:
    """The floor of variances by column, or of those that columns share."""
    shared = blocks.shape[1] != floor.shape[1]
    return floor.max(axis=1, keepdims=True) if shared else floor


def _may_be_below(blocks: Array, floor: Array) -> Booleans:
    """Which of the matrices may have a variance below the floor, by a look of few digits."""
    unit = np.sqrt(floor)
    values = np.linalg.eigvalsh(blocks / (unit[:, :, None] * unit[:, None, :]))
    lost = values.shape[1] * np.finfo(np.float64).eps * values[:, -1]
    below: Booleans = values[:, 0] < AT_THE_FLOOR + 4.0 * lost
    return below


def variances_and_axes(block: Array, floor: Array) -> tuple[Array, Array]:
    """Variances along the axes of one matrix in columns of unit floor, each to its own digits.

    A matrix of columns a million million times apart has them by one-sided rotations of its root
    (Drmač & Veselić 2008); an eigenvalue routine loses the small ones.
    """
    unit = np.sqrt(np.maximum(np.diagonal(block), 0.0))
    unit = np.where(unit > 0.0, unit, 1.0)
    values, axes = np.linalg.eigh(block / np.multiply.outer(unit, unit))
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * axes.T * (unit / np.sqrt(floor))
    singular, _, axes, scale, _, failed = dgejsv(root, **COLUMNS_OF_MANY_SIZES)
    assert not failed
    return (singular * (scale[0] / scale[1])) ** 2, axes


def floor_of_scales(frame: Frame, summary: Summary) -> Array:
    """The smallest variances (D,) of scales, in the frame."""
    return variance_floor(frame.directions(summary.scale), frame.directions(summary.gap))


def held_scales(mixture: Mixture[StudentComponents], floor: Array) -> list[Event]:
    """Components whose scale is at the floor."""
    components = mixture.components
    structure, n_components = components.structure, mixture.n_components
    lowest = floors(structure, floor, components.means)
    return [
        Event(
            "held",
            "{which} collapsed onto rows that agree in some direction, so its likelihood has "
            "no maximum. Its scale is held at the resolution of the data: use fewer "
            "components, or a simpler covariance",
            components=tuple(range(n_components)) if structure.shared else (int(k),),
        )
        for k in np.flatnonzero(_at_floor(components.blocks, lowest))
    ]


def _at_floor(blocks: Array, floor: Array) -> Booleans:
    """Which blocks have a variance at the floor."""
    if blocks.ndim == 2:
        low = blocks < AT_THE_FLOOR * _of_axes(blocks, floor)
        return np.asarray(low.any(axis=1))
    found = _may_be_below(blocks, floor)
    for k in np.flatnonzero(found):
        found[k] = variances_and_axes(blocks[k], floor[k])[0].min() < AT_THE_FLOOR
    return found
