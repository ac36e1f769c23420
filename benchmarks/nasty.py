"""``python -m benchmarks.nasty 2000``: random problems that nobody would choose, checked.

Rows are few, tied, rounded, constant, collinear, far out or on scales a hundred decades apart;
weights are wild. Each is fitted by a random estimator and refused by name, or the fit is sound:
no NaN, no RuntimeWarning, weights that sum to 1, covariances that are positive definite, an
objective that never falls, a likelihood that is the sum of what rows score, 5 seconds at most.

A problem is its seed: ``python -m benchmarks.nasty 1 --seed 1234`` looks at one again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import bayesmix as bm
from bayesmix.errors import BayesmixError

STRUCTURES = ("full", "tied", "diag", "spherical")
MOST_SECONDS = 5.0
# Shares by which an objective may fall, and two sums of the same terms differ: rounding.
FALL = 1e-9
SAME = 1e-6
# Of the largest weight; one with less changes no digit.
LEAST_WEIGHT = 1e-15
# What a distance loses is the condition number of its covariance times this.
ROUNDING = 2.0**-53

Rows = np.ndarray
Maker = Callable[[np.random.Generator, int, int], Rows]


def _rounded(generator: np.random.Generator, n: int, d: int) -> Rows:
    rows = generator.normal(size=(n, d))
    return np.round(rows / np.abs(rows).max() * generator.integers(1, 6))


def _repeated(generator: np.random.Generator, n: int, d: int) -> Rows:
    return generator.normal(size=(n, d))[generator.integers(0, min(n, max(2, n // 4)), n)]


def _one_off(generator: np.random.Generator, n: int, d: int) -> Rows:
    rows = generator.normal(size=(n, d))
    rows[:, 0] = 3.0
    rows[generator.integers(n), 0] += 10.0 ** generator.uniform(-12, 12)
    return rows


def _collinear(generator: np.random.Generator, n: int, d: int) -> Rows:
    rows = generator.normal(size=(n, d))
    rows[:, -1] = rows[:, 0] * 10.0 ** generator.uniform(-6, 6)
    return rows + generator.integers(0, 2) * 1e-13 * generator.normal(size=(n, d))


def _far_apart(generator: np.random.Generator, n: int, d: int) -> Rows:
    places = generator.integers(0, 3, n)[:, None] * 10.0 ** generator.uniform(0, 12)
    return generator.normal(size=(n, d)) + places


def _wild_scales(generator: np.random.Generator, n: int, d: int) -> Rows:
    return generator.normal(size=(n, d)) * 10.0 ** generator.uniform(-100, 100, d)


def _outlier(generator: np.random.Generator, n: int, d: int) -> Rows:
    rows = generator.normal(size=(n, d))
    rows[generator.integers(n)] *= 10.0 ** generator.uniform(2, 140)
    return rows


def _tails(generator: np.random.Generator, n: int, d: int) -> Rows:
    return np.sinh(generator.uniform(1, 40) * generator.normal(size=(n, d)) / 3.0)


def _powers(generator: np.random.Generator, n: int, d: int) -> Rows:
    return 10.0 ** generator.uniform(-140, 140, (n, d))


def _offset(generator: np.random.Generator, n: int, d: int) -> Rows:
    return generator.normal(size=(n, d)) + 10.0 ** generator.uniform(0, 18)


GAUSSIAN: dict[str, Maker] = {
    "normal": lambda generator, n, d: generator.normal(size=(n, d)),
    "rounded": _rounded,
    "dice": lambda generator, n, d: generator.integers(1, 7, (n, d)).astype(float),
    "zero or one": lambda generator, n, d: generator.integers(0, 2, (n, d)).astype(float),
    "repeated": _repeated,
    "one off": _one_off,
    "collinear": _collinear,
    "far apart": _far_apart,
    "wild scales": _wild_scales,
    "outlier": _outlier,
    "tails": _tails,
    "powers": _powers,
    "offset": _offset,
    "tiny": lambda generator, n, d: (
        generator.normal(size=(n, d)) * 10.0 ** generator.uniform(-320, -200)
    ),
    "huge": lambda generator, n, d: (
        generator.normal(size=(n, d)) * 10.0 ** generator.uniform(100, 149)
    ),
    "float32": lambda generator, n, d: generator.normal(size=(n, d)).astype(np.float32),
    "wide": lambda generator, n, d: generator.normal(size=(max(2, d), n)),
}
OF_COUNTS: dict[str, Maker] = {
    "zero or one": GAUSSIAN["zero or one"],
    "zeros": lambda generator, n, d: np.zeros((n, d)),
    "rare": lambda generator, n, d: (generator.random((n, d)) < 0.02).astype(float),
}
POISSON: dict[str, Maker] = OF_COUNTS | {
    "counts": lambda generator, n, d: generator.poisson(4.0, (n, d)).astype(float),
    "powers": lambda generator, n, d: np.floor(10.0 ** generator.uniform(-1, 15, (n, d))),
}


@dataclass(frozen=True)
class Nasty:
    """Rows, weights, an estimator, and what they are called."""

    name: str
    rows: Rows
    weights: Any
    estimator: Any


def problem(seed: int) -> Nasty:
    """The problem of a seed."""
    generator = np.random.default_rng([2026, seed])
    n, d = int(generator.integers(2, 80)), int(generator.integers(1, 6))
    n_components = int(generator.integers(1, 9))
    options: dict[str, Any] = {
        "random_state": 0,
        "search": [None, "short", "auto"][generator.integers(3)],
        "init_params": ["kmeans", "k-means++", "random", "random_from_data"][generator.integers(4)],
    }
    inference = ["ml", "map", "vb"][generator.integers(3)]
    kind = int(generator.integers(6))
    makers = {0: OF_COUNTS, 1: POISSON}.get(kind, GAUSSIAN)
    called = str(generator.choice(list(makers)))
    rows = makers[called](generator, n, d)
    structure = str(generator.choice(STRUCTURES))
    if kind < 2:
        family = (bm.Bernoulli(), bm.Poisson())[kind]
        how = {"ml": None, "map": bm.MaximumAPosteriori(), "vb": bm.VariationalBayes()}[inference]
        estimator: Any = bm.Mixture(n_components, family=family, inference=how, **options)
        structure = family.name
    elif inference == "vb":
        estimator = bm.BayesianGaussianMixture(
            n_components,
            covariance_type=structure,
            weight_concentration_prior_type=str(
                generator.choice(["dirichlet_process", "dirichlet_distribution", "type2_ml"])
            ),
            **options,
        )
    else:
        prior = "auto" if inference == "map" else None
        estimator = bm.GaussianMixture(
            n_components, covariance_type=structure, prior=prior, **options
        )
    weights = None
    if generator.random() < 0.3:
        weights = 10.0 ** generator.uniform(-6, 6, len(rows))
        weights[generator.random(len(rows)) < 0.1] = 0.0
    words = (called, rows.shape, structure, inference, f"K={n_components}", *options.values())
    return Nasty(
        " ".join(map(str, words)) + " weighted" * (weights is not None), rows, weights, estimator
    )


def fault(nasty: Nasty, most_seconds: float = MOST_SECONDS) -> str | None:
    """What is wrong with the fit, or None where it is sound or refused by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)
        began = time.process_time()
        try:
            model = nasty.estimator.fit(nasty.rows, sample_weight=nasty.weights)
            took = time.process_time() - began
            return unsound(nasty, model) or (f"took {took:.1f} s" if took > most_seconds else None)
        except BayesmixError as problem:
            took = time.process_time() - began
            return None if took <= most_seconds else f"took {took:.1f} s to say {problem}"
        except Exception as problem:
            last = list(traceback.extract_tb(problem.__traceback__))
            places = " < ".join(
                f"{os.path.basename(each.filename)}:{each.lineno}" for each in reversed(last[-4:])
            )
            return f"{type(problem).__name__}: {str(problem)[:100]} at {places}"


