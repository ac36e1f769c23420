"""Zero-inflated counts and censored normal responses: direct maxima, derivatives, boundaries."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import approx_fprime, minimize
from scipy.special import expit, log_softmax, logsumexp

import bayesmix as bm
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError
from bayesmix.families.trajectory_responses import (
    CensoredNormalResponse,
    OrdinalResponse,
    ZeroInflatedPoissonResponse,
)

LIMITS = (-1.0, 2.0)


def counts(seed=0, n_units=60, visits=6, extra=(-1.0, 0.5), slope=0.0):
    """Return times, counts and units of two classes with extra zeros."""
    rng = np.random.default_rng(seed)
    unit, t = np.repeat(np.arange(n_units), visits), np.tile(np.linspace(-1, 1, visits), n_units)
    k = (unit < n_units // 3).astype(int)
    y = rng.poisson(np.exp(np.array([0.3, 1.8])[k] + np.array([0.8, -0.6])[k] * t))
    y[rng.random(len(y)) < expit(np.array(extra)[k] + slope * t)] = 0
    return t[:, None], y.astype(float), unit


def censored(seed=0, n_units=50, visits=5):
    """Return times, values within limits and units of two classes."""
    rng = np.random.default_rng(seed)
    unit, t = np.repeat(np.arange(n_units), visits), np.tile(np.linspace(-1, 1, visits), n_units)
    sign = np.where(unit < n_units // 3, -1.0, 1.0)
    return t[:, None], np.clip(0.5 + sign * (1 + t) + rng.normal(0, 0.7, len(t)), *LIMITS), unit


def log_density_of(response, y, eta, second):
    """Return log p(y) from SciPy; ``second`` is log odds of extra zeros, or log variance."""
    if response == "zero_inflated_poisson":
        extra = expit(second)
        return np.log((1 - extra) * stats.poisson.pmf(y, np.exp(eta)) + extra * (y == 0))
    normal = stats.norm(eta, np.exp(0.5 * second))
    out = np.where(y >= LIMITS[1], normal.logsf(LIMITS[1]), normal.logpdf(y))
    return np.where(y <= LIMITS[0], normal.logcdf(LIMITS[0]), out)


def loss(theta, response, t, y, unit):
    """Return minus the log likelihood of two classes of units."""
    joint = np.empty((len(y), 2))
    for k, (b0, b1, second) in enumerate(theta[:6].reshape(2, 3)):
        joint[:, k] = log_density_of(response, y, b0 + b1 * t[:, 0], second)
    units = np.zeros((unit.max() + 1, 2))
    np.add.at(units, unit, joint)
    logs = np.array([0.0, theta[6]]) - np.logaddexp(0.0, theta[6])
    return -logsumexp(logs + units, axis=1).sum()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("response", "data", "options"),
    [
        ("zero_inflated_poisson", counts, {}),
        ("censored_normal", censored, {"limits": LIMITS}),
    ],
)
def test_fits_are_direct_maxima_with_standard_errors_of_the_information(response, data, options):
    t, y, unit = data()
    model = bm.RegressionMixture(2, response=response, n_init=4, random_state=0, **options)
    model.fit(t, y, groups=unit)
    components, back = model._mixture.components, model._data.design.back
    second = components.coefficients[:, 2] if response[0] == "z" else 2.0 * np.log(model.scale_)
    raw = components.coefficients[:, :2] @ back.T
    start = np.append(np.column_stack([raw, second]), np.log(model.weights_[1] / model.weights_[0]))
    arguments = (response, t, y, unit)
    assert np.isclose(-loss(start, *arguments), model.log_likelihood_, rtol=1e-10)
    direct = minimize(loss, start, arguments, method="BFGS", options={"gtol": 1e-4})
    assert -direct.fun < model.log_likelihood_ + 1e-5
    # Numerical second derivatives of the direct log likelihood.
    size, step = len(start), 1e-3
    hessian = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            e, f = step * np.eye(size)[i], step * np.eye(size)[j]
            four = [loss(start + s * e + u * f, *arguments) for s in (1, -1) for u in (1, -1)]
            hessian[i, j] = (four[0] - four[1] - four[2] + four[3]) / (4 * step**2)
    errors = np.sqrt(np.diag(np.linalg.inv(hessian)))
    table = model.coefficients().loc["coefficient"]["standard_error"].to_numpy()
    assert np.allclose(table, errors[[0, 1, 3, 4]], rtol=1e-3)
    if response[0] == "z":
        table = model.coefficients().loc["inflation"]["standard_error"]
        assert np.allclose(table, errors[[2, 5]], rtol=1e-3)
    residuals = model.residuals(t, y)
    assert stats.kstest(residuals, "norm").pvalue > 0.001


def test_extra_zeros_may_have_a_trend_and_are_saved(tmp_path):
    t, y, unit = counts(3, 100, slope=2.0)
    model = bm.RegressionMixture(
        2, response="zero_inflated_poisson", inflation=[0], n_init=4, random_state=0
    ).fit(t, y, groups=unit)
    trend = model.coefficients().loc["inflation"].xs("x0", level="term")
    assert (np.abs(trend["estimate"] - 2.0) < 4.0 * trend["standard_error"]).all()
    plain = bm.RegressionMixture(2, response="zero_inflated_poisson", n_init=4, random_state=0).fit(
        t, y, groups=unit
    )
    assert model.n_parameters_ == plain.n_parameters_ + 2 == 9
    assert model.log_likelihood_ > plain.log_likelihood_ + 5.0
    means = model.predict_components(t)
    rates = np.exp(model.intercept_ + t @ model.coef_.T)
    odds = model.coefficients().loc["inflation"]["estimate"].to_numpy().reshape(2, 2)
    assert np.allclose(means, rates * expit(-(odds[:, 0] + t @ odds[:, 1:].T)))
    model.save(tmp_path / "model.bayesmix")
    again = bm.load(tmp_path / "model.bayesmix")
    assert again.coefficients().equals(model.coefficients())


def test_no_extra_zeros_is_a_boundary_that_is_named_without_failure():
    rng = np.random.default_rng(5)
    t = rng.uniform(-1, 1, (300, 1))
    y = np.maximum(rng.poisson(np.exp(2.0 + 0.5 * t[:, 0])), 1).astype(float)
    model = bm.RegressionMixture(1, response="zero_inflated_poisson")
    with pytest.warns(BayesmixWarning, match="probability of extra zeros is estimated as 0 or 1"):
        model.fit(t, y)
    poisson = bm.RegressionMixture(1, response="poisson").fit(t, y)
    assert np.allclose(model.coef_, poisson.coef_, atol=1e-5)
    table = model.coefficients()["standard_error"]
    assert np.isnan(table.loc["inflation"]).all()
    expected = poisson.coefficients()["standard_error"].loc["coefficient"]
    assert np.allclose(table.loc["coefficient"], expected, rtol=1e-4)


def test_distribution_functions_of_levels_and_quantiles_are_inverse():
    response, p = OrdinalResponse(2.0, 3, 1), np.array([[[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]])
    distribution = response.distribution(None, None, np.log(p))
    y = np.arange(1.0, 6.0)[:, None]
    assert np.allclose(distribution.cdf(y), [[0, 0], [0.2, 0.1], [0.7, 0.2], [1, 1], [1, 1]])
    for level, quantiles in ((0.15, [2, 3]), (0.6, [3, 4]), (0.99, [4, 4])):
        assert (distribution.ppf(level) == quantiles).all()


@pytest.mark.parametrize(
    "response", [ZeroInflatedPoissonResponse(2), CensoredNormalResponse(*LIMITS)]
)
def test_distribution_functions_and_quantiles_are_inverse(response):
    eta, second = np.array([[0.4, -0.5]]), np.array([[-0.3, 0.4]])
    second = second if response.discrete else np.exp(second)
    distribution = response.distribution(None, eta, second)
    y = np.arange(30.0)[:, None] if response.discrete else np.linspace(*LIMITS, 40)[:, None]
    assert np.allclose(distribution.ppf(distribution.cdf(y[:5]) - 1e-9), y[:5])
    assert (distribution.cdf(y[:1] - 1.0) == 0.0).all()
    if response.discrete:
        density = np.exp(response.log_density(y, y, eta, second))
        assert np.allclose(density.cumsum(axis=0), distribution.cdf(y))
        assert np.allclose((y * density).sum(axis=0), response.mean(eta))


def ratings(seed=0, n_units=60, visits=5, levels=4):
    """Return times, levels from 1 and units of two classes with shared α."""
    rng = np.random.default_rng(seed)
    unit, t = np.repeat(np.arange(n_units), visits), np.tile(np.linspace(-1, 1, visits), n_units)
    k = (unit < n_units // 3).astype(int)
    xi = np.array([1.0, -0.5])[k] + np.array([1.5, -1.0])[k] * t
    alpha = np.array([0.0, 0.8, 0.4, 0.0])[:levels]
    p = np.exp(log_softmax(alpha + xi[:, None] * np.arange(levels), axis=1))
    return t[:, None], 1.0 + (p.cumsum(axis=1) < rng.random((len(t), 1))).sum(axis=1), unit


def ordinal_loss(theta, t, y, unit):
    """Return minus the log likelihood of two classes of four levels."""
    alpha, joint = np.array([0.0, *theta[4:6], 0.0]), np.zeros((unit.max() + 1, 2))
    for k, (b0, b1) in enumerate(theta[:4].reshape(2, 2)):
        logs = log_softmax(alpha + (b0 + b1 * t) * np.arange(4.0), axis=1)
        np.add.at(joint[:, k], unit, logs[np.arange(len(y)), y.astype(int) - 1])
    logs = np.array([0.0, theta[6]]) - np.logaddexp(0.0, theta[6])
    return -logsumexp(logs + joint, axis=1).sum()


def test_ordinal_fits_are_direct_maxima_with_standard_errors_of_the_information(tmp_path):
    t, y, unit = ratings()
    model = bm.RegressionMixture(2, response="ordinal", n_init=3, random_state=0)
    model.fit(t, y, groups=unit)
    table = model.coefficients()
    alpha = table.loc["level"]["estimate"]
    odds = np.log(model.weights_[1] / model.weights_[0])
    theta = np.array([*table.loc["coefficient"]["estimate"], *alpha, odds])
    data = (t, y, unit)
    assert np.isclose(-ordinal_loss(theta, *data), model.log_likelihood_, rtol=1e-12)
    assert np.abs(approx_fprime(theta, ordinal_loss, 1e-7, *data)).max() < 1e-2
    size, step = len(theta), 1e-3 * np.eye(7)
    hessian = np.empty((size, size))
    for i, e in enumerate(step):
        rise = [approx_fprime(theta + s * e, ordinal_loss, 1e-6, *data) for s in (1.0, -1.0)]
        hessian[i] = (rise[0] - rise[1]) / 2e-3
    errors = np.sqrt(np.diag(np.linalg.inv(0.5 * (hessian + hessian.T))))
    expected = [*table.loc["coefficient"]["standard_error"], *table.loc["level"]["standard_error"]]
    assert np.allclose(expected, errors[:6], rtol=1e-3)
    assert model.n_parameters_ == 7
    p = np.exp(log_softmax(np.array([0.0, *alpha, 0.0]) + (theta[:2] @ [1.0, 0.5]) * np.arange(4)))
    assert np.isclose(model.predict_components([[0.5]])[0, 0], p @ [1.0, 2.0, 3.0, 4.0])
    model.save(tmp_path / "model.bayesmix")
    assert bm.load(tmp_path / "model.bayesmix").coefficients().equals(table)


def test_two_levels_are_successes():
    t, y, unit = ratings(levels=2)
    fits = [
        bm.RegressionMixture(1, response=name).fit(t, y - 1, groups=unit)
        for name in ("ordinal", "binomial")
    ]
    assert np.isclose(*[fit.log_likelihood_ for fit in fits], rtol=1e-9)
    errors = [fit.coefficients()[["estimate", "standard_error"]] for fit in fits]
    assert np.allclose(*errors, rtol=1e-3)
    curves = [bm.trajectory_curves(fit) for fit in fits]
    assert np.allclose(*(curve.drop(columns="class") for curve in curves), rtol=1e-3)


def test_levels_are_those_of_all_rows_in_folds():
    t, y, unit = ratings(n_units=20)
    y[y == 1.0], y[unit == 0] = 2.0, 1.0  # level 1 in one unit alone
    search = bm.MixtureSearch(
        bm.RegressionMixture(response="ordinal", n_init=1), 1, criterion="cv", n_jobs=1
    ).fit(t, y, groups=unit)
    assert np.isfinite(search.best_score_)
    with pytest.raises(InvalidInputError, match="whole numbers from 1 to 3"):
        bm.RegressionMixture(1, response="ordinal", limits=(1, 3)).fit(t, y)
    with pytest.raises(InvalidInputError, match="at most 50 levels"):
        bm.RegressionMixture(1, response="ordinal").fit(t, np.arange(100.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"response": "censored_normal"}, "limits must be"),
        ({"response": "censored_normal", "limits": (3, 1)}, "lower < upper"),
        ({"response": "censored_normal", "limits": (0, 1)}, "within limits"),
        ({"limits": (0, 1)}, "limits need response='censored_normal'"),
        ({"response": "ordinal", "limits": (None, 3)}, "at most 50 levels"),
        ({"inflation": [0]}, "inflation needs response='zero_inflated_poisson'"),
        ({"response": "zero_inflated_poisson", "inflation": ["z"]}, "inflation must contain"),
    ],
)
def test_wrong_settings_are_named(options, message):
    t, y, unit = counts()
    with pytest.raises(InvalidInputError, match=message):
        bm.RegressionMixture(1, **options).fit(t, y, groups=unit)
    with pytest.raises(UnsupportedError, match="random effects do not support"):
        bm.RegressionMixture(
            1, response="censored_normal", limits=(0, 99), random=("intercept",)
        ).fit(t, y, groups=unit)


def test_intervals_of_censored_values_end_at_the_limits():
    rng, time = np.random.default_rng(3), np.tile(np.arange(5.0), 40)
    y = np.clip(rng.normal(1.5 * time - 1.0, 1.0), 0.0, 6.0)
    model = bm.RegressionMixture(1, response="censored_normal", limits=(0, 6)).fit(time[:, None], y)
    lower, upper = model.predict_interval([[0.0], [2.0], [4.0]]).T
    assert (lower[0], upper[2]) == (0.0, 6.0)
    expected = model.intercept_[0] + 2.0 * model.coef_[0, 0] - 1.6448536269514722 * model.scale_[0]
    assert np.isclose(lower[1], expected)
