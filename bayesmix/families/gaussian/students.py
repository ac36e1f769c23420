"""Student-t predictive densities: multivariate, or a product over columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import gammaln

from bayesmix.core.components import elliptical
from bayesmix.core.families import ByMeans
from bayesmix.core.rows import FLAT_FLOOR, Frame
from bayesmix.families.gaussian.covariance.models import Algebra
from bayesmix.families.gaussian.covariance.regression import regress, regressed
from bayesmix.families.gaussian.family import normals_alike, normals_of
from bayesmix.families.gaussian.moments import Quadratics
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.special import LOG_PI


class StudentDensities(ByMeans):
    """K Student-t densities: means (K, D), shape matrices in blocks, degrees of freedom.

    ``joint_columns`` is the number of columns with a common mixing scale: D, or 1 for a product.
    """

    blocks: Array
    degrees_of_freedom: Array

    if TYPE_CHECKING:

        @property
        def algebra(self) -> Algebra: ...

        @property
        def joint_columns(self) -> int: ...

    @cached_property
    def precision_root(self) -> Array:
        return self.algebra.root(self.blocks)

    def expected_log_density(self, values: Array) -> Array:
        """Return the log density (n, K) of framed data (Bishop 2006, eq. B.68 and B.72)."""
        means = self.means
        if self.joint:
            squares = self.algebra.squared(values, means, self.precision_root)
            return self._joint(np.log1p(squares / self._freedom))
        total = np.zeros((len(values), len(means)), order="F")
        for column in range(means.shape[1]):
            root = self.precision_root[:, column]
            away = (values[:, column, None] - means[:, column]) * root
            widened = np.log1p(away * away / self.degrees_of_freedom[:, column])
            total += self._of_column(column, widened)
        return total

    def _joint(self, log_widened: Array) -> Array:
        """Return the multivariate log density (n, K)."""
        n_components, n_features = self.means.shape
        log_det = self.algebra.per_component(
            self.algebra.log_det(self.precision_root), n_components, n_features
        )
        return _log_student(log_widened, self._freedom, log_det, n_features)

    def _of_column(self, column: int, log_widened: Array) -> Array:
        """Return the factor (n, K) of a column in a product."""
        log_det = 2.0 * np.log(self.precision_root[:, column])
        return _log_student(log_widened, self.degrees_of_freedom[:, column], log_det, 1)

    @property
    def _freedom(self) -> Array:
        """Degrees of freedom (K,) of multivariate densities."""
        return np.broadcast_to(self.degrees_of_freedom.ravel(), (self.n_components,))

    @property
    def joint(self) -> bool:
        """Whether all columns share a mixing scale."""
        return self.joint_columns == len(self.means.T)

    def _lifted(self, frame: Frame) -> tuple[Array, Array]:
        """Return means and blocks in data units, with the floor as variance of flat directions."""
        return frame.undo(self.means), self.algebra.lift(self.blocks, frame, FLAT_FLOOR)

    @property
    def patterned(self) -> Booleans:
        return np.ones(self.means.shape[1], dtype=bool)

    def seen_in(self, columns: Integers) -> Students:
        return self.marginal(columns)

    @property
    def of_coordinates(self) -> Quadratics:
        """Forms of normals with the same means and covariances, for cells seen in part.

        Beside the normal rest, observed cells of a Student-t have no density in closed form.
        """
        return normals_alike(self).linear

    def squares(self, values: Array) -> Array:
        """Return squared distances (n, K, G) over all columns, or by column."""
        if self.joint:
            return self.algebra.squared(values, self.means, self.precision_root)[:, :, None]
        away = (values[:, None] - self.means) * self.precision_root
        return away * away

    @cached_property
    def freedoms(self) -> Array:
        """Degrees of freedom (K, G) of the factors."""
        return self._freedom[:, None] if self.joint else self.degrees_of_freedom

    @cached_property
    def constants(self) -> Array:
        """Log densities (K, G) of the factors at the mean."""
        nothing = np.zeros((1, self.n_components))
        if self.joint:
            return self._joint(nothing).T
        columns = [self._of_column(d, nothing) for d in range(self.means.shape[1])]
        return np.concatenate(columns).T

    @property
    def covariances(self) -> Array:
        nu = self.degrees_of_freedom
        nu = nu[:, None] if nu.ndim == 1 else nu
        factor = np.full(nu.shape, np.nan)
        np.divide(nu, nu - 2.0, out=factor, where=nu > 2.0)
        return self.algebra.dense(self.blocks, *self.means.shape) * factor[:, :, None]

    def marginal(self, columns: Integers) -> Students:
        blocks = self.algebra.select(self.blocks, columns)
        freedom = self.degrees_of_freedom
        if self.joint:
            return Students(
                self.algebra, self.means[:, columns], blocks, freedom.ravel(), len(columns)
            )
        return Students(self.algebra, self.means[:, columns], blocks, freedom[:, columns], 1)

    def conditional(self, columns: Integers, given: Integers, values: Array) -> Students:
        """Return the densities of ``columns`` given values (G,) of the columns ``given``.

        Student-t with ν + G degrees of freedom and a scale that grows with the distance of the
        given values (Ding 2016); for a product the other factors.
        """
        if not (self.joint and len(given)):
            return self.marginal(columns)
        n_components, n_given = len(self.means), len(given)
        slopes, conditional = regress(self.algebra, self.blocks, columns, given)
        marginal = self.marginal(given)
        distances = self.algebra.squared(values[None], marginal.means, marginal.precision_root)[0]
        nu = np.broadcast_to(self.degrees_of_freedom.ravel(), (n_components,))
        widened = (nu + distances) / (nu + n_given)
        blocks = widened.reshape(-1, *(1,) * (conditional.ndim - 1)) * conditional
        means = regressed(self.means, slopes, columns, given, values[None])[0]
        return Students(self.algebra, means, blocks, nu + n_given, len(columns))

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        slopes, _ = regress(self.algebra, self.blocks, columns, given)
        return regressed(self.means, slopes, columns, given, values)

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
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


@elliptical.register
def _(components: StudentDensities) -> tuple[StudentDensities, Array]:
    """Return scale matrices, which the densities have for few degrees of freedom too."""
    return components, components.algebra.dense(components.blocks, *components.means.shape)


@dataclass(frozen=True)
class Students(StudentDensities):
    """Predictive densities; the degrees of freedom of a product are by column (K, D)."""

    algebra: Algebra
    means: Array
    blocks: Array
    degrees_of_freedom: Array
    joint_columns: int

    def unframed(self, frame: Frame) -> Any:
        if frame.rest is not None:
            # With the normal rest no Student-t: normals of the same means and covariances.
            return normals_of(self.means, self.covariances, frame)
        means, blocks = self._lifted(frame)
        return replace(self, means=means, blocks=blocks, joint_columns=len(frame.centre))


def _log_student(log_widened: Array, nu: Array, log_det: Array, dimension: int) -> Array:
    """Return log St(x | m, precision, ν) from log(1 + Δ² / ν) (n, K), in nats."""
    half = (nu + dimension) / 2.0
    constant = (
        gammaln(half) - gammaln(nu / 2.0) - 0.5 * dimension * (np.log(nu) + LOG_PI) + 0.5 * log_det
    )
    return constant - half * log_widened
