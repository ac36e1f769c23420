"""Classes of courses over time: the search, its tables, figure and shell command."""

from __future__ import annotations

import json
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.preprocessing import SplineTransformer
from typer.testing import CliRunner

import bayesmix as bm
from bayesmix.allocation.designs import TimeColumns
from bayesmix.errors import BayesmixWarning, InvalidInputError, SelectionWarning
from bayesmix.regressions.regression_vector import ParameterVector
from bayesmix.regressions.trajectory_tables import simulated_response
from bayesmix.selection.clusters import _weights
from bayesmix.selection.summary_text import four_digits
from bayesmix.shell.app import app

ARGUMENTS = {"y": "score", "time": "age", "unit": "id"}


def courses(seed=0, n=60, skewed=False):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 6, n)
    unit = np.repeat(np.arange(n), sizes)
    age, first = rng.uniform(0.0, 5.0, len(unit)), np.arange(n) < n / 3
    effects = rng.normal(0.0, 0.5, n)
    score = np.where(first[unit], 1.0 + age, 6.0 - age)
    if skewed:
        effects, score = rng.exponential(1.5, n), age
    score = score + effects[unit] + rng.normal(0.0, 0.4, len(unit))
    sex = (rng.random(n) < 0.5).astype(float)
    names = np.array([f"u{i}" for i in range(n)])
    return pd.DataFrame({"id": names[unit], "age": age, "score": score, "sex": sex[unit]})


def curve_line_and_constant(seed=3, n=60):
    """Return visits at 0, ..., 5 of three classes, and the class of each row."""
    rng = np.random.default_rng(seed)
    unit, age = np.repeat(np.arange(n), 6), np.tile(np.arange(6.0), n)
    z = rng.choice(3, n, p=[0.4, 0.35, 0.25])[unit]
    means = np.choose(z, [1.0 + 2.0 * age - 0.5 * age**2, 6.0 - age, np.full(len(age), 4.0)])
    return pd.DataFrame({"id": unit, "age": age, "score": means + rng.normal(0, 0.8, len(age))})


@pytest.mark.slow
@pytest.mark.parametrize("variances", ["shared", "free"])
def test_degrees_by_class_are_direct_maxima_with_errors_of_the_information(variances, tmp_path):
    frame = curve_line_and_constant()
    search = bm.trajectories(
        frame, **ARGUMENTS, degree=(2, 1, 0), random=None, residual_variance=variances,
        random_state=0, n_jobs=1,
    )  # fmt: skip
    model, age, y = search.best_estimator_, frame["age"].to_numpy(), frame["score"].to_numpy()
    n_scales = 1 if variances == "shared" else 3
    assert model.n_components_ == 3
    assert model.n_parameters_ == 8 + n_scales

    def loss(theta):
        weights = np.append(0.0, theta[:2]) - logsumexp(np.append(0.0, theta[:2]))
        curves = np.array([theta[2:5], [*theta[5:7], 0.0], [theta[7], 0.0, 0.0]])
        logs = np.broadcast_to(theta[8:], 3)
        away = (y[:, None] - np.vander(age, 3, increasing=True) @ curves.T) / np.exp(logs)
        density = -0.5 * (np.log(2.0 * np.pi) + away**2) - logs
        return -logsumexp(density.reshape(-1, 6, 3).sum(axis=1) + weights, axis=1).sum()

    odds, (curve, line, _), levels = np.log(model.weights_), model.coef_, model.intercept_
    given = [*(odds[1:] - odds[0]), levels[0], *curve, levels[1], line[0], levels[2]]
    given = np.array([*given, *np.log(model.scale_[:n_scales])])
    assert model.coef_[1:].ravel()[1:].tolist() == [0.0, 0.0, 0.0]
    assert np.isclose(loss(given), -model.log_likelihood_, atol=1e-8)
    assert minimize(loss, given + 0.01).fun > loss(given) - 1e-6
    steps = 1e-4 * np.eye(len(given))
    hessian = [
        [
            (loss(given + a + b) - loss(given + a - b) - loss(given - a + b) + loss(given - a - b))
            / 4e-8
            for b in steps
        ]
        for a in steps
    ]
    errors = np.sqrt(np.linalg.inv(hessian).diagonal())[2:8]
    table = model.coefficients().loc["coefficient"]
    assert table.index.tolist() == [
        *(("class 1", term) for term in ("intercept", "age", "age^2")),
        *(("class 2", term) for term in ("intercept", "age")),
        ("class 3", "intercept"),
    ]
    assert np.allclose(table["standard_error"], errors, rtol=1e-4)
    turned = bm.trajectories(
        frame, **ARGUMENTS, degree=(0, 2, 1), random=None, residual_variance=variances,
        random_state=0, n_jobs=1,
    ).best_estimator_  # fmt: skip
    assert np.isclose(turned.log_likelihood_, model.log_likelihood_, atol=1e-6)
    assert np.allclose(turned.coef_, model.coef_[[2, 0, 1]], atol=1e-4)
    model.save(tmp_path / "model.bayesmix")
    assert bm.load(tmp_path / "model.bayesmix").coefficients().equals(model.coefficients())


