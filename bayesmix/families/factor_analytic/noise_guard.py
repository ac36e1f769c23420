"""Noise that has run out: variances held at a floor, and components that it takes for collapsed.

Every noise variance is held at a floor from the start (1e-6 in columns of unit scale, or gap²/12
where rows tie), a constraint that the likelihood never falls under. Where a factor takes all that a
column has (a Heywood case) that one is at the floor; where more columns are than there are factors,
the rows of the component agree there but for as many directions, and its likelihood has no maximum.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bayesmix.families.factor_analytic.factor_analysers import FactorAnalysers
from bayesmix.families.gaussian.collapse.collapse_guard import held_before, variance_floor
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.protocols import Whole
from bayesmix.records import Event, Frame, Mixture, Repair, Summary

AT_THE_FLOOR = 1.0 + 1e-9
COLUMNS_NAMED = 5


@dataclass(frozen=True)
class NoiseGuard:
    """Watches factor analysers fitted to rows with this summary, in ``frame``."""

    frame: Frame
    summary: Summary

    @cached_property
    def resolution(self) -> Array:
        """The smallest noise variances (1, D), in the frame."""
        unit, tied = self.summary.scale / self.frame.scale, self.summary.gap / self.frame.scale
        return variance_floor(unit, tied)[None]

    def among(self, whole: Whole) -> NoiseGuard:
        """Itself: it looks at no rows."""
        return self

    def examine(
        self,
        mixture: Mixture[FactorAnalysers],
        resolution: Array | None,
        events: tuple[Event, ...],
        thorough: bool,
    ) -> Repair | None:
        """Names components whose noise has run out in more columns than they have factors."""
        if not thorough:
            return None
        components = mixture.components
        floor = components.model.of_noise(self.resolution)
        low = (components.noise <= AT_THE_FLOOR * floor) & ~self.summary.constant
        known = held_before(events)
        rows = mixture.weights.mean() * self.summary.total_weight
        held = [
            self._named(k, np.flatnonzero(low[k]), rows[k])
            for k in np.flatnonzero(low.sum(axis=1) > components.model.n_factors).tolist()
            if k not in known
        ]
        return Repair(tuple(held), resolution) if held else None

    def _named(self, k: int, columns: Integers, rows: float) -> Event:
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
