"""Starts from fits of other candidates to the same data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bayesmix.core.mixture import Mixture
from bayesmix.em.run import State, begin_at
from bayesmix.search.moves import Assignment, Move, best_splits
from bayesmix.search.optimum import FULL, SETTLE_PASSES, OptimumSearch, ShortRun
from bayesmix.search.starts import OfMixture, begun

# Splits of a mixture with one component less that serve as starts, and passes to find them.
GROWN_STARTS, GROWN_PASSES = 2, 2


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
    """Yield short runs from fits of other candidates; smaller fits are split first."""
    number = 0
    for mixture in search.settings.warm_starts:
        if mixture.n_components > search.model.n_components or search.monitor.stopped is not None:
            continue
        for state in _grown(search, mixture):
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
        grown = [Move(split, None, split.gain).begun(search.sample, state) for split in splits]
        if state.current_mixture().n_components == K - 1:
            yield from grown[:GROWN_STARTS]
            return
        state = search.attempts.run(search.sample, grown[0], FULL.passes) if grown else None


def _resumed(search: OptimumSearch, mixture: Mixture) -> State | None:
    """Continue at a mixture; in the same frame this takes one E-step."""
    frame = search.sample.frame
    if mixture.frame.equals(frame) and search.problem.family.made(mixture.components):
        return begin_at(search.sample, replace(mixture, frame=frame))
    start = begun(search.sample, OfMixture(mixture), mixture.n_components)
    return search.attempts.run(search.sample, start, FULL.passes)
