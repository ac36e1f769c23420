"""Quadratic forms of Gaussians on a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.families.gaussian.moments import Moments, Quadratics, averages
from bayesmix.numerics.arrays import DENSE
from bayesmix.numerics.device_arrays import beside, host


@dataclass(frozen=True)
class QuadraticsOnDevice:
    """Quadratic forms offset_k - ½ |Uᵀ(x - m_k)|² on a device."""

    forms: Quadratics

    def features(self, xp: Any, values: Any) -> Any:
        """Return [1, x, x xᵀ] (n, F) in the order of ``Algebra.features``."""
        one = xp.ones_like(values[:, :1])
        if self.forms.kind != DENSE:
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
                if forms.kind == DENSE
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
            if self.forms.kind == DENSE:
                scatter.append(host(xp.matrix_transpose(away * shares) @ away))
            else:
                scatter.append(host(xp.sum(away * away * shares, axis=0)))
        return Moments(structure, counts, means, structure.blocks.pool(np.stack(scatter)))
