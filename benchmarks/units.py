"""Whether the answer of ``select`` depends on the units or origins of columns.

Problems are normal, log-normal, gamma or mixed tables of 1 to 5 continuous columns. Each column is
multiplied by a power of 2, which must change no bit of what has no unit, and by a power of 10 from
-6 to 6, which must change neither the number of clusters nor labels of probability .6 or more. With
the family fixed all columns are moved by 100 standard deviations.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

import bayesmix as bm
from benchmarks.recipes import new_seed

KINDS = ("normal", "log-normal", "gamma", "mixed")
N_PROBLEMS, POWERS, DEVIATIONS = 60, 6, 100.0
SURE = 0.6


def drawn(seed: int, number: int) -> tuple[str, pd.DataFrame, list[str]]:
    """Return the kind of a problem, its table, and its continuous columns."""
    generator = np.random.default_rng([seed, number])
    kind, n_columns = KINDS[number % 4], 1 + number // 4 % 5
    n, n_groups = int(generator.integers(80, 300)), int(generator.integers(1, 4))
    group = generator.integers(0, n_groups, n)
    table = {}
    for place in range(n_columns):
        own = KINDS[generator.integers(3)] if kind == "mixed" else kind
        level, spread = generator.normal(0.0, 3.0, n_groups)[group], generator.uniform(0.3, 1.0)
        if own == "normal":
            table[f"x{place}"] = level + spread * generator.normal(size=n)
        elif own == "log-normal":
            table[f"x{place}"] = np.exp(level / 2.0 + spread * generator.normal(size=n))
        else:
            table[f"x{place}"] = np.exp(level / 2.0) * generator.gamma(2.0 / spread, size=n)
    frame = pd.DataFrame(table)
    continuous = list(frame)
    if kind == "mixed":
        red = generator.uniform(0.1, 0.9, n_groups)[group]
        frame["colour"] = np.where(generator.random(n) < red, "red", "blue")
        frame["visits"] = generator.poisson(generator.uniform(1.0, 8.0, n_groups)[group])
    return kind, frame, continuous


def without_units(search: Any, frame: pd.DataFrame, factors: np.ndarray) -> dict[str, Any]:
    """Return what is reported, of columns that were multiplied by ``factors`` (D,)."""
    result = search.best_estimator_.result_
    means = getattr(result.unframed, "parts", [result.unframed])[0].means[:, : len(factors)]
    shift = result.total_weight * np.log(factors).sum()
    reported = {
        "choice": np.array([str(value) for value in search.best_params_.values()]),
        "clusters": search.cluster_probabilities_.to_numpy(),
        "labels": search.predict_clusters(frame),
        "probabilities": search.best_estimator_.predict_proba(frame),
        "weights": np.asarray(result.mixture.weights.mean()),
        "bound": np.array(f"{result.objective + shift:.10g}"),
    }
    return reported | {"means": means / factors}


def different(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return the names of what is not the same to the bit, of the bound to ten digits.

    The bound is moved by n times the logarithm of the factor, which is no double.
    """
    return [name for name in one if one[name].tolist() != other[name].tolist()]


def sure_labels(search: Any, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return cluster labels (n,), and which have a probability of .6 or more."""
    shares = search.best_estimator_.predict_proba(frame)[:, : len(search.clusters_)]  # no noise
    of_clusters = [
        shares[:, search.clusters_ == label].sum(axis=1) for label in np.unique(search.clusters_)
    ]
    return search.predict_clusters(frame), np.max(of_clusters, axis=0) >= SURE


def searched(frame: pd.DataFrame, **options: Any) -> Any:
    with warnings.catch_warnings(action="ignore"):
        return bm.select(frame, random_state=0, progress=False, **options)


def comparisons(seed: int, number: int) -> Iterator[dict[str, Any]]:
    """Compare a problem with itself in other units, and from another origin.

    The family of every second log-normal or gamma problem is named.
    """
    kind, frame, continuous = drawn(seed, number)
    generator = np.random.default_rng([seed, number, 1])
    named = {"log-normal": bm.LogNormal(), "gamma": bm.Gamma()} if number // 4 % 2 else {}
    options: Any = {"family": named.get(kind)}
    search, n_columns = searched(frame, **options), len(continuous)
    plain = without_units(search, frame, np.ones(n_columns))
    labels, sure = sure_labels(search, frame)
    about = {"number": number, "kind": kind, "columns": n_columns, "K": search.n_clusters_}
    about |= {"family": repr(search.best_estimator_.result_.family)[:60]}
    for place, name in enumerate(continuous):
        for base in (2.0, 10.0):
            power = int(generator.integers(-POWERS, POWERS + 1)) or POWERS
            factors = np.ones(n_columns)
            factors[place] = base**power
            scaled = frame.assign(**{name: frame[name] * base**power})
            other = searched(scaled, **options)
            row = about | {"column": name, "factor": f"{base:g}^{power}"}
            row["bits"] = different(plain, without_units(other, scaled, factors))
            again, again_sure = sure_labels(other, scaled)
            both = sure & again_sure
            row["same_number"] = other.n_clusters_ == search.n_clusters_
            row["other_labels"] = int((again[both] != labels[both]).sum())
            yield row
    family = {"normal": bm.Gaussian(), "log-normal": bm.StudentT()}.get(kind)
    if family is not None:
        near = searched(frame, family=family)
        moved = frame + DEVIATIONS * frame.std()
        far = searched(moved, family=family)
        (labels, sure), (again, again_sure) = sure_labels(near, frame), sure_labels(far, moved)
        both = sure & again_sure
        row = about | {"column": "all", "factor": "shift", "bits": []}
        row["same_number"] = far.n_clusters_ == near.n_clusters_
        yield row | {"other_labels": int((again[both] != labels[both]).sum())}


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per comparison; what is not the same is printed, and sums at the end."""
    seed, began = new_seed(), time.process_time()
    rows = []
    for number in range(4 if quick else N_PROBLEMS):
        for row in comparisons(seed, number):
            rows.append(row | {"seed": seed})
            exact = row["factor"].startswith("2")
            if not row["same_number"] or row["other_labels"] or (exact and row["bits"]):
                print("  ", row, flush=True)
        print(f"   {number}: {time.process_time() - began:.0f} s", flush=True)
    for name, start in (("powers of 2", "2^"), ("powers of 10", "10^"), ("shifts", "shift")):
        own = [row for row in rows if row["factor"].startswith(start)]
        told = [
            f"number {sum(row['same_number'] for row in own)}",
            f"labels {sum(row['same_number'] and not row['other_labels'] for row in own)}",
            f"bits {sum(not row['bits'] for row in own)}",
        ]
        print(f"   {name}: {', '.join(told)} of {len(own)}", flush=True)
    return rows
