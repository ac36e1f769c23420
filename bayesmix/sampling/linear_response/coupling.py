"""q(π, θ) in uncorrelated coordinates of unit variance, and how rows couple these.

What of the weights and of the components is said where they are; here they stand side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy.linalg import solve_triangular

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.protocols import Coordinates, Posterior, VaryingWeights
from bayesmix.records import Mixture, Rows, Spread, WeightSpread

BLOCK_VALUES = 2**20


@dataclass(frozen=True)
class AllCoordinates:
    """Of the weights first (log π - E[log π] = ``root`` z), then those of the components."""

    mixture: Mixture[Posterior]
    weights: WeightSpread
    root: Array  # (K, K), or (1, 0) for one component
    components: Coordinates

    @property
    def size(self) -> int:
        return int(self.root.shape[1] + self.components.size)

    @property
    def of_components(self) -> tuple[slice, slice]:
        """Where a matrix of all pairs has those of components."""
        return (slice(self.root.shape[1], None),) * 2

    def of_logs(self, logs: Array) -> Array:
        """z (m, ...) of centred logarithms of weights (m, K)."""
        if not self.root.size:
            return logs[:, :0]
        solved: Array = solve_triangular(self.root, logs.T, lower=True).T
        return solved

    def slopes(self, values: Array, k: int) -> tuple[Integers, Array]:
        """Places, and d l_nk / d E[z] (n, p) there."""
        n_weights = self.root.shape[1]
        of_weights = np.broadcast_to(self.root[k], (len(values), n_weights))
        places = np.concatenate([np.arange(n_weights), n_weights + self.components.places(k)])
        return places, np.hstack([of_weights, self.components.slopes(values, k)])

    def parameters(self) -> dict[str, Spread]:
        """How weights and parameters in data units vary with z."""
        n_weights, K = self.root.shape[1], self.mixture.n_components
        across = np.zeros((K, self.size))
        across[:, :n_weights] = self.of_logs(self.weights.across)
        found = {"weights": Spread((K,), across, self.weights.of_weights)}
        for name, one in self.components.parameters(self.mixture.frame).items():
            padded = np.hstack([np.zeros((len(one.across), n_weights)), one.across])
            found[name] = Spread(one.shape, padded, one.own)
        return found


def coordinates_of(mixture: Mixture[Posterior]) -> AllCoordinates:
    """q in coordinates of unit variance."""
    weights = cast("VaryingWeights", mixture.weights).spread()
    many = len(weights.of_logs) > 1
    root: Array = np.asarray(np.linalg.cholesky(weights.of_logs)) if many else np.zeros((1, 0))
    return AllCoordinates(mixture, weights, root, mixture.components.coordinates())


@dataclass(frozen=True)
class GainStep:
    """Σ_n w_n Jᵀ (diag(r) - r rᵀ) J (P, P) of a chunk."""

    mixture: Mixture
    coordinates: AllCoordinates

    def __call__(self, rows: Rows) -> Array:
        size = self.coordinates.size
        total = np.zeros((size, size))
        for block in rows.blocks(max(16, BLOCK_VALUES // size)):
            self._add(block, total)
        return total

    def _add(self, rows: Rows, total: Array) -> None:
        values = self.mixture.frame.apply(rows.values)
        shares, _ = self.mixture.responsibilities(values)
        weights = rows.weights_or_ones
        average = np.zeros((len(rows), len(total)))
        for k in range(shares.shape[1]):
            places, slopes = self.coordinates.slopes(values, k)
            shared = slopes * shares[:, k, None]
            total[np.ix_(places, places)] += (slopes * weights[:, None]).T @ shared
            average[:, places] += shared
        total -= (average * weights[:, None]).T @ average
