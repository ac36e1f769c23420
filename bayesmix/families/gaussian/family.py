"""The Gaussian family in any covariance structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.core.families import FamilyOf
from bayesmix.core.rows import Event, Frame, Summary
from bayesmix.core.validation import one_of
from bayesmix.errors import InvalidInputError
from bayesmix.families.gaussian.collapse import GaussianGuard
from bayesmix.families.gaussian.covariance.models import NAMED, Structure, averaged
from bayesmix.families.gaussian.flat_directions import without_flat_directions
from bayesmix.families.gaussian.moments import Moments, moments
from bayesmix.families.gaussian.point import Gaussians, maximum_likelihood
from bayesmix.numerics.arrays import DENSE, Array, has_gaps
from bayesmix.numerics.memo import cached

# Priors and draws are imported on use, as maximum likelihood needs neither.
if TYPE_CHECKING:
    from bayesmix.core.sources import Source
    from bayesmix.families.gaussian.draws import GaussianDraws
    from bayesmix.families.gaussian.prior import NormalWishart

# Smaller variances underflow in data units.
SMALLEST_SPREAD = 1e-140
# Distances in data units whose sums of squares are finite.
LARGEST = 1e151
# Fourth powers of larger distances, in robust scales, overflow when rounded.
FARTHEST = 1e70


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
    continuous = True
    linear = True
    far_densities = True

    def __post_init__(self) -> None:
        one_of("covariance_type", self.covariance, tuple(NAMED))

    @property
    def structure(self) -> Structure:
        return NAMED[self.covariance]

    @property
    def has_posterior(self) -> bool:
        return self.structure.nearest is None

    @property
    def takes_gaps(self) -> bool:
        """Whether missing values are supported: diagonal structures count by column."""
        structure = self.structure
        return structure.algebra.kind == DENSE or structure.estimate is averaged

    def made(self, components: Any) -> bool:
        return bool(components.structure.name == self.structure.name)

    def linear_is_faster(self, n_features: int) -> bool:
        return self.structure.algebra.linear_is_faster(n_features)

    def frame(self, summary: Summary) -> Frame:
        """Return medians and robust scales, rounded to powers of two for exact scaling."""
        scale = summary.scale
        if self.structure.common_scale:
            if not self.structure.blocks.isotropic:
                from bayesmix.families.gaussian.unusable_columns import refuse_columns_apart

                refuse_columns_apart(self.covariance, scale)
            scale = np.full_like(scale, np.exp(np.log(scale).mean()))
        _refuse_extremes(summary, np.minimum(scale, summary.scale))
        return Frame(summary.centre, np.exp2(np.floor(np.log2(scale))))

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        if source.summary.n_missing:
            from bayesmix.families.gaussian.unusable_columns import refuse_constant

            refuse_constant(source, "X with missing values")
            return frame, ()
        key = ("flat", self.covariance, frame.centre.tobytes(), frame.scale.tobytes())
        return cached(source, key, lambda: without_flat_directions(self.structure, frame, source))

    def statistics(self, values: Array, responsibilities: Array) -> Moments:
        if has_gaps(values):
            from bayesmix.families.gaussian.gaps import available

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

    def feasible(self, statistics: Moments) -> bool:
        """Whether no variance or count is negative; matrices are checked when factorised."""
        if statistics.known.min() < 0.0:
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
        return self.structure.max_components(n_distinct, n_features)

    def guard(self, source: Source, frame: Frame, summary: Summary, repair: bool) -> GaussianGuard:
        """Return the guard against collapse; under a prior it includes the ridge."""
        ridge = None if repair else self.ridge
        return GaussianGuard(self.structure, source, frame, summary, repair, ridge)


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
