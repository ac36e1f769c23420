"""Latent classes beside StepMix: log-likelihoods reached, seconds, and class probabilities.

Ten tables of levels from a seed of its own, whole and with a tenth of the answers missing, K of 1
to 5. StepMix, where it is installed, has one start (its default) and ten; this package has its
defaults. Seconds are of the processor, all threads together: a shared machine changes them least.
"""

from __future__ import annotations

import time
import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

import bayesmix as bm

SEED = 20261123
N_TABLES = 10
MOST_CLASSES = 5
STARTS = (1, 10)
SHARE_MISSING = 0.1
# Log-likelihoods this close are one optimum, in nats.
SAME = 1e-4


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row a table: over K of 1 to 5, what was reached, and how long it took."""
    if find_spec("stepmix") is None:
        print("  StepMix: not installed, skipped")
        return []
    warnings.simplefilter("ignore")
    ours(table(np.random.default_rng(SEED)), 2)  # loads what a first fit loads
    rows = []
    for number in range(2 if quick else N_TABLES):
        whole = table(np.random.default_rng([SEED, number]))
        for missing in (0.0, SHARE_MISSING):
            X = with_gaps(whole, missing, np.random.default_rng([SEED, number, 1]))
            row = {"table": number, "rows": len(X), "columns": X.shape[1], "missing": missing}
            rows.append(row | compared(X))
            print("  ", rows[-1], flush=True)
    return rows


def table(rng: np.random.Generator) -> Any:
    """Codes (n, D) of a mixture of 2 to 5 classes."""
    n, n_columns = int(rng.choice([300, 1000, 2000])), int(rng.integers(5, 13))
    n_classes = int(rng.integers(2, 6))
    classes = rng.choice(n_classes, n, p=rng.dirichlet(np.full(n_classes, 5.0)))
    columns = []
    for n_levels in rng.integers(2, 6, n_columns):
        reached = rng.dirichlet(np.ones(n_levels), n_classes).cumsum(axis=1)
        codes = (rng.random((n, 1)) > reached[classes]).sum(axis=1)
        # Every level that exists occurs: StepMix takes the largest code for the last level.
        columns.append(np.unique(codes, return_inverse=True)[1])
    return np.column_stack(columns).astype(np.float64)


def with_gaps(X: Any, share: float, rng: np.random.Generator) -> Any:
    """The table with a share of its answers missing, at random; no row is without any."""
    gaps = rng.random(X.shape) < share
    gaps[gaps.all(axis=1), 0] = False
    found = np.where(gaps, np.nan, X)
    for column in found.T:
        seen = ~np.isnan(column)
        column[seen] = np.unique(column[seen], return_inverse=True)[1]
    return found


def compared(X: Any) -> dict[str, Any]:
    """Over K: how far behind the other side, at most, and seconds in all."""
    found: dict[str, Any] = {"seconds": 0.0}
    found |= {f"seconds_{n}": 0.0 for n in STARTS}
    behind: dict[str, list[float]] = {
        side: [] for n in STARTS for side in (f"ours_{n}", f"theirs_{n}")
    }
    apart = []
    for K in range(1, MOST_CLASSES + 1):
        mine, seconds = ours(X, K)
        found["seconds"] += seconds
        for n_starts in STARTS:
            likelihood, other, seconds = theirs(X, K, n_starts)
            found[f"seconds_{n_starts}"] += seconds
            gap = likelihood - mine.log_likelihood_
            behind[f"ours_{n_starts}"].append(gap)
            behind[f"theirs_{n_starts}"].append(-gap)
            if abs(gap) < SAME:
                apart.append(difference(run_on(X, mine), run_on(X, other)))
    for n_starts in STARTS:
        found[f"reached_{n_starts}"] = sum(gap < SAME for gap in behind[f"ours_{n_starts}"])
        found[f"behind_{n_starts}"] = max(0.0, *behind[f"ours_{n_starts}"])
        found[f"ahead_{n_starts}"] = max(0.0, *behind[f"theirs_{n_starts}"])
    found["same_optimum"] = len(apart)
    found["probabilities_apart"] = max(apart, default=float("nan"))
    return {name: round(value, 7) for name, value in found.items()}


def ours(X: Any, K: int) -> tuple[Any, float]:
    """A fit with the defaults, and its seconds."""
    began = time.process_time()
    model = bm.Mixture(K, family=bm.Categorical(), missing="use", random_state=0).fit(X)
    return model, time.process_time() - began


def theirs(X: Any, K: int, n_starts: int) -> tuple[float, Any, float]:
    """Log-likelihood, the fit, and seconds."""
    from stepmix import StepMix

    kind = "categorical_nan" if np.isnan(X).any() else "categorical"
    model = StepMix(K, measurement=kind, n_init=n_starts, random_state=0, progress_bar=0, verbose=0)
    began = time.process_time()
    model.fit(X)
    seconds = time.process_time() - began
    return float(model.score(X)) * len(X), model, seconds


def run_on(X: Any, model: Any) -> Any:
    """Probabilities of levels (K, F) where EM ends that begins at a fit of either program.

    Both stop while the likelihood still rises by less than anybody sees, on ridges where 1e-7 nats
    are 1e-4 of a probability.
    """
    start = model.predict_proba(X)
    end = bm.Mixture(
        start.shape[1], family=bm.Categorical(), missing="use", init_params=start, search=None,
        tol=1e-13, max_iter=100_000,
    ).fit(X)  # fmt: skip
    return end.result_.unframed.probabilities


def difference(mine: Any, other: Any) -> float:
    """The largest difference of probabilities, classes matched."""
    cost = np.abs(mine[:, None] - other[None]).max(axis=2)
    return float(cost[linear_sum_assignment(cost)].max())
