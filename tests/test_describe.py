"""Descriptions of clusters against tables that pandas makes of the same labels."""

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.assess.group_statistics import Variable, quantiles
from bayesmix.errors import InvalidInputError, UnsupportedError


@pytest.fixture(scope="module")
def customers():
    """Two groups that differ in income, visits and home, and columns that say nothing of them."""
    draw = np.random.default_rng(20261129)
    group = (draw.random(300) < 0.4).astype(int)
    frame = pd.DataFrame(
        {
            "income": [f"${v:,.0f}" for v in np.exp(draw.normal(np.array([10, 12])[group], 0.7))],
            "score": draw.normal(np.array([50.0, 57.0])[group], 2.0).round(1),
            "home": np.where(draw.random(300) < np.array([0.1, 0.9])[group], "own", "rent"),
        }
    )
    frame.loc[:29, "score"] = np.nan
    model = bm.Mixture(2, family="auto", missing="use", random_state=0)
    with pytest.warns(bm.errors.BayesmixWarning, match="income"):
        return frame, model.fit(frame)


def test_tables_are_those_of_a_group_by_of_the_predicted_labels(customers):
    frame, fit = customers
    described, labels = fit.describe(frame), fit.predict(frame)
    money = frame["income"].str.replace("[$,]", "", regex=True).astype(float)
    for k, name in enumerate(described.table.index):
        row, own = described.table.loc[name], labels == k
        assert name == f"class {k + 1}"
        assert row["size", "rows"] == own.sum()
        assert row["score", "mean"] == pytest.approx(frame["score"][own].mean())
        assert row["score", "sd"] == pytest.approx(frame["score"][own].std())
        assert row["score", "missing"] == pytest.approx(frame["score"][own].isna().mean())
        assert row["home", "own"] == pytest.approx((frame["home"][own] == "own").mean())
        quartiles = money[own].quantile([0.25, 0.5, 0.75]).tolist()
        parts = ("lower quartile", "median", "upper quartile")
        assert [row["income", part] for part in parts] == pytest.approx(quartiles)
    assert described.overall["score", "mean"] == pytest.approx(frame["score"].mean())
    assert described.to_frame().loc[("size", "rows"), "all"] == 300


def test_effects_are_those_of_cohen(customers):
    frame, fit = customers
    described, labels = fit.describe(frame, level=0.95), fit.predict(frame)
    x, y = (frame["score"][labels == k].dropna() for k in (0, 1))
    n, m = len(x), len(y)
    pooled = np.sqrt(((n - 1) * x.var() + (m - 1) * y.var()) / (n + m - 2))
    d = (x.mean() - y.mean()) / pooled
    row = described.typical.loc[("class 1", "score", "")]
    assert row["effect"] == pytest.approx(d)
    error = np.sqrt((n + m) / (n * m) + d**2 / (2 * (n + m)))
    assert row["upper"] - row["lower"] == pytest.approx(2 * 1.959964 * error)
    p, q = ((frame["home"][labels == k] == "rent").mean() for k in (0, 1))
    row = described.typical.loc[("class 1", "home", "rent")]
    assert row["effect"] == pytest.approx(2 * (np.arcsin(np.sqrt(p)) - np.arcsin(np.sqrt(q))))


def test_weights_describe_as_repetitions_do():
    X = np.round(np.random.default_rng(5).normal(size=(80, 2)) + np.repeat([[0, 0], [5, 1]], 40, 0))
    fit, weights = bm.GaussianMixture(2, random_state=0).fit(X), np.arange(80) % 3
    weighted = fit.describe(X, sample_weight=weights)
    repeated = fit.describe(np.repeat(X, weights, axis=0))
    means = [("x0", "mean"), ("x1", "sd"), ("size", "rows")]
    x = X[:, 0] + 0.1 * np.random.default_rng(6).normal(size=80)
    own = quantiles(x, weights.astype(float), (0.1, 0.25, 0.5, 1.0))
    np.testing.assert_allclose(own, np.quantile(np.repeat(x, weights), (0.1, 0.25, 0.5, 1.0)))
    np.testing.assert_allclose(weighted.table[means], repeated.table[means], rtol=1e-12)
    np.testing.assert_allclose(
        weighted.typical["effect"].sort_index(), repeated.typical["effect"].sort_index(), rtol=1e-9
    )


