"""Responses of group-based trajectories: counts with extra zeros, and censored normal responses.

EM over what was not seen: which zeros are extra (Lambert 1992), and the values beyond the limits
(Tobin 1958; Amemiya 1984). Nagin 2005 has both as responses of trajectories.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import expit, log_expit, log_ndtr, ndtr, ndtri

from bayesmix.families.regressions import (
    DESIGN,
    OFFSET,
    RESPONSE,
    BinomialResponse,
    GammaResponse,
    LogLink,
    NegativeBinomialResponse,
    NormalResponse,
    PoissonResponse,
    Regressions,
    RegressionSums,
    Response,
    added,
)
from bayesmix.numerics.arrays import Array

POISSON, NORMAL = PoissonResponse(), NormalResponse()


@dataclass(frozen=True)
class ZeroInflatedPoissonResponse(LogLink):
    """y is 0 with probability expit(ζ), and otherwise Poisson; η is the log of its mean.

    The first ``n_means`` columns of the design belong to the log rate, and the others to the log
    odds ζ of an extra zero, which take the place of the dispersion (n, K).
    """

    n_means: int = 0
    name = "zero_inflated_poisson"
    dispersed, discrete = False, True

    def log_rates(self, coefficients: Array, values: Array) -> Array:
        """Return log λ (n, K)."""
        X = values[:, DESIGN : DESIGN + self.n_means]
        return np.asarray(X @ coefficients[:, : self.n_means].T + values[:, OFFSET, None])

    def log_odds(self, coefficients: Array, values: Array) -> Array:
        """Return ζ (n, K)."""
        return np.asarray(values[:, DESIGN + self.n_means :] @ coefficients[:, self.n_means :].T)

    def predictors(self, coefficients: Array, values: Array) -> Array:
        odds = self.log_odds(coefficients, values)
        return self.log_rates(coefficients, values) + log_expit(-odds)

    def gradients(self, coefficients: Array, values: Array) -> Array:
        out = np.array(super().gradients(coefficients, values))
        out[:, :, self.n_means :] *= -expit(self.log_odds(coefficients, values))[:, :, None]
        return out

    def dispersions(self, at: Regressions, values: Array) -> Array:
        return self.log_odds(at.coefficients, values)

    def log_density(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Array:
        log_rates = eta - log_expit(-dispersion)
        counted = log_expit(-dispersion) + POISSON.log_density(y, trials, log_rates, dispersion)
        return np.where(y == 0.0, np.logaddexp(log_expit(dispersion), counted), counted)

    def derivatives(
        self, y: Array, trials: Array, eta: Array, dispersion: Array
    ) -> tuple[Array, Array]:
        """Return derivatives in log λ, whose information is that of known extra zeros."""
        rates = self.mean(eta - log_expit(-dispersion))
        counted = 1.0 - np.where(y == 0.0, expit(dispersion + rates), 0.0)
        return counted * (y - rates), counted * rates

    def sums(self, at: Regressions, values: Array, shares: Array) -> RegressionSums:
        y = values[:, RESPONSE, None]
        odds, rates = (
            self.dispersions(at, values),
            self.mean(self.log_rates(at.coefficients, values)),
        )
        extra = np.where(y == 0.0, expit(odds + rates), 0.0)
        return self._both(at, values, shares, (1.0 - extra) * (y - rates), (1.0 - extra) * rates,
                          extra - expit(odds), expit(odds) * expit(-odds))  # fmt: skip

    def first_sums(self, values: Array, shares: Array) -> RegressionSums:
        """Return least squares of logs of positive counts, with half of the zeros extra."""
        y, ones = values[:, RESPONSE, None], np.ones(shares.shape)
        size = (shares.shape[1], values.shape[1] - DESIGN)
        at = Regressions(self, np.zeros(size), self.first_dispersion(len(ones[0])))
        curvature = np.where(y > 0.0, y, 0.1) * ones
        slopes = curvature * (self.first_predictor(y, y) - values[:, OFFSET, None])
        return self._both(at, values, shares, slopes, curvature, 0.5 * (y == 0.0) * ones - 0.5,
                          0.25 * ones)  # fmt: skip

    def _both(
        self, at: Regressions, values: Array, shares: Array, slopes: Array, curvature: Array,
        odds_slopes: Array, odds_curvature: Array,
    ) -> RegressionSums:  # fmt: skip
        """Return sums of rates and of log odds, whose information has two blocks."""
        X, W = np.split(values[:, DESIGN:], [self.n_means], axis=1)
        rates = added(at, X, shares, slopes, curvature, ())
        odds = added(at, W, shares, odds_slopes, odds_curvature, ())
        information = np.zeros((len(rates.counts), *2 * at.coefficients.shape[1:]))
        information[:, : self.n_means, : self.n_means] = rates.information
        information[:, self.n_means :, self.n_means :] = odds.information
        return replace(rates, score=np.hstack([rates.score, odds.score]), information=information)

    def distribution(self, trials: Array, eta: Array, dispersion: Array) -> Any:
        return InflatedPoisson(expit(dispersion), self.mean(eta - log_expit(-dispersion)))


@dataclass(frozen=True)
class InflatedPoisson:
    """Distribution function and quantiles of counts with extra zeros."""

    extra: Array
    rates: Array

    def cdf(self, y: Array) -> Array:
        counted = stats.poisson(self.rates).cdf(y)
        return np.asarray(np.where(y < 0.0, 0.0, self.extra + (1.0 - self.extra) * counted))

    def ppf(self, level: float) -> Array:
        rest = (level - self.extra) / np.maximum(1.0 - self.extra, 1e-300)
        return np.maximum(stats.poisson(self.rates).ppf(np.clip(rest, 0.0, 1.0)), 0.0)


@dataclass(frozen=True)
class CensoredNormalResponse(Response):
    """y ~ N(η, dispersion), seen as ``lower`` or ``upper`` where it is beyond these limits."""

    lower: float = -np.inf
    upper: float = np.inf
    name = "censored_normal"
    gaussian = True

    def _moments(self, y: Array, eta: Array, dispersion: Array) -> tuple[Array, Array]:
        """Return E[y* - η] and E[(y* - η)²] of the values y* before censoring."""
        root = np.sqrt(dispersion)
        away = np.broadcast_to(y - eta, np.broadcast_shapes(y.shape, eta.shape)).copy()
        squares = away**2
        for sign, limit, seen in ((-1.0, self.lower, y <= self.lower),
                                  (1.0, self.upper, y >= self.upper)):  # fmt: skip
            rows = seen[:, 0]
            z = sign * (eta[rows] - limit) / root
            ratio = np.exp(stats.norm.logpdf(z) - log_ndtr(z))
            away[rows] = sign * root * ratio
            squares[rows] = dispersion * (1.0 - z * ratio)
        return away, squares

    def log_density(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Array:
        root, out = np.sqrt(dispersion), NORMAL.log_density(y, trials, eta, dispersion)
        out = np.where(y <= self.lower, log_ndtr((self.lower - eta) / root), out)
        return np.where(y >= self.upper, log_ndtr((eta - self.upper) / root), out)

    def derivatives(
        self, y: Array, trials: Array, eta: Array, dispersion: Array
    ) -> tuple[Array, Array]:
        """Return derivatives, whose information is that of the values before censoring."""
        away, _ = self._moments(y, eta, dispersion)
        return away / dispersion, np.broadcast_to(1.0 / dispersion, eta.shape)

    def mean(self, eta: Array) -> Array:
        return eta

    def first_predictor(self, y: Array, trials: Array) -> Array:
        return y

    def first_sums(self, values: Array, shares: Array) -> RegressionSums:
        sums = NORMAL.first_sums(values, shares)
        return replace(sums, at=replace(sums.at, response=self))

    def dispersion_terms(self, y: Array, eta: Array, dispersion: Array) -> tuple[Array, ...]:
        return (self._moments(y, eta, dispersion)[1],)

    def dispersion(self, previous: Array, counts: Array, sums: Array, gained: Array) -> Array:
        return NORMAL.dispersion(previous, counts, sums, gained)

    def dispersion_slope(self, y: Array, eta: Array, dispersion: Array) -> Array:
        return 0.5 * (self._moments(y, eta, dispersion)[1] / dispersion - 1.0)

    def distribution(self, trials: Array, eta: Array, dispersion: Array) -> Any:
        return Censored(eta, np.sqrt(dispersion), self.lower, self.upper)

    def wrong(self, y: Array, trials: Array) -> tuple[Any, str]:
        outside = ~np.isfinite(y) | (y < self.lower) | (y > self.upper)
        return outside, f"numbers within limits=({self.lower:g}, {self.upper:g})"


@dataclass(frozen=True)
class Censored:
    """Distribution function and quantiles of a censored normal variable."""

    mean: Array
    deviation: Array
    lower: float
    upper: float

    def cdf(self, y: Array) -> Array:
        inside = np.where(y < self.lower, 0.0, ndtr((y - self.mean) / self.deviation))
        return np.asarray(np.where(y >= self.upper, 1.0, inside))

    def ppf(self, level: float) -> Array:
        return np.clip(self.mean + self.deviation * ndtri(level), self.lower, self.upper)


RESPONSES: dict[str, Response] = {
    each.name: each
    for each in (
        *(NORMAL, POISSON, BinomialResponse(), GammaResponse(), NegativeBinomialResponse()),
        *(ZeroInflatedPoissonResponse(), CensoredNormalResponse()),
    )
}
