"""What each idea of the search is worth: fresh random problems fitted without it.

Half of the problems are those of ``fresh_fits``, with how likely fresh rows are (a higher maximum
may be an accident), half the odd shapes of ``shapes``, with any K and structure, by maximum
likelihood and variationally in turn. A loss is to the best that any of the searches found.
"""

from __future__ import annotations

import math
import time
import warnings
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from threadpoolctl import threadpool_limits

import bayesmix
from bayesmix.core.parallel import resolve_jobs
from bayesmix.search.optimum import FULL, Schedule
from benchmarks import fresh_fits, shapes
from benchmarks.recipes import new_seed

SEARCH = "bayesmix.search.optimum"
IMPROVER = f"{SEARCH}.Improver"
# What replaces an idea, so that the search goes on without it.
WITHOUT: dict[str, dict[str, Any]] = {
    "as it is": {},
    "no swaps": {f"{IMPROVER}.improved": lambda self, problem, state: state},
    "no divisions of pairs": {f"{IMPROVER}.divided": lambda self, problem, state: state},
    "one run on the sample": {f"{SEARCH}.ON_A_SAMPLE": Schedule(2, 6, 2)},
    "2,000 rows in the sample": {f"{SEARCH}.ROWS_PER_PARAMETER": 0},
    "no graphs of neighbours": {"bayesmix.search.starts.GRAPH_STARTS": ()},
    "one start settled": {f"{SEARCH}.FULL": replace(FULL, settled=1)},
    "four starts agree": {f"{SEARCH}.FULL": replace(FULL, agree=4)},
    "all starts made": {f"{SEARCH}.FULL": replace(FULL, agree=1000)},
    "not by way of a prior": {
        f"{SEARCH}.OptimumSearch._under_a_prior": lambda self, state, passes: None
    },
    "columns in one scale": {
        "bayesmix.search.starts.heap_factors": lambda rows, n_components: np.ones(
            rows.values.shape[1]
        )
    },
    "trials are never abandoned early": {f"{SEARCH}.STAGES": ((8, math.inf),)},
}


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """For each idea what fits without it lose, and their seconds; 8 problems a repeat."""
    seed, n = new_seed(), 4 if quick else 8 * repeats
    print(f"  seed {seed}, {n} problems", flush=True)
    jobs = (delayed(fitted)(seed, number) for number in range(n))
    done = Parallel(n_jobs=resolve_jobs(None))(jobs)
    table: list[dict[str, Any]] = [{"seed": seed, "problems": n}]
    for kind, mine in (("fresh", done[::2]), ("odd shapes", done[1::2])):
        for name in WITHOUT:
            loss, fresh, seconds = np.array([each[name] for each in mine]).T
            table.append(
                {
                    "problems": kind,
                    "search": name,
                    "behind": float((loss > fresh_fits.WITHIN).mean()),
                    "mean_loss": float(loss.mean()),
                    "fresh_rows_above_as_it_is": float(fresh.mean()),
                    "seconds": float(seconds.sum()),
                }
            )
            print("  ", table[-1], flush=True)
    return table


def fitted(seed: int, number: int) -> dict[str, tuple[float, float, float]]:
    """Without each idea: loss in nats per observation, gain on fresh rows, seconds."""
    warnings.simplefilter("ignore")
    threadpool_limits(1)
    model, rows, fresh = _problem(seed, number)
    found = {}
    for name, replaced in WITHOUT.items():
        with ExitStack() as stack:
            for target, other in replaced.items():
                stack.enter_context(patch(target, other))
            began = time.process_time()
            fit = clone(model).fit(rows)
        seconds = time.process_time() - began
        of_fresh = math.nan if fresh is None else fit.score(fresh)
        found[name] = fit.result_.objective / len(rows), of_fresh, seconds
    best, (_, as_it_is, _) = max(value for value, _, _ in found.values()), found["as it is"]
    return {
        name: (best - value, of_fresh - as_it_is, seconds)
        for name, (value, of_fresh, seconds) in found.items()
    }


def _problem(seed: int, number: int) -> tuple[Any, np.ndarray, np.ndarray | None]:
    """A mixture to fit, rows, and fresh rows where there are any."""
    options = {"random_state": number, "n_jobs": 1}
    if number % 2 == 0:
        rows, labels, fresh = fresh_fits.drawn(seed, number // 2)
        return bayesmix.GaussianMixture(int(labels.max()) + 1, **options), rows, fresh
    rows, K, structure = shapes.problem(seed, number // 2)
    kind = (bayesmix.GaussianMixture, bayesmix.BayesianGaussianMixture)[number // 2 % 2]
    return kind(K, covariance_type=structure, **options), rows, None
