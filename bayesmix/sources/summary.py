"""One look at all rows before a fit: medians, robust scales, ties (DESIGN section 4)."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.numerics.quantiles import quantiles
from bayesmix.records import Summary

# The interquartile range of a normal distribution in standard deviations.
IQR_OF_NORMAL = 1.349
# Values closer than this share of the scale are one value, apart by rounding.
SAME_VALUE = 1e-9
# Of longer columns one value in many is looked at first: continuous data need no sort.
LOOK_AT_ALL = 100_000


def summarise(values: Any, weights: Array | None) -> Summary:
    """Per column and one column at a time, so that memory stays O(n)."""
    n_rows, n_features = values.shape
    present = None if weights is None or np.all(weights > 0) else weights > 0
    used = weights if weights is None or present is None else weights[present]
    # Equal weights change no quantile; leave them out so that repeating all rows changes no bit.
    if used is not None and np.all(used == used[0]):
        used = None
    repeated = weights is not None and bool(np.any(weights > 1))
    columns = [
        _column(
            np.asarray(values[:, d] if present is None else values[present, d], dtype=np.float64),
            used,
            repeated,
        )
        for d in range(n_features)
    ]
    centre, scale, minimum, maximum, gap, mean = (
        np.array(part) for part in zip(*columns, strict=True)
    )
    return Summary(
        n_rows=n_rows,
        total_weight=float(n_rows if weights is None else weights.sum()),
        centre=centre,
        scale=scale,
        minimum=minimum,
        maximum=maximum,
        gap=gap,
        constant=minimum == maximum,
        mean=mean,
    )


def _column(column: Array, weights: Array | None, repeated: bool) -> tuple[float, ...]:
    lower, middle, upper = quantiles(column, weights, (0.25, 0.5, 0.75))
    away = column - middle
    mean = float(np.average(away, weights=weights))
    scale = (upper - lower) / IQR_OF_NORMAL
    if scale == 0.0:
        scale = float(np.sqrt(np.average((away - mean) ** 2, weights=weights)))
    if scale == 0.0:
        scale = 1.0
    gap = _gap(away, scale, repeated)
    return middle, scale, float(column.min()), float(column.max()), gap, middle + mean


def _gap(values: Array, scale: float, repeated: bool) -> float:
    """Smallest step between distinct values if some are equal (or count more than once), else 0."""
    if len(values) > LOOK_AT_ALL and not repeated:
        some = values[:: len(values) // LOOK_AT_ALL + 1]
        if len(np.unique(some)) == len(some):
            return 0.0
    steps = np.diff(np.sort(values))
    distinct = steps > SAME_VALUE * scale
    if not distinct.any() or not (repeated or len(steps) > np.count_nonzero(distinct)):
        return 0.0
    return float(steps[distinct].min())
