"""Factor analysers at a point: N(x | μ_k, Λ_k Λ_kᵀ + Ψ_k), with nothing of D x D on the way.

Distances are |Ψ^-½ (x - μ - Λ z)|² + |z|² at the expected factors z = β (x - μ), the least that
this can be: two sums of squares, so that nothing cancels where the noise is small. Determinants are
those of Woodbury's identity, |Ψ| |I + Λᵀ Ψ⁻¹ Λ|.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bayesmix.families.factor_analytic.factor_model import FactorModel
from bayesmix.families.factor_analytic.projected_moments import ProjectedMoments, projected_moments
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.filled import filled_at_once
from bayesmix.numerics.once import once
from bayesmix.numerics.wishart import LOG_2PI
from bayesmix.records import Frame


@filled_at_once
@dataclass(frozen=True)
class FactorAnalysers:
    """means (K, D), loadings (K, D, q) and noise variances (K, D)."""

    model: FactorModel
    means: Array
    loadings: Array
    noise: Array

    @property
    def n_components(self) -> int:
        return len(self.means)

    @once
    def precision_root(self) -> Array:
        """1 / √Ψ (K, D): no direction is told more precisely than its noise."""
        root: Array = 1.0 / np.sqrt(self.noise)
        return root

    @once
    def scaled_loadings(self) -> Array:
        """Ψ^-½ Λ (K, D, q)."""
        scaled: Array = self.loadings * self.precision_root[:, :, None]
        return scaled

    @once
    def unsure(self) -> Array:
        """(I + Λᵀ Ψ⁻¹ Λ)⁻¹ (K, q, q): the covariance of the factors given a row."""
        return np.asarray(np.linalg.inv(self._precise), dtype=np.float64)

    @property
    def _precise(self) -> Array:
        scaled = self.scaled_loadings
        precise: Array = scaled.transpose(0, 2, 1) @ scaled
        return precise + np.eye(precise.shape[1])

    @once
    def directions(self) -> Array:
        """βᵀ (K, D, q), β (x - μ) the expected factors of a row."""
        directions: Array = self.precision_root[:, :, None] * (self.scaled_loadings @ self.unsure)
        return directions

    @once
    def offset(self) -> Array:
        """log N at the mean (K,)."""
        log_det = np.log(self.noise).sum(axis=1) + np.linalg.slogdet(self._precise)[1]
        constant: Array = -0.5 * (log_det + self.means.shape[1] * LOG_2PI)
        return constant

    def expected_log_density(self, values: Array) -> Array:
        """log N(x | μ_k, Σ_k) (n, K)."""
        return self.offset - 0.5 * self._squared(values.T, self.means)

    def _squared(self, columns: Array, means: Array) -> Array:
        """Squared Mahalanobis distances (n, K) of rows, which come as columns (D, n)."""
        out = np.empty((len(means), columns.shape[1]))
        for k, (root, scaled) in enumerate(
            zip(self.precision_root, self.scaled_loadings, strict=True)
        ):
            away = columns - means[k][:, None]
            away *= root[:, None]
            factors = self.unsure[k] @ (scaled.T @ away)
            away -= scaled @ factors
            np.einsum("dn,dn->n", away, away, out=out[k])
            out[k] += np.einsum("qn,qn->n", factors, factors)
        return out.T

    def beyond(self, units: Array, exponent: int) -> tuple[Array, Array]:
        """Log density (n, K) of framed rows ``units`` times 2^exponent, and what to add (n,).

        So far away a normal density is zero, and a row belongs to the widest component.
        """
        squares = self._squared(units.T, np.ldexp(self.means, -exponent))
        widest = squares <= squares.min(axis=1, keepdims=True) * (1.0 + 1e-9)
        return np.where(widest, self.offset, -np.inf), np.full(len(units), -np.inf)

    def statistics(self, values: Array, responsibilities: Array) -> ProjectedMoments:
        """Moments along the directions of these components."""
        return projected_moments(
            self.model, values, responsibilities, self.directions, self.unsure, self.noise
        )

    def subset(self, keep: Integers) -> FactorAnalysers:
        """Some components, in the order given."""
        return replace(
            self, means=self.means[keep], loadings=self.loadings[keep], noise=self.noise[keep]
        )

    def released(self) -> FactorAnalysers:
        """Itself: nothing held it."""
        return self

    def framed(self, frame: Frame) -> FactorAnalysers:
        """From the data's coordinates into a frame."""
        return self._in_units(frame.apply(self.means), 1.0 / frame.scale)

    def unframed(self, frame: Frame) -> FactorAnalysers:
        """From a frame into the data's coordinates."""
        return self._in_units(frame.undo(self.means), frame.scale)

    def _in_units(self, means: Array, unit: Array) -> FactorAnalysers:
        return replace(
            self,
            means=np.ascontiguousarray(means),
            loadings=self.loadings * unit[:, None],
            noise=self.noise * unit * unit,
        )

    @property
    def deviations(self) -> Array:
        """Standard deviation of every column (K, D)."""
        deviations: Array = np.sqrt(np.square(self.loadings).sum(axis=2) + self.noise)
        return deviations

    @property
    def covariances(self) -> Array:
        """Covariance matrices (K, D, D)."""
        made: Array = self.loadings @ self.loadings.transpose(0, 2, 1)
        np.einsum("kdd->kd", made)[...] += self.noise
        return made

    @property
    def precisions(self) -> Array:
        """Inverse covariance matrices (K, D, D), by Woodbury's identity."""
        scaled = self.scaled_loadings
        made: Array = -scaled @ self.unsure @ scaled.transpose(0, 2, 1)
        np.einsum("kdd->kd", made)[...] += 1.0
        made *= self.precision_root[:, :, None]
        made *= self.precision_root[:, None, :]
        return made

    def marginal(self, columns: Integers) -> FactorAnalysers:
        """The densities of some columns: their loadings and noise."""
        return replace(
            self,
            means=self.means[:, columns],
            loadings=self.loadings[:, columns],
            noise=self.noise[:, columns],
        )

    def conditional(self, columns: Integers, given: Integers, values: Array) -> FactorAnalysers:
        """The densities of ``columns`` where those ``given`` have these values (G,).

        What is known of the factors then makes other loadings; the noise is the same.
        """
        known = self.marginal(given)
        means = self.conditional_means(columns, given, values[None])[0]
        left = np.linalg.cholesky(known.unsure)
        return replace(
            self,
            means=means,
            loadings=self.loadings[:, columns] @ left,
            noise=self.noise[:, columns],
        )

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        """E[x_columns | x_given, k] (n, K, C) for rows of the given columns (n, G)."""
        known = self.marginal(given)
        out = np.empty((len(values), self.n_components, len(columns)))
        for k in range(self.n_components):
            factors = (values - known.means[k]) @ known.directions[k]
            out[:, k] = self.means[k, columns] + factors @ self.loadings[k, columns].T
        return out

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        """counts_k rows of every component, in component order (n, D)."""
        labels = np.repeat(np.arange(self.n_components), counts)
        factors = generator.standard_normal((len(labels), self.loadings.shape[2]))
        out = generator.standard_normal((len(labels), self.means.shape[1]))
        for k in np.unique(labels):
            rows = labels == k
            out[rows] *= np.sqrt(self.noise[k])
            out[rows] += self.means[k] + factors[rows] @ self.loadings[k].T
        return out

    def plug_in(self) -> FactorAnalysers:
        """Itself: a point."""
        return self

    def predictive(self) -> FactorAnalysers:
        """Itself: nothing is integrated out."""
        return self
