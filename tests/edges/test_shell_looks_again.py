"""The commands that look again say what the functions say, and write it; searches are resumed."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

import bayesmix as bm

FAITHFUL = Path(__file__).parents[2] / "bayesmix" / "datasets" / "faithful.csv"
QUICK = ("--components", "1:2", "--covariance", "full", "--method", "em")


@pytest.fixture
def width():
    return 100


@pytest.fixture
def model(run):
    fit = bm.GaussianMixture(4, random_state=0).fit(bm.datasets.load_faithful())
    fit.save("model.bayesmix")
    return fit


def result_of(folder):
    return json.loads(Path(folder, "result.json").read_text("utf-8"))


def test_merge_says_and_writes_which_components_are_one_cluster(run, model):
    X = bm.datasets.load_faithful()
    merging = bm.merge_components(model, X)
    done = run("merge", "model.bayesmix", FAITHFUL, "--out", "merged")
    assert merging.summary().splitlines()[0] in done.stdout
    found = result_of("merged")
    assert found["n_clusters"] == merging.n_clusters
    assert [tuple(group) for group in found["groups"]] == list(merging.groups())
    labels = pd.read_csv("merged/labels.csv")["cluster"]
    assert labels.tolist() == (merging.predict(X) + 1).tolist()
    assert set(os.listdir("merged")) == {"result.json", "tree.csv", "labels.csv", "merge.png"}


def test_merge_takes_the_number_of_clusters(run, model):
    found = json.loads(run("merge", "model.bayesmix", FAITHFUL, "--clusters", 3, "--json").stdout)
    assert (found["n_clusters"], len(found["groups"])) == (3, 3)
    done = run("merge", "model.bayesmix", FAITHFUL, "--clusters", 9, code=2)
    assert "--clusters must be" in done.stderr


def test_stability_says_how_much_remains(run):
    done = run("stability", FAITHFUL, *QUICK, "--resamples", 4, "--out", "stable")
    found = result_of("stable")
    assert found["summary"].splitlines()[0] in done.stdout
    assert len(found["fits"]) == len(pd.read_csv("stable/stability.csv")) == 4
    assert sum(found["shares"].values()) == pytest.approx(1.0)
    assert set(os.listdir("stable")) == {"result.json", "stability.csv", "stability.png"}


@pytest.mark.slow
def test_sensitivity_counts_the_priors_that_agree(run):
    arguments = ("--components", "1:2", "--covariance", "full", "--out", "priors")
    done = run("sensitivity", FAITHFUL, *arguments)
    found = result_of("priors")
    assert found["summary"] in done.stdout
    assert len(found["priors"]) == 27
    assert found["n_components"] == 2
    assert set(os.listdir("priors")) == {"result.json", "priors.csv", "sensitivity.png"}


@pytest.mark.slow
def test_nested_judges_the_search_on_rows_it_has_not_seen(run):
    done = run("nested", FAITHFUL, *QUICK, "--folds", 3, "--out", "nested")
    found = result_of("nested")
    assert "nats per observation. The score without outer folds" in done.stdout
    assert [fold["n_components"] for fold in found["folds"]] == [2, 2, 2]
    search = bm.MixtureSearch(
        bm.GaussianMixture(search="short"), (1, 2), ["full"], polish=6.0, random_state=0
    )
    expected = bm.nested_cv(search, bm.datasets.load_faithful(), 3, random_state=0)
    assert found["held_out"] == pytest.approx(expected.scores["held_out"].iloc[0], rel=1e-8)


@pytest.mark.slow
def test_report_of_a_model_is_a_page_that_loads_nothing(run, model):
    done = run("report", "model.bayesmix", FAITHFUL, "--out", "page.html")
    page = Path("page.html").read_text("utf-8")
    assert "Wrote page.html" in done.stdout
    n_clusters = bm.merge_components(model, bm.datasets.load_faithful()).n_clusters
    assert f"<h1>{n_clusters} clusters</h1>" in page
    assert "4 components" in page
    assert bm.goodness_of_fit(model, bm.datasets.load_faithful(), random_state=0).fits == (
        "does not reject the model" in page
    )
    assert "bayesmix report model.bayesmix" in page
    assert "default-src" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


@pytest.mark.slow
def test_predictions_and_the_report_of_a_saved_search_have_its_clusters(run):
    search = bm.select(bm.datasets.load_faithful(), 3, "tied", random_state=0, n_jobs=1)
    search.save("search.bayesmix")
    sizes = ", ".join(f"{size:.0f}" for size in search.answer_.sizes)
    done = run("predict", "search.bayesmix", FAITHFUL, "--out", "labels.csv")
    assert search.best_estimator_.n_components_ == 3
    assert f"272 rows to 2 clusters: {sizes}; mean log density" in done.stdout
    counted = json.loads(run("predict", "search.bayesmix", FAITHFUL, "--json").stdout)
    assert counted["rows_per_cluster"] == search.answer_.sizes.tolist()
    run("report", "search.bayesmix", FAITHFUL, "--out", "page.html")
    page = Path("page.html").read_text("utf-8")
    assert f"<h1>{search.answer_.headline}</h1>" in page
    assert "bayesmix report search.bayesmix" in page


@pytest.mark.parametrize("command", ["merge", "report"])
def test_model_and_rows_in_the_wrong_order_are_noticed(run, model, command):
    said = run(command, FAITHFUL, "model.bayesmix", code=2).stderr
    assert f"the first argument is the model: bayesmix {command} model.bayesmix" in said


# Resuming


@pytest.mark.slow
def test_a_search_is_resumed_after_ctrl_c_and_ends_as_if_nothing_had_been(run, monkeypatch):
    from bayesmix.selection.tasks import Task

    arguments = ("select", FAITHFUL, "--components", "1:4", *QUICK[2:])
    expected = json.loads(run(*arguments, "--json").stdout)
    fit, seen = Task.__call__, []

    def interrupted(task, *candidate):
        seen.append(candidate)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return fit(task, *candidate)

    monkeypatch.setattr(Task, "__call__", interrupted)
    done = run(*arguments, "--checkpoint", "kept", code=130)
    assert "note: to resume, repeat the command with --checkpoint kept --resume" in done.stderr
    finished, resumed = len(seen) - 1, []
    monkeypatch.setattr(Task, "__call__", lambda task, *one: resumed.append(one) or fit(task, *one))
    found = json.loads(run(*arguments, "--checkpoint", "kept", "--resume", "--json").stdout)
    assert found["best"] == expected["best"]
    assert found["model"]["means"] == expected["model"]["means"]
    assert finished == 2
    assert len(resumed) < 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--resume"], "--resume needs --checkpoint DIR"),
        (["--resume", "--checkpoint", "no"], "--checkpoint no contains nothing to resume"),
        (["--checkpoint", "full"], "--checkpoint full contains files: add --resume"),
    ],
)
def test_checkpoints_that_cannot_be_meant_are_refused(run, arguments, said):
    Path("full").mkdir()
    Path("full", "a.txt").write_text("a")
    assert said in run("select", FAITHFUL, *arguments, code=2).stderr
