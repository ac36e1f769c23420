"""One sweep of blocked Gibbs sampling: Z | π, θ, then S | θ, then p(π, θ | X, Z, S).

The last step is the conjugate variational update at hard assignments (Diebolt & Robert 1994;
Frühwirth-Schnatter 2006, sec. 3.5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np

from bayesmix.allocation.point import add_labels
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

# Rounding of log p(x), in nats per observation, that changes at most one assignment in ten million.
MOST_LOSS = 1e-7

# responsibilities (n, K), sample weights (n,) or None, generator -> allocated weights (n, K)
Assign: TypeAlias = Callable[[Array, Array | None, np.random.Generator], Array]


def together(shares: Array, weights: Array | None, generator: np.random.Generator) -> Array:
    """Assign each sample to one component with its whole weight."""
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
    """Assign each repetition of a sample separately: a multinomial draw of whole weights."""
    if weights is None:
        return together(shares, None, generator)
    # The multinomial sampler rejects probabilities whose sum exceeds one by rounding.
    shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1.0)
    counts: Integers = generator.multinomial(np.rint(weights).astype(np.int64), shares)
    return counts.astype(np.float64)


@dataclass(frozen=True)
class Assigned:
    """Statistics at a draw of Z, and the log likelihood Σ w log p(x | π, θ)."""

    statistics: Statistics
    log_likelihood: float


@dataclass(frozen=True)
class ChunkAssigned:
    """Statistics and log likelihood summed over chunks."""

    statistics: Additive
    log_likelihood: float

    def __add__(self, other: ChunkAssigned) -> ChunkAssigned:
        return ChunkAssigned(
            self.statistics + other.statistics, self.log_likelihood + other.log_likelihood
        )


@dataclass(frozen=True)
class AssignmentStep:
    """Assignments of a chunk at one draw; ``key`` and the chunk name the random stream."""

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
        add_labels(shares, rows)
        log_density = normalise(shares)
        assigned = self.assign(shares, rows.weights, generator)
        total = log_density.sum() if rows.weights is None else log_density @ rows.weights
        return ChunkAssigned(statistics(assigned), float(total))

    def _with_gaps(self, rows: Rows, generator: np.random.Generator) -> ChunkAssigned:
        """Draw Z | π, θ, observed values, then missing values | Z, π, θ.

        Missing values of conditionally independent features are left out instead. Every repetition
        of a sample has separate draws.
        """
        repeated = np.rint(rows.weights_or_ones).astype(np.int64)
        framed = self.frame.apply(np.repeat(np.asarray(rows.values), repeated, axis=0))
        form = cast("Completing", cast("LinearComponents", self.components).linear)
        shares, _ = form.seen(framed)
        shares += self.log_weights
        if rows.side:
            shares += np.repeat(rows.side.log_factors(shares.shape[1]), repeated, axis=0)
        log_density = normalise(shares)
        assigned = self.assign(shares, None, generator)
        filled = form.dense_filled(framed, assigned.argmax(axis=1), generator)
        statistics = self.family.statistics(filled, assigned)
        return ChunkAssigned(statistics, float(log_density.sum()))


@dataclass(frozen=True)
class BlockedGibbs:
    """Full conditionals of a variational fit's model for its data; β0 is fixed."""

    result: FitResult
    source: Source
    assign: Assign
    arithmetic: Arithmetic
    expected: Statistics  # under q

    @property
    def mixture(self) -> Mixture[Posterior]:
        return self.result.posterior

    def drawn(self, conditional: Mixture[Posterior], generator: np.random.Generator) -> Draws:
        """Draw (π, θ) | X, Z, S, and the order of stick-breaking weights."""
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
        """Draw assignments at one draw and return p(π, θ | X, Z, S) for a share of the samples."""
        assigned = self.assigned(draw, key)
        statistics = assigned.statistics if share == 1.0 else assigned.statistics.scaled(share)
        return assigned, self.conditional(statistics, draw.components, generator)

    def assigned(self, draw: Draws, key: tuple[int, ...]) -> Assigned:
        """Draw Z | π, θ, with the fast linear form unless it loses digits here."""
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
        """Return p(π, θ | X, Z, S), with S drawn given the last θ; ``weights``: prior of π."""
        inference = self.result.bayesian
        weights = inference.weights_prior if weights is None else weights
        return Mixture(
            weights.posterior(statistics.counts),
            inference.parameters_prior.conditional(statistics, last, generator),
            self.mixture.frame,
        )

    def with_empty(self, statistics: Statistics, n_components: int) -> Statistics:
        """Return the statistics extended by empty components to ``n_components``."""
        more = n_components - len(statistics.counts)
        if not more:
            return statistics
        nowhere = np.zeros((1, self.mixture.frame.n_directions))
        empty = self.result.family.statistics(nowhere, np.zeros((1, more)))
        return type(statistics).joined([statistics, empty])

    def beginning(self, n_components: int, generator: np.random.Generator) -> Mixture[Posterior]:
        """Return the conditional at the expected statistics of q, extended by empty components.

        Keeps the heaviest components if there are fewer than in q.
        """
        last = draws_of(self.mixture, 1, generator).components
        if n_components >= self.mixture.n_components:
            return self.conditional(self.with_empty(self.expected, n_components), last, generator)
        counts = self.expected.counts
        heaviest = np.sort(np.argsort(-counts, kind="stable")[:n_components])
        return self.conditional(self.expected, last, generator).subset(heaviest, counts)


def blocked_gibbs(result: FitResult, source: Source, assign: Assign) -> BlockedGibbs:
    """Return the sampler of a fit after one pass under q, which selects the arithmetic."""
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
    """Return whether the linear form keeps its digits; it loses them for clusters far apart."""
    form = cast("LinearComponents", components).linear
    return bool(form.loss(statistics) <= MOST_LOSS * source.total_weight)
