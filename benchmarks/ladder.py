"""How many passes over all rows a fit of many rows takes: the ladder is to leave few of them.

Fresh problems of 1,000,000 x 10 with 12 components, EM with K of 12 and variational with at most
16. Every look at all rows counts, the first and the last included.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np

import bayesmix
from bayesmix.sources.memory import ArraySource
from benchmarks.recipes import new_seed

ROWS, FEATURES, COMPONENTS = 1_000_000, 10, 12


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Passes, processor seconds and nats per observation; medians over repeats of two problems."""
    seed, n_rows = new_seed(), 300_000 if quick else ROWS
    print(f"  seed {seed}", flush=True)
    table: list[dict[str, Any]] = [{"seed": seed}]
    for number in range(1 if quick else 2 * repeats):
        rows = drawn(np.random.default_rng([seed, number]), n_rows)
        fits = {
            "EM": bayesmix.GaussianMixture(COMPONENTS, random_state=0),
            "variational": bayesmix.BayesianGaussianMixture(COMPONENTS + 4, random_state=0),
        }
        for name, model in fits.items():
            looks: list[bool] = []
            began = time.process_time()
            with patch.object(ArraySource, "reduce", noting(looks, n_rows)):
                model.fit(rows)
            row = {
                "problem": number,
                "fit": name,
                "passes": sum(looks),
                "seconds": time.process_time() - began,
                "components": model.n_components_,
                "nats_a_row": model.result_.objective / n_rows,
            }
            table.append(row)
            print("  ", row, flush=True)
    for name in ("EM", "variational"):
        mine = [row for row in table if row.get("fit") == name]
        columns = ("passes", "seconds")
        table.append(
            {"problem": "median", "fit": name}
            | {column: median(row[column] for row in mine) for column in columns}
        )
        print("  ", table[-1], flush=True)
    return table


def noting(looks: list[bool], n_rows: int) -> Callable[..., Any]:
    """Sums over rows, which note whether these are all."""
    plain = ArraySource.reduce

    def reduce(source: ArraySource, *arguments: Any, **options: Any) -> Any:
        looks.append(len(source.values) == n_rows)
        return plain(source, *arguments, **options)

    return reduce


def drawn(generator: np.random.Generator, n_rows: int) -> np.ndarray:
    """Rows of full covariances of any orientation, apart or overlapping."""
    shape = (COMPONENTS, FEATURES, FEATURES)
    roots = generator.normal(size=shape) / np.sqrt(FEATURES) + 0.5 * np.eye(FEATURES)
    means = generator.normal(size=shape[:2]) * generator.uniform(0.8, 2.5)
    counts = generator.multinomial(n_rows, generator.dirichlet(np.full(COMPONENTS, 5.0)))
    parts = [
        generator.normal(size=(count, FEATURES)) @ root.T + mean
        for count, root, mean in zip(counts, roots, means, strict=True)
    ]
    rows = np.concatenate(parts)
    generator.shuffle(rows)
    return rows
