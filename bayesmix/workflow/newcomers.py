"""New components, each fitted by itself beside a mixture that stays as it is.

EM of one component against a density that does not change, over the rows of the component that it
begins in (Verbeek, Vlassis & Kröse 2003): thousands side by side cost about as much as some dozen
passes of the mixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.engine.compiled import swept
from bayesmix.engine.expectation import densities
from bayesmix.engine.run import Problem, State
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.logsumexp import beside
from bayesmix.numerics.once import once
from bayesmix.parallel import ordered_map
from bayesmix.records import Known, Mixture, Rows, finished
from bayesmix.weights import PointWeights
from bayesmix.workflow.splits import SHARE_TO_COUNT, Look, is_sound, placed, updated, whitened

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
# Where it begins with so many rows it looks at one in so many of all at first, for so many passes.
MANY_ROWS = 72
ONE_OF = 3
PASSES_OF_SOME = 6
# Passes over all rows, and how many of those begun go on after them.
STAGES = ((1, 60), (10, 20))
# The fewest rows, the largest share of all, and the least log density that rows have.
LEAST_COUNT = 1.0
LARGEST = 0.5
LEAST_LOG_DENSITY = -700.0
# How many rows those that begin in the same component look at, and how many at once.
MOST_LOOKED_AT = 2**21
LOOKED_AT_ONCE = 2**17
ROWS_OF_A_BLOCK = 150


def fewest_to_keep(values: Array) -> int:
    """How many of these rows (n, D) a new component must hold."""
    return round(FEWEST_TO_KEEP * (values.shape[1] + 1))


@dataclass(frozen=True)
class Held:
    """The rows that a component holds, in an order in which those of a block lie close together."""

    mine: Integers  # (n,) their places
    rows: Rows  # as stored
    values: Array  # (n, D), framed
    white: Array  # (n, d), where the scatter of the component is 1
    weights: Array  # (n,), as far as the component holds them
    log_density: Array  # (n,) of the mixture

    def each(self, n_newcomers: int) -> Known:
        """Every row knows all of so many new components, each by itself beside the mixture."""
        n = len(self.mine)
        everything = np.arange(n), np.array([0, n]), np.arange(n_newcomers)[None]
        return Known(*everything, beside=self.log_density)

    def one_of(self, many: int) -> Held:
        """One row of so many that lie close together, each in the place of all of them."""
        if many == 1:
            return self
        own = self.rows.weights
        weights = np.ones(len(self.mine)) if own is None else own
        return Held(
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
    held: Held  # some of its rows
    places: Integers  # (m,) of the rows among those held
    sizes: Integers  # (m,) with how many of these they begin
    generator: np.random.Generator  # for these alone

    def near(self) -> Iterator[Any]:
        """Whether rows are near (m, n), for some of them at a time."""
        for size in np.unique(self.sizes).tolist():
            for at in self.held.at_once(self.places[self.sizes == size]):
                yield self.held.nearest(at, size, self.generator)


@dataclass(frozen=True)
class Newcomers:
    """New components side by side over the rows of one."""

    k: int  # the component that they begin in
    held: Held  # some of its rows, or all
    statistics: Any
    gains: Array  # (m,) nats, which a pass tells

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.gains)

    def subset(self, keep: Any) -> Newcomers:
        """Some of them, where ``keep`` (m,) is true."""
        some = np.flatnonzero(keep)
        return replace(self, statistics=self.statistics.subset(some), gains=self.gains[some])

    def sound(self, problem: Problem, state: State) -> list[Newcomers]:
        """Those that do not collapse, found by halves."""
        if is_sound(problem, state, self.statistics):
            return [self]
        if self.size == 1:
            return []
        first = np.arange(self.size) < self.size // 2
        halves = self.subset(first), self.subset(~first)
        return [part for half in halves for part in half.sound(problem, state)]


@dataclass(frozen=True)
class Newcomer:
    """One of them."""

    k: int
    halves: Any  # statistics of what it leaves of component ``k``, and of what it takes
    row: int  # of which it takes most


@dataclass(frozen=True)
class Present:
    """A mixture that stays as it is, and the rows of its problem."""

    problem: Problem
    state: State
    look: Look  # at the rows of the problem

    @once
    def weights(self) -> Array:
        """Those of the rows (n,)."""
        return self.look.weights_of(self.problem.source)

    @once
    def held(self) -> list[Held]:
        """The rows of every component."""
        source: Any = self.problem.source
        log_density = np.maximum(self.look.log_normaliser, LEAST_LOG_DENSITY)
        held = []
        for share in self.look.shares.T:
            mine = np.flatnonzero(share > SHARE_TO_COUNT)
            white = whitened(self.look.values[mine], share[mine] * self.weights[mine])
            order = by_place(white)
            mine, white = mine[order], white[order]
            weights = None if source.weights is None else source.weights[mine]
            rows, own = Rows(source.values[mine], weights), share[mine] * self.weights[mine]
            held.append(Held(mine, rows, self.look.values[mine], white, own, log_density[mine]))
        return held

    @property
    def by_kernel(self) -> bool:
        """Whether a compiled kernel runs the passes."""
        return self.problem.by_kernel(self.state.at(), self.state.form_of_parts)

    @property
    def n_threads(self) -> int:
        """How many may work at once."""
        return self.problem.threads_beside(self.state.at().n_components)

    def begun(self, generator: np.random.Generator, most: int) -> list[Begun]:
        """At most so many new components, each begun at a row that is drawn.

        Those that begin with many rows look at some of them.
        """
        rows = generator.choice(len(self.weights), most, p=self.weights / self.weights.sum())
        of_rows = self.look.shares[rows].argmax(axis=1)
        begun = []
        for k, (held, own) in enumerate(
            zip(self.held, generator.spawn(len(self.held)), strict=True)
        ):
            place = np.full(len(self.weights), -1)
            place[held.mine] = np.arange(len(held.mine))
            at = place[rows[of_rows == k]]
            at = at[at >= 0]
            if len(at) and len(held.sizes):
                sizes = own.choice(held.sizes, len(at))
                large = sizes >= MANY_ROWS
                for these, many in ((~large, 1), (large, ONE_OF)):
                    some = held.one_of(many)
                    most = max(1, MOST_LOOKED_AT // len(some.mine))
                    here, of = at[these][:most] // many, sizes[these][:most] // many
                    if len(here):
                        begun.append(Begun(k, some, here, of, *own.spawn(1)))
        return sorted(begun, key=lambda some: -len(some.places) * len(some.held.mine))

    def as_they_begin(self, begun: list[Begun]) -> Iterator[Newcomer]:
        """All of them, with the rows that they begin with."""
        for each in begun:
            for some in each.near():
                for near in some:
                    yield newcomer(self.problem.family, each.k, each.held, near)

    def fitted(
        self, begun: list[Begun], earlier: Sequence[Newcomer], apart: float
    ) -> Iterator[Newcomer]:
        """Those that gain most, of all that have rows enough.

        Two that gain as much to ``apart`` nats are one. Those that were found ``earlier``, beside
        another mixture, go on beside this one.
        """
        fewest = fewest_to_keep(self.look.values)
        groups = self.among_all(self.after(self.grouped(begun), PASSES_OF_SOME))
        for (passes, most), more in zip(STAGES, (earlier, ()), strict=True):
            groups = best_of(self.after(groups, passes), most, fewest, apart) + self._again(more)
        for group, components in self._updated(groups):
            shares, _, _ = self._shares(components, group.held)
            for share in shares.T:
                yield newcomer(self.problem.family, group.k, group.held, share)

    def _again(self, earlier: Sequence[Newcomer]) -> list[Newcomers]:
        """Newcomers with the rows that they took, beginning in the components that hold these."""
        of_each: dict[int, list[Any]] = {}
        for one in earlier:
            k = int(self.look.shares[one.row].argmax())
            of_each.setdefault(k, []).append(one.halves.subset(np.array([1])))
        return self._joined({k: some for k, some in of_each.items() if len(self.held[k].sizes)})

    def among_all(self, groups: list[Newcomers]) -> list[Newcomers]:
        """All of them, among all rows of the component that they began in."""
        of_each: dict[int, list[Any]] = {}
        for group in groups:
            of_each.setdefault(group.k, []).append(group.statistics)
        return self._joined(of_each)

    def _joined(self, of_each: dict[int, list[Any]]) -> list[Newcomers]:
        """Newcomers with these statistics in components."""
        joined = []
        for k, some in sorted(of_each.items()):
            statistics = type(some[0]).joined(some)
            gains = np.zeros(len(statistics.counts))
            joined.append(Newcomers(k, self.held[k], statistics, gains))
        return joined

    def after(self, groups: list[Newcomers], passes: int) -> list[Newcomers]:
        """All after so many passes; without those that collapsed."""
        for _ in range(passes):
            groups = list(ordered_map(self._passed, self._updated(groups), self.n_threads))
        return groups

    def grouped(self, begun: list[Begun]) -> list[Newcomers]:
        """With the statistics of the rows that they begin with."""
        return list(ordered_map(self._summed, begun, self.n_threads))

    def _summed(self, begun: Begun) -> Newcomers:
        held, parts = begun.held, []
        _, statistics = densities(self.state.at(), self.state.form_of_parts, held.rows)
        for near in begun.near():
            parts.append(finished(statistics(near.T * held.weights[:, None])))
        sums = type(parts[0]).joined(parts)
        return Newcomers(begun.k, held, sums, np.zeros(len(sums.counts)))

    def _updated(self, groups: list[Newcomers]) -> Iterator[tuple[Newcomers, Mixture]]:
        """Those that have rows and do not collapse, and the components that they become.

        Their weights are the odds of their share of all rows.
        """
        left = [group.subset(group.statistics.counts >= LEAST_COUNT) for group in groups]
        left = [group for group in left if group.size]
        sound, together = updated(self.problem, self.state, left)
        for group, keep in placed(sound):
            shares = group.statistics.counts / self.problem.source.total_weight
            shares = np.minimum(shares, LARGEST)
            components = together.components.linear.subset(keep)
            yield group, Mixture(PointWeights(shares / (1.0 - shares)), components, together.frame)

    def _passed(self, begun: tuple[Newcomers, Mixture]) -> Newcomers:
        """After the E-step of each by itself."""
        group, components = begun
        held = group.held
        if self.by_kernel:
            found, sums = swept(
                components, self.state.form_of_parts, held.rows, held.each(group.size)
            )
            gains = found.of_groups[:, 0]
        else:
            shares, gains, statistics = self._shares(components, held)
            weights = held.rows.weights
            sums = statistics(shares if weights is None else shares * weights[:, None])
        # What the share of each costs all rows.
        room = self.problem.source.total_weight * np.log1p(components.weights.probabilities)
        return replace(group, statistics=finished(sums), gains=gains - room)

    def _shares(
        self, components: Mixture, held: Held
    ) -> tuple[Array, Array, Callable[[Array], Any]]:
        """Shares (n, m) of rows, Σ w log(1 + odds) (m,), and what makes sums of shares."""
        odds, statistics = densities(components, self.state.form_of_parts, held.rows)
        odds += components.weights.expected_log()
        odds -= held.log_density[:, None]
        shares = beside(odds)
        gains = odds - np.log(shares)
        weights = held.rows.weights
        return shares, gains.sum(axis=0) if weights is None else weights @ gains, statistics


def newcomer(family: Any, k: int, held: Held, shares: Any) -> Newcomer:
    """One that takes these shares (n,) of rows that a component holds."""
    taken = held.weights * shares
    parts = np.stack([held.weights - taken, taken], axis=1)
    return Newcomer(k, family.statistics(held.values, parts), int(held.mine[taken.argmax()]))


def best_of(groups: list[Newcomers], most: int, fewest: float, apart: float) -> list[Newcomers]:
    """So many that gain most, of those that have as many rows as ``fewest``."""
    if not groups:
        return []
    counts = np.concatenate([group.statistics.counts for group in groups])
    gains = np.concatenate([group.gains for group in groups])
    enough = np.flatnonzero(counts >= fewest)
    kept = np.zeros(len(gains), dtype=np.bool_)
    kept[enough[different(gains[enough], apart)[:most]]] = True
    return [group.subset(kept[own]) for group, own in placed(groups)]


def different(gains: Array, apart: float) -> Integers:
    """The places of those that gain most, without those that ended where another did."""
    kept: list[int] = []
    for j in np.argsort(-gains, kind="stable").tolist():
        if not kept or gains[kept[-1]] - gains[j] > apart:
            kept.append(j)
    return np.array(kept, dtype=np.intp)
