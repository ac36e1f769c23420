"""Far rows and heavy tails: how often the right K is chosen with noise and with Student-t."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy import stats

import bayesmix as bm
from bayesmix.numerics.arrays import Array

CANDIDATES = [1, 2, 3, 4]


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per kind of rows and model: four sets a repeat, 20 by default."""
    kinds = {
        "495 normal rows and five far ones": (contaminated, 1),
        "two clusters of t with 2 degrees of freedom": (heavy, 2),
    }
    table = []
    for case, (made, right) in kinds.items():
        sets = [made(seed) for seed in range(4 * (1 if quick else repeats))]
        for name, estimator in models().items():
            found = [chosen(estimator, rows) for rows in sets]
            row = {"case": case, "model": name, "sets": len(sets)}
            row |= {"right K": sum(right == K for K in found), "mean K": float(np.mean(found))}
            table.append(row)
            print("  ", row, flush=True)
    return table


def models() -> dict[str, Any]:
    """The estimators that are compared, all by BIC."""
    return {
        "Gaussian": bm.GaussianMixture(search="short", max_iter=1000),
        "Gaussian and noise": bm.GaussianMixture(search="short", noise="uniform", max_iter=1000),
        "Student-t": bm.Mixture(family=bm.StudentT(), search="short", max_iter=1000),
    }


def chosen(estimator: Any, rows: Array) -> int:
    """K by BIC."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = bm.MixtureSearch(estimator, CANDIDATES, criterion="bic", random_state=0).fit(rows)
    return int(search.best_params_["n_components"])


def contaminated(seed: int) -> Array:
    """Normal rows, and five at random in a square 120 standard deviations wide."""
    rng = np.random.default_rng([26, seed])
    return np.vstack([rng.normal(size=(495, 2)), rng.uniform(-60, 60, (5, 2))])


def heavy(seed: int) -> Array:
    """Two clusters of 300 rows, 12 scales apart."""
    rng = np.random.default_rng([27, seed])
    return np.vstack(
        [
            stats.multivariate_t([12.0 * cluster, 0.0], np.eye(2), df=2, seed=rng).rvs(300)
            for cluster in range(2)
        ]
    )
