"""Hard inputs: written ones x structures x inferences, and random ones that nobody would choose.

``python -m tests.hunts.hard`` fits the written ones. Every cell is a right answer, an error that
says what to do, or an answer with a warning; anything else is printed as wrong: no sound density,
clusters that are plain and not found, a collapsed likelihood returned in silence. ``--names one
two`` looks at some again.

``python -m tests.hunts.hard --random 2000`` draws rows that are few, tied, rounded, constant,
collinear, far out or on scales a hundred decades apart, with wild weights. Each is fitted by a
random estimator and refused by name, or the fit is sound: no NaN, no RuntimeWarning, weights that
sum to 1, covariances that are positive definite, an objective that never falls, a likelihood that
is the sum of what rows score, 5 seconds at most. A problem is its seed: ``--random 1 --seed 1234``
looks at one again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.errors import BayesmixError, BayesmixWarning

STRUCTURES = ("full", "tied", "diag", "spherical")
INFERENCES = ("ml", "map", "vb")
FOUND = 0.9  # adjusted Rand index
MOST_SECONDS = 5.0
# Shares by which an objective may fall, and two sums of the same terms differ: rounding.
FALL = 1e-9
SAME = 1e-6
# Of the largest weight; one with less changes no digit.
LEAST_WEIGHT = 1e-15
# What a distance loses is the condition number of its covariance times this.
ROUNDING = 2.0**-53


@dataclass(frozen=True)
class Hard:
    """Rows, how often they count, how many components are asked for, and plain clusters if any."""

    name: str
    rows: Any
    n_components: int
    labels: Any = None
    weights: Any = None
    one_scale: bool = True  # whether columns have the same units, so that one variance may do


def _heaps(seed: int, sizes: tuple[int, ...], n_features: int, apart: float) -> tuple[Any, Any]:
    """Normal heaps along a diagonal, and which row is of which."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.random.default_rng(seed).normal(size=(len(labels), n_features))
    return rows + apart * labels[:, None], labels


def _bases() -> Iterator[Hard]:
    for name, sizes, n_features, apart in (
        ("two heaps", (20, 20), 2, 9.0),
        ("heaps of one column", (15, 25), 1, 12.0),
        ("unequal heaps", (8, 40), 2, 12.0),
        ("three heaps", (14, 14, 14), 3, 9.0),
    ):
        rows, labels = _heaps(len(name), sizes, n_features, apart)
        yield Hard(name, rows, len(sizes), labels)


def _variants(base: Hard) -> Iterator[Hard]:
    """The same clusters made hard to see, or hard to compute with."""
    rows, n, D = base.rows, *base.rows.shape
    generator = np.random.default_rng(7)

    def other(how: str, values: Any, **changes: Any) -> Hard:
        return replace(base, name=f"{base.name}, {how}", rows=values, **changes)

    yield base
    yield other("tiny units", rows * 1e-100)
    yield other("huge units", rows * 1e100)
    yield other("far from zero", rows + 1e8)
    yield other("columns in other units", rows * 1e6 ** np.arange(D), one_scale=D == 1)
    yield other("float32", rows.astype(np.float32))
    yield other("whole numbers", np.round(3.0 * rows).astype(np.int64))
    yield other("rounded", np.round(rows))
    yield other("every row twice", np.repeat(rows, 2, axis=0), labels=np.repeat(base.labels, 2))
    yield other("a constant column", np.column_stack([rows, np.full(n, 3.0)]))
    yield other("a column twice", np.column_stack([rows, rows[:, 0]]))
    yield other("a sum of columns", np.column_stack([rows, rows.sum(axis=1)]))
    yield other("weights", rows, weights=generator.uniform(0.2, 5.0, n))
    # They count a thousandth of a row in all: under a prior there is nothing to find.
    yield other("tiny weights", rows, weights=np.full(n, 1e-5), labels=None)
    yield other(
        "columns reversed", np.ascontiguousarray(rows[::-1, ::-1]), labels=base.labels[::-1]
    )


