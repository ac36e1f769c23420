"""Conjugate families of columns: successes with Beta factors, and rates with gamma factors.

With their coordinates for linear response, and their densities in PyMC.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from scipy.special import betaln, digamma, gammaln, log_expit, logit, polygamma, xlog1py, xlogy

from bayesmix.core.components import DrawnComponents, Named
from bayesmix.core.priors import NamedTensors, Pymc, Tensor
from bayesmix.core.rows import Frame, Spread
from bayesmix.errors import InvalidInputError
from bayesmix.families.independent.columns import (
    ConjugatePrior,
    DrawnColumns,
    PointColumns,
    PosteriorColumns,
)
from bayesmix.families.independent.linear import NEVER, PLAIN, LinearInTotals, Reading, Sums
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.logsumexp import IMPOSSIBLE
from bayesmix.numerics.special import log_gammas

Read: TypeAlias = Callable[[Any], Array]  # draws -> a (S, K, D)
Write: TypeAlias = Callable[[Array], Any]  # inverse of ``Read``


@dataclass(frozen=True)
class ColumnCoordinates:
    """Standardised parameters z of independent columns.

    log p(x | θ_k) = Σ_d t(x_d) a_kd + c_kd + ..., with a = E[a] + deviation z. Arrays are (K, D).
    Coordinates of a component are D times z, then the residual of Σ_d c_kd on z.
    """

    name: str  # "probabilities" or "rates"
    expected: Array  # E[a]
    deviation: Array
    slope: Array  # regression slope of c on a
    left: Array  # residual variance of c
    across: Array  # Cov(θ, z)
    across_left: Array  # Cov(θ, residual of c)
    own: Array  # Var(θ)
    read: Read
    write: Write
    of_means: Array | None = None  # d E[x] / dθ, if θ is not E[x]
    reading: Reading = PLAIN  # sufficient statistics

    @property
    def size(self) -> int:
        n_components, n_features = self.expected.shape
        return int(n_components * (n_features + 1))

    def places(self, k: int) -> Integers:
        step = int(self.expected.shape[1]) + 1
        return np.arange(k * step, (k + 1) * step)

    def slopes(self, values: Array, k: int) -> Array:
        residual = np.full((len(values), 1), np.sqrt(self.left[k].sum()))
        totals = self.reading.totals(values).T
        return np.hstack([(totals + self.slope[k]) * self.deviation[k], residual])

    def coupling(self) -> float:
        """Return 0: components are not coupled."""
        return 0.0

    def parameters(self, frame: Frame) -> dict[str, Spread]:
        """Return covariances of probabilities or rates, with z and with each other."""
        K, D = self.expected.shape
        across = np.zeros((K, D, self.size))
        for k in range(K):
            places = self.places(k)
            across[k, np.arange(D), places[:-1]] = self.across[k]
            across[k, :, places[-1]] = self.across_left[k] / np.sqrt(self.left[k].sum())
        spread = Spread((K, D), across.reshape(-1, self.size), np.diag(self.own.ravel()))
        if self.of_means is None:
            return {self.name: spread}
        slopes = self.of_means.reshape(-1, 1)  # first order, as in all of linear response
        means = Spread((K, D), slopes * spread.across, slopes * spread.own * slopes.T)
        return {"means": means, self.name: spread}

    @property
    def moved(self) -> Integers:
        return np.concatenate([self.places(k)[:-1] for k in range(len(self.expected))])

    def standardised(self, draws: Any) -> Array:
        away = (self.read(draws) - self.expected) / self.deviation
        return away.reshape(len(away), -1)

    def drawn(self, standardised: Array) -> Any:
        away = standardised.reshape(-1, *self.expected.shape)
        return self.write(self.expected + self.deviation * away)


def of_betas(
    successes: Array, failures: Array, most: Array | float, read: Read, write: Write
) -> ColumnCoordinates:
    """Return coordinates of beta factors: x log(θ / (1 - θ)) + most log(1 - θ)."""
    success, failure = polygamma(1, successes), polygamma(1, failures)
    both, total = success + failure, successes + failures
    mean = successes / total
    return ColumnCoordinates(
        name="probabilities",
        expected=digamma(successes) - digamma(failures),
        deviation=np.sqrt(both),
        slope=most * (-failure / both),
        left=most**2 * (success * failure / both - polygamma(1, total)),
        across=1.0 / (total * np.sqrt(both)),
        across_left=most * ((failure / both - mean) / total),
        own=mean * (1.0 - mean) / (total + 1.0),
        read=read,
        write=write,
        of_means=None if np.ndim(most) == 0 else np.broadcast_to(most, mean.shape),
    )


@dataclass(frozen=True)
class TotalsTwin:
    """K densities in PyMC that are linear in t(x), with a single variable.

    ``record`` makes draws of the family from the tensors ``drawn``.
    """

    constants: Tensor  # (K,)
    slopes: Tensor  # (K, F)
    drawn: dict[str, Tensor]
    record: Callable[..., DrawnComponents]
    reading: Reading = PLAIN

    def log_density(self, pm: Pymc, values: Array) -> Tensor:
        density = data(pm, self.reading.totals(values)) @ self.slopes.T + self.constants
        if self.reading.has_base:
            base = pm.Data("log_base", self.reading.log_base(values), dims="row")
            density = density + base[:, None]
        return density

    def named(self, frame: Frame) -> NamedTensors:
        return {}

    def draws(self, values: Mapping[str, Array]) -> Any:
        return self.record(**values)

    def point(self, draws: Any) -> dict[str, Array]:
        """Return values (S, K, D) of the PyMC variable, the first parameter of the draws."""
        name, (_, values) = next(iter(draws.parameters(None).items()))
        return {name: values}


def data(pm: Pymc, totals: Array) -> Any:
    """Add totals (F, n) to the model as data (n, F), with names for all axes as nutpie requires."""
    pm.modelcontext(None).add_coord("total", np.arange(len(totals)))
    return pm.Data("rows", np.ascontiguousarray(totals.T), dims=("row", "total"))


# Log probability ratio that stands for impossible, where infinities would cancel.
SURE = 700.0


def _stabilised(shares: Array, most: Array | float) -> Array:
    """Return angles, which stabilise the variance of successes, see ``LinearInTotals.near``."""
    return np.sqrt(most) * np.arcsin(np.sqrt(shares))


class OfTrials:
    """Records with a number of trials per column."""

    reading: Reading  # sufficient statistics

    @property
    def most(self) -> Array | float:
        return self.reading.most


class SuccessColumns(OfTrials, PointColumns):
    """Probabilities (K, D) of success at a point; zeros and ones are allowed."""

    probabilities: Array

    @cached_property
    def linear(self) -> LinearInTotals:
        """Log p(x | θ_k) = Σ n log(1 - p) + x log(p / (1 - p)) (Bishop 2006, eq. 9.44).

        A failure at p = 1 is penalised by ``SURE`` nats.
        """
        always = self.probabilities == 1.0
        safe = np.where(always, 0.5, self.probabilities)
        log_odds = np.where(always, SURE, np.maximum(logit(safe), NEVER))
        constants = self.most * np.where(always, -SURE, np.log1p(-safe))
        places = _stabilised(self.probabilities, self.most)
        return LinearInTotals(constants, log_odds, self.reading, not always.any(), places)

    def expected_log_density(self, values: Array) -> Array:
        """Return Σ x log p + (n - x) log(1 - p) (n, K), minus infinity if impossible.

        The linear form would cancel for many trials.
        """
        with np.errstate(divide="ignore"):
            logs = np.log(self.probabilities), np.log1p(-self.probabilities)
        yes, no = (np.maximum(one, NEVER) for one in logs)
        out: Array = values @ yes.T + (self.most - values) @ no.T
        out[out < IMPOSSIBLE] = -np.inf
        if self.reading.has_base:
            out += self.reading.log_base(values)[:, None]
        return out

    @property
    def means(self) -> Array:
        return self.most * self.probabilities

    @property
    def deviations(self) -> Array:
        return np.sqrt(self.most * (self.probabilities * (1.0 - self.probabilities)))


class SuccessDraws(OfTrials, DrawnColumns):
    """S draws of probabilities as log p and log (1 - p), both (S, K, D)."""

    log_successes: Array
    log_failures: Array

    @cached_property
    def components(self) -> LinearInTotals:
        n_features = self.log_successes.shape[2]
        failures = self.log_failures.reshape(-1, n_features)
        log_odds = self.log_successes.reshape(-1, n_features) - failures
        return LinearInTotals(self.most * failures, log_odds, self.reading)

    def parameters(self, frame: Frame) -> Named:
        return {"probabilities": (("component", "feature"), np.exp(self.log_successes))}


class BetaFactors(OfTrials, PosteriorColumns):
    """q(θ) = Π Beta(successes, failures), both (K, D)."""

    successes: Array
    failures: Array

    @abstractmethod
    def drawn(self, log_successes: Array, log_failures: Array) -> SuccessDraws:
        """Return draws from log p and log (1 - p) (S, K, D)."""

    @property
    def shares(self) -> Array:
        """E[p] (K, D)."""
        return self.successes / (self.successes + self.failures)

    @property
    def means(self) -> Array:
        return self.most * self.shares

    @cached_property
    def linear(self) -> LinearInTotals:
        log_odds = digamma(self.successes) - digamma(self.failures)
        log_failure = digamma(self.failures) - digamma(self.successes + self.failures)
        constants, places = self.most * log_failure, _stabilised(self.shares, self.most)
        return LinearInTotals(constants, log_odds, self.reading, stabilised=places)

    def draws(self, n_draws: int, generator: np.random.Generator) -> SuccessDraws:
        successes = log_gammas(self.successes, n_draws, generator)
        failures = log_gammas(self.failures, n_draws, generator)
        total = np.logaddexp(successes, failures)
        return self.drawn(successes - total, failures - total)

    def log_factors(self, draws: SuccessDraws) -> tuple[Array, Array]:
        normalisers = betaln(self.successes, self.failures).sum(axis=1)
        pairs: Array = (
            (draws.log_successes @ (self.successes - 1.0).T).transpose(0, 2, 1)
            + (draws.log_failures @ (self.failures - 1.0).T).transpose(0, 2, 1)
            - normalisers[:, None]
        )
        return np.zeros(len(pairs)), pairs

    def coordinates(self) -> ColumnCoordinates:
        return of_betas(
            self.successes,
            self.failures,
            self.most,
            lambda draws: draws.log_successes - draws.log_failures,
            lambda odds: self.drawn(log_expit(odds), log_expit(-odds)),
        )


class SuccessPrior(ConjugatePrior[BetaFactors]):
    """Prior θ ~ Beta(successes, failures), the same for all components and columns."""

    successes: float
    failures: float

    @abstractmethod
    def at_shares(self, shares: Array, q: BetaFactors) -> SuccessColumns:
        """Return densities with these probabilities (K, D)."""

    def kl(self, q: BetaFactors) -> float:
        a, b = q.successes, q.failures
        total = digamma(a + b)
        divergence = (
            betaln(self.successes, self.failures)
            - betaln(a, b)
            + (a - self.successes) * (digamma(a) - total)
            + (b - self.failures) * (digamma(b) - total)
        )
        return float(divergence.sum())

    def feature_evidence(self, statistics: Sums) -> Array:
        q = self.given(statistics)
        return betaln(q.successes, q.failures) - betaln(self.successes, self.failures)

    def mode_given(self, statistics: Sums) -> SuccessColumns:
        """Return the posterior mode; parameters below 1 are an error."""
        if min(self.successes, self.failures) < 1.0:
            raise InvalidInputError(
                "a maximum a posteriori fit needs Beta parameters of at least 1, got "
                f"({self.successes}, {self.failures})"
            )
        q = self.given(statistics)
        total = q.successes + q.failures - 2.0
        shares = np.where(total > 0.0, (q.successes - 1.0) / np.where(total > 0.0, total, 1.0), 0.5)
        return self.at_shares(shares, q)

    def log_density(self, components: SuccessColumns) -> float:
        """Return log p(θ) at a point, with 0 log 0 = 0."""
        p = components.probabilities
        density = (
            xlogy(self.successes - 1.0, p)
            + xlog1py(self.failures - 1.0, -p)
            - betaln(self.successes, self.failures)
        )
        return float(density.sum())

    def log_density_of(self, draws: SuccessDraws) -> Array:
        return (
            (self.successes - 1.0) * draws.log_successes
            + (self.failures - 1.0) * draws.log_failures
            - betaln(self.successes, self.failures)
        ).sum(axis=(1, 2))

    def pymc_distribution(self, pm: Pymc, q: BetaFactors, n_components: int) -> TotalsTwin:
        from pytensor import tensor as pt

        axes = ("component", "feature")
        # As arrays, since PyTensor computes log Γ of scalars in float32 if they fit.
        alpha, beta = np.array(self.successes), np.array(self.failures)
        p = pm.Beta("probabilities", alpha=alpha, beta=beta, dims=axes)
        logs = {"log_successes": pt.log(p), "log_failures": pt.log1p(-p)}
        successes, failures = logs.values()
        constants, slopes = (q.most * failures).sum(axis=1), successes - failures
        return TotalsTwin(constants, slopes, logs, q.drawn, q.reading)


class RateColumns(PointColumns):
    """Rates (K, D) at a point."""

    rates: Array


class RateDraws(DrawnColumns):
    """S draws of rates by their logarithms (S, K, D)."""

    log_rates: Array

    @staticmethod
    @abstractmethod
    def form(log_rates: Array, rates: Array) -> LinearInTotals:
        """Return K densities from (expected) rates and their logarithms (K, D)."""

    @cached_property
    def components(self) -> LinearInTotals:
        log_rates = self.log_rates.reshape(-1, self.log_rates.shape[2])
        return self.form(log_rates, np.exp(log_rates))


class GammaFactors(PosteriorColumns):
    """q(λ) = Π Gamma(shape, rate), both (K, D)."""

    shape: Array
    rate: Array

    @abstractmethod
    def drawn(self, log_rates: Array) -> RateDraws:
        """Return draws from log λ (S, K, D)."""

    @property
    def rates(self) -> Array:
        """E[λ] (K, D)."""
        return self.shape / self.rate

    @property
    def log_rates(self) -> Array:
        """E[log λ] (K, D)."""
        return digamma(self.shape) - np.log(self.rate)

    def draws(self, n_draws: int, generator: np.random.Generator) -> RateDraws:
        return self.drawn(log_gammas(self.shape, n_draws, generator) - np.log(self.rate))

    def log_factors(self, draws: RateDraws) -> tuple[Array, Array]:
        normalisers = (self.shape * np.log(self.rate) - gammaln(self.shape)).sum(axis=1)
        pairs: Array = (
            (draws.log_rates @ (self.shape - 1.0).T).transpose(0, 2, 1)
            - (np.exp(draws.log_rates) @ self.rate.T).transpose(0, 2, 1)
            + normalisers[:, None]
        )
        return np.zeros(len(pairs)), pairs


class RatePrior(ConjugatePrior[GammaFactors]):
    """Prior λ ~ Gamma(shape, rate (D,)), the same for all components."""

    shape: float
    rate: Array

    @abstractmethod
    def at_rates(self, rates: Array) -> RateColumns:
        """Return the densities with these rates."""

    @abstractmethod
    def twin(self, rates: Tensor, log_rates: Tensor, q: GammaFactors) -> TotalsTwin:
        """Return densities in PyMC with these rates (K, D)."""

    def kl(self, q: GammaFactors) -> float:
        divergence = (
            (q.shape - self.shape) * digamma(q.shape)
            - gammaln(q.shape)
            + gammaln(self.shape)
            + self.shape * (np.log(q.rate) - np.log(self.rate))
            + q.shape * (self.rate / q.rate - 1.0)
        )
        return float(divergence.sum())

    def feature_evidence(self, statistics: Sums) -> Array:
        q = self.given(statistics)
        prior = self.shape * np.log(self.rate) - gammaln(self.shape)
        return prior - q.shape * np.log(q.rate) + gammaln(q.shape)

    def mode_given(self, statistics: Sums) -> RateColumns:
        """Return the posterior mode; shapes below 1 are an error."""
        if self.shape < 1.0:
            raise InvalidInputError(
                f"a maximum a posteriori fit needs a Gamma shape of at least 1, got {self.shape}"
            )
        q = self.given(statistics)
        return self.at_rates((q.shape - 1.0) / q.rate)

    def log_density(self, components: RateColumns) -> float:
        """Return log p(λ) at a point, with 0 log 0 = 0."""
        rates = components.rates
        density = (
            xlogy(self.shape - 1.0, rates)
            - self.rate * rates
            + self.shape * np.log(self.rate)
            - gammaln(self.shape)
        )
        return float(density.sum())

    def log_density_of(self, draws: RateDraws) -> Array:
        return (
            (self.shape - 1.0) * draws.log_rates
            - self.rate * np.exp(draws.log_rates)
            + self.shape * np.log(self.rate)
            - gammaln(self.shape)
        ).sum(axis=(1, 2))

    def pymc_distribution(self, pm: Pymc, q: GammaFactors, n_components: int) -> TotalsTwin:
        from pytensor import tensor as pt

        axes = ("component", "feature")
        # As an array, since PyTensor computes log Γ of scalars in float32 if they fit.
        rates = pm.Gamma("rates", alpha=np.array(self.shape), beta=self.rate, dims=axes)
        return self.twin(rates, pt.log(rates), q)
