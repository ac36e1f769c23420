"""Clusters that no rule may hide: few samples in many features, and far samples beside clusters.

Beside far samples, clean ones lose what the component of the far samples weighs: -log(1 - (3 + 1) /
(n + K)) with a Dirichlet prior of one sample per component, 0.033 nats on average. A component with
a weight of 3 / n would cost 0.026.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import bayesmix as bm
from bayesmix.numerics.arrays import Array

SIZES = ((45, 10), (60, 19), (60, 20), (60, 30), (90, 60), (120, 50), (60, 120), (120, 200))


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per size, and one for far samples beside one to four clusters."""
    n_sets = 2 if quick else repeats
    table = []
    for n, n_features in SIZES:
        found = [selected(wide(n, n_features, seed)).n_clusters_ for seed in range(n_sets)]
        row = {"case": f"3 clusters, {n} x {n_features}", "sets": n_sets}
        table.append(row | {"right number of clusters": sum(K == 3 for K in found)})
        print("  ", table[-1], flush=True)
    right, lost = 0, []
    for seed in range(n_sets):
        K = 1 + seed % 4
        rows, far = beside_far(K, seed)
        search = selected(np.vstack([rows, far]))
        right += search.n_clusters_ == K
        lost.append(selected(rows).score(rows) - search.score(rows))
    table.append(
        {
            "case": "1 to 4 clusters and three far samples",
            "sets": n_sets,
            "right number of clusters": right,
            "mean loss per clean sample, nats": float(np.mean(lost)),
            "largest loss": float(np.max(lost)),
        }
    )
    print("  ", table[-1], flush=True)
    return table


def selected(rows: Array) -> Any:
    """The default selection."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bm.select(rows)


def wide(n: int, n_features: int, seed: int) -> Array:
    """Three clusters eight standard deviations apart."""
    generator = np.random.default_rng([seed, n, n_features])
    labels = np.repeat(np.arange(3), n // 3)
    rows: Array = generator.normal(size=(len(labels), n_features))
    rows[:, 0] += 8.0 * labels
    rows[:, 1] += 8.0 * (labels == 1)
    return rows


def beside_far(n_clusters: int, seed: int) -> tuple[Array, Array]:
    """Clusters of 60 samples six standard deviations apart, and three samples far from them."""
    generator = np.random.default_rng([seed, n_clusters, 77])
    centres = 6.0 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 1]])[:n_clusters]
    rows = generator.normal(size=(60 * n_clusters, 3)) + np.repeat(centres, 60, axis=0)
    return rows, generator.normal(size=(3, 3)) * 30.0 + 40.0
