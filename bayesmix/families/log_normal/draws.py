"""Draws of log-normal components, and q in coordinates: those of the normals of logarithms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from bayesmix.families.gaussian.draws import GaussianDraws
from bayesmix.families.gaussian.uncertainty.coordinates_of_q import GaussianCoordinates
from bayesmix.families.log_normal.logs import frame_of_logs
from bayesmix.families.log_normal.quadratics import LogQuadratics
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.protocols import Named
from bayesmix.records import Frame, Spread

if TYPE_CHECKING:
    from bayesmix.families.log_normal.components import LogNormals

Value = TypeVar("Value")
# What parameters of the normals are called.
NAMES = {
    "means": "log_means",
    "covariances": "log_variances",
    "scale": "scale",
    "covariance_prior": "covariance_prior",
}


def of_logs(named: dict[str, Value]) -> dict[str, Value]:
    """Parameters of the normals of logarithms, by names that say so."""
    return {NAMES[name]: value for name, value in named.items()}


@dataclass(frozen=True)
class LogNormalDraws:
    """S draws of the normals of logarithms."""

    normals: GaussianDraws

    @cached_property
    def components(self) -> LogQuadratics:
        """All S K densities, those of a draw together."""
        return LogQuadratics(self.normals.components)

    def subset(self, keep: Integers) -> LogNormalDraws:
        """Some components of every draw."""
        return LogNormalDraws(self.normals.subset(keep))

    def at(self, draw: int) -> LogNormals:
        """One of the draws as K densities at a point."""
        from bayesmix.families.log_normal.components import LogNormals

        return LogNormals(self.normals.at(draw))

    def parameters(self, frame: Frame) -> Named:
        """Means (S, K, D) of logarithms and their variances, means in data units, and the scale."""
        named = of_logs(self.normals.parameters(frame_of_logs(frame)))
        axes, logs = named["log_means"]
        means = np.exp(logs + 0.5 * named["log_variances"][1])
        return named | {"means": (axes, means)}


@dataclass(frozen=True)
class LogCoordinates:
    """q(μ, σ²) in the coordinates of the normals of logarithms."""

    normals: GaussianCoordinates

    @property
    def size(self) -> int:
        """P."""
        return self.normals.size

    def places(self, k: int) -> Integers:
        """What the log density of component k depends on."""
        return self.normals.places(k)

    def slopes(self, values: Array, k: int) -> Array:
        """d E[log p(x | θ_k)] / d E[z] (n, p) over ``places(k)``, for framed rows."""
        return self.normals.slopes(np.log(values), k)

    def coupling(self) -> Array:
        """Second derivatives of what couples components beside the rows."""
        return self.normals.coupling()

    def parameters(self, frame: Frame) -> dict[str, Spread]:
        """Means and variances of logarithms, means, to first order, and the scale."""
        named = of_logs(self.normals.parameters(frame_of_logs(frame)))
        logs, variances = named["log_means"], named["log_variances"]
        points = self.normals.q.unframed(frame_of_logs(frame))
        means = np.exp(points.means + 0.5 * points.blocks).ravel()
        # Under q neither knows of the other.
        across = means[:, None] * (logs.across + 0.5 * variances.across)
        own = np.multiply.outer(means, means) * (logs.own + 0.25 * variances.own)
        return named | {"means": Spread(logs.shape, across, own)}

    @property
    def moved(self) -> Integers:
        """Coordinates that ``standardised`` has."""
        return self.normals.moved

    def standardised(self, draws: LogNormalDraws) -> Array:
        """Draws of q in unconstrained coordinates (S, ...)."""
        return self.normals.standardised(draws.normals)

    def drawn(self, standardised: Array) -> LogNormalDraws:
        """The draws that have these unconstrained coordinates."""
        return LogNormalDraws(self.normals.drawn(standardised))
