"""Tables, figures and report of latent classes: numbers as APA prints them, and every format."""

import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy import stats

import bayesmix as bm
from bayesmix.assess.apa import ApaTable, bounded, p_text, plain
from bayesmix.latent_class_analysis.profile_plots import profiles_size


@pytest.fixture(scope="module")
def analysis():
    """Two clear classes; a covariate with log odds 1 and an outcome that differs by 4."""
    generator = np.random.default_rng(8)
    z = generator.normal(size=(300, 1))
    second = generator.random(300) < 1.0 / (1.0 + np.exp(-z[:, 0]))
    rows = generator.normal(size=(300, 3)) + 4.0 * second[:, None]
    m = bm.GaussianMixture(2, covariance_type="EEI", random_state=0).fit(rows, covariates=z)
    outcomes = {
        "income": generator.normal(10.0 + 4.0 * second, 1.0),
        "vote": np.where(generator.random(300) < np.where(second, 0.8, 0.3), "yes", "no"),
    }
    return m, rows, bm.class_profiles(m, rows, outcomes, covariates=z, n_draws=0), second


def test_a_predictor_that_separates_classes_has_dashes_and_no_test():
    generator = np.random.default_rng(9)
    second = np.arange(120) % 2 == 1
    rows = generator.normal(size=(120, 2)) + 9.0 * second[:, None]
    z = np.column_stack([generator.normal(size=120), (np.arange(120) % 20 == 0)])
    frame = pd.DataFrame(z, columns=["age", "rare"])  # rare: in the first class alone
    m = bm.GaussianMixture(2, covariance_type="EEI", random_state=0)
    with pytest.warns(UserWarning, match="separate"):
        m.fit(rows, covariates=frame)
    found = bm.class_profiles(m, rows)
    effects = found.contrasts.loc[("class 2", "class 1")]
    assert np.isnan(effects.loc["rare", ["standard_error", "odds_ratio", "upper", "p"]]).all()
    assert np.isnan(found.covariate_tests.loc["rare", "p"])
    # Age has the errors of a logistic regression of those who can be in both classes.
    both = frame["rare"] == 0.0
    design = np.column_stack([np.ones(both.sum()), frame["age"][both]])
    b = effects["estimate"][["intercept", "age"]]
    p = 1.0 / (1.0 + np.exp(-design @ b))
    expected = np.linalg.inv((design.T * (p * (1.0 - p))) @ design).diagonal() ** 0.5
    np.testing.assert_allclose(effects["standard_error"][["intercept", "age"]], expected, rtol=1e-3)
    note = found.to_apa("covariates").note
    assert "no estimate is finite" in note
    assert "rare χ²" not in note  # its test does not exist


def test_levels_of_text_are_tested_together():
    """Classes far apart: the Wald test of a logistic regression with two indicators."""
    generator = np.random.default_rng(10)
    second, level = generator.random(150) < 0.5, generator.integers(3, size=150)
    rows = generator.normal(size=(150, 2)) + 9.0 * second[:, None]
    frame = pd.DataFrame({"x": np.array(list("abc"))[level]})
    m = bm.GaussianMixture(2, covariance_type="EEI", random_state=0).fit(rows, covariates=frame)
    found = bm.class_profiles(m, rows)
    design = np.column_stack([np.ones(150), level == 1, level == 2])
    b = found.contrasts.loc[("class 2", "class 1"), "estimate"].to_numpy()
    p = 1.0 / (1.0 + np.exp(-design @ b))
    covariance = np.linalg.inv((design.T * (p * (1.0 - p))) @ design)[1:, 1:]
    expected = b[1:] @ np.linalg.solve(covariance, b[1:])
    assert found.covariate_tests.loc["x"].tolist()[:2] == pytest.approx([expected, 2], rel=1e-3)


def test_contrasts_beside_known_labels_have_the_errors_of_the_gate(analysis):
    _, rows, _, second = analysis
    z = np.random.default_rng(11).normal(size=300)
    labels = np.where(np.arange(300) < 30, second.astype(int), -1)
    m = bm.GaussianMixture(2, covariance_type="EEI", random_state=0)
    m.fit(rows, labels=labels, covariates=z)
    effects, gate = bm.class_profiles(m, rows).contrasts, m.gate_coefficients(rows)
    for column in ("estimate", "standard_error"):
        np.testing.assert_allclose(effects[column], gate[column], rtol=1e-3)


