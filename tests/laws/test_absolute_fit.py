"""Absolute fit: uniform p-values where the model is true, small ones where it is not."""

import numpy as np
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.assess import stability as resampling
from bayesmix.assess.goodness_of_fit import GRID, MOST_ROWS, coverage, goodness_of_fit, inside
from bayesmix.errors import InvalidInputError
from bayesmix.sources.memory import ArraySource

QUICK = {"n_resamples": 19, "random_state": 0, "n_jobs": 1}
STRUCTURES = ("full", "tied", "diag", "spherical")


def two_clusters(rng, draw, n=150):
    return np.vstack([draw(rng, (n, 2)), 12.0 + rng.normal(size=(n, 2))])


def normal(rng, size):
    return rng.normal(size=size)


def heavy(rng, size):
    return rng.standard_t(3, size)


def box(rng, size):
    return rng.uniform(-2, 2, size)


def fitted(X, n_components=2, **options):
    return bm.GaussianMixture(n_components, random_state=0, n_jobs=1, **options).fit(X)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_shares_are_those_of_mahalanobis_distances(structure):
    X = two_clusters(np.random.default_rng(0), heavy, 60)
    model = fitted(X, covariance_type=structure)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, len(X))
    observed = inside(model.result_.plug_in, ArraySource(X, weights), 0)
    covariances = {
        "full": model.covariances_,
        "tied": np.array([model.covariances_] * 2),
        "diag": [np.diag(row) for row in np.atleast_2d(model.covariances_)],
        "spherical": [value * np.eye(2) for value in np.ravel(model.covariances_)],
    }[structure]
    shares = model.predict_proba(X) * weights[:, None]
    for k in range(2):
        away = X - model.means_[k]
        squared = np.einsum("nd,de,ne->n", away, np.linalg.inv(covariances[k]), away)
        nearer = stats.chi2.cdf(squared, 2)
        for place in (10, 50, 95):
            expected = shares[nearer < place / GRID, k].sum()
            assert observed[k, place] == pytest.approx(expected, rel=1e-8)
    np.testing.assert_allclose(observed[:, -1], shares.sum(axis=0), rtol=1e-8)


@pytest.mark.parametrize("overlap", [1.0, 6.0])
def test_shares_are_uniform_in_expectation_where_the_model_is_true(overlap):
    model = bm.GaussianMixture.from_parameters(
        [0.3, 0.7], [[0.0, 0.0], [overlap, 0.0]], [[[2.0, 0.5], [0.5, 1.0]], np.eye(2)]
    )
    n = 20_000
    X, _ = model.sample(n, random_state=0)
    observed = inside(model.result_.plug_in, ArraySource(X), 0)
    # A share is a mean of n values in [0, 1]; false alarm of any of 99 below 1 in 1,000.
    away = np.abs(coverage(observed)[0] - np.linspace(0, 1, GRID + 1))
    assert away.max() <= stats.norm.isf(0.001 / (2 * (GRID - 1))) * 0.5 / np.sqrt(n)


@pytest.mark.parametrize("family", [bm.Poisson(), bm.Bernoulli()])
def test_shares_of_discrete_rows_are_uniform_in_expectation(family):
    rng = np.random.default_rng(0)
    means = np.where(rng.random((400, 1)) < 0.4, 0.3, 0.8)
    draws = {
        "poisson": rng.poisson(10 * means, (400, 5)),
        "bernoulli": rng.random((400, 5)) < means,
    }
    model = bm.Mixture(2, family=family, random_state=0).fit(draws[family.name].astype(float))
    n = 5_000
    X, _ = model.sample(n, random_state=1)
    observed = inside(model.result_.plug_in, ArraySource(X), 0)
    away = np.abs(coverage(observed)[0] - np.linspace(0, 1, GRID + 1))
    # The error of the ranks, of 5,000 drawn rows a component, is added to that of the rows.
    error = np.hypot(0.5 / np.sqrt(n), 0.5 / np.sqrt(5_000))
    assert away.max() <= stats.norm.isf(0.001 / (2 * (GRID - 1))) * error


@pytest.mark.nightly
@pytest.mark.slow
def test_p_values_are_uniform_where_the_model_is_true():
    n_sets, found = 40, []
    for seed in range(n_sets):
        rng = np.random.default_rng(seed)
        X = np.concatenate([rng.normal(0, 1, 50), rng.normal(4, 2, 50)])[:, None]
        model = fitted(X)
        found.append(goodness_of_fit(model, X, n_resamples=9, random_state=seed, n_jobs=1).p_value)
    # p takes 0.1, ..., 1.0; false alarm of each bound 1 in 10,000 were p exactly uniform.
    for level in (0.2, 0.5, 0.8):
        low, high = stats.binom.ppf([5e-5, 1 - 5e-5], n_sets, level)
        assert low <= np.sum(np.array(found) <= level + 1e-9) <= high


@pytest.mark.parametrize("draw", [heavy, box])
def test_heavy_tails_and_flat_clusters_are_found_and_named(draw):
    X = two_clusters(np.random.default_rng(0), draw)
    fit = goodness_of_fit(fitted(X), X, **QUICK)
    assert fit.p_value == 0.05
    assert not fit.fits
    wrong = int(fitted(X).predict(np.zeros((1, 2)))[0])
    assert f"Component {wrong + 1} fits worst" in fit.summary()
    assert fit.components["p_value"].iloc[wrong] == 0.05
    assert fit.components["statistic"].idxmax() == f"component {wrong + 1}"
    near = {heavy: "Too many observations are near", box: "Too few observations are near"}
    words = {heavy: "too light", box: "too heavy"}[draw], near[draw]
    assert any(word in fit.summary() for word in words)
    low, high = fit.band()
    outside = (fit.shares < low) | (fit.shares > high)
    assert outside.any()


