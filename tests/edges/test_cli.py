"""The command line: what it prints, what it writes, and how it ends."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import bayesmix as bm
from bayesmix.families.registry import BY_NAME
from bayesmix.selection.criteria import NAMES, RULE_BEFORE
from bayesmix.shell.app import app
from bayesmix.shell.options import numbers

ROOT = Path(__file__).parents[2]
DATA = ROOT / "bayesmix" / "datasets"
FAITHFUL = str(DATA / "faithful.csv")
IRIS = str(DATA / "iris.csv")
SIX_DIGITS = 5e-6  # relative error of numbers in files for people
COMMANDS = ("demo", "select", "fit", "predict", "crosscheck")
COMMANDS += ("merge", "stability", "sensitivity", "nested", "report", "regress", "trajectories")


def shell(*arguments, **options):
    """Runs the program as a shell does."""
    return subprocess.run(
        [sys.executable, "-c", "from bayesmix.shell import main; main()", *map(str, arguments)],
        cwd=options.pop("cwd", ROOT),
        capture_output=True,
        text=True,
        **options,
    )


# Help


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_in_80_columns(run, command):
    text = run(command, "--help").stdout
    example = re.search(rf"Example:\n +(bayesmix {command} .*)\n", text)
    assert example
    assert max(map(len, text.splitlines())) <= 80


def test_no_command_shows_all_of_them(run):
    text = run().stdout
    assert all(f"  {command} " in text for command in COMMANDS)
    assert "..." not in text.split("Commands:")[1]
    assert "130 interrupted" in text
    assert run("-h").stdout == text


def test_version(run):
    assert run("--version").stdout == f"bayesmix {bm.__version__}\n"


def test_help_names_every_criterion_and_family(run):
    text = " ".join(run("select", "--help").stdout.split())
    assert "..." not in text.replace("1, 2, ...", "")
    for name in {*NAMES, *BY_NAME} - {RULE_BEFORE}:
        assert re.search(rf"\b{name}\b", text), name


@pytest.mark.parametrize("arguments", ["", "--help", "select --help", "--version"])
def test_help_and_version_load_nothing_heavy(arguments):
    heavy = {"matplotlib", "pandas", "pyarrow", "scipy", "sklearn"}
    code = (
        "import sys\nfrom bayesmix.shell import main\n"
        f"sys.argv = ['bayesmix', *{arguments.split()!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('LOADED', *sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.split("LOADED")[1].split())
    assert "bayesmix.shell.app" in loaded
    assert not loaded & heavy


def test_import_of_the_command_line_loads_not_even_typer():
    code = "import sys, bayesmix.shell; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "bayesmix.shell" in done.stdout.split()
    assert not {"typer", "rich", "numpy"} & set(done.stdout.split())


# Select


@pytest.mark.slow
def test_select_prints_the_table_and_the_answer_and_writes_all_files(run):
    done = run("select", FAITHFUL, "--components", "1:3", "--out", "found")
    assert "272 rows, columns eruptions, waiting" in done.stdout
    answer, grid = done.stdout.split("ELBO + log K! + log P(K), nats below the best")
    grid = grid.split("*  chosen")[0]
    assert "2 clusters (probability 0.99)" in answer
    assert 'Cluster 1 (64 %, n = 175): "eruptions" higher (mean 4.29 against 2.04)' in answer
    assert re.search(r"n +272 +175 +97", answer)
    assert re.search(r"eruptions +3.49 \(1.14\) +4.29 \(0.41\) +2.04 \(0.27\)", answer)
    head, *lines = (line.split() for line in grid.split("\n")[1:] if line.strip())
    assert head[:2] == ["components", "full"]
    assert set(head[2:]) == {"tied", "diag", "spherical"}
    assert [line[0] for line in lines if line[0].isdigit()] == ["1", "2", "3"]
    assert "2 normal components with full covariance (n = 272, 2 features)." in done.stdout
    assert "Other criteria: BIC 3 (tied)" in done.stdout
    assert max(map(len, grid.splitlines())) <= 80
    files = {"result.json", "table.csv", "rows.csv", "model.bayesmix", "description.csv"}
    files |= {"clusters.png", "selection.png", "density.png"}
    assert set(os.listdir("found")) == files
    assert all(Path("found", name).stat().st_size for name in files)


def test_files_and_predictions_describe_the_clusters(run):
    run("select", FAITHFUL, "--components", "2", "--covariance", "full", "--out", "found")
    told = json.loads(Path("found/result.json").read_text())["description"]
    assert told["sentences"][0].startswith(
        'Cluster 1 (64 %, n = 175): "eruptions" higher (mean 4.29 against 2.04)'
    )
    table = pd.read_csv("found/description.csv", index_col=["column", "statistic"])
    labels = bm.load("found/model.bayesmix").predict_clusters(bm.datasets.load_faithful())
    waiting = bm.datasets.load_faithful()["waiting"]
    assert table.loc[("waiting", "mean"), "cluster 1"] == pytest.approx(
        waiting[labels == 0].mean(), rel=1e-5
    )
    said = run("predict", "found/model.bayesmix", FAITHFUL, "--out", "labels.csv").stdout
    assert said.startswith("272 rows to 2 clusters: 175, 97; mean log density")
    assert told["sentences"][1] in said
    line = next(line for line in said.splitlines() if line.startswith("waiting"))
    assert f"{waiting[labels == 0].mean():.1f} ({waiting[labels == 0].std():.2f})" in line


def test_the_files_agree_with_one_another(run):
    run("select", FAITHFUL, "--components", "1,2", "--covariance", "full,diag", "--out", "found")
    result = json.loads(Path("found/result.json").read_text())
    table = pd.read_csv("found/table.csv")
    search = bm.load("found/model.bayesmix")
    model, frame = search.best_estimator_, bm.datasets.load_faithful()
    for rows in (
        pd.read_csv("found/rows.csv"),
        pd.read_csv(io.StringIO(run("predict", "found/model.bayesmix", FAITHFUL).stdout)),
    ):
        assert rows["component"].tolist() == (model.predict(frame) + 1).tolist()
        assert rows["cluster"].tolist() == (search.predict_clusters(frame) + 1).tolist()
    assert len(table) == len(result["candidates"]) == 4
    assert result["criterion"] == "elbo_prior"
    chosen = table.loc[table["elbo_prior"].sub(result["chosen"]["elbo_prior"]).abs().idxmin()]
    assert result["chosen"]["covariance_type"] == model.covariance_type
    best = table.loc[table["elbo_prior"].idxmax()]
    assert result["best"]["elbo_prior"] == pytest.approx(best["elbo_prior"], rel=SIX_DIGITS)
    assert result["choice"] == search.answer_.choice
    assert result["choice"] in result["summary"]
    np.testing.assert_allclose(result["model"]["means"], model.means_, rtol=1e-8)
    assert result["model"]["bic"] == pytest.approx(chosen["bic"], rel=SIX_DIGITS)
    assert result["data"]["columns"] == model.feature_names_in_.tolist()
    assert result["interrupted"] is False
    # What was chosen, how sure that is and by what, and what was warned of, as data.
    assert result["chosen"]["n_components"] == 2
    shares = result["k_probabilities"]
    assert set(shares) == set(result["k_prior"]) == {"1", "2"}
    assert sum(shares.values()) == pytest.approx(1.0) == sum(result["k_prior"].values())
    assert "approximation of the log evidence" in result["k_evidence"]
    assert result["k_approximate"] is True
    assert result["cautions"] == search.cautions_
    assert result["versions"]["numpy"] == np.__version__


@pytest.mark.slow
def test_a_choice_by_bic_for_want_of_a_posterior_is_named_as_data(run):
    arguments = ("--components", "2:3", "--covariance", "VVE,EII", "--criterion", "bic", "--json")
    result = json.loads(run("select", FAITHFUL, *arguments).stdout)
    assert result["criterion"] == "bic"
    assert result["chosen"]["covariance_type"] == "VVE"
    assert result["k_probabilities"] is None
    plain = ("--components", "2:3", "--covariance", "full", "--method", "em", "--json")
    assert json.loads(run("select", FAITHFUL, *plain).stdout)["k_probabilities"] is None


def test_one_structure_is_shown_with_other_criteria(run):
    text = run("select", FAITHFUL, "--components", "1:2", "--covariance", "full").stdout
    header = next(line for line in text.splitlines() if line.startswith("components"))
    assert header.split() == ["components", "ELBO+PRIOR", "from", "best", "ELBO", "BIC", "ICL"]
    assert "…" not in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--criterion", "elbo"], "ELBO: candidates"),
        ([], "ELBO + log K! + log P(K): candidates"),
        (["--method", "variational"], "ELBO + log K! + log P(K): candidates"),
        (["--method", "em"], "BIC: candidates"),
        (["--method", "variational", "--criterion", "bic"], "BIC: candidates"),
        (["--criterion", "cv"], "Cross-validated log density: cand"),
        (["--criterion", "aicc"], "AICc: candidates"),
        (["--criterion", "hqc"], "Hannan-Quinn criterion: candidates"),
    ],
)
def test_criterion_and_method_complete_each_other(run, options, said):
    arguments = ("--components", "1:2", "--covariance", "full")
    assert said in run("select", FAITHFUL, *arguments, *options).stdout


def test_json_prints_the_result_and_nothing_else(run):
    arguments = ("select", FAITHFUL, "--components", "1:2", "--covariance", "full", "--json")
    done = run(*arguments, "--out", "found")
    assert json.loads(done.stdout) == json.loads(Path("found/result.json").read_text())
    assert "NaN" not in done.stdout


def test_quiet_prints_the_answer_alone(run):
    arguments = ("--components", "1:2", "--covariance", "full", "--quiet")
    done = run("select", FAITHFUL, *arguments)
    assert done.stdout.startswith("2 clusters (probability 0.99).\nCluster 1 (64 %, n = 175)")
    assert "component   weight" not in done.stdout
    assert run("fit", FAITHFUL, "--components", "2", "-q").stdout.count("\n") == 1


def test_the_same_seed_gives_the_same_result(run):
    arguments = ("fit", FAITHFUL, "--components", "3", "--seed", "4", "--json")
    one, two = (json.loads(run(*arguments).stdout) for _ in range(2))
    one["model"].pop("seconds"), two["model"].pop("seconds")
    assert one == two
    assert one["model"]["seed"] == 4


def test_candidates_without_a_value_are_marked_and_said(run, tmp_path):
    rows = np.vstack([np.random.default_rng(0).normal(0, 1, (40, 2)), np.full((12, 2), 30.0)])
    pd.DataFrame(rows, columns=["a", "b"]).to_csv("ties.csv", index=False)
    arguments = ("--components", "1:3", "--covariance", "full,tied", "--method", "em")
    text = run("select", "ties.csv", *arguments).stdout
    assert re.search(r"^ +2 .* -( |$)", text, re.M)
    assert "no value: a component collapsed" in text


def test_names_with_brackets_are_printed_as_they_are(run):
    frame = bm.datasets.load_faithful()
    frame.columns = ["length [min]", "[red]"]
    frame.to_csv("odd.csv", index=False)
    text = run("fit", "odd.csv", "--components", "2").stdout
    assert "columns length [min], [red]" in text
    assert re.search(r"component +weight +length \[min\] +\[red\]", text)


# Fit


@pytest.mark.slow
@pytest.mark.parametrize("method", ["em", "variational", "map"])
def test_fit_says_what_it_fitted(run, method):
    done = run(
        *("fit", IRIS, "--components", "3", "--exclude", "species"),
        *("--method", method, "--out", "found"),
    )
    assert re.search(
        r"^\d components?( of at most 3)?, full covariance: .* nats, conv", done.stdout, re.M
    )
    assert set(os.listdir("found")) == {"result.json", "model.bayesmix", "density.png"}
    classes = {"variational": "BayesianGaussianMixture"}
    model = json.loads(Path("found/result.json").read_text())["model"]
    assert model["class"] == classes.get(method, "GaussianMixture")
    assert sum(model["weights"]) == pytest.approx(1.0)


def test_columns_weight_and_npy(run):
    frame = bm.datasets.load_faithful().assign(n=2)
    frame.to_csv("rows.csv", index=False)
    arguments = ("fit", "rows.csv", "--components", "2", "--columns", "waiting", "--json")
    weighted = json.loads(run(*arguments, "--weight", "n").stdout)
    assert weighted["data"]["columns"] == ["waiting"]
    assert weighted["data"]["total_weight"] == 544
    plain = json.loads(run(*arguments).stdout)
    assert weighted["model"]["log_likelihood"] == pytest.approx(
        2 * plain["model"]["log_likelihood"], rel=1e-8
    )
    np.save("rows.npy", frame.to_numpy())
    of_array = run("fit", "rows.npy", "--components", "2", "--columns", "1", "--json")
    assert json.loads(of_array.stdout)["model"]["weights"] == plain["model"]["weights"]


def test_a_table_wider_than_the_terminal_goes_on_below(run):
    generator = np.random.default_rng(0)
    names = [f"measurement_{place}" for place in range(50)]
    rows = np.vstack([generator.normal(mean, 1, (60, 50)) for mean in (0, 5)])
    pd.DataFrame(rows, columns=names).to_csv("wide.csv", index=False)
    text = run("fit", "wide.csv", "--components", "2", "--covariance", "diag").stdout
    shown = text.split("nats")[1]
    assert all(f" {name} " in shown.replace("\n", " ") for name in names[:40])
    assert names[40] not in shown
    assert "10 more columns are not shown" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_figures_that_cannot_be_drawn_are_said_aloud(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = run("fit", FAITHFUL, "--components", "2", "--out", "found")
    assert "note: no figures: matplotlib is not installed" in done.stderr
    assert set(os.listdir("found")) == {"result.json", "model.bayesmix"}


# Predict


@pytest.mark.slow
def test_predict_gives_what_the_estimator_gives(run):
    run("fit", FAITHFUL, "--components", "2", "--out", "found")
    # Another order of columns, and one more: the model finds its own by name.
    frame = bm.datasets.load_faithful()
    frame.assign(kind="x")[["waiting", "kind", "eruptions"]].to_csv("other.csv", index=False)
    done = run("predict", "found/model.bayesmix", "other.csv", "--out", "labels.csv")
    labels = pd.read_csv("labels.csv", dtype=str).map(float)
    model = bm.load("found/model.bayesmix")
    assert labels["component"].tolist() == (model.predict(frame) + 1).tolist()
    for name, exact in (
        ("probability", model.predict_proba(frame).max(axis=1)),
        ("log_density", model.score_samples(frame)),
    ):
        np.testing.assert_allclose(labels[name], exact, rtol=SIX_DIGITS)
    assert "272 rows to 2 components" in done.stdout
    piped = run("predict", "found/model.bayesmix", "other.csv")
    assert piped.stdout == Path("labels.csv").read_text()
    frame.columns = ["length", "pause"]
    frame.to_csv("renamed.csv", index=False)
    arguments = ("predict", "found/model.bayesmix", "renamed.csv", "--columns", "length,pause")
    assert run(*arguments).stdout == piped.stdout
    np.save("rows.npy", frame.to_numpy())
    assert run("predict", "found/model.bayesmix", "rows.npy").stdout == piped.stdout
    counted = json.loads(run("predict", "found/model.bayesmix", "other.csv", "--json").stdout)
    assert sum(counted["rows_per_component"]) == 272


@pytest.mark.slow
def test_demo_answers_the_three_questions(run):
    text = run("demo").stdout
    for question in ("How many clusters", "How certain?"):
        assert question in text
    assert "2 normal components with full covariance" in text
    assert {"clusters.png", "density.png", "selection.png", "result.json"} <= set(
        os.listdir("bayesmix-demo")
    )


# Bad input


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fit", "no.csv", "--components", "2"], "no.csv does not exist"),
        (
            ["fit", "holes.csv", "--components", "2", "--missing", "error"],
            "2 of 5 rows have some: 2 (b) and 4 (a)",
        ),
        (["fit", "text.csv", "--components", "2"], "has no column that can be used"),
        (["fit", IRIS, "--components", "2", "--continuous", "species"], "must have numbers in"),
        (["fit", IRIS, "--components", "2", "--columns", "sepal_lenght"], "did you mean 'sepal_l"),
        (["fit", IRIS, "--components", "2", "--weight", "no"], "weight must be found in"),
        (["fit", IRIS, "--components", "200"], "--components 200 must not be larger than"),
        (["fit", IRIS, "--components", "0"], "--components"),
        (["fit", IRIS, "--components", "two"], "--components"),
        (["fit", IRIS], "--components"),
        (["fit", IRIS, "--components", "2", "--covariance", "ful"], "--covariance must be among"),
        (["fit", IRIS, "--components", "2", "--covariance", "full,diag"], "one structure"),
        (["fit", IRIS, "--components", "2", "--method", "mcmc"], "--method"),
        (["fit", IRIS, "--components", "2", "--seed", "-1"], "--seed"),
        (["fit", IRIS, "--components", "2", "--out", "text.csv"], "--out must name a folder"),
        (["fit", "one.csv", "--components", "1"], "at least 2"),
        (["select", IRIS, "--components", "4:2"], "--components must be numbers"),
        (["select", IRIS, "--criterion", "elbo", "--method", "em"], "needs --method variational"),
        (["select", IRIS, "--criterion", "waic"], "--criterion"),
        (["select", IRIS, "--nothing"], "--nothing"),
        (["predict", "no.bayesmix", IRIS], "no.bayesmix does not exist"),
        (["predict", IRIS, IRIS], "is not a model saved by bayesmix"),
        (["predict", IRIS, "model.bayesmix"], "the first argument is the model"),
        (["predict", "model.bayesmix", "one.csv"], "there is no column"),
        (
            ["predict", "model.bayesmix", FAITHFUL, "--out", "no/labels.csv"],
            "no does not exist: create it",
        ),
        (["cluster"], "No such command"),
    ],
)
def test_bad_input_ends_with_2_and_one_line(run, arguments, said):
    Path("holes.csv").write_text("a,b\n1,2\n3,\n5,6\n,8\n9,1\n")
    Path("text.csv").write_text("a\nx\nx\n")
    Path("one.csv").write_text("a\n1\n")
    if "model.bayesmix" in arguments:
        model = bm.GaussianMixture.from_parameters([1.0], [[3.0, 70.0]], [[[1.0, 0.0], [0.0, 9.0]]])
        model.feature_names_in_ = np.array(["eruptions", "waiting"], dtype=object)
        model.save("model.bayesmix")
    done = run(*arguments, code=2)
    assert said in done.stderr
    assert done.stderr.startswith("bayesmix: ")
    assert done.stderr.count("\n") == 1


def test_errors_of_our_own_are_not_hidden(monkeypatch):
    monkeypatch.setattr("bayesmix.io.readers.read_typed", lambda *arguments, **options: 1 / 0)
    result = CliRunner().invoke(app, ["fit", FAITHFUL, "--components", "2"])
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


@pytest.mark.parametrize(
    ("text", "found"),
    [("3", [3]), ("1:4", [1, 2, 3, 4]), ("1,2,5", [1, 2, 5]), (" 2 : 3 , 9,2", [2, 3, 9])],
)
def test_numbers_of_components(text, found):
    assert numbers(text) == found


@pytest.mark.parametrize("text", ["", "0", "0:3", "3:1", "1:", "a", "1;2", "-1", "1.5", "1:2:3"])
def test_numbers_that_are_none(text):
    with pytest.raises(ValueError, match="--components must be numbers"):
        numbers(text)


# Interruption


def test_ctrl_c_between_candidates_keeps_the_best_so_far(run, monkeypatch):
    from bayesmix.selection.tasks import Task

    fit, seen = Task.__call__, []

    def interrupted(task, *candidate):
        seen.append(candidate)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return fit(task, *candidate)

    monkeypatch.setattr(Task, "__call__", interrupted)
    done = run("select", FAITHFUL, "--covariance", "full", "--out", "found", code=130)
    assert "2 clusters." in done.stdout
    assert "Model: 2 normal components" in done.stdout
    assert "note: interrupted: compared the first 2 candidates" in done.stderr
    assert done.stderr.endswith("bayesmix: interrupted\n")
    assert json.loads(Path("found/result.json").read_text())["interrupted"] is True
    assert bm.load("found/model.bayesmix").n_components_ == 2


def test_ctrl_c_before_anything_is_found(run, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("bayesmix.io.readers.read_typed", interrupted)
    done = run("fit", FAITHFUL, "--components", "2", code=130)
    assert done.stderr == "bayesmix: interrupted\n"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_real_ctrl_c_ends_with_130(tmp_path):
    generator = np.random.default_rng(0)
    np.save(tmp_path / "rows.npy", generator.normal(0, 1, (400_000, 8)))
    command = "from bayesmix.shell import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "fit", tmp_path / "rows.npy", "--components", "9"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert "400,000 rows" in process.stdout.readline()
        time.sleep(2.0)
        process.send_signal(signal.SIGINT)
        _, heard = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 130
    assert heard.endswith("bayesmix: interrupted\n")
    assert "Traceback" not in heard


# As a shell sees it


@pytest.mark.slow
def test_exit_codes_and_streams_of_the_real_program(tmp_path):
    fine = shell("fit", FAITHFUL, "--components", "2", "--json", cwd=tmp_path)
    assert (fine.returncode, fine.stderr) == (0, "")
    assert json.loads(fine.stdout)["model"]["n_components"] == 2
    bad = shell("fit", "no.csv", "--components", "2", cwd=tmp_path)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr == "bayesmix: DATA must name a data file, but no.csv does not exist\n"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_reader_that_has_heard_enough_is_no_error(tmp_path):
    model = bm.GaussianMixture.from_parameters([1.0], [[0.0]], [1.0])
    model.save(tmp_path / "model.bayesmix")
    np.save(tmp_path / "rows.npy", np.zeros((200_000, 1)))
    program = f"{sys.executable} -c 'from bayesmix.shell import main; main()'"
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"{program} predict model.bayesmix rows.npy | head -2; exit ${{PIPESTATUS[0]}}",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("component,probability,log_density,p1\n1,1,")
    assert (done.returncode, done.stderr) == (0, "")
