"""Classification on the command line."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

import bayesmix as bm
from bayesmix.errors import UnsupportedError


@pytest.mark.slow
def test_classify_writes_the_classifier_of_the_class(run):
    frame = load_iris(as_frame=True).frame
    frame.columns = ["sepal_length", "sepal_width", "petal_length", "petal_width", "species"]
    frame["species"] = frame["species"].map({0: "setosa", 1: "versicolor", 2: "virginica"})
    frame.loc[::10, "species"] = None
    frame.to_csv("train.csv", index=False)
    frame.drop(columns="species").iloc[:5].to_csv("new.csv", index=False)
    options = ("--target", "species", "--predict", "new.csv", "--out", "classes")
    output = run("classify", "train.csv", *options).stdout
    assert "Mixture classifier (EDDA): 3 classes, 4 features" in output
    assert "Cross-validated error: 0.0" in output
    assert "(5 folds; always setosa: 0.667)." in output
    answers = pd.read_csv("classes/predictions.csv")
    assert answers["class"].tolist() == ["setosa"] * 5
    assert json.loads(Path("classes/result.json").read_text("utf-8"))["n_parameters"] == 36
    assert Path("classes/classes.png").exists()
    features = frame.drop(columns="species")
    saved = bm.load("classes/model.bayesmix")
    direct = bm.MixtureClassifier(random_state=0).fit(features, frame["species"])
    assert (saved.predict(features) == direct.predict(features)).all()
    assert "no column 'kind'" in run("classify", "train.csv", "--target", "kind", code=2).stderr


def test_classify_refuses_wrong_columns_and_uses_missing_values(run):
    frame = load_iris(as_frame=True).frame
    frame.columns = ["a", "b", "c", "d", "species"]
    frame[["a", "b", "c"]].to_csv("new.csv", index=False)
    frame.loc[::7, "a"] = None
    frame.to_csv("train.csv", index=False)
    train = ("classify", "train.csv", "--target", "species", "--folds", "0")
    assert "3 classes, 4 features" in run(*train, "--missing", "use").stdout
    for options, message in (
        (("--missing", "error"), "--missing use"),
        (("--columns", "a,species"), "--columns must not include the target"),
        (("--components", "1,2"), "--components must be one number"),
        (("--predict", "new.csv"), "new.csv has no column 'd'"),
    ):
        assert message in run(*train, *options, code=2).stderr


def test_classes_that_are_integers_stay_integers_beside_empty_rows(run):
    frame = pd.DataFrame(
        {"x": np.r_[np.arange(20), 40 + np.arange(20)] / 8.0, "y": 1 + np.arange(40) // 20}
    )
    frame.to_csv("train.csv", index=False)
    new = pd.DataFrame({"x": frame["x"].where(frame.index != 3), "z": 1})
    new.to_csv("new.csv", index=False)
    run("classify", "train.csv", "--target", "y", "--folds", "0", "--out", "o")
    table = run("predict", "o/model.bayesmix", "new.csv").stdout
    assert [line.split(",")[0] for line in table.splitlines()[1:]] == [
        "" if row == 3 else str(label) for row, label in enumerate(frame["y"])
    ]


def test_a_classifier_of_complete_rows_predicts_rows_with_missing_values(run):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.normal(size=40), "y": rng.normal(size=40)})
    frame["kind"] = np.where(frame.x > 0.0, "high", "low")
    frame.to_csv("train.csv", index=False)
    new = frame[["x", "y"]].copy()
    new.loc[3, "y"] = np.nan
    new.to_csv("new.csv", index=False)
    quick = ("classify", "train.csv", "--target", "kind", "--folds", 0, "--out")
    run(*quick, "o")
    told = pd.read_csv(io.StringIO(run("predict", "o/model.bayesmix", "new.csv").stdout))
    run(*quick, "p", "--predict", "new.csv")
    both = pd.read_csv("p/predictions.csv")
    model = bm.MixtureClassifier(1, missing="use", random_state=0).fit(
        frame[["x", "y"]], frame.kind
    )
    expected = model.predict_proba(pd.read_csv("new.csv"))
    for answers in (told, both):
        assert np.allclose(answers[["p_high", "p_low"]], expected)
    run(*quick, "q", "--novelty")
    said = run("predict", "q/model.bayesmix", "new.csv", code=2).stderr
    assert "must have no missing values" in said


def test_categories_that_a_classifier_has_not_seen_are_one_note(run):
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"x": rng.normal(size=40), "colour": rng.choice(["red", "blue"], 40)})
    frame["kind"] = np.where(frame.x > 0.0, "high", "low")
    frame.to_csv("train.csv", index=False)
    frame.assign(colour=["violet", *frame.colour[1:]]).to_csv("new.csv", index=False)
    quick = ("classify", "train.csv", "--target", "kind", "--folds", 0, "--out", "o")
    note = (
        "note: 1 row has categories that the fit has not seen, which count as missing: "
        "colour ('violet')"
    )
    assert run(*quick, "--predict", "new.csv").stderr.splitlines().count(note) == 1
    assert run("predict", "o/model.bayesmix", "new.csv").stderr.splitlines() == [note]
    said = run("classify", "train.csv", "--target", "x", code=2).stderr
    assert "y must hold classes, but it has fractions" in said


def test_a_fit_to_complete_rows_predicts_rows_with_missing_values(run):
    x = np.r_[np.arange(20), 40 + np.arange(20)] / 8.0
    frame = pd.DataFrame({"x": x, "y": (7 * x) ** 2 % 3.1, "component": 1})
    frame.to_csv("train.csv", index=False)
    new = frame.copy()
    new.loc[3, "y"] = new.loc[7, ["x", "y"]] = np.nan
    new.to_csv("new.csv", index=False)
    run("fit", "train.csv", "--columns", "x,y", "--components", 2, "--out", "o")
    told = pd.read_csv(io.StringIO(run("predict", "o/model.bayesmix", "new.csv").stdout))
    assert told["component"].isna().to_numpy().nonzero()[0].tolist() == [7]
    model = bm.load("o/model.bayesmix").set_params(missing="use")
    with_gap = model.predict_proba(new.loc[[3], ["x", "y"]])[0]
    assert np.allclose(told.loc[3, ["p1", "p2"]].astype(float), with_gap, rtol=5e-6)  # six digits
    new.loc[[7]].to_csv("empty.csv", index=False)
    said = run("predict", "o/model.bayesmix", "empty.csv", code=2).stderr
    assert "only rows without any value" in said
    new[["x"]].to_csv("short.csv", index=False)
    said = run("predict", "o/model.bayesmix", "short.csv", code=2).stderr
    assert "bayesmix: columns of the fit must be found in short.csv" in said
    keep = ("--keep", "component")
    said = run("predict", "o/model.bayesmix", "new.csv", *keep, code=2).stderr
    assert "must not name columns of the output, got component" in said


def test_saved_classifiers_and_regressions_predict_and_name_what_else_to_use(run):
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"x": rng.uniform(0, 9, 60), "code": [f"r{i}" for i in range(60)]})
    frame["kind"] = np.where(frame.x > 5.0, "high", "low")
    frame["y"] = 2.0 * frame.x + rng.normal(size=60)
    frame.to_csv("data.csv", index=False)
    quick = ("--columns", "x", "--folds", "0", "--out", "classes")
    run("classify", "data.csv", "--target", "kind", *quick)
    run(
        "regress",
        "data.csv",
        "--target",
        "y",
        "--columns",
        "x",
        "--components",
        1,
        "--out",
        "lines",
    )
    classifier, line = bm.load("classes/model.bayesmix"), bm.load("lines/model.bayesmix")
    said = run("predict", "classes/model.bayesmix", "data.csv", "--keep", "code").stdout
    told = pd.read_csv(io.StringIO(said))
    assert told.columns.tolist() == ["code", "class", "p_high", "p_low", "log_density"]
    assert (told["class"] == classifier.predict(frame[["x"]])).all()
    assert np.allclose(told["p_low"], classifier.predict_proba(frame[["x"]])[:, 1])
    run("predict", "lines/model.bayesmix", "data.csv", "--out", "means.csv")
    assert np.allclose(pd.read_csv("means.csv")["mean"], line.predict(frame[["x"]]))
    for folder, remedy in (("classes", ".models_"), ("lines", ".summary()")):
        for command in ("merge", "report"):
            said = run(command, f"{folder}/model.bayesmix", "data.csv", code=2).stderr
            assert f"{command} does not support a " in said
            assert remedy in said
            assert said.count("\n") == 1


def test_analyses_of_mixtures_refuse_classifiers_and_regressions():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(40, 2))
    classifier = bm.MixtureClassifier(random_state=0).fit(X, np.repeat([0, 1], 20))
    line = bm.RegressionMixture(random_state=0).fit(X[:, :1], X[:, 1])
    for analysis in (bm.merge_components, bm.goodness_of_fit):
        with pytest.raises(UnsupportedError, match=r"model\.models_\[name\]"):
            analysis(classifier, X)
    for analysis in (bm.merge_components, bm.plot_density, bm.plot_pairs):
        with pytest.raises(UnsupportedError, match="does not support regressions"):
            analysis(line, X[:, :1])


def test_rows_without_values_are_left_out_of_classes_and_have_no_prediction(run):
    rows = [f"{i % 7},{9 * (i % 2)},{'ab'[i % 2]}" for i in range(20)]
    Path("data.csv").write_text("\n".join(["x,y,kind", *rows[:9], ",,a", *rows[9:]]) + "\n")
    train = run("classify", "data.csv", "--target", "kind", "--folds", "0", "--out", "results")
    assert "left out: 1 row without any value (row 10)" in train.stdout + train.stderr
    run("predict", "results/model.bayesmix", "data.csv", "--out", "new.csv")
    answers = pd.read_csv("new.csv")
    assert answers["class"].isna().to_numpy().nonzero()[0].tolist() == [9]
