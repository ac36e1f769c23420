"""Errors, limits and cells such as ``<0.5`` on the command line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from laws.cases import generator

import bayesmix as bm


@pytest.fixture
def lead(run):
    """Two clusters of one column with errors, below 0.5 not detected; hours end at 9."""
    rng = generator(64, 1)
    true = np.concatenate([rng.normal(1.0, 0.5, 60), rng.normal(4.0, 0.7, 40)])
    error = rng.uniform(0.1, 0.4, 100)
    seen = (true + error * rng.normal(size=100)).round(3)
    hours = (10.0 - true + rng.normal(size=100)).round(3)
    table = pd.DataFrame({"site": "s", "lead": seen, "hours": hours, "lead_sd": error})
    cells = table.astype(object)
    cells.loc[seen < 0.5, "lead"] = "<0.5"
    cells.loc[hours > 9.0, "hours"] = "> 9"
    cells.to_csv("lead.csv", index=False)
    table.to_csv("plain.csv", index=False)
    return table


@pytest.mark.slow
def test_cells_below_and_above_a_limit_are_censored_there(run, lead):
    how = ("--columns", "lead,hours", "--covariance", "diag", "--components", 2)
    output = run("fit", "lead.csv", *how, "--out", "found").stdout
    X = lead[["lead", "hours"]]
    data = bm.Measured(X, limits=([0.5, -np.inf], [np.inf, 9.0]))
    direct = bm.GaussianMixture(2, covariance_type="diag", random_state=0).fit(data)
    saved = bm.load("found/model.bayesmix")
    assert saved.log_likelihood_ == pytest.approx(direct.log_likelihood_, rel=1e-7)
    assert "lead.csv: 100 rows, columns lead, hours" in output
    # The same limits as options, for a file of numbers.
    limits = ("--limit", "lead<0.5,hours>9")
    run("fit", "plain.csv", *how, *limits, "--out", "again")
    assert bm.load("again/model.bayesmix").log_likelihood_ == pytest.approx(
        saved.log_likelihood_, rel=1e-7
    )


def test_percent_signs_and_missing_codes_beside_limits_are_read(run, lead):
    shares = [f"{x:.1f}" for x in lead["hours"]]
    cells = pd.read_csv("lead.csv").assign(share=[f"{x} %" for x in shares], kind="a")
    cells.loc[3, "lead"] = "?"
    cells.to_csv("cells.csv", index=False)
    output = run("fit", "cells.csv", "--covariance", "diag", "--components", 1, "--out", "found")
    saved = bm.load("found/model.bayesmix")
    assert list(saved.feature_names_in_) == ["lead", "hours", "lead_sd", "share"]
    assert saved.means_[0, 3] == pytest.approx(np.mean(list(map(float, shares))), rel=1e-6)
    assert "left out: site (one value), kind (one value)" in output.stderr


def test_signs_of_at_most_and_at_least_are_limits(run, lead):
    text = Path("lead.csv").read_text(encoding="utf-8")
    how = ("--columns", "lead,hours", "--covariance", "diag", "--components", 1)
    run("fit", "lead.csv", *how, "--out", "less")
    Path("lead.csv").write_text(text.replace("<", "≤").replace(">", "≥"), encoding="utf-8")
    run("fit", "lead.csv", *how, "--out", "at most")
    fits = [bm.load(f"{name}/model.bayesmix").log_likelihood_ for name in ("less", "at most")]
    assert fits[0] == fits[1]


@pytest.mark.slow
def test_columns_of_errors_are_used_in_fits_and_predictions(run, lead):
    errors = ("--error-columns", "lead=lead_sd")
    run("fit", "lead.csv", "--columns", "lead", *errors, "--components", 2, "--out", "found")
    data = bm.Measured(lead[["lead"]], error=lead[["lead_sd"]], limits=(0.5, None))
    saved = bm.load("found/model.bayesmix")
    direct = bm.GaussianMixture(2, random_state=0).fit(data)
    assert saved.log_likelihood_ == pytest.approx(direct.log_likelihood_, rel=1e-7)
    run("predict", "found/model.bayesmix", "lead.csv", *errors, "--out", "rows.csv")
    predicted = pd.read_csv("rows.csv")
    np.testing.assert_allclose(predicted["log_density"], saved.score_samples(data), rtol=1e-5)


def test_options_of_measured_columns_that_fit_nothing_are_refused(run, lead):
    fit = ("fit", "lead.csv", "--components", 2, "--columns", "lead,hours")
    refused = run(*fit, "--error-columns", "lead_sd", code=2)
    assert "got 1 for 2: give pairs such as" in refused.stderr
    refused = run(*fit, "--limit", "led<0.5", code=2)
    assert "with a column of lead, hours, got 'led<0.5'" in refused.stderr
    refused = run(*fit, "--limit", "lead<0.5", "--counts", "hours", code=2)
    assert "--counts does not support errors and limits" in refused.stderr
    refused = run("fit", "lead.csv", "--components", 2, "--columns", "lead,site", code=2)
    assert "must have a column 'site' of numbers, or of limits" in refused.stderr


@pytest.fixture
def wear(run):
    """Days to failure of two groups; some had not failed when the study ended."""
    rng = generator(64, 2)
    days = np.concatenate([8.0 * rng.weibull(1.5, 100), 60.0 * rng.weibull(4.0, 100)])
    stopped = rng.uniform(5.0, 90.0, 200)
    table = pd.DataFrame({"days": np.minimum(days, stopped), "ended": (days <= stopped) * 1})
    table.to_csv("wear.csv", index=False)
    return table


def test_events_say_which_times_are_lower_bounds(run, wear):
    how = ("--censored", "days:ended", "--family", "weibull", "--components", 2)
    run("fit", "wear.csv", *how, "--out", "found")
    saved = bm.load("found/model.bayesmix")
    assert list(saved.feature_names_in_) == ["days"]
    days, ended = wear[["days"]].to_numpy(), wear[["ended"]].to_numpy() == 1
    data = bm.Measured(days, lower=days, upper=np.where(ended, days, np.inf))
    direct = bm.Mixture(2, family=bm.Weibull(), random_state=0).fit(data)
    assert saved.log_likelihood_ == pytest.approx(direct.log_likelihood_, rel=1e-7)
    wear.assign(ended=np.where(ended.ravel(), "yes", "No")).to_csv("words.csv", index=False)
    run("fit", "words.csv", *how, "--out", "again")
    assert bm.load("again/model.bayesmix").log_likelihood_ == saved.log_likelihood_
    run("predict", "found/model.bayesmix", "wear.csv", "--censored", "days:ended", "--out", "p.csv")
    np.testing.assert_allclose(
        pd.read_csv("p.csv")["log_density"], saved.score_samples(data), rtol=1e-4
    )


def test_columns_of_events_must_say_yes_or_no(run, wear):
    for how, words in (
        ("days", "such as time:delta"),
        ("days:gone", "no column 'gone'"),
        ("days:days", "1 (ended) or 0 (not yet)"),
    ):
        refused = run("fit", "wear.csv", "--components", 1, "--censored", how, code=2)
        assert words in " ".join(refused.stderr.split())


def test_columns_are_successes_in_trials_of_a_column_or_a_number(run):
    rng = generator(64, 3)
    shots, kicks = rng.integers(3, 40, (2, 100))
    group = np.arange(100) % 2
    hits, goals = rng.binomial(shots, 0.2 + 0.5 * group), rng.binomial(kicks, 0.7 - 0.5 * group)
    table = pd.DataFrame({"name": "x", "hits": hits, "shots": shots, "goals": goals})
    table.assign(kicks=kicks).to_csv("games.csv", index=False)
    pairs = ("--trials", "hits=shots,goals=kicks")
    run("fit", "games.csv", *pairs, "--family", "binomial", "--components", 2, "--out", "found")
    saved = bm.load("found/model.bayesmix")
    X, trials = np.stack([hits, goals], axis=1), np.stack([shots, kicks], axis=1)
    direct = bm.Mixture(2, family=bm.Binomial(), random_state=0).fit(X, trials=trials)
    assert saved.log_likelihood_ == pytest.approx(direct.log_likelihood_, rel=1e-9)
    run("predict", "found/model.bayesmix", "games.csv", *pairs, "--out", "p.csv")
    density = saved.score_samples(pd.DataFrame(X, columns=["hits", "goals"]), trials=trials)
    np.testing.assert_allclose(pd.read_csv("p.csv")["log_density"], density, rtol=1e-4)
    assert "2 classes" in run("select", "games.csv", *pairs, "--components", "1:2").stdout
    table[["hits", "shots"]].to_csv("hits.csv", index=False)
    for given in ("shots", "40"):
        how = ("--columns", "hits", "--trials", given, "--family", "binomial", "--components", 1)
        assert "log likelihood" in run("fit", "hits.csv", *how).stdout


def test_trials_that_are_no_numbers_of_trials_are_refused(run):
    pd.DataFrame({"hits": [3, 5, 2], "shots": [4, 5, 1]}).to_csv("hits.csv", index=False)
    for given, words in (
        ("hits,shots", "a number, a column, or pairs"),
        ("hits=tries", "'tries' of numbers"),
        ("shots", "2 successes in 1 trials in row 2, column 'hits'"),
    ):
        how = ("--family", "binomial", "--components", 1, "--trials", given)
        refused = run("fit", "hits.csv", *how, code=2)
        assert words in " ".join(refused.stderr.split())
    refused = run("fit", "hits.csv", "--family", "binomial", "--components", 1, code=2)
    assert "give --trials" in " ".join(refused.stderr.split())
