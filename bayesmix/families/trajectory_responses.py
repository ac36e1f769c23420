"""Responses of group-based trajectories: counts with extra zeros, censored normal, ordinal.

EM over what was not seen: which zeros are extra (Lambert 1992), and the values beyond the limits
(Tobin 1958; Amemiya 1984). Nagin 2005 has both as responses of trajectories. Ordered levels have
adjacent-category logits, as in ``Ordinal`` (Agresti 2010, section 4.1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import expit, log_expit, log_ndtr, log_softmax, logit

from bayesmix.families.regressions import (
    DESIGN,
    OFFSET,
    RESPONSE,
    BinomialResponse,
    Derivatives,
    GammaResponse,
    IdentityLink,
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
class Distribution:
    """Distribution function and quantiles of a response."""

    cdf: Callable[[Array], Array]  # of responses (n, 1) in the components (n, K)
    ppf: Callable[[Array | float], Array]  # of levels


@dataclass(frozen=True)
class ZeroInflatedPoissonResponse(LogLink):
    """y is 0 with probability expit(ζ), and otherwise Poisson; η is the log of its mean.

    The first ``n_means`` columns of the design belong to the log rate, and the others to the log
    odds ζ of an extra zero, which take the place of the dispersion (n, K).
    """

    n_means: int = 0
    name = "zero_inflated_poisson"
    part = "inflation"
    boundary = (
        "the probability of extra zeros is estimated as 0 or 1 (boundary), so its coefficients "
        "have no finite estimate: use response='poisson'"
    )
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

    def derivatives(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Derivatives:
        """Return derivatives in log λ, whose information is that of known extra zeros."""
        rates = self.mean(eta - log_expit(-dispersion))
        counted = 1.0 - np.where(y == 0.0, expit(dispersion + rates), 0.0)
        return counted * (y - rates), counted * rates

    def sums(self, at: Regressions, values: Array, shares: Array) -> RegressionSums:
        y, odds = values[:, RESPONSE, None], self.dispersions(at, values)
        of_rates = self.derivatives(y, y, at.predictors(values), odds)
        counted = of_rates[1] / self.mean(self.log_rates(at.coefficients, values))
        of_odds = 1.0 - counted - expit(odds), expit(odds) * expit(-odds)
        return self._both(at, values, shares, of_rates, of_odds)

    def first_sums(self, values: Array, shares: Array) -> RegressionSums:
        """Return least squares of logs of positive counts, with half of the zeros extra."""
        y, ones = values[:, RESPONSE, None], np.ones(shares.shape)
        size = (shares.shape[1], values.shape[1] - DESIGN)
        at = Regressions(self, np.zeros(size), ones[0])
        curvature = np.where(y > 0.0, y, 0.1) * ones
        slopes = curvature * (self.first_predictor(y, y) - values[:, OFFSET, None])
        of_odds = 0.5 * (y == 0.0) * ones - 0.5, 0.25 * ones
        return self._both(at, values, shares, (slopes, curvature), of_odds)

    def _both(
        self, at: Any, values: Array, shares: Array, of_rates: Derivatives, of_odds: Derivatives
    ) -> RegressionSums:
        """Return sums of derivatives in log rates and log odds: the information has two blocks."""
        X, W = np.split(values[:, DESIGN:], [self.n_means], axis=1)
        rates, odds = added(at, X, shares, *of_rates, ()), added(at, W, shares, *of_odds, ())
        information = np.zeros((len(rates.counts), *2 * at.coefficients.shape[1:]))
        information[:, : self.n_means, : self.n_means] = rates.information
        information[:, self.n_means :, self.n_means :] = odds.information
        return replace(rates, score=np.hstack([rates.score, odds.score]), information=information)

    def distribution(self, trials: Array, eta: Array, dispersion: Array) -> Distribution:
        extra = expit(dispersion)
        counts = stats.poisson(self.mean(eta - log_expit(-dispersion)))

        def quantiles(level: Array | float) -> Array:
            rest = (level - extra) / np.maximum(1.0 - extra, 1e-300)
            return np.maximum(counts.ppf(np.clip(rest, 0.0, 1.0)), 0.0)

        return Distribution(
            lambda y: np.where(y < 0.0, 0.0, extra + (1.0 - extra) * counts.cdf(y)), quantiles
        )


@dataclass(frozen=True)
class CensoredNormalResponse(IdentityLink):
    """y ~ N(η, dispersion), seen as ``lower`` or ``upper`` where it is beyond these limits."""

    lower: float = -np.inf
    upper: float = np.inf
    name = "censored_normal"

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

    def derivatives(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Derivatives:
        """Return derivatives, whose information is that of the values before censoring."""
        away, _ = self._moments(y, eta, dispersion)
        return away / dispersion, np.broadcast_to(1.0 / dispersion, eta.shape)

    def first_sums(self, values: Array, shares: Array) -> RegressionSums:
        sums = NORMAL.first_sums(values, shares)
        return replace(sums, at=replace(sums.at, response=self))

    def dispersion_terms(self, y: Array, eta: Array, dispersion: Array) -> tuple[Array, ...]:
        return (self._moments(y, eta, dispersion)[1],)

    def distribution(self, trials: Array, eta: Array, dispersion: Array) -> Distribution:
        normal = stats.norm(eta, np.sqrt(dispersion))

        def cdf(y: Array) -> Array:
            return np.where(y >= self.upper, 1.0, np.where(y < self.lower, 0.0, normal.cdf(y)))

        return Distribution(cdf, lambda level: np.clip(normal.ppf(level), self.lower, self.upper))

    def wrong(self, y: Array, trials: Array) -> tuple[Any, str]:
        outside = ~np.isfinite(y) | (y < self.lower) | (y > self.upper)
        return outside, f"numbers within limits=({self.lower:g}, {self.upper:g})"


@dataclass(frozen=True)
class OrdinalResponse(Response):
    """Level l = 0, ..., L - 1 has log p = α_l + l ξ up to a constant, with ξ = x'β.

    The first ``n_means`` columns of the design belong to ξ, and the others, which are 1, to α of
    levels 1 to L - 2, which all components share; other α are 0. Log p (n, K, L) takes the place
    of the dispersion. η is the logit of the mean level, in units of the range of levels.
    """

    lowest: float = 0.0
    n_levels: int = 2
    n_means: int = 0
    name = "ordinal"
    part = "level"
    boundary = (
        "a level has no observations, so its coefficient has no finite estimate: merge levels"
    )
    dispersed, discrete = False, True

    @property
    def levels(self) -> Array:
        return np.arange(float(self.n_levels))

    def _mean(self, probabilities: Array) -> Array:
        """Return the mean level (n, K), of which the lowest is 0."""
        return np.asarray(probabilities @ self.levels)

    def _log_probabilities(self, coefficients: Array, values: Array) -> Array:
        """Return log p (n, K, L)."""
        X = values[:, DESIGN : DESIGN + self.n_means]
        xi = X @ coefficients[:, : self.n_means].T + values[:, OFFSET, None]
        logits = xi[:, :, None] * self.levels
        logits[:, :, 1:-1] += coefficients[:, self.n_means :]
        return np.asarray(log_softmax(logits, axis=2))

    def predictors(self, coefficients: Array, values: Array) -> Array:
        mean = self._mean(np.exp(self._log_probabilities(coefficients, values)))
        return np.asarray(logit(mean / (self.n_levels - 1)))

    def gradients(self, coefficients: Array, values: Array) -> Array:
        p = np.exp(self._log_probabilities(coefficients, values))
        mean, X = self._mean(p), values[:, None, DESIGN : DESIGN + self.n_means]
        weighted = p * (self.levels - mean[:, :, None])
        slopes = np.concatenate([self._mean(weighted)[:, :, None] * X, weighted[:, :, 1:-1]], 2)
        share = mean / (self.n_levels - 1)
        return np.asarray(slopes / ((self.n_levels - 1) * share * (1.0 - share))[:, :, None])

    def dispersions(self, at: Regressions, values: Array) -> Array:
        return self._log_probabilities(at.coefficients, values)

    def log_density(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Array:
        places = (y - self.lowest).astype(np.intp)
        return np.asarray(np.take_along_axis(dispersion, places[..., None], axis=-1)[..., 0])

    def derivatives(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Derivatives:
        """Return derivatives in ξ."""
        p = np.exp(dispersion)
        mean = self._mean(p)
        return y - self.lowest - mean, np.asarray(p @ self.levels**2 - mean**2)

    def sums(self, at: Regressions, values: Array, shares: Array) -> RegressionSums:
        y, X = values[:, RESPONSE, None], values[:, DESIGN : DESIGN + self.n_means]
        logs = self.dispersions(at, values)
        slopes, curvature = self.derivatives(y, y, y, logs)
        rates = added(at, X, shares, slopes, curvature, ())
        p, inner = np.exp(logs[:, :, 1:-1]), self.levels[1:-1]
        weighted = p * shares[:, :, None]
        score = ((y == self.lowest + inner)[:, None] * shares[:, :, None] - weighted).sum(axis=0)
        away = inner - self._mean(np.exp(logs))[:, :, None]
        across = np.einsum("np,nkl->kpl", X, weighted * away)
        within = weighted.sum(axis=0)[:, :, None] * np.eye(len(inner))
        within = within - np.einsum("nkl,nkm->klm", weighted, p)
        top, bottom = np.dstack([rates.information, across]), np.dstack([across.mT, within])
        return replace(
            rates, score=np.hstack([rates.score, score]), information=np.hstack([top, bottom])
        )

    def first_sums(self, values: Array, shares: Array) -> RegressionSums:
        """Return sums of a step from equal probabilities."""
        size = (shares.shape[1], values.shape[1] - DESIGN)
        return self.sums(Regressions(self, np.zeros(size), np.ones(len(shares.T))), values, shares)

    def mean(self, eta: Array) -> Array:
        return self.lowest + (self.n_levels - 1) * expit(eta)

    def first_predictor(self, y: Array, trials: Array) -> Array:
        return y

    def distribution(self, trials: Array, eta: Array, dispersion: Array) -> Distribution:
        inner = np.exp(dispersion[..., :-1]).cumsum(axis=-1)  # that of the highest level is 1
        bounds = np.concatenate(
            [np.zeros_like(inner[..., :1]), inner, np.ones_like(inner[..., :1])], -1
        )

        def cdf(y: Array) -> Array:
            places = np.clip(np.floor(y - self.lowest) + 1.0, 0.0, self.n_levels).astype(np.intp)
            return np.take_along_axis(bounds, places[..., None], axis=-1)[..., 0]

        def quantiles(level: Array | float) -> Array:
            return self.lowest + (inner < np.asarray(level)[..., None]).sum(axis=-1)

        return Distribution(cdf, quantiles)

    def wrong(self, y: Array, trials: Array) -> tuple[Any, str]:
        highest = self.lowest + self.n_levels - 1
        outside = (y != np.floor(y)) | (y < self.lowest) | (y > highest)
        return outside, f"whole numbers from {self.lowest:g} to {highest:g}"


RESPONSES: dict[str, Response] = {
    each.name: each
    for each in (
        *(NORMAL, POISSON, BinomialResponse(), GammaResponse(), NegativeBinomialResponse()),
        *(ZeroInflatedPoissonResponse(), CensoredNormalResponse(), OrdinalResponse()),
    )
}
