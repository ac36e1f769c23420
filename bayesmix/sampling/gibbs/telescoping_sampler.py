"""Gibbs sampling where K is unknown: the telescoping sampler.

Given a partition of the rows, K has a distribution of its own in which parameters have no part;
then components without rows come from their prior (Frühwirth-Schnatter, Malsiner-Walli & Grün
2021, alg. 1).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import gammaln

from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, Integers, frozen
from bayesmix.parallel import single_threaded_blas
from bayesmix.protocols import DrawnComponents, Posterior, Source, Statistics
from bayesmix.records import Mixture
from bayesmix.sampling.draws.parameters import Draws, joined
from bayesmix.sampling.gibbs.blocked_sweep import BlockedGibbs, blocked_gibbs, each_repetition
from bayesmix.sampling.gibbs.chains_over_k import GibbsOverK, Group
from bayesmix.sampling.gibbs.prior_over_k import prior_of_unknown
from bayesmix.sampling.gibbs.rounds import Plan, run_in_rounds
from bayesmix.sampling.subject import log_volume
from bayesmix.weights import DirichletPrior
from bayesmix.workflow.progress import FitProgress
from bayesmix.workflow.result import FitResult

# Probabilities given one partition that are not kept: over all draws they come to nothing.
NOTHING = 1e-9

# Concentration and K of the fit -> concentration of each of K = 1, 2, ... components.
CONCENTRATIONS: Mapping[str, Callable[[float, int, Array], Array]] = {
    "static": lambda fitted, of, numbers: np.full(len(numbers), fitted),
    "dynamic": lambda fitted, of, numbers: fitted * of / numbers,
}


@dataclass(frozen=True)
class KGivenPartition:
    """p(K | partition) from p(K) (M,) and the Dirichlet concentration γ_K (M,), K = 1, ..., M.

    p(partition | K) = K! / (K - K+)! Γ(K γ_K) / Γ(n + K γ_K) Π_k Γ(N_k + γ_K) / Γ(γ_K), over the
    K+ components with rows (eq. 2.4 and 2.6 of the paper; Miller & Harrison 2018).
    """

    prior: Array
    concentration: Array
    total_weight: float

    @cached_property
    def _log_factorials(self) -> Array:
        """log K! (M + 1,), from K = 0."""
        factorials: Array = gammaln(np.arange(len(self.prior) + 1) + 1.0)
        return factorials

    @cached_property
    def _log_of_all(self) -> Array:
        """log of what does not depend on the partition (M,)."""
        mass = np.arange(1, len(self.prior) + 1) * self.concentration
        with np.errstate(divide="ignore"):
            logs: Array = np.log(self.prior)
        logs += self._log_factorials[1:] + gammaln(mass) - gammaln(mass + self.total_weight)
        return logs

    def __call__(self, counts: Array) -> Array:
        """Probabilities (M,) of K given how many rows the occupied components have (K+,)."""
        n_occupied = len(counts)
        possible = slice(n_occupied - 1, None)
        logs = self._log_of_all[possible]
        logs = logs - self._log_factorials[: len(logs)]
        concentration = self.concentration[possible]
        if np.ptp(self.concentration) > 0.0:
            for count, times in zip(*np.unique(counts, return_counts=True), strict=True):
                logs += times * (gammaln(count + concentration) - gammaln(concentration))
        probabilities = np.zeros(len(self.prior))
        shares = np.exp(logs - logs.max())
        probabilities[possible] = shares / shares.sum()
        return probabilities


@dataclass(frozen=True)
class KeptOverK:
    """One draw of one chain; rows were assigned at this very draw of (K, π, θ)."""

    draw: Draws
    log_likelihood: float
    n_occupied: int
    k_probabilities: Array  # given the partition, up to the last that is not nearly 0

    @property
    def n_components(self) -> int:
        return int(self.draw.weights.log_weights.shape[1])


@dataclass(frozen=True)
class TelescopingStep:
    """Z | K, π, θ; S | θ of occupied components; K | partition; π, θ | K, partition, S.

    Empty components are integrated out where S is drawn, and drawn anew before they are looked at.
    """

    sampler: BlockedGibbs
    over_k: KGivenPartition

    def __call__(
        self, state: Mixture[Posterior], generator: np.random.Generator, key: tuple[int, ...]
    ) -> tuple[KeptOverK, Mixture[Posterior]]:
        draw = self.sampler.drawn(state, generator)
        assigned = self.sampler.assigned(draw, key)
        occupied = np.flatnonzero(assigned.statistics.counts)
        statistics = assigned.statistics.subset(occupied)
        probabilities = self.over_k(statistics.counts)
        n_components = one_of(probabilities, generator)
        last = draw.components.subset(occupied)
        following = self.conditional(n_components, statistics, last, generator)
        probabilities = probabilities[: 1 + np.flatnonzero(probabilities > NOTHING)[-1]]
        kept = KeptOverK(draw.bare, assigned.log_likelihood, len(occupied), probabilities)
        return kept, following

    def conditional(
        self,
        n_components: int,
        statistics: Statistics,
        last: DrawnComponents,
        generator: np.random.Generator,
    ) -> Mixture[Posterior]:
        """p(π, θ | X, Z, S, K) from statistics and last parameters of occupied components."""
        statistics = self.sampler.with_empty(statistics, n_components)
        weights = DirichletPrior(float(self.over_k.concentration[n_components - 1]))
        return self.sampler.conditional(statistics, last, generator, weights)


def one_of(probabilities: Array, generator: np.random.Generator) -> int:
    """A number from 1, drawn with these probabilities."""
    reached = np.cumsum(probabilities)
    return 1 + int(np.searchsorted(reached, generator.random() * reached[-1], side="right"))


def sampled_over_k(
    result: FitResult,
    source: Source,
    plan: Plan,
    bar: FitProgress,
    prior_over_k: Any,
    concentration: Any,
) -> GibbsOverK:
    """All chains, each from the fit's number of components or the largest that the prior allows."""
    over_k = _k_given_partition(result, source.total_weight, prior_over_k, concentration)
    began = time.perf_counter()
    with single_threaded_blas():
        sampler = blocked_gibbs(result, source, each_repetition)
        generators = plan.generators()
        first = min(result.requested_components, len(over_k.prior))
        states = [sampler.beginning(first, one) for one in generators]
        step = TelescopingStep(sampler, over_k)
        chains, status = run_in_rounds(step, states, generators, plan, bar)
    return _arranged(result, source, plan, chains, over_k, status, time.perf_counter() - began)


