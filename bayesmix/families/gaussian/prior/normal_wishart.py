"""The Normal-Wishart prior of every structure, and its exact posterior (Bishop 2006, sec. 10.2).

μ_k | Λ_k ~ N(m0, (β0 Λ_k)⁻¹), Λ ~ Wishart(S⁻¹, ν0) in the structure's blocks: over axes that is
Gamma(ν0/2, rate S/2). S is fixed (= W0⁻¹) or learned; β0 is fixed or set by type-II maximum
likelihood. What is learned is part of q and of the bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.draws import GaussianDraws
from bayesmix.families.gaussian.moments import Moments
from bayesmix.families.gaussian.point import Gaussians, kept, with_resolution
from bayesmix.families.gaussian.prior.wishart_scale import (
    FixedScale,
    LearnedScale,
    Wishart,
    log_normaliser,
)
from bayesmix.families.gaussian.pymc_twin.normal_wishart_twin import GaussianTwin, gaussian_twin
from bayesmix.families.gaussian.quadratic import ByQuadratics, Quadratics, offsets_by_column
from bayesmix.families.gaussian.students import Students
from bayesmix.families.gaussian.uncertainty.coordinates_of_q import GaussianCoordinates
from bayesmix.numerics.arrays import Array, Integers, align
from bayesmix.numerics.once import once
from bayesmix.numerics.wishart import LOG_2PI
from bayesmix.protocols import Pymc
from bayesmix.records import FLAT_FLOOR, Frame

MEAN_PRECISION_RANGE = (1e-30, 1.0)


@dataclass(frozen=True)
class NormalWishart:
    """m0 (D,), β0, ν0 and the scale; shared by all components."""

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
        """q(μ, Λ) given statistics (Bishop 2006, eq. 10.60 to 10.63), each structure its own.

        What is learned of the prior is updated first, at the previous q(μ, Λ): coordinate ascent,
        so that the bound rises with every one of the three.
        """
        if previous is None or not (self.scale.learned or self.learns_mean_precision):
            return self._given(statistics, self.scale.initial(), self.mean_precision, resolution)
        scale: Any = self.scale.relearned(
            cast("Any", previous.scale), self.degrees_of_freedom, previous.precisions
        )
        mean_precision = previous.prior_mean_precision
        if self.learns_mean_precision:
            mean_precision = self._best_mean_precision(previous)
        return self._given(statistics, scale, mean_precision, resolution)

    def _given(
        self, statistics: Moments, scale: Any, mean_precision: float, resolution: Array | None
    ) -> GaussianPosterior:
        means, beta, precisions = self.parameters_given(
            statistics, scale, mean_precision, resolution
        )
        return GaussianPosterior(
            self.structure, means, beta, precisions, scale, mean_precision, resolution
        )

    def parameters_given(
        self, statistics: Moments, scale: Any, mean_precision: float, resolution: Array | None
    ) -> tuple[Array, Array, Wishart]:
        """m_k, β_k, and the Wishart factors of blocks that nothing else constrains.

        In this order Bishop 2006, eq. 10.60 (β_k), 10.61 (m_k), 10.62 (W_k⁻¹) and 10.63 (ν_k).
        """
        beta = mean_precision + statistics.known
        means = (mean_precision * self.mean + statistics.known * statistics.means) / beta
        known = with_resolution(statistics, resolution)
        scale_inverse = scale.mean + known.about(self.mean, mean_precision / beta)
        nu = self.degrees_of_freedom + statistics.block_counts
        precisions = Wishart(self.structure.algebra, nu, scale_inverse)
        return means, beta if statistics.by_column else beta[:, 0], precisions

    def _best_mean_precision(self, q: GaussianPosterior) -> float:
        """β0 that maximises the bound at q(μ, Λ): type-II maximum likelihood, within its range."""
        n_components, n_features = q.means.shape
        away = q.expected_distance(self.mean)
        best = n_components * n_features / (q.inverse_precisions + away).sum()
        lowest, highest = MEAN_PRECISION_RANGE
        return min(max(float(best), lowest), highest)

    def kl(self, posterior: GaussianPosterior) -> float:
        """KL of q(μ, Λ) and of q(S) from their priors (Bishop 2006, eq. 10.74, 10.77)."""
        n_features = len(self.mean)
        beta0, beta = posterior.prior_mean_precision, posterior.mean_precision
        ratio = beta0 / beta
        leaning = ratio - 1.0 - np.log(ratio)
        leaning = n_features * leaning if leaning.ndim == 1 else leaning.sum(axis=1)
        normals = 0.5 * (leaning + beta0 * posterior.expected_distance(self.mean))
        nu0, wishart, scale = self.degrees_of_freedom, posterior.precisions, posterior.scale
        normaliser = log_normaliser(nu0, scale.expected_log_det, wishart.dimension)
        wisharts = wishart.kl_to(nu0, normaliser, scale)
        return float(normals.sum()) + wisharts + self.scale.kl(cast("Any", scale))

    def mode(
        self,
        statistics: Moments,
        previous: Gaussians | None = None,
        resolution: Array | None = None,
    ) -> Gaussians:
        """Joint mode in (μ, Σ): an M-step with W⁻¹ for the scatter (Fraley & Raftery 2007).

        A block then is W⁻¹ / (ν + p + 1 + means per block), where nothing else constrains it, and
        with mclust's counts where it has such structures (``Structure.mode_rows``).
        """
        means, _, precisions = self.parameters_given(
            statistics, self.scale.initial(), self.mean_precision, resolution
        )
        rows = self.structure.mode_rows(self.degrees_of_freedom, *means.shape)
        counts = precisions.degrees_of_freedom + rows
        earlier = None if previous is None else previous.blocks
        blocks = self.structure.estimate(precisions.scale_inverse, counts, earlier)
        return Gaussians(self.structure, means, blocks, resolution)

    def log_density(self, components: Gaussians) -> float:
        """log p(μ, Σ): inverse-Wishart times normal, as a density over (μ, Σ).

        But for a constant where blocks are constrained further.
        """
        algebra = self.structure.algebra
        n_components, n_features = components.means.shape
        p = algebra.block_dimension(n_features)
        root = components.precision_root
        log_det = algebra.log_det(root)
        scale: Any = self.scale.initial()
        nu0 = self.degrees_of_freedom
        rows = self.structure.mode_rows(nu0, n_components, n_features)
        own = rows - self.structure.blocks.means_per_block(n_components, n_features)
        wisharts = (
            log_normaliser(nu0, scale.expected_log_det, p)
            + 0.5 * (nu0 + own) * log_det
            - 0.5 * algebra.trace(scale.mean, root)
        )
        normals = 0.5 * (
            n_features * (np.log(self.mean_precision) - LOG_2PI)
            + algebra.per_component(log_det, n_components, n_features)
        ) - 0.5 * self.mean_precision * algebra.lengths(components.means - self.mean, root)
        return float(wisharts.sum() + normals.sum())

    def conditional(
        self, statistics: Moments, last: GaussianDraws, generator: np.random.Generator
    ) -> GaussianPosterior:
        """p(μ, Λ | X, Z, S), S drawn given the one draw that was last: a step of Gibbs sampling."""
        scale = self.scale.given(last.roots, self.degrees_of_freedom, generator)
        return self._given(statistics, scale, last.prior_mean_precision, None)

    def log_density_of(self, draws: GaussianDraws) -> Array:
        """log p(μ, Λ) (S,) of draws; a learned scale is integrated out, exactly."""
        density: Array = draws.log_normals(self.mean, draws.prior_mean_precision).sum(axis=1)
        density += self.scale.log_density_of(draws.roots, self.degrees_of_freedom)
        return density

    def pymc_distribution(self, pm: Pymc, q: GaussianPosterior, n_components: int) -> GaussianTwin:
        """The same prior over K components in PyMC, β0 as ``q`` has it, and their densities."""
        return gaussian_twin(pm, self, q.prior_mean_precision, n_components)

    def unframed(self, frame: Frame) -> NormalWishart:
        """From a frame into the data's coordinates."""
        return replace(self, mean=frame.undo(self.mean), scale=unframed_scale(self.scale, frame))


