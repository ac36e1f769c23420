"""``python -m benchmarks.hard``: hard inputs x structures x inferences, fitted and asked again.

Every cell is a right answer, an error that says what to do, or an answer with a warning; anything
else is printed as wrong: no sound density (``benchmarks.nasty``), clusters that are plain and not
found, a collapsed likelihood returned in silence. ``--names one two`` looks at some inputs again.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from sklearn import mixture
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.errors import BayesmixError, BayesmixWarning
from benchmarks.nasty import Nasty, unsound

STRUCTURES = ("full", "tied", "diag", "spherical")
INFERENCES = ("ml", "map", "vb")
FOUND = 0.9  # adjusted Rand index


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


def theirs(hard: Hard, structure: str, inference: str) -> str:
    """The same of scikit-learn: "floor" where a variance is its ``reg_covar`` and nothing says so.

    "unweighted": it takes no weights.
    """
    if hard.weights is not None:
        return "unweighted"
    kinds: dict[str, Any] = {"ml": mixture.GaussianMixture, "vb": mixture.BayesianGaussianMixture}
    options = {"covariance_type": structure, "random_state": 0, "max_iter": 1000}
    model = kinds[inference](n_components=hard.n_components, **options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            labels = model.fit(hard.rows).predict(hard.rows)
            scores, shares = model.score_samples(hard.rows), model.predict_proba(hard.rows)
        except ValueError:
            return "refused"
        except Exception as problem:
            return f"wrong: {type(problem).__name__}: {str(problem)[:60]}"
    if isinstance(hard.rows, np.ma.MaskedArray):
        return "wrong: the mask is ignored"
    if not (np.isfinite(scores).all() and np.allclose(shares.sum(axis=1), 1.0)):
        return "wrong: scores or probabilities"
    if any(issubclass(one.category, RuntimeWarning) for one in caught):
        return "wrong: a RuntimeWarning"
    one_variance = structure == "spherical" and not hard.one_scale
    if hard.labels is not None and not one_variance and not caught:
        found = adjusted_rand_score(hard.labels, labels)
        if found < FOUND:
            return f"wrong: clusters found by {found:.2f}"
    covariances = model.covariances_
    dense = structure in ("full", "tied")
    least = np.linalg.eigvalsh(covariances).min() if dense else covariances.min()
    if caught:
        return "warned"
    return "floor" if least <= 2.0 * model.reg_covar else "right"


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """How many fits of every structure came out how."""
    rows = []
    for structure in STRUCTURES:
        told = [
            cell(hard, structure, inference).partition(":")[0]
            for hard in inputs()[: 5 if quick else None]
            for inference in INFERENCES
        ]
        counts = {name: told.count(name) for name in ("right", "warned", "refused", "wrong")}
        rows.append({"structure": structure} | counts)
        print("  ", rows[-1])
    return rows


def main() -> None:
    """Print the table; the exit code is 1 where a cell is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", nargs="*", help="some inputs; all without")
    chosen = parser.parse_args().names
    marks, wrong = {"right": "+", "warned": "!", "refused": "x"}, []
    of_theirs = marks | {"floor": "o", "unweighted": "-"}
    print("+ right, ! with a warning, x refused by name, W wrong; ml map vb of each structure")
    print("and of scikit-learn ml vb, o: a variance is its reg_covar, in silence; -: no weights")
    print(f"{'':45} {'bayesmix':26} scikit-learn")
    print(f"{'input':45} full  tied  diag  spherical  full tied diag spherical")
    for hard in inputs():
        if chosen and hard.name not in chosen:
            continue
        told = {each: cell(hard, *each) for each in product(STRUCTURES, INFERENCES)}
        row = "  ".join(
            "".join(marks.get(told[structure, inference], "W") for inference in INFERENCES)
            for structure in STRUCTURES
        )
        beside = "   ".join(
            "".join(of_theirs.get(theirs(hard, structure, each), "W") for each in ("ml", "vb"))
            for structure in STRUCTURES
        )
        print(f"{hard.name:45} {row:26} {beside}", flush=True)
        wrong += [(hard.name, *each, said) for each, said in told.items() if said not in marks]
    for line in wrong:
        print(*line, sep=" | ")
    print(f"{len(wrong)} cells are wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