def test_numbers_are_those_of_the_manual():
    assert (p_text(0.0004), p_text(0.04999), p_text(1.0), p_text(np.nan)) == (
        "< .001",
        ".050",
        "1.000",
        "–",
    )
    assert (bounded(0.456), bounded(-0.456), bounded(1.0)) == (".46", "−.46", "1.00")
    assert plain(-1234.567) == "−1,234.57"
    assert (plain(-0.001), bounded(-0.004), plain(-3)) == ("0.00", ".00", "−3.00")


def test_small_units_keep_a_digit_of_the_errors():
    generator = np.random.default_rng(4)
    rows = 1e-4 * (generator.normal(size=(120, 2)) + 5.0 * (np.arange(120)[:, None] < 50))
    profiles = bm.class_profiles(bm.GaussianMixture(2, random_state=0).fit(rows), rows)
    mean, error = profiles.profiles.iloc[0][["estimate", "standard_error"]]
    assert profiles.to_apa().rows[0][1] == f"{mean:.5f} ({error:.5f})".replace("-", "−")
    sd = profiles.descriptives["sd"].iloc[0]
    assert profiles.to_apa("descriptives").rows[0][4] == f"{sd:.5f}"


def test_every_format_has_every_cell(tmp_path):
    table = ApaTable("A & B", ("Class", "p"), (("1_a", "< .001"),), "N = 3.")
    for ending in ("md", "html", "tex", "csv", "txt"):
        text = table.save(tmp_path / f"t.{ending}").read_text("utf-8")
        assert ".001" in text
    assert r"A \& B" in table.to_latex()
    assert r"1\_a & $<$ .001" in table.to_latex()
    odd = ApaTable("T", ("a|b",), (("{x}^2~√",),))
    assert r"\{x\}\textasciicircum{}2\textasciitilde{}$\surd$ \\" in odd.to_latex()
    assert r"| a\|b |" in odd.to_markdown()
    assert "<td" in table._repr_html_()
    assert table.to_csv() == "Class,p\n1_a,< .001\n"
    with pytest.raises(ValueError, match="path must end"):
        table.save(tmp_path / "t.pdf")


def test_word_has_every_cell(tmp_path):
    pytest.importorskip("docx")
    table = ApaTable("Title", ("Class", "p"), (("1", "< .001"),), "N = 3.")
    with zipfile.ZipFile(table.save(tmp_path / "t.docx")) as parts:
        text = parts.read("word/document.xml").decode()
    assert all(cell in text for cell in ("Table 1", "Title", "Class", "&lt; .001", "N = 3."))


def test_profiles_covariates_and_outcomes_are_near_the_truth(analysis):
    m, rows, profiles, _ = analysis
    heavier = int(np.argmax(m.means_[:, 0])) + 1
    name = f"class {heavier}"
    means = profiles.profiles["estimate"].xs(name, level="class")
    errors = profiles.profiles["standard_error"].xs(name, level="class")
    assert (np.abs(means["mean"] - 4.0) < 4.0 * errors["mean"]).all()
    effect = profiles.covariates.xs("covariates0", level="term").iloc[0]
    sign = 1.0 if heavier == 2 else -1.0
    assert abs(sign * effect["estimate"] - 1.0) < 4.0 * effect["standard_error"]
    assert effect["odds_ratio"] == pytest.approx(np.exp(effect["estimate"]))
    assert profiles.overall.loc["income", "p"] < 1e-6
    assert profiles.overall.loc["vote", "df"] == 1
    other = bm.class_profiles(m, rows, reference=2).covariates
    assert other["estimate"].to_numpy() == pytest.approx(-profiles.covariates["estimate"])
    assert profiles.sizes["n_assigned"].sum() == 300


