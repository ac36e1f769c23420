"""Categorical columns of which some pairs depend on each other within a component.

Columns linked by pairs form a block, whose table of answers is log-linear (Hagenaars 1988): free
margins of each component, and log odds ratios of the pairs that components share, or have of their
own. The M-step is iterative proportional fitting (Bishop, Fienberg & Holland 1975).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, ClassVar, NoReturn, TypeAlias

import numpy as np

from bayesmix.core.components import DensitiesAndStatistics, Named
from bayesmix.core.parameters import (
    REAL,
    Cell,
    Coordinate,
    Domain,
    Parameter,
    ReportedQuantity,
    parameter,
)
from bayesmix.core.restrictions import Restriction
from bayesmix.core.rows import Frame
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.categorical import Categorical
from bayesmix.families.coding import Level
from bayesmix.families.independent.columns import DrawnColumns
from bayesmix.families.independent.levels import Effect, LevelColumns, Levels, LevelsFamily
from bayesmix.families.independent.linear import NEVER, Sums, towards_zero
from bayesmix.families.without_prior import WithoutPrior
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.gaps import patterns
from bayesmix.numerics.memo import once

# Sweeps of proportional fitting, each of which adds to the likelihood, and the change of expected
# counts, relative to their sum, that ends them: rounding.
SWEEPS, PRECISION = 500, 1e-14

Pair: TypeAlias = tuple[int, int]
# Name or number of a column.
Column: TypeAlias = str | int


@dataclass(frozen=True)
class DependentLevels(Levels):
    """Levels of columns in ``blocks`` with ``dependent`` pairs; arrays over cells (..., C)."""

    blocks: tuple[tuple[int, ...], ...]
    dependent: tuple[Pair, ...]
    by_class: bool = False

    @classmethod
    def of(cls, numbers: Sequence[int], pairs: Sequence[Pair], by_class: bool) -> DependentLevels:
        """Return the levels of columns, those linked by pairs in one block."""
        blocks = [{column} for column in range(len(numbers))]
        for pair in pairs:
            linked = [block for block in blocks if block & set(pair)]
            blocks = [block for block in blocks if block not in linked] + [set().union(*linked)]
        ordered = sorted(tuple(sorted(block)) for block in blocks)
        return cls(tuple(numbers), tuple(ordered), tuple(pairs), by_class)

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shape of the table of each block."""
        return [tuple(self.numbers[d] for d in block) for block in self.blocks]

    @cached_property
    def cells(self) -> Levels:
        """The cells of each block as levels of one column."""
        return Levels(tuple(int(np.prod(shape)) for shape in self.shapes))

    @cached_property
    def answers(self) -> list[Integers]:
        """Level of each column of a block (m, cells) in its cells."""
        return [np.indices(shape).reshape(len(shape), -1) for shape in self.shapes]

    def table(self, by_cell: Array, block: int) -> Array:
        """Return the table (..., L, M, ...) of a block, of an array over cells (..., C)."""
        start, end = self.cells.pairs[block]
        return by_cell[..., start:end].reshape(*by_cell.shape[:-1], *self.shapes[block])

    def margins(self, by_cell: Array) -> Array:
        """Return sums by level (..., F) of an array over cells (..., C)."""
        out = np.empty((*by_cell.shape[:-1], int(self.ends[-1])))
        for (start, end), (_, number, place) in zip(self.pairs, self.places_of, strict=True):
            m, leading = len(self.blocks[number]), by_cell.ndim - 1
            others = tuple(leading + other for other in range(m) if other != place)
            out[..., start:end] = self.table(by_cell, number).sum(axis=others)
        return out

    @cached_property
    def places_of(self) -> list[tuple[int, int, int]]:
        """Column, its block, and its place in that, in the order of columns."""
        return sorted(
            (column, number, place)
            for number, block in enumerate(self.blocks)
            for place, column in enumerate(block)
        )

    def terms(self, block: int) -> list[tuple[int, ...]]:
        """Axes of the margins (K, L, M, ...) of a block that an estimate reproduces."""
        places = {column: 1 + place for place, column in enumerate(self.blocks[block])}
        own = [(0, place) for place in places.values()]
        component = (0,) if self.by_class else ()
        pairs = [(a, b) for a, b in self.dependent if a in places]
        return own + [(*component, *sorted((places[a], places[b]))) for a, b in pairs]

    @cached_property
    def effects(self) -> list[Effect]:
        """Free log odds of levels, then log odds ratios of pairs, against the first levels."""
        ratios = [
            Effect((a, b), (1 + first, 1 + second), shared=not self.by_class)
            for a, b in self.dependent
            for first, second in np.ndindex(self.numbers[a] - 1, self.numbers[b] - 1)
        ]
        return super().effects + ratios

    @property
    def ratios(self) -> list[Effect]:
        """The log odds ratios."""
        return [effect for effect in self.effects if len(effect.columns) == 2]

    def indicator(self, effect: Effect) -> Array:
        """Return 1 for the cells (C,) that an effect belongs to."""
        out, number = np.zeros(int(self.cells.ends[-1])), self.block_of(effect)
        start, end = self.cells.pairs[number]
        places = [self.blocks[number].index(column) for column in effect.columns]
        levels = np.array(effect.levels)[:, None]
        out[start:end] = (self.answers[number][places] == levels).all(axis=0)
        return out

    def block_of(self, effect: Effect) -> int:
        """Return the number of the block that an effect belongs to."""
        return next(j for j, block in enumerate(self.blocks) if effect.columns[0] in block)

    def some(self, columns: Integers) -> DependentLevels:
        """Return the levels of some columns, in their order."""
        place = {int(column): number for number, column in enumerate(columns)}
        blocks = [tuple(sorted(place[d] for d in own if d in place)) for own in self.blocks]
        pairs = tuple((place[a], place[b]) for a, b in self.dependent if a in place and b in place)
        numbers = tuple(self.numbers[int(d)] for d in columns)
        return DependentLevels(numbers, tuple(filter(None, blocks)), pairs, self.by_class)


