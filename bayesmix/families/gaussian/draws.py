"""Draws of Gaussian components from q(μ, Λ) q(S) (Bartlett 1933 for Wisharts), and densities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bayesmix.core.rows import FLAT_FLOOR, Frame
from bayesmix.families.gaussian.covariance.models import Algebra, Structure
from bayesmix.families.gaussian.family import Gaussians
from bayesmix.families.gaussian.moments import Quadratics
from bayesmix.numerics.arrays import LOG_2, LOG_2PI, Array, Integers
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

    def log_normals(self, mean: Array, mean_precision: Array | float) -> Array:
        """Return log N(μ_sk | mean, (mean_precision Λ_sk)⁻¹) (S, K).

        The precision may be one of each column (D,), where Λ is diagonal.
        """
        n_draws, n_components, n_features = self.means.shape
        by_column = np.broadcast_to(mean_precision, n_features)
        away = np.sqrt(by_column) * (self.means - mean).reshape(-1, n_features)
        lengths = self.structure.algebra.lengths(away, self.flat_roots)
        return 0.5 * (
            np.log(by_column).sum()
            - n_features * LOG_2PI
            + self.log_det
            - lengths.reshape(n_draws, n_components)
        )


def axes_of(n_covariances: int, n_scale: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the axes of covariances and of S, from their numbers."""
    columns = ("feature", "other_feature")[:n_scale]
    # Tied structures have a single matrix.
    return (*("component",) * (n_covariances - n_scale), *columns), columns


def _together(roots: Array) -> Array:
    """Stack roots (S, B, ...) of all draws (S B, ...)."""
    return np.ascontiguousarray(roots).reshape(-1, *roots.shape[2:])
