"""One look at all rows before a fit: medians, robust scales, ties (DESIGN section 4)."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.numerics.quantiles import quantiles
from bayesmix.protocols import Summary

# The interquartile range of a normal distribution in standard deviations.
IQR_OF_NORMAL = 1.349


def summarise(values: Any, weights: Array | None) -> Summary:
    """Per column and one column at a time, so that memory stays O(n)."""
    n_rows, n_features = values.shape
    present = None if weights is None or np.all(weights > 0) else weights > 0
    used = weights if weights is None or present is None else weights[present]
    # Equal weights change no quantile; leave them out so that repeating all rows changes no bit.
    if used is not None and np.all(used == used[0]):
        used = None
    columns = [
        _column(
            np.asarray(values[:, d] if present is None else values[present, d], dtype=np.float64),
            used,
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


def _column(column: Array, weights: Array | None) -> tuple[float, ...]:
    lower, middle, upper = quantiles(column, weights, (0.25, 0.5, 0.75))
    away = column - middle
    mean = float(np.average(away, weights=weights))
    scale = (upper - lower) / IQR_OF_NORMAL
    if scale == 0.0:
        scale = float(np.sqrt(np.average((away - mean) ** 2, weights=weights)))
    if scale == 0.0:
        scale = 1.0
    steps = np.diff(np.sort(away))
    distinct = steps > 0
    ties = not distinct.all()
    gap = float(steps[distinct].min()) if ties and distinct.any() else 0.0
    if weights is not None and np.any(weights > 1) and distinct.any():
        gap = float(steps[distinct].min())
    return middle, scale, float(column.min()), float(column.max()), gap, middle + mean
