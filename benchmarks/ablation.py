"""What each idea of the search is worth: fresh random problems fitted without it.

Problems are those of ``fresh_fits``, with a new seed in every run. What counts is where a fit ends
beside EM from the truth, and how likely fresh rows are: a higher maximum may be an accident.
"""

from __future__ import annotations

import time
import warnings
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

import bayesmix
from bayesmix.parallel import resolve_jobs
from bayesmix.workflow.search.effort import USUAL
from benchmarks.fresh_fits import WITHIN, drawn
from benchmarks.recipes import new_seed

SEARCH = "bayesmix.workflow.search"
IMPROVER = f"{SEARCH}.improvement.Improver"
# What is put in the place of an idea, so that the search goes on without it.
WITHOUT: dict[str, dict[str, Any]] = {
    "as it is": {},
    "no swaps": {f"{IMPROVER}._one_round": lambda self, problem, state: None},
    "no divisions of pairs": {f"{IMPROVER}.divided_anew": lambda self, problem, state: state},
    "no balls": {
        f"{SEARCH}.splits.where_closest": lambda white: [],
        f"{SEARCH}.divisions.where_closest": lambda white: [],
    },
    "one run on the sample": {f"{SEARCH}.optimum.BATCHES_OF_LARGE": (range(2), range(2, 16))},
    "2,000 rows in the sample": {f"{SEARCH}.optimum.ROWS_A_PARAMETER": 0},
    "no graphs of neighbours": {f"{SEARCH}.effort.USUAL": replace(USUAL, by_graph=())},
    "columns in one scale": {
        f"{SEARCH}.starts.stretches": lambda rows, n_components: [np.ones(rows.values.shape[1])]
    },
}


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """For each idea what fits without it reach, and their seconds; 8 problems a repeat."""
    seed, n = new_seed(), 4 if quick else 8 * repeats
    print(f"  seed {seed}, {n} problems", flush=True)
    jobs = (delayed(fitted)(seed, number) for number in range(n))
    done = Parallel(n_jobs=resolve_jobs(None))(jobs)
    table: list[dict[str, Any]] = [{"seed": seed, "problems": n}]
    for name in WITHOUT:
        score, fresh, seconds = np.array([each[name] for each in done]).T
        table.append(
            {
                "search": name,
                "below_em_from_the_truth": float((score < -WITHIN).mean()),
                "mean_above_it": float(score.mean()),
                "mean_above_it_on_fresh_rows": float(fresh.mean()),
                "seconds": float(seconds.sum()),
            }
        )
        print("  ", table[-1], flush=True)
    return table


def fitted(seed: int, number: int) -> dict[str, tuple[float, float, float]]:
    """Without each idea: nats a row above EM from the truth, the same of fresh rows, seconds."""
    warnings.simplefilter("ignore")
    threadpool_limits(1)
    rows, labels, fresh = drawn(seed, number)
    K = int(labels.max()) + 1

    def scores(**settings: Any) -> tuple[float, float]:
        model = bayesmix.GaussianMixture(K, n_jobs=1, **settings).fit(rows)
        return model.score(rows), model.score(fresh)

    truth, truth_of_fresh = scores(init_params=np.eye(K)[labels], search=None)
    found = {}
    for name, replaced in WITHOUT.items():
        with ExitStack() as stack:
            for target, other in replaced.items():
                stack.enter_context(patch(target, other))
            began = time.process_time()
            own, own_of_fresh = scores(random_state=number)
        seconds = time.process_time() - began
        found[name] = (own - truth, own_of_fresh - truth_of_fresh, seconds)
    return found
