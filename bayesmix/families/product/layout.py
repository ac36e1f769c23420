"""Which columns every part of a product has: of the data, and of rows in a frame.

The two differ where a part lost a direction in which all rows agree (``Frame.basis``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.once import once
from bayesmix.protocols import Incomplete
from bayesmix.records import Frame, Summary

# Fields of a summary with an entry a column.
BY_COLUMN = ("centre", "scale", "minimum", "maximum", "gap", "constant", "mean", "lower", "upper")


@dataclass(frozen=True)
class Layout:
    """``columns`` of the data and of ``framed`` rows, part by part.

    ``labels`` are what messages and users call the parts; ``continuous`` ones may lose directions,
    ``far`` ones know densities of rows far away.
    """

    labels: tuple[str, ...]
    columns: tuple[tuple[int, ...], ...]
    framed: tuple[tuple[int, ...], ...]
    continuous: tuple[bool, ...]
    far: tuple[bool, ...]

    @property
    def n_columns(self) -> int:
        """D."""
        return sum(map(len, self.columns))

    @property
    def width(self) -> int:
        """D': how many columns framed rows have."""
        return sum(map(len, self.framed))

    @once
    def places(self) -> tuple[Integers, ...]:
        """``framed`` as arrays."""
        return tuple(np.array(own, dtype=np.int64) for own in self.framed)

    def split(self, values: Array) -> list[Array]:
        """The columns (n, D_i) of every part, of framed rows (n, D'); columns stay contiguous."""
        columns = values.T
        return [columns[own].T for own in self.places]

    def together(self, parts: Sequence[Array]) -> Array:
        """What parts say of their columns (..., D_i) as one array (..., D')."""
        out = np.empty((*parts[0].shape[:-1], self.width))
        for own, values in zip(self.places, parts, strict=True):
            out[..., own] = values
        return out

    def patterned(self, parts: Sequence[Incomplete]) -> Booleans:
        """Which framed columns (D',) are ``patterned`` in their part."""
        out = np.zeros(self.width, dtype=bool)
        for own, part in zip(self.places, parts, strict=True):
            out[own] = part.patterned
        return out

    def narrowed(self, width: int) -> Layout:
        """The layout of framed rows of this width: what is missing, the continuous part lost."""
        lost = self.n_columns - width
        if not lost:
            return self
        framed, first = [], 0
        for columns, loses in zip(self.columns, self.continuous, strict=True):
            own = len(columns) - lost * loses
            framed.append(tuple(range(first, first + own)))
            first += own
        return replace(self, framed=tuple(framed))

    def frames(self, frame: Frame) -> list[Frame]:
        """The frame of every part."""
        return [self._frame(frame, part) for part in range(len(self.columns))]

    def _frame(self, frame: Frame, part: int) -> Frame:
        if frame.basis is None:
            own = self.places[part]
            return Frame(frame.centre[own], frame.scale[own])
        assert frame.flat is not None
        rows = np.array(self.columns[part])
        centre, scale = frame.centre[rows], frame.scale[rows]
        flat = frame.flat[rows]
        mine = flat.any(axis=0)
        if not mine.any():
            return Frame(centre, scale)
        return Frame(centre, scale, frame.basis[rows][:, self.places[part]], flat[:, mine])

    def unframed(self, frame: Frame) -> Layout:
        """The layout out of a frame."""
        return self if frame.basis is None else replace(self, framed=self.columns)

    def joined(self, frames: Sequence[Frame]) -> Frame:
        """The frame of whole rows, from those of the parts."""
        n_columns = self.n_columns
        centre, scale = np.empty(n_columns), np.empty(n_columns)
        n_flat = sum(0 if own.flat is None else own.flat.shape[1] for own in frames)
        basis, flat = np.zeros((n_columns, n_columns - n_flat)), np.zeros((n_columns, n_flat))
        across = along = 0
        for columns, own in zip(self.columns, frames, strict=True):
            rows = list(columns)
            centre[rows], scale[rows] = own.centre, own.scale
            spanned = np.eye(len(rows)) if own.basis is None else own.basis
            basis[rows, along : along + spanned.shape[1]] = spanned
            along += spanned.shape[1]
            if own.flat is not None:
                flat[rows, across : across + own.flat.shape[1]] = own.flat
                across += own.flat.shape[1]
        return Frame(centre, scale, basis, flat) if n_flat else Frame(centre, scale)

    def summaries(self, summary: Summary) -> list[Summary]:
        """What is known of the columns of every part."""
        return [summary_of(summary, np.array(own)) for own in self.columns]

    def picked(self, wanted: Integers) -> list[tuple[Integers, Integers]]:
        """Of every part the wanted framed columns, by its own numbers, and their places there."""
        found = []
        for own in self.places:
            places = np.flatnonzero(np.isin(wanted, own))
            numbers = np.array([int(np.flatnonzero(own == one)[0]) for one in wanted[places]])
            found.append((numbers.astype(np.int64), places))
        return found

    def seen(self, columns: Integers) -> list[tuple[Integers, Integers]]:
        """The same with the columns of every part in its own order."""
        orders = [
            (np.argsort(numbers), numbers, places) for numbers, places in self.picked(columns)
        ]
        return [(numbers[order], places[order]) for order, numbers, places in orders]

    def at(self, framed: Sequence[Integers]) -> Layout:
        """The layout with all parts at these places, some of them at none."""
        return self.some(range(len(self.columns)), framed)

    def some(self, kept: Sequence[int], framed: Sequence[Integers]) -> Layout:
        """The layout of parts that are left, at these places."""
        places = tuple(tuple(map(int, own)) for own in framed)
        return Layout(
            tuple(self.labels[part] for part in kept),
            places,
            places,
            tuple(self.continuous[part] for part in kept),
            tuple(self.far[part] for part in kept),
        )


def summary_of(summary: Summary, columns: Integers) -> Summary:
    """What is known of some columns."""
    return replace(summary, **{name: getattr(summary, name)[columns] for name in BY_COLUMN})
