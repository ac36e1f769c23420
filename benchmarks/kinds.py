"""Problems of all fourteen kinds: what is lost by ``select``, by all structures and by mclust.

Two problems a kind and n of 100, 300 and 1,000, by a seed that is new in every run. K is 2 to 4
and D 2, 3 or 5, as far as a component has five rows a number of its own. Of a covariance
Σ_k = λ_k D_k A_k D_kᵀ what the letters share is drawn once: standard deviations exp(N(0, 0.4²)),
those along the axes between 1/√3 and √3 of them, axes that are random or the columns. The closest
pair lies 2.5 to 5 apart. The loss is the true mean log density of 10,000 fresh rows less that of
the candidate that was chosen (of ``select`` as it is: of the averaged density).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

import bayesmix
from bayesmix.core.parallel import resolve_jobs
from bayesmix.families.gaussian.covariance.models import STRUCTURES
from benchmarks.recipes import Normals, closest, new_seed
from benchmarks.right_k import mclust_choice

SIZES = (100, 300, 1_000)
N_FRESH = 10_000
ROWS_A_NUMBER = 5
# The six that have a posterior: what a richer default would compare.
SIX = tuple(name for name, each in STRUCTURES.items() if each.nearest is None)
THEIRS = "mclust"
Chosen = tuple[int, float]


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Loss, right K and seconds of every side, by n and pooled, and paired with mclust's."""
    seed, twice = new_seed(), 1 if quick else 2
    tasks = [
        (seed, kind, n, number)
        for n in (SIZES[:1] if quick else SIZES)
        for kind in range(len(STRUCTURES))
        for number in range(twice)
    ]
    print(f"  seed {seed}, {len(tasks)} problems", flush=True)
    workers = Parallel(n_jobs=resolve_jobs(None), return_as="generator")
    done = list(workers(delayed(one_problem)(*task) for task in tasks))
    table: list[dict[str, Any]] = [{"seed": seed, "problems": len(tasks)}]
    for n in (*dict.fromkeys(task[2] for task in tasks), None):
        mine = [each for each in done if n is None or each["n"] == n]
        table += _compared("all" if n is None else f"{n:,}", mine)
    for row in table:
        print("  ", {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})
    return table


def drawn_truth(letters: str, n: int, generator: np.random.Generator) -> Normals:
    """By the recipe at the top of this file."""
    K, D = int(generator.integers(2, 5)), int(generator.choice([2, 3, 5]))
    while n < ROWS_A_NUMBER * K * (1 + D + D * (D + 1) // 2) and (K, D) != (2, 2):
        K, D = (K, {5: 3, 3: 2}[D]) if D > 2 else (K - 1, D)
    volume, shape, orientation = letters
    sizes = np.exp(generator.normal(0.0, 0.4, K))
    logs = generator.uniform(-0.5, 0.5, (K, D)) * np.log(3.0)
    axes = np.linalg.qr(generator.standard_normal((K, D, D)))[0]
    if volume == "E":
        sizes[:] = sizes[0]
    if shape != "V":
        logs[:] = 0.0 if shape == "I" else logs[0]
    if orientation != "V":
        axes[:] = np.eye(D) if orientation == "I" else axes[0]
    roots = axes * (sizes[:, None] * np.exp(logs - logs.mean(axis=1, keepdims=True)))[:, None, :]
    matrices = roots @ roots.transpose(0, 2, 1)
    weights = 0.5 / K + 0.5 * generator.dirichlet(np.full(K, 2.0))
    draws = generator.standard_normal((20, K, D))
    means = max(draws, key=lambda draw: closest(draw, matrices) / draw.std())
    return Normals(
        weights, means * generator.uniform(2.5, 5.0) / closest(means, matrices), matrices
    )


def one_problem(seed: int, kind: int, n: int, number: int) -> dict[str, Any]:
    """What every side makes of one problem."""
    warnings.simplefilter("ignore")
    threadpool_limits(1)
    generator = np.random.default_rng([seed, kind, n, number])
    letters = list(STRUCTURES.values())[kind].letters
    truth = drawn_truth(letters, n, generator)
    rows, _ = truth.draw(n, generator)
    fresh, _ = truth.draw(N_FRESH, generator)
    best = float(truth.log_density(fresh).mean())
    found: dict[str, Any] = {"kind": letters, "n": n, "sides": {}}
    for name, side in SIDES.items():
        began = sum(os.times()[:4])
        chosen = side(rows, fresh)
        if chosen is not None:
            right = chosen[0] == len(truth.weights)
            spent = sum(os.times()[:4]) - began
            found["sides"][name] = (best - chosen[1], float(right), spent)
    return found


def _by_default(rows: Any, fresh: Any) -> Chosen:
    search = bayesmix.select(rows, n_jobs=1, progress=False)
    return search.best_estimator_.n_components_, float(search.averaged_.score_samples(fresh).mean())


def _of_six(rows: Any, fresh: Any) -> Chosen:
    search = bayesmix.select(rows, covariance_type=SIX, n_jobs=1, progress=False)
    return search.best_estimator_.n_components_, float(search.averaged_.score_samples(fresh).mean())


def _all(rows: Any, fresh: Any) -> Chosen:
    search = bayesmix.select(rows, None, "all", criterion="bic", n_jobs=1, progress=False)
    return search.best_estimator_.n_components_, float(search.score_samples(fresh).mean())


def _mclust(rows: Any, fresh: Any) -> Chosen | None:
    found = mclust_choice(rows, fresh)
    return None if found is None else (found[1], float(found[2]))


SIDES: dict[str, Callable[[Any, Any], Chosen | None]] = {
    "select": _by_default,
    "select, six": _of_six,
    "select, all, BIC": _all,
    THEIRS: _mclust,
}


def _compared(sizes: str, done: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a side; against mclust's loss the paired difference and its standard error."""
    table = []
    for name in SIDES:
        mine = [each["sides"][name] for each in done if name in each["sides"]]
        if not mine:
            continue
        loss, right, seconds = np.array(mine).T
        row = {
            "n": sizes,
            "procedure": name,
            "problems": len(mine),
            "loss": float(loss.mean()),
            "right_K": float(right.mean()),
            "cpu_s": float(np.median(seconds)),
        }
        pairs = [
            each["sides"][THEIRS][0] - each["sides"][name][0]
            for each in done
            if name != THEIRS and {name, THEIRS} <= each["sides"].keys()
        ]
        if len(pairs) > 1:
            row["less_than_mclust"] = float(np.mean(pairs))
            row["standard_error"] = float(np.std(pairs, ddof=1) / np.sqrt(len(pairs)))
        table.append(row)
    return table