def test_all_pairs_of_classes_have_effects_and_the_reference_changes_none_of_them():
    generator = np.random.default_rng(9)
    z = generator.normal(size=(240, 1))
    classes = np.arange(240) % 3
    rows = generator.normal(size=(240, 2)) + 6.0 * classes[:, None]
    m = bm.GaussianMixture(3, covariance_type="EEI", random_state=0).fit(rows, covariates=z)
    profiles, other = (bm.class_profiles(m, rows, reference=k) for k in (1, 2))
    table = profiles.contrasts["estimate"].xs("covariates0", level="term")
    first, second, third = "class 1", "class 2", "class 3"
    assert table[third, second] == pytest.approx(table[third, first] - table[second, first])
    key = (third, second, "covariates0")
    pd.testing.assert_series_equal(profiles.contrasts.loc[key], other.contrasts.loc[key])
    statistic = profiles.covariate_tests.loc["covariates0", "chi_squared"]
    assert statistic == pytest.approx(other.covariate_tests.loc["covariates0", "chi_squared"])
    assert "Profile 3 vs. 2" in str(profiles.to_apa("covariates"))
    # d by the standard deviation within classes, which the model has in common
    effects = profiles.effect_sizes["1 vs 3"].to_numpy()
    deviations = np.sqrt(m.covariances_)
    np.testing.assert_allclose(effects, (m.means_[0] - m.means_[2]) / deviations, rtol=1e-6)


@pytest.mark.slow
def test_sampling_weights_have_robust_errors_whatever_their_scale():
    """The standard errors of one normal class are those of a weighted mean (Binder 1983)."""
    generator = np.random.default_rng(4)
    x, w = generator.gamma(2.0, size=(200, 1)), generator.gamma(2.0, size=200)
    y = pd.Series(generator.normal(size=200), name="y")
    m = bm.GaussianMixture(1, covariance_type="diag", random_state=0)
    m.fit(x, sample_weight=w, weight_type="sampling")
    profiles = bm.class_profiles(m, x, y, sample_weight=1000.0 * w, n_draws=400)
    assert profiles.standard_errors == "sandwich"
    assert profiles.n_samples == pytest.approx(200.0)
    mean = np.average(x[:, 0], weights=w)
    expected = np.sqrt((w**2 * (x[:, 0] - mean) ** 2).sum()) / w.sum()
    assert profiles.profiles["standard_error"].iloc[0] == pytest.approx(expected, rel=1e-4)
    with pytest.warns(UserWarning, match="sample_weight sums to"):
        m.fit(x, sample_weight=w)  # as they are
    plain = bm.class_profiles(m, x, sample_weight=w)
    assert plain.profiles["standard_error"].iloc[0] == pytest.approx(expected, rel=1e-4)
    expected = np.sqrt((w**2 * (y - np.average(y, weights=w)) ** 2).sum()) / w.sum()
    # 4 standard errors of a standard deviation over 400 draws
    assert profiles.outcomes["y"]["standard_error"].iloc[0] == pytest.approx(expected, rel=0.14)


def test_notes_name_the_survey_and_the_degrees_of_freedom(analysis):
    m, rows, plain, _ = analysis
    assert "(observed information)" in plain.to_apa().note
    assert "degrees of freedom" not in plain.to_apa("covariates").note
    schools, one = np.arange(300) % 20, np.ones(300)
    survey = bm.class_profiles(m, rows, clusters=schools, strata=one)
    words = "robust sandwich estimator with 20 clusters and 1 stratum"
    assert words in survey.to_apa().note
    note = survey.to_apa("covariates").note
    assert "Student's t with 19 degrees of freedom" in note
    # An F test, as in Stata; that of one term is the squared t.
    (test,), effect = survey.covariate_tests.to_dict("records"), survey.covariates.iloc[1]
    assert test["p"] == pytest.approx(effect["p"])
    t = effect["estimate"] / effect["standard_error"]
    assert f"F(1, 19) = {t**2:.2f}" in note
    assert np.isinf(plain.covariate_tests["df_denominator"]).all()


@pytest.mark.slow
def test_effect_sizes_of_probabilities_and_outcomes(analysis):
    _, _, profiles, _ = analysis
    assert abs(profiles.tests.loc[("income", "1 vs 2"), "d"]) == pytest.approx(4.0, abs=0.7)
    income = profiles.outcomes["income"]
    d = -income["mean"].diff()["class 2"] / np.sqrt((income["sd"] ** 2).mean())
    assert profiles.tests.loc[("income", "1 vs 2"), "d"] == pytest.approx(d)
    assert np.isnan(profiles.tests.loc[("vote", "1 vs 2"), "d"])
    codes = (np.random.default_rng(2).random((200, 3)) < 0.5).astype(int)
    m = bm.Mixture(2, family=bm.Categorical(), random_state=0).fit(codes)
    found = bm.class_profiles(m, codes)
    p = found.profiles["estimate"].unstack("class").xs(1, level="level").to_numpy()
    h = 2.0 * np.arcsin(np.sqrt(p[:, 0])) - 2.0 * np.arcsin(np.sqrt(p[:, 1]))
    np.testing.assert_allclose(found.effect_sizes.xs(1, level="level")["1 vs 2"], h)
    # Tables show the second of two answers alone.
    assert len(found.profiles) == 2 * 2 * len(p)
    for part in ("profiles", "effect_sizes"):
        assert [row[0] for row in found.to_apa(part).rows] == [f"{d}: 1" for d in range(len(p))]


