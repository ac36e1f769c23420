"""Class enumeration against published output of mclust, tidyLPA and poLCA, and against theory."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.em.model import resolve
from bayesmix.em.result import DensitySums
from bayesmix.em.run import AMONG_CANDIDATES, Monitor, run
from bayesmix.errors import BayesmixWarning, DegenerateFitError
from bayesmix.estimators.inputs import constraints
from bayesmix.latent_class_analysis import class_fits
from bayesmix.latent_class_analysis.class_fits import thorough_fit
from bayesmix.latent_class_analysis.class_tests import (
    FEWEST_SEARCHES,
    BootstrapTest,
    entropy_of,
    information_criteria,
    mean_posteriors,
    weighted_chi_squared,
)
from bayesmix.latent_class_analysis.distal import wald_test, wald_tests
from bayesmix.latent_class_analysis.enumeration import FurtherTask, TableEntry, hardly_replicated
from bayesmix.starts.responsibilities import begun

# mclust 6.0 on iris (tidyLPA's models 1, 2, 3, 6 are EEI, VVI, EEE, VVV), the best of 15 starts run
# to convergence: log likelihood, parameters, relative entropy.
MCLUST = {
    (1, 1): (-741.0175, 8, None),
    (1, 2): (-488.9148, 13, 0.99142),
    (1, 3): (-361.4255, 18, 0.95665),
    (2, 2): (-386.1853, 17, 1.00000),
    (2, 3): (-306.8605, 26, 0.93656),
    (3, 2): (-296.4476, 19, 0.99994),
    (3, 3): (-256.3540, 24, 0.96161),
    (6, 1): (-379.9146, 14, None),
    (6, 2): (-214.3547, 29, 0.99995),
    (6, 3): (-180.1855, 44, 0.97043),
}
LARGER = {
    (1, 4): (-310.1170, 23, 0.94478),
    (1, 5): (-277.0455, 28, 0.95752),
    (2, 4): (-264.8476, 35, 0.94770),
    (2, 5): (-240.2171, 44, 0.95787),
    (3, 4): (-223.0486, 29, 0.96538),
    (3, 6): (-201.7786, 39, 0.92596),
}
# tidyLPA's and mclust's criteria of two of these fits, with the entropies behind them.
CRITERIA = {
    (-741.017535185339, 8, 0.0, 0.0): {
        "aic": 1498.03507037068,
        "bic": 1522.12015272345,
        "sabic": 1496.80168389466,
        "caic": 1530.12015272345,
        "awe_classification": 1586.20523507622,
        "icl": 1522.12015272345,
    },
    (-488.914818690463, 13, 0.891614088132574, -0.2885072784): {
        "aic": 1003.82963738093,
        "bic": 1042.96789620418,
        "sabic": 1001.8253843574,
        "caic": 1055.96789620418,
        "awe_classification": 1148.88938320369,
        "icl": 1043.54491075316,
    },
}


@pytest.fixture(scope="module")
def iris():
    return bm.datasets.load_iris()


@pytest.mark.parametrize("fit", CRITERIA)
def test_criteria_are_those_of_tidylpa_and_mclust(fit):
    log_likelihood, p, *entropies = fit
    found = information_criteria(DensitySums(log_likelihood, *entropies, 150.0), p)
    assert {name: found[name] for name in CRITERIA[fit]} == pytest.approx(CRITERIA[fit], abs=1e-6)


def test_awe_and_sic_are_those_of_masyn():
    found = information_criteria(DensitySums(-500.0, 12.0, 11.0, 120.0), 10)
    assert found["awe"] == pytest.approx(1000.0 + 20.0 * (np.log(120.0) + 1.5))
    assert found["sic"] == pytest.approx(-500.0 - 5.0 * np.log(120.0))


def test_bayes_factors_and_probabilities_are_over_different_models():
    rows = np.random.default_rng(5).normal(size=(120, 3)) @ np.triu(np.ones((3, 3)))
    found = bm.enumerate_classes(rows, (1, 2), [3, 6], n_bootstrap=0, random_state=0, n_jobs=1)
    table = found.table
    assert table["log_likelihood"][0] == pytest.approx(table["log_likelihood"][2])
    assert table["cmp"].isna().tolist() == [False, False, True, False]
    sic = -0.5 * table["bic"]
    shares = np.exp(sic - sic.max())[table["cmp"].notna()]
    np.testing.assert_allclose(table["cmp"].dropna(), shares / shares.sum(), rtol=1e-9)
    np.testing.assert_allclose(table["bf"][[0, 2]], np.exp(sic.diff()[[1, 3]] * -1.0), rtol=1e-9)
    assert table["bf"].isna().tolist() == [False, True, False, True]
    assert "smallest BIC of the 3 different models that converged" in found.summary()
    assert "0.00 above" not in found.summary()
    assert "the same model as one above" in found.notes["note"].iloc[0]
    assert "cmP is over the 3 different models" in found.to_apa(("bic", "bf", "cmp")).note
    with pytest.warns(FutureWarning, match="awe_classification"):
        found.to_apa(("bic", "awe"))


@pytest.mark.slow
def test_the_statistic_of_the_bootstrap_is_that_of_the_table():
    # A quick search ended at 11.57, for four against three classes, where the table has 16.41.
    g = np.random.default_rng(0)
    centres = np.array([[0, 0, 0, 0], [1.5, 1.5, 1, 0.5], [-1, 1, 2, 0]])
    rows = centres[g.integers(0, 3, 100)] + g.normal(size=(100, 4))
    found = bm.enumerate_classes(rows, (3, 4), 3, n_bootstrap=2, random_state=0, n_jobs=1)
    ratio = 2.0 * np.diff(found.table["log_likelihood"])[0]
    assert ratio > 16.4
    assert found.table["blrt"][1] == pytest.approx(ratio)
    assert found.table["lmr"][1] == pytest.approx(ratio / (1.0 + 1.0 / (5.0 * np.log(100.0))))


@pytest.fixture(scope="module")
def bootstrap_test():
    rows = np.random.default_rng(3).normal(size=(60, 2))
    estimator = bm.GaussianMixture(
        covariance_type="VVV", random_state=0, n_jobs=1, spurious="allow"
    )
    fitter = estimator._fitter(rows)
    fits = [thorough_fit(fitter, K, 0).result for K in (1, 2)]
    return BootstrapTest(fitter, *fits, 0)


def test_the_samples_of_the_bootstrap_get_the_searches_that_the_data_need(bootstrap_test):
    table, least = bootstrap_test.fitter.table, bootstrap_test.statistic - 1e-2
    assert bootstrap_test.n_searches >= FEWEST_SEARCHES
    assert bootstrap_test.ratio(table, bootstrap_test.n_searches) >= least
    # A fit that no search of the data reaches cannot be compared with fits of samples.
    found = bootstrap_test.larger.log_likelihood
    out_of_reach = replace(bootstrap_test.larger, log_likelihood=found + 0.1)
    beyond = replace(bootstrap_test, larger=out_of_reach)
    p, n, note = beyond.run(19, early=True)
    assert np.isnan(p)
    assert n == 0
    assert "no bootstrap p" in note


def test_the_p_value_of_a_large_ratio_needs_no_search(bootstrap_test):
    # Without an exceedance in 19 samples p is 1 / 20.
    far = replace(bootstrap_test, larger=replace(bootstrap_test.larger, log_likelihood=1e4))
    assert far.run(19, early=True) == (0.05, 19, "")


@pytest.mark.parametrize("covariance", ["VVV", "EEE", "VVI", "EEI"])
def test_a_race_in_one_product_is_that_of_each_start_alone(covariance):
    g = np.random.default_rng(8)
    rows = g.normal(size=(150, 3)) + 3.0 * g.integers(2, size=150)[:, None]
    estimator = bm.GaussianMixture(3, covariance_type=covariance, random_state=0, n_jobs=1)
    result = estimator.fit(rows).result_
    source = estimator._fitter(rows).source
    model, settings = class_fits._continued(result, source, AMONG_CANDIDATES)
    problem = resolve(model, source, settings)
    starts = [class_fits.random_start(result, source, 0, number) for number in range(6)]
    together = list(class_fits._after_passes(problem, starts, 3))
    alone = [
        run(replace(problem, accelerate=False), begun(problem, start, 3), Monitor(), 15)
        for start in starts
    ]
    assert len(together) == len(alone)
    for raced, single in zip(together, alone, strict=True):
        assert raced.objective == pytest.approx(single.objective, abs=1e-6)


def test_integers_that_are_taken_as_categories_are_named():
    g = np.random.default_rng(9)
    answers = np.clip(np.round(g.normal(3, 1, size=(200, 2))), 1, 5).astype(int)
    frame = pd.DataFrame(answers, columns=["a", "b"])
    found = bm.enumerate_classes(frame, 1, n_bootstrap=0, random_state=0, n_jobs=1)
    words = "Integers are taken as categories: a, b (1 to 5); continuous=True takes them as"
    assert words in found.summary()
    assert words in repr(found)
    assert words in found.to_apa().note
    named = dict.fromkeys(frame, "categorical")
    asked = bm.enumerate_classes(frame, 1, columns=named, n_bootstrap=0, random_state=0)
    assert "Integers" not in asked.summary()


def test_what_was_left_out_had_no_value():
    g = np.random.default_rng(4)
    rows = g.normal(size=(60, 2))
    rows[:3], rows[3:8, 0] = np.nan, np.nan
    options = {"n_bootstrap": 0, "random_state": 0, "n_jobs": 1}
    with pytest.warns(UserWarning, match="without any value"):
        used = bm.enumerate_classes(rows, 1, 1, **options)
    words = "3 observations without any value were left out; observations with some values were"
    assert words in used.to_apa().note
    dropped = bm.enumerate_classes(rows, 1, 1, missing="drop", **options)
    assert "8 observations with missing values were left out." in dropped.to_apa().note


def test_entropy_is_that_of_mplus():
    assert entropy_of(0.891614088132574, 150, 2) == pytest.approx(0.991424485177763)
    assert np.isnan(entropy_of(0.0, 150, 1))
    assert entropy_of(30.0, 150, 2, "mean") == 0.2


@pytest.mark.slow
def test_iris_has_the_output_of_mclust(iris):
    published = MCLUST | LARGER
    found = bm.enumerate_classes(iris, range(1, 7), n_bootstrap=0, random_state=0, n_jobs=1)
    table = found.table.set_index(["model", "n_classes"])
    for place, (log_likelihood, n_parameters, entropy) in published.items():
        row = table.loc[place]
        assert row["log_likelihood"] > log_likelihood - 1e-2  # a higher one is no error
        assert row["n_parameters"] == n_parameters
        if entropy is not None and row["log_likelihood"] < log_likelihood + 1e-2:
            assert row["entropy"] == pytest.approx(entropy, abs=1e-3)


def test_tidylpas_criteria_and_test(iris):
    found = bm.enumerate_classes(
        iris, (1, 2), 1, n_bootstrap=0, random_state=0, n_jobs=1, tidylpa=True
    )
    row = found.table.iloc[1]
    assert row["log_likelihood"] == pytest.approx(-488.9148, abs=1e-2)
    assert row["awe_tidylpa"] == pytest.approx(1145.12330605707, abs=1e-2)
    statistic = 472.755308675663  # Lo, Mendell & Rubin's, on 5 degrees of freedom
    assert row["lmr_tidylpa_p"] == pytest.approx(stats.chi2.sf(statistic, 5), rel=1e-4)
    assert row["min_probability"] == pytest.approx(0.997285, abs=1e-4)
    assert row["replicated"] == 20


def test_weighted_chi_squared_has_known_cases():
    # With one degree of freedom the series is cut off at 1e-5.
    for df in (1, 3, 20):
        for x in (0.3, 4.0, 25.0):
            expected = stats.chi2.sf(x, df)
            assert weighted_chi_squared(x, np.ones(df)) == pytest.approx(expected, abs=2e-5)
    # a difference of two chi-squared variables with 2 degrees of freedom is Laplace
    weights = np.array([1.0, 1.0, -1.0, -1.0])
    assert weighted_chi_squared(3.0, weights) == pytest.approx(0.5 * np.exp(-1.5), abs=1e-6)


@pytest.fixture(scope="module")
def separated():
    generator = np.random.default_rng(18)
    labels = np.arange(160) % 2
    return generator.normal(size=(160, 2)) + 5.0 * labels[:, None], labels


@pytest.mark.slow
def test_separated_classes_are_found_by_both_tests(separated):
    rows, _ = separated
    found = bm.enumerate_classes(rows, (1, 2, 3), 1, n_bootstrap=19, random_state=0, n_jobs=1)
    p = found.table.set_index("n_classes")["blrt_p"]
    assert p[2] == 0.05  # the smallest of 19 samples
    assert p[3] > 0.05
    assert found.table["vlmr_p"][1] < 1e-3
    assert found.suggested.n_classes == 2
    assert "stop at 2" in str(found.suggested)
    best, second = found.table["bic"].nsmallest(2)
    assert f"the smallest; 3 profiles: {second - best:.2f} above" in str(found.suggested)
    assert found.fit().n_components_ == 2
    assert found.fit(1, 3) is found.fit("1", 3)


def test_samples_of_the_test_have_the_cells_and_covariates_of_the_data(separated):
    rows, labels = separated
    rows, z = rows.copy(), labels[:, None] + np.arange(160)[:, None] % 5
    rows[::5, 0] = np.nan
    estimator = bm.GaussianMixture(covariance_type="EEI", missing="use", random_state=0, n_jobs=1)
    fitter = estimator._fitter(rows)
    source = constraints.constrained(fitter.source, None, None, z)
    m = bm.GaussianMixture(2, covariance_type="EEI", missing="use", random_state=0)
    null = m.fit(rows, covariates=z).result_
    with warnings.catch_warnings(action="ignore"):  # three classes are too many
        larger = m.set_params(n_components=3).fit(rows, covariates=z).result_
    test = BootstrapTest(type(fitter)(fitter.estimator, source), null, larger, 0)
    sample = test.simulated(0)
    assert np.array_equal(np.isnan(sample.values), np.isnan(rows))
    assert sample.side.covariates is source.side.covariates
    # the classes of the sample follow the covariate, as those of the data do
    high = np.nanmean(sample.values[labels == 1, 1]) - np.nanmean(sample.values[labels == 0, 1])
    assert high > 0.5
    assert 0.0 <= test.ratio(source, 1) <= test.ratio(source, 3)


def test_weights_and_floors_have_no_test_and_say_why(separated):
    rows, _ = separated
    found = bm.enumerate_classes(
        rows, (1, 2), 1, n_bootstrap=9, sample_weight=np.full(160, 2.5), random_state=0, n_jobs=1
    )
    assert found.table["blrt_p"].isna().all()
    assert "sampling weights" in found.notes["note"].iloc[0]
    assert found.n_samples == 160.0  # sampling weights are divided by their mean
    weighted = {"sample_weight": 1 + np.arange(160) % 2, "clusters": np.arange(160) // 8}
    found = bm.enumerate_classes(rows, (1, 2), 1, n_bootstrap=9, random_state=0, **weighted)
    assert found.table[["vlmr_p", "blrt_p"]].isna().all(axis=None)
    assert found.notes["note"].tolist() == ["no tests with clusters of a survey"]
    assert found.n_samples == pytest.approx(160.0)
    assert "BLRT" not in found.to_apa().note
    with pytest.warns(UserWarning, match=r"whole numbers, so rows were repeated \(n = 320\)"):
        counted = bm.enumerate_classes(rows, 1, 1, sample_weight=np.full(160, 2), random_state=0)
    assert counted.n_samples == 320.0
    repeated = bm.enumerate_classes(np.repeat(rows, 2, axis=0), 1, 1, random_state=0)
    criteria = ["log_likelihood", "bic", "awe_classification"]
    np.testing.assert_allclose(counted.table[criteria], repeated.table[criteria], rtol=1e-9)
    spiked = np.vstack([rows, np.repeat([[30.0, 30.0]], 30, axis=0)])
    found = bm.enumerate_classes(spiked, (1, 2), 6, n_bootstrap=2, random_state=0, n_jobs=1)
    assert not found.table["converged"][1] or found.table["blrt_p"].notna()[1]


def test_mixed_tables_are_independent_within_classes(separated):
    rows, labels = separated
    frame = pd.DataFrame({"score": rows[:, 0], "answer": np.where(labels, "yes", "no")})
    found = bm.enumerate_classes(frame, (1, 2), n_bootstrap=0, random_state=0, n_jobs=1)
    assert list(found.models) == ["local independence"]
    codes = pd.DataFrame({"a": labels, "b": (rows[:, 0] > 2.5).astype(int)})
    found = bm.enumerate_classes(
        codes, 2, n_bootstrap=0, continuous=False, random_state=0, n_jobs=1
    )
    assert found.table["n_parameters"].tolist() == [5]
    # text alone is the same model as codes that are named categories
    text = codes.replace({0: "no", 1: "yes"}).astype(object)
    same = bm.enumerate_classes(text, 2, n_bootstrap=0, random_state=0, n_jobs=1)
    assert same.table["log_likelihood"][0] == pytest.approx(found.table["log_likelihood"][0])
    assert isinstance(same.fit().family, bm.Categorical)
    with pytest.raises(ValueError, match="models must be"):
        bm.enumerate_classes(rows, 2, 4)


def test_kinds_of_columns_may_be_named(separated):
    rows, labels = separated
    frame = pd.DataFrame({"visits": rows[:, 0].round().clip(0).astype(int), "score": rows[:, 1]})
    frame["place"] = np.where(labels, "city", "village")
    options = {"n_bootstrap": 0, "random_state": 0, "n_jobs": 1}
    found = bm.enumerate_classes(frame, 2, columns={"visits": "counts"}, **options)
    words = "independent within classes (counts: visits; continuous: score; categorical: place)"
    assert found.models == {"local independence": words}
    assert words in found.to_apa().note
    # a mean and a variance for each class, in place of a mean and a size
    named = bm.enumerate_classes(frame, 2, continuous=["visits", "score"], **options)
    assert named.table["n_parameters"][0] == found.table["n_parameters"][0]
    ratings = pd.DataFrame({"a": 1 + np.arange(160) % 5, "b": 1 + np.arange(160) // 3 % 5})
    kinds = dict.fromkeys(ratings, "continuous")
    profiles = bm.enumerate_classes(ratings, 1, columns=kinds, **options)
    assert list(profiles.models) == [1, 2, 3, 6]
    with_number = ratings.assign(id=[f"p{n}" for n in range(160)])
    with pytest.warns(bm.errors.BayesmixWarning, match="left out: id"):
        classes = bm.enumerate_classes(with_number, 1, **options)
    assert classes.table["n_parameters"][0] == 8
    assert len(bm.class_profiles(classes.fit(), with_number).profiles) == 10
    with pytest.raises(ValueError, match="continuous must name columns"):
        bm.enumerate_classes(frame, 2, continuous=["visit"], **options)


def test_few_bootstrap_samples_cannot_reject(separated):
    rows, _ = separated
    found = bm.enumerate_classes(rows, (1, 2), 1, n_bootstrap=9, random_state=0, n_jobs=1)
    assert "9 bootstrap samples are too few for tests at the 5% level" in str(found.suggested)


def test_mean_posteriors_by_hand():
    shares = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]])
    found = mean_posteriors(shares, np.array([1.0, 1.0, 2.0])).to_numpy()
    np.testing.assert_allclose(found, [[0.8, 0.2], [0.2, 0.8]])


def test_wald_test_of_two_means_is_their_squared_z():
    means, covariance = np.array([[1.0], [3.0]]), np.diag([0.25, 0.75])
    tests = wald_tests(means, covariance)
    assert (tests["all"]["chi_squared"], tests["all"]["df"]) == (4.0, 1)
    assert tests["all"]["p"] == pytest.approx(2.0 * stats.norm.sf(2.0))
    assert tests["1 vs 2"] == tests["all"]
    # With few clusters it is the squared t of the intervals.
    few = wald_tests(means, covariance, degrees=19)["all"]
    assert (few["df"], few["df_denominator"]) == (1, 19.0)
    assert few["p"] == pytest.approx(2.0 * stats.t.sf(2.0, 19))


@pytest.mark.parametrize("source", ["clusters", "refits"])
def test_wald_tests_hold_their_level_with_few_clusters_and_refits(source):
    # Hotelling's T²: exact for normal totals of clusters; 100 refits leave .0605 of .05 at 9 df.
    generator, sets, k, degrees = np.random.default_rng(24), 1000, 9, 99
    draws = generator.normal(size=(sets, degrees + 1, k))
    differences = generator.normal(size=(sets, k))
    options = {"degrees": degrees} if source == "clusters" else {"n_refits": degrees + 1}
    p = [
        wald_test(difference, np.cov(drawn, rowvar=False), **options)["p"]
        for difference, drawn in zip(differences, draws, strict=True)
    ]
    level = 0.05 if source == "clusters" else 0.0605
    assert np.mean(np.array(p) < 0.05) == pytest.approx(level, abs=4.0 * 0.0075)
    few = wald_test(differences[0], np.cov(draws[0], rowvar=False), degrees=8)
    assert np.isnan(few["p"])  # nine differences by eight degrees of freedom


def test_a_checkpoint_continues_with_equal_results(separated, tmp_path, monkeypatch):
    rows, _ = separated
    folder = tmp_path / "kept"
    folder.mkdir()
    options = {"n_bootstrap": 3, "random_state": 0, "n_jobs": 1, "checkpoint": folder}
    first = bm.enumerate_classes(rows, (1, 2), 1, **options)
    (folder / "test-1-2.json").unlink()
    monkeypatch.setattr("bayesmix.latent_class_analysis.enumeration.FitTask.__call__", None)
    again = bm.enumerate_classes(rows, (1, 2), 1, **options)
    pd.testing.assert_frame_equal(again.table, first.table)
    with pytest.raises(ValueError, match="other rows"):
        bm.enumerate_classes(rows + 1.0, (1, 2), 1, **options)
    with pytest.raises(ValueError, match="weight_type"):
        bm.enumerate_classes(rows, (1, 2), 1, weight_type="frequency", **options)


def test_the_vlmr_test_does_not_depend_on_the_order_of_levels_of_which_one_has_probability_0():
    rng = np.random.default_rng(4)
    second = rng.random(300) < 0.5
    shares = np.array([[0.0, 0.5, 0.5], [0.6, 0.2, 0.2]])
    drawn = rng.random((300, 4, 1)) > shares.cumsum(axis=1)[second.astype(int)][:, None, :2]
    X, tests = drawn.sum(axis=2), []
    for codes in (X, (X + 1) % 3):
        options = {"continuous": False, "n_bootstrap": 0, "random_state": 0, "n_jobs": 1}
        found = bm.enumerate_classes(pd.DataFrame(codes), (2, 3), **options)
        least = found.fit(n_classes=2).result_.mixture.components.probabilities.min()
        tests.append(found.table["vlmr_p"][1])
    assert least < 1e-6
    assert tests[0] == pytest.approx(tests[1], rel=0.02)


def test_a_covariance_next_to_a_singular_one_does_not_end_the_enumeration(separated, monkeypatch):
    def refuse(*arguments):
        raise DegenerateFitError("the covariance of component 2 is singular")

    place = "bayesmix.posterior.parameter_errors.ParameterScores.log_densities"
    monkeypatch.setattr(place, refuse)
    rows, _ = separated
    found = bm.enumerate_classes(rows, (1, 2), 1, n_bootstrap=0, random_state=0, n_jobs=1)
    assert found.table["log_likelihood"].notna().all()
    assert found.table["vlmr_p"].isna().all()


def test_frames_of_continuous_columns_are_read_as_select_reads_them():
    generator = np.random.default_rng(31)
    values = generator.normal(size=(120, 2)) + 5.0 * (np.arange(120) % 2)[:, None]
    texts = [f"{value:.2f} kg".replace(".", ",") for value in values[:, 1]]
    frame = pd.DataFrame({"Id": range(1, 121), "a": values[:, 0], "b": texts})
    with pytest.warns(BayesmixWarning, match=r"left out: Id \(row numbers\)"):
        found = bm.enumerate_classes(frame, (1, 2), 1, n_bootstrap=0, random_state=0, n_jobs=1)
    values[:, 1] = values[:, 1].round(2)
    plain = bm.enumerate_classes(values, (1, 2), 1, n_bootstrap=0, random_state=0, n_jobs=1)
    np.testing.assert_allclose(found.table["bic"], plain.table["bic"], rtol=1e-12)
    assert bm.class_profiles(found.fit(), frame).profiles.index.unique("column").tolist() == [
        "a",
        "b",
    ]


def test_the_suggestion_does_not_follow_rounding():
    """One normal distribution, of which one column is rounded to its standard deviation."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 2)) @ np.linalg.cholesky(0.5 + 0.5 * np.eye(2)).T
    X[:, 0] = np.round(X[:, 0])
    found = bm.enumerate_classes(X, [1, 5], 3, n_bootstrap=0, random_state=0)
    given = found.table.set_index("n_classes")
    assert given["bic"].idxmin() == 5
    assert given["bic_spread"].idxmin() == 1
    assert found.suggested.n_classes == 1
    assert "of the values as given it would be 5 profiles" in found.suggested.reasons[0]
    assert any("narrower than the rounding of column 0" in each for each in found.remarks)
    smooth = bm.enumerate_classes(X[:, 1:], [1, 2], 1, n_bootstrap=0, random_state=0)
    assert "bic_spread" not in smooth.table


