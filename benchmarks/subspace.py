"""``select`` on many columns: groups along factors, in single columns, and single groups.

Groups along 3 to 6 factors of 60 to 1,000 columns are compared with ``select`` on the true factors:
the number of clusters, the adjusted Rand index, seconds of processor time. ``gain`` is that of the
held-out log density by which components were put in a subspace of so many directions.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from benchmarks.recipes import along_factors, few_columns_differ

# The rules were chosen on seeds below 100.
FIRST_REPORTED = 100
N_GROUPED, N_SPARSE, N_SINGLE, NEAR = 40, 4, 20, 0.05


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per set, then counts: right where as on the true factors."""
    return measured(FIRST_REPORTED, *((4, 1, 2) if quick else (N_GROUPED, N_SPARSE, N_SINGLE)))


def measured(first: int, n_grouped: int, n_sparse: int, n_single: int) -> list[dict[str, Any]]:
    warnings.simplefilter("ignore")
    table = []
    for seed in range(first, first + n_grouped):
        data = along_factors(seed)
        inside = _chosen(data.factors, data.labels)
        row = _chosen(data.rows, data.labels) | {
            "set": f"{seed} {data.noise}",
            "groups": len(set(data.labels)),
            "factors": data.factors.shape[1],
            "clusters_on_factors": inside["clusters"],
            "ari_on_factors": inside["ari"],
        }
        row["same_number"] = row["clusters"] == row["clusters_on_factors"]
        row["near"] = row["ari"] >= row["ari_on_factors"] - NEAR
        table.append(_shown(row))
    for seed in range(first, first + n_sparse):
        X, labels = few_columns_differ(150, 400, 40, seed)
        table.append(_shown({"set": f"sparse {seed}"} | _chosen(X, labels)))
    for seed in range(first, first + n_single):
        data = along_factors(seed, n_groups=1)
        row = {"set": f"single {seed} {data.noise}"} | _chosen(data.rows, data.labels)
        table.append(_shown(row))
    counts = {
        "set": "all",
        "same_number": sum(row.get("same_number", False) for row in table),
        "near": sum(row.get("near", False) for row in table),
        "sparse_right": sum(row["ari"] == 1.0 for row in table if "sparse" in row["set"]),
        "single_right": sum(row["clusters"] == 1 for row in table if "single" in row["set"]),
    }
    return [*table, _shown(counts)]


def _chosen(X: Any, labels: Any) -> dict[str, Any]:
    began = time.process_time()
    search = bm.select(X, n_jobs=1, random_state=0)
    seconds = time.process_time() - began
    subspace = search._subspace
    return {
        "n": X.shape[0],
        "D": X.shape[1],
        "clusters": search.n_clusters_,
        "components": search.n_components_,
        "structure": repr(search.best_params_.get("covariance_type")),
        "ari": round(float(adjusted_rand_score(labels, search.predict_clusters(X))), 3),
        "gain": None if subspace is None else round(subspace.gain, 1),
        "error": None if subspace is None else round(subspace.standard_error, 1),
        "seconds": round(seconds, 2),
    }


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    print("  ", row, flush=True)
    return row
