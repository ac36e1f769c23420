"""Amounts: positive columns that are described on the log scale, each by its own values."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from typer.testing import CliRunner

import bayesmix as bm
from bayesmix.families.amounts import are_amounts, best_bic
from bayesmix.families.monotone import Logarithms
from bayesmix.shell.app import app


def groups(seed, n=600):
    """Three groups of two log-normal amounts beside a normal column and a category."""
    rng = np.random.default_rng(seed)
    z = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    table = pd.DataFrame(
        {
            "income": np.exp(rng.normal(np.array([10.0, 11.0, 12.0])[z], 0.5)).round(2),
            "debt": np.exp(rng.normal(np.array([6.0, 8.0, 6.5])[z], 0.7)).round(2),
            "age": rng.normal(np.array([30.0, 50.0, 70.0])[z], 7.0),
        }
    )
    p = np.array([[0.7, 0.2, 0.1], [0.2, 0.6, 0.2], [0.1, 0.2, 0.7]])
    table["home"] = np.array(["rent", "own", "other"])[
        (rng.random((n, 1)) > p[z].cumsum(axis=1)).sum(axis=1)
    ]
    return table, z


def test_log_normal_columns_are_amounts_and_normal_and_grouped_ones_are_not():
    rng = np.random.default_rng(0)
    z = rng.integers(0, 2, 500)
    assert are_amounts(np.exp(rng.normal(8.0, 0.5, 500)))
    assert are_amounts(np.exp(rng.normal(6.0 + 2.0 * z, 0.4)))
    assert not are_amounts(rng.normal(50.0, 5.0, 500))
    assert not are_amounts(rng.normal(np.where(z, 9.0, 20.0), 1.5))
    assert not are_amounts(np.exp(rng.normal(0.0, 0.5, 500)) - 0.5)  # not positive
    assert not are_amounts(np.where(z, 1.0, np.exp(rng.normal(8.0, 0.5, 500))))  # half equal
    gaps = np.where(z, np.nan, np.exp(rng.normal(8.0, 0.5, 500)))
    assert are_amounts(gaps)


def test_the_criterion_of_a_scale_is_the_bic_of_scikit_learn():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0.0, 1.0, 150), rng.normal(6.0, 2.0, 100)])
    expected = min(
        GaussianMixture(k, n_init=5, random_state=0).fit(values[:, None]).bic(values[:, None])
        for k in (1, 2, 3, 4)
    )
    assert best_bic(values) == pytest.approx(expected / 2.0, abs=0.2)


def test_logarithms_of_some_columns_have_the_density_of_a_log_normal():
    rng = np.random.default_rng(2)
    values = np.column_stack([rng.lognormal(3.0, 0.6, 400), rng.normal(2.0, 1.0, 400)])
    function = Logarithms.of_columns(values, np.array([True, False]))
    model = bm.Mixture(1, family=bm.Transformed(bm.Gaussian("diag"), function)).fit(values)
    logs = np.log(values[:, 0])
    expected = stats.lognorm(logs.std(), scale=np.exp(logs.mean())).logpdf(values[:, 0])
    expected += stats.norm(values[:, 1].mean(), values[:, 1].std()).logpdf(values[:, 1])
    np.testing.assert_allclose(model.score_samples(values), expected, atol=0.01)
    np.testing.assert_allclose(function.inverse(function.apply(values)), values, rtol=1e-9)
    assert np.isfinite(model.score_samples([[0.0, 2.0], [-1.0, 2.0]])).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("missing", [False, True])
def test_mixed_tables_with_amounts_have_the_answer_of_their_logarithms(missing, tmp_path):
    table, z = groups(3)
    if missing:
        gaps = np.random.default_rng(4).random(table.shape) < 0.05
        table = table.mask(gaps)
    logs = table.assign(income=np.log(table["income"]), debt=np.log(table["debt"]))
    options = {"missing": "use" if missing else "error", "n_jobs": 1}
    search, direct = bm.select(table, **options), bm.select(logs, **options)
    assert search.n_clusters_ == direct.n_clusters_ == 3
    labels = search.predict_clusters(table)
    index = adjusted_rand_score(z, labels)
    assert abs(index - adjusted_rand_score(z, direct.predict_clusters(logs))) < 0.02
    assert "Log scale: income, debt." in search.summary()
    families = ["log-normal", "log-normal", "normal", "categorical"]
    assert search.columns_["family"].tolist() == families
    plain = bm.select(table, column_powers=False, **options)
    assert "Log scale" not in plain.summary()
    # Densities are those of the table, so the logarithms have more evidence.
    assert search.best_estimator_.elbo_ > plain.best_estimator_.elbo_ + 50.0
    search.save(tmp_path / "search.bayesmix")
    again = bm.load(tmp_path / "search.bayesmix")
    np.testing.assert_array_equal(again.predict_clusters(table), labels)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_amounts_of_numeric_tables_have_the_answer_of_their_logarithms():
    table, z = groups(5)
    X = table[["income", "debt", "age"]].to_numpy()
    search = bm.select(X, n_jobs=1)
    direct = bm.select(np.column_stack([np.log(X[:, :2]), X[:, 2]]), n_jobs=1)
    assert search.n_clusters_ == direct.n_clusters_
    assert "Log scale: 0, 1." in search.summary()
    both = [adjusted_rand_score(z, labels) for labels in (
        search.predict_clusters(X),
        direct.predict_clusters(np.column_stack([np.log(X[:, :2]), X[:, 2]])),
    )]  # fmt: skip
    assert abs(both[0] - both[1]) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("columns", [["income", "debt", "age", "home"], ["income", "debt"]])
def test_the_shell_has_amounts_on_the_log_scale_as_select_has(columns, tmp_path):
    table = groups(3, 300)[0][columns]
    table.to_csv(tmp_path / "table.csv", index=False)
    asked = ["--components", "2:3", "--covariance", "diag", "--jobs", "1", "-q"]
    ended = CliRunner().invoke(app, ["select", str(tmp_path / "table.csv"), *asked])
    search = bm.select(table, (2, 3), "diag", n_jobs=1)
    lines = search.summary().splitlines()
    scale = next(line for line in lines if line.startswith("Log scale"))
    assert scale in ("Log scale: income, debt.", "Log scale: debt.")
    assert ended.output.splitlines()[0] == lines[0]
    assert scale in ended.output.splitlines()