def test_sentences_tell_what_is_typical_in_the_units_of_the_data(customers):
    frame, fit = customers
    first, second = fit.describe(frame).sentences
    assert any('"income" higher (' in text for text in (first, second))
    assert " $" in first
    assert '"home" mostly "rent" (' in first
    assert first.startswith("Class 1 (")


def test_sentences_name_the_level_that_most_have():
    draw = np.random.default_rng(4)
    group = np.repeat([0, 1], [60, 40])
    frame = pd.DataFrame(
        {
            "x": draw.normal(size=100) + 8.0 * group,
            "meal": np.where(group ^ (draw.random(100) < 0.1), "Lunch", "Dinner"),
            "day": np.where(group, "Thur", draw.choice(["Fri", "Sat", "Sun"], 100)),
        }
    )
    fit = bm.Mixture(2, family="auto", random_state=0).fit(frame)
    first, second = fit.describe(frame).sentences
    assert '"meal" mostly "Dinner" (' in first
    assert '"day" seldom "Thur" (0 against 100 %)' in first
    assert '"day" mostly "Thur" (100 against 0 %)' in second


def test_numbers_have_the_decimals_that_their_spread_justifies():
    draw = np.random.default_rng(5)
    assert Variable("smoothness", 0.014 * draw.normal(size=99)).written(0.0963) == "0.096"
    assert Variable("change", draw.normal(size=99)).written(-0.0012) == "0.00"
    assert Variable("visits", draw.poisson(3.0, 99).astype(float)).written(2.0) == "2"
    assert Variable("pay", 3e4 * draw.normal(size=99), unit=("$", "")).written(51234.6) == "$51,235"


def test_one_class_has_nothing_to_compare():
    X = np.random.default_rng(2).normal(size=(50, 2))
    described = bm.GaussianMixture(1).fit(X).describe(X)
    assert described.sentences == (
        "Class 1 (100 %, n = 50): all observations, so that there is nothing to compare.",
    )
    assert [*described.to_frame().columns] == ["all"]
    assert not described.notes


def test_wide_tables_are_split_at_the_width():
    draw = np.random.default_rng(3)
    X = draw.normal(size=(900, 3)) + 9.0 * np.repeat(np.arange(9), 100)[:, None]
    described = bm.GaussianMixture(9, random_state=0).fit(X).describe(X)
    tables = described.to_fit(60)
    assert len(tables) > 1
    assert max(len(line) for table in tables for line in table.to_text().split("\n")[:-1]) <= 60
    heads = [head for table in tables for head in table.columns[1:]]
    assert heads == ["All", *(f"Class {k}" for k in range(1, 10))]


def test_further_columns_are_described_and_marked_and_identifiers_are_not(customers):
    frame, fit = customers
    draw = np.random.default_rng(8)
    wider = frame.assign(
        customer=[f"C{k:05d}" for k in range(300)],
        late=fit.predict(frame) + draw.normal(size=300) * 0.1,
    )
    described = fit.describe(wider)
    fitted = described.typical["fitted"].groupby(level="column").first()
    assert fitted.to_dict() == {"income": True, "score": True, "home": True, "late": False}
    assert any("customer" in note for note in described.notes)
    assert any("late" in text and "not in the fit" in text for text in described.sentences)


def test_missing_columns_and_wrong_arguments_are_named(customers):
    frame, fit = customers
    with pytest.raises(InvalidInputError, match="'score'"):
        fit.describe(frame.drop(columns="score"))
    with pytest.raises(InvalidInputError, match="sample_weight"):
        fit.describe(frame, sample_weight=np.ones(3))
    with pytest.raises(InvalidInputError, match="level"):
        fit.describe(frame, level=1.5)
    with pytest.raises(InvalidInputError, match="at least 2 rows"):
        fit.describe(frame[:1])


