"""Rounded values of a search, spread evenly over the intervals that they were rounded from.

Where many observations have one rounded value, a narrow component there has more evidence than the
density that was rounded, and is no cluster. Spread values have no such components. Whole numbers of
a family of counts, levels, and masses such as zeros and limits stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bayesmix.core.random import Purpose, stream
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.rounding import Grids, grids_of
from bayesmix.selection.data_checks import column_names
from bayesmix.sources.memory import ArraySource

# Nats by which the log density at a rounded value of a normal with the variance of one step, s²/12,
# exceeds that of the uniform on the step.
GAIN = 0.5 * np.log(6.0 / np.pi)
HEAPS_SHOWN = 2


@dataclass(frozen=True)
class SpreadFeature:
    """A feature with spread values: its finest step, and values that were rounded more coarsely."""

    column: int
    name: str
    grids: Grids

    @property
    def heaps(self) -> str:
        """Describe the most frequent values of a coarser grid; "" without any."""
        grids, heaped = self.grids, np.flatnonzero(self.grids.heaped)
        if not len(heaped):
            return ""
        most = heaped[np.argsort(-grids.times[heaped], kind="stable")]
        values = [
            f"{grids.times[i]:,.10g} exactly {grids.values[i]:.6g}" for i in most[:HEAPS_SHOWN]
        ]
        return f"{self.name} ({', '.join(values)})"

    def spread(self, values: Array, generator: np.random.Generator) -> Array:
        """Return values (n,), those that were rounded at random points of their steps."""
        grids = self.grids
        width = np.where(grids.exact, 0.0, grids.steps)[grids.places]
        return values + width * (generator.random(len(values)) - 0.5)


def spread_values(
    source: ArraySource, columns: Sequence[int], seed: int
) -> tuple[ArraySource, tuple[SpreadFeature, ...]]:
    """Return a source with the rounded values of these columns spread, and which these are."""
    spread: list[SpreadFeature] = []
    names, n_features = column_names(source.columns, source.shape[1]), source.shape[1]
    values, weights = source.values, source.weights
    for d in columns:
        if not source.summary.gap[d] > 0.0:
            continue
        column = np.asarray(source.values[:, d], dtype=np.float64)
        seen = ~np.isnan(column)
        grids = grids_of(column[seen], None if weights is None else weights[seen])
        if grids is None or not _may_mislead(grids, n_features):
            continue
        if not spread:
            values = np.array(source.values, dtype=np.float64)
        spread.append(SpreadFeature(d, names[d], grids))
        values[seen, d] = spread[-1].spread(column[seen], stream(seed, Purpose.ROUNDING, d))
    return (replace(source, values=values) if spread else source), tuple(spread)


def _may_mislead(grids: Grids, n_features: int) -> bool:
    """Whether a normal component of one value may be worth its parameters by BIC.

    These are a mean and a weight at least, if components share a covariance.
    """
    rounded = grids.times[~grids.exact]
    cost = 0.5 * (n_features + 1.0) * np.log(grids.times.sum())
    return bool(GAIN * rounded.max(initial=0.0) > cost)