@pytest.mark.slow
def test_random_effects_and_counts_have_degrees_by_class():
    frame = curve_line_and_constant()
    frame["score"] += np.random.default_rng(1).normal(0.0, 0.5, 60)[frame["id"]]
    options = {"degree": (2, 1, 0), "random_state": 0, "n_jobs": 1}
    model = bm.trajectories(frame, **ARGUMENTS, **options).best_estimator_
    equal = bm.trajectories(frame, **ARGUMENTS, **options | {"degree": 2, "n_components": 3})
    assert model.n_parameters_ == equal.best_estimator_.n_parameters_ - 3
    assert equal.best_estimator_.log_likelihood_ > model.log_likelihood_
    frame["score"] = np.random.default_rng(0).poisson(np.exp(frame["score"].clip(-1.0, 3.0)))
    counts = bm.trajectories(frame, **ARGUMENTS, **options, response="poisson").best_estimator_
    assert counts.coef_[1:].ravel()[1:].tolist() == [0.0, 0.0, 0.0]
    assert counts.n_parameters_ == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 2}, "degree has 3 values, one for each class, but n_components is 2"),
        ({"degree": (0, 0)}, "degree must be 1 or more in some class"),
        ({"degree": (2, -1)}, "degree must be an integer of at least 0, got -1"),
        ({"n_knots": 3}, "leave n_knots out"),
    ],
)
def test_wrong_degrees_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        bm.trajectories(courses(), **ARGUMENTS, **{"degree": (2, 1, 0)} | options)


@pytest.fixture(scope="module")
def search():
    estimator = {"n_components": (1, 2), "random_state": 0, "n_jobs": 1}
    return bm.trajectories(courses(), **ARGUMENTS, **estimator)


@pytest.mark.slow
def test_the_classes_that_made_the_courses_are_found(search):
    model = search.best_estimator_
    assert model.n_components_ == 2
    slopes = model.coefficients().loc["coefficient"].xs("age", level="term")
    assert (np.abs(slopes["estimate"] - [-1.0, 1.0]) < 4.0 * slopes["standard_error"]).all()
    table = model.random_effects()
    assert table.index.tolist() == [f"u{i}" for i in range(60)]
    assert ((table["class"] == 2) == (np.arange(60) < 20)).mean() > 0.95


def test_assignment_is_that_of_the_probabilities(search):
    table, units = bm.class_assignment(search), search.best_estimator_.random_effects()
    p = units[["p_1", "p_2"]].to_numpy()
    own = p[p.argmax(axis=1) == 1, 1].mean()
    assert np.isclose(table.loc["class 2", "mean_probability"], own)
    odds = own / (1.0 - own) / (p[:, 1].mean() / (1.0 - p[:, 1].mean()))
    assert np.isclose(table.loc["class 2", "odds_of_correct_classification"], odds)
    entropy = 1.0 + (p * np.log(np.maximum(p, 1e-300))).sum() / (60 * np.log(2.0))
    assert np.isclose(table.attrs["relative_entropy"], entropy)


def test_the_table_has_bic_of_units_and_of_visits(search):
    table, frame = bm.trajectory_table(search), courses()
    for n, name in ((60, "bic"), (len(frame), "bic_visits")):
        expected = -2.0 * table["log_likelihood"] + table["parameters"] * np.log(n)
        assert np.allclose(table[name], expected)


