"""Moves fitted to the rows nearby: a component more, or one less, among those that overlap there.

What a move changes it changes near by, and a few components fitted to the rows that they hold cost
a fifth of a pass over all or less. What that gains is a lower bound to what the objective does,
since the others may follow (Jensen: Σ log Σ_k p_k is at least what fixed shares make of it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.engine.run import Problem, State
from bayesmix.numerics.arrays import Integers
from bayesmix.parallel import ordered_map
from bayesmix.protocols import Statistics
from bayesmix.records import Rows
from bayesmix.workflow.search.attempts import PARTS
from bayesmix.workflow.search.splits import SHARE_TO_COUNT, LocalFit, Look, advanced

# How many components a neighbourhood has, where there are as many.
SIZE = 4


@dataclass(frozen=True)
class Nearby:
    """Components that overlap, and the rows that they hold together."""

    members: Integers  # (m,), ascending
    rows: Rows
    statistics: Statistics  # of the members over these rows


@dataclass(frozen=True)
class Refitted:
    """What the members of a neighbourhood were replaced by, and what that gains there."""

    members: Integers
    statistics: Statistics
    gain: float


def neighbourhoods(problem: Problem, look: Look) -> list[Nearby]:
    """That of every component: those that overlap most with it, or with one that does.

    ``look`` is at the rows of ``problem``.
    """
    shares, weights = look.shares, look.weights
    closeness, _ = look.closeness(weights)
    made: dict[tuple[int, ...], Nearby] = {}
    found = []
    for k in range(shares.shape[1]):
        members = [k]
        while len(members) < min(SIZE, shares.shape[1]):
            near = closeness[members].max(axis=0)
            near[members] = -1.0
            members.append(int(near.argmax()))
        key = tuple(sorted(members))
        if key not in made:
            of_them = np.array(key)
            total = shares[:, of_them].sum(axis=1)
            mine = np.flatnonzero(total > SHARE_TO_COUNT)
            parts = shares[np.ix_(mine, of_them)] * weights[mine, None]
            made[key] = Nearby(
                of_them,
                Rows(look.rows.values[mine], parts.sum(axis=1)),
                problem.family.statistics(look.values[mine], parts),
            )
        found.append(made[key])
    return found


def refitted(
    problem: Problem,
    state: State,
    tried: Sequence[tuple[Nearby, Any]],
    stages: tuple[tuple[int, int, float], ...],
) -> dict[int, Refitted]:
    """What comes of other components in neighbourhoods, by their number among those ``tried``.

    All have equally many components. ``stages`` are passes, how many may go on after them, and what
    those must have gained. The present components get those of the first, so that what is gained is
    not what they would gain too.
    """
    places = [id(nearby) for nearby, _ in tried]
    present = {id(nearby): nearby for nearby, _ in tried}
    before = [LocalFit(place, nearby.rows, nearby.statistics) for place, nearby in present.items()]
    before = _advanced(problem, state, before, stages[0][0])
    now = {group.k: group.value for group in before}
    groups = [LocalFit(number, each.rows, other) for number, (each, other) in enumerate(tried)]
    gains: dict[int, float] = {}
    for passes, most, least in stages:
        groups = _advanced(problem, state, groups, passes)
        gains = {group.k: group.value - now.get(places[group.k], np.inf) for group in groups}
        groups = [group for group in groups if gains[group.k] >= least]
        groups = sorted(groups, key=lambda group: -gains[group.k])[:most]
    return {
        group.k: Refitted(tried[group.k][0].members, group.statistics, gains[group.k])
        for group in groups
    }


def _advanced(
    problem: Problem, state: State, groups: list[LocalFit], passes: int
) -> list[LocalFit]:
    """All of them, in threads that a pass of the mixture does not need."""
    size = max(1, -(-len(groups) // PARTS))
    parts = [groups[start : start + size] for start in range(0, len(groups), size)]
    n_threads = problem.free_threads(state.at().n_components)
    done = ordered_map(lambda part: advanced(problem, state, part, passes), parts, n_threads)
    return [group for part in done for group in part]


def without_one(
    problem: Problem, state: State, near: list[Nearby], passes: int
) -> dict[int, Refitted]:
    """For every component what is lost where those nearby take its rows; ``near`` is in order."""
    tried = [
        (nearby, nearby.statistics.subset(np.flatnonzero(nearby.members != k)))
        for k, nearby in enumerate(near)
    ]
    return refitted(problem, state, tried, ((passes, len(tried), -np.inf),))
