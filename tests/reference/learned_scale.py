"""Exact evidence and exact bound of one Gaussian in one dimension with a learned scale.

The model (Richardson & Green 1997; Huang & Wand 2013, in one dimension)::

    s ~ Gamma(g_dof / 2, rate h / 2)
    lambda | s ~ Gamma(nu0 / 2, rate s / 2)
    mu | lambda ~ N(m0, 1 / (beta0 lambda))
    x_n | mu, lambda ~ N(mu, 1 / lambda)

and the factors q(mu, lambda) q(s)::

    mu | lambda ~ N(mean, 1 / (mean_precision lambda)),  lambda ~ Gamma(dof / 2, rate a / 2)
    s ~ Gamma(scale_dof / 2, rate scale_rate / 2)

Everything is integrated by the trapezoidal rule in log lambda and log s: the integrands are
analytic and die out at both ends, so that the rule converges geometrically (Trefethen & Weideman
2014).
"""

from typing import NamedTuple

import mpmath
import numpy as np
from scipy.special import gammaln, logsumexp
from scipy.stats import gamma, norm

NEGLIGIBLE = 60.0


class Prior(NamedTuple):
    """m0, beta0, nu0 and the Gamma(g_dof / 2, rate h / 2) of the scale."""

    m0: float
    beta0: float
    nu0: float
    g_dof: float
    h: float


class Factors(NamedTuple):
    """q(mu, lambda): mean, mean_precision, dof, scale_inverse; q(s): scale_dof, scale_rate."""

    mean: float
    mean_precision: float
    dof: float
    scale_inverse: float
    scale_dof: float
    scale_rate: float


def ones_if_none(row_weights, values):
    """The row weights as floats, ``(n,)``."""
    return np.ones(len(values)) if row_weights is None else np.asarray(row_weights, dtype=float)


def count_and_scatter(values, prior, row_weights=None):
    """N, the weighted mean, and A = S + beta0 N / (beta0 + N) (xbar - m0)^2."""
    weights = ones_if_none(row_weights, values)
    count = weights.sum()
    mean = weights @ values / count
    scatter = weights @ (values - mean) ** 2
    shrunk = prior.beta0 * count / (prior.beta0 + count) * (mean - prior.m0) ** 2
    return count, mean, scatter + shrunk


def grid_around(centre, log_profile, step):
    """Equidistant grid over all that is within `NEGLIGIBLE` nats of the profile at the centre.

    The profile must fall on both sides, as that of a log-concave integrand does.
    """
    floor = log_profile(centre) - NEGLIGIBLE
    left = right = 0
    while log_profile(centre - left * step) > floor:
        left += 1
    while log_profile(centre + right * step) > floor:
        right += 1
    return centre + step * np.arange(-left, right + 1)


def log_evidence(values, prior, row_weights=None):
    """Exact log p(X) by quadrature over (lambda, s), mu integrated in closed form.

    p(X, lambda, s) = p(s) p(lambda | s) (2 pi)^(-N/2) (beta0/(beta0 + N))^(1/2) lambda^(N/2)
    exp(-A lambda / 2). In u = log lambda, t = log s its logarithm is concave, with the profiles
    t = log((nu0 + g_dof) / (e^u + h)) for given u and u = log((nu0 + N) / (e^t + A)) for given t.
    """
    values = np.asarray(values, dtype=float)
    count, _, scatter = count_and_scatter(values, prior, row_weights)
    constant = 0.5 * (np.log(prior.beta0 / (prior.beta0 + count)) - count * np.log(2 * np.pi))

    def log_integrand(u, t):
        log_p_scale = gamma.logpdf(np.exp(t), prior.g_dof / 2, scale=2 / prior.h)
        shape, log_rate = prior.nu0 / 2, t - np.log(2)
        log_p_precision = shape * log_rate - gammaln(shape) + (shape - 1) * u - np.exp(t + u) / 2
        log_p_data = constant + count / 2 * u - scatter / 2 * np.exp(u)
        return log_p_scale + log_p_precision + log_p_data + u + t

    def best_t(u):
        return np.log((prior.nu0 + prior.g_dof) / (np.exp(u) + prior.h))

    def best_u(t):
        return np.log((prior.nu0 + count) / (np.exp(t) + scatter))

    u = 0.0
    for _ in range(10_000):
        u = best_u(best_t(u))
    step_u = min(0.2, np.sqrt(2 / (prior.nu0 + count)) / 3)
    step_t = min(0.2, np.sqrt(2 / (prior.nu0 + prior.g_dof)) / 3)
    grid_u = grid_around(u, lambda u: log_integrand(u, best_t(u)), step_u)
    grid_t = grid_around(best_t(u), lambda t: log_integrand(best_u(t), t), step_t)
    table = log_integrand(grid_u[:, None], grid_t[None, :])
    return float(logsumexp(table) + np.log(step_u * step_t))


