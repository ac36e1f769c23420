"""What fits cost beside scikit-learn: seconds of a pass and of a new process, and memory.

``python -m benchmarks.passes SIDE ROWS COMPONENTS [FILE]`` prints what one fit takes as JSON.
Resident anonymous pages are counted, not the system's file cache, from after import and warm-up.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import subprocess
import sys
import threading
import time
import timeit
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import sklearn.mixture

import bayesmix
from bayesmix.datasets import load_faithful
from bayesmix.version import CORE_PACKAGES, versions
from benchmarks.recipes import Problem

CASES = (
    (Problem(500, 2, 3), "full"),
    (Problem(5_000, 5, 5), "full"),
    (Problem(100_000, 2, 5), "full"),
    (Problem(100_000, 10, 10), "full"),
    (Problem(1_000_000, 10, 10), "full"),
    (Problem(100_000, 50, 20), "full"),
    (Problem(200_000, 20, 50), "diag"),
)
# Of the fits whose memory is measured, and pairs of processes per repeat.
N_FEATURES, PASSES, PAIRS = 10, 5, 4
FIT = """
import numpy as np
from {module} import GaussianMixture
GaussianMixture({K}, random_state=0).fit(np.load({path!r}))
"""
OURS: dict[str, Any] = {
    "EM": bayesmix.GaussianMixture,
    "variational": partial(bayesmix.BayesianGaussianMixture, prune=False),
}
PLAIN = {"tol": 0.0, "search": None, "acceleration": None}


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per case and method: milliseconds a pass of both sides, and the median ratio."""
    table = []
    for problem, covariance in CASES[:4] if quick else CASES:
        rows = problem.rows()
        labels = np.random.default_rng(0).integers(0, problem.n_components, len(rows))
        shares = np.eye(problem.n_components)[labels]
        for method in ("EM", "variational"):
            ours, theirs = _sides(method, problem, covariance, rows, shares)
            few, many = _iterations(problem, covariance)
            for side in (ours, theirs):
                per_pass(side, 1, 2)  # what is loaded once is not a pass
            # Short ones are the most at the mercy of what else the machine does, and cost little.
            n_pairs = repeats * (5 if many > 100 else 1)
            pairs = [
                (per_pass(ours, few, many), per_pass(theirs, few, many)) for _ in range(n_pairs)
            ]
            table.append(
                {
                    "problem": f"{problem.name}, {covariance}",
                    "method": method,
                    **side_by_side(pairs, "ms"),
                }
            )
            print(
                "  {problem:<34} {method:<12} {times_faster:6.1f} x".format(**table[-1]), flush=True
            )
    return table


def _iterations(problem: Problem, covariance: str) -> tuple[int, int]:
    """Few and many: enough between them that the difference is no noise."""
    width = problem.n_features ** (2 if covariance == "full" else 1)
    size = problem.n_rows * problem.n_components * width
    if size < 1e6:
        return 20, 220
    if size < 1e7:
        return 5, 65
    return (3, 43) if size <= 2e8 else (2, 14)


def _sides(
    method: str, problem: Problem, covariance: str, rows: Any, shares: Any
) -> tuple[Callable[[int], Any], Callable[[int], Any]]:
    """Functions that fit with a given number of iterations from the same responsibilities."""
    more: dict[str, Any] = {"n_components": problem.n_components, "covariance_type": covariance}
    if method == "variational":
        more["weight_concentration_prior_type"] = "dirichlet_distribution"

    def ours(n: int) -> Any:
        options = PLAIN | more | {"max_iter": n, "init_params": shares}
        return OURS[method](**options).fit(rows)

    def theirs(n: int) -> Any:
        name = "GaussianMixture" if method == "EM" else "BayesianGaussianMixture"
        model = from_shares(getattr(sklearn.mixture, name))(max_iter=n, tol=0.0, **more)
        model.shares = shares
        return model.fit(rows)

    return ours, theirs


def from_shares(base: Any) -> Any:
    """scikit-learn's class, started from given responsibilities instead of k-means."""

    class FromShares(base):  # type: ignore[misc]
        def _initialize_parameters(self, X: Any, random_state: Any, **more: Any) -> None:
            # Only the point estimator knows of array namespaces.
            known = more if issubclass(base, sklearn.mixture.GaussianMixture) else {}
            self._initialize(X, self.shares, **known)

    return FromShares


def per_pass(fit: Callable[[int], Any], few: int, many: int) -> float:
    """Seconds per iteration from the difference of two fits, so that set-up does not count."""
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The better of two: where the machine stumbles in the short fit, passes would cost nothing.
        short = min(timeit.repeat(partial(fit, few), number=1, repeat=2))
        return max(timeit.timeit(partial(fit, many), number=1) - short, 1e-9) / (many - few)


def side_by_side(
    pairs: list[tuple[float, float]], unit: str = "s", other: str = "scikit_learn"
) -> dict[str, float]:
    """Columns of pairs of seconds (ours, theirs): both medians, and the ratio with its spread."""
    ratios = sorted(theirs / ours for ours, theirs in pairs)
    factor = {"s": 1.0, "ms": 1e3}[unit]
    return {
        f"bayesmix_{unit}": factor * median(ours for ours, _ in pairs),
        f"{other}_{unit}": factor * median(theirs for _, theirs in pairs),
        "times_faster": median(ratios),
        "lowest": ratios[0],
        "highest": ratios[-1],
    }


def description() -> dict[str, Any]:
    """Cores, processor, versions."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions(CORE_PACKAGES),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()


def first(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Seconds of both sides by the clock, alternating, and the median ratio."""
    many = Problem(200_000, 10, 8)
    cases = [(load_faithful().to_numpy(float), 2), (many.rows(), many.n_components)]
    return [_first(rows, K, (1 if quick else PAIRS) * repeats) for rows, K in cases]


def _first(rows: Any, K: int, n_pairs: int) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "rows.npy")
        np.save(path, rows)
        # The first process of each side finds cold files, and may write its bytecode.
        pairs = [
            (_of_process("bayesmix", path, K), _of_process("sklearn.mixture", path, K))
            for _ in range(1 + n_pairs)
        ][1:]
    case = f"{len(rows):,} x {rows.shape[1]}, K={K}, import included"
    row = {"case": case, **side_by_side(pairs)}
    print("  {case}: {times_faster:.2f} x".format(**row), flush=True)
    return row


def _of_process(module: str, path: str, K: int) -> float:
    command = [sys.executable, "-c", FIT.format(module=module, path=path, K=K)]
    return timeit.timeit(partial(subprocess.run, command, check=True), number=1)


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
    options = {"max_iter": passes, "tol": 0.0, "init_params": "random_from_data"}
    if side == "bayesmix":
        return bayesmix.GaussianMixture(n_components, search=None, **options)
    return sklearn.mixture.GaussianMixture(n_components, **options)


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
    command = [sys.executable, "-m", "benchmarks.passes", *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def memory(repeats: int, quick: bool) -> list[dict[str, Any]]:
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
    with TemporaryDirectory() as folder:
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
