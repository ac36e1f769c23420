"""Poisson family: independent columns of counts, gamma posterior over rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import gammaln, polygamma

from bayesmix.core.components import Named
from bayesmix.core.priors import Tensor
from bayesmix.core.rows import Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.families.independent.columns import Columns, ColumnsFamily, refuse_where
from bayesmix.families.independent.factors import (
    ColumnCoordinates,
    GammaFactors,
    RateColumns,
    RateDraws,
    RatePrior,
    TotalsTwin,
)
from bayesmix.families.independent.linear import COUNTS, NEVER, LinearInTotals, Sums
from bayesmix.numerics.arrays import Array, Integers, Stored
from bayesmix.numerics.logsumexp import IMPOSSIBLE


@dataclass(frozen=True)
class NegativeBinomials(Columns):
    """Gamma-Poisson predictive with shape and rate (K, D)."""

    shape: Array
    rate: Array

    @property
    def means(self) -> Array:
        return self.shape / self.rate

    @property
    def deviations(self) -> Array:
        return np.sqrt(self.means * (1.0 + 1.0 / self.rate))

    def expected_log_density(self, values: Array) -> Array:
        out = np.empty((len(values), self.n_components))
        for k, (shape, rate) in enumerate(zip(self.shape, self.rate, strict=True)):
            out[:, k] = (
                gammaln(shape + values)
                - gammaln(shape)
                - shape * np.log1p(1.0 / rate)
                - values * np.log1p(rate)
            ).sum(axis=1)
        out -= gammaln(values + 1.0).sum(axis=1, keepdims=True)
        return out

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        shape = np.repeat(self.shape, counts, axis=0)
        rates = generator.gamma(shape) / np.repeat(self.rate, counts, axis=0)
        return generator.poisson(rates).astype(float)


# Largest count that double precision distinguishes from the next.
LARGEST_COUNT = 2.0**53


def _linear(log_rates: Array, rates: Array) -> LinearInTotals:
    """Return log p(x | λ_k) = -Σ λ + x log λ - Σ log x!."""
    # Square roots stabilise the variance of counts, see ``LinearInTotals.near``.
    return LinearInTotals(-rates, log_rates, COUNTS, stabilised=np.sqrt(rates))


@dataclass(frozen=True)
class Poissons(RateColumns):
    """Rates (K, D) at a point; 0 is allowed."""

    rates: Array

    @cached_property
    def linear(self) -> LinearInTotals:
        with np.errstate(divide="ignore"):
            log_rates = np.maximum(np.log(self.rates), NEVER)
        return _linear(log_rates, self.rates)

    def expected_log_density(self, values: Array) -> Array:
        """Return log p(x | λ_k) (n, K), minus infinity for positive counts at rate 0."""
        out = self.linear.expected_log_density(values)
        out[out < IMPOSSIBLE] = -np.inf
        return out

    @property
    def means(self) -> Array:
        return self.rates

    @property
    def deviations(self) -> Array:
        return np.sqrt(self.rates)

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        return generator.poisson(np.repeat(self.rates, counts, axis=0)).astype(float)


@dataclass(frozen=True)
class PoissonDraws(RateDraws):
    """S draws of log rates (S, K, D)."""

    log_rates: Array

    form = staticmethod(_linear)

    def parameters(self, frame: Frame) -> Named:
        return {"rates": (("component", "feature"), np.exp(self.log_rates))}

    def at(self, draw: int) -> Poissons:
        return Poissons(np.exp(self.log_rates[draw]))


@dataclass(frozen=True)
class GammaRates(GammaFactors):
    """q(λ) = Π Gamma(shape, rate), both (K, D)."""

    shape: Array
    rate: Array

    @property
    def means(self) -> Array:
        return self.rates

    @cached_property
    def linear(self) -> LinearInTotals:
        return _linear(self.log_rates, self.rates)

    def drawn(self, log_rates: Array) -> PoissonDraws:
        return PoissonDraws(log_rates)

    def coordinates(self) -> ColumnCoordinates:
        shape, rate, of_log = self.shape, self.rate, polygamma(1, self.shape)
        residual = (shape - 1.0 / of_log) / rate**2
        return ColumnCoordinates(
            name="rates",
            expected=self.log_rates,
            deviation=np.sqrt(of_log),
            slope=-1.0 / (rate * of_log),
            left=residual,
            across=1.0 / (rate * np.sqrt(of_log)),
            across_left=-residual,
            own=shape / rate**2,
            read=lambda draws: draws.log_rates,
            write=PoissonDraws,
        )

    def plug_in(self) -> Poissons:
        return Poissons(self.rates)

    def predictive(self) -> NegativeBinomials:
        return NegativeBinomials(self.shape, self.rate)


@dataclass(frozen=True)
class GammaPrior(RatePrior):
    """Prior λ ~ Gamma(shape, rate (D,)), the same for all components."""

    shape: float
    rate: Array

    def given(self, statistics: Sums) -> GammaRates:
        """Add totals to the shape and counts to the rate."""
        rate = self.rate + np.broadcast_to(statistics.known, statistics.totals.shape)
        return GammaRates(self.shape + statistics.totals, rate)

    def at_rates(self, rates: Array) -> Poissons:
        return Poissons(rates)

    def twin(self, rates: Tensor, log_rates: Tensor, q: GammaFactors) -> TotalsTwin:
        logs = {"log_rates": log_rates}
        return TotalsTwin(-rates.sum(axis=1), log_rates, logs, PoissonDraws, COUNTS)


@dataclass(frozen=True)
class Poisson(ColumnsFamily[Poissons]):
    """Independent columns of counts.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rows = np.random.default_rng(0).poisson([[3.0, 8.0]], (50, 2))
    >>> bm.Mixture(n_components=1, family=bm.Poisson()).fit(rows).n_components_
    1
    """

    name = "poisson"
    continuous = False
    drawn_columns = 1
    reading = COUNTS
    mean_where_empty = 1.0

    def check(self, values: Stored, first: int = 0) -> None:
        """Raise an error for values that are negative, fractional or beyond double precision."""
        broken = (values != np.floor(values)) & ~np.isnan(values)
        wrong = (values < 0) | broken | (values > LARGEST_COUNT)
        held = "counts (0, 1, 2, ... up to 2**53) for a Poisson"
        refuse_where(wrong, values, first, held, "use another family")

    def at_means(self, means: Array) -> Poissons:
        """Return the mean counts as rates."""
        return Poissons(means)

    def feasible(self, statistics: Sums) -> bool:
        """Whether neither totals nor counts are negative."""
        return bool((statistics.totals >= 0).all() and (statistics.known >= 0).all())

    def reference_prior(self, summary: Summary, frame: Frame) -> GammaPrior:
        """Return an exponential prior of the rates, with the mean of the column."""
        return GammaPrior(1.0, 1.0 / np.maximum(summary.mean, 1e-3))

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> GammaPrior:
        """Return a gamma prior of shape 1.5 with the mean of the column; its mode is not 0."""
        return GammaPrior(1.5, 1.5 / np.maximum(source.summary.mean, 1e-3))

    def as_draws(self, points: Sequence[Poissons]) -> PoissonDraws:
        with np.errstate(divide="ignore"):
            return PoissonDraws(np.maximum(np.log([point.rates for point in points]), NEVER))
