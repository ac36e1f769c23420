"""The machine that the figures are from, and what it could do at best."""

from __future__ import annotations

import os
import platform
import time
from typing import Any

import numpy as np

from bayesmix.version import CORE_PACKAGES, versions


def description() -> dict[str, Any]:
    """Cores, processor, versions."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "system": platform.platform(terse=True),
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


def limit_of_a_pass(n_rows: int, n_features: int, n_components: int) -> dict[str, float]:
    """Milliseconds of the two matrix products and the exponentials of a pass, alone, NumPy."""
    width = 1 + n_features * (n_features + 3) // 2
    block = 4096
    generator = np.random.default_rng(0)
    features = generator.normal(size=(width, block))
    coefficients = generator.normal(size=(n_components, width))
    shares = generator.random((n_components, block))
    blocks = n_rows // block

    def timed(work: Any) -> float:
        work()
        began = time.perf_counter()
        for _ in range(blocks):
            work()
        return 1e3 * (time.perf_counter() - began) * n_rows / (blocks * block)

    return {
        "products_ms": timed(lambda: (coefficients @ features, shares @ features.T)),
        "exponentials_ms": timed(lambda: np.exp(shares)),
    }
