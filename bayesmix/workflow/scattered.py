"""Random swaps: a component begins at a few neighbouring rows, and another is left out.

Splits along the axes of a component do not see a small cluster inside it. Rows drawn at random do,
sooner or later (Zhao, Hautamäki & Fränti 2012). Many are drawn, fitted to the rows nearby, and set
against what leaving out any component would lose there; only the best go to all rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bayesmix.engine.run import Problem, State, begin
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.once import once
from bayesmix.workflow.nearby import Nearby, Refitted, neighbourhoods, refitted, without_one
from bayesmix.workflow.splits import SHARE_TO_COUNT, Look, of_statistics, whitened

# How many rows more than columns the new component begins with at least, and its share of those of
# the component that it begins in at most; how many it must hold in the end, times columns and one:
# fewer are an accident of the rows (decision 28).
FEWEST_MORE = 3
LARGEST_SHARE = 0.5
FEWEST_TO_KEEP = 5.0
# Passes nearby, the share of those drawn that go on after them, and how much more than in the end
# such a swap may lose then (nats a row); passes without a component.
STAGES = ((4, 0.4, 2e-3), (8, 0.15, 1e-3), (16, 0.15, 0.0))
PASSES_WITHOUT = 6
# What a swap may lose (nats a row) by the fits nearby that a trial on all rows may yet win back,
# and the least that tells the ends of two that were drawn apart.
MAY_WIN_BACK = 2e-3
APART = 5e-6


@dataclass(frozen=True)
class RandomSwap:
    """A component begins among some that are near it, and another is left out."""

    begun_among: Refitted  # the new one is the last
    left_out: int
    without: Refitted  # those near the other one

    kind = "random swap"

    @property
    def predicted(self) -> float:
        """What it gains in nats where only those nearby move."""
        return self.begun_among.gain + self.without.gain

    @property
    def disjoint(self) -> bool:
        """Whether no component is near both."""
        return not np.isin(self.without.members, self.begun_among.members).any()

    def begun(self, problem: Problem, state: State) -> State:
        """A run about to take its first M-step from the statistics after the move."""
        statistics, gone = self.begun_among.statistics, self.begun_among.members
        if self.disjoint:
            statistics = statistics.joined([statistics, self.without.statistics])
            gone = np.append(gone, self.without.members)
        else:
            places = np.append(gone, -1)
            statistics = statistics.subset(np.flatnonzero(places != self.left_out))
            gone = np.union1d(gone, [self.left_out])
        others = np.setdiff1d(np.arange(state.at().n_components), gone)
        after = state.expectation.statistics.exchanged(others, statistics)
        return begin(problem, of_statistics(after), state.at(), state)

    def __str__(self) -> str:
        among = ", ".join(map(str, self.begun_among.members))
        return f"leave out {self.left_out}, begin anew among {among}"


@dataclass(frozen=True)
class Surroundings:
    """A state and what lies near its components: random swaps are drawn from it in batches."""

    problem: Problem
    state: State
    look: Look  # at the rows of the problem
    # Rows of the components in which one was drawn so far.
    _held: dict[int, _Held] = field(default_factory=dict, init=False, repr=False, compare=False)

    @once
    def near(self) -> list[Nearby]:
        """The neighbourhood of every component."""
        return neighbourhoods(self.problem, self.look)

    @once
    def without(self) -> dict[int, Refitted]:
        """What is lost without each component."""
        return without_one(self.problem, self.state, self.near, PASSES_WITHOUT)

    def swaps(self, generator: np.random.Generator, most: int) -> list[RandomSwap]:
        """The most promising swaps with one of so many new components, the best first."""
        if not self.without:
            return []
        missed_least = max(self.without, key=lambda k: self.without[k].gain)
        without = self.without[missed_least]
        n_rows = self.problem.source.total_weight
        enough = -without.gain - MAY_WIN_BACK * n_rows
        stages = tuple(
            (passes, max(1, round(share * most)), enough - more * n_rows)
            for passes, share, more in STAGES
        )
        drawn = list(self._drawn(generator, most))
        fewest = FEWEST_TO_KEEP * (self.look.values.shape[1] + 1)
        begun = [
            one
            for one in refitted(self.problem, self.state, drawn, stages).values()
            if one.statistics.counts[-1] >= fewest
        ]
        return [RandomSwap(one, missed_least, without) for one in _different(begun, APART * n_rows)]

    def _drawn(self, generator: np.random.Generator, most: int) -> Iterator[tuple[Nearby, Any]]:
        """At most so many new components, and the statistics of those nearby with each of them.

        Small numbers of rows are as likely in them as large ones.
        """
        values, shares = self.look.values, self.look.shares
        row_weights = self.look.weights_of(self.problem.source)
        fewest = values.shape[1] + FEWEST_MORE
        drawn = row_weights / row_weights.sum()
        for row in generator.choice(len(values), most, p=drawn).tolist():
            part = generator.random()
            k = int(shares[row].argmax())
            if k not in self._held:
                self._held[k] = _Held.by(values, shares[:, k], row_weights)
            own, near = self._held[k], self.near[k]
            largest = LARGEST_SHARE * own.weights.sum()
            if largest <= fewest:
                continue
            size = fewest * (largest / fewest) ** part
            statistics = self.problem.family.statistics(values[own.mine], own.halves(row, size))
            place = int(np.searchsorted(near.members, k))
            yield near, near.statistics.split(place, statistics)


def _different(begun: list[Refitted], apart: float) -> list[Refitted]:
    """Those that gain most first, without those that ended in the same place as another."""
    found: list[Refitted] = []
    for one in sorted(begun, key=lambda one: -one.gain):
        if not found or found[-1].gain - one.gain > apart:
            found.append(one)
    return found


@dataclass(frozen=True)
class _Held:
    """The rows of a component."""

    mine: Integers  # places of the rows
    weights: Array  # (n,)
    white: Array  # (n, d) the rows where their scatter is 1

    @classmethod
    def by(cls, values: Array, shares: Array, row_weights: Array) -> _Held:
        """A component with shares (n,) of all rows (n, D)."""
        mine = np.flatnonzero(shares > SHARE_TO_COUNT)
        weights = shares[mine] * row_weights[mine]
        return cls(mine, weights, whitened(values[mine], weights))

    def halves(self, row: int, size: float) -> Array:
        """Weights (n, 2) of what is left, and of rows of such a weight that are nearest to one."""
        away = self.white - self.white[int(np.searchsorted(self.mine, row))]
        order = np.argsort(np.einsum("nd,nd->n", away, away), kind="stable")
        near = order[: 1 + int(np.searchsorted(np.cumsum(self.weights[order]), size))]
        halves = np.stack([self.weights, np.zeros_like(self.weights)], axis=1)
        halves[near] = halves[near, ::-1]
        return halves
