"""Choosing K: nested cross-validation, calibrated probabilities, optimism and coverage, many rows.

``nested``: 5 outer and 5 inner folds on Old Faithful, K of 1 to 8, four structures, both methods,
against the same loops in scikit-learn with ten starts. ``calibration``: data sets drawn from a
fixed proper prior with K uniform on 1, 2, 3; what is said to have probability p must come true in a
share p. ``optimism``: what the best candidate's own held-out score promises, what nested
cross-validation says, and what is true; with the coverage of the nested interval. ``large``: a
selection on many rows.
"""

from __future__ import annotations

import math
import time
import warnings
from statistics import mean
from typing import Any

import numpy as np
import sklearn.mixture
from joblib import Parallel, delayed
from scipy.special import softmax
from sklearn.base import clone
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

import bayesmix
from bayesmix.datasets import load_faithful
from bayesmix.estimators.select import comparable
from benchmarks.fresh import came_true
from benchmarks.memory import Peak
from benchmarks.problems import Problem
from benchmarks.recipes import new_seed
from benchmarks.sequential import NormalGamma, log_evidence
from benchmarks.tables import side_by_side

STRUCTURES = ("full", "tied", "diag", "spherical")
NUMBERS = range(1, 9)
METHODS = {
    "EM": (bayesmix.GaussianMixture, sklearn.mixture.GaussianMixture),
    "variational": (comparable, sklearn.mixture.BayesianGaussianMixture),
}


