"""Scattered observations in ``select``: noise pays for its limits and competes with tails."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm


def two_groups(rng, n):
    """Normal groups (n, 3), 6 standard deviations apart, and the group of each observation."""
    group = np.arange(n) % 2
    return rng.normal(size=(n, 3)) + 6.0 * group[:, None] * [1.0, 0.0, 0.0], group


def scattered(rng, n=400, m=24):
    """Two groups, and m observations in a box twice as wide as theirs (label -1)."""
    X, group = two_groups(rng, n)
    low, high = X.min(axis=0), X.max(axis=0)
    half = high - low
    away = 0.5 * (low + high) + half * rng.uniform(-1.0, 1.0, (m, 3))
    return np.vstack([X, away]), np.r_[group, np.full(m, -1)]


def chosen(search):
    """Family and noise of the chosen candidate."""
    result = search.best_estimator_.result_
    return result.family.name, result.mixture.noise


@pytest.mark.parametrize("unit", [1.0, 1e-5])
def test_scattered_observations_are_no_cluster_in_any_unit(unit):
    X, group = scattered(np.random.default_rng(101))
    X[:, 1] *= unit
    search = bm.select(X)
    assert search.n_clusters_ == 2
    assert " and 6 % scattered observations." in search.summary().splitlines()[0]
    assert "covariance and uniform noise" in search.summary()
    found = search.predict_clusters(X)
    assert adjusted_rand_score(group == -1, found == -1) > 0.8
    assert search.predict_proba(X).shape[1] == search.best_params_["n_components"] + 1
    search.plot_tree()


def test_clean_observations_have_none():
    X, _ = two_groups(np.random.default_rng(102), 400)
    search = bm.select(X)
    assert chosen(search)[1] is None
    assert "noise" not in search.results_


def test_heavy_tails_are_no_noise():
    rng = np.random.default_rng(103)
    X, _ = two_groups(rng, 500)
    tails = np.sqrt(rng.chisquare(4.0, (500, 1)) / 4.0)
    centres = 12.0 * (np.arange(500) % 2)[:, None] * [1.0, 0.0, 0.0]
    search = bm.select(centres + rng.normal(size=X.shape) / tails)
    name, noise = chosen(search)
    assert name == "student_t"
    assert noise is None
    assert search.n_clusters_ == 2
    assert "Student-t components" in search.summary()


def test_a_uniform_group_is_a_group():
    X = np.random.default_rng(104).uniform(size=(400, 2))
    assert chosen(bm.select(X))[1] is None


def test_noise_is_tried_unless_it_is_refused_or_asked_for():
    X, _ = scattered(np.random.default_rng(105))
    assert chosen(bm.select(X, noise=False))[1] is None
    assert chosen(bm.select(X, criterion="bic"))[1] is None
    every = bm.select(X, [1, 2], "full", noise=True)
    assert every.criterion == "bic"
    assert chosen(every)[1] is not None
    with pytest.raises(ValueError, match="try_noise"):
        bm.MixtureSearch(bm.BayesianGaussianMixture(), try_noise=2).fit(X)


def test_the_limits_of_the_box_cost_what_parameters_cost():
    X, _ = scattered(np.random.default_rng(106))
    best = bm.select(X).results_.iloc[0]
    assert best["noise"] == "uniform"
    again = bm.BayesianGaussianMixture(
        int(best["n_components"]),
        covariance_type=best["covariance_type"],
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1.0,
        noise="uniform",
        prune=False,
        random_state=0,
    ).fit(X)
    assert again.elbo_ == pytest.approx(best["elbo"], abs=1e-3)
    # Two components far apart have 2! equal labellings; three columns have six limits.
    expected = best["elbo"] + np.log(2.0) - 3.0 * np.log(len(X))
    assert best["elbo_log_k"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shape", ["skewed", "amounts", "scattered"])
def test_beside_a_constant_column_are_no_powers_logarithms_and_heavy_tails(shape):
    rng = np.random.default_rng(103)
    X, _ = scattered(rng, 200, 12) if shape == "scattered" else two_groups(rng, 200)
    if shape != "scattered":
        X = np.exp(0.5 * X) - (1.0 if shape == "skewed" else 0.0)
    search = bm.select(np.column_stack([X, np.full(len(X), 3.0)]))
    assert search.n_clusters_ >= 2
    assert "Column 3 is constant" in search.summary()
