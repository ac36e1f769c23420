"""The plane of data that vary in fewer dimensions than they have columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from bayesmix.core.rows import Event, Frame, Rows, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError
from bayesmix.families.gaussian.collapse import OFF_PLANE, seen_from
from bayesmix.numerics.arrays import Array


def on_plane(
    frame: Frame, source: Source, basis: Array, flat: Array, anchor: Array
) -> tuple[Frame, tuple[Event, ...]]:
    """Return the frame of the plane through ``anchor``, and an event that names it.

    ``basis`` (D, D') are the directions with extent and ``flat`` (D, f) those without, in columns
    of unit scale. Raises ``InvalidInputError`` if all observations are equal.
    """
    summary = source.summary
    unit = summary.scale / frame.scale
    if source.reduce(partial(_far_from, flat, frame, unit, anchor), 1).distance > OFF_PLANE:
        # Shrunk outliers leave the plane of the others, so only constant columns are flat.
        identity = np.eye(len(flat))
        basis, flat = identity[:, ~summary.constant], identity[:, summary.constant]
    if flat.shape[1] == 0:
        return frame, ()
    if basis.shape[1] == 0:
        raise InvalidInputError(f"X must have distinct rows, but all {summary.n_rows} are equal")
    if not np.array_equal(basis, basis.astype(bool)):
        # Rescale from unit scale to the frame and orthonormalise again.
        basis = np.linalg.qr(basis * unit[:, None])[0]
        flat = np.linalg.qr(flat / unit[:, None])[0]
    # The plane passes through all observations, though not through their medians.
    centre = frame.centre + frame.scale * (flat @ (flat.T @ (anchor * unit)))
    plane = replace(frame, centre=centre, basis=basis, flat=flat)
    return plane, (_named(summary, flat.shape[1]),)


def _named(summary: Summary, n_flat: int) -> Event:
    n_rows, n_columns = summary.n_rows, len(summary.constant)
    columns = np.flatnonzero(summary.constant)
    names = ", ".join(map(str, columns))
    constant = f"column {names} is" if len(columns) == 1 else f"columns {names} are"
    vary = f"the data vary in {n_columns - n_flat} of {n_columns} dimensions, and the model leaves "
    vary += "out the other" if n_flat == 1 else f"out the other {n_flat}"
    if n_flat == len(columns):
        return Event(
            "flat",
            f"{constant} constant and left out of the model; drop constant columns to silence this",
        )
    if n_rows <= n_columns:
        return Event(
            "flat",
            f"{n_rows} observations cannot determine a covariance matrix of {n_columns} variables: "
            f"{vary}. Use covariance_type='diag', FactorAnalytic or fewer variables",
        )
    also = f"{constant} constant and " if len(columns) else ""
    return Event(
        "flat",
        f"{also}columns are linearly dependent: {vary}; drop redundant columns to silence this",
    )


def _far_from(flat: Array, frame: Frame, unit: Array, anchor: Array, rows: Rows) -> _Farthest:
    """Return the largest distance of shrunk observations from the plane through the anchor."""
    away, lengths, radius = seen_from(anchor, frame, unit, rows)
    distances = np.abs(away[lengths > radius] @ flat)
    return _Farthest(float(distances.max(initial=0.0)))


@dataclass(frozen=True)
class _Farthest:
    distance: float

    def __add__(self, other: _Farthest) -> _Farthest:
        return other if other.distance > self.distance else self
