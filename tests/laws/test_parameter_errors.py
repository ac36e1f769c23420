"""Standard errors of parameters against closed forms at one class and other derivations."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import digamma, gamma

import bayesmix as bm
from bayesmix.posterior.parameter_errors import ParameterScores, scores_of
from bayesmix.posterior.survey_design import SurveyDesign
from laws.test_covariates import hessian


@pytest.fixture(scope="module")
def rows():
    generator = np.random.default_rng(41)
    labels = generator.random(300) < 0.4
    return generator.normal(size=(300, 2)) * [1.0, 3.0] + 4.0 * labels[:, None]


def test_one_normal_class_has_the_textbook_errors(rows):
    m = bm.GaussianMixture(1).fit(rows)
    table = m.parameter_table(rows)["standard_error"]
    n, variances = len(rows), rows.var(axis=0)
    np.testing.assert_allclose(table["mean"], np.sqrt(variances / n), rtol=1e-6)
    np.testing.assert_allclose(table["variance"], variances * np.sqrt(2.0 / n), rtol=1e-4)


def test_sandwich_of_one_class_has_the_fourth_moment(rows):
    skewed = np.exp(0.5 * rows)
    table = bm.GaussianMixture(1).fit(skewed).parameter_table(skewed, "sandwich")
    squares = (skewed - skewed.mean(axis=0)) ** 2
    expected = np.sqrt(squares.var(axis=0) / len(skewed))
    np.testing.assert_allclose(table["standard_error"]["variance"], expected, rtol=1e-4)


def test_counts_and_categories_at_one_class():
    generator = np.random.default_rng(5)
    counts, codes = generator.poisson(4.0, (200, 2)), generator.integers(0, 3, (200, 2))
    table = bm.Mixture(1, family=bm.Poisson()).fit(counts).parameter_table(counts)
    np.testing.assert_allclose(
        table["standard_error"]["rate"], np.sqrt(counts.mean(axis=0) / 200), rtol=1e-6
    )
    table = bm.Mixture(1, family=bm.Categorical()).fit(codes).parameter_table(codes)
    p = table["estimate"]["probability"]
    np.testing.assert_allclose(
        table["standard_error"]["probability"], np.sqrt(p * (1.0 - p) / 200), rtol=1e-6
    )


def test_ordinal_items_and_overdispersed_counts_at_one_class():
    generator = np.random.default_rng(6)
    items = generator.choice(5, (300, 2), p=[0.1, 0.3, 0.3, 0.2, 0.1])
    m = bm.Mixture(1, family=bm.Ordinal(), inference=bm.MaximumLikelihood()).fit(items)
    table = m.parameter_table(items).xs("probability", level="parameter")
    p = table["estimate"]  # one class is saturated
    np.testing.assert_allclose(table["standard_error"], np.sqrt(p * (1.0 - p) / 300), rtol=1e-4)
    counts = generator.negative_binomial(3, 0.4, (300, 1))
    m = bm.Mixture(1, family=bm.NegativeBinomial(), inference=bm.MaximumLikelihood()).fit(counts)
    row = m.parameter_table(counts).loc["rate"].iloc[0]
    size = m.result_.unframed.sizes[0, 0]
    expected = np.sqrt((row["estimate"] + row["estimate"] ** 2 / size) / 300)
    assert row["standard_error"] == pytest.approx(expected, rel=1e-3)


def test_positive_values_at_one_class():
    generator = np.random.default_rng(7)
    m = bm.Mixture(1, family=bm.Gamma()).fit(values := generator.gamma(3.0, size=(400, 1)))
    row = m.parameter_table(values).loc["mean"].iloc[0]
    # The mean and the shape are orthogonal.
    expected = row["estimate"] / np.sqrt(400 * m.result_.unframed.shapes[0, 0])
    assert row["standard_error"] == pytest.approx(expected, rel=1e-4)
    m = bm.Mixture(1, family=bm.Weibull()).fit(values := generator.weibull(2.0, (400, 1)))
    point = m.result_.unframed
    shape, scale = point.shapes[0, 0], point.scales[0, 0]

    def loss(logs):
        return -stats.weibull_min.logpdf(values, np.exp(logs[0]), scale=np.exp(logs[1])).sum()

    information = hessian(loss, np.log([shape, scale]))
    slope = -scale * gamma(1.0 + 1.0 / shape) * digamma(1.0 + 1.0 / shape) / shape
    slopes = np.array([slope, scale * gamma(1.0 + 1.0 / shape)])
    expected = np.sqrt(slopes @ np.linalg.inv(information) @ slopes)
    row = m.parameter_table(values).loc["mean"].iloc[0]
    assert row["standard_error"] == pytest.approx(expected, rel=1e-3)


def test_bootstrap_errors_need_no_derivatives(rows):
    m = bm.GaussianMixture(2, covariance_type="VEI", random_state=0).fit(rows)
    table = m.parameter_table(rows, "bootstrap", n_draws=5)
    assert (table["standard_error"] > 0.0).all()


STRUCTURES = ["full", "tied", "diag", "EEI", "spherical", "VEI", "VEE", "VVE", "EEV", "EVV"]


@pytest.mark.slow
@pytest.mark.parametrize("structure", [*STRUCTURES, "student", "log-normal"])
def test_information_is_the_derivative_of_the_scores(rows, structure):
    given, gaps = rows.copy(), structure in ("full", "tied", "diag", "EEI", "spherical")
    given[:: 7 if gaps else len(rows), 1] = np.nan if gaps else 0.0
    missing = "use" if gaps else "error"
    m = bm.GaussianMixture(2, covariance_type=structure, missing=missing, random_state=0)
    if structure not in STRUCTURES:
        tails = np.sqrt(np.random.default_rng(1).chisquare(4.0, (300, 1)) / 4.0)
        given = np.exp(rows) if structure == "log-normal" else rows / tails
        family = bm.LogNormal() if structure == "log-normal" else bm.StudentT()
        m = bm.Mixture(2, family=family, tol=1e-9, max_iter=10_000, random_state=0)
    m.fit(given)
    scores = scores_of(m, given)
    assert scores.places[0] == m.n_parameters_
    assert np.abs(scores.scores.sum(axis=0)).max() < 1e-2  # at the optimum
    for place, coordinate in enumerate(scores.coordinates):
        totals = []
        for step in (1e-4, -1e-4):
            moved = ParameterScores(scores.result, scores.source)
            steps = step * coordinate.units * (1.0 if coordinate.shared else np.eye(2)[0])
            vars(moved)["components"] = coordinate.moved(scores.components, steps)
            vars(moved)["coordinates"] = scores.coordinates
            totals.append(moved.scores.sum(axis=0))
        numeric = (totals[1] - totals[0]) / 2e-4
        column = scores.information[:, scores.places[1][place][0]]
        np.testing.assert_allclose(column, numeric, atol=1e-4 * np.abs(scores.information).max())


def test_gate_has_the_errors_of_gate_coefficients(rows):
    generator = np.random.default_rng(3)
    z = generator.normal(size=(len(rows), 1)) + 0.3 * rows[:, :1]
    m = bm.GaussianMixture(2, covariance_type="diag", random_state=0).fit(rows, covariates=z)
    scores = scores_of(m, rows)
    covariance = scores.covariance("information")[:2, :2]
    back = m.result_.side.design.back
    errors = np.sqrt((back @ covariance @ back.T).diagonal())
    expected = m.gate_coefficients(rows)["standard_error"]
    np.testing.assert_allclose(errors, expected, rtol=1e-3)


def test_single_samples_as_clusters_are_the_plain_sandwich_with_small_sample_factor():
    scores = np.random.default_rng(0).normal(size=(50, 3))
    scores -= scores.mean(axis=0)
    plain = scores.T @ scores
    alone = SurveyDesign.of(50, np.arange(50), None).variance_of_total(scores)
    np.testing.assert_allclose(alone, plain * 50 / 49)
    # two identical samples as a cluster count once
    pairs = SurveyDesign.of(100, np.repeat(np.arange(50), 2), None)
    twice = pairs.variance_of_total(np.repeat(scores, 2, axis=0))
    np.testing.assert_allclose(twice, 4.0 * plain * 50 / 49)


def test_degrees_of_freedom_follow_from_the_kurtosis_of_totals():
    """Satterthwaite's are 2 G / (kurtosis - 1): 8.11 of an event in a tenth, 1 of signs."""
    numbers = np.arange(1000)
    design = SurveyDesign.of(1000, numbers, None)
    df = design.degrees_of_freedom_of(np.column_stack([numbers % 10 == 0, numbers % 2]) * 1.0)
    np.testing.assert_allclose(df, [2000.0 / (0.73 / 0.09 - 1.0), 999.0], rtol=1e-12)


