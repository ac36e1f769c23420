"""Exact evidence and exact posteriors of tiny problems, with closed forms and by enumeration.

With conjugate priors everything but the assignments integrates out, and n rows have K^n
assignments: a sum over all of them is exact. A *family* here is a function of the rows that
returns a function ``assignment -> log p(X | Z)``; a *weight prior* is a function
``counts -> log p(Z)``. For the Gaussian prior see the docstring of this folder.

Sources: Bishop 2006, sec. 2.3.6 and app. B; Connor & Mosimann 1969 (generalized Dirichlet);
Ishwaran & James 2001 (truncated stick breaking).
"""

from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.special import betaln, gammaln, logsumexp, multigammaln, xlogy

# One component: statistics and closed forms


def moments(rows, row_weights=None):
    """Count, mean ``(D,)`` and scatter about the mean ``(D, D)`` of repeated rows."""
    weights = np.ones(len(rows)) if row_weights is None else np.asarray(row_weights, dtype=float)
    count = weights.sum()
    if count == 0:
        return 0.0, np.zeros(rows.shape[1]), np.zeros((rows.shape[1], rows.shape[1]))
    mean = weights @ rows / count
    centred = rows - mean
    return count, mean, (weights * centred.T) @ centred


def precision_weighted_scatter(rows, prior, row_weights=None):
    """N and A = S + beta0 N / (beta0 + N) d d', d = xbar - m0.

    Integrating mu out of prod_n N(x_n | mu, Lambda^-1) N(mu | m0, (beta0 Lambda)^-1) leaves
    (2 pi)^(-N D / 2) |Lambda|^(N / 2) (beta0 / (beta0 + N))^(D / 2) exp(-tr(Lambda A) / 2).
    """
    count, mean, scatter = moments(rows, row_weights)
    shift = mean - np.asarray(prior["m0"])
    beta0 = prior["beta0"]
    return count, scatter + beta0 * count / (beta0 + count) * np.outer(shift, shift)


def log_mean_factor(count, dimension, beta0):
    """log of (2 pi)^(-N D / 2) (beta0 / (beta0 + N))^(D / 2): what integrating mu out leaves."""
    shrinkage = np.log(beta0) - np.log(beta0 + count)
    return 0.5 * dimension * (shrinkage - count * np.log(2 * np.pi))


def log_wishart_integral(scale_inverse, degrees_of_freedom):
    """log of the integral of |Lambda|^((nu - D - 1)/2) exp(-tr(W^-1 Lambda)/2) dLambda.

    = nu D/2 log 2 + log Gamma_D(nu/2) - nu/2 log |W^-1| (Bishop 2006, eq. B.78 and B.79).
    """
    dimension = len(scale_inverse)
    half = degrees_of_freedom / 2
    log_determinant = np.linalg.slogdet(scale_inverse)[1]
    return half * dimension * np.log(2) + multigammaln(half, dimension) - half * log_determinant


def log_gamma_integral(scale_inverse, degrees_of_freedom):
    """log of the integral of lambda^(nu/2 - 1) exp(-a lambda / 2) dlambda (Bishop 2006, B.26)."""
    half = degrees_of_freedom / 2
    return gammaln(half) - half * np.log(scale_inverse / 2)


def log_evidence_full(scatters, counts, prior):
    """log p(X | Z) where each component has its own Wishart, given the A_k and N_k.

    prod_k (2 pi)^(-N_k D/2) (beta0/(beta0 + N_k))^(D/2) I(W0^-1 + A_k, nu0 + N_k) / I(W0^-1, nu0),
    I as in `log_wishart_integral`.
    """
    dimension = len(prior["m0"])
    inverse = np.linalg.inv(prior["W0"])
    total = 0.0
    for scatter, count in zip(scatters, counts, strict=True):
        total += log_mean_factor(count, dimension, prior["beta0"])
        total += log_wishart_integral(inverse + scatter, prior["nu0"] + count)
        total -= log_wishart_integral(inverse, prior["nu0"])
    return float(total)


