"""Poisson family: independent counts a column, Gamma posterior over rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import digamma, gammaln, xlogy

from bayesmix.errors import InvalidInputError
from bayesmix.families.columns import ColumnCoordinates, of_gammas
from bayesmix.families.negative_binomial import NegativeBinomials
from bayesmix.families.sums import NEVER, LinearInTotals, NoGuard, Sums, TotalsTwin, sums
from bayesmix.numerics import features
from bayesmix.numerics.arrays import Array, Integers, diagonal_matrices
from bayesmix.numerics.gammas import log_gammas
from bayesmix.numerics.logsumexp import IMPOSSIBLE
from bayesmix.protocols import Source
from bayesmix.records import Event, Frame, Summary

# Up to here a double can tell a count from the next.
LARGEST_COUNT = 2.0**53


def _linear(log_rates: Array, rates: Array) -> LinearInTotals:
    parts = [-rates.sum(axis=1, keepdims=True), log_rates, np.ones((len(rates), 1))]
    # Square roots of counts vary as much at any rate: see ``LinearInTotals.near``.
    return LinearInTotals(np.hstack(parts), features.COUNTS, stabilised=np.sqrt(rates))


@dataclass(frozen=True)
class Poissons:
    """Rates (K, D) at a point; zero is allowed and means: never."""

    rates: Array

    @property
    def n_components(self) -> int:
        return len(self.rates)

    @cached_property
    def linear(self) -> LinearInTotals:
        """log p(x | λ_k) = -Σ λ + x log λ - Σ log x!."""
        with np.errstate(divide="ignore"):
            log_rates = np.maximum(np.log(self.rates), NEVER)
        return _linear(log_rates, self.rates)

    def expected_log_density(self, values: Array) -> Array:
        """log p(x | λ_k) (n, K); minus infinity where a rate of zero meets a count."""
        out = self.linear.expected_log_density(values)
        out[out < IMPOSSIBLE] = -np.inf
        return out

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        """Counts and totals."""
        return sums(values, responsibilities)

    def subset(self, keep: Integers) -> Poissons:
        return Poissons(self.rates[keep])

    def released(self) -> Poissons:
        return self

    def unframed(self, frame: Frame) -> Poissons:
        return self

    def plug_in(self) -> Poissons:
        return self

    def predictive(self) -> Poissons:
        return self

    @property
    def means(self) -> Array:
        """E[x | k]."""
        return self.rates

    @property
    def deviations(self) -> Array:
        """Standard deviation of every column (K, D)."""
        return np.sqrt(self.rates)

    @property
    def covariances(self) -> Array:
        """Covariance matrices (K, D, D): given the component, columns are independent."""
        return diagonal_matrices(self.deviations**2)

    def marginal(self, columns: Integers) -> Poissons:
        """The densities of some columns."""
        return Poissons(self.rates[:, columns])

    def conditional(self, columns: Integers, given: Integers, values: Array) -> Poissons:
        """The densities of ``columns``: given the component, columns are independent."""
        return self.marginal(columns)

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        """E[x_columns | k] (n, K, C), whatever the given values (n, G) are."""
        own = self.means[:, columns]
        return np.broadcast_to(own, (len(values), *own.shape))

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        """counts_k rows of every component, in component order."""
        return generator.poisson(np.repeat(self.rates, counts, axis=0)).astype(float)


@dataclass(frozen=True)
class PoissonDraws:
    """S draws of rates by their logarithms (S, K, D)."""

    log_rates: Array

    @cached_property
    def components(self) -> LinearInTotals:
        """All S K densities, those of a draw together."""
        log_rates = self.log_rates.reshape(-1, self.log_rates.shape[2])
        return _linear(log_rates, np.exp(log_rates))

    def subset(self, keep: Integers) -> PoissonDraws:
        """Some components of every draw."""
        return PoissonDraws(self.log_rates[:, keep])

    def at(self, draw: int) -> Poissons:
        """One of the draws as K densities at a point."""
        return Poissons(np.exp(self.log_rates[draw]))

    def parameters(self, frame: Frame) -> dict[str, tuple[tuple[str, ...], Array]]:
        """Rates (S, K, D), with what axes after the first stand for."""
        return {"rates": (("component", "feature"), np.exp(self.log_rates))}


@dataclass(frozen=True)
class GammaRates:
    """q(λ) = Π Gamma(shape, rate), both (K, D)."""

    shape: Array
    rate: Array

    @property
    def n_components(self) -> int:
        return len(self.shape)

    @cached_property
    def linear(self) -> LinearInTotals:
        """E[log p(x | λ_k)], linear in the row and in Σ log x!."""
        return _linear(digamma(self.shape) - np.log(self.rate), self.means)

    def expected_log_density(self, values: Array) -> Array:
        """E[log p(x | λ_k)] (n, K)."""
        return self.linear.expected_log_density(values)

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        """Counts and totals."""
        return sums(values, responsibilities)

    def draws(self, n_draws: int, generator: np.random.Generator) -> PoissonDraws:
        """Independent draws of λ."""
        return PoissonDraws(log_gammas(self.shape, n_draws, generator) - np.log(self.rate))

    def log_factors(self, draws: PoissonDraws) -> tuple[Array, Array]:
        """Shared (S,): nothing. Entry (j, k) of (S, J, K): log q_j of the drawn λ_k."""
        normalisers = (self.shape * np.log(self.rate) - gammaln(self.shape)).sum(axis=1)
        pairs: Array = (
            (draws.log_rates @ (self.shape - 1.0).T).transpose(0, 2, 1)
            - (np.exp(draws.log_rates) @ self.rate.T).transpose(0, 2, 1)
            + normalisers[:, None]
        )
        return np.zeros(len(pairs)), pairs

    def coordinates(self) -> ColumnCoordinates:
        """Log rates, standardised."""
        return of_gammas(self.shape, self.rate, lambda draws: draws.log_rates, PoissonDraws)

    def subset(self, keep: Integers) -> GammaRates:
        return GammaRates(self.shape[keep], self.rate[keep])

    def released(self) -> GammaRates:
        return self

    def unframed(self, frame: Frame) -> GammaRates:
        return self

    def plug_in(self) -> Poissons:
        """E[λ]."""
        return Poissons(self.means)

    def predictive(self) -> NegativeBinomials:
        """p(x | k, data): rates integrated out."""
        return NegativeBinomials(self.shape, self.rate)

    @property
    def means(self) -> Array:
        """E[x | k]."""
        return self.shape / self.rate


@dataclass(frozen=True)
class GammaPrior:
    """λ ~ Gamma(shape, rate (D,)), the same for every component."""

    shape: float
    rate: Array

    fixes_scale = True

    def posterior(
        self, statistics: Sums, previous: Any = None, resolution: Any = None
    ) -> GammaRates:
        """Totals added to the shape, counts to the rate."""
        rate = self.rate + np.repeat(statistics.counts[:, None], len(self.rate), axis=1)
        return GammaRates(self.shape + statistics.totals, rate)

    def kl(self, q: GammaRates) -> float:
        """Σ KL(Gamma || Gamma)."""
        divergence = (
            (q.shape - self.shape) * digamma(q.shape)
            - gammaln(q.shape)
            + gammaln(self.shape)
            + self.shape * (np.log(q.rate) - np.log(self.rate))
            + q.shape * (self.rate / q.rate - 1.0)
        )
        return float(divergence.sum())

    def mode(self, statistics: Sums, previous: Any = None, resolution: Any = None) -> Poissons:
        """Posterior mode; refused where the shape is below 1 and no mode may exist."""
        if self.shape < 1.0:
            raise InvalidInputError(
                f"a maximum a posteriori fit needs a Gamma shape of at least 1, got {self.shape}"
            )
        q = self.posterior(statistics)
        return Poissons((q.shape - 1.0) / q.rate)

    def log_density(self, components: Poissons) -> float:
        """log p(λ) at a point; 0 log 0 is 0."""
        rates = components.rates
        density = (
            xlogy(self.shape - 1.0, rates)
            - self.rate * rates
            + self.shape * np.log(self.rate)
            - gammaln(self.shape)
        )
        return float(density.sum())

    def conditional(
        self, statistics: Sums, last: PoissonDraws, generator: np.random.Generator
    ) -> GammaRates:
        """p(θ | X, Z): a step of Gibbs sampling."""
        return self.posterior(statistics)

    def log_density_of(self, draws: PoissonDraws) -> Array:
        """log p(λ) (S,) of draws."""
        density: Array = (
            (self.shape - 1.0) * draws.log_rates
            - self.rate * np.exp(draws.log_rates)
            + self.shape * np.log(self.rate)
            - gammaln(self.shape)
        ).sum(axis=(1, 2))
        return density

    def pymc_distribution(self, pm: Any, q: GammaRates, n_components: int) -> TotalsTwin:
        """The same prior over K components in PyMC, and their densities."""
        from pytensor import tensor as pt

        axes = ("component", "feature")
        # An array: of a number that float32 can hold PyTensor would take log Γ in float32.
        rates = pm.Gamma("rates", alpha=np.array(self.shape), beta=self.rate, dims=axes)
        logs = {"log_rates": pt.log(rates)}
        return TotalsTwin(-rates.sum(axis=1), logs["log_rates"], logs, PoissonDraws, counts=True)

    def unframed(self, frame: Frame) -> GammaPrior:
        return self

    def over(self, default: GammaPrior, frame: Frame) -> GammaPrior:
        """Itself: a prior that is given replaces the default."""
        return self


@dataclass(frozen=True)
class Poisson:
    """Counts, independent within a component.

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
    linear = True
    far_densities = False
    centred_kernel = False

    def made(self, components: Any) -> bool:
        return True

    def linear_is_faster(self, n_features: int) -> bool:
        return True

    def check(self, values: Any, first: int = 0) -> None:
        """Raise where a value is negative, not whole, or so large that doubles skip numbers."""
        wrong = (values < 0) | (values != np.floor(values)) | (values > LARGEST_COUNT)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise InvalidInputError(
                f"X must hold counts (0, 1, 2, ... up to 2**53) for a Poisson mixture, got "
                f"{values[row, column]:g} in row {first + row}, column {column}: use another family"
            )

    def frame(self, summary: Summary) -> Frame:
        """The data's own coordinates."""
        return Frame.identity(summary.n_features)

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        """Nothing: a constant column is a value like others."""
        return frame, ()

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        return sums(values, responsibilities)

    def maximum_likelihood(
        self,
        statistics: Sums,
        previous: Poissons | None = None,
        resolution: Any = None,
        frame: Frame | None = None,
    ) -> Poissons:
        """Mean counts."""
        # A component without rows stays what it was, where there is one to stay.
        same = previous is not None and previous.rates.shape == statistics.totals.shape
        return Poissons(statistics.shares(previous.rates if previous is not None and same else 1.0))

    def feasible(self, statistics: Sums) -> bool:
        """Counts are not negative."""
        return bool((statistics.totals >= 0).all())

    def reference_prior(self, summary: Summary, frame: Frame) -> GammaPrior:
        """Exponential rates with the mean of the column."""
        return GammaPrior(1.0, 1.0 / np.maximum(summary.mean, 1e-3))

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> GammaPrior:
        """Shape 1.5 with the mean of the column: no rate reaches 0."""
        return GammaPrior(1.5, 1.5 / np.maximum(source.summary.mean, 1e-3))

    def as_draws(self, points: Sequence[Poissons]) -> PoissonDraws:
        """Mixtures at points as draws."""
        with np.errstate(divide="ignore"):
            return PoissonDraws(np.maximum(np.log([one.rates for one in points]), NEVER))

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features

    def max_components(self, n_distinct: int, n_features: int) -> int | None:
        """No limit: the likelihood is bounded."""
        return None

    def guard(self, source: Source, frame: Frame, summary: Summary, repair: bool) -> NoGuard:
        """The likelihood is bounded."""
        return NoGuard()
