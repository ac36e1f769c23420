"""Third steps against direct maximisation, Mplus, and regressions of known classes."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats
from scipy.special import log_softmax, logsumexp

import bayesmix as bm
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError
from laws.cases import generator

GAMMA = np.array([[0.0, 0.0, 0.0], [-0.3, 0.8, -0.5], [0.2, -0.6, 0.4]])
SLOPES, INTERCEPTS = np.array([0.5, 1.5, -0.5]), np.array([0.0, 1.0, 2.0])


def drawn(n, seed, separation=0.85):
    """Three classes that depend on two predictors, six items, and outcomes with slopes by class."""
    rng = generator(seed)
    Z = pd.DataFrame({"age": rng.normal(3.0, 2.0, n), "sex": rng.choice(["f", "m"], n)})
    z = (Z["age"].to_numpy() - 3.0) / 2.0
    linear = np.column_stack([np.ones(n), z, Z["sex"] == "m"]) @ GAMMA.T
    shares = np.exp(log_softmax(linear, axis=1))
    classes = (rng.random(n)[:, None] > shares.cumsum(axis=1)).sum(axis=1)
    items = np.full((3, 6), separation)
    items[1, 3:] = items[2] = 1.0 - separation
    X = (rng.random((n, 6)) < items[classes]).astype(float)
    y = rng.normal(INTERCEPTS[classes] + SLOPES[classes] * z, 1.0)
    return X, Z, y, rng.random(n) < 1.0 / (1.0 + np.exp(-y)), classes


@pytest.fixture(scope="module")
def measured():
    X, Z, y, yes, _ = drawn(1200, 3)
    model = bm.Mixture(3, family=bm.Bernoulli(), max_iter=5000, random_state=0).fit(X)
    shares, modal = model.predict_proba(X), model.predict(X)
    errors = (shares.T @ np.eye(3)[modal]) / shares.sum(axis=0)[:, None]
    design = np.column_stack([np.ones(len(X)), Z["age"], Z["sex"] == "m"])
    return model, X, Z, y, yes, errors, modal, design


def best(objective, size, start=None):
    options = {"ftol": 1e-15, "gtol": 1e-8, "maxiter": 10_000, "maxfun": 10**6}
    start = np.zeros(size) if start is None else start
    return optimize.minimize(objective, start, method="L-BFGS-B", options=options).x


def log_classes(theta, design):
    slopes = np.vstack([np.zeros(design.shape[1]), theta.reshape(2, -1)])
    return log_softmax(design @ slopes.T, axis=1)


@pytest.mark.parametrize("correction", ["ML", "BCH", None])
def test_predictors_of_classes_maximise_the_corrected_likelihood(measured, correction):
    model, X, Z, _, _, errors, modal, design = measured
    factors = errors.T[modal]
    counts = np.linalg.inv(errors)[modal] if correction == "BCH" else np.eye(3)[modal]

    def objective(theta):
        logs = log_classes(theta, design)
        if correction == "ML":
            return -logsumexp(logs + np.log(factors), axis=1).sum()
        return -(counts * logs).sum()

    table = bm.class_predictors(model, X, Z, correction, n_draws=0)
    found = table.xs("class 1", level="reference")["estimate"].to_numpy()
    np.testing.assert_allclose(found, best(objective, 6), atol=2e-3)
    both = table.xs("class 2", level="reference")["estimate"].to_numpy()
    np.testing.assert_allclose(both, found[3:] - found[:3], atol=1e-10)
    np.testing.assert_allclose(table["odds_ratio"], np.exp(table["estimate"]))


def test_mplus_r3step():
    """GPA as predictor of cheating, in the stored output of a course (see tests/data/README.md)."""
    data = pd.read_csv("tests/data/cheating.csv")
    X = data.iloc[:, :4].to_numpy(float)
    model = bm.Mixture(2, family=bm.Bernoulli(), max_iter=20_000, tol=1e-10, random_state=0).fit(X)
    table = bm.class_predictors(model, X, data["gpa"], n_draws=0)
    assert table.attrs["n"] == 315
    row = table.loc[("class 2", "class 1", "gpa")]
    np.testing.assert_allclose(row[["estimate", "standard_error"]], [-0.698, 0.255], atol=1e-3)
    np.testing.assert_allclose(
        row[["odds_ratio", "lower", "upper"]], [0.498, 0.302, 0.82], atol=1e-3
    )
    assert row["p"] == pytest.approx(0.006, abs=5e-4)
    row = table.loc[("class 2", "class 1", "intercept")]
    np.testing.assert_allclose(row[["estimate", "standard_error"]], [-0.241, 0.46], atol=1e-3)


@pytest.mark.parametrize("correction", ["ML", "BCH", None])
def test_certain_classes_have_the_regressions_of_known_ones(correction):
    rng = generator(5)
    classes = np.repeat([0, 1], [150, 90])
    X = rng.normal(size=(240, 1)) + 100.0 * classes[:, None]
    model = bm.GaussianMixture(2, random_state=0).fit(X)
    z = rng.normal(size=240) + 0.5 * classes
    y = np.where(classes == 1, 2.0 * z, -z) + rng.normal(size=240)
    design = np.column_stack([np.ones(240), z])

    def minus_log_likelihood(b):
        return (np.logaddexp(0.0, design @ b) - classes * (design @ b)).sum()

    table = bm.class_predictors(model, X, z, correction, n_draws=0)
    logistic = best(minus_log_likelihood, 2)
    np.testing.assert_allclose(table["estimate"], logistic, atol=1e-4)
    p = 1.0 / (1.0 + np.exp(-design @ logistic))
    bread = np.linalg.inv((design * (p * (1.0 - p))[:, None]).T @ design)
    meat = (design * ((classes - p) ** 2)[:, None]).T @ design
    np.testing.assert_allclose(
        table["standard_error"], np.sqrt((bread @ meat @ bread).diagonal()), rtol=1e-3
    )
    slopes = bm.distal_regression(model, X, y, z, correction, n_draws=0)
    for k in range(2):
        own, line = design[classes == k], slopes.loc[f"class {k + 1}"]
        b, _, _, _ = np.linalg.lstsq(own, y[classes == k])
        np.testing.assert_allclose(line["estimate"], b, atol=1e-6)
        inverse, rest = np.linalg.inv(own.T @ own), y[classes == k] - own @ b
        robust = inverse @ (own * rest[:, None] ** 2).T @ own @ inverse  # White 1980
        np.testing.assert_allclose(line["standard_error"], np.sqrt(robust.diagonal()), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("moderation", [True, False, ["age"]])
def test_regressions_of_numbers_maximise_the_corrected_likelihood(measured, moderation):
    model, X, Z, y, _, errors, modal, design = measured
    differs = [moderation is True or moderation == ["age"], moderation is True]
    sizes = [3, *(3 if each else 1 for each in differs)]
    unit = (design - [0.0, 3.0, 0.5]) / [1.0, 2.0, 0.5]

    def coefficients(theta):
        parts = np.split(theta, np.cumsum(sizes)[:-1])
        return np.column_stack([np.broadcast_to(part, 3) for part in parts])

    def objective(theta):
        logs, n = log_classes(theta[:6], unit), 6 + sum(sizes)
        linear = unit @ coefficients(theta[6:n]).T
        logs = logs + stats.norm.logpdf(y[:, None], linear, np.exp(theta[n:]))
        return -logsumexp(logs + np.log(errors.T[modal]), axis=1).sum()

    theta = best(objective, 9 + sum(sizes))[6 : 6 + sum(sizes)]
    expected = coefficients(theta) / [1.0, 2.0, 0.5]
    expected[:, 0] -= expected[:, 1:] @ [3.0, 0.5]
    table = bm.distal_regression(model, X, y, Z, moderation=moderation, n_draws=0)
    np.testing.assert_allclose(table["estimate"].to_numpy().reshape(3, 3), expected, atol=5e-3)
    tests = table.attrs["tests"]
    assert set(tests["equal"]) == {"intercept"} | {
        name for name, each in zip(["age", "sex"], differs, strict=True) if each
    }


def test_regressions_of_categories_maximise_the_corrected_likelihood(measured):
    model, X, Z, _, yes, errors, modal, design = measured
    age = (design[:, :2] - [0.0, 3.0]) / [1.0, 2.0]

    def objective(theta):
        logs, linear = log_classes(theta[:4], age), age @ theta[4:].reshape(3, 2).T
        logs = logs + np.where(yes[:, None], linear, 0.0) - np.logaddexp(0.0, linear)
        return -logsumexp(logs + np.log(errors.T[modal]), axis=1).sum()

    expected = best(objective, 10)[4:].reshape(3, 2) / [1.0, 2.0]
    expected[:, 0] -= 3.0 * expected[:, 1]
    table = bm.distal_regression(model, X, yes, Z["age"], n_draws=0)
    assert table.index.names == ["class", "level", "term"]
    np.testing.assert_allclose(table["estimate"].to_numpy().reshape(3, 2), expected, atol=5e-3)
    numbers = bm.distal_regression(model, X, yes + 4.0, Z["age"], n_draws=0)
    np.testing.assert_allclose(numbers["estimate"], table["estimate"])


def test_equality_over_classes_is_the_wald_test_of_differences(measured):
    model, X, Z, y, _, _, _, _ = measured
    table = bm.distal_regression(model, X, y, Z["age"], "BCH", n_draws=0)
    test = table.attrs["tests"]["equal"]["age"]
    assert test["df"] == 2
    assert test["p"] == pytest.approx(stats.chi2.sf(test["chi_squared"], 2))
    assert test["p"] < 1e-6
    noise = generator(8).normal(size=len(X))
    shuffled = bm.distal_regression(model, X, noise, Z["age"], "BCH", n_draws=0)
    assert shuffled.attrs["tests"]["equal"]["age"]["p"] > 1e-3


def test_levels_of_text_are_tested_together(measured):
    model, X, Z, y, _, _, _, _ = measured
    place = pd.Series(generator(3).choice(["a", "b", "c"], len(X)))
    table = bm.class_predictors(model, X, Z.assign(place=place), n_draws=0)
    assert {name: test["df"] for name, test in table.attrs["tests"].items()} == {
        "age": 2,
        "sex": 2,
        "place": 4,
    }
    lines = bm.distal_regression(
        model, X, y, Z.assign(place=place), moderation=["place"], n_draws=0
    )
    equal = lines.attrs["tests"]["equal"]
    assert {name: test["df"] for name, test in equal.items()} == {"intercept": 2, "place": 4}
    slopes = lines["estimate"].unstack("class")
    assert slopes.loc["age"].nunique() == slopes.loc["sex_m"].nunique() == 1


def test_missing_predictors_and_weights():
    X, Z, y, _, _ = drawn(500, 9)
    weights = np.tile([1.0, 2.0], 250)
    whole = np.repeat(np.arange(500), weights.astype(int))
    model = bm.Mixture(3, family=bm.Bernoulli(), max_iter=3000, random_state=0).fit(X[whole])
    one = bm.class_predictors(model, X, Z, sample_weight=weights, n_draws=0)
    two = bm.class_predictors(model, X[whole], Z.iloc[whole], n_draws=0)
    # The standardisation is that of the rows, which changes rounding only.
    pd.testing.assert_frame_equal(one, two, rtol=1e-4, atol=1e-6)
    lines = bm.distal_regression(model, X, y, Z, sample_weight=weights, n_draws=0)
    again = bm.distal_regression(model, X[whole], y[whole], Z.iloc[whole], n_draws=0)
    pd.testing.assert_frame_equal(lines, again, rtol=1e-4, atol=1e-6)
    gaps = Z.assign(age=Z["age"].where(np.arange(500) >= 20))
    assert bm.class_predictors(model, X, gaps, sample_weight=weights, n_draws=0).attrs["n"] == 480


def test_clusters_have_the_errors_of_their_totals():
    """Certain classes: Binder's (1983) variance of a logistic regression."""
    rng = generator(12)
    clusters = np.repeat(np.arange(30), 10)
    z = rng.normal(size=30)[clusters]
    classes = (rng.random(300) < 1.0 / (1.0 + np.exp(-z))).astype(int)
    X = rng.normal(size=(300, 1)) + 100.0 * classes[:, None]
    model = bm.GaussianMixture(2, random_state=0).fit(X)
    table = bm.class_predictors(model, X, z, clusters=clusters, n_draws=0)
    known = model.predict(X)
    design = np.column_stack([np.ones(300), z])
    p = 1.0 / (1.0 + np.exp(-design @ table["estimate"].to_numpy()))
    bread = np.linalg.inv((design * (p * (1.0 - p))[:, None]).T @ design)
    totals = (design * (known - p)[:, None]).reshape(30, 10, 2).sum(axis=1)
    away = totals - totals.mean(axis=0)
    variance = bread @ (30 / 29 * away.T @ away) @ bread
    np.testing.assert_allclose(table["standard_error"], np.sqrt(variance.diagonal()), rtol=1e-5)
    assert table["p"].iloc[1] == pytest.approx(
        2.0 * stats.t.sf(abs(table["estimate"].iloc[1] / table["standard_error"].iloc[1]), 29)
    )
    drawn = bm.class_predictors(model, X, z, clusters=clusters, n_draws=100)
    np.testing.assert_allclose(drawn["standard_error"], table["standard_error"], rtol=0.3)


