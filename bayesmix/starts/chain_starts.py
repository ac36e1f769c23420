"""Starts of hidden Markov models, and moves out of a local optimum.

Starts are the mixture of the same samples without their order, and k-means, each with transitions
as the assignments follow one another, and with states that last. At the best optimum states are
divided in two while others are dropped (cf. Ueda et al. 2000).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from bayesmix.allocation.chain import ChainSums
from bayesmix.core.mixture import Mixture
from bayesmix.core.random import Purpose, stream
from bayesmix.core.rows import NO_SIDE_INFORMATION
from bayesmix.em.given_noise import Fit
from bayesmix.em.model import Model, Settings, check_values, rank, resolve
from bayesmix.em.run import AMONG_CANDIDATES, Monitor, Problem, State, run
from bayesmix.errors import BayesmixError
from bayesmix.numerics.arrays import Array, Booleans, without_gaps
from bayesmix.search.starts import Given, OfMixture, begun, numbered_starts
from bayesmix.sources.memory import ArraySource

# Passes of each start, how many of the best run to convergence, and moves tried at an optimum.
SHORT, FINALISTS, MOVES = 20, 3, 12
# Share of transitions that stay in their state, in the starts with states that last.
STICKY = 0.8
# Smallest gain of a move, in nats per observation.
LEAST_GAIN = 1e-6


def best_of_starts(
    fit: Fit, model: Model, source: ArraySource, settings: Settings, monitor: Monitor
) -> Mixture:
    """Return the best optimum that starts and moves reach, in the order of its start."""
    check_values(model.family, source, model.n_components)
    problem = resolve(model, source, replace(settings, stopping=AMONG_CANDIDATES))
    trials = Trials.of(problem, source, monitor, settings.max_iter)
    for number, shares in enumerate(_starts(fit, model, trials.samples, settings, monitor)):
        if number >= settings.n_init or monitor.stopped is not None:
            break
        trials.add(shares, STICKY if number % 2 == 0 else 0.0)
    K = model.n_components
    for mixture in settings.near:
        trials.add_near(mixture, K)
    best = trials.best()
    if not settings.moves:
        return best.current_mixture()
    pairs = [(split, dropped) for split in range(K) for dropped in range(K) if split != dropped]
    generator = stream(settings.seed, Purpose.CANDIDATE)
    gain = np.inf
    while pairs and gain > LEAST_GAIN * source.total_weight and monitor.stopped is None:
        smoothed = trials.smoothed(best.current_mixture())
        for place in generator.permutation(len(pairs))[:MOVES]:
            trials.add(exchanged(smoothed, trials.samples, *pairs[place]))
        if not trials.ends:
            break
        other = trials.best()
        if rank(problem, other) <= rank(problem, best):
            break
        gain, best = other.objective - best.objective, other
    return best.current_mixture()


@dataclass
class Trials:
    """Short runs from responsibilities of the samples that have a value."""

    problem: Problem
    samples: ArraySource
    with_values: Booleans
    monitor: Monitor
    max_iter: int
    ends: list[State] = field(default_factory=list)
    last: BayesmixError | None = None

    @classmethod
    def of(cls, problem: Problem, source: ArraySource, monitor: Monitor, max_iter: int) -> Trials:
        """Return no runs yet."""
        with_values: Booleans = (~np.isnan(np.asarray(source.values))).any(axis=1)
        samples = replace(source, side=NO_SIDE_INFORMATION)
        if not with_values.all():
            samples = samples.subset(with_values)
        return cls(problem, samples, with_values, monitor, max_iter)

    def add(self, shares: Array, stickiness: float = 0.0) -> None:
        """Run a few passes from responsibilities; an error that ends them is kept."""
        n_components = shares.shape[1]
        everywhere = np.full((len(self.with_values), n_components), 1.0 / n_components)
        everywhere[self.with_values] = shares
        begins = self.problem.source.rows.side.begins  # type: ignore[attr-defined]  # in memory
        followed = everywhere[1:] * ~begins[1:, None]
        moves = everywhere[:-1].T @ followed
        lasting = np.diag(followed.sum(axis=0))
        transitions = (1.0 - stickiness) * moves + stickiness * lasting
        sums = ChainSums(everywhere[begins].sum(axis=0), transitions)
        try:
            unordered = replace(self.problem, source=self.samples)
            state = begun(unordered, Given(shares), n_components)
            expectation = replace(state.expectation, allocation=sums)
            state = replace(state, expectation=expectation)
            self.ends.append(run(self.problem, state, self.monitor, SHORT))
        except BayesmixError as refused:
            self.last = refused

    def add_near(self, mixture: Mixture, n_components: int) -> None:
        """Run a few passes from another fit, each of its states divided if one is missing."""
        smoothed = self.smoothed(mixture)
        n_missing = n_components - mixture.n_components
        if n_missing == 0:
            self.add(smoothed)
        elif n_missing == 1:
            smoothed = np.column_stack([smoothed, np.zeros(len(smoothed))])
            for split in range(mixture.n_components):
                self.add(exchanged(smoothed, self.samples, split, mixture.n_components))

    def best(self) -> State:
        """Return the best of the finalists, run to convergence, and forget all ends."""
        if not self.ends:
            assert self.last is not None
            raise self.last
        by_rank = partial(rank, self.problem)
        ends = sorted(self.ends, key=by_rank, reverse=True)[:FINALISTS]
        self.ends.clear()
        finals = [run(self.problem, state, self.monitor, self.max_iter) for state in ends]
        return max(finals, key=by_rank)

    def smoothed(self, mixture: Mixture) -> Array:
        """Return the smoothed probabilities of the states of samples that have a value."""
        rows = self.problem.source.rows  # type: ignore[attr-defined]  # in memory
        joint = mixture.log_joint(rows)
        mixture.allocate(joint, rows)
        return joint[self.with_values]


def exchanged(smoothed: Array, samples: ArraySource, split: int, dropped: int) -> Array:
    """Return responsibilities (n, K) with a state dropped and another divided across its axis."""
    summary = samples.summary
    values = without_gaps((np.asarray(samples.values) - summary.centre) / summary.scale)
    shares = smoothed + 1e-100
    shares[:, dropped] = 0.0
    shares /= shares.sum(axis=1, keepdims=True)
    weights = shares[:, split]
    away = values - np.average(values, axis=0, weights=weights)
    axis = np.linalg.eigh((weights * away.T) @ away)[1][:, -1]
    beyond = away @ axis > 0.0
    shares[beyond, dropped] = weights[beyond]
    shares[beyond, split] = 0.0
    return shares


def _starts(
    fit: Fit, model: Model, samples: ArraySource, settings: Settings, monitor: Monitor
) -> Iterator[Array]:
    """Yield responsibilities of the fitted mixture, and by k-means, each of them twice."""
    inference = replace(model.inference, weights=None)  # type: ignore[type-var]  # a dataclass
    unordered = replace(model, inference=inference, prune=False)
    try:
        alone = replace(settings, n_init=1, sort=False, near=())
        mixture = fit(unordered, samples, alone, monitor.child()).mixture
        yield from 2 * [OfMixture(mixture)(samples.rows)]
    except BayesmixError:
        if model.n_components == 1:
            raise
    if model.n_components > 1:
        numbers = range(1000)
        summary, seed = samples.summary, settings.seed
        for _, start in numbered_starts(samples, summary, unordered, seed, 0, numbers, False):
            yield from 2 * [start(samples.rows)]