class LogLinear(Domain):
    """Probabilities of cells; steps are added to log odds of levels and to log odds ratios."""

    def coordinates(self, parameter: Parameter, components: Any) -> Iterator[Coordinate[Array]]:
        reading, one = components.reading, np.ones(components.n_components)
        for effect in reading.effects:
            moved, place = _Tilted(reading.indicator(effect), reading.cells), effect.columns
            yield Coordinate(moved, one, place=(*place, *effect.levels), shared=effect.shared)


@dataclass(frozen=True)
class _Tilted:
    direction: Array
    cells: Levels

    def __call__(self, values: Array, steps: Array) -> Array:
        tilted = values * np.exp(steps[:, None] * self.direction)
        return tilted / self.cells.spread(self.cells.sums(tilted))


def log_odds_ratios(components: Any) -> Array:
    """Return log odds ratios (K, R) of the pairs, against the first levels."""
    reading, out = components.reading, []
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(components.cell_probabilities)
        for effect in reading.ratios:
            number = reading.block_of(effect)
            a, b = (reading.blocks[number].index(column) for column in effect.columns)
            # Other columns of the block are at their first levels.
            table = np.moveaxis(reading.table(logs, number), (1 + a, 1 + b), (1, 2))
            table = table[(..., *([0] * (table.ndim - 3)))]
            i, j = effect.levels
            out.append(table[:, i, j] - table[:, 0, j] - table[:, i, 0] + table[:, 0, 0])
    return np.column_stack(out) if out else np.zeros((components.n_components, 0))


def _cells_of_ratios(components: Any, values: Array) -> list[Cell]:
    return [
        (one.columns[0], f"{one.levels[0]}, with column {one.columns[1]} at {one.levels[1]}")
        for one in components.reading.ratios
    ]