def test_strata_remove_the_differences_between_them():
    scores = np.repeat([[1.0], [-1.0]], 10, axis=0)
    strata = np.repeat([0, 1], 10)
    assert SurveyDesign.of(20, None, strata).variance_of_total(scores) == 0.0
    with pytest.raises(ValueError, match="at least two clusters"):
        SurveyDesign.of(20, strata, strata)
    with pytest.raises(ValueError, match="at least two clusters, got one: leave clusters out"):
        SurveyDesign.of(20, np.ones(20), None)
    for absent in (["a", None] * 10, [1.0, np.nan] * 10):
        with pytest.raises(ValueError, match="strata is missing in row 1: drop such rows"):
            SurveyDesign.of(20, None, absent)


def test_random_weights_of_clusters_have_the_variance_of_the_design():
    """Sums of 20 random scores in 12 unequal clusters of two strata, over 4,000 draws."""
    generator = np.random.default_rng(5)
    clusters = np.repeat(np.arange(12), generator.integers(1, 6, 12))
    scores = generator.normal(size=(len(clusters), 2)) + generator.normal(size=(12, 1))[clusters]
    design = SurveyDesign.of(len(clusters), clusters, clusters % 2)
    weights = np.array([design.factors(generator) for _ in range(4000)])
    np.testing.assert_allclose(weights[:, clusters % 2 == 0].mean(axis=1), 1.0, atol=1.0)
    first = [np.flatnonzero(clusters == c)[0] for c in range(12)]
    np.testing.assert_array_equal(weights, weights[:, first][:, clusters])
    variance = np.cov((weights - 1.0) @ scores, rowvar=False)
    expected = design.variance_of_total(scores)
    assert np.abs(variance - expected).max() < 0.12 * np.abs(expected).max()


