"""One look at rows as they come in: values and weights that cannot be used, and where they are."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np

from bayesmix.records import Fault, Faults, Rows

# Squares of larger values, and sums of them, are no doubles.
LARGEST_VALUE = 1e150
ROWS_AT_ONCE = 2**18


def faults_in(rows: Rows) -> Faults:
    """What is wrong with the rows of a chunk, read in pieces."""
    pieces = rows.blocks(ROWS_AT_ONCE)
    return reduce(add, [_of_values(piece) + _of_weights(piece) for piece in pieces], Faults())


def _of_values(rows: Rows) -> Faults:
    values = np.asarray(rows.values)
    if not values.size:
        return Faults()
    if max(float(values.max()), -float(values.min())) <= LARGEST_VALUE:
        return Faults(never=np.zeros(values.shape[1], dtype=np.bool_))
    finite, missing = np.isfinite(values), np.isnan(values)
    nothing = np.broadcast_to(missing.all(axis=1, keepdims=True), values.shape)
    return Faults(
        not_finite=Fault.of(values, ~finite, rows.first),
        infinite=Fault.of(values, np.isinf(values), rows.first),
        empty=Fault.of(values, nothing, rows.first),
        never=missing.all(axis=0),
        too_large=Fault.of(values, finite & (np.abs(values) > LARGEST_VALUE), rows.first),
    )


def _of_weights(rows: Rows) -> Faults:
    if rows.weights is None:
        return Faults()
    weights = np.asarray(rows.weights)[:, None]
    return Faults(weight=Fault.of(weights, ~(np.isfinite(weights) & (weights >= 0.0)), rows.first))
