"""Numbers of clusters in generated tables of several kinds of columns, by merging and without.

``python -m benchmarks.mixed_tables generated --seed 7 --number 60 --out lines.jsonl`` writes a JSON
line a problem, and ``python -m benchmarks.mixed_tables show lines.jsonl`` counts them. A problem is
*decidable* if a fit started at the true classes has at least 2 nats more evidence than the best fit
with one component less. ``real`` does the same on tables with known groups, beside k-means on
indicators of levels (``--folder`` has CSV files whose last column is the group).
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm

NATS = 2.0
COUNTED = (None, "merged", "components")


def _labels(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    return rng.choice(k, size=n, p=rng.dirichlet(np.full(k, 5.0)))


def _levels(rng: np.random.Generator, labels: np.ndarray, k: int, n_levels: int) -> np.ndarray:
    """Return levels "a", "b", ... with probabilities of each class from a Dirichlet."""
    p = rng.dirichlet(np.full(n_levels, rng.uniform(0.7, 2.5)), size=k)
    cut = p.cumsum(axis=1)[labels]
    codes = (rng.random((len(labels), 1)) > cut).sum(axis=1)
    return np.array(list("abcdefgh"))[np.minimum(codes, n_levels - 1)]


def _measures(rng: np.random.Generator, labels: np.ndarray, k: int, d: int) -> np.ndarray:
    centres = rng.normal(0.0, rng.uniform(0.7, 1.6), size=(k, d))
    spread = rng.uniform(0.6, 1.2, size=(k, d))
    return centres[labels] + spread[labels] * rng.normal(size=(len(labels), d))


def _ratings(rng: np.random.Generator, labels: np.ndarray, k: int, n_levels: int) -> np.ndarray:
    centres = rng.uniform(0.0, 1.0, size=k)
    draws = centres[labels] + 0.18 * rng.normal(size=len(labels))
    return np.clip(np.floor(n_levels * draws), 0, n_levels - 1).astype(int) + 1


def mixed(rng: np.random.Generator, n: int, labels: np.ndarray, k: int) -> pd.DataFrame:
    """Two or three measures beside two or three columns of levels."""
    frame = pd.DataFrame(_measures(rng, labels, k, int(rng.integers(2, 4)))).add_prefix("size_")
    for j in range(int(rng.integers(2, 4))):
        frame[f"colour_{j}"] = _levels(rng, labels, k, int(rng.integers(2, 6)))
    return frame


def answers(rng: np.random.Generator, n: int, labels: np.ndarray, k: int) -> pd.DataFrame:
    """Six to ten answers of five levels."""
    items = range(int(rng.integers(6, 11)))
    return pd.DataFrame({f"answer_{j}": _levels(rng, labels, k, 5) for j in items})


def ratings(rng: np.random.Generator, n: int, labels: np.ndarray, k: int) -> pd.DataFrame:
    """Four ratings from 1 to 5 beside two measures."""
    frame = pd.DataFrame(_measures(rng, labels, k, 2)).add_prefix("size_")
    for j in range(4):
        frame[f"rating_{j}"] = _ratings(rng, labels, k, 5)
    return frame


def counts(rng: np.random.Generator, n: int, labels: np.ndarray, k: int) -> pd.DataFrame:
    """Three counts, an amount, and a column of levels."""
    rates = rng.gamma(1.5, 4.0, size=(k, 3)) + 0.3
    frame = pd.DataFrame(rng.poisson(rates[labels])).add_prefix("visits_")
    frame["price"] = np.exp(_measures(rng, labels, k, 1)[:, 0] * 0.6 + 3.0)
    frame["colour"] = _levels(rng, labels, k, 3)
    return frame


Maker = Callable[[np.random.Generator, int, np.ndarray, int], pd.DataFrame]
MAKERS: tuple[Maker, ...] = (mixed, answers, ratings, counts)


def problem(seed: int, number: int) -> tuple[str, pd.DataFrame, np.ndarray, int]:
    """Return the kind, the table, the classes (n,) and their number of a generated problem."""
    rng = np.random.default_rng([seed, number])
    maker, n, k = MAKERS[number % 4], int(rng.integers(150, 601)), int(rng.integers(1, 5))
    labels = _labels(rng, n, k)
    return maker.__name__, maker(rng, n, labels, k), labels, k


def _evidence(frame: pd.DataFrame, labels: np.ndarray) -> float:
    """Return the evidence of the fit from these classes."""
    k = int(labels.max()) + 1
    inference = bm.VariationalBayes(weights=bm.DirichletPrior(1.0))
    best = -np.inf
    for structure in ("diag", "full", "tied"):
        fit = bm.Mixture(
            k, inference=inference, init_params=labels, prune=False, covariance_type=structure
        ).fit(frame)
        best = max(best, fit.elbo_ + float(np.log(np.arange(1, k + 1)).sum()))
    return best


def lead_of_truth(frame: pd.DataFrame, labels: np.ndarray, k: int) -> float:
    """Return nats by which the true classes lead the best merge of two of them."""
    labels = np.unique(labels, return_inverse=True)[1]
    if k == 1 or labels.max() == 0:
        return np.inf
    merged = []
    for i, j in combinations(range(labels.max() + 1), 2):
        others = np.where(labels == j, i, labels)
        merged.append(_evidence(frame, np.unique(others, return_inverse=True)[1]))
    return _evidence(frame, labels) - max(merged)


def chosen(frame: pd.DataFrame, labels: np.ndarray | None, **options: Any) -> dict[str, Any]:
    """Return what ``select`` chooses."""
    start = time.process_time()
    search = bm.select(frame, **options)
    seconds = time.process_time() - start
    line = {
        "found": search.n_clusters_,
        "probability": round(float(search.cluster_probabilities_.get(search.n_clusters_, 0)), 3),
        "components": search.best_estimator_.result_.n_components,
        "seconds": round(seconds, 1),
    }
    if labels is not None:
        line["index"] = round(float(adjusted_rand_score(labels, search.predict_clusters(frame))), 3)
    return line


def generated(seed: int, numbers: range, options: list[Any]) -> Iterator[dict[str, Any]]:
    """Yield a line for each generated problem."""
    for number in numbers:
        kind, frame, labels, k = problem(seed, number)
        line: dict[str, Any] = {"kind": kind, "seed": seed, "number": number, "k": k}
        line |= {"n": len(frame), "lead": lead_of_truth(frame, labels, k)}
        for counted in options:
            line[str(counted)] = chosen(frame, labels, clusters=counted)
        yield line


def by_kmeans(frame: pd.DataFrame, k: int) -> np.ndarray:
    """Return clusters of k-means on standardised numbers and indicators of levels."""
    made = pd.get_dummies(frame).astype(float)
    made = made.fillna(made.mean())
    made = (made - made.mean()) / made.std().replace(0.0, 1.0)
    return KMeans(k, n_init=10, random_state=0).fit_predict(made)


def real(folder: Path, options: list[Any]) -> Iterator[dict[str, Any]]:
    """Yield a line for each table of a folder."""
    for path in sorted(folder.glob("*.csv")):
        table = pd.read_csv(path)
        frame, groups = table.iloc[:, :-1], pd.factorize(table.iloc[:, -1])[0]
        line: dict[str, Any] = {"kind": path.stem, "n": len(frame), "k": int(groups.max()) + 1}
        for counted in options:
            line[str(counted)] = found = chosen(frame, groups, clusters=counted)
            labels = by_kmeans(frame, found["found"])
            found["kmeans"] = round(float(adjusted_rand_score(groups, labels)), 3)
        line["kmeans"] = round(float(adjusted_rand_score(groups, by_kmeans(frame, line["k"]))), 3)
        yield line


def show(paths: list[Path]) -> None:
    """Print how many generated problems are right, and how many said .9 or more and are wrong."""
    lines = [json.loads(text) for path in paths for text in path.read_text().splitlines()]
    for kind in (*sorted({line["kind"] for line in lines}), "all"):
        own = [x for x in lines if kind in (x["kind"], "all") and x.get("lead", 9) >= NATS]
        for counted in (key for key in map(str, COUNTED) if own and key in own[0]):
            right = [x[counted]["found"] == x["k"] for x in own]
            sure = [x[counted]["probability"] >= 0.9 for x in own]
            wrong = sum(s and not r for s, r in zip(sure, right, strict=True))
            index = np.mean([x[counted]["index"] for x in own])
            print(
                f"{kind:10} clusters={counted:10} right {sum(right)} of {len(own)}; "
                f"said .9: {sum(sure)}, wrong {wrong}; index {index:.3f}"
            )


def main() -> None:
    """Write lines, or show them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mixed_tables", description=__doc__)
    parser.add_argument("part", choices=("generated", "real", "show"))
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--number", type=int, default=60)
    parser.add_argument("--clusters", nargs="*", default=["None", "components"])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path)
    chosen_parts = parser.parse_args()
    if chosen_parts.part == "show":
        show(chosen_parts.paths)
        return
    options = [None if one == "None" else one for one in chosen_parts.clusters]
    lines = (
        real(chosen_parts.folder, options)
        if chosen_parts.part == "real"
        else generated(
            chosen_parts.seed,
            range(chosen_parts.first, chosen_parts.first + chosen_parts.number),
            options,
        )
    )
    warnings.simplefilter("ignore")
    for line in lines:
        text = json.dumps(line)
        print(text, flush=True)
        if chosen_parts.out is not None:
            with chosen_parts.out.open("a") as file:
                file.write(f"{text}\n")


if __name__ == "__main__":
    main()
