"""Latent profiles on the command line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm


@pytest.mark.slow
def test_classes_writes_the_tables_figures_and_report_of_a_paper(run):
    generator = np.random.default_rng(6)
    second = generator.random(120) < 0.4
    frame = pd.DataFrame(
        generator.normal(size=(120, 2)) + 4.0 * second[:, None], columns=["a", "b"]
    )
    frame["age"] = generator.normal(size=120) + second
    frame["income"] = generator.normal(size=120) + 3.0 * second
    frame["place"] = np.where(np.arange(120) % 3 == 1, "city", "a village")
    frame.loc[7, "age"] = np.nan
    frame.to_csv("survey.csv", index=False)
    options = ("--classes", "1:2", "--models", "1", "--bootstrap", "2", "--covariates", "age,place")
    shown = run("classes", "survey.csv", *options, "--distal", "income", "--out", "paper")
    assert "left out: 1 row without a value of age" in shown.stderr
    output = shown.stdout
    assert "Profile 2 vs. 1: place (city vs. a village)" in output
    assert "Suggested: 2 profiles." in output
    assert "Predictors of Profile Membership" in output
    assert "Fit of Models Without Covariates" in output
    assert Path("paper/rival_1.md").exists()
    found = json.loads(Path("paper/result.json").read_text("utf-8"))
    assert found["n_classes"] == 2
    assert found["enumeration"][1]["blrt_p"] <= 1.0
    assert Path("paper/profiles.pdf").read_bytes().startswith(b"%PDF")
    assert "income" in Path("paper/outcomes.md").read_text("utf-8")
    assert "SMART-LCA" in Path("paper/report.md").read_text("utf-8")
    m, new = bm.load("paper/model.bayesmix"), frame[5:15]
    new.to_csv("new.csv", index=False)
    shown = run("predict", "paper/model.bayesmix", "new.csv", "--out", "predicted.csv")
    assert "left out: 1 row without a value of a covariate (row 3)" in shown.stderr
    kept = new.drop(index=7)
    city = (kept["place"] == "city").astype(float)
    z = np.column_stack([kept["age"], city])
    predicted = pd.read_csv("predicted.csv").drop(index=2)[["p1", "p2"]]
    expected = m.predict_proba(kept[["a", "b"]], covariates=z)
    np.testing.assert_allclose(predicted, expected, rtol=5e-6)  # six digits
    with pytest.raises(ValueError, match="'hamlet', which the fit has not seen"):
        m.predict_proba(
            kept[["a", "b"]], covariates=kept[["age", "place"]].replace("city", "hamlet")
        )


def test_classes_refuses_a_model_that_was_not_fitted(run):
    pd.DataFrame(np.random.default_rng(1).normal(size=(40, 2)), columns=["a", "b"]).to_csv("x.csv")
    options = ("--classes", "1", "--models", "1,2", "--bootstrap", "0")
    assert (
        "--select must be MODEL:K"
        in run("classes", "x.csv", *options, "--select", "2", code=2).stderr
    )


def test_classes_say_as_a_note_that_whole_weights_repeat_rows(run):
    table = pd.DataFrame({"a": list("yynn"), "b": list("ynyn"), "Freq": [30, 5, 7, 40]})
    table.to_csv("table.csv", index=False)
    options = ("--weight", "Freq", "--classes", "1", "--bootstrap", "0", "--out", "paper")
    error = run("classes", "table.csv", *options).stderr
    assert "note: --weight has whole numbers, so rows were repeated (n = 82): give" in error
    assert "BayesmixWarning" not in error
    found = json.loads(Path("paper/result.json").read_text("utf-8"))
    assert "rows were repeated" in found["warnings"][0]


@pytest.mark.slow
def test_classes_of_weighted_ratings_of_complete_rows(run):
    generator = np.random.default_rng(2)
    low = generator.random((90, 1)) < 0.5
    ratings = np.clip(np.round(generator.normal(np.where(low, 2, 4), 0.8, (90, 3))), 1, 5)
    frame = pd.DataFrame(ratings, columns=["q1", "q2", "q3"])
    frame.loc[3, "q2"] = np.nan
    frame["w"], frame["village"] = 1000.0 * (1 + np.arange(90) % 3), np.arange(90) // 5
    frame.to_csv("ratings.csv", index=False)
    options = ("--continuous", "all", "--models", "1", "--classes", "1:2", "--bootstrap", "0")
    survey = ("--weight", "w", "--cluster", "village", "--missing", "drop")
    shown = run("classes", "ratings.csv", *options, *survey, "--out", "paper")
    assert "left out: 1 row without a value of q2" in shown.stderr
    assert "N = 89. Cells are means" in shown.stdout
    assert "robust sandwich estimator" in shown.stdout
    report = Path("paper/report.md").read_text("utf-8")
    assert "sandwich estimator with sampling weights and 18 clusters." in report
    assert "to overrule" not in shown.stderr


def test_classes_checks_outcomes_and_the_selection_before_the_fits(run, monkeypatch):
    from bayesmix.latent_class_analysis import class_enumeration

    def no_fit(*_, **__):
        raise AssertionError("a fit began")

    monkeypatch.setattr(class_enumeration, "enumerate_classes", no_fit)
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(40, 2)), columns=["a", "b"])
    frame["same"], frame["name"] = 1.0, [f"person {i}" for i in range(40)]
    frame["count"] = [7, "DK", *rng.integers(0, 100, 38)]
    frame.to_csv("x.csv", index=False)
    for outcome, words in (
        ("income", "no column 'income'"),
        ("count", "column 'count' of X is neither numeric nor categorical: numbers except 'DK'"),
        ("same", "outcome 'same': outcome must have at least two values"),
        ("name", "column 'name' of X is neither numeric nor categorical"),
    ):
        assert words in run("classes", "x.csv", "--distal", outcome, code=2).stderr
    shown = run("classes", "x.csv", "--classes", "1:3", "--select", "1:4", code=2)
    assert "--select must be MODEL:K with K of --classes 1:3" in shown.stderr
    frame.assign(area=[*["lone"], *["north", "south"] * 19, None]).to_csv("x.csv", index=False)
    shown = run("classes", "x.csv", "--columns", "a,b", "--strata", "area", code=2)
    assert "stratum 'lone' has one" in shown.stderr


def test_classes_estimates_outcomes_that_are_constant_in_a_class_by_bch(run):
    rng = np.random.default_rng(0)
    reads = rng.random(300) < 0.4
    items = (rng.random((300, 4)) < np.where(reads[:, None], 0.9, 0.1)).astype(int)
    frame = pd.DataFrame(items, columns=["a", "b", "c", "d"])
    frame["visits"] = np.where(reads, rng.poisson(2.0, 300), 0)
    frame.to_csv("x.csv", index=False)
    options = ("--classes", "2", "--bootstrap", "0", "--distal", "visits")
    shown = run("classes", "x.csv", *options)
    assert "outcomes have the BCH correction: outcome 'visits': " in shown.stderr
    assert "Three-step estimates (BCH correction)" in shown.stdout
    frame.assign(age=rng.normal(size=300), grade=7).to_csv("x.csv", index=False)
    shown = run("classes", "x.csv", *options[:-1], "visits,age,grade")
    assert "outcomes have the BCH correction: outcome 'visits': " in shown.stderr
    assert shown.stderr.count("outcome 'grade' is left out: outcome must have at least") == 1
    assert "'visits' is left out" not in shown.stderr
    assert "grade is left out: " in shown.stdout
