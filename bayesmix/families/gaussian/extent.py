"""The extent of the rows as a whole: which directions have none, and how columns correlate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.families.gaussian.moments import Moments, moments
from bayesmix.families.gaussian.structures import Full
from bayesmix.numerics.arrays import Array
from bayesmix.protocols import Source
from bayesmix.records import Frame, Rows

DRAWN_IN_AT = 10.0


def pooled_covariance(source: Source, frame: Frame, unit: Array) -> Array:
    """Covariance (D, D) of all rows in columns of unit scale, far rows drawn in.

    They are drawn in towards a row near the centre, so that one wild row does not hide the others
    and linear relations between columns stay what they are.
    """
    anchor = source.reduce(_Nearest(frame, unit), 1).values
    drawn_in = source.reduce(_DrawnIn(frame, unit, anchor), 1)
    covariance: Array = drawn_in.scatter[0] / drawn_in.counts[0]
    return covariance


@dataclass(frozen=True)
class _Point:
    """The framed row nearest to the centre so far."""

    distance: float
    values: Array

    def __add__(self, other: _Point) -> _Point:
        return other if other.distance < self.distance else self


@dataclass(frozen=True)
class _Nearest:
    frame: Frame
    unit: Array

    def __call__(self, rows: Rows) -> _Point:
        values = self.frame.apply(rows.values) / self.unit
        distances = (values * values).sum(axis=1)
        nearest = int(distances.argmin())
        return _Point(float(distances[nearest]), values[nearest].copy())


@dataclass(frozen=True)
class _DrawnIn:
    """Moments of rows seen from the anchor, none farther than a few scales."""

    frame: Frame
    unit: Array
    anchor: Array

    def __call__(self, rows: Rows) -> Moments:
        away = self.frame.apply(rows.values) / self.unit - self.anchor
        radius = DRAWN_IN_AT * np.sqrt(len(self.unit))
        lengths = np.sqrt((away * away).sum(axis=1))
        away *= np.minimum(1.0, radius / np.maximum(lengths, radius))[:, None]
        weights = np.ones(len(rows)) if rows.weights is None else rows.weights
        return moments(Full(), away, weights[:, None])
