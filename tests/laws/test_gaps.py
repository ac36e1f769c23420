"""Values missing at random: a row counts by what it has, exactly."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import gamma, multivariate_normal
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Frame
from bayesmix.em.run import e_step
from bayesmix.observation.missing import Gapped
from bayesmix.sources.memory import ArraySource

STRUCTURES = ("full", "tied", "diag", "spherical")
PLAIN = {"search": None, "acceleration": None, "missing": "use"}


def clusters(rng, n_rows=150, n_features=3, n_components=2, share=0.3):
    """Rows of clusters with gaps, none without a value, and whole numbers of repetitions."""
    centres = rng.normal(0.0, 4.0, (n_components, n_features))
    turned = rng.normal(size=(n_components, n_features, n_features))
    labels = rng.integers(n_components, size=n_rows)
    noise = rng.normal(size=(n_rows, n_features))
    X = centres[labels] + np.einsum("nij,nj->ni", turned[labels], noise)
    return with_gaps(rng, X, share), rng.integers(1, 4, n_rows).astype(float)


def with_gaps(rng, X, share):
    """The same rows with gaps; one value is left in every row."""
    gaps = rng.random(X.shape) < share
    gaps[np.arange(len(X)), rng.integers(X.shape[1], size=len(X))] = False
    return np.where(gaps, np.nan, X)


def observed_log_densities(X, weights, means, covariances):
    """log Σ_k π_k N(x_observed | μ_k, Σ_k) of every row, by SciPy."""
    out = []
    for row in X:
        seen = ~np.isnan(row)
        terms = [
            np.log(weight)
            + multivariate_normal(mean[seen], cov[np.ix_(seen, seen)]).logpdf(row[seen])
            for weight, mean, cov in zip(weights, means, covariances, strict=True)
        ]
        out.append(logsumexp(terms))
    return np.array(out)


@pytest.mark.slow
@pytest.mark.parametrize("covariance", STRUCTURES)
@pytest.mark.parametrize("prior", [None, "auto"])
def test_the_likelihood_is_that_of_what_the_rows_have(covariance, prior):
    X, weights = clusters(np.random.default_rng(1))
    gm = bm.GaussianMixture(
        2, covariance_type=covariance, prior=prior, missing="use", random_state=0
    ).fit(X, sample_weight=weights)
    point = gm.result_.unframed
    expected = observed_log_densities(X, gm.weights_, point.means, point.covariances)
    assert gm.log_likelihood_ == pytest.approx(expected @ weights, rel=1e-10)
    np.testing.assert_allclose(gm.score_samples(X), expected, rtol=1e-10)
    if prior is None:
        assert gm.lower_bound_ * weights.sum() == pytest.approx(expected @ weights, rel=1e-10)


@pytest.mark.parametrize("covariance", STRUCTURES)
def test_a_predictive_density_is_the_marginal_of_what_a_row_has(covariance):
    X, _ = clusters(np.random.default_rng(2))
    vb = bm.BayesianGaussianMixture(
        2, covariance_type=covariance, missing="use", random_state=0
    ).fit(X)
    some = ~np.isnan(X[:, 0]) & np.isnan(X[:, 1]) & ~np.isnan(X[:, 2])
    alone = vb.marginal([0, 2]).score_samples(X[some][:, [0, 2]])
    np.testing.assert_allclose(vb.score_samples(X[some]), alone, rtol=1e-10)
    np.testing.assert_allclose(vb.predict_proba(X).sum(axis=1), 1.0)


@pytest.mark.parametrize("inference", ["likelihood", "posterior mode", "variational"])
@pytest.mark.parametrize("covariance", STRUCTURES)
@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.05, 0.6))
def test_the_objective_never_falls(covariance, inference, seed, share):
    rng = np.random.default_rng(seed)
    X, weights = clusters(rng, n_rows=60, share=share)
    start = rng.dirichlet(np.ones(2), len(X))
    options = PLAIN | {"covariance_type": covariance, "max_iter": 15, "init_params": start}
    kind = bm.BayesianGaussianMixture if inference == "variational" else bm.GaussianMixture
    options |= {"prior": "auto"} if inference == "posterior mode" else {}
    options |= {"prune": False} if inference == "variational" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = kind(2, **options).fit(X, sample_weight=weights)
    steps = np.split(fitted.objective_trace_, fitted.result_.segments[1:])
    for step in steps:
        assert (np.diff(step) >= -1e-11 * np.abs(step[1:])).all()


@pytest.mark.parametrize("kind", [bm.GaussianMixture, bm.BayesianGaussianMixture])
@pytest.mark.parametrize("covariance", STRUCTURES)
def test_without_gaps_nothing_changes(kind, covariance):
    X = bm.datasets.load_faithful()
    plain, used, dropped = (
        kind(2, covariance_type=covariance, missing=missing, random_state=0).fit(X)
        for missing in ("error", "use", "drop")
    )
    for other in (used, dropped):
        np.testing.assert_array_equal(other.objective_trace_, plain.objective_trace_)
        np.testing.assert_array_equal(other.means_, plain.means_)
        np.testing.assert_array_equal(other.covariances_, plain.covariances_)
        np.testing.assert_array_equal(other.score_samples(X), plain.score_samples(X))


M0, BETA0, NU0, SCALE = 0.3, 0.7, 4.0, 1.9


def given_one_precision(columns, precision):
    """log p(columns | λ): means integrated out."""
    total = 0.0
    for column in columns:
        n = len(column)
        covariance = (np.eye(n) + np.ones((n, n)) / BETA0) / precision
        total += multivariate_normal(np.full(n, M0), covariance).logpdf(column)
    return total


def log_evidence(columns):
    """log ∫ Gamma(λ) Π p(columns | λ) dλ, by quadrature."""
    prior = gamma(NU0 / 2.0, scale=2.0 / SCALE)
    grid = np.geomspace(1e-3, 30.0, 400)
    top = max(given_one_precision(columns, at) + prior.logpdf(at) for at in grid)

    def integrand(precision):
        return np.exp(given_one_precision(columns, precision) + prior.logpdf(precision) - top)

    value, _ = quad(integrand, 0.0, 60.0, limit=400, epsabs=0.0, epsrel=1e-10, points=[0.5, 2.0])
    return top + np.log(value)


@pytest.mark.parametrize("covariance", ["diag", "spherical"])
def test_over_axes_the_bound_at_one_component_is_the_exact_log_evidence(covariance):
    rng = np.random.default_rng(3)
    X = with_gaps(rng, rng.normal(0.5, 1.0, (9, 3)), 0.3)
    prior = SCALE if covariance == "spherical" else np.full(3, SCALE)
    vb = bm.BayesianGaussianMixture(
        1,
        covariance_type=covariance,
        mean_prior=np.full(3, M0),
        mean_precision_prior=BETA0,
        degrees_of_freedom_prior=NU0,
        covariance_prior=prior,
        missing="use",
    ).fit(X)
    columns = [column[~np.isnan(column)] for column in X.T]
    if covariance == "spherical":
        expected = log_evidence(columns)
    else:
        expected = sum(log_evidence([column]) for column in columns)
    assert vb.elbo_ == pytest.approx(expected, abs=1e-6)


def test_of_full_covariances_the_bound_at_one_component_is_a_bound_and_near():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(12, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    X[4, 1] = np.nan
    prior = {
        "mean_prior": np.zeros(2),
        "mean_precision_prior": 0.5,
        "degrees_of_freedom_prior": 5.0,
        "covariance_prior": 2.0 * np.eye(2),
    }

    def complete(value):
        filled = np.where(np.isnan(X), value, X)
        return bm.BayesianGaussianMixture(1, search=None, **prior).fit(filled).elbo_

    # At K=1 the bound of complete rows is their exact evidence; the gap is integrated out.
    grid = np.linspace(-7.0, 7.0, 101)
    exact = logsumexp([complete(value) for value in grid]) + np.log(grid[1] - grid[0])
    bound = bm.BayesianGaussianMixture(1, missing="use", **prior).fit(X).elbo_
    assert exact - 0.2 < bound < exact


@pytest.mark.parametrize("covariance", STRUCTURES)
def test_scores_at_the_truth_have_mean_zero(covariance):
    """Fisher's identity: the score of what was seen is what the completed sums expect of it."""
    rng, scores = np.random.default_rng(5), []
    truth = bm.GaussianMixture.from_parameters(*of_structure(covariance))
    for _ in range(60):
        X = missing_at_random(rng, truth.sample(400, rng)[0])
        scores.append(score_at(truth, X))
    scores = np.array(scores)
    errors = scores.std(axis=0, ddof=1) / np.sqrt(len(scores))
    # Twelve scores of each structure at most: 4.5 standard errors are passed once in 10,000 runs.
    assert np.abs(scores.mean(axis=0) / errors).max() < 4.5


