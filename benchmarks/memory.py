"""Peak memory above the data, in a process of its own, and fits to a file larger than memory needs.

``python -m benchmarks.memory SIDE ROWS COMPONENTS [FILE]`` prints what one fit takes as JSON.
Resident anonymous pages are counted, not the system's file cache, from after import and warm-up.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

N_FEATURES = 10
PASSES = 5


class Peak:
    """The largest anonymous resident size of this process while it is watched, in megabytes."""

    def __enter__(self) -> Peak:
        self.before = self.largest = _anonymous()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.002):
            self.largest = max(self.largest, _anonymous())

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def above(self) -> float:
        return self.largest - self.before


def _anonymous() -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon"):
            return float(line.split()[1]) / 1024.0
    return float("nan")


def _model(side: str, n_components: int, passes: int) -> Any:
    if side == "bayesmix":
        import bayesmix

        return bayesmix.GaussianMixture(
            n_components, max_iter=passes, tol=0.0, search=None, init_params="random_from_data"
        )
    import sklearn.mixture

    return sklearn.mixture.GaussianMixture(
        n_components, max_iter=passes, tol=0.0, init_params="random_from_data"
    )


def measure(side: str, n_rows: int, n_components: int, path: str | None) -> dict[str, float]:
    """Megabytes above the data and seconds of one fit."""
    warnings.simplefilter("ignore")
    generator = np.random.default_rng(0)
    _model(side, n_components, 2).fit(generator.normal(size=(60 * n_components, N_FEATURES)))
    if path is not None:
        rows: Any = np.load(path, mmap_mode="r")
    else:
        rows = generator.normal(size=(n_rows, N_FEATURES))
    with Peak() as peak:
        began = time.perf_counter()
        _model(side, n_components, PASSES).fit(rows)
        seconds = time.perf_counter() - began
    return {"above_mb": peak.above, "process_mb": peak.largest, "seconds": seconds}


def _alone(*arguments: object) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.memory", *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per case: megabytes above the data of both sides; a file against an array."""
    n_rows = 100_000 if quick else 1_000_000
    ours, theirs = (_alone(side, n_rows, 50) for side in ("bayesmix", "sklearn"))
    table: list[dict[str, Any]] = [
        {
            "case": f"{n_rows:,} x {N_FEATURES}, K=50, in memory",
            "bayesmix_mb": ours["above_mb"],
            "scikit_learn_mb": theirs["above_mb"],
        }
    ]
    large = 1_000_000 if quick else 20_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        _write(path, large)
        of_file = _alone("bayesmix", large, 10, path)
    in_memory = _alone("bayesmix", large // 10, 10)
    table.append(
        {
            "case": f"{large:,} x {N_FEATURES}, K=10, from a file",
            "bayesmix_mb": of_file["process_mb"],
            "rows_a_second": large * PASSES / of_file["seconds"],
            "of_in_memory": (large / of_file["seconds"]) / (large / 10 / in_memory["seconds"]),
        }
    )
    for row in table:
        print("  ", {k: round(v, 2) if isinstance(v, float) else v for k, v in row.items()})
    return table


def _write(path: Path, n_rows: int) -> None:
    generator = np.random.default_rng(0)
    file = np.lib.format.open_memmap(path, "w+", np.float64, (n_rows, N_FEATURES))
    for start in range(0, n_rows, 1_000_000):
        some = min(1_000_000, n_rows - start)
        file[start : start + some] = generator.normal(size=(some, N_FEATURES))
    file.flush()


if __name__ == "__main__":
    side, n_rows, n_components, *path = sys.argv[1:]
    print(json.dumps(measure(side, int(n_rows), int(n_components), path[0] if path else None)))
