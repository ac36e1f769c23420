"""Yeo-Johnson powers of columns: the function, its density, and the rival of normal components."""

import numpy as np
import pytest
from scipy.stats import yeojohnson
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.families.monotone import powers_of
from bayesmix.selection import tree_search


def skewed(n, seed=0, apart=6.0):
    """Two log-normal groups in two columns, the second column turned round."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    errors = np.exp(0.6 * rng.normal(size=(n, 2))) * [1.0, -1.0]
    return errors + apart * labels[:, None] * [0.0, 1.0], labels


@pytest.mark.parametrize("powers", [(0.0, 2.0), (0.3, 1.7), (1.0, 1.0), (1e-12, 0.5)])
def test_the_inverse_undoes_the_function_and_slopes_are_derivatives(powers):
    function = bm.YeoJohnson((1.0, -2.0), (0.5, 3.0), powers)
    values = np.random.default_rng(1).normal(size=(50, 2)) * 4.0
    transformed = function.apply(values)
    np.testing.assert_allclose(function.inverse(transformed), values, rtol=1e-9, atol=1e-9)
    step = 1e-6
    slopes = (function.apply(values + step) - function.apply(values - step)) / (2.0 * step)
    np.testing.assert_allclose(np.exp(function.log_slopes(values, transformed)), slopes, rtol=1e-5)


def test_powers_of_one_column_are_those_of_scipy():
    X = np.random.default_rng(2).gamma(2.0, size=(400, 1))
    function = bm.YeoJohnson.of(X)
    standard = (X[:, 0] - function.centre[0]) / function.spread[0]
    assert function.powers[0] == pytest.approx(yeojohnson(standard)[1], abs=0.02)


def test_powers_maximise_the_likelihood_of_correlated_components():
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 2, 600)
    shares = np.eye(2)[labels]
    X = rng.gamma(6.0, size=(600, 2)) @ [[1.0, 0.5], [0.0, 1.0]] + 9.0 * labels[:, None]
    function, gain = powers_of(X, shares)

    def likelihood(powers):
        other = bm.YeoJohnson(function.centre, function.spread, tuple(powers))
        transformed = other.apply(X)
        total = other.log_jacobian(X, transformed).sum()
        for share in shares.T:
            covariance = np.cov(transformed.T, aweights=share, bias=True)
            total -= 0.5 * share.sum() * np.linalg.slogdet(covariance)[1]
        return total

    best = likelihood(function.powers)
    assert best - likelihood([1.0, 1.0]) == pytest.approx(gain, rel=1e-6)
    for change in ([0.1, 0.0], [-0.1, 0.0], [0.0, 0.1], [0.0, -0.1]):
        assert likelihood(np.clip(np.add(function.powers, change), 0.0, 2.0)) < best + 0.05


def test_the_gain_of_weighted_samples_is_that_of_repeated_ones():
    X, labels = skewed(300)
    weights = np.where(np.arange(300) % 3 == 0, 3, 1)
    shares = np.eye(2)[labels]
    function, gain = powers_of(X, shares * weights[:, None])
    rows, repeated = np.repeat(X, weights, axis=0), np.repeat(shares, weights, axis=0)
    plain = bm.YeoJohnson(function.centre, function.spread, (1.0, 1.0))
    gained = 0.0
    for sign, each in ((1.0, function), (-1.0, plain)):
        transformed = each.apply(rows)
        gained += sign * each.log_jacobian(rows, transformed).sum()
        for share in repeated.T:
            covariance = np.cov(transformed.T, aweights=share, bias=True)
            gained -= 0.5 * sign * share.sum() * np.linalg.slogdet(covariance)[1]
    assert gained == pytest.approx(gain, rel=1e-6)


def test_columns_with_a_spike_and_small_components_keep_power_one():
    X, labels = skewed(300)
    X[:60, 0] = 0.0
    assert bm.YeoJohnson.of(X, np.eye(2)[labels]).powers[0] == 1.0
    assert bm.YeoJohnson.of(X[:9]).powers == (1.0, 1.0)


@pytest.fixture(scope="module")
def fitted():
    X, labels = skewed(400)
    family = bm.Transformed(bm.Gaussian("full"), bm.YeoJohnson.of(X, np.eye(2)[labels]))
    return X, bm.Mixture(2, family=family, init_params=labels, search=None).fit(X)


def test_the_density_integrates_to_one_and_has_its_mean(fitted):
    _, model = fitted
    first, second = np.linspace(-10.0, 60.0, 700), np.linspace(-60.0, 20.0, 800)
    grid = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2)
    cell = (first[1] - first[0]) * (second[1] - second[0])
    density = np.exp(model.score_samples(grid))
    assert density.sum() * cell == pytest.approx(1.0, abs=1e-3)
    mean = (density @ grid) * cell
    np.testing.assert_allclose(mean, model.weights_ @ model.means_, atol=0.02)


def test_conditional_densities_are_joint_over_marginal_ones(fitted):
    X, model = fitted
    marginal = model.marginal([0]).score_samples(X[:1, :1])
    conditional = model.conditional({0: X[0, 0]}).score_samples(X[:1, 1:])
    np.testing.assert_allclose(model.score_samples(X[:1]), marginal + conditional, rtol=1e-10)


def test_missing_cells_are_integrated_out(fitted):
    X, model = fitted
    gaps = X[:5].copy()
    gaps[:, 1] = np.nan
    model.set_params(missing="use")
    np.testing.assert_allclose(
        model.score_samples(gaps), model.marginal([0]).score_samples(X[:5, :1]), rtol=1e-10
    )


@pytest.mark.slow
def test_skewed_groups_are_single_components_of_transformed_columns(tmp_path):
    X, labels = skewed(500, seed=3)
    X = X - 3.0  # no amounts, which would be on the log scale
    plain = bm.select(X, range(1, 6), "full", column_powers=False)
    search = bm.select(X, range(1, 6), "full")
    assert "Columns transformed by Yeo-Johnson powers" in search.summary()
    assert search.n_clusters_ == 2
    assert adjusted_rand_score(labels, search.predict_clusters(X)) > 0.95
    search.save(tmp_path / "search.bayesmix")
    again = bm.load(tmp_path / "search.bayesmix")
    np.testing.assert_array_equal(again.score_samples(X), search.score_samples(X))
    fresh = skewed(2000, seed=4)[0] - 3.0
    assert search.score(fresh) > plain.score(fresh)


@pytest.mark.slow
def test_where_k_ended_at_the_automatic_limit_transformed_columns_have_at_least_as_many(
    monkeypatch,
):
    monkeypatch.setattr(tree_search, "LARGEST", 2)
    X, _ = skewed(500, seed=3)
    X = X - X.mean(axis=0)  # values below 0 have no logarithm
    search = bm.select(X, covariance_type="full")
    assert "Columns transformed by Yeo-Johnson powers" in search.summary()
    assert search.answer_.at_least
    assert search.summary().startswith("at least 2 clusters")
    given = bm.select(X, (1, 2), "full")
    assert not given.answer_.at_least


@pytest.mark.slow
def test_transformed_columns_have_no_limit_of_their_own():
    X = np.random.default_rng(50).gamma(3.0, 2.0, (800, 2))
    search = bm.select(X - X.mean(axis=0))  # values below 0 have no logarithm
    assert "Columns transformed by Yeo-Johnson powers" in search.summary()
    assert search.summary().startswith("1 cluster (")
    assert not any("limit" in caution for caution in search.cautions_)


def test_normal_groups_stay_normal():
    rng = np.random.default_rng(5)
    X = np.vstack([rng.normal(0.0, 1.0, (100, 2)), rng.normal(5.0, 1.0, (100, 2))])
    search = bm.select(X, (1, 2, 3), "full")
    assert "Yeo-Johnson" not in search.summary()
    assert isinstance(search.best_estimator_, bm.BayesianGaussianMixture)


@pytest.mark.slow
def test_the_prior_of_transformed_columns_is_varied_on_their_own_scale():
    """Two groups of g(x): the answers are those of a normal search on g(x) itself."""
    X, labels = skewed(200, seed=7, apart=12.0)
    function = bm.YeoJohnson.of(X, np.eye(2)[labels])
    search = bm.select(X, (1, 2, 3), "full", family=bm.Transformed(bm.Gaussian("full"), function))
    direct = bm.select(function.apply(X), (1, 2, 3), "full", column_powers=False)
    first = bm.prior_sensitivity(search, X, n_components=(1, 2, 3)).table
    second = bm.prior_sensitivity(direct, function.apply(X), n_components=(1, 2, 3)).table
    assert first["chosen"].tolist() == second["chosen"].tolist()
    # A few of the 27 fits end in other local optima.
    assert (np.abs(first["probability"] - second["probability"]) < 0.005).sum() >= 18


def test_learned_powers_cost_what_parameters_cost_in_bic():
    X, labels = skewed(150, seed=11)
    function = bm.YeoJohnson.of(X, np.eye(2)[labels])
    family = bm.Transformed(bm.Gaussian("full"), function)
    inference = bm.VariationalBayes(weights=bm.DirichletPrior(1.0))
    mixture = bm.Mixture(family=family, inference=inference, prune=False)
    direct = bm.MixtureSearch(mixture, n_components=(1, 2), criterion="elbo_log_k").fit(X)
    normal = bm.MixtureSearch(
        bm.Mixture(inference=inference, prune=False), (1, 2), criterion="elbo_log_k"
    ).fit(function.apply(X))
    # Densities of x are those of g(x) times its slopes.
    slopes = function.log_jacobian(X, function.apply(X)).sum()
    for ours, theirs in zip(direct.estimators_, normal.estimators_, strict=True):
        assert ours.n_parameters_ == theirs.n_parameters_ + 2
    ours, theirs = (search.results_["elbo_log_k"].max() for search in (direct, normal))
    assert ours - theirs == pytest.approx(slopes - np.log(150), abs=0.05)


def test_powers_are_structures_of_the_same_search():
    X, labels = skewed(300, seed=13)
    search = bm.select(X - 3.0, (1, 2, 3), "full")
    table = search.results_
    powers = table["family"].notna()
    assert 0 < powers.sum() < len(table)
    assert search.best_params_["family"].function == table["family"][powers].iloc[0].function
    assert adjusted_rand_score(labels, search.predict_clusters(X - 3.0)) > 0.9