def chain_of_two(n, seed):
    """Two waves; the predictor affects the first state, and the second only through it."""
    rng = generator(seed)
    z = rng.normal(size=n)
    first = rng.random(n) < 1.0 / (1.0 + np.exp(-z))
    second = np.where(rng.random(n) < 0.8, first, ~first)
    states = np.column_stack([first, second]).ravel()
    items = (rng.random((2 * n, 5)) < np.where(states[:, None], 0.8, 0.25)).astype(float)
    y = rng.normal(2.0 * states, 1.0)
    model = bm.HiddenMarkovModel(2, family=bm.Bernoulli(), random_state=0).fit(
        items, lengths=[2] * n
    )
    high = int(np.argmax(model.means_.mean(axis=1)))
    return model, items, np.repeat(z, 2), y, np.tile([1, 2], n), high


def test_states_of_a_chain_are_regressed_wave_by_wave():
    model, items, z, y, waves, high = chain_of_two(1500, 21)
    table = bm.class_predictors(model, items, z, waves=waves, n_draws=10)
    assert table.index.names == ["wave", "state", "reference", "term"]
    sign = 1.0 if high == 1 else -1.0
    rows = table.xs("predictors0", level="term")
    # At wave 2 the logit is that of .2 + .6 p, whose slope at p = .5 is .6.
    assert abs(sign * rows["estimate"].iloc[0] - 1.0) < 4.0 * rows["standard_error"].iloc[0]
    p = 0.2 + 0.6 / (1.0 + np.exp(-z[::2]))
    design = np.column_stack([np.ones(1500), z[::2]])
    near = best(lambda b: (np.logaddexp(0.0, design @ b) - p * (design @ b)).sum(), 2)
    assert abs(sign * rows["estimate"].iloc[1] - near[1]) < 4.0 * rows["standard_error"].iloc[1]
    assert set(table.attrs["tests"]) == {"1", "2"}
    means = bm.distal(model, items, y, waves=waves, n_draws=10)
    for wave in (1, 2):
        own = means.loc[wave]
        expected = np.where(np.arange(2) == high, 2.0, 0.0)
        assert (np.abs(own["mean"] - expected) < 4.0 * own["standard_error"]).all()
    with pytest.raises(InvalidInputError, match="waves must have one entry"):
        bm.distal(model, items, y, waves=waves[1:], n_draws=0)


