"""The Gaussian family in any covariance structure, and its densities at a point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy import stats

from bayesmix.core.families import AtAPoint, Family, FamilyOf
from bayesmix.core.parameters import REAL, parameter
from bayesmix.core.rows import FARTHEST, FLAT_FLOOR, NO_ROWS, Event, Frame, Summary
from bayesmix.core.validation import one_of
from bayesmix.errors import InvalidInputError
from bayesmix.families.gaussian.collapse import GaussianGuard, at_floor, without_flat_directions
from bayesmix.families.gaussian.covariance.coordinates import (
    COVARIANCE_BLOCKS,
    FREE_BLOCKS,
    deviations_of_blocks,
)
from bayesmix.families.gaussian.covariance.models import NAMED, STRUCTURES, Structure, averaged
from bayesmix.families.gaussian.covariance.regression import regress, regressed
from bayesmix.families.gaussian.gaps import available
from bayesmix.families.gaussian.held_normals import restricted
from bayesmix.families.gaussian.moments import (
    ByQuadratics,
    Moments,
    Quadratics,
    moments,
    offsets_by_column,
    with_average,
    with_resolution,
)
from bayesmix.families.gaussian.unusable_columns import refuse_columns_apart, refuse_constant
from bayesmix.numerics.arrays import LOG_2PI, Array, Booleans, Integers, has_gaps, power_of_two
from bayesmix.numerics.distributions import ColumnDistribution
from bayesmix.numerics.memo import cached, once

if TYPE_CHECKING:
    from bayesmix.core.restrictions import Restriction
    from bayesmix.core.sources import Source
    from bayesmix.families.gaussian.draws import GaussianDraws
    from bayesmix.families.gaussian.prior import NormalWishart


@dataclass(frozen=True)
class Gaussians(ByQuadratics, AtAPoint):
    """Means (K, D) and covariance blocks; ``resolution`` is the floor set by the guard."""

    structure: Structure
    means: Array = field(metadata=parameter(REAL, units="deviations_of_blocks"))
    blocks: Array = field(metadata=parameter(COVARIANCE_BLOCKS, "covariances", spread=True))
    resolution: Array | None = None

    deviations_of_blocks = property(deviations_of_blocks)

    @property
    def independent_columns(self) -> bool:
        free = self.structure.name in FREE_BLOCKS and not self.structure.isotropic
        return free and self.blocks.ndim == 2

    @property
    def deviations(self) -> Array:
        return np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2))

    @property
    def covariances(self) -> Array:
        return self.structure.algebra.dense(self.blocks, *self.means.shape)

    @property
    def distribution(self) -> ColumnDistribution:
        return ColumnDistribution(stats.norm(self.means[:, 0], self.deviations[:, 0]))

    @property
    def precisions(self) -> Array:
        return np.asarray(np.linalg.inv(self.covariances))

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
        column_offset = None
        if self.resolution is not None:
            column_offset = offsets_by_column(self.structure, log_det, self.means.shape)
        return Quadratics(self.structure, offset, self.means, root, column_offset)

    def subset(self, keep: Integers) -> Gaussians:
        return replace(
            self,
            means=self.means[keep],
            blocks=self.structure.blocks.keep(self.blocks, keep),
            resolution=kept_resolution(self.resolution, keep),
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
        if frame.rest is not None:
            return normals_of(self.means, self.covariances, frame)
        return replace(
            self,
            means=frame.undo(self.means),
            blocks=self.structure.algebra.lift(self.blocks, frame, FLAT_FLOOR),
        )

    def seen_in(self, columns: Integers) -> Gaussians:
        return self.marginal(columns)

    def moved(self, k: int, mean: Array, block: Array | None) -> Gaussians:
        """Move component k to another mean, and to another block unless None."""
        means = self.means.copy()
        means[k] = mean
        blocks = self.blocks
        if block is not None:
            blocks = blocks.copy()
            blocks[k] = block
        return replace(self, means=means, blocks=blocks)

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        normal = generator.standard_normal((int(counts.sum()), self.n_features))
        labels = np.repeat(np.arange(self.n_components), counts)
        return self.means[labels] + self.spread_out(normal, labels)

    def spread_out(self, normal: Array, labels: Integers) -> Array:
        """Transform standard normal values to the covariances of components."""
        dense = self.covariances
        out = np.empty_like(normal)
        for k in np.unique(labels):
            rows = labels == k
            out[rows] = normal[rows] @ np.linalg.cholesky(dense[k]).T
        return out

    def marginal(self, columns: Integers) -> Gaussians:
        """Return the marginal densities of some columns (Bishop 2006, eq. 2.98)."""
        blocks = self.structure.algebra.select(self.blocks, columns)
        return Gaussians(self.structure, self.means[:, columns], blocks)

    def conditional(self, columns: Integers, given: Integers, values: Array) -> Gaussians:
        """Return the densities of ``columns`` given values (Bishop 2006, eq. 2.81, 2.82)."""
        slopes, conditional_blocks = regress(self.structure.algebra, self.blocks, columns, given)
        means = regressed(self.means, slopes, columns, given, values[None])[0]
        return Gaussians(self.structure, means, conditional_blocks)

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        slopes, _ = regress(self.structure.algebra, self.blocks, columns, given)
        return regressed(self.means, slopes, columns, given, values)


def normals_of(means: Array, covariances: Array, frame: Frame) -> Gaussians:
    """Return normals on all columns of such coordinates along a common subspace."""
    return Gaussians(STRUCTURES["full"], frame.undo(means), frame.lifted(covariances))


def normals_alike(students: Any) -> Gaussians:
    """Return normals of the means and covariances of Student-t densities, or of their shapes."""
    shapes = students.algebra.dense(students.blocks, *students.means.shape)
    covariances = np.where(np.isnan(students.covariances), shapes, students.covariances)
    return Gaussians(STRUCTURES["full"], students.means, covariances)


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
    means, supported = statistics.means, statistics
    if resolution is not None:
        supported = with_resolution(statistics, resolution)
    if np.minimum.reduce(statistics.counts_of_means, axis=None) <= NO_ROWS:
        empty = statistics.counts_of_means <= NO_ROWS
        same = previous is not None and previous.n_components == len(means)
        before = previous.means if previous is not None and same else 0.0
        means = np.where(empty, before, means)
        supported = with_average(statistics, resolution, empty)
    earlier = None if previous is None else previous.blocks
    blocks = structure.estimate(supported.scatter, supported.block_counts, earlier)
    if ridge is not None:
        blocks = structure.algebra.add_to_diagonal(blocks, ridge[: blocks.shape[-1]])
    return Gaussians(structure, means, blocks, resolution)


def kept_resolution(resolution: Array | None, keep: Integers) -> Array | None:
    """Return the resolution of some components; a shared one has a leading axis of 1."""
    return resolution if resolution is None or len(resolution) == 1 else resolution[keep]


# Smaller variances underflow in data units.
SMALLEST_SPREAD = 1e-140
# Distances in data units whose sums of squares are finite.
LARGEST = 1e151


@dataclass(frozen=True)
class Gaussian(FamilyOf[Moments, Gaussians]):
    """Gaussian components with ``covariance`` "full", "tied", "diag" or "spherical".

    Also accepts mclust's letters, see ``GaussianMixture``.
    ``ridge`` (in data units) is added to each variance, as scikit-learn's
    ``reg_covar``; None adds nothing.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.Gaussian("diag").n_parameters(n_components=2, n_features=3)
    12
    """

    covariance: str = "full"
    ridge: float | None = None
    name = "gaussian"
    takes_intervals = takes_noise = True
    adjective = "normal"
    title = "Gaussian"
    separable = True
    continuous = True
    linear = True
    far_densities = True

    def __post_init__(self) -> None:
        one_of("covariance_type", self.covariance, tuple(NAMED))

    @property
    def structure(self) -> Structure:
        return NAMED[self.covariance]

    def with_covariance(self, covariance: str | Family) -> Family:
        if FamilyOf in type(covariance).__mro__:  # factor analysers, or a common subspace
            return cast("Family", covariance)
        return replace(self, covariance=cast("str", covariance))

    def structures(self, n_columns: int) -> Iterator[tuple[str, int]]:
        yield self.covariance, n_columns

    @property
    def has_posterior(self) -> bool:
        return self.structure.nearest is None

    def side_by_side(self, n_mixtures: int) -> Gaussian:
        if not self.structure.shared:
            return self
        from bayesmix.families.gaussian.side_by_side import SideBySide

        return SideBySide(self.covariance, self.ridge, n_mixtures)

    @property
    def takes_gaps(self) -> bool:
        """Whether missing values are supported: diagonal structures count by column."""
        structure = self.structure
        return structure.blocks.dense or structure.estimate is averaged

    def made(self, components: Any) -> bool:
        return bool(components.structure.name == self.structure.name)

    def linear_is_faster(self, n_features: int) -> bool:
        return self.structure.algebra.linear_is_faster(n_features)

    def frame(self, summary: Summary) -> Frame:
        """Return medians and robust scales, rounded to powers of two for exact scaling."""
        scale = summary.scale
        if self.structure.common_scale:
            if not self.structure.blocks.isotropic:
                refuse_columns_apart(self.covariance, scale)
            scale = np.full_like(scale, np.exp(np.log(scale).mean()))
        _refuse_extremes(summary, np.minimum(scale, summary.scale))
        return Frame(summary.centre, power_of_two(scale))

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        if source.summary.n_missing:
            refuse_constant(source, "X with missing values")
            return frame, ()
        key = ("flat", self.covariance, frame.centre.tobytes(), frame.scale.tobytes())
        return cached(source, key, lambda: without_flat_directions(self.structure, frame, source))

    def statistics(self, values: Array, responsibilities: Array) -> Moments:
        if has_gaps(values):
            return available(self.structure, values, responsibilities)
        return moments(self.structure, values, responsibilities)

    def maximum_likelihood(
        self,
        statistics: Moments,
        previous: Gaussians | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> Gaussians:
        """Return means and covariances of the moments (Bishop 2006, eq. 9.24, 9.25)."""
        ridge = None
        if self.ridge is not None and frame is not None:
            ridge = self.ridge / (frame.scale * frame.scale)
        return maximum_likelihood(self.structure, statistics, previous, resolution, ridge)

    def restricted(
        self,
        statistics: Moments,
        previous: Gaussians | None,
        resolution: Array | None,
        frame: Frame,
        restriction: Restriction,
    ) -> Gaussians:
        return restricted(self, statistics, previous, resolution, frame, restriction)

    def feasible(self, statistics: Moments) -> bool:
        """Whether no variance or count is negative; matrices are checked when factorised."""
        if statistics.counts_of_means.min() < 0.0:
            return False
        n_features = statistics.means.shape[1]
        spread = self.structure.algebra.spread(
            statistics.scatter, len(statistics.counts), n_features
        )
        return bool(spread.min() >= 0.0)

    def reference_prior(self, summary: Summary, frame: Frame) -> NormalWishart:
        from bayesmix.families.gaussian.prior import reference_prior

        return reference_prior(self.structure, summary, frame)

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> NormalWishart:
        """Return the fixed prior of ``prior="auto"``, which prevents singular covariances."""
        from bayesmix.families.gaussian.prior_mode import map_prior

        return map_prior(self.structure, source, source.summary, frame, n_components)

    def as_draws(self, points: Sequence[Gaussians]) -> GaussianDraws:
        from bayesmix.families.gaussian.draws import GaussianDraws

        means, roots = (
            np.array([getattr(point, name) for point in points])
            for name in ("means", "precision_root")
        )
        return GaussianDraws(self.structure, means, roots, np.ones_like(roots[:, :1]), np.nan)

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features + self.structure.n_parameters(n_components, n_features)

    def max_components(self, n_distinct: int, n_features: int) -> int | None:
        if self.ridge is not None:  # which bounds the likelihood
            return None
        return self.structure.max_components(n_distinct, n_features)

    def at_floor(self, components: Gaussians, resolution: Any) -> Booleans:
        return at_floor(components, resolution)

    def guard(self, source: Source, frame: Frame, summary: Summary, repair: bool) -> GaussianGuard:
        """Return the guard against collapse; under a prior it includes the ridge."""
        ridge = None if repair else self.ridge
        bounded = self.ridge is not None
        return GaussianGuard(self.structure, source, frame, summary, repair, ridge, bounded=bounded)


def _refuse_extremes(summary: Summary, scale: Array) -> None:
    """Raise an error for columns whose spread or outliers overflow in sums."""
    small = np.flatnonzero(summary.scale < SMALLEST_SPREAD)
    if len(small):
        raise InvalidInputError(
            f"X must have columns with a standard deviation of at least {SMALLEST_SPREAD:g}, but "
            f"column {small[0]} has one of {summary.scale[small[0]]:.3g}, whose square "
            "underflows: rescale that column"
        )
    away = np.maximum(summary.maximum - summary.centre, summary.centre - summary.minimum)
    # Narrow columns are widened relative to outliers, whatever their units.
    farthest = min(FARTHEST, LARGEST / float(scale.max()))
    far = np.flatnonzero(away > farthest * scale)
    if len(far):
        raise InvalidInputError(
            f"X must have no extreme values, but column {far[0]} has a value {away[far[0]]:.3g} "
            f"from the median, more than {farthest:.3g} times its spread of {scale[far[0]]:.3g}: "
            "drop such rows, or take logarithms"
        )
