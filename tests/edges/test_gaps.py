"""Missing values as they come in, whatever stands for them, and where they are refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from typer.testing import CliRunner

import bayesmix as bm
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError
from bayesmix.shell.app import app

RNG = np.random.default_rng(0)
WHOLE = np.concatenate([RNG.normal(0.0, 1.0, (60, 2)), RNG.normal(6.0, 1.0, (60, 2))])
GAPS = WHOLE.copy()
GAPS[::7, 1] = np.nan
FRAME = pd.DataFrame(GAPS, columns=["a", "b"])
NOTHING = np.where(np.arange(120)[:, None] == 3, np.nan, WHOLE)
PLAIN = {"search": None, "random_state": 0}


def used(**options):
    """A mixture that takes gaps, unfitted."""
    return bm.GaussianMixture(2, missing="use", **PLAIN, **options)


@pytest.mark.parametrize(
    "rows",
    [
        FRAME.astype("Float64"),
        FRAME.astype(object).where(FRAME.notna(), None),
        np.ma.masked_invalid(GAPS),
        GAPS.tolist(),
    ],
    ids=["pandas NA", "None", "masked", "list"],
)
def test_whatever_stands_for_a_gap_is_one(rows):
    fitted = used().fit(rows)
    np.testing.assert_array_equal(fitted.means_, used().fit(GAPS).means_)
    np.testing.assert_array_equal(fitted.predict(rows), used().fit(GAPS).predict(GAPS))
    assert fitted.result_.n_missing == np.isnan(GAPS).sum()


def test_rows_with_gaps_are_dropped_with_their_weights_and_labels():
    weights, labels = np.arange(120.0) + 1.0, np.repeat([0, 1], 60)
    kept = ~np.isnan(GAPS).any(axis=1)
    dropped = bm.GaussianMixture(2, missing="drop", init_params=labels, **PLAIN)
    dropped.fit(GAPS, sample_weight=weights)
    plain = bm.GaussianMixture(2, init_params=labels[kept], **PLAIN)
    plain.fit(GAPS[kept], sample_weight=weights[kept])
    np.testing.assert_array_equal(dropped.means_, plain.means_)
    with pytest.raises(
        InvalidInputError, match=r"NaN in row 0.*, or set missing=.use. \([a-z ]*\)$"
    ):
        dropped.predict(GAPS)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (GAPS * [1.0, np.nan], "a value in every column, but column 1 has none"),
        (np.where(np.isnan(GAPS), np.inf, GAPS), "infinity in row 0, column 1"),
        (GAPS * [0.0, 1.0], "all values of column 0 are equal: leave out that column"),
    ],
    ids=["a column", "infinity", "a constant"],
)
def test_what_cannot_be_used_is_said(rows, words):
    with pytest.raises(InvalidInputError, match=words):
        used().fit(rows)


def test_a_row_without_any_value_is_left_out_and_counted():
    labels = np.repeat([0, 1], 60)
    with pytest.warns(BayesmixWarning, match="1 row without any value is left out: row 3"):
        found = used(init_params="kmeans").fit(NOTHING, labels=labels)
    present = np.delete(np.arange(120), 3)
    expected = used(init_params="kmeans").fit(NOTHING[present], labels=labels[present])
    np.testing.assert_array_equal(found.means_, expected.means_)
    with pytest.warns(BayesmixWarning, match="no value in row 3: the weights are its prob"):
        np.testing.assert_allclose(found.predict_proba(NOTHING)[3], found.weights_, rtol=1e-12)
    with pytest.warns(BayesmixWarning):
        assert found.score_samples(NOTHING)[3] == pytest.approx(0.0, abs=1e-12)


def test_what_takes_no_gaps_says_so():
    usable = (
        bm.GaussianMixture(2),
        bm.MixtureSearch(bm.HiddenMarkovModel(2), [1, 2]),
        bm.MixtureSearch(bm.GaussianMixture(), [1, 2], covariance_type=["VEI", "full"]),
    )
    for model in usable:
        with pytest.raises(InvalidInputError, match="impute such rows, or set missing='use'"):
            model.fit(GAPS)
    only_drop = (
        bm.Mixture(2, family=bm.StudentT()),
        bm.GaussianMixture(2, noise=True),
        bm.GaussianMixture(2, covariance_type="VEI"),
        bm.GaussianMixture(2, covariance_type=bm.FactorAnalytic(1)),
        bm.MixtureSearch(bm.GaussianMixture(), [1, 2], covariance_type=["VEI", "EVI"]),
        bm.MixtureSearch(
            bm.GaussianMixture(), [1, 2], variable_selection=True, irrelevant="regression"
        ),
    )
    for model in only_drop:
        with pytest.raises(InvalidInputError, match="impute such rows, or set missing='drop'"):
            model.fit(GAPS)
    with pytest.raises(InvalidInputError, match=r"drop or impute such rows$"):
        bm.RegressionMixture(2).fit(GAPS, np.zeros(len(GAPS)))
    with pytest.raises(UnsupportedError, match=r"StudentT.* does not support missing values"):
        bm.Mixture(2, family=bm.StudentT(), missing="use").fit(GAPS)
    with pytest.raises(UnsupportedError, match=r"StudentT.* does not support missing values"):
        bm.Mixture(2, family=bm.Product({(0, 1): bm.StudentT()}), missing="use").fit(GAPS)
    with pytest.raises(
        UnsupportedError, match=r"'VEI'.* does not support missing values: .*'diag'"
    ):
        used(covariance_type="VEI").fit(GAPS)
    with pytest.raises(UnsupportedError, match="noise does not support missing values"):
        used(noise="uniform").fit(GAPS)
    with pytest.raises(UnsupportedError, match="is not supported by partial_fit"):
        used().partial_fit(GAPS)
    vb = bm.BayesianGaussianMixture(2, missing="use", **PLAIN).fit(GAPS)
    with pytest.raises(InvalidInputError, match="no missing values here"):
        vb.density_interval(GAPS)
    with pytest.raises(InvalidInputError, match="missing must be one of"):
        used().set_params(missing="some").fit(GAPS)


def test_selection_and_saved_fits_take_gaps(tmp_path):
    search = bm.select(
        GAPS, n_components=(1, 2), covariance_type="diag", criterion="elbo", missing="use"
    )
    assert search.best_params_["n_components"] == 2
    by_folds = bm.select(
        GAPS, n_components=(1, 2), covariance_type="diag", criterion="cv", missing="use"
    )
    assert by_folds.best_params_["n_components"] == 2
    assert list(by_folds.results_["note"]) == ["", ""]
    search.best_estimator_.save(tmp_path / "model")
    loaded = bm.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.score_samples(GAPS), search.score_samples(GAPS))
    np.testing.assert_array_equal(loaded.impute(GAPS), search.best_estimator_.impute(GAPS))


def mixed_table(n=240):
    """Two kinds of birds, and the same with a tenth of all cells empty."""
    rng = np.random.default_rng(1)
    kind = rng.integers(0, 2, n)
    whole = pd.DataFrame(
        {
            "bill": rng.normal(40 + 9 * kind),
            "flipper": rng.normal(190 + 20 * kind, 5.0),
            "species": np.where(kind, "gentoo", "adelie"),
            "island": np.array(["biscoe", "dream", "torgersen"])[kind + rng.integers(0, 2, n)],
        }
    )
    gaps = whole.mask(rng.random(whole.shape) < 0.1)
    some = gaps.notna().any(axis=1)
    return whole[some].reset_index(drop=True), gaps[some].reset_index(drop=True)


def test_tables_with_gaps_in_text_are_fitted_and_filled_in():
    whole, gaps = mixed_table()
    m = bm.Mixture(
        2, family="auto", inference=bm.VariationalBayes(), missing="use", random_state=0
    ).fit(gaps)
    filled, drawn = m.impute(gaps), m.impute(gaps, n_draws=20, random_state=0)
    pd.testing.assert_frame_equal(filled.where(gaps.notna()), gaps, check_dtype=False)
    assert filled.notna().all(axis=None)
    empty = gaps["species"].isna()
    assert empty.sum() > 10
    assert (filled["species"] == whole["species"])[empty].mean() > 0.9
    # The island says little of the species: draws differ, and stay among the levels.
    islands = pd.concat(drawn)["island"]
    assert set(islands) == set(whole["island"])
    assert islands.groupby(level=0).nunique()[gaps["island"].isna()].max() > 1
    assert islands.groupby(level=0).nunique()[gaps["island"].notna()].max() == 1
    assert m.sample(3)[0].columns.to_list() == list(gaps.columns)
    with pytest.raises(InvalidInputError, match="NaN in row"):
        bm.Mixture(2, family="auto").fit(gaps)


def test_selection_over_tables_with_gaps_in_text(tmp_path):
    _, gaps = mixed_table()
    search = bm.select(
        gaps, n_components=(1, 2), covariance_type="diag", missing="use", random_state=0
    )
    assert search.best_params_["n_components"] == 2
    assert search.best_estimator_.result_.n_missing == gaps.isna().sum().sum()
    search.best_estimator_.save(tmp_path / "model")
    loaded = bm.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.score_samples(gaps), search.score_samples(gaps))
    pd.testing.assert_frame_equal(loaded.impute(gaps), search.best_estimator_.impute(gaps))


def test_levels_that_are_missing_are_no_levels():
    rows = np.array([["a", "x"], ["a", None], [None, "y"], ["b", "y"]] * 10, dtype=object)
    m = bm.Mixture(2, family=bm.Categorical(), missing="use", random_state=0).fit(rows)
    assert m.result_.family.levels == (("a", "b"), ("x", "y"))
    assert m.impute(rows)[1].tolist() == ["a", "x"]
    assert m.impute(rows, n_draws=3).shape == (3, 40, 2)


def test_a_plot_leaves_rows_with_gaps_out_and_says_so():
    figure = used().fit(GAPS).plot(GAPS).figure
    said = [text.get_text() for text in figure.findobj(Text)]
    assert any("18 rows with missing values left out" in text for text in said)


def test_the_shell_uses_what_rows_have(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FRAME.to_csv("rows.csv", index=False)

    def run(*words):
        return CliRunner().invoke(app, [str(word) for word in words])

    by_default = run("fit", "rows.csv", "--components", 2)
    n_rows = int(FRAME.isna().any(axis=1).sum())
    assert f"{n_rows} rows have missing values, which are integrated out" in by_default.output
    refused = run("fit", "rows.csv", "--components", 2, "--noise")
    assert refused.exit_code == 2
    assert f"--noise does not support missing values, but {n_rows} rows have" in refused.output
    assert run("fit", "rows.csv", "--components", 2, "--missing", "drop").exit_code == 0
    found = run("fit", "rows.csv", "--components", 2, "--missing", "use", "--out", "found")
    assert found.exit_code == 0, found.output
    said = run("predict", "found/model.bayesmix", "rows.csv")
    assert len(said.stdout.splitlines()) == 121


def test_the_shell_describes_excluded_columns_of_the_complete_rows(run):
    FRAME.assign(site=np.arange(120) % 3 > 0, w=1.0).to_csv("rows.csv", index=False)
    n_rows = int(FRAME.isna().any(axis=1).sum())
    asked = ("--exclude", "site", "--missing", "drop", "--weight", "w", "--components", 2)
    ended = run("select", "rows.csv", *asked, "--out", "found", "--report", "--static")
    assert f"left out: {n_rows} rows with missing values" in ended.stderr
    assert "site (not in the fit)" in ended.stdout
    page = Path("found/report.html").read_text("utf-8").replace("\u00a0", " ")
    assert "site (not in the fit)" in page
    table = pd.read_csv("found/description.csv", index_col=["column", "statistic"])
    assert table.loc[("size", "rows"), "all"] == 120 - n_rows
    site = (np.arange(120) % 3 > 0)[FRAME.notna().all(axis=1)]
    assert table.loc[("site", "True"), "all"] == pytest.approx(site.mean(), abs=1e-6)
    assert len(pd.read_csv("found/rows.csv")) == 120 - n_rows
