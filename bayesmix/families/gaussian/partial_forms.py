"""Quadratic forms of some columns or some components: missing cells, neighbours, devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.families.gaussian.moments import Moments
from bayesmix.numerics import arrays as features
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.memo import once

if TYPE_CHECKING:
    from bayesmix.core.components import Seen
    from bayesmix.families.gaussian.gaps import Pattern
    from bayesmix.families.gaussian.on_device import QuadraticsOnDevice

from bayesmix.families.gaussian.moments import Quadratics


class PartialForms:
    """Methods of ``Quadratics`` that a pass over complete samples in memory does not use."""

    @property
    def on_device(self: Any) -> QuadraticsOnDevice:
        from bayesmix.families.gaussian.on_device import QuadraticsOnDevice

        return QuadraticsOnDevice(self)

    @property
    def patterned(self: Any) -> Booleans:
        return np.ones(self.means.shape[1], dtype=bool)

    def seen_in(self: Any, columns: Integers) -> Quadratics:
        return self.marginal(columns)

    def seen(self: Any, values: Array) -> Seen:
        from bayesmix.families.gaussian.gaps import seen_by

        return seen_by(self, values)

    @property
    def dense(self: Any) -> bool:
        return self.structure.algebra.kind == features.DENSE

    def completed(self: Any, columns: Integers, sums: Moments) -> Moments:
        from bayesmix.families.gaussian.gaps import completed

        return completed(self, columns, sums)

    @once
    def patterns(self: Any) -> dict[bytes, Pattern]:
        """Cache of forms by pattern of missing values."""
        return {}

    def marginal(self: Any, columns: Integers) -> Quadratics:
        """Return log ∫ exp(.) over the missing columns as quadratic forms."""
        from bayesmix.families.gaussian.gaps import pattern_of

        return pattern_of(self, columns)[0]

    def filled(self: Any, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        from bayesmix.families.gaussian.gaps import filled

        return filled(self, values, labels, generator)

    def dense_filled(
        self: Any, values: Array, labels: Integers, generator: np.random.Generator
    ) -> Array:
        return self.filled(values, labels, generator) if self.dense else values
