"""Outcomes of classes: corrections for errors of assignment against closed forms and the truth."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats
from scipy.special import expit, logit, logsumexp, softmax

import bayesmix as bm
from bayesmix.errors import BayesmixWarning, InvalidInputError
from laws.cases import generator
from laws.test_covariates import hessian

MEANS, SHARES = np.array([-1.0, 1.0, 0.0]), np.array([0.2, 0.5, 0.8])


def responses(n, separation, seed):
    """Three classes, six binary items, a normal and a binary outcome (Bakk & Kuha 2018)."""
    rng = generator(seed)
    classes = rng.integers(0, 3, n)
    items = np.full((3, 6), separation)
    items[1, 3:] = items[2] = 1.0 - separation
    X = (rng.random((n, 6)) < items[classes]).astype(float)
    return X, rng.normal(MEANS[classes], 1.0), rng.random(n) < SHARES[classes], classes


@pytest.fixture(scope="module")
def measured():
    X, y, yes, classes = responses(3000, 0.85, 1)
    model = bm.Mixture(3, family=bm.Bernoulli(), max_iter=2000, random_state=0).fit(X)
    order = [int(np.bincount(model.predict(X)[classes == k]).argmax()) for k in range(3)]
    return model, X, y, yes, [f"class {1 + k}" for k in order]


def errors_of(model, X):
    shares, modal = model.predict_proba(X), model.predict(X)
    return (shares.T @ np.eye(3)[modal]) / shares.sum(axis=0)[:, None], modal


def test_bch_solves_the_equations_of_misclassification(measured):
    model, X, y, _, _ = measured
    errors, modal = errors_of(model, X)
    sums = np.array([[(modal == s).sum(), y[modal == s].sum()] for s in range(3)])
    counts, totals = np.linalg.solve(errors.T, sums).T
    table = bm.distal(model, X, y, "BCH", n_draws=0)
    np.testing.assert_allclose(table["mean"], totals / counts, rtol=1e-10)


def test_standard_deviations_differ_between_classes(measured):
    model, X, y, _, _ = measured
    errors, modal = errors_of(model, X)
    y = np.where(modal == 0, 1.5, 1.0) * y
    powers = np.array([[(y[modal == s] ** q).sum() for q in range(3)] for s in range(3)])
    counts, totals, squares = np.linalg.solve(errors.T, powers).T
    bch = bm.distal(model, X, y, "BCH", n_draws=0)
    np.testing.assert_allclose(bch["sd"] ** 2, squares / counts - (totals / counts) ** 2)

    def density(theta):
        means, scales, logs = theta[:3], np.exp(theta[3:6]), np.append(0.0, theta[6:])
        joint = stats.norm.logpdf(y[:, None], means, scales) + np.log(errors.T[modal])
        return -logsumexp(joint + logs - logsumexp(logs), axis=1).sum()

    start = np.r_[bch["mean"], np.log(bch["sd"]), 0.0, 0.0]
    best = optimize.minimize(density, start, method="L-BFGS-B", options={"ftol": 1e-13})
    ml = bm.distal(model, X, y, n_draws=0)
    np.testing.assert_allclose(ml["mean"], best.x[:3], atol=1e-3)
    np.testing.assert_allclose(ml["sd"], np.exp(best.x[3:6]), rtol=1e-3)
    assert ml["sd"].max() > 1.3 * ml["sd"].min()


def test_ml_of_a_category_is_the_saturated_solution(measured):
    # Classes times levels are as many cells as parameters, so ML and BCH agree inside (0, 1).
    model, X, _, yes, _ = measured
    ml, bch = (bm.distal(model, X, yes, name, n_draws=0) for name in ("ML", "BCH"))
    np.testing.assert_allclose(ml["probability"], bch["probability"], atol=1e-4)
    np.testing.assert_allclose(ml["standard_error"], bch["standard_error"], rtol=0.1)


@pytest.mark.parametrize("correction", ["ML", "BCH"])
def test_corrections_recover_the_truth_that_assignment_alone_misses(measured, correction):
    model, X, y, yes, order = measured
    table = bm.distal(model, X, y, correction, n_draws=10).loc[order]
    assert (np.abs(table["mean"] - MEANS) < 4.0 * table["standard_error"]).all()
    shares = bm.distal(model, X, yes, correction, n_draws=10).xs(True, level="level").loc[order]
    assert (np.abs(shares["probability"] - SHARES) < 4.0 * shares["standard_error"]).all()
    naive = bm.distal(model, X, y, None, n_draws=0).loc[order]
    assert np.ptp(naive["mean"]) < 0.9 * np.ptp(table["mean"])


@pytest.mark.parametrize("correction", ["ML", "BCH", None])
def test_without_errors_of_assignment_means_are_those_of_the_classes(correction):
    rng = generator(2)
    classes = np.repeat([0, 1], [100, 60])
    X = rng.normal(size=(160, 1)) + 100.0 * classes[:, None]
    half = rng.normal(size=80)
    y = np.concatenate([half[:50], -half[:50], half[50:], -half[50:]]) + 3.0 * classes
    gm = bm.GaussianMixture(2, random_state=0).fit(X)
    table = bm.distal(gm, X, y, correction, n_draws=0)
    np.testing.assert_allclose(table["mean"], [0.0, 3.0], atol=1e-6)
    spread = [y[classes == k].std() / np.sqrt((classes == k).sum()) for k in range(2)]
    np.testing.assert_allclose(table["standard_error"], spread, rtol=1e-4)
    drawn = bm.distal(gm, X, y, correction, n_draws=100)["standard_error"]
    # A standard deviation of 100 draws has a relative standard error of 0.07.
    np.testing.assert_allclose(drawn, spread, rtol=0.28)


@pytest.mark.parametrize("correction", ["ML", "BCH", None])
def test_weights_repeat_observations_and_missing_outcomes_are_left_out(measured, correction):
    _, X, y, _, _ = measured
    X, y = X[:400], y[:400]
    weights = np.tile([1.0, 2.0], 200)
    whole = np.repeat(np.arange(400), weights.astype(int))
    model = bm.Mixture(3, family=bm.Bernoulli(), max_iter=2000, random_state=0).fit(X[whole])
    one = bm.distal(model, X, y, correction, sample_weight=weights, n_draws=0)
    two = bm.distal(model, X[whole], y[whole], correction, n_draws=0)
    pd.testing.assert_frame_equal(one, two, rtol=1e-6)
    gaps = np.where(np.arange(len(whole)) < 20, np.nan, y[whole])
    assert not one.equals(bm.distal(model, X[whole], gaps, correction, n_draws=0))


def test_only_ratios_of_sampling_weights_count():
    X, y = two_classes()
    weights = generator(61).uniform(0.2, 3.0, len(X))
    normalised = weights * (len(X) / weights.sum())
    model = bm.Mixture(2, family=bm.Bernoulli(), random_state=0).fit(X, sample_weight=normalised)
    sampled = {"weight_type": "sampling", "n_draws": 20}
    one = bm.distal(model, X, y, sample_weight=weights, **sampled)
    other = bm.distal(model, X, y, sample_weight=1e4 * weights, **sampled)
    pd.testing.assert_frame_equal(one, other)
    each = {"clusters": np.arange(len(X)), "n_draws": 20}
    pd.testing.assert_frame_equal(
        one, bm.distal(model, X, y, sample_weight=normalised, **each), rtol=1e-6
    )
    with pytest.raises(InvalidInputError, match="needs sample_weight"):
        bm.distal(model, X, y, **sampled)
    with pytest.raises(InvalidInputError, match="need refits"):
        bm.distal(model, X, y, sample_weight=weights, weight_type="sampling", n_draws=0)


def two_classes():
    rng = generator(60)
    classes = rng.random(600) < 0.5
    X = (rng.random((600, 4)) < np.where(classes[:, None], 0.75, 0.25)).astype(float)
    return X, rng.normal(3.0 * classes, 1.0)


@pytest.mark.slow
def test_standard_errors_are_those_of_the_delta_method_over_both_steps():
    # Bakk, Oberski & Vermunt 2014: V2 + C V1 C' with the information of the classes.
    X, y = two_classes()
    model = bm.Mixture(2, family=bm.Bernoulli(), max_iter=2000, random_state=0).fit(X)
    modal = model.predict(X)

    def joint(theta):
        p = expit(theta[1:].reshape(2, 4))
        logs = X @ np.log(p).T + (1.0 - X) @ np.log1p(-p).T
        return logs + np.log([expit(-theta[0]), expit(theta[0])])

    def means(theta):
        shares = softmax(joint(theta), axis=1)
        errors = (shares.T @ np.eye(2)[modal]) / shares.sum(axis=0)[:, None]
        sums = np.array([[(modal == s).sum(), y[modal == s].sum()] for s in range(2)])
        counts, totals = np.linalg.solve(errors.T, sums).T
        return totals / counts

    weights = logit(model.weights_[1])
    theta = np.append(weights, logit(model.means_).ravel())
    information = -hessian(lambda t: logsumexp(joint(t), axis=1).sum(), theta)
    moves = 1e-4 * np.eye(len(theta))
    slopes = np.array([means(theta + move) - means(theta - move) for move in moves]) / 2e-4
    second = bm.distal(model, X, y, "BCH", n_draws=0)["standard_error"]
    first = np.einsum("ik,ij,jk->k", slopes, np.linalg.inv(information), slopes)
    expected = np.sqrt(second**2 + first)
    assert (expected > 1.3 * second).all()
    drawn = bm.distal(model, X, y, "BCH", n_draws=400)["standard_error"]
    np.testing.assert_allclose(drawn, expected, rtol=0.2)


@pytest.mark.slow
def test_errors_of_a_survey_are_those_of_cluster_totals():
    """Well separated classes, whose means have the linearised variance of a ratio (Binder 1983)."""
    rng = generator(12)
    clusters = np.repeat(np.arange(40), 10)
    classes = rng.random(400) < 0.5
    X = rng.normal(size=(400, 1)) + 20.0 * classes[:, None]
    y = rng.normal(size=400) + rng.normal(size=40)[clusters]
    model = bm.GaussianMixture(2, random_state=0).fit(X)
    survey = {"clusters": clusters, "strata": clusters % 2}
    found = bm.distal(model, X, y, "BCH", n_draws=300, **survey)
    expected = []
    for k in range(2):
        own = model.predict(X) == k
        scores = own * (y - y[own].mean()) / own.sum()
        totals = scores.reshape(40, 10).sum(axis=1)
        parts = [totals[place::2] - totals[place::2].mean() for place in range(2)]
        expected.append(np.sqrt(sum(20 / 19 * (part @ part) for part in parts)))
    np.testing.assert_allclose(found["standard_error"], expected, rtol=0.2)
    assert (found["standard_error"] > 1.5 * bm.distal(model, X, y, "BCH")["standard_error"]).all()
    half = found["upper"] - found["mean"]
    np.testing.assert_allclose(half / found["standard_error"], stats.t.ppf(0.975, 38))
    with pytest.raises(InvalidInputError, match="need refits"):
        bm.distal(model, X, y, n_draws=0, clusters=clusters)


@pytest.mark.slow
def test_probabilities_and_their_intervals_stay_between_0_and_1():
    X, _, _, classes = responses(300, 0.75, 11)
    model = bm.Mixture(3, family=bm.Bernoulli(), max_iter=2000, random_state=0).fit(X)
    rare = np.where(model.predict(X) == 0, "often", np.where(classes == 1, "never", "seldom"))
    for correction in ("ML", "BCH", None):
        table = bm.distal(model, X, rare, correction, n_draws=20)
        assert table["probability"].between(0.0, 1.0).all()
        assert (table["lower"] >= 0.0).all()
        assert (table["upper"] <= 1.0).all()
        sums = table["probability"].groupby(level="class").sum()
        np.testing.assert_allclose(sums, 1.0, rtol=1e-9)


def test_outcomes_that_cannot_be_computed_leave_the_others():
    rng = np.random.default_rng(6)
    k = rng.integers(0, 2, 600)
    X = (rng.random((600, 6)) < np.where(k, 0.85, 0.2)[:, None]).astype(float)
    model = bm.Mixture(2, family=bm.Bernoulli(), random_state=0).fit(X)
    age, first = rng.normal(40.0 + 5.0 * k, 8.0), model.predict(X) == 0
    bad = {
        "grade": np.full(600, 7),
        "far": np.where(k, np.inf, 1.0),
        "visits": np.where(first, rng.poisson(3.0, 600), 0.0),  # constant in a class
        "asked": pd.Series(age).where(first),  # of one class alone
    }
    reasons = ("at least two values, got 7", "must be finite", "too few distinct", "assigned to")
    options: dict = {"n_draws": 0, "random_state": 0}
    for name, reason in zip(bad, reasons, strict=True):
        with pytest.raises(InvalidInputError, match=f"outcome '{name}': .*{reason}"):
            bm.class_profiles(model, X, {name: bad[name]}, **options)
    with pytest.warns(BayesmixWarning, match="outcome '.*' is left out") as told:
        profiles = bm.class_profiles(model, X, {"age": age} | bad, **options)
    assert len(told) == 4
    alone = bm.class_profiles(model, X, {"age": age}, **options)
    pd.testing.assert_frame_equal(profiles.outcomes["age"], alone.outcomes["age"])
    pd.testing.assert_frame_equal(profiles.tests, alone.tests)
    assert list(profiles.left_out) == list(bad)
    assert "Outcomes left out: grade, far, visits, asked." in profiles.summary()
    assert "grade is left out: outcome must have at least two" in profiles.to_apa("outcomes").note
    with pytest.raises(InvalidInputError, match=r"outcome 'short': .* 600 samples"):
        bm.class_profiles(model, X, {"age": age, "short": age[:-1]}, **options)


def test_bad_outcomes_are_named(measured):
    model, X, y, _, _ = measured
    with pytest.raises(InvalidInputError, match="one value for each of the 3000 samples"):
        bm.distal(model, X, y[:-1])
    with pytest.raises(InvalidInputError, match="outcome must be finite"):
        bm.distal(model, X, np.where(y > 2.0, np.inf, y))
    with pytest.raises(InvalidInputError, match="outcome must have at least two values, got 1"):
        bm.distal(model, X, np.ones(len(X)))
    for text in (np.round(y, 1).astype(str), [f"person {i}" for i in range(len(X))]):
        outcome = pd.Series(text).where(y > np.quantile(y, 0.1), "refused")
        with pytest.raises(
            InvalidInputError, match=r"levels in 3000 observations, such as '(ref|per)"
        ):
            bm.class_profiles(model, X, {"income": outcome}, standard_errors="bootstrap")
    with pytest.raises(InvalidInputError, match="X must hold the data of the fit"):
        bm.distal(model, X[:50], y[:50])
    with pytest.raises(InvalidInputError, match="correction must be"):
        bm.distal(model, X, y, "bch")
    with pytest.raises(InvalidInputError, match="assigned to class"):
        bm.distal(model, X, np.where(model.predict(X) == 0, np.nan, y))


def test_an_outcome_without_variance_in_a_class_is_named():
    rng = np.random.default_rng(0)
    reads = rng.random(400) < 0.4
    X = (rng.random((400, 4)) < np.where(reads[:, None], 0.85, 0.15)).astype(float)
    model = bm.Mixture(2, family=bm.Bernoulli(), random_state=0).fit(X)
    visits = np.where(reads, rng.poisson(2.0, 400), 0)
    with pytest.raises(InvalidInputError, match="too few distinct values in a class"):
        bm.distal(model, X, visits)
    with pytest.raises(InvalidInputError, match="outcome 'visits': outcome has too few"):
        bm.class_profiles(model, X, {"visits": visits})
    assert bm.distal(model, X, visits, "BCH", n_draws=0).loc["class 2", "mean"] > 1.0


def test_numbers_with_two_values_have_the_probabilities_of_their_levels(measured):
    model, X, y, _, _ = measured
    high = y > np.median(y)
    levels = bm.distal(model, X, high, n_draws=3).xs(True, level="level")
    found = bm.distal(model, X, np.where(high, 5, 2), n_draws=3)
    columns = ["mean", "standard_error", "sd"]
    p, error = levels["probability"], levels["standard_error"]
    expected = np.column_stack([2.0 + 3.0 * p, 3.0 * error, 3.0 * np.sqrt(p * (1.0 - p))])
    np.testing.assert_allclose(found[columns], expected, rtol=1e-6)
    never = bm.distal(model, X, (high & (model.predict(X) == 1)).astype(int), n_draws=0)
    assert never["mean"].between(0.0, 1.0).all()


def test_intervals_of_probabilities_are_those_of_the_log_odds():
    """With certain classes it is a logistic regression on their indicators (Agresti 2013, 5.1)."""
    rng = np.random.default_rng(11)
    z = np.arange(200) % 2
    m = bm.GaussianMixture(2, random_state=0).fit(100.0 * z[:, None] + rng.normal(size=(200, 1)))
    X = 100.0 * z[:, None] + rng.normal(size=(200, 1))
    y = (rng.random(200) < np.where(z, 0.97, 0.2)).astype(float)
    found = bm.distal(m, X, y, None, n_draws=0)
    for k, row in enumerate(found.itertuples()):
        share, n = y[m.predict(X) == k].mean(), (m.predict(X) == k).sum()
        half = stats.norm.isf(0.025) / np.sqrt(n * share * (1.0 - share))
        assert row.mean == pytest.approx(share)
        ends = expit(logit(share) + half * np.array([-1.0, 1.0]))
        np.testing.assert_allclose([row.lower, row.upper], ends, rtol=0.02)
