"""Trajectories: time and memory, the number of classes, coverage, and skewed random effects."""

from __future__ import annotations

import resource
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import logsumexp

import bayesmix as bm

ARGUMENTS: dict[str, Any] = {"y": "y", "time": "time", "unit": "unit"}
BOTH = ("intercept", "time")
# Generated sets of which K is chosen, sets of which intervals are counted, and sets with skewed
# effects of each size.
N_SETS, N_COVERAGE, N_SKEWED = 60, 400, 20
# Starts of the reference, and the largest number of classes.
N_STARTS, MOST_CLASSES = 10, 4
TIMES = np.arange(6.0)
CURVES = np.array([[0.0, 0.0], [2.0, 0.6], [4.0, -0.6]])


def courses(
    seed: int, n_units: int, curves: Any, visits: int = 6, skewed: bool = False, effect: float = 0.6
) -> pd.DataFrame:
    """Return a long frame of units with random intercepts and slopes, at the same times."""
    rng = np.random.default_rng(seed)
    curves, time = np.asarray(curves), np.linspace(0.0, 5.0, visits)
    classes = rng.integers(0, len(curves), n_units)
    noise = rng.exponential(1.0, (n_units, 2)) - 1.0 if skewed else rng.normal(size=(n_units, 2))
    effects = curves[classes] + noise * [effect, 0.2 * effect]
    y = effects[:, :1] + effects[:, 1:] * time + rng.normal(0.0, 0.5, (n_units, visits))
    unit = np.repeat(np.arange(n_units), visits)
    return pd.DataFrame({"unit": unit, "time": np.tile(time, n_units), "y": y.ravel()})


