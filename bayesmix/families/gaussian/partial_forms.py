"""Quadratic forms of some columns or components, and on a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.families.gaussian.moments import Moments, Quadratics, averages
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.device_arrays import beside, host
from bayesmix.numerics.memo import once

if TYPE_CHECKING:
    from bayesmix.core.components import DensitiesAndStatistics
    from bayesmix.families.gaussian.gaps import Pattern


class PartialForms:
    """Methods of ``Quadratics`` that a pass over complete samples in memory does not use."""

    @property
    def on_device(self: Any) -> QuadraticsOnDevice:

        return QuadraticsOnDevice(self)

    @property
    def patterned(self: Any) -> Booleans:
        return np.ones(self.means.shape[1], dtype=bool)

    def seen_in(self: Any, columns: Integers) -> Quadratics:
        return self.marginal(columns)

    def seen(self: Any, values: Array) -> DensitiesAndStatistics:
        from bayesmix.families.gaussian.gaps import seen_by

        return seen_by(self, values)

    @property
    def dense(self: Any) -> bool:
        return self.structure.blocks.dense

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


@dataclass(frozen=True)
class QuadraticsOnDevice:
    """Quadratic forms offset_k - ½ |Uᵀ(x - m_k)|² on a device."""

    forms: Quadratics

    def features(self, xp: Any, values: Any) -> Any:
        """Return [1, x, x xᵀ] (n, F) in the order of ``Algebra.features``."""
        one = xp.ones_like(values[:, :1])
        if not self.forms.dense:
            return xp.concat([one, values, values * values], axis=1)
        products = [values[:, i : i + 1] * values[:, i:] for i in range(values.shape[1])]
        return xp.concat([one, values, *products], axis=1)

    def log_density(self, xp: Any, values: Any) -> Any:
        forms, columns = self.forms, []
        shared = len(forms.root) == 1
        for k, (offset, mean) in enumerate(zip(forms.offset, forms.means, strict=True)):
            root = forms.root[0 if shared else k]
            away = values - beside(mean, values)
            along = (
                away @ beside(root, values)
                if forms.dense
                else away * beside(np.broadcast_to(root, mean.shape).copy(), values)
            )
            columns.append(float(offset) - 0.5 * xp.sum(along * along, axis=1))
        return xp.stack(columns, axis=1)

    def statistics(self, xp: Any, values: Any, responsibilities: Any) -> Moments:
        structure = self.forms.structure
        counts = host(xp.sum(responsibilities, axis=0))
        means = averages(host(xp.matrix_transpose(responsibilities) @ values), counts[:, None])
        scatter = []
        for k, mean in enumerate(means):
            away = values - beside(mean, values)
            shares = responsibilities[:, k : k + 1]
            if self.forms.dense:
                scatter.append(host(xp.matrix_transpose(away * shares) @ away))
            else:
                scatter.append(host(xp.sum(away * away * shares, axis=0)))
        return Moments(structure, counts, means, structure.blocks.pool(np.stack(scatter)))
