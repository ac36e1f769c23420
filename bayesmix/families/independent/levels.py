"""Columns of levels, coded 0 to L - 1: sums of indicators, densities and families."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

import numpy as np
from scipy.special import logsumexp

from bayesmix.core.components import Named
from bayesmix.core.parameters import SHARE, ReportedQuantity, Simplex
from bayesmix.core.rows import Frame
from bayesmix.errors import InvalidInputError
from bayesmix.families.coding import Coding, Level
from bayesmix.families.independent.columns import ColumnsFamily, DrawnColumns, PointColumns
from bayesmix.families.independent.linear import (
    LinearInTotals,
    Observed,
    Reading,
    Sums,
    towards_zero,
)
from bayesmix.numerics.arrays import (
    IMPOSSIBLE,
    Array,
    Integers,
    Stored,
    has_gaps,
)
from bayesmix.numerics.cell_coordinates import Coordinates, Indicators, StandardisedCells

# Probabilities of the levels of each column.
LEVEL_SHARES = Simplex(0.0, 1.0, lambda components: components.reading.pairs)

P = TypeVar("P", bound="LevelColumns")
# Levels of a column on average from which looking levels up is faster than products of indicators.
FEWEST_PLACED = 8


@dataclass(frozen=True)
class Effect:
    """A free term of log probabilities: at the levels of a column, or of a pair of columns.

    ``shared``: whether all components have the same.
    """

    columns: tuple[int, ...]
    levels: tuple[int, ...]
    shared: bool = False


@dataclass(frozen=True)
class Levels(Reading):
    """Sufficient statistics of codes 0 to L - 1: indicators of levels.

    Arrays over levels (..., F) are ordered by column.
    """

    numbers: tuple[int, ...]  # L of each column

    @cached_property
    def sizes(self) -> Array:
        """Number of levels L (D,)."""
        return np.array(self.numbers, dtype=np.float64)

    @cached_property
    def ends(self) -> Integers:
        """End of the levels of each column (D,)."""
        return np.cumsum(self.numbers)

    @cached_property
    def starts(self) -> Integers:
        """Start of the levels of each column (D,)."""
        return self.ends - np.array(self.numbers)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Start and end of the levels of each column."""
        return list(zip(self.starts.tolist(), self.ends.tolist(), strict=True))

    @cached_property
    def codes(self) -> Array:
        """Code of each level (F,)."""
        return np.concatenate([np.arange(number, dtype=np.float64) for number in self.numbers])

    @property
    def effects(self) -> list[Effect]:
        """Free terms of log probabilities, against the first level of each column."""
        return [
            Effect((column,), (level,))
            for column, number in enumerate(self.numbers)
            for level in range(1, number)
        ]

    def places(self, columns: Integers) -> Integers:
        """Return the positions of the levels of some columns."""
        return np.concatenate([np.arange(self.starts[d], self.ends[d]) for d in columns])

    def subset(self, columns: Integers) -> Levels:
        return Levels(tuple(self.numbers[d] for d in columns))

    def sums(self, values: Array) -> Array:
        """Return sums over the levels of each column (..., D)."""
        return np.add.reduceat(values, self.starts, axis=-1)

    def spread(self, values: Array) -> Array:
        """Repeat values of columns (..., D) for each level (..., F)."""
        return np.repeat(values, self.numbers, axis=-1)

    def normalised(self, logs: Array) -> Array:
        """Normalise logarithms (..., F) over the levels of each column."""
        totals = [logsumexp(logs[..., start:end], axis=-1) for start, end in self.pairs]
        return logs - self.spread(np.stack(totals, axis=-1))

    def totals(self, values: Array) -> Array:
        """Return indicators of levels (F, n)."""
        out = np.zeros((int(self.ends[-1]), len(values)))
        places = values.T.astype(np.intp) + self.starts[:, None]
        out[places, np.arange(len(values))] = 1.0
        return out

    def observed(self, values: Array) -> Observed:
        """Return t(x), of columns with many levels by the positions of the observed levels."""
        if len(self.numbers) * FEWEST_PLACED > int(self.ends[-1]):
            return super().observed(values)
        codes = values + self.starts
        complete = not has_gaps(values)
        if not complete:
            codes[np.isnan(codes)] = self.ends[-1]
        return PlacedLevels(self, codes.astype(np.intp), complete)

    def gathered(self, by_level: Array, values: Array) -> Array:
        """Return sums (n, K) over columns of ``by_level`` (K, F) at the observed levels."""
        out = np.zeros((len(values), len(by_level)))
        for start, column in zip(self.starts, values.T, strict=True):
            out += by_level.T[column.astype(np.intp) + start]
        return out


