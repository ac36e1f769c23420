"""New components, each fitted by itself beside a mixture that stays as it is.

EM of one component against a density that does not change, over the rows of the component that it
begins in (Verbeek, Vlassis & Kröse 2003): hundreds side by side cost about as much as a few passes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from bayesmix.engine.expectation import densities
from bayesmix.engine.run import Problem, State
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.logsumexp import IMPOSSIBLE, beside
from bayesmix.numerics.once import once
from bayesmix.records import Mixture, Rows, finished
from bayesmix.weights import PointWeights
from bayesmix.workflow.splits import SHARE_TO_COUNT, Look, is_sound, updated, whitened

# How many rows more than columns one begins with at least, and its share of those of the component
# that it begins in at most.
FEWEST_MORE = 3
LARGEST_SHARE = 0.5
# How many begin among rows that are near a line through two of them, how much longer than wide at
# most, and among how many times as many rows the other one is. Equal rows are no line.
SHARE_STRETCHED = 0.7
MOST_STRETCHED = 60.0
AROUND = 3
NO_LENGTH = 1e-12
# Passes, and the share of those begun that goes on after them.
STAGES = ((4, 0.3), (15, 0.08))
# The largest share of all rows that one may have, and how many rows those that begin in the same
# component look at together.
LARGEST = 0.5
MOST_AT_ONCE = 2**21


@dataclass(frozen=True)
class Held:
    """The rows that component ``k`` holds, and what the mixture makes of them."""

    k: int
    mine: Integers  # (n,) their places
    rows: Rows  # as stored
    row_weights: Array  # (n,)
    values: Array  # (n, D), framed
    shares: Array  # (n,) of the component
    log_density: Array  # (n,) of the mixture

    @classmethod
    def by(cls, problem: Problem, look: Look, k: int) -> Held:
        """``look`` is at the rows of ``problem``."""
        source: Any = problem.source
        mine = np.flatnonzero(look.shares[:, k] > SHARE_TO_COUNT)
        rows, weights = Rows(source.values[mine]), look.weights_of(source)[mine]
        log_density = np.maximum(look.log_normaliser[mine], IMPOSSIBLE)
        return cls(k, mine, rows, weights, look.values[mine], look.shares[mine, k], log_density)

    @once
    def weights(self) -> Array:
        """Those of the rows, as far as the component holds them (n,)."""
        return self.shares * self.row_weights

    @once
    def white(self) -> Array:
        """The rows (n, d) where the scatter of the component is 1."""
        return whitened(self.values, self.weights)

    def begun(self, family: Any, places: Integers, generator: np.random.Generator) -> Begun | None:
        """New components that begin at these (m,) of the rows, each with those near it, if any.

        Small numbers of rows are as likely as large ones. Most are near along a line of their own.
        """
        n, fewest = len(self.mine), self.values.shape[1] + FEWEST_MORE
        if LARGEST_SHARE * n <= fewest:
            return None
        places = places[np.isin(places, self.mine)][: MOST_AT_ONCE // n]
        m, white = len(places), self.white
        at = white[np.searchsorted(self.mine, places)]
        away = np.square(white).sum(axis=1) - 2.0 * at @ white.T
        away += np.square(at).sum(axis=1, keepdims=True)
        last = (fewest * (LARGEST_SHARE * n / fewest) ** generator.random(m)).astype(np.int64)
        around = _smallest(away, np.minimum(AROUND * last, n - 1))
        partners = np.where(around, generator.random(away.shape), -1.0).argmax(axis=1)
        lines = white[partners] - at
        lines /= np.maximum(np.sqrt(np.square(lines).sum(axis=1, keepdims=True)), NO_LENGTH)
        along = lines @ white.T - (lines * at).sum(axis=1, keepdims=True)
        stretched = generator.random(m) < SHARE_STRETCHED
        longer = np.where(stretched, MOST_STRETCHED ** generator.random(m), 1.0)
        away -= (1.0 - longer**-2.0)[:, None] * np.square(along)
        near = _smallest(away, last).T
        return Begun(self, family.statistics(self.values, near * self.weights[:, None]), near)


def _smallest(values: Array, last: Integers) -> Any:
    """Which of the values (m, n) are among so many and one that are smallest of their row."""
    return values <= np.take_along_axis(np.sort(values, axis=1), last[:, None], axis=1)


@dataclass(frozen=True)
class Begun:
    """New components side by side over the rows of one."""

    held: Held
    statistics: Any
    shares: Any  # (n, m), of the rows that each takes

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.statistics.counts)

    @property
    def gains(self) -> Array:
        """What each gains (m,) in nats, which a pass tells."""
        return np.zeros(self.size)

    def subset(self, keep: list[int]) -> Begun:
        """Some of them."""
        some = np.array(keep, dtype=np.intp)
        return Begun(self.held, self.statistics.subset(some), self.shares[:, some])

    def each(self, fewest: float = 0.0) -> list[Newcomer]:
        """Those that have so many rows."""
        enough = np.flatnonzero(self.statistics.counts >= fewest)
        return [Newcomer(self, j, float(self.gains[j])) for j in enough.tolist()]

    def sound(self, problem: Problem, state: State) -> list[Begun]:
        """Those that do not collapse."""
        each = [self.statistics.subset(np.array([j])) for j in range(self.size)]
        sound = [j for j in range(self.size) if is_sound(problem, state, each[j])]
        return [self.subset(sound)] if sound else []

    def passed(self, problem: Problem, form: Any, components: Any) -> _Passed:
        """After the E-step of each by itself; ``components`` are what they were updated to."""
        n_rows, held = problem.source.total_weight, self.held
        share = np.minimum(self.statistics.counts / n_rows, LARGEST)
        mixture = Mixture(PointWeights(share), components, problem.frame)
        odds, sums = densities(mixture, form, held.rows)
        room = np.log1p(-share)
        odds += mixture.weights.expected_log() - room
        odds -= held.log_density[:, None]
        shares = beside(odds)
        statistics = finished(sums(shares * held.row_weights[:, None]))
        return _Passed(held, statistics, shares, odds, n_rows * room)


@dataclass(frozen=True)
class _Passed(Begun):
    """The same after an E-step."""

    odds: Array  # (n, m), of each against the mixture, as logarithms
    room: Array  # (m,) nats that the share of each costs all rows

    @once
    def gains(self) -> Array:
        """What each gains (m,) in nats: log(1 + odds) of the rows here, and its room."""
        gains: Array = self.held.row_weights @ (self.odds - np.log(self.shares)) + self.room
        return gains


@dataclass(frozen=True)
class Newcomer:
    """One of them."""

    among: Begun
    j: int
    gain: float  # nats

    @property
    def k(self) -> int:
        """The component that it began in."""
        return self.among.held.k

    def halves(self, family: Any) -> Any:
        """Statistics of what it leaves of the component that it began in, and of what it takes."""
        held = self.among.held
        taken = held.weights * self.among.shares[:, self.j]
        return family.statistics(held.values, np.stack([held.weights - taken, taken], axis=1))


class Gaining(Protocol):
    """What gains some nats."""

    @property
    def gain(self) -> float: ...


Found = TypeVar("Found", bound=Gaining)


def different(found: Iterable[Found], apart: float) -> list[Found]:
    """Those that gain most first, without those that ended in the same place as another."""
    kept: list[Found] = []
    for one in sorted(found, key=lambda one: -one.gain):
        if not kept or kept[-1].gain - one.gain > apart:
            kept.append(one)
    return kept


def fitted_alone(
    problem: Problem, state: State, begun: list[Begun], fewest: float, apart: float
) -> list[Newcomer]:
    """Those that gain most, the best first, of all that have as many rows as ``fewest``.

    Two that gain as much to ``apart`` nats are one.
    """
    n_begun = sum(each.size for each in begun)
    best: list[Newcomer] = []
    for passes, share in STAGES:
        passed = _after(problem, state, begun, passes)
        found = (one for each in passed for one in each.each(fewest))
        best = different(found, apart)[: round(share * n_begun)]
        begun = [each.subset([one.j for one in best if one.among is each]) for each in passed]
    return best


def _after(problem: Problem, state: State, begun: list[Begun], passes: int) -> list[Begun]:
    """After so many passes; without those that collapsed."""
    for _ in range(passes):
        sound, together = updated(problem, state, [each for each in begun if each.size])
        begun, last = [], 0
        for each in sound:
            keep = np.arange(last, last := last + each.size)
            begun.append(each.passed(problem, state.form, together.components.subset(keep)))
    return begun
