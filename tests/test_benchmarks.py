"""The benchmarks' own parts: recipes that repeat and refusals; never how long it takes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hunts import fingerprints

import bayesmix
from benchmarks import optimum, passes
from benchmarks.recipes import NAMED, Problem, make, ordinary_problems

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
