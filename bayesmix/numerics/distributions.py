"""Distribution functions of one column in K components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bayesmix.numerics.arrays import Array


class DistributionFunctions(Protocol):
    """A continuous distribution (K,), such as a frozen one of ``scipy.stats``."""

    def cdf(self, x: float, /) -> Array | float: ...

    def sf(self, x: float, /) -> Array | float: ...

    def isf(self, q: Array, /) -> Array: ...

    def support(self) -> tuple[Array | float, Array | float]: ...


@dataclass(frozen=True)
class ColumnDistribution:
    """Distribution of one column in K components: a continuous part, and masses at its ends."""

    continuous: DistributionFunctions
    low_mass: Array | float = 0.0
    high_mass: Array | float = 0.0

    @property
    def support(self) -> tuple[float, float]:
        """Limits of the continuous part, the same in all components."""
        low, high = self.continuous.support()
        return float(np.min(low)), float(np.max(high))

    def cdf(self, value: float) -> Array:
        """Return P(x <= value) (K,)."""
        low, high = self.support
        reached = (value >= low) * self.low_mass + (value >= high) * self.high_mass
        return np.asarray(reached + self._inside * self.continuous.cdf(value))

    def sf(self, value: float) -> Array:
        """Return P(x > value) (K,)."""
        low, high = self.support
        beyond = (value < low) * self.low_mass + (value < high) * self.high_mass
        return np.asarray(beyond + self._inside * self.continuous.sf(value))

    def isf(self, share: float) -> Array:
        """Return the lowest values (K,) with P(x > value) <= share."""
        inside = np.maximum(self._inside, np.finfo(np.float64).tiny)
        levels = np.atleast_1d(np.clip((share - self.high_mass) / inside, 0.0, 1.0))
        return self.continuous.isf(levels)

    @property
    def _inside(self) -> Array | float:
        return 1.0 - self.low_mass - self.high_mass