def test_tables_of_all_parts(analysis):
    _, _, profiles, _ = analysis
    for part in ("profiles", "descriptives", "effect_sizes", "covariates", "outcomes", "pairs"):
        table = profiles.to_apa(part)
        assert all(len(row) == len(table.columns) for row in table.rows)
    assert "1 ≠ 2" in str(profiles.to_apa("outcomes"))
    test = profiles.tests.loc[("income", "1 vs 2")]
    row = ("income: 1 vs. 2", plain(test["chi_squared"]), "1", "< .001", plain(test["d"]))
    assert profiles.to_apa("pairs").rows[0] == row
    # odds are no ratio, and ratios are never 0
    columns = profiles.to_apa("covariates").columns
    assert profiles.to_apa("covariates").rows[0][columns.index("OR")] == "–"
    tiny = replace(profiles, contrasts=profiles.contrasts.assign(odds_ratio=1e-4))
    tiny.contrasts.attrs["level"] = 0.95
    assert tiny.to_apa("covariates").rows[1][columns.index("OR")] == "< 0.01"
    assert "income: χ²(1)" in profiles.summary()


def test_descriptives_are_those_of_pandas():
    generator = np.random.default_rng(6)
    frame = pd.DataFrame(
        generator.normal(size=(90, 2)) @ [[1.0, 0.6], [0.0, 1.0]], columns=list("ab")
    )
    frame.loc[:9, "b"] = np.nan
    frame["smoker"] = generator.random(90) < 0.3
    frame["colour"] = np.array(["red", "green", "blue"])[np.arange(90) % 3]
    m = bm.Mixture(1, covariance_type="diag", missing="use", random_state=0).fit(frame)
    profiles = bm.class_profiles(m, frame)
    found = profiles.descriptives.droplevel("level")
    numbers = frame[["a", "b"]]
    np.testing.assert_allclose(found.loc[["a", "b"], "mean"], numbers.mean())
    np.testing.assert_allclose(found.loc[["a", "b"], "sd"], numbers.std())
    assert found.loc[["a", "b"], "missing"].tolist() == [0.0, 10.0]
    np.testing.assert_allclose(profiles.correlations, numbers.corr())
    assert found.loc["smoker", "share"] == pytest.approx(frame["smoker"].mean())
    np.testing.assert_allclose(found.loc["colour", "share"], 1.0 / 3.0)
    rows = profiles.to_apa("descriptives").rows
    assert [row[0] for row in rows[:3]] == ["1. a", "2. b", "smoker: True"]
    assert rows[1][-1] == bounded(numbers.corr().loc["a", "b"])


@pytest.mark.slow
def test_report_states_methods_results_and_the_checklist(analysis, tmp_path):
    _, rows, _, _ = analysis
    found = bm.enumerate_classes(rows, (1, 2), 1, n_bootstrap=0, random_state=0, n_jobs=1)
    profiles = bm.class_profiles(found.fit(1, 2), rows)
    report = bm.class_report(found, profiles, 1, 2)
    text = report.save(tmp_path / "report.md").read_text("utf-8")
    assert "*N* = 300 observations" in text
    assert f"{found.table['bic'][1]:,.2f}" in text
    assert text.count("to be stated by the author") >= 5
    assert "AIC was smallest with 2 profiles and SABIC with 2 profiles" in text
    sizes = " and ".join(f"{share:.1%}" for share in profiles.sizes["share"])
    assert f"The estimated sizes of the profiles are {sizes}" in text
    assert "are larger, and not shown" not in text
    assert f"replicated in {found.table['replicated'][1]} of 20 random starts" in text
    page = report.save(tmp_path / "report.html").read_text("utf-8")
    assert (page.count("<table"), page.count("<img")) == (5, 3)
    assert "<h1>Latent profiles</h1>" in page
    for name in ("criteria", "profiles", "classification"):
        assert f"]({name}.png)" in text
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "Table 3" in text
    assert found.sizes.loc[(1, 2)].sum() == pytest.approx(1.0)
    whole = bm.class_report(
        found, profiles, 1, 2, rivals=[bm.class_profiles(found.fit(1, 1), rows)],
        unconditional=found,
    )  # fmt: skip
    assert list(whole.tables)[-1] == "rival 1"
    assert "Without covariates" in whole.to_markdown()
    with pytest.raises(ValueError, match="profiles must be those"):
        bm.class_report(found, bm.class_profiles(found.fit(1, 1), rows), 1, 2)
    with pytest.raises(ValueError, match=r"profiles must be that of class_profiles\("):
        bm.class_report(found, rows)
    with pytest.raises(ValueError, match="enumeration must be that of enumerate_classes"):
        bm.class_report(profiles, profiles)


