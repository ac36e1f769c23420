"""Residual variances by time and autocorrelation: dense covariances, direct maximisation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.residual_structure import OfSteps, OfTime, ResidualStructure
from bayesmix.regressions.regression_vector import ParameterVector

BY_TIME, BY_BOTH, AR1, CAR1 = (
    {"residual_variance": "time"},
    {"residual_variance": "free_time"},
    {"residual_correlation": "ar1"},
    {"residual_correlation": "car1"},
)


def waves(seed, n_units=60, classes=(1.0,), rho=0.4, deviations=(0.6, 0.8, 1.0, 1.4)):
    """Return a long frame of waves, some of them missing, in random order."""
    rng, T = np.random.default_rng(seed), len(deviations)
    unit, t = np.repeat(np.arange(n_units), T), np.tile(np.arange(T), n_units).astype(float)
    slopes = np.array(classes)[rng.integers(0, len(classes), n_units)]
    noise = rng.normal(size=(n_units, T))
    for j in range(1, T):
        noise[:, j] = rho * noise[:, j - 1] + np.sqrt(1 - rho**2) * noise[:, j]
    y = 2.0 + rng.normal(0, 0.7, n_units)[unit] + slopes[unit] * t
    frame = pd.DataFrame({"id": unit, "t": t, "y": y + (noise * deviations).ravel()})
    return frame.sample(frac=0.9, random_state=seed).reset_index(drop=True)


def fit(frame, n_components=1, random=("intercept",), n_init=2, **options):
    model = bm.RegressionMixture(
        n_components, random=random, n_init=n_init, random_state=0, residual_time="t", **options
    )
    return model.fit(frame[["t"]], frame["y"], groups=frame["id"])


def residual_covariance(times, log_variances, rho):
    deviations = np.exp(0.5 * log_variances)
    return np.outer(deviations, deviations) * rho ** np.abs(np.subtract.outer(times, times))


def dense_log_likelihood(frame, weights, curves, D, random, log_variances, rho):
    """Return Σ_i log Σ_k π_k N(y_i; X_i β_k, Z_i D Z_i' + R_i), of variances (T,) of waves."""
    total, groups = 0.0, {}
    for _, rows in frame.sort_values("t").groupby("id"):
        groups.setdefault(tuple(rows["t"]), []).append(rows["y"].to_numpy())
    for times, responses in groups.items():
        t = np.array(times)
        Z = np.column_stack([np.ones(len(t)), t])[:, : len(random)]
        own = log_variances[t.astype(int)]
        V = Z @ D @ Z.T + residual_covariance(t, own, rho)
        densities = [
            np.reshape(multivariate_normal(a + b * t, V).logpdf(np.array(responses)), -1)
            for a, b in curves
        ]
        total += logsumexp(np.log(weights)[:, None] + densities, axis=0).sum()
    return total


def estimates(model, T=4):
    """Return log variances of waves and the correlation of a fit."""
    table = model.coefficients()["estimate"]
    by_time = [f"residual at {t}" for t in range(T)]
    if model.residual_variance == "time":
        variances = [table["variance", "all", name] for name in by_time]
    else:
        variances = np.full(T, table["variance", "all", "residual"])
    rho = table.get(("correlation", "all", "residual"), 0.0)
    return np.log(variances), rho


@pytest.mark.filterwarnings("ignore:.*boundary")
@pytest.mark.parametrize("options", [BY_TIME, AR1, CAR1, BY_TIME | AR1])
@pytest.mark.parametrize("random", [(), ("intercept",)])
def test_densities_are_those_of_dense_covariances(options, random):
    frame = waves(1, classes=(1.0, -1.0))
    model = fit(frame, 2, random, **options)
    curves = np.column_stack([model.intercept_, model.coef_[:, 0]])
    D = model.random_covariance_[0]
    expected = dense_log_likelihood(frame, model.weights_, curves, D, random, *estimates(model))
    assert model.log_likelihood_ == pytest.approx(expected, rel=1e-9)
    scores = model.score_samples(frame[["t"]], frame["y"], groups=frame["id"])
    assert scores.sum() == pytest.approx(expected, rel=1e-9)
    n_structure = 3 * ("residual_variance" in options) + ("residual_correlation" in options)
    assert model.n_parameters_ == 1 + 4 + len(random) + 1 + n_structure


def direct_maximum(frame, start, n_curves, random, by_time, correlated):
    """Maximise the marginal likelihood of a random intercept by BFGS from a start."""

    def loss(theta):
        weights = np.exp(np.append(0.0, theta[: n_curves - 1]))
        curves = theta[n_curves - 1 : 3 * n_curves - 1].reshape(n_curves, 2)
        q = len(random)
        D = theta[3 * n_curves - 1 : 3 * n_curves - 1 + q].reshape(q, q) ** 2
        logs = theta[3 * n_curves - 1 + q : len(theta) - correlated]
        rho = np.tanh(theta[-1]) if correlated else 0.0
        logs = logs if by_time else np.full(4, logs[0])
        given = weights / weights.sum(), curves, D, random, logs, rho
        return -dense_log_likelihood(frame, *given)

    return -minimize(loss, start, method="BFGS", options={"gtol": 1e-4}).fun


@pytest.mark.parametrize("options", [BY_TIME, AR1, BY_TIME | AR1])
def test_one_class_has_the_directly_maximised_likelihood(options):
    frame, by_time = waves(2, 40), "residual_variance" in options
    model = fit(frame, **options)
    start = np.concatenate([[1.0, 1.0, 0.5], np.zeros(4 if by_time else 1)])
    correlated = "residual_correlation" in options
    start = np.append(start, [0.2] * correlated)
    best = direct_maximum(frame, start, 1, ("intercept",), by_time, correlated)
    assert model.log_likelihood_ == pytest.approx(best, abs=1e-5)


def classes_with_own_waves(seed, n_units=120):
    """Return two classes whose residual deviations rise, or fall, from wave to wave."""
    rng, T = np.random.default_rng(seed), 4
    unit, t = np.repeat(np.arange(n_units), T), np.tile(np.arange(T), n_units).astype(float)
    second = rng.random(n_units) < 0.4
    deviations = np.where(second[:, None], [1.4, 1.0, 0.7, 0.4], [0.4, 0.6, 0.9, 1.2])
    noise = rng.normal(size=(n_units, T)) * deviations
    y = rng.normal(0, 0.5, n_units)[unit] + np.where(second, -1.0, 1.0)[unit] * t + noise.ravel()
    return pd.DataFrame({"id": unit, "t": t, "y": y})


def by_class_log_likelihood(frame, weights, curves, D, log_variances, rho):
    """Return Σ_i log Σ_k π_k N(y_i; X_i β_k, D + R_ik) of complete waves, variances (K, T)."""
    wide = frame.pivot(index="id", columns="t", values="y").to_numpy()
    t = np.arange(wide.shape[1])
    densities = [
        multivariate_normal(a + b * t, D + residual_covariance(t, own, rho)).logpdf(wide)
        for (a, b), own in zip(curves, log_variances, strict=True)
    ]
    return logsumexp(np.log(weights)[:, None] + densities, axis=0).sum()


@pytest.mark.filterwarnings("ignore:.*boundary")
@pytest.mark.parametrize("options", [BY_BOTH, BY_BOTH | AR1])
def test_variances_by_class_and_wave_have_the_directly_maximised_likelihood(options):
    frame, correlated = classes_with_own_waves(11), "residual_correlation" in options
    model = fit(frame, 2, n_init=4, **options)
    table = model.coefficients()["estimate"]
    names = [f"residual at {t}" for t in range(4)]
    variances = np.array([[table["variance", k, name] for name in names]
                          for k in ("class 1", "class 2")])  # fmt: skip
    rho = table.get(("correlation", "all", "residual"), 0.0)
    curves = np.column_stack([model.intercept_, model.coef_[:, 0]])
    D = model.random_covariance_[0, 0, 0]
    given = model.weights_, curves, D, np.log(variances), rho
    assert model.log_likelihood_ == pytest.approx(by_class_log_likelihood(frame, *given), abs=1e-7)

    def loss(theta):
        weights = np.exp(np.append(0.0, theta[0]))
        at = np.tanh(theta[14]) if correlated else 0.0
        own = theta[1:5].reshape(2, 2), theta[5] ** 2, theta[6:14].reshape(2, 4)
        return -by_class_log_likelihood(frame, weights / weights.sum(), *own, at)

    start = np.r_[0.0, 0.0, 1.0, 0.0, -1.0, 0.5, np.zeros(8), [0.1] * correlated]
    best = -minimize(loss, start, method="BFGS", options={"gtol": 1e-5}).fun
    assert model.log_likelihood_ == pytest.approx(best, abs=1e-5)
    assert model.n_parameters_ == len(start)
    product = fit(frame, 2, n_init=4, **(options | BY_TIME))
    assert product.log_likelihood_ < model.log_likelihood_ - 20.0
    # Larger classes come first, with variances of their own.
    assert variances[0, 0] < variances[0, 3]
    assert variances[1, 0] > variances[1, 3]


def test_errors_draws_and_files_know_the_variances_of_each_class(tmp_path):
    frame = classes_with_own_waves(12)
    model = fit(frame, 2, **BY_BOTH)
    layout = ParameterVector(model._data, model._mixture)
    away = layout.theta + 0.02 * layout.scale
    steps = 1e-5 * np.eye(len(away)) * layout.scale
    numeric = [
        layout.log_likelihood_and_score(away + step)[0]
        - layout.log_likelihood_and_score(away - step)[0]
        for step in steps
    ]
    exact = layout.score(away) * layout.scale
    np.testing.assert_allclose(np.array(numeric) / 2e-5, exact, atol=1e-4 * np.abs(exact).max())
    assert (model.coefficients()["standard_error"] > 0.0).all()
    model.save(tmp_path / "model")
    loaded = bm.load(tmp_path / "model")
    given = frame[["t"]], frame["y"]
    ours, theirs = (m.predict_proba(*given, groups=frame["id"]) for m in (model, loaded))
    np.testing.assert_array_equal(ours, theirs)
    components, units = model._mixture.components, np.repeat(np.arange(4000), 4)
    values = np.tile(model._data.values[:4], (4000, 1))
    for k in range(2):
        labels = np.full(16_000, k)
        drawn = components.deviations(values, units, labels, np.random.default_rng(k))
        expected = components.dispersions(values[:4])[:, k]
        # A variance of 4000 draws has a relative standard error of .022.
        np.testing.assert_allclose(drawn.reshape(-1, 4).var(axis=0), expected, rtol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 4])
