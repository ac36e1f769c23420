"""Which rows a component holds, how many distinct values they take, and which rows fit worst."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.numerics.gaps import has_gaps, without_gaps
from bayesmix.numerics.logsumexp import normalise
from bayesmix.protocols import Whole
from bayesmix.records import Mixture, Rows

ROWS_NAMED = 20
# Of a component's rows first so many times the distinct values that are needed are looked at.
MOSTLY_ENOUGH = 4
# A column with less of a direction has no part in it.
NO_PART = 1e-9


@dataclass(frozen=True)
class Holding:
    """What one component holds: how many rows, the first of them, distinct values by direction."""

    n_rows: int
    rows: tuple[int, ...]
    distinct: tuple[Array, ...]

    @property
    def distinct_counts(self) -> list[int]:
        return [len(values) for values in self.distinct]


NOTHING = Holding(0, (), ())


@dataclass(frozen=True)
class Lowest:
    """The rows with the lowest log density so far."""

    log_density: Array
    values: Array
    n: int

    def __add__(self, other: Lowest) -> Lowest:
        log_density = np.concatenate([self.log_density, other.log_density])
        order = np.argsort(log_density, kind="stable")[: self.n]
        return Lowest(
            log_density[order],
            np.concatenate([self.values, other.values])[order],
            self.n,
        )


@dataclass(frozen=True)
class Holdings:
    """What every component holds, and the rows that fit worst; additive over chunks."""

    each: tuple[Holding, ...]
    needed: int
    worst: Lowest

    def __add__(self, other: Holdings) -> Holdings:
        return Holdings(
            tuple(
                Holding(
                    a.n_rows + b.n_rows,
                    (a.rows + b.rows)[:ROWS_NAMED],
                    tuple(
                        np.union1d(x, y)[: self.needed]
                        for x, y in zip(a.distinct, b.distinct, strict=True)
                    ),
                )
                for a, b in zip(self.each, other.each, strict=True)
            ),
            self.needed,
            self.worst + other.worst,
        )


@dataclass(frozen=True)
class HoldingStep:
    """The rows that each component holds (its largest responsibility), seen along directions.

    Components without directions are not looked at. With them come the ``n_worst`` rows that the
    mixture explains worst.
    """

    mixture: Mixture
    directions: list[Array]
    floor: Array
    needed: int
    n_worst: int
    whole: Whole | None = None

    def __call__(self, rows: Rows) -> Holdings:
        labels, log_density = self._described(rows)
        if self.whole is not None:
            rows = replace(rows, values=rows.values[:, self.whole.columns])
        if rows.weights is not None:
            absent = rows.weights == 0
            labels, log_density = labels.copy(), log_density.copy()
            labels[absent], log_density[absent] = -1, np.inf
        worst = np.argsort(log_density, kind="stable")[: self.n_worst]
        return Holdings(
            tuple(
                self._holding(k, axes, rows, np.flatnonzero(labels == k))
                if axes.shape[1]
                else NOTHING
                for k, axes in enumerate(self.directions)
            ),
            self.needed,
            Lowest(
                log_density[worst],
                without_gaps(self.mixture.frame.apply(rows.values[worst])),
                self.n_worst,
            ),
        )

    def _holding(self, k: int, axes: Array, rows: Rows, mine: Any) -> Holding:
        """What component k holds, being these rows of the chunk."""
        values = self.mixture.frame.apply(rows.values[mine])
        away = (values - self.mixture.components.means[k]) / np.sqrt(self.floor)
        distinct = tuple(self._distinct(away, axis) for axis in axes.T)
        first = tuple(int(row) + rows.first for row in mine[:ROWS_NAMED])
        return Holding(len(mine), first, distinct)

    def _distinct(self, away: Array, axis: Array) -> Array:
        """Distinct values along a direction, no more than are needed."""
        if has_gaps(away):
            known = ~np.isnan(away[:, np.abs(axis) > NO_PART]).any(axis=1)
            away = without_gaps(away[known])
        first = away[: MOSTLY_ENOUGH * self.needed]
        distinct = np.unique(np.round(first @ axis, 9))
        if len(distinct) < self.needed and len(first) < len(away):
            distinct = np.unique(np.round(away @ axis, 9))
        return distinct[: self.needed]

    def _described(self, rows: Rows) -> tuple[Any, Array]:
        """The component with most of each row and the row's log density, framed."""
        if self.whole is not None:
            joint = self.whole.log_joint(rows.values, self.mixture.components)
        else:
            joint = self.mixture.log_joint(self.mixture.frame.apply(rows.values))
        return joint.argmax(axis=1), normalise(joint)