def of_structure(covariance):
    """Weights, means and covariances of two clusters."""
    dense = np.array([[[1.0, 0.6], [0.6, 1.5]], [[2.0, -0.8], [-0.8, 1.0]]])
    covariances = {
        "full": dense,
        "tied": dense[0],
        "diag": np.array([[1.0, 1.5], [2.0, 0.5]]),
        "spherical": np.array([1.0, 2.0]),
    }
    return [0.4, 0.6], [[0.0, 0.0], [2.5, 2.0]], covariances[covariance]


def missing_at_random(rng, X):
    """Thirty in a hundred rows without the second value, more where the first is large."""
    probability = 1.0 / (1.0 + np.exp(-(X[:, 0] - 3.0)))
    X[rng.random(len(X)) < probability, 1] = np.nan
    return X


def score_at(truth, X):
    """What the sums of the rows have beyond those that the parameters expect."""
    weights, components = truth.result_.mixture.weights, truth.result_.unframed
    mixture = Mixture(weights, components, Frame.identity(X.shape[1]))
    found = e_step(ArraySource(X), mixture, Gapped(0))[0].statistics
    counts = found.counts - len(X) * truth.weights_
    means = found.counts_of_means * (found.means - components.means)
    squares = found.about(components.means)
    expected = components.blocks * align(found.block_counts, components.blocks)
    return np.concatenate([counts[:1], means.ravel(), (squares - expected).ravel()])


