"""Gibbs sampling with unknown K by the telescoping sampler, and priors over K.

Given a partition of the data, K is drawn without the parameters, then empty components from their
prior (Frühwirth-Schnatter, Malsiner-Walli & Grün 2021, alg. 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from numbers import Integral
from typing import Any

import numpy as np
from scipy.special import entr, gammaln

from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.core import validation
from bayesmix.core.components import DrawnComponents, Posterior, Statistics
from bayesmix.core.mixture import Mixture
from bayesmix.core.printed_numbers import percent
from bayesmix.core.prior_over_k import beta_negative_binomial, prior_over
from bayesmix.core.sources import Source
from bayesmix.em.progress_bar import FitProgress
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, Integers, frozen
from bayesmix.posterior import chains
from bayesmix.posterior.arviz_groups import ToArviz, convergence_lines, inference_data_over_k
from bayesmix.posterior.labels import Group, GroupedDraws
from bayesmix.posterior.posterior_draws import joined, parameters_of

# Functions of K are evaluated up to here, and further while their weights are not negligible.
FIRST_ASKED, LAST_ASKED = 64, 4096
BELOW_ROUNDING = 1e-16
# Largest share in the last half; beyond K = 4,096 the default prior has 1e-12.
MOST_LEFT = 1e-6


def prior_of_unknown(given: Any) -> Array:
    """Return p(K) for K = 1, 2, ... up to where the rest is negligible.

    None: the beta-negative-binomial.
    """
    if isinstance(given, Mapping):
        return _table(max(_numbers_of(given)), given)
    given = beta_negative_binomial if given is None else given
    asked, left = FIRST_ASKED, 1.0
    while True:
        table = _table(asked, given)
        left = float(table[asked // 2 :].sum())
        if left <= BELOW_ROUNDING or asked == LAST_ASKED:
            break
        asked *= 2
    if left > MOST_LEFT:
        raise InvalidInputError(
            f"prior_over_k must have nearly all of its weight below K = {LAST_ASKED // 2:,} for "
            f"unknown K, but {percent(left, 1)} is above: use a function that decreases faster, or "
            "a mapping such as {k: 1 for k in range(1, 31)}"
        )
    return table


def _table(last: int, given: Any) -> Array:
    table = np.array(list(prior_over(list(range(1, last + 1)), given).values()))
    return table[: 1 + int(np.flatnonzero(table)[-1])]


def _numbers_of(given: Mapping[Any, Any]) -> list[int]:
    for k in given:
        if isinstance(k, bool) or not isinstance(k, Integral) or not 1 <= int(k) <= LAST_ASKED:
            raise InvalidInputError(
                "prior_over_k must map numbers of components from 1 to "
                f"{LAST_ASKED:,} to their weights for unknown K, got {k!r}"
            )
    return [int(k) for k in given] or [1]


# Tail probability that ``k_probabilities`` omits.
NOT_LISTED = 1e-4


@dataclass(frozen=True, repr=False, eq=False)
class GibbsOverK(GroupedDraws, ToArviz):
    """Draws from p(K, π, θ | X) by the telescoping sampler; see ``gibbs`` with n_components=None.

    Arrays begin with (C, S): chains and draws. Component labels switch between draws.

    Attributes
    ----------
    result : FitResult
        The variational fit that supplies the prior of components and the starting points.
    source : Source
        The data, not copied.
    groups : tuple of Group
        The draws in the fit's coordinates, grouped by K.
    n_components : array (C, S) of int
        Number of components K.
    n_occupied : array (C, S) of int
        Number of occupied components K+.
    log_likelihood : array (C, S)
        log p(X | K, π, θ) in nats and data units, assignments summed out.
    k_of_chains : array (C, M)
        p(K | X), K = 1, ..., M, estimated from each chain.
    prior_over_k : array
        p(K), K = 1, 2, ...
    concentration : array
        Concentration of the Dirichlet prior of K weights, K = 1, 2, ...
    warmup : int
        Discarded sweeps per chain.
    status : {"finished", "interrupted"}
    seed : int
    seconds : float
    """

    result: FitResult
    source: Source
    groups: tuple[Group, ...]
    n_components: Integers
    n_occupied: Integers
    log_likelihood: Array
    k_of_chains: Array
    prior_over_k: Array
    concentration: Array
    warmup: int
    status: str
    seed: int
    seconds: float

    @cached_property
    def k_probabilities(self) -> Any:
        """p(K | X) (Series): the exact p(K | partition) averaged over draws.

        Omits the tail below 1 in 10,000; ``attrs`` holds the prior of the listed K.
        """
        import pandas as pd

        shares = self.k_of_chains.mean(axis=0)
        beyond = np.cumsum(shares[::-1])[::-1]
        last = int(np.flatnonzero(beyond > NOT_LISTED)[-1]) + 1
        numbers = range(1, last + 1)
        index = pd.Index(numbers, name="n_components")
        series = pd.Series(shares[:last], index=index, name="probability")
        series.attrs = {"prior": dict(zip(numbers, self.prior_over_k.tolist(), strict=False))}
        return series

    @cached_property
    def occupied(self) -> Any:
        """Posterior of the number of occupied components (Series)."""
        return chains.shares_by_number(self.n_occupied)

    @cached_property
    def weights(self) -> Array:
        """Mixing weights π (C, S, largest K), NaN beyond the K of a draw."""
        return self._padded(
            (group, ("component",), np.exp(group.draws.weights.log_weights))
            for group in self.groups
        )

    @cached_property
    def parameters(self) -> dict[str, Array]:
        """Parameters θ by name as in ``Gibbs``, (C, S, ...), NaN beyond the K of a draw."""
        pairs = [(group, parameters_of(self.result, group.draws)) for group in self.groups]
        return {
            name: self._padded((group, *named[name]) for group, named in pairs)
            for name in pairs[0][1]
        }

    @cached_property
    def entropy(self) -> Array:
        """Entropy of the mixing weights -Σ π log π (C, S) in nats."""
        return np.nansum(entr(self.weights), axis=2)

    def to_arviz(self) -> Any:
        """Return K, K+ and log likelihood with data and prior as ArviZ groups; needs ArviZ."""
        return inference_data_over_k(self)

    def summary(self) -> str:
        """Return the posteriors of K and K+ and convergence diagnostics."""
        lines = [
            f"{self.n_chains} chains of {self.n_draws} draws after {self.warmup} warm-up sweeps,"
            " K unknown.",
            f"Components (K): {chains.listed(self.k_probabilities)}.",
            f"Occupied components: {chains.listed(self.occupied)} of the draws.",
            *convergence_lines(
                {
                    "number of components": self.n_components,
                    "occupied components": self.n_occupied,
                    "log likelihood": self.log_likelihood,
                    "entropy of the weights": self.entropy,
                }
            ),
            "The prior of K influences K more than the number of occupied components.",
            *chains.closing(self.status),
        ]
        return "\n".join(lines)

    def plot(self, ax: Any = None) -> Any:
        """Plot the posteriors of K and K+ beside the prior; see ``plot_over_k``."""
        from bayesmix.plots.posterior import plot_over_k

        return plot_over_k(self, ax=ax)

    def _padded(self, parts: Iterator[tuple[Group, tuple[str, ...], Array]]) -> Array:
        """Return values (S_K, ...) of all groups as (C, S, ...), NaN for absent components."""
        largest = self.groups[-1].n_components
        whole: Array | None = None
        for group, axes, values in parts:
            shape = [
                largest if axis == "component" else length
                for axis, length in zip(axes, values.shape[1:], strict=True)
            ]
            if whole is None:
                whole = np.full((self.n_components.size, *shape), np.nan)
            # Component axes come first, so a slice covers the components present.
            reached = whole[:, : values.shape[1]] if "component" in axes else whole
            reached[group.places] = values
        assert whole is not None
        return chains.in_chains(whole, self.n_chains)

    def __repr__(self) -> str:
        largest = chains.listed(self.k_probabilities)
        return f"<GibbsOverK: {self.n_chains} x {self.n_draws} draws, components {largest}>"


# Probabilities below this are dropped as negligible.
NOTHING = 1e-9


@dataclass(frozen=True)
class KGivenPartition:
    """p(K | partition) from p(K) (M,) and the Dirichlet concentration γ_K (M,), K = 1, ..., M.

    p(partition | K) = K! / (K - K+)! Γ(K γ_K) / Γ(n + K γ_K) Π_k Γ(N_k + γ_K) / Γ(γ_K), over the K+
    occupied components (eq. 2.4 and 2.6 of the paper; Miller & Harrison 2018).
    """

    prior: Array
    concentration: Array
    total_weight: float

    @cached_property
    def _log_factorials(self) -> Array:
        """log K! (M + 1,), from K = 0."""
        return gammaln(np.arange(len(self.prior) + 1) + 1.0)

    @cached_property
    def _log_of_all(self) -> Array:
        """log of the factors that do not depend on the partition (M,)."""
        mass = np.arange(1, len(self.prior) + 1) * self.concentration
        with np.errstate(divide="ignore"):
            logs: Array = np.log(self.prior)
        logs += self._log_factorials[1:] + gammaln(mass) - gammaln(mass + self.total_weight)
        return logs

    def __call__(self, counts: Array) -> Array:
        """Return p(K | partition) (M,) from the counts of the occupied components (K+,)."""
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
class TelescopingStep:
    """Z | K, π, θ; S | θ of occupied components; K | partition; π, θ | K, partition, S.

    Empty components are integrated out of S and redrawn before they are used.
    """

    sampler: chains.BlockedGibbs
    over_k: KGivenPartition

    def __call__(
        self, state: Mixture[Posterior], generator: np.random.Generator, key: tuple[int, ...]
    ) -> tuple[chains.KeptDraw, Mixture[Posterior]]:
        draw = self.sampler.drawn(state, generator)
        assigned = self.sampler.assigned(draw, key)
        occupied = np.flatnonzero(assigned.counts)
        statistics = assigned.statistics.subset(occupied)
        probabilities = self.over_k(statistics.counts)
        n_components = 1 + int(generator.choice(len(probabilities), p=probabilities))
        last = draw.components.subset(occupied)
        following = self.conditional(n_components, statistics, last, generator)
        probabilities = probabilities[: 1 + np.flatnonzero(probabilities > NOTHING)[-1]]
        kept = chains.KeptDraw(draw.bare, assigned.log_normaliser, len(occupied), probabilities)
        return kept, following

    def conditional(
        self,
        n_components: int,
        statistics: Statistics,
        last: DrawnComponents,
        generator: np.random.Generator,
    ) -> Mixture[Posterior]:
        """Return p(π, θ | X, Z, S, K) from statistics and last θ of the occupied components."""
        statistics = self.sampler.with_empty(statistics, n_components)
        prior = DirichletPrior(float(self.over_k.concentration[n_components - 1]))
        weights = prior.posterior(statistics.counts)
        return self.sampler.conditional(weights, statistics, last, generator)


def sampled_over_k(
    result: FitResult,
    source: Source,
    plan: chains.Plan,
    bar: FitProgress,
    prior_over_k: Any,
    concentration: Any,
) -> GibbsOverK:
    """Run all chains from the fit's K or the largest that the prior allows."""
    over_k = _k_given_partition(result, source.total_weight, prior_over_k, concentration)
    first = min(result.requested_components, len(over_k.prior))
    step_of = partial(TelescopingStep, over_k=over_k)
    kept, common = chains.run_chains(result, source, plan, bar, first, step_of)
    n_components = np.array([one.draw.n_components for one in kept])
    return GibbsOverK(
        groups=frozen(
            tuple(
                Group(places, joined([kept[place].draw for place in places]))
                for places in (np.flatnonzero(n_components == k) for k in np.unique(n_components))
            )
        ),
        n_components=frozen(n_components.reshape(plan.n_chains, -1)),
        k_of_chains=frozen(_averaged_over_draws(kept, plan.n_chains)),
        prior_over_k=over_k.prior,
        concentration=over_k.concentration,
        **common,
    )


