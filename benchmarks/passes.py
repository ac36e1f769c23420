"""Seconds per pass of EM and of variational Bayes: same start, same number of iterations."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn.mixture

import bayesmix
from benchmarks.problems import Problem
from benchmarks.tables import side_by_side

CASES = (
    (Problem(500, 2, 3), "full"),
    (Problem(5_000, 5, 5), "full"),
    (Problem(100_000, 2, 5), "full"),
    (Problem(100_000, 10, 10), "full"),
    (Problem(1_000_000, 10, 10), "full"),
    (Problem(100_000, 50, 20), "full"),
    (Problem(200_000, 20, 50), "diag"),
)
PLAIN = {"tol": 0.0, "search": None, "acceleration": None}


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per case and method: milliseconds a pass of both sides, and the median ratio."""
    table = []
    for problem, covariance in CASES[:4] if quick else CASES:
        rows = problem.rows()
        labels = np.random.default_rng(0).integers(0, problem.n_components, len(rows))
        shares = np.eye(problem.n_components)[labels]
        for method in ("EM", "variational"):
            ours, theirs = _sides(method, problem, covariance, rows, shares)
            few, many = _iterations(problem, covariance)
            for side in (ours, theirs):
                per_pass(side, 1, 2)  # what is loaded once is not a pass
            # Short ones are the most at the mercy of what else the machine does, and cost little.
            n_pairs = repeats * (5 if many > 100 else 1)
            pairs = [
                (per_pass(ours, few, many), per_pass(theirs, few, many)) for _ in range(n_pairs)
            ]
            table.append(
                {
                    "problem": f"{problem.name}, {covariance}",
                    "method": method,
                    **side_by_side(pairs, "ms"),
                }
            )
            print(
                "  {problem:<34} {method:<12} {times_faster:6.1f} x".format(**table[-1]), flush=True
            )
    return table


def _iterations(problem: Problem, covariance: str) -> tuple[int, int]:
    """Few and many: enough between them that the difference is no noise."""
    width = problem.n_features ** (2 if covariance == "full" else 1)
    size = problem.n_rows * problem.n_components * width
    if size < 1e6:
        return 20, 220
    if size < 1e7:
        return 5, 65
    return (3, 43) if size <= 2e8 else (2, 14)


def _sides(
    method: str, problem: Problem, covariance: str, rows: Any, shares: Any
) -> tuple[Callable[[int], Any], Callable[[int], Any]]:
    """Functions that fit with a given number of iterations from the same responsibilities."""
    K = problem.n_components

    def ours(n: int) -> Any:
        if method == "EM":
            model: Any = bayesmix.GaussianMixture(
                K, covariance_type=covariance, max_iter=n, init_params=shares, **PLAIN
            )
        else:
            model = bayesmix.BayesianGaussianMixture(
                K,
                covariance_type=covariance,
                weight_concentration_prior_type="dirichlet_distribution",
                max_iter=n,
                init_params=shares,
                prune=False,
                **PLAIN,
            )
        return model.fit(rows)

    def theirs(n: int) -> Any:
        common = {"covariance_type": covariance, "max_iter": n, "tol": 0.0}
        if method == "EM":
            model: Any = from_shares(sklearn.mixture.GaussianMixture)(n_components=K, **common)
        else:
            model = from_shares(sklearn.mixture.BayesianGaussianMixture)(
                n_components=K,
                weight_concentration_prior_type="dirichlet_distribution",
                **common,
            )
        model.shares = shares
        return model.fit(rows)

    return ours, theirs


def from_shares(base: Any) -> Any:
    """scikit-learn's class, started from given responsibilities instead of k-means."""

    class FromShares(base):  # type: ignore[misc]
        def _initialize_parameters(self, X: Any, random_state: Any, **more: Any) -> None:
            # Only the point estimator knows of array namespaces.
            known = more if issubclass(base, sklearn.mixture.GaussianMixture) else {}
            self._initialize(X, self.shares, **known)

    return FromShares


def per_pass(fit: Callable[[int], Any], few: int, many: int) -> float:
    """Seconds per iteration from the difference of two fits, so that set-up does not count."""
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The better of two: where the machine stumbles in the short fit, passes would cost nothing.
        short = min(_seconds(fit, few), _seconds(fit, few))
        return max(_seconds(fit, many) - short, 1e-9) / (many - few)


def _seconds(fit: Callable[[int], Any], iterations: int) -> float:
    began = time.perf_counter()
    fit(iterations)
    return time.perf_counter() - began
