"""Weighted quantiles that are values of the data, so that weights are equivalent to repetition."""

from __future__ import annotations

import numpy as np

from bayesmix.numerics.arrays import Array


def quantiles(column: Array, weights: Array | None, levels: tuple[float, ...]) -> list[float]:
    """Return the smallest value with cumulative weight p, for each level p.

    Hyndman & Fan 1996, type 1: quantiles are values of ``column``, so that shifts and scaling by
    powers of two act exactly.
    """
    if weights is None:
        n = len(column)
        ranks = [max(0, int(np.ceil(level * n)) - 1) for level in levels]
        ordered = np.partition(column, sorted(set(ranks)))
        return [float(ordered[rank]) for rank in ranks]
    order = np.argsort(column, kind="stable")
    reached = np.cumsum(weights[order])
    places = np.searchsorted(reached, np.asarray(levels) * reached[-1] * (1.0 - 1e-12))
    return [float(column[order[min(place, len(order) - 1)]]) for place in places]
