"""A sweep of blocked Gibbs sampling: Z | π, θ, then S | θ, then p(π, θ | X, Z, S).

Given (π, θ) rows are independent, and given Z the updates are the conjugate ones of variational
Bayes at hard assignments (Diebolt & Robert 1994; Frühwirth-Schnatter 2006, sec. 3.5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np

from bayesmix.core.components import (
    Additive,
    Completing,
    Components,
    DrawnComponents,
    LinearComponents,
    Posterior,
    Statistics,
)
from bayesmix.core.families import Family
from bayesmix.core.mixture import ChunkSums, Mixture, finished
from bayesmix.core.priors import OrderedWeightsPrior, WeightsPrior
from bayesmix.core.random import Purpose, stream
from bayesmix.core.rows import LOWEST_LOG, Frame, Rows
from bayesmix.core.sources import Source
from bayesmix.em.expectation import (
    CENTRED,
    LINEAR,
    Arithmetic,
    ExpectationStep,
    Step,
    sum_of_blocks,
)
from bayesmix.em.missing_values import GappedStep
from bayesmix.em.result import FitResult
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.gaps import has_gaps
from bayesmix.numerics.logsumexp import normalise
from bayesmix.posterior.posterior_draws import Draws, draws_of

# Rounding of log p(x), in nats a row, that changes one assignment in ten million at most.
MOST_LOSS = 1e-7

# shares (n, K), row weights (n,) or None, generator -> how often each component has each row (n, K)
Assign: TypeAlias = Callable[[Array, Array | None, np.random.Generator], Array]


def together(shares: Array, weights: Array | None, generator: np.random.Generator) -> Array:
    """One component a row, which has all of the row's weight."""
    thresholds = generator.random(len(shares))
    reached = np.zeros(len(shares))
    labels = np.zeros(len(shares), dtype=np.intp)
    for share in shares.T[:-1]:
        reached += share
        labels += reached < thresholds
    assigned: Array = (labels == np.arange(shares.shape[1])[:, None]).astype(np.float64)
    if weights is not None:
        assigned *= weights
    return assigned.T


def each_repetition(shares: Array, weights: Array | None, generator: np.random.Generator) -> Array:
    """A component for every repetition of a row: a multinomial of whole weights."""
    if weights is None:
        return together(shares, None, generator)
    # Probabilities that sum to more than one by rounding would be refused.
    shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1.0)
    counts: Integers = generator.multinomial(np.rint(weights).astype(np.int64), shares)
    return counts.astype(np.float64)


@dataclass(frozen=True)
class Assigned:
    """What a draw of (π, θ) makes of rows: statistics at a draw of Z, and Σ w log p(x | π, θ)."""

    statistics: Statistics
    log_likelihood: float


@dataclass(frozen=True)
class ChunkAssigned:
    """The same, added up over chunks."""

    statistics: Additive
    log_likelihood: float

    def __add__(self, other: ChunkAssigned) -> ChunkAssigned:
        return ChunkAssigned(
            self.statistics + other.statistics, self.log_likelihood + other.log_likelihood
        )


@dataclass(frozen=True)
class AssignmentStep:
    """A chunk at one draw; ``key`` names its random stream but for the chunk."""

    frame: Frame
    components: Components
    log_weights: Array
    arithmetic: Arithmetic
    assign: Assign
    key: tuple[int, ...]
    family: Family

    def __call__(self, rows: Rows) -> ChunkAssigned:
        seed, *rest = self.key
        generator = stream(seed, Purpose.DRAW, *rest, rows.first)
        if has_gaps(rows.values):
            return self._with_gaps(rows, generator)
        return sum_of_blocks(
            rows, len(self.log_weights), lambda block: self._block(block, generator)
        )

    def _block(self, rows: Rows, generator: np.random.Generator) -> ChunkAssigned:
        shares, statistics = self.arithmetic.densities(
            self.components, self.frame.apply(rows.values)
        )
        shares += self.log_weights
        log_density = normalise(shares)
        assigned = self.assign(shares, rows.weights, generator)
        total = log_density.sum() if rows.weights is None else log_density @ rows.weights
        return ChunkAssigned(statistics(assigned), float(total))

    def _with_gaps(self, rows: Rows, generator: np.random.Generator) -> ChunkAssigned:
        """The same where rows have gaps: Z | π, θ and what rows have, then gaps | Z, π, θ.

        Gaps of columns that are independent given the component are never drawn: their factors are
        left out. Every repetition of a row has gaps of its own.
        """
        repeated = np.rint(rows.weights_or_ones).astype(np.int64)
        framed = self.frame.apply(np.repeat(np.asarray(rows.values), repeated, axis=0))
        form = cast("Completing", cast("LinearComponents", self.components).linear)
        shares, _ = form.seen(framed)
        shares += self.log_weights
        log_density = normalise(shares)
        assigned = self.assign(shares, None, generator)
        filled = form.dense_filled(framed, assigned.argmax(axis=1), generator)
        statistics = self.family.statistics(filled, assigned)
        return ChunkAssigned(statistics, float(log_density.sum()))


