"""Many fits in one process, in threads, and killed: nothing grows, and no bit depends on it.

``--repeats`` makes it longer: 2,000 fits, 8 threads of 40 and 10 moments of a kill are 20 repeats.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import bayesmix as bm

THREADS = 8
# What a killed process runs: {kind} of a folder, and a digest of what came out where it ends.
KILLED = """
import hashlib, sys, warnings
import numpy as np
import bayesmix as bm
from bayesmix.io.saved import passes
passes.SECONDS_BETWEEN_FILES, passes.LEAST_WORK = 0.1, 2**18
warnings.simplefilter("ignore")
kind, folder, n = sys.argv[1], sys.argv[2] or None, int(sys.argv[3])
generator = np.random.default_rng(0)
rows = generator.normal(size=(n, 10)) + 3.0 * generator.integers(0, 4, (n, 1))
options = dict(random_state=0, progress=False, checkpoint=folder)
if kind == "fit":
    model = bm.BayesianGaussianMixture(8, **options).fit(rows)
else:
    search = bm.MixtureSearch(n_components=(1, 2, 3, 4, 5), criterion="bic", **options)
    model = search.fit(rows[: n // 10]).best_estimator_
print(hashlib.sha256(model.score_samples(rows).tobytes()).hexdigest())
"""


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


def kills(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Whether a fit and a search, killed at random moments, end with the same bits."""
    moments, n_rows = max(2, repeats // 2), 4_000 if quick else 40_000
    return [_killed(kind, moments, n_rows) for kind in ("fit", "search")]


def _killed(kind: str, moments: int, n_rows: int) -> dict[str, Any]:
    _started(kind, "", min(n_rows, 4_000)).communicate()  # kernels are in the cache after it
    began = time.perf_counter()
    whole = _started(kind, "", n_rows).communicate()[0]
    took, chance = time.perf_counter() - began, random.Random(0)
    killed = 0
    with TemporaryDirectory() as folder:
        for _ in range(moments):
            process = _started(kind, folder, n_rows)
            try:
                process.wait(chance.uniform(0.2, 1.0) * took)
            except subprocess.TimeoutExpired:
                process.kill()
                killed += 1
            process.communicate()
        left = len(os.listdir(folder))
        resumed = _started(kind, folder, n_rows).communicate()[0]
    row = {"what": kind, "killed": killed, "files": left, "same bits": resumed == whole}
    print("  ", row, flush=True)
    return row


def _started(kind: str, folder: str, n_rows: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", KILLED, kind, folder, str(n_rows)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)
