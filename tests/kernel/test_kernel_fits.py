"""Fits by the kernel alone: ``fit(Model, source)`` beside densities by SciPy."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from bayesmix.core.rows import SideInformation
from bayesmix.em.model import MaximumLikelihood, Model, Settings
from bayesmix.em.run import Change
from bayesmix.em.under_a_prior import MaximumAPosteriori, VariationalBayes
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.search.fit import fit
from bayesmix.sources.memory import ArraySource

PRECISE = Settings(Change(1e-12, True), max_iter=5_000)
GENERATOR = np.random.default_rng(611)
LABELS = GENERATOR.integers(0, 2, 150)
X = GENERATOR.normal(size=(150, 2)) @ np.array([[1.0, 0.4], [0.0, 0.8]]) + 3.0 * LABELS[:, None]


def fitted(inference, structure="full", values=X, n_components=2):
    model = Model(n_components, Gaussian(structure), inference)
    return fit(model, ArraySource(values), PRECISE)


def point_of(result):
    """Weights (K,), means (K, D) and covariances (K, D, D) in data units."""
    point = result.plug_in.components.unframed(result.mixture.frame)
    K, D = point.means.shape
    covariances = np.asarray(point.covariances)
    covariances = np.repeat(covariances, K // len(covariances), axis=0)  # of all if tied
    if covariances.ndim == 1:
        covariances = np.repeat(covariances[:, None], D, axis=1)
    if covariances.ndim == 2:
        covariances = covariances[:, :, None] * np.eye(D)
    return result.plug_in.weights.mean(), point.means, covariances


def log_joint(values, weights, means, covariances):
    densities = [
        multivariate_normal(mean, covariance).logpdf(values)
        for mean, covariance in zip(means, covariances, strict=True)
    ]
    return np.log(weights) + np.column_stack(densities)


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_the_likelihood_is_scipys_and_a_step_of_em_changes_nothing(structure):
    result = fitted(MaximumLikelihood(), structure)
    weights, means, covariances = point_of(result)
    joint = log_joint(X, weights, means, covariances)
    assert result.objective == pytest.approx(logsumexp(joint, axis=1).sum(), rel=1e-10)
    shares = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    np.testing.assert_allclose(result.probabilities(X), shares, atol=1e-9)
    np.testing.assert_allclose(shares.mean(axis=0), weights, atol=1e-5)
    np.testing.assert_allclose(shares.T @ X / shares.sum(axis=0)[:, None], means, atol=1e-4)


def test_missing_cells_are_integrated_out():
    values = X.copy()
    values[::5, 0], values[1::7, 1] = np.nan, np.nan
    values = values[~np.isnan(values).all(axis=1)]
    result = fitted(MaximumLikelihood(), values=values)
    weights, means, covariances = point_of(result)
    total = 0.0
    for row in values:
        seen = np.flatnonzero(~np.isnan(row))
        parts = [covariance[np.ix_(seen, seen)] for covariance in covariances]
        total += logsumexp(log_joint(row[seen][None], weights, means[:, seen], parts))
    assert result.objective == pytest.approx(total, rel=1e-10)


def test_known_labels_begin_and_stay_in_their_components():
    known = np.where(np.arange(len(X)) % 3 == 0, LABELS, -1)
    source = replace(ArraySource(X), side=SideInformation(labels=known))
    result = fit(Model(2, Gaussian("full"), MaximumLikelihood()), source, PRECISE)
    _, means, _ = point_of(result)
    expected = np.array([X[k == LABELS].mean(axis=0) for k in (0, 1)])
    assert np.abs(means - expected).max() < 0.5


@pytest.mark.parametrize("inference", [MaximumAPosteriori(), VariationalBayes()])
def test_the_objective_never_falls_and_collapse_is_prevented(inference):
    values = np.vstack([X, np.tile(X[:1], (6, 1))])  # a point seven times
    result = fitted(inference, values=values, n_components=4)
    assert np.diff(result.trace[result.segments[-1] :]).min() > -1e-9 * abs(result.objective)
    _, _, covariances = point_of(result)
    assert min(np.linalg.eigvalsh(covariance)[0] for covariance in covariances) > 1e-3
