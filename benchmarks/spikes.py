"""Spikes, and optima that a fit misses: one version a run, a JSON line a problem.

``python -m benchmarks.spikes overlap --seed 7 --out lines.jsonl`` fits the version that is
imported; a run that was stopped goes on where it was. ``--random random.jsonl`` keeps the best
regular optimum of random starts, which depends on no version.

``overlap``: 40 mixtures of 3 to 8 normals in 2 to 4 columns, whose means have a standard deviation
of 1.3 to 2.6 of a unit scale within groups. ``thin``: 20 sets with a true group of 30 or more
collinear or narrow rows. ``classes``: 40 sets of answers from 2 to 6 latent classes.

A spike is a component with an eigenvalue below 1e-3 of the data's. Only regular optima, without a
spike, count as missed. Of those, the mean log density of 20,000 other rows of the same mixture
says which of the two is the better description. The EM of random starts is written here, in NumPy.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import eigh
from threadpoolctl import threadpool_limits

import bayesmix as bm
from benchmarks.compared import Line, read

# Eigenvalue of a covariance, against the data's, below which a component is a spike.
SPIKE = 1e-3
N_OTHER_ROWS = 20_000
RANDOM_STARTS = 100
# Passes of all random starts, of the best third, and of those that run to convergence.
FIRST_PASSES, MORE_PASSES, MOST_PASSES, FINALISTS = 50, 200, 3000, 6


@dataclass(frozen=True)
class Data:
    """Rows (n, D), the true groups, their number, and other rows of the same mixture."""

    rows: np.ndarray
    labels: np.ndarray
    n_components: int
    other_rows: np.ndarray | None = None


def overlap(seed: int, number: int) -> Data:
    """Normals whose groups overlap."""
    generator = np.random.default_rng([63, seed, number])
    K, D = int(generator.integers(3, 9)), int(generator.integers(2, 5))
    n = round(float(10 ** generator.uniform(np.log10(200), np.log10(2000))))
    means = generator.normal(0.0, generator.uniform(1.3, 2.6), (K, D))
    weights = generator.dirichlet(np.full(K, 4.0))
    labels = generator.choice(K, n, p=weights)
    others = np.random.default_rng([67, seed, number])
    other_labels = others.choice(K, N_OTHER_ROWS, p=weights)
    rows, other_rows = np.empty((n, D)), others.standard_normal((N_OTHER_ROWS, D))
    for k in range(K):
        axes = np.linalg.qr(generator.standard_normal((D, D)))[0]
        root = axes * np.sqrt(np.exp(generator.normal(0.0, 0.7, D)))
        inside, outside = labels == k, other_labels == k
        rows[inside] = means[k] + generator.standard_normal((inside.sum(), D)) @ root.T
        other_rows[outside] = means[k] + other_rows[outside] @ root.T
    return Data(rows, labels, K, other_rows)


def thin(seed: int, number: int) -> Data:
    """Normals, of which one group has an eigenvalue of 1e-4 to 1e-6 of the others' scale."""
    generator = np.random.default_rng([64, seed, number])
    K, D, collinear = int(generator.integers(2, 5)), int(generator.integers(2, 5)), number % 2 == 0
    sizes = np.array([int(generator.integers(30, 60)), *generator.integers(60, 300, K - 1)])
    means = generator.normal(0.0, 2.6, (K, D))
    labels = np.repeat(np.arange(K), sizes)
    rows = means[labels] + generator.standard_normal((len(labels), D))
    variance = 10 ** generator.uniform(-6.0, -4.0)
    variances = np.where(np.arange(D) < (1 if collinear else D), variance, 1.0)
    axes = np.linalg.qr(generator.standard_normal((D, D)))[0]
    normal = generator.standard_normal((sizes[0], D))
    rows[labels == 0] = means[0] + (normal * np.sqrt(variances)) @ axes.T
    return Data(rows, labels, K)


def classes(seed: int, number: int) -> Data:
    """Answers of 2 to 4 levels to 5 to 10 questions, by class."""
    generator = np.random.default_rng([65, seed, number])
    K, D = int(generator.integers(2, 7)), int(generator.integers(5, 11))
    n = round(float(10 ** generator.uniform(np.log10(200), np.log10(2000))))
    labels = generator.choice(K, n, p=generator.dirichlet(np.full(K, 4.0)))
    rows = np.empty((n, D))
    for d in range(D):
        levels = int(generator.integers(2, 5))
        reached = generator.dirichlet(np.full(levels, 0.8), K).cumsum(axis=1)[labels]
        rows[:, d] = np.minimum((generator.random((n, 1)) > reached).sum(axis=1), levels - 1)
    return Data(rows, labels, K)