@dataclass(frozen=True)
class DependentCategoricals(LevelColumns):
    """Probabilities of cells (K, C) at a point, block by block; 0 is allowed."""

    cell_probabilities: Array = field(metadata=parameter(LogLinear(0.0, 1.0)))
    reading: DependentLevels

    reports: ClassVar[tuple[ReportedQuantity, ...]] = (
        *LevelColumns.reports,
        ReportedQuantity("log odds ratio", log_odds_ratios, REAL, _cells_of_ratios),
    )
    independent_columns = False
    dense = False

    @classmethod
    def even(cls, n_components: int, reading: DependentLevels) -> DependentCategoricals:
        """Return components in which all answers are equally probable."""
        even = 1.0 / reading.cells.spread(reading.cells.sizes)
        return cls(np.tile(even, (n_components, 1)), reading)

    @property
    def n_components(self) -> int:
        return len(self.cell_probabilities)

    @once
    def probabilities(self) -> Array:
        """Probabilities of the levels of each column (K, F)."""
        return self.reading.margins(self.cell_probabilities)

    @property
    def expected_totals(self) -> Array:
        return self.probabilities

    @property
    def log_probabilities(self) -> Array:
        with np.errstate(divide="ignore"):
            return np.maximum(np.log(self.probabilities), NEVER)

    @property
    def sufficient(self) -> tuple[Array, ...]:
        with np.errstate(divide="ignore"):
            return (np.log(self.cell_probabilities),)

    @property
    def log_odds_ratios(self) -> Array:
        return log_odds_ratios(self)

    @property
    def linear(self) -> Any:
        """Return self, as missing answers need no linear form."""
        return self

    @property
    def patterned(self) -> Booleans:
        return np.zeros(len(self.reading.numbers), dtype=bool)

    def seen_in(self, columns: Integers) -> DependentCategoricals:
        return self.marginal(columns)

    def _seen_blocks(self, values: Array) -> Iterator[tuple[int, Integers, Integers, Any]]:
        """Yield block, its places that were seen, and rows and codes of these, by pattern."""
        for number, block in enumerate(self.reading.blocks):
            own = values[:, np.array(block)]
            places: Any
            rows: Any
            for places, rows in patterns(own, np.ones(len(block), dtype=bool)):
                if len(places):
                    shape = tuple(self.reading.shapes[number][place] for place in places)
                    answers = own[np.ix_(rows, places)].astype(np.intp)
                    yield number, places, rows, np.ravel_multi_index(tuple(answers.T), shape)

    def _seen_table(self, by_cell: Array, number: int, places: Integers) -> Array:
        """Return sums (K, cells) of a table over the places that were not seen."""
        hidden = [j for j in range(len(self.reading.blocks[number])) if j not in places]
        table = self.reading.table(by_cell, number).sum(axis=tuple(1 + j for j in hidden))
        return table.reshape(len(by_cell), -1)

    def expected_log_density(self, values: Array) -> Array:
        """Return log p(x | k) (n, K) of the answers that were seen."""
        out = np.zeros((len(values), self.n_components))
        with np.errstate(divide="ignore"):
            for number, places, rows, codes in self._seen_blocks(values):
                table = np.log(self._seen_table(self.cell_probabilities, number, places))
                out[rows] += table.T[codes]
        return out

    def seen(self, values: Array) -> DensitiesAndStatistics:
        return self.expected_log_density(values), partial(self.statistics, values)

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        """Count the cells, expected ones where a part of a block was seen."""
        totals = np.zeros_like(self.cell_probabilities)
        for number, places, rows, codes in self._seen_blocks(values):
            start, end = self.reading.cells.pairs[number]
            shape = self.reading.shapes[number]
            known = self._seen_table(self.cell_probabilities, number, places)
            counts = np.array(
                [np.bincount(codes, shares, known.shape[1]) for shares in responsibilities[rows].T]
            )
            spread = [shape[j] if j in places else 1 for j in range(len(shape))]
            ratios = np.divide(counts, known, out=np.zeros_like(counts), where=known > 0.0)
            table = self.reading.table(self.cell_probabilities, number)
            expected = table * ratios.reshape(self.n_components, *spread)
            totals[:, start:end] += expected.reshape(self.n_components, -1)
        return Sums(responsibilities.sum(axis=0), totals)

    def dense_filled(
        self, values: Array, labels: Integers, generator: np.random.Generator
    ) -> Array:
        return values

    def subset(self, keep: Integers) -> DependentCategoricals:
        return replace(self, cell_probabilities=self.cell_probabilities[keep])

    def products(self, shares: Array) -> Array:
        """Return probabilities (F, F) of two answers, over components with these shares."""
        p, reading = self.probabilities, self.reading
        out: Array = (p.T * shares) @ p
        for number, block in enumerate(reading.blocks):
            by_class = self.cell_probabilities * shares[:, None]
            for i in range(len(block)):
                for j in range(len(block)):
                    if i == j:
                        continue
                    order = np.array(sorted((i, j)))
                    table = self._seen_table(by_class, number, order).sum(axis=0)
                    numbers = [reading.shapes[number][place] for place in order]
                    table = table.reshape(numbers)
                    (a, b), (c, d) = reading.pairs[block[i]], reading.pairs[block[j]]
                    out[a:b, c:d] = table if i < j else table.T
        return out

    @property
    def covariances(self) -> Array:
        codes, D = self.reading.codes, len(self.reading.numbers)
        out = np.empty((self.n_components, D, D))
        for k in range(self.n_components):
            products = self.products(np.eye(self.n_components)[k]) * np.outer(codes, codes)
            sums = self.reading.sums(self.reading.sums(products).T)
            out[k] = sums - np.outer(self.means[k], self.means[k])
            np.fill_diagonal(out[k], self.deviations[k] ** 2)
        return out

    def marginal(self, columns: Integers) -> DependentCategoricals:
        return self._given(columns, {})

    def _given(self, columns: Integers, answers: dict[int, int]) -> DependentCategoricals:
        """Return the densities of columns given answers to others."""
        wanted, tables = [int(column) for column in columns], {}
        for number, block in enumerate(self.reading.blocks):
            table = self.reading.table(self.cell_probabilities, number)
            at = [slice(None), *(answers.get(column, slice(None)) for column in block)]
            table, left = table[tuple(at)], [d for d in block if d not in answers]
            gone = tuple(1 + place for place, column in enumerate(left) if column not in wanted)
            table, left = table.sum(axis=gone), [d for d in left if d in wanted]
            if left:
                order = sorted(range(len(left)), key=lambda place: wanted.index(left[place]))
                table = table.transpose(0, *(1 + place for place in order))
                table = table.reshape(self.n_components, -1)
                total = table.sum(axis=1, keepdims=True)
                even = np.full_like(table, 1.0 / table.shape[1])
                tables[number] = np.divide(table, total, out=even, where=total > 0.0)
        reading = self.reading.some(columns)
        return DependentCategoricals(np.hstack(list(tables.values())), reading)

    def conditional(
        self, columns: Integers, given: Integers, values: Array
    ) -> DependentCategoricals:
        return self._given(
            columns, dict(zip(given.tolist(), values.astype(int).tolist(), strict=True))
        )

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        out = np.empty((len(values), self.n_components, len(columns)))
        known, rows = np.unique(values, axis=0, return_inverse=True)
        for place, answers in enumerate(known):
            out[rows.reshape(-1) == place] = self.conditional(columns, given, answers).means
        return out

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        n = int(counts.sum())
        labels = np.repeat(np.arange(self.n_components), counts)
        return self.filled(np.full((n, len(self.reading.numbers)), np.nan), labels, generator)

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        """Draw missing cells from components ``labels``, given the observed cells."""
        out = values.copy()
        for number, columns in enumerate(self.reading.blocks):
            block = np.array(columns)
            start, end = self.reading.cells.pairs[number]
            own, answers = values[:, block], self.reading.answers[number]
            rows = np.flatnonzero(np.isnan(own).any(axis=1))
            gaps = np.isnan(own[rows])[:, :, None]
            possible = (gaps | (own[rows][:, :, None] == answers)).all(axis=1)
            p = np.cumsum(self.cell_probabilities[labels[rows], start:end] * possible, axis=1)
            drawn = (p < generator.random((len(rows), 1)) * p[:, -1:]).sum(axis=1)
            cells = np.minimum(drawn, end - start - 1)
            out[np.ix_(rows, block)] = answers[:, cells].T
        return out