def test_standard_errors_of_held_out_densities_count_units():
    frame = courses(n=40)
    units, rows = frame["id"].factorize()[0], np.arange(len(frame))
    parts = [(rows[units % 2 != part], rows[units % 2 == part]) for part in (0, 1)]
    search = bm.trajectories(
        frame, **ARGUMENTS, n_components=(1, 2), criterion="cv", cv=parts, random=None,
        random_state=0, n_jobs=1,
    )  # fmt: skip
    densities = np.zeros((2, 40))
    for train, test in parts:
        for k in (0, 1):
            learned, new = frame.iloc[train], frame.iloc[test]
            model = bm.RegressionMixture(k + 1, random_state=1)
            model.fit(learned[["age"]], learned["score"], groups=learned["id"])
            logs = model.score_samples(new[["age"]], new["score"], groups=new["id"])
            densities[k] += np.bincount(units[test], logs, 40)
    table = search.results_.set_index("n_components")
    gap = densities[1] - densities[0]
    errors = [np.sqrt(40) * x.std(ddof=1) for x in (densities[0], densities[1], gap)]
    given = [*table["cv_se"].loc[[1, 2]], table["cv_behind_se"].max()]
    assert np.allclose(table["cv"].loc[[1, 2]], densities.sum(axis=1), rtol=1e-5)
    assert np.allclose(given, errors, rtol=1e-4)
    folds = search.folds_.set_index(["candidate", "fold"])
    for row in search.results_.index:
        density = densities[search.results_.loc[row, "n_components"] - 1]
        means = [density[units_of_part].mean() for units_of_part in np.arange(40).reshape(20, 2).T]
        assert np.allclose(folds.loc[row, "held_out"], means, rtol=1e-4)
    assert (folds["rows"] == 20).all()


def test_curves_are_the_regressions_with_their_intervals(search):
    model = search.best_estimator_
    curves = bm.trajectory_curves(search, "age", 0.9)
    k = curves["class"].map({"class 1": 0, "class 2": 1}).to_numpy()
    expected = model.intercept_[k] + model.coef_[k, 0] * curves["time"]
    assert np.allclose(curves["mean"], expected)
    assert (curves["lower"] < curves["mean"]).all()
    ax = model.plot()
    assert sum(len(each.get_offsets()) for each in ax.collections) == len(courses())
    for axes in (ax, bm.plots.plot_trajectories(search)):
        labels = [text.get_text()[:7] for text in axes.get_legend().get_texts()]
        assert labels == ["class 1", "class 2"]


def test_curves_are_smooth_beside_a_covariate_and_follow_powers_of_time():
    rng, frame = np.random.default_rng(1), courses()
    frame["x"] = rng.normal(1.0, 2.0, len(frame))
    frame["square"] = frame["age"] ** 2
    frame["score"] += frame["x"] + 0.3 * frame["square"]
    columns = ["age", "square", "x"]
    model = bm.RegressionMixture(1, random=("intercept",), fixed=["x"])
    model.fit(frame[columns], frame["score"], groups=frame["id"])
    curve = bm.trajectory_curves(model, "age")
    time = curve["time"].to_numpy()
    mean = np.full(len(time), frame["x"].mean())
    expected = model.intercept_[0] + model.coef_[0] @ np.array([time, time**2, mean])
    assert np.allclose(curve["mean"], expected)
    assert np.allclose(model.plot(feature="age").lines[0].get_ydata(), expected)
    assert (time[0], time[-1]) == pytest.approx((frame["age"].min(), frame["age"].max()))


def test_frames_of_polars_are_read(search):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({name: column.tolist() for name, column in courses().items()})
    given = {"n_components": 2, "random_state": 0, "n_jobs": 1}
    again = bm.trajectories(frame, **ARGUMENTS, **given).best_estimator_
    assert again.log_likelihood_ == search.best_estimator_.log_likelihood_


def test_the_summary_counts_units(search):
    assert f"(n = 60 units, {len(courses())} observations, 1 feature)" in search.summary()


def test_intervals_of_counts_with_extra_zeros_are_those_of_the_delta_method():
    rng, time = np.random.default_rng(0), np.tile(np.arange(5.0), 40)
    y = rng.poisson(np.exp(0.3 * time)) * (rng.random(200) < 0.7)
    model = bm.RegressionMixture(1, response="zero_inflated_poisson")
    model.fit(time[:, None], y, groups=np.repeat(np.arange(40), 5))
    layout = ParameterVector(model._data, model._mixture)
    intercept, slope, odds = layout.theta
    last = (4.0 - 2.0) / np.sqrt(2.0)  # standardised
    gradient = np.array([1.0, last, -1.0 / (1.0 + np.exp(-odds))])
    error = np.sqrt(gradient @ np.linalg.solve(layout.information, gradient))
    log_mean = intercept + slope * last - np.log1p(np.exp(odds))
    expected = np.exp(log_mean + np.array([0.0, -1.0, 1.0]) * 1.6448536269514722 * error)
    row = bm.trajectory_curves(model, 0, 0.9).iloc[-1]
    assert np.allclose(row[["mean", "lower", "upper"]].astype(float), expected)