def unframed_scale(scale: Any, frame: Frame) -> Any:
    """A scale (prior or factor of q) in data coordinates.

    Where directions were set aside a learned scale has no distribution along them: its mean is
    shown, with the floor there.
    """
    algebra = scale.prior.algebra if isinstance(scale, LearnedScale) else scale.algebra
    if isinstance(scale, FixedScale) or frame.basis is not None:
        mean = scale.initial().mean if isinstance(scale, LearnedScale) else scale.mean
        return FixedScale(algebra, algebra.lift(mean, frame, FLAT_FLOOR))
    if isinstance(scale, LearnedScale):
        return LearnedScale(unframed_scale(scale.prior, frame))
    # S has the units of a covariance, so its own inverse scale has those of a precision.
    return replace(scale, scale_inverse=algebra.stretch(scale.scale_inverse, 1.0 / frame.scale))


@dataclass(frozen=True)
class GaussianPosterior(ByQuadratics):
    """q(μ, Λ) = Π N(μ_k | m_k, (β_k Λ_k)⁻¹) Wishart(Λ | W, ν), and what the prior learned."""

    structure: Structure
    means: Array  # (K, D)  m_k
    mean_precision: Array  # (K,)  β_k, or (K, D) where rows with gaps count in some columns
    precisions: Wishart  # q(Λ), in blocks
    scale: Wishart | FixedScale  # q(S), or the fixed S
    prior_mean_precision: float  # β0
    resolution: Array | None = None

    @property
    def expected_totals(self) -> Array:
        """E[x | k] (K, D)."""
        return self.means

    @property
    def precision_root(self) -> Array:
        """U with E[Λ] = U Uᵀ."""
        return self.precisions.mean_root

    @property
    def blocks(self) -> Array:
        """E[Λ]⁻¹ in blocks: the covariances that a summary shows."""
        return self.precisions.mean_inverse

    @property
    def inverse_precisions(self) -> Array:
        """Σ_d 1 / β_k (K,)."""
        if self.mean_precision.ndim == 1:
            return self.n_features / self.mean_precision
        total: Array = (1.0 / self.mean_precision).sum(axis=1)
        return total

    def expected_distance(self, point: Array) -> Array:
        """(m_k - point)ᵀ E[Λ_k] (m_k - point) (K,)."""
        return self.structure.algebra.lengths(self.means - point, self.precision_root)

    @once
    def linear(self) -> Quadratics:
        """E[log N(x | μ_k, Λ_k⁻¹)] (Bishop 2006, eq. 10.64 and 10.65) as quadratic forms."""
        algebra, (n_components, n_features) = self.structure.algebra, self.means.shape
        log_det = self.precisions.expected_log_det
        if self.resolution is not None:
            log_det = log_det - algebra.trace(self.resolution, self.precision_root)
        offset = 0.5 * (
            algebra.per_component(log_det, n_components, n_features)
            - n_features * LOG_2PI
            - self.inverse_precisions
        )
        uncertain = align(1.0 / self.mean_precision, self.means)
        by_column = offsets_by_column(self.structure, log_det, self.means.shape, uncertain)
        return Quadratics(self.structure, offset, self.means, self.precision_root, by_column)

    def seen_in(self, columns: Integers) -> Quadratics:
        """log ∫ exp E[log N(x | μ_k, Λ_k⁻¹)] over the other columns."""
        return self.linear.marginal(columns)

    def subset(self, keep: Integers) -> GaussianPosterior:
        """Some components, in the order given; a shared block keeps all its rows until a pass."""
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

    def draws(self, n_draws: int, generator: np.random.Generator) -> GaussianDraws:
        """Independent draws of (μ, Λ), and of a learned scale S."""
        roots = self.precisions.draw(n_draws, generator)
        normal = generator.standard_normal((n_draws, *self.means.shape))
        away = self.structure.algebra.coloured(normal, roots)
        return GaussianDraws(
            self.structure,
            self.means + away / np.sqrt(align(self.mean_precision, self.means)),
            roots,
            self.scale.draw(n_draws, generator),
            self.prior_mean_precision,
        )

    def coordinates(self) -> GaussianCoordinates:
        """q in coordinates of unit variance; a learned S is among them."""
        return GaussianCoordinates(self, learned=not isinstance(self.scale, FixedScale))

    def log_factors(self, draws: GaussianDraws) -> tuple[Array, Array]:
        """log q(μ, Λ) of draws in parts: what all components share (S,), and (S, J, K).

        Entry (j, k) of the latter is the log density of the drawn component k under factor j.
        """
        wisharts = self.precisions.log_densities(draws.roots)
        parameters = zip(self.means, self.mean_precision, strict=True)
        normals = np.stack([draws.log_normals(m, float(beta)) for m, beta in parameters], axis=1)
        if self.structure.shared:
            return wisharts[:, 0, 0], normals
        return np.zeros(len(normals)), normals + wisharts

    def released(self) -> GaussianPosterior:
        """Without the run's resolution in its offset."""
        return replace(self, resolution=None)

    def unframed(self, frame: Frame) -> GaussianPosterior:
        """From a frame into the data's coordinates."""
        algebra, precisions = self.structure.algebra, self.precisions
        freedom = precisions.degrees_of_freedom
        if freedom.ndim == 2 and frame.basis is not None:
            freedom = np.repeat(freedom[:, :1], len(frame.centre), axis=1)
        # W⁻¹ = ν E[Λ]⁻¹, which is the floor where the rows have no extent.
        covariances = algebra.lift(self.blocks, frame, FLAT_FLOOR)
        return replace(
            self,
            means=frame.undo(self.means),
            precisions=Wishart(algebra, freedom, align(freedom, covariances) * covariances),
            scale=unframed_scale(self.scale, frame),
        )

    def plug_in(self) -> Gaussians:
        """The point m_k, E[Λ_k]⁻¹: what plug-in criteria are computed at."""
        return Gaussians(self.structure, self.means, self.blocks)

    def predictive(self) -> Students:
        """p(x | k, data) under q (Bishop 2006, eq. 10.81, and its twin for every structure).

        Full and tied: Student-t with ν + 1 - D degrees of freedom; diagonal: a product of
        univariate t with ν; spherical: one D-variate t with ν, where ν counts every column.
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
