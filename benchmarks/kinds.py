"""Kinds of data that people have: masses, scattered observations, curved groups, and clean ones.

``python -m benchmarks.kinds masses --seed 1000 --n 40 --out masses.jsonl`` measures the version
that is imported, a JSON line a problem; ``rates`` prints what lines of files say. The same seed
makes the same problems for every version. Groups are at least four standard deviations apart, in
the units in which they are normal, so that their number is known.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import beta
from sklearn.datasets import make_circles, make_moons
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm

# Distance of groups, in standard deviations of one of the columns.
APART = 4.0
Made = tuple[np.ndarray, np.ndarray, int]  # data, group of each observation, number of groups


def groups(rng: np.random.Generator, n: int, K: int, D: int, apart: float = APART) -> Any:
    """Return labels (n,) and standard normal columns (n, D) about centres that are apart.

    Each group is ``apart`` to 1.5 times as far from every other one in some column.
    """
    weights = rng.dirichlet(np.full(K, 8.0))
    labels = rng.choice(K, n, p=weights)
    while True:
        centres = rng.uniform(0.0, 1.5 * apart * max(1, K - 1), (K, D))
        away = np.abs(centres[:, None] - centres).max(axis=2)[np.triu_indices(K, 1)]
        if K == 1 or apart <= away.min() <= 1.5 * apart:
            return labels, centres[labels] + rng.standard_normal((n, D))


def amounts(rng: np.random.Generator) -> Made:
    """Log-normal amounts, 10 to 60 % zeros in each column, common to groups or not."""
    K, D, n = int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(300, 801))
    labels, z = groups(rng, n, K, D)
    X = np.exp(rng.uniform(0.0, 3.0, D) + rng.uniform(0.25, 0.5) * z)
    shares = rng.uniform(0.1, 0.6, (K, D))
    if rng.random() < 0.5:
        shares[:] = shares[0]
    X[rng.random((n, D)) < shares[labels]] = 0.0
    return np.round(X, 2) if rng.random() < 0.5 else X, labels, K


def marks(rng: np.random.Generator) -> Made:
    """Marks up to a limit of 100 at which the best group is cut off, alone or beside a measure."""
    K, D, n = int(rng.integers(1, 4)), int(rng.integers(1, 3)), int(rng.integers(300, 801))
    labels, z = groups(rng, n, K, D)
    sd = 100.0 / (APART * 1.5 * K + 6.0)
    top = z[:, 0].max()
    z[:, 0] -= (
        np.quantile(z[:, 0], 1.0 - rng.uniform(0.06, 0.15))
        if K == 1
        else top - rng.uniform(1.2, 2.0)
    )
    X = z * 1.0
    X[:, 0] = 100.0 + sd * z[:, 0]
    X[:, 0] = np.minimum(X[:, 0], 100.0)
    if rng.random() < 0.5:
        X[:, 0] = np.round(X[:, 0], 1)
    return X, labels, K


def doses(rng: np.random.Generator) -> Made:
    """Doses with 0 for the untreated, beside one or two responses."""
    K, n = int(rng.integers(1, 4)), int(rng.integers(300, 801))
    D = int(rng.integers(1, 3))
    labels, z = groups(rng, n, K, D)
    dose = np.round(rng.gamma(6.0, 8.0, n), 1)
    dose[rng.random(n) < rng.uniform(0.15, 0.5)] = 0.0
    return np.column_stack([dose, z]), labels, K


def waiting(rng: np.random.Generator) -> Made:
    """Waiting times in hours, which end at 24, beside nothing or a measure."""
    K, n = int(rng.integers(1, 3)), int(rng.integers(300, 801))
    labels, z = groups(rng, n, K, 1)
    if K == 1 and rng.random() < 0.5:
        times = rng.gamma(3.0, 4.5, n)
        return np.minimum(times, 24.0)[:, None], labels, K
    times = np.minimum(rng.gamma(3.0, rng.uniform(4.0, 5.5), n), 24.0)
    return np.column_stack([times, z]), labels, K


def scattered(rng: np.random.Generator) -> Made:
    """Groups of normal observations, and 2 to 10 % scattered in a box twice as wide (label -1)."""
    K, D, n = int(rng.integers(1, 4)), int(rng.integers(2, 9)), int(rng.integers(300, 801))
    labels, X = groups(rng, n, K, D)
    X = X @ (np.eye(D) + 0.3 * rng.standard_normal((D, D)) / np.sqrt(D))
    noise = rng.random(n) < rng.uniform(0.02, 0.1)
    low, high = X.min(axis=0), X.max(axis=0)
    middle, half = (low + high) / 2.0, high - low
    X[noise] = middle + half * rng.uniform(-1.0, 1.0, (int(noise.sum()), D))
    return X, np.where(noise, -1, labels), K


def moons(rng: np.random.Generator) -> Made:
    """Two half moons."""
    n, noise, seed = int(rng.integers(300, 1200)), rng.uniform(0.04, 0.12), int(rng.integers(10**6))
    return *make_moons(n, noise=noise, random_state=seed), 2


def rings(rng: np.random.Generator) -> Made:
    """Two rings around each other, or a ring around a normal group."""
    n, seed = int(rng.integers(300, 1200)), int(rng.integers(10**6))
    noise, factor = rng.uniform(0.03, 0.09), rng.uniform(0.3, 0.55)
    X, labels = make_circles(n, noise=noise, factor=factor, random_state=seed)
    if rng.random() < 0.5:
        inside = labels == 1
        X[inside] = rng.normal(0.0, rng.uniform(0.1, 0.2), (int(inside.sum()), 2))
    return X, labels, 2


def clean(shape: str) -> Callable[[np.random.Generator], Made]:
    """Return a maker of groups of one shape, without scattered observations."""

    def made(rng: np.random.Generator) -> Made:
        K, D, n = int(rng.integers(1, 3)), int(rng.integers(2, 5)), int(rng.integers(300, 801))
        labels, X = groups(rng, n, K, D, 8.0 if shape in ("t4", "gamma") else APART + 2.0)
        # The shape of each group about its centre, with unit variance but for t.
        drawn = {
            "normal": lambda: rng.standard_normal((n, D)),
            "t4": lambda: rng.standard_t(4.0, (n, D)),
            "gamma": lambda: (rng.gamma(3.0, 1.0, (n, D)) - 3.0) / np.sqrt(3.0),
            "uniform": lambda: rng.uniform(-np.sqrt(3.0), np.sqrt(3.0), (n, D)),
            "rounded": lambda: rng.standard_normal((n, D)),
        }
        centres = np.array([X[labels == k].mean(axis=0) for k in range(K)])
        X = centres[labels] + drawn[shape]()
        return np.round(X, 1) if shape == "rounded" else X, labels, K

    made.__name__ = f"clean_{shape}"
    return made


CLEAN = tuple(map(clean, ("normal", "t4", "gamma", "uniform", "rounded")))
PARTS: dict[str, tuple[Callable[[np.random.Generator], Made], ...]] = {
    "masses": (amounts, marks, doses, waiting),
    "scattered": (scattered,),
    "curved": (moons, rings),
    "clean": CLEAN,
}


def measured(X: np.ndarray, labels: np.ndarray, K: int, **options: Any) -> dict[str, Any]:
    """Return what ``select`` says of a problem."""
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = bm.select(X, **options)
        found = search.predict_clusters(X)
    probabilities = search.cluster_probabilities_
    return {
        "n": len(X),
        "D": X.shape[1],
        "K": K,
        "found": int(search.n_clusters_),
        "probability": float(probabilities.get(search.n_clusters_, 0.0)),
        "index": float(adjusted_rand_score(labels, found)),
        "first_lines": str(search.summary()).splitlines()[:3],
        "seconds": time.process_time() - began,
    }


def run(part: str, seed: int, n: int, out: Path, **options: Any) -> None:
    """Measure problems of a part, and append a line for each to a file."""
    kinds = PARTS[part]
    done = len(out.read_text("utf-8").splitlines()) if out.exists() else 0
    for number in range(done, n):
        make = kinds[number % len(kinds)]
        X, labels, K = make(np.random.default_rng([seed, number]))
        line = {"part": part, "kind": make.__name__, "seed": seed, "number": number}
        try:
            line |= measured(X, labels, K, **options)
        except Exception as problem:  # the other problems go on
            line |= {"K": K, "failed": repr(problem)[:200]}
        with out.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


def rates(paths: list[Path]) -> None:
    """Print shares of right numbers with 90 % intervals, by kind."""
    texts = [path.read_text("utf-8") for path in paths]
    lines = [json.loads(line) for text in texts for line in text.splitlines()]
    for kind in [*dict.fromkeys(line["kind"] for line in lines), None]:
        some = [line for line in lines if kind in (None, line["kind"])]
        right = [line.get("found") == line["K"] for line in some]
        sure = [line for line in some if line.get("probability", 0.0) >= 0.9]
        wrong = sum(line["found"] != line["K"] for line in sure)
        n, k = len(some), sum(right)
        low, high = beta.ppf([0.05, 0.95], [k, k + 1], [n - k + 1, n - k])
        print(
            f"{kind or 'all'}: {k} of {n} right ({np.nan_to_num(low):.2f} to "
            f"{1.0 if k == n else high:.2f}), of {len(sure)} with .9 or more {wrong} wrong"
        )


def main() -> None:
    """Measure a part, or print rates."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kinds", description=__doc__)
    parser.add_argument("part", choices=[*PARTS, "rates"])
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("kinds.jsonl"))
    parser.add_argument("--clusters", help='how clusters are counted: "gaps" for curved groups')
    chosen = parser.parse_args()
    if chosen.part == "rates":
        rates(chosen.paths)
    else:
        options = {} if chosen.clusters is None else {"clusters": chosen.clusters}
        run(chosen.part, chosen.seed, chosen.n, chosen.out, **options)


if __name__ == "__main__":
    main()