def test_one_class_has_outcomes_without_tests_in_table_and_report(analysis):
    _, rows, several, _ = analysis
    found = bm.enumerate_classes(rows, 1, 1, n_bootstrap=0, random_state=0, n_jobs=1)
    income = several.outcomes["income"].attrs["n"] * [1.0]
    income[0] = 301.0
    one = bm.class_profiles(found.fit(1, 1), rows, {"income": income}, n_draws=0)
    assert one.to_apa("outcomes").columns == ("Outcome", "Profile 1")
    assert one.to_apa("outcomes").rows[0][1].startswith("2.00 (")
    text = bm.class_report(found, one, 1, 1).to_markdown()
    assert "[[" not in text
    assert "relative entropy of" not in text


def test_entropy_of_another_definition_is_named_and_the_suggestion_keeps_the_relative_one(analysis):
    _, rows, _, _ = analysis
    found = bm.enumerate_classes(rows, (1, 2), 1, n_bootstrap=0, random_state=0, n_jobs=1)
    summed = found.with_entropy("sum")
    assert summed.table["entropy"][1] == pytest.approx(
        (1.0 - found.table["entropy"][1]) * 300 * np.log(2)
    )
    assert summed.summary() == found.summary()
    assert "Entropy is summed over the sample" in summed.to_apa().note


def test_rows_without_any_value_are_left_out_as_in_the_fit(analysis):
    _, rows, _, second = analysis
    gaps = np.insert(rows, 7, np.nan, axis=0)
    m = bm.GaussianMixture(2, covariance_type="EEI", missing="use", random_state=0)
    with pytest.warns(UserWarning, match="without any value is left out"):
        m.fit(gaps)
    with pytest.warns(UserWarning, match="no value in row 7"):
        found = bm.class_profiles(m, gaps, {"y": np.insert(second, 7, False) * 1.0}, n_draws=2)
    expected = bm.class_profiles(m, rows)
    pd.testing.assert_frame_equal(found.profiles, expected.profiles)
    assert found.n_samples == 300


def test_wide_tables_and_figures_fit_a_page(analysis):
    _, _, profiles, _ = analysis
    assert 'class="wide"' not in profiles.to_apa().to_html()
    table = ApaTable("Many", tuple(f"Column {k}" for k in range(15)), (("1",) * 15,))
    assert 'class="wide"' in table.to_html()
    assert profiles_size(profiles) == (5.2, 3.4)
    many = pd.concat({f"x{d}": profiles.profiles for d in range(9)}, names=["of"])
    many = many.reset_index(["of", "column"]).assign(
        column=lambda t: t["of"] + t["column"].map(str)
    )
    many = many.set_index("column", append=True).reorder_levels(profiles.profiles.index.names)
    assert profiles_size(replace(profiles, profiles=many.drop(columns="of"))) == (9.0, 3.4)


def test_figures(analysis):
    _, _, profiles, _ = analysis
    ax = profiles.plot(Figure().subplots(), units="raw")
    drawn = [line for line in ax.lines if len(line.get_xdata()) == 3]
    np.testing.assert_allclose(
        drawn[0].get_ydata(), profiles.profiles["estimate"].xs("class 1", level="class")["mean"]
    )
    assert len(bm.plots.plot_classification(profiles, Figure().subplots()).texts) == 4


