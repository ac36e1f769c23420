"""How a pass grows with rows, features and components, with threads, and with many components."""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np

from bayesmix.allocation.point import PointWeights
from bayesmix.core.mixture import Mixture
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.em.expectation import LINEAR, Form
from bayesmix.em.fit import first_of_many
from bayesmix.em.model import Model, Settings, resolve
from bayesmix.em.objectives import MaximumAPosteriori
from bayesmix.em.run import REMAINING_IN_SEARCH, Aitken, Monitor, assessed, begin_at
from bayesmix.em.run import run as run_passes
from bayesmix.em.truncated import Truncated, refreshed
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.sources.memory import ArraySource
from benchmarks.problems import Problem

ROWS = (100_000, 1_000_000, 10_000_000)
FEATURES = (2, 5, 10, 20, 50)
COMPONENTS = (2, 5, 10, 20, 50)
# Dense fits beside truncated ones, and their most passes: to the end where that takes minutes.
TO_THE_END = (
    (Problem(20_000, 10, 120), 1000),
    (Problem(100_000, 10, 200), 1000),
    (Problem(100_000, 10, 300), 1000),
    (Problem(1_000_000, 10, 1000), 60),
)
WARM_SECONDS = 0.5  # an idle core takes a while to be at its speed


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per case: nanoseconds a row and component, and the ratio that it is about."""
    largest = 1_000_000 if quick else 10_000_000
    table = [_row(Problem(n, 10, 10), repeats) for n in ROWS if n <= largest]
    table += [_row(Problem(100_000, d, 10), repeats) for d in FEATURES if d != 10]
    table += [_row(Problem(100_000, 10, k), repeats) for k in COMPONENTS if k != 10]
    table.append(_two_threads(repeats))
    many = Problem(100_000, 10, 200) if quick else Problem(1_000_000, 10, 1000)
    table.append(_many(many))
    for problem, most in TO_THE_END[:1] if quick else TO_THE_END:
        table.append(_fits(problem, most))
    for row in table:
        print("  ", {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})
    return table


def _truth(problem: Problem) -> tuple[Any, Mixture]:
    """Rows, and the mixture of the components that they were drawn from, near enough."""
    rows, labels = problem.labelled_rows()
    family = Gaussian()
    source = ArraySource(rows, n_jobs=2)
    frame = family.frame(source.summary)
    K = problem.n_components
    parts = []
    for k in range(K):
        own = frame.apply(rows[labels == k][:2000])
        parts.append(family.statistics(own, np.ones((len(own), 1))))
    statistics = type(parts[0]).joined(parts)
    shares = np.bincount(labels, minlength=K) / len(labels)
    components = family.maximum_likelihood(statistics)
    return source, Mixture(PointWeights(shares), components, frame)


def _seconds(source: Any, form: Form, mixture: Mixture, repeats: int) -> float:
    step, width = form.step(mixture), form.width(mixture.n_components)
    with single_threaded_blas():
        warm_until = time.perf_counter() + WARM_SECONDS
        while time.perf_counter() < warm_until:
            source.reduce(step, width, form.earlier)
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            source.reduce(step, width, form.earlier)
            times.append(time.perf_counter() - began)
    return median(times)


def _row(problem: Problem, repeats: int) -> dict[str, Any]:
    source, mixture = _truth(problem)
    seconds = _seconds(source, LINEAR, mixture, repeats)
    work = problem.n_rows * problem.n_components
    return {
        "case": problem.name,
        "ms": 1e3 * seconds,
        "ns_a_row_and_component": 1e9 * seconds / work,
    }


def _two_threads(repeats: int) -> dict[str, Any]:
    problem = Problem(100_000, 10, 10)
    source, mixture = _truth(problem)
    one = ArraySource(source.values, n_jobs=1)
    times = [
        (_seconds(one, LINEAR, mixture, 5), _seconds(source, LINEAR, mixture, 5))
        for _ in range(repeats)
    ]
    return {
        "case": f"{problem.name}: two threads against one",
        "times_faster": median(a / b for a, b in times),
    }


def _many(problem: Problem) -> dict[str, Any]:
    """Truncated responsibilities against all of them."""
    source, mixture = _truth(problem)
    with single_threaded_blas():
        # As in a run: candidates are fewer once rows have kept their anchors.
        form = refreshed(source, mixture, Truncated(LINEAR).renewed(source, mixture, 0))
    dense = _seconds(source, LINEAR, mixture, 2)
    truncated = _seconds(source, form, mixture, 5)
    with single_threaded_blas():
        below = source.reduce(LINEAR.step(mixture), problem.n_components).log_normaliser
        below -= source.reduce(form.step(mixture), 1, form.earlier).log_normaliser
    return {
        "case": f"{problem.name}: {form.neighbours.shape[1]} candidates against all",
        "ms": 1e3 * truncated,
        "dense_ms": 1e3 * dense,
        "times_faster": dense / truncated,
        "bound_below_nats_a_row": below / problem.n_rows,
    }


def _fits(problem: Problem, most: int) -> dict[str, Any]:
    """A dense and a truncated fit of plain passes from the same start, to the same stopping.

    Maximum a posteriori: a likelihood has components moved that collapse, each time elsewhere.
    """
    source = ArraySource(problem.rows(), n_jobs=2)
    model = Model(problem.n_components, Gaussian(), MaximumAPosteriori())
    settings = Settings(Aitken(REMAINING_IN_SEARCH), accelerate=False, sort=False)
    with single_threaded_blas():
        truncated = resolve(model, source, settings)
        start = first_of_many(truncated, model, settings, 0)
        dense = replace(truncated, form=truncated.form.dense)
        for each in (dense, truncated):
            run_passes(each, begin_at(each, start), Monitor(), 1)
        ends, values, seconds = [], [], []
        for each in (dense, truncated):
            began = time.perf_counter()
            state = run_passes(each, begin_at(each, start), Monitor(), most)
            seconds.append(time.perf_counter() - began)
            value = assessed(each.source, state.current_mixture()).log_likelihood
            values.append(value + each.objective.regulariser(state.current_mixture()))
            ends.append(state)
        last = ends[1]
        of_all = _seconds(source, LINEAR, last.current_mixture(), 1)
        of_few = _seconds(source, last.form, last.current_mixture(), 3)
    return {
        "case": f"{problem.name}: {last.form.neighbours.shape[1]} candidates in the end",
        "status": last.status,
        "passes": last.passes,
        "seconds": seconds[1],
        "dense_passes": ends[0].passes,
        "dense_seconds": seconds[0],
        "fit_times_faster": seconds[0] / seconds[1],
        "pass_times_faster": of_all / of_few,
        "dense_objective_a_row": values[0] / problem.n_rows,
        "above_dense_nats_a_row": (values[1] - values[0]) / problem.n_rows,
    }