def _k_given_partition(
    result: FitResult, total_weight: float, prior_over_k: Any, concentration: Any
) -> KGivenPartition:
    weights = result.inference.weights_prior
    if not isinstance(weights, DirichletPrior):
        raise UnsupportedError(
            "n_components=None needs Dirichlet weights, got stick-breaking ones, whose "
            "number of components is a truncation: fit with "
            "weight_concentration_prior_type='dirichlet_distribution'"
        )
    validation.one_of("concentration", concentration, ("static", "dynamic"))
    prior = prior_of_unknown(prior_over_k)
    of_numbers = np.full(len(prior), float(weights.concentration))
    if concentration == "dynamic":
        of_numbers *= result.requested_components / np.arange(1.0, len(prior) + 1.0)
    return frozen(KGivenPartition(prior, of_numbers, total_weight))


def _averaged_over_draws(kept: list[chains.KeptDraw], n_chains: int) -> Array:
    """Return p(K | partition) averaged over each chain (C, K)."""
    shares = [one.k_probabilities for one in kept if one.k_probabilities is not None]
    total = np.zeros((n_chains, max(map(len, shares))))
    for number, one in enumerate(shares):
        total[number * n_chains // len(shares), : len(one)] += one
    total /= total.sum(axis=1, keepdims=True)
    return total