def test_two_classes_have_the_directly_maximised_likelihood(seed):
    frame = waves(seed, 80, classes=(1.0, -0.5))
    model = fit(frame, 2, n_init=10, **BY_TIME, **AR1)
    rng, best = np.random.default_rng(seed), -np.inf
    for _ in range(4):
        curves = np.array([2.0, 1.0, 2.0, -0.5]) + rng.normal(0, 0.3, 4)
        start = np.concatenate([[0.0], curves, [0.5], np.zeros(4), [0.2]])
        found = direct_maximum(frame, start, 2, ("intercept",), True, True)
        best = max(best, found)
    assert model.log_likelihood_ > best - 1e-4


@pytest.mark.filterwarnings("ignore:.*boundary")
@pytest.mark.parametrize("options", [BY_TIME | AR1, CAR1, AR1 | {"residual_variance": "free"}])
def test_scores_are_the_gradient_of_the_log_likelihood(options):
    model = fit(waves(5, 25, classes=(1.0, -1.0)), 2, n_init=1, **options)
    layout = ParameterVector(model._data, model._mixture)
    away = layout.theta + 0.02 * layout.scale
    steps = 1e-5 * np.eye(len(away)) * layout.scale
    numeric = [
        layout.log_likelihood_and_score(away + step)[0]
        - layout.log_likelihood_and_score(away - step)[0]
        for step in steps
    ]
    exact = layout.score(away) * layout.scale
    np.testing.assert_allclose(np.array(numeric) / 2e-5, exact, atol=1e-4 * np.abs(exact).max())


