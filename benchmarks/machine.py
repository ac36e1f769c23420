"""The machine that the figures are from, and what it could do at best."""

from __future__ import annotations

import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import numpy as np

import bayesmix
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.version import CORE_PACKAGES, versions
from benchmarks.passes import per_pass
from benchmarks.problems import Problem


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


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A pass of EM against the products and exponentials of a pass alone, and against the memory.

    The parts are timed in NumPy on all cores with the blocks in cache: what is left of a pass is
    loading and framing rows, building features, the largest log joint of each row, and the M-step.
    """
    n_rows, n_features, n_components = (100_000 if quick else 1_000_000), 10, 10
    problem = Problem(n_rows, n_features, n_components)
    rows = problem.rows()
    parts = limit_of_a_pass(n_rows, n_features, n_components)

    def fit(passes: int) -> Any:
        model = bayesmix.GaussianMixture(
            n_components, max_iter=passes, tol=0.0, search=None, init_params="random_from_data"
        )
        return model.fit(rows)

    per_pass(fit, 1, 3)  # what is loaded once is not a pass
    pass_ms = 1e3 * median(per_pass(fit, 4, 14) for _ in range(repeats))
    width = 1 + n_features * (n_features + 3) // 2
    flops = 4.0 * n_rows * n_components * width
    both = parts["products_ms"] + parts["exponentials_ms"]
    table = [
        {
            "case": problem.name,
            "pass_ms": pass_ms,
            "products_ms": parts["products_ms"],
            "exponentials_ms": parts["exponentials_ms"],
            "pass_over_both": pass_ms / both,
            "share_of_product_speed": flops / (1e6 * pass_ms) / parts["gflops"],
            "share_of_memory_speed": rows.nbytes / (1e6 * pass_ms) / parts["gigabytes"],
        }
    ]
    print("  ", {k: round(v, 3) if isinstance(v, float) else v for k, v in table[0].items()})
    return table


def limit_of_a_pass(n_rows: int, n_features: int, n_components: int) -> dict[str, float]:
    """Milliseconds of the two matrix products and the exponentials of a pass, on all cores.

    Beside them the speed of large matrix products (Gflop/s) and of reading memory (GB/s).
    """
    width = 1 + n_features * (n_features + 3) // 2
    block = 2048
    generator = np.random.default_rng(0)
    coefficients = generator.normal(size=(n_components, width))
    cores = len(os.sched_getaffinity(0))
    blocks = n_rows // block // cores

    def timed(work: Any) -> float:
        def share(seed: int) -> None:
            features = np.random.default_rng(seed).normal(size=(width, block))
            shares = np.random.default_rng(seed).random((n_components, block))
            out, sums = np.empty((n_components, block)), np.empty((n_components, width))
            for _ in range(blocks):
                work(features, shares, out, sums)

        with single_threaded_blas(), ThreadPoolExecutor(cores) as pool:
            list(pool.map(share, range(cores)))
            began = time.perf_counter()
            list(pool.map(share, range(cores)))
            seconds = time.perf_counter() - began
        return 1e3 * seconds * n_rows / (blocks * block * cores)

    def products(features: Any, shares: Any, out: Any, sums: Any) -> None:
        np.dot(coefficients, features, out=out)
        np.dot(shares, features.T, out=sums)

    large = generator.normal(size=(1500, 1500))
    large @ large
    began = time.perf_counter()
    large @ large
    gflops = 2.0 * 1500**3 / (time.perf_counter() - began) / 1e9
    column = np.ones(40_000_000)
    column.sum()
    began = time.perf_counter()
    column.sum()
    gigabytes = column.nbytes / (time.perf_counter() - began) / 1e9
    return {
        "products_ms": timed(products),
        "exponentials_ms": timed(lambda features, shares, out, sums: np.exp(shares, out=out)),
        "gflops": gflops,
        "gigabytes": gigabytes,
    }
