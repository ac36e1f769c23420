"""The compiled twin of the linear E-step: one pass over rows in blocks that stay in cache.

Features are built inside the block and never stored for all rows; log densities and sums are one
matrix product each; the exponentials are vectorised. Functions that call one another stand in this
one file, because the compiler's cache does not see changes across files.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba as nb
import numpy as np

BLOCK = 512
# Re-association lets the loops be vectorised; nothing here relies on NaN or infinities being kept.
FAST = {"reassoc", "contract", "nsz", "arcp"}
LOG2_E = 1.4426950408889634
LN2_HIGH = 0.693147180369123816490
LN2_LOW = 1.90821492927058770002e-10
SMALLEST_EXPONENT = -708.0


def _compiled(function: Callable[..., Any]) -> Any:
    """The function compiled, cached on disk where there is a place that can be written."""
    options = {"nogil": True, "fastmath": FAST}
    try:
        return nb.njit(cache=True, **options)(function)
    except RuntimeError:
        return nb.njit(**options)(function)


@_compiled
def _softmax_columns(joint: Any, largest: Any, total: Any, whole: Any, fraction: Any) -> None:
    """Log joints (K, B) become responsibilities in place, ``largest`` the log normalisers."""
    n_components, n_rows = joint.shape
    for b in range(n_rows):
        largest[b] = joint[0, b]
        total[b] = 0.0
    for k in range(1, n_components):
        for b in range(n_rows):
            value = joint[k, b]
            largest[b] = value if value > largest[b] else largest[b]
    for k in range(n_components):
        for b in range(n_rows):
            x = joint[k, b] - largest[b]
            x = x if x > SMALLEST_EXPONENT else SMALLEST_EXPONENT
            n = np.floor(x * LOG2_E + 0.5)
            r = (x - n * LN2_HIGH) - n * LN2_LOW
            p = 1.0 / 479001600.0
            p = p * r + 1.0 / 39916800.0
            p = p * r + 1.0 / 3628800.0
            p = p * r + 1.0 / 362880.0
            p = p * r + 1.0 / 40320.0
            p = p * r + 1.0 / 5040.0
            p = p * r + 1.0 / 720.0
            p = p * r + 1.0 / 120.0
            p = p * r + 1.0 / 24.0
            p = p * r + 1.0 / 6.0
            p = p * r + 0.5
            p = p * r + 1.0
            p = p * r + 1.0
            # The bits of 2^n; where the exponential would underflow, those of zero.
            whole[b] = ((np.int64(n) + 1023) << 52) if x > SMALLEST_EXPONENT else 0
            joint[k, b] = p
        for b in range(n_rows):
            value = joint[k, b] * fraction[b]
            joint[k, b] = value
            total[b] += value
    for b in range(n_rows):
        largest[b] += math.log(total[b])
        total[b] = 1.0 / total[b]
    for k in range(n_components):
        for b in range(n_rows):
            joint[k, b] *= total[b]


@_compiled
def linear_pass(
    values: Any,
    centre: Any,
    scale: Any,
    weights: Any,
    coefficients: Any,
    dense: bool,
    sums: Any,
) -> tuple[float, float]:
    """Add Σ_n w r_nk φ(x_n) to ``sums`` (K, F); return Σ w l and Σ w (1 + |l|).

    ``values`` (n, D) as stored, framed here; ``weights`` (n,) or empty; ``coefficients`` (K, F)
    with the log weights in the first column; ``dense``: features [1, x, x_i x_j], else [1, x, x²].
    """
    n_rows, n_features = values.shape
    n_components, width = coefficients.shape
    features = np.empty((width, BLOCK))
    joint = np.empty((n_components, BLOCK))
    part = np.empty((n_components, width))
    largest = np.empty(BLOCK)
    total = np.empty(BLOCK)
    whole = np.empty(BLOCK, np.int64)
    fraction = whole.view(np.float64)
    inverse = 1.0 / scale
    log_normaliser = 0.0
    magnitude = 0.0
    for start in range(0, n_rows, BLOCK):
        size = min(BLOCK, n_rows - start)
        for b in range(size):
            features[0, b] = 1.0
            for d in range(n_features):
                features[1 + d, b] = (values[start + b, d] - centre[d]) * inverse[d]
        # Rows beyond the last are nowhere: without features they add nothing.
        for b in range(size, BLOCK):
            for d in range(1 + n_features):
                features[d, b] = 0.0
        place = 1 + n_features
        for i in range(n_features):
            last = n_features if dense else i + 1
            for j in range(i, last):
                for b in range(BLOCK):
                    features[place, b] = features[1 + i, b] * features[1 + j, b]
                place += 1
        np.dot(coefficients, features, joint)
        _softmax_columns(joint, largest, total, whole, fraction)
        if len(weights) > 0:
            for b in range(size):
                log_normaliser += weights[start + b] * largest[b]
                magnitude += weights[start + b] * (1.0 + abs(largest[b]))
            for k in range(n_components):
                for b in range(size):
                    joint[k, b] *= weights[start + b]
        else:
            for b in range(size):
                log_normaliser += largest[b]
                magnitude += 1.0 + abs(largest[b])
        np.dot(joint, features.T, part)
        for k in range(n_components):
            for f in range(width):
                sums[k, f] += part[k, f]
    return log_normaliser, magnitude
