"""K quadratic forms offset_k - ½ |Uᵀ(x - m_k)|²: what point and posterior Gaussians share.

The E-step sees a Gaussian, exact or averaged over q(μ, Λ), only as this (Bishop 2006, eq. 10.64
and 10.65). It has two executions: centred, which is exact wherever the clusters lie, and linear in
the features [1, x, x xᵀ], which is one matrix product and loses digits as (distance / sd)².
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg.blas import dasum, dnrm2

from bayesmix.core.components import Seen
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.gaps import completed, drawn, seen_densely, seen_over_axes
from bayesmix.families.gaussian.moments import Moments, averages, moments
from bayesmix.families.gaussian.on_device import QuadraticsOnDevice
from bayesmix.numerics import features
from bayesmix.numerics.arrays import UNIT_ROUNDOFF, Array, Booleans, Integers
from bayesmix.numerics.gaps import has_gaps, patterns
from bayesmix.numerics.memo import filled_at_once, once
from bayesmix.numerics.special import LOG_2PI

# Squared distances that differ by less, as a share of them, are of components equally wide.
SAME = 1e-12
# Powers of two and of e that are doubles, and so are their products with what they multiply here.
FARTHEST = 400
LARGEST_LOG = 700.0
SMALLEST = 1e-300
# Patterns of gaps whose forms are kept from one chunk to the next.
MOST_PATTERNS = 256


@filled_at_once
@dataclass(frozen=True)
class Quadratics:
    """offset (K,), means (K, D) and precision roots in blocks.

    ``column_offset`` (K, D) adds up to the offset over axes; None where it follows from the roots.
    """

    structure: Structure
    offset: Array
    means: Array
    root: Array
    column_offset: Array | None = None

    def expected_log_density(self, values: Array) -> Array:
        """offset_k - ½ |Uᵀ(x - m_k)|² (n, K), centred form."""
        out = self.structure.algebra.squared(values, self.means, self.root)
        out *= -0.5
        out += self.offset
        return out

    def beyond(self, units: Array, exponent: int) -> tuple[Array, Array]:
        """Log density (n, K) of framed rows ``units`` times 2^exponent, in two parts.

        The second (n,) is what the widest component loses, minus infinity where that is no double;
        the first is relative to it. Of equally wide ones, the one that lies farthest out in the
        direction of the row is the nearest.
        """
        squared = self.structure.algebra.squared
        squares = squared(units, np.ldexp(self.means, -exponent), self.root)
        least = squares.min(axis=1, keepdims=True)
        farthest = float(np.abs(self.means).max())
        places = self.means / farthest if farthest > 0.0 else self.means
        lengths = np.abs(units).max(axis=1, keepdims=True)
        directions = units / np.where(lengths > 0.0, lengths, 1.0)
        against, along = (squared(directions, sign * places, self.root) for sign in (-1.0, 1.0))
        outward = 0.25 * (against - along) * lengths * np.ldexp(farthest, min(exponent, FARTHEST))
        widest = squares <= least * (1.0 + SAME)
        outward = np.where(widest, outward, -np.inf)
        relative = outward - outward.max(axis=1, keepdims=True) + self.offset
        log_loss = 2.0 * exponent * np.log(2.0) + np.log(np.maximum(least[:, 0], SMALLEST))
        lost = np.where(
            log_loss < LARGEST_LOG, -0.5 * np.exp(np.minimum(log_loss, LARGEST_LOG)), -np.inf
        )
        return relative, lost

    @property
    def n_components(self) -> int:
        return len(self.means)

    @property
    def precision_root(self) -> Array:
        """The root, as those that have a precision call it."""
        return self.root

    @property
    def linear(self) -> Quadratics:
        """Itself: to an E-step, quadratic forms are components."""
        return self

    @property
    def on_device(self) -> QuadraticsOnDevice:
        """The forms over rows on a device."""
        return QuadraticsOnDevice(self)

    def subset(self, keep: Integers) -> Quadratics:
        """Some of the forms, in the order given."""
        root = self.root if len(self.root) == 1 else self.root[keep]
        by_column = None if self.column_offset is None else self.column_offset[keep]
        return Quadratics(self.structure, self.offset[keep], self.means[keep], root, by_column)

    @once
    def covariance(self) -> Array:
        """(U Uᵀ)⁻¹ in blocks."""
        return self.structure.algebra.inverse(self.root)

    @property
    def patterned(self) -> Booleans:
        """All columns."""
        return np.ones(self.means.shape[1], dtype=bool)

    def seen_in(self, columns: Integers) -> Quadratics:
        """The forms of rows that have only these columns."""
        return self.marginal(columns)

    def seen(self, values: Array) -> Seen:
        """The forms of rows with gaps, and what makes their moments."""
        if not has_gaps(values):
            return self.expected_log_density(values), lambda shares: self.statistics(values, shares)
        if self.dense:
            return seen_densely(self.structure, self.offset, self.means, self.root, values)
        return seen_over_axes(self.structure, self.offsets, self.means, self.root, values)

    @property
    def offsets(self) -> Array:
        """Offsets (K, D) of every column, over axes."""
        if self.column_offset is not None:
            return self.column_offset
        log_det = self.structure.algebra.log_det(self.root)
        by_column = offsets_by_column(self.structure, log_det, self.means.shape)
        assert by_column is not None
        return by_column

    @property
    def dense(self) -> bool:
        """Whether columns depend on one another, given the component."""
        return self.structure.algebra.kind == features.DENSE

    def completed(self, columns: Integers, sums: Moments) -> Moments:
        """The moments of rows that have only these columns, from those of the columns."""
        regression = self._pattern(columns)[1]
        return completed(self.structure, self.means, regression, columns, sums)

    @once
    def _patterns(self) -> dict[bytes, tuple[Quadratics, tuple[Any, Any, Any]]]:
        """What is known of patterns of gaps: chunk after chunk has the same ones."""
        return {}

    def _pattern(self, columns: Integers) -> tuple[Quadratics, tuple[Any, Any, Any]]:
        """The forms of rows that have only these columns, and the regression of the others."""
        key = columns.tobytes()
        found = self._patterns.get(key)
        if found is None:
            hidden = np.setdiff1d(np.arange(self.means.shape[1]), columns)
            slopes, left = self.structure.algebra.regress(self.covariance, hidden, columns)
            found = self._marginal(columns), (hidden, slopes, left)
            if len(self._patterns) < MOST_PATTERNS:
                self._patterns[key] = found
        return found

    def marginal(self, columns: Integers) -> Quadratics:
        """log ∫ exp(.) over the other columns: the forms of rows that have only these."""
        return self._pattern(columns)[0]

    def _marginal(self, columns: Integers) -> Quadratics:
        algebra, means = self.structure.algebra, self.means[:, columns]
        if self.column_offset is not None:
            by_column = self.column_offset[:, columns]
            root = algebra.select(self.root, columns)
            return Quadratics(self.structure, by_column.sum(axis=1), means, root, by_column)
        root = algebra.root(algebra.select(self.covariance, columns))
        of_all = algebra.per_component(algebra.log_det(self.root), *self.means.shape)
        hidden = of_all - algebra.per_component(algebra.log_det(root), *means.shape)
        n_hidden = self.means.shape[1] - len(columns)
        offset = self.offset + 0.5 * (n_hidden * LOG_2PI - hidden)
        return Quadratics(self.structure, offset, means, root)

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        """Rows with gaps drawn from N(m, (U Uᵀ)⁻¹) of the components ``labels``, given the rest."""
        out = values.copy()
        for columns, rows in patterns(values):
            if len(columns) < values.shape[1]:
                seen = values[np.ix_(rows, columns)]
                known = self.structure, self.means, self.covariance
                out[rows] = drawn(*known, columns, seen, labels[rows], generator)
        return out

    def dense_filled(
        self, values: Array, labels: Integers, generator: np.random.Generator
    ) -> Array:
        """The same of dense covariances; over axes factors are left out instead."""
        return self.filled(values, labels, generator) if self.dense else values

    @property
    def kind(self) -> int:
        """Which features ``features`` makes."""
        return self.structure.algebra.kind

    def features(self, values: Array, out: Array | None = None) -> Array:
        """[1, x, x xᵀ] (F, n)."""
        return self.structure.algebra.features(values, out)

    @once
    def coefficients(self) -> Array:
        """Θ (K, F) with Θ φ(x) = log density."""
        return self.structure.algebra.coefficients(self.offset, self.means, self.root)

    def statistics(self, values: Array, responsibilities: Array) -> Moments:
        """Centred moments of the rows."""
        return moments(self.structure, values, responsibilities)

    def near(self, log_weights: Array) -> Array:
        """How probable the mean of j is under k, and that of k under j, less their own (K, K).

        On average, with half the log weight of k: which of two has the rows between depends on it.
        """
        density = self.expected_log_density(np.asfortranarray(self.means))
        apart = density - np.diagonal(density)[:, None]
        near: Array = 0.5 * (apart + apart.T + log_weights)
        return near

    def local(self, anchors: Integers, candidates: Integers) -> tuple[Quadratics, Array]:
        """The forms of candidates with the means of their anchors as origins."""
        places, forms = self.means[anchors], self.subset(candidates.ravel())
        away = forms.means - places.repeat(candidates.shape[1], axis=0)
        local = self.structure, forms.offset, away, forms.root, forms.column_offset
        return Quadratics(*local), places

    def gathered(self, sums: Array, components: Integers, places: Array) -> Moments:
        """Moments of the components, merged from those about the local means."""
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
        """Centred moments from summed features."""
        structure, n_features = self.structure, self.means.shape[1]
        second = structure.blocks.pool(structure.algebra.second(sums, n_features))
        counts, totals = sums[:, 0].copy(), sums[:, 1 : 1 + n_features]
        return Moments.about_origin(structure, counts, totals, second)

    def expected_log_likelihood(self, statistics: Moments) -> float:
        """Σ_k Σ_n r_nk E[log p(x_n | θ_k)], by distances of means and scatter about them."""
        algebra, counts = self.structure.algebra, statistics.counts
        away = counts @ algebra.lengths(statistics.means - self.means, self.root)
        within = algebra.trace(statistics.scatter, self.root).sum()
        return float(counts @ self.offset - 0.5 * (away + within))

    def loss(self, statistics: Moments, most: float = 0.0) -> float:
        """Bound on the rounding error of Σ_n w_n log p(x_n) through the features, in nats.

        First order: Σ_k Σ_n r_nk Σ_f |θ_kf φ_f(x_n)| times F units of rounding, with
        Σ_n r |x_i x_j| bounded by Cauchy and Schwarz. Scatter and means lose no more than that,
        relative to the precisions that the coefficients hold. A rough bound is enough where it is
        no more than ``most``: |θ| |φ| with |φ| no more than 1 + |x|².
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
    """½ (log det - log 2π - ``less``) (K, D) over axes, None for dense blocks."""
    by_column = structure.algebra.by_column(log_det, *shape)
    return None if by_column is None else 0.5 * (by_column - LOG_2PI - less)


