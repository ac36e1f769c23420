"""The benchmarks' own parts: recipes that repeat and refusals; never how long it takes."""

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hunts import fingerprints
from scipy.stats import multivariate_normal

import bayesmix
from benchmarks import compared, one_tree, optimum, passes
from benchmarks.recipes import NAMED, Problem, make, normals, ordinary_problems

ROOT = Path(__file__).resolve().parents[1]


def test_a_problem_is_its_recipe():
    problem = Problem(200, 3, 4, 2.0)
    rows, labels = problem.labelled_rows()
    np.testing.assert_array_equal(rows, problem.rows())
    assert rows.shape == (200, 3)
    assert set(labels) <= set(range(4))
    assert not np.array_equal(rows, Problem(200, 3, 4, 2.0, seed=1).rows())


def test_every_recipe_has_a_component_for_each_row_and_repeats():
    seeds = {"latent classes": ((), 3), "chain": ((50, 2, 3, 0.9, 2.0), 3), "two near": ((40,), 1)}
    plain = {"separated": (60, 2, 3), "six features": (60, 8, 0), "one normal": (60, 2, 1)}
    plain["few columns differ"] = (60, 8, 3, 0)
    assert set(NAMED) == {*seeds, *plain}
    for name in NAMED:
        if name in seeds:
            arguments, seed = seeds[name]
            one, other = (make(name, np.random.default_rng(seed), *arguments) for _ in range(2))
        else:
            one, other = (make(name, *plain[name]) for _ in range(2))
        rows, labels = one
        assert len(rows) == len(labels)
        np.testing.assert_array_equal(rows, other[0])


def test_there_are_problems_enough():
    problems = list(ordinary_problems())
    assert len({(p.n_features, p.n_components, p.separation) for p in problems}) >= 30
    assert all(problem.n_rows == 8_000 for problem in problems)


def test_fingerprints_tell_rounding_from_what_moved():
    one = fingerprints.results_of(*fingerprints._searched("poisson", "ml"))
    other = fingerprints.results_of(*fingerprints._searched("poisson", "ml"))
    assert fingerprints.compared({"fit": one}, {"fit": other}) == ([], 0)
    assert len(set(one)) > 20
    values = np.array([1.0, 2.0])
    nearly = np.array([1.0, np.nextafter(2.0, 3.0)])
    moved = np.array([1.0, 2.001])
    found = [
        {"fit": fingerprints.numbers_of({"a": 1, "b": (part, 3)})}
        for part in (values, nearly, moved)
    ]
    assert fingerprints.compared(found[0], found[1]) == ([], 1)
    assert fingerprints.compared(found[0], found[2]) == (["fit: b.0"], 0)
    assert fingerprints.compared(found[0], {}) == (["fit: only before"], 0)


def test_evidence_is_compared_under_one_prior_over_k():
    prior = {"1": -0.5, "2": -1.5, "3": -2.5}
    wider = {number: value - 0.25 for number, value in prior.items() if number != "1"}
    first = {"elbo_prior": -100.0, "prior": prior}
    second = {"elbo_prior": -98.25, "prior": wider}
    assert compared.gain(first, second) == pytest.approx(2.0)
    assert compared.gain(second, first) == pytest.approx(-2.0)


def test_the_true_classifier_takes_the_most_probable_group():
    generator = np.random.default_rng(3)
    truth = normals("full", 4, 3, 2.0, generator)
    rows, _ = truth.draw(200, generator)
    density = [
        weight * multivariate_normal(mean, covariance).pdf(rows)
        for weight, mean, covariance in zip(
            truth.weights, truth.means, truth.covariances, strict=True
        )
    ]
    np.testing.assert_array_equal(one_tree.classified(truth, rows), np.argmax(density, axis=0))


@pytest.mark.parametrize("seed", range(5))
def test_groups_of_large_sets_have_eight_rows_a_column(seed):
    specifications = one_tree.large_specifications(seed)
    assert len(specifications) == 30
    # No weight is less than half of 1 / K.
    assert all(n * 0.5 / K >= 8 * D for n, D, K, _ in specifications)
    assert all(2_000 <= n <= 1_000_000 and 2 <= D <= 60 for n, D, *_ in specifications)
    assert {structure for *_, structure in specifications} == set(one_tree.STRUCTURES)


def without_end(data):
    while True:
        time.process_time()


def failing(data):
    raise ValueError("no fit")


def test_a_run_goes_on_where_it_was_and_notes_what_has_no_end_or_fails(tmp_path, capsys):
    measures = [lambda data: {"seconds": data}, without_end, failing]
    problems = [
        one_tree.Problem("small", number, "a name", lambda: 1.5, measure)
        for number, measure in enumerate(measures)
    ]
    out = tmp_path / "lines.jsonl"
    run = partial(one_tree.run, seed=7, out=out, limit=0.05, stop=60.0)
    run(iter(problems[:1]))
    run(iter(problems))
    run(iter(problems))
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [line["number"] for line in lines] == [0, 1, 2]
    assert lines[0]["seconds"] == 1.5
    assert lines[1]["no_end"] == 0.05
    assert lines[2]["error"] == "ValueError: no fit"
    compared.compare(lines[:1], lines[1:], [])
    assert "[(('small', 7, 1), 'a name'), (('small', 7, 2), 'a name')]" in capsys.readouterr().out


def test_a_version_loses_nothing_to_itself(capsys):
    data = one_tree.drawn(one_tree.KINDS["tables"], [0], 20)
    line = {"part": "small", "seed": 0, "number": 0, "name": "tables"} | one_tree.of_small(data)
    compared.compare([line], [line], [])
    printed = capsys.readouterr().out
    assert "0 lost, 0 won, of 1" in printed
    assert "ratio 1.00" in printed


@pytest.mark.slow
def test_an_unknown_part_is_refused():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "everything"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "unknown parts: everything" in done.stderr


@pytest.mark.parametrize("name", ["cores", "processor", "system", "versions"])
def test_the_machine_is_named(name):
    assert passes.description()[name]


def test_a_spike_is_a_component_that_fresh_rows_do_not_bear_out():
    problem = Problem(800, 2, 3, 6.0)
    rows, labels = problem.labelled_rows()
    fresh = problem.fresh_rows(20_000)
    assert not np.isin(fresh[:, 0], rows[:, 0]).any()
    # Eight rows more in a line through a cluster: nothing like it is in fresh ones.
    accident = rows[labels == 0].mean(axis=0) + np.linspace(-1.0, 1.0, 8)[:, None] * [1.0, 1e-3]
    accident[::2, 1] += 1e-3
    spiked = []
    for last in (0, 3):
        shares = np.eye(max(3, last + 1))[np.concatenate([labels, np.full(8, last)])]
        model = bayesmix.GaussianMixture(
            shares.shape[1], init_params=shares, search=None, max_iter=1
        )
        spiked.append(optimum._fitted(model, np.vstack([rows, accident]), fresh).spiked)
    assert spiked == [False, True]
