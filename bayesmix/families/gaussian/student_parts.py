"""Student-t densities of some columns, their draws and squared distances."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from bayesmix.families.gaussian.students import Students
from bayesmix.numerics.arrays import Array, Booleans, Integers


class StudentParts:
    """Methods of ``StudentDensities`` that predictions of complete samples do not use."""

    @property
    def patterned(self: Any) -> Booleans:
        return np.ones(self.means.shape[1], dtype=bool)

    def seen_in(self: Any, columns: Integers) -> Students:
        return self.marginal(columns)

    def squares(self: Any, values: Array) -> Array:
        """Return squared distances (n, K, G) over all columns, or by column."""
        if self.joint:
            return self.algebra.squared(values, self.means, self.precision_root)[:, :, None]
        away = (values[:, None] - self.means) * self.precision_root
        return away * away

    @cached_property
    def freedoms(self: Any) -> Array:
        """Degrees of freedom (K, G) of the factors."""
        return self._freedom[:, None] if self.joint else self.degrees_of_freedom

    @cached_property
    def constants(self: Any) -> Array:
        """Log densities (K, G) of the factors at the mean."""
        nothing = np.zeros((1, self.n_components))
        if self.joint:
            return self._joint(nothing).T
        columns = [self._of_column(d, nothing) for d in range(self.means.shape[1])]
        return np.concatenate(columns).T

    @property
    def covariances(self: Any) -> Array:
        nu = self.degrees_of_freedom
        nu = nu[:, None] if nu.ndim == 1 else nu
        factor = np.full(nu.shape, np.nan)
        np.divide(nu, nu - 2.0, out=factor, where=nu > 2.0)
        return self.algebra.dense(self.blocks, *self.means.shape) * factor[:, :, None]

    def marginal(self: Any, columns: Integers) -> Students:
        blocks = self.algebra.select(self.blocks, columns)
        freedom = self.degrees_of_freedom
        if self.joint:
            return Students(
                self.algebra, self.means[:, columns], blocks, freedom.ravel(), len(columns)
            )
        return Students(self.algebra, self.means[:, columns], blocks, freedom[:, columns], 1)

    def conditional(self: Any, columns: Integers, given: Integers, values: Array) -> Students:
        """Return the densities of ``columns`` given values (G,) of the columns ``given``.

        Student-t with ν + G degrees of freedom and a scale that grows with the distance of the
        given values (Ding 2016); for a product the other factors.
        """
        if not (self.joint and len(given)):
            return self.marginal(columns)
        n_components, n_given = len(self.means), len(given)
        from bayesmix.families.gaussian.covariance.regression import regress, regressed

        slopes, conditional = regress(self.algebra, self.blocks, columns, given)
        marginal = self.marginal(given)
        distances = self.algebra.squared(values[None], marginal.means, marginal.precision_root)[0]
        nu = np.broadcast_to(self.degrees_of_freedom.ravel(), (n_components,))
        widened = (nu + distances) / (nu + n_given)
        blocks = widened.reshape(-1, *(1,) * (conditional.ndim - 1)) * conditional
        means = regressed(self.means, slopes, columns, given, values[None])[0]
        return Students(self.algebra, means, blocks, nu + n_given, len(columns))

    def conditional_means(self: Any, columns: Integers, given: Integers, values: Array) -> Array:
        from bayesmix.families.gaussian.covariance.regression import regress, regressed

        slopes, _ = regress(self.algebra, self.blocks, columns, given)
        return regressed(self.means, slopes, columns, given, values)

    def draw(self: Any, counts: Integers, generator: np.random.Generator) -> Array:
        n_components, n_features = self.means.shape
        labels = np.repeat(np.arange(n_components), counts)
        normal = generator.standard_normal((len(labels), n_features))
        nu = self.degrees_of_freedom
        nu = nu[:, None] if nu.ndim == 1 else nu
        nu = np.broadcast_to(nu, (n_components, nu.shape[1]))[labels]
        mixing = generator.chisquare(nu) / nu
        normal /= np.sqrt(mixing)
        dense = self.algebra.dense(self.blocks, n_components, n_features)
        for k in range(n_components):
            rows = labels == k
            normal[rows] = normal[rows] @ np.linalg.cholesky(dense[k]).T
        return self.means[labels] + normal
