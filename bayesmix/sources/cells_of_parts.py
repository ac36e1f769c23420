"""Cells of data in parts: centres from a sample, and sums from one pass over all observations.

An observation belongs to the nearest centre. Each chunk returns the sums of its cells, whose size
does not depend on the number of observations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy.sparse import csr_array

from bayesmix.numerics.memo import cached
from bayesmix.sources.condensed import VALUES_AT_ONCE, CellSource, Key, PartRead, condensed
from bayesmix.sources.memory import ArraySource

if TYPE_CHECKING:
    from bayesmix.core.components import Linear
    from bayesmix.core.families import Family
    from bayesmix.core.rows import Frame, Rows
    from bayesmix.core.sources import InMemory, Partitioned, Source
    from bayesmix.numerics.arrays import Array, Booleans, Integers
    from bayesmix.numerics.cell_coordinates import Coordinates

DISTANCES_AT_ONCE = 2**22


def nearest(coordinates: Array, centres: Array) -> Integers:
    """Return the nearest centre (n,) of each observation by coordinates (n, C), in blocks."""
    size = max(1, DISTANCES_AT_ONCE // len(centres))
    squares = 0.5 * (centres * centres).sum(axis=1)
    parts = [
        (coordinates[first : first + size] @ centres.T - squares).argmax(axis=1)
        for first in range(0, len(coordinates), size)
    ]
    return np.concatenate(parts)


@dataclass(frozen=True)
class Nearest:
    """The cells of all observations: those of the nearest of the centres (M, C)."""

    centres: Array
    coordinates: Coordinates

    def __call__(self, values: Array) -> Integers:
        return nearest(np.ascontiguousarray(self.coordinates(values)), self.centres)


@dataclass(frozen=True)
class CellSums:
    """Sums over the cells of a chunk: weights (M,), and for each reading those of its values.

    After the values (M, C) come the features (M, F) of its forms.
    """

    weights: Array
    read: tuple[tuple[Array, ...], ...]

    def __add__(self, other: CellSums) -> CellSums:
        pairs = zip(self.read, other.read, strict=True)
        read = tuple(tuple(map(np.add, *pair)) for pair in pairs)
        return CellSums(self.weights + other.weights, read)

    def means(self, kept: Booleans) -> list[list[Array]]:
        """Return the means of values and features over the cells that are kept."""
        weights = self.weights[kept, None]
        return [[sums[kept] / weights for sums in own] for own in self.read]


# Forms of a family in their frames.
Forms: TypeAlias = "tuple[tuple[Linear, Frame], ...]"


@dataclass(frozen=True)
class CellStep:
    """A pass over a chunk: its sums over cells, by readings and the forms of each."""

    nearest: Nearest
    read: tuple[tuple[PartRead, Forms], ...]

    def __call__(self, rows: Rows) -> CellSums:
        widths = [form.coefficients.shape[1] for _, forms in self.read for form, _ in forms]
        blocks = rows.cut(max(1, VALUES_AT_ONCE // max([*widths, rows.values.shape[1]])))
        return reduce(add, map(self._of_block, blocks))

    def _of_block(self, block: Rows) -> CellSums:
        values = np.asarray(block.values, dtype=np.float64)
        n, n_cells = len(block), len(self.nearest.centres)
        labels, weights = self.nearest(values), block.weights_or_ones
        members: Any = csr_array((weights, labels, np.arange(n + 1)), shape=(n, n_cells)).T
        read: list[tuple[Array, ...]] = []
        for reading, forms in self.read:
            own = reading(values)
            features = (form.features(frame.apply(own)).T for form, frame in forms)
            read.append((members @ own, *(members @ each for each in features)))
        counts: Array = np.bincount(labels, weights, n_cells).astype(np.float64)
        return CellSums(counts, tuple(read))


@dataclass(frozen=True, repr=False)
class CellsOfParts(CellSource):
    """Cells of data in parts, ``every``; ``members`` are those of which families ask before a fit.

    These are all observations, or those of the sample for what is read of their columns.
    """

    every: Partitioned = field(kw_only=True)
    nearest: Nearest = field(kw_only=True)
    kept: Booleans = field(kw_only=True)  # (M,) centres whose cells have weight
    reading: PartRead = field(kw_only=True)
    # Cells of what was read before, by its key.
    others: dict[Key, CellsOfParts] = field(kw_only=True, compare=False)

    @classmethod
    def found(
        cls,
        every: Partitioned,
        nearest: Nearest,
        asked: Sequence[tuple[Family, PartRead]],
    ) -> CellsOfParts:
        """Return the cells, from one pass that also has the features that families read."""
        whole = PartRead(tuple(range(every.shape[1])))
        read: dict[Key, tuple[PartRead, list[tuple[Linear, Frame]]]] = {whole.key: (whole, [])}
        labels = nearest(_values(every.some))
        for family, reading in asked:
            members = _members(every, reading)
            frame, _ = family.set_aside(family.frame(members.summary), members)
            some = ArraySource(reading(_values(every.some)), every.some.weights)
            form = condensed(some, labels).form(family, frame)
            _, known = read.setdefault(reading.key, (reading, []))
            if not any(form.kind == one.kind and frame.equals(like) for one, like in known):
                known.append((form, frame))
        step = CellStep(nearest, tuple((own, tuple(known)) for own, known in read.values()))
        sums = every.reduce(step, 1)
        kept = sums.weights > 0.0
        others: dict[Key, CellsOfParts] = {}
        for (reading, forms), (values, *features) in zip(step.read, sums.means(kept), strict=True):
            cells = cls(
                values,
                sums.weights[kept],
                every.n_jobs,
                every.columns if reading is whole else None,
                members=_members(every, reading),
                every=every,
                nearest=nearest,
                kept=kept,
                reading=reading,
                others=others,
            )
            for (form, frame), means in zip(forms, features, strict=True):
                cells.keep_features(form, frame, np.ascontiguousarray(means.T))
            others[reading.key] = cells
        return others[whole.key]

    @property
    def looked_at(self) -> Array:
        return _values(self.every.some)

    def along(self, frame: Frame) -> CellSource:
        """Return the cells themselves: passes over data in parts read all columns."""
        return self

    def read(self, reading: PartRead) -> CellSource:
        """Return the cells of what is read, in a pass over the members if it is new."""
        if reading.key not in self.others:
            ((values,),) = self._means(reading, ())
            members = _members(self.every, reading)
            changed: dict[str, Any] = {"members": members, "reading": reading, "columns": None}
            self.others[reading.key] = replace(self, values=values, **changed)
        return self.others[reading.key]

    def _mean_features(self, form: Linear, frame: Frame) -> Array:
        ((_, means),) = self._means(self.reading, ((form, frame),))
        return np.ascontiguousarray(means.T)

    def _means(self, reading: PartRead, forms: Forms) -> list[list[Array]]:
        sums = self.every.reduce(CellStep(self.nearest, ((reading, forms),)), 1)
        return sums.means(self.kept)


def _values(sample: InMemory) -> Array:
    return np.asarray(sample.values, dtype=np.float64)


def _members(every: Partitioned, reading: PartRead) -> Source:
    """Return all observations, or what is read of the sample of them, as if it were all."""
    if reading.key == PartRead(tuple(range(every.shape[1]))).key:
        return every

    def of_sample() -> ArraySource:
        some = ArraySource(reading(_values(every.some)), every.some.weights)
        members = some.standing_for(every.total_weight)
        total: dict[str, Any] = {"n_rows": every.shape[0], "total_weight": every.total_weight}
        members.__dict__["summary"] = replace(some.summary, **total)
        return members

    return cached(every, ("members", *reading.key), of_sample)
