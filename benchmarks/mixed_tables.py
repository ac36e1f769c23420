"""A table of numbers, categories and counts with gaps: K chosen, seconds, beside StepMix.

StepMix, where it is installed, is fitted at each K from one start (its default) with diagonal
Gaussians and the count among them, for it has neither full covariances beside gaps nor counts; its
K is that of BIC.
"""

from __future__ import annotations

import time
import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm

SEED = 20261123
N_ROWS = 50_000
GROUPS = 4
NUMBERS = ("length", "width", "mass", "age")
LEVELS = {"island": 3, "food": 4, "sex": 2}
SHARE_MISSING = 0.05
CANDIDATES = range(1, 9)


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row for each side."""
    warnings.simplefilter("ignore")
    frame, groups = table(np.random.default_rng(SEED), 2_000 if quick else N_ROWS)
    sides = {"bayesmix": ours}
    if find_spec("stepmix") is None:
        print("  StepMix: not installed, skipped")
    else:
        sides["StepMix"] = theirs
    rows = []
    for name, side in sides.items():
        began = time.perf_counter()
        K, labels = side(frame)
        rows.append(
            {
                "program": name,
                "rows": len(frame),
                "seconds": time.perf_counter() - began,
                "chosen_K": K,
                "true_K": GROUPS,
                "adjusted_Rand": adjusted_rand_score(groups, labels),
            }
        )
        print("  ", rows[-1], flush=True)
    return rows


def table(rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    """Four numbers that correlate, three categories and a count, with gaps; and the groups."""
    groups = rng.choice(GROUPS, n, p=[0.4, 0.3, 0.2, 0.1])
    columns: dict[str, Any] = {}
    centres = 2.0 * rng.normal(size=(GROUPS, len(NUMBERS)))
    mixing = rng.normal(size=(GROUPS, len(NUMBERS), len(NUMBERS))) / 2.0 + np.eye(len(NUMBERS))
    numbers = np.einsum("nd,nde->ne", rng.normal(size=(n, len(NUMBERS))), mixing[groups])
    columns |= dict(zip(NUMBERS, (centres[groups] + numbers).T, strict=True))
    for name, n_levels in LEVELS.items():
        reached = rng.dirichlet(np.ones(n_levels), GROUPS).cumsum(axis=1)
        codes = (rng.random((n, 1)) > reached[groups]).sum(axis=1)
        columns[name] = np.array([f"{name} {code}" for code in range(n_levels)])[codes]
    columns["eggs"] = rng.poisson(np.array([0.5, 2.0, 4.0, 1.0])[groups]).astype(np.float64)
    frame = pd.DataFrame(columns)
    return frame.mask(rng.random(frame.shape) < SHARE_MISSING), groups


def ours(frame: Any) -> tuple[int, Any]:
    """K by ``select``, and labels."""
    search = bm.select(frame, CANDIDATES, missing="use")
    return search.best_estimator_.n_components_, search.predict(frame)


def theirs(frame: Any) -> tuple[int, Any]:
    """K by BIC, and labels."""
    from stepmix import StepMix

    numbers = [*NUMBERS, "eggs"]
    codes = frame[list(LEVELS)].apply(lambda own: own.astype("category").cat.codes)
    rows = pd.concat([frame[numbers], codes.where(codes >= 0)], axis=1)
    parts = {
        "numbers": {"model": "gaussian_diag_nan", "n_columns": len(numbers)},
        "levels": {"model": "categorical_nan", "n_columns": len(LEVELS)},
    }
    fits = []
    for K in CANDIDATES:
        model = StepMix(K, measurement=parts, random_state=0, progress_bar=0, verbose=0)
        fits.append(model.fit(rows))
    best = min(range(len(fits)), key=lambda place: fits[place].bic(rows))
    return CANDIDATES[best], fits[best].predict(rows)
