"""Quadratic forms offset_k - ½ |Uᵀ(x - m_k)|² of Gaussians, exact or averaged over q(μ, Λ).

Bishop 2006, eq. 10.64 and 10.65. The centred form is always accurate; the linear form in [1, x, x
xᵀ] loses digits as (distance / sd)².
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.blas import dasum, dnrm2

from bayesmix.core import lazy
from bayesmix.core.families import ByMeans
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.moments import Moments, moments
from bayesmix.numerics.arrays import LOG_2PI, UNIT_ROUNDOFF, Array, Booleans, Integers
from bayesmix.numerics.memo import once, record

if TYPE_CHECKING:
    from bayesmix.families.gaussian.on_device import QuadraticsOnDevice
    from bayesmix.families.gaussian.partial_forms import PartialForms
else:
    PartialForms = lazy.methods(
        "bayesmix.families.gaussian.partial_forms:PartialForms",
        "on_device patterned seen_in seen dense completed patterns marginal filled dense_filled",
    )


@record
@dataclass(frozen=True)
class Quadratics(PartialForms, ByMeans):
    """Offsets (K,), means (K, D) and precision roots in blocks.

    ``column_offset`` (K, D) sums to the offset in diagonal structures, None if it follows from the
    roots.
    """

    structure: Structure
    offset: Array
    means: Array
    root: Array
    column_offset: Array | None = None

    def expected_log_density(self, values: Array) -> Array:
        """Return offset_k - ½ |Uᵀ(x - m_k)|² (n, K), in centred form."""
        out = self.structure.algebra.squared(values, self.means, self.root)
        out *= -0.5
        out += self.offset
        return out

    @property
    def precision_root(self) -> Array:
        return self.root

    @property
    def linear(self) -> Quadratics:
        """Itself: to an E-step, quadratic forms are components."""
        return self

    def subset(self, keep: Integers) -> Quadratics:
        root = self.root if len(self.root) == 1 else self.root[keep]
        by_column = None if self.column_offset is None else self.column_offset[keep]
        return Quadratics(self.structure, self.offset[keep], self.means[keep], root, by_column)

    @once
    def covariance(self) -> Array:
        """Covariances (U Uᵀ)⁻¹ in blocks."""
        return self.structure.algebra.inverse(self.root)

    @property
    def kind(self) -> int:
        return self.structure.algebra.kind

    def features(self, values: Array, out: Array | None = None) -> Array:
        return self.structure.algebra.features(values, out)

    @once
    def coefficients(self) -> Array:
        """Coefficients Θ (K, F) with Θ φ(x) = log density."""
        return self.structure.algebra.coefficients(self.offset, self.means, self.root)

    def statistics(self, values: Array, responsibilities: Array) -> Moments:
        return moments(self.structure, values, responsibilities)

    def from_sums(self, sums: Array) -> Moments:
        structure, n_features = self.structure, self.means.shape[1]
        second = structure.blocks.pool(structure.algebra.second(sums, n_features))
        counts, totals = sums[:, 0].copy(), sums[:, 1 : 1 + n_features]
        return Moments.about_origin(structure, counts, totals, second)

    def expected_log_likelihood(self, statistics: Moments) -> float:
        algebra, counts = self.structure.algebra, statistics.counts
        away = counts @ algebra.lengths(statistics.means - self.means, self.root)
        within = algebra.trace(statistics.scatter, self.root).sum()
        return float(counts @ self.offset - 0.5 * (away + within))

    def loss(self, statistics: Moments, most: float = 0.0) -> float:
        """Return a first-order bound on the rounding of Σ_n w_n log p(x_n) by features, in nats.

        Σ_k Σ_n r_nk Σ_f |θ_kf φ_f(x_n)| times F units of rounding, with Σ_n r |x_i x_j| bounded by
        Cauchy and Schwarz. The rough bound |θ| |φ|, |φ| <= 1 + |x|², is returned if it is at most
        ``most``.
        """
        rounding = UNIT_ROUNDOFF * self.coefficients.shape[1]
        size = dasum(statistics.counts) + dasum(statistics.second.ravel())
        rough = float(rounding * size * dnrm2(self.coefficients.ravel()))
        if rough <= most:
            return rough
        sizes = self.structure.algebra.feature_bounds(statistics.counts, statistics.squares)
        return float(rounding * np.vdot(np.abs(self.coefficients), sizes))


def offsets_by_column(
    structure: Structure, log_det: Array, shape: tuple[int, ...], less: Array | float = 0.0
) -> Array | None:
    """Return ½ (log det - log 2π - ``less``) (K, D) for diagonals, None for dense blocks."""
    by_column = structure.algebra.by_column(log_det, *shape)
    return None if by_column is None else 0.5 * (by_column - LOG_2PI - less)


class ByQuadratics(ByMeans, ABC):
    """K Gaussians, at a point or averaged over q, evaluated by their quadratic forms."""

    @property
    @abstractmethod
    def linear(self) -> Quadratics:
        """Log N(x | μ_k, Λ_k⁻¹), or its expectation."""

    @property
    def n_features(self) -> int:
        return int(self.means.shape[1])

    @property
    def on_device(self) -> QuadraticsOnDevice:
        return self.linear.on_device

    def expected_log_density(self, values: Array) -> Array:
        return self.linear.expected_log_density(values)

    @property
    def patterned(self) -> Booleans:
        return np.ones(self.n_features, dtype=bool)

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        return self.linear.filled(values, labels, generator)

    def statistics(self, values: Array, responsibilities: Array) -> Moments:
        return self.linear.statistics(values, responsibilities)
