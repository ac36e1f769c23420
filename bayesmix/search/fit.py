"""Fit a model: starts, search, final run, pruning, ordering and result.

With more than 100 components no moves are searched: the fit begins at k-means of a subsample.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.core.parallel import SECONDS_ALONE, single_threaded_blas
from bayesmix.core.rows import Event
from bayesmix.em.model import (
    Attempt,
    Model,
    Settings,
    check_values,
    rank,
    resolve,
    side_of,
)
from bayesmix.em.pruning import without_empty
from bayesmix.em.result import (
    DensitySums,
    FitResult,
    SearchRecord,
    assess,
    empty_rows,
    plug_in_density,
    sample_size,
    units_of,
)
from bayesmix.em.run import Monitor, Problem, State, assessed, begin_at, run, run_up_to
from bayesmix.search.events import of_covariates, of_spurious, warn_of
from bayesmix.sources.memory import ArraySource
from bayesmix.starts.chosen_start import chosen_start
from bayesmix.version import versions

if TYPE_CHECKING:
    from bayesmix.core.sources import Source
    from bayesmix.em.start import Start


@dataclass(frozen=True)
class Outcome:
    """A finished run and the records of its search."""

    state: State
    records: tuple[SearchRecord, ...]


def fit(
    model: Model,
    source: Source,
    settings: Settings,
    monitor: Monitor | None = None,
    start: Start | None = None,
) -> FitResult:
    """Return the best of ``n_init`` runs, each with its search, or the one run of a given start."""
    began = time.perf_counter()
    monitor = monitor or Monitor()
    check_values(model.family, source, model.n_components)
    with single_threaded_blas():
        problem = resolve(model, source, settings)
        if model.noise is not None:
            model.noise.check(problem)
        if problem.source is not source:
            settings = _in_coordinates(problem, settings)
        attempt = Attempt(problem, model, settings, monitor, source, fit)
        runs = 1 if start is not None else settings.n_init
        best: Outcome | None = None
        processing = time.process_time()
        try:
            for index in range(runs):
                monitor.stage = f"run {index + 1} of {runs}" if runs > 1 else ""
                workers = _worth_workers(attempt, index, runs, processing)
                if workers:
                    from bayesmix.search.runs_in_workers import in_workers

                    outcomes = in_workers(attempt, index, workers)
                else:
                    outcomes = iter([one_run(replace(attempt, index=index), start)])
                for outcome in outcomes:
                    if best is None or rank(problem, outcome.state) > rank(problem, best.state):
                        best = outcome
                    if monitor.stopped is not None:
                        break
                if workers or monitor.stopped is not None:
                    break
        except KeyboardInterrupt:
            if best is None:
                raise
            monitor.interrupt()
        assert best is not None
        if monitor.stopped == "interrupted":
            # The best run may have finished, but the fit did not.
            best = replace(best, state=replace(best.state, status="interrupted"))
        result = _result(attempt, source, best, time.perf_counter() - began)
    if result.events:
        warn_of(result.events, result.noun)
    return result


def _worth_workers(attempt: Attempt, index: int, runs: int, began: float) -> int:
    """Return the number of workers for the runs from ``index`` on, 0 if they stay here."""
    busy = index > 0 and time.process_time() - began > SECONDS_ALONE
    if not busy or index + 1 == runs or not attempt.monitor.countable:
        return 0
    idle = attempt.problem.source.idle(attempt.model.n_components)
    return 1 + idle if idle else 0


def one_run(attempt: Attempt, start: Start | None = None) -> Outcome:
    """Run a fit from a start to its end; None is chosen by settings, model and data."""
    settings, monitor = attempt.settings, attempt.monitor
    if attempt.few:
        attempt = replace(attempt, problem=replace(attempt.problem, accelerate=False))
    problem = attempt.problem
    with monitor.search():
        begun = (start or chosen_start(attempt)).begun(attempt)
    state = begun.state
    if settings.max_iter == 0 and state.mixture is None:
        first = problem.objective.update(
            state.expectation, None, problem.frame, problem.guard.resolution
        )
        state = begin_at(problem, first, state)
    state = run(problem, state, monitor, settings.max_iter - state.iterations)
    state = without_empty(attempt, state)
    try:
        if settings.sort and side_of(problem.source).labels is None:
            state = _heaviest_first(attempt, state)
    except KeyboardInterrupt:
        monitor.interrupt()
        state = replace(state, status="interrupted")
    return Outcome(state, begun.records)


def _heaviest_first(attempt: Attempt, state: State) -> State:
    """Sort components by weight; for stick-breaking weights only if the bound does not fall.

    Components with held parameters keep their places.
    """
    problem, mixture = attempt.problem, state.current_mixture()
    order = np.argsort(-mixture.weights.mean(), kind="stable")
    if attempt.model.restriction is not None:
        order = attempt.model.restriction.sorted(order)
    if np.array_equal(order, np.arange(len(order))):
        return state
    reordered = state.subset(order)
    if mixture.weights.exchangeable:
        return reordered
    moved = begin_at(problem, reordered.current_mixture(), reordered)
    moved = run_up_to(problem, moved, attempt.monitor, attempt.settings.max_iter)
    as_settled = moved.status == "converged" or state.status != "converged"
    return moved if moved.objective >= state.objective and as_settled else state


def _in_coordinates(problem: Problem, settings: Settings) -> Settings:
    """Return settings of a problem whose source has coordinates inside its frame.

    Mixtures of other frames cannot read them.
    """
    here = tuple(m for m in settings.warm_starts if m.frame.equals(problem.frame))
    return replace(settings, warm_starts=here)


def _result(attempt: Attempt, source: Source, outcome: Outcome, seconds: float) -> FitResult:
    problem, model, state = attempt.problem, attempt.model, outcome.state
    mixture = replace(
        state.current_mixture(), components=state.current_mixture().components.released()
    )
    assessment = assessed(source, mixture)
    total_weight = source.total_weight
    measurement = side_of(source).measurement
    events: tuple[Event, ...] = ()
    if side_of(source).design is not None:
        events = of_covariates(problem.objective.weights_prior, state, source)
    if measurement is not None:
        events += measurement.undetermined(mixture, source)
    log_volume = problem.frame.log_volume if model.family.continuous else 0.0
    shift = units_of(model.family, problem.objective, mixture, total_weight)
    shift += assessment.unseen_volume
    exact = assessment.log_likelihood + problem.objective.regulariser(mixture)
    objective = exact if state.resolution is not None else state.objective
    if problem.objective.variational:
        point = replace(plug_in_density(mixture), weights=mixture.weights.averaged())
        sums = assess(model.family, point, source, log_volume)
    else:
        sums = DensitySums.of(assessment, total_weight, log_volume, sample_size(source))
    return replace(
        FitResult.of_run(replace(problem, source=source), state, mixture, assessment, sums),
        family=model.family,
        requested_components=model.n_components,
        objective=float(objective + shift),
        trace=np.array(state.trace) + shift,
        events=_numbered(state.events + of_spurious(problem, state), source) + events,
        passes=attempt.monitor.passes,
        seconds=seconds,
        seed=attempt.settings.seed,
        search_trace=tuple(
            replace(record, objective=record.objective + shift) for record in outcome.records
        ),
        versions=versions(),
        columns=source.columns,
        n_missing=source.summary.n_missing,
        n_empty=_n_empty(source),
        resolution=state.resolution,
        side=replace(side_of(source), measurement=None),
    )


def _n_empty(source: Source) -> int:
    """Return the number of samples of sequences without any value; those in parts have all."""
    ordered = isinstance(source, ArraySource) and source.side.ordered
    return int(empty_rows(source).sum()) if ordered else 0  # type: ignore[arg-type]  # in memory


def _numbered(events: tuple[Event, ...], source: Source) -> tuple[Event, ...]:
    """Return events with observation numbers as in the user's data."""
    if source.numbers is None:
        return events
    return tuple(
        replace(event, rows=tuple(source.numbers[list(event.rows)].tolist())) for event in events
    )