def _special() -> Iterator[Hard]:
    """Where there is little to find, or nothing."""
    generator = np.random.default_rng(3)
    noise = generator.normal(size=(30, 2))
    line = np.linspace(0.0, 1.0, 20)
    two_on_a_line = np.concatenate([line, line + 9.0])
    both = np.repeat([0, 1], 20)
    yield Hard("noise", noise, 3)
    yield Hard("noise with many components", noise, 12)
    yield Hard("noise of one column", noise[:, :1], 4)
    yield Hard("a line", np.column_stack([line, 2.0 * line]), 2)
    yield Hard("heaps on a line", np.column_stack([two_on_a_line, 2.0 * two_on_a_line]), 2, both)
    yield Hard("two rows", noise[:2], 1)
    yield Hard("two rows, two components", noise[:2], 2)
    yield Hard("three rows", noise[:3], 2)
    yield Hard("one row", noise[:1], 1)
    yield Hard("equal rows", np.ones((20, 2)), 1)
    yield Hard("equal rows, two components", np.ones((20, 2)), 2)
    yield Hard("two distinct rows", np.repeat(noise[:2], 10, axis=0), 2, np.repeat([0, 1], 10))
    yield Hard("fewer distinct rows than components", np.repeat(noise[:3], 8, axis=0), 5)
    yield Hard("a point and noise", np.vstack([noise, np.full((15, 2), 9.0)]), 2)
    yield Hard("an outlier", np.vstack([noise, [[1e9, 1e9]]]), 2)
    yield Hard("zeros and ones", generator.integers(0, 2, (40, 3)).astype(float), 3)
    yield Hard("dice", generator.integers(1, 7, (40, 2)).astype(float), 3)
    yield Hard("one value off", np.vstack([np.ones((29, 2)), [[1.0, 1.5]]]), 2)
    wide, of_wide = _heaps(5, (5, 5), 20, 4.0)
    yield Hard("fewer rows than columns", wide, 2, of_wide)
    yield Hard("masked", np.ma.masked_array(noise, mask=noise > 2.0), 2)
    yield Hard("nan", np.where(noise > 1.5, np.nan, noise), 2)
    yield Hard("infinity", np.where(noise > 1.5, np.inf, noise), 2)
    yield Hard("text", np.array([["a", "b"], ["c", "d"]]), 1)
    yield Hard("no columns", np.empty((10, 0)), 1)
    yield Hard("a weight of all", noise, 2, weights=np.r_[1e12, np.ones(29)])
    yield Hard("weights of zero", noise, 2, weights=np.zeros(30))


@cache
def inputs() -> tuple[Hard, ...]:
    """All of them."""
    varied = (hard for base in _bases() for hard in _variants(base))
    return (*varied, *_special())


def estimator(hard: Hard, structure: str, inference: str) -> Any:
    """What is fitted: the defaults, but for more iterations."""
    options: dict[str, Any] = {"random_state": 0, "max_iter": 1000, "n_jobs": 1}
    if inference == "vb":
        return bm.BayesianGaussianMixture(hard.n_components, covariance_type=structure, **options)
    prior = "auto" if inference == "map" else None
    return bm.GaussianMixture(hard.n_components, covariance_type=structure, prior=prior, **options)


def cell(hard: Hard, structure: str, inference: str) -> str:
    """What comes of it: "right", "refused", "warned", or what is wrong."""
    model = estimator(hard, structure, inference)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            labels = model.fit(hard.rows, sample_weight=hard.weights).predict(hard.rows)
        except BayesmixError:
            return "refused"
        except Exception as problem:
            return f"wrong: {type(problem).__name__}: {str(problem)[:60]}"
    named = any(issubclass(one.category, BayesmixWarning) for one in caught)
    plain = Nasty(hard.name, np.asarray(hard.rows, dtype=np.float64), hard.weights, model)
    fault = unsound(plain, model)
    if fault:
        return f"wrong: {fault[:80]}"
    if any(issubclass(one.category, RuntimeWarning) for one in caught):
        return "wrong: a RuntimeWarning"
    if model.result_.degenerate and not named:
        return "wrong: collapsed, in silence"
    one_variance = structure == "spherical" and not hard.one_scale
    if hard.labels is not None and not one_variance and not named:
        found = adjusted_rand_score(hard.labels, labels)
        if found < FOUND:
            return f"wrong: clusters found by {found:.2f}"
    return "warned" if named else "right"


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


def look(n_problems: int, first: int) -> int:
    """Look at so many random problems, print those that are not sound, and return their number."""
    print(f"seeds from {first}", flush=True)
    faults = 0
    for seed in range(first, first + n_problems):
        nasty = problem(seed)
        found = fault(nasty)
        if found is not None:
            faults += 1
            print(f"{seed}: {nasty.name}: {found}", flush=True)
    print(f"{faults} of {n_problems} are not sound")
    return faults


def table(names: list[str] | None) -> int:
    """Print a line per written input, and return the number of wrong cells."""
    marks, wrong = {"right": "+", "warned": "!", "refused": "x"}, []
    print("+ right, ! with a warning, x refused by name, W wrong; ml map vb of each structure")
    print(f"{'input':45} full  tied  diag  spherical")
    for hard in inputs():
        if names and hard.name not in names:
            continue
        told = {each: cell(hard, *each) for each in product(STRUCTURES, INFERENCES)}
        row = "  ".join(
            "".join(marks.get(told[structure, inference], "W") for inference in INFERENCES)
            for structure in STRUCTURES
        )
        print(f"{hard.name:45} {row:26}", flush=True)
        wrong += [(hard.name, *each, said) for each, said in told.items() if said not in marks]
    for line in wrong:
        print(*line, sep=" | ")
    print(f"{len(wrong)} cells are wrong")
    return len(wrong)


def main() -> None:
    """Look at the written inputs or at random ones; the exit code is 1 where one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", nargs="*", help="some inputs; all without")
    parser.add_argument("--random", type=int, metavar="N", help="so many random problems instead")
    parser.add_argument("--seed", type=int, default=int(time.time()) * 1000, help="of the first")
    given = parser.parse_args()
    faults = look(given.random, given.seed) if given.random else table(given.names)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
