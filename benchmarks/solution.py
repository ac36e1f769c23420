"""Seconds to within 1e-6 nats per observation of the best, and passes with and without help."""

from __future__ import annotations

import time
import warnings
from statistics import median
from typing import Any

import numpy as np
import sklearn.mixture

import bayesmix
from benchmarks.passes import from_shares
from benchmarks.problems import Problem

WITHIN = 1e-6
STARTS = 2  # of scikit-learn's own, until one leads to the best optimum


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Time to the same accuracy, and passes saved by acceleration."""
    warnings.simplefilter("ignore")
    n_rows = 100_000 if quick else 1_000_000
    table = [_to_solution(Problem(n_rows, 10, 10, separation)) for separation in (0.7, 1.5, 2.0)]
    table += _accelerated(quick)
    for row in table:
        print("  ", {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})
    return table


class _Timed(sklearn.mixture.GaussianMixture):  # type: ignore[misc]
    """scikit-learn's fit, with the seconds at which it was first that close to ``best``."""

    best = np.inf

    def fit(self, X: Any, y: Any = None) -> Any:
        self.began, self.reached = time.perf_counter(), None
        return super().fit(X)

    def _compute_lower_bound(self, log_resp: Any, log_prob_norm: Any) -> Any:
        value = super()._compute_lower_bound(log_resp, log_prob_norm)
        if self.reached is None and value > self.best - WITHIN:
            self.reached = time.perf_counter() - self.began
        return value


def _to_solution(problem: Problem) -> dict[str, Any]:
    """bayesmix with its defaults, search included, until it says that it has converged.

    For scikit-learn it is the time until it was first within 1e-6 nats per observation of the best,
    so that no setting of ``tol`` would be faster: from its own k-means starts, one after the other
    until one leads there, and begun at the true labels. ``max_iter`` is 40, ``tol`` 1e-7, and
    ``reg_covar`` 1e-9: with the default of 1e-6 it ends 1e-6 nats per observation below.
    """
    rows, labels = problem.labelled_rows()
    K = problem.n_components
    bayesmix.GaussianMixture(K, random_state=1, max_passes=20).fit(rows)
    began = time.perf_counter()
    ours = bayesmix.GaussianMixture(K, random_state=0).fit(rows)
    seconds = time.perf_counter() - began
    told = from_shares(_Timed)(n_components=K, tol=1e-7, max_iter=40, reg_covar=1e-9)
    told.shares, told.best = np.eye(K)[labels], ours.score(rows)
    told.fit(rows)
    best = max(told.best, told.score(rows))
    spent, reached = 0.0, None
    for seed in range(STARTS):
        own = _Timed(n_components=K, tol=1e-7, max_iter=40, reg_covar=1e-9, random_state=seed)
        own.best = best
        began = time.perf_counter()
        own.fit(rows)
        if own.reached is not None:
            reached = own.reached
            break
        spent += time.perf_counter() - began
    return {
        "case": f"{problem.name}, separation {problem.separation:g}: to a solution",
        "bayesmix_s": seconds,
        "bayesmix_below_nats_a_row": best - ours.score(rows),
        "scikit_learn_s": reached,
        "times_faster": None if reached is None else reached / seconds,
        "scikit_learn_s_elsewhere": spent,
        "scikit_learn_s_from_true_labels": told.reached,
        "times_faster_than_from_true_labels": told.reached and told.reached / seconds,
    }


def _accelerated(quick: bool) -> list[dict[str, Any]]:
    """Passes until convergence from one start, plain and accelerated, where clusters overlap."""
    ratios, falls = [], 0.0
    seeds = range(2 if quick else 8)
    for seed, separation in ((seed, separation) for separation in (0.5, 0.7) for seed in seeds):
        rows = Problem(5_000, 2, 4, separation, seed).rows()
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
            "problems": len(ratios),
            "share_of_passes": median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
            "largest_fall": falls,
        }
    ]