def quiet(call: Any) -> Any:
    """Return the value of a call without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()


def reference(y: Any, K: int, seed: int) -> float:
    """Return the largest log likelihood of L-BFGS runs on the density of balanced visits."""
    n, visits = y.shape
    Z = np.column_stack([np.ones(visits), np.linspace(0.0, 5.0, visits)])

    def loss(theta: Any) -> float:
        means = theta[: 2 * K].reshape(K, 2) @ Z.T
        root = np.array([[theta[2 * K], 0.0], theta[2 * K + 1 : 2 * K + 3]])
        V = Z @ root @ root.T @ Z.T + np.exp(theta[2 * K + 3]) * np.eye(visits)
        logs = np.append(0.0, theta[2 * K + 4 :])
        away = y[:, None] - means
        distances = np.einsum("nkt,ts,nks->nk", away, np.linalg.inv(V), away, optimize=True)
        joint = logs - logsumexp(logs) - 0.5 * distances
        return -logsumexp(joint, axis=1).sum() + 0.5 * n * np.linalg.slogdet(2.0 * np.pi * V)[1]

    rng = np.random.default_rng(seed)
    of_units = np.linalg.lstsq(Z, y.T)[0].T
    best = np.inf
    for _ in range(N_STARTS if K > 1 else 1):
        first = of_units[rng.choice(n, K, False)].ravel()
        start = np.concatenate([first, [0.5, 0.0, 0.1, -1.0], np.zeros(K - 1)])
        best = min(best, minimize(loss, start, method="L-BFGS-B").fun)
    return -float(best)


def chosen(seed: int, quick: bool = False) -> list[dict[str, Any]]:
    """Return how often the number of classes is right, beside direct maximum likelihood."""
    rows = []
    for number in range(6 if quick else N_SETS):
        K, separation = 1 + number % 3, (0.7, 1.0)[number // 3 % 2]
        n = (100, 300)[number // 6 % 2]
        frame = courses(seed + number, n, separation * CURVES[:K])
        y = frame["y"].to_numpy().reshape(n, -1)
        numbers = range(1, MOST_CLASSES + 1)
        likelihoods = np.array([reference(y, k, number) for k in numbers])
        parameters = np.array([2 * k + 4 + k - 1 for k in numbers])
        of_reference = 1 + int((-2.0 * likelihoods + parameters * np.log(n)).argmin())
        row: dict[str, Any] = {"K": K, "separation": separation, "n": n, "reference": of_reference}
        options = {"random": BOTH, "random_state": number, "n_components": numbers, "n_jobs": 1}
        searched = quiet(lambda f=frame, o=options: bm.trajectories(f, **ARGUMENTS, **o))
        table = bm.trajectory_table(searched)
        row["bic"] = searched.best_params_["n_components"]
        row["bic_visits"] = int(table["bic_visits"].idxmin())
        row["short_of_reference"] = float((likelihoods - table["log_likelihood"]).max())
        folds = quiet(
            lambda f=frame, o=options: bm.trajectories(f, **ARGUMENTS, **o, criterion="cv")
        )
        row["held_out"] = folds.best_params_["n_components"]
        rows.append(row)
    frame = pd.DataFrame(rows)
    names = ("reference", "bic", "bic_visits", "held_out")
    summary: dict[str, Any] = {f"right_{name}": int((frame[name] == frame["K"]).sum())
                               for name in names}  # fmt: skip
    summary |= {"sets": len(frame), "most_short": frame["short_of_reference"].max()}
    summary["short"] = int((frame["short_of_reference"] > 1e-4).sum())
    return [summary, *rows]


def coverage(seed: int, quick: bool = False) -> list[dict[str, Any]]:
    """Return how often 90 % intervals of slopes, model-based and robust, cover the truth."""
    hits: dict[bool, list[bool]] = {False: [], True: []}
    for number in range(20 if quick else N_COVERAGE):
        frame = courses(seed + number, 200, CURVES[:2])
        model = bm.RegressionMixture(2, random=BOTH, random_state=number, n_init=6)
        fit = model.fit
        quiet(lambda f=frame, fit=fit: fit(f[["time"]], f["y"], groups=f["unit"]))
        for robust, found in hits.items():
            table = model.coefficients(0.9, robust).loc["coefficient"].xs("time", level="term")
            table = table.loc[table.index[np.argsort(table["estimate"])]]
            truth = np.sort(CURVES[:2, 1])
            found += ((table["lower"] < truth) & (truth < table["upper"])).tolist()
    return [{"robust": r, "sets": len(f) // 2, "coverage": np.mean(f)} for r, f in hits.items()]


def skewed(seed: int, quick: bool = False) -> list[dict[str, Any]]:
    """Return how often one class of skewed effects stays one class, and is warned about."""
    rows = []
    for n_units, is_skewed in ((300, True), (3000, True), (300, False), (3000, False)):
        ones = warned_one = warned_chosen = 0
        sets = 3 if quick else N_SKEWED
        for number in range(sets):
            frame = courses(seed + number, n_units, [[1.0, 0.5]], skewed=is_skewed)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                searched = bm.trajectories(
                    frame, **ARGUMENTS, random=BOTH, random_state=number, n_jobs=1
                )
            ones += searched.best_params_["n_components"] == 1
            warned_chosen += any("not normal" in str(each.message) for each in caught)
            simple = next(each for each in searched.estimators_ if each.n_components_ == 1)
            warned_one += any("not normal" in text for text in simple._separated)
        rows.append({"units": n_units, "skewed": is_skewed, "sets": sets, "K = 1": ones,
                     "warned by the search": warned_chosen,
                     "warned at K = 1": warned_one})  # fmt: skip
    return rows


def scale(seed: int, quick: bool = False) -> list[dict[str, Any]]:
    """Return seconds and memory of large data, in memory and from Parquet."""
    frame = courses(seed, 200 if quick else 2000, CURVES, visits=65)
    began = time.perf_counter()
    searched = quiet(lambda: bm.trajectories(frame, **ARGUMENTS, random=BOTH, random_state=0))
    seconds = time.perf_counter() - began
    rows = [{"units": frame["unit"].nunique(), "rows": len(frame), "K": "1 to 5",
             "seconds": seconds, "best": searched.best_params_["n_components"]}]  # fmt: skip
    large = courses(seed, 3500 if quick else 350_000, CURVES, visits=14)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.parquet"
        large.to_parquet(path)
        size = large.memory_usage(index=False).sum()
        del large
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        model = quiet(
            lambda: bm.trajectories(path, **ARGUMENTS, n_components=3, random=BOTH, random_state=0)
        ).best_estimator_
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rows.append({"units": model._data.n_units, "rows": len(model._data.values), "K": "3",
                     "seconds": time.perf_counter() - began, "data_mb": size / 1e6,
                     "peak_mb": peak / 1e3, "peak_before_mb": before / 1e3})  # fmt: skip
    return rows