def test_a_column_by_itself_is_what_those_rows_say_of_it():
    """Over axes a component of one is the mean and the variance of the values that there are."""
    rng = np.random.default_rng(6)
    X = with_gaps(rng, rng.normal([1.0, -2.0, 5.0], [1.0, 3.0, 0.2], (80, 3)), 0.4)
    gm = bm.GaussianMixture(1, covariance_type="diag", missing="use").fit(X)
    np.testing.assert_allclose(gm.means_[0], np.nanmean(X, axis=0), rtol=1e-9)
    np.testing.assert_allclose(gm.covariances_[0], np.nanvar(X, axis=0), rtol=1e-9)


@pytest.mark.slow
def test_imputations_hold_what_is_missing_as_often_as_they_say():
    rng, held = np.random.default_rng(7), []
    for _ in range(8):
        truth = bm.GaussianMixture.from_parameters(*of_structure("full"))
        whole, _ = truth.sample(300, rng)
        X = missing_at_random(rng, whole.copy())
        vb = bm.BayesianGaussianMixture(2, missing="use", search=None, random_state=0).fit(X)
        gaps = np.isnan(X[:, 1])
        drawn = vb.impute(X, n_draws=200, random_state=rng)[:, gaps, 1]
        low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
        held.append(np.mean((low <= whole[gaps, 1]) & (whole[gaps, 1] <= high)))
        filled = vb.impute(X)
        np.testing.assert_array_equal(filled[~gaps], X[~gaps])
        error = drawn.std(axis=0) / np.sqrt(200)
        assert np.median(np.abs(drawn.mean(axis=0) - filled[gaps, 1]) / error) < 2.0
    # Some 1,000 values, dependent within a table.
    assert 0.87 < np.mean(held) < 0.93


@pytest.mark.slow
def test_threads_change_no_bit_and_many_rows_are_found_again():
    rng = np.random.default_rng(8)
    truth = bm.GaussianMixture.from_parameters(*of_structure("full"))
    X = with_gaps(rng, truth.sample(40_000, rng)[0], 0.2)
    one, two = (
        bm.GaussianMixture(2, missing="use", random_state=0, n_jobs=n_jobs).fit(X)
        for n_jobs in (1, 2)
    )
    np.testing.assert_array_equal(one.objective_trace_, two.objective_trace_)
    np.testing.assert_array_equal(one.means_, two.means_)
    np.testing.assert_allclose(one.means_, [[2.5, 2.0], [0.0, 0.0]], atol=0.1)
    np.testing.assert_allclose(one.weights_, [0.6, 0.4], atol=0.03)


def test_a_search_with_gaps_finds_the_clusters_that_are_there():
    rng = np.random.default_rng(9)
    labels = rng.integers(6, size=900)
    centres = np.array([[0, 0], [0, 8], [8, 0], [8, 8], [16, 4], [-8, 4]], dtype=float)
    X = with_gaps(rng, centres[labels] + rng.normal(size=(900, 2)), 0.2)
    gm = bm.GaussianMixture(6, covariance_type="spherical", missing="use", random_state=0).fit(X)
    apart = np.linalg.norm(gm.means_[:, None] - centres, axis=2)
    assert (apart.min(axis=0) < 0.5).all()


def align(counts, blocks):
    """With axes of 1 at the end."""
    return counts.reshape(counts.shape + (1,) * (blocks.ndim - counts.ndim))
