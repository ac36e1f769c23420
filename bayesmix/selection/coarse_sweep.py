"""Fits of the candidates of large data: K grows in steps that widen, and then comes back.

All structures are fitted to 1, 2, 3, 4, 6, 8, 12, ... components. A structure ends where its
criterion falls, or where it cannot catch up: doubling K to the end of its range at the rate of its
last steps, or twice once the best structure has ended, would leave it behind the best candidate.
Then all pairs of components whose merge is predicted to gain are merged at once, from the best
candidate and from the next larger one, and numbers beside the best are fitted until its neighbours
are, the smaller one from the best by a merge.

Of many columns, structures that have not ended at 3 components go on at the number that merges of
many small clusters leave: components that are split one by one keep to poor optima there. Those
that have ended are fitted at the number of the best one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, count, pairwise
from typing import TYPE_CHECKING

from bayesmix.selection.candidates import (
    Candidate,
    SimplerCandidates,
    asked,
    chains_by_level,
    simpler_candidates,
)
from bayesmix.selection.tasks import ALL_DATA, Effort, Question, Task

if TYPE_CHECKING:
    from bayesmix.core.mixture import Mixture
    from bayesmix.core.protocols import Parameters
    from bayesmix.numerics.arrays import Array

# Automatic limit of K. The criterion of more components costs minutes on two cores.
LARGEST = 300
# Last gains of a structure by which it may catch up: one says little.
STEPS_SEEN = 2
# Doublings of K within which a structure must catch up once the best one has ended.
FURTHER = 2.0
# Share of a gap beside the best that the next step takes: most curves bend near the best.
PARTS_OF_A_GAP = 4
# Components at which structures of many columns go on by merges: with STEPS_SEEN gains.
BEFORE_MERGES = 3


def widening(most: int) -> list[int]:
    """Return 1, 2, 3, 4, 6, 8, 12, ... and ``most``."""
    powers = chain.from_iterable((2**i, 3 * 2**i) for i in count())
    rungs = {1, most}
    for k in powers:
        if k >= 2 * most:
            break
        rungs.add(min(k, most))
    return sorted(rungs)


@dataclass
class CoarseSweep:
    """Chains of candidates and those that were fitted, by (chain, place)."""

    task: Task
    chains: list[list[Parameters]]
    merges: bool = False  # whether structures go on by merges of many small clusters
    fits: dict[tuple[int, int], Candidate] = field(default_factory=dict)
    from_above: set[tuple[int, int]] = field(default_factory=set)  # begun at the next larger K
    superfluous: dict[tuple[int, int], int] = field(default_factory=dict)  # components of fits
    agglomerated: dict[int, Mixture] = field(default_factory=dict)  # what merges left, by chain

    total = None  # the number of fits is not known beforehand

    @property
    def n_candidates(self) -> int:
        """Number of candidates."""
        return sum(map(len, self.chains))

    @property
    def n_found(self) -> int:
        """Number of candidates fitted so far."""
        return len(self.fits)

    def fit_all(self, workers: int) -> Iterator[Candidate]:
        """Yield all fits; may be stopped at any time. Fits use the ``workers``, not the sweep."""
        for chain_, place in self._growing():
            yield self._fit(chain_, place)
        while (following := self._between()) is not None:
            yield self._fit(*following)

    def candidates(self, weights: Array) -> list[Candidate]:
        """Return all fitted candidates."""
        return [self.fits[key] for key in sorted(self.fits)]

    def fits_to_folds(self) -> list[tuple[int, int, Candidate]]:
        """Return nothing: there are no folds."""
        return []

    @cached_property
    def _simpler(self) -> SimplerCandidates:
        return simpler_candidates(self.chains)

    def _growing(self) -> Iterator[tuple[int, int]]:
        """Yield candidates from few to many components, simple structures first."""
        levels = chains_by_level(self._simpler, len(self.chains))
        places = [
            {k: place for place, k in enumerate(map(asked, candidates))}
            for candidates in self.chains
        ]
        rungs = [{min(known), *widening(max(known))} for known in places]
        growing = set(range(len(self.chains)))
        for k in sorted(set().union(*rungs)):
            for number in chain.from_iterable(levels):
                if number in growing and k in rungs[number] and k in places[number]:
                    yield number, places[number][k]
            growing = {number for number in growing if not self._ended(number, growing)}
            if self.merges and k == BEFORE_MERGES:
                yield from self._by_merges(growing, places)
            if not growing:
                return

    def _by_merges(
        self, growing: set[int], places: list[dict[int, int]]
    ) -> Iterator[tuple[int, int]]:
        """Yield structures at the numbers that merges leave; those are removed from ``growing``."""
        for number in sorted(growing, key=self._best_of, reverse=True):
            if self._ended(number, growing):
                continue
            if (place := self._agglomerated(number, places[number])) is not None:
                growing.remove(number)
                yield number, place
        growing -= {number for number in growing if self._ended(number, growing)}
        yield from self._alike(growing, places)

    def _alike(self, growing: set[int], places: list[dict[int, int]]) -> Iterator[tuple[int, int]]:
        """Yield structures that ended, at the number that merges left of the best structure.

        Few components say little of simple structures: those of many spherical groups differ.
        """
        if not self.agglomerated:
            return
        best = max(self.agglomerated, key=self._best_of)
        mixture = self.agglomerated[best]
        for number in range(len(self.chains)):
            if number in growing or number in self.agglomerated:
                continue
            if (place := places[number].get(mixture.n_components)) is not None:
                self.agglomerated[number] = mixture
                yield number, place

    def _agglomerated(self, number: int, places: dict[int, int]) -> int | None:
        """Return the place of the number of components that merges leave, None without any."""
        candidates = self.chains[number]
        mixture = self.task.fitter.agglomerated(candidates[0], asked(candidates[-1]))
        place = None if mixture is None else places.get(mixture.n_components)
        if mixture is None or place is None or (number, place) in self.fits:
            return None
        self.agglomerated[number] = mixture
        return place

    def _ended(self, number: int, growing: set[int]) -> bool:
        """Whether more components of a structure need not be tried, given those that grow."""
        places = self._places(number)
        rows = [self.fits[number, place] for place in places]
        if self.task.given_up(rows):
            return True
        values = [row.value(self.task.watched) for row in rows]
        if len(values) <= STEPS_SEEN or not all(map(math.isfinite, values)):
            return False
        logs = [math.log2(row.asked) for row in rows]
        steps = zip(pairwise(values), pairwise(logs), strict=True)
        gains = [(after - before) / (high - low) for (before, after), (low, high) in steps]
        doublings = math.log2(asked(self.chains[number][-1])) - logs[-1]
        if max(self.fits, key=self._worth)[0] not in growing:
            doublings = min(doublings, FURTHER)
        return values[-1] + max(*gains[-STEPS_SEEN:], 0.0) * doublings < self._best_value

    @property
    def _best_value(self) -> float:
        return max((self._worth(key) for key in self.fits), default=-math.inf)

    def _worth(self, key: tuple[int, int]) -> float:
        row = self.fits[key]
        return -math.inf if row.sound is None else row.comparable(self.task.watched)

    def _best_of(self, number: int) -> float:
        return max(self._worth((number, place)) for place in self._places(number))

    def _places(self, number: int) -> list[int]:
        """Return the fitted places of a chain."""
        return sorted(place for other, place in self.fits if other == number)

    def _between(self) -> tuple[int, int] | None:
        """Return the next candidate near the best of a structure that may win, or None."""
        least = self._best_value
        for number in range(len(self.chains)):
            places = self._places(number)
            worth = [self._worth((number, place)) for place in places]
            if not places or not math.isfinite(max(worth)):
                continue
            at = worth.index(max(worth))
            # A concave curve gains at most as much again on the way to the next number.
            gain = worth[at] - worth[at - 1] if at else 0.0
            if not worth[at] + gain >= least:
                continue
            best = places[at]
            above = places[at + 1] if at + 1 < len(places) else len(self.chains[number])
            below = places[at - 1] if at else -1
            if at + 1 < len(places):
                fewer = self._merged(number, above)
                if best < fewer < above:
                    return number, fewer
            fewer = self._merged(number, best)
            if fewer not in places:
                return number, fewer
            for gap, step in ((best - below, -1), (above - best, 1)):
                if gap > 1:
                    parts = gap if number in self.agglomerated else PARTS_OF_A_GAP
                    return number, best + step * max(1, gap // parts)
            if best and (number, best - 1) not in self.from_above:
                return number, best - 1
        return None

    def _merged(self, number: int, place: int) -> int:
        """Return the place that is left if all components that overlap too much are merged."""
        key = number, place
        if key not in self.superfluous:
            row = self.fits[key]
            fine = row.sound is not None and row.estimator is not None
            self.superfluous[key] = self.task.fitter.n_superfluous(row.estimator) if fine else 0  # type: ignore[arg-type]
        return max(0, place - self.superfluous[key])

    def _fit(self, number: int, place: int) -> Candidate:
        """Fit a candidate, or fit it again from the next larger one."""
        above = self.fits.get((number, place + 1))
        if above is not None:
            self.from_above.add((number, place))
        if above is not None and (number, place) in self.fits:
            row = self.task.refit(self.fits[number, place], above.begin, Effort.STARTS)
        else:
            row = self.task.fit_or_load(self._question(number, place))
            self.task.repeat_warnings(row)
        if not row.interrupted or row.estimator is not None:
            self.fits[number, place] = row
        if row.interrupted:
            raise KeyboardInterrupt
        return row

    def _question(self, number: int, place: int) -> Question:
        """Return a fit that starts from the next smaller and larger ones and from simpler ones."""
        places = self._places(number)
        near = [max((other for other in places if other < place), default=None)]
        near.append(min((other for other in places if other > place), default=None))
        beside = [other for other in near if other is not None]
        parameters, merged = self.chains[number][place], self.agglomerated.get(number)
        if merged is not None:  # the other side is far
            beside = sorted(beside, key=lambda other: abs(other - place))[:1]
        simpler = [self.fits[key] for key in self._simpler[number, place] if key in self.fits]
        simpler = sorted(simpler, key=lambda row: row.reached)[-1:]
        rows = [*(self.fits[number, other] for other in beside), *simpler]
        starts = tuple(row.begin for row in rows if row.begin is not None)
        if merged is not None and merged.n_components == asked(parameters):
            starts = (merged,)
        index = sum(map(len, self.chains[:number])) + place
        return Question(parameters, index, ALL_DATA, starts)
