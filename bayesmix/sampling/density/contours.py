"""Where a density over one column is at least as high as a threshold: intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.random import Purpose, stream

# Rows drawn of every component, between which the density is looked at, and how often in between.
DRAWS = 256
BETWEEN = 4
HALVINGS = 80


def intervals_above(density: Any, threshold: float) -> Array:
    """Intervals (m, 2) in which the log density of one column is at least the threshold.

    ``density``: a ``MixtureDensity`` over one continuous column.
    """
    mixture = getattr(density, "mixture", None)
    if mixture is None or not density.family.continuous:
        raise UnsupportedError(
            "intervals are those of a continuous density in data units: of counts, coins and "
            "pipelines ask contains"
        )
    if len(density.columns) != 1:
        raise UnsupportedError(
            "intervals are those of a density over one column: ask contains for more, or take "
            "marginal(column).density_region()"
        )

    def above(places: Array) -> Array:
        scores: Array = density.score_samples(places[:, None]) - threshold
        return scores

    places = _places(mixture, above)
    inside = above(places) >= 0.0
    changes = np.flatnonzero(inside[1:] != inside[:-1])
    if not len(changes):
        return np.empty((0, 2))
    ends = _crossings(above, places[changes], places[changes + 1])
    return ends.reshape(-1, 2)


def _places(mixture: Any, above: Callable[[Array], Array]) -> Array:
    """Places close to one another where components are, the first and the last outside."""
    counts = np.full(mixture.n_components, DRAWS)
    drawn = mixture.components.draw(counts, stream(0, Purpose.SAMPLE))
    rows = np.vstack([drawn, mixture.components.means])
    known = np.unique(mixture.frame.undo(rows))
    steps = np.arange(BETWEEN) / BETWEEN
    close = known[:-1, None] + np.diff(known)[:, None] * steps
    width = float(np.ptp(known)) or 1.0
    first, last = known[0] - width, known[-1] + width
    while above(np.array([first]))[0] >= 0.0:
        first -= known[0] - first
    while above(np.array([last]))[0] >= 0.0:
        last += last - known[-1]
    return np.concatenate([[first], close.ravel(), [known[-1], last]])


def _crossings(above: Callable[[Array], Array], left: Array, right: Array) -> Array:
    """Where the sign changes between neighbours, by bisection of all at once."""
    left, right = left.copy(), right.copy()
    begins_inside = above(left) >= 0.0
    for _ in range(HALVINGS):
        middle = 0.5 * (left + right)
        same = (above(middle) >= 0.0) == begins_inside
        left, right = np.where(same, middle, left), np.where(same, right, middle)
    return np.where(begins_inside, left, right)