@dataclass(frozen=True)
class DependentDraws(DrawnColumns):
    """S draws of probabilities of cells (S, K, C), from bootstrap refits."""

    cell_probabilities: Array
    reading: DependentLevels

    @property
    def sufficient(self) -> tuple[Array, ...]:
        with np.errstate(divide="ignore"):
            return (np.log(self.cell_probabilities),)

    @cached_property
    def components(self) -> DependentCategoricals:
        flat = self.cell_probabilities.reshape(-1, self.cell_probabilities.shape[2])
        return DependentCategoricals(flat, self.reading)

    def at(self, draw: int) -> DependentCategoricals:
        return DependentCategoricals(self.cell_probabilities[draw], self.reading)

    def parameters(self, frame: Frame) -> Named:
        shape = self.cell_probabilities.shape[:2]
        point = self.components
        return {
            "probabilities": (("component", "level"), point.probabilities.reshape(*shape, -1)),
            "log_odds_ratios": (("component", "pair"), point.log_odds_ratios.reshape(*shape, -1)),
            "means": (("component", "feature"), point.means.reshape(*shape, -1)),
        }


def fitted_table(counts: Array, terms: Sequence[tuple[int, ...]]) -> Array:
    """Return the log-linear table (K, L, M, ...) with the margins of ``counts`` in ``terms``."""
    axes = range(counts.ndim)
    others = [tuple(axis for axis in axes if axis not in term) for term in terms]
    margins = [counts.sum(axis=rest, keepdims=True) for rest in others]
    table, total = np.ones_like(counts), float(counts.sum())
    for _ in range(SWEEPS):
        change = 0.0
        for rest, margin in zip(others, margins, strict=True):
            own = table.sum(axis=rest, keepdims=True)
            change = max(change, float(np.abs(margin - own).max()))
            table = table * np.divide(margin, own, out=np.zeros_like(own), where=own > 0.0)
        if change <= PRECISION * total:
            break
    return table


