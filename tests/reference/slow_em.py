"""Maximum likelihood and maximum a posteriori for Gaussian mixtures, one function for each step.

Bishop 2006, sec. 9.2.2 and 9.3; Fraley & Raftery 2007 for the prior. Covariances are always
``(K, D, D)``, whatever the structure. Every component must hold some rows: an empty one divides
by zero. For the prior see the docstring of this folder.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, logsumexp, xlogy
from scipy.stats import invgamma, invwishart, multivariate_normal


class Mixture(NamedTuple):
    """Weights ``(K,)``, means ``(K, D)`` and covariances ``(K, D, D)``."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


class Run(NamedTuple):
    """The last mixture, its responsibilities, and the objective after each M-step."""

    mixture: Mixture
    responsibilities: np.ndarray
    trace: np.ndarray


def ones_if_none(row_weights, rows):
    """The row weights as floats, ``(n,)``."""
    return np.ones(len(rows)) if row_weights is None else np.asarray(row_weights, dtype=float)


def log_joint(rows, mixture):
    """log pi_k + log N(x_n | mu_k, Sigma_k), ``(n, K)`` (Bishop 2006, eq. 9.7)."""
    result = np.full((len(rows), len(mixture.weights)), -np.inf)
    for k, weight in enumerate(mixture.weights):
        if weight > 0:
            density = multivariate_normal(mixture.means[k], mixture.covariances[k])
            result[:, k] = np.log(weight) + density.logpdf(rows)
    return result


def log_likelihood(rows, mixture, row_weights=None):
    """sum_n w_n log p(x_n), nats (Bishop 2006, eq. 9.14)."""
    weights = ones_if_none(row_weights, rows)
    return float(weights @ logsumexp(log_joint(rows, mixture), axis=1))


def e_step(rows, mixture):
    """Responsibilities ``(n, K)``, without the row weights (Bishop 2006, eq. 9.23)."""
    joint = log_joint(rows, mixture)
    return np.exp(joint - logsumexp(joint, axis=1, keepdims=True))


def effective_counts(responsibilities, row_weights):
    """N_k = sum_n w_n r_nk, ``(K,)`` (Bishop 2006, eq. 9.27)."""
    return row_weights @ responsibilities


def weighted_means(rows, responsibilities, row_weights):
    """mu_k = sum_n w_n r_nk x_n / N_k, ``(K, D)`` (Bishop 2006, eq. 9.24)."""
    counts = effective_counts(responsibilities, row_weights)
    return np.array(
        [
            (row_weights * responsibilities[:, k]) @ rows / counts[k]
            for k in range(responsibilities.shape[1])
        ]
    )


def scatter_matrices(rows, responsibilities, row_weights, means):
    """sum_n w_n r_nk (x_n - mu_k)(x_n - mu_k)', ``(K, D, D)`` (Bishop 2006, eq. 9.25)."""
    scatters = []
    for k, mean in enumerate(means):
        centred = rows - mean
        scatters.append((row_weights * responsibilities[:, k] * centred.T) @ centred)
    return np.array(scatters)


def full_covariances(scatters, counts):
    """Sigma_k = scatter_k / N_k (Bishop 2006, eq. 9.25)."""
    return np.array([scatter / count for scatter, count in zip(scatters, counts, strict=True)])


def tied_covariances(scatters, counts):
    """One Sigma = sum_k scatter_k / N for all (Celeux & Govaert 1995, model EEE)."""
    pooled = scatters.sum(axis=0) / counts.sum()
    return np.array([pooled for _ in counts])


def diag_covariances(scatters, counts):
    """The diagonal of scatter_k / N_k (Celeux & Govaert 1995, model VVI)."""
    return np.array(
        [np.diag(np.diag(scatter)) / count for scatter, count in zip(scatters, counts, strict=True)]
    )


