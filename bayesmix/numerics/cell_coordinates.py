"""Coordinates in which k-means looks for cells: maps that a sample decides, for all data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from bayesmix.numerics.arrays import Array

# From values (n, D) to coordinates (n, C); may be pickled.
Coordinates: TypeAlias = "Callable[[Array], Array]"


@dataclass(frozen=True)
class StandardisedCells:
    """Columns, after a change of each value, of mean 0 and variance 1; constant ones are 0."""

    mean: Array
    deviations: Array
    change: Callable[[Array], Array]

    @classmethod
    def of(cls, values: Array, change: Callable[[Array], Array] = np.asarray) -> StandardisedCells:
        """Return the map under which these values (n, D) have mean 0 and variance 1."""
        changed = change(values)
        mean = changed.mean(axis=0)
        deviations = (changed - mean).std(axis=0)
        return cls(mean, np.where(deviations > 0.0, deviations, 1.0), change)

    def __call__(self, values: Array) -> Array:
        return (self.change(values) - self.mean) / self.deviations


@dataclass(frozen=True)
class Indicators:
    """Indicators of levels by column, between which all distances are equal.

    A code of no level has none.
    """

    sizes: tuple[int, ...]

    @classmethod
    def of(cls, values: Array) -> Indicators:
        """Return the map for codes (n, D) up to the largest of each column."""
        return cls(tuple(int(column.max()) + 1 for column in values.T))

    def __call__(self, values: Array) -> Array:
        codes = values.astype(np.int64)
        indicators = [
            np.equal.outer(column, np.arange(size))
            for column, size in zip(codes.T, self.sizes, strict=True)
        ]
        return np.hstack(indicators) / np.sqrt(2.0)