@pytest.mark.slow
def test_data_simulated_under_one_class_have_the_moments_of_the_fit(search):
    rng = np.random.default_rng(0)
    model = next(each for each in search.estimators_ if each.n_components_ == 1)
    draws = np.array([simulated_response(model, rng) for _ in range(400)])
    data, spread = model._data, model.random_covariance_[0, 0, 0] + model.scale_[0] ** 2
    expected = model._mixture.components.predictors(data.values)[:, 0]
    assert np.abs(draws.mean(axis=0) - expected).max() < 4.5 * np.sqrt(spread / 400)
    assert np.isclose(draws.var(axis=0).mean(), spread, rtol=0.1)
    same = data.units[:, None] == data.units
    of_pairs = np.cov(draws.T)[same & ~np.eye(len(same), dtype=bool)].mean()
    assert np.isclose(of_pairs, model.random_covariance_[0, 0, 0], rtol=0.1)
    assert bm.trajectory_test(search, 2, n_resamples=4) == 0.2


@pytest.mark.parametrize("correction", ["ML", "BCH", None])
def test_an_outcome_equal_to_the_class_has_means_and_intervals_within_its_values(
    search, correction
):
    units = search.best_estimator_.random_effects()
    outcome = pd.Series((units["class"] == 2).astype(float), index=units.index)
    table = bm.trajectory_outcomes(search, outcome, correction)
    assert table["mean"].tolist() == [0.0, 1.0]
    assert (table["lower"] >= 0.0).all()
    assert (table["upper"] <= 1.0).all()


def test_outcomes_of_classes_are_those_of_certain_units(search):
    units = search.best_estimator_.random_effects()
    outcome = pd.Series(np.where(units["class"] == 2, 5.0, 1.0), index=units.index)
    outcome += np.random.default_rng(0).normal(0.0, 0.1, 60)
    table = bm.trajectory_outcomes(search, outcome.sample(frac=1.0, random_state=0))
    for k in (1, 2):
        mean = outcome[units["class"] == k].mean()
        assert abs(table.loc[f"class {k}", "mean"] - mean) < 0.05
        assert 0.01 < table.loc[f"class {k}", "standard_error"] < 0.05
    for wrong, message in (
        ([1.0, 2.0, 3.0], "each of the 60 units, got shape"),
        (outcome.to_frame(), "each of the 60 units, got shape"),
        (outcome.reset_index(drop=True), "identifiers of the units as its index, .* 'u0', got 0"),
        (pd.concat([outcome, outcome]), "each of them once"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            bm.trajectory_outcomes(search, wrong)


def test_tables_of_a_search_have_those_of_its_best_fit(search):
    model = search.best_estimator_
    pd.testing.assert_frame_equal(bm.trajectory_table(model), bm.trajectory_table(search).loc[[2]])
    assert (
        bm.trajectory_checklist(model).loc["13"].equals(bm.trajectory_checklist(search).loc["13"])
    )
    with pytest.raises(InvalidInputError, match=r"needs fits of both .* has .2.: add 1"):
        bm.trajectory_test(model, 2)
    with pytest.raises(InvalidInputError, match="n_components must be"):
        bm.trajectory_test(search, "2")


def test_a_file_is_read(tmp_path, search):
    courses().to_parquet(tmp_path / "data.parquet")
    again = bm.trajectories(
        tmp_path / "data.parquet", **ARGUMENTS, n_components=2, random_state=0, n_jobs=1
    )
    assert again.best_estimator_.log_likelihood_ == search.best_estimator_.log_likelihood_


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:predicted effects")  # those of the selected fit
def test_skewed_effects_are_named_and_normal_effects_are_not(search):
    assert not any("not normal" in text for text in search.best_estimator_._separated)
    frame = courses(1, 200, skewed=True)
    arguments = ARGUMENTS | {"n_components": (1, 2), "random_state": 0, "n_jobs": 1}
    with pytest.warns(bm.errors.BayesmixWarning, match="with one class, .*'intercept' are not"):
        bm.trajectories(frame, **arguments)


def test_time_columns_span_the_splines_and_polynomials():
    time = pd.Series(np.random.default_rng(0).uniform(0.0, 4.0, 50), name="age")
    powers = TimeColumns.of(time, 3).frame(time.to_frame())
    assert list(powers) == ["age", "age^2", "age^3"]
    columns = np.column_stack([np.ones(50), TimeColumns.of(time, 3, 4).frame(time.to_frame())])
    knots = {"knots": "quantile", "extrapolation": "linear"}
    basis = SplineTransformer(4, 3, **knots).fit_transform(time.to_numpy()[:, None])
    assert np.linalg.matrix_rank(columns) == columns.shape[1] == basis.shape[1]
    assert np.linalg.matrix_rank(np.column_stack([columns, basis])) == basis.shape[1]


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({}, {"time": "year"}, "frame has no column 'year'"),
        ({"age": np.nan}, {}, "time: column 'age' is missing in row 0"),
        ({"id": None}, {}, "unit: column 'id' is missing in row 0"),
        (
            {},
            {"time": "sex", "degree": 2},
            "'sex' has too few different values .2. for curves with 3",
        ),
        ({"id": 7, ("id", 1): "7"}, {}, "the same identifiers as numbers and as text"),
        (
            {"score": "low"},
            {},
            "y: column 'score' must be numbers, got 'low' in row 0: .*'binomial', .*'ordinal'",
        ),
        ({}, {"y": "age"}, "y, time and unit must name 3 columns, got 'age', 'age' and 'id'"),
        ({}, {"sample_weight": np.ones(9)}, "sample_weight must be names of columns of the frame"),
        ({}, {"y": ["score"]}, "must name 3 columns, got .'score'., 'age' and"),
        ({}, {"class_predictors": "day"}, "class_predictors: column 'day' has dates"),
        ({}, {"fixed": "word"}, "fixed: column 'word' is constant"),
        ({"sex": 7.0}, {"class_predictors": ["sex"]}, "class_predictors must be equal within"),
    ],
)
def test_bad_input_names_the_column(change, arguments, message):
    frame = courses().assign(day=pd.Timestamp("2020-01-01"), word="yes")
    for place, value in change.items():
        name, row = (place, 0) if isinstance(place, str) else place
        frame[name] = frame[name].astype(object)
        frame.loc[row, name] = value
    with pytest.raises(InvalidInputError, match=message):
        bm.trajectories(frame, **(ARGUMENTS | arguments), n_components=1)


