"""Exponential family: independent positive columns, gamma posterior over rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import polygamma

from bayesmix.core.components import Named
from bayesmix.core.priors import Tensor
from bayesmix.core.rows import Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.families.independent.columns import (
    SMALLEST,
    Columns,
    ColumnsFamily,
    refuse_not_positive,
)
from bayesmix.families.independent.factors import (
    ColumnCoordinates,
    GammaFactors,
    RateColumns,
    RateDraws,
    RatePrior,
    TotalsTwin,
)
from bayesmix.families.independent.linear import MEASURED, LinearInTotals, Sums
from bayesmix.numerics.arrays import Array, Integers, Stored


def _linear(log_rates: Array, rates: Array) -> LinearInTotals:
    """Return log p(x | λ_k) = Σ log λ - λ x."""
    # Two exponentials overlap by 1 / cosh(½ log(λ_j / λ_k)), see ``LinearInTotals.near``.
    places = 0.5 * log_rates
    return LinearInTotals(log_rates, -rates, MEASURED, stabilised=places)


def _positive(log_densities: Array, values: Array) -> Array:
    """Set log densities (n, K) to minus infinity for negative values."""
    log_densities[(values < 0.0).any(axis=1)] = -np.inf
    return log_densities


@dataclass(frozen=True)
class Exponentials(RateColumns):
    """Rates (K, D) at a point."""

    rates: Array

    @cached_property
    def linear(self) -> LinearInTotals:
        return _linear(np.log(self.rates), self.rates)

    def expected_log_density(self, values: Array) -> Array:
        return _positive(self.linear.expected_log_density(values), values)

    @property
    def means(self) -> Array:
        return 1.0 / self.rates

    @property
    def deviations(self) -> Array:
        return self.means

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        rates = np.repeat(self.rates, counts, axis=0)
        return generator.standard_exponential(rates.shape) / rates


@dataclass(frozen=True)
class Lomaxes(Columns):
    """Gamma-exponential predictive (Lomax) with shape and rate (K, D)."""

    shape: Array
    rate: Array

    @property
    def means(self) -> Array:
        """E[x | k], infinite for shapes up to 1."""
        return self.rate / np.where(self.shape > 1.0, self.shape - 1.0, 0.0)

    @property
    def deviations(self) -> Array:
        """Standard deviation of each column (K, D), NaN for shapes up to 2."""
        defined = self.shape > 2.0
        squares = np.divide(
            self.shape, self.shape - 2.0, where=defined, out=np.full_like(self.shape, np.nan)
        )
        return self.means * np.sqrt(squares)

    def expected_log_density(self, values: Array) -> Array:
        out, clipped = np.empty((len(values), self.n_components)), np.maximum(values, 0.0)
        for k, (shape, rate) in enumerate(zip(self.shape, self.rate, strict=True)):
            out[:, k] = (np.log(shape / rate) - (shape + 1.0) * np.log1p(clipped / rate)).sum(
                axis=1
            )
        return _positive(out, values)

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        shape = np.repeat(self.shape, counts, axis=0)
        rates = generator.gamma(shape) / np.repeat(self.rate, counts, axis=0)
        return generator.standard_exponential(rates.shape) / rates


@dataclass(frozen=True)
class ExponentialDraws(RateDraws):
    """S draws of log rates (S, K, D)."""

    log_rates: Array

    form = staticmethod(_linear)

    def parameters(self, frame: Frame) -> Named:
        axes, rates = ("component", "feature"), np.exp(self.log_rates)
        return {"rates": (axes, rates), "means": (axes, 1.0 / rates)}

    def at(self, draw: int) -> Exponentials:
        return Exponentials(np.exp(self.log_rates[draw]))


@dataclass(frozen=True)
class ExponentialRates(GammaFactors):
    """q(λ) = Π Gamma(shape, rate), both (K, D)."""

    shape: Array
    rate: Array

    @property
    def means(self) -> Array:
        return self.rate / self.shape

    @cached_property
    def linear(self) -> LinearInTotals:
        return _linear(self.log_rates, self.rates)

    def drawn(self, log_rates: Array) -> ExponentialDraws:
        return ExponentialDraws(log_rates)

    def coordinates(self) -> ColumnCoordinates:
        """Return standardised rates; draws are free in log λ, equal to first order."""
        expected = -self.rates
        return ColumnCoordinates(
            name="rates",
            expected=expected,
            deviation=np.sqrt(self.shape) / self.rate,
            slope=-1.0 / self.rates,
            left=polygamma(1, self.shape) - 1.0 / self.shape,
            across=-np.sqrt(self.shape) / self.rate,
            across_left=np.zeros_like(self.rate),
            of_means=-1.0 / self.rates**2,
            own=self.shape / self.rate**2,
            read=lambda draws: expected * (1.0 + draws.log_rates - np.log(self.rates)),
            write=lambda values: ExponentialDraws(values / expected - 1.0 + np.log(self.rates)),
        )

    def plug_in(self) -> Exponentials:
        return Exponentials(self.rates)

    def predictive(self) -> Lomaxes:
        return Lomaxes(self.shape, self.rate)


@dataclass(frozen=True)
class ExponentialPrior(RatePrior):
    """Prior λ ~ Gamma(shape, rate (D,)), the same for all components."""

    shape: float
    rate: Array

    def given(self, statistics: Sums) -> ExponentialRates:
        """Add counts to the shape and totals to the rate."""
        shape = self.shape + np.broadcast_to(statistics.known, statistics.totals.shape)
        return ExponentialRates(shape, self.rate + statistics.totals)

    def at_rates(self, rates: Array) -> Exponentials:
        return Exponentials(rates)

    def twin(self, rates: Tensor, log_rates: Tensor, q: GammaFactors) -> TotalsTwin:
        logs = {"log_rates": log_rates}
        return TotalsTwin(log_rates.sum(axis=1), -rates, logs, ExponentialDraws, MEASURED)


@dataclass(frozen=True)
class Exponential(ColumnsFamily[Exponentials]):
    """Independent exponential columns, such as waiting times.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rows = np.random.default_rng(0).exponential([[3.0, 8.0]], (50, 2))
    >>> bm.Mixture(n_components=1, family=bm.Exponential()).fit(rows).n_components_
    1
    """

    name = "exponential"
    continuous = True
    drawn_columns = 1
    least = SMALLEST
    reading = MEASURED
    mean_where_empty = 1.0

    def check(self, values: Stored, first: int = 0) -> None:
        """Raise an error for values that are not positive, whose density is unbounded."""
        refuse_not_positive(values, first, "an exponential")

    def at_means(self, means: Array) -> Exponentials:
        return Exponentials(1.0 / np.maximum(means, SMALLEST))  # rounding can produce means of 0

    def feasible(self, statistics: Sums) -> bool:
        """Whether totals are positive where there are observations."""
        return bool(((statistics.totals > 0) | (statistics.known == 0)).all())

    def reference_prior(self, summary: Summary, frame: Frame) -> ExponentialPrior:
        """Return an exponential prior of the rates, with the mean of the column."""
        return ExponentialPrior(1.0, summary.mean)

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> ExponentialPrior:
        """Return a gamma prior of shape 1.5 with the mean of the column; its mode is not 0."""
        return ExponentialPrior(1.5, 1.5 * source.summary.mean)

    def as_draws(self, points: Sequence[Exponentials]) -> ExponentialDraws:
        return ExponentialDraws(np.log([point.rates for point in points]))
