"""Adaptation of a background model: the equations of Reynolds, Quatieri & Dunn (2000)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from bayesmix.errors import InvalidInputError

STRENGTH = 16.0


@pytest.fixture(scope="module")
def speaker():
    """A background model of five diagonal components, and 80 samples of three that have moved."""
    rng = np.random.default_rng(1)
    centres = rng.normal(0.0, 3.0, (5, 3))
    everyone = rng.normal(size=(3000, 3)) + centres[rng.integers(0, 5, 3000)]
    model = bm.GaussianMixture(5, covariance_type="diag", random_state=0).fit(everyone)
    moved = model.means_ + rng.normal(0.0, 0.7, (5, 3))
    return model, 0.8 * rng.normal(size=(80, 3)) + moved[rng.integers(0, 3, 80)]


def joint(X, weights, means, variances):
    logs = [
        stats.norm(m, np.sqrt(v)).logpdf(X).sum(axis=1)
        for m, v in zip(means, variances, strict=True)
    ]
    return np.column_stack(logs) + np.log(weights)


def adapted(model, parameters, X, **settings):
    prior = bm.from_model(model, STRENGTH, parameters)
    structure = model.covariance_type
    return bm.GaussianMixture(5, covariance_type=structure, prior=prior, **settings).fit(X)


@pytest.mark.parametrize("parameters", ["means", "all"])
def test_one_step_has_the_equations_of_reynolds_quatieri_and_dunn(speaker, parameters) -> None:
    model, X = speaker
    w, mu, var = model.weights_, model.means_, model.covariances_
    shares = softmax(joint(X, w, mu, var), axis=1)  # eq. 7
    n = shares.sum(axis=0)  # eq. 8
    first, second = (shares.T @ X) / n[:, None], (shares.T @ X**2) / n[:, None]  # eq. 9, 10
    alpha = (n / (n + STRENGTH))[:, None]  # eq. 14
    means = alpha * first + (1 - alpha) * mu  # eq. 12
    weights, variances = w, var
    if parameters == "all":
        weights = alpha[:, 0] * n / len(X) + (1 - alpha[:, 0]) * w  # eq. 11
        weights /= weights.sum()
        variances = alpha * second + (1 - alpha) * (var + mu**2) - means**2  # eq. 13
    with pytest.warns(ConvergenceWarning):
        fit = adapted(model, parameters, X, max_iter=1)
    np.testing.assert_allclose(fit.weights_, weights, rtol=1e-12)
    np.testing.assert_allclose(fit.means_, means, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(fit.covariances_, variances, rtol=1e-12)


def test_the_means_are_the_posterior_mode_of_l_bfgs(speaker) -> None:
    model, X = speaker
    w, mu, var = model.weights_, model.means_, model.covariances_
    fit = adapted(model, "means", X, max_iter=1000)

    def negative(means) -> float:
        likelihood = logsumexp(joint(X, w, means.reshape(5, 3), var), axis=1).sum()
        return -float(likelihood - 0.5 * STRENGTH * ((means.reshape(5, 3) - mu) ** 2 / var).sum())

    best = minimize(negative, fit.means_.ravel(), options={"gtol": 1e-7})
    assert negative(fit.means_.ravel()) - best.fun < 1e-6
    assert (fit.weights_ == w).all()
    assert np.diff(fit.objective_trace_).min() > -1e-9


@pytest.mark.parametrize("structure", ["full", "tied", "spherical", "VEE"])
def test_every_structure_is_adapted_and_the_posterior_density_does_not_fall(structure) -> None:
    rng = np.random.default_rng(3)
    everyone = rng.normal(size=(1000, 2)) + rng.normal(0.0, 3.0, (5, 2))[rng.integers(0, 5, 1000)]
    model = bm.GaussianMixture(5, covariance_type=structure, random_state=0).fit(everyone)
    for parameters in ("means", "all"):
        fit = adapted(model, parameters, everyone[:60] + 0.5)
        assert fit.converged_
        assert np.diff(fit.objective_trace_).min() > -1e-5
        assert fit.score(everyone[:60] + 0.5) > model.score(everyone[:60] + 0.5)


def test_a_strong_prior_is_the_background_model_and_a_weak_one_the_likelihood(speaker) -> None:
    model, X = speaker
    stays = bm.GaussianMixture(5, covariance_type="diag", prior=bm.from_model(model, 1e9)).fit(X)
    np.testing.assert_allclose(stays.means_, model.means_, atol=1e-5)
    goes = bm.GaussianMixture(5, covariance_type="diag", prior=bm.from_model(model, 1e-9)).fit(X)
    shares = goes.predict_proba(X)
    used = shares.sum(axis=0) > 1.0
    expected = (shares.T @ X)[used] / shares.sum(axis=0)[used, None]
    np.testing.assert_allclose(goes.means_[used], expected, rtol=1e-3)


def test_a_saved_adapted_model_predicts_the_same(speaker, tmp_path) -> None:
    model, X = speaker
    fit = adapted(model, "all", X)
    fit.save(tmp_path / "adapted")
    loaded = bm.load(tmp_path / "adapted")
    np.testing.assert_array_equal(loaded.score_samples(X), fit.score_samples(X))
    assert loaded.prior.strength == STRENGTH


def test_other_components_or_features_are_refused(speaker) -> None:
    model, X = speaker
    prior = bm.from_model(model)
    with pytest.raises(InvalidInputError, match="must be those of the background model, 5 and"):
        bm.GaussianMixture(3, covariance_type="diag", prior=prior).fit(X)
    with pytest.raises(InvalidInputError, match="the 3 features of the background model"):
        bm.GaussianMixture(5, covariance_type="diag", prior=prior).fit(X[:, :2])
    with pytest.raises(InvalidInputError, match="must be a fitted mixture"):
        bm.from_model(bm.GaussianMixture())
    with pytest.raises(InvalidInputError, match="strength"):
        bm.from_model(model, 0.0)
