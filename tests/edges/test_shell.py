"""The shell from the outside: pipes, folders, words, and results that a script reads."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.shell.fits import program
from bayesmix.shell.screen import printable, worded

ROOT = Path(__file__).parents[2]
FAITHFUL = ROOT / "bayesmix" / "datasets" / "faithful.csv"
TEXT = FAITHFUL.read_text("utf-8")


def bash(command, folder):
    """A line of a shell, whose `bayesmix` is the program."""
    program = f'bayesmix() {{ "{sys.executable}" -m bayesmix "$@"; }}; '
    return subprocess.run(
        ["bash", "-c", program + command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


# Ways in


def test_the_package_runs_as_a_module(tmp_path):
    done = bash("bayesmix --version", tmp_path)
    assert done.stdout == f"bayesmix {bm.__version__}\n"


def test_completion_can_be_installed(run):
    assert "--install-completion" in run("--help").stdout


@pytest.mark.parametrize("name", ["-", "comma.txt", "tab.txt", "semicolon.txt", "spaces.txt"])
def test_text_of_any_separator_and_standard_input_are_the_same_rows(run, name):
    separators = {"comma": ",", "tab": "\t", "semicolon": ";", "spaces": "   "}
    for what, separator in separators.items():
        Path(f"{what}.txt").write_text(TEXT.replace(",", separator))
    arguments = ("--components", 2, "--json")
    stdin = TEXT if name == "-" else None
    found = json.loads(run("fit", name, *arguments, stdin=stdin).stdout)
    expected = json.loads(run("fit", FAITHFUL, *arguments).stdout)
    assert found["data"] == {**expected["data"], "file": name}
    assert found["model"]["means"] == expected["model"]["means"]


def test_faults_of_a_text_are_named_by_its_own_name(run):
    Path("holes.txt").write_text("a\tb\n1\t2\n3\t\n5\t4\n")
    strict = ("--components", 1, "--missing", "error")
    said = run("fit", "holes.txt", *strict, code=2).stderr
    assert said.startswith("bayesmix: holes.txt must have no missing values")
    said = run("fit", "-", *strict, code=2, stdin="a,b\n1,2\n3,\n5,4\n").stderr
    assert said.startswith("bayesmix: standard input must have no missing values")
    assert "no.txt" in run("fit", "no.txt", "--components", 1, code=2).stderr


# Ways out


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_work_goes_on_in_silence_when_its_reader_has_heard_enough(tmp_path):
    line = f'bayesmix fit "{FAITHFUL}" --components 2 --out found | head -n 1; '
    done = bash(line + 'echo "${PIPESTATUS[0]}"', tmp_path)
    assert done.stdout.endswith("columns eruptions, waiting\n0\n")
    assert done.stderr == ""
    assert (tmp_path / "found" / "model.bayesmix").exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that takes no files")
@pytest.mark.parametrize("arguments", [["select", "--out"], ["fit", "--components", "2", "--out"]])
def test_a_folder_that_takes_no_files_is_noticed_before_the_work(run, monkeypatch, arguments):
    monkeypatch.setattr(bm.GaussianMixture, "fit", lambda *rows: 1 / 0)
    monkeypatch.setattr(bm.MixtureSearch, "fit", lambda *rows: 1 / 0)
    done = run(arguments[0], FAITHFUL, *arguments[1:], "/proc/self", code=2)
    assert "cannot be written to" in done.stderr


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that takes no files")
def test_labels_that_cannot_be_written_are_noticed_before_the_model_is_read(run):
    done = run("predict", "no.bayesmix", FAITHFUL, "--out", "/proc/self/labels.csv", code=2)
    assert "cannot be written to" in done.stderr


def test_predict_gives_the_whole_posterior(run):
    X = bm.datasets.load_faithful()
    model = bm.GaussianMixture(3, random_state=0).fit(X)
    model.save("model.bayesmix")
    run("predict", "model.bayesmix", FAITHFUL, "--out", "rows.csv")
    table = pd.read_csv("rows.csv", dtype=str).map(float)
    assert list(table) == ["component", "probability", "log_density", "p1", "p2", "p3"]
    exact = model.predict_proba(X)
    np.testing.assert_allclose(table[["p1", "p2", "p3"]], exact, rtol=5e-6)  # six digits


def test_rows_are_in_the_json_on_request(run):
    bm.GaussianMixture(2, random_state=0).fit(bm.datasets.load_faithful()).save("model.bayesmix")
    arguments = ("predict", "model.bayesmix", FAITHFUL, "--json")
    assert "rows" not in json.loads(run(*arguments).stdout)
    rows = json.loads(run(*arguments, "--rows").stdout)["rows"]
    assert len(rows) == 272
    assert list(rows[0]) == ["component", "probability", "log_density", "p1", "p2"]
    assert all(row["p1"] + row["p2"] == pytest.approx(1.0) for row in rows)


def test_the_result_of_a_search_holds_its_answer_as_data(run):
    arguments = ("--components", "1:2", "--covariance", "full,tied", "--json")
    done = run("select", FAITHFUL, *arguments)
    found = json.loads(done.stdout)
    search = bm.select(FAITHFUL_ROWS, (1, 2), ("full", "tied"))
    chosen = {"n_components": 2, "covariance_type": search.best_params_[KIND]}
    assert found["chosen"] == chosen | {"elbo_prior": pytest.approx(search.best_score_)}
    expected = {str(K): p for K, p in search.k_probabilities_.items()}
    assert found["k_probabilities"] == pytest.approx(expected, abs=1e-9)
    assert found["versions"]["bayesmix"] == bm.__version__
    assert found["cautions"] == search.cautions_


def test_the_automatic_limit_of_k_is_said_at_the_shell_and_kept(run):
    Path("six.csv").write_text("length\n0\n1\n50\n51\n100\n101\n", "utf-8")
    done = run("select", "six.csv", "--json")
    found = json.loads(done.stdout)
    assert any("automatic limit of 3" in each for each in found["cautions"])
    assert set(found["cautions"]) <= set(found["warnings"])
    notes = re.findall("^note: (.*)$", done.stderr, re.MULTILINE)
    assert [worded(each) for each in found["warnings"]] == notes


FAITHFUL_ROWS = bm.datasets.load_faithful()
KIND = "covariance_type"


def test_a_search_without_evidence_has_no_probabilities(run):
    arguments = ("--components", "1:2", "--covariance", "full", "--method", "em", "--json")
    assert json.loads(run("select", FAITHFUL, *arguments).stdout)["k_probabilities"] is None


# Words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("use a prior (prior='auto')", "use a prior (--method map)"),
        ("or covariance_type='diag'", "or --covariance diag"),
        ("n_components=200 must not be", "--components 200 must not be"),
        ("got n_samples = 10: use", "got 10 rows: use"),
        ("path must name a data file", "DATA must name a data file"),
        ("path must name a saved model", "MODEL must name a saved model"),
        ("columns must name at least one", "--columns must name at least one"),
        ("Value error, no such thing", "no such thing"),
        ("fit MaximumLikelihood(), or use noise=None", "fit --method em, or leave out --noise"),
        (
            "use criterion='bic' or irrelevant='independent'",
            "use --criterion bic or --irrelevant independent",
        ),
        ("noise needs Gaussian()", "--noise needs Gaussian()"),
        ("--noise does not support", "--noise does not support"),
        ("set weight_type='sampling' for", "give --weight-type sampling for"),
    ],
)
def test_messages_are_in_the_words_of_the_shell(text, said):
    assert worded(text) == said


def test_a_remedy_names_options_that_are_there(run):
    Path("few.csv").write_text("a,b\n1,2\n3,1\n5,6\n7,9\n2,7\n")
    text = run("fit", "few.csv", "--components", 9, code=2).stderr
    assert "--components 9" in text
    assert "n_components" not in text
    assert "n_samples" not in text


def test_what_a_terminal_would_obey_is_shown_and_not_sent(run):
    frame = bm.datasets.load_faithful()
    frame.columns = ["\x1b[31mlength", "pause\x07"]
    frame.to_csv("odd.csv", index=False)
    done = run("fit", "odd.csv", "--components", 2)
    assert r"\x1b[31mlength, pause\x07" in done.stdout
    assert "\x1b" not in done.output
    assert "\x07" not in done.output
    wrong = run("fit", "odd.csv", "--components", 2, "--columns", "\x1b[2J", code=2)
    assert "\x1b" not in wrong.stderr
    assert printable("schön\x9b") == r"schön\x9b"


@pytest.mark.parametrize(
    ("path", "named"), [("", ".venv/bin/bayesmix"), ("with bayesmix in it", "bayesmix")]
)
def test_the_demo_names_the_program_as_the_shell_finds_it(monkeypatch, path, named):
    monkeypatch.setattr("sys.argv", [".venv/bin/bayesmix", "demo"])
    monkeypatch.setattr("shutil.which", lambda name: path or None)
    assert program() == named


# Rows that belong to no component


@pytest.mark.slow
def test_rows_of_noise_are_counted_and_labelled_minus_one(run):
    rng = np.random.default_rng(3)
    parts = rng.normal(0.0, 1.0, (100, 2)), rng.normal(6.0, 0.7, (80, 2))
    rows = np.vstack([*parts, rng.uniform(-12.0, 15.0, (20, 2))])
    np.savetxt("far.csv", rows, delimiter=",", header="a,b", comments="")
    said = run("select", "far.csv", "--noise", "--components", "1:3", "--out", "found").stdout
    assert "2 components" in said
    assert "noise" in said
    run("fit", "far.csv", "--noise", "--components", 2, "--out", "one")
    model = bm.load("one/model.bayesmix")
    written = json.loads(Path("one/result.json").read_text())["model"]
    assert written["noise_weight"] == pytest.approx(model.noise_weight_)
    labels = run("predict", "one/model.bayesmix", "far.csv").stdout.splitlines()
    assert labels[0] == "component,probability,log_density,p1,p2,p_noise"
    predicted = [int(line.split(",")[0]) for line in labels[1:]]
    labels = model.predict(pd.DataFrame(rows, columns=["a", "b"]))
    np.testing.assert_array_equal(predicted, np.where(labels < 0, -1, labels + 1))
    n_noise = predicted.count(-1)
    assert n_noise > 10
    counted = run("predict", "one/model.bayesmix", "far.csv", "--json").stdout
    assert json.loads(counted)["rows_of_noise"] == n_noise


@pytest.mark.slow
def test_noise_beside_columns_of_text_has_a_weight(run):
    lines = [f"{k % 7},{'x' if k % 2 else 'y'}" for k in range(20)]
    Path("mixed.csv").write_text("\n".join(["a,kind", *lines]))
    arguments = ("--categorical", "kind", "--components", 2, "--noise")
    assert "2 components and noise" in run("fit", "mixed.csv", *arguments).stdout


@pytest.mark.slow
def test_correlated_features_without_clusters_are_left_out_by_regression(run, tmp_path):
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.normal(size=(200, 30))).add_prefix("f")
    table.iloc[:, :5] += rng.normal(size=(200, 1))
    table.to_csv("table.csv", index=False)
    for chosen, options in ((5, []), (0, ["--irrelevant", "regression"])):
        run(
            *("select", "table.csv", "--components", "1,2,3", "--variable-selection"),
            *(*options, "--out", f"out{chosen}"),
        )
        features = pd.read_csv(tmp_path / f"out{chosen}" / "features.csv", index_col="feature")
        assert features["relevant"].sum() == chosen


def test_what_the_answer_says_is_no_note_too(tmp_path):
    generator = np.random.default_rng(5)
    second = np.repeat([0, 4], 150)
    heights = np.round(generator.normal(64 + second, 1.5))
    pd.DataFrame({"height": heights, "age": generator.normal(second)}).to_csv(
        tmp_path / "t.csv", index=False
    )
    done = bash("bayesmix select t.csv --components 1:3", tmp_path)
    assert "Rounded values, spread over their steps: height" in done.stdout
    assert "Rounded values" not in done.stderr