def test_clusters_of_a_search_have_the_sizes_of_predict_clusters():
    draw = np.random.default_rng(11)
    skewed = draw.gamma(1.0, size=(200, 2))
    X = np.r_[skewed, skewed[:100] + 9.0]
    search = bm.select(X, n_components=range(1, 6), covariance_type="diag", random_state=0)
    described, labels = search.describe(X), search.predict_clusters(X)
    sizes = [float((labels == k).sum()) for k in range(search.n_clusters_)]
    assert described.table["size", "rows"].tolist()[: len(sizes)] == sizes
    assert described.table.index[0] == "cluster 1"
    by = search.describe(X, by="components")
    assert len(by.certainty) == search.n_components_
    drawn = search.describe()
    assert drawn.table["size", "rows"].sum() == pytest.approx(300.0)
    assert any("draws" in note for note in drawn.notes)


def test_states_classes_and_regressions_are_described():
    draw = np.random.default_rng(3)
    X = np.r_[draw.normal(size=(60, 1)), draw.normal(size=(60, 1)) + 6.0]
    states = bm.HiddenMarkovModel(2, random_state=0).fit(X, lengths=[60, 60])
    described = states.describe(X, lengths=[60, 60])
    assert described.table.index.tolist() == ["state 1", "state 2"]
    assert described.table["size", "rows"].tolist() == [60.0, 60.0]
    y = np.repeat(["calm", "wild"], 60)
    classes = bm.MixtureClassifier().fit(X, y).describe(X)
    assert classes.table.index.tolist() == ["calm", "wild"]
    response = np.where(np.arange(120) % 2, 3.0, -3.0) * (1.0 + X[:, 0]) + 0.1 * draw.normal(
        size=120
    )
    lines = bm.RegressionMixture(2, random_state=0).fit(X, response)
    assert lines.describe(X, response).table.index.tolist() == ["class 1", "class 2"]
    search = bm.MixtureSearch(bm.RegressionMixture(random_state=0), n_components=[2])
    described = search.fit(X, response).describe(X, y=response)
    assert described.table.index.tolist() == ["class 1", "class 2"]
    with pytest.raises(InvalidInputError, match="pass X and y"):
        search.describe(X)


def test_files_hold_the_table(customers, tmp_path):
    frame, fit = customers
    described = fit.describe(frame)
    assert "Class 1" in described.to_markdown()
    assert r"\toprule" in described.to_latex()
    pytest.importorskip("openpyxl")
    sheets = pd.read_excel(described.to_excel(tmp_path / "groups.xlsx"), sheet_name=None)
    assert [*sheets] == ["in words", "table", "typical"]
    assert len(sheets["typical"]) == len(described.typical)


def test_a_figure_of_fifty_levels_fits_a_page():
    pytest.importorskip("matplotlib").use("Agg")
    draw = np.random.default_rng(6)
    group = draw.integers(0, 2, 2000)
    frame = pd.DataFrame(
        {
            "x": draw.normal(size=2000) + 4.0 * group,
            "state": [f"S{k:02d}" for k in draw.integers(0, 50, 2000)],
        }
    )
    fit = bm.Mixture(2, family="auto", random_state=0).fit(frame)
    ax = fit.describe(frame).plot()
    assert ax.figure.get_size_inches()[1] <= 11.0
    assert "x, mean" in [label.get_text() for label in ax.get_yticklabels()]
    X = np.repeat(9.0 * np.arange(20), 30)[:, None] + draw.normal(size=(600, 1))
    many = bm.GaussianMixture(20, means_init=9.0 * np.arange(20)[:, None]).fit(X).describe(X)
    assert many.plot().figure.get_size_inches()[0] <= 13.0
    with pytest.raises(UnsupportedError, match="one class is compared with nothing"):
        bm.GaussianMixture(1).fit(X).describe(X).plot()