@dataclass(frozen=True)
class PlacedLevels:
    """Positions (n, D) of the observed levels among all F, and F for missing values."""

    reading: Levels
    places: Integers
    complete: bool

    def products(self, slopes: Array) -> Array:
        table = np.zeros((slopes.shape[1] + 1, len(slopes)))
        table[:-1] = slopes.T
        out = table.take(self.places[:, 0], axis=0)
        for column in self.places.T[1:]:
            out += table.take(column, axis=0)
        return out

    def sums(self, responsibilities: Array) -> Sums:
        n_levels, n_columns = int(self.reading.ends[-1]), self.places.shape[1]
        totals = np.empty((responsibilities.shape[1], n_levels))
        for row, shares in zip(totals, responsibilities.T, strict=True):
            weights = np.repeat(shares, n_columns)
            row[:] = np.bincount(self.places.ravel(), weights, n_levels + 1)[:-1]
        known = None if self.complete else self.reading.spread(self.reading.sums(totals))
        return Sums(responsibilities.sum(axis=0), totals, known_counts=known)


def linear_in_levels(log_probabilities: Array, reading: Levels) -> LinearInTotals:
    """Return log p(x | θ_k) = Σ log p of the observed levels."""
    nothing = np.zeros((len(log_probabilities), len(reading.numbers)))
    return LinearInTotals(nothing, log_probabilities, reading)


class LevelColumns(PointColumns):
    """K densities of independent columns of levels, at a point."""

    reading: Levels
    reports: ClassVar[tuple[ReportedQuantity, ...]] = (
        ReportedQuantity(
            "probability",
            lambda components: components.expected_totals,
            SHARE,
            lambda components, values: [
                (column, level)
                for column, number in enumerate(components.reading.numbers)
                for level in range(number)
            ],
        ),
    )

    @property
    @abstractmethod
    def log_probabilities(self) -> Array:
        """Finite log p (K, F)."""

    @property
    @abstractmethod
    def expected_totals(self) -> Array:
        """Probabilities of levels (K, F)."""

    @cached_property
    def linear(self) -> LinearInTotals:
        return linear_in_levels(self.log_probabilities, self.reading)

    def expected_log_density(self, values: Array) -> Array:
        out = self.reading.gathered(self.log_probabilities, values)
        out[out < IMPOSSIBLE] = -np.inf
        return out

    def products(self, shares: Array) -> Array:
        """Return probabilities (F, F) of two answers, over components with these shares."""
        p = self.expected_totals
        return np.asarray((p.T * shares) @ p)

    @property
    def means(self) -> Array:
        """E[code] (K, D); codes number the levels of a column from 0."""
        return self.reading.sums(self.expected_totals * self.reading.codes)

    @property
    def deviations(self) -> Array:
        """Standard deviation of the codes of each column (K, D)."""
        squares = self.reading.sums(self.expected_totals * self.reading.codes**2)
        return np.sqrt(np.maximum(squares - self.means**2, 0.0))

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        n = int(counts.sum())
        rows = np.empty((n, len(self.reading.numbers)))
        for d, (start, end) in enumerate(self.reading.pairs):
            reached = np.cumsum(self.expected_totals[:, start : end - 1], axis=1)
            rows[:, d] = (generator.random((n, 1)) > np.repeat(reached, counts, axis=0)).sum(axis=1)
        return rows


