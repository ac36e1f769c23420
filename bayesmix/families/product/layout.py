"""Column layout of a product, in the data and in the frame, and its sums.

The two differ if directions without extent were set aside (``Frame.basis``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, Self, TypeAlias, TypeVar, cast

import numpy as np

from bayesmix.core.components import Incomplete, Statistics
from bayesmix.core.rows import Frame, Rows, Summary
from bayesmix.core.sources import Source
from bayesmix.families.joint_statistics import StatisticsOfParts
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.cell_coordinates import Coordinates
from bayesmix.numerics.memo import once

# Fields of a summary with an entry per column.
BY_COLUMN = ("centre", "scale", "minimum", "maximum", "gap", "constant", "mean", "lower", "upper")


@dataclass(frozen=True)
class Layout:
    """Columns of each part, in the data and in the frame.

    ``labels`` name the parts; ``continuous`` ones may lose directions, ``far`` ones have far
    densities.
    """

    labels: tuple[str, ...]
    columns: tuple[tuple[int, ...], ...]
    framed: tuple[tuple[int, ...], ...]
    continuous: tuple[bool, ...]
    far: tuple[bool, ...]

    @property
    def n_columns(self) -> int:
        """Number of columns D."""
        return sum(map(len, self.columns))

    @property
    def width(self) -> int:
        """Number of framed columns D'."""
        return sum(map(len, self.framed))

    @once
    def places(self) -> tuple[Integers, ...]:
        return tuple(np.array(columns, dtype=np.int64) for columns in self.framed)

    @once
    def owners(self) -> tuple[Integers, Integers]:
        """Part of each framed column (D',), and its number in the part."""
        parts, numbers = np.empty((2, self.width), dtype=np.int64)
        for part, indices in enumerate(self.places):
            parts[indices], numbers[indices] = part, np.arange(len(indices))
        return parts, numbers

    def split(self, values: Array) -> list[Array]:
        """Return the framed columns (n, D_i) of each part, contiguous by column."""
        columns = values.T
        return [columns[indices].T for indices in self.places]

    def together(self, parts: Sequence[Array]) -> Array:
        """Combine arrays (..., D_i) of the parts into one (..., D')."""
        out = np.empty((*parts[0].shape[:-1], self.width))
        for part_columns, values in zip(self.places, parts, strict=True):
            out[..., part_columns] = values
        return out

    def patterned(self, parts: Sequence[Incomplete]) -> Booleans:
        """Return which framed columns (D',) are dependent in their part."""
        out = np.zeros(self.width, dtype=bool)
        for part_columns, part in zip(self.places, parts, strict=True):
            out[part_columns] = part.patterned
        return out

    def narrowed(self, width: int) -> Layout:
        """Return the layout for ``width`` framed columns, fewer in the continuous part."""
        lost = self.n_columns - width
        if not lost:
            return self
        framed, first = [], 0
        for columns, loses in zip(self.columns, self.continuous, strict=True):
            n_framed = len(columns) - lost * loses
            framed.append(tuple(range(first, first + n_framed)))
            first += n_framed
        return replace(self, framed=tuple(framed))

    def frames(self, frame: Frame) -> list[Frame]:
        return [self._frame(frame, part) for part in range(len(self.columns))]

    def _frame(self, frame: Frame, part: int) -> Frame:
        if frame.basis is None:
            indices = self.places[part]
            return Frame(frame.centre[indices], frame.scale[indices])
        assert frame.flat is not None
        rows = np.array(self.columns[part])
        centre, scale = frame.centre[rows], frame.scale[rows]
        flat = frame.flat[rows]
        mine = flat.any(axis=0)
        if not mine.any():
            return Frame(centre, scale)
        return Frame(centre, scale, frame.basis[rows][:, self.places[part]], flat[:, mine])

    def unframed(self, frame: Frame) -> Layout:
        return self if frame.basis is None else replace(self, framed=self.columns)

    def joined(self, frames: Sequence[Frame]) -> Frame:
        """Return the frame of all columns from those of the parts."""
        n_columns = self.n_columns
        centre, scale = np.empty(n_columns), np.empty(n_columns)
        n_flat = sum(0 if part.flat is None else part.flat.shape[1] for part in frames)
        basis, flat = np.zeros((n_columns, n_columns - n_flat)), np.zeros((n_columns, n_flat))
        across = along = 0
        for columns, part in zip(self.columns, frames, strict=True):
            rows = list(columns)
            centre[rows], scale[rows] = part.centre, part.scale
            spanned = np.eye(len(rows)) if part.basis is None else part.basis
            basis[rows, along : along + spanned.shape[1]] = spanned
            along += spanned.shape[1]
            if part.flat is not None:
                flat[rows, across : across + part.flat.shape[1]] = part.flat
                across += part.flat.shape[1]
        return Frame(centre, scale, basis, flat) if n_flat else Frame(centre, scale)

    def summaries(self, summary: Summary) -> list[Summary]:
        return [summary_of(summary, np.array(indices)) for indices in self.columns]

    def sources(self, source: Source) -> list[Source]:
        """Return the source of each part, for what families ask of it before a fit."""
        some = [SomeColumns(source, np.array(indices)) for indices in self.columns]
        return cast("list[Source]", some)

    def picked(self, wanted: Integers) -> list[tuple[Integers, Integers]]:
        """Return for each part the wanted framed columns, by number and position in ``wanted``."""
        parts, numbers = (of_column[wanted] for of_column in self.owners)
        order = np.argsort(parts, kind="stable")
        ends = np.searchsorted(parts[order], np.arange(len(self.places) + 1)).tolist()
        of_parts = [order[first:last] for first, last in pairwise(ends)]
        return [(numbers[places], places) for places in of_parts]

    def seen(self, columns: Integers) -> list[tuple[Integers, Integers]]:
        """Return ``picked`` with the columns of each part in ascending order."""
        orders = [
            (np.argsort(numbers), numbers, places) for numbers, places in self.picked(columns)
        ]
        return [(numbers[order], places[order]) for order, numbers, places in orders]

    def some(self, kept: Sequence[int], framed: Sequence[Integers]) -> Layout:
        """Return the layout of the parts ``kept`` at these positions."""
        places = tuple(tuple(map(int, indices)) for indices in framed)
        return Layout(
            tuple(self.labels[part] for part in kept),
            places,
            places,
            tuple(self.continuous[part] for part in kept),
            tuple(self.far[part] for part in kept),
        )


