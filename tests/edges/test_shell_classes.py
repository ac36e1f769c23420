"""Classification on the command line."""

import json
from pathlib import Path

import pandas as pd
from edges.test_shell import run  # noqa: F401
from sklearn.datasets import load_iris

import bayesmix as bm


def test_classify_writes_the_classifier_of_the_class(run):  # noqa: F811
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
    answers = pd.read_csv("classes/predictions.csv")
    assert answers["class"].tolist() == ["setosa"] * 5
    assert json.loads(Path("classes/result.json").read_text("utf-8"))["n_parameters"] == 36
    assert Path("classes/classes.png").exists()
    features = frame.drop(columns="species")
    saved = bm.load("classes/model.bayesmix")
    direct = bm.MixtureClassifier(random_state=0).fit(features, frame["species"])
    assert (saved.predict(features) == direct.predict(features)).all()
    assert "no column 'kind'" in run("classify", "train.csv", "--target", "kind", code=2).stderr


def test_classify_refuses_wrong_columns_and_uses_missing_values(run):  # noqa: F811
    frame = load_iris(as_frame=True).frame
    frame.columns = ["a", "b", "c", "d", "species"]
    frame[["a", "b", "c"]].to_csv("new.csv", index=False)
    frame.loc[::7, "a"] = None
    frame.to_csv("train.csv", index=False)
    train = ("classify", "train.csv", "--target", "species", "--folds", "0")
    assert "3 classes, 4 features" in run(*train, "--missing", "use").stdout
    for options, message in (
        ((), "--missing use"),
        (("--columns", "a,species"), "--columns must not include the target"),
        (("--components", "1,2"), "--components must be one number"),
        (("--predict", "new.csv"), "new.csv has no column 'd'"),
    ):
        assert message in run(*train, *options, code=2).stderr
