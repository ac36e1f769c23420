"""One look at rows as they come in: values and weights that cannot be used, and where they are."""

from __future__ import annotations

import numpy as np

from bayesmix.records import Fault, Faults, Rows

# Squares of larger values, and sums of them, are no doubles.
LARGEST_VALUE = 1e150
ROWS_AT_ONCE = 2**18


def faults_in(rows: Rows) -> Faults:
    """What is wrong with the rows of a chunk, read in pieces."""
    total = Faults()
    for piece in rows.blocks(ROWS_AT_ONCE):
        total = total + _of_values(piece) + _of_weights(piece)
    return total


def _of_values(rows: Rows) -> Faults:
    values = np.asarray(rows.values)
    if not values.size or max(float(values.max()), -float(values.min())) <= LARGEST_VALUE:
        return Faults()
    finite = np.isfinite(values)
    return Faults(
        Fault.of(values, ~finite, rows.first),
        Fault.of(values, finite & (np.abs(values) > LARGEST_VALUE), rows.first),
    )


def _of_weights(rows: Rows) -> Faults:
    if rows.weights is None:
        return Faults()
    weights = np.asarray(rows.weights)[:, None]
    return Faults(weight=Fault.of(weights, ~(np.isfinite(weights) & (weights >= 0.0)), rows.first))