def test_standard_errors_are_those_of_the_direct_hessian():
    frame = waves(6, 50)
    model = fit(frame, **BY_TIME, **AR1)
    table = model.coefficients()
    logs, rho = estimates(model)
    deviation = np.sqrt(model.random_covariance_[0, 0, 0])
    theta = np.array([model.intercept_[0], model.coef_[0, 0], deviation, *logs, rho])

    def log_likelihood(at):
        D = np.array([[at[2] ** 2]])
        given = np.ones(1), [at[:2]], D, ("intercept",), at[3:7], at[7]
        return dense_log_likelihood(frame, *given)

    h, size = 1e-3, len(theta)
    hessian, step = np.empty((size, size)), np.eye(size) * 1e-3
    for i in range(size):
        for j in range(i + 1):
            ends = [
                s * r * log_likelihood(theta + s * step[i] + r * step[j])
                for s in (1, -1)
                for r in (1, -1)
            ]
            hessian[i, j] = hessian[j, i] = sum(ends) / (4 * h * h)
    errors = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    errors[3:7] *= np.exp(logs)
    errors[2] *= 2 * deviation
    np.testing.assert_allclose(table["standard_error"], errors, rtol=2e-3)


def test_rows_are_whitened_and_coloured_by_the_same_structure():
    rng = np.random.default_rng(7)
    times = np.array([2.0, 0.0, 5.0, 1.0, 0.0, 2.0])
    units = np.array([0, 0, 0, 1, 1, 1])
    for form, u in ((OfSteps(1.0), -0.6), (OfTime(), 0.1)):
        own = ResidualStructure(
            0, np.array([0.0, 1.0, 2.0, 5.0]), form, np.array([0.3, -0.4, 0.2, u])
        )
        visits = own.in_order(times, units)
        noise = rng.normal(size=6)
        np.testing.assert_allclose(visits.whitened(visits.coloured(noise)[:, None])[:, 0], noise)
        rho = form.reported(u)[0]
        root = np.column_stack([visits.coloured(each) for each in np.eye(6)])
        R = root @ root.T
        expected = residual_covariance(times, np.log(own.relative(times)), rho)
        np.testing.assert_allclose(R, expected * (units[:, None] == units), atol=1e-12)
        assert visits.log_determinants.sum() == pytest.approx(np.linalg.slogdet(R)[1])