def _k_given_partition(
    result: FitResult, total_weight: float, prior_over_k: Any, concentration: Any
) -> KGivenPartition:
    weights = result.inference.weights_prior
    if not isinstance(weights, DirichletPrior):
        raise UnsupportedError(
            "n_components=None needs Dirichlet weights, got a fit with stick-breaking ones, whose "
            "number of components is a truncation: fit with "
            "weight_concentration_prior_type='dirichlet_distribution'"
        )
    if concentration not in CONCENTRATIONS:
        raise InvalidInputError(
            f"concentration must be one of {', '.join(CONCENTRATIONS)}, got {concentration!r}"
        )
    prior = prior_of_unknown(prior_over_k)
    numbers = np.arange(1.0, len(prior) + 1.0)
    of_numbers = CONCENTRATIONS[concentration](
        float(weights.concentration), result.requested_components, numbers
    )
    return frozen(KGivenPartition(prior, of_numbers, total_weight))


def _arranged(
    result: FitResult,
    source: Source,
    plan: Plan,
    chains: list[list[KeptOverK]],
    over_k: KGivenPartition,
    status: str,
    seconds: float,
) -> GibbsOverK:
    kept = [one for chain in chains for one in chain]
    shape = (plan.n_chains, len(chains[0]))
    n_components = np.array([one.n_components for one in kept])
    log_likelihood = np.array([one.log_likelihood for one in kept])
    log_likelihood -= log_volume(result, source)
    return GibbsOverK(
        result=result,
        source=source,
        groups=frozen(_by_k(kept, n_components)),
        n_components=frozen(n_components.reshape(shape)),
        n_occupied=frozen(np.array([one.n_occupied for one in kept]).reshape(shape)),
        log_likelihood=frozen(log_likelihood.reshape(shape)),
        k_of_chains=frozen(_averaged_over_draws(chains)),
        prior_over_k=over_k.prior,
        concentration=over_k.concentration,
        warmup=plan.n_warm,
        status=status,
        seed=plan.seed,
        seconds=seconds,
    )


def _by_k(kept: list[KeptOverK], n_components: Integers) -> tuple[Group, ...]:
    """Draws with the same K together."""
    groups = []
    for k in np.unique(n_components):
        places = np.flatnonzero(n_components == k)
        groups.append(Group(places, joined([kept[place].draw for place in places])))
    return tuple(groups)


def _averaged_over_draws(chains: list[list[KeptOverK]]) -> Array:
    """p(K | partition) averaged over each chain (C, K)."""
    longest = max(len(one.k_probabilities) for chain in chains for one in chain)
    total = np.zeros((len(chains), longest))
    for own, chain in zip(total, chains, strict=True):
        for one in chain:
            own[: len(one.k_probabilities)] += one.k_probabilities
    total /= total.sum(axis=1, keepdims=True)
    return total
