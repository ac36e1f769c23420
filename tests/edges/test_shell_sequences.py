"""Hidden Markov models on the command line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from laws.cases import generator

import bayesmix as bm


@pytest.fixture
def patients(run):
    """Three patients of sixty weeks each, with two states; the file is not in order."""
    rng = generator(46, 30)
    week = np.tile(np.arange(60), 3)
    values = rng.normal(3.0 * ((week // 15) % 2), 1.0)
    table = pd.DataFrame({"id": np.repeat(["u", "v", "w"], 60), "week": week, "x": values})
    table.sample(frac=1.0, random_state=0).to_csv("patients.csv", index=False)
    return table


IN_ORDER = ("--sequence", "id", "--order", "week")


def test_sequences_of_a_fit_are_sorted_by_time(run, patients):
    output = run("fit", "patients.csv", "--components", 2, *IN_ORDER, "--out", "found").stdout
    direct = bm.HiddenMarkovModel(2, random_state=0).fit(patients[["x"]], lengths=[60] * 3)
    saved = bm.load("found/model.bayesmix")
    assert saved.log_likelihood_ == pytest.approx(direct.log_likelihood_, abs=1e-6)
    assert "2 states, full covariance: log likelihood" in output
    assert "Transition probabilities" in output
    values = json.loads(Path("found/result.json").read_text("utf-8"))
    moves = [[row["to 1"], row["to 2"]] for row in values["transitions"]]
    np.testing.assert_allclose(moves, direct.transmat_, atol=1e-6)
    assert "transitions.png" in str(values["files"])


@pytest.mark.slow
def test_a_selection_of_states_says_whether_order_matters(run, patients):
    options = ("--components", "1:3", "--covariance", "full", "--method", "em", "--report")
    output = run("select", "patients.csv", *IN_ORDER, *options, "--out", "found").stdout
    assert "2 states by BIC." in output
    assert "The order of samples matters. Best mixture" in output
    search = bm.select(patients[["x"]], (1, 2, 3), "full", "bic", lengths=[60] * 3)
    values = json.loads(Path("found/result.json").read_text("utf-8"))
    assert values["best"]["bic"] == pytest.approx(search.best_score_, abs=1e-6)
    assert Path("found/report.html").exists()


def test_rows_without_values_are_steps_without_evidence(run, patients):
    patients.loc[[3, 70], "x"] = np.nan
    patients.to_csv("patients.csv", index=False)
    run("fit", "patients.csv", "--components", 2, *IN_ORDER, "--missing", "use", "--out", "found")
    direct = bm.HiddenMarkovModel(2, missing="use", random_state=0)
    direct.fit(patients[["x"]], lengths=[60] * 3)
    saved = bm.load("found/model.bayesmix")
    assert saved.log_likelihood_ == pytest.approx(direct.log_likelihood_, abs=1e-6)


@pytest.mark.slow
def test_sequences_are_compared_with_mcmc(run, patients):
    options = ("--components", 2, *IN_ORDER, "--sampler", "gibbs", "--draws", 20, "--chains", 2)
    run("crosscheck", "patients.csv", *options, "--out", "found")
    direct = bm.HiddenMarkovModel(2, inference=bm.VariationalBayes(), random_state=0)
    direct.fit(patients[["x"]], lengths=[60] * 3)
    saved = bm.load("found/model.bayesmix")
    assert saved.elbo_ == pytest.approx(direct.elbo_, abs=1e-6)
    values = json.loads(Path("found/result.json").read_text("utf-8"))
    assert "transmat[state 1, state 2]" in {row["quantity"] for row in values["parameters"]}


def test_predictions_are_in_the_order_of_the_file(run, patients):
    patients.loc[[5], "x"] = np.nan
    shuffled = patients.sample(frac=1.0, random_state=1)
    shuffled.to_csv("patients.csv", index=False)
    direct = bm.HiddenMarkovModel(2, missing="use", random_state=0)
    direct.fit(patients[["x"]], lengths=[60] * 3).save("model.bayesmix")
    run("predict", "model.bayesmix", "patients.csv", *IN_ORDER, "--out", "states.csv")
    expected = direct.predict_proba(patients[["x"]], lengths=[60] * 3)[shuffled.index]
    predicted = pd.read_csv("states.csv")[["p1", "p2"]].to_numpy()
    np.testing.assert_allclose(predicted, expected, rtol=5e-6)  # six digits


@pytest.mark.parametrize("command", ["merge", "report"])
def test_commands_for_clusters_name_what_takes_chains(run, patients, command):
    model = bm.HiddenMarkovModel(2, random_state=0).fit(patients[["x"]], lengths=[60] * 3)
    model.save("model.bayesmix")
    said = run(command, "model.bayesmix", "patients.csv", code=2).stderr
    assert f"{command} does not support hidden Markov models: bayesmix predict" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sequence", "name"), "no column 'name'"),
        (("--order", "week"), "same time: if there are several sequences, give --sequence"),
        (("--order", "id"), "neither a number nor a date"),
        ((*IN_ORDER, "--noise"), "noise does not support sequences"),
        ((*IN_ORDER, "--covariates", "y"), "--covariates must be found in patients.csv"),
        (("--sequence", "id", "--times", "day"), "--times must be found in patients.csv"),
        ((*IN_ORDER, "--times", "week"), "--order and --times must not both be given"),
    ],
)
def test_bad_sequences_end_with_a_message(run, patients, options, message):
    said = run("select", "patients.csv", "--components", 2, *options, code=2).stderr
    assert message in " ".join(said.split())


def test_unequal_steps_of_time_are_refused(run, patients):
    patients.drop(index=7).to_csv("patients.csv", index=False)
    said = run("fit", "patients.csv", "--components", 2, *IN_ORDER, code=2).stderr
    assert "times have unequal steps, from 1 to 2" in " ".join(said.split())
    assert "give --times in place of --order" in " ".join(said.split())


def test_rows_of_sequences_may_alternate_in_the_file(run, patients):
    patients.drop(index=7).sort_values("week", kind="stable").to_csv("patients.csv", index=False)
    run("fit", "patients.csv", "--components", 2, *IN_ORDER[:2], "--columns", "x", "--out", "found")
    table = patients.drop(index=7)
    direct = bm.HiddenMarkovModel(2, random_state=0).fit(table[["x"]], groups=table["id"])
    saved = bm.load("found/model.bayesmix")
    assert saved.log_likelihood_ == pytest.approx(direct.log_likelihood_, abs=1e-6)


def test_sequences_have_covariates_and_uneven_times(run, patients):
    patients["drug"] = (patients["week"] % 7 < 3).astype(float)
    table = patients.drop(index=[7, 71, 130]).reset_index(drop=True)
    shuffled = table.sample(frac=1.0, random_state=1)
    shuffled.to_csv("patients.csv", index=False)
    options = ("--components", 2, "--columns", "x", "--sequence", "id", "--times", "week")
    effects = ("--covariates", "drug", "--covariate-effects", "transitions")
    said = run("fit", "patients.csv", *options, *effects, "--out", "found").stdout
    direct = bm.HiddenMarkovModel(2, covariate_effects="transitions", random_state=0)
    given = {"groups": table["id"], "times": table["week"], "covariates": table[["drug"]]}
    direct.fit(table[["x"]], **given)
    saved = bm.load("found/model.bayesmix")
    assert saved.log_likelihood_ == pytest.approx(direct.log_likelihood_, abs=1e-6)
    assert len(json.loads(Path("found/result.json").read_text("utf-8"))["gate"]) == 5
    assert "Transition probabilities over a time of" in said
    assert "log rates" in said
    shown = ("--sequence", "id", "--times", "week", "--out", "states.csv")
    run("predict", "found/model.bayesmix", "patients.csv", *shown)
    p = pd.read_csv("states.csv")[["p1", "p2"]].to_numpy()
    assert np.allclose(p, direct.predict_proba(table[["x"]], **given)[shuffled.index], atol=1e-5)
    said = run("predict", "found/model.bayesmix", "patients.csv", "--sequence", "id", code=2).stderr
    assert "the fit had --times: give them" in " ".join(said.split())


@pytest.mark.slow
def test_a_selection_compares_the_effects_of_covariates(run):
    rng = generator(46, 31)
    stress, week = rng.normal(size=480), np.tile(np.arange(12), 40)
    states = np.zeros(480, dtype=int)
    for row in range(480):
        last = states[row - 1] if week[row] else rng.random() < 0.5
        states[row] = rng.random() < 1.0 / (1.0 + np.exp(1.5 - 3.0 * last - 1.5 * stress[row]))
    table = pd.DataFrame({"id": np.repeat(np.arange(40), 12), "week": week, "stress": stress})
    table.assign(mood=rng.normal(4.0 * states)).to_csv("moods.csv", index=False)
    options = ("--columns", "mood", "--covariates", "stress", "--components", 2)
    said = run("select", "moods.csv", *IN_ORDER, *options, "--covariance", "tied").stdout
    assert "normal states with covariates of first states and transitions" in " ".join(said.split())
    assert next(line.split()[0] for line in said.splitlines() if "*" in line) == "both"
