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
    K, near = search.model.n_components, search.settings.near
    alone = not search.settings.moves and [mixture.n_components for mixture in near] == [K]
    if not alone or not search.problem.family.made(near[0].components):
        return None
    state = begun(search.all_rows, OfMixture(near[0]), K)
    return search.attempts.run(search.all_rows, state, SETTLE_PASSES)


def near_runs(search: OptimumSearch, passes: int) -> Iterator[ShortRun]:
    """Yield short runs from fits of other candidates; smaller fits are split first."""
    number = 0
    for near in search.settings.near:
        if near.n_components > search.model.n_components or search.monitor.stopped is not None:
            continue
        for state in _grown(search, near):
            after = search.attempts.run(search.sample, state, passes)
            if after is not None:
                number -= 1
                yield ShortRun(number, after)


def _grown(search: OptimumSearch, near: Mixture) -> Iterator[State]:
    """Yield states that start at another candidate's fit, with its best splits made."""
    K = search.model.n_components
    if near.n_components == K:
        yield begun(search.sample, OfMixture(near), K)
        return
    state = _resumed(search, near) if search.problem.family.rearranged else None
    while state is not None:
        assignment = Assignment.under(search.sample, state)
        splits = best_splits(search.sample, state, assignment, GROWN_PASSES, 0)
        grown = [Move(split, None, split.gain).begun(search.sample, state) for split in splits]
        if state.current_mixture().n_components == K - 1:
            yield from grown[:GROWN_STARTS]
            return
        state = search.attempts.run(search.sample, grown[0], FULL.passes) if grown else None


def _resumed(search: OptimumSearch, near: Mixture) -> State | None:
    """Continue at a mixture; in the same frame this takes one E-step."""
    frame = search.sample.frame
    if near.frame.equals(frame) and search.problem.family.made(near.components):
        return begin_at(search.sample, replace(near, frame=frame))
    start = begun(search.sample, OfMixture(near), near.n_components)
    return search.attempts.run(search.sample, start, FULL.passes)