class LevelDraws(DrawnColumns):
    """Draws of densities of columns of levels; ``sufficient`` are log p (S, K, F)."""

    reading: Levels

    @cached_property
    def components(self) -> LinearInTotals:
        logs = self.sufficient[0].reshape(-1, self.sufficient[0].shape[-1])
        return linear_in_levels(logs, self.reading)

    def parameters(self, frame: Frame) -> Named:
        shares = np.exp(self.sufficient[0])
        means = self.reading.sums(shares * self.reading.codes)
        return {
            "probabilities": (("component", "level"), shares),
            "means": (("component", "feature"), means),
        }


class LevelsFamily(ColumnsFamily[P], Generic[P]):
    """A family of independent columns of levels, a dataclass with a field ``levels``."""

    continuous = False
    ordered = False  # whether the order of levels matters
    with_article: ClassVar[str]  # for messages
    levels: tuple[tuple[Level, ...], ...] | None

    def level_probabilities(self, components: Any) -> dict[int, Array]:
        pairs = enumerate(components.reading.pairs)
        return {column: components.probabilities[:, start:end] for column, (start, end) in pairs}

    def __post_init__(self) -> None:
        if self.levels is not None:
            object.__setattr__(self, "levels", tuple(tuple(one) for one in self.levels))

    def __repr__(self) -> str:
        """Return the class with the parameters that differ from their defaults."""
        own: Any = self  # a dataclass
        given = [(one.name, getattr(self, one.name), one.default) for one in fields(own)]
        told = [f"{name}={value!r}" for name, value, default in given if value != default]
        return f"{type(self).__name__}({', '.join(told)})"

    def coordinates(self, values: Array) -> Coordinates:
        """Return indicators of the levels, between which all distances are equal; else scores."""
        return StandardisedCells.of(values) if self.ordered else Indicators.of(values)

    @cached_property
    def reading(self) -> Levels:
        """Sufficient statistics: indicators of levels."""
        if self.levels is None:
            raise InvalidInputError(
                f"levels of {self.with_article} family are not known before a fit"
            )
        return Levels(tuple(len(one) for one in self.levels))

    @property
    def coding(self) -> Coding | None:
        """Levels of the columns, once they are known."""
        if self.levels is None:
            return None
        return Coding(tuple(map(str, range(len(self.levels)))), self.levels)

    @property
    def mean_where_empty(self) -> Array:
        """Equal probabilities of all levels."""
        return 1.0 / self.reading.spread(self.reading.sizes)

    def on_columns(self, names: Sequence[str] | None, n_columns: int) -> Self:
        """Return the family for data with these columns, by default itself."""
        return self

    def with_levels(self, levels: Any) -> Self:
        """Return the family with the levels of its columns."""
        own: Any = self  # a dataclass, which the type of this base does not say
        return cast("Self", replace(own, levels=levels))

    def marginal(self, columns: Integers) -> Self:
        assert self.levels is not None
        return self.with_levels(tuple(self.levels[column] for column in columns))

    def check(self, values: Stored, first: int = 0) -> None:
        """Raise an error for values that are not codes of levels."""
        broken = (values != np.floor(values)) & ~np.isnan(values)
        wrong = (values < 0) | broken | (values >= self.reading.sizes)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise InvalidInputError(
                f"X must hold the codes 0 to {self.reading.sizes[column] - 1:g} of the levels of "
                f"column {column}, got {values[row, column]:g} in row {first + row}: name all "
                f"levels in {type(self).__name__}(levels=...)"
            )

    def inside(self, statistics: Sums, present: Sums) -> Sums:
        totals = towards_zero(statistics.totals, present.totals)
        known = self.reading.spread(self.reading.sums(totals))
        return replace(statistics, totals=totals, known_counts=known)
