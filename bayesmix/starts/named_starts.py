"""Starts named by ``init_params`` or given there, under a prior, or of many components."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.core import validation
from bayesmix.core.random import Purpose, stream
from bayesmix.core.rows import Rows, Summary
from bayesmix.em.model import Assign, Attempt
from bayesmix.em.run import Problem, State, begin_at
from bayesmix.em.start import Begun
from bayesmix.em.under_a_prior import MaximumAPosteriori
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.search.moves import of_statistics
from bayesmix.search.optimum import OptimumSearch
from bayesmix.starts.responsibilities import (
    LLOYD_ROUNDS,
    OTHER_STARTS,
    Given,
    NearestCentre,
    OfMixture,
    begun,
    distinct_rows,
    lloyd,
    one_hot,
    plus_plus,
    spread_of,
)
from bayesmix.starts.restricted_starts import begun_near

if TYPE_CHECKING:
    from bayesmix.core.families import Family
    from bayesmix.core.sources import Source


def random_shares(n_components: int, seed: int, run: int, rows: Rows) -> Array:
    """Return random responsibilities that do not depend on the chunk of an observation."""
    shares = stream(seed, Purpose.START, run, rows.first).random((len(rows), n_components))
    return shares / shares.sum(axis=1, keepdims=True)


def named_start(
    name: str,
    source: Source,
    summary: Summary,
    n_components: int,
    seed: int,
    run: int,
    family: Family | None = None,
) -> Assign:
    """Return the start named by ``init_params``, adapted to a family if given."""
    if name == "random":
        return partial(random_shares, n_components, seed, run)
    spread = 0.0 if family is None else spread_of(family)
    heavy_tails = family is not None and family.heavy_tails
    generator = stream(seed, Purpose.START, run)
    rows = distinct_rows(source, summary, generator, heavy_tails=heavy_tails)
    if name == "random_from_data":
        shares = rows.weights / rows.weights.sum()
        with_replacement = len(shares) < n_components
        chosen = generator.choice(len(shares), n_components, replace=with_replacement, p=shares)
        return NearestCentre(rows.values[chosen], summary, spread=spread)
    centres = plus_plus(rows, n_components, generator)
    if name == "kmeans":
        centres = lloyd(rows, centres, LLOYD_ROUNDS)
    return NearestCentre(centres, summary, spread=spread)


@dataclass(frozen=True)
class NamedStart:
    """The start that ``init_params`` names."""

    name: str

    def begun(self, attempt: Attempt) -> Begun:
        """Begin at the start; held values belong to the clusters that they fit best."""
        problem, model, settings = attempt.problem, attempt.model, attempt.settings
        source, K, seed = problem.source, model.n_components, settings.seed
        given = source, source.summary, K, seed, attempt.index, model.family
        assign = named_start(self.name, *given)
        if model.restriction is not None:
            return Begun(begun_near(attempt, assign))
        return Begun(begun(problem, assign, K))


def start_of(value: Any, source: Source, n_components: int, noise: bool, seed: int) -> Given:
    """Return the start that ``init_params`` gives as an array, or a function that returns one."""
    rows = source.numbers
    if callable(value):
        value = value(source.in_memory().values, n_components, stream(seed, Purpose.START, 0))
        rows = None
    validation.unmasked("init_params", value)
    try:
        given = np.asarray(value)
    except ValueError as problem:  # a ragged list
        raise InvalidInputError(f"init_params must be {OTHER_STARTS}: {problem}") from None
    if rows is not None and given.ndim and len(given) > rows[-1]:
        given = given[rows]
    return given_start(given, source.shape[0], n_components, noise)


def given_start(value: Any, n_rows: int, n_components: int, noise: bool = False) -> Given:
    """Check responsibilities (n, K) or labels (n,); with noise (n, K + 1) or label -1."""
    array = np.asarray(value)
    if array.ndim == 1 and array.dtype.kind in "iub":
        least = -int(noise)
        if len(array) != n_rows or array.min() < least or array.max() >= n_components:
            raise InvalidInputError(
                f"init_params as labels must be {n_rows} integers from {least} to "
                f"{n_components - 1}, got {len(array)} from {array.min()} to {array.max()}"
            )
        return Given(one_hot(array.astype(int), n_components + noise)[:, :n_components])
    if array.shape != (n_rows, n_components + noise) or array.dtype.kind not in "fiub":
        raise InvalidInputError(
            f"init_params as responsibilities must have shape ({n_rows}, {n_components + noise}), "
            f"got {array.shape} of {array.dtype}"
        )
    shares = array.astype(np.float64)
    if not np.isfinite(shares).all() or shares.min() < 0:
        raise InvalidInputError("init_params: responsibilities must be finite and not negative")
    if np.abs(shares.sum(axis=1) - 1.0).max() > 1e-6:
        raise InvalidInputError("init_params: the responsibilities of each row must sum to 1")
    return Given(shares[:, :n_components])


def under_a_prior(problem: Problem, source: Source, n_components: int) -> MaximumAPosteriori:
    """Return the default maximum a posteriori objective, at which a likelihood fit can start."""
    prior = problem.family.map_prior(source, problem.frame, n_components)
    return MaximumAPosteriori(prior=prior, weights=DirichletPrior(1.0))


def guided_by_a_prior(search: OptimumSearch, state: State, passes: int) -> State | None:
    """Continue from the end of the same start under a prior; None without a prior."""
    K, sample = search.model.n_components, search.sample
    if search.problem.objective.name != "maximum_likelihood":
        return None
    try:
        objective = under_a_prior(sample, sample.source, K)
    except UnsupportedError:
        return None
    guided = replace(sample, objective=objective, accelerate=False)
    after = search.attempts.run(guided, state, passes)
    return None if after is None else begun(sample, OfMixture(after.current_mixture()), K)


# Samples of each component that k-means sees, and its rounds.
ROWS_OF_EACH, ROUNDS = 30, 10


@dataclass(frozen=True)
class StartOfMany:
    """A start of many components on large data, which are not searched."""

    def begun(self, attempt: Attempt) -> Begun:
        """Begin at k-means of a subsample, under a prior that prevents singularity."""
        problem, settings, K = attempt.problem, attempt.settings, attempt.model.n_components
        source = problem.source
        drawn = stream(settings.seed, Purpose.SUBSAMPLE, attempt.index)
        sample = source.sample(ROWS_OF_EACH * K, drawn)
        generator = stream(settings.seed, Purpose.START, attempt.index)
        rows = distinct_rows(sample, source.summary, generator, ROWS_OF_EACH * K)
        centres = lloyd(rows, plus_plus(rows, K, generator), ROUNDS)
        nearest = NearestCentre(centres, source.summary)
        statistics = begun(replace(problem, source=sample), nearest, K).expectation.statistics
        objective = problem.objective
        if objective.name == "maximum_likelihood":
            # without a prior for the family, start from the likelihood
            with suppress(UnsupportedError):
                objective = under_a_prior(problem, sample, K)
        factor = float(source.total_weight / np.maximum(statistics.counts.sum(), 1e-300))
        sums = of_statistics(statistics.scaled(factor))
        mixture = objective.update(sums, None, problem.frame, problem.guard.resolution)
        return Begun(begin_at(problem, mixture))
