"""Variational Gaussian mixtures, every step and every term of the bound written out.

Bishop 2006, sec. 10.2, for four covariance structures, each with its own conjugate posterior, and
four treatments of the weights: ``dirichlet``; ``ml``, point weights by type-II maximum likelihood
(Corduneanu & Bishop 2001); ``dp_closed``, stick breaking with v_K = 1 (Blei & Jordan 2006); ``dp``,
the same with K free sticks. The posterior q is a dictionary in Bishop's letters: ``beta``, ``m``,
``nu``, ``W`` and ``alpha``, ``pi`` or ``v_a``, ``v_b``; tied has one ``nu`` and one ``W``.
For the prior see the docstring of this folder.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import digamma, gammaln, logsumexp, xlogy
from scipy.stats import multivariate_t
from scipy.stats import t as student_t

WEIGHT_KINDS = ("dirichlet", "ml", "dp_closed", "dp")


class Run(NamedTuple):
    """The bound after each M-step and each E-step, the last q and its responsibilities."""

    elbo_after_M: np.ndarray
    elbo_after_E: np.ndarray
    q: dict
    responsibilities: np.ndarray


def ones_if_none(row_weights, rows):
    """The row weights as floats, ``(n,)``."""
    return np.ones(len(rows)) if row_weights is None else np.asarray(row_weights, dtype=float)


def effective_counts(responsibilities, row_weights):
    """N_k = sum_n w_n r_nk, ``(K,)`` (Bishop 2006, eq. 10.51)."""
    return row_weights @ responsibilities


# The posterior of the means and precisions


def posterior_means(rows, responsibilities, row_weights, prior):
    """beta_k ``(K,)`` and m_k ``(K, D)`` (Bishop 2006, eq. 10.60 and 10.61)."""
    counts = effective_counts(responsibilities, row_weights)
    precisions = prior["beta0"] + counts
    means = [
        (prior["beta0"] * np.asarray(prior["m0"]) + (row_weights * responsibilities[:, k]) @ rows)
        / precisions[k]
        for k in range(len(counts))
    ]
    return precisions, np.array(means)


def posterior_scatters(rows, responsibilities, row_weights, prior):
    """N_k S_k + beta0 N_k / (beta0 + N_k) d d', ``(K, D, D)``, with d = xbar_k - m0.

    Bishop 2006, eq. 10.52, 10.53 and the last terms of 10.62. A component without rows has zero.
    """
    beta0, m0 = prior["beta0"], np.asarray(prior["m0"])
    scatters = []
    for k, count in enumerate(effective_counts(responsibilities, row_weights)):
        if count == 0:
            scatters.append(np.zeros((len(m0), len(m0))))
            continue
        share = row_weights * responsibilities[:, k]
        centre = share @ rows / count
        centred = rows - centre
        shift = centre - m0
        within = (share * centred.T) @ centred
        scatters.append(within + beta0 * count / (beta0 + count) * np.outer(shift, shift))
    return np.array(scatters)


def full_posterior(scatters, counts, prior):
    """nu_k and W_k of one Wishart for each component (Bishop 2006, eq. 10.62 and 10.63)."""
    inverse_scale = np.linalg.inv(prior["W0"])
    scales = np.array([np.linalg.inv(inverse_scale + scatter) for scatter in scatters])
    return prior["nu0"] + counts, scales


def tied_posterior(scatters, counts, prior):
    """nu and W of the one Wishart: N degrees of freedom and all scatters."""
    scale = np.linalg.inv(np.linalg.inv(prior["W0"]) + scatters.sum(axis=0))
    return prior["nu0"] + counts.sum(), scale


def diag_posterior(scatters, counts, prior):
    """lambda_kd ~ Gamma(nu_k / 2, rate 1 / (2 W_kd)): eq. 10.62 and 10.63 for each column."""
    scales = [1 / (1 / np.asarray(prior["W0"]) + np.diag(scatter)) for scatter in scatters]
    return prior["nu0"] + counts, np.array(scales)


def spherical_posterior(scatters, counts, prior):
    """lambda_k ~ Gamma(nu_k / 2, rate 1 / (2 W_k)): D N_k degrees of freedom and the trace."""
    scales = [1 / (1 / prior["W0"] + np.trace(scatter)) for scatter in scatters]
    return prior["nu0"] + scatters.shape[1] * counts, np.array(scales)


PRECISION_POSTERIORS = {
    "full": full_posterior,
    "tied": tied_posterior,
    "diag": diag_posterior,
    "spherical": spherical_posterior,
}


# The posterior of the weights


def sticks_posterior(counts, prior):
    """q(v_k) = Beta(1 + N_k, alpha0 + sum_{j>k} N_j) (Blei & Jordan 2006, eq. 18 and 19)."""
    later = np.array([counts[k + 1 :].sum() for k in range(len(counts))])
    return 1 + counts, prior["alpha0"] + later


def weights_posterior(weights_kind, counts, prior):
    """The part of q that belongs to the weights (Bishop 2006, eq. 10.58 for ``dirichlet``)."""
    if weights_kind == "dirichlet":
        return {"alpha": prior["alpha0"] + counts}
    if weights_kind == "ml":
        return {"pi": counts / counts.sum()}
    first, second = sticks_posterior(counts, prior)
    n_sticks = len(counts) - 1 if weights_kind == "dp_closed" else len(counts)
    return {"v_a": first[:n_sticks], "v_b": second[:n_sticks]}


def m_step(rows, responsibilities, kind, weights_kind, prior, row_weights=None):
    """q(pi, mu, Lambda) for given responsibilities (Bishop 2006, eq. 10.57-10.63)."""
    row_weights = ones_if_none(row_weights, rows)
    counts = effective_counts(responsibilities, row_weights)
    beta, means = posterior_means(rows, responsibilities, row_weights, prior)
    scatters = posterior_scatters(rows, responsibilities, row_weights, prior)
    degrees_of_freedom, scales = PRECISION_POSTERIORS[kind](scatters, counts, prior)
    return {
        "kind": kind,
        "weights": weights_kind,
        "beta": beta,
        "m": means,
        "nu": degrees_of_freedom,
        "W": scales,
    } | weights_posterior(weights_kind, counts, prior)


# Expectations under q


def scale_and_dof(q, k):
    """W and nu of component k; a tied structure has the same for all."""
    return (q["W"], q["nu"]) if q["kind"] == "tied" else (q["W"][k], q["nu"][k])


def expected_log_determinant(scale, degrees_of_freedom, kind, dimension):
    """E[log |Lambda|] (Bishop 2006, eq. 10.65 and B.81; Gamma: eq. B.30 for each precision)."""
    if kind in ("full", "tied"):
        digammas = sum(digamma((degrees_of_freedom - d) / 2) for d in range(dimension))
        return digammas + dimension * np.log(2) + np.linalg.slogdet(scale)[1]
    if kind == "diag":
        return np.sum(digamma(degrees_of_freedom / 2) + np.log(2 * scale))
    return dimension * (digamma(degrees_of_freedom / 2) + np.log(2 * scale))


def expected_precision(scale, degrees_of_freedom, kind, dimension):
    """E[Lambda] = nu W as a matrix ``(D, D)`` (Bishop 2006, eq. B.80)."""
    if kind in ("full", "tied"):
        return degrees_of_freedom * np.asarray(scale)
    return degrees_of_freedom * np.diag(np.broadcast_to(scale, dimension))


def expected_log_density(rows, q):
    """E[log N(x_n | mu_k, Lambda_k^-1)], ``(n, K)`` (Bishop 2006, eq. 10.46 and 10.64)."""
    dimension = rows.shape[1]
    columns = []
    for k, mean in enumerate(q["m"]):
        scale, dof = scale_and_dof(q, k)
        log_determinant = expected_log_determinant(scale, dof, q["kind"], dimension)
        precision = expected_precision(scale, dof, q["kind"], dimension)
        centred = rows - mean
        quadratic = dimension / q["beta"][k] + np.sum((centred @ precision) * centred, axis=1)
        columns.append(0.5 * (log_determinant - dimension * np.log(2 * np.pi) - quadratic))
    return np.column_stack(columns)


def expected_log_sticks(q):
    """E[log v_k] and E[log(1 - v_k)] under the Beta factors."""
    total = digamma(q["v_a"] + q["v_b"])
    return digamma(q["v_a"]) - total, digamma(q["v_b"]) - total


def expected_log_weights(q):
    """E[log pi_k], ``(K,)`` (Bishop 2006, eq. 10.66; sticks: Blei & Jordan 2006, sec. 3.2)."""
    if q["weights"] == "dirichlet":
        return digamma(q["alpha"]) - digamma(np.sum(q["alpha"]))
    if q["weights"] == "ml":
        return np.array([np.log(weight) if weight > 0 else -np.inf for weight in q["pi"]])
    log_stick, log_rest = expected_log_sticks(q)
    result = []
    for k in range(len(q["beta"])):
        own = log_stick[k] if k < len(log_stick) else 0.0
        result.append(own + np.sum(log_rest[:k]))
    return np.array(result)


def mean_weights(q):
    """E[pi_k], ``(K,)``; with ``dp`` they sum to less than one."""
    if q["weights"] == "dirichlet":
        return q["alpha"] / np.sum(q["alpha"])
    if q["weights"] == "ml":
        return np.asarray(q["pi"])
    stick = q["v_a"] / (q["v_a"] + q["v_b"])
    rest = q["v_b"] / (q["v_a"] + q["v_b"])
    result = []
    for k in range(len(q["beta"])):
        own = stick[k] if k < len(stick) else 1.0
        result.append(own * np.prod(rest[:k]))
    return np.array(result)


def e_step(rows, q):
    """Responsibilities ``(n, K)`` (Bishop 2006, eq. 10.46 and 10.49)."""
    log_rho = expected_log_weights(q) + expected_log_density(rows, q)
    return np.exp(log_rho - logsumexp(log_rho, axis=1, keepdims=True))


# The bound, term by term


def expected_log_p_data(rows, responsibilities, row_weights, q):
    """E[ln p(X | Z, mu, Lambda)] (Bishop 2006, eq. 10.71)."""
    shares = row_weights[:, None] * responsibilities
    return float(np.sum(shares * expected_log_density(rows, q)))


def expected_log_p_assignments(responsibilities, row_weights, q):
    """E[ln p(Z | pi)] (Bishop 2006, eq. 10.72); a weight of zero holds no rows."""
    counts = effective_counts(responsibilities, row_weights)
    terms = [
        count * expected if count > 0 else 0.0
        for count, expected in zip(counts, expected_log_weights(q), strict=True)
    ]
    return float(np.sum(terms))


def expected_log_q_assignments(responsibilities, row_weights):
    """E[ln q(Z)] (Bishop 2006, eq. 10.75)."""
    return float(row_weights @ xlogy(responsibilities, responsibilities).sum(axis=1))


def log_dirichlet_constant(concentrations):
    """ln C(alpha) (Bishop 2006, eq. B.23)."""
    return gammaln(np.sum(concentrations)) - np.sum(gammaln(concentrations))


def log_beta_constant(first, second):
    """ln of Gamma(a + b) / (Gamma(a) Gamma(b)) (Bishop 2006, eq. B.6)."""
    return gammaln(first + second) - gammaln(first) - gammaln(second)


def expected_log_p_weights(q, prior):
    """E[ln p(pi)], or of the sticks Beta(1, alpha0) (Bishop 2006, eq. 10.73); point weights: 0."""
    alpha0 = prior["alpha0"]
    if q["weights"] == "ml":
        return 0.0
    if q["weights"] == "dirichlet":
        constant = log_dirichlet_constant(np.full(len(q["alpha"]), alpha0))
        return float(constant + (alpha0 - 1) * np.sum(expected_log_weights(q)))
    _, log_rest = expected_log_sticks(q)
    return float(np.sum(log_beta_constant(1.0, alpha0) + (alpha0 - 1) * log_rest))


def expected_log_q_weights(q):
    """E[ln q(pi)], or of the sticks (Bishop 2006, eq. 10.76); point weights: 0."""
    if q["weights"] == "ml":
        return 0.0
    if q["weights"] == "dirichlet":
        expected = expected_log_weights(q)
        return float(np.sum((q["alpha"] - 1) * expected) + log_dirichlet_constant(q["alpha"]))
    log_stick, log_rest = expected_log_sticks(q)
    first, second = q["v_a"], q["v_b"]
    constant = log_beta_constant(first, second)
    return float(np.sum(constant + (first - 1) * log_stick + (second - 1) * log_rest))


def expected_log_p_means(q, prior):
    """sum_k E[ln N(mu_k | m0, (beta0 Lambda_k)^-1)], the first part of eq. 10.74."""
    beta0, m0 = prior["beta0"], np.asarray(prior["m0"])
    dimension, total = len(m0), 0.0
    for k, mean in enumerate(q["m"]):
        scale, dof = scale_and_dof(q, k)
        log_determinant = expected_log_determinant(scale, dof, q["kind"], dimension)
        precision = expected_precision(scale, dof, q["kind"], dimension)
        quadratic = dimension / q["beta"][k] + (mean - m0) @ precision @ (mean - m0)
        total += 0.5 * (dimension * np.log(beta0 / (2 * np.pi)) + log_determinant)
        total -= 0.5 * beta0 * quadratic
    return float(total)


def expected_log_q_means(q):
    """sum_k E[ln N(mu_k | m_k, (beta_k Lambda_k)^-1)], the first part of eq. 10.77."""
    dimension, total = len(q["m"][0]), 0.0
    for k, beta in enumerate(q["beta"]):
        scale, dof = scale_and_dof(q, k)
        log_determinant = expected_log_determinant(scale, dof, q["kind"], dimension)
        total += 0.5 * (dimension * np.log(beta / (2 * np.pi)) + log_determinant - dimension)
    return float(total)


def log_wishart_constant(scale, degrees_of_freedom):
    """ln B(W, nu) (Bishop 2006, eq. B.79)."""
    dimension = len(scale)
    gammas = sum(gammaln((degrees_of_freedom - d) / 2) for d in range(dimension))
    return (
        -degrees_of_freedom / 2 * np.linalg.slogdet(scale)[1]
        - degrees_of_freedom * dimension / 2 * np.log(2)
        - dimension * (dimension - 1) / 4 * np.log(np.pi)
        - gammas
    )


def expected_log_wishart(of_scale, of_dof, scale, degrees_of_freedom):
    """E[ln Wishart(Lambda | W, nu)] for Lambda ~ Wishart(``of_scale``, ``of_dof``)."""
    dimension = len(scale)
    log_determinant = expected_log_determinant(of_scale, of_dof, "full", dimension)
    trace = np.trace(np.linalg.solve(scale, expected_precision(of_scale, of_dof, "full", None)))
    constant = log_wishart_constant(scale, degrees_of_freedom)
    return constant + (degrees_of_freedom - dimension - 1) / 2 * log_determinant - trace / 2


def expected_log_gamma(of_scale, of_dof, scale, degrees_of_freedom):
    """E[ln Gamma(lambda | nu / 2, rate 1 / (2 W))] for lambda ~ Gamma(dof / 2, 1 / (2 scale))."""
    shape, rate = degrees_of_freedom / 2, 1 / (2 * scale)
    expected_log = digamma(of_dof / 2) + np.log(2 * of_scale)
    constant = shape * np.log(rate) - gammaln(shape)
    return constant + (shape - 1) * expected_log - rate * of_dof * of_scale


def expected_log_precisions(q, scale, degrees_of_freedom):
    """E_q[ln p(Lambda)] for a list of priors or of q's own factors, summed over what is free.

    ``scale`` and ``degrees_of_freedom`` hold one entry for each component; tied uses the first.
    """
    if q["kind"] == "tied":
        return float(expected_log_wishart(q["W"], q["nu"], scale[0], degrees_of_freedom[0]))
    total = 0.0
    for k in range(len(q["beta"])):
        of_scale, of_dof = scale_and_dof(q, k)
        log_density = expected_log_wishart if q["kind"] == "full" else expected_log_gamma
        total += np.sum(log_density(of_scale, of_dof, scale[k], degrees_of_freedom[k]))
    return float(total)


def expected_log_p_precisions(q, prior):
    """E[ln p(Lambda)], the second part of eq. 10.74."""
    n_components = len(q["beta"])
    scale = [np.asarray(prior["W0"])] * n_components
    return expected_log_precisions(q, scale, [prior["nu0"]] * n_components)


def expected_log_q_precisions(q):
    """E[ln q(Lambda)], the second part of eq. 10.77."""
    factors = [scale_and_dof(q, k) for k in range(len(q["beta"]))]
    return expected_log_precisions(q, [f[0] for f in factors], [f[1] for f in factors])


def elbo_terms(rows, responsibilities, q, prior, row_weights=None):
    """The terms of the bound by name (Bishop 2006, eq. 10.70), no constant dropped."""
    row_weights = ones_if_none(row_weights, rows)
    return {
        "E_ln_p_X": expected_log_p_data(rows, responsibilities, row_weights, q),
        "E_ln_p_Z": expected_log_p_assignments(responsibilities, row_weights, q),
        "E_ln_p_mu": expected_log_p_means(q, prior),
        "E_ln_q_mu": expected_log_q_means(q),
        "E_ln_p_Lambda": expected_log_p_precisions(q, prior),
        "E_ln_q_Lambda": expected_log_q_precisions(q),
        "E_ln_q_Z": expected_log_q_assignments(responsibilities, row_weights),
        "E_ln_p_pi": expected_log_p_weights(q, prior),
        "E_ln_q_pi": expected_log_q_weights(q),
    }


def elbo(rows, responsibilities, q, prior, row_weights=None):
    """The evidence lower bound, nats: the p terms less the q terms (Bishop 2006, eq. 10.70)."""
    terms = elbo_terms(rows, responsibilities, q, prior, row_weights)
    return sum(-value if "_q_" in name else value for name, value in terms.items())


def run_vb(rows, responsibilities, kind, weights_kind, prior, n_iterations, row_weights=None):
    """Coordinate ascent from responsibilities, M-step first.

    The value after an M-step uses the old responsibilities and the new q.
    """
    after_m, after_e = [], []
    for _ in range(n_iterations):
        q = m_step(rows, responsibilities, kind, weights_kind, prior, row_weights)
        after_m.append(elbo(rows, responsibilities, q, prior, row_weights))
        responsibilities = e_step(rows, q)
        after_e.append(elbo(rows, responsibilities, q, prior, row_weights))
    return Run(np.array(after_m), np.array(after_e), q, responsibilities)


# The predictive density


def log_component_predictive(rows, q, k):
    """Log predictive density of component k, ``(n,)``.

    Full and tied: multivariate t with nu + 1 - D degrees of freedom (Bishop 2006, eq. 10.81-10.82).
    Diag: a product of univariate t with nu_k. Spherical: multivariate t with nu_k.
    """
    dimension = rows.shape[1]
    scale, dof = scale_and_dof(q, k)
    spread = (1 + q["beta"][k]) / q["beta"][k]
    if q["kind"] in ("full", "tied"):
        freedom = dof + 1 - dimension
        shape = spread / freedom * np.linalg.inv(scale)
        return np.atleast_1d(multivariate_t.logpdf(rows, q["m"][k], shape, df=freedom))
    if q["kind"] == "diag":
        width = np.sqrt(spread / (dof * scale))
        return student_t.logpdf(rows, dof, loc=q["m"][k], scale=width).sum(axis=1)
    shape = spread / (dof * scale) * np.eye(dimension)
    return np.atleast_1d(multivariate_t.logpdf(rows, q["m"][k], shape, df=dof))


def log_predictive(rows, q):
    """Log predictive density with weights E[pi_k], ``(n,)`` (Bishop 2006, eq. 10.78-10.81)."""
    terms = [
        np.log(weight) + log_component_predictive(rows, q, k)
        for k, weight in enumerate(mean_weights(q))
        if weight > 0
    ]
    return logsumexp(terms, axis=0)
