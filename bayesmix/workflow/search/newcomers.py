"""New components, each fitted by itself beside a mixture that stays as it is.

EM of one component against a density that does not change, over the rows of the component that it
begins in (Verbeek, Vlassis & Kröse 2003): thousands side by side cost about as much as some dozen
passes of the mixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from bayesmix.engine.compiled import Kernel
from bayesmix.engine.run import Problem, State
from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.logsumexp import LARGEST_ODDS, shares_of_odds
from bayesmix.numerics.once import once
from bayesmix.parallel import ordered_map
from bayesmix.protocols import Additive, Components, Statistics
from bayesmix.records import Known, Mixture, Rows, finished
from bayesmix.weights import PointWeights
from bayesmix.workflow.search.attempts import PARTS
from bayesmix.workflow.search.beginnings import Begun, HeldRows, fewest_to_keep
from bayesmix.workflow.search.splits import (
    Look,
    is_sound,
    placed,
    statistics_of,
    update_of,
    updated,
)

# Passes over the rows that each looks at, those over all rows of the component, and how many of
# those begun go on after them.
PASSES_OF_SOME = 6
STAGES = ((1, 60), (10, 20))
# Of so many times as many, in the order of their gains, those are left out that lie as near to a
# better one as this (nats that each mean loses under the other, about).
LOOKED_AT, ONE_PLACE = 5, 0.5
# The fewest rows, and the largest share of all rows.
LEAST_COUNT = 1.0
LARGEST = 0.5


@dataclass(frozen=True)
class Newcomers:
    """New components side by side over the rows of one."""

    k: int  # the component that they begin in
    held: HeldRows  # some of its rows, or all
    statistics: Statistics
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
class SideBySide:
    """Groups of new components whose rows lie one after another; those of a group know its own."""

    groups: list[Newcomers]  # as they began
    rows: Rows
    known: Known
    statistics: Statistics  # of all
    gains: Array

    @classmethod
    def of(cls, groups: list[Newcomers]) -> SideBySide:
        """Groups, none of which is empty."""
        held = [group.held for group in groups]
        bounds = np.cumsum([0, *(len(each.mine) for each in held)])
        candidates = np.full((len(groups), max(group.size for group in groups)), -1)
        for own, (_, keep) in zip(candidates, placed(groups), strict=True):
            own[: len(keep)] = keep
        log_density = np.concatenate([each.log_density for each in held])
        known = Known(np.arange(bounds[-1]), bounds, candidates, rest=log_density)
        rows = Rows(
            np.concatenate([each.rows.values for each in held]),
            np.concatenate([each.rows.weights_or_ones for each in held]),
        )
        statistics = statistics_of(groups)
        return cls(groups, rows, known, statistics, np.concatenate([g.gains for g in groups]))

    def passed(self, components: Mixture[Components], kernel: Kernel, cost: Array) -> SideBySide:
        """All after the E-step of each by itself; ``cost`` is what their shares cost all rows."""
        found, sums = kernel(components, self.rows, self.known)
        return replace(self, statistics=finished(sums), gains=found.of_groups[:, 0] - cost)

    def apart(self) -> list[Newcomers]:
        """The groups with what they have become."""
        return [
            replace(group, statistics=self.statistics.subset(keep), gains=self.gains[keep])
            for group, keep in placed(self.groups)
        ]


@dataclass(frozen=True)
class Newcomer:
    """One of them."""

    k: int
    halves: Statistics  # statistics of what it leaves of component ``k``, and of what it takes
    row: int  # of which it takes most


@dataclass(frozen=True)
class Present:
    """A mixture that stays as it is, and the rows of its problem."""

    problem: Problem
    state: State
    look: Look  # at the rows of the problem

    @once
    def held(self) -> list[HeldRows]:
        """The rows of every component."""
        log_density = np.maximum(self.look.log_normaliser, -LARGEST_ODDS)
        look = self.look
        return [HeldRows.of(look.rows, look.values, share, log_density) for share in look.shares.T]

    @property
    def n_threads(self) -> int:
        """How many may work at once."""
        return self.problem.free_threads(self.state.at().n_components)

    def begun(self, generator: np.random.Generator, most: int) -> list[Begun]:
        """At most so many new components, each begun at a row that is drawn."""
        weights = self.look.weights
        rows = generator.choice(len(weights), most, p=weights / weights.sum())
        of_rows = self.look.shares[rows].argmax(axis=1)
        begun: list[Begun] = []
        each = zip(self.held, generator.spawn(len(self.held)), strict=True)
        for k, (held, own) in enumerate(each):
            begun += held.begun(k, rows[of_rows == k], own)
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

        Two that gain as much to ``apart`` nats are one, and so are those in one place. Those that
        were found ``earlier``, beside another mixture, go on beside this one.
        """
        fewest = fewest_to_keep(self.look.values)
        groups = self.among_all(self.after(self.grouped(begun), PASSES_OF_SOME))
        for (passes, most), more in zip(STAGES, (earlier, ()), strict=True):
            left, together = self._left(self.after(groups, passes))
            linear = together if self.problem.family.linear else None
            groups = best_of(left, linear, most, fewest, apart) + self._again(more)
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
        kernel = self.state.form.kernel
        if kernel is not None:
            some = [group for group in groups if group.size]
            parts = [some[start::PARTS] for start in range(min(PARTS, len(some)))]
            done = ordered_map(partial(self._by_kernel, kernel, passes), parts, self.n_threads)
            return [group for part in done for group in part]
        for _ in range(passes):
            groups = [self._passed(*each) for each in self._updated(groups)]
        return groups

    def grouped(self, begun: list[Begun]) -> list[Newcomers]:
        """With the statistics of the rows that they begin with."""
        return list(ordered_map(self._summed, begun, self.n_threads))

    def _summed(self, begun: Begun) -> Newcomers:
        held, parts = begun.held, []
        statistics = self._of_shares(held)
        for near in begun.near():
            parts.append(finished(statistics(near.T * held.weights[:, None])))
        sums = type(parts[0]).joined(parts)
        return Newcomers(begun.k, held, sums, np.zeros(len(sums.counts)))

    def _of_shares(self, held: HeldRows) -> Callable[[Array], Additive]:
        """What makes sums of shares of rows in components that are not there yet."""
        if self.problem.family.linear:
            return self.state.form.joints(self.state.at(), held.rows)[1]
        return partial(self.problem.family.statistics, held.values)

    def _left(self, groups: list[Newcomers]) -> tuple[list[Newcomers], Any]:
        """Those that have rows and do not collapse, and the components that they all become."""
        left = [group.subset(group.statistics.counts >= LEAST_COUNT) for group in groups]
        return updated(self.problem, self.state, [group for group in left if group.size])

    def _updated(self, groups: list[Newcomers]) -> Iterator[tuple[Newcomers, Mixture[Components]]]:
        """The same, with the components that those of a group become."""
        left, together = self._left(groups)
        if not left:
            return
        densities = self.problem.densities(together)
        for group, keep in placed(left):
            own = replace(densities, components=densities.components.subset(keep))
            yield group, self._beside(group.statistics.counts, own)

    def _beside(self, counts: Array, components: Mixture[Components]) -> Mixture[Components]:
        """Components weighted by the odds of their share of all rows."""
        shares = np.minimum(counts / self.problem.source.total_weight, LARGEST)
        return replace(components, weights=PointWeights(shares / (1.0 - shares)))

    def _cost_of_shares(self, components: Mixture[Components]) -> Array:
        """What the share of each costs all rows, in nats."""
        cost: Array = np.log1p(components.weights.mean())
        return self.problem.source.total_weight * cost

    def _passed(self, group: Newcomers, components: Mixture[Components]) -> Newcomers:
        """After the E-step of each by itself."""
        shares, gains, statistics = self._shares(components, group.held)
        weights = group.held.rows.weights
        sums = finished(statistics(shares if weights is None else shares * weights[:, None]))
        return replace(group, statistics=sums, gains=gains - self._cost_of_shares(components))

    def _by_kernel(self, kernel: Kernel, passes: int, groups: list[Newcomers]) -> list[Newcomers]:
        """After so many passes, each by one call of a kernel for all of them."""
        joined = SideBySide.of(groups)
        for _ in range(passes):
            try:
                together = self._become(joined.statistics)
            except DegenerateFitError:
                left, together = self._left(joined.apart())
                if not left:
                    return []
                joined = SideBySide.of(left)
            components = self._beside(joined.statistics.counts, together)
            joined = joined.passed(components, kernel, self._cost_of_shares(components))
        return joined.apart()

    def _become(self, statistics: Any) -> Mixture:
        """The components that all become; raises where one collapses or has no rows."""
        if statistics.counts.min() < LEAST_COUNT:
            raise DegenerateFitError("a new component has no rows")
        return update_of(self.problem, self.state, statistics)

    def _shares(
        self, components: Mixture[Components], held: HeldRows
    ) -> tuple[Array, Array, Callable[[Array], Any]]:
        """Shares (n, m) of rows, Σ w log(1 + odds) (m,), and what makes sums of shares."""
        odds, statistics = self.state.form.joints(components, held.rows)
        odds -= held.log_density[:, None]
        shares = shares_of_odds(odds)
        gains = odds - np.log(shares)
        weights = held.rows.weights
        return shares, gains.sum(axis=0) if weights is None else weights @ gains, statistics