def spherical_covariances(scatters, counts):
    """tr(scatter_k) / (D N_k) times the identity (Celeux & Govaert 1995, model VII)."""
    dimension = scatters.shape[1]
    return np.array(
        [
            np.trace(scatter) / (dimension * count) * np.eye(dimension)
            for scatter, count in zip(scatters, counts, strict=True)
        ]
    )


COVARIANCES = {
    "full": full_covariances,
    "tied": tied_covariances,
    "diag": diag_covariances,
    "spherical": spherical_covariances,
}


def m_step(rows, responsibilities, kind, row_weights=None):
    """The maximum likelihood mixture for given responsibilities (Bishop 2006, eq. 9.24-9.26)."""
    weights = ones_if_none(row_weights, rows)
    counts = effective_counts(responsibilities, weights)
    means = weighted_means(rows, responsibilities, weights)
    scatters = scatter_matrices(rows, responsibilities, weights, means)
    return Mixture(counts / weights.sum(), means, COVARIANCES[kind](scatters, counts))


def run_em(rows, responsibilities, kind, n_iterations, row_weights=None):
    """EM from responsibilities, M-step first; the trace is the log likelihood after each M-step."""
    trace = []
    for _ in range(n_iterations):
        mixture = m_step(rows, responsibilities, kind, row_weights)
        trace.append(log_likelihood(rows, mixture, row_weights))
        responsibilities = e_step(rows, mixture)
    return Run(mixture, responsibilities, np.array(trace))


def map_weights(counts, prior):
    """(N_k + alpha0 - 1) / (N + K (alpha0 - 1)): the mode of the Dirichlet posterior."""
    numerators = counts + prior["alpha0"] - 1
    return numerators / numerators.sum()


def map_means(rows, responsibilities, row_weights, prior):
    """(beta0 m0 + sum_n w_n r_nk x_n) / (beta0 + N_k): the mode of the mean, given any Sigma."""
    beta0, m0 = prior["beta0"], np.asarray(prior["m0"])
    counts = effective_counts(responsibilities, row_weights)
    return np.array(
        [
            (beta0 * m0 + (row_weights * responsibilities[:, k]) @ rows) / (beta0 + counts[k])
            for k in range(responsibilities.shape[1])
        ]
    )


def posterior_scatters(rows, responsibilities, row_weights, prior):
    """S_k + beta0 N_k / (beta0 + N_k) d d', d = xbar_k - m0 (Bishop 2006, eq. 10.62)."""
    beta0, m0 = prior["beta0"], np.asarray(prior["m0"])
    counts = effective_counts(responsibilities, row_weights)
    centres = weighted_means(rows, responsibilities, row_weights)
    scatters = scatter_matrices(rows, responsibilities, row_weights, centres)
    for k, count in enumerate(counts):
        shift = centres[k] - m0
        scatters[k] += beta0 * count / (beta0 + count) * np.outer(shift, shift)
    return scatters


def full_map_covariances(scatters, counts, prior):
    """(W0^-1 + A_k) / (nu0 + N_k + D + 2), A_k the posterior scatter (Fraley & Raftery 2007).

    The joint density of (mu, Sigma) has |Sigma| to the power -(nu0 + D + 1)/2 from the inverse
    Wishart, -1/2 from mu | Sigma and -N_k/2 from the rows.
    """
    dimension = scatters.shape[1]
    inverse_scale = np.linalg.inv(prior["W0"])
    return np.array(
        [
            (inverse_scale + scatter) / (prior["nu0"] + count + dimension + 2)
            for scatter, count in zip(scatters, counts, strict=True)
        ]
    )


def tied_map_covariances(scatters, counts, prior):
    """(W0^-1 + sum_k A_k) / (nu0 + N + K + D + 1): K means share the one Sigma."""
    n_components, dimension = scatters.shape[:2]
    numerator = np.linalg.inv(prior["W0"]) + scatters.sum(axis=0)
    pooled = numerator / (prior["nu0"] + counts.sum() + n_components + dimension + 1)
    return np.array([pooled for _ in counts])