def unsound(nasty: Nasty, model: Any) -> str | None:
    """What is wrong with a fitted model."""
    result = model.result_
    rows, weights = rows_that_count(nasty, model)
    scores, shares = model.score_samples(rows), model.predict_proba(rows)
    if not (np.isfinite(scores).all() and np.isfinite(result.objective)):
        return "not finite: scores or objective"
    of_all = model.weights_.sum() + (getattr(model, "noise_weight_", None) or 0.0)
    if not np.allclose(shares.sum(axis=1), 1.0) or not np.isclose(of_all, 1.0):
        return "weights or probabilities do not sum to 1"
    condition = 1.0
    components = result.plug_in.components
    if result.family.name in ("gaussian", "student_t"):
        # A Student-t of up to two degrees of freedom has no covariance.
        heavy = result.family.name == "student_t"
        covariances = components.scales if heavy else components.covariances
        unit = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
        correlations = covariances / unit[:, :, None] / unit[:, None, :]
        if not np.isfinite(correlations).all():
            return "a covariance is not finite"
        variances = np.linalg.eigvalsh(correlations)
        if not (variances > 0.0).all():
            return "a covariance is not positive definite"
        condition = float((variances[:, -1] / variances[:, 0]).max())
    magnitude = 1.0 + float(np.abs(result.trace).max(initial=0.0)) + result.total_weight
    fall = max(FALL, ROUNDING * condition)
    for begin, end in zip(result.segments, (*result.segments[1:], len(result.trace)), strict=True):
        falls = -np.diff(result.trace[begin:end])
        if len(falls) and falls.max() > fall * magnitude:
            return f"the objective falls by {falls.max():.3g} of {magnitude:.3g}"
    if not result.variational and result.degenerate is None:
        own, said = float(scores @ weights), result.log_likelihood
        if abs(own - said) > SAME * (magnitude + float(np.abs(scores) @ weights)):
            return f"rows score {own:.6g}, log_likelihood_ is {said:.6g}"
    return None


