"""Densities in PyMC of columns with conjugate factors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.core.components import DrawnComponents
from bayesmix.core.priors import NamedTensors, Pymc, Tensor
from bayesmix.core.rows import Frame
from bayesmix.families.independent.linear import PLAIN, Reading
from bayesmix.numerics.arrays import Array


@dataclass(frozen=True)
class TotalsTwin:
    """K densities in PyMC that are linear in t(x), with a single variable.

    ``record`` makes draws of the family from the tensors ``drawn``.
    """

    constants: Tensor  # (K,)
    slopes: Tensor  # (K, F)
    drawn: dict[str, Tensor]
    record: Callable[..., DrawnComponents]
    reading: Reading = PLAIN

    def log_density(self, pm: Pymc, values: Array) -> Tensor:
        density = data(pm, self.reading.totals(values)) @ self.slopes.T + self.constants
        if self.reading.has_base:
            base = pm.Data("log_base", self.reading.log_base(values), dims="row")
            density = density + base[:, None]
        return density

    def named(self, frame: Frame) -> NamedTensors:
        return {}

    def draws(self, values: Mapping[str, Array]) -> Any:
        return self.record(**values)

    def point(self, draws: Any) -> dict[str, Array]:
        """Return values (S, K, D) of the PyMC variable, the first parameter of the draws."""
        name, (_, values) = next(iter(draws.parameters(None).items()))
        return {name: values}


def data(pm: Pymc, totals: Array) -> Any:
    """Add totals (F, n) to the model as data (n, F), with names for all axes as nutpie requires."""
    pm.modelcontext(None).add_coord("total", np.arange(len(totals)))
    return pm.Data("rows", np.ascontiguousarray(totals.T), dims=("row", "total"))
