"""The end of a run: components below one observation are dropped, unless the bound falls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bayesmix.core.rows import Event
from bayesmix.em.model import Attempt, side_of
from bayesmix.em.run import Monitor, Problem, State, begin_at, run_up_to

# Number of observations below which a component is pruned.
PRUNE_BELOW = 1.0


def without_empty(attempt: Attempt, state: State) -> State:
    """Return the end of a run without empty components if the model prunes them."""
    problem, monitor, max_iter = attempt.problem, attempt.monitor, attempt.settings.max_iter
    if not (attempt.model.prune and problem.objective.variational):
        return state
    try:
        n_labelled = side_of(problem.source).largest_label + 1
        return pruned(problem, state, monitor, max_iter, n_labelled)
    except KeyboardInterrupt:
        monitor.interrupt()
        return replace(state, status="interrupted")


def pruned(
    problem: Problem, state: State, monitor: Monitor, max_iter: int, n_labelled: int = 0
) -> State:
    """Drop components below one observation, beyond the labelled, unless the bound falls."""
    while monitor.stopped is None:
        counts = state.expectation.counts
        keep = np.flatnonzero((counts >= PRUNE_BELOW) | (np.arange(len(counts)) < n_labelled))
        if len(keep) == len(counts) or len(keep) == 0:
            return state
        fewer = state.subset(keep)
        smaller = begin_at(problem, fewer.current_mixture(), fewer)
        smaller = run_up_to(problem, smaller, monitor, max_iter)
        gain = smaller.objective - state.objective
        if gain < -1e-12 * state.expectation.magnitude:
            return state
        dropped = len(counts) - len(keep)
        dropped_text = "1 component" if dropped == 1 else f"{dropped} components"
        event = Event(
            "pruned",
            f"{dropped_text} with less than one observation {'was' if dropped == 1 else 'were'} "
            "dropped",
            at_pass=state.passes,
            gain=gain,
        )
        state = replace(smaller, events=(*smaller.events, event))
    return state