def log_evidence_tied(scatters, counts, prior):
    """log p(X | Z) where all components share one Lambda ~ Wishart(W0, nu0).

    Given Lambda the components are independent, and each mean integrates out by itself::

        p(X_k | Lambda) = (2 pi)^(-N_k D/2) (beta0/(beta0 + N_k))^(D/2)
                          |Lambda|^(N_k/2) exp(-tr(Lambda A_k)/2)

    with A_k = S_k + beta0 N_k/(beta0 + N_k) d_k d_k'. Their product has |Lambda|^(N/2) and
    exp(-tr(Lambda sum_k A_k)/2), N = sum_k N_k, so the one integral that is left is::

        int Wishart(Lambda | W0, nu0) |Lambda|^(N/2) exp(-tr(Lambda sum_k A_k)/2) dLambda
            = I(W0^-1 + sum_k A_k, nu0 + N) / I(W0^-1, nu0)

    with I(V, nu) = int |Lambda|^((nu - D - 1)/2) exp(-tr(V Lambda)/2) dLambda. It couples the
    components: the result is not a product over k. An empty component has N_k = 0, A_k = 0 and the
    factor one, and with a single component this is the full evidence.
    """
    dimension = len(prior["m0"])
    inverse = np.linalg.inv(prior["W0"])
    total = sum(log_mean_factor(count, dimension, prior["beta0"]) for count in counts)
    total += log_wishart_integral(inverse + sum(scatters), prior["nu0"] + sum(counts))
    total -= log_wishart_integral(inverse, prior["nu0"])
    return float(total)


def log_evidence_diag(scatters, counts, prior):
    """log p(X | Z) with lambda_kd ~ Gamma(nu0/2, rate 1/(2 W0_d)).

    Given Z the columns are independent: `log_evidence_full` in one dimension for each.
    """
    dimension = len(prior["m0"])
    inverse = 1 / np.asarray(prior["W0"])
    total = 0.0
    for scatter, count in zip(scatters, counts, strict=True):
        total += log_mean_factor(count, dimension, prior["beta0"])
        for d in range(dimension):
            total += log_gamma_integral(inverse[d] + scatter[d, d], prior["nu0"] + count)
            total -= log_gamma_integral(inverse[d], prior["nu0"])
    return float(total)


def log_evidence_spherical(scatters, counts, prior):
    """log p(X | Z) with lambda_k ~ Gamma(nu0/2, rate 1/(2 W0)) for all D columns.

    |Lambda|^(N_k/2) is lambda^(D N_k/2): D N_k degrees of freedom, and the trace of A_k.
    """
    dimension = len(prior["m0"])
    inverse = 1 / prior["W0"]
    total = 0.0
    for scatter, count in zip(scatters, counts, strict=True):
        total += log_mean_factor(count, dimension, prior["beta0"])
        total += log_gamma_integral(inverse + np.trace(scatter), prior["nu0"] + dimension * count)
        total -= log_gamma_integral(inverse, prior["nu0"])
    return float(total)


def log_evidence_eii(scatters, counts, prior):
    """log p(X | Z) where all components and columns share one lambda ~ Gamma(nu0/2, 1/(2 W0)).

    As `log_evidence_tied`, with the one integral over lambda: D N degrees of freedom, all traces.
    """
    dimension = len(prior["m0"])
    total = sum(log_mean_factor(count, dimension, prior["beta0"]) for count in counts)
    inverse, squares = 1 / prior["W0"], sum(np.trace(scatter) for scatter in scatters)
    total += log_gamma_integral(inverse + squares, prior["nu0"] + dimension * sum(counts))
    return float(total - log_gamma_integral(inverse, prior["nu0"]))


def log_evidence_eei(scatters, counts, prior):
    """log p(X | Z) where components share lambda_d: `log_evidence_tied` column by column."""
    dimension = len(prior["m0"])
    total = sum(log_mean_factor(count, dimension, prior["beta0"]) for count in counts)
    inverse, scatter = 1 / np.asarray(prior["W0"]), sum(scatters)
    for d in range(dimension):
        total += log_gamma_integral(inverse[d] + scatter[d, d], prior["nu0"] + sum(counts))
        total -= log_gamma_integral(inverse[d], prior["nu0"])
    return float(total)


GAUSSIAN_EVIDENCE = {
    "full": log_evidence_full,
    "tied": log_evidence_tied,
    "diag": log_evidence_diag,
    "spherical": log_evidence_spherical,
    "EII": log_evidence_eii,
    "EEI": log_evidence_eei,
}


def gaussian_log_evidence(rows, kind, prior, row_weights=None):
    """Exact log evidence of one Gaussian component (Murphy 2007, eq. 266 for ``full``)."""
    count, scatter = precision_weighted_scatter(np.asarray(rows, dtype=float), prior, row_weights)
    return GAUSSIAN_EVIDENCE[kind]([scatter], [count], prior)


