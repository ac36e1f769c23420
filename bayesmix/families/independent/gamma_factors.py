"""Rates under Gamma factors: what Poisson and exponential columns share."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property

import numpy as np
from scipy.special import digamma, gammaln, xlogy

from bayesmix.errors import InvalidInputError
from bayesmix.families.independent.columns import (
    ConjugatePrior,
    DrawnColumns,
    PointColumns,
    PosteriorColumns,
)
from bayesmix.families.independent.linear import LinearInTotals
from bayesmix.families.independent.sums import Sums
from bayesmix.families.independent.twin import TotalsTwin
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.gammas import log_gammas
from bayesmix.protocols import Pymc, Tensor


class RateColumns(PointColumns):
    """Rates (K, D) at a point."""

    rates: Array


class RateDraws(DrawnColumns):
    """S draws of rates by their logarithms (S, K, D)."""

    log_rates: Array

    @staticmethod
    @abstractmethod
    def form(log_rates: Array, rates: Array) -> LinearInTotals:
        """K densities of (expected) rates and their logarithms (K, D)."""

    @cached_property
    def components(self) -> LinearInTotals:
        """All S K densities, those of a draw together."""
        log_rates = self.log_rates.reshape(-1, self.log_rates.shape[2])
        return self.form(log_rates, np.exp(log_rates))


class GammaFactors(PosteriorColumns):
    """q(λ) = Π Gamma(shape, rate), both (K, D)."""

    shape: Array
    rate: Array

    @abstractmethod
    def drawn(self, log_rates: Array) -> RateDraws:
        """Draws (S, K, D) of log λ."""

    @property
    def rates(self) -> Array:
        """E[λ] (K, D)."""
        return self.shape / self.rate

    @property
    def log_rates(self) -> Array:
        """E[log λ] (K, D)."""
        logs: Array = digamma(self.shape) - np.log(self.rate)
        return logs

    def draws(self, n_draws: int, generator: np.random.Generator) -> RateDraws:
        """Independent draws of λ."""
        return self.drawn(log_gammas(self.shape, n_draws, generator) - np.log(self.rate))

    def log_factors(self, draws: RateDraws) -> tuple[Array, Array]:
        """Shared (S,): nothing. Entry (j, k) of (S, J, K): log q_j of the drawn λ_k."""
        normalisers = (self.shape * np.log(self.rate) - gammaln(self.shape)).sum(axis=1)
        pairs: Array = (
            (draws.log_rates @ (self.shape - 1.0).T).transpose(0, 2, 1)
            - (np.exp(draws.log_rates) @ self.rate.T).transpose(0, 2, 1)
            + normalisers[:, None]
        )
        return np.zeros(len(pairs)), pairs


class RatePrior(ConjugatePrior[GammaFactors]):
    """λ ~ Gamma(shape, rate (D,)), the same for every component."""

    shape: float
    rate: Array

    @abstractmethod
    def at_rates(self, rates: Array) -> RateColumns:
        """The densities with these rates."""

    @abstractmethod
    def twin(self, rates: Tensor, log_rates: Tensor, q: GammaFactors) -> TotalsTwin:
        """Densities in PyMC with these rates (K, D)."""

    def kl(self, q: GammaFactors) -> float:
        """Σ KL(Gamma || Gamma)."""
        divergence = (
            (q.shape - self.shape) * digamma(q.shape)
            - gammaln(q.shape)
            + gammaln(self.shape)
            + self.shape * (np.log(q.rate) - np.log(self.rate))
            + q.shape * (self.rate / q.rate - 1.0)
        )
        return float(divergence.sum())

    def mode_given(self, statistics: Sums) -> RateColumns:
        """Posterior mode; refused where the shape is below 1 and no mode may exist."""
        if self.shape < 1.0:
            raise InvalidInputError(
                f"a maximum a posteriori fit needs a Gamma shape of at least 1, got {self.shape}"
            )
        q = self.given(statistics)
        return self.at_rates((q.shape - 1.0) / q.rate)

    def log_density(self, components: RateColumns) -> float:
        """log p(λ) at a point; 0 log 0 is 0."""
        rates = components.rates
        density = (
            xlogy(self.shape - 1.0, rates)
            - self.rate * rates
            + self.shape * np.log(self.rate)
            - gammaln(self.shape)
        )
        return float(density.sum())

    def log_density_of(self, draws: RateDraws) -> Array:
        """log p(λ) (S,) of draws."""
        density: Array = (
            (self.shape - 1.0) * draws.log_rates
            - self.rate * np.exp(draws.log_rates)
            + self.shape * np.log(self.rate)
            - gammaln(self.shape)
        ).sum(axis=(1, 2))
        return density

    def pymc_distribution(self, pm: Pymc, q: GammaFactors, n_components: int) -> TotalsTwin:
        """The same prior over K components in PyMC, and their densities."""
        from pytensor import tensor as pt

        axes = ("component", "feature")
        # An array: of a number that float32 can hold PyTensor would take log Γ in float32.
        rates = pm.Gamma("rates", alpha=np.array(self.shape), beta=self.rate, dims=axes)
        return self.twin(rates, pt.log(rates), q)