@pytest.mark.slow
def test_weights_count_units_and_offsets_are_known_parts(tmp_path):
    frame = courses()
    frame["weight"] = 1.0 + (frame["sex"] > 0.5)
    twice = frame[frame["weight"] == 2.0]
    repeated = pd.concat([frame, twice.assign(id=twice["id"] + "b")])
    arguments = ARGUMENTS | {"n_components": 2, "random_state": 0}
    weighted = bm.trajectories(frame, **arguments, sample_weight="weight").best_estimator_
    expected = bm.trajectories(repeated, **arguments).best_estimator_
    assert abs(weighted.log_likelihood_ - expected.log_likelihood_) < 1e-8
    shifted = frame.assign(score=frame["score"] + 2.0 * frame["sex"], known=2.0 * frame["sex"])
    offset = bm.trajectories(shifted, **arguments, offset="known").best_estimator_
    plain = bm.trajectories(frame, **arguments).best_estimator_
    assert abs(offset.log_likelihood_ - plain.log_likelihood_) < 1e-8
    frame.to_csv(tmp_path / "data.csv", index=False)
    command = f"trajectories {tmp_path}/data.csv --unit id --time age --target score"
    run = CliRunner().invoke(app, f"{command} --components 2 --weight weight --json".split())
    assert abs(json.loads(run.stdout)["log_likelihood"] - weighted.log_likelihood_) < 1e-6


def test_one_number_of_classes_in_a_search_has_its_best_fit():
    frame, grid = courses(), {"residual_variance": ["free", "shared"]}
    model = bm.RegressionMixture(random=("intercept",), random_state=0)
    search = bm.MixtureSearch(model, 2, criterion="bic", param_grid=grid)
    search.fit(frame[["age"]], frame["score"], groups=frame["id"])
    assert bm.trajectory_table(search)["bic"].tolist() == [search.best_estimator_.bic()]


def test_units_without_random_effects_keep_their_identifiers():
    frame, arguments = courses(), {"n_components": 2, "random": None, "random_state": 0}
    model = bm.trajectories(frame, **ARGUMENTS, **arguments).best_estimator_
    units = model.random_effects()
    assert units.index.tolist() == frame["id"].unique().tolist()
    outcome = units["class"] + np.random.default_rng(0).normal(size=len(units))
    table = bm.trajectory_outcomes(model, outcome[::-1])
    pd.testing.assert_frame_equal(table, bm.trajectory_outcomes(model, outcome.to_numpy()))
    with pytest.raises(InvalidInputError, match="each of them once"):
        bm.trajectory_outcomes(model, frame.set_index("id")["score"])
    numbers = frame.assign(id=frame["id"].str[1:].astype(int))
    model = bm.trajectories(numbers, **ARGUMENTS, **arguments).best_estimator_
    by_place = pd.Series(np.arange(60.0))
    assert len(bm.trajectory_outcomes(model, by_place)) == 2  # identifiers are 0 to 59
    one_more = bm.trajectories(numbers.assign(id=numbers["id"] + 1), **ARGUMENTS, **arguments)
    for fit, wrong in ((model, frame["score"]), (one_more, by_place)):
        with pytest.raises(InvalidInputError, match="identifiers of the units"):
            bm.trajectory_outcomes(fit, wrong)