def diag_map_covariances(scatters, counts, prior):
    """(1/W0_d + A_kdd) / (nu0 + N_k + 3): the full mode in one dimension, for each column."""
    return np.array(
        [
            np.diag((1 / np.asarray(prior["W0"]) + np.diag(scatter)) / (prior["nu0"] + count + 3))
            for scatter, count in zip(scatters, counts, strict=True)
        ]
    )


def spherical_map_covariances(scatters, counts, prior):
    """(1/W0 + tr A_k) / (nu0 + D N_k + D + 2).

    The variance has the power -(nu0/2 + 1) from its inverse Gamma, -D/2 from mu and -D N_k/2.
    """
    dimension = scatters.shape[1]
    return np.array(
        [
            (1 / prior["W0"] + np.trace(scatter))
            / (prior["nu0"] + dimension * count + dimension + 2)
            * np.eye(dimension)
            for scatter, count in zip(scatters, counts, strict=True)
        ]
    )


MAP_COVARIANCES = {
    "full": full_map_covariances,
    "tied": tied_map_covariances,
    "diag": diag_map_covariances,
    "spherical": spherical_map_covariances,
}


def map_m_step(rows, responsibilities, kind, prior, row_weights=None):
    """The joint mode in (pi, mu, Sigma) for given responsibilities."""
    weights = ones_if_none(row_weights, rows)
    counts = effective_counts(responsibilities, weights)
    means = map_means(rows, responsibilities, weights, prior)
    scatters = posterior_scatters(rows, responsibilities, weights, prior)
    covariances = MAP_COVARIANCES[kind](scatters, counts, prior)
    return Mixture(map_weights(counts, prior), means, covariances)


def log_prior_weights(weights, prior):
    """log Dirichlet(pi | alpha0, ..., alpha0) (Bishop 2006, eq. B.16)."""
    alpha0, n_components = prior["alpha0"], len(weights)
    constant = gammaln(n_components * alpha0) - n_components * gammaln(alpha0)
    return float(constant + xlogy(alpha0 - 1, weights).sum())


def log_prior_covariances(covariances, kind, prior):
    """Log prior density of the covariances, in the free elements of each structure."""
    nu0, scale = prior["nu0"], np.asarray(prior["W0"])
    if kind == "full":
        terms = [invwishart.logpdf(c, nu0, np.linalg.inv(scale)) for c in covariances]
    elif kind == "tied":
        terms = [invwishart.logpdf(covariances[0], nu0, np.linalg.inv(scale))]
    elif kind == "diag":
        terms = [
            invgamma.logpdf(np.diag(c), nu0 / 2, scale=1 / (2 * scale)).sum() for c in covariances
        ]
    else:
        terms = [invgamma.logpdf(c[0, 0], nu0 / 2, scale=1 / (2 * scale)) for c in covariances]
    return float(np.sum(terms))


def log_prior(mixture, kind, prior):
    """Log prior density of (pi, mu, Sigma), every constant kept."""
    means = [
        multivariate_normal.logpdf(mean, prior["m0"], covariance / prior["beta0"])
        for mean, covariance in zip(mixture.means, mixture.covariances, strict=True)
    ]
    return (
        log_prior_weights(mixture.weights, prior)
        + float(np.sum(means))
        + log_prior_covariances(mixture.covariances, kind, prior)
    )


def run_map(rows, responsibilities, kind, prior, n_iterations, row_weights=None):
    """EM for the posterior mode, M-step first; the trace is log likelihood + log prior density."""
    trace = []
    for _ in range(n_iterations):
        mixture = map_m_step(rows, responsibilities, kind, prior, row_weights)
        objective = log_likelihood(rows, mixture, row_weights) + log_prior(mixture, kind, prior)
        trace.append(objective)
        responsibilities = e_step(rows, mixture)
    return Run(mixture, responsibilities, np.array(trace))
