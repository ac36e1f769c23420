"""Samples with missing cells, by pattern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from bayesmix.core.rows import COMPLETE, MOST_INDEXED, Frame, Rows
from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Booleans, Indices, Integers
from bayesmix.numerics.gaps import patterns

if TYPE_CHECKING:
    from bayesmix.core.components import Densities, InSubspace
    from bayesmix.core.mixture import Mixture


@dataclass(frozen=True)
class MissingCells:
    """Samples with exact values but for missing cells (NaN), seen by their marginal density."""

    def log_joint(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        if mixture.frame.rest is not None:
            return in_subspace(mixture, rows)
        joint = np.tile(mixture.log_weights, (len(rows), 1))
        for group in by_pattern(rows, mixture.patterned):
            if len(group.columns):
                seen = mixture.marginal(group.columns)
                joint[group.indices] = COMPLETE.log_joint(seen, group.rows)
        return joint

    def log_volume(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        """Return log volumes of the observed columns, 0 of samples without any."""
        if mixture.frame.rest is not None:
            return mixture.frame.log_volume_of_seen(np.asarray(rows.values))
        log_volume = np.zeros(len(rows))
        for group in by_pattern(rows, mixture.patterned):
            if len(group.columns):
                seen = mixture.marginal(group.columns)
                log_volume[group.indices] = COMPLETE.log_volume(seen, group.rows)
        return log_volume


def in_subspace(mixture: Mixture[Densities], rows: Rows) -> Array:
    """Return the log joint (n, K) of observed cells in a common subspace, sample by sample."""
    mixture.refuse_noise()
    values = np.asarray(rows.values)
    in_part = np.isnan(values).any(axis=1)
    joint = np.tile(mixture.log_weights, (len(rows), 1))
    if not in_part.all():
        joint[~in_part] = COMPLETE.log_joint(mixture, rows.some(~in_part))
    forms = cast("InSubspace", mixture.components).of_coordinates
    joint[in_part] += forms.seen_along(mixture.frame, values[in_part])[0]
    return joint


@dataclass(frozen=True)
class Pattern:
    """Observations of a chunk that have values in the same columns, and their indices in it."""

    columns: Integers
    indices: Indices
    rows: Rows


INCOMPLETE = MissingCells()


def by_pattern(
    chunk: Rows, among: Booleans | None = None, at_least: int | None = 1
) -> list[Pattern]:
    """Return groups of observations by pattern of missing values.

    Each has its observed columns and the indices of its observations. Observations with
    patterns that have fewer than ``at_least`` members (None: all observations) form a single group
    with all columns, but for those without any value.
    """
    key = (None if among is None else among.tobytes(), at_least)
    if key in chunk.patterns:
        return chunk.patterns[key]
    values, every = np.asarray(chunk.values), np.arange(chunk.values.shape[1])
    if at_least is None and not np.isnan(values).all(axis=1).any():
        return [Pattern(every, np.arange(len(values)), chunk)]
    groups, rest = [], []
    for columns, rows in patterns(values, among):
        alone = at_least is not None and (len(columns) == len(every) or len(rows) >= at_least)
        if not len(columns) or alone:
            weights = None if chunk.weights is None else chunk.weights[rows]
            seen = values[np.ix_(rows, columns)]
            groups.append(Pattern(columns, rows, Rows(seen, weights, side=chunk.side[rows])))
        else:
            rest.append(rows)
    if rest:
        rows = np.concatenate(rest)
        groups.append(Pattern(every, rows, chunk.some(rows)))
    if values.size <= MOST_INDEXED:
        chunk.patterns[key] = groups
    return groups


def frame_of_columns(frame: Frame, columns: Integers) -> tuple[Frame, Integers]:
    """Return the frame of some columns, and their numbers among the framed columns.

    Constant columns have none, as they are independent of the others; neither have data on an
    oblique plane.
    """
    if np.array_equal(columns, np.arange(len(frame.centre))):
        return frame, np.arange(frame.n_directions)
    centre, scale = frame.centre[columns], frame.scale[columns]
    if frame.basis is None:
        return Frame(centre, scale), columns
    if not np.array_equal(frame.basis, frame.basis.astype(bool)):
        raise UnsupportedError(
            "missing values are not supported if columns are linear combinations of others: "
            "leave out such columns"
        )
    varies = frame.basis[columns].any(axis=1)
    places = frame.basis[columns[varies]].argmax(axis=1)
    if varies.all():
        return Frame(centre, scale), places
    identity = np.eye(len(columns))
    return Frame(centre, scale, identity[:, varies], identity[:, ~varies]), places