def test_warnings_of_the_best_fit_are_given():
    frame = courses()
    frame["first"] = frame["id"].str[1:].astype(float) < 20
    with pytest.warns(BayesmixWarning, match="covariates of the weights separate .*most: first"):
        bm.trajectories(
            frame, **ARGUMENTS, class_predictors=["first"], n_components=2, random_state=0
        )


def test_more_classes_than_units_are_said_and_left_out():
    frame = courses()
    few = frame[frame["id"].isin(["u0", "u1", "u30"])]
    arguments = ARGUMENTS | {"n_components": (1, 4, 7), "random": None, "random_state": 0}
    with pytest.warns(SelectionWarning, match="more classes than units, 3, are not fitted: 4, 7"):
        search = bm.trajectories(few, **arguments)
    assert search.n_components_ == 1


@pytest.mark.slow
def test_the_command_writes_classes_of_units(tmp_path):
    courses().to_csv(tmp_path / "data.csv", index=False)
    command = f"trajectories {tmp_path}/data.csv --unit id --time age --target score"
    command += f" --components 2 --out {tmp_path}/out --json"
    answer = CliRunner().invoke(app, command.split(), prog_name="bayesmix")
    assert answer.exit_code == 0, answer.output
    units = pd.read_csv(tmp_path / "out" / "units.csv", index_col="id")
    assert len(units) == 60
    assert list(units) == ["class", "p_1", "p_2", "intercept"]
    values = json.loads((tmp_path / "out" / "result.json").read_text())
    assert [row["class"] for row in values["classes"]] == ["class 1", "class 2"]
    assert {row["class"] for row in values["coefficients"]} == {"class 1", "class 2", "all"}
    assert values["n_components"] == 2
    assert (tmp_path / "out" / "trajectories.png").exists()
    assert "Metric of time" in (tmp_path / "out" / "report.html").read_text("utf-8")
    checklist = pd.read_csv(tmp_path / "out" / "checklist.csv", index_col="item", dtype=str)
    assert checklist.index.tolist()[:5] == ["1", "2", "3a", "3b", "3c"]
    assert len(checklist) == 21
    assert checklist.loc["1", "answer"] == "age"
    # The mechanism of missing data is known to the authors only.
    assert checklist.index[checklist["answer"].isna()].tolist() == ["3a", "3b"]


@pytest.mark.filterwarnings("ignore:rows without a value")
def test_frames_are_refused_with_the_remedy():
    frame = courses(n=4)
    for given, message in (
        (frame.to_dict("list"), "frame must be a DataFrame or the path of a file, got dict"),
        (frame.set_index("id"), r"no column 'id'.*: use frame.reset_index\(\)"),
        (frame[["id", "age", "age", "score"]], "frame has 2 columns 'age'"),
        (frame.assign(score=np.nan), "frame must have rows with a value of 'score', got none"),
        (
            frame.assign(age=pd.Timestamp("2020-01-01")),
            "time: column 'age' must be numbers, got date",
        ),
    ):
        with pytest.raises(InvalidInputError, match=message):
            bm.trajectories(given, **ARGUMENTS, n_components=1)


def test_years_have_the_curves_of_times_since_the_first():
    frame = courses()
    frame["age"] = frame["age"].round()
    given = {"n_components": 2, "degree": 3, "random_state": 0, "n_jobs": 1}
    model = bm.trajectories(frame, **ARGUMENTS, **given).best_estimator_
    frame["age"] = 2010 + frame["age"].astype(int)
    of_years = bm.trajectories(frame, **ARGUMENTS, **given).best_estimator_
    assert of_years._data.design.names == ("age", "(age - 2010)^2", "(age - 2010)^3")
    assert of_years.log_likelihood_ == pytest.approx(model.log_likelihood_, rel=1e-12)
    assert np.allclose(of_years.coef_, model.coef_)
    # Intercepts of units at year 0 say nothing of the data.
    with pytest.warns(BayesmixWarning, match="at age = 0, far from .* such as 2010 from 'age'"):
        bm.trajectories(frame, **ARGUMENTS, n_components=1, random=("intercept", "age"), n_jobs=1)
    years = np.asarray(frame["age"], dtype=float)
    powers = np.column_stack([years, years**2, years**3])
    with pytest.raises(InvalidInputError, match=r"'x2' is a linear combination .* centre"):
        bm.RegressionMixture(1).fit(powers, frame["score"], groups=frame["id"])


