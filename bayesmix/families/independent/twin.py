"""The twin in PyMC of columns that are independent given their component."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.families.independent.linear import PLAIN, Reading
from bayesmix.numerics.arrays import Array
from bayesmix.protocols import DrawnComponents, NamedTensors, Pymc, Tensor
from bayesmix.records import Frame


@dataclass(frozen=True)
class TotalsTwin:
    """K densities in PyMC that are linear in t(x); their parameters are one variable of the model.

    ``drawn`` are tensors by name, of which ``record`` makes the family's draws.
    """

    constants: Tensor  # (K,)
    slopes: Tensor  # (K, F)
    drawn: dict[str, Tensor]
    record: Callable[..., DrawnComponents]
    reading: Reading = PLAIN

    def log_density(self, pm: Pymc, values: Array) -> Tensor:
        """log p(x_n | θ_k) (n, K)."""
        density = data(pm, self.reading.totals(values)) @ self.slopes.T + self.constants
        if self.reading.has_base:
            base = pm.Data("log_base", self.reading.log_base(values), dims="row")
            density = density + base[:, None]
        return density

    def named(self, frame: Frame) -> NamedTensors:
        """Nothing beside the variable itself, which is in the units of the data."""
        return {}

    def draws(self, values: Mapping[str, Array]) -> Any:
        """S draws from the values (S, ...) of ``drawn``."""
        return self.record(**values)

    def point(self, draws: Any) -> dict[str, Array]:
        """Values (S, K, D) of the model's variable at draws: their first parameter."""
        name, (_, values) = next(iter(draws.parameters(None).items()))
        return {name: values}


def data(pm: Pymc, totals: Array) -> Any:
    """Totals (F, n) as data (n, F) of the model; every axis has a name, as nutpie wants it."""
    pm.modelcontext(None).add_coord("total", np.arange(len(totals)))
    return pm.Data("rows", np.ascontiguousarray(totals.T), dims=("row", "total"))
