"""Rows in parts and on workers: bits, time and memory.

``python -m benchmarks scale`` measures all of it; one part alone is, for instance,
``python -c "from benchmarks import scale; scale.shown(scale.passes, quick=False)"``.
"""

from __future__ import annotations

import os
import resource
import signal
import tempfile
import threading
import time
import timeit
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import bayesmix as bm
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.em.expectation import LINEAR
from bayesmix.numerics.arrays import Array
from bayesmix.sources.memory import as_source

D, K = 10, 10
ROWS_OF_A_PART = 250_000
PLAIN: dict[str, Any] = {"search": None, "acceleration": None, "tol": 0.0, "random_state": 0}
Table = list[dict[str, Any]]


def run(repeats: int, quick: bool) -> Table:
    """All parts of it."""
    warnings.simplefilter("ignore")
    return [row for part in PARTS for row in shown(part, quick)]


def shown(part: Callable[[bool], Table], quick: bool = False) -> Table:
    """The rows of one part, printed."""
    table = part(quick)
    for row in table:
        print("  ", {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})
    return table


def rows_of(part: int, n_rows: int) -> Array:
    """The rows of one part, the same whenever it is asked for."""
    rng = np.random.default_rng([28, part])
    centres = 1.5 * np.random.default_rng(28).normal(size=(K, D))
    values: Array = centres[rng.integers(K, size=n_rows)]
    values += rng.normal(size=values.shape)
    return values


@contextmanager
def folder_of(
    kind: str, n_parts: int, n_rows: int, rows_of: Callable[[int, int], Array] = rows_of
) -> Iterator[str]:
    """A folder of so many files, each a part."""
    import pandas as pd

    with tempfile.TemporaryDirectory() as name:
        for part in range(n_parts):
            place, values = Path(name) / f"part-{part}.{kind}", rows_of(part, n_rows)
            if kind == "npy":
                np.save(place, values)
            else:
                frame = pd.DataFrame(values, columns=[f"x{d}" for d in range(D)])
                frame.to_parquet(place, row_group_size=n_rows)
        yield name


