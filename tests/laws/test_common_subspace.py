"""Mixtures in a common subspace: densities on all columns against dense normals, and selection."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError

STRUCTURES = ("full", "tied", "diag", "spherical", "VVE")


def in_factors(draw, n=120, D=24, apart=6.0):
    """Three groups along two factors, columns in different units with noise of their own."""
    labels = draw.integers(0, 3, n)
    means = apart * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    factors = means[labels] + draw.normal(size=(n, 2))
    X = factors @ draw.normal(size=(2, D)) + draw.normal(size=(n, D)) * draw.uniform(1, 3, D)
    return X * 10.0 ** draw.integers(-3, 4, D) + 7.0, labels


@pytest.fixture(scope="module")
def data():
    return in_factors(np.random.default_rng(20))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_density_is_that_of_dense_normals(data, structure):
    X, _ = data
    family = bm.CommonSubspace(2, structure)
    m = bm.GaussianMixture(3, covariance_type=family, random_state=0).fit(X)
    dense = m.result_.plug_in.components.unframed(m.result_.mixture.frame)
    scale = X.std(axis=0)  # densities of standardised columns, so that SciPy can invert
    terms = [
        multivariate_normal.logpdf(X / scale, mean / scale, S / np.outer(scale, scale))
        for mean, S in zip(dense.means, dense.covariances, strict=True)
    ]
    truth = logsumexp(terms, axis=0, b=m.weights_[:, None]) - np.log(scale).sum()
    np.testing.assert_allclose(m.score_samples(X), truth, atol=1e-8)
    assert m.log_likelihood_ == pytest.approx(truth.sum(), abs=1e-6)
    assert m.bic() == pytest.approx(m.bic(X), abs=1e-6)
    V = m.directions_
    np.testing.assert_allclose(V.T @ V, np.eye(2), atol=1e-12)


def test_one_component_has_the_parameters_of_a_factor_analyser(data):
    X, _ = data
    subspace, factors = (
        bm.GaussianMixture(1, covariance_type=family, random_state=0).fit(X)
        for family in (bm.CommonSubspace(2), bm.FactorAnalytic(2))
    )
    assert subspace.n_parameters_ == factors.n_parameters_
    # Principal factors are near the maximum of the likelihood, which is that of the analyser.
    gap = factors.log_likelihood_ - subspace.log_likelihood_
    assert 0.0 <= gap < 0.02 * len(X) * X.shape[1]


def test_groups_along_factors_are_found_in_any_units(data):
    X, labels = data
    m = bm.GaussianMixture(3, covariance_type=bm.CommonSubspace(2), random_state=0).fit(X)
    assert adjusted_rand_score(labels, m.predict(X)) > 0.95
    units = 10.0 ** np.random.default_rng(1).integers(-2, 3, X.shape[1])
    other = bm.GaussianMixture(3, covariance_type=bm.CommonSubspace(2), random_state=0)
    np.testing.assert_array_equal(other.fit(X * units).predict(X * units), m.predict(X))
    truth = m.score_samples(X) - np.log(units).sum()
    np.testing.assert_allclose(other.score_samples(X * units), truth, rtol=1e-6)


def test_the_variational_bound_is_that_of_the_coordinates_and_the_rest(data):
    """Given directions and rest, all else is a variational mixture of the coordinates."""
    X, _ = data
    b = bm.BayesianGaussianMixture(
        2, covariance_type=bm.CommonSubspace(2), prune=False, random_state=0
    ).fit(X)
    frame = b.result_.mixture.frame
    coordinates = frame.apply(X)
    rest = (X - frame.centre) / frame.scale
    rest = rest - coordinates @ frame.basis.T
    D, q = frame.basis.shape
    log_rest = -0.5 * (rest**2).sum(axis=1) / frame.rest
    log_rest -= 0.5 * (D - q) * np.log(2.0 * np.pi * frame.rest) + np.log(frame.scale).sum()
    framed = b.result_.objective - log_rest.sum()
    inner = b.result_.mixture
    joint = inner.components.expected_log_density(coordinates) + inner.weights.expected_log()
    bound = logsumexp(joint, axis=1).sum() + b.result_.inference.regulariser(inner)
    assert framed == pytest.approx(bound, abs=1e-6)
    assert b.score_samples(X).shape == (len(X),)


def test_draws_have_the_moments_of_the_mixture(data):
    X, _ = data
    m = bm.GaussianMixture(1, covariance_type=bm.CommonSubspace(3), random_state=0).fit(X)
    drawn, _ = m.sample(4000, random_state=3)
    standard = np.sqrt(np.diag(m.result_.plug_in.components.unframed(
        m.result_.mixture.frame).covariances[0]))  # fmt: skip
    np.testing.assert_allclose(drawn.std(axis=0) / standard, 1.0, atol=0.06)
    np.testing.assert_allclose((drawn.mean(axis=0) - X.mean(axis=0)) / standard, 0.0, atol=0.08)


def test_marginals_are_those_of_the_dense_normals(data):
    X, _ = data
    m = bm.GaussianMixture(2, covariance_type=bm.CommonSubspace(2), random_state=0).fit(X)
    dense = m.result_.plug_in.components.unframed(m.result_.mixture.frame)
    columns = [3, 11]
    scale = X.std(axis=0)[columns]
    terms = [
        multivariate_normal.logpdf(
            X[:, columns] / scale,
            mean[columns] / scale,
            S[np.ix_(columns, columns)] / np.outer(scale, scale),
        )
        for mean, S in zip(dense.means, dense.covariances, strict=True)
    ]
    truth = logsumexp(terms, axis=0, b=m.weights_[:, None]) - np.log(scale).sum()
    np.testing.assert_allclose(m.marginal(columns).score_samples(X[:, columns]), truth, atol=1e-8)


def test_constant_columns_do_not_matter(data):
    X, _ = data
    wider = np.column_stack([X, np.full(len(X), 3.0)])
    plain, with_constant = (
        bm.GaussianMixture(3, covariance_type=bm.CommonSubspace(2), random_state=0).fit(values)
        for values in (X, wider)
    )
    np.testing.assert_array_equal(plain.predict(X), with_constant.predict(wider))
    assert plain.n_parameters_ == with_constant.n_parameters_


def test_a_fit_is_saved_and_loaded(data, tmp_path):
    X, _ = data
    m = bm.GaussianMixture(3, covariance_type=bm.CommonSubspace(2, "tied"), random_state=0).fit(X)
    m.save(tmp_path / "m.bayesmix")
    loaded = bm.load(tmp_path / "m.bayesmix")
    np.testing.assert_array_equal(loaded.score_samples(X), m.score_samples(X))
    assert repr(loaded.covariance_type) == "CommonSubspace(2, 'tied')"
    np.testing.assert_array_equal(loaded.directions_, m.directions_)


def test_unusable_data_are_refused_by_name(data):
    X, _ = data
    flat = np.random.default_rng(0).normal(size=(50, 2)) @ np.arange(12.0).reshape(2, 6) ** 2
    gaps = np.where(np.arange(X.size).reshape(X.shape) == 0, np.nan, X)
    with pytest.raises(InvalidInputError, match="more columns than directions"):
        bm.GaussianMixture(1, covariance_type=bm.CommonSubspace(2)).fit(X[:, :2])
    with pytest.raises(InvalidInputError, match="vary in 2 directions"):
        bm.GaussianMixture(1, covariance_type=bm.CommonSubspace(2)).fit(flat)
    with pytest.raises(UnsupportedError, match="missing values"):
        bm.GaussianMixture(1, covariance_type=bm.CommonSubspace(2), missing="use").fit(gaps)
    with pytest.raises(InvalidInputError, match="reg_covar"):
        bm.GaussianMixture(1, covariance_type=bm.CommonSubspace(2), reg_covar=0.1).fit(X)
    with pytest.raises(ValueError, match="n_directions"):
        bm.CommonSubspace(0)


@pytest.mark.slow
def test_select_finds_groups_along_factors_in_their_subspace():
    draw = np.random.default_rng(4)
    X, labels = in_factors(draw, n=150, D=80)
    search = bm.select(X)
    assert search.n_clusters_ == 3
    assert adjusted_rand_score(labels, search.predict_clusters(X)) > 0.95
    text = search.summary()
    assert "of 80 directions" in text
    assert "directions (n = 150" in text.splitlines()[0]


@pytest.mark.slow
def test_select_keeps_all_columns_where_single_columns_differ():
    draw = np.random.default_rng(9)
    labels = draw.integers(0, 3, 150)
    means = np.zeros((3, 200))
    means[:, :20] = draw.normal(size=(3, 20)) * 1.6
    search = bm.select(draw.normal(size=(150, 200)) + means[labels])
    assert "directions" not in search.summary()
    assert search.n_clusters_ == 3