def summary_of(summary: Summary, columns: Integers) -> Summary:
    """Return the summary of some columns."""
    return replace(summary, **{name: getattr(summary, name)[columns] for name in BY_COLUMN})


Value = TypeVar("Value")


def _of_columns(step: Callable[[Rows], Value], columns: Integers, rows: Rows) -> Value:
    return step(replace(rows, values=rows.values[:, columns]))


@dataclass(frozen=True)
class SomeColumns:
    """Summary and sums of some columns of a source."""

    source: Source
    picked: Integers

    @property
    def shape(self) -> tuple[int, int]:
        return self.source.shape[0], len(self.picked)

    @property
    def total_weight(self) -> float:
        return self.source.total_weight

    @once
    def summary(self) -> Summary:
        return summary_of(self.source.summary, self.picked)

    @property
    def columns(self) -> tuple[str, ...] | None:
        names = self.source.columns
        return None if names is None else tuple(names[column] for column in self.picked)

    def reduce(self, step: Callable[[Rows], Value], width: int) -> Value:
        return self.source.reduce(partial(_of_columns, step, self.picked), width)

    def spread(self, n: int) -> SomeColumns:
        return replace(self, source=self.source.spread(n))


# An object of a part, of the same type as that of the product.
OfPart: TypeAlias = Any


@dataclass(frozen=True)
class PerPart:
    """A record of the parts of a product, each for its columns."""

    layout: Layout
    parts: tuple[OfPart, ...]

    def each(self, method: str, *split: Iterable[Any], **same: Any) -> tuple[Any, ...]:
        """Call a method of each part, with an argument of each ``split`` and the ``same`` ones."""
        return each(self.parts, method, *split, **same)

    def over(self, method: str, *split: Iterable[Any], **same: Any) -> Self:
        """Return the same record of what a method of each part returns."""
        return replace(self, parts=self.each(method, *split, **same))

    @property
    def labels(self) -> tuple[str, ...]:
        return self.layout.labels

    def by_label(self, method: str, split: Iterable[Any]) -> Iterator[tuple[str, str, Any]]:
        """Yield label, name and value of the dicts that a method of each part returns."""
        for label, found in zip(self.labels, self.each(method, split), strict=True):
            for name, value in found.items():
                yield label, name, value


def each(parts: Sequence[Any], method: str, *split: Iterable[Any], **same: Any) -> tuple[Any, ...]:
    """Call a method of each part, with an argument of each ``split`` and the ``same`` ones."""
    given = zip(parts, *split, strict=True)
    return tuple(getattr(part, method)(*own, **same) for part, *own in given)


@dataclass(frozen=True)
class CoordinatesOfParts:
    """The coordinates of each part side by side."""

    layout: Layout
    parts: tuple[Coordinates, ...]

    def __call__(self, values: Array) -> Array:
        pairs = zip(self.parts, self.layout.split(values), strict=True)
        return np.hstack([part(own) for part, own in pairs])


class ProductStatistics(PerPart, StatisticsOfParts):
    """Statistics of each part."""

    @property
    def counts(self) -> Array:
        counts: Array = self.parts[0].counts
        return counts

    @property
    def _parts(self) -> tuple[Statistics, ...]:
        return self.parts

    def _of(self, parts: Iterable[Statistics]) -> ProductStatistics:
        return ProductStatistics(self.layout, tuple(parts))