@dataclass(frozen=True)
class BlockedGibbs:
    """The conditionals of a variational fit's model, for its rows; β0 is known."""

    result: FitResult
    source: Source
    assign: Assign
    arithmetic: Arithmetic
    expected: Statistics  # statistics under q of the components of the fit

    @property
    def mixture(self) -> Mixture[Posterior]:
        return self.result.posterior

    def drawn(self, conditional: Mixture[Posterior], generator: np.random.Generator) -> Draws:
        """(π, θ) | X, Z, S, and where the prior of weights knows their order, that as well."""
        if conditional.weights.exchangeable:
            return draws_of(conditional, 1, generator)
        prior = cast("OrderedWeightsPrior", self.result.inference.weights_prior)
        weights, order = prior.reordered(conditional.weights.draws(1, generator), generator)
        return Draws(weights, conditional.components.subset(order).draws(1, generator))

    def sweep(
        self,
        draw: Draws,
        generator: np.random.Generator,
        key: tuple[int, ...],
        share: float = 1.0,
    ) -> tuple[Assigned, Mixture[Posterior]]:
        """Rows assigned at one draw, and p(π, θ | X, Z, S) as if a share of them were there."""
        assigned = self.assigned(draw, key)
        statistics = assigned.statistics if share == 1.0 else assigned.statistics.scaled(share)
        return assigned, self.conditional(statistics, draw.components, generator)

    def assigned(self, draw: Draws, key: tuple[int, ...]) -> Assigned:
        """Z | π, θ; through features unless they lose digits at these assignments."""
        components = draw.components.components
        found = self._assigned(draw, self.arithmetic, key)
        if self.arithmetic.watched and not _keeps_digits(components, found.statistics, self.source):
            found = self._assigned(draw, CENTRED, key)
        return found

    def _assigned(self, draw: Draws, arithmetic: Arithmetic, key: tuple[int, ...]) -> Assigned:
        log_weights = np.maximum(draw.weights.log_weights[0], LOWEST_LOG)
        components = draw.components.components
        frame, family = self.mixture.frame, self.result.family
        step = AssignmentStep(frame, components, log_weights, arithmetic, self.assign, key, family)
        total: ChunkAssigned = self.source.reduce(step, len(log_weights))
        return Assigned(finished(total.statistics), total.log_likelihood)

    def conditional(
        self,
        statistics: Statistics,
        last: DrawnComponents,
        generator: np.random.Generator,
        weights: WeightsPrior | None = None,
    ) -> Mixture[Posterior]:
        """p(π, θ | X, Z, S), with S drawn given the last θ; the fit's prior of π, or another."""
        inference = self.result.bayesian
        weights = inference.weights_prior if weights is None else weights
        return Mixture(
            weights.posterior(statistics.counts),
            inference.parameters_prior.conditional(statistics, last, generator),
            self.mixture.frame,
        )

    def with_empty(self, statistics: Statistics, n_components: int) -> Statistics:
        """Statistics of as many components, those beyond the ones that are there without rows."""
        more = n_components - len(statistics.counts)
        if not more:
            return statistics
        nowhere = np.zeros((1, self.mixture.frame.n_directions))
        empty = self.result.family.statistics(nowhere, np.zeros((1, more)))
        return type(statistics).joined([statistics, empty])

    def beginning(self, n_components: int, generator: np.random.Generator) -> Mixture[Posterior]:
        """Nearly q: the conditional at its expected statistics. Components beyond it are empty.

        Of fewer components than q has, the heaviest.
        """
        last = draws_of(self.mixture, 1, generator).components
        if n_components >= self.mixture.n_components:
            return self.conditional(self.with_empty(self.expected, n_components), last, generator)
        counts = self.expected.counts
        heaviest = np.sort(np.argsort(-counts, kind="stable")[:n_components])
        return self.conditional(self.expected, last, generator).subset(heaviest, counts)


def blocked_gibbs(result: FitResult, source: Source, assign: Assign) -> BlockedGibbs:
    """The sampler of a fit, after one pass under q: features serve where they keep their digits."""
    mixture = result.mixture
    gaps = source.summary.n_missing > 0
    step: Step = GappedStep(mixture) if gaps else ExpectationStep(mixture, CENTRED)
    expectation: ChunkSums = source.reduce(step, mixture.n_components)
    statistics = expectation.finished().statistics
    near = (
        result.family.linear and not gaps and _keeps_digits(mixture.components, statistics, source)
    )
    return BlockedGibbs(result, source, assign, LINEAR if near else CENTRED, statistics)


def _keeps_digits(components: Components, statistics: Statistics, source: Source) -> bool:
    """Whether features serve: they lose digits where clusters lie far apart."""
    form = cast("LinearComponents", components).linear
    return bool(form.loss(statistics) <= MOST_LOSS * source.total_weight)
