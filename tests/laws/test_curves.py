"""Curves of classes are those of the coefficients, for any design."""

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from laws.cases import generator


def visits(rng, n_units, n_visits, even):
    """Return units and times of visits: the same for all units, or uneven, some of them far."""
    unit = np.repeat(np.arange(n_units), n_visits)
    if even:
        return unit, np.tile(np.arange(float(n_visits)), n_units)
    time = rng.uniform(0.0, 5.0, len(unit))
    time[rng.random(len(unit)) < 0.05] *= 12.0
    return unit, time


def courses(rng, unit, time):
    return np.where(unit % 2 == 0, 10.0 - 3.0 * time, 2.0 + 3.0 * time) + rng.normal(
        0.0, 0.5, len(unit)
    )


def expected_curves(model, times):
    """Return intercept + Σ coefficient × time^j (T,) of each class."""
    degrees = np.arange(1, model.coef_.shape[1] + 1)
    return model.intercept_ + times[:, None] ** degrees @ model.coef_.T


def drawn_curves(model, time=0):
    curves = bm.trajectory_curves(model, time)
    table = curves.pivot(index="time", columns="class", values="mean")
    return table.index.to_numpy(), table.to_numpy()


def random_design(rng):
    """Return a fit of a random number of units, visits and powers of time, and its column."""
    while True:
        n_units, n_visits = int(np.exp(rng.uniform(np.log(3), np.log(300)))), rng.integers(1, 9)
        degree, K = int(rng.integers(1, 4)), int(rng.integers(1, 3))
        unit, time = visits(rng, n_units, n_visits, even=rng.random() < 0.5)
        if len(np.unique(time)) > degree and len(unit) > 3 * K * (degree + 2):
            break
    y, powers = courses(rng, unit, time), time[:, None] ** np.arange(1, degree + 1)
    model = bm.RegressionMixture(K, residual_variance="shared", n_init=2, random_state=0)
    return model.fit(powers, y, groups=unit)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayesmix.errors.BayesmixWarning")  # of few units
def test_curves_are_the_coefficients_times_powers_of_time():
    rng = generator(97)
    for _ in range(50):
        model = random_design(rng)
        times, curves = drawn_curves(model)
        np.testing.assert_allclose(curves, expected_curves(model, times), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_visits", [2, 3])
def test_few_visits_have_curves(n_visits):
    rng = generator(98)
    unit, time = visits(rng, 16, n_visits, even=True)
    frame = pd.DataFrame({"id": unit, "age": time, "y": courses(rng, unit, time)})
    model = bm.trajectories(
        frame, y="y", time="age", unit="id", n_components=2, degree=n_visits - 1, random=None,
        random_state=0,
    ).best_estimator_  # fmt: skip
    times, curves = drawn_curves(model, "age")
    np.testing.assert_allclose(times, range(n_visits), atol=1e-12)
    np.testing.assert_allclose(curves, expected_curves(model, times), rtol=1e-9)
    lines = [line.get_ydata() for line in model.plot(feature="age").lines]
    np.testing.assert_allclose(np.transpose(lines), curves, rtol=1e-9)


def test_degrees_by_class_have_curves():
    rng = generator(99)
    unit, time = visits(rng, 60, 4, even=True)
    y = np.where(unit % 2 == 0, 5.0, time**2) + rng.normal(0.0, 0.5, len(unit))
    frame = pd.DataFrame({"id": unit, "t": time, "y": y})
    model = bm.trajectories(
        frame, y="y", time="t", unit="id", degree=(3, 0), random=None, random_state=0
    ).best_estimator_
    times, curves = drawn_curves(model, "t")
    np.testing.assert_allclose(curves, expected_curves(model, times), rtol=1e-9, atol=1e-9)
    assert np.ptp(curves[:, 1]) == 0.0


def test_splines_have_curves_beside_a_covariate_at_its_mean():
    rng = generator(100)
    unit, time = visits(rng, 40, 5, even=False)
    frame = pd.DataFrame({"id": unit, "t": time, "x": rng.normal(3.0, 1.0, len(unit))})
    frame["y"] = np.sin(time) + frame["x"] + rng.normal(0.0, 0.3, len(unit))
    model = bm.trajectories(
        frame, y="y", time="t", unit="id", n_components=1, degree=3, n_knots=4, fixed="x",
        random=None, random_state=0,
    ).best_estimator_  # fmt: skip
    times, curves = drawn_curves(model, "t")
    new = pd.DataFrame({"t": times, "x": frame["x"].mean()})
    np.testing.assert_allclose(curves[:, 0], model.predict(new), rtol=1e-9)


def test_polynomials_of_a_centred_column_and_products_follow_it():
    rng = generator(101)
    age, drug, x = rng.uniform(40.0, 50.0, 300), rng.integers(0, 2, 300), rng.normal(size=300)
    y = 0.3 * (age - 45.0) ** 2 + drug * age + x + rng.normal(0.0, 0.1, 300)
    columns = np.column_stack([age, (age - 45.0) ** 2, drug, drug * age, x])
    model = bm.RegressionMixture(1, random_state=0).fit(columns, y)
    (line,) = model.plot().lines
    time, d = line.get_xdata(), drug.mean()
    there = np.column_stack([time, (time - 45.0) ** 2, 0 * time + d, d * time, 0 * time + x.mean()])
    expected = model.intercept_[0] + there @ model.coef_[0]
    np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-9)


def test_weights_are_numbers_of_rows_in_the_means_of_covariates():
    rng = generator(102)
    unit, time = visits(rng, 30, 4, even=True)
    x, times = rng.normal(size=len(unit)), rng.integers(1, 4, 30)[unit]
    columns, y = np.column_stack([time, x]), courses(rng, unit, time) + x
    weighted = bm.RegressionMixture(1).fit(columns, y, groups=unit, sample_weight=times)
    mean = np.average(x, weights=times)
    drawn, curves = drawn_curves(weighted)
    there = np.column_stack([drawn, np.full(len(drawn), mean)])
    expected = weighted.intercept_[0] + there @ weighted.coef_[0]
    np.testing.assert_allclose(curves[:, 0], expected, rtol=1e-9)
