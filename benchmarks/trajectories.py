"""Trajectories: optima, the number of classes, coverage, skewed effects, time and memory."""

from __future__ import annotations

import resource
import tempfile
import time
import warnings
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import chi2

import bayesmix as bm

ARGUMENTS: dict[str, Any] = {"y": "y", "time": "time", "unit": "unit"}
BOTH = ("intercept", "time")
# Generated sets of which K is chosen, sets of which intervals are counted, and sets with skewed
# effects of each size.
N_SETS, N_COVERAGE, N_SKEWED, N_LEVEL = 60, 400, 20, 100
N_STARTS = 10  # of the reference
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


def gaps(seed: int, n_units: int, curves: Any, fewest: int = 1, most: int = 7) -> pd.DataFrame:
    """Return a long frame of units with several visits at times of their own."""
    frame, rng = courses(seed, n_units, curves, most), np.random.default_rng(seed)
    frame["time"] += rng.uniform(-0.4, 0.4, len(frame))
    visits = rng.integers(fewest, most + 1, n_units)
    return frame[frame.groupby("unit").cumcount() < visits[frame["unit"]]]


def reference(frame: pd.DataFrame, K: int, n_starts: int, seed: int) -> float:
    """Return the largest log likelihood of L-BFGS runs on dense marginal densities of units."""
    sizes, groups, lines = frame.groupby("unit")["y"].transform("size"), [], []
    for size, rows in frame.groupby(sizes):
        y, time = (rows[name].to_numpy().reshape(-1, int(size)) for name in ("y", "time"))
        time = time[:1] if (time == time[:1]).all() else time
        Z = np.stack([np.ones(time.shape), time], axis=2)
        groups.append((y, Z))
        if size > 1:
            lines.append((np.linalg.pinv(Z) @ y[:, :, None])[:, :, 0])

    def loss(theta: Any) -> tuple[float, Any]:
        logs, total = log_softmax(np.append(0.0, theta[2 * K + 4 :])), 0.0
        root = np.array([[theta[2 * K], 0.0], theta[2 * K + 1 : 2 * K + 3]])
        residual, slopes = np.exp(theta[2 * K + 3]), np.zeros((K, 2))
        of_root, of_residual, counts = np.zeros((2, 2)), 0.0, np.zeros(K)
        for y, Z in groups:
            V = Z @ root @ root.T @ Z.mT + residual * np.eye(y.shape[1])
            precision = np.linalg.inv(V)
            away = y[:, None] - theta[: 2 * K].reshape(K, 2) @ Z.mT
            scaled = away @ precision
            joint = logs - 0.5 * (scaled * away).sum(axis=2)
            constant = np.broadcast_to(np.linalg.slogdet(2.0 * np.pi * V)[1], len(y))
            total += 0.5 * constant.sum() - logsumexp(joint, axis=1).sum()
            shares = softmax(joint, axis=1)
            of_variance = 0.5 * (precision - (scaled * shares[:, :, None]).mT @ scaled)
            slopes -= (shares[:, :, None] * (scaled @ Z)).sum(axis=0)
            of_root += 2.0 * (Z.mT @ of_variance @ Z).sum(axis=0) @ root
            of_residual += residual * np.trace(of_variance, axis1=1, axis2=2).sum()
            counts += shares.sum(axis=0)
        of_logs = counts.sum() * np.exp(logs) - counts
        parts = (slopes.ravel(), of_root[np.tril_indices(2)], [of_residual], of_logs[1:])
        return total, np.concatenate(parts)

    rng, of_units = np.random.default_rng(seed), np.concatenate(lines)
    best = np.inf
    for _ in range(n_starts if K > 1 else 1):
        first = of_units[rng.choice(len(of_units), K, False)].ravel()
        start = np.concatenate([first, [0.5, 0.0, 0.1, -1.0], np.zeros(K - 1)])
        bounds = [(None, None)] * len(start)
        bounds[2 * K + 3] = (-15.0, 15.0)  # log variance: no singular matrices in line searches
        best = min(best, minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).fun)
    return -float(best)


def fitted(frame: pd.DataFrame, K: int, seed: int, **options: Any) -> Any:
    """Return a fit with random intercepts and slopes."""
    model = bm.RegressionMixture(K, random=BOTH, random_state=seed, **options)
    return quiet(lambda: model.fit(frame[["time"]], frame["y"], groups=frame["unit"]))


def maxima(seed: int, quick: bool = False) -> list[dict[str, Any]]:
    """Return in how many of ten seeds the default fit is within 1e-4 of direct maxima.

    K = 1 is compared with MixedLM where statsmodels is installed.
    """
    rows = []
    for number, K in enumerate((1, 2) if quick else (1, 1, 2, 2, 3, 3)):
        frame = gaps(seed + number, 60, CURVES[:K])
        best = reference(frame, K, 4 if quick else 20, number)
        if K == 1 and find_spec("statsmodels"):
            from statsmodels.regression.mixed_linear_model import MixedLM

            Z = np.column_stack([np.ones(len(frame)), frame["time"]])
            mixed = MixedLM(frame["y"].to_numpy(), Z, frame["unit"].to_numpy(), exog_re=Z)
            best = quiet(lambda mixed=mixed: mixed.fit(reml=False)).llf
        short = best - np.array([fitted(frame, K, s).log_likelihood_ for s in range(10)])
        rows.append({"K": K, "units": 60, "rows": len(frame), "within": int((short < 1e-4).sum()),
                     "short": short.max(), "shortest": short.min()})  # fmt: skip
    return rows


