"""Whether the part of the kernels that is written in LLVM's terms still pays.

Log joints of one block (264 rows) by ``_joints_linear``, by the same loops left to Numba, and by
NumPy's product; thousand millions of multiplications and additions a second, one thread.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numba as nb
import numpy as np
from threadpoolctl import threadpool_limits

from bayesmix.numerics import compiled
from bayesmix.numerics.features import BLOCK_ROWS

SIZES = ((6, 5), (21, 10), (66, 10), (41, 50), (231, 20))  # features, components


@nb.njit(fastmath=compiled.FAST, error_model="numpy")
def _plain(coefficients: Any, features: Any, joint: Any) -> None:
    """The same product in Numba's own terms: rows of the block innermost."""
    compiled._widest_vectors()
    n_components, n_block = joint.shape
    for k in range(n_components):
        for b in range(n_block):
            joint[k, b] = coefficients[k, 0]
        for f in range(1, features.shape[0]):
            factor = coefficients[k, f]
            for b in range(n_block):
                joint[k, b] += factor * features[f, b]


@nb.njit
def _aligned(n_lines: int, n_columns: int) -> Any:
    return compiled._aligned(n_lines, n_columns)


@nb.njit
def _tiled(coefficients: Any, features: Any, joint: Any) -> None:
    compiled._joints_linear(coefficients, features, joint)


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row a size: how fast each of the three is, and how much the tile is worth."""
    table, generator = [], np.random.default_rng(0)
    with threadpool_limits(1):
        for n_features, K in SIZES[:2] if quick else SIZES:
            features = _aligned(n_features, BLOCK_ROWS)
            joint = _aligned(K, BLOCK_ROWS)
            features[:] = generator.standard_normal(features.shape)
            features[0] = 1.0
            coefficients = generator.standard_normal((K, n_features))
            given = coefficients, features, joint
            ways = {
                "tile": partial(_tiled, *given),
                "plain": partial(_plain, *given),
                "numpy": partial(np.dot, coefficients, features, joint),
            }
            work = 2e-9 * K * n_features * BLOCK_ROWS
            best = {name: work / _seconds(way, repeats) for name, way in ways.items()}
            row = {"features": n_features, "K": K, **best}
            table.append(row | {"times_plain": best["tile"] / best["plain"]})
            print("  ", table[-1], flush=True)
    return table


def _seconds(way: Any, repeats: int) -> float:
    """The least time of a call, of many."""
    way()
    times = []
    for _ in range(10 * repeats):
        began = time.perf_counter()
        for _ in range(200):
            way()
        times.append((time.perf_counter() - began) / 200)
    return min(times)
