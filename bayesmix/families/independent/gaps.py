"""Rows with gaps under independent columns: the factor of a missing cell is left out.

Missing at random, what a row says is the product over the columns that it has (Little & Rubin 2019,
sec. 6.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.numerics.arrays import Array, Booleans, Integers

if TYPE_CHECKING:
    from bayesmix.families.independent.columns import Columns
    from bayesmix.families.independent.linear import LinearInTotals


@dataclass(frozen=True)
class SeenTotals:
    """Linear forms of rows with gaps."""

    form: LinearInTotals

    @property
    def n_components(self) -> int:
        return self.form.n_components

    @property
    def patterned(self) -> Booleans:
        return np.zeros(self.form.constants.shape[1], dtype=bool)

    def seen_in(self, columns: Integers) -> SeenTotals:
        """Itself: gaps are left out wherever they are."""
        return self

    def expected_log_density(self, values: Array) -> Array:
        """(n, K), over the columns that a row has."""
        return self.form.seen(values)[0]


@dataclass(frozen=True)
class SeenColumns:
    """Any densities of independent columns, of rows with gaps: column by column."""

    columns: Columns

    @property
    def n_components(self) -> int:
        return self.columns.n_components

    @property
    def patterned(self) -> Booleans:
        return self.columns.patterned

    def seen_in(self, columns: Integers) -> SeenColumns:
        """Itself: gaps are left out wherever they are."""
        return self

    def expected_log_density(self, values: Array) -> Array:
        """log p(x | k) (n, K), over the columns that a row has."""
        gaps = np.isnan(values)
        some = gaps.any(axis=0)
        whole = np.flatnonzero(~some)
        out = np.zeros((len(values), self.n_components))
        if len(whole):
            out += self.columns.marginal(whole).expected_log_density(values[:, whole])
        for column in np.flatnonzero(some):
            rows = np.flatnonzero(~gaps[:, column])
            alone = self.columns.marginal(np.array([column]))
            out[rows] += alone.expected_log_density(values[rows][:, [column]])
        return out


def filled(
    columns: Columns, values: Array, labels: Integers, generator: np.random.Generator
) -> Array:
    """Rows with their gaps drawn from the components ``labels``."""
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=columns.n_components)
    drawn = np.empty(values.shape)
    drawn[order] = columns.draw(counts, generator)
    return np.where(np.isnan(values), drawn, values)
