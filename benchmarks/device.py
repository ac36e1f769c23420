"""A pass over rows on the host and, through PyTorch, on a GPU.

With products a second, and bytes of rows a second; without a GPU its row says "not measured".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from bayesmix.allocation.point import PointWeights
from bayesmix.core.mixture import Mixture
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.rows import Frame
from bayesmix.core.sources import Source
from bayesmix.em.expectation import LINEAR
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.gaussian.moments import Moments
from bayesmix.numerics.arrays import Array
from bayesmix.sources.devices import on_device
from bayesmix.sources.memory import ArraySource
from benchmarks.problems import Problem

CASES = (Problem(1_000_000, 10, 10), Problem(10_000_000, 32, 64))


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row a problem and place: what a pass of the linear form takes."""
    table, gpu = [], _gpu()
    for problem in CASES[:1] if quick else CASES:
        rows = problem.rows()
        places: list[tuple[str, Source]] = [("host", ArraySource(rows, n_jobs=None))]
        step = LINEAR.step(_mixture(problem, rows))
        if gpu is not None:
            places.append((gpu[1], on_device(gpu[0](rows), None, 1)))
        for place, source in places:
            seconds = _seconds(partial(source.reduce, step, problem.n_components), repeats)
            table.append(_row(problem, place, seconds))
        if gpu is None:
            table.append({"problem": problem.name, "place": "GPU", "ms": "not measured"})
    return table


def _mixture(problem: Problem, rows: Array) -> Mixture[Any]:
    """Components of unit covariance at some of the rows."""
    K, (n, D) = problem.n_components, rows.shape
    family, spread = Gaussian(), np.broadcast_to(np.eye(D), (K, D, D))
    statistics = Moments(family.structure, np.ones(K), rows[:: n // K][:K], spread)
    point = family.maximum_likelihood(statistics)
    return Mixture(PointWeights(np.full(K, 1.0 / K)), point, Frame.identity(D))


def _gpu() -> tuple[Callable[[Any], Any], str] | None:
    """What puts rows onto a GPU, and the name of this one; None where there is none."""
    try:
        torch = import_module("torch")
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    return lambda rows: torch.asarray(rows, device="cuda"), torch.cuda.get_device_name()


def _seconds(work: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(1 + repeats):
        began = time.perf_counter()
        with single_threaded_blas():
            work()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def _row(problem: Problem, place: str, seconds: float) -> dict[str, Any]:
    n_features = 1 + problem.n_features + problem.n_features * (problem.n_features + 1) // 2
    products = 2.0 * problem.n_rows * problem.n_components * n_features
    row = {"problem": problem.name, "place": place, "ms": 1e3 * seconds}
    row |= {
        "products_a_second": products / seconds,
        "bytes_a_second": 8.0 * problem.n_rows * problem.n_features / seconds,
    }
    print("  ", row, flush=True)
    return row