def nested(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Seconds of both loops over both methods on all cores, and their held-out log density.

    With ``repeats`` divisions into outer folds, the same for both sides: what one division says of
    two methods differs from the next by more than they do.
    """
    rows = load_faithful().to_numpy()
    numbers = range(1, 4) if quick else NUMBERS
    structures = STRUCTURES[::3] if quick else STRUCTURES
    procedures = {
        method: bayesmix.MixtureSearch(ours(), numbers, structures, criterion="cv", cv=5)
        for method, (ours, _) in METHODS.items()
    }
    seconds: list[tuple[float, float]] = []
    held: dict[str, list[tuple[float, float]]] = {method: [] for method in METHODS}
    for seed in range(repeats):
        folds = KFold(5, shuffle=True, random_state=seed)
        began = time.perf_counter()
        found = bayesmix.nested_cv(procedures, rows, cv=folds, random_state=seed)
        between = time.perf_counter()
        theirs = _scikit_learn_nested(rows, numbers, structures, folds, seed)
        seconds.append((between - began, time.perf_counter() - between))
        for method, mine in held.items():
            mine.append((found.score(method).value, theirs[method]))
    table: list[dict[str, Any]] = [
        {
            "case": "Old Faithful, 5 x 5 folds, both methods",
            "divisions": repeats,
            **side_by_side(seconds),
        }
    ]
    for method, pairs in held.items():
        table.append(
            {
                "case": f"of these, {method}",
                "bayesmix_held_out": mean(ours for ours, _ in pairs),
                "scikit_learn_held_out": mean(theirs for _, theirs in pairs),
                "divisions_better": sum(ours > theirs for ours, theirs in pairs),
            }
        )
    for row in table:
        print("  ", row, flush=True)
    return table


def _scikit_learn_nested(
    rows: Any, numbers: Any, structures: Any, splitter: Any, seed: int
) -> dict[str, float]:
    """Mean held-out log density by method; methods and outer folds in parallel."""
    jobs = [(method, *split) for split in splitter.split(rows) for method in METHODS]
    parts = Parallel(n_jobs=-1)(
        delayed(_one_outer_fold)(
            METHODS[method][1], rows[train], rows[test], numbers, structures, seed
        )
        for method, train, test in jobs
    )
    held: dict[str, list[Any]] = {method: [] for method in METHODS}
    for (method, _, _), part in zip(jobs, parts, strict=True):
        held[method].append(part)
    return {method: float(np.concatenate(mine).mean()) for method, mine in held.items()}


def _one_outer_fold(
    kind: Any, train: Any, test: Any, numbers: Any, structures: Any, seed: int
) -> Any:
    warnings.simplefilter("ignore")
    best, value = None, -math.inf
    inner = list(KFold(5, shuffle=True, random_state=seed).split(train))
    with threadpool_limits(1):
        for structure in structures:
            for k in numbers:
                model = kind(
                    n_components=k, covariance_type=structure, n_init=10, random_state=seed
                )
                held = [clone(model).fit(train[a]).score_samples(train[b]).sum() for a, b in inner]
                if sum(held) > value:
                    best, value = model, sum(held)
        return best.fit(train).score_samples(test)  # type: ignore[union-attr]


# A fixed proper prior in one dimension, and rows of a data set.
PRIOR: dict[str, Any] = {
    "mean_prior": [0.0],
    "mean_precision_prior": 0.05,
    "degrees_of_freedom_prior": 6.0,
    "covariance_prior": [[6.0]],
}
DRAWN_ROWS = 40
Seed = int | tuple[int, int]
POSSIBLE = (1, 2, 3)
INDEPENDENT = "sequential Monte Carlo"


def drawn(seed: Seed) -> tuple[int, np.ndarray]:
    """K and rows from the prior."""
    generator = np.random.default_rng(seed)
    k = int(generator.choice(POSSIBLE))
    weights = generator.dirichlet(np.ones(k))
    precisions = generator.gamma(3.0, 1.0 / 3.0, k)  # Wishart(1/6, 6) in one dimension
    means = generator.normal(0.0, 1.0 / np.sqrt(0.05 * precisions))
    labels = generator.choice(k, DRAWN_ROWS, p=weights)
    return k, generator.normal(means[labels], 1.0 / np.sqrt(precisions[labels]))[:, None]


def probabilities_of(rows: np.ndarray) -> dict[str, np.ndarray]:
    """P(K | rows) by each column that stands for the evidence; NaN where there is no estimate."""
    estimator = comparable().set_params(**PRIOR)
    search = bayesmix.MixtureSearch(
        estimator, POSSIBLE, also=("evidence",), random_state=0, n_jobs=1
    ).fit(rows)
    by_k = search.results_.sort_values("n_components")  # ranked, as they are
    return {name: softmax(by_k[name].to_numpy()) for name in ("evidence", "elbo_log_k", "elbo")}


def independent_probabilities(seed: Seed, n_particles: int = 4000) -> np.ndarray:
    """P(K | rows) of a data set by sequential Monte Carlo: nothing of the package is in it."""
    _, rows = drawn(seed)
    prior = NormalGamma(
        mean_precision=PRIOR["mean_precision_prior"],
        freedom=PRIOR["degrees_of_freedom_prior"],
        scatter=PRIOR["covariance_prior"][0][0],
    )
    return softmax([log_evidence(rows[:, 0], k, prior, n_particles, 4, seed) for k in POSSIBLE])


def calibrated(seed: int, n_sets: int) -> list[dict[str, Any]]:
    """A row per column: z of each K, log score, in how many data sets there is a value.

    Beside them what independent probabilities have, and how far from these each is at most; then
    how often what the evidence says of its most probable K comes true.
    """
    warnings.simplefilter("ignore")
    seeds = [(seed, number) for number in range(n_sets)]
    sets = [drawn(each) for each in seeds]
    found = Parallel(n_jobs=-1)(delayed(probabilities_of)(rows) for _, rows in sets)
    truth_itself = Parallel(n_jobs=-1)(delayed(independent_probabilities)(each) for each in seeds)
    found = [one | {INDEPENDENT: other} for one, other in zip(found, truth_itself, strict=True)]
    table = []
    for name in (INDEPENDENT, "evidence", "elbo_log_k", "elbo"):
        shares = np.array([each[name] for each in found])
        known = np.isfinite(shares).all(axis=1)
        truth = np.array([[k == possible for possible in POSSIBLE] for k, _ in sets])[known]
        shares = shares[known]
        error = np.sqrt((shares * (1.0 - shares)).sum(axis=0))
        table.append(
            {
                "evidence_by": name,
                "data_sets": int(known.sum()),
                "without_a_value": int((~known).sum()),
                **{
                    f"z_of_K_{k}": float(z)
                    for k, z in zip(POSSIBLE, (truth - shares).sum(axis=0) / error, strict=True)
                },
                "mean_log_score": float(np.log(np.maximum(shares[truth], 1e-300)).mean()),
                "probability_of_the_truth": float(shares[truth].mean()),
                "expected_of_it": float((shares**2).sum(axis=1).mean()),
                "furthest_from_independent": float(
                    np.abs(shares - np.array(truth_itself)[known]).max()
                ),
            }
        )
    said = [(float(each["evidence"].max()), int(each["evidence"].argmax())) for each in found]
    return table + came_true(
        [(p, POSSIBLE[at] == k) for (p, at), (k, _) in zip(said, sets, strict=True) if p > 0.0]
    )


def calibration(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """The table of ``calibrated`` over data sets that are new in every run, 20 a repeat."""
    seed = new_seed()
    table = [{"seed": seed}, *calibrated(seed, 4 if quick else 20 * repeats)]
    for row in table:
        print("  ", row, flush=True)
    return table


def optimism(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Promise, nested estimate and truth, for ever more candidates that differ by chance alone."""
    table = []
    for n_candidates in (2, 8, 32) if not quick else (2, 8):
        n_sets = 20 if quick else 100
        found = Parallel(n_jobs=-1)(
            delayed(_promises)(seed, n_candidates) for seed in range(n_sets)
        )
        naive, nested_score, error, truth, smaller = np.array(found).T
        inside = np.abs(nested_score - smaller.mean()) < 1.96 * error
        table.append(
            {
                "candidates": n_candidates,
                "data_sets": n_sets,
                "own_score": float(naive.mean()),
                "nested": float(nested_score.mean()),
                "true_at_all_rows": float(truth.mean()),
                "true_at_the_folds_rows": float(smaller.mean()),
                "coverage_of_95_percent": float(inside.mean()),
            }
        )
        print("  ", table[-1], flush=True)
    return table


def _promises(seed: int, n_candidates: int) -> tuple[float, ...]:
    """The procedure on one data set of 100 rows: naive, nested, its error, true, true of folds."""
    warnings.simplefilter("ignore")
    generator = np.random.default_rng(seed)
    rows, fresh = (_two_groups(generator, n) for n in (100, 5000))
    model = bayesmix.GaussianMixture(
        search=None, init_params="random_from_data", max_iter=3, tol=1e-12, reg_covar=1e-3
    )
    grid = {"random_state": list(range(n_candidates))}
    search = bayesmix.MixtureSearch(
        model, (4,), param_grid=grid, criterion="cv", cv=5, n_jobs=1, random_state=seed
    ).fit(rows)
    found = bayesmix.nested_cv(search, rows, cv=5, n_jobs=1, random_state=seed)
    score = found.score()
    folds = KFold(5, shuffle=True, random_state=seed).split(rows)
    smaller = [clone(search).fit(rows[train]).score(fresh) for train, _ in list(folds)[:1]]
    naive = search.best_score_ / len(rows)
    return naive, score.value, score.standard_error, search.score(fresh), float(np.mean(smaller))


def _two_groups(generator: np.random.Generator, n: int) -> np.ndarray:
    labels = generator.random(n) < 0.5
    return np.where(labels[:, None], 0.0, 3.0) + generator.normal(size=(n, 2))


def large(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Minutes and peak memory above the data of a selection on 1,000,000 x 10, K of 1 to 15."""
    problem = Problem(50_000 if quick else 1_000_000, 10, 10, 3.0)
    rows, _ = problem.labelled_rows()
    numbers = range(1, 5) if quick else range(1, 16)
    table = []
    for name, run in {
        "bayesmix BIC and ICL": lambda: bayesmix.select(
            rows, numbers, "full", criterion="bic", patience=None
        ),
        "bayesmix ELBO": lambda: bayesmix.select(
            rows, numbers, "full", criterion="elbo", patience=None
        ),
        "scikit-learn BIC": lambda: _scikit_learn_sweep(rows, numbers),
    }.items():
        began = time.perf_counter()
        with Peak() as peak:
            found: Any = run()
        chosen = found if isinstance(found, int) else found.best_params_["n_components"]
        table.append(
            {
                "case": f"{problem.name}, K of 1 to {numbers[-1]}, full: {name}",
                "minutes": (time.perf_counter() - began) / 60.0,
                "peak_MB_above_the_data": peak.above,
                "chosen": chosen,
            }
        )
        print("  ", table[-1], flush=True)
    return table


def _scikit_learn_sweep(rows: Any, numbers: Any) -> int:
    warnings.simplefilter("ignore")
    values = [
        sklearn.mixture.GaussianMixture(k, random_state=0).fit(rows).bic(rows) for k in numbers
    ]
    return int(numbers[int(np.argmin(values))])
