"""A first fit in a new process, from its beginning to its end: loading, and few rows or many."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bayesmix.datasets import load_faithful
from bayesmix.numerics.arrays import Array
from benchmarks.problems import Problem
from benchmarks.tables import side_by_side

FIT = """
import numpy as np
from {module} import GaussianMixture
GaussianMixture({K}, random_state=0).fit(np.load({path!r}))
"""
PAIRS = 4


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Seconds of both sides by the clock, alternating, and the median ratio."""
    many = Problem(200_000, 10, 8)
    cases = [(load_faithful().to_numpy(float), 2), (many.rows(), many.n_components)]
    return [_row(rows, K, (1 if quick else PAIRS) * repeats) for rows, K in cases]


def _row(rows: Array, K: int, n_pairs: int) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "rows.npy")
        np.save(path, rows)
        # The first process of each side finds cold files, and may write its bytecode.
        pairs = [
            (_seconds("bayesmix", path, K), _seconds("sklearn.mixture", path, K))
            for _ in range(1 + n_pairs)
        ][1:]
    case = f"{len(rows):,} x {rows.shape[1]}, K={K}, import included"
    row = {"case": case, **side_by_side(pairs)}
    print("  {case}: {times_faster:.2f} x".format(**row), flush=True)
    return row


def _seconds(module: str, path: str, K: int) -> float:
    began = time.perf_counter()
    fit = FIT.format(module=module, path=path, K=K)
    subprocess.run([sys.executable, "-c", fit], check=True)
    return time.perf_counter() - began
