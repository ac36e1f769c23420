"""Many fits in one process and in threads: nothing grows, and no bit depends on it.

``--repeats`` makes it longer: 10,000 fits, and 8 threads of 200, are 100 repeats.
"""

from __future__ import annotations

import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import bayesmix as bm

THREADS = 8


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Growth of resident memory over fits, and whether fits in threads equal serial ones."""
    n_fits, each = (40, 2) if quick else (100 * repeats, 2 * repeats)
    for seed in range(20):
        _bits(seed)
    before = _resident()
    began = time.perf_counter()
    for seed in range(n_fits):
        _bits(seed)
    grown = _resident() - before
    row = {"fits": n_fits, "grown MB": grown, "s": time.perf_counter() - began}
    print("  ", row, flush=True)
    seeds = range(THREADS * each)
    serial = [_bits(seed) for seed in seeds]
    with ThreadPoolExecutor(THREADS) as pool:
        equal = list(pool.map(_bits, seeds)) == serial
    threads = {"threads": THREADS, "fits": len(seeds), "equal to serial ones": equal}
    print("  ", threads, flush=True)
    return [row, threads]


def _bits(seed: int) -> bytes:
    """Of one small fit, of a kind that the seed chooses."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(200, 2)) + 4.0 * generator.integers(0, 2, (200, 1))
    kinds: tuple[Any, ...] = (bm.GaussianMixture, bm.BayesianGaussianMixture)
    structure = ("full", "tied", "diag", "spherical")[seed // 2 % 4]
    model = kinds[seed % 2](2, covariance_type=structure, random_state=seed, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.set_params(search="short", n_jobs=1).fit(rows)
    bits: bytes = model.score_samples(rows).tobytes()
    return bits


def _resident() -> float:
    """Anonymous memory of this process in MB, where the system says it."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024.0
    return np.nan