def bernoulli_log_evidence(rows, a, b, row_weights=None):
    """sum_d log B(a_d + s_d, b_d + N - s_d) - log B(a_d, b_d), p_d ~ Beta(a_d, b_d).

    s_d counts the ones (Bishop 2006, sec. 2.1.1). ``a`` and ``b`` are numbers or ``(D,)``.
    """
    rows = np.asarray(rows, dtype=float)
    weights = np.ones(len(rows)) if row_weights is None else np.asarray(row_weights, dtype=float)
    ones = weights @ rows
    zeros = weights @ (1 - rows)
    return float(np.sum(betaln(a + ones, b + zeros) - betaln(a, b)))


def poisson_log_evidence(rows, shape, rate, row_weights=None):
    """Exact log evidence with rate_d ~ Gamma(shape_d, rate_d), x! included.

    sum_d shape log rate - log Gamma(shape) + log Gamma(shape + s_d)
    - (shape + s_d) log(rate + N) - sum_n w_n log x_nd!, s_d the sum of column d.
    """
    rows = np.asarray(rows, dtype=float)
    weights = np.ones(len(rows)) if row_weights is None else np.asarray(row_weights, dtype=float)
    totals = weights @ rows
    prior_term = shape * np.log(rate) - gammaln(shape)
    posterior_term = gammaln(shape + totals) - (shape + totals) * np.log(rate + weights.sum())
    return float(np.sum(prior_term + posterior_term) - np.sum(weights @ gammaln(rows + 1)))


def exponential_log_evidence(rows, shape, rate, row_weights=None):
    """Exact log evidence with rate_d ~ Gamma(shape_d, rate_d).

    sum_d shape log rate - log Gamma(shape) + log Gamma(shape + N) - (shape + N) log(rate + s_d).
    """
    rows = np.asarray(rows, dtype=float)
    weights = np.ones(len(rows)) if row_weights is None else np.asarray(row_weights, dtype=float)
    n, totals = weights.sum(), weights @ rows
    prior_term = shape * np.log(rate) - gammaln(shape)
    posterior_term = gammaln(shape + n) - (shape + n) * np.log(rate + totals)
    return float(np.sum(prior_term + posterior_term))


# Families: rows -> (assignment -> log p(X | Z))


def members(assignment, n_components):
    """For each component the tuple of its rows."""
    return [tuple(np.flatnonzero(np.asarray(assignment) == k)) for k in range(n_components)]


def gaussian_family(kind, prior, n_components):
    """Family of Gaussian components with conjugate prior."""

    def given_rows(rows):
        @cache
        def statistics(inside):
            return precision_weighted_scatter(rows[list(inside)], prior)

        def log_likelihood(assignment):
            pairs = [statistics(inside) for inside in members(assignment, n_components)]
            counts, scatters = zip(*pairs, strict=True)
            return GAUSSIAN_EVIDENCE[kind](scatters, counts, prior)

        return log_likelihood

    return given_rows


def independent_family(log_evidence, n_components):
    """Family whose components have independent parameters: log p(X | Z) is a sum over them."""

    def given_rows(rows):
        @cache
        def one(inside):
            return log_evidence(rows[list(inside)])

        return lambda assignment: sum(one(inside) for inside in members(assignment, n_components))

    return given_rows


def bernoulli_family(a, b, n_components):
    """Family of products of Bernoullis with Beta(a, b) priors."""
    return independent_family(lambda rows: bernoulli_log_evidence(rows, a, b), n_components)


def poisson_family(shape, rate, n_components):
    """Family of products of Poissons with Gamma(shape, rate) priors."""
    return independent_family(lambda rows: poisson_log_evidence(rows, shape, rate), n_components)


# Weight priors: counts (K,) -> log p(Z)


def dirichlet_weights(alpha0):
    """Symmetric Dirichlet weights integrated out.

    Gamma(K a)/Gamma(K a + n) prod_k Gamma(a + n_k)/Gamma(a) (Bishop 2006, eq. B.16).
    """

    def log_assignment(counts):
        total = len(counts) * alpha0
        normaliser = gammaln(total) - gammaln(total + np.sum(counts))
        return float(normaliser + np.sum(gammaln(alpha0 + counts) - gammaln(alpha0)))

    return log_assignment


def stick_weights(alpha0):
    """Truncated stick breaking with v_K = 1, v_k ~ Beta(1, alpha0), integrated out.

    prod_{k<K} v_k^{n_k} (1 - v_k)^{n_{>k}} has the mean prod_{k<K} B(1 + n_k, alpha0 + n_{>k}) /
    B(1, alpha0): the weights are a generalized Dirichlet (Connor & Mosimann 1969).
    """

    def log_assignment(counts):
        total = 0.0
        for k in range(len(counts) - 1):
            later = np.sum(counts[k + 1 :])
            total += betaln(1 + counts[k], alpha0 + later) - betaln(1, alpha0)
        return float(total)

    return log_assignment


