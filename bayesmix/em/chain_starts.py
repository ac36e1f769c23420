"""Starts of hidden Markov models: the mixture of the same samples without their order, and k-means.

Each is tried with a chain that stays in its states and with one of independent states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from bayesmix.allocation.chain import STICKY, started
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import NO_SIDE_INFORMATION
from bayesmix.em.model import Model, Settings, Start, rank, resolve
from bayesmix.em.result import FitResult
from bayesmix.em.run import AMONG_CANDIDATES, Monitor, run
from bayesmix.errors import BayesmixError
from bayesmix.search.starts import OfMixture, begun, numbered_starts
from bayesmix.sources.memory import ArraySource

# Passes of each start, and how many of the best run to convergence.
SHORT, FINALISTS = 20, 3


def best_of_starts(
    fit: Callable[[Model, ArraySource, Settings, Monitor], FitResult],
    model: Model,
    source: ArraySource,
    settings: Settings,
    monitor: Monitor,
    n_starts: int,
) -> Mixture:
    """Return the best optimum that the starts reach, in the states' order of the start."""
    problem = resolve(model, source, replace(settings, stopping=AMONG_CANDIDATES))
    with_values = ~np.isnan(source.values).all(axis=1)
    samples = replace(source, side=NO_SIDE_INFORMATION)
    if not with_values.all():
        samples = samples.subset(with_values)
    unordered = replace(problem, source=samples)
    prior = problem.objective.weights_prior
    ends, last = [], None
    for number, start in enumerate(_starts(fit, model, samples, settings, monitor, n_starts)):
        stickiness = STICKY if number % 2 == 0 else 0.0
        objective = replace(problem.objective, weights=started(prior, stickiness))  # type: ignore[type-var]  # a dataclass
        try:
            state = begun(unordered, start, model.n_components)
            ends.append(run(replace(problem, objective=objective), state, monitor, SHORT))
        except BayesmixError as refused:
            last = refused
        if monitor.stopped is not None:
            break
    if not ends:
        assert last is not None
        raise last
    ends.sort(key=lambda state: rank(problem, state), reverse=True)
    finals = [run(problem, state, monitor, settings.max_iter) for state in ends[:FINALISTS]]
    return max(finals, key=lambda state: rank(problem, state)).at()


def _starts(
    fit: Callable[[Model, ArraySource, Settings, Monitor], FitResult],
    model: Model,
    samples: ArraySource,
    settings: Settings,
    monitor: Monitor,
    n_starts: int,
) -> Iterator[Start]:
    """Yield the fitted mixture twice, and starts by k-means twice each."""
    inference = replace(model.inference, weights=None)  # type: ignore[type-var]  # a dataclass
    mixture_model = replace(model, inference=inference, prune=False)
    alone = replace(settings, n_init=1, sort=False)
    try:
        mixture = fit(mixture_model, samples, alone, monitor.child()).mixture
        yield OfMixture(mixture)
        yield OfMixture(mixture)
    except BayesmixError:
        if model.n_components == 1:
            raise
    if model.n_components == 1:
        return
    numbers = range(max(0, (n_starts - 1) // 2))
    summary = samples.summary
    for _, start in numbered_starts(
        samples, summary, mixture_model, settings.seed, 0, numbers, graphs=False
    ):
        yield start
        yield start
