"""Fits and searches that are killed, or whose disk is full, at random moments: the same bits.

``python -m benchmarks kills`` kills with SIGKILL; ``python -m benchmarks full_disk`` keeps the
checkpoint on a disk of random size in memory, which takes the right to mount one. 50 kills and 20
full disks are 25 repeats.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

N_ROWS, N_COLUMNS = {"fit": 2_000_000, "search": 200_000}, 10
PAGE = 4096  # bytes that a file takes at least
# Of one that is killed: {kind} of rows in a file, with a folder, and a digest of what came out.
KILLED = """
import hashlib, sys, warnings
import numpy as np
import bayesmix as bm
from bayesmix.io.saved import passes
passes.SECONDS_BETWEEN_FILES, passes.LEAST_WORK = 0.1, 2**18
warnings.simplefilter("ignore")
kind, rows, folder = sys.argv[1], np.load(sys.argv[2], mmap_mode="r"), sys.argv[3] or None
options = dict(random_state=0, progress=False, checkpoint=folder)
short = dict(max_iter=12, search=None, init_params="random_from_data")
print("begun", flush=True)
if kind == "fit":
    model = bm.GaussianMixture(3, **short, **options).fit(rows)
else:
    one = bm.GaussianMixture(**short)
    search = bm.MixtureSearch(one, (1, 2, 3), criterion="bic", **options).fit(rows)
    model = search.best_estimator_
print(hashlib.sha256(model.score_samples(rows[:100_000]).tobytes()).hexdigest())
"""


def kills(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Kills at random moments, begun again each time, and at the end with the same bits."""
    moments = 2 if quick else 2 * repeats
    return [_each(kind, moments, quick, _killed) for kind in ("fit", "search")]


def full_disk(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """No room from some moment on: what began goes on, and again where there is some."""
    moments = 2 if quick else max(2, 4 * repeats // 5)
    return [_each(kind, moments, quick, _without_room) for kind in ("fit", "search")]


Trial = Callable[..., dict[str, int]]


def _each(kind: str, moments: int, quick: bool, trial: Trial) -> dict[str, Any]:
    with TemporaryDirectory() as place:
        rows = Path(place) / "rows.npy"
        np.save(rows, _rows(40_000 if quick else N_ROWS[kind]))
        began = time.perf_counter()
        whole = _ended(_begun(kind, rows, ""))
        took = time.perf_counter() - began
        row = {"what": kind, "rows": len(np.load(rows, mmap_mode="r")), "whole s": took}
        row |= trial(kind, rows, whole, took, moments, random.Random(time.time_ns()))
    print("  ", row, flush=True)
    return row


def _killed(
    kind: str, rows: Path, whole: str, took: float, moments: int, chance: random.Random
) -> dict[str, int]:
    killed = ended = same = kept = 0
    while killed < moments:
        with TemporaryDirectory() as folder:
            while True:
                process = _begun(kind, rows, folder)
                try:
                    process.wait(chance.uniform(0.0, took))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
                    killed += 1
                    if killed < moments:
                        continue
                    process = _begun(kind, rows, folder)
                kept += len(list(Path(folder).iterdir()))
                ended, same = ended + 1, same + (_ended(process) == whole)
                break
    return {"killed": killed, "files": kept, "ends": ended, "with the same bits": same}


def _without_room(
    kind: str, rows: Path, whole: str, took: float, moments: int, chance: random.Random
) -> dict[str, int]:
    with TemporaryDirectory() as folder:
        _ended(_begun(kind, rows, folder))
        most = sum(-(-path.stat().st_size // PAGE) * PAGE for path in Path(folder).iterdir())
    same = left = again = 0
    for _ in range(moments):
        with TemporaryDirectory() as folder:
            size = chance.randrange(3 * PAGE, most, PAGE)
            with _disk(folder, size):
                same += _ended(_begun(kind, rows, folder)) == whole
                left += len(list(Path(folder).glob("*.partial")))
                _mounted("-o", f"remount,size={2 * most}", folder)
                again += _ended(_begun(kind, rows, folder)) == whole
    return {"full disks": moments, "same bits": same, "torn": left, "again, with room": again}


@contextmanager
def _disk(folder: str, size: int) -> Iterator[None]:
    """A disk of so many bytes, in memory."""
    _mounted("-t", "tmpfs", "-o", f"size={size}", "none", folder)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def _mounted(*how: str) -> None:
    subprocess.run(["mount", *how], check=True)


def _rows(n: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.normal(size=(n, N_COLUMNS)) + 3.0 * generator.integers(0, 4, (n, 1))


def _begun(kind: str, rows: Path, folder: str) -> subprocess.Popen[bytes]:
    """A process whose fit has just begun."""
    command = [sys.executable, "-c", KILLED, kind, str(rows), folder]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def _ended(process: subprocess.Popen[bytes]) -> str:
    digest = process.communicate()[0].decode().strip()
    if process.returncode:
        raise AssertionError("what was begun did not end")
    return digest