def rows_that_count(nasty: Nasty, model: Any) -> tuple[Any, Any]:
    """Rows with a weight that changes a digit, and their weights: a fit may not know of others."""
    rows = nasty.rows if hasattr(nasty.rows, "shape") else np.asarray(nasty.rows)
    weights = np.ones(len(rows)) if nasty.weights is None else np.asarray(nasty.weights, float)
    counts = weights > LEAST_WEIGHT * weights.max(initial=0.0)
    if getattr(model, "missing", "error") == "drop":
        counts = counts & ~np.asarray(pd.isna(rows)).any(axis=1)
    return rows[counts], weights[counts]


def look(problem: Callable[[int], Nasty], n_problems: int, first: int, most_seconds: float) -> int:
    """Look at so many problems, print those that are not sound, and return their number."""
    print(f"seeds from {first}", flush=True)
    faults = 0
    for seed in range(first, first + n_problems):
        nasty = problem(seed)
        found = fault(nasty, most_seconds)
        if found is not None:
            faults += 1
            print(f"{seed}: {nasty.name}: {found}", flush=True)
        if (seed - first) % 100 == 99:
            print(f"{seed - first + 1} looked at", flush=True)
    print(f"{faults} of {n_problems} are not sound")
    return faults


def arguments(description: str | None) -> argparse.ArgumentParser:
    """How many problems, and which."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("problems", type=int, nargs="?", default=2000)
    parser.add_argument(
        "--seed", type=int, default=int(time.time()) * 1000, help="of the first; fresh by default"
    )
    return parser


def main() -> None:
    """Look at so many problems, and say which are not sound."""
    given = arguments(__doc__).parse_args()
    sys.exit(1 if look(problem, given.problems, given.seed, MOST_SECONDS) else 0)


if __name__ == "__main__":
    main()