@pytest.mark.slow
def test_the_figure_of_criteria_begins_where_the_best_are(analysis):
    _, rows, _, _ = analysis
    found = bm.enumerate_classes(rows, range(1, 5), 1, n_bootstrap=0, random_state=0, n_jobs=1)
    (ax,) = found.plot(Figure().subplots(1, 1, squeeze=False), criteria=("bic",))
    assert list(ax.lines[0].get_xdata()) == [2, 3, 4]
    report = bm.class_report(found, bm.class_profiles(found.fit(1, 2), rows), 1, 2)
    assert "Values of one profile are larger, and not shown" in report.to_markdown()
    nowhere = replace(found, table=found.table.assign(replicated=0))
    assert "0: the search alone found it" in nowhere.to_apa().note
    far = np.random.default_rng(0).normal(size=(100, 3))
    one = bm.enumerate_classes(far, range(1, 5), 1, n_bootstrap=0, random_state=0, n_jobs=1)
    (ax,) = one.plot(Figure().subplots(1, 1, squeeze=False), criteria=("bic",))
    assert list(ax.lines[0].get_xdata()) == [1, 2, 3, 4]


def test_bars_of_items():
    generator = np.random.default_rng(2)
    codes = (generator.random((200, 3)) < np.where(np.arange(200)[:, None] < 80, 0.9, 0.1)).astype(
        int
    )
    m = bm.Mixture(2, family=bm.Categorical(), random_state=0).fit(codes)
    named = pd.DataFrame(codes, columns=["a", "$\\x$", "$1-$2"])
    of_names = bm.Mixture(2, family=bm.Categorical(), random_state=0).fit(named)
    bm.class_profiles(of_names, named).plot(Figure().subplots()).figure.draw_without_rendering()
    classes = bm.latent_classes(of_names, named)
    classes.plot(ax=Figure().subplots()).figure.draw_without_rendering()
    profiles = bm.class_profiles(m, codes)
    ax = profiles.plot(Figure().subplots())
    assert ax.get_ylabel() == "Probability"
    heights = [bar.get_height() for bar in ax.patches]
    assert len(heights) == 6
    assert profiles.to_apa().rows[0][0] == "0: 1"


def test_residuals_of_one_class_are_tests_of_independence_in_report_and_table():
    generator = np.random.default_rng(21)
    first = generator.integers(0, 2, 300)
    agrees = np.where(generator.random(300) < 0.7, first, 1 - first)
    rows = np.column_stack([first, agrees, generator.integers(0, 3, 300)])
    items = pd.DataFrame(rows, columns=["a", "b", "c"]).astype("category")
    classes = bm.enumerate_classes(items, (1,), n_bootstrap=0, random_state=0)
    residuals = bm.class_profiles(classes.fit(None, 1), items).residuals
    for (one, other), value in residuals.items():
        test = stats.chi2_contingency(pd.crosstab(items[one], items[other]), correction=False)
        assert value == pytest.approx(test.statistic / test.dof, rel=1e-6)
    assert residuals.index[0] == ("a", "b")
    report = bm.class_report(classes, bm.class_profiles(classes.fit(None, 1), items), None, 1)
    largest = plain(residuals.iloc[0])
    assert report.tables["residuals"].rows[0] == ("a and b", largest)
    assert f"The largest bivariate residual was {largest} (a and b;" in report.to_markdown()
    assert "doubtful for these items" in report.to_markdown()


def test_continuous_columns_have_profiles_and_categories_have_classes(analysis):
    _, rows, profiles, _ = analysis
    assert profiles.noun == "profile"
    assert profiles.to_apa("classification").columns[-2:] == ("Profile 1", "Profile 2")
    assert "class" not in str(profiles.to_apa()).lower()
    found = bm.enumerate_classes(rows, (1, 2), 1, n_bootstrap=0, random_state=0)
    assert "class" not in str(found.to_apa()).lower() + str(found.suggested).lower()
    with pytest.raises(ValueError, match="residuals are those of categories"):
        profiles.to_apa("residuals")


def test_the_figure_shows_all_levels_of_an_item_but_one_of_two():
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"port": generator.choice(["C", "Q", "S"], 90), "lived": generator.choice(["n", "y"], 90)}
    )
    fit = bm.Mixture(1, family=bm.Categorical()).fit(frame)
    ax = bm.class_profiles(fit, frame).plot(Figure().subplots())
    names = [label.get_text() for label in ax.get_xticklabels()]
    assert names == ["port: C", "port: Q", "port: S", "lived: y"]
