"""Variational normal regressions: a Normal-Gamma posterior of coefficients and precision.

y_n = x_n'β_k + ε_n with ε_n ~ N(0, 1/λ_k), β_k | λ_k ~ N(0, (λ_k κ)⁻¹ I) and λ_k ~ Gamma(a0, b0):
Bishop 2006, sections 3.3 and 10.3. With one component the bound is the exact log evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import digamma, gammaincinv, gammaln

from bayesmix.core.families import ByMeans
from bayesmix.errors import InvalidInputError
from bayesmix.families.regressions import (
    DESIGN,
    OFFSET,
    RESPONSE,
    LeastSquares,
    NormalResponse,
    Regressions,
    RegressionSums,
    added,
)
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.memo import once

NORMAL, ONE = NormalResponse(), np.ones(1)


@dataclass(frozen=True)
class BayesianRegressionFamily(LeastSquares):
    """Moments of the response about ``centre``, which the intercepts take up."""

    centre: float = 0.0
    name = "bayesian_regression"
    adjective, title = "", "Bayesian regression"  # "3 regressions"
    continuous = far_densities = False
    linear = False
    n_learned = 0
    coding = None

    def response(self, values: Array) -> Array:
        """Return the response (n,) less offset and centre."""
        return values[:, RESPONSE] - values[:, OFFSET] - self.centre

    def n_parameters(self, n_components: int, n_columns: int) -> int:
        return n_components * (n_columns - DESIGN + 1)

    def statistics(self, values: Array, responsibilities: Array) -> RegressionSums:
        """Return weighted sums of y x, x x' and y²: score and information at coefficients of 0."""
        y, design = self.response(values)[:, None], values[:, DESIGN:]
        at = Regressions(NORMAL, np.zeros((responsibilities.shape[1], design.shape[1])), ONE)
        return added(at, design, responsibilities, y, ONE, (y * y,))


@dataclass(frozen=True)
class RegressionDraws:
    """S draws of coefficients (S, K, P) and residual precisions (S, K)."""

    coefficients: Array
    precisions: Array


@dataclass(frozen=True)
class RegressionPosterior(ByMeans):
    """q(β, λ): coefficients' means (K, P) and precisions (K, P, P) over λ; Gamma of λ (K,)."""

    family: BayesianRegressionFamily
    means: Array
    precisions: Array
    shape: Array
    rate: Array

    @property
    def dispersion(self) -> Array:
        """1 / E[λ] (K,)."""
        return self.rate / self.shape

    @once
    def spreads(self) -> Array:
        """Inverse precisions (K, P, P)."""
        return np.asarray(np.linalg.inv(self.precisions), dtype=np.float64)

    def expected_log_density(self, values: Array) -> Array:
        design = values[:, DESIGN:]
        away = self.family.response(values)[:, None] - design @ self.means.T
        spread = np.einsum("np,kpq,nq->nk", design, self.spreads, design, optimize=True)
        expected_log = digamma(self.shape) - np.log(2.0 * np.pi * self.rate)
        return 0.5 * (expected_log - away**2 / self.dispersion - spread)

    def statistics(self, values: Array, responsibilities: Array) -> RegressionSums:
        return self.family.statistics(values, responsibilities)

    def subset(self, keep: Integers) -> RegressionPosterior:
        return RegressionPosterior(
            self.family, self.means[keep], self.precisions[keep], self.shape[keep], self.rate[keep]
        )

    def draws(self, n_draws: int, generator: np.random.Generator) -> RegressionDraws:
        K, P = self.means.shape
        precisions = generator.gamma(self.shape, 1.0 / self.rate, (n_draws, K))
        normals = generator.standard_normal((n_draws, K, P)) / np.sqrt(precisions)[:, :, None]
        spread = np.einsum("kpq,skq->skp", np.linalg.cholesky(self.spreads), normals)
        return RegressionDraws(self.means + spread, precisions)

    def log_factors(self, draws: RegressionDraws) -> tuple[Array, Array]:
        """Return log q(β, λ) of S draws: a shared part (S,) and factors (S, J, K)."""
        P, precisions = self.means.shape[1], draws.precisions[:, None, :]
        away = draws.coefficients[:, None] - self.means[:, None]
        squares = np.einsum("sjkp,jpq,sjkq->sjk", away, self.precisions, away, optimize=True)
        constants = 0.5 * (np.linalg.slogdet(self.precisions)[1] - P * np.log(2.0 * np.pi))
        constants = constants + self.shape * np.log(self.rate) - gammaln(self.shape)
        powers = (self.shape[:, None] + 0.5 * P - 1.0) * np.log(precisions)
        factors = constants[:, None] + powers - precisions * (self.rate[:, None] + 0.5 * squares)
        return np.zeros(len(factors)), factors

    def plug_in(self) -> Regressions:
        coefficients = self.means.copy()
        if self.family.centre:
            coefficients[:, 0] += self.family.centre
        return Regressions(NORMAL, coefficients, self.dispersion)

    def scales(self, level: float) -> tuple[Array, Array, Array, Array]:
        """Return estimates (K,), deviations and limits of residual standard deviations 1 / √λ."""
        sides = (0.5 + 0.5 * level, 0.5 - 0.5 * level)
        lower, upper = (np.sqrt(self.rate / gammaincinv(self.shape, side)) for side in sides)
        means = np.sqrt(self.rate) * np.exp(gammaln(self.shape - 0.5) - gammaln(self.shape))
        variances = self.rate / (self.shape - 1.0) - means**2
        return np.sqrt(self.dispersion), np.sqrt(variances), lower, upper

    def deviations(self, back: Array) -> Array:
        """Return scales (K, P) of the Student-t marginals of coefficients in data units."""
        variances = np.einsum("ij,kjl,il->ki", back, self.spreads, back)
        return np.sqrt(variances * self.dispersion[:, None])


