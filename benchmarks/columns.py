"""Factor analysers where columns are many: seconds, clusters found, and memory by columns."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm

K, FACTORS = 3, 3
SIZES = ((500, 500), (2000, 200), (300, 2000))
COLUMNS = (500, 1000, 2000, 4000)


def rows_of(n: int, n_features: int, seed: int) -> tuple[Any, Any]:
    """K clusters of factor loadings, centres and noise of their own, and which row is of which."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, K, n)
    loadings = rng.normal(size=(K, FACTORS, n_features))
    centres = 0.5 * rng.normal(size=(K, n_features))
    noise = np.sqrt(rng.uniform(0.5, 1.5, (K, n_features)))
    rows = centres[labels] + noise[labels] * rng.normal(size=(n, n_features))
    for k in range(K):
        mine = labels == k
        rows[mine] += rng.normal(size=(int(mine.sum()), FACTORS)) @ loadings[k]
    return rows, labels


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Seconds of a default fit and the adjusted Rand index, median and worst of some problems."""
    found = []
    for n, n_features in SIZES[:1] if quick else SIZES:
        seconds, indices = [], []
        for seed in range(repeats):
            rows, labels = rows_of(n, n_features, seed)
            model = bm.GaussianMixture(
                K, covariance_type=bm.FactorAnalytic(FACTORS), random_state=0
            )
            began = time.perf_counter()
            predicted = model.fit_predict(rows)
            seconds.append(time.perf_counter() - began)
            indices.append(adjusted_rand_score(labels, predicted))
        found.append(
            {
                "case": f"{n:,} x {n_features:,}, K={K}, {FACTORS} factors",
                "seconds": float(np.median(seconds)),
                "slowest": max(seconds),
                "adjusted Rand": float(np.median(indices)),
                "lowest": min(indices),
            }
        )
        print(found[-1], flush=True)
    return found


def memory(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Peak of what a fit of 200 rows allocates, beside the rows and one square matrix."""
    found = []
    for n_features in COLUMNS[:2] if quick else COLUMNS:
        rows, _ = rows_of(200, n_features, 0)
        tracemalloc.start()
        bm.GaussianMixture(
            K, covariance_type=bm.FactorAnalytic(FACTORS), random_state=0, n_jobs=1
        ).fit(rows)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        found.append(
            {
                "case": f"200 x {n_features:,}",
                "peak MB": peak / 1e6,
                "rows MB": rows.nbytes / 1e6,
                "columns x columns MB": 8.0 * n_features**2 / 1e6,
            }
        )
        print(found[-1], flush=True)
    return found
