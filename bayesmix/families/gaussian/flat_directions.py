"""Directions without extent in the data, and pooled correlations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.core.rows import Event, Frame, Rows
from bayesmix.families.gaussian.covariance.models import STRUCTURES, Structure
from bayesmix.families.gaussian.moments import Moments, moments
from bayesmix.numerics.arrays import Array, without_gaps

if TYPE_CHECKING:
    from bayesmix.core.sources import Source


DRAWN_IN_AT = 10.0
# Largest distance from the plane, in unit scales, that counts as on it: the density there differs
# by 5e-5 nats.
OFF_PLANE = 1e-5
# Size of the subsample checked first, as most data have full extent.
SOME_ROWS = 1000


def pooled_covariance(
    source: Source, frame: Frame, unit: Array, structure: str = "full"
) -> tuple[Array, Array]:
    """Return the covariance in columns of unit scale, with outliers shrunk, and an anchor.

    It is a matrix (D, D), or variances (D,) if the structure is "diag".

    Outliers are shrunk towards the anchor, an observation near the centre, which preserves linear
    relations between columns.
    """
    anchor = source.reduce(partial(_nearest, frame, unit), 1).values
    drawn_in = source.reduce(partial(_drawn_in, frame, unit, anchor, structure), 1)
    covariance: Array = drawn_in.scatter[0] / drawn_in.counts[0]
    return covariance, anchor


def without_flat_directions(
    structure: Structure, frame: Frame, source: Source
) -> tuple[Frame, tuple[Event, ...]]:
    """Return the frame without directions of no extent, and an event that names them.

    Raises ``InvalidInputError`` if all observations are equal.
    """
    summary = source.summary
    if structure.isotropic and not summary.constant.all():
        # With one variance for all columns, a constant column is informative.
        return frame, ()
    unit = summary.scale / frame.scale
    if _some_rows_suffice(structure, frame, source, unit):
        return frame, ()
    covariance, anchor = pooled_covariance(source, frame, unit, _dense_or_diag(structure))
    basis, flat = structure.algebra.flat(covariance)
    if flat.shape[1] == 0:
        return frame, ()
    from bayesmix.families.gaussian.plane import on_plane

    return on_plane(frame, source, basis, flat, anchor)


def _some_rows_suffice(structure: Structure, frame: Frame, source: Source, unit: Array) -> bool:
    """Whether a subsample has full extent, to which further data can only add."""
    if source.shape[0] < 2 * SOME_ROWS:
        return False
    sample = source.spread(SOME_ROWS)
    share = sample.total_weight / source.total_weight
    if share == 0.0:
        return False
    covariance, _ = pooled_covariance(sample, frame, unit, _dense_or_diag(structure))
    _, flat = structure.algebra.flat(share * covariance)
    return len(flat.T) == 0


def _dense_or_diag(structure: Structure) -> str:
    return "full" if structure.blocks.dense else "diag"


@dataclass(frozen=True)
class _NearestRow:
    """The framed observation nearest to the centre so far."""

    distance: float
    values: Array

    def __add__(self, other: _NearestRow) -> _NearestRow:
        return other if other.distance < self.distance else self


def _nearest(frame: Frame, unit: Array, rows: Rows) -> _NearestRow:
    values = without_gaps(frame.apply(rows.values)) / unit
    distances = (values * values).sum(axis=1)
    nearest = int(distances.argmin())
    return _NearestRow(float(distances[nearest]), values[nearest].copy())


def _drawn_in(frame: Frame, unit: Array, anchor: Array, structure: str, rows: Rows) -> Moments:
    """Return moments about the anchor, with outliers shrunk."""
    away, lengths, radius = seen_from(anchor, frame, unit, rows)
    away *= np.minimum(1.0, radius / np.maximum(lengths, radius))[:, None]
    return moments(STRUCTURES[structure], away, rows.weights_or_ones[:, None])


def seen_from(anchor: Array, frame: Frame, unit: Array, rows: Rows) -> tuple[Array, Array, float]:
    """Return differences from the anchor in unit scale, their lengths, and the shrinkage radius."""
    away = without_gaps(frame.apply(rows.values)) / unit - anchor
    return away, np.sqrt((away * away).sum(axis=1)), DRAWN_IN_AT * float(np.sqrt(len(unit)))
