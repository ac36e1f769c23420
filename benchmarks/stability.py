"""Dependence of the number of clusters on the seed and on the order of the rows.

Small sets of all recipes (``benchmarks.clusters``), each selected with three seeds, each with the
rows in three orders. A number that was said with a probability of 0.8 should be the same in all
nine.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import bayesmix as bm
from benchmarks.clusters import small
from benchmarks.fresh import shown

FIRST, N_SETS, N_SEEDS, N_ORDERS = 7000, 50, 3, 3
SURE = 0.8


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per data set whose number changes, and the shares of all."""
    warnings.simplefilter("ignore")
    sets = [_of_set(seed) for seed in range(FIRST, FIRST + (3 if quick else N_SETS))]
    changed = [row for row in sets if len(set(row["numbers"])) > 1]
    sure = [row for row in sets if row["probability"] >= SURE]
    total = {
        "sets": len(sets),
        "changed": len(changed),
        "sure": len(sure),
        "sure_and_changed": sum(row in changed for row in sure),
        "changed_by_order_alone": sum(len(set(row["numbers"][:N_ORDERS])) > 1 for row in sets),
    }
    return shown([*changed, total])


def _of_set(seed: int) -> dict[str, Any]:
    """Numbers of clusters by all seeds and orders, with the probability of the first."""
    recipe, rows, n_groups = small(seed)
    orders = [np.arange(len(rows))]
    orders += [np.random.default_rng([seed, i]).permutation(len(rows)) for i in range(1, N_ORDERS)]
    searches = [
        bm.select(rows[order], random_state=random_state, n_jobs=1)
        for random_state in range(N_SEEDS)
        for order in orders
    ]
    first = searches[0]
    return {
        "seed": seed,
        "recipe": recipe,
        "groups": n_groups,
        "probability": float(first.cluster_probabilities_.get(first.n_clusters_, 0.0)),
        "numbers": [search.n_clusters_ for search in searches],
    }