def test_rows_of_the_model_fit():
    X = two_clusters(np.random.default_rng(3), normal)
    fit = goodness_of_fit(fitted(X), X, **QUICK)
    assert fit.fits
    assert "does not reject the model" in fit.summary()
    assert fit.shares[0] == 0.0
    assert fit.shares[-1] == pytest.approx(1.0)
    assert fit.components["rows"].sum() == pytest.approx(len(X))
    np.testing.assert_allclose(fit.components["mean"], 0.5, atol=4 / np.sqrt(12 * 150))


def test_counts_with_more_spread_than_poisson_do_not_fit():
    rng = np.random.default_rng(0)
    poisson = bm.Mixture(1, family=bm.Poisson(), random_state=0, n_jobs=1)
    spread = rng.negative_binomial(2, 0.3, (120, 2)).astype(float)
    assert goodness_of_fit(poisson.fit(spread), spread, **QUICK).p_value == 0.05
    plain = rng.poisson(5.0, (120, 2)).astype(float)
    assert goodness_of_fit(poisson.fit(plain), plain, **QUICK).p_value > 0.05


def test_binary_columns_that_go_together_do_not_fit_one_component():
    rng = np.random.default_rng(0)
    share = np.where(rng.random((150, 1)) < 0.5, 0.15, 0.85)
    X = (rng.random((150, 8)) < share).astype(float)
    one = bm.Mixture(1, family=bm.Bernoulli(), random_state=0, n_jobs=1).fit(X)
    two = bm.Mixture(2, family=bm.Bernoulli(), random_state=0, n_jobs=1).fit(X)
    assert goodness_of_fit(one, X, **QUICK).p_value == 0.05
    assert goodness_of_fit(two, X, **QUICK).p_value > 0.05


@pytest.mark.slow
def test_variational_fits_and_modes_are_judged_at_their_summary():
    X = two_clusters(np.random.default_rng(3), normal)
    variational = bm.BayesianGaussianMixture(4, random_state=0, n_jobs=1).fit(X)
    assert goodness_of_fit(variational, X, **QUICK).fits
    assert goodness_of_fit(fitted(X, prior="auto"), X, **QUICK).fits


@pytest.mark.slow
def test_workers_change_no_number(monkeypatch):
    X = two_clusters(np.random.default_rng(0), normal, 40)
    model = fitted(X)
    alone = goodness_of_fit(model, X, n_resamples=4, n_jobs=1, random_state=1)
    monkeypatch.setattr("bayesmix.core.parallel.SECONDS_ALONE", 0.0)
    monkeypatch.setattr(resampling, "resolve_jobs", lambda n_jobs: n_jobs)
    shared = goodness_of_fit(model, X, n_resamples=4, n_jobs=2, random_state=1)
    np.testing.assert_array_equal(alone.replicates, shared.replicates)


def test_a_weight_of_two_is_the_row_twice():
    X = two_clusters(np.random.default_rng(0), heavy, 50)
    double = np.full(len(X), 2.0)
    model = fitted(X)
    weighted = goodness_of_fit(model, X, double, n_resamples=3, random_state=0)
    twice = np.repeat(X, 2, axis=0)
    again = fitted(twice, means_init=model.means_)
    rows = goodness_of_fit(again, twice, n_resamples=3, random_state=0)
    assert weighted.statistic == pytest.approx(rows.statistic, rel=1e-3)
    assert weighted.n_rows == rows.n_rows == 2 * len(X)


def test_starts_that_were_given_are_for_the_rows_alone():
    X = two_clusters(np.random.default_rng(3), normal, 40)
    weights = np.where(np.arange(80) % 2, 2.0, 1.0)
    start = np.repeat([0, 1], 40)
    model = bm.GaussianMixture(2, init_params=start, n_jobs=1).fit(X, sample_weight=weights)
    fit = goodness_of_fit(model, X, weights, n_resamples=3, random_state=0)
    assert fit.n_failed == 0


def test_other_rows_take_the_parameters_as_known():
    model = bm.GaussianMixture.from_parameters([1.0], [[0.0]], [1.0])
    X = np.random.default_rng(0).normal(size=(100, 1))
    fit = goodness_of_fit(model, X, **QUICK)
    assert fit.notes == ("X is not the data of the fit, so the parameters are treated as known.",)
    assert fit.fits
    assert not goodness_of_fit(model, X + 1.0, **QUICK).fits


@pytest.mark.parametrize("weighted", [False, True])
def test_of_very_many_rows_some_are_looked_at(weighted):
    rng = np.random.default_rng(0)
    n = 4_000 if weighted else 3 * MOST_ROWS
    X = rng.normal(size=(n, 1))
    weights = rng.integers(5, 10, n).astype(float) if weighted else None
    model = bm.GaussianMixture(1, n_jobs=1).fit(X, sample_weight=weights)
    fit = goodness_of_fit(model, X, weights, **QUICK)
    assert fit.n_rows == MOST_ROWS
    assert any("10,000 of" in note for note in fit.notes)
    assert fit.summary().endswith("the parameters were treated as known.")


def test_what_cannot_be_judged_is_refused():
    X = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(InvalidInputError, match="call fit first"):
        goodness_of_fit(bm.GaussianMixture(1), X)
    with pytest.raises(InvalidInputError, match="n_resamples"):
        goodness_of_fit(fitted(X, 1), X, n_resamples=0)
    with pytest.raises(ValueError, match="2 features"):
        goodness_of_fit(fitted(X, 1), X[:, :1])
