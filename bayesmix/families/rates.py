"""Poisson and exponential families: independent columns with gamma posteriors over rates λ.

Log p(x | λ) is linear in x, λ and log λ; predictive densities are negative binomial and Lomax.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

import numpy as np
from scipy import stats
from scipy.special import digamma, gammaln

from bayesmix.core.components import Named
from bayesmix.core.families import Support
from bayesmix.core.mixture import Mixture
from bayesmix.core.parameters import NOT_NEGATIVE, POSITIVE, ReportedQuantity, parameter, within
from bayesmix.core.priors import Pymc
from bayesmix.core.rows import Event, Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError
from bayesmix.families.floor_guard import FloorGuard
from bayesmix.families.gaussian.collapse import AT_THE_FLOOR, variance_floor
from bayesmix.families.independent.columns import (
    SMALLEST,
    Columns,
    ColumnsFamily,
    ConjugatePrior,
    DrawnColumns,
    NoGuard,
    PointColumns,
    PosteriorColumns,
    refuse_where,
)
from bayesmix.families.independent.factors import TotalsTwin
from bayesmix.families.independent.linear import (
    COUNTS,
    MEASURED,
    NEVER,
    LinearInTotals,
    Reading,
    Sums,
    towards_zero,
)
from bayesmix.families.without_prior import events_of_limited
from bayesmix.numerics.arrays import IMPOSSIBLE, Array, Integers, Stored
from bayesmix.numerics.cell_coordinates import Coordinates, StandardisedCells
from bayesmix.numerics.distributions import ColumnDistribution
from bayesmix.numerics.sparse import summed
from bayesmix.numerics.special import log_factorials, log_gammas, log_rising

# Largest count that double precision distinguishes from the next.
LARGEST_COUNT = 2.0**53

# (c, η) from log λ and λ, arrays or tensors.
Terms: TypeAlias = Callable[[Any, Any], tuple[Any, Any]]


@dataclass(frozen=True)
class RateForm:
    """Log p(x | λ) = c + η x + log h(x): (c, η) by (log λ, λ)."""

    terms: Terms
    reading: Reading

    def of(self, log_rates: Array, rates: Array) -> LinearInTotals:
        """Return K densities from (expected) rates and their logarithms (K, D)."""
        return LinearInTotals(*self.terms(log_rates, rates), self.reading)


# -Σ λ + x log λ - Σ log x!
COUNTED = RateForm(lambda logs, rates: (-rates, logs), COUNTS)
# Σ log λ - λ x
WAITED = RateForm(lambda logs, rates: (logs, -rates), MEASURED)


RATES = ReportedQuantity("rate", lambda components: components.rates, NOT_NEGATIVE)


def _logarithms(rates: Any) -> Array:
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(rates), NEVER)


@dataclass(frozen=True)
class RateColumns(PointColumns):
    """Rates (K, D) at a point."""

    rates: Array = field(metadata=parameter(NOT_NEGATIVE))

    reports = (RATES,)
    form: ClassVar[RateForm]

    @property
    def sufficient(self) -> tuple[Array, ...]:
        with np.errstate(divide="ignore"):
            return np.log(self.rates), self.rates

    @cached_property
    def linear(self) -> LinearInTotals:
        return self.form.of(_logarithms(self.rates), self.rates)


@dataclass(frozen=True)
class RateDraws(DrawnColumns):
    """S draws of rates by their logarithms (S, K, D)."""

    log_rates: Array

    point: ClassVar[type[RateColumns]]

    @property
    def sufficient(self) -> tuple[Array, ...]:
        return self.log_rates, np.exp(self.log_rates)

    @cached_property
    def components(self) -> LinearInTotals:
        log_rates = self.log_rates.reshape(-1, self.log_rates.shape[2])
        return self.point.form.of(log_rates, np.exp(log_rates))

    def at(self, draw: int) -> RateColumns:
        return self.point(np.exp(self.log_rates[draw]))

    def parameters(self, frame: Frame) -> Named:
        return {"rates": (("component", "feature"), np.exp(self.log_rates))}


@dataclass(frozen=True)
class AveragedRates(Columns):
    """Predictive densities for λ ~ Gamma(shape, rate), both (K, D)."""

    shape: Array
    rate: Array

    def drawn_rates(self, counts: Integers, generator: np.random.Generator) -> Array:
        """Draw counts_k rates (n, D) of each component."""
        shape = np.repeat(self.shape, counts, axis=0)
        return generator.gamma(shape) / np.repeat(self.rate, counts, axis=0)


@dataclass(frozen=True)
class GammaFactors(PosteriorColumns):
    """q(λ) = Π Gamma(shape, rate), both (K, D)."""

    shape: Array = field(metadata=within(POSITIVE))
    rate: Array = field(metadata=within(POSITIVE))

    drawn: ClassVar[type[RateDraws]]
    averaged: ClassVar[type[AveragedRates]]

    @property
    def rates(self) -> Array:
        """E[λ] (K, D)."""
        return self.shape / self.rate

    @property
    def natural(self) -> tuple[Array, ...]:
        return self.shape - 1.0, -self.rate

    @property
    def expected(self) -> tuple[Array, ...]:
        return digamma(self.shape) - np.log(self.rate), self.rates

    @property
    def log_normalisers(self) -> Array:
        return gammaln(self.shape) - self.shape * np.log(self.rate)

    @cached_property
    def linear(self) -> LinearInTotals:
        return self.drawn.point.form.of(*self.expected)

    def plug_in(self) -> RateColumns:
        return self.drawn.point(self.rates)

    def predictive(self) -> Columns:
        return self.averaged(self.shape, self.rate)

    def draws(self, n_draws: int, generator: np.random.Generator) -> RateDraws:
        return self.drawn(log_gammas(self.shape, n_draws, generator) - np.log(self.rate))


@dataclass(frozen=True)
class RatePrior(ConjugatePrior[GammaFactors]):
    """Prior λ ~ Gamma(shape, rate (D,)), the same for all components."""

    shape: float
    rate: Array = field(metadata=within(POSITIVE))

    def mode_given(self, statistics: Sums) -> RateColumns:
        """Return the posterior mode, or raise an error for shapes below 1."""
        if self.shape < 1.0:
            raise InvalidInputError(
                f"a maximum a posteriori fit needs a Gamma shape of at least 1, got {self.shape}"
            )
        q = self.given(statistics)
        return q.drawn.point((q.shape - 1.0) / q.rate)

    def pymc_distribution(self, pm: Pymc, q: GammaFactors, n_components: int) -> TotalsTwin:
        from pytensor import tensor as pt

        axes = ("component", "feature")
        # As an array, since PyTensor computes log Γ of scalars in float32 if they fit.
        rates = pm.Gamma("rates", alpha=np.array(self.shape), beta=self.rate, dims=axes)
        logs, form = {"log_rates": pt.log(rates)}, q.drawn.point.form
        constants, slopes = form.terms(logs["log_rates"], rates)
        return TotalsTwin(constants.sum(axis=1), slopes, logs, q.drawn, form.reading)


class RatesFamily(ColumnsFamily[RateColumns]):
    """Shared methods of the families of rates."""

    drawn_columns = 1
    mean_where_empty = 1.0
    drawn: ClassVar[type[RateDraws]]

    @property
    def reading(self) -> Reading:
        return self.drawn.point.form.reading

    def as_draws(self, points: Sequence[RateColumns]) -> RateDraws:
        return self.drawn(_logarithms([point.rates for point in points]))


class NegativeBinomials(AveragedRates):
    """Gamma-Poisson predictive."""

    @property
    def means(self) -> Array:
        return self.shape / self.rate

    @property
    def deviations(self) -> Array:
        return np.sqrt(self.means * (1.0 + 1.0 / self.rate))

    def expected_log_density(self, values: Array) -> Array:
        out = -(values @ np.log1p(self.rate).T)
        out -= (self.shape * np.log1p(1.0 / self.rate)).sum(axis=1)
        for k, shape in enumerate(self.shape):
            out[:, k] += log_rising(shape, values)
        out -= summed(log_factorials, values)[:, None]
        return out

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        return generator.poisson(self.drawn_rates(counts, generator)).astype(float)


class Poissons(RateColumns):
    """Rates (K, D) at a point; 0 is allowed."""

    form = COUNTED
    support = Support.COUNTS

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


class PoissonDraws(RateDraws):
    """S draws of log rates (S, K, D)."""

    point = Poissons


class GammaRates(GammaFactors):
    """q(λ) = Π Gamma(shape, rate), both (K, D)."""

    drawn, averaged = PoissonDraws, NegativeBinomials

    @property
    def means(self) -> Array:
        return self.rates


class GammaPrior(RatePrior):
    """Prior λ ~ Gamma(shape, rate (D,)), the same for all components."""

    def given(self, statistics: Sums) -> GammaRates:
        """Add totals to the shape and counts to the rate."""
        rate = self.rate + np.broadcast_to(statistics.counts_of_totals, statistics.totals.shape)
        return GammaRates(self.shape + statistics.totals, rate)


class CountFamily:
    """Attributes of families of counts."""

    continuous = False
    drawn_columns = 1
    with_article: ClassVar[str]  # for messages
    remedy: ClassVar[str] = "use another family"

    def coordinates(self, values: Array) -> Coordinates:
        """Return roots, whose variance does not depend on the mean of a Poisson distribution."""
        return StandardisedCells.of(values, np.sqrt)

    def check(self, values: Stored, first: int = 0) -> None:
        """Raise an error for values that are negative, fractional or beyond double precision."""
        broken = (values != np.floor(values)) & ~np.isnan(values)
        wrong = (values < 0) | broken | (values > LARGEST_COUNT)
        held = f"counts (0, 1, 2, ... up to 2**53) for {self.with_article}"
        refuse_where(wrong, values, first, held, self.remedy)


@dataclass(frozen=True)
class Poisson(CountFamily, RatesFamily):
    """Independent columns of counts.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rows = np.random.default_rng(0).poisson([[3.0, 8.0]], (50, 2))
    >>> bm.Mixture(n_components=1, family=bm.Poisson()).fit(rows).n_components_
    1
    """

    name = "poisson"
    takes_intervals = True
    takes_sparse = True
    adjective = "Poisson"
    separable = True
    with_article = "a Poisson"
    drawn = PoissonDraws

    def at_means(self, means: Array) -> Poissons:
        """Return the mean counts as rates."""
        return Poissons(means)

    def inside(self, statistics: Sums, present: Sums) -> Sums:
        totals, known = (
            towards_zero(getattr(statistics, name), getattr(present, name))
            for name in ("totals", "counts_of_totals")
        )
        return replace(statistics, totals=totals, known_counts=known)

    def reference_prior(self, summary: Summary, frame: Frame) -> GammaPrior:
        return GammaPrior(1.0, 1.0 / np.maximum(summary.mean, 1e-3))

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> GammaPrior:
        """Return a gamma prior of shape 1.5 with the mean of the column; its mode is not 0."""
        return GammaPrior(1.5, 1.5 / np.maximum(source.summary.mean, 1e-3))


def _positive(log_densities: Array, values: Array) -> Array:
    """Set log densities (n, K) to minus infinity for negative values."""
    log_densities[(values < 0.0).any(axis=1)] = -np.inf
    return log_densities


@dataclass(frozen=True)
class Exponentials(RateColumns):
    """Rates (K, D) at a point."""

    rates: Array = field(metadata=parameter(POSITIVE))

    form = WAITED
    support = Support.POSITIVE

    def expected_log_density(self, values: Array) -> Array:
        return _positive(self.linear.expected_log_density(values), values)

    @property
    def means(self) -> Array:
        return 1.0 / self.rates

    @property
    def deviations(self) -> Array:
        return self.means

    @property
    def distribution(self) -> ColumnDistribution:
        return ColumnDistribution(stats.expon(scale=self.means[:, 0]))

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        rates = np.repeat(self.rates, counts, axis=0)
        return generator.standard_exponential(rates.shape) / rates


class Lomaxes(AveragedRates):
    """Gamma-exponential predictive (Lomax)."""

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
        rates = self.drawn_rates(counts, generator)
        return generator.standard_exponential(rates.shape) / rates


class ExponentialDraws(RateDraws):
    """S draws of log rates (S, K, D)."""

    point = Exponentials

    def parameters(self, frame: Frame) -> Named:
        axes, rates = ("component", "feature"), np.exp(self.log_rates)
        return {"rates": (axes, rates), "means": (axes, 1.0 / rates)}


class ExponentialRates(GammaFactors):
    """q(λ) = Π Gamma(shape, rate), both (K, D)."""

    drawn, averaged = ExponentialDraws, Lomaxes

    @property
    def means(self) -> Array:
        return self.rate / self.shape


class ExponentialPrior(RatePrior):
    """Prior λ ~ Gamma(shape, rate (D,)), the same for all components."""

    def given(self, statistics: Sums) -> ExponentialRates:
        """Add counts to the shape and totals to the rate."""
        shape = self.shape + np.broadcast_to(statistics.counts_of_totals, statistics.totals.shape)
        return ExponentialRates(shape, self.rate + statistics.totals)


@dataclass(frozen=True)
class Exponential(RatesFamily):
    """Independent exponential columns, such as waiting times.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rows = np.random.default_rng(0).exponential([[3.0, 8.0]], (50, 2))
    >>> bm.Mixture(n_components=1, family=bm.Exponential()).fit(rows).n_components_
    1
    """

    name = "exponential"
    takes_intervals = True
    separable = True
    continuous = True
    drawn = ExponentialDraws

    def check(self, values: Stored, first: int = 0) -> None:
        """Raise an error for negative values."""
        held = "numbers from 0 on for an exponential"
        refuse_where(values < 0, values, first, held, "use another family")

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        """Raise an error for columns of zeros, whose rate would be infinite."""
        if len(empty := np.flatnonzero(source.summary.maximum <= 0.0)):
            raise InvalidInputError(
                "X must hold positive numbers beside zeros for an exponential mixture, but column "
                f"{empty[0]} has only zeros: leave it out"
            )
        return frame, ()

    def guard(self, source: Source, frame: Frame, summary: Summary, repair: bool) -> Any:
        """Return the guard that bounds means where a column has zeros, with unbounded density."""
        if not repair or (summary.minimum > 0.0).all():
            return NoGuard()
        floor = variance_floor(summary.scale, summary.gap)
        return FloorGuard(np.where(summary.minimum > 0.0, 0.0, floor), self._limited)

    def _limited(self, mixture: Mixture[Any], floor: Array) -> list[Event]:
        """Return events for components with a mean at its limit."""
        variances = mixture.components.means**2
        return events_of_limited(
            np.logical_or.reduce(variances <= AT_THE_FLOOR * floor, axis=1),
            "{which} collapsed onto zeros of a column, so the likelihood has no maximum. Its mean "
            "was limited: use fewer components",
        )

    def maximum_likelihood(
        self,
        statistics: Sums,
        previous: RateColumns | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> RateColumns:
        """Match the mean of each column, at least the standard deviation at the floor."""
        fitted = super().maximum_likelihood(statistics, previous)
        if resolution is None:
            return fitted
        return self.at_means(np.maximum(fitted.means, np.sqrt(resolution)))

    def at_means(self, means: Array) -> Exponentials:
        return Exponentials(1.0 / np.maximum(means, SMALLEST))  # rounding can produce means of 0

    def feasible(self, statistics: Sums) -> bool:
        """Whether totals are positive where there are observations."""
        return bool(((statistics.totals > 0) | (statistics.counts_of_totals == 0)).all())

    def reference_prior(self, summary: Summary, frame: Frame) -> ExponentialPrior:
        return ExponentialPrior(1.0, summary.mean)

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> ExponentialPrior:
        """Return a gamma prior of shape 1.5 with the mean of the column; its mode is not 0."""
        return ExponentialPrior(1.5, 1.5 * source.summary.mean)
