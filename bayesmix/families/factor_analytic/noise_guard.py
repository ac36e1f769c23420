"""Noise that has run out: variances held at a floor, and components that it takes for collapsed.

Every noise variance is held at a floor from the start (1e-6 in columns of unit scale, or gap²/12
where rows tie), a constraint that the likelihood never falls under. Where a factor takes all that a
column has (a Heywood case) that one is at the floor; where more columns are than there are factors,
the rows of the component agree there but for as many directions, and its likelihood has no maximum.
"""

from __future__ import annotations

import numpy as np

from bayesmix.families.factor_analytic.factor_analysers import FactorAnalysers
from bayesmix.families.gaussian.collapse.collapse_guard import AT_THE_FLOOR, variance_floor
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.records import Event, Frame, Mixture, Summary

COLUMNS_NAMED = 5


def floor_of_noise(frame: Frame, summary: Summary) -> Array:
    """The smallest noise variances (D,), in the frame."""
    return variance_floor(summary.scale / frame.scale, summary.gap / frame.scale)


def held_noise(summary: Summary, mixture: Mixture[FactorAnalysers], floor: Array) -> list[Event]:
    """Components whose noise has run out in more columns than they have factors."""
    components = mixture.components
    least = components.model.of_noise(floor[None])
    low = (components.noise <= AT_THE_FLOOR * least) & ~summary.constant
    rows = mixture.weights.mean() * summary.total_weight
    run_out = np.flatnonzero(low.sum(axis=1) > components.model.n_factors).tolist()
    return [_named(k, np.flatnonzero(low[k]), rows[k]) for k in run_out]


def _named(k: int, columns: Integers, rows: float) -> Event:
    named = ", ".join(map(str, columns[:COLUMNS_NAMED]))
    more = ", ..." if len(columns) > COLUMNS_NAMED else ""
    return Event(
        "held",
        f"{{which}}, which holds about {rows:.1f} rows, has no noise left in {len(columns)} "
        f"columns ({named}{more}), more than its factors can explain, so its likelihood has no "
        "maximum. The noise is held at the resolution of the data: use fewer components, fewer "
        "factors or FactorAnalytic(..., kind='UUC'), or drop columns that say the same",
        components=(k,),
    )