def choice(seed: int, number: int, n_starts: int) -> dict[str, Any]:
    """Return the numbers of classes that are chosen for one set of unbalanced visits.

    Curves are 1.5, 2 or 3 standard deviations of the random intercept and slope apart. Candidates
    have up to one class more than there are.
    """
    K, separation = 1 + number % 3, (1.5, 2.0, 3.0)[number // 3 % 3]
    n, numbers = int(np.random.default_rng(seed + number).integers(80, 301)), range(1, K + 2)
    curves = separation * np.array([[0.0, 0.0], [0.6, 0.12], [1.2, -0.12]])
    frame = gaps(seed + number, n, curves[:K], 3, 8)
    likelihoods = np.array([reference(frame, k, n_starts, number) for k in numbers])
    parameters = np.array([2 * k + 4 + k - 1 for k in numbers])
    options: dict[str, Any] = {"random": BOTH, "random_state": number, "n_components": numbers}
    search = quiet(
        lambda: bm.trajectories(frame, **ARGUMENTS, **options, criterion="cv_1se", n_jobs=1)
    )
    table, results = bm.trajectory_table(search), search.results_.set_index("n_components")
    short = likelihoods - table["log_likelihood"].to_numpy()
    return {
        "K": K, "separation": separation, "n": n, "visits": len(frame),
        "reference": 1 + int((-2.0 * likelihoods + parameters * np.log(n)).argmin()),
        "bic": int(table["bic"].idxmin()),
        "bic_visits": int(table["bic_visits"].idxmin()),
        "held_out": search.best_params_["n_components"],
        "best_held_out": int(results["cv"].idxmax()),
        "short": short.max(), "reference_short": -short.min(),
    }  # fmt: skip


def chosen(seed: int, quick: bool = False) -> list[dict[str, Any]]:
    """Return how often the number of classes is right, beside direct maximum likelihood."""
    n_sets, n_starts = (2, 2) if quick else (N_SETS, N_STARTS)
    frame = pd.DataFrame([choice(seed, number, n_starts) for number in range(n_sets)])
    names = ("reference", "bic", "bic_visits", "held_out", "best_held_out")
    right = {f"right_{name}": int((frame[name] == frame["K"]).sum()) for name in names}
    short = {"short": int((frame["short"] > 1e-4).sum()), "most_short": frame["short"].max()}
    return [{"sets": n_sets, **right, **short}, *frame.to_dict("records")]


def coverage(seed: int, quick: bool = False) -> list[dict[str, Any]]:
    """Return how often 90 % intervals of slopes, model-based and robust, cover the truth."""
    hits: dict[bool, list[bool]] = {False: [], True: []}
    for number in range(4 if quick else N_COVERAGE):
        frame = courses(seed + number, 200, CURVES[:2])
        model = fitted(frame, 2, number, n_init=6)
        for robust, found in hits.items():
            table = model.coefficients(0.9, robust).loc["coefficient"].xs("time", level="term")
            table = table.loc[table.index[np.argsort(table["estimate"])]]
            truth = np.sort(CURVES[:2, 1])
            found += ((table["lower"] < truth) & (truth < table["upper"])).tolist()
    return [{"robust": r, "sets": len(f) // 2, "coverage": np.mean(f)} for r, f in hits.items()]


def level(seed: int, quick: bool = False) -> list[dict[str, Any]]:
    """Return how often likelihood ratio tests at 5 % find structure in independent residuals."""
    tested = {"ar1": {"residual_correlation": "ar1"}, "time": {"residual_variance": "time"}}
    found: dict[str, list[bool]] = {name: [] for name in tested}
    for number in range(4 if quick else N_LEVEL):
        frame = courses(seed + number, 150, CURVES[:2])

        def fit(options: dict[str, Any], frame: pd.DataFrame = frame, number: int = number) -> Any:
            given = ARGUMENTS | {"n_components": 2, "random": BOTH} | options
            searched = quiet(lambda: bm.trajectories(frame, **given, random_state=number, n_jobs=1))
            return searched.best_estimator_

        plain = fit({})
        for name, options in tested.items():
            model = fit(options)
            gain = 2.0 * (model.log_likelihood_ - plain.log_likelihood_)
            more = model.result_.n_parameters - plain.result_.n_parameters
            found[name].append(bool(chi2.sf(gain, more) < 0.05))
    return [{"test": name, "sets": len(p), "rejected": np.mean(p)} for name, p in found.items()]


def skewed(seed: int, quick: bool = False) -> list[dict[str, Any]]:
    """Return how often one class of skewed effects stays one class, and is warned about."""
    rows = []
    for n_units, is_skewed in product((300,) if quick else (300, 3000), (True, False)):
        ones = warned_one = warned_chosen = 0
        sets = 1 if quick else N_SKEWED
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


def run(seed: int, quick: bool = False) -> list[dict[str, Any]]:
    """Return the rows of all studies."""
    studies = (maxima, chosen, coverage, level, skewed, scale)
    return [{"study": study.__name__} | row for study in studies for row in study(seed, quick)]
