"""Normal-Wishart priors and their exact posteriors in all structures (Bishop 2006, sec. 10.2).

μ_k | Λ_k ~ N(m0, (β0 Λ_k)⁻¹), Λ ~ Wishart(S⁻¹, ν0) in blocks, gamma for diagonals. S may be learned
as part of q, β0 by type-II maximum likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.core import lazy
from bayesmix.core.rows import FLAT_FLOOR, Frame, Summary
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.family import Gaussians, kept
from bayesmix.families.gaussian.moments import ByQuadratics, Moments, Quadratics, offsets_by_column
from bayesmix.families.gaussian.students import Students
from bayesmix.families.gaussian.wishart_scale import (
    FixedScale,
    LearnedScale,
    Wishart,
    log_normaliser,
)
from bayesmix.numerics.arrays import DENSE, LOG_2PI, Array, Integers, align
from bayesmix.numerics.memo import once, record

MEAN_PRECISION_RANGE = (1e-30, 1.0)


if TYPE_CHECKING:
    from bayesmix.families.gaussian.posterior_of_draws import PosteriorOfDraws, PriorOfDraws
    from bayesmix.families.gaussian.prior_mode import PriorAtAPoint
else:
    PriorAtAPoint = lazy.methods(
        "bayesmix.families.gaussian.prior_mode:PriorAtAPoint",
        "mode log_density",
    )
    PosteriorOfDraws = lazy.methods(
        "bayesmix.families.gaussian.posterior_of_draws:PosteriorOfDraws",
        "draws log_factors",
    )
    PriorOfDraws = lazy.methods(
        "bayesmix.families.gaussian.posterior_of_draws:PriorOfDraws",
        "separate feature_evidence conditional log_density_of",
    )


@dataclass(frozen=True)
class NormalWishart(PriorOfDraws, PriorAtAPoint):
    """Hyperparameters m0 (D,), β0, ν0 and the scale, shared by all components."""

    structure: Structure
    mean: Array
    mean_precision: float
    degrees_of_freedom: float
    scale: FixedScale | LearnedScale
    learns_mean_precision: bool = False
    conjugate = True

    def posterior(
        self,
        statistics: Moments,
        previous: GaussianPosterior | None = None,
        resolution: Array | None = None,
    ) -> GaussianPosterior:
        """Return q(μ, Λ) given statistics (Bishop 2006, eq. 10.60 to 10.63).

        Learned hyperparameters are updated first at the previous q(μ, Λ), so that the bound rises.
        """
        if previous is None or not (self.scale.learned or self.learns_mean_precision):
            return self._given(statistics, self.scale.initial(), self.mean_precision, resolution)
        scale: Any = previous.scale
        scale = self.scale.relearned(scale, self.degrees_of_freedom, previous.precisions)
        mean_precision = previous.prior_mean_precision
        if self.learns_mean_precision:
            # The best β0 at q(μ, Λ), within its range.
            lowest, highest = MEAN_PRECISION_RANGE
            best = previous.means.size / previous.expected_spread(self.mean)
            mean_precision = min(max(best, lowest), highest)
        return self._given(statistics, scale, mean_precision, resolution)

    def _given(
        self, statistics: Moments, scale: Any, mean_precision: float, resolution: Array | None
    ) -> GaussianPosterior:
        parameters = self.parameters_given(statistics, scale, mean_precision, resolution)
        return GaussianPosterior(self.structure, *parameters, scale, mean_precision, resolution)

    def parameters_given(
        self, statistics: Moments, scale: Any, mean_precision: float, resolution: Array | None
    ) -> tuple[Array, Array, Wishart]:
        """Return m_k, β_k and the Wishart factors of unconstrained blocks.

        Bishop 2006, eq. 10.60 (β_k), 10.61 (m_k), 10.62 (W_k⁻¹) and 10.63 (ν_k).
        """
        counts, blocks = statistics.known, self.structure.blocks
        beta = mean_precision + counts
        away = statistics.means - self.mean
        shrunk = mean_precision / beta * away
        means = statistics.means - shrunk
        if resolution is not None:
            from bayesmix.families.gaussian.point_parts import with_resolution

            statistics = with_resolution(statistics, resolution)
        between = blocks.pool(blocks.algebra.outer(counts * shrunk, away))
        scale_inverse = scale.mean + (statistics.scatter + between)
        nu = self.degrees_of_freedom + statistics.block_counts
        precisions = Wishart(blocks.algebra, nu, scale_inverse)
        return means, beta[:, 0] if statistics.column_counts is None else beta, precisions

    def kl(self, posterior: GaussianPosterior) -> float:
        """Return the KL divergences of q(μ, Λ) and q(S) (Bishop 2006, eq. 10.74, 10.77)."""
        beta0, beta = posterior.prior_mean_precision, posterior.mean_precision
        normals = beta0 * posterior.expected_spread(self.mean) - posterior.means.size
        log_ratios = float(np.add.reduce(np.log(beta), axis=None)) - beta.size * log(beta0)
        normals += posterior.means.size / beta.size * log_ratios
        nu0, wishart = self.degrees_of_freedom, posterior.precisions
        scale: Any = posterior.scale
        normaliser = 0.5 * nu0 * scale.total_log_det
        normaliser -= scale.expected_log_det.size * self._log_volume
        wisharts = wishart.kl_to(nu0, len(wishart.scale_inverse) * normaliser, scale)
        return 0.5 * normals + wisharts + self.scale.kl(scale)

    @once
    def _log_volume(self) -> float:
        """Return ν0 p/2 log 2 + log Γ_p(ν0/2)."""
        p = self.structure.algebra.block_dimension(len(self.mean))
        return -float(log_normaliser(self.degrees_of_freedom, np.zeros(()), p))

    def unframed(self, frame: Frame) -> NormalWishart:
        return replace(self, mean=frame.undo(self.mean), scale=unframed_scale(self.scale, frame))


def unframed_scale(scale: Any, frame: Frame) -> Any:
    """Transform a scale, of a prior or of q, to data coordinates.

    If directions were set aside, a learned scale becomes its mean, with the floor along them.
    """
    algebra = scale.prior.algebra if isinstance(scale, LearnedScale) else scale.algebra
    if isinstance(scale, FixedScale) or frame.basis is not None:
        mean = scale.initial().mean if isinstance(scale, LearnedScale) else scale.mean
        return FixedScale(algebra, algebra.lift(mean, frame, FLAT_FLOOR))
    if isinstance(scale, LearnedScale):
        return LearnedScale(unframed_scale(scale.prior, frame))
    # S has the units of a covariance, so its inverse scale has those of a precision.
    return replace(scale, scale_inverse=algebra.stretch(scale.scale_inverse, 1.0 / frame.scale))


@record
@dataclass(frozen=True)
class GaussianPosterior(PosteriorOfDraws, ByQuadratics):
    """Posterior q(μ, Λ) = Π N(μ_k | m_k, (β_k Λ_k)⁻¹) Wishart(Λ | W, ν), and hyperparameters."""

    structure: Structure
    means: Array  # (K, D)  m_k
    mean_precision: Array  # (K,)  β_k, or (K, D) with missing values in diagonal structures
    precisions: Wishart  # q(Λ), in blocks
    scale: Wishart | FixedScale  # q(S), or the fixed S
    prior_mean_precision: float  # β0
    resolution: Array | None = None

    @property
    def expected_totals(self) -> Array:
        return self.means

    @property
    def precision_root(self) -> Array:
        return self.precisions.mean_root

    @property
    def blocks(self) -> Array:
        """Covariance summary E[Λ]⁻¹ in blocks."""
        return self.precisions.mean_inverse

    @once
    def inverse_precisions(self) -> Array:
        """Σ_d 1 / β_k (K,)."""
        if self.mean_precision.ndim == 1:
            return self.means.shape[1] / self.mean_precision
        return (1.0 / self.mean_precision).sum(axis=1)

    def expected_spread(self, point: Array) -> float:
        """Return Σ_k E[(μ_k - point)ᵀ Λ_k (μ_k - point)]; that of the last point is cached."""
        if self._latest[0] is not point:
            away = self.structure.algebra.whitened(self.means - point, self.precisions.mean_root)
            spread = np.vdot(away, away) + np.add.reduce(self.inverse_precisions)
            GaussianPosterior._latest.given(self, (point, float(spread)))
        return self._latest[1]

    @once
    def _latest(self) -> tuple[Array | None, float]:
        return None, 0.0

    @once
    def linear(self) -> Quadratics:
        """E[log N(x | μ_k, Λ_k⁻¹)] as quadratic forms (Bishop 2006, eq. 10.64 and 10.65)."""
        algebra, (n_components, n_features) = self.structure.algebra, self.means.shape
        log_det = self.precisions.expected_log_det
        if self.resolution is not None:
            log_det = log_det - algebra.trace(self.resolution, self.precision_root)
        offset = 0.5 * (
            algebra.per_component(log_det, n_components, n_features)
            - n_features * LOG_2PI
            - self.inverse_precisions
        )
        by_column = None
        if algebra.kind != DENSE:
            uncertain = align(1.0 / self.mean_precision, self.means)
            by_column = offsets_by_column(self.structure, log_det, self.means.shape, uncertain)
        return Quadratics(self.structure, offset, self.means, self.precisions.mean_root, by_column)

    def seen_in(self, columns: Integers) -> Quadratics:
        """Return log ∫ exp E[log N(x | μ_k, Λ_k⁻¹)] over the missing columns."""
        return self.linear.marginal(columns)

    def subset(self, keep: Integers) -> GaussianPosterior:
        structure, resolution = self.structure, self.resolution
        return replace(
            self,
            means=self.means[keep],
            mean_precision=self.mean_precision[keep],
            precisions=replace(
                self.precisions,
                degrees_of_freedom=structure.blocks.keep(self.precisions.degrees_of_freedom, keep),
                scale_inverse=structure.blocks.keep(self.precisions.scale_inverse, keep),
            ),
            resolution=kept(resolution, keep),
        )

    def released(self) -> GaussianPosterior:
        return replace(self, resolution=None)

    def unframed(self, frame: Frame) -> GaussianPosterior:
        algebra, precisions = self.structure.algebra, self.precisions
        freedom = precisions.degrees_of_freedom
        if freedom.ndim == 2 and frame.basis is not None:
            freedom = np.repeat(freedom[:, :1], len(frame.centre), axis=1)
        # W⁻¹ = ν E[Λ]⁻¹ is the floor in directions without extent.
        covariances = algebra.lift(self.blocks, frame, FLAT_FLOOR)
        return replace(
            self,
            means=frame.undo(self.means),
            precisions=Wishart(algebra, freedom, align(freedom, covariances) * covariances),
            scale=unframed_scale(self.scale, frame),
        )

    def plug_in(self) -> Gaussians:
        return Gaussians(self.structure, self.means, self.blocks)

    def predictive(self) -> Students:
        """Return p(x | k, data) under q (Bishop 2006, eq. 10.81, generalised to all structures).

        Full and tied: Student-t with ν + 1 - D degrees of freedom; diagonal: a product of
        univariate t with ν; spherical: a D-variate t with ν, which counts each column.
        """
        algebra = self.structure.algebra
        n_features = self.n_features
        p = self.precisions.dimension
        nu = self.precisions.degrees_of_freedom - (p - 1)
        widened = (1.0 + self.mean_precision) / self.mean_precision
        shape = self.precisions.scale_inverse / align(nu, self.precisions.scale_inverse)
        blocks = align(widened, shape) * shape
        joint_columns = n_features if self.structure.isotropic else p
        return Students(algebra, self.means, blocks, nu, joint_columns)


# Expected variance of a component relative to that of the data.
SHARE_OF_VARIANCE = 0.1


def reference_prior(structure: Structure, summary: Summary, frame: Frame) -> NormalWishart:
    """Return the default prior with learned scale; an error for non-conjugate structures.

    m0: medians; ν0 = D + 2 (dense) or 3 (diagonal), the same marginal of variances in all
    structures; S ~ Wishart with mean 0.1^(1/D) scale² and D degrees of freedom; β0 learned, up to
    1.
    """
    n_features = frame.n_directions
    whole = structure.conjugate().block_of(np.diag(summary.scale * summary.scale))
    expected = SHARE_OF_VARIANCE ** (1.0 / n_features) * structure.algebra.project(whole, frame)
    algebra = structure.algebra
    dimension = algebra.block_dimension(n_features)
    inverse = algebra.gram(algebra.root(expected))
    freedom = float(n_features)
    shape = (1,) if inverse.ndim == 3 else inverse.shape
    scale = LearnedScale(Wishart(algebra, np.full(shape, freedom), freedom * inverse))
    return NormalWishart(
        structure,
        mean=frame.apply(summary.centre[None])[0],
        mean_precision=0.1,
        degrees_of_freedom=float(dimension + 2),
        scale=scale,
        learns_mean_precision=True,
    )