@dataclass(frozen=True)
class RegressionPrior:
    """β | λ ~ N(0, (λ ``mean_precision``)⁻¹ I) for standardised columns, λ ~ Gamma(shape, rate).

    Parameters
    ----------
    mean_precision : float
        Prior precision of coefficients, in units of an observation.
    shape : float
        Shape of the Gamma prior of the residual precision λ.
    rate : float, optional
        Rate of this prior in squared response units; None: a twentieth of the response's variance.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.RegressionPrior(shape=2.0).shape
    2.0
    """

    mean_precision: float = 0.05
    shape: float = 1.5
    rate: float | None = None
    family: BayesianRegressionFamily | None = None

    def over(self, variance: float, family: BayesianRegressionFamily) -> RegressionPrior:
        """Return the prior with its rate, for a response of a given variance."""
        rate = 0.05 * variance if self.rate is None else self.rate
        values = {"mean_precision": self.mean_precision, "shape": self.shape, "rate": rate}
        for name, value in values.items():
            if not value > 0.0:
                raise InvalidInputError(f"{name} must be a number above 0, got {value!r}")
        return replace(self, rate=rate, family=family)

    def posterior(
        self,
        statistics: RegressionSums,
        previous: RegressionPosterior | None = None,
        resolution: Array | None = None,
    ) -> RegressionPosterior:
        """Return q(β, λ) given moments (Bishop 2006, exercise 3.12)."""
        assert self.family is not None
        assert self.rate is not None
        products = statistics.score
        precisions = statistics.information + self.mean_precision * np.eye(products.shape[1])
        solved = np.linalg.solve(precisions, products[:, :, None])
        means = np.asarray(solved[:, :, 0], dtype=np.float64)
        explained = np.einsum("kp,kp->k", means, products)
        rest = np.maximum(statistics.dispersion[0] - explained, 0.0)
        shape = self.shape + 0.5 * statistics.counts
        return RegressionPosterior(self.family, means, precisions, shape, self.rate + 0.5 * rest)

    def kl(self, q: RegressionPosterior) -> float:
        """Return KL(q || p) over all components."""
        assert self.rate is not None
        P, kappa, a0, b0 = q.means.shape[1], self.mean_precision, self.shape, self.rate
        a, b = q.shape, q.rate
        _, log_determinants = np.linalg.slogdet(q.precisions)
        traces = np.einsum("kpp->k", q.spreads)
        squares = (q.means**2).sum(axis=1) / q.dispersion
        normal = log_determinants - P * np.log(kappa) - P + kappa * (traces + squares)
        gamma = (a - a0) * digamma(a) - gammaln(a) + gammaln(a0)
        gamma += a0 * np.log(b / b0) + a * (b0 - b) / b
        return float((0.5 * normal + gamma).sum())
