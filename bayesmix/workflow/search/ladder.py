"""The ladder: of many rows some are searched, and all of them only end it.

Some rows that stand for all are fitted too well: where the number of components is free, accidents
of theirs become components. On the way up these have to gain what they would have to gain again on
the other rows, where an accident gains nothing.
"""

from __future__ import annotations

from dataclasses import replace

from bayesmix.engine.monitor import Monitor
from bayesmix.engine.run import Problem, begin_at
from bayesmix.random import Purpose, stream
from bayesmix.workflow.model import Model, Settings, watch
from bayesmix.workflow.search.optimum import (
    FINISH_PASSES,
    SETTLE_PASSES,
    Optimum,
    Searcher,
    on_these_rows,
)

RUNG_ROWS, MANY_ROWS = 50_000, 200_000
# Nats that an accident gains for each of its parameters, on the rows that it was fitted to: one
# where the model is regular (Akaike 1973), more where it is the best of many ways to split.
NATS_A_PARAMETER = 2.0


def search(
    problem: Problem, model: Model, settings: Settings, monitor: Monitor, index: int
) -> Optimum:
    """The best state that starts and moves lead to."""
    if settings.moves and problem.source.shape[0] > MANY_ROWS:
        return _by_a_rung(problem, model, settings, monitor, index)
    return on_these_rows(problem, model, settings, monitor, index)


def _by_a_rung(
    problem: Problem, model: Model, settings: Settings, monitor: Monitor, index: int
) -> Optimum:
    """The search on some of the rows, and its end on all of them: moves that still help there."""
    generator = stream(settings.seed, Purpose.SUBSAMPLE, index, 1)
    rows = problem.source.sample(RUNG_ROWS, generator).standing_for(problem.source.total_weight)
    summary = problem.source.summary
    guard = watch(problem.family, rows, problem.frame, summary, problem.objective)
    rung = replace(problem, source=rows, guard=guard)
    found = on_these_rows(rung, model, settings, monitor, index)
    searcher = Searcher(problem, model, settings, monitor, index)
    state, improver = found.state, searcher.coarse
    if problem.objective.variational and model.prune:
        view = replace(searcher.loose, source=rung.source, guard=rung.guard)
        improver = replace(improver, view=view, accident=_accident(problem, model))
        state = improver.improved(view, state)
        improver = replace(improver, surely=True)
    state = begin_at(searcher.loose, state.at(), nearby=state)
    state = searcher.attempts.run(searcher.loose, state, SETTLE_PASSES) or state
    state = improver.improved(searcher.loose, state)
    finished = searcher.attempts.run(problem, state, FINISH_PASSES)
    return Optimum(finished or state, (*found.records, *searcher.attempts.records))


def _accident(problem: Problem, model: Model) -> float:
    """What a component too many gains on a rung that stands for all rows, in nats."""
    n_rows, n_features = problem.source.shape
    one, two = (model.family.n_parameters(K, n_features) for K in (1, 2))
    return NATS_A_PARAMETER * (n_rows / RUNG_ROWS - 1.0) * (two - one + 1)
