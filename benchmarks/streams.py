"""Rows as they arrive: memory, where a stream ends beside a whole fit, whether its bound rises."""

from __future__ import annotations

import resource
import time
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.base import clone

import bayesmix as bm
from bayesmix.numerics.arrays import Array

CENTRES, FEATURES = 10, 10
SEED = 28


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per stream: 10^7 rows without names, and as many under names; a tenth where quick."""
    n_rows = 1_000_000 if quick else 10_000_000
    table = [
        of_unnamed(model, n_rows, 1_000)
        for model in (
            bm.GaussianMixture(CENTRES, random_state=0),
            bm.BayesianGaussianMixture(2 * CENTRES, random_state=0),
        )
    ]
    table += [
        of_named(model, n_rows // 10, 100)
        for model in (
            bm.GaussianMixture(CENTRES, random_state=0),
            bm.BayesianGaussianMixture(2 * CENTRES, random_state=0),
        )
    ]
    for row in table:
        print("  ", {k: round(v, 9) if isinstance(v, float) else v for k, v in row.items()})
    return table


def rows_of(batch: int, n_rows: int) -> Array:
    """The rows of one batch, the same whenever it is asked for."""
    rng = np.random.default_rng([SEED, batch])
    centres = 1.5 * np.random.default_rng(SEED).normal(size=(CENTRES, FEATURES))
    values: Array = centres[rng.integers(CENTRES, size=n_rows)]
    values += rng.normal(size=values.shape)
    return values


def peak_mb() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def first_rows(model: Any, size: int) -> Any:
    """A stream that has seen its first batch: of ten batches' rows, but for these few."""
    return model.partial_fit(np.concatenate([rows_of(b, size) for b in range(10)]))


def of_unnamed(model: Any, n_rows: int, n_batches: int) -> dict[str, Any]:
    """Batches that come once."""
    size, began = n_rows // n_batches, time.perf_counter()
    stream = first_rows(clone(model), size)
    begun, early = time.perf_counter(), 0.0
    for batch in range(10, n_batches):
        stream.partial_fit(rows_of(batch, size))
        if batch == n_batches // 10:
            early = peak_mb()
    ended, late = time.perf_counter(), peak_mb()
    held_out = rows_of(n_batches, 200_000)
    whole = clone(model).fit(np.concatenate([rows_of(b, size) for b in range(n_batches)]))
    return {
        "case": f"{n_rows:,} x {FEATURES} in {n_batches:,}, {type(model).__name__}",
        "first batch s": begun - began,
        "ms a batch": 1e3 * (ended - begun) / (n_batches - 10),
        "MB grown after a tenth": late - early,
        "nats per observation below a whole fit": whole.score(held_out) - stream.score(held_out),
        "K": stream.n_components_,
        "K of the whole fit": whole.n_components_,
    }


def of_named(model: Any, n_rows: int, n_batches: int) -> dict[str, Any]:
    """Batches that come twice."""
    size, stream = n_rows // n_batches, clone(model)
    stream.partial_fit(rows_of(0, 10 * size), batch=0)
    for _ in range(2):
        for batch in range(n_batches):
            stream.partial_fit(rows_of(batch, size if batch else 10 * size), batch=batch)
    trace = stream.objective_trace_
    weight = stream.result_.total_weight
    rows = np.concatenate([rows_of(b, size if b else 10 * size) for b in range(n_batches)])
    whole = clone(model).fit(rows)
    per_row = weight if stream.result_.variational else 1.0
    return {
        "case": f"{len(rows):,} x {FEATURES} in {n_batches:,} twice, {type(model).__name__}",
        "revisits": len(trace) - 1,
        "largest fall": max(0.0, -min(after - before for before, after in pairwise(trace))),
        "bound below a whole fit, nats per observation": (whole.lower_bound_ - stream.lower_bound_)
        / per_row,
        "score below a whole fit": whole.score(rows) - stream.score(rows),
        "K": stream.n_components_,
        "K of the whole fit": whole.n_components_,
    }
