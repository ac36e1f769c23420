"""Draws of Gaussian components from q(μ, Λ) q(S) (Bartlett 1933 for Wisharts), and densities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bayesmix.core.rows import FLAT_FLOOR, Frame
from bayesmix.errors import DegenerateFitError
from bayesmix.families.gaussian.covariance.models import Algebra, Structure
from bayesmix.families.gaussian.family import Gaussians
from bayesmix.families.gaussian.moments import Moments, Quadratics
from bayesmix.families.gaussian.prior import (
    SHARE_OF_VARIANCE,
    FixedScale,
    GaussianPosterior,
    LearnedScale,
    NormalWishart,
    Wishart,
    log_normaliser,
)
from bayesmix.numerics.arrays import LOG_2, LOG_2PI, Array, Integers, align
from bayesmix.numerics.special import log_gammas


def draw_roots(
    algebra: Algebra,
    root: Array,
    degrees_of_freedom: Array,
    n_draws: int,
    generator: np.random.Generator,
) -> Array:
    """Return roots (S, B, ...) of S draws from Wishart(U Uᵀ, ν) by block."""
    if algebra.diagonal:
        logs = log_gammas(0.5 * degrees_of_freedom, n_draws, generator)
        return root * np.exp(0.5 * (LOG_2 + logs))
    # Bartlett 1933 in reversed order, so that the product of upper triangles is upper
    # triangular.
    n_blocks, size, _ = root.shape
    bartlett = np.triu(generator.standard_normal((n_draws, n_blocks, size, size)), 1)
    shape = 0.5 * (degrees_of_freedom[:, None] - np.arange(size)[::-1])
    diagonal = np.arange(size)
    logs = log_gammas(shape, n_draws, generator)
    bartlett[:, :, diagonal, diagonal] = np.exp(0.5 * (LOG_2 + logs))
    return root @ bartlett


def coloured(algebra: Algebra, normal: Array, roots: Array) -> Array:
    """Return U⁻ᵀ z, which has precision U Uᵀ, for standard normal z (S, K, D)."""
    if algebra.diagonal:
        return normal / roots
    solved = np.linalg.solve(np.swapaxes(roots, -1, -2), normal[..., None])[..., 0]
    return solved.astype(np.float64, copy=False)


class PriorOfDraws:
    """Methods of ``NormalWishart`` for Gibbs sampling, evidence, PyMC and separate features."""

    def separate(self: Any) -> NormalWishart:
        scale, n_features = self.scale, len(self.mean)
        if isinstance(scale, LearnedScale):
            mean = scale.prior.mean / SHARE_OF_VARIANCE ** (1.0 / n_features)
            scale = FixedScale(scale.prior.algebra, mean)
        return replace(self, scale=scale, learns_mean_precision=False)

    def feature_evidence(self: Any, statistics: Moments) -> Array:
        """Return the log evidence (K, D) of each feature, if diagonal (Murphy 2007, eq. 95)."""
        scale: Any = self.scale.initial()
        _, beta, q = self.parameters_given(statistics, scale, self.mean_precision, None)
        prior = log_normaliser(self.degrees_of_freedom, scale.expected_log_det, 1)
        means = 0.5 * np.log(self.mean_precision / align(beta, statistics.means))
        return prior - q.log_normaliser + means - 0.5 * statistics.counts_of_means * LOG_2PI

    def conditional(
        self: Any, statistics: Moments, last: GaussianDraws, generator: np.random.Generator
    ) -> GaussianPosterior:
        """Return p(μ, Λ | X, Z, S) for a Gibbs step, with S drawn given the last draw."""
        scale = self.scale.given(last.roots, self.degrees_of_freedom, generator)
        return self._given(statistics, scale, last.prior_mean_precision, None)

    def log_density_of(self: Any, draws: GaussianDraws) -> Array:
        """Return log p(μ, Λ) (S,) of draws, with a learned scale integrated out exactly."""
        density: Array = draws.log_normals(self.mean, draws.prior_mean_precision).sum(axis=1)
        density += self.scale.log_density_of(draws.roots, self.degrees_of_freedom)
        return density


class PosteriorOfDraws:
    """Methods of ``GaussianPosterior`` for draws."""

    def draws(self: Any, n_draws: int, generator: np.random.Generator) -> GaussianDraws:

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

    def log_factors(self: Any, draws: GaussianDraws) -> tuple[Array, Array]:
        wisharts = self.precisions.log_densities(draws.roots)
        parameters = zip(self.means, self.mean_precision, strict=True)
        normals = np.stack([draws.log_normals(m, float(beta)) for m, beta in parameters], axis=1)
        if self.structure.shared:
            return wisharts[:, 0, 0], normals
        return np.zeros(len(normals)), normals + wisharts


class WishartDraws:
    """Methods of ``Wishart`` for draws."""

    def draw(self: Any, n_draws: int, generator: np.random.Generator) -> Array:
        """Return roots (S, B, ...) of S draws of each block: Λ = U Uᵀ."""
        return draw_roots(self.algebra, self.root, self.degrees_of_freedom, n_draws, generator)

    def log_densities(self: Any, roots: Array) -> Array:
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


class FixedScaleOfDraws:
    """Methods of ``FixedScale`` for draws."""

    def draw(self: Any, n_draws: int, generator: np.random.Generator) -> Array:
        root = self.algebra.factor(self.mean)
        return np.broadcast_to(root, (n_draws, *root.shape))

    def given(self: Any, roots: Array, nu0: float, generator: np.random.Generator) -> FixedScale:
        return self

    def log_density_of(self: Any, roots: Array, nu0: float) -> Array:
        """Return log p(Λ_1, ..., Λ_B) (S,) of drawn blocks."""
        freedom = np.full((1,) if self.mean.ndim == 3 else self.mean.shape, nu0)
        blocks = Wishart(self.algebra, freedom, self.mean).log_densities(roots)
        return blocks.sum(axis=(1, 2))


class LearnedScaleOfDraws:
    """Methods of ``LearnedScale`` for draws."""

    def given(self: Any, roots: Array, nu0: float, generator: np.random.Generator) -> FixedScale:
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

    def log_density_of(self: Any, roots: Array, nu0: float) -> Array:
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


# Ratio of a precision to its expectation above which its inverse is lost in rounding.
MOST_NARROW = 1e16


@dataclass(frozen=True)
class GaussianDraws:
    """S draws: means (S, K, D), roots U of precisions Λ = U Uᵀ (S, B, ...) and of the scale.

    A fixed scale is repeated; β0 is a number.
    """

    structure: Structure
    means: Array
    roots: Array
    scale_roots: Array  # (S, 1, ...)
    prior_mean_precision: float

    @cached_property
    def flat_roots(self) -> Array:
        """Roots (S K, ...), by draw and component."""
        n_draws, n_components, _ = self.means.shape
        shape = (n_draws, n_components, *self.roots.shape[2:])
        repeated: Array = np.broadcast_to(self.roots, shape)
        return np.ascontiguousarray(repeated.reshape(n_draws * n_components, *shape[2:]))

    @cached_property
    def log_det(self) -> Array:
        """Log |Λ_k| (S, K) of D x D precisions."""
        n_draws, n_components, n_features = self.means.shape
        algebra = self.structure.algebra
        n = n_draws * n_components
        logs = algebra.per_component(algebra.log_det(self.flat_roots), n, n_features)
        return logs.reshape(n_draws, n_components)

    @cached_property
    def components(self) -> Quadratics:
        n_features = self.means.shape[2]
        offset = 0.5 * (self.log_det.ravel() - n_features * LOG_2PI)
        means = self.means.reshape(-1, n_features)
        return Quadratics(self.structure, offset, means, self.flat_roots)

    def subset(self, keep: Integers) -> GaussianDraws:
        roots = self.roots if self.structure.shared else self.roots[:, keep]
        return replace(self, means=self.means[:, keep], roots=roots)

    def at(self, draw: int) -> Gaussians:
        blocks = self.structure.algebra.inverse(np.ascontiguousarray(self.roots[draw]))
        return Gaussians(self.structure, self.means[draw], blocks)

    def parameters(self, frame: Frame) -> dict[str, tuple[tuple[str, ...], Array]]:
        """Return means, covariances and S in data units, with their axes.

        Covariances and S have the shapes of ``covariances_`` and ``covariance_prior_``.
        """
        structure, algebra = self.structure, self.structure.algebra
        blocks = algebra.lift(algebra.inverse(_together(self.roots)), frame, FLAT_FLOOR)
        by_draw = blocks.reshape(*self.roots.shape[:2], *blocks.shape[1:])
        covariances = np.stack([structure.blocks.as_covariances(block) for block in by_draw])
        scale = algebra.lift(algebra.gram(_together(self.scale_roots)), frame, FLAT_FLOOR)
        if structure.isotropic:
            scale = scale[:, 0]
        axes, columns = axes_of(covariances.ndim - 1, scale.ndim - 1)
        return {
            "means": (("component", "feature"), frame.undo(self.means)),
            "covariances": (axes, covariances),
            "covariance_prior": (columns, scale),
        }

    def log_normals(self, mean: Array, mean_precision: float) -> Array:
        """Return log N(μ_sk | mean, (mean_precision Λ_sk)⁻¹) (S, K)."""
        n_draws, n_components, n_features = self.means.shape
        away = (self.means - mean).reshape(-1, n_features)
        lengths = self.structure.algebra.lengths(away, self.flat_roots)
        return 0.5 * (
            n_features * (np.log(mean_precision) - LOG_2PI)
            + self.log_det
            - mean_precision * lengths.reshape(n_draws, n_components)
        )


def axes_of(n_covariances: int, n_scale: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the axes of covariances and of S, from their numbers."""
    columns = ("feature", "other_feature")[:n_scale]
    # Tied structures have a single matrix.
    return (*("component",) * (n_covariances - n_scale), *columns), columns


def _together(roots: Array) -> Array:
    """Stack roots (S, B, ...) of all draws (S B, ...)."""
    return np.ascontiguousarray(roots).reshape(-1, *roots.shape[2:])
