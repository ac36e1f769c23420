"""Normal-Wishart priors and their exact posteriors in all structures (Bishop 2006, sec. 10.2).

μ_k | Λ_k ~ N(m0, (β0 Λ_k)⁻¹), Λ ~ Wishart(S⁻¹, ν0) in blocks, gamma for diagonals. S may be learned
as part of q, β0 by type-II maximum likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bayesmix.core.rows import FLAT_FLOOR, Frame, Summary
from bayesmix.core.validation import unmasked
from bayesmix.errors import InvalidInputError
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.flat_directions import pooled_covariance
from bayesmix.families.gaussian.mode_rows import mode_rows
from bayesmix.families.gaussian.moments import Moments
from bayesmix.families.gaussian.point import Gaussians, kept, with_resolution
from bayesmix.families.gaussian.quadratic import ByQuadratics, Quadratics, offsets_by_column
from bayesmix.families.gaussian.students import Students
from bayesmix.families.gaussian.wishart_scale import (
    FixedScale,
    LearnedScale,
    Wishart,
    log_normaliser,
)
from bayesmix.numerics.arrays import DENSE, LOG_2PI, Array, Integers, align
from bayesmix.numerics.memo import once

if TYPE_CHECKING:
    from bayesmix.core.priors import Pymc
    from bayesmix.core.sources import Source
    from bayesmix.families.gaussian.draws import GaussianDraws
    from bayesmix.families.gaussian.twin import GaussianTwin


MEAN_PRECISION_RANGE = (1e-30, 1.0)


@dataclass(frozen=True)
class NormalWishart:
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
        known, blocks = statistics.known, self.structure.blocks
        beta = mean_precision + known
        away = statistics.means - self.mean
        shrunk = mean_precision / beta * away
        means = statistics.means - shrunk
        if resolution is not None:
            statistics = with_resolution(statistics, resolution)
        between = blocks.pool(blocks.algebra.outer(known * shrunk, away))
        scale_inverse = scale.mean + (statistics.scatter + between)
        nu = self.degrees_of_freedom + statistics.block_counts
        precisions = Wishart(blocks.algebra, nu, scale_inverse)
        return means, beta[:, 0] if statistics.column_counts is None else beta, precisions

    def separate(self) -> NormalWishart:
        scale, n_features = self.scale, len(self.mean)
        if isinstance(scale, LearnedScale):
            mean = scale.prior.mean / SHARE_OF_VARIANCE ** (1.0 / n_features)
            scale = FixedScale(scale.prior.algebra, mean)
        return replace(self, scale=scale, learns_mean_precision=False)

    def feature_evidence(self, statistics: Moments) -> Array:
        """Return the log evidence (K, D) of each feature, if diagonal (Murphy 2007, eq. 95)."""
        scale: Any = self.scale.initial()
        _, beta, q = self.parameters_given(statistics, scale, self.mean_precision, None)
        prior = log_normaliser(self.degrees_of_freedom, scale.expected_log_det, 1)
        means = 0.5 * np.log(self.mean_precision / align(beta, statistics.means))
        return prior - q.log_normaliser + means - 0.5 * statistics.known * LOG_2PI

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

    def mode(
        self,
        statistics: Moments,
        previous: Gaussians | None = None,
        resolution: Array | None = None,
    ) -> Gaussians:
        """Return the joint mode in (μ, Σ) (Fraley & Raftery 2007).

        Unconstrained blocks are W⁻¹ / (ν + p + 1 + means per block); see ``mode_rows``
        for mclust's counts.
        """
        means, _, precisions = self.parameters_given(
            statistics, self.scale.initial(), self.mean_precision, resolution
        )
        rows = mode_rows(self.structure, self.degrees_of_freedom, *means.shape)
        counts = precisions.degrees_of_freedom + rows
        earlier = None if previous is None else previous.blocks
        blocks = self.structure.estimate(precisions.scale_inverse, counts, earlier)
        return Gaussians(self.structure, means, blocks, resolution)

    def log_density(self, components: Gaussians) -> float:
        """Return log p(μ, Σ), inverse-Wishart times normal.

        Constrained blocks lack the normalising constant.
        """
        algebra = self.structure.algebra
        n_components, n_features = components.means.shape
        p = algebra.block_dimension(n_features)
        root = components.precision_root
        log_det = algebra.log_det(root)
        scale: Any = self.scale.initial()
        nu0 = self.degrees_of_freedom
        rows = mode_rows(self.structure, nu0, n_components, n_features)
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
        """Return p(μ, Λ | X, Z, S) for a Gibbs step, with S drawn given the last draw."""
        scale = self.scale.given(last.roots, self.degrees_of_freedom, generator)
        return self._given(statistics, scale, last.prior_mean_precision, None)

    def log_density_of(self, draws: GaussianDraws) -> Array:
        """Return log p(μ, Λ) (S,) of draws, with a learned scale integrated out exactly."""
        density: Array = draws.log_normals(self.mean, draws.prior_mean_precision).sum(axis=1)
        density += self.scale.log_density_of(draws.roots, self.degrees_of_freedom)
        return density

    def pymc_distribution(self, pm: Pymc, q: GaussianPosterior, n_components: int) -> GaussianTwin:
        from bayesmix.families.gaussian.twin import gaussian_twin

        return gaussian_twin(pm, self, q.prior_mean_precision, n_components)

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


@dataclass(frozen=True)
class GaussianPosterior(ByQuadratics):
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

    def draws(self, n_draws: int, generator: np.random.Generator) -> GaussianDraws:
        from bayesmix.families.gaussian.covariance.drawing_roots import coloured
        from bayesmix.families.gaussian.draws import GaussianDraws

        roots = self.precisions.draw(n_draws, generator)
        normal = generator.standard_normal((n_draws, *self.means.shape))
        away = coloured(self.structure.algebra, normal, roots)
        return GaussianDraws(
            self.structure,
            self.means + away / np.sqrt(align(self.mean_precision, self.means)),
            roots,
            self.scale.draw(n_draws, generator),
            self.prior_mean_precision,
        )

    def log_factors(self, draws: GaussianDraws) -> tuple[Array, Array]:
        wisharts = self.precisions.log_densities(draws.roots)
        parameters = zip(self.means, self.mean_precision, strict=True)
        normals = np.stack([draws.log_normals(m, float(beta)) for m, beta in parameters], axis=1)
        if self.structure.shared:
            return wisharts[:, 0, 0], normals
        return np.zeros(len(normals)), normals + wisharts

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


def map_prior(
    structure: Structure, source: Source, summary: Summary, frame: Frame, n_components: int
) -> NormalWishart:
    """Return the fixed prior of ``prior="auto"``, which prevents singular covariances.

    W0⁻¹ = S^½ [(1 - a) R + a I] S^½ / K^(2/D) with squared robust scales S, correlations R and a =
    D / (n + D); β0 = 0.01 (Fraley & Raftery 2007).
    """
    unit = summary.scale / frame.scale
    plain = replace(frame, basis=None, flat=None)
    covariance, _ = pooled_covariance(source, plain, unit)
    deviation = np.sqrt(np.diagonal(covariance))
    deviation = np.where(deviation > 0, deviation, 1.0)
    correlation = covariance / np.outer(deviation, deviation)
    np.fill_diagonal(correlation, 1.0)
    n_features = frame.n_directions
    shrink = n_features / (summary.total_weight + n_features)
    dense = (1.0 - shrink) * correlation + shrink * np.eye(len(unit))
    dense *= np.outer(summary.scale, summary.scale) / n_components ** (2.0 / n_features)
    block = structure.algebra.project(structure.blocks.block_of(dense), frame)
    return NormalWishart(
        structure,
        mean=frame.apply(summary.centre[None])[0],
        mean_precision=0.01,
        degrees_of_freedom=float(structure.algebra.block_dimension(n_features) + 2),
        scale=FixedScale(structure.algebra, block),
    )


@dataclass(frozen=True)
class GaussianPrior:
    """Hyperparameters of μ | Λ ~ N(m0, (β0 Λ)⁻¹), Λ ~ Wishart(W0, ν0); None means the default.

    Parameters
    ----------
    mean : array (D,), optional
        Mean m0 in data units.
    mean_precision : float, optional
        β0 > 0.
    degrees_of_freedom : float, optional
        ν0 > D - 1 (full, tied), > 0 (diagonal and spherical ones).
    covariance : array, optional
        Scale W0⁻¹ in data units, fixed: (D, D) for dense structures, (D,) for diagonal ones, a
        number for spherical and EII. The default scale is learned by variational
        Bayes.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.GaussianPrior(mean_precision=0.5).mean_precision
    0.5
    """

    mean: ArrayLike | None = None
    mean_precision: float | None = None
    degrees_of_freedom: float | None = None
    covariance: ArrayLike | None = None

    @property
    def fixes_scale(self) -> bool:
        return self.covariance is not None

    def over(self, default: Any, frame: Frame) -> Any:
        """Replace hyperparameters of the default prior, in the frame.

        Raises ``InvalidInputError`` for values of wrong shape or out of range.
        """
        if not isinstance(default, NormalWishart):
            # Priors over transformed data transform the hyperparameters themselves.
            return default.with_choice(self, frame)
        prior, structure = default, default.structure
        n_features = len(frame.centre)
        if self.mean is not None:
            mean = _numbers("mean_prior", self.mean)
            if mean.shape != (n_features,) or not np.isfinite(mean).all():
                raise InvalidInputError(
                    f"mean_prior must be {n_features} finite numbers, got shape {mean.shape}"
                )
            prior = replace(prior, mean=frame.apply(mean[None])[0])
        if self.mean_precision is not None:
            value = _positive("mean_precision_prior", self.mean_precision, 0.0)
            prior = replace(prior, mean_precision=value, learns_mean_precision=False)
        if self.degrees_of_freedom is not None:
            least = structure.algebra.block_dimension(n_features) - 1.0
            value = _positive("degrees_of_freedom_prior", self.degrees_of_freedom, least)
            prior = replace(prior, degrees_of_freedom=value)
        if self.covariance is not None:
            block = covariance_block(structure, self.covariance, n_features, "covariance_prior")
            framed = structure.algebra.project(block, frame)
            prior = replace(prior, scale=FixedScale(structure.algebra, framed))
        return prior


def _positive(name: str, value: Any, least: float) -> float:
    number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if not number or not least < float(value) < np.inf:
        raise InvalidInputError(f"{name} must be a number greater than {least:g}, got {value!r}")
    return float(value)


def _numbers(name: str, value: Any) -> Array:
    unmasked(name, value)
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInputError(f"{name} must be numbers, got {value!r:.60}") from None


def covariance_block(structure: Structure, value: Any, n_features: int, name: str) -> Array:
    """Return a block from a covariance in scikit-learn's shape, checked."""
    matrix = _numbers(name, value)
    shape = structure.blocks.one_shape(n_features)
    if matrix.shape != shape:
        raise InvalidInputError(
            f"{name} must have shape {shape} for covariance_type={structure.name!r}, "
            f"got {matrix.shape}"
        )
    if not np.isfinite(matrix).all():
        raise InvalidInputError(f"{name} must be finite")
    if matrix.ndim == 2:
        if np.abs(matrix - matrix.T).max() > 1e-8 * np.abs(matrix).max():
            raise InvalidInputError(f"{name} must be symmetric")
        # In columns of unit scale, as different units would hide the smallest eigenvalue.
        unit = np.sqrt(np.abs(np.diagonal(matrix)))
        unit[unit == 0] = 1.0
        if np.linalg.eigvalsh(matrix / np.outer(unit, unit))[0] <= 0:
            raise InvalidInputError(f"{name} must be positive definite")
        return matrix[None]
    if np.min(matrix) <= 0:
        raise InvalidInputError(f"{name} must be positive")
    return matrix.reshape(1, -1)