def test_one_bad_outcome_of_several_is_noted(measured):
    model, X, Z, y, yes, _, _, _ = measured
    outcomes = {"income": y, "constant": np.ones(len(y)), "votes": yes}
    with pytest.warns(BayesmixWarning, match="outcome 'constant' is left out: outcome must have"):
        tables = bm.distal(model, X, outcomes, n_draws=3)
    assert list(tables) == ["income", "votes"]
    pd.testing.assert_frame_equal(tables["votes"], bm.distal(model, X, yes, n_draws=3))
    with pytest.warns(BayesmixWarning, match="'constant' is left out"):
        lines = bm.distal_regression(model, X, outcomes, Z["age"], n_draws=0)
    assert list(lines) == ["income", "votes"]
    with (
        pytest.warns(BayesmixWarning),
        pytest.raises(InvalidInputError, match="no outcome can be used"),
    ):
        bm.distal(model, X, {"constant": np.ones(len(y))}, n_draws=0)


def test_refits_add_the_uncertainty_of_the_classes():
    X, Z, _, _, _ = drawn(600, 4, separation=0.75)
    model = bm.Mixture(3, family=bm.Bernoulli(), max_iter=3000, random_state=0).fit(X)
    given = bm.class_predictors(model, X, Z["age"], n_draws=0)["standard_error"]
    refitted = bm.class_predictors(model, X, Z["age"], n_draws=25)["standard_error"]
    assert refitted.mean() > given.mean()


