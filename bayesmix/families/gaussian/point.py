"""Gaussian densities at a point: maximum likelihood estimates and posterior modes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.core import lazy
from bayesmix.core.families import AtAPoint
from bayesmix.core.rows import FLAT_FLOOR, Frame
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.moments import Moments
from bayesmix.families.gaussian.quadratic import ByQuadratics, Quadratics, offsets_by_column
from bayesmix.numerics.arrays import LOG_2PI, Array, Integers
from bayesmix.numerics.memo import once, record

# Smaller counts are treated as 0, as their means would be ratios of underflow.
NO_ROWS = 1e-200


if TYPE_CHECKING:
    from bayesmix.families.gaussian.point_parts import PartsOfGaussians
else:
    PartsOfGaussians = lazy.methods(
        "bayesmix.families.gaussian.point_parts:PartsOfGaussians",
        "seen_in draw spread_out marginal conditional conditional_means moved",
    )


@record
@dataclass(frozen=True)
class Gaussians(PartsOfGaussians, ByQuadratics, AtAPoint):
    """Means (K, D) and covariance blocks; ``resolution`` is the floor set by the guard."""

    structure: Structure
    means: Array
    blocks: Array
    resolution: Array | None = None

    @property
    def deviations(self) -> Array:
        return np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2))

    @property
    def covariances(self) -> Array:
        return self.structure.algebra.dense(self.blocks, *self.means.shape)

    @once
    def precision_root(self) -> Array:
        return self.structure.algebra.root(self.blocks)

    @once
    def linear(self) -> Quadratics:
        algebra, (n_components, n_features) = self.structure.algebra, self.means.shape
        root = self.precision_root
        log_det = algebra.log_det(root)
        if self.resolution is not None:
            log_det = log_det - algebra.trace(self.resolution, root)
        offset = 0.5 * (
            algebra.per_component(log_det, n_components, n_features) - n_features * LOG_2PI
        )
        by_column = None
        if self.resolution is not None:
            by_column = offsets_by_column(self.structure, log_det, self.means.shape)
        return Quadratics(self.structure, offset, self.means, root, by_column)

    def subset(self, keep: Integers) -> Gaussians:
        return replace(
            self,
            means=self.means[keep],
            blocks=self.structure.blocks.keep(self.blocks, keep),
            resolution=kept(self.resolution, keep),
        )

    def released(self) -> Gaussians:
        return replace(self, resolution=None)

    def framed(self, frame: Frame) -> Gaussians:
        return replace(
            self,
            means=np.ascontiguousarray(frame.apply(self.means)),
            blocks=self.structure.algebra.project(self.blocks, frame),
        )

    def unframed(self, frame: Frame) -> Gaussians:
        return replace(
            self,
            means=frame.undo(self.means),
            blocks=self.structure.algebra.lift(self.blocks, frame, FLAT_FLOOR),
        )


def maximum_likelihood(
    structure: Structure,
    statistics: Moments,
    previous: Gaussians | None,
    resolution: Array | None,
    ridge: Array | None,
) -> Gaussians:
    """Return means and covariances of the moments (Bishop 2006, eq. 9.24 and 9.25).

    ``ridge`` (D,) is added to each variance, as scikit-learn's ``reg_covar``. A component without
    observations keeps its mean and takes the average covariance; its weight is zero.
    """
    means = statistics.means
    n_components = len(means)
    moments = statistics
    if resolution is not None:
        from bayesmix.families.gaussian.point_parts import with_resolution

        moments = with_resolution(statistics, resolution)
    if np.minimum.reduce(statistics.known, axis=None) <= NO_ROWS:
        empty = statistics.known <= NO_ROWS
        same = previous is not None and previous.n_components == n_components
        before = previous.means if previous is not None and same else 0.0
        means = np.where(empty, before, means)
        from bayesmix.families.gaussian.point_parts import with_average

        moments = with_average(statistics, resolution, empty)
    earlier = None if previous is None else previous.blocks
    blocks = structure.estimate(moments.scatter, moments.block_counts, earlier)
    if ridge is not None:
        blocks = structure.algebra.add_to_diagonal(blocks, ridge[: blocks.shape[-1]])
    return Gaussians(structure, means, blocks, resolution)


def kept(resolution: Array | None, keep: Integers) -> Array | None:
    """Return the resolution of some components; a shared one has a leading axis of 1."""
    return resolution if resolution is None or len(resolution) == 1 else resolution[keep]
