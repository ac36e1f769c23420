"""Merges of a start: their gains, and what they leave."""

import numpy as np
from scipy.special import betaln, multigammaln

import bayesmix as bm
from bayesmix.em.model import resolve
from bayesmix.sources.memory import ArraySource
from bayesmix.starts.agglomeration import _gains, agglomerated
from bayesmix.starts.responsibilities import Given, begun

D, PRIOR = 3, {"mean_precision_prior": 0.5, "degrees_of_freedom_prior": 6.0}


def posed(X, n_components, **parameters):
    estimator = bm.BayesianGaussianMixture(
        n_components,
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1.0,
        **parameters,
    )
    source = ArraySource(X)
    model = estimator._model_of(estimator._model(), source)
    return resolve(model, source, estimator._settings(model, source).among(()))


def log_evidence(X, mean, scale):
    """Murphy 2007, eq. 266: normal observations under a normal-inverse-Wishart prior."""
    n, nu, kappa = len(X), PRIOR["degrees_of_freedom_prior"], PRIOR["mean_precision_prior"]
    away = X.mean(axis=0) - mean
    spread = (X - X.mean(axis=0)).T @ (X - X.mean(axis=0))
    after = scale + spread + kappa * n / (kappa + n) * np.outer(away, away)
    return (
        -0.5 * n * D * np.log(np.pi)
        + multigammaln((nu + n) / 2, D)
        - multigammaln(nu / 2, D)
        + 0.5 * nu * np.linalg.slogdet(scale)[1]
        - 0.5 * (nu + n) * np.linalg.slogdet(after)[1]
        + 0.5 * D * np.log(kappa / (kappa + n))
    )


def test_the_gain_of_a_merge_is_the_difference_of_exact_log_evidences_of_labelled_data():
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(60, D)), np.repeat([0, 1], [25, 35])
    mean, scale = np.full(D, 0.2), np.diag([2.0, 3.0, 4.0])
    problem = posed(X, 2, mean_prior=mean, covariance_prior=scale, **PRIOR)
    shares = np.eye(2)[labels]
    state = begun(problem, Given(shares), 2)
    statistics = state.expectation.statistics
    gain = _gains(problem, state, statistics, shares, np.ones(60), [(0, 1)])
    apart = sum(log_evidence(X[labels == k], mean, scale) for k in (0, 1)) + betaln(26, 36)
    np.testing.assert_allclose(gain, [log_evidence(X, mean, scale) - apart], rtol=1e-9)


def test_merges_leave_the_groups():
    rng = np.random.default_rng(1)
    labels = np.arange(1200) % 6
    X = 20.0 * rng.normal(size=(6, D))[labels] + rng.normal(size=(1200, D))
    mixture = agglomerated(posed(X, 1), 40, seed=0)
    np.testing.assert_allclose(mixture.weights.mean(), np.full(6, 1 / 6), atol=1e-3)


def test_shared_covariances_are_not_merged():
    X = np.random.default_rng(2).normal(size=(200, D))
    assert agglomerated(posed(X, 1, covariance_type="tied"), 40, seed=0) is None