def test_fits_that_random_starts_hardly_reach_are_searched_further():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(150, 2)) + 8.0 * rng.integers(0, 3, 150)[:, None]
    fitter = bm.GaussianMixture(covariance_type="EEI", random_state=0)._fitter(X, None)
    poor = bm.GaussianMixture(
        3, covariance_type="EEI", search=None, init_params=np.arange(150) % 3, max_iter=2
    )
    with warnings.catch_warnings(action="ignore"):
        poor.fit(X)
    entry = TableEntry("m", 3, {"replicated": 1}, "", poor)
    assert hardly_replicated([entry, replace(entry, values={"replicated": 2})]) == (entry,)
    better = FurtherTask({"m": fitter}, (entry,), 0)(0)
    best = thorough_fit(fitter, 3, 0).result.log_likelihood
    assert better.estimator.result_.log_likelihood == pytest.approx(best, abs=1e-3)
    assert best > poor.result_.log_likelihood + 1.0


def test_spurious_maxima_that_were_left_out_are_told():
    X = np.random.default_rng(1).standard_t(2, size=(80, 2))
    found = bm.enumerate_classes(X, [4], 6, n_bootstrap=0, random_state=0)
    (remark,) = found.remarks
    assert "a variance of" in remark
    assert "has no maximum, was left out" in remark


def test_a_report_of_one_number_of_classes_names_it_once():
    X = bm.datasets.load_iris()
    found = bm.enumerate_classes(X, 2, 1, n_bootstrap=0, random_state=0)
    text = str(bm.class_report(found, bm.class_profiles(found.fit(), X)))
    assert "Mixture models with 2 profiles were fitted" in text
    assert "2 to 2" not in text
    bic = found.table["bic"].iloc[0]
    assert f"Rule: the one model that converged.\nBIC: {bic:.1f}.\n" in str(found.suggested)
