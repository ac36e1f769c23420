"""Measured data: what a pass costs beside a plain one, and how often intervals hold true values.

Passes are timed in processor time of one thread, alternating with the plain pass. Fits are compared
with pygmmis and astroML, as far as they are installed: processor time, and log likelihood of the
measured values by the same function.
"""

from __future__ import annotations

import time
from functools import partial
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from statistics import median
from typing import Any

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm

import bayesmix as bm
from bayesmix.em.expectation import Linear, Step
from bayesmix.observation.deconvolution import NormalView
from bayesmix.observation.true_values import chunk_sums
from bayesmix.sources.memory import ArraySource

N_ROWS, N_FEATURES, N_COMPONENTS = 100_000, 5, 5
LEVEL, N_HELD = 0.9, 2_000


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per structure and kind of measurement."""
    rng = np.random.default_rng(20261127)
    centres = rng.normal(0.0, 4.0, (N_COMPONENTS, N_FEATURES))
    true = centres[rng.integers(N_COMPONENTS, size=N_ROWS)] + rng.normal(size=(N_ROWS, N_FEATURES))
    error = rng.uniform(0.1, 1.0, true.shape)
    X = true + error * rng.normal(size=true.shape)
    full = np.einsum("ni,nj->nij", error, error) + 0.01 * np.eye(N_FEATURES)
    kinds: dict[str, dict[str, Any]] = {
        "n different errors": {"error": error},
        "one error for all": {"error": error[0]},
        "covariances of errors": {"error": full},
        "limit in one column": {"limits": ([-6.0, *[-np.inf] * 4], None)},
    }
    table = []
    for structure in ("diag", "full"):
        model = bm.GaussianMixture(
            N_COMPONENTS, covariance_type=structure, search=None, n_jobs=1, random_state=0
        ).fit(X)
        mixture = model.result_.mixture
        plain = ArraySource(X), Linear(True).step(mixture)
        for name, options in kinds.items():
            measured = bm.Measured(X, **options), partial(chunk_sums, mixture)
            pairs = [(_seconds(*plain), _seconds(*measured)) for _ in range(1 + 4 * repeats)][1:]
            table.append(
                {
                    "problem": f"{N_ROWS:,} x {N_FEATURES}, K = {N_COMPONENTS}, {structure}",
                    "measurement": name,
                    "ms": 1e3 * median(own for _, own in pairs),
                    "plain_ms": 1e3 * median(own for own, _ in pairs),
                    "times_plain": median(own / of_plain for of_plain, own in pairs),
                }
            )
            print("  {problem:<28} {measurement:<22} {times_plain:5.1f} x".format(**table[-1]))
    return table


def _seconds(source: ArraySource, step: Step) -> float:
    started = time.process_time()
    source.reduce(step, N_COMPONENTS)
    return time.process_time() - started


def coverage(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per data set: share of true values between the 5 % and 95 % quantiles."""
    table = []
    for seed in range(repeats if quick else 4 * repeats):
        rng = np.random.default_rng([20261127, seed])
        labels = rng.integers(3, size=N_HELD)
        centres, deviations = np.array([0.0, 3.0, 7.0]), np.array([1.0, 0.5, 1.5])
        true = (centres[labels] + deviations[labels] * rng.normal(size=N_HELD))[:, None]
        error = rng.uniform(0.2, 1.5, true.shape)
        X = bm.Measured(true + error * rng.normal(size=true.shape), error=error)
        model = bm.GaussianMixture(3, n_jobs=1, random_state=seed).fit(X)
        low, high = (_quantiles(model, X, p) for p in (0.5 - LEVEL / 2, 0.5 + LEVEL / 2))
        held = float(np.mean((low <= true[:, 0]) & (true[:, 0] <= high)))
        table.append({"data": f"{N_HELD:,} samples, seed {seed}", "held": held})
        print(f"  {table[-1]['data']:<28} {held:.3f}", flush=True)
    return table


