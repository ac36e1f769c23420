"""Collapse of log-normal components: that of the normals of their logarithms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from bayesmix.families.gaussian.collapse.collapse_guard import GaussianGuard
from bayesmix.families.log_normal.components import LogNormalPosterior, LogNormals
from bayesmix.families.log_normal.logs import LogFrame
from bayesmix.numerics.arrays import Array, Integers, Stored
from bayesmix.protocols import Densities, Whole
from bayesmix.records import Event, Frame, Mixture, Repair


@dataclass(frozen=True)
class Alone:
    """Rows of log-normal columns alone."""

    mixture: Mixture
    columns: Integers

    def log_joint(self, values: Stored, components: Densities) -> Array:
        """Log joints (n, K) of rows as stored."""
        mixture = Mixture(self.mixture.weights, components, self.mixture.frame, self.mixture.noise)
        return mixture.log_joint(mixture.frame.apply(values))


@dataclass(frozen=True)
class OfNormals:
    """The same for the guard of the normals of logarithms."""

    whole: Whole
    of_logs: type[LogNormals | LogNormalPosterior]

    @property
    def columns(self) -> Integers:
        return self.whole.columns

    def log_joint(self, values: Stored, components: Densities) -> Array:
        """Log joints (n, K) of rows as stored, under such normals."""
        return self.whole.log_joint(values, self.of_logs(cast("Any", components)))


@dataclass(frozen=True)
class LogGuard:
    """Watches log-normals by the guard of normals."""

    normals: GaussianGuard
    whole: Whole | None = None

    @property
    def resolution(self) -> Array | None:
        return self.normals.resolution

    def among(self, whole: Whole) -> LogGuard:
        """The same watch over some columns of rows whose components all columns tell apart."""
        return replace(self, whole=whole)

    def examine(
        self,
        mixture: Mixture[Any],
        resolution: Array | None,
        events: tuple[Event, ...],
        thorough: bool,
    ) -> Repair | None:
        """What the guard of normals asks for."""
        frame = cast("Frame", LogFrame(mixture.frame))
        inner = Mixture(mixture.weights, mixture.components.normals, frame)
        whole = self.whole or Alone(mixture, np.arange(self.normals.summary.n_features))
        guard = self.normals.among(OfNormals(whole, type(mixture.components)))
        repair = guard.examine(inner, resolution, events, thorough)
        if repair is None or repair.mixture is None:
            return repair
        moved: Any = repair.mixture
        back = replace(mixture, weights=moved.weights, components=LogNormals(moved.components))
        return Repair(repair.events, repair.resolution, back)
