"""A first fit in a new process, from its beginning to its end: loading and fitting 272 rows."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bayesmix.datasets import load_faithful
from benchmarks.tables import side_by_side

FIT = """
import numpy as np
from {module} import GaussianMixture
GaussianMixture(2, random_state=0).fit(np.load({path!r}))
"""
PAIRS = 4


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Seconds of both sides by the clock, alternating, and the median ratio."""
    rows = load_faithful().to_numpy(float)
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "rows.npy")
        np.save(path, rows)
        # The first process of each side finds cold files, and may write its bytecode.
        pairs = [
            (_seconds("bayesmix", path), _seconds("sklearn.mixture", path))
            for _ in range(1 + (1 if quick else PAIRS) * repeats)
        ][1:]
    case = f"{len(rows)} x {rows.shape[1]}, K=2, import included"
    row = {"case": case, **side_by_side(pairs)}
    print("  {case}: {times_faster:.2f} x".format(**row), flush=True)
    return [row]


def _seconds(module: str, path: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", FIT.format(module=module, path=path)], check=True)
    return time.perf_counter() - began
