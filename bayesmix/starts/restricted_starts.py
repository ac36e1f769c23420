"""Starts of mixtures with held or equal parameters.

The starts are the fit without restrictions and clusters by k-means. Held values belong to given
components, so clusters are assigned to components in all ways, or where these are too many in the
way that fits the held values best.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from bayesmix.core.mixture import Mixture
from bayesmix.core.random import Purpose, stream
from bayesmix.core.restrictions import OF_MOVES, Restriction
from bayesmix.core.rows import Rows
from bayesmix.em.model import Assign, Attempt, Model, rank
from bayesmix.em.restricted import begun_at, named_parameter
from bayesmix.em.run import State, run
from bayesmix.em.start import Begun
from bayesmix.errors import BayesmixError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.starts.labelled_starts import CONCENTRATION, FEW_PASSES
from bayesmix.starts.responsibilities import Given, begun, numbered_starts

# Ways of assigning clusters to components that are tried, and clusterings by k-means.
MOST_PLACEMENTS, CLUSTERINGS = 120, 3
# Random starts where components share parameters.
RANDOM = 12
# Passes after which all starts are compared, and how many of the best get more.
FIRST_PASSES, FINALISTS = 3, 4


@dataclass(frozen=True)
class Placed:
    """A start whose clusters become components in another order."""

    start: Assign
    order: Integers

    def __call__(self, rows: Rows) -> Array:
        return self.start(rows)[:, self.order]


@dataclass(frozen=True)
class RestrictedStart:
    """The best of several starts after short runs, for held and equal parameters."""

    def begun(self, attempt: Attempt) -> Begun:
        """Return the best start after short runs."""
        return Begun(_best(attempt, _states(attempt), _random(attempt)))


def begun_from(attempt: Attempt, mixture: Mixture) -> State:
    """Return the best start from a mixture whose components are in any order."""
    states = (begun_at(attempt.problem, placed) for placed in _placed(attempt, mixture))
    return _best(attempt, states, ())


def begun_near(attempt: Attempt, start: Assign) -> State:
    """Return a start with its clusters in the order that fits the held values best."""
    problem, K = attempt.problem, attempt.model.n_components
    sums = begun(problem, start, K).expectation
    objective: Any = problem.objective
    free = objective.inner.update(sums, None, problem.frame, problem.guard.resolution)
    return begun(problem, Placed(start, nearest(_restriction(attempt), free)), K)


def _best(attempt: Attempt, starts: Iterator[State], slow: Iterable[State]) -> State:
    """Return the best state after short runs; ``slow`` starts are not ranked early."""
    problem, monitor = attempt.problem, attempt.monitor
    states, last = [], None
    for state in starts:
        try:
            states.append(run(problem, state, monitor, FIRST_PASSES))
        except BayesmixError as refused:
            last = refused
        if monitor.stopped is not None:
            break
    ends = []
    states = sorted(states, key=lambda state: rank(problem, state), reverse=True)[:FINALISTS]
    for state in chain(states, slow):
        try:
            ends.append(run(problem, state, monitor, FEW_PASSES))
        except BayesmixError as refused:
            last = refused
    if not ends:
        assert last is not None
        raise last
    return max(ends, key=lambda state: rank(problem, state)).afresh()


def _states(attempt: Attempt) -> Iterator[State]:
    problem, model, settings = attempt.problem, attempt.model, attempt.settings
    K, source, seed = model.n_components, problem.source, settings.seed + attempt.index
    alone = replace(settings, n_init=1, seed=seed, sort=False)
    try:
        free = replace(model, restriction=None)
        mixture = attempt.fit(free, source, alone, attempt.monitor.child()).mixture
    except BayesmixError:  # the held parameters may be those that data do not determine
        mixture = None
    if mixture is not None and mixture.n_components == K:
        for placed in _placed(attempt, mixture):
            yield begun_at(problem, placed)
    orders = _restriction(attempt).placements(K, MOST_PLACEMENTS) or [np.arange(K)]
    numbers = range(CLUSTERINGS if K > 1 else 1)
    for _, start in numbered_starts(source, source.summary, model, seed, 0, numbers, False):
        for order in orders:
            yield begun(problem, Placed(start, order), K)


def _random(attempt: Attempt) -> Iterator[State]:
    """Yield random starts where components share parameters.

    Components with a common mean lie within each other, where there are no clusters to start from.
    """
    K, source = attempt.model.n_components, attempt.problem.source
    if any(parameter.grouped and not parameter.simplex for parameter in _restriction(attempt)):
        generator = stream(attempt.settings.seed, Purpose.START, attempt.index)
        for _ in range(RANDOM):
            shares = generator.dirichlet(np.full(K, CONCENTRATION), source.shape[0])
            yield begun(attempt.problem, Given(shares), K)


def _restriction(attempt: Attempt) -> Restriction:
    assert attempt.model.restriction is not None
    return attempt.model.restriction


def _placed(attempt: Attempt, mixture: Mixture) -> Iterator[Mixture]:
    """Yield the mixture with its components in other orders."""
    restriction, K = _restriction(attempt), attempt.model.n_components
    known = components_known(attempt.model, attempt.problem.source.shape[1])
    orders = [] if known else restriction.placements(K, MOST_PLACEMENTS)
    for order in orders or [nearest(restriction, mixture)]:
        yield mixture.subset(order, np.ones(K))


def components_known(model: Model, n_features: int) -> bool:
    """Whether all parameters of components are held."""
    if model.restriction is None:
        return False
    n_held = model.restriction.of_components.n_restrictions
    return n_held == model.family.n_parameters(model.n_components, n_features)


def nearest(restriction: Restriction, mixture: Mixture) -> Integers:
    """Return the order of components with the smallest distances to the held values."""
    K = mixture.n_components
    distances = np.zeros((K, K))
    for parameter in restriction:
        # Transitions, and a shared covariance, tell nothing of single components.
        if parameter.name in OF_MOVES or len(parameter.groups) != K:
            continue
        held, values = parameter.by_component
        rows = named_parameter(mixture, parameter.name).reshape(held.shape)
        unit = np.maximum(rows.std(axis=0), np.finfo(np.float64).tiny)
        differences = np.where(held, rows[:, None] / unit - values / unit, 0.0)
        distances += np.abs(differences).sum(axis=2)
    order: Integers = linear_sum_assignment(distances.T)[1]
    return order
