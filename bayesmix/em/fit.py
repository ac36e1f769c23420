"""Fit a model: starts, search, final run, pruning, ordering and result.

With more than 100 components no moves are searched: the fit begins at k-means of a subsample.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import Parallel, delayed

from bayesmix.core.mixture import Mixture
from bayesmix.core.parallel import SECONDS_ALONE, single_threaded_blas
from bayesmix.core.random import Purpose, stream
from bayesmix.core.rows import Event, Frame
from bayesmix.em.model import (
    Attempt,
    Model,
    Settings,
    check_values,
    rank,
    resolve,
    side_of,
    under_a_prior,
)
from bayesmix.em.result import (
    FEW_POINTS,
    TOO_FEW_ROWS,
    DensitySums,
    FitResult,
    SearchRecord,
    assess,
    plug_in_density,
)
from bayesmix.em.run import Monitor, Problem, State, assessed, begin_at, pruned, run_up_to
from bayesmix.errors import (
    BayesmixWarning,
    DegenerateComponentWarning,
    FlatDirectionWarning,
    UnsupportedError,
    warn,
)
from bayesmix.search import starts
from bayesmix.search.moves import of_statistics
from bayesmix.search.optimum import search
from bayesmix.version import versions

if TYPE_CHECKING:
    from bayesmix.core.engines import Objective
    from bayesmix.core.families import Family
    from bayesmix.core.sources import Source


# With fewer iterations the user wants a few EM steps, not an optimum.
FEW_ITERATIONS = 10


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
    continue_from: Mixture | None = None,
) -> FitResult:
    """Return the best of ``n_init`` runs, each with its search.

    ``continue_from`` is a mixture to start at, in any frame, instead of ``settings.init``.
    """
    began = time.perf_counter()
    monitor = monitor or Monitor()
    check_values(model.family, source, model.n_components)
    with single_threaded_blas():
        problem = resolve(model, source, settings)
        if model.noise is not None:
            from bayesmix.em.special_starts import first_noise, refuse_flat

            refuse_flat(problem)
            if continue_from is not None and continue_from.noise is None:
                continue_from = replace(continue_from, noise=first_noise(problem))
        attempt = Attempt(problem, model, settings, monitor)
        best: Outcome | None = None
        try:
            for outcome in _outcomes(attempt, continue_from):
                if best is None or rank(problem, outcome.state) > rank(problem, best.state):
                    best = outcome
                if monitor.stopped is not None:
                    break
        except KeyboardInterrupt:
            if best is None:
                raise
            monitor.interrupt()
        assert best is not None
        if monitor.stopped == "interrupted":
            # The best run may have finished, but the fit did not.
            best = replace(best, state=replace(best.state, status="interrupted"))
        result = _result(attempt, best, time.perf_counter() - began)
    _warn(result)
    return result


def _outcomes(attempt: Attempt, continue_from: Mixture | None) -> Iterator[Outcome]:
    """Yield the runs in order, in worker processes if they take long and cores are idle."""
    began = time.process_time()
    settings, monitor = attempt.settings, attempt.monitor
    runs = 1 if continue_from is not None else settings.n_init
    for index in range(runs):
        monitor.stage = f"run {index + 1} of {runs}" if runs > 1 else ""
        busy = index > 0 and time.process_time() - began > SECONDS_ALONE
        if busy and index + 1 < runs and monitor.countable:
            idle = attempt.problem.source.idle(attempt.model.n_components)
            if idle:
                yield from _in_workers(attempt, index, 1 + idle)
                return
        yield _one_run(replace(attempt, index=index), continue_from)


def _in_workers(attempt: Attempt, first: int, workers: int) -> Iterator[Outcome]:
    """Yield the runs from ``first`` on, with the same results as in this process."""
    monitor, runs = attempt.monitor, attempt.settings.n_init
    jobs = (
        delayed(_alone)(replace(attempt, monitor=Monitor(), index=index))
        for index in range(first, runs)
    )
    outcomes = Parallel(n_jobs=workers, return_as="generator")(jobs)
    for index, (outcome, apart) in enumerate(outcomes, first):
        monitor.stage = f"run {index + 1} of {runs}"
        monitor.counted(apart)
        yield outcome


def _alone(attempt: Attempt) -> tuple[Outcome, Monitor]:
    with single_threaded_blas():
        return _one_run(attempt, None), attempt.monitor


def _one_run(attempt: Attempt, continue_from: Mixture | None) -> Outcome:
    model, settings, monitor = attempt.model, attempt.settings, attempt.monitor
    records: tuple[SearchRecord, ...] = ()
    few = settings.max_iter < FEW_ITERATIONS
    if few:
        attempt = replace(attempt, problem=replace(attempt.problem, accelerate=False))
    problem = attempt.problem
    if continue_from is not None:
        state = begin_at(problem, continue_from)
    elif callable(settings.init):
        state = starts.begun(problem, settings.init, model.n_components)
    elif side_of(problem.source) or model.noise is not None:
        from bayesmix.em.special_starts import begun_specially

        state = begun_specially(fit, attempt)
    elif not problem.form.exact:
        state = begin_at(problem, first_of_many(problem, model, settings, attempt.index))
    elif settings.search and not few:
        optimum = search(attempt)
        records, state = optimum.records, optimum.state.afresh()
    else:
        start = starts.named_start(
            settings.init,
            problem.source,
            problem.source.summary,
            model.n_components,
            settings.seed,
            attempt.index,
            model.family,
        )
        state = starts.begun(problem, start, model.n_components)
    if settings.max_iter == 0 and state.mixture is None:
        first = problem.objective.update(
            state.expectation, None, problem.frame, problem.guard.resolution
        )
        state = begin_at(problem, first, state)
    state = run_up_to(problem, state, monitor, settings.max_iter)
    try:
        if model.prune and problem.objective.variational:
            largest = side_of(problem.source).largest_label
            state = pruned(problem, state, monitor, settings.max_iter, largest + 1)
        if settings.sort and side_of(problem.source).labels is None:
            state = _heaviest_first(problem, state, monitor, settings.max_iter)
    except KeyboardInterrupt:
        monitor.interrupt()
        state = replace(state, status="interrupted")
    return Outcome(state, records)


def _heaviest_first(problem: Problem, state: State, monitor: Monitor, max_iter: int) -> State:
    """Sort components by weight; for stick-breaking weights only if the bound does not fall."""
    mixture = state.current_mixture()
    order = np.argsort(-mixture.weights.mean(), kind="stable")
    if np.array_equal(order, np.arange(len(order))):
        return state
    reordered = state.subset(order)
    if mixture.weights.exchangeable:
        return reordered
    moved = begin_at(problem, reordered.current_mixture(), reordered)
    moved = run_up_to(problem, moved, monitor, max_iter)
    as_settled = moved.status == "converged" or state.status != "converged"
    return moved if moved.objective >= state.objective and as_settled else state


def _result(attempt: Attempt, outcome: Outcome, seconds: float) -> FitResult:
    problem, model, state = attempt.problem, attempt.model, outcome.state
    mixture = replace(
        state.current_mixture(), components=state.current_mixture().components.released()
    )
    assessment = assessed(problem.source, mixture)
    n_rows, n_features = problem.source.shape
    total_weight = problem.source.total_weight
    measurement = side_of(problem.source).measurement
    events = separation(state, problem.source)
    if measurement is not None:
        events += measurement.undetermined(mixture, problem.source)
    log_volume = problem.frame.log_volume if model.family.continuous else 0.0
    shift = units_of(model.family, problem.objective, mixture, total_weight)
    shift += assessment.unseen_volume
    exact = assessment.log_likelihood + problem.objective.regulariser(mixture)
    # Passes on a lower bound report less than the objective.
    objective = exact if state.resolution is not None or not state.form.exact else state.objective
    if problem.objective.variational:
        point = replace(plug_in_density(mixture), weights=mixture.weights.averaged())
        sums = assess(model.family, point, problem.source, log_volume)
    else:
        sums = DensitySums.of(assessment, total_weight, log_volume)
    return FitResult(
        family=model.family,
        inference=problem.objective,
        requested_components=model.n_components,
        mixture=mixture,
        objective=float(objective + shift),
        log_likelihood=sums.log_likelihood,
        trace=np.array(state.trace) + shift,
        segments=state.segments,
        status=state.status,
        events=_numbered(state.events, problem.source) + events,
        counts=assessment.counts,
        hard_counts=assessment.hard_counts,
        entropy=assessment.entropy,
        plug_in_sums=sums,
        total_weight=total_weight,
        n_rows=n_rows,
        n_features=n_features,
        passes=attempt.monitor.passes,
        seconds=seconds,
        seed=attempt.settings.seed,
        form=state.form.name,
        search_trace=tuple(
            replace(record, objective=record.objective + shift) for record in outcome.records
        ),
        versions=versions(),
        columns=problem.source.columns,
        n_missing=problem.source.summary.n_missing,
        resolution=state.resolution,
        side=replace(side_of(problem.source), measurement=None),
    )


def units_of(family: Family, objective: Objective, mixture: Mixture, total_weight: float) -> float:
    """Return the change of an objective from the frame to data units."""
    frame = mixture.frame
    shift = -total_weight * frame.log_volume if family.continuous else 0.0
    if objective.name == "maximum_a_posteriori":
        prior: Any = objective.prior  # type: ignore[attr-defined]  # MAP has a prior
        # Directions that were set aside have no prior, so only the others change units.
        units = Frame(
            np.zeros(frame.n_directions), 1.0 / frame.directions(np.ones(len(frame.scale)))
        )
        shift += prior.unframed(units).log_density(
            mixture.components.unframed(units)
        ) - prior.log_density(mixture.components)
    return shift


def _numbered(events: tuple[Event, ...], source: Source) -> tuple[Event, ...]:
    """Return events with observation numbers as in the user's data."""
    if source.numbers is None:
        return events
    return tuple(
        replace(event, rows=tuple(source.numbers[list(event.rows)].tolist())) for event in events
    )