def others(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per program: seconds of a fit and its log likelihood."""
    rng = np.random.default_rng(20261128)
    centres = rng.normal(0.0, 5.0, (10, 2))
    n = 1_000 if quick else 10_000
    true = centres[rng.integers(10, size=n)] + rng.normal(size=(n, 2))
    error = rng.uniform(0.1, 1.0, true.shape)
    X = true + error * rng.normal(size=true.shape)
    table = []
    programs = (
        ("bayesmix", partial(_ours, search="auto")),
        ("  one start", partial(_ours, search=None)),
        ("  tol=1e-3", partial(_ours, search=None, tol=1e-3)),
        ("pygmmis", partial(_pygmmis, tol=1e-3)),
        ("  tol=1e-5", partial(_pygmmis, tol=1e-5)),
        ("astroML", _astroml),
    )
    for name, fit in programs:
        started = _processor_seconds()
        try:
            found = fit(X, error)
        except ImportError:
            print(f"  {name} is not installed")
            continue
        seconds = _processor_seconds() - started
        logs = _log_likelihood(X, error, *found)
        table.append({"program": name, "seconds": seconds, "log_likelihood": logs})
        print("  {program:<12} {seconds:8.1f} s {log_likelihood:14.2f}".format(**table[-1]))
    return table


def _processor_seconds() -> float:
    """Return the processor time of this process and the workers of pygmmis."""
    used = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _ours(X: np.ndarray, error: np.ndarray, **options: Any) -> tuple[np.ndarray, ...]:
    model = bm.GaussianMixture(10, n_jobs=1, random_state=0, max_iter=1000, **options)
    model.fit(bm.Measured(X, error=error))
    return model.weights_, model.means_, model.covariances_


def _pygmmis(X: np.ndarray, error: np.ndarray, tol: float) -> tuple[np.ndarray, ...]:
    """Its start by k-means; the default tolerance, relative to the log likelihood, is 1e-3."""
    import pygmmis

    model = pygmmis.GMM(K=10, D=2)
    options = {"init_method": "kmeans", "rng": np.random.RandomState(0), "tol": tol}
    pygmmis.fit(model, X, covar=error[:, :, None] ** 2 * np.eye(2), **options)
    return model.amp, model.mean, model.covar


def _astroml(X: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, ...]:
    """From its start by k-means, three passes only, as each takes seconds."""
    from astroML.density_estimation import XDGMM

    model = XDGMM(10, max_iter=3, random_state=0)
    model.fit(X, error[:, :, None] ** 2 * np.eye(2))
    return model.alpha, model.mu, model.V


def _log_likelihood(
    X: np.ndarray, error: np.ndarray, weights: np.ndarray, means: np.ndarray, C: np.ndarray
) -> float:
    T, away = C + (error[:, :, None] ** 2 * np.eye(2))[:, None], X[:, None] - means
    distance = (away * np.linalg.solve(T, away[..., None])[..., 0]).sum(axis=2)
    logs = -0.5 * (distance + np.linalg.slogdet(2.0 * np.pi * T)[1])
    return float(logsumexp(np.log(weights) + logs, axis=1).sum())


def _quantiles(model: Any, X: Any, probability: float) -> np.ndarray:
    """Return quantiles (n,) of the mixtures that are the posteriors of true values."""
    mixture, rows = model.result_.density, X.rows
    shares, scale, view = model.predict_proba(X), mixture.frame.scale, NormalView(mixture, rows)
    (means,), ((variances,),) = view.posterior(view.part)
    means, spreads = means.T, np.sqrt(variances).T
    low, high = (means - 9.0 * spreads).min(axis=1), (means + 9.0 * spreads).max(axis=1)
    for _ in range(60):  # bisection to rounding
        middle = 0.5 * (low + high)
        below = (shares * norm.cdf(middle[:, None], means, spreads)).sum(axis=1) < probability
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return mixture.frame.centre[0] + scale[0] * middle


def rounded(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per rounded set: K and density of unrounded values, plain and with ``step="auto"``."""
    table = []
    for seed in range(21 if quick else 21 * repeats):
        rng = np.random.default_rng([20261127, 9, seed])
        K, D = int(rng.integers(1, 4)), int(rng.integers(1, 3))
        centres = rng.normal(0.0, 3.0, (K, D))
        sizes = (200, 4_000)
        true, new = (centres[rng.integers(K, size=n)] + rng.normal(size=(n, D)) for n in sizes)
        step = np.ptp(true, axis=0).max() / (6, 12, 24)[seed % 3]
        X = np.round(true / step) * step
        row: dict[str, Any] = {"data": f"seed {seed}", "K": K}
        for name, data in (("plain", X), ("auto", bm.Measured(X, step="auto"))):
            search = bm.select(data, n_components=[1, 2, 3, 4, 5], n_jobs=1, random_state=0)
            row[f"{name}_K"] = search.best_params_["n_components"]
            row[name] = float(search.best_estimator_.score_samples(new).mean())
        table.append(row)
        print("  ", row, flush=True)
    return table