def test_covariates_that_look_like_identifiers_are_used_and_identifiers_are_as_given():
    frame = courses(n=20)
    codes = frame["id"].factorize()[0]
    frame["id"], frame["income"] = codes + 0.5, np.random.default_rng(0).permutation(1000)[codes]
    frame["score"] = pd.Categorical(frame["score"].round())
    given = {"n_components": 1, "fixed": ["income"], "n_jobs": 1}
    model = bm.trajectories(frame, **ARGUMENTS, **given).best_estimator_
    assert model._data.design.names == ("age", "income")
    assert model.random_effects().index.tolist() == (np.arange(20) + 0.5).tolist()


def test_rows_of_a_unit_are_drawn_together():
    sizes = np.random.default_rng(0).integers(1, 5, 50)
    units = np.repeat(np.arange(50), sizes)
    drawn = _weights(np.ones(len(units)), units, None)
    starts = np.cumsum(sizes) - sizes
    assert (drawn.values == drawn.values[:, starts][:, units]).all()
    # A sum of values of units has the variance of that sum over units.
    values = np.random.default_rng(2).normal(size=50)
    sums = drawn.values @ (values / sizes)[units]
    assert np.isclose(sums.var(), 50 * values.var(), rtol=4 * np.sqrt(2 / len(sums)))


def test_missing_responses_are_left_out_and_text_becomes_indicators():
    frame = courses()
    frame["sex"] = np.where(frame["sex"] == 1.0, "man", "woman")
    frame.loc[[0, 7], "score"] = np.nan
    given = {"n_components": 1, "fixed": ["sex"], "n_jobs": 1}
    last = frame["id"] == "u59"
    frame.loc[last, "score"] = np.nan
    text = (
        f"without a value of 'score' are left out: {2 + last.sum()}, among them all rows of 1 unit"
    )
    with pytest.warns(bm.errors.BayesmixWarning, match=text):
        model = bm.trajectories(frame, **ARGUMENTS, **given).best_estimator_
    assert model._data.n_rows == len(frame) - 2 - last.sum()
    assert model._data.design.names == ("age", "sex_woman")
    assert bm.plots.plot_trajectories(model).get_ylabel() == "score"


@pytest.mark.slow
def test_the_report_has_the_curves_and_the_checklist(search, tmp_path):
    text = search.report(tmp_path / "page.html").read_text("utf-8")
    assert "data:image/svg+xml" in text
    for item in ("Metric of time", "Relative entropy", "regressions (n = 60 units"):
        assert item in text
    page = search.best_estimator_.report(tmp_path / "fit.html").read_text("utf-8")
    assert "data:image/svg+xml" in page
    _, *table = search.best_estimator_.summary().splitlines()
    assert table[2].split()[:2] == ["estimate", "standard_error"]
    for item in ("Metric of time", "regressions (n = 60 units", *table[:2], "age (class 2)"):
        assert item in page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "shape"),
    [({"degree": 3}, "age^3"), ({"degree": 3, "n_knots": 4}, "age spline 4")],
)
def test_long_tables_of_new_units_are_predicted(options, shape, tmp_path):
    frame = courses().assign(kind=lambda table: np.where(table["sex"] > 0.5, "man", "woman"))
    given = {"n_components": 2, "fixed": ["kind"], "random_state": 0, "n_jobs": 1}
    model = bm.trajectories(frame, **ARGUMENTS, **given, **options).best_estimator_
    assert list(model.feature_names_in_)[-2:] == [shape, "kind_woman"]
    model.save(tmp_path / "fit.bayesmix")
    read = bm.load(tmp_path / "fit.bayesmix")
    logs = read.score_samples(frame, frame["score"], groups=frame["id"])
    assert logs.sum() == pytest.approx(model.log_likelihood_, rel=1e-10)
    new = frame["id"].isin(["u1", "u40"]) & (frame["kind"] == "woman")
    assert new.any()
    shares = model.predict_proba(frame[new], frame["score"][new], groups=frame["id"][new])
    every = model.predict_proba(frame, frame["score"], groups=frame["id"])
    assert np.allclose(shares, every[new])
    assert np.allclose(read.predict(frame[new]), model.predict(frame)[new])
    frame[new].to_csv(tmp_path / "new.csv", index=False)
    run = CliRunner().invoke(app, ["predict", f"{tmp_path}/fit.bayesmix", f"{tmp_path}/new.csv"])
    table = pd.read_csv(StringIO(run.stdout))
    assert np.allclose(table[["mean_1", "mean_2"]], model.predict_components(frame[new]))
    assert "for the classes of new units use Python" in run.stderr
    with pytest.raises(InvalidInputError, match="X must have the columns age, kind, but kind is"):
        model.predict(frame[["age"]])
    with pytest.raises(InvalidInputError, match="X: column 'kind' is missing in row 0"):
        model.predict(frame.assign(kind=None))
    polars = pytest.importorskip("polars")
    columns = {name: column.tolist() for name, column in frame.items()}
    assert np.allclose(model.predict(polars.DataFrame(columns)), model.predict(frame))


