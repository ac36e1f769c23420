"""Blocked Gibbs sampling with K known: one sweep, results, and the loop that runs the chains.

A sweep draws Z | π, θ, then S | θ, then p(π, θ | X, Z, S), the conjugate variational update at hard
assignments (Diebolt & Robert 1994; Frühwirth-Schnatter 2006, sec. 3.5).
Chains take one step each in turn, so that an interrupt leaves them equally long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias, cast

import numpy as np
from scipy.special import entr

from bayesmix.allocation.point_draws import together
from bayesmix.core.components import (
    Additive,
    AlongSubspace,
    Completing,
    Components,
    DrawnComponents,
    LinearComponents,
    Named,
    Posterior,
    Statistics,
)
from bayesmix.core.families import Family
from bayesmix.core.mixture import ChunkSums, Expectation, Mixture
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.printed_numbers import percent
from bayesmix.core.priors import Assign, OrderedWeightsPrior, Weights, WeightsPrior
from bayesmix.core.random import Purpose, stream
from bayesmix.core.rows import Frame, Rows
from bayesmix.core.sources import Source
from bayesmix.em.expectation import CENTRED, LINEAR, Arithmetic, sum_of_blocks, weighed
from bayesmix.em.progress_bar import FitProgress
from bayesmix.em.result import FitResult
from bayesmix.em.run import e_step
from bayesmix.em.sequence_sums import densities_in_blocks
from bayesmix.errors import DegenerateFitError, InvalidInputError
from bayesmix.numerics.arrays import Array, Integers, has_gaps
from bayesmix.observation.missing import Gapped
from bayesmix.posterior.arviz_groups import ToArviz, convergence_lines, inference_data
from bayesmix.posterior.labels import Group, GroupedDraws
from bayesmix.posterior.posterior_draws import Draws, draws_of, parameters_of
from bayesmix.posterior.subject import log_volume


def in_chains(values: Array, n_chains: int) -> Array:
    """Reshape values (C S, ...) to a read-only (C, S, ...)."""
    arranged: Array = values.reshape(n_chains, -1, *values.shape[1:])
    arranged.flags.writeable = False
    return arranged


@dataclass(frozen=True, repr=False, eq=False)
class DrawsInChains(GroupedDraws):
    """Draws from p(π, θ | X) for known K, from any sampler."""

    result: FitResult
    source: Source
    draws: Draws
    log_likelihood: Array
    log_joint: Array

    @cached_property
    def groups(self) -> tuple[Group, ...]:  # type: ignore[override]  # a field over K
        """All draws as one group."""
        return (Group(np.arange(self.draws.n_draws), self.draws),)

    @property
    def n_components(self) -> int:
        """Number of components of the model, occupied or not."""
        return self.draws.n_components

    @cached_property
    def weights(self) -> Array:
        """Mixing weights π (C, S, K), or the stationary distribution of a hidden Markov model."""
        return in_chains(np.exp(self.draws.weights.log_weights), self.n_chains)

    @cached_property
    def parameters(self) -> dict[str, Array]:
        """Parameters θ by name, (C, S, ...) in data units.

        Gaussian: "means" (C, S, K, D), "covariances" in scikit-learn's shape, and "scale" if the
        prior learns it. Bernoulli: "probabilities", Poisson: "rates", both (C, S, K, D). Hidden
        Markov models: "startprob" (C, S, K), "transmat" (C, S, K, K).
        """
        return {name: values for name, (_, values) in self.named_parameters.items()}

    @cached_property
    def named_parameters(self) -> Named:
        """``parameters`` with the names of the axes after chain and draw."""
        named = parameters_of(self.result, self.draws)
        return {
            name: (axes, in_chains(values, self.n_chains)) for name, (axes, values) in named.items()
        }


@dataclass(frozen=True, repr=False, eq=False)
class Gibbs(DrawsInChains, ToArviz):
    """Draws from p(π, θ | X) by blocked Gibbs sampling; see ``gibbs``.

    Arrays begin with (C, S): chains and draws. Component labels are not identified and may switch
    between draws.

    Attributes
    ----------
    result : FitResult
        The variational fit that supplies the prior and the starting points.
    source : Source
        The data, not copied.
    draws : Draws
        All C S draws in the fit's coordinates, chain after chain.
    log_likelihood : array (C, S)
        log p(X | π, θ) in nats and data units, assignments summed out.
    log_joint : array (C, S)
        log_likelihood plus log p(π, θ) in the fit's coordinates; a learned scale of the prior is
        integrated out.
    n_occupied : array (C, S) of int
        Number of occupied components.
    warmup : int
        Discarded sweeps per chain.
    status : {"finished", "interrupted"}
    seed : int
    seconds : float
    """

    n_occupied: Integers
    warmup: int
    status: str
    seed: int
    seconds: float

    @cached_property
    def entropy(self) -> Array:
        """Entropy of the mixing weights -Σ π log π (C, S) in nats."""
        return entr(self.weights).sum(axis=2)

    @cached_property
    def occupied(self) -> Any:
        """Posterior of the number of occupied components (Series)."""
        return shares_by_number(self.n_occupied)

    def to_arviz(self) -> Any:
        """Return the draws with observed data and prior as ArviZ groups; needs ArviZ."""
        return inference_data(self, "n_occupied", "blocked Gibbs", "draws")

    def summary(self) -> str:
        """Return the posterior of the number of occupied components and convergence diagnostics."""
        ordered = self.result.side.ordered
        # The prior density of sticks depends on the order of the components.
        density = {"log likelihood": self.log_likelihood}
        if self.result.posterior.weights.exchangeable:
            density = {"log joint density": self.log_joint}
        lines = [
            f"{self.n_chains} chains of {self.n_draws} draws after {self.warmup} warm-up sweeps,"
            f" K={self.n_components}.",
            f"Occupied components: {listed(self.occupied)} of the draws.",
            *convergence_lines(
                density
                | {
                    "occupied components": self.n_occupied,
                    "entropy of the weights": self.entropy,
                }
            ),
            *closing(self.status, "score_samples" if ordered else INVARIANT),
        ]
        return "\n".join(lines)

    def plot(self, ax: Any = None) -> Any:
        """Plot the posterior of the number of occupied components; see ``plot_occupied``."""
        from bayesmix.plots.posterior import plot_occupied

        return plot_occupied(self, ax=ax)

    def __repr__(self) -> str:
        shares = ", ".join(f"{number}: {percent(share)}" for number, share in self.occupied.items())
        return f"<Gibbs: {self.n_chains} x {self.n_draws} draws, occupied components {shares}>"


def shares_by_number(n_occupied: Integers) -> Any:
    """Return the share of draws by number of occupied components (Series)."""
    import pandas as pd

    numbers, counts = np.unique(n_occupied, return_counts=True)
    index = pd.Index(numbers, name="occupied components")
    return pd.Series(counts / n_occupied.size, index=index, name="probability")


def listed(shares: Any) -> str:
    """Describe the largest of the shares (Series)."""
    largest = shares.sort_values(ascending=False, kind="stable")[:4]
    return ", ".join(f"{number} in {percent(share)}" for number, share in largest.items())


INVARIANT = "score_samples and co_clustering"


def closing(status: str, invariant: str = INVARIANT) -> list[str]:
    """Return the closing lines of a summary: label switching and an early end."""
    lines = [
        "Components are not identified (labels switch between draws): use label-invariant "
        f"quantities, such as {invariant}."
    ]
    if status != "finished":
        lines.append(f"The run was {status}; these are the draws so far.")
    return lines


# Random streams of parameters and assignments; other consumers use other numbers.
OF_PARAMETERS, OF_ASSIGNMENTS = 4, 5


@dataclass(frozen=True)
class KeptDraw:
    """One draw of one chain: (π, θ), its log likelihood and the number of occupied components."""

    draw: Draws
    log_likelihood: float
    n_occupied: int
    k_probabilities: Array | None = None  # given the partition, without a negligible tail


# chain state, generator, key of its assignments -> kept draw, next state
State: TypeAlias = "Mixture[Posterior]"
ChainStep: TypeAlias = Callable[
    [State, np.random.Generator, tuple[int, ...]], tuple[KeptDraw, State]
]


@dataclass(frozen=True)
class Plan:
    """Number of chains, discarded sweeps and kept draws, and the seed."""

    n_chains: int
    n_warm: int
    n_draws: int
    seed: int

    def generators(self) -> list[np.random.Generator]:
        return [
            stream(self.seed, Purpose.DRAW, OF_PARAMETERS, chain) for chain in range(self.n_chains)
        ]


def run_in_rounds(
    step: ChainStep,
    states: Sequence[State],
    generators: Sequence[np.random.Generator],
    plan: Plan,
    bar: FitProgress,
) -> tuple[list[KeptDraw], str]:
    """Return the draws, chain after chain, and the status, "finished" or "interrupted"."""
    rounds: list[list[KeptDraw]] = []
    status = "finished"
    try:
        for sweep in range(plan.n_warm + plan.n_draws):
            kept, following = [], []
            for chain, (state, generator) in enumerate(zip(states, generators, strict=True)):
                key = (plan.seed, OF_ASSIGNMENTS, chain, sweep)
                with duplicates_named():
                    one, state = step(state, generator, key)
                kept.append(one)
                following.append(state)
            states = following
            if sweep >= plan.n_warm:
                rounds.append(kept)
            bar.advance("")
    except KeyboardInterrupt:
        if not rounds:
            raise
        status = "interrupted"
    return [one for chain in zip(*rounds, strict=True) for one in chain], status


def run_chains(
    result: FitResult,
    source: Source,
    plan: Plan,
    bar: FitProgress,
    n_components: int,
    step_of: Callable[[BlockedGibbs], ChainStep],
) -> tuple[list[KeptDraw], dict[str, Any]]:
    """Return the draws, chain after chain, and the fields that the results for any K share."""
    began = time.perf_counter()
    with single_threaded_blas():
        sampler = blocked_gibbs(result, source, each_repetition)
        generators = plan.generators()
        states = [sampler.beginning(n_components, one) for one in generators]
        kept, status = run_in_rounds(step_of(sampler), states, generators, plan, bar)
    log_likelihood = np.array([one.log_likelihood for one in kept]) - log_volume(result, source)
    return kept, {
        "result": result,
        "source": source,
        "log_likelihood": in_chains(log_likelihood, plan.n_chains),
        "n_occupied": in_chains(np.array([one.n_occupied for one in kept]), plan.n_chains),
        "warmup": plan.n_warm,
        "status": status,
        "seed": plan.seed,
        "seconds": time.perf_counter() - began,
    }


@contextmanager
def duplicates_named() -> Iterator[None]:
    """Raise an error that names duplicates where the posterior is improper."""
    try:
        yield
    except DegenerateFitError as problem:
        raise InvalidInputError(
            f"the posterior cannot be sampled because X has too many duplicates: {problem}"
        ) from problem


# Rounding of log p(x), in nats per observation, that changes at most one assignment in ten million.
MOST_LOSS = 1e-7


def each_repetition(shares: Array, weights: Array | None, generator: np.random.Generator) -> Array:
    """Assign each repetition of a sample separately: a multinomial draw of whole weights."""
    if weights is None:
        return together(shares, None, generator)
    # The multinomial sampler rejects probabilities whose sum exceeds one by rounding.
    shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1.0)
    counts: Integers = generator.multinomial(np.rint(weights).astype(np.int64), shares)
    return counts.astype(np.float64)


@dataclass(frozen=True)
class AssignmentStep:
    """Assignments of a chunk at one draw; ``key`` and the chunk name the random stream."""

    frame: Frame
    draw: Draws
    arithmetic: Arithmetic
    assign: Assign
    key: tuple[int, ...]
    family: Family

    def __call__(self, rows: Rows) -> ChunkSums:
        seed, *rest = self.key
        generator = stream(seed, Purpose.DRAW, *rest, rows.first)
        if has_gaps(rows.values):
            return self._with_gaps(rows, generator)
        components = self.draw.components.components
        if rows.side.ordered:
            width = 2 * rows.values.shape[1]
            densities = densities_in_blocks(self.arithmetic, components, self.frame, rows, width)
            return self._drawn(rows, *densities, generator)

        def of_block(block: Rows) -> ChunkSums:
            values = self.frame.apply(block.values)
            densities = self.arithmetic.densities(components, values)
            return self._drawn(block, *densities, generator)

        return sum_of_blocks(rows, self.n_components, of_block)

    @property
    def n_components(self) -> int:
        return int(self.draw.components.components.n_components)

    def _drawn(
        self,
        rows: Rows,
        joint: Array,
        statistics: Callable[[Array], Additive],
        generator: np.random.Generator,
    ) -> ChunkSums:
        allocated = self.draw.weights.assign(joint, rows, self.assign, generator)
        totals = weighed(allocated.log_normaliser, rows)
        return ChunkSums(*totals, statistics(joint), allocated.statistics)

    def _with_gaps(self, rows: Rows, generator: np.random.Generator) -> ChunkSums:
        """Draw Z | π, θ, observed values, then missing values | Z, π, θ.

        Missing values of conditionally independent features are left out instead. Every repetition
        of a sample has separate draws.
        """
        repetitions = np.rint(rows.weights_or_ones).astype(np.int64)
        repeated = replace(rows.some(np.repeat(np.arange(len(rows)), repetitions)), weights=None)
        framed = self.frame.apply(repeated.values)
        linear = cast("LinearComponents", self.draw.components.components).linear
        form = cast("Completing", linear)
        if self.frame.rest is not None:
            return self._in_subspace(repeated, cast("AlongSubspace", linear), generator)

        def statistics(assigned: Array) -> Statistics:
            filled = form.dense_filled(framed, assigned.argmax(axis=1), generator)
            return self.family.statistics(filled, assigned)

        return self._drawn(repeated, form.seen(framed)[0], statistics, generator)

    def _in_subspace(
        self, rows: Rows, forms: AlongSubspace, generator: np.random.Generator
    ) -> ChunkSums:
        values = np.asarray(rows.values)

        def statistics(assigned: Array) -> Statistics:
            labels = assigned.argmax(axis=1)
            filled = forms.filled_along(self.frame, values, labels, generator)
            return self.family.statistics(self.frame.apply(filled), assigned)

        return self._drawn(rows, forms.seen_along(self.frame, values)[0], statistics, generator)


@dataclass(frozen=True)
class BlockedGibbs:
    """Full conditionals of a variational fit's model for its data; β0 is fixed."""

    result: FitResult
    source: Source
    assign: Assign
    arithmetic: Arithmetic
    expected: Expectation  # under q

    @property
    def mixture(self) -> Mixture[Posterior]:
        return self.result.posterior

    def drawn(self, conditional: Mixture[Posterior], generator: np.random.Generator) -> Draws:
        """Draw (π, θ) | X, Z, S; components keep their labels."""
        return draws_of(conditional, 1, generator)

    def relabelled(self, conditional: Mixture[Posterior], generator: np.random.Generator) -> Draws:
        """Draw (π, θ) | X, Z, S, and the order of stick-breaking weights."""
        if conditional.weights.exchangeable:
            return self.drawn(conditional, generator)
        prior = cast("OrderedWeightsPrior", self.result.inference.weights_prior)
        weights, order = prior.reordered(conditional.weights.draws(1, generator), generator)
        return Draws(weights, conditional.components.subset(order).draws(1, generator))

    def sweep(
        self, draw: Draws, generator: np.random.Generator, key: tuple[int, ...], share: float = 1.0
    ) -> tuple[Expectation, Mixture[Posterior]]:
        """Draw assignments at one draw and return p(π, θ | X, Z, S) for a share of the samples."""
        assigned = self.assigned(draw, key)
        statistics, of_allocation = assigned.statistics, assigned.of_allocation
        if share != 1.0:
            statistics = statistics.scaled(share)
            of_allocation = statistics.counts
        weights = self.weights_prior.posterior(of_allocation)
        return assigned, self.conditional(weights, statistics, draw.components, generator)

    def assigned(self, draw: Draws, key: tuple[int, ...]) -> Expectation:
        """Draw Z | π, θ, with the fast linear form unless it loses digits here."""
        components = draw.components.components
        found = self._assigned(draw, self.arithmetic, key)
        if self.arithmetic.watched and not _keeps_digits(components, found.statistics, self.source):
            found = self._assigned(draw, CENTRED, key)
        return found

    def _assigned(self, draw: Draws, arithmetic: Arithmetic, key: tuple[int, ...]) -> Expectation:
        frame, family = self.mixture.frame, self.result.family
        step = AssignmentStep(frame, draw, arithmetic, self.assign, key, family)
        total: ChunkSums = self.source.reduce(step, step.n_components)
        return total.finished()

    @property
    def weights_prior(self) -> WeightsPrior:
        return self.result.bayesian.weights_prior

    def conditional(
        self,
        weights: Weights,
        statistics: Statistics,
        last: DrawnComponents,
        generator: np.random.Generator,
    ) -> Mixture[Posterior]:
        """Return p(π, θ | X, Z, S) from p(π | Z), with S drawn given the last θ."""
        prior = self.result.bayesian.parameters_prior
        components = prior.conditional(statistics, last, generator)
        return Mixture(weights, components, self.mixture.frame)

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
        statistics, of_allocation = self.expected.statistics, self.expected.of_allocation
        if n_components > self.mixture.n_components:
            statistics = self.with_empty(statistics, n_components)
            of_allocation = statistics.counts
        weights = self.weights_prior.posterior(of_allocation)
        mixture = self.conditional(weights, statistics, last, generator)
        if n_components >= self.mixture.n_components:
            return mixture
        counts = self.expected.counts
        heaviest = np.sort(np.argsort(-counts, kind="stable")[:n_components])
        return mixture.subset(heaviest, counts)


def blocked_gibbs(result: FitResult, source: Source, assign: Assign) -> BlockedGibbs:
    """Return the sampler of a fit after one pass under q, which selects the arithmetic."""
    mixture = result.mixture
    gaps = source.summary.n_missing > 0
    expected, _ = e_step(source, mixture, Gapped(result.seed) if gaps else CENTRED)
    near = (
        result.family.linear
        and not gaps
        and _keeps_digits(mixture.components, expected.statistics, source)
    )
    return BlockedGibbs(result, source, assign, LINEAR if near else CENTRED, expected)


def _keeps_digits(components: Components, statistics: Statistics, source: Source) -> bool:
    """Return whether the linear form keeps its digits; it loses them for clusters far apart."""
    form = cast("LinearComponents", components).linear
    return bool(form.loss(statistics) <= MOST_LOSS * source.total_weight)
