"""Draws of Gaussian components from q(μ, Λ) q(S), many at once (Bartlett 1933 for Wisharts)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bayesmix.families.gaussian.quadratic import Quadratics
from bayesmix.families.gaussian.structures import Structure
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.wishart import LOG_2PI


@dataclass(frozen=True)
class GaussianDraws:
    """S draws: means (S, K, D), roots U of precisions Λ = U Uᵀ (S, B, ...) and of the scale.

    A fixed scale is the same in every draw; β0, learned or not, is known.
    """

    structure: Structure
    means: Array
    roots: Array
    scale_roots: Array  # (S, 1, ...)
    prior_mean_precision: float

    @cached_property
    def flat_roots(self) -> Array:
        """Roots (S K, ...), one for every component of every draw."""
        n_draws, n_components, _ = self.means.shape
        shape = (n_draws, n_components, *self.roots.shape[2:])
        each: Array = np.broadcast_to(self.roots, shape)
        return np.ascontiguousarray(each.reshape(n_draws * n_components, *shape[2:]))

    @cached_property
    def log_det(self) -> Array:
        """log |Λ_k| (S, K) of D x D precisions."""
        n_draws, n_components, n_features = self.means.shape
        algebra = self.structure.algebra
        n = n_draws * n_components
        logs = algebra.per_component(algebra.log_det(self.flat_roots), n, n_features)
        return logs.reshape(n_draws, n_components)

    @cached_property
    def components(self) -> Quadratics:
        """All S K densities N(x | μ_sk, Λ_sk⁻¹), those of a draw together."""
        n_features = self.means.shape[2]
        offset = 0.5 * (self.log_det.ravel() - n_features * LOG_2PI)
        means = self.means.reshape(-1, n_features)
        return Quadratics(self.structure, offset, means, self.flat_roots)

    def log_normals(self, mean: Array, mean_precision: float) -> Array:
        """log N(μ_sk | mean, (mean_precision Λ_sk)⁻¹) (S, K)."""
        n_draws, n_components, n_features = self.means.shape
        away = (self.means - mean).reshape(-1, n_features)
        lengths = self.structure.algebra.lengths(away, self.flat_roots)
        normals: Array = 0.5 * (
            n_features * (np.log(mean_precision) - LOG_2PI)
            + self.log_det
            - mean_precision * lengths.reshape(n_draws, n_components)
        )
        return normals
