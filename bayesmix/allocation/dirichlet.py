"""Mixing weights with a Dirichlet prior (Bishop 2006, eq. 10.39, 10.57, 10.58, 10.66, 10.73)."""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import digamma, gammaln, xlogy

from bayesmix.allocation.point import PointWeights, sample_by_sample
from bayesmix.allocation.point_draws import DirichletTwin, WeightDraws
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers, frozen
from bayesmix.numerics.memo import once
from bayesmix.numerics.special import log_gammas

if TYPE_CHECKING:
    from bayesmix.allocation.point_draws import DirichletTwin, WeightDraws
    from bayesmix.core.priors import Pymc


@dataclass(frozen=True)
class Dirichlet:
    """q(π) = Dirichlet(concentration (K,))."""

    concentration: Array
    exchangeable = True
    allocate = sample_by_sample

    @property
    def n_components(self) -> int:
        return len(self.concentration)

    @once
    def total(self) -> float:
        """Σ_k α_k."""
        return float(np.add.reduce(self.concentration))

    def expected_log(self) -> Array:
        """Return E[log π_k] (Bishop 2006, eq. 10.66)."""
        return self._expected_log

    @once
    def _expected_log(self) -> Array:
        expected: Array = digamma(self.concentration) - digamma(self.total)
        return frozen(expected)

    def mean(self) -> Array:
        return self.concentration / self.total

    def averaged(self) -> PointWeights:
        return PointWeights(self.mean())

    def log_normaliser(self) -> float:
        """Return log C(α) (Bishop 2006, eq. B.23)."""
        return lgamma(self.total) - float(np.add.reduce(gammaln(self.concentration)))

    def draws(self, n_draws: int, generator: np.random.Generator) -> WeightDraws:
        """Return independent draws of π: normalised gamma variables."""
        logs = log_gammas(self.concentration, n_draws, generator)
        return WeightDraws(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))

    def log_density_of(self, draws: WeightDraws) -> Array:
        """Return log q(π) (S,), a density over π_1, ..., π_{K-1} (Bishop 2006, eq. B.16)."""
        return self.log_normaliser() + draws.log_weights @ (self.concentration - 1.0)

    def log_factors(self, draws: WeightDraws) -> Array:
        """Return (α_j - 1) log π_k (S, J, K), the factors of the density without C(α)."""
        return (self.concentration - 1.0)[:, None] * draws.log_weights[:, None, :]

    def subset(self, keep: Integers, counts: Array) -> Dirichlet:
        return Dirichlet(self.concentration[keep])


@dataclass(frozen=True)
class DirichletPrior:
    """p(π) = Dirichlet(α0, ..., α0), with the same α0 for any K."""

    concentration: float
    name = "dirichlet_distribution"

    def posterior(self, counts: Array) -> Dirichlet:
        """Return the posterior α_k = α0 + N_k (Bishop 2006, eq. 10.58)."""
        return Dirichlet(self.concentration + counts)

    def log_normaliser(self, n_components: int) -> float:
        """Return log C(α0, ..., α0) (Bishop 2006, eq. B.23)."""
        return lgamma(n_components * self.concentration) - n_components * lgamma(self.concentration)

    def kl(self, weights: Dirichlet) -> float:
        """Return KL(q || p) (Bishop 2006, eq. 10.73 and 10.76)."""
        return float(
            weights.log_normaliser()
            - self.log_normaliser(weights.n_components)
            + (weights.concentration - self.concentration) @ weights.expected_log()
        )

    def mode(self, counts: Array) -> PointWeights:
        """Return N_k + α0 - 1, normalised; raise an error for α0 < 1, which has no maximum."""
        if self.concentration < 1.0:
            raise InvalidInputError(
                "weight_concentration_prior must be at least 1 for a maximum a posteriori fit "
                f"(below 1 the posterior density has no maximum), got {self.concentration}"
            )
        return PointWeights.shares(counts + (self.concentration - 1.0))

    def log_density(self, weights: PointWeights) -> float:
        """Return the log prior density at point weights, with 0 log 0 = 0."""
        powers = xlogy(self.concentration - 1.0, weights.probabilities)
        return self.log_normaliser(weights.n_components) + float(powers.sum())

    def log_density_of(self, draws: WeightDraws) -> Array:
        return _symmetric(self.concentration, draws.log_weights.shape[1]).log_density_of(draws)

    def pymc_distribution(self, pm: Pymc, q: Dirichlet, n_components: int) -> DirichletTwin:
        concentration = _symmetric(self.concentration, n_components).concentration
        return DirichletTwin(pm.Dirichlet("weights", a=concentration, dims="component"))

    def n_parameters(self, n_components: int) -> int:
        return n_components - 1


def _symmetric(concentration: float, n_components: int) -> Dirichlet:
    return Dirichlet(np.full(n_components, float(concentration)))
