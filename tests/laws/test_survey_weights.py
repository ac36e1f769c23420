"""Types of weights: ratios alone matter for survey weights, and errors are those of the survey."""

import warnings

import numpy as np
import pytest
from scipy.stats import norm

import bayesmix as bm
from bayesmix.errors import BayesmixWarning, InvalidInputError

RNG = np.random.default_rng(8)
X = np.r_[RNG.normal(size=(150, 1)), RNG.normal(size=(150, 1)) + 5.0]
WEIGHTS = RNG.uniform(0.2, 3.0, 300)


@pytest.mark.parametrize("factor", [1.0, 1000.0])
def test_the_likelihood_of_sampling_weights_is_that_of_weights_with_mean_one(factor):
    model = bm.GaussianMixture(1, random_state=0)
    model.fit(X, sample_weight=factor * WEIGHTS, weight_type="sampling")
    w = WEIGHTS / WEIGHTS.mean()
    mean = np.average(X[:, 0], weights=w)
    deviation = np.sqrt(np.average((X[:, 0] - mean) ** 2, weights=w))
    expected = w @ norm(mean, deviation).logpdf(X[:, 0])
    assert model.log_likelihood_ == pytest.approx(expected, rel=1e-12)
    assert model.result_.total_weight == pytest.approx(300.0)


def test_select_finds_the_same_with_weights_of_a_population():
    for factor in (1.0, 1000.0):
        search = bm.select(X, (1, 2, 3), sample_weight=factor * WEIGHTS, weight_type="sampling")
        assert search.criterion_ == "design_bic"
        assert search.n_components_ == 2


def test_the_design_adjusted_criterion_is_that_of_the_effective_number_of_samples():
    search = bm.select(X, (1,), "full", sample_weight=WEIGHTS, weight_type="sampling")
    w = WEIGHTS / WEIGHTS.mean()
    effective = w.sum() ** 2 / (w**2).sum()
    likelihood = search.best_estimator_.log_likelihood_ * effective / 300.0
    value = search.candidates_[0].value("design_bic")
    assert value == pytest.approx(likelihood - np.log(effective), rel=1e-12)


def test_weights_that_look_like_those_of_a_survey_give_a_warning_with_both_remedies():
    model = bm.GaussianMixture(1, random_state=0)
    with pytest.warns(BayesmixWarning, match=r"'sampling'.*'frequency'"):
        model.fit(X, sample_weight=2.0 * WEIGHTS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, sample_weight=WEIGHTS / WEIGHTS.mean())
        model.fit(X, sample_weight=np.full(300, 3))
        model.fit(X, sample_weight=2.0 * WEIGHTS, weight_type="frequency")
    assert model.result_.total_weight == pytest.approx(2.0 * WEIGHTS.sum())


def test_a_type_without_weights_and_an_unknown_type_are_refused():
    model = bm.GaussianMixture(1)
    with pytest.raises(InvalidInputError, match="needs sample_weight"):
        model.fit(X, weight_type="sampling")
    with pytest.raises(InvalidInputError, match="weight_type must be"):
        model.fit(X, sample_weight=WEIGHTS, weight_type="survey")


def test_errors_of_one_class_are_those_of_a_weighted_share():
    answers = (RNG.random((300, 2)) < [0.3, 0.6]).astype(int)
    survey = {"sample_weight": 1000.0 * WEIGHTS, "weight_type": "sampling"}
    model = bm.Mixture(1, family=bm.Categorical(), random_state=0).fit(answers, **survey)
    errors = bm.latent_classes(model, answers, **survey).standard_errors.to_numpy()[:, 0]
    shares = np.average(answers, axis=0, weights=WEIGHTS)
    # Taylor linearisation of a ratio (Cochran 1977, eq. 2.46, without replacement factor).
    squares = (WEIGHTS[:, None] * (answers - shares)) ** 2
    expected = np.sqrt(squares.sum(axis=0)) / WEIGHTS.sum()
    assert np.allclose(errors, expected[[0, 0, 1, 1]], rtol=1e-9)


@pytest.mark.slow
def test_errors_of_two_classes_are_the_spread_of_fits_to_repeated_surveys():
    rng, errors, fits = np.random.default_rng(9), [], []
    for _ in range(60):
        often = rng.random(1500) < 0.4
        answers = (rng.random((1500, 5)) < np.where(often, 0.85, 0.2)[:, None]).astype(int)
        survey = {"sample_weight": rng.exponential(size=1500), "weight_type": "sampling"}
        model = bm.Mixture(2, family=bm.Categorical(), search=None, random_state=0)
        table = bm.latent_classes(model.fit(answers, **survey), answers, **survey)
        order = np.argsort(table.sizes["share"].to_numpy())
        fits.append(table.probabilities.to_numpy()[1::2, order])
        errors.append(table.standard_errors.to_numpy()[1::2, order])
    ratio = np.mean(errors, axis=0) / np.std(fits, axis=0, ddof=1)
    # The standard error of a standard deviation of 60 is 9 %, of the mean of ten ratios 3 %.
    assert abs(ratio.mean() - 1.0) < 0.12