def test_trajectories_are_saved_and_predict_with_their_residuals(tmp_path):
    frame = waves(8, 50, classes=(1.0, -1.0))
    search = bm.trajectories(
        frame, y="y", time="t", unit="id", n_components=2, random_state=0,
        residual_variance="time", residual_correlation="ar1",
    )  # fmt: skip
    model = search.best_estimator_
    model.save(tmp_path / "model")
    loaded = bm.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.coefficients(), model.coefficients())
    given = frame[["t"]], frame["y"]
    ours, theirs = (m.predict_proba(*given, groups=frame["id"]) for m in (model, loaded))
    np.testing.assert_array_equal(ours, theirs)
    low, high = model.predict_interval(pd.DataFrame({"t": [0.0, 3.0]})).T
    assert (high - low)[1] > (high - low)[0]
    assert "residual correlation ar1" in bm.trajectory_checklist(search)["answer"].str.cat()


def test_what_has_no_structure_of_residuals_is_refused():
    frame = waves(9, 20)
    twice = pd.concat([frame, frame.iloc[:1]], ignore_index=True)
    with pytest.raises(InvalidInputError, match="a unit has two rows at time"):
        fit(twice, **AR1)
    uneven = frame.assign(t=frame["t"] ** 1.5)
    with pytest.raises(InvalidInputError, match="use 'car1'"):
        fit(uneven, **AR1)
    with pytest.raises(InvalidInputError, match="times that units share"):
        fit(frame.assign(t=frame["t"] + np.arange(len(frame)) / 1e4), **BY_TIME)
    with pytest.raises(UnsupportedError, match="use random=\\(\\)"):
        fit(frame, random=None, **BY_TIME)
    with pytest.raises(InvalidInputError, match="residual_time must name"):
        bm.RegressionMixture(1, random=(), **AR1).fit(frame[["t"]], frame["y"], groups=frame["id"])
    model = fit(frame, **BY_TIME)
    with pytest.raises(InvalidInputError, match="got time 9: use 'shared'"):
        model.predict_interval(pd.DataFrame({"t": [9.0]}))
    with pytest.raises(UnsupportedError, match="the bootstrap does not support variances by time"):
        model.parameter_table("bootstrap")