def test_a_part_of_a_survey_has_the_clusters_that_are_left():
    design = SurveyDesign.of(6, [0, 0, 1, 1, 2, 2], None)
    part = design.subset(np.array([0, 1, 5]))
    assert [rows.tolist() for rows in part.strata[0]] == [[0, 1], [2]]
    assert part.degrees_of_freedom == 1


def test_boundary_probabilities_have_no_error():
    codes = np.repeat([[0, 0], [1, 1]], 40, axis=0)
    codes = np.vstack([codes, [[0, 1]] * 3])
    m = bm.Mixture(2, family=bm.Categorical(), random_state=0).fit(codes)
    table = m.parameter_table(codes)
    # with more than two answers, those at 0 hardly depend on those that are not
    generator = np.random.default_rng(1)
    middle = 1.3 + 1.7 * generator.integers(2, size=(150, 1))
    ratings = np.clip(np.round(generator.normal(middle, 0.8, (150, 4))), 0, 4).astype(int)
    of_ratings = bm.Mixture(2, family=bm.Categorical(), random_state=0).fit(ratings)
    identified = of_ratings.parameter_table(ratings)
    for found in (table, identified):
        certain = np.minimum(found["estimate"], 1.0 - found["estimate"]) < 1e-6
        assert certain.any()
        assert found["standard_error"][certain].isna().all()
    assert identified["standard_error"].isna().sum() == certain.sum()


def test_bootstrap_agrees_with_the_information(rows):
    m = bm.GaussianMixture(2, covariance_type="tied", random_state=0).fit(rows)
    ratio = (
        m.parameter_table(rows, "bootstrap", n_draws=100)["standard_error"]
        / m.parameter_table(rows)["standard_error"]
    )
    # Standard deviations of 100 draws have 7 % error; 4 standard errors and the data's own shape.
    assert ratio["mean"].between(0.65, 1.4).all()


def test_refusals(rows):
    m = bm.BayesianGaussianMixture(2, random_state=0).fit(rows)
    with pytest.raises(ValueError, match="maximum likelihood"):
        m.parameter_table(rows)
    assert (m.parameter_table(rows, "bootstrap", n_draws=5)["standard_error"] > 0.0).all()
    plain = bm.GaussianMixture(1).fit(rows)
    with pytest.raises(ValueError, match="sandwich"):
        plain.parameter_table(rows, clusters=np.arange(len(rows)))


@pytest.mark.parametrize("kind", ["information", "sandwich"])
def test_weights_of_two_have_the_errors_of_every_row_twice(kind):
    rng = np.random.default_rng(3)
    X = np.vstack([rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) + 4.0])
    twice, two = np.repeat(X, 2, axis=0), np.full(120, 2.0)
    one = bm.GaussianMixture(2, random_state=0).fit(X, sample_weight=two)
    other = bm.GaussianMixture(2, random_state=0).fit(twice)
    weighted = one.parameter_table(X, kind, sample_weight=two)
    np.testing.assert_allclose(weighted, other.parameter_table(twice, kind), rtol=1e-8)
