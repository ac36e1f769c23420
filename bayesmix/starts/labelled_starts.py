"""Starts where the search does not apply: known labels, groups and covariates.

Labelled samples begin in their components (Basu, Banerjee & Mooney 2002); with few labels, and for
groups and covariates, the ordinary fit is a further start, with its components matched to labels.
Covariates tell components apart that the ordinary fit does not find, so random starts are added.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.optimize import linear_sum_assignment

from bayesmix.core.mixture import Mixture
from bayesmix.core.random import Purpose, stream
from bayesmix.core.rows import LOWEST_LOG, NO_SIDE_INFORMATION, Rows
from bayesmix.core.sources import Source
from bayesmix.em.model import Assign, Attempt, rank, side_of
from bayesmix.em.pruning import pruned
from bayesmix.em.run import Problem, State, begin_at, run
from bayesmix.em.start import Begun
from bayesmix.errors import BayesmixError
from bayesmix.numerics.arrays import Array, without_gaps
from bayesmix.starts.responsibilities import (
    Given,
    NearestCentre,
    OfMixture,
    begun,
    distinct_rows,
    plus_plus,
    spread_of,
)


def best_start(
    problem: Problem, starts: Iterable[Assign], attempt: Attempt, passes: int, prunes: bool = False
) -> State:
    """Return the best state after a few passes from each start.

    ``prunes``: halfway, drop all empty components.
    """
    K, monitor = attempt.model.n_components, attempt.monitor
    best: State | None = None
    last: BayesmixError | None = None
    for start in starts:
        try:
            state = begun(problem, start, K)
            state = run(problem, state, monitor, passes // 2 if prunes else passes)
            if prunes:
                state = pruned(problem, state, monitor, passes)
        except BayesmixError as refused:
            last = refused
            continue
        if best is None or rank(problem, state) > rank(problem, best):
            best = state
        if monitor.stopped is not None:
            break
    if best is None:
        assert last is not None
        raise last
    return best


# Passes after which the starts are compared; with covariates they differ more.
FEW_PASSES, MORE_PASSES = 30, 100
# Random starts with covariates. In 20 simulated problems of three components, a single random start
# reached the best optimum in 12 % to 100 % of cases, 50 % or more in 19 of them.
RANDOM_STARTS = 8
MOST_ROWS = 10_000  # on which such starts are compared
CONCENTRATION = 0.3  # of responsibilities of a random start


def labelled_only(n_components: int, rows: Rows) -> Array:
    """Return responsibilities of samples whose component is known; the others count in none."""
    return known_components(rows.side.log_factors(n_components))


def respecting(start: Assign, rows: Rows) -> Array:
    """Return responsibilities of another start, multiplied by the factors of the labels."""
    shares = start(rows)
    factors = np.exp(rows.side.log_factors(shares.shape[1]))
    shares = shares * factors
    # Where the two have no component in common, the labels decide.
    excluded = shares.sum(axis=1) == 0.0
    shares[excluded] = factors[excluded]
    return shares / shares.sum(axis=1, keepdims=True)


def known_components(log_factors: Array) -> Array:
    """Return responsibilities (n, K) of 1 where labels allow a single component, else 0."""
    allowed = log_factors > LOWEST_LOG
    return (allowed & (allowed.sum(axis=1, keepdims=True) == 1)).astype(np.float64)


@dataclass(frozen=True)
class LabelledStart:
    """The best of several starts after short runs, for labels, groups and covariates."""

    def begun(self, attempt: Attempt) -> Begun:
        """Return the best start; with covariates it is found on a sample of large data."""
        problem, settings, side = attempt.problem, attempt.settings, side_of(attempt.problem.source)
        gated = side.covariates is not None
        if gated and not side.grouped:
            generator = stream(settings.seed, Purpose.SUBSAMPLE, attempt.index)
            problem = replace(problem, source=problem.source.sample(MOST_ROWS, generator))
        passes = MORE_PASSES if gated else FEW_PASSES
        without_labels = gated and side.labels is None
        prunes = without_labels and attempt.model.prune and problem.objective.variational
        best = best_start(problem, _starts(problem, attempt), attempt, passes, prunes)
        if problem.source is attempt.problem.source:
            return Begun(best.afresh())
        return Begun(begin_at(attempt.problem, best.current_mixture()))


def _starts(problem: Problem, attempt: Attempt) -> Iterator[Assign]:
    model, settings, index = attempt.model, attempt.settings, attempt.index
    K, source = model.n_components, problem.source
    labelled = side_of(source).labels is not None
    log_factors = side_of(source).log_factors(K) if labelled else np.zeros((1, K))
    factors = np.exp(log_factors)
    certain = known_components(log_factors)
    # Where all components are known, all starts are the same.
    enough = 0 if labelled and certain.any(axis=1).all() else source.shape[1]
    if index == 0 and certain.sum(axis=0).min() > enough:
        yield partial(labelled_only, K)
        return
    if labelled:
        yield partial(respecting, _seeded(problem, factors, settings.seed, index))
    gated = side_of(source).covariates is not None
    # Gates of smaller candidates need covariates, which the ordinary fit does not have.
    warm_starts = () if gated else settings.warm_starts
    alone = replace(
        settings, n_init=1, seed=settings.seed + index, sort=False, warm_starts=warm_starts
    )
    plain = replace(source, side=NO_SIDE_INFORMATION)  # type: ignore[type-var]  # in memory
    try:
        mixture = attempt.fit(model, plain, alone, attempt.monitor.child()).mixture
    except BayesmixError:
        if not labelled:
            raise
        return
    if labelled and mixture.n_components == K:
        yield partial(respecting, OfMixture(_matched(mixture, source, factors)))
    elif not labelled:
        yield OfMixture(mixture)
    if gated and K > 1 and not labelled:
        generator = stream(settings.seed, Purpose.START, index)
        for _ in range(RANDOM_STARTS):
            yield Given(generator.dirichlet(np.full(K, CONCENTRATION), source.shape[0]))


def _seeded(problem: Problem, factors: Array, seed: int, index: int) -> NearestCentre:
    """Return centres of labelled samples, and further ones by k-means++."""
    source, summary, n_components = problem.source, problem.source.summary, factors.shape[1]
    generator = stream(seed, Purpose.START, index)
    sample = source.in_memory()
    values = (np.asarray(sample.values, dtype=np.float64) - summary.centre) / summary.scale
    shares = factors - factors.min(axis=1, keepdims=True)
    if sample.weights is not None:
        shares *= sample.weights[:, None]
    labelled = shares.sum(axis=0) > 0.0
    totals = np.maximum(shares.T @ ~np.isnan(values), np.finfo(np.float64).tiny)
    means = (shares.T @ without_gaps(values) / totals)[labelled]
    centres = np.empty((n_components, values.shape[1]))
    drawn = plus_plus(distinct_rows(source, summary, generator), n_components, generator, means)
    centres[labelled], centres[~labelled] = np.split(drawn, [len(means)])
    return NearestCentre(centres, summary, spread=spread_of(problem.family))


def _matched(mixture: Mixture, source: Source, factors: Array) -> Mixture:
    """Return the mixture with its components in the order that agrees best with the labels."""
    agreement = factors.T @ OfMixture(mixture)(source.in_memory().rows)
    _, order = linear_sum_assignment(agreement, maximize=True)
    return mixture.subset(order, np.ones(len(order)))