def separation(state: State, source: Source) -> tuple[Event, ...]:
    """Return an event if covariates separate components, so that coefficients diverge."""
    sums: Any = state.expectation.allocation
    design = side_of(source).design
    if design is None or not sums.separated:
        return ()
    gate: Any = state.current_mixture().weights
    largest = np.unravel_index(np.abs(gate.coefficients).argmax(), gate.coefficients.shape)
    component, term = largest[-2:]
    text = (
        f"covariates separate {{which}} from component 0 completely (most: {design.terms[term]}), "
        "so the coefficients of the gate have no finite estimate: use a prior "
        "(MaximumAPosteriori()), fewer covariates or fewer components"
    )
    return (Event("separated", text, components=(int(component),)),)


def _warn(result: FitResult) -> None:
    """Warn about problems of the final fit that the user can act on."""
    for event in result.events:
        if event.kind in ("separated", "undetermined"):
            warn(event.text, BayesmixWarning)
        if event.kind == "flat":
            warn(event.text, FlatDirectionWarning)
    few = [event for event in result.events if event.kind in (TOO_FEW_ROWS, FEW_POINTS)]
    if few:
        warn(few[0].text, DegenerateComponentWarning)
        return
    held = [event for event in result.events if event.kind == "held" and event.components]
    if held:
        more = f" (and {len(held) - 1} more, see result_.events)" if len(held) > 1 else ""
        warn(held[0].text + more, DegenerateComponentWarning)