@pytest.mark.parametrize("correction", ["ML", "BCH"])
def test_a_predictor_that_separates_a_class_is_named(measured, correction):
    model, X, Z, y, _, _, modal, _ = measured
    apart = pd.DataFrame({"age": Z["age"], "rare": (modal == 2).astype(float)})
    with pytest.raises(InvalidInputError, match="no finite maximum: rare separates"):
        bm.class_predictors(model, X, apart, correction, n_draws=0)
    with pytest.raises(InvalidInputError, match="no finite maximum"):
        bm.distal_regression(model, X, y, apart, correction, n_draws=0)


def test_bad_predictors_are_named(measured):
    model, X, Z, y, _, _, _, _ = measured
    with pytest.raises(InvalidInputError, match="one row for each of the 1200 samples"):
        bm.class_predictors(model, X, Z[1:])
    with pytest.raises(InvalidInputError, match="predictors: column 'one' is constant"):
        bm.class_predictors(model, X, Z.assign(one=1.0), n_draws=0)
    with pytest.raises(InvalidInputError, match="missing value in every sample"):
        bm.class_predictors(model, X, Z.assign(age=np.nan), n_draws=0)
    with pytest.raises(InvalidInputError, match="moderation names 'agee'"):
        bm.distal_regression(model, X, y, Z, moderation=["agee"], n_draws=0)
    with pytest.raises(UnsupportedError, match="waves needs a hidden Markov model"):
        bm.class_predictors(model, X, Z, waves=np.ones(len(X)), n_draws=0)
    one = bm.Mixture(1, family=bm.Bernoulli()).fit(X)
    with pytest.raises(InvalidInputError, match="two classes or more"):
        bm.class_predictors(one, X, Z, n_draws=0)


