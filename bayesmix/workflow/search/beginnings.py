"""Where new components begin: among rows of a component that lie close together, along a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.once import once
from bayesmix.records import Rows
from bayesmix.workflow.search.splits import SHARE_TO_COUNT, whitened

# How many rows a new component must hold, times columns and one: fewer are an accident of the rows
# (decision 28). It begins with as many at least, and with a share of those of the component that it
# begins in at most; between them so many sizes.
FEWEST_TO_KEEP = 5.0
LARGEST_SHARE = 0.25
SIZES = 7
# It begins among rows that are near a line through two of them, how much longer than wide at most,
# and among how many times as many rows the other one is. Equal rows are no line.
MOST_STRETCHED = 60.0
AROUND = 3
NO_LENGTH = 1e-12
# Where it begins with so many rows it looks at one in so many of all at first.
MANY_ROWS = 72
ONE_OF = 3
# How many rows those that begin in the same component look at, and how many at once.
MOST_LOOKED_AT = 2**21
LOOKED_AT_ONCE = 2**17
ROWS_OF_A_BLOCK = 150


def fewest_to_keep(values: Array) -> int:
    """How many of these rows (n, D) a new component must hold."""
    return int(FEWEST_TO_KEEP * (values.shape[1] + 1))


@dataclass(frozen=True)
class HeldRows:
    """The rows that a component holds, in an order in which those of a block lie close together."""

    mine: Integers  # (n,) their places
    rows: Rows  # as stored
    values: Array  # (n, D), framed
    white: Array  # (n, d), where the scatter of the component is 1
    weights: Array  # (n,), as far as the component holds them
    log_density: Array  # (n,) of the mixture

    @classmethod
    def of(cls, rows: Rows, values: Array, share: Array, log_density: Array) -> HeldRows:
        """Those of all rows that have a share in a component."""
        weights = rows.weights_or_ones
        mine = np.flatnonzero((share > SHARE_TO_COUNT) & (weights > 0.0))
        white = np.zeros((0, 0))
        if len(mine):
            white = whitened(values[mine], share[mine] * weights[mine])
        order = by_place(white)
        mine = mine[order]
        held = share[mine] * weights[mine]
        return cls(mine, rows.some(mine), values[mine], white[order], held, log_density[mine])

    def begun(self, k: int, rows: Integers, generator: np.random.Generator) -> list[Begun]:
        """New components in component ``k``, which holds these rows, each at one of ``rows``.

        Those that begin with many rows look at some of them.
        """
        if not len(self.sizes):
            return []
        order = self.mine.argsort()
        last = len(order) - 1
        at = order[np.minimum(np.searchsorted(self.mine, rows, sorter=order), last)]
        at = at[self.mine[at] == rows]
        sizes = generator.choice(self.sizes, len(at))
        begun, large = [], sizes >= MANY_ROWS
        for these, many in ((~large, 1), (large, ONE_OF)):
            some = self.one_of(many)
            most = max(1, MOST_LOOKED_AT // len(some.mine))
            places, own = at[these][:most] // many, sizes[these][:most] // many
            if len(places):
                begun.append(Begun(k, some, places, own, *generator.spawn(1)))
        return begun

    def one_of(self, many: int) -> HeldRows:
        """One row of so many that lie close together, each in the place of all of them."""
        if many == 1:
            return self
        weights = self.rows.weights_or_ones
        return HeldRows(
            self.mine[::many],
            Rows(self.rows.values[::many], many * weights[::many]),
            self.values[::many],
            self.white[::many],
            many * self.weights[::many],
            self.log_density[::many],
        )

    @once
    def sizes(self) -> Integers:
        """With how many rows new ones begin: small numbers are as likely as large ones."""
        fewest = fewest_to_keep(self.values)
        largest = int(LARGEST_SHARE * len(self.mine))
        if largest <= fewest:
            return np.zeros(0, dtype=np.intp)
        return np.unique(np.geomspace(fewest, largest, SIZES).astype(np.intp))

    def at_once(self, some: Integers) -> Iterator[Integers]:
        """Some, so many at a time that all rows here for each are not too much."""
        size = max(1, LOOKED_AT_ONCE // len(self.mine))
        for start in range(0, len(some), size):
            yield some[start : start + size]

    def nearest(self, places: Integers, size: int, generator: np.random.Generator) -> Any:
        """Whether rows (m, n) are among so many and one that are nearest to the one at a place.

        They are nearest along a line through it and a row that is not far.
        """
        white = self.white
        at = white[places]
        lines = self._not_far(at, size, generator) - at
        lines /= np.maximum(np.sqrt(np.square(lines).sum(axis=1, keepdims=True)), NO_LENGTH)
        longer = MOST_STRETCHED ** generator.random(len(places))
        along = lines @ white.T
        along -= (lines * at).sum(axis=1, keepdims=True)
        np.square(along, out=along)
        along *= (longer**-2.0 - 1.0)[:, None]
        along += _away(at, white)
        return along <= np.partition(along, size, axis=1)[:, size, None]

    def _not_far(self, at: Array, size: int, generator: np.random.Generator) -> Array:
        """A row for each: the nearest of some that are drawn, of which one is among as many."""
        n = len(self.mine)
        some = self.white[generator.choice(n, max(2, round(n / (AROUND * size))), replace=False)]
        away = _away(at, some)
        away += np.square(at).sum(axis=1, keepdims=True)
        away[away <= NO_LENGTH] = np.inf
        chosen: Array = some[away.argmin(axis=1)]
        return chosen


def _away(at: Array, values: Array) -> Array:
    """Squared distances (m, n) but for what is the same for all ``values``."""
    away: Array = -2.0 * at @ values.T
    away += np.square(values).sum(axis=1)
    return away


def by_place(white: Array) -> Integers:
    """An order of rows (n, d) in which those of a block lie close together."""
    n, d = white.shape
    if d == 0:
        return np.arange(n)
    strips = max(1, round(np.sqrt(n / ROWS_OF_A_BLOCK)))
    strip = white[:, -1].argsort().argsort() * strips // n
    return np.lexsort((white[:, 0], strip))


@dataclass(frozen=True)
class Begun:
    """New components that begin at rows of one."""

    k: int  # the component that they begin in
    held: HeldRows  # some of its rows
    places: Integers  # (m,) of the rows among those held
    sizes: Integers  # (m,) with how many of these they begin
    generator: np.random.Generator  # for these alone

    def near(self) -> Iterator[Any]:
        """Whether rows are near (m, n), for some of them at a time."""
        for size in np.unique(self.sizes).tolist():
            for at in self.held.at_once(self.places[self.sizes == size]):
                yield self.held.nearest(at, size, self.generator)