def log_evidence_by_special_function(values, prior, row_weights=None, digits=40):
    """Exact log p(X) with lambda integrated in closed form and s by Tricomi's U.

    int s^(a - 1) e^(-h s / 2) (s + A)^(-b) ds = A^(a - b) Gamma(a) U(a, a - b + 1, h A / 2) with
    a = (g_dof + nu0) / 2 and b = (nu0 + N) / 2 (DLMF 13.4.4). Needs A > 0.
    """
    values = np.asarray(values, dtype=float)
    count, _, scatter = count_and_scatter(values, prior, row_weights)
    with mpmath.workdps(digits):
        count, scatter = mpmath.mpf(count), mpmath.mpf(scatter)
        beta0, nu0, g_dof, h = (mpmath.mpf(value) for value in prior[1:])
        a, b = (g_dof + nu0) / 2, (nu0 + count) / 2
        result = -count / 2 * mpmath.log(2 * mpmath.pi) + mpmath.log(beta0 / (beta0 + count)) / 2
        result += g_dof / 2 * mpmath.log(h / 2) - mpmath.loggamma(g_dof / 2)
        result += mpmath.loggamma(b) - mpmath.loggamma(nu0 / 2) + count / 2 * mpmath.log(2)
        result += (a - b) * mpmath.log(scatter) + mpmath.loggamma(a)
        result += mpmath.log(mpmath.hyperu(a, a - b + 1, h * scatter / 2))
        return float(result)


def gamma_grid(degrees_of_freedom, rate_times_two):
    """Nodes in the logarithm of a Gamma(dof / 2, rate / 2) variable, and their probabilities."""

    def log_density(u):
        value = np.exp(u)
        return gamma.logpdf(value, degrees_of_freedom / 2, scale=2 / rate_times_two) + u

    step = min(0.2, np.sqrt(2 / degrees_of_freedom) / 3)
    nodes = grid_around(np.log(degrees_of_freedom / rate_times_two), log_density, step)
    return nodes, step * np.exp(log_density(nodes))


def elbo(values, prior, factors, row_weights=None, n_nodes=8):
    """E_q[log p(X, mu, lambda, s) - log q(mu, lambda, s)] by quadrature, nats.

    Gauss-Hermite in mu (the integrand is quadratic there: exact), trapezoidal in log lambda and
    log s. Only densities enter, no closed-form expectation.
    """
    values = np.asarray(values, dtype=float)
    weights = ones_if_none(row_weights, values)
    q = factors
    u, p_u = gamma_grid(q.dof, q.scale_inverse)
    t, p_t = gamma_grid(q.scale_dof, q.scale_rate)
    precision, scale = np.exp(u), np.exp(t)

    nodes, p_nodes = np.polynomial.hermite_e.hermegauss(n_nodes)
    p_nodes = p_nodes / p_nodes.sum()
    width = 1 / np.sqrt(q.mean_precision * precision)[:, None]
    mu = q.mean + width * nodes

    log_ratio_mean = norm.logpdf(mu, prior.m0, 1 / np.sqrt(prior.beta0 * precision)[:, None])
    log_ratio_mean = log_ratio_mean - norm.logpdf(mu, q.mean, width)
    for value, weight in zip(values, weights, strict=True):
        log_ratio_mean += weight * norm.logpdf(value, mu, 1 / np.sqrt(precision)[:, None])

    log_p_precision = gamma.logpdf(precision[:, None], prior.nu0 / 2, scale=2 / scale[None, :])
    log_q_precision = gamma.logpdf(precision, q.dof / 2, scale=2 / q.scale_inverse)
    log_p_scale = gamma.logpdf(scale, prior.g_dof / 2, scale=2 / prior.h)
    log_q_scale = gamma.logpdf(scale, q.scale_dof / 2, scale=2 / q.scale_rate)
    return float(
        p_u @ (log_ratio_mean @ p_nodes)
        + p_u @ log_p_precision @ p_t
        - p_u @ log_q_precision
        + p_t @ (log_p_scale - log_q_scale)
    )


def coordinate_ascent(values, prior, n_iterations=1000, row_weights=None):
    """The best factors q(mu, lambda) q(s), by the two conjugate updates in turn.

    q(mu, lambda) sees E[s] = scale_dof / scale_rate in the place of the scale; q(s) gains nu0
    degrees of freedom and the rate E[lambda] = dof / scale_inverse.
    """
    values = np.asarray(values, dtype=float)
    count, mean, scatter = count_and_scatter(values, prior, row_weights)
    mean_precision = prior.beta0 + count
    centre = (prior.beta0 * prior.m0 + count * mean) / mean_precision
    dof, scale_dof = prior.nu0 + count, prior.g_dof + prior.nu0
    expected_scale = prior.g_dof / prior.h
    for _ in range(n_iterations):
        scale_inverse = expected_scale + scatter
        scale_rate = prior.h + dof / scale_inverse
        expected_scale = scale_dof / scale_rate
    return Factors(centre, mean_precision, dof, expected_scale + scatter, scale_dof, scale_rate)