def test_negative_counts_of_bch_need_no_variances():
    """Classes that overlap so much that a variance of BCH is negative (its square root is NaN)."""
    X, Z, y, _, _ = drawn(1000, 1036, separation=0.72)
    model = bm.Mixture(3, family=bm.Bernoulli(), max_iter=5000, random_state=0).fit(X)
    shares, modal = model.predict_proba(X), model.predict(X)
    errors = (shares.T @ np.eye(3)[modal]) / shares.sum(axis=0)[:, None]
    counts, design = np.linalg.inv(errors)[modal], np.column_stack([np.ones(1000), Z["age"]])
    table = bm.distal_regression(model, X, y, Z["age"], "BCH", n_draws=0)
    for k in range(3):
        moments = (design * counts[:, [k]]).T
        expected = np.linalg.solve(moments @ design, moments @ y)
        np.testing.assert_allclose(table.loc[f"class {k + 1}", "estimate"], expected, rtol=1e-6)


def test_an_outcome_without_variance_in_a_class_is_named():
    rng = generator(15)
    classes = np.arange(240) % 2
    X = rng.normal(size=(240, 1)) + 100.0 * classes[:, None]
    model = bm.GaussianMixture(2, random_state=0).fit(X)
    z, y = rng.normal(size=240), np.where(classes == 1, 2.0, rng.normal(size=240))
    with pytest.raises(InvalidInputError, match=r"no variance in class \d: use correction='BCH'"):
        bm.distal_regression(model, X, y, z, n_draws=0)
    assert bm.distal_regression(model, X, y, z, "BCH", n_draws=0).attrs["n"] == 240
