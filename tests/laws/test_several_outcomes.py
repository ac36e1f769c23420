"""Several outcomes and dropout of a unit: closed likelihoods and direct maximisation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logsumexp
from scipy.stats import norm, weibull_min

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.regressions.regression_vector import ParameterVector

OUTCOMES = {"math": "normal", "passed": "bernoulli"}


def panel(seed, n_units=80, T=4):
    """Return a long frame of scores, passes, and times of dropout of two classes of units."""
    rng = np.random.default_rng(seed)
    label = (np.arange(n_units) % 5 < 2).astype(int)
    exits = rng.weibull(np.where(label, 2.0, 1.0)) * np.where(label, 2.0, 6.0) + 0.1
    unit, t = np.repeat(np.arange(n_units), T), np.tile(np.arange(T), n_units).astype(float)
    z = label[unit]
    math = np.where(z, 50.0 - 4.0 * t, 60.0 + 2.0 * t) + rng.normal(0, 5.0, len(unit))
    passed = (rng.random(len(unit)) < expit(np.where(z, -0.5 * t, 0.5 + 0.4 * t))).astype(float)
    passed[rng.random(len(unit)) < 0.1] = np.nan
    end = float(T)
    frame = pd.DataFrame({"id": unit, "t": t, "math": math, "passed": passed})
    frame["exit"], frame["left"] = np.minimum(exits, end)[unit], (exits < end)[unit]
    return frame[(frame["t"] <= frame["exit"]) | (frame["t"] == 0)].reset_index(drop=True)


def fit(frame, n_components=2, **options):
    search = bm.trajectories(
        frame, responses=OUTCOMES, time="t", unit="id", n_components=n_components,
        random_state=0, **options,
    )  # fmt: skip
    return search.best_estimator_


def log_likelihood(frame, theta, survival):
    """Return the log likelihood of two classes, from the closed densities of all outcomes."""
    joint = np.zeros((frame["id"].nunique(), 2))
    joint[:, 1] = theta[0]
    joint -= np.logaddexp(0.0, theta[0])
    units = frame["id"].to_numpy()
    first = frame.groupby("id").first()
    seen = frame["passed"].notna().to_numpy()
    for k in range(2):
        a, b, log_deviation, c, d, *hazard = theta[1 + k :: 2]
        t = frame["t"].to_numpy()
        rows = norm(a + b * t, np.exp(log_deviation)).logpdf(frame["math"])
        odds, passed = c + d * t, frame["passed"].to_numpy()
        rows[seen] += (passed * odds - np.logaddexp(0.0, odds))[seen]
        np.add.at(joint[:, k], units, rows)
        exits, left = first["exit"].to_numpy(), first["left"].to_numpy()
        if survival == "weibull":
            shape = np.exp(hazard[1])
            times = weibull_min(shape, scale=np.exp(-hazard[0] / shape))
            joint[:, k] += np.where(left, times.logpdf(exits), times.logsf(exits))
        if survival == "piecewise":  # hazards before and after time 1.5
            rates = np.exp(hazard)
            joint[:, k] -= rates[0] * np.minimum(exits, 1.5)
            joint[:, k] -= rates[1] * np.maximum(exits - 1.5, 0.0)
            joint[:, k] += left * np.log(np.where(exits <= 1.5, *rates))
    return logsumexp(joint, axis=1).sum()


def estimates(model, survival):
    """Return the parameters of a fit in the order of ``log_likelihood``."""
    table = model.coefficients()["estimate"]
    of_class = [
        [
            table["coefficient", name, "math"],
            table["coefficient", name, "math: t"],
            0.5 * table["further", name, "log variance of math"],
            table["coefficient", name, "passed"],
            table["coefficient", name, "passed: t"],
            *([table["coefficient", name, "survival"],
               table["further", name, "log shape of survival"]] if survival == "weibull" else []),
            *([table["coefficient", name, f"survival: piece {j}"] for j in (1, 2)]
              if survival == "piecewise" else []),
        ]
        for name in ("class 1", "class 2")
    ]  # fmt: skip
    odds = np.log(model.weights_[1] / model.weights_[0])
    return np.append(odds, np.transpose(of_class).ravel())


SURVIVALS = {
    None: {},
    "weibull": {"survival": ("exit", "left")},
    "piecewise": {"survival": ("exit", "left"), "hazard": (1.5,)},
}


@pytest.mark.parametrize("survival", SURVIVALS)
def test_fits_have_the_closed_likelihood_at_its_maximum(survival):
    frame = panel(1)
    model = fit(frame, **SURVIVALS[survival])
    theta = estimates(model, survival)
    value = log_likelihood(frame, theta, survival)
    assert model.log_likelihood_ == pytest.approx(value, rel=1e-8)
    assert model.n_parameters_ == len(theta)
    found = minimize(lambda at: -log_likelihood(frame, at, survival), theta, method="BFGS")
    assert -found.fun < model.log_likelihood_ + 1e-3


@pytest.mark.slow
def test_the_best_of_direct_maximisations_is_not_better():
    frame, rng = panel(2), np.random.default_rng(2)
    model = fit(frame, **SURVIVALS["weibull"])
    theta, best = estimates(model, "weibull"), -np.inf
    for _ in range(6):
        start = theta + rng.normal(0, 0.5, len(theta))
        loss = lambda at: -log_likelihood(frame, at, "weibull")  # noqa: E731
        best = max(best, -minimize(loss, start, method="BFGS").fun)
    assert model.log_likelihood_ > best - 1e-4


def test_scores_are_the_gradient_of_the_log_likelihood():
    model = fit(panel(3, 30), **SURVIVALS["weibull"])
    layout = ParameterVector(model._data, model._mixture)
    away = layout.theta + 0.02
    numeric = [
        layout.log_likelihood_and_score(away + step)[0]
        - layout.log_likelihood_and_score(away - step)[0]
        for step in 1e-5 * np.eye(len(away))
    ]
    exact = layout.score(away)
    np.testing.assert_allclose(np.array(numeric) / 2e-5, exact, atol=1e-4 * np.abs(exact).max())


def test_units_are_classified_from_their_table_also_after_loading(tmp_path):
    frame = panel(4, 50)
    model = fit(frame)
    shares = model.predict_proba(frame)
    assert shares.shape == (len(frame), 2)
    units = model.random_effects()
    np.testing.assert_allclose(shares, units.loc[frame["id"], ["p_1", "p_2"]])
    model.save(tmp_path / "model")
    loaded = bm.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(frame), shares)
    pd.testing.assert_frame_equal(loaded.coefficients(), model.coefficients())
    alone = frame[frame["id"] == 7]
    np.testing.assert_allclose(model.predict_proba(alone), shares[frame["id"] == 7])
    with pytest.raises(UnsupportedError, match="do not support several outcomes"):
        model.predict(model._outcomes.stacked(frame).design)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"exit": 0.0}, SURVIVALS["weibull"], "times must be above 0"),
        ({"left": 2}, SURVIVALS["weibull"], r"events must be 0 \(censored\) or 1"),
        ({"passed": 3.0}, {}, "'passed' must be 0 or 1, got 3"),
        ({}, {"hazard": (2.0, 1.0), "survival": ("exit", "left")}, "ascending times"),
        ({}, {"hazard": (1.5, 99.0), "survival": ("exit", "left")}, "nobody drops out from 99"),
        ({}, {"y": "math"}, "y must be left out"),
        ({}, {"survival": "exit"}, r"must be \(time, event\)"),
    ],
)
def test_wrong_outcomes_are_named(change, options, message):
    frame = panel(5, 20)
    for name, value in change.items():
        frame[name] = frame[name].astype(float)
        frame.loc[frame["id"] == 3, name] = value
    with pytest.raises(InvalidInputError, match=message):
        fit(frame, **options)


def test_times_of_dropout_are_one_for_each_unit():
    frame = panel(6, 20)
    frame.loc[1, "exit"] += 0.5
    with pytest.raises(InvalidInputError, match="'exit' must be equal within a unit"):
        fit(frame, **SURVIVALS["weibull"])
    with pytest.raises(InvalidInputError, match="y must name the column of the response"):
        bm.trajectories(frame, time="t", unit="id")
    with pytest.raises(UnsupportedError, match="do not support random effects"):
        fit(frame, random=("intercept", "t"))
