"""Weights of a background model, kept or adapted (Reynolds, Quatieri & Dunn 2000, eq. 11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bayesmix.allocation.point import FreeWeights, PointWeights
from bayesmix.core.mixture import halfway
from bayesmix.numerics.arrays import Array


class SteppedWeights(PointWeights):
    """Weights by an equation that is no maximum, so that steps are shortened if need be."""


@halfway.register
def _shortened(part: SteppedWeights, other: Any) -> SteppedWeights:
    return SteppedWeights(0.5 * (part.probabilities + other.probabilities))


@dataclass(frozen=True)
class AdaptedWeights:
    """Weights of a background model, which are kept or adapted."""

    weights: Array
    strength: float
    adapted: bool
    name = "background"

    def mode(self, counts: Array) -> PointWeights:
        """Return the weights by eq. 11 of Reynolds, Quatieri & Dunn (2000), or those kept."""
        if not self.adapted:
            return SteppedWeights(self.weights)
        share = counts / (counts + self.strength)
        total = float(counts.sum()) or 1.0
        weights = share * counts / total + (1.0 - share) * self.weights
        return SteppedWeights(weights / weights.sum())

    posterior = mode

    def kl(self, weights: PointWeights) -> float:
        return 0.0

    def log_density(self, weights: PointWeights) -> float:
        """Return 0: the equation of the weights is no mode of a prior."""
        return 0.0

    def n_parameters(self, n_components: int) -> int:
        return FreeWeights().n_parameters(n_components) if self.adapted else 0