class ByQuadratics(ABC):
    """K Gaussians of a fit, at a point or averaged over q: rows see their quadratic forms alone."""

    means: Array

    @property
    @abstractmethod
    def linear(self) -> Quadratics:
        """log N(x | μ_k, Λ_k⁻¹), or its expectation."""

    @property
    def n_components(self) -> int:
        return len(self.means)

    @property
    def n_features(self) -> int:
        return int(self.means.shape[1])

    @property
    def on_device(self) -> QuadraticsOnDevice:
        """Their log densities over rows on a device."""
        return self.linear.on_device

    def expected_log_density(self, values: Array) -> Array:
        """(n, K), centred form."""
        return self.linear.expected_log_density(values)

    @property
    def patterned(self) -> Booleans:
        """All columns."""
        return np.ones(self.n_features, dtype=bool)

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        """Rows with their gaps drawn: see ``Quadratics.filled``."""
        return self.linear.filled(values, labels, generator)

    def beyond(self, units: Array, exponent: int) -> tuple[Array, Array]:
        """Log density of far rows in two parts: see ``Quadratics.beyond``."""
        return self.linear.beyond(units, exponent)

    def statistics(self, values: Array, responsibilities: Array) -> Moments:
        """Centred moments."""
        return self.linear.statistics(values, responsibilities)