def newcomer(family: Any, k: int, held: HeldRows, shares: Any) -> Newcomer:
    """One that takes these shares (n,) of rows that a component holds."""
    taken = held.weights * shares
    parts = np.stack([held.weights - taken, taken], axis=1)
    return Newcomer(k, family.statistics(held.values, parts), int(held.mine[taken.argmax()]))


def best_of(
    groups: list[Newcomers], together: Mixture | None, most: int, fewest: float, apart: float
) -> list[Newcomers]:
    """So many that gain most, of those that have as many rows as ``fewest``; one of each place.

    ``together`` are the components that they become: without linear forms (None) no place shows.
    """
    if not groups:
        return []
    counts = np.concatenate([group.statistics.counts for group in groups])
    gains = np.concatenate([group.gains for group in groups])
    enough = np.flatnonzero(counts >= fewest)
    best = enough[different(gains[enough], apart)][: LOOKED_AT * most]
    kept = np.zeros(len(gains), dtype=np.bool_)
    kept[(best if together is None else in_places(together, best))[:most]] = True
    return [group.subset(kept[own]) for group, own in placed(groups)]


def in_places(together: Mixture, best: Integers) -> Integers:
    """Components without those that lie where one before them does."""
    near = together.linear.subset(best).near(np.zeros(len(best))) > -ONE_PLACE
    kept: list[int] = []
    for j in range(len(best)):
        if not near[j, kept].any():
            kept.append(j)
    return best[kept]


def different(gains: Array, apart: float) -> Integers:
    """The places of those that gain most, without those that ended where another did."""
    kept: list[int] = []
    for j in np.argsort(-gains, kind="stable").tolist():
        if not kept or gains[kept[-1]] - gains[j] > apart:
            kept.append(j)
    return np.array(kept, dtype=np.intp)
