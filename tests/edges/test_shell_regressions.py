"""Covariates and mixtures of regressions on the command line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from laws.cases import generator

import bayesmix as bm


@pytest.fixture
def answers(run):
    rng = generator(1)
    age, party = rng.uniform(20, 80, 400), rng.choice(["left", "right"], 400)
    reads = rng.random(400) < 1 / (1 + np.exp(4 - 0.08 * age))
    yes = rng.random((400, 4)) < np.where(reads[:, None], 0.85, 0.2)
    table = pd.DataFrame(np.where(yes, "yes", "no"), columns=list("abcd"))
    table.assign(age=age, party=party).to_csv("answers.csv", index=False)
    people = pd.DataFrame({"age": age, "party_right": (party == "right").astype(float)})
    return table, people


@pytest.mark.slow
def test_covariates_of_a_fit_are_no_columns_of_it(run, answers):
    table, people = answers
    run("fit", "answers.csv", "--components", 2, "--covariates", "age,party", "--out", "found")
    saved = bm.load("found/model.bayesmix")
    direct = bm.Mixture(2, family="auto", random_state=0).fit(table, covariates=people)
    assert saved.log_likelihood_ == pytest.approx(direct.log_likelihood_, abs=1e-5)
    values = json.loads(Path("found/result.json").read_text("utf-8"))
    assert values["data"]["columns"] == list("abcd")
    assert [row["term"] for row in values["gate"]] == ["intercept", "age", "party_right"]
    run("predict", "found/model.bayesmix", "answers.csv", "--out", "predicted.csv")
    predicted = pd.read_csv("predicted.csv")[["p1", "p2"]]
    expected = saved.predict_proba(table, covariates=people)
    np.testing.assert_allclose(predicted, expected, rtol=5e-6)  # six digits
    expected = direct.gate_coefficients(table)["standard_error"]
    errors = [row["standard_error"] for row in values["gate"]]
    np.testing.assert_allclose(errors, expected, rtol=1e-3)


@pytest.mark.slow
def test_a_selection_with_covariates_is_by_bic(run, answers):
    options = ("--components", "1:3", "--covariates", "age", "--json")
    output = run("select", "answers.csv", "--exclude", "party", *options).stdout
    values = json.loads(output)
    assert values["data"]["columns"] == list("abcd")
    assert [row["term"] for row in values["gate"]] == ["intercept", "age"]
    table, people = answers
    search = bm.select(table, (1, 2, 3), covariates=people[["age"]])
    assert search.n_components_ == 2
    assert search.criterion_ == "bic"
    assert len(search.predict(table, people[["age"]])) == 400


def test_bad_covariates_end_with_a_message(run, answers):
    table, _ = answers
    said = run("select", "answers.csv", "--covariates", "income", code=2).stderr
    assert "no column 'income'" in said
    table.assign(age=np.where(table.a == "yes", np.nan, 1.5)).to_csv("gaps.csv", index=False)
    said = run("fit", "gaps.csv", "--components", 2, "--covariates", "age", code=2).stderr
    assert "column 'age' has missing values" in said


def test_a_response_with_other_cells_is_named_with_its_rows(run):
    Path("weights.csv").write_text(
        "x;kg\n" + "".join(f"{i};{i},5\n" for i in range(20)) + "3;k.A.\n"
    )
    said = run("regress", "weights.csv", "--target", "kg", code=2).stderr
    assert "'kg' is not: numbers except 'k.A.' in row 21" in said
    assert "give --na 'k.A.'" in said


@pytest.mark.slow
def test_regress_writes_the_fit_of_the_class(run):
    rng = generator(2)
    x, kind = rng.uniform(0, 10, 200), rng.choice(["a", "b"], 200)
    y = np.where(rng.random(200) < 0.5, 3 * x, 20 - x) + rng.normal(size=200)
    pd.DataFrame({"x": x, "kind": kind, "y": y}).to_csv("data.csv", index=False)
    options = ("--components", "1:3", "--gate", "kind", "--out", "found")
    output = run("regress", "data.csv", "--target", "y", *options).stdout
    assert "Mixture of 2 normal regressions" in output
    table = pd.read_csv("data.csv")
    gate = pd.get_dummies(table[["kind"]], drop_first=True, dtype=float)
    direct = bm.RegressionMixture(2, random_state=0).fit(table[["x"]], table.y, gate=gate)
    saved = bm.load("found/model.bayesmix")
    pd.testing.assert_frame_equal(saved.coefficients(), direct.coefficients())
    assert json.loads(Path("found/result.json").read_text("utf-8"))["n_components"] == 2
    assert (Path("found") / "regression.png").exists()
    said = run("regress", "data.csv", "--target", "z", code=2).stderr
    assert "no column 'z'" in said
    said = run("regress", "data.csv", "--target", "y", "--response", "poisson", code=2).stderr
    assert "y must be counts" in said
    assert "candidate" not in said


def test_rows_with_missing_values_are_left_out_of_a_regression_on_request(run):
    rng = generator(5)
    table = pd.DataFrame({"dose": rng.uniform(0, 5, 60), "sex": rng.choice(["f", "m"], 60)})
    table["y"] = 3 * table["dose"] + rng.normal(0, 0.5, 60)
    table.loc[[2, 30], "dose"], table.loc[7, "y"] = np.nan, np.nan
    table.to_csv("gaps.csv", index=False, na_rep="?")
    asked = ("regress", "gaps.csv", "--target", "y", "--components", 1)
    for given in ((), ("--missing", "use")):
        said = run(*asked, *given, code=2).stderr
        assert "2 rows of DATA lack some (dose): give --missing drop" in said
    ended = run(*asked, "--missing", "drop", "--json")
    assert "left out: 1 row without a value of 'y'" in ended.stderr
    assert "left out: 2 rows with missing values" in ended.stderr
    whole = table.dropna()
    direct = bm.RegressionMixture(1, random_state=0).fit(whole[["dose", "sex"]], whole["y"])
    run(*asked, "--missing", "drop", "--out", "found", "--quiet")
    said = run("predict", "found/model.bayesmix", "gaps.csv", code=2).stderr
    assert "NaN in row 3, column 'dose'" in said
    found = json.loads(ended.stdout)["log_likelihood"]
    assert found == pytest.approx(direct.log_likelihood_, abs=1e-6)


@pytest.mark.slow
def test_units_without_a_usable_row_are_counted(run):
    rng = generator(6)
    table = pd.DataFrame({"id": np.repeat(np.arange(20), 3), "t": np.tile([0.0, 1.0, 2.0], 20)})
    table["y"] = table["t"] + rng.normal(0, 0.5, 60)
    table["sex"] = table["id"] % 2
    table.loc[table["id"] == 4, "y"] = table.loc[5, "t"] = np.nan
    table.to_csv("long.csv", index=False)
    asked = ("trajectories", "long.csv", "--unit", "id", "--time", "t", "--target", "y")
    ended = run(*asked, "--components", 1, "--missing", "drop", "--json")
    text = "rows without a value of 'y', 't' are left out: 4, among them all rows of 1 unit"
    assert text in ended.stderr
    said = run(*asked, "--missing", "error", code=2).stderr
    assert "time: column 't' is missing in row 6: use --missing drop" in said
    # The words of Python and of bayesmix classes are taken too.
    words = ("--classes", 1, "--class-predictors", "sex", "--missing", "drop")
    ended = run(*asked, *words, "--columns", "t,sex")
    assert "Mixture of 1 normal regression" in ended.stdout
    assert "--columns is not used: name covariates in --fixed" in ended.stderr


@pytest.mark.slow
def test_regressions_of_sequences_are_states_in_order_of_time(run):
    rng = generator(2)
    states, x = np.arange(120) // 20 % 2, rng.normal(size=120)
    y = np.where(states == 0, x, 3 - x) + rng.normal(0, 0.3, 120)
    firm, month = np.repeat([1, 2], 60), np.tile(np.arange(60), 2)
    table = pd.DataFrame({"firm": firm, "month": month, "x": x, "y": y})
    table.sample(frac=1.0, random_state=0).to_csv("firms.csv", index=False)
    options = ("--sequence", "firm", "--order", "month", "--components", 2, "--out", "found")
    run("regress", "firms.csv", "--target", "y", *options)
    saved = bm.load("found/model.bayesmix")
    direct = bm.RegressionMixture(2, random_state=0).fit(table[["x"]], table["y"], sequences=firm)
    # The first firm of the file comes first, and the likelihood does not depend on it.
    assert saved.log_likelihood_ == pytest.approx(direct.log_likelihood_, abs=1e-5)
    coefficients = pd.read_csv("found/table.csv")
    assert {"start", "transition"} <= set(coefficients["part"])
    assert list(coefficients["state"].unique()) == ["state 1", "state 2"]


@pytest.mark.parametrize("unit", [1.0, 9000.0])
def test_coefficients_fit_a_terminal(run, tmp_path, unit):
    rng = np.random.default_rng(11)
    x, second = rng.normal(size=120), rng.integers(0, 2, 120)
    y = unit * (np.where(second, 2.0 + x, -2.0 - x) + 0.3 * rng.normal(size=120))
    pd.DataFrame({"age in years": x, "y": y}).to_csv(tmp_path / "d.csv", index=False)
    shown = run("regress", "d.csv", "--target", "y", "--components", 2).stdout
    table = shown.split("Coefficients")[1].splitlines()[1:]
    assert max(map(len, table)) <= 80
    assert "…" not in shown
    line = next(row for row in table if "intercept" in row)
    assert line.split()[:4] == ["coefficient", "class", "1", "intercept"]
    assert line.split()[-1] == "<0.001"
