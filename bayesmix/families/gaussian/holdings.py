"""Which rows a component holds, how many distinct values they take, and which rows fit worst."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.records import Known, Mixture, Rows

ROWS_NAMED = 20
# Rows times components of a chunk that are worth a compiler.
MUCH_WORK = 2**18


@dataclass(frozen=True)
class Holding:
    """What one component holds: how many rows, the first of them, distinct values by direction."""

    n_rows: int
    rows: tuple[int, ...]
    distinct: tuple[Array, ...]

    @property
    def distinct_counts(self) -> list[int]:
        return [len(values) for values in self.distinct]


@dataclass(frozen=True)
class Holdings:
    """What every component holds; additive over chunks."""

    each: tuple[Holding, ...]
    needed: int

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
        )


@dataclass(frozen=True)
class Held:
    """The rows that each component holds (its largest responsibility), seen along directions."""

    mixture: Mixture
    directions: list[Array]
    floor: Array
    needed: int

    def __call__(self, rows: Rows) -> Holdings:
        values = self.mixture.frame.apply(rows.values)
        labels = self._labels(rows, values)
        present = np.ones(len(rows), dtype=bool) if rows.weights is None else rows.weights > 0
        unit = np.sqrt(self.floor)
        each = []
        for k, axes in enumerate(self.directions):
            mine = np.flatnonzero((labels == k) & present)
            away = (values[mine] - self.mixture.components.means[k]) / unit
            distinct = tuple(np.unique(np.round(away @ axis, 9))[: self.needed] for axis in axes.T)
            first = tuple(int(row) + rows.first for row in mine[:ROWS_NAMED])
            each.append(Holding(len(mine), first, distinct))
        return Holdings(tuple(each), self.needed)

    def _labels(self, rows: Rows, values: Array) -> Any:
        """The component with most of each row; by the compiled kernel where that is much work."""
        n_components = self.mixture.n_components
        if len(values) * n_components < MUCH_WORK or find_spec("numba") is None:
            return self.mixture.log_joint(values).argmax(axis=1)
        known = Known.everything(len(rows), n_components, describe=True)
        return self.mixture.sweep(rows, known)[0].best


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
class Worst:
    """The ``n`` rows that a mixture explains worst."""

    mixture: Mixture
    n: int

    def __call__(self, rows: Rows) -> Lowest:
        values = self.mixture.frame.apply(rows.values)
        _, log_density = self.mixture.responsibilities(values)
        if rows.weights is not None:
            log_density[rows.weights == 0] = np.inf
        order = np.argsort(log_density, kind="stable")[: self.n]
        return Lowest(log_density[order], values[order].copy(), self.n)