ROWS_OF_EACH = 30
ROUNDS = 10


def first_of_many(problem: Problem, model: Model, settings: Settings, index: int) -> Mixture:
    """Return a mixture from k-means of a subsample, under a prior that prevents singularity."""
    K = model.n_components
    source = problem.source
    sample = source.sample(ROWS_OF_EACH * K, stream(settings.seed, Purpose.SUBSAMPLE, index))
    generator = stream(settings.seed, Purpose.START, index)
    rows = starts.distinct_rows(sample, source.summary, generator, ROWS_OF_EACH * K)
    centres = starts.lloyd(rows, starts.plus_plus(rows, K, generator), ROUNDS)
    shares = starts.NearestCentre(centres, source.summary)(sample.rows)
    if sample.weights is not None:
        shares *= sample.weights[:, None]
    statistics = problem.family.statistics(problem.frame.apply(sample.values), shares)
    objective = problem.objective
    if objective.name == "maximum_likelihood":
        # without a prior for the family, start from the likelihood
        with suppress(UnsupportedError):
            objective = under_a_prior(problem, sample, K)
    factor = float(source.total_weight / np.maximum(statistics.counts.sum(), 1e-300))
    return objective.update(
        of_statistics(statistics.scaled(factor)), None, problem.frame, problem.guard.resolution
    )