@contextmanager
def cluster(n_workers: int) -> Iterator[Any]:
    """A client of so many workers with one thread each, processes of their own."""
    from distributed import Client, LocalCluster

    options = {"threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50}
    with LocalCluster(n_workers=n_workers, **options) as own, Client(own) as client:
        client.wait_for_workers(n_workers)
        yield client


# 1. The same bits


def bits(quick: bool) -> Table:
    """One layout of parts, whoever works on it; the same rows in memory."""
    n_rows = 5_000 if quick else 25_000
    model, first, table = bm.GaussianMixture(5, max_iter=15, **PLAIN), None, []
    with folder_of("npy", 8, n_rows) as arrays, folder_of("parquet", 8, n_rows) as tables:
        cases: list[tuple[str, Callable[[], Any]]] = [
            ("one thread, .npy", lambda: model.set_params(n_jobs=1).fit(bm.read(arrays))),
            ("two threads, .npy", lambda: model.set_params(n_jobs=2).fit(bm.read(arrays))),
            ("two threads, Parquet", lambda: model.fit(bm.read(tables))),
            *((f"workers: {n}", lambda n=n: _on(n, model, arrays)) for n in (1, 2, 3)),
            ("workers: 2, one killed", lambda: _on(2, model, tables, killed=True)),
            ("in memory", lambda: model.fit(np.vstack([rows_of(p, n_rows) for p in range(8)]))),
        ]
        for case, fitted in cases:
            found = fitted()
            trace, means = found.objective_trace_, found.means_
            first = first or (trace, means)
            same = all(map(np.array_equal, (trace, means), first))
            apart = float(np.abs(trace / first[0] - 1.0).max())
            table.append({"case": case, "same bits": same, "largest difference": apart})
    return table


def _on(n_workers: int, model: Any, folder: str, killed: bool = False) -> Any:
    with cluster(n_workers) as client:
        source = bm.read(folder, scheduler=client)
        if killed:
            victim = next(iter(client.run(os.getpid).values()))
            threading.Timer(0.5, os.kill, (victim, signal.SIGKILL)).start()
        return model.fit(source)


# 2. What a pass costs


def passes(quick: bool) -> Table:
    """Milliseconds a pass, the best of several."""
    n_parts, repeats = (4, 5) if quick else (12, 7)
    sample = bm.GaussianMixture(K, max_iter=2, **PLAIN).fit(rows_of(0, 20_000))
    step = LINEAR.step(sample.result_.mixture)
    whole = np.vstack([rows_of(part, ROWS_OF_A_PART) for part in range(n_parts)])
    with folder_of("npy", n_parts, ROWS_OF_A_PART) as arrays:
        in_files = folder_of("parquet", n_parts, ROWS_OF_A_PART)
        with in_files as tables, cluster(1) as one, cluster(2) as two:
            places: dict[str, Any] = {
                "memory": as_source(whole, n_jobs=2),
                ".npy": bm.read(arrays).with_jobs(2),
                "Parquet": bm.read(tables).with_jobs(2),
                "one worker, .npy": bm.read(arrays, scheduler=one),
                "two workers, .npy": bm.read(arrays, scheduler=two),
                "one worker, Parquet": bm.read(tables, scheduler=one),
                "two workers, Parquet": bm.read(tables, scheduler=two),
            }
            found = {}
            for name, source in places.items():
                found[name] = best(partial(source.reduce, step, K), repeats)
    return [
        {
            "case": f"{len(whole):,} x {D}, K={K}, {name}",
            "ms": 1e3 * seconds,
            "times memory": seconds / found["memory"],
            "times two workers": seconds / found[name.replace("one worker", "two workers")],
        }
        for name, seconds in found.items()
    ]


def best(work: Callable[[], Any], repeats: int) -> float:
    """The fewest seconds, with one thread of BLAS, as in fits."""
    with single_threaded_blas():
        return min(timeit.repeat(work, number=1, repeat=repeats + 1)[1:])


# 3. Memory


def memory_of_workers(quick: bool) -> Table:
    """Megabytes above the start of a fit to Parquet files, of the client and of each worker."""
    model, n_parts = _three_passes(), 8 if quick else 80
    large = folder_of("parquet", n_parts, ROWS_OF_A_PART)
    with folder_of("parquet", 1, 10_000) as few, large as many, cluster(2) as client:
        model.fit(bm.read(few, scheduler=client))
        before, here = client.run(peak_mb), peak_mb()
        model.fit(bm.read(many, scheduler=client))
        after = client.run(peak_mb)
        return [
            {
                "case": f"{n_parts * ROWS_OF_A_PART:,} x {D} from Parquet, two workers",
                "MB of the client": peak_mb() - here,
                "MB of a worker": max(after[worker] - before[worker] for worker in before),
            }
        ]


def memory_here(quick: bool) -> Table:
    """The same by threads of one process."""
    model, n_parts = _three_passes(), 8 if quick else 80
    large = folder_of("parquet", n_parts, ROWS_OF_A_PART)
    with folder_of("parquet", 1, 10_000) as few, large as many:
        model.fit(bm.read(few))
        here = peak_mb()
        model.fit(bm.read(many))
        case = f"{n_parts * ROWS_OF_A_PART:,} x {D} from Parquet, two threads"
        return [{"case": case, "MB": peak_mb() - here}]


def _three_passes() -> bm.GaussianMixture:
    return bm.GaussianMixture(K, max_iter=3, n_jobs=2, **PLAIN)


# 4. A whole search


def rows_of_many_groups(part: int, n_rows: int) -> Array:
    """The rows of one part of a mixture of 40 normals with diagonal covariances."""
    of_all = np.random.default_rng([29, D])
    centres, scales = 3.0 * of_all.normal(size=(40, D)), np.exp(0.4 * of_all.normal(size=(40, D)))
    shares, rng = of_all.dirichlet(np.full(40, 4.0)), np.random.default_rng([29, part])
    labels = rng.choice(40, n_rows, p=shares)
    values: Array = centres[labels] + scales[labels] * rng.normal(size=(n_rows, D))
    return values


def searches(quick: bool) -> Table:
    """``select`` on a folder of Parquet: its passes, seconds and memory, here and by workers."""
    n_parts = 2 if quick else 80
    table = [_searched("here", n_parts, bm.read)]
    few, first = 2 if quick else 8, None
    for n_workers, killed in ((1, False), (2, False), (2, True)):
        with cluster(n_workers) as client:
            if killed:
                victim = next(iter(client.run(os.getpid).values()))
                threading.Timer(20.0, os.kill, (victim, signal.SIGKILL)).start()
            case = f"workers: {n_workers}" + ", one killed" * killed
            row = _searched(case, few, partial(bm.read, scheduler=client))
        found = row.pop("found")
        first = first or found
        table.append(row | {"same bits": all(map(np.array_equal, found, first))})
    table[0].pop("found")
    return table


def _searched(case: str, n_parts: int, read: Callable[[str], Any]) -> dict[str, Any]:
    many = folder_of("parquet", n_parts, ROWS_OF_A_PART, rows_of_many_groups)
    with many as folder, rows_read() as read_here:
        before, began = peak_mb(), time.perf_counter()
        search = bm.select(read(folder), random_state=0)
        seconds = time.perf_counter() - began
    mixture = search.best_estimator_
    return {
        "case": f"{n_parts * ROWS_OF_A_PART:,} x {D}, select, {case}",
        "clusters": search.n_clusters_,
        "passes": sum(read_here) / (n_parts * ROWS_OF_A_PART),  # 0: workers read
        "seconds": seconds,
        "MB": peak_mb() - before,
        "found": (mixture.means_, mixture.covariances_, mixture.objective_trace_),
    }


@contextmanager
def rows_read() -> Iterator[list[int]]:
    """The number of rows of each read of Parquet in this process."""
    from pyarrow.parquet import ParquetFile

    read, n_rows = ParquetFile.read_row_groups, []

    def counted(file: Any, *given: Any, **options: Any) -> Any:
        table = read(file, *given, **options)
        n_rows.append(table.num_rows)
        return table

    with patch.object(ParquetFile, "read_row_groups", counted):
        yield n_rows


def peak_mb() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


PARTS: tuple[Callable[[bool], Table], ...] = (
    bits,
    passes,
    memory_of_workers,
    memory_here,
    searches,
)