def heteroscedastic():
    g = np.random.default_rng(12)
    X, n = g.normal(size=(200, 2)), 200
    y = 1.0 + X @ [2.0, -1.0] + g.normal(size=n) * (1.0 + np.abs(X[:, 0]))
    return np.column_stack([np.ones(n), X]), X, y, g


def sandwich(design, weights, scores):
    bread = np.linalg.inv((weights * design.T) @ design)
    return np.sqrt(np.diag(bread @ scores.T @ scores @ bread))


def test_standard_errors_of_a_regression_are_those_of_the_survey_sandwich():
    design, X, y, g = heteroscedastic()
    w = 1000.0 * g.uniform(0.2, 5.0, len(y))
    model = bm.RegressionMixture(1).fit(X, y, sample_weight=w, weight_type="sampling")
    beta = np.linalg.solve((w * design.T) @ design, (w * design.T) @ y)
    expected = sandwich(design, w, (w * (y - design @ beta))[:, None] * design)
    errors = model.coefficients().loc["coefficient", "standard_error"]
    np.testing.assert_allclose(errors, expected, rtol=1e-6)


def test_robust_errors_add_scores_within_units_and_repetitions():
    design, X, y, g = heteroscedastic()
    groups = g.integers(0, 50, len(y))
    beta = np.linalg.lstsq(design, y)[0]
    scores = np.zeros((50, 3))
    np.add.at(scores, groups, (y - design @ beta)[:, None] * design)
    errors = bm.RegressionMixture(1).fit(X, y, groups=groups).coefficients(robust=True)
    expected = sandwich(design, np.ones(len(y)), scores)
    np.testing.assert_allclose(errors.loc["coefficient", "standard_error"], expected, rtol=1e-6)
    times = g.integers(1, 4, len(y))
    once = bm.RegressionMixture(1).fit(X, y, sample_weight=times).coefficients(robust=True)
    each = bm.RegressionMixture(1).fit(X.repeat(times, 0), y.repeat(times))
    np.testing.assert_allclose(once, each.coefficients(robust=True), rtol=1e-6)


def test_a_gate_with_certain_classes_has_the_sandwich_of_logistic_regression():
    g = np.random.default_rng(4)
    x, w = g.normal(size=400), 50.0 * g.uniform(0.2, 3.0, 400)
    second = g.random(400) < 1.0 / (1.0 + np.exp(-1.0 - x))
    X = g.normal(size=(400, 1)) + 40.0 * second[:, None]
    options = {"sample_weight": w, "weight_type": "sampling"}
    model = bm.GaussianMixture(2, random_state=0).fit(X, covariates=x[:, None], **options)
    table = model.gate_coefficients(X, **options)
    design = np.column_stack([np.ones(400), x])
    p = 1.0 / (1.0 + np.exp(-design @ table["estimate"]))
    upper = model.means_[1, 0] > 20.0
    residual = w * (np.where(second == upper, 1.0, 0.0) - p)
    expected = sandwich(design, w * p * (1.0 - p), residual[:, None] * design)
    np.testing.assert_allclose(table["standard_error"], expected, rtol=1e-4)


def test_errors_of_survey_means_are_those_of_totals_of_clusters():
    rng = np.random.default_rng(41)
    X, weights = rng.normal(size=(120, 2)), rng.uniform(50.0, 900.0, 120)
    clusters = np.repeat(np.arange(12), 10)
    model = bm.GaussianMixture(1).fit(X, sample_weight=weights, weight_type="sampling")
    with pytest.raises(InvalidInputError, match="divided by its mean if weight_type was 'sampl"):
        model.parameter_table(X, "sandwich", sample_weight=weights, clusters=clusters)
    divided = weights / weights.mean()
    table = model.parameter_table(X, "sandwich", sample_weight=divided, clusters=clusters)
    totals = np.add.reduceat(weights[:, None] * (X - model.means_), np.arange(0, 120, 10))
    variance = 12 / 11 * (totals**2).sum(axis=0) / weights.sum() ** 2
    errors = table.xs("mean")["standard_error"].to_numpy()
    np.testing.assert_allclose(errors, np.sqrt(variance), rtol=1e-9)
