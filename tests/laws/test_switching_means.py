"""Autoregressions around a switching mean: sums over all paths, published fits, direct optima."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax
from scipy.stats import norm

import bayesmix as bm
from bayesmix.allocation.chain import stationary_distribution
from bayesmix.errors import DegenerateFitError, InvalidInputError, UnsupportedError


def of_all_paths(y, lengths, transmat, means, lags, variances):
    """Log likelihood, smoothed and filtered probabilities by sums over all paths of the states."""
    K, p, total, smoothed, filtered = len(means), len(lags), 0.0, [], []
    steady = stationary_distribution(transmat)
    for own in np.split(y, np.cumsum(lengths)[:-1]):
        for end in range(p + 1, len(own) + 1):
            paths = list(product(range(K), repeat=end))
            logs = []
            for path in paths:
                s = np.array(path)
                away = own[:end] - means[s]
                moves = np.log(transmat[s[:-1], s[1:]]).sum() + np.log(steady[s[0]])
                means_given = [lags @ away[t - p : t][::-1] for t in range(p, end)]
                density = norm(means_given, np.sqrt(variances[s[p:]])).logpdf(away[p:])
                logs.append(moves + density.sum())
            weights, paths = softmax(logs), np.array(paths)
            last = [weights[paths[:, -1] == k].sum() for k in range(K)]
            filtered.append(last)
        total += logsumexp(logs)
        smoothed += [[weights[paths[:, t] == k].sum() for k in range(K)]
                     for t in range(p, len(own))]  # fmt: skip
    return total, np.array(smoothed), np.array(filtered)


@pytest.mark.parametrize(
    ("K", "p", "variance"), [(2, 1, "free"), (2, 2, "shared"), (3, 1, "shared")]
)
def test_probabilities_are_sums_over_all_paths(K, p, variance):
    rng = np.random.default_rng([K, p])
    y = np.repeat([0.0, 3.0, 0.2, 6.0], 5)[:20] + rng.normal(0, 0.5, 20)
    lengths = [7, 6, 7] if K == 2 else [5, 5, 5, 5]
    model = bm.switching_autoregression(
        y, K, p, variance, lengths=lengths, random_state=0, n_init=3
    )
    given = model.transmat, model.means, model.lag_coefficients, model.variances
    total, smoothed, filtered = of_all_paths(y, lengths, *given)
    assert model.log_likelihood == pytest.approx(total, abs=1e-9)
    np.testing.assert_allclose(model.state_probabilities, smoothed, atol=1e-9)
    np.testing.assert_allclose(model.filtered_probabilities, filtered, atol=1e-9)
    assert model.n_samples == 20 - len(lengths) * p
    assert (np.diff(model.stationary_distribution) <= 0.0).all()


@pytest.fixture(scope="module")
def growth():
    return pd.read_csv("tests/data/gnp.csv")["growth"]


def test_the_growth_of_the_american_product_has_the_fit_of_hamilton(growth):
    model = bm.switching_autoregression(growth, 2, 4, random_state=0)
    # EViews, and standard errors of Stata 14, as in the tests of statsmodels.
    assert model.log_likelihood == pytest.approx(-181.26339, abs=5e-6)
    assert model.n_parameters == 9
    np.testing.assert_allclose(model.means, [1.163516, -0.358811], atol=2e-5)
    lags = [0.013486, -0.057521, -0.246983, -0.212923]
    np.testing.assert_allclose(model.lag_coefficients, lags, atol=2e-5)
    assert np.log(model.variances[0]) == pytest.approx(-2.0 * 0.262658, abs=2e-5)
    assert model.transmat.diagonal().tolist() == pytest.approx([1 - 0.095915, 0.754673], abs=2e-5)
    errors = model.coefficients["standard_error"]
    assert errors.loc["mean"].tolist() == pytest.approx([0.0745187, 0.2645396], abs=1e-5)
    of_lags = [0.1199942, 0.137663, 0.1069103, 0.1105311]
    assert errors.loc["lag"].tolist() == pytest.approx(of_lags, abs=1e-5)
    of_moves = errors.loc["transition"].to_numpy()
    assert of_moves[[1, 3]].tolist() == pytest.approx([0.0377362, 0.0965189], abs=1e-5)
    first, last = [0.776712, 0.949192, 0.996320], [0.993756, 0.956164, 0.927714]
    filtered = model.filtered_probabilities["state 1"].to_numpy()
    np.testing.assert_allclose(filtered[[0, 1, 2, -3, -2, -1]], first + last, atol=2e-5)
    first, last = [0.968096, 0.991071, 0.998559], [0.996858, 0.969209, 0.927714]
    smoothed = model.state_probabilities["state 1"].to_numpy()
    np.testing.assert_allclose(smoothed[[0, 1, 2, -3, -2, -1]], first + last, atol=2e-5)
    assert model.state_probabilities.index.tolist() == list(range(4, 135))
    assert model.n_reached == model.n_init
    free = bm.switching_autoregression(growth, 2, 4, "free", random_state=0)
    assert free.log_likelihood > model.log_likelihood
    assert free.n_parameters == 10


def test_fits_are_at_the_directly_maximised_likelihood():
    rng = np.random.default_rng(5)
    states = (np.arange(60) // 12) % 2
    away = np.zeros(60)
    for t in range(1, 60):
        away[t] = 0.4 * away[t - 1] + rng.normal(0, [0.3, 0.8][states[t]])
    y = 100.0 * (2.0 * states + away) + 7.0
    model = bm.switching_autoregression(y, 2, 1, "free", random_state=0)

    def loss(theta):
        P = softmax([[0.0, theta[0]], [theta[1], 0.0]], axis=1)
        first = stationary_distribution(P)
        means, phi, s = 100.0 * theta[2:4], theta[4], 100.0 * np.exp(theta[5:7])
        alpha, total = None, 0.0
        for t in range(1, 60):
            mean = means[None, :] + phi * (y[t - 1] - means[:, None])  # from, to
            density = np.exp(-0.5 * ((y[t] - mean) / s) ** 2) / s / np.sqrt(2.0 * np.pi)
            before = first if alpha is None else alpha
            joint = before[:, None] * P * density
            alpha = joint.sum(axis=0)
            total += np.log(alpha.sum())
            alpha = alpha / alpha.sum()
        return -total

    ends = []
    for order in (1.0, -1.0):
        start = np.r_[-2.0, -2.0, 1.0 - order, 1.0 + order, 0.2, -0.7, -0.7]
        ends.append(minimize(loss, start, method="BFGS", options={"gtol": 1e-6}).fun)
    assert model.log_likelihood == pytest.approx(-min(ends), abs=1e-5)


def test_one_state_is_the_regression_on_deviations():
    y = np.random.default_rng(6).normal(size=80).cumsum() * 0.1
    model = bm.switching_autoregression(y, 1, 2)
    X, kept, _ = bm.lagged(y, 2)
    design = np.column_stack([np.ones(78), X])
    slopes, squares = np.linalg.lstsq(design, kept, rcond=None)[:2]
    variance = float(squares[0]) / 78
    np.testing.assert_allclose(model.lag_coefficients, slopes[1:], atol=1e-5)
    assert model.means[0] == pytest.approx(slopes[0] / (1 - slopes[1:].sum()), abs=1e-4)
    expected = -39.0 * (np.log(2 * np.pi * variance) + 1.0)
    assert model.log_likelihood == pytest.approx(expected, abs=1e-8)


def test_units_of_the_series_change_only_the_units_of_the_fit(growth):
    one = bm.switching_autoregression(growth[:60], 2, 1, random_state=0)
    two = bm.switching_autoregression(1000.0 * growth[:60] - 5.0, 2, 1, random_state=0)
    shifted = one.log_likelihood - one.n_samples * np.log(1000.0)
    assert two.log_likelihood == pytest.approx(shifted, abs=1e-6)
    np.testing.assert_allclose(two.means, 1000.0 * one.means - 5.0, rtol=1e-4)
    assert two.bic - two.aic == pytest.approx((np.log(59) - 2) * 6)


def test_a_transition_that_never_happens_has_no_standard_error():
    y = np.r_[np.zeros(40), np.full(40, 5.0), np.full(40, 10.0)]
    y += np.random.default_rng(8).normal(0, 0.5, 120)
    model = bm.switching_autoregression(y, 3, 1, lengths=[60, 60], random_state=0, n_init=4)
    errors = model.coefficients.loc["transition"]
    never = errors["estimate"] < 1e-6
    assert never.any()
    assert errors["standard_error"][never].isna().all()
    assert (model.coefficients["standard_error"].loc[["mean", "lag", "scale"]] > 0.0).all()


@pytest.mark.parametrize(
    ("y", "options", "words"),
    [
        ([1.0, np.nan, 2.0, 3.0] * 10, {}, "no missing or infinite values"),
        ([1.0] * 30, {}, "must not be constant"),
        ([1.0, 2.0, 1.5, 3.0], {}, "3 responses with lags for 6 parameters"),
        ([1.0, 2.0] * 20, {"residual_variance": "time"}, "must be one of 'shared', 'free'"),
    ],
)
def test_series_without_a_fit_are_refused(y, options, words):
    with pytest.raises(InvalidInputError, match=words):
        bm.switching_autoregression(y, **options)


def test_too_many_tuples_and_collapsed_states_are_refused():
    y = np.random.default_rng(7).normal(size=400)
    with pytest.raises(UnsupportedError, match="use fewer states or lags"):
        bm.switching_autoregression(y, 4, 9)
    tied = np.r_[np.zeros(30), 5.0 + 0.3 * y[:10]]
    with pytest.raises(DegenerateFitError, match="use residual_variance='shared'"):
        bm.switching_autoregression(tied, 2, 1, "free", random_state=0, n_init=3)


def test_the_figure_shows_the_responses_that_have_lags_and_their_states():
    rng = np.random.default_rng(8)
    y = pd.Series(np.repeat([0.0, 4.0, 0.0], 30) + rng.normal(0, 0.5, 90), name="growth")
    model = bm.switching_autoregression(y, n_lags=2, n_init=2, random_state=0)
    axes = model.plot()
    line = axes.lines[0]
    np.testing.assert_array_equal(line.get_xdata(), np.arange(2, 90))
    np.testing.assert_array_equal(line.get_ydata(), y[2:])
    shown = np.concatenate([part.get_offsets()[:, 0] for part in axes.collections[:2]])
    assert sorted(shown) == list(range(2, 90))
    most = model.state_probabilities.to_numpy().argmax(axis=1)
    assert len(axes.collections[0].get_offsets()) == (most == 0).sum()
    assert axes.get_ylabel() == "growth"