def _checked_pairs(pairs: Any) -> Any:
    """Return pairs of columns, or raise an error."""
    try:
        found = tuple(tuple(pair) if not isinstance(pair, str) else () for pair in pairs)
    except TypeError:
        found = ()
    if not found or any(len(pair) != 2 or pair[0] == pair[1] for pair in found):
        raise InvalidInputError(
            "local_dependence must be pairs of different columns, such as [('a', 'b')], got "
            f"{pairs!r:.80}"
        )
    if len({frozenset(pair) for pair in found}) < len(found):
        raise InvalidInputError(f"local_dependence must name each pair once, got {pairs!r:.80}")
    return found


@dataclass(frozen=True, repr=False)
class DependentCategorical(WithoutPrior, LevelsFamily[DependentCategoricals]):
    """Categories of which some pairs depend on each other within a class (local dependence).

    Each pair has log odds ratios, of levels against the first ones; other columns are independent
    within classes, as in ``Categorical()``. Maximum likelihood only.

    Parameters
    ----------
    local_dependence : sequence of pairs
        Pairs of columns, by name or number.
    by_class : bool, default=False
        Whether each class has log odds ratios of its own; otherwise all classes share them.
    levels : sequence of sequences, optional
        Levels of each column; see ``Categorical``.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> ill = rng.random((2000, 1)) < 0.4
    >>> X = (rng.random((2000, 5)) < np.where(ill, 0.8, 0.2)).astype(int)
    >>> X[:, 1] = np.where(rng.random(2000) < 0.5, X[:, 0], X[:, 1])
    >>> family = bm.DependentCategorical(local_dependence=[(0, 1)])
    >>> m = bm.Mixture(2, family=family, random_state=0).fit(X)
    >>> bool((m.log_odds_ratios_ > 1.5).all()), m.n_parameters_
    (True, 12)
    """

    local_dependence: tuple[tuple[Column, Column], ...]
    by_class: bool = False
    levels: tuple[tuple[Level, ...], ...] | None = None

    name = "dependent_categorical"
    adjective = "categorical"
    title = "categorical with local dependence"
    with_article = "a DependentCategorical"
    keeps_zeros = True
    linear = False
    no_prior = (
        "a DependentCategorical has no prior here: use inference=MaximumLikelihood(), or "
        "Categorical()"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "local_dependence", _checked_pairs(self.local_dependence))

    def on_columns(self, names: Sequence[str] | None, n_columns: int) -> DependentCategorical:
        """Return the family with pairs by number."""
        numbers: dict[Column, int] = (
            {} if names is None else {name: place for place, name in enumerate(names)}
        )
        pairs = []
        for pair in self.local_dependence:
            places: list[Any] = [numbers.get(column, column) for column in pair]
            for column, place in zip(pair, places, strict=True):
                whole = isinstance(place, int | np.integer) and not isinstance(place, bool)
                if not whole or not 0 <= place < n_columns:
                    listed = ", ".join(map(repr, names or ())) or f"0 to {n_columns - 1}"
                    raise InvalidInputError(
                        f"local_dependence must name columns of X, got {column!r}: the columns "
                        f"are {listed}"
                    )
            if places[0] == places[1]:
                raise InvalidInputError(
                    f"local_dependence must be pairs of different columns, got {pair!r}"
                )
            pairs.append((int(places[0]), int(places[1])))
        return replace(self, local_dependence=tuple(pairs))

    @cached_property
    def reading(self) -> DependentLevels:
        """Levels of the columns, and their blocks."""
        plain = super().reading
        pairs: Any = self.local_dependence
        return DependentLevels.of(plain.numbers, pairs, self.by_class)

    def marginal(self, columns: Integers) -> Any:
        place = {int(column): number for number, column in enumerate(columns)}
        left = [(a, b) for a, b in self.local_dependence if a in place and b in place]
        assert self.levels is not None
        levels = tuple(self.levels[column] for column in columns)
        if not left:
            return Categorical(levels)
        pairs = tuple((place[a], place[b]) for a, b in left)
        return replace(self, local_dependence=pairs, levels=levels)

    def at_means(self, means: Array) -> NoReturn:
        raise UnsupportedError("shares of levels do not determine the cells of dependent columns")

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        even = DependentCategoricals.even(responsibilities.shape[1], self.reading)
        return even.statistics(values, responsibilities)

    def maximum_likelihood(
        self,
        statistics: Sums,
        previous: DependentCategoricals | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> DependentCategoricals:
        reading, totals = self.reading, statistics.totals
        # An empty component keeps its previous parameters, if there are any.
        before = DependentCategoricals.even(len(totals), reading).cell_probabilities
        if previous is not None and previous.cell_probabilities.shape == totals.shape:
            before = previous.cell_probabilities
        out = before.copy()
        for number, (start, end) in enumerate(reading.cells.pairs):
            table = fitted_table(reading.table(totals, number), reading.terms(number))
            flat = table.reshape(len(totals), -1)
            mass = flat.sum(axis=1, keepdims=True)
            np.divide(flat, mass, out=out[:, start:end], where=mass > 0.0)
        return DependentCategoricals(out, reading)

    def restricted(
        self,
        statistics: Sums,
        previous: DependentCategoricals | None,
        resolution: Array | None,
        frame: Frame,
        restriction: Restriction,
    ) -> NoReturn:
        raise UnsupportedError(
            "hold and equal restrict answers of Categorical(), and no DependentCategorical()"
        )

    def inside(self, statistics: Sums, present: Sums) -> Sums:
        return replace(statistics, totals=towards_zero(statistics.totals, present.totals))

    def as_draws(self, points: Sequence[DependentCategoricals]) -> Any:
        cells = np.array([point.cell_probabilities for point in points])
        return DependentDraws(cells, self.reading)

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Count the levels less one per column, and the log odds ratios."""
        return sum(1 if effect.shared else n_components for effect in self.reading.effects)
