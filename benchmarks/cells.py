"""Generated cells: clusters of ``select`` beside Leiden, k-means and HDBSCAN.

8 to 25 groups of .2 to 30 % in 20 to 50 dimensions, skewed, with 5 % doublets, which lie half-way
between two cells. Indices leave out doublets and groups of fewer than 5 D cells, and numbers of
clusters those of fewer. Leiden, of leidenalg where it is installed, is as scanpy calls it, on 15
neighbours at resolution 1, and at the best of .1 to 2; k-means is told the number of groups.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import kneighbors_graph

import bayesmix as bm
from benchmarks.recipes import new_seed

N_CELLS = 10_000
RESOLUTIONS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0)


def drawn(seed: int, n: int = N_CELLS) -> tuple[np.ndarray, np.ndarray]:
    """Return cells (n, D) and their groups (n,), -1 for doublets."""
    generator = np.random.default_rng(seed)
    groups, D = int(generator.integers(8, 26)), int(generator.integers(20, 51))
    shares = np.exp(generator.uniform(np.log(0.002), np.log(0.3), groups))
    labels = generator.choice(groups, n, p=shares / shares.sum())
    centres = generator.normal(size=(groups, D))
    X = np.empty((n, D))
    for k in range(groups):
        rows = labels == k
        noise = generator.normal(size=(int(rows.sum()), D))
        noise = np.sign(noise) * np.abs(noise) ** 1.3
        skewed = np.where(noise > 0, 1.4 * noise, noise)
        X[rows] = centres[k] + skewed @ (np.eye(D) + 0.3 * generator.normal(size=(D, D)))
    both = generator.random(n) < 0.05
    X[both] = (X[both] + X[generator.permutation(n)][both]) / 2
    return X, np.where(both, -1, labels)


def by_select(X: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    search = bm.select(X, random_state=0, progress=False)
    return {"bayesmix": search.predict_clusters(X)}


def by_k_means(X: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    told = len(np.unique(truth[truth >= 0]))
    return {"k-means, told K": KMeans(told, n_init=10, random_state=0).fit_predict(X)}


def by_hdbscan(X: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    return {"HDBSCAN": HDBSCAN(min_cluster_size=5 * X.shape[1] // 4, copy=True).fit_predict(X)}


def by_leiden(X: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Return the labels at resolution 1 and at that of the best index; {} without leidenalg."""
    try:
        import igraph
        import leidenalg
    except ImportError:
        return {}
    links = kneighbors_graph(X, 15).tocoo()
    graph = igraph.Graph(len(X), list(zip(links.row, links.col, strict=True))).simplify()
    found = {
        r: np.array(
            leidenalg.find_partition(
                graph, leidenalg.RBConfigurationVertexPartition, resolution_parameter=r, seed=0
            ).membership
        )
        for r in RESOLUTIONS
    }
    best = max(found.values(), key=lambda labels: index(truth, labels, X.shape[1]))
    return {"Leiden": found[1.0], "Leiden, best resolution": best}


PROGRAMS: tuple[Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]], ...]
PROGRAMS = (by_select, by_leiden, by_k_means, by_hdbscan)


def large(truth: np.ndarray, D: int) -> np.ndarray:
    """Return whether each cell is of a group of 5 D cells or more, and no doublet (n,)."""
    groups, sizes = np.unique(truth[truth >= 0], return_counts=True)
    return np.isin(truth, groups[sizes >= 5 * D])


def index(truth: np.ndarray, labels: np.ndarray, D: int) -> float:
    """Return the adjusted Rand index of the groups that count."""
    counted = large(truth, D)
    return float(adjusted_rand_score(truth[counted], labels[counted]))


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Return a row for each set, and the means."""
    seed, rows = new_seed(), []
    for i in range(1 if quick else 4 * repeats):
        X, truth = drawn(seed + i, 2_000 if quick else N_CELLS)
        n_groups = len(np.unique(truth[large(truth, X.shape[1])]))
        row: dict[str, Any] = {"seed": seed + i, "D": X.shape[1], "groups": n_groups}
        for program in PROGRAMS:
            start = time.process_time()
            with warnings.catch_warnings(action="ignore"):
                found = program(X, truth)
            for name, labels in found.items():
                row[name] = round(index(truth, labels, X.shape[1]), 3)
                sizes = np.unique(labels[labels >= 0], return_counts=True)[1]
                row[f"{name}, clusters"] = int((sizes >= 5 * X.shape[1]).sum())
            for name in list(found)[:1]:
                row[f"{name}, seconds"] = round(time.process_time() - start, 1)
        print("  ", row, flush=True)
        rows.append(row)
    return rows
