"""Errors of measurement: extreme deconvolution against closed forms and a direct likelihood."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

import bayesmix as bm
from bayesmix.errors import (
    BayesmixWarning,
    DegenerateFitError,
    InvalidInputError,
    UnsupportedError,
)
from bayesmix.observation.deconvolution import NormalView
from bayesmix.observation.true_values import chunk_sums, drawn, views_of

STRUCTURES = ("full", "tied", "diag", "spherical")
EXACT = {"random_state": 0, "n_jobs": 1}
ONE_START = EXACT | {"search": None}


def problem(seed, n=120, full=True):
    """True values (n, 2) of two clusters, measured values and covariances or errors."""
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(n, 2)) @ [[1.0, 0.4], [0.0, 0.8]]
    true[: n // 3] = [4.0, 1.0] + 0.6 * rng.normal(size=(n // 3, 2))
    if full:
        half = 0.5 * rng.normal(size=(n, 2, 2))
        error = half @ half.swapaxes(1, 2)
        return true, true + np.einsum("nij,nj->ni", half, rng.normal(size=(n, 2))), error
    error = rng.uniform(0.1, 1.0, (n, 2))
    return true, true + error * rng.normal(size=(n, 2)), error


def covariances_of(model, D=2):
    C, K = model.covariances_, model.n_components
    match model.covariance_type:
        case "full":
            return C
        case "tied":
            return np.stack([C] * K)
        case "diag":
            return np.stack([np.diag(c) for c in C])
    return np.stack([c * np.eye(D) for c in C])


def log_densities(weights, means, covariances, X, S):
    """Log density (n,) of measured values under convolved components."""
    T, away = covariances + S[:, None], X[:, None] - means
    distance = (away * np.linalg.solve(T, away[..., None])[..., 0]).sum(axis=2)
    log_det = np.linalg.slogdet(2.0 * np.pi * T)[1]
    return logsumexp(np.log(weights) - 0.5 * (log_det + distance), axis=1)


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_likelihood_is_that_of_the_convolved_components_and_never_falls(structure, full):
    _, X, error = problem(1, full=full)
    data = bm.Measured(X, error=error)
    model = bm.GaussianMixture(2, covariance_type=structure, **EXACT).fit(data)
    S = error if full else np.stack([np.diag(e**2) for e in error])
    expected = log_densities(model.weights_, model.means_, covariances_of(model), X, S)
    np.testing.assert_allclose(model.score_samples(data), expected, rtol=1e-11, atol=1e-11)
    assert model.log_likelihood_ == pytest.approx(expected.sum(), rel=1e-12)
    trace = model.result_.trace
    assert np.diff(trace).min() > -1e-9
    # No small change of any parameter is better.
    for change in (1e-3, -1e-3):
        for k, d in np.ndindex(2, 2):
            means = model.means_.copy()
            means[k, d] += change
            own = log_densities(model.weights_, means, covariances_of(model), X, S).sum()
            assert own < model.log_likelihood_
        shares = model.weights_ + np.array([change, -change])
        own = log_densities(shares, model.means_, covariances_of(model), X, S).sum()
        assert own < model.log_likelihood_
        scaled = covariances_of(model) * (1.0 + 10.0 * change)
        assert log_densities(model.weights_, model.means_, scaled, X, S).sum() < expected.sum()


def test_in_one_dimension_the_maximum_is_that_of_a_direct_search():
    rng = np.random.default_rng(2)
    true = np.concatenate([rng.normal(0, 1, 150), rng.normal(5, 0.7, 100)])
    error = rng.uniform(0.2, 1.5, 250)
    x = true + error * rng.normal(size=250)

    def minus(theta):
        share = 1.0 / (1.0 + np.exp(-theta[0]))
        logs = [
            np.log(w) + norm.logpdf(x, m, np.hypot(np.exp(s), error))
            for w, m, s in ((share, theta[1], theta[3]), (1 - share, theta[2], theta[4]))
        ]
        return -np.logaddexp(*logs).sum()

    starts = [[0.0, a, b, 0.0, 0.0] for a, b in ((0.0, 5.0), (1.0, 4.0), (-1.0, 6.0))]
    best = min((minimize(minus, start) for start in starts), key=lambda found: found.fun)
    model = bm.GaussianMixture(2, **EXACT).fit(bm.Measured(x[:, None], error=error[:, None]))
    assert model.log_likelihood_ == pytest.approx(-best.fun, rel=1e-9)
    order = np.argsort(model.means_.ravel())
    np.testing.assert_allclose(model.means_.ravel()[order], np.sort(best.x[1:3]), rtol=1e-3)
    deviations = np.sqrt(model.covariances_.ravel()[order])
    by_mean = np.exp(best.x[3:])[np.argsort(best.x[1:3])]
    np.testing.assert_allclose(deviations, by_mean, rtol=1e-3)


@pytest.mark.filterwarnings("error")
def test_components_narrower_than_their_errors_are_no_collapse():
    """Known errors bound the likelihood: of two samples each is a component without extent."""
    X, errors = np.array([[6.0, -3.0], [2.0, 3.0]]), np.array([[0.7, 1.3], [0.7, 0.9]])
    model = bm.GaussianMixture(2, covariance_type="diag", random_state=0, max_iter=1000)
    model.fit(bm.Measured(X, error=errors))
    densities = norm.pdf(X[:, None], X, errors[:, None]).prod(axis=2)
    assert model.log_likelihood_ == pytest.approx(np.log(densities.mean(axis=1)).sum(), abs=1e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_errors_of_rounded_values_bound_the_likelihood_too():
    """Both samples may be components without extent; one normal component has -9.26."""
    X, errors = np.array([[6.0, -3.0], [2.0, 3.0]]), np.array([[0.7, 1.3], [0.7, 0.9]])
    model = bm.GaussianMixture(2, covariance_type="diag", random_state=0, max_iter=1000, tol=1e-3)
    model.fit(bm.Measured(X, error=errors, step=0.5))
    edges = norm.cdf((X[:, None] - X + [[[[-0.25]]], [[[0.25]]]]) / errors[:, None])
    most = np.log((np.diff(edges, axis=0)[0] / 0.5).prod(axis=2).mean(axis=1)).sum()
    assert most - 0.1 < model.log_likelihood_ <= most


@pytest.mark.slow
@pytest.mark.parametrize("seed", [21, 22, 23])
def test_few_samples_with_errors_end_near_the_maximum_of_a_direct_search(seed):
    """Before, narrow components were held, and fits ended up to 13 nats low."""
    rng = np.random.default_rng(seed)
    centres, errors = rng.integers(0, 3, 14), rng.uniform(0.1, 1.0, 14)
    X = 5.0 * centres + errors * rng.normal(size=14)

    def loss(parameters):
        weights, means, logs = parameters.reshape(3, 3)
        scale = np.sqrt(np.exp(logs) + errors[:, None] ** 2)
        joint = weights - logsumexp(weights) + norm.logpdf(X[:, None], means, scale)
        return -logsumexp(joint, axis=1).sum()

    best = np.inf
    for _ in range(20):
        begin = np.concatenate([np.zeros(3), rng.choice(X, 3, replace=False), rng.normal(-2, 2, 3)])
        bounds = 6 * [(None, None)] + 3 * [(-30.0, None)]
        best = min(best, minimize(loss, begin, method="L-BFGS-B", bounds=bounds).fun)
    model = bm.GaussianMixture(3, random_state=seed, max_iter=500)
    model.fit(bm.Measured(X[:, None], error=errors[:, None]))
    assert model.log_likelihood_ > -best - 0.2
    assert not model.result_.events


@pytest.mark.parametrize("structure", STRUCTURES)
def test_errors_of_zero_give_the_plain_fit(structure):
    _, X, _ = problem(3)
    plain = bm.GaussianMixture(2, covariance_type=structure, **ONE_START).fit(X)
    same = bm.GaussianMixture(2, covariance_type=structure, **ONE_START)
    same.fit(bm.Measured(X, error=np.zeros(2)))
    np.testing.assert_allclose(same.means_, plain.means_, atol=1e-5)
    np.testing.assert_allclose(same.covariances_, plain.covariances_, atol=1e-4)
    assert same.log_likelihood_ == pytest.approx(plain.log_likelihood_, rel=1e-9)


def test_equal_errors_are_subtracted_from_the_plain_covariances():
    _, X, _ = problem(4)
    S = np.array([[0.05, 0.02], [0.02, 0.04]])
    plain = bm.GaussianMixture(2, **EXACT).fit(X)
    error = np.broadcast_to(S, (len(X), 2, 2))
    model = bm.GaussianMixture(2, **EXACT).fit(bm.Measured(X, error=error))
    np.testing.assert_allclose(model.covariances_, plain.covariances_ - S, atol=1e-4)
    assert model.log_likelihood_ == pytest.approx(plain.log_likelihood_, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["full", "diag", "tied", "EVE"])
@pytest.mark.parametrize("full", [True, False])
def test_sums_of_equal_errors_are_expected_moments_of_true_values(structure, full):
    _, X, error = problem(17, n=400, full=full)
    error = error[0]
    S = error if full else np.diag(error**2)
    given = np.broadcast_to(S, (len(X), 2, 2)) if full else error
    data = bm.Measured(X, error=given)
    model = bm.GaussianMixture(3, covariance_type=structure, random_state=0, max_iter=1000)
    mixture = model.fit(X).result_.mixture
    sums = data.reduce(partial(chunk_sums, mixture), 3).finished()
    # Slowly, sample by sample, in the frame of the mixture.
    frame, components = mixture.frame, mixture.components
    S = S * np.outer(frame.inverse_scale, frame.inverse_scale)
    C, framed = components.covariances, frame.apply(X)
    logs = [
        multivariate_normal(m, c + S).logpdf(framed)
        for m, c in zip(components.means, C, strict=True)
    ]
    joint = np.log(mixture.weights.mean())[:, None] + logs
    shares = np.exp(joint - logsumexp(joint, axis=0))
    np.testing.assert_allclose(sums.log_normaliser, logsumexp(joint, axis=0).sum(), rtol=1e-12)
    np.testing.assert_allclose(sums.counts, shares.sum(axis=1), rtol=1e-10)
    scatter = np.zeros((3, 2, 2))
    for k in range(3):
        gain = C[k] @ np.linalg.inv(C[k] + S)
        true = components.means[k] + (framed - components.means[k]) @ gain.T
        mean = shares[k] @ true / shares[k].sum()
        np.testing.assert_allclose(sums.statistics.means[k], mean, rtol=1e-10, atol=1e-12)
        away, left = true - mean, C[k] - gain @ C[k]
        scatter[k] = (shares[k] * away.T) @ away + shares[k].sum() * left
    structure = components.structure
    expected = structure.blocks.pool(structure.algebra.of_dense(scatter))
    np.testing.assert_allclose(sums.statistics.scatter, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("truncated", [False, True])
@pytest.mark.parametrize("structure", ["full", "diag"])
def test_equal_errors_give_the_sums_of_each_sample_also_with_a_resolution(structure, truncated):
    _, X, _ = problem(17, full=False)
    least = np.array([np.median(X[:, 0]) if truncated else -np.inf, -np.inf])
    X = X[(least < X).all(axis=1)]
    model = bm.GaussianMixture(2, covariance_type=structure, **EXACT).fit(X)
    mixture = model.result_.mixture
    components = mixture.components
    floor = components.structure.algebra.of_dense(0.01 * np.eye(2)[None])
    mixture = replace(mixture, components=replace(components, resolution=floor))
    data = bm.Measured(X, error=[0.3, 0.4], truncated=(least, None))
    view = NormalView(mixture, data.rows, alike=True)
    alike, each = view.sums().finished(), replace(view, alike=False).sums().finished()
    assert alike.log_normaliser == pytest.approx(each.log_normaliser, rel=1e-12)
    np.testing.assert_allclose(alike.counts, each.counts, rtol=1e-10)
    np.testing.assert_allclose(alike.statistics.means, each.statistics.means, atol=1e-10)
    np.testing.assert_allclose(alike.statistics.scatter, each.statistics.scatter, rtol=1e-9)


def test_rounded_samples_are_together_where_their_steps_are_equal():
    rng = np.random.default_rng(61)
    X = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3)) + 4.0 * rng.integers(0, 2, (200, 1))
    X = np.round(X)
    mixture = bm.GaussianMixture(2, **EXACT).fit(X).result_.mixture
    for step, alike in ((1.0, True), ([1.0, 1.0, 0.5], True), ([1.0, 0.0, 1.0], False)):
        rows = bm.Measured(X, step=step).rows
        ((_, view),) = views_of(mixture, rows, sums=True)
        assert view.alike == alike
        each = replace(view, alike=False).sums().finished()
        together = view.sums().finished()
        assert together.log_normaliser == pytest.approx(each.log_normaliser, rel=1e-12)
        np.testing.assert_allclose(together.statistics.means, each.statistics.means, atol=1e-10)
        np.testing.assert_allclose(together.statistics.scatter, each.statistics.scatter, rtol=1e-9)


def test_covariances_are_symmetric_after_many_passes():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(3, 3))
    S = 0.1 * A @ A.T + 0.2 * np.eye(3)
    X = rng.normal(0, 2, (3, 3))[rng.integers(3, size=1000)] + rng.normal(size=(1000, 3))
    X += rng.multivariate_normal(np.zeros(3), S, 1000)
    model = bm.GaussianMixture(3, search=None, max_iter=5000, **EXACT)
    covariances = model.fit(bm.Measured(X, error=np.broadcast_to(S, (1000, 3, 3)))).covariances_
    assert model.n_iter_ > 50
    np.testing.assert_allclose(covariances, covariances.swapaxes(1, 2), rtol=0.0, atol=1e-13)


@pytest.mark.parametrize("full", [True, False])
def test_an_infinite_error_is_a_missing_value(full):
    _, X, error = problem(5, full=full)
    gone = np.random.default_rng(0).random(X.shape) < 0.2
    gone[gone.all(axis=1)] = False
    holes = np.where(gone, np.nan, X)
    if full:
        error = np.broadcast_to(np.zeros((2, 2)), (len(X), 2, 2)).copy()
        error[:, range(2), range(2)] = np.where(gone, np.inf, 0.0)
    else:
        error = np.where(gone, np.inf, 0.0)
    options = {"missing": "use", "covariance_type": "full", **EXACT}
    expected = bm.GaussianMixture(2, **options).fit(holes)
    model = bm.GaussianMixture(2, **options).fit(bm.Measured(X, error=error))
    assert model.log_likelihood_ == pytest.approx(expected.log_likelihood_, rel=1e-8)
    np.testing.assert_allclose(model.means_, expected.means_, atol=1e-4)


@pytest.mark.parametrize("structure", ["full", "diag"])
def test_a_sample_with_a_huge_error_tells_nothing_and_does_not_overflow(structure):
    _, X, _ = problem(17, full=False)
    error = np.full(X.shape, 0.3)
    error[3] = 1e150
    options = {"covariance_type": structure, **EXACT}
    model = bm.GaussianMixture(2, **options).fit(bm.Measured(X, error=error))
    rest = bm.Measured(np.delete(X, 3, axis=0), error=[0.3, 0.3])
    expected = bm.GaussianMixture(2, **options).fit(rest)
    own = -2.0 * np.log(1e150) - np.log(2.0 * np.pi)
    assert model.log_likelihood_ == pytest.approx(expected.log_likelihood_ + own, rel=1e-9)
    np.testing.assert_allclose(model.means_, expected.means_, atol=1e-5)


def test_an_infinite_error_makes_intervals_and_draws_missing():
    """A bound or an exact value with such an error tells nothing."""
    bounds = np.array([[1.0, np.nan], [5.0, np.nan], [np.nan, np.nan]])
    error = [[np.inf, 0.1], [np.inf, 0.1], [0.1, 0.1]]
    wider = np.array([[2.0], [0.0], [0.0]]) + bounds
    data = bm.Measured(np.zeros((3, 2)), error=error, lower=bounds, upper=wider)
    np.testing.assert_array_equal(np.isnan(data.values), [[1, 0], [1, 0], [0, 0]])
    assert not data.side.measurement.hidden.any()
    model = bm.GaussianMixture(1, **EXACT).fit(problem(18)[1])
    draws, _ = model.sample(5, random_state=0, error=[np.inf, 0.1])
    np.testing.assert_array_equal(np.isnan(draws), [[True, False]] * 5)


def test_missing_values_with_errors_are_marginal_densities():
    _, X, error = problem(6)
    X[::5, 1] = np.nan
    data = bm.Measured(X, error=error)
    model = bm.GaussianMixture(2, missing="use", **EXACT).fit(data)
    terms = [
        [
            np.log(w) + multivariate_normal(m[ok], (c + s)[np.ix_(ok, ok)]).logpdf(x[ok])
            for w, m, c in zip(model.weights_, model.means_, model.covariances_, strict=True)
        ]
        for x, s in zip(X, error, strict=True)
        for ok in [np.flatnonzero(~np.isnan(x))]
    ]
    np.testing.assert_allclose(model.score_samples(data), logsumexp(terms, axis=1), atol=1e-10)
    assert model.log_likelihood_ == pytest.approx(logsumexp(terms, axis=1).sum(), rel=1e-12)


def test_few_distinct_errors_give_the_same_fit_as_each_for_itself():
    _, X, _ = problem(7)
    S = np.array([[[0.2, 0.1], [0.1, 0.3]], [[0.05, 0.0], [0.0, 0.4]]])[np.arange(len(X)) % 2]
    grouped = bm.Measured(X, error=S)
    measurement = grouped.side.measurement
    assert len(measurement.errors) == 2
    apart = replace(measurement, errors=S, groups=np.arange(len(X)))
    alone = replace(grouped, side=replace(grouped.side, measurement=apart))
    first, second = (
        bm.GaussianMixture(2, search=None, **EXACT).fit(data) for data in (grouped, alone)
    )
    np.testing.assert_allclose(first.result_.trace, second.result_.trace, rtol=1e-11)
    np.testing.assert_allclose(first.covariances_, second.covariances_, atol=1e-9)


def test_true_values_are_the_posterior_of_one_normal_component():
    _, X, error = problem(8, full=False)
    data = bm.Measured(X, error=error)
    model = bm.GaussianMixture(1, covariance_type="diag", **EXACT).fit(data)
    variance, mean = model.covariances_[0], model.means_[0]
    gain = variance / (variance + error**2)
    values = model.true_values(data)
    np.testing.assert_allclose(values.mean, mean + gain * (X - mean), rtol=1e-10)
    np.testing.assert_allclose(values.standard_deviation, np.sqrt(gain) * error, rtol=1e-9)


def test_draws_of_true_values_have_their_posterior_moments():
    """Tolerance: 5 standard errors of 1,500 draws."""
    _, X, error = problem(9, n=12)
    X[0, 1] = np.nan
    data = bm.Measured(X, error=error)
    model = bm.GaussianMixture(2, missing="use", search=None, prior="auto", **EXACT).fit(data)
    values, many = model.true_values(data), data.subset(np.tile(np.arange(12), 1500)).rows
    draws = drawn(model.result_.density, many, np.random.default_rng(3)).reshape(1500, 12, 2)
    z = (draws.mean(axis=0) - values.mean) / values.standard_deviation * np.sqrt(1500)
    assert np.abs(z).max() < 5.0
    ratio = draws.std(axis=0) / values.standard_deviation
    assert np.abs(ratio - 1.0).max() < 0.12  # heavier tails of mixtures included


def test_units_of_the_columns_do_not_matter():
    _, X, error = problem(10, full=False)
    factor, shift = np.array([1000.0, 0.01]), np.array([-5e4, 3.0])
    one, other = (
        bm.GaussianMixture(2, **EXACT).fit(bm.Measured(values, error=spread))
        for values, spread in ((X, error), (X * factor + shift, error * factor))
    )
    np.testing.assert_allclose(other.means_, one.means_ * factor + shift, rtol=1e-6)
    expected = one.log_likelihood_ - len(X) * np.log(factor).sum()
    assert other.log_likelihood_ == pytest.approx(expected, rel=1e-9)


def test_predictions_use_the_errors_of_new_samples():
    _, X, error = problem(11, full=False)
    data = bm.Measured(X, error=error)
    model = bm.GaussianMixture(2, **EXACT).fit(data)
    middle = model.means_.mean(axis=0)[None]
    vague = model.predict_proba(bm.Measured(middle, error=np.full((1, 2), 1e4)))
    np.testing.assert_allclose(vague[0], model.weights_, atol=1e-3)
    exact = model.predict_proba(bm.Measured(middle, error=np.zeros(2)))
    np.testing.assert_allclose(exact, model.predict_proba(middle), atol=1e-10)
    assert model.bic(data) == pytest.approx(
        -2.0 * model.log_likelihood_ + model.n_parameters_ * np.log(len(X)), rel=1e-9
    )


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (np.full((4, 2), -1.0), r"must not be negative or missing, got -1 in row 0, column 0"),
        (np.ones((3, 2)), r"must have shape \(2,\) or \(4, 2\) or \(4, 2, 2\)"),
        ({"a": 1.0}, "error must hold numbers"),
        (np.stack([[[1.0, 2.0], [2.0, 1.0]]] * 4), "positive semidefinite covariances, but that"),
        (np.stack([[[1.0, 0.5], [0.0, 1.0]]] * 4), "symmetric"),
        (np.stack([[[1.0, np.nan], [np.nan, 1.0]]] * 4), "that of row 0 is not"),
    ],
)
def test_wrong_errors_are_named(error, message):
    with pytest.raises(InvalidInputError, match=message):
        bm.Measured(np.zeros((4, 2)), error=error)


def test_what_cannot_have_errors_says_what_to_use():
    _, X, error = problem(12, n=30)
    data = bm.Measured(X, error=error)
    with pytest.raises(UnsupportedError, match="point estimate"):
        bm.BayesianGaussianMixture(2).fit(data)
    with pytest.raises(UnsupportedError, match="Gaussian family"):
        bm.Mixture(2, family=bm.StudentT(), inference=bm.MaximumLikelihood()).fit(data)
    with pytest.raises(UnsupportedError, match="predictions from measured data need a point"):
        bm.BayesianGaussianMixture(1).fit(X).predict_proba(data)
    model = bm.GaussianMixture(1).fit(data)
    with pytest.raises(InvalidInputError, match="Measured"):
        model.true_values(X)


def test_weights_of_measured_samples_repeat_them():
    rng = np.random.default_rng(8)
    X, errors = rng.normal(size=(60, 2)), rng.uniform(0.1, 0.5, (60, 2))
    X[30:] += 4.0
    weights = rng.integers(1, 4, 60)
    weighted = bm.GaussianMixture(2, random_state=0).fit(
        bm.Measured(X, error=errors), sample_weight=weights
    )
    rows = np.repeat(np.arange(60), weights)
    repeated = bm.GaussianMixture(2, random_state=0).fit(bm.Measured(X[rows], error=errors[rows]))
    assert weighted.log_likelihood_ == pytest.approx(repeated.log_likelihood_, rel=1e-9)
    assert repr(bm.Measured(X, error=errors)) == "ArraySource of 60 measured samples, 2 columns"


def test_where_a_variance_of_true_values_is_zero_the_derivative_is_not_positive():
    """Errors explain all variation of the first column; none of the second."""
    rng = np.random.default_rng(9)
    error = np.full((200, 2), [1.0, 0.1])
    X = rng.normal(size=(200, 2)) * [0.8, 1.0]
    data = bm.Measured(X, error=error)
    # Variances fall to zero as one over the number of passes.
    options = {"covariance_type": "diag", "tol": 1e-7, "max_iter": 2_000, **EXACT}
    model = bm.GaussianMixture(1, **options).fit(data)
    mean, variances = model.means_[0], model.covariances_[0]

    def slope(d, variance):
        T = variance + error[:, d] ** 2
        return 0.5 * np.sum((X[:, d] - mean[d]) ** 2 / T**2 - 1.0 / T)

    assert variances[0] < 0.02
    assert slope(0, 0.0) < 0.0
    assert abs(slope(1, variances[1])) < 1e-2


def test_covariances_that_only_errors_make_positive_are_refused():
    """Extrapolation proposes them where errors explain all variation."""
    _, X, _ = problem(17, full=False)
    data = bm.Measured(X, error=[1.0, 1.0])
    mixture = bm.GaussianMixture(1, **EXACT).fit(X).result_.mixture
    blocks = np.array([[[1.0, 0.1], [0.1, 0.01 - 1e-6]]])
    indefinite = replace(mixture, components=replace(mixture.components, blocks=blocks))
    with pytest.raises(DegenerateFitError, match="is singular"):
        data.reduce(partial(chunk_sums, indefinite), 1)


def test_draws_with_errors_have_the_sum_of_both_covariances():
    """Tolerance: 5 standard errors of 20,000 draws."""
    model = bm.GaussianMixture(1, **EXACT).fit(problem(13)[1])
    S = np.array([[0.5, 0.2], [0.2, 0.4]])
    draws, _ = model.sample(20_000, random_state=1, error=np.broadcast_to(S, (20_000, 2, 2)))
    expected = model.covariances_[0] + S
    bound = 5.0 * np.sqrt(2.0 / 20_000) * expected.max()
    assert np.abs(np.cov(draws.T) - expected).max() < bound


def test_figures_of_measured_data_have_a_bar_for_each_sample_to_the_edge_if_open():
    from matplotlib.figure import Figure

    _, X, error = problem(14, n=40, full=False)
    data = bm.Measured(X, error=error, limits=([0.0, -np.inf], None))
    model = bm.GaussianMixture(1, **EXACT).fit(data)
    ax = model.plot(data, ax=Figure().subplots())
    bars = [lines.get_segments() for lines in ax.collections if hasattr(lines, "get_segments")]
    across = next(np.array(own) for own in bars if len(own) == 40)
    below, edge = X[:, 0] <= 0.0, ax.get_xlim()[0]
    np.testing.assert_allclose(across[below, 0, 0], edge)
    width = np.diff(across[:, :, 0], axis=1)[:, 0]
    inside = ~below & (X[:, 0] - error[:, 0] > edge) & (X[:, 0] + error[:, 0] < ax.get_xlim()[1])
    np.testing.assert_allclose(width[inside], 2.0 * error[inside, 0])


def test_draws_of_true_values_are_reproducible_and_have_their_means():
    """Tolerance: 5 standard errors of 400 draws."""
    _, X, error = problem(15, n=30, full=False)
    data = bm.Measured(X, error=error)
    model = bm.GaussianMixture(1, **EXACT).fit(data)
    mean, deviation, draws = model.true_values(data, n_draws=400, random_state=1)
    assert draws.shape == (400, 30, 2)
    assert (np.abs(draws.mean(axis=0) - mean) < 5.0 * deviation / 20.0).all()
    np.testing.assert_array_equal(draws[:3], model.true_values(data, 3, 1).draws)
    assert model.true_values(data).draws.shape == (0, 30, 2)


@pytest.mark.slow
@pytest.mark.slow
def test_bands_of_the_density_of_true_values_are_those_of_refits_to_reweighted_samples():
    """Deviations of 100 refits are within a third of those by the information matrix."""
    _, X, error = problem(16, full=False)
    data = bm.Measured(X, error=error, limits=([-1.5, -np.inf], None))
    model = bm.GaussianMixture(2, **EXACT).fit(data)
    refits = bm.weighted_bootstrap(model, data, n_draws=100, random_state=0)
    table = model.parameter_table(data)["standard_error"]["mean"]
    expected = table.to_numpy().reshape(2, 2).T  # by column, then class
    ratio = refits.standard_deviations.means / expected
    assert (np.abs(ratio - 1.0) < 1.0 / 3.0).all()
    band = model.density_interval(model.means_, method=refits)
    density = np.exp(model.score_samples(model.means_))
    assert ((band[:, 0] < density) & (density < band[:, 1])).all()


def test_measured_data_without_rows_and_regressions_of_them_are_refused():
    with pytest.raises(InvalidInputError, match="X must have at least one row and column"):
        bm.Measured(np.empty((0, 2)))
    with pytest.raises(InvalidInputError, match="bounds of truncated, got 5 in row 0, column 0"):
        bm.Measured([[np.nan]], lower=[[5.0]], upper=[[6.0]], truncated=(0.0, 4.0))
    measured = bm.Measured(np.arange(20.0)[:, None], error=[0.1])
    with pytest.raises(UnsupportedError, match="RegressionMixture does not support measured data"):
        bm.RegressionMixture(2).fit(measured, np.arange(20.0))


def test_masked_values_are_missing_and_infinite_ones_need_a_limit():
    masked = np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], [[False, True], [False, False]])
    np.testing.assert_array_equal(bm.Measured(masked).values, [[1.0, np.nan], [3.0, 4.0]])
    with pytest.raises(InvalidInputError, match="negative or missing, got nan in row 0, column 1"):
        bm.Measured(masked.data, error=masked)
    saturated = [[1.0], [np.inf], [2.0], [3.0]]
    with pytest.raises(InvalidInputError, match=r"got inf in row 1, column 0, .* pass limits"):
        bm.Measured(saturated, limits=(0.0, np.inf))
    lower = bm.Measured(saturated, limits=(0.0, 5.0)).side.measurement.lower
    np.testing.assert_array_equal(lower, [[np.nan], [5.0], [np.nan], [np.nan]])
    with pytest.raises(InvalidInputError, match=r"two dimensions, got 'table\.csv'"):
        bm.Measured("table.csv")


def test_cells_of_laboratories_are_limits():
    """Decimal commas, and values that were not detected, below the limit given for these."""
    cells = ["<0,3", "0,5", "ND", "1,25", "n.d.", ">9,5", ""]
    X = pd.DataFrame({"a": cells, "b": range(1, 8)})
    with pytest.raises(InvalidInputError, match=r"got -inf in row 2, column 'a', .* pass limits"):
        bm.Measured(X)
    data = bm.Measured(X, limits=([0.4, -np.inf], np.inf))
    lower, upper = data.side.measurement.lower.T[0], data.side.measurement.upper.T[0]
    gap, end = np.nan, np.inf
    np.testing.assert_array_equal(lower, [-end, gap, -end, gap, -end, 9.5, gap])
    np.testing.assert_array_equal(upper, [0.3, gap, 0.4, gap, 0.4, end, gap])
    np.testing.assert_array_equal(data.values[[1, 3, 6], 0], [0.5, 1.25, np.nan])
    np.testing.assert_array_equal(data.values[:, 1], np.arange(1.0, 8.0))


def test_sparse_tables_and_measured_responses_are_refused_with_what_to_pass():
    X = np.random.default_rng(0).normal(size=(30, 2))
    with pytest.raises(InvalidInputError, match=r"pass X\.toarray\(\)"):
        bm.Measured(csr_array(X))
    with pytest.raises(InvalidInputError, match="y must be an array or a series"):
        bm.RegressionMixture(2).fit(X, bm.Measured(X[:, :1], error=[0.1]))


def test_frames_and_series_follow_the_columns_of_x_and_rows_in_another_order_are_named():
    rng = np.random.default_rng(21)
    X = pd.DataFrame(rng.normal(size=(30, 2)), columns=["a", "b"])
    error = pd.DataFrame(rng.uniform(0.1, 0.5, (30, 2)), columns=["a", "b"])
    lower = (X - 1.0).where(X > 0.5).astype("Float64")
    options = {"error": error, "lower": lower, "upper": lower + 2.0}
    low = lower.to_numpy(float, na_value=np.nan)
    plain = bm.Measured(X.to_numpy(), error=error.to_numpy(), lower=low, upper=low + 2.0)
    mixed = {name: frame[["b", "a"]] for name, frame in options.items()}
    for given in (options, mixed):
        source = bm.Measured(X, **given)
        parts, expected = source.side.measurement, plain.side.measurement
        np.testing.assert_array_equal(parts.errors[parts.groups], expected.errors[expected.groups])
        np.testing.assert_array_equal(parts.lower, expected.lower)
    steps = bm.Measured(X.round(1), step=pd.Series({"b": 0.1, "a": 0.0})).side.measurement.steps
    np.testing.assert_array_equal(steps.max(axis=0), [0.0, 0.1])
    with pytest.warns(BayesmixWarning, match=r"error has the index of X in another order"):
        bm.Measured(X, error=error[::-1])
    with pytest.raises(InvalidInputError, match="all options of Measured once"):
        bm.Measured(plain, error=[0.1, 0.1])


@pytest.mark.parametrize("criterion", ["score", "bic", "aic", "icl"])
def test_weights_beside_measured_data_repeat_their_rows(criterion):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, 40), rng.normal(6, 1, 40)])[:, None].round(1)
    times = rng.integers(1, 4, 80)
    model = bm.GaussianMixture(2, random_state=0).fit(bm.Measured(x, step=0.1))
    weighted = getattr(model, criterion)(bm.Measured(x, step=0.1), sample_weight=times)
    repeated = getattr(model, criterion)(bm.Measured(np.repeat(x, times, axis=0), step=0.1))
    np.testing.assert_allclose(weighted, repeated, rtol=1e-12)
