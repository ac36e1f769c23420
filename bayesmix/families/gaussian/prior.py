"""Normal-Wishart priors and their exact posteriors in all structures (Bishop 2006, sec. 10.2).

μ_k | Λ_k ~ N(m0, (β0 Λ_k)⁻¹), Λ_k ~ Wishart(S⁻¹, ν0) in blocks; diagonals are Gamma(ν/2, rate =
scale_inverse/2). β0 may be learned by type-II maximum likelihood, and S as part of q: S ~
Wishart(V, g) has a conjugate factor (Richardson & Green 1997; Huang & Wand 2013).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import log
from typing import Any, TypeAlias

import numpy as np

from bayesmix.core.parameters import POSITIVE, REAL, within
from bayesmix.core.rows import FLAT_FLOOR, Frame, Summary
from bayesmix.errors import DegenerateFitError
from bayesmix.families.gaussian.covariance.models import Algebra, Structure
from bayesmix.families.gaussian.draws import GaussianDraws, coloured, draw_roots
from bayesmix.families.gaussian.family import Gaussians, kept_resolution
from bayesmix.families.gaussian.moments import (
    ByQuadratics,
    Moments,
    Quadratics,
    offsets_by_column,
    with_resolution,
)
from bayesmix.families.gaussian.students import Students
from bayesmix.numerics.arrays import LOG_2, LOG_2PI, Array, Integers, align
from bayesmix.numerics.memo import once
from bayesmix.numerics.special import multivariate_gammaln, multivariate_gammas


@dataclass(frozen=True)
class Wishart:
    """Wishart(W, ν) by block: ``degrees_of_freedom`` of block shape, W⁻¹ in blocks."""

    algebra: Algebra
    degrees_of_freedom: Array = field(metadata=within(POSITIVE))
    scale_inverse: Array = field(metadata=within(REAL))

    @once
    def root(self) -> Array:
        """Root U of W = U Uᵀ."""
        return self.algebra.root(self.scale_inverse)

    @property
    def dimension(self) -> int:
        """Dimension p of the matrices."""
        return self.algebra.block_dimension(self.scale_inverse.shape[-1])

    @once
    def expected_log_det(self) -> Array:
        """E[log |Λ|] (Bishop 2006, eq. B.81)."""
        return self.freedom_terms[0] + self.algebra.log_det(self.root)

    @once
    def total_log_det(self) -> float:
        """Σ E[log |Λ|] over blocks."""
        return float(np.add.reduce(self.expected_log_det, axis=None))

    @once
    def freedom_terms(self) -> tuple[Array, float]:
        """ψ_p(ν/2) + p log 2 by block, and Σ ν/2 (ψ_p(ν/2) - p) - log Γ_p(ν/2)."""
        half, p = 0.5 * self.degrees_of_freedom, self.dimension
        digammas, log_gammas = multivariate_gammas(half, p)
        return digammas + p * LOG_2, float(np.vdot(half, digammas - p) - log_gammas)

    @once
    def mean_root(self) -> Array:
        """Root U of E[Λ] = ν W = U Uᵀ."""
        return np.sqrt(align(self.degrees_of_freedom, self.root)) * self.root

    @once
    def mean(self) -> Array:
        """E[Λ] = ν W (Bishop 2006, eq. B.80)."""
        return self.algebra.gram(self.mean_root)

    @property
    def mean_inverse(self) -> Array:
        """E[Λ]⁻¹ = W⁻¹ / ν."""
        return self.scale_inverse / align(self.degrees_of_freedom, self.scale_inverse)

    @once
    def log_normaliser(self) -> Array:
        """Log B(W, ν) (Bishop 2006, eq. B.79)."""
        log_det = -self.algebra.log_det(self.root)
        return log_normaliser(self.degrees_of_freedom, log_det, self.dimension)

    def kl_to(self, nu0: float, prior_normaliser: float, scale: Wishart | FixedScale) -> float:
        """Return E_q(S)[KL(q(Λ) || Wishart(S⁻¹, ν0))] over blocks, given Σ E[log B(S⁻¹, ν0)].

        The log determinant of log B(W, ν) cancels that of ν/2 E[log |Λ|].
        """
        expectations = 0.5 * (scale.trace_with(self) - nu0 * self.total_log_det)
        return self.freedom_terms[1] - prior_normaliser + expectations

    def trace_with(self, precisions: Wishart) -> float:
        """Return Σ tr(E[S] E[Λ]) from the roots of both, which avoids cancellation."""
        product = self.algebra.product(self.mean_root, precisions.mean_root)
        return float(np.vdot(product, product))

    def draw(self, n_draws: int, generator: np.random.Generator) -> Array:
        """Return roots (S, B, ...) of S draws of each block: Λ = U Uᵀ."""
        return draw_roots(self.algebra, self.root, self.degrees_of_freedom, n_draws, generator)

    def log_densities(self, roots: Array) -> Array:
        """Return log densities (S, J, B) of drawn blocks under factors j (Bishop 2006, B.78).

        The density is over the p (p + 1) / 2 elements of Λ, summed over the columns of a block.
        """
        n_draws, n_blocks = roots.shape[:2]
        flat = roots.reshape(n_draws * n_blocks, *roots.shape[2:])
        log_det = self.algebra.log_det(flat)
        leaning = 0.5 * (self.degrees_of_freedom - self.dimension - 1.0)
        factors = self.algebra.factor(self.scale_inverse)
        densities = np.empty((len(factors), n_draws, n_blocks))
        for j, density in enumerate(densities):
            blocks = self.log_normaliser[j] + leaning[j] * log_det
            blocks -= 0.5 * self.algebra.inner(factors[j : j + 1], flat)
            density[:] = blocks.reshape(n_draws, n_blocks, -1).sum(axis=2)
        return densities.transpose(1, 0, 2)


def log_normaliser(degrees_of_freedom: Any, log_det_scale_inverse: Array, p: int) -> Array:
    """Return log B = ν/2 log |W⁻¹| - ν p/2 log 2 - log Γ_p(ν/2)."""
    half = 0.5 * degrees_of_freedom
    return half * (log_det_scale_inverse - p * LOG_2) - multivariate_gammaln(half, p)


@dataclass(frozen=True)
class FixedScale:
    """Fixed scale: ``mean`` is W0⁻¹ as a block."""

    algebra: Algebra
    mean: Array = field(metadata=within(REAL))

    @once
    def expected_log_det(self) -> Array:
        """Log |W0⁻¹|."""
        return -self.algebra.log_det(self.algebra.root(self.mean))

    @once
    def total_log_det(self) -> float:
        """Σ log |W0⁻¹| over blocks."""
        return float(np.add.reduce(self.expected_log_det, axis=None))

    def trace_with(self, precisions: Wishart) -> float:
        """Return Σ tr(W0⁻¹ E[Λ])."""
        return float(np.add.reduce(self.mean * precisions.mean, axis=None))

    def initial(self) -> FixedScale:
        return self

    def relearned(self, factor: FixedScale, nu0: float, precisions: Wishart) -> FixedScale:
        return factor

    def kl(self, factor: FixedScale) -> float:
        return 0.0

    learned = False

    def draw(self, n_draws: int, generator: np.random.Generator) -> Array:
        root = self.algebra.factor(self.mean)
        return np.broadcast_to(root, (n_draws, *root.shape))

    def given(self, roots: Array, nu0: float, generator: np.random.Generator) -> FixedScale:
        return self

    def log_density_of(self, roots: Array, nu0: float) -> Array:
        """Return log p(Λ_1, ..., Λ_B) (S,) of drawn blocks."""
        freedom = np.full((1,) if self.mean.ndim == 3 else self.mean.shape, nu0)
        blocks = Wishart(self.algebra, freedom, self.mean).log_densities(roots)
        return blocks.sum(axis=(1, 2))


# Ratio of a precision to its expectation above which its inverse is lost in rounding.
MOST_NARROW = 1e16


@dataclass(frozen=True)
class LearnedScale:
    """Learned scale S ~ Wishart(V, g), shared by all components, with a Wishart posterior.

    All blocks have the same g.
    """

    prior: Wishart

    def initial(self) -> Wishart:
        """Return the prior, the start of coordinate ascent."""
        return self.prior

    def relearned(self, factor: Wishart, nu0: float, precisions: Wishart) -> Wishart:
        """Return q(S), Wishart with g + B ν0 degrees of freedom and V⁻¹ + Σ_b E[Λ_b].

        Terms of the degrees of freedom are taken from the last ``factor``, if it has as many.
        """
        prior, n_blocks = self.prior, len(precisions.scale_inverse)
        freedom = prior.degrees_of_freedom + n_blocks * nu0
        total = np.add.reduce(precisions.mean, axis=0, keepdims=True)
        learned = Wishart(prior.algebra, freedom, prior.scale_inverse + total)
        if freedom.item(0) == factor.degrees_of_freedom.item(0):
            Wishart.freedom_terms.given(learned, factor.freedom_terms)
        return learned

    def kl(self, factor: Wishart) -> float:
        freedom = self.prior.degrees_of_freedom.item(0)
        return factor.kl_to(freedom, self._normaliser, self._scale_of_prior)

    @once
    def _normaliser(self) -> float:
        return float(self.prior.log_normaliser.sum())

    @once
    def _scale_of_prior(self) -> FixedScale:
        return FixedScale(self.prior.algebra, self.prior.scale_inverse)

    learned = True

    def given(self, roots: Array, nu0: float, generator: np.random.Generator) -> FixedScale:
        """Draw S given the blocks (1, B, ...) of a draw, a Wishart as in ``relearned``.

        Raises an error if S vanishes, since ties beyond the prior make the posterior improper.
        """
        algebra, blocks = self.prior.algebra, roots[0]
        conditional = Wishart(
            algebra,
            self.prior.degrees_of_freedom + len(blocks) * nu0,
            self.prior.scale_inverse + algebra.gram(blocks).sum(axis=0, keepdims=True),
        )
        size = conditional.scale_inverse.shape[-1]
        drawn = algebra.spread(conditional.scale_inverse, 1, size)
        expected = algebra.spread(self.prior.scale_inverse, 1, size)
        if not np.all(drawn < MOST_NARROW * expected):
            raise DegenerateFitError(
                "the learned scale of the prior vanishes, because a component has identical "
                "observations: set covariance_prior, or use fewer components"
            )
        return FixedScale(algebra, algebra.gram(conditional.draw(1, generator)[0]))

    def log_density_of(self, roots: Array, nu0: float) -> Array:
        """Return log p(Λ_1, ..., Λ_B) (S,) of drawn blocks, with S integrated out.

        ∫ Wishart(S | V, g) Π_b Wishart(Λ_b | S⁻¹, ν0) dS is a ratio of normalisers: given the
        blocks, S is Wishart with g + B ν0 degrees of freedom and V⁻¹ + Σ_b Λ_b.
        """
        prior, algebra, p = self.prior, self.prior.algebra, self.prior.dimension
        n_draws, n_blocks = roots.shape[:2]
        flat = roots.reshape(n_draws * n_blocks, *roots.shape[2:])
        log_det = algebra.log_det(flat).reshape(n_draws, n_blocks, -1)
        total = algebra.gram(flat).reshape(roots.shape).sum(axis=1)
        given = -algebra.log_det(algebra.root(prior.scale_inverse + total)).reshape(n_draws, -1)
        nu = np.asarray(nu0)
        blocks = (
            0.5 * (nu0 - p - 1.0) * log_det.sum(axis=1)
            + n_blocks * log_normaliser(nu, np.zeros(1), p)
            + prior.log_normaliser
            - log_normaliser(prior.degrees_of_freedom + n_blocks * nu0, given, p)
        )
        return blocks.sum(axis=1)


# Expected variance of a component relative to that of the data.
SHARE_OF_VARIANCE = 0.1
# Largest learned β0: the prior of a mean weighs at most one observation.
MOST_MEAN_PRECISION = 1.0


# Number of observations that a prior with ν0 counts for at its mode, per component, for K
# components and D columns, as in mclust's MAP.
PriorRows: TypeAlias = Callable[[float, int, int], float]

MCLUSTS: dict[str, PriorRows] = {
    "VEI": lambda nu, K, D: (nu + 3.0) / D,
    "EVI": lambda nu, K, D: (nu + 2.0) / K,
    "EEV": lambda nu, K, D: (nu + D + 2.0) / K,
    # Practically none; just enough to give an empty component a covariance.
    "VEV": lambda nu, K, D: 1e-9,
}


def mode_rows(
    structure: Structure, degrees_of_freedom: float, n_components: int, n_features: int
) -> float:
    """Return the term added to ν0 + n_k of each block at the joint mode."""
    if structure.letters in MCLUSTS:
        rows = MCLUSTS[structure.letters](degrees_of_freedom, n_components, n_features)
        return rows - degrees_of_freedom
    leaning = structure.blocks.means_per_block(n_components, n_features)
    return structure.algebra.block_dimension(n_features) + 1.0 + leaning


@dataclass(frozen=True)
class NormalWishart:
    """Hyperparameters m0 (D,), β0, ν0 and the scale, shared by all components."""

    structure: Structure
    mean: Array = field(metadata=within(REAL))
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
            # The β0 that maximises the bound at q(μ, Λ).
            best = previous.means.size / previous.expected_spread(self.mean)
            mean_precision = min(best, MOST_MEAN_PRECISION)
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
        counts, blocks = statistics.counts_of_means, self.structure.blocks
        beta = mean_precision + counts
        away = statistics.means - self.mean
        shift = mean_precision / beta * away  # towards m0; m_k loses no digits far from it
        means = statistics.means - shift
        if resolution is not None:
            statistics = with_resolution(statistics, resolution)
        between = blocks.pool(blocks.algebra.outer(counts * shift, away))
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
        added_rows = rows - self.structure.blocks.means_per_block(n_components, n_features)
        wisharts = (
            log_normaliser(nu0, scale.expected_log_det, p)
            + 0.5 * (nu0 + added_rows) * log_det
            - 0.5 * algebra.trace(scale.mean, root)
        )
        normals = 0.5 * (
            n_features * (np.log(self.mean_precision) - LOG_2PI)
            + algebra.per_component(log_det, n_components, n_features)
        ) - 0.5 * self.mean_precision * algebra.lengths(components.means - self.mean, root)
        return float(wisharts.sum() + normals.sum())

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
        return prior - q.log_normaliser + means - 0.5 * statistics.counts_of_means * LOG_2PI

    def fixed_at(self, posterior: GaussianPosterior) -> NormalWishart:
        """Return the prior with hyperparameters fixed at their values under q."""
        scale: Any = posterior.scale
        if not isinstance(scale, FixedScale):
            scale = FixedScale(scale.algebra, scale.mean)
        beta0 = posterior.prior_mean_precision
        return replace(self, scale=scale, mean_precision=beta0, learns_mean_precision=False)

    def component_evidence(self, statistics: Moments) -> Array:
        """Return the log evidence (K,) of each component with a covariance of its own."""
        (n_components, n_features), algebra = statistics.means.shape, self.structure.algebra
        _, beta, q = self.parameters_given(statistics, self.scale, self.mean_precision, None)
        p, counts = algebra.block_dimension(n_features), statistics.counts
        scale: Any = self.scale
        prior = log_normaliser(self.degrees_of_freedom, scale.expected_log_det, p)
        blocks = (prior - q.log_normaliser).reshape(n_components, -1).sum(axis=1)
        means = 0.5 * n_features * np.log(self.mean_precision / beta)
        return np.asarray(blocks + means - 0.5 * n_features * counts * LOG_2PI)

    def shared_evidence(self, statistics: Moments) -> float:
        """Return the log evidence of components that share their covariance."""
        n_features, algebra = statistics.means.shape[1], self.structure.algebra
        _, beta, q = self.parameters_given(statistics, self.scale, self.mean_precision, None)
        p, scale = algebra.block_dimension(n_features), self.scale
        prior = log_normaliser(self.degrees_of_freedom, scale.expected_log_det, p)  # type: ignore[union-attr]
        means = 0.5 * n_features * np.log(self.mean_precision / beta).sum()
        normals = 0.5 * n_features * statistics.counts.sum() * LOG_2PI
        return float((prior - q.log_normaliser).sum() + means - normals)

    def shared_merge_gains(self, statistics: Moments, first: Integers, second: Integers) -> Array:
        """Return what ``shared_evidence`` gains (P,) by merges of pairs of components.

        A merge adds an outer product to the shared scatter, and changes those of means about the
        prior mean. Determinants of the latter are of first order.
        """
        _, _, q = self.parameters_given(statistics, self.scale, self.mean_precision, None)
        beta0, D = self.mean_precision, statistics.means.shape[1]
        away = statistics.means - self.mean
        if self.structure.blocks.dense:
            away = away @ q.root[0]
        else:
            away = away / np.sqrt(q.scale_inverse.reshape(1, -1))
        n, m = statistics.counts[first][:, None], statistics.counts[second][:, None]
        x, y = away[first], away[second]
        together = (n * x + m * y) / (n + m)
        squares = n * m / (n + m) * (x - y) ** 2 + beta0 * (n + m) / (beta0 + n + m) * together**2
        squares -= beta0 * n / (beta0 + n) * x**2 + beta0 * m / (beta0 + m) * y**2
        if self.structure.blocks.dense or self.structure.isotropic:
            squares = squares.sum(axis=1, keepdims=True)
        freedom = q.degrees_of_freedom.reshape(1, -1)
        losses: Array = 0.5 * (freedom * np.log1p(squares)).sum(axis=1)
        fewer = np.log((beta0 + n) * (beta0 + m) / (beta0 * (beta0 + n + m)))[:, 0]
        return 0.5 * D * fewer - losses

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
    means: Array = field(metadata=within(REAL))  # (K, D)  m_k
    mean_precision: Array = field(metadata=within(POSITIVE))
    precisions: Wishart  # q(Λ), in blocks
    scale: Wishart | FixedScale  # q(S), or the fixed S
    prior_mean_precision: float  # β0
    resolution: Array | None = None

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
        column_offset = None
        if algebra.diagonal:
            uncertain = align(1.0 / self.mean_precision, self.means)
            column_offset = offsets_by_column(self.structure, log_det, self.means.shape, uncertain)
        return Quadratics(
            self.structure, offset, self.means, self.precisions.mean_root, column_offset
        )

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
            resolution=kept_resolution(resolution, keep),
        )

    def released(self) -> GaussianPosterior:
        return replace(self, resolution=None)

    def unframed(self, frame: Frame) -> Any:
        if frame.rest is not None:
            return self.plug_in().unframed(frame)
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

    def draws(self, n_draws: int, generator: np.random.Generator) -> GaussianDraws:

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
        normals = np.stack([draws.log_normals(m, beta) for m, beta in parameters], axis=1)
        if self.structure.shared:
            return wisharts[:, 0, 0], normals
        return np.zeros(len(normals)), normals + wisharts


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
