"""Truncated Dirichlet-process weights (Blei & Jordan 2006, sec. 3.2).

π_k = v_k Π_{j<k} (1 - v_j), v_k ~ Beta(1, α0) for k < K, v_K = 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import log

import numpy as np
from scipy.special import betaln, digamma

from bayesmix.allocation.point import PointWeights, sample_by_sample
from bayesmix.allocation.point_draws import (
    assign_samples,
    densities_of_draws,
    log_likelihood_of_samples,
    nothing_named,
    shares_of_draws,
)
from bayesmix.core.priors import NamedTensors, Pymc, Tensor
from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.memo import once
from bayesmix.numerics.special import log_gammas


@dataclass(frozen=True)
class StickDraws:
    """S draws of v_k, k < K, as log v and log (1 - v), both (S, K - 1)."""

    log_first: Array
    log_rest: Array
    named = nothing_named
    log_density, shares, assign = densities_of_draws, shares_of_draws, assign_samples

    @property
    def log_weights(self) -> Array:
        logs = np.zeros((len(self.log_first), self.log_first.shape[1] + 1))
        logs[:, :-1] = self.log_first
        logs[:, 1:] += np.cumsum(self.log_rest, axis=1)
        return logs

    @classmethod
    def of_weights(cls, log_weights: Array) -> StickDraws:
        """Return the sticks of weights (S, K): v_k = π_k / Σ_{j>=k} π_j."""
        tails = np.logaddexp.accumulate(log_weights[:, ::-1], axis=1)[:, ::-1]
        return cls(log_weights[:, :-1] - tails[:, :-1], tails[:, 1:] - tails[:, :-1])


@dataclass(frozen=True)
class StickBreaking:
    """q(v_k) = Beta(first_k, rest_k), k < K, with the prior for use in ``subset``."""

    first: Array  # (K - 1,)
    rest: Array  # (K - 1,)
    prior: StickBreakingPrior
    exchangeable = False
    allocate = sample_by_sample

    @property
    def n_components(self) -> int:
        return len(self.first) + 1

    @once
    def expected_log_sticks(self) -> tuple[Array, Array]:
        """E[log v_k] and E[log(1 - v_k)], each (K - 1,)."""
        total = digamma(self.first + self.rest)
        return digamma(self.first) - total, digamma(self.rest) - total

    def expected_log(self) -> Array:
        """Return E[log π_k] = E[log v_k] + Σ_{j<k} E[log(1 - v_j)]."""
        of_first, of_rest = self.expected_log_sticks
        expected = np.zeros(self.n_components)
        expected[:-1] = of_first
        expected[1:] += of_rest.cumsum()
        return expected

    def mean(self) -> Array:
        """Return E[π_k], a product as sticks are independent."""
        share = self.first / (self.first + self.rest)
        expected = np.ones(self.n_components)
        expected[:-1] = share
        expected[1:] *= np.cumprod(1.0 - share)
        return expected

    def averaged(self) -> PointWeights:
        return PointWeights(self.mean())

    def draws(self, n_draws: int, generator: np.random.Generator) -> StickDraws:
        first = log_gammas(self.first, n_draws, generator)
        rest = log_gammas(self.rest, n_draws, generator)
        total = np.logaddexp(first, rest)
        return StickDraws(first - total, rest - total)

    def log_density_of(self, draws: StickDraws) -> Array:
        """Return log q(v) (S,) of draws, a density over v."""
        return (
            draws.log_first @ (self.first - 1.0)
            + draws.log_rest @ (self.rest - 1.0)
            - betaln(self.first, self.rest).sum()
        )

    def subset(self, keep: Integers, counts: Array) -> StickBreaking:
        """Return the posterior of the kept counts, as sticks are not closed under selection."""
        return self.prior.posterior(counts)


@dataclass(frozen=True)
class StickTwin:
    """Sticks in PyMC, parametrised by -log(1 - v) (K - 1,)."""

    spent: Tensor
    log_likelihood = log_likelihood_of_samples

    @cached_property
    def drawn(self) -> dict[str, Tensor]:
        from pytensor import tensor as pt

        first = pt.log(-pt.expm1(-self.spent))
        return {"log_first": first, "log_rest": -self.spent}

    @cached_property
    def log_weights(self) -> Tensor:
        from pytensor import tensor as pt

        first, rest = self.drawn.values()
        none = np.zeros(1)
        return pt.concatenate([first, none]) + pt.concatenate([none, rest.cumsum()])

    def named(self) -> NamedTensors:
        from pytensor import tensor as pt

        return {"weights": (("component",), pt.exp(self.log_weights))}

    def draws(self, values: Mapping[str, Array], n_draws: int) -> StickDraws:
        return StickDraws(**values)

    def point(self, draws: StickDraws) -> dict[str, Array]:
        return {"stick_log_rest": -draws.log_rest}


@dataclass(frozen=True)
class StickBreakingPrior:
    """Stick-breaking prior of the weights: v_k ~ Beta(1, concentration)."""

    concentration: float
    name = "dirichlet_process"

    def posterior(self, counts: Array) -> StickBreaking:
        """Return q(v_k) = Beta(1 + N_k, α0 + Σ_{j>k} N_j) (Blei & Jordan 2006, eq. 18 and 19)."""
        beyond = counts[::-1].cumsum()[::-1]
        return StickBreaking(1.0 + counts[:-1], self.concentration + beyond[1:], self)

    def kl(self, weights: StickBreaking) -> float:
        """Return Σ_k KL(q(v_k) || Beta(1, α0))."""
        a, b = weights.first, weights.rest
        of_first, of_rest = weights.expected_log_sticks
        log_ratio = (a - 1.0) @ of_first + (b - self.concentration) @ of_rest
        # B(1, α0) = 1 / α0.
        return float(log_ratio - np.add.reduce(betaln(a, b)) - len(a) * log(self.concentration))

    def mode(self, counts: Array) -> PointWeights:
        """Raise an error, as point estimates would depend on the order of components."""
        raise UnsupportedError(
            "a maximum a posteriori fit needs Dirichlet weights: use "
            "weight_concentration_prior_type='dirichlet_distribution'"
        )

    def log_density(self, weights: PointWeights) -> float:
        """Raise an error, like ``mode``."""
        raise UnsupportedError("stick-breaking weights have no density at a point estimate")

    def log_density_of(self, draws: StickDraws) -> Array:
        n_sticks = draws.log_rest.shape[1]
        density: Array = (self.concentration - 1.0) * draws.log_rest.sum(axis=1)
        density -= n_sticks * betaln(1.0, self.concentration)
        return density

    def reordered(
        self, draws: StickDraws, generator: np.random.Generator
    ) -> tuple[StickDraws, Integers]:
        """Return a draw after proposals to swap neighbouring components, and the new order.

        Metropolis steps on p(π) ∝ π_K^(α0 - 1) / Π_{k<K} Σ_{j>=k} π_j, a density over π, which
        alone in the mixture depends on the order (cf. Papaspiliopoulos & Roberts 2008).
        """
        logs = draws.log_weights[0]
        order = np.arange(len(logs))
        log_uniform = np.log1p(-generator.random(len(logs)))
        tail = -np.inf  # log Σ π of the components after the pair
        for k in range(len(logs) - 2, -1, -1):
            if tail == -np.inf:
                log_ratio = (self.concentration - 1.0) * (logs[k] - logs[k + 1])
            else:
                log_ratio = np.logaddexp(logs[k + 1], tail) - np.logaddexp(logs[k], tail)
            if log_uniform[k] < log_ratio:
                logs[[k, k + 1]] = logs[[k + 1, k]]
                order[[k, k + 1]] = order[[k + 1, k]]
            tail = np.logaddexp(logs[k + 1], tail)
        return StickDraws.of_weights(logs[None]), order

    def pymc_distribution(self, pm: Pymc, q: StickBreaking, n_components: int) -> StickTwin:
        """Declare the prior over K - 1 sticks in PyMC: -log(1 - v) is exponential with rate α0.

        This parametrisation stays accurate for sticks near 1, as they are for small α0.
        """
        rate = np.array(float(self.concentration))
        spent = pm.Exponential("stick_log_rest", lam=rate, shape=n_components - 1)
        return StickTwin(spent)

    def n_parameters(self, n_components: int) -> int:
        return n_components - 1