def fixed_weights(weights):
    """Given weights: sum_k n_k log pi_k, and a weight of zero with no rows counts nothing."""
    return lambda counts: float(np.sum(xlogy(counts, np.asarray(weights, dtype=float))))


def chain_paths(alpha0, starts):
    """Paths of a Markov chain with Dirichlet first state and rows, integrated out: Z -> log p(Z).

    The counts of first states and of the transitions from each state are Dirichlet-multinomial.
    """

    def log_path(path, n_components):
        log_row = dirichlet_weights(alpha0)
        moves = np.zeros((n_components, n_components))
        inside = np.setdiff1d(np.arange(1, len(path)), starts)
        np.add.at(moves, (path[inside - 1], path[inside]), 1)
        return log_row(counts_of(path[starts], n_components)) + sum(map(log_row, moves))

    return log_path


# Enumeration


class Enumeration(NamedTuple):
    """All assignments ``(K^n, n)`` with their log p(X, Z) ``(K^n,)``."""

    assignments: np.ndarray
    log_joint: np.ndarray
    n_components: int

    @property
    def log_evidence(self):
        """log p(X), nats."""
        return float(logsumexp(self.log_joint))

    @property
    def probabilities(self):
        """p(Z | X), ``(K^n,)``."""
        return np.exp(self.log_joint - self.log_evidence)


def counts_of(assignment, n_components):
    """Rows of each component, ``(K,)``."""
    return np.bincount(assignment, minlength=n_components)


def enumerate_assignments(rows, n_components, family, log_weight_prior):
    """Every assignment of n rows to K components with its log p(X, Z)."""
    rows = np.asarray(rows, dtype=float)
    log_likelihood = family(rows)
    assignments = np.array(list(product(range(n_components), repeat=len(rows))))
    log_joint = [
        log_weight_prior(counts_of(assignment, n_components)) + log_likelihood(assignment)
        for assignment in assignments
    ]
    return Enumeration(assignments, np.array(log_joint), n_components)


def enumerate_paths(rows, n_components, family, log_path):
    """Every path of a hidden Markov model with its log p(X, Z)."""
    free = enumerate_assignments(rows, n_components, family, lambda counts: 0.0)
    of_paths = np.array([log_path(path, n_components) for path in free.assignments])
    return free._replace(log_joint=free.log_joint + of_paths)


def log_evidence(rows, n_components, family, log_weight_prior):
    """Exact log p(X), weights and parameters and assignments summed out."""
    return enumerate_assignments(rows, n_components, family, log_weight_prior).log_evidence


def co_clustering(enumeration):
    """Probability that rows i and j are in the same component, ``(n, n)``."""
    assignments = enumeration.assignments
    together = assignments[:, :, None] == assignments[:, None, :]
    return np.tensordot(enumeration.probabilities, together, axes=1)


def occupied_distribution(enumeration):
    """Probability of 0, 1, ..., K occupied components, ``(K + 1,)``."""
    occupied = np.array([len(np.unique(assignment)) for assignment in enumeration.assignments])
    return np.bincount(
        occupied, weights=enumeration.probabilities, minlength=enumeration.n_components + 1
    )


def expected_counts(enumeration):
    """E[N_k | X], ``(K,)``; with exchangeable weights all are n / K."""
    counts = [counts_of(z, enumeration.n_components) for z in enumeration.assignments]
    return enumeration.probabilities @ np.array(counts)


def log_predictive(new_rows, rows, n_components, family, log_weight_prior):
    """Exact log posterior predictive density of each new row by itself, ``(n_new,)``.

    p(x | X) = sum_Z p(Z | X) sum_k p(k | Z) p(x | k, Z, X), where p(k | Z) p(x | k, Z, X) is
    p(X, x, Z, k) / p(X, Z).
    """
    rows = np.asarray(rows, dtype=float)
    base = enumerate_assignments(rows, n_components, family, log_weight_prior)
    result = []
    for new_row in np.asarray(new_rows, dtype=float):
        extended_likelihood = family(np.vstack([rows, new_row]))
        terms = []
        for assignment in base.assignments:
            for k in range(n_components):
                extended = np.append(assignment, k)
                weight = log_weight_prior(counts_of(extended, n_components))
                terms.append(weight + extended_likelihood(extended))
        result.append(logsumexp(terms) - base.log_evidence)
    return np.array(result)
