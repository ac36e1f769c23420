"""Starts from fits of other candidates to the same data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from bayesmix.core.mixture import Mixture
from bayesmix.em.run import Problem, State, begin, begin_at
from bayesmix.search.improver import merge_losses
from bayesmix.search.moves import Assignment, Merge, Move, Split, best_splits, of_statistics
from bayesmix.search.optimum import FULL, SETTLE_PASSES, OptimumSearch, ShortRun
from bayesmix.starts.responsibilities import OfMixture, begun

# Splits of a mixture with one component less that serve as starts, and passes to find them. With
# two, 6 to 10 components of a census in mixed columns kept to optima 100 to 300 nats below.
GROWN_STARTS, GROWN_PASSES = 5, 2
# Overlapping pairs whose merges are predicted, for each component to lose.
PAIRS_OF_A_MERGE = 4


def continued_from(search: OptimumSearch) -> State | None:
    """Continue on large data from an earlier fit of the same candidate, if only that is given.

    For a fold it is the fit to all data; otherwise superfluous components were removed from it.
    With few observations, folds would favour candidates whose spurious optimum also describes
    the held-out observations.
    """
    K, starts = search.model.n_components, search.settings.warm_starts
    alone = not search.settings.moves and [mixture.n_components for mixture in starts] == [K]
    if not alone or not search.problem.family.made(starts[0].components):
        return None
    state = begun(search.all_rows, OfMixture(starts[0]), K)
    return search.attempts.run(search.all_rows, state, SETTLE_PASSES)


def runs_from_warm_starts(search: OptimumSearch, passes: int) -> Iterator[ShortRun]:
    """Yield short runs from fits of other candidates, with components split or merged first."""
    number = 0
    for mixture in search.settings.warm_starts:
        if search.monitor.stopped is not None:
            continue
        larger = mixture.n_components > search.model.n_components
        for state in _merged(search, mixture) if larger else _grown(search, mixture):
            after = search.attempts.run(search.sample, state, passes)
            if after is not None:
                number -= 1
                yield ShortRun(number, after)


def _grown(search: OptimumSearch, mixture: Mixture) -> Iterator[State]:
    """Yield states that start at another candidate's fit, with its best splits made."""
    K = search.model.n_components
    if mixture.n_components == K:
        yield begun(search.sample, OfMixture(mixture), K)
        return
    state = _resumed(search, mixture) if search.problem.family.rearranged else None
    while state is not None:
        assignment = Assignment.under(search.sample, state)
        splits = best_splits(search.sample, state, assignment, GROWN_PASSES, 0)
        missing = K - state.current_mixture().n_components
        if splits and missing > 1 and (search.large or not search.whole):
            several = splits[:missing]
            begun_with = _all_split(search.sample, state, several)
            if len(several) == missing:
                yield begun_with
                return
            state = search.attempts.run(search.sample, begun_with, FULL.passes)
            continue
        grown = [Move(split, None, split.gain).begun(search.sample, state) for split in splits]
        if state.current_mixture().n_components == K - 1:
            yield from grown[:GROWN_STARTS]
            return
        state = search.attempts.run(search.sample, grown[0], FULL.passes) if grown else None


def _all_split(problem: Problem, state: State, splits: Sequence[Split]) -> State:
    """Return a state that starts with an M-step after several splits at once."""
    statistics: Any = state.expectation.statistics
    for split in splits:
        statistics = split.applied(statistics, state.expectation.counts)
    return begin(problem, of_statistics(statistics), state.current_mixture(), state)


def _merged(search: OptimumSearch, mixture: Mixture) -> Iterator[State]:
    """Yield a state that starts at a larger fit, with the pairs merged that lose least."""
    K, problem = search.model.n_components, search.sample
    state = _resumed(search, mixture) if problem.family.rearranged else None
    while state is not None:
        excess = state.current_mixture().n_components - K
        if excess <= 0:
            yield state
            return
        assignment = Assignment.under(problem, state)
        losses = merge_losses(problem, state, assignment, PAIRS_OF_A_MERGE * excess)
        pairs = _disjoint(losses)[:excess]
        if not pairs:
            return
        statistics: Any = state.expectation.statistics
        for i, j in sorted(pairs, key=lambda pair: -pair[1]):  # dropping j renumbers those after it
            statistics = statistics.merged(i, j)
        start = begin(problem, of_statistics(statistics), state.current_mixture(), state)
        if len(pairs) == excess:
            yield start
            return
        state = search.attempts.run(problem, start, FULL.passes)


def _disjoint(losses: Sequence[Merge]) -> list[tuple[int, int]]:
    """Return pairs without common components, those that lose least first."""
    pairs: list[tuple[int, int]] = []
    for _, i, j in losses:
        if not {i, j} & {k for pair in pairs for k in pair}:
            pairs.append((i, j))
    return pairs


def _resumed(search: OptimumSearch, mixture: Mixture) -> State | None:
    """Continue at a mixture; in the same frame this takes one E-step."""
    frame = search.sample.frame
    if mixture.frame.equals(frame) and search.problem.family.made(mixture.components):
        return begin_at(search.sample, replace(mixture, frame=frame))
    start = begun(search.sample, OfMixture(mixture), mixture.n_components)
    return search.attempts.run(search.sample, start, FULL.passes)
