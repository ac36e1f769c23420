"""Seconds to a solution: within 1e-6 nats a row of the best, and passes with and without help."""

from __future__ import annotations

import time
import warnings
from statistics import median
from typing import Any

import sklearn.mixture

import bayesmix
from benchmarks.problems import Problem

WITHIN = 1e-6


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Time to the same accuracy from scikit-learn's own start, and passes saved by acceleration."""
    warnings.simplefilter("ignore")
    table = [_to_solution(Problem(100_000 if quick else 1_000_000, 10, 10, 3.0))]
    table += _accelerated(quick)
    for row in table:
        print("  ", {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})
    return table


def _to_solution(problem: Problem) -> dict[str, Any]:
    """scikit-learn with ever smaller ``tol`` from k-means; bayesmix with its defaults."""
    rows, K = problem.rows(), problem.n_components
    bayesmix.GaussianMixture(K, random_state=1, max_passes=20).fit(rows)
    began = time.perf_counter()
    ours = bayesmix.GaussianMixture(K, random_state=0).fit(rows)
    ours_seconds = time.perf_counter() - began
    best = ours.score(rows)
    began = time.perf_counter()
    theirs = sklearn.mixture.GaussianMixture(K, random_state=0, tol=1e-7, max_iter=300).fit(rows)
    theirs_seconds = time.perf_counter() - began
    return {
        "case": f"{problem.name}, separation {problem.separation:g}: to a solution",
        "bayesmix_s": ours_seconds,
        "scikit_learn_s": theirs_seconds,
        "times_faster": theirs_seconds / ours_seconds,
        "scikit_learn_below_nats_a_row": best - theirs.score(rows),
        "scikit_learn_passes": theirs.n_iter_,
        "bayesmix_passes": ours.result_.passes,
    }


def _accelerated(quick: bool) -> list[dict[str, Any]]:
    """Passes until convergence from one start, plain and accelerated, where clusters overlap."""
    ratios, falls = [], 0.0
    for seed in range(3 if quick else 8):
        rows = Problem(5_000, 2, 4, 1.0, seed).rows()
        passes = []
        for acceleration in (None, "auto"):
            model = bayesmix.GaussianMixture(
                4,
                search=None,
                acceleration=acceleration,
                max_iter=20_000,
                random_state=seed,
            ).fit(rows)
            passes.append(model.result_.passes)
            steps = model.objective_trace_
            falls = min(falls, float(((steps[1:] - steps[:-1]) / abs(steps[1:])).min()))
        ratios.append(passes[1] / passes[0])
    return [
        {
            "case": "accelerated against plain passes, strong overlap",
            "share_of_passes": median(ratios),
            "largest_fall": falls,
        }
    ]
