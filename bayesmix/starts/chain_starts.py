"""Starts of hidden Markov models, which race as one product, and moves out of a local optimum.

Most starts are random chains through clusters by k-means, all as wide as the data, so that the
order of the samples, and not their distance, divides them. Others are the mixture of the same
samples without their order, and k-means, each with transitions as the assignments follow one
another, and with states that last. At the best optimum states are divided in two while others are
dropped (cf. Ueda et al. 2000). Where waves have no column in common, persons are clustered by all
their values. Where covariates have effects on the chain, the starts race without
them, and different optima of the race go on with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, cast

import numpy as np

from bayesmix.allocation.chain import ChainSums, DirichletChain, DirichletChainPrior, MarkovChain
from bayesmix.allocation.forward_backward import forward_backward, forward_backward_of_many
from bayesmix.allocation.point import no_log_weights
from bayesmix.core.mixture import Mixture
from bayesmix.core.random import Purpose, stream
from bayesmix.core.rows import NO_SIDE_INFORMATION, Allocated, Rows
from bayesmix.em.model import Attempt, Model, Settings, check_values, rank, resolve
from bayesmix.em.restricted import Restricted
from bayesmix.em.run import AMONG_CANDIDATES, Monitor, Problem, State, begin, begin_at, run
from bayesmix.em.start import Begun, Fit
from bayesmix.errors import BayesmixError, DegenerateFitError
from bayesmix.numerics.arrays import Array, Booleans, without_gaps
from bayesmix.search.stacked import SeparatePriors, stackable, stacked_passes
from bayesmix.sources.memory import ArraySource
from bayesmix.starts.given_starts import StartAt
from bayesmix.starts.responsibilities import TINY, Given, OfMixture, begun, numbered_starts

# Random chains for each quick start, passes of a race and of a start alone, and how many of the
# best run to convergence. The best optimum shows late: it may rank 40th after 20 passes.
RANDOM, RACED, SHORT, FINALISTS = 6, 60, 20, 3
# Ends of a race without covariates that go on with them, as their ranks may change.
WITH_COVARIATES = 6
# Moves tried at an optimum, and the smallest gain in nats per observation after which more are.
MOVES, LEAST_GAIN = 12, 1e-6
# Share of transitions that stay in their state, in the starts with states that last.
STICKY = 0.8
# Most numbers in the log joints of a race.
MOST_JOINTS = 2**20


@dataclass(frozen=True)
class ChainStart:
    """The best optimum that starts of a hidden Markov model reach.

    ``model`` is that of the fit without restrictions, and ``source`` its sequences in memory.
    """

    model: Model
    source: ArraySource
    settings: Settings

    def begun(self, attempt: Attempt) -> Begun:
        """Begin at the optimum, in the order of its start."""
        limits = attempt.monitor  # the starts and the fit each have as many passes and seconds
        monitor = Monitor(max_passes=limits.max_passes, max_seconds=limits.max_seconds)
        best = best_of_starts(attempt.fit, self.model, self.source, self.settings, monitor)
        return StartAt(best).begun(attempt)


def best_of_starts(
    fit: Fit, model: Model, source: ArraySource, settings: Settings, monitor: Monitor
) -> Mixture:
    """Return the best optimum that starts reach, in the order of its start."""
    check_values(model.family, source, model.n_components)
    among = replace(settings, stopping=AMONG_CANDIDATES)
    problem = race = resolve(model, source, among)
    if source.side.covariates is not None or source.side.elapsed is not None:
        race = resolve(constant_chain(model), without_covariates(source), among)
    trials = Trials.of(problem, race, source, monitor, settings.max_iter)
    for number, shares in enumerate(_starts(fit, model, trials.samples, settings, monitor)):
        if number >= settings.n_init or monitor.stopped is not None:
            break
        trials.add(shares, STICKY if number % 2 == 0 else 0.0)
    generator = stream(settings.seed, Purpose.CANDIDATE)
    if settings.moves and model.n_components > 1:
        n_random = RANDOM * settings.n_init
        if len(trials.states) + n_random > trials.room:
            n_random = settings.n_init
        for shares in _by_k_means(model, trials.samples, settings, n_random):
            trials.add_random(shares, generator)
    if model.n_components > 1 and divided_by_wave(source):
        for shares in _by_persons(model, source, settings):
            trials.add(shares[trials.with_values], STICKY)
    for mixture in settings.warm_starts:
        trials.add_near(mixture, model.n_components)
    best = trials.best()
    if not settings.moves:
        return best.current_mixture()
    K = model.n_components
    pairs = [(split, dropped) for split in range(K) for dropped in range(K) if split != dropped]
    gain = np.inf
    while pairs and gain > LEAST_GAIN * source.total_weight and monitor.stopped is None:
        smoothed = trials.smoothed(best.current_mixture())
        for place in generator.permutation(len(pairs))[:MOVES]:
            trials.add(exchanged(smoothed, trials.samples, *pairs[place]))
        if not trials.states:
            break
        other = trials.best()
        if rank(problem, other) <= rank(problem, best):
            break
        gain, best = other.objective - best.objective, other
    return best.current_mixture()


def sums_of_assignment(shares: Array, begins: Booleans, stickiness: float = 0.0) -> ChainSums:
    """Return first states and transitions of independent assignments (n, K) of sequences.

    ``stickiness`` is the share of the transitions that stay.
    """
    followed = shares[1:] * ~begins[1:, None]
    moves, lasting = shares[:-1].T @ followed, np.diag(followed.sum(axis=0))
    transitions = (1.0 - stickiness) * moves + stickiness * lasting
    return ChainSums(shares[begins].sum(axis=0), transitions)


def constant_chain(model: Model) -> Model:
    """Return a model of sequences without effects of covariates on the chain."""
    inference: Any = model.inference
    if not isinstance(inference.weights, DirichletChainPrior):
        inference = replace(inference, weights=DirichletChainPrior())
    return replace(model, inference=inference)


def without_covariates(source: ArraySource) -> ArraySource:
    """Return sequences without their covariates and times."""
    side = replace(source.side, covariates=None, design=None, elapsed=None)
    return replace(source, side=side)


@dataclass
class Trials:
    """Runs from responsibilities of the samples that have a value.

    ``race`` is the problem without covariates, ``problem`` itself if there are none.
    """

    problem: Problem
    race: Problem
    samples: ArraySource
    with_values: Booleans
    monitor: Monitor
    max_iter: int
    states: list[State] = field(default_factory=list)
    last: BayesmixError | None = None

    @classmethod
    def of(
        cls,
        problem: Problem,
        race: Problem,
        source: ArraySource,
        monitor: Monitor,
        max_iter: int,
    ) -> Trials:
        """Return no runs yet."""
        with_values: Booleans = (~np.isnan(np.asarray(source.values))).any(axis=1)
        samples = replace(source, side=NO_SIDE_INFORMATION)
        if not with_values.all():
            samples = samples.subset(with_values)
        return cls(problem, race, samples, with_values, monitor, max_iter)

    @property
    def rows(self) -> Rows:
        rows: Rows = self.problem.source.rows  # type: ignore[attr-defined]  # in memory
        return rows

    @cached_property
    def room(self) -> int:
        """Number of states that can pass side by side, 0 without closed updates."""
        prior: Any = self.race.objective.weights_prior
        if not self.states or not isinstance(prior, DirichletChainPrior) or prior.stationary:
            return 0
        if self.rows.weights is not None:  # counts of transitions have no weights side by side
            return 0
        if isinstance(self.race.objective, Restricted):
            return 0
        statistics = self.states[0].expectation.statistics
        n_joints = len(self.rows) * len(statistics.counts)
        return MOST_JOINTS // n_joints if stackable(self.race.family, statistics) else 0

    @cached_property
    def white(self) -> Array:
        """Values without correlations, missing ones being means."""
        summary = self.samples.summary
        values = without_gaps((np.asarray(self.samples.values) - summary.centre) / summary.scale)
        left, sizes, _ = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
        return left[:, sizes > 0.0] * np.sqrt(len(values))

    def add(self, shares: Array, stickiness: float = 0.0, sums: ChainSums | None = None) -> None:
        """Begin from responsibilities, and ``sums`` of a chain or the transitions of these.

        ``stickiness`` is the share of the transitions that stay. An error of the first step is
        raised if no start has any other.
        """
        n_components = shares.shape[1]
        if sums is None:
            everywhere = np.full((len(self.with_values), n_components), 1.0 / n_components)
            everywhere[self.with_values] = shares
            begins = cast("Booleans", self.rows.side.begins)
            sums = sums_of_assignment(everywhere, begins, stickiness)
        try:
            unordered = replace(self.race, source=self.samples)
            state = begun(unordered, Given(shares), n_components)
        except BayesmixError as refused:
            self.last = refused
            return
        expectation = replace(state.expectation, allocation=sums)
        self.states.append(replace(state, expectation=expectation))

    def add_random(self, shares: Array, generator: np.random.Generator) -> None:
        """Begin from a random chain through the means of ``shares``, all as wide as the data."""
        K, white = shares.shape[1], self.white
        means = (shares.T @ white) / np.maximum(shares.sum(axis=0), TINY)[:, None]
        log_density = np.zeros((len(self.with_values), K))
        log_density[self.with_values] = white @ means.T - 0.5 * (means * means).sum(axis=1)
        even = np.full(K, 1.0 / K)
        initial, transition = generator.dirichlet(even), generator.dirichlet(even, K)
        chained = forward_backward(log_density, self.rows.side.starts, initial, transition)
        sums = ChainSums(chained.initial, chained.transitions)
        self.add(chained.shares[self.with_values], sums=sums)

    def add_near(self, mixture: Mixture, n_components: int) -> None:
        """Begin from another fit, each of its states divided if one is missing."""
        smoothed = self.smoothed(mixture)
        n_missing = n_components - mixture.n_components
        if n_missing == 0:
            self.add(smoothed)
        elif n_missing == 1:
            smoothed = np.column_stack([smoothed, np.zeros(len(smoothed))])
            for split in range(mixture.n_components):
                self.add(exchanged(smoothed, self.samples, split, mixture.n_components))

    def best(self) -> State:
        """Return the best of the finalists, run to convergence, and forget all states."""
        alone = len(self.states) > self.room
        ends = list(self._alone(self.states, self.race)) if alone else self._raced()
        self.states.clear()
        by_rank = partial(rank, self.problem)
        ends.sort(key=by_rank, reverse=True)
        if self.race is not self.problem:
            ends = [
                begin(self.problem, state.expectation, state.mixture)
                for state in self._different(ends)[:WITH_COVARIATES]
            ]
            ends = sorted(self._alone(ends, self.problem, RACED), key=by_rank, reverse=True)
        if not ends:
            assert self.last is not None
            raise self.last
        finals = [
            run(self.problem, state, self.monitor, self.max_iter) for state in ends[:FINALISTS]
        ]
        return max(finals, key=by_rank)

    def _different(self, ends: list[State]) -> list[State]:
        """Return the best of the states, sorted, at each value of the objective."""
        least = LEAST_GAIN * self.problem.source.total_weight
        return [
            state
            for place, state in enumerate(ends)
            if not place or ends[place - 1].objective - state.objective > least
        ]

    def _alone(self, states: list[State], problem: Problem, passes: int = SHORT) -> Iterator[State]:
        for state in states:
            try:
                yield run(problem, state, self.monitor, passes)
            except BayesmixError as refused:
                self.last = refused

    def _raced(self) -> list[State]:
        """Return all states after passes side by side, those that collapse after fewer."""
        ends: list[State] = []
        states, left = self.states, RACED
        while states and left and self.monitor.stopped is None:
            states, left = self._side_by_side(states, left)
            if left:  # a covariance is singular: its state leaves the race
                stepped = [(state, self._stepped(state)) for state in states]
                ends += [state for state, after in stepped if after is None]
                states, left = [after for _, after in stepped if after is not None], left - 1
        return [*ends, *states]

    def _side_by_side(self, states: list[State], left: int) -> tuple[list[State], int]:
        sums: list[Any] = [state.expectation.allocation for state in states]
        initial = np.array([part.initial for part in sums])
        transitions = np.array([part.transitions for part in sums])
        priors = SeparateChainPriors(self.race.objective.weights_prior, len(states))
        allocation = ChainSums(initial, transitions)
        return stacked_passes(self.race, states, priors, allocation, self.monitor, left)

    def _stepped(self, state: State) -> State | None:
        """Return a state after a pass alone; None if a covariance is singular."""
        problem = self.race
        try:
            mixture = problem.objective.update(
                state.expectation, state.mixture, problem.frame, problem.guard.resolution
            )
            return begin_at(problem, mixture, state)
        except DegenerateFitError:
            return None

    def smoothed(self, mixture: Mixture) -> Array:
        """Return the smoothed probabilities of the states of samples that have a value."""
        joint = mixture.log_joint(self.rows)
        mixture.allocate(joint, self.rows)
        return joint[self.with_values]


@dataclass(frozen=True)
class SeparateChains:
    """The chains of C models of K states: state 0 of each comes first, then 1."""

    parts: tuple[MarkovChain | DirichletChain, ...]
    expected_log = no_log_weights

    @property
    def n_components(self) -> int:
        return len(self.parts) * self.parts[0].n_components

    def allocate(self, joint: Array, rows: Rows) -> Allocated:
        """Turn log densities (n, K C) into the smoothed probabilities of each model in place."""
        n, C = len(joint), len(self.parts)
        logs = [part.expected_logs() for part in self.parts]
        initial, transition = (np.exp(np.array(part)) for part in zip(*logs, strict=True))
        log_density = joint.reshape(n, -1, C).transpose(2, 0, 1)
        chained = forward_backward_of_many(log_density, rows.side.starts, initial, transition)
        joint[:] = chained.shares.transpose(1, 2, 0).reshape(n, -1)
        sums = ChainSums(chained.initial, chained.transitions)
        return Allocated(chained.log_predictive.sum(axis=0), sums)


class SeparateChainPriors(SeparatePriors):
    """The prior of the chain of each of C models."""

    def side_by_side(self, parts: tuple[Any, ...]) -> SeparateChains:
        return SeparateChains(parts)

    def split(self, sums: ChainSums) -> Iterator[ChainSums]:
        """Return the sums of each chain from those of all, (C, K) and (C, K, K)."""
        return map(ChainSums, sums.initial, sums.transitions)


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
    restriction = model.restriction and model.restriction.of_components
    unordered = replace(model, inference=inference, prune=False, restriction=restriction)
    try:
        alone = replace(settings, n_init=1, sort=False, warm_starts=(), moves=False)
        alone = replace(alone, spurious="allow")  # states are told by their order too
        mixture = fit(unordered, samples, alone, monitor.child()).mixture
        yield from 2 * [OfMixture(mixture)(samples.rows)]
    except BayesmixError:
        if model.n_components == 1:
            raise
    if model.n_components > 1:
        for shares in _by_k_means(model, samples, settings, settings.n_init):
            yield from 2 * [shares]


def divided_by_wave(source: ArraySource) -> bool:
    """Whether samples of different waves have no column in common, as where measurement is free.

    Their distances then say nothing about states.
    """
    few_waves = int(source.side.group_sizes.max()) < len(source.side.starts)
    if not source.summary.n_missing or not few_waves:
        return False
    seen, waves = ~np.isnan(np.asarray(source.values)), source.side.waves
    by_wave = [seen[waves == wave].any(axis=0) for wave in range(int(waves.max()) + 1)]
    return bool((np.sum(by_wave, axis=0) <= 1).all())


def _by_persons(model: Model, source: ArraySource, settings: Settings) -> Iterator[Array]:
    """Yield responsibilities (n, K) of clusters of persons, by all values of each, at all waves."""
    values, side = np.asarray(source.values, dtype=np.float64), source.side
    present = ~np.isnan(values)
    sums = np.add.reduceat(np.where(present, values, 0.0), side.starts)
    counts = np.add.reduceat(present.astype(np.float64), side.starts)
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0.0)
    known: Booleans = np.asarray((counts > 0.0).any(axis=1))
    persons = ArraySource(means[known], columns=source.columns)
    for shares in _by_k_means(model, persons, settings, settings.n_init):
        everyone = np.full((len(known), shares.shape[1]), 1.0 / shares.shape[1])
        everyone[known] = shares
        yield np.repeat(everyone, side.group_sizes, axis=0)


def _by_k_means(
    model: Model, samples: ArraySource, settings: Settings, most: int
) -> Iterator[Array]:
    numbers, summary = range(most), samples.summary
    for _, start in numbered_starts(samples, summary, model, settings.seed, 0, numbers, False):
        yield start(samples.rows)
