"""Random swaps: a component begins at a few neighbouring rows, and another is left out.

Splits along the axes of a component do not see a small cluster inside it. Rows drawn at random do,
sooner or later (Zhao, Hautamäki & Fränti 2012). Many are drawn, fitted to the rows nearby, and
paired with components whose loss was tried on all rows; only the best pairs go to all rows as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.engine.run import Problem, State, begin, run
from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.once import once
from bayesmix.workflow.search.attempts import Attempts
from bayesmix.workflow.search.beginnings import fewest_to_keep
from bayesmix.workflow.search.moves import Deletion
from bayesmix.workflow.search.nearby import Nearby, Refitted, neighbourhoods, refitted, without_one
from bayesmix.workflow.search.newcomers import Newcomer, Present, different
from bayesmix.workflow.search.splits import Look, of_statistics

# Of new components that no kernel can fit a share of the number is drawn, and a smaller one
# of those that cannot be fitted alone.
WITHOUT_A_KERNEL = 0.1
UNFITTED = 0.01
# Passes nearby, the share of those tried that go on after them, and how much more than in the end
# such a swap may lose then (nats a row).
STAGES = ((4, 0.6, 1e-3), (6, 0.35, 5e-4), (8, 0.35, 0.0))
# Passes nearby without each component, how many that are missed least are left out on all rows, and
# for how many passes.
PASSES_NEARBY, MOST_LEFT_OUT, PASSES_WITHOUT = 3, 4, 12
# What a swap may lose (nats a row) by the fits nearby that a trial on all rows may yet win back,
# and the least that tells the ends of two that were drawn apart.
MOST_WON_BACK = 1e-3
APART = 5e-6


@dataclass(frozen=True)
class RandomSwap:
    """A component begins among some that are near it, and another is left out, or none is."""

    begun_among: Refitted  # the new one is the last
    left_out: int | None
    rest: State  # where the others go without that one
    loss: float  # what that costs, in nats

    @property
    def kind(self) -> str:
        return "random split" if self.left_out is None else "random swap"

    @property
    def predicted(self) -> float:
        """What it gains in nats where what it begins among does not change."""
        return self.begun_among.gain - self.loss

    def begun(self, problem: Problem, state: State) -> State:
        """A run about to take its first M-step from the statistics after the move."""
        members, statistics = self.begun_among.members, self.begun_among.statistics
        others = np.setdiff1d(np.arange(state.at().n_components), members)
        if self.left_out is not None:
            statistics = statistics.subset(np.flatnonzero(np.append(members, -1) != self.left_out))
            others = others[others != self.left_out]
            others -= others > self.left_out
        after = self.rest.expectation.statistics.exchanged(others, statistics)
        return begin(problem, of_statistics(after), state.at(), state)

    def __str__(self) -> str:
        among = ", ".join(map(str, self.begun_among.members))
        begin = f"begin anew among {among}"
        return begin if self.left_out is None else f"leave out {self.left_out}, {begin}"


@dataclass(frozen=True)
class Surroundings:
    """A state and what lies near its components: random swaps are drawn from it in batches."""

    problem: Problem
    state: State
    look: Look  # at the rows of the problem
    attempts: Attempts
    may_add: bool = False  # whether there may be a component more

    @once
    def present(self) -> Present:
        """The mixture as new components find it."""
        return Present(self.problem, self.state, self.look)

    @once
    def near(self) -> list[Nearby]:
        """The neighbourhood of every component."""
        return neighbourhoods(self.problem, self.look)

    @once
    def without(self) -> dict[int | None, State]:
        """Where the others go without each of those that are missed least by the rows nearby.

        And the mixture as it is, without none, where there may be a component more.
        """
        rests: dict[int | None, State] = {None: self.state} if self.may_add else {}
        K = self.state.at().n_components
        if K > 1:
            nearby = without_one(self.problem, self.state, self.near, PASSES_NEARBY)
            least = sorted(nearby, key=lambda k: -nearby[k].gain)[:MOST_LEFT_OUT]
            tried = self.attempts.in_order(self._without, least, self.problem.free_threads(K))
            rests.update((k, rest) for k, rest in tried if rest is not None)
        return rests

    def _without(self, attempts: Attempts, k: int) -> State | None:
        """Where the others go without one; None where they collapse."""
        K = self.state.at().n_components
        move = Deletion(np.delete(np.arange(K), k), (k,))
        try:
            begun = move.begun(self.problem, self.state)
            rest = run(self.problem, begun, attempts.monitor, PASSES_WITHOUT)
        except DegenerateFitError:
            return None
        return rest if rest.at().n_components == K - 1 else None

    def swaps(
        self, generator: np.random.Generator, most: int, earlier: Sequence[Newcomer] = ()
    ) -> tuple[list[RandomSwap], list[Newcomer]]:
        """The most promising swaps with one of so many new components, the best first.

        And the new components that were worth a fit nearby; those that were found ``earlier``,
        beside another state, are looked at again.
        """
        losses = {k: self.state.objective - rest.objective for k, rest in self.without.items()}
        if not losses:
            return [], []
        n_rows = self.problem.source.total_weight
        least = min(losses.values()) - MOST_WON_BACK * n_rows
        fewest = fewest_to_keep(self.look.values)
        newcomers = list(self._newcomers(generator, most, earlier))
        stages = tuple(
            (passes, max(1, round(share * len(newcomers))), least - more * n_rows)
            for passes, share, more in STAGES
        )
        tried = [self._among(one) for one in newcomers]
        begun = [
            one
            for one in refitted(self.problem, self.state, tried, stages).values()
            if one.statistics.counts[-1] >= fewest
        ]
        best = different(np.array([one.gain for one in begun]), APART * n_rows)
        swaps = [
            RandomSwap(begun[j], k, self.without[k], loss)
            for j in best
            for k, loss in losses.items()
            if begun[j].gain >= loss - MOST_WON_BACK * n_rows
        ]
        return sorted(swaps, key=lambda swap: -swap.predicted), newcomers

    def _newcomers(
        self,
        generator: np.random.Generator,
        most: int,
        earlier: Sequence[Newcomer],
    ) -> Iterator[Newcomer]:
        """New components that are worth a fit nearby."""
        shared = self.state.expectation.statistics.shared
        if shared:
            most = round(UNFITTED * most)
        elif self.state.form.kernel is None:
            most = round(WITHOUT_A_KERNEL * most)
        begun = self.present.begun(generator, most)
        if shared:
            # What all components have in common cannot be fitted to one by itself.
            return self.present.as_they_begin(begun)
        apart = APART * self.problem.source.total_weight
        return self.present.fitted(begun, earlier, apart)

    def _among(self, one: Newcomer) -> tuple[Nearby, Any]:
        """The neighbourhood that a new component begins in, and the statistics there with it."""
        near = self.near[one.k]
        place = int(np.searchsorted(near.members, one.k))
        return near, near.statistics.split(place, one.halves)
