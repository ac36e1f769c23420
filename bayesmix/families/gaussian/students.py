"""Student-t predictive densities: one t over all columns, or a product of one t a column."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import gammaln

from bayesmix.families.gaussian.algebra import Algebra
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.wishart import LOG_PI


@dataclass(frozen=True)
class Students:
    """K Student-t densities: means (K, D), shape matrices in blocks, degrees of freedom.

    ``joint_columns`` is how many columns share one mixing scale: D, or 1 for a product.
    """

    algebra: Algebra
    means: Array
    blocks: Array
    degrees_of_freedom: Array
    joint_columns: int

    @property
    def n_components(self) -> int:
        return len(self.means)

    @cached_property
    def root(self) -> Array:
        """U with shape⁻¹ = U Uᵀ."""
        return self.algebra.root(self.blocks)

    def expected_log_density(self, values: Array) -> Array:
        """log density (n, K) of framed rows (Bishop 2006, eq. B.68 and B.72)."""
        n_components, n_features = self.means.shape
        if self.joint_columns == n_features:
            distances = self.algebra.squared(values, self.means, self.root)
            nu = np.broadcast_to(self.degrees_of_freedom.ravel(), (n_components,))
            log_det = self.algebra.per_component(
                self.algebra.log_det(self.root), n_components, n_features
            )
            return _log_student(distances, nu, log_det, n_features)
        total = np.zeros((len(values), n_components), order="F")
        for column in range(n_features):
            root = self.root[:, column]
            away = (values[:, column, None] - self.means[:, column]) * root
            nu = self.degrees_of_freedom[:, column]
            total += _log_student(away * away, nu, 2.0 * np.log(root), 1)
        return total

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        """counts_k rows of every component, in component order (n, D)."""
        n_components, n_features = self.means.shape
        labels = np.repeat(np.arange(n_components), counts)
        normal = generator.standard_normal((len(labels), n_features))
        nu = self.degrees_of_freedom
        nu = nu[:, None] if nu.ndim == 1 else nu
        nu = np.broadcast_to(nu, (n_components, nu.shape[1]))[labels]
        mixing = generator.chisquare(nu) / nu
        normal /= np.sqrt(mixing)
        covariances = self.algebra.inverse(self.root)
        if covariances.ndim == 2:
            return self.means[labels] + normal * np.sqrt(
                np.broadcast_to(covariances, self.means.shape)[labels]
            )
        factors = np.broadcast_to(
            np.linalg.cholesky(covariances), (n_components, n_features, n_features)
        )
        for k in range(n_components):
            rows = labels == k
            normal[rows] = normal[rows] @ factors[k].T
        return self.means[labels] + normal


def _log_student(distances: Array, nu: Array, log_det: Array, dimension: int) -> Array:
    """log St(x | m, precision, ν) from squared distances (n, K), in nats."""
    half = (nu + dimension) / 2.0
    constant = (
        gammaln(half) - gammaln(nu / 2.0) - 0.5 * dimension * (np.log(nu) + LOG_PI) + 0.5 * log_det
    )
    log_density: Array = constant - half * np.log1p(distances / nu)
    return log_density
