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

from bayesmix.core.families import ByMeans
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.moments import Moments, averages, moments
from bayesmix.numerics import arrays as features
from bayesmix.numerics.arrays import LOG_2PI, UNIT_ROUNDOFF, Array, Booleans, Integers
from bayesmix.numerics.memo import once

if TYPE_CHECKING:
    from bayesmix.core.components import Seen
    from bayesmix.families.gaussian.gaps import Pattern
    from bayesmix.families.gaussian.on_device import QuadraticsOnDevice


@dataclass(frozen=True)
class Quadratics(ByMeans):
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

    @property
    def on_device(self) -> QuadraticsOnDevice:
        from bayesmix.families.gaussian.on_device import QuadraticsOnDevice

        return QuadraticsOnDevice(self)

    def subset(self, keep: Integers) -> Quadratics:
        root = self.root if len(self.root) == 1 else self.root[keep]
        by_column = None if self.column_offset is None else self.column_offset[keep]
        return Quadratics(self.structure, self.offset[keep], self.means[keep], root, by_column)

    @once
    def covariance(self) -> Array:
        """Covariances (U Uᵀ)⁻¹ in blocks."""
        return self.structure.algebra.inverse(self.root)

    @property
    def patterned(self) -> Booleans:
        return np.ones(self.means.shape[1], dtype=bool)

    def seen_in(self, columns: Integers) -> Quadratics:
        return self.marginal(columns)

    def seen(self, values: Array) -> Seen:
        from bayesmix.families.gaussian.gaps import seen_by

        return seen_by(self, values)

    @property
    def dense(self) -> bool:
        return self.structure.algebra.kind == features.DENSE

    def completed(self, columns: Integers, sums: Moments) -> Moments:
        from bayesmix.families.gaussian.gaps import completed

        return completed(self, columns, sums)

    @once
    def patterns(self) -> dict[bytes, Pattern]:
        """Cache of forms by pattern of missing values."""
        return {}

    def marginal(self, columns: Integers) -> Quadratics:
        """Return log ∫ exp(.) over the missing columns as quadratic forms."""
        from bayesmix.families.gaussian.gaps import pattern_of

        return pattern_of(self, columns)[0]

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        from bayesmix.families.gaussian.gaps import filled

        return filled(self, values, labels, generator)

    def dense_filled(
        self, values: Array, labels: Integers, generator: np.random.Generator
    ) -> Array:
        return self.filled(values, labels, generator) if self.dense else values

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

    def near(self, log_weights: Array) -> Array:
        """Return the log density of each mean under other components, relative to its own (K, K).

        Averaged over j under k and k under j, plus half the log weight of k.
        """
        density = self.expected_log_density(np.asfortranarray(self.means))
        apart = density - np.diagonal(density)[:, None]
        return 0.5 * (apart + apart.T + log_weights)

    def local(self, anchors: Integers, candidates: Integers) -> tuple[Quadratics, Array]:
        """Return the forms of candidates about the means of their anchors."""
        places, forms = self.means[anchors], self.subset(candidates.ravel())
        away = forms.means - places.repeat(candidates.shape[1], axis=0)
        local = self.structure, forms.offset, away, forms.root, forms.column_offset
        return Quadratics(*local), places

    def gathered(self, sums: Array, components: Integers, places: Array) -> Moments:
        """Merge moments about local means by component."""
        structure, (n_components, n_features) = self.structure, self.means.shape
        algebra, counts, totals = structure.algebra, sums[:, 0], sums[:, 1 : 1 + n_features]
        own = averages(totals, counts[:, None])
        scatter = algebra.second(sums, n_features) - algebra.outer(totals, own)
        own += places.repeat(len(own) // len(places), axis=0)
        of_all = np.bincount(components, counts, n_components).astype(np.float64, copy=False)
        whole = np.zeros((n_components, n_features))
        np.add.at(whole, components, counts[:, None] * own)
        means = averages(whole, of_all[:, None])
        away = own - means[components]
        scatter += algebra.outer(counts[:, None] * away, away)
        total = np.zeros((n_components, *scatter.shape[1:]))
        np.add.at(total, components, scatter)
        return Moments(structure, of_all, means, structure.blocks.pool(total))

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