def test_knots_of_visits_at_the_same_time_coincide():
    time = pd.Series([0.0] * 30 + [1.0, 2.0, 3.0, 4.0, 5.0] * 4, name="age")
    columns = TimeColumns.of(time, 2, 5)
    assert columns.knots == (0.0, 2.0, 5.0)
    design = np.column_stack([np.ones(50), columns.frame(time.to_frame())])
    assert np.linalg.matrix_rank(design) == design.shape[1] == columns.n_curves + 1


@pytest.mark.filterwarnings("ignore:rows without a value")
def test_rows_in_messages_are_those_of_the_table():
    frame = courses()
    frame.loc[[0, 2, 5], "score"] = np.nan
    for change, arguments, message in (
        ({"age": np.nan}, {}, "time: column 'age' is missing in row 9"),
        ({"sex": 7.0}, {"class_predictors": "sex"}, "column 'sex' differs in row (9|10):"),
        ({"sex": np.inf}, {"class_predictors": "sex"}, "got infinity in row 9, column 'sex'"),
        ({"score": 0.5}, {"response": "poisson"}, "got .* in row 1:"),
        ({"sex": np.nan}, {"fixed": "sex"}, "fixed: column 'sex' is missing in row 9: use missing"),
        ({"sex": np.nan}, {"offset": "sex"}, "offset: column 'sex' is missing in row 9:"),
        ({"sex": 7.0}, {"sample_weight": "sex"}, "sample_weight .* differs in row (9|10):"),
        ({"score": np.inf}, {}, "got an infinite value in row 9:"),
        ({"id": None}, {}, "unit: column 'id' is missing in row 9:"),
    ):
        changed = frame.astype({"sex": float})
        for name, value in change.items():
            changed.loc[9, name] = value
        with pytest.raises(InvalidInputError, match=message):
            bm.trajectories(changed, **(ARGUMENTS | arguments), n_components=1)


def test_incomplete_rows_are_left_out_on_request():
    frame = courses()
    frame.loc[3, "age"], frame.loc[4, "id"], frame.loc[5, "sex"] = np.nan, None, np.nan
    given = {"n_components": 1, "fixed": ["sex"], "n_jobs": 1}
    with pytest.warns(
        BayesmixWarning, match="without a value of 'age', 'id', 'sex' are left out: 3"
    ):
        model = bm.trajectories(frame, **ARGUMENTS, **given, missing="drop").best_estimator_
    expected = bm.trajectories(frame.drop([3, 4, 5]), **ARGUMENTS, **given).best_estimator_
    assert model.log_likelihood_ == expected.log_likelihood_
    with pytest.raises(InvalidInputError, match="missing must be"):
        bm.trajectories(frame, **ARGUMENTS, missing="ignore")


def test_responses_of_two_values_are_drawn_as_rows_of_points_beside_them():
    frame = courses()
    high = (frame["score"] > frame["score"].median()).astype(int)
    model = bm.RegressionMixture(2, response="binomial", random_state=0, n_init=2)
    model.fit(frame[["age"]], high, groups=frame["id"])
    ax = bm.plots.plot_trajectories(model)
    units = [each for each in ax.lines if each.get_marker() == "."]
    assert {each.get_linestyle() for each in units} == {"None"}
    drawn = np.unique(np.concatenate([each.get_ydata() for each in units]))
    np.testing.assert_allclose(drawn, [-0.06, -0.03, 1.03, 1.06])


def test_rows_that_were_entered_twice_are_named():
    frame = pd.DataFrame({"id": np.repeat(np.arange(20), 3), "t": np.tile(np.arange(3.0), 20)})
    frame["y"] = np.random.default_rng(0).normal(size=60)
    twice = pd.concat([frame, frame[4:6]], ignore_index=True)
    with pytest.warns(
        UserWarning, match="2 rows repeat unit, time and response .* is row 60: drop"
    ):
        bm.trajectories(twice, y="y", time="t", unit="id", n_components=1, random=None)


def test_large_numbers_of_tables_have_a_decimal():
    texts = [four_digits(value, ",") for value in (-12345.678, 0.0123456, 1500.0, 2.5e8)]
    assert texts == ["-12,345.7", "0.01235", "1,500", "2.5e+08"]