def smallest_eigenvalue(covariances: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The smallest eigenvalue (K,) of each covariance against the data's."""
    whole = np.cov(rows.T, bias=True)
    return np.array([eigh(one, whole, eigvals_only=True)[0] for one in covariances])


# Random starts


class Normals:
    """EM of normals in whitened columns, from responsibilities."""

    def __init__(self, rows: np.ndarray) -> None:
        values, axes = np.linalg.eigh(np.cov(rows.T, bias=True))
        self.n, self.D = rows.shape
        self.values = (rows - rows.mean(axis=0)) @ axes / np.sqrt(values)
        self.volume = -0.5 * self.n * np.log(values).sum()
        self.places = np.triu_indices(self.D)
        squares = self.values[:, self.places[0]] * self.values[:, self.places[1]]
        self.features = np.hstack([np.ones((self.n, 1)), self.values, squares])
        self.least = np.inf  # smallest eigenvalue of the last covariances

    def update(self, shares: np.ndarray) -> np.ndarray:
        """The log joint (n, K) after an M-step."""
        sums = shares.T @ self.features
        counts = np.maximum(sums[:, 0], 1e-12)
        means = sums[:, 1 : 1 + self.D] / counts[:, None]
        covariances = np.empty((len(counts), self.D, self.D))
        i, j = self.places
        covariances[:, i, j] = sums[:, 1 + self.D :] / counts[:, None] - means[:, i] * means[:, j]
        covariances[:, j, i] = covariances[:, i, j]
        values, axes = np.linalg.eigh(covariances)
        self.least = float(values.min())
        values = np.maximum(values, 1e-9)
        precisions = np.einsum("kij,kj,klj->kil", axes, 1.0 / values, axes)
        linear = np.einsum("kij,kj->ki", precisions, means)
        factor = np.where(i == j, -0.5, -1.0)
        constant = np.log(counts / self.n) - 0.5 * np.log(values).sum(axis=1)
        constant -= 0.5 * ((linear * means).sum(axis=1) + self.D * np.log(2 * np.pi))
        of_squares = factor * precisions[:, i, j]
        return self.features @ np.column_stack([constant, linear, of_squares]).T

    @property
    def regular(self) -> bool:
        return self.least > SPIKE

    @property
    def lost(self) -> bool:
        """Whether a covariance is all but singular, from which no run comes back."""
        return self.least < 1e-6


class Classes:
    """EM of latent classes."""

    volume, regular, lost = 0.0, True, False

    def __init__(self, rows: np.ndarray) -> None:
        columns = [np.equal.outer(column, np.unique(column)) for column in rows.T]
        self.n, self.values = len(rows), rows
        self.features = np.hstack(columns).astype(float)

    def update(self, shares: np.ndarray) -> np.ndarray:
        """The log joint (n, K) after an M-step."""
        counts = np.maximum(shares.sum(axis=0), 1e-12)
        logs = np.log(np.maximum(shares.T @ self.features / counts[:, None], 1e-300))
        return self.features @ logs.T + np.log(counts / self.n)


def passes_of(model: Any, shares: np.ndarray, most: int, least_gain: float) -> Any:
    """Shares and log likelihood after EM; None if a covariance is all but singular."""
    before = -np.inf
    for _ in range(most):
        joint = model.update(shares)
        if model.lost:
            return None
        largest = joint.max(axis=1, keepdims=True)
        np.exp(joint - largest, out=joint)
        sums = joint.sum(axis=1, keepdims=True)
        value = float(np.log(sums).sum() + largest.sum())
        shares = joint / sums
        if value - before < least_gain:
            break
        before = value
    return shares, value


def best_of_random(kind: Any, data: Data, seed: int, number: int) -> Line:
    """The best regular log likelihood of random starts.

    Each start divides the rows by the nearest of K random rows.
    """
    generator = np.random.default_rng([66, seed, number])
    model, K = kind(data.rows), data.n_components
    ends = []
    for _ in range(RANDOM_STARTS):
        centres = model.values[generator.choice(model.n, K, replace=False)]
        distances = ((model.values[:, None] - centres) ** 2).sum(axis=2)
        shares = np.eye(K)[distances.argmin(axis=1)]
        end = passes_of(model, shares, FIRST_PASSES, 1e-3)
        if end is not None:
            ends.append(end)
    best_third = sorted(ends, key=lambda end: -end[1])[: RANDOM_STARTS // 3]
    further = [passes_of(model, shares, MORE_PASSES, 1e-4) for shares, _ in best_third]
    final: list[tuple[float, np.ndarray]] = []
    last = np.inf
    for shares, value in sorted(filter(None, further), key=lambda end: -end[1]):
        if value > last - 0.01:
            continue  # the same optimum
        last = value
        end = passes_of(model, shares, MOST_PASSES, 1e-5)
        if end is not None and model.regular:
            final.append((end[1], end[0]))
        if len(final) == FINALISTS:
            break
    if not final:
        return {"best": -np.inf}
    best, shares = max(final, key=lambda pair: pair[0])
    line = {"best": best + model.volume}
    if data.other_rows is not None:
        options: dict[str, Any] = {"init_params": shares, "search": None, "max_iter": MOST_PASSES}
        again = bm.GaussianMixture(K, random_state=0, **options).fit(data.rows)
        line["other_rows"] = float(again.score(data.other_rows))
    return line


# Fits


def of_normals(data: Data, **options: Any) -> Line:
    """One fit: log likelihood, smallest eigenvalue, rows of that component, warnings, seconds."""
    model: Any = bm.GaussianMixture(data.n_components, random_state=0, **options)
    line = timed(model, data)
    least = smallest_eigenvalue(model.covariances_, data.rows)
    k = int(least.argmin())
    line |= {"eigenvalue": float(least[k]), "members": float(model.result_.counts[k])}
    other_rows = float(model.score(data.other_rows))
    return line | {"spike": bool(least[k] < SPIKE), "other_rows": other_rows}


def of_thin(data: Data, **options: Any) -> Line:
    """One fit, and the share of the thin group that one component has to itself."""
    model: Any = bm.GaussianMixture(data.n_components, random_state=0, **options)
    line = timed(model, data)
    k = int(smallest_eigenvalue(model.covariances_, data.rows).argmin())
    inside, thin_rows = model.predict(data.rows) == k, data.labels == 0
    return line | {"kept": float((inside & thin_rows).sum() / (inside | thin_rows).sum())}


def of_classes(data: Data, **options: Any) -> Line:
    """One fit of latent classes."""
    family = bm.Categorical()
    return timed(bm.Mixture(data.n_components, family=family, random_state=0, **options), data)


def timed(model: Any, data: Data) -> Line:
    """Log likelihood, warnings and processor time of a fit."""
    began = time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(data.rows)
    seconds = time.process_time() - began
    messages = [str(warning.message)[:80] for warning in caught]
    return {"value": float(model.log_likelihood_), "seconds": seconds, "warnings": messages}


PARTS: dict[str, tuple[int, Callable[[int, int], Data], Callable[..., Line], Any]] = {
    "overlap": (40, overlap, of_normals, Normals),
    "thin": (20, thin, of_thin, None),
    "classes": (40, classes, of_classes, Classes),
}


def kept(path: Path, keys: list[tuple[str, int, int]], measure: Callable[..., Line]) -> Iterator:
    """Yield lines of a file, those that are missing measured first."""
    known = {(line["part"], line["seed"], line["number"]): line for line in read([path])}
    for key in keys:
        if key not in known:
            part, seed, number = key
            line = {"part": part, "seed": seed, "number": number} | measure(*key)
            with path.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(line) + "\n")
            known[key] = line
        yield known[key]


def of_random(part: str, seed: int, number: int) -> Line:
    _, make, _, kind = PARTS[part]
    return best_of_random(kind, make(seed, number), seed, number)


def of_version(options: dict[str, Any], part: str, seed: int, number: int) -> Line:
    _, make, measure, _ = PARTS[part]
    data = make(seed, number)
    shape = [*data.rows.shape, data.n_components]
    return {"shape": shape} | measure(data, **options)


def summary(part: str, lines: list[Line], random: list[Line]) -> str:
    """What a part shows, in a line."""
    seconds = sum(line["seconds"] for line in lines)
    text = f"{part}: {len(lines)} problems, {seconds:.1f} s"
    if part == "thin":
        lost = [line["number"] for line in lines if line["kept"] < 0.8]
        return f"{text}, thin groups lost {len(lost)} {lost}"
    within = 0.5 if part == "classes" else 0.3
    behind = {
        line["number"]: round(other["best"] - line["value"], 2)
        for line, other in zip(lines, random, strict=True)
        if other["best"] - line["value"] > within
    }
    spikes = [line["number"] for line in lines if line.get("spike")]
    text = f"{text}, spikes {len(spikes)} {spikes}, optima lost {len(behind)} {behind}"
    if part == "overlap":
        pairs = zip(lines, random, strict=True)
        missed = [(a, b) for a, b in pairs if a["number"] in behind]
        worse = sum(a["other_rows"] < b["other_rows"] for a, b in missed)
        text += f", of which {worse} describe other rows better than what was found"
    return text


def main() -> None:
    """Measure the parts, and print what they show."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spikes", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all without")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--problems", type=int, help="fewer problems of each part")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--random", type=Path, required=True)
    parser.add_argument("--options", type=json.loads, default={}, help="of the estimators, JSON")
    chosen = parser.parse_args()
    with threadpool_limits(1):
        for part in chosen.parts or PARTS:
            most = min(PARTS[part][0], chosen.problems or PARTS[part][0])
            keys = [(part, chosen.seed, number) for number in range(most)]
            fits = list(kept(chosen.out, keys, partial(of_version, chosen.options)))
            random = list(kept(chosen.random, keys, of_random)) if PARTS[part][3] else fits
            print(summary(part, fits, random), flush=True)


if __name__ == "__main__":
    main()
