"""Centred moments of Gaussians, and their quadratic forms.

Moments are merged pairwise without cancellation (Chan, Golub & LeVeque 1983), added and scaled but
never subtracted. In diagonal structures missing values are counted by column.

Quadratic forms are offset_k - ½ |Uᵀ(x - m_k)|², exact or averaged over q(μ, Λ) (Bishop 2006, eq.
10.64 and 10.65). The centred form is always accurate; the linear form in [1, x, x xᵀ] loses digits
as (distance / sd)².
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg.blas import dasum, dnrm2

from bayesmix.core.families import ByMeans, Rearranged
from bayesmix.core.parameters import NOT_NEGATIVE, REAL, within
from bayesmix.core.rows import NO_ROWS
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.numerics.arrays import LOG_2PI, UNIT_ROUNDOFF, Array, Booleans, Integers, align
from bayesmix.numerics.device_arrays import beside, host
from bayesmix.numerics.memo import once

if TYPE_CHECKING:
    from bayesmix.core.components import DensitiesAndStatistics
    from bayesmix.core.rows import Frame
    from bayesmix.families.gaussian.gaps import Pattern


@dataclass(frozen=True)
class Moments(Rearranged):
    """Counts (K,), means (K, D) and scatter in the structure's blocks.

    ``column_counts`` (K, D) are Σ w r over the observed cells, None without missing values.
    """

    structure: Structure
    counts: Array = field(metadata=within(NOT_NEGATIVE))
    means: Array = field(metadata=within(REAL))
    scatter: Array = field(metadata=within(REAL))
    column_counts: Array | None = None

    def __add__(self, other: Moments) -> Moments:
        counts, other_counts = self.counts_of_means, other.counts_of_means
        total = counts + other_counts
        share = np.zeros_like(total)
        np.divide(other_counts, total, out=share, where=total > 0)
        delta = other.means - self.means
        return Moments(
            self.structure,
            self.counts + other.counts,
            self.means + share * delta,
            self.scatter + other.scatter + _between(self.structure, counts * share, delta),
            None if self.column_counts is None and other.column_counts is None else total,
        )

    @property
    def counts_of_means(self) -> Array:
        """Σ w r behind each mean (K, D), or (K, 1) if equal for all columns."""
        return self.counts[:, None] if self.column_counts is None else self.column_counts

    @property
    def block_counts(self) -> Array:
        """Number of values behind each block; pooled columns count one by one."""
        blocks = self.structure.blocks
        if self.column_counts is None:
            return blocks.counts(self.counts, self.means.shape[1])
        return blocks.pool(self.column_counts)

    @property
    def shared(self) -> bool:
        return self.structure.shared

    def scaled(self, factor: float) -> Moments:
        column_counts = None if self.column_counts is None else factor * self.column_counts
        return replace(
            self,
            counts=factor * self.counts,
            scatter=factor * self.scatter,
            column_counts=column_counts,
        )

    def subset(self, keep: Integers) -> Moments:
        structure = self.structure
        scatter = structure.blocks.keep(self.scatter, keep)
        column_counts = None if self.column_counts is None else self.column_counts[keep]
        return Moments(structure, self.counts[keep], self.means[keep], scatter, column_counts)

    def merged(self, first: int, second: int) -> Moments:
        merged = super().merged(first, second)
        if not self.shared:
            return merged
        first_moments, second_moments = (self.subset(np.array([k])) for k in (first, second))
        both = first_moments + replace(second_moments, scatter=np.zeros_like(self.scatter))
        return replace(merged, scatter=both.scatter)

    def split(self, k: int, halves: Moments) -> Moments:
        if len(self.counts) == 1:
            return halves
        split = super().split(k, halves)
        if not self.shared:
            return split
        # A shared scatter loses what lies between the two.
        delta, counts = halves.means[1:] - halves.means[:1], halves.counts_of_means
        share = counts[:1] * counts[1:] / np.maximum(counts.sum(axis=0), 1e-300)
        return replace(split, scatter=self.scatter - _between(self.structure, share, delta))

    def exchanged(self, keep: Integers, others: Moments) -> Moments:
        """Replace components; a shared scatter is kept."""
        joined = super().exchanged(keep, others)
        return replace(joined, scatter=self.scatter) if self.shared else joined

    @classmethod
    def joined(cls, parts: Sequence[Moments]) -> Moments:
        structure = parts[0].structure
        column_counts = None
        if any(part.column_counts is not None for part in parts):
            column_counts = np.concatenate(
                [np.broadcast_to(part.counts_of_means, part.means.shape) for part in parts]
            )
        return Moments(
            structure,
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.means for part in parts]),
            structure.blocks.pool(np.concatenate([part.scatter for part in parts])),
            column_counts,
        )

    def about(self, point: Array) -> Array:
        """Return the scatter about a point, (D,) or by component (K, D), in blocks."""
        return self.scatter + _between(self.structure, self.counts_of_means, self.means - point)

    def pack(self) -> Array:
        """Return sums of 1, x and x xᵀ, the mean parameters of an exponential family, as a vector.

        Only for extrapolation, where cancellation is harmless.
        """
        return self._packed

    @once
    def _packed(self) -> Array:
        totals = self.counts_of_means * self.means
        sums = [self.counts, totals.ravel(), self.second.ravel()]
        if self.column_counts is not None:
            sums.append(self.column_counts.ravel())
        return np.concatenate(sums)

    def units(self) -> Array:
        (n_components, n_features), algebra = self.means.shape, self.structure.algebra
        total = self.second.sum(axis=0, keepdims=True)
        total /= self.block_counts.sum() or 1.0  # noise may have all observations
        square = algebra.spread(total, 1, n_features)[0]
        unit = 1.0 / np.sqrt(np.where(square > 0.0, square, 1.0))
        of_second = algebra.stretch(np.ones(self.scatter.shape), unit).ravel()
        of_counts = np.ones(0 if self.column_counts is None else self.column_counts.size)
        return np.concatenate(
            [np.ones(n_components), np.tile(unit, n_components), of_second, of_counts]
        )

    def unpack(self, vector: Array) -> Moments:
        n_components, n_features = self.means.shape
        end = n_components * (1 + n_features)
        counts = vector[:n_components]
        totals = vector[n_components:end].reshape(n_components, n_features)
        place = end + self.scatter.size
        second = vector[end:place].reshape(self.scatter.shape)
        column_counts = None if self.column_counts is None else vector[place:].reshape(totals.shape)
        return Moments.about_origin(self.structure, counts, totals, second, column_counts)

    @classmethod
    def about_origin(
        cls,
        structure: Structure,
        counts: Array,
        totals: Array,
        second: Array,
        column_counts: Array | None = None,
    ) -> Moments:
        """Return moments from Σ r x and Σ r x xᵀ in blocks."""
        means = averages(totals, counts[:, None] if column_counts is None else column_counts)
        between = structure.blocks.pool(structure.algebra.outer(totals, means))
        moments = cls(structure, counts, means, second - between, column_counts)
        Moments.second.given(moments, second)
        return moments

    @once
    def second(self) -> Array:
        """Σ r x xᵀ in blocks."""
        return self.about(np.zeros(self.means.shape[1]))

    @property
    def squares(self) -> Array:
        """Non-negative Σ r x² (K, D)."""
        spread = self.structure.algebra.spread
        if self.scatter.shape[:2] == self.means.shape:  # nothing is pooled
            return spread(self.second, *self.means.shape)
        # The scatter of a component on one observation is rounding, of either sign.
        within = np.maximum(spread(self.scatter, *self.means.shape), 0.0)
        return within + self.counts_of_means * self.means * self.means


def _between(structure: Structure, weight: Array, delta: Array) -> Array:
    """Return Σ w_k δ_k δ_kᵀ in blocks, w (K, 1), or (K, D) for diagonals."""
    return structure.blocks.pool(structure.algebra.outer(weight * delta, delta))


def moments(structure: Structure, values: Array, responsibilities: Array) -> Moments:
    """Return moments under responsibilities (n, K), with scatter about the computed means."""
    counts = responsibilities.sum(axis=0)
    means = averages((values.T @ responsibilities).T, counts[:, None])
    scatter = structure.algebra.scatter(values, responsibilities, means)
    return Moments(structure, counts, means, structure.blocks.pool(scatter))


def averages(totals: Array, counts: Array) -> Array:
    """Return totals (K, D) / counts (K, 1 or D), contiguous, 0 for zero counts."""
    if np.count_nonzero(counts) == counts.size:
        return np.divide(totals, counts, out=np.empty(totals.shape))
    return np.divide(totals, counts, out=np.zeros(totals.shape), where=counts > 0)


def with_average(statistics: Moments, resolution: Array | None, empty: Any) -> Moments:
    """Give empty components the average scatter and negligible counts."""
    by_column = statistics.column_counts
    positive = replace(statistics, counts=np.maximum(statistics.counts, NO_ROWS))
    counts = statistics.counts.sum()
    if by_column is not None:
        positive = replace(positive, column_counts=np.maximum(by_column, NO_ROWS))
        if statistics.structure.blocks.isotropic:
            empty = empty.all(axis=1, keepdims=True)
        else:
            counts = by_column.sum(axis=0)
    moments = with_resolution(positive, resolution)
    if moments.shared:
        return moments
    average = moments.scatter.sum(axis=0) / np.maximum(counts, 1.0)
    return replace(
        moments, scatter=moments.scatter + NO_ROWS * align(empty, moments.scatter) * average
    )


def with_resolution(statistics: Moments, resolution: Array | None) -> Moments:
    """Add the resolution to the scatter."""
    if resolution is None:
        return statistics
    counts = align(statistics.counts, resolution)
    if statistics.column_counts is not None:
        counts = statistics.column_counts
    between = statistics.structure.blocks.pool(counts * resolution)
    return replace(statistics, scatter=statistics.scatter + between)


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

    def subset(self, keep: Integers) -> Quadratics:
        root = self.root if len(self.root) == 1 else self.root[keep]
        columns = None if self.column_offset is None else self.column_offset[keep]
        return Quadratics(self.structure, self.offset[keep], self.means[keep], root, columns)

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

    @property
    def on_device(self) -> QuadraticsOnDevice:

        return QuadraticsOnDevice(self)

    @property
    def patterned(self) -> Booleans:
        return np.ones(self.means.shape[1], dtype=bool)

    def seen_in(self, columns: Integers) -> Quadratics:
        return self.marginal(columns)

    def seen(self, values: Array) -> DensitiesAndStatistics:
        from bayesmix.families.gaussian.gaps import seen_by

        return seen_by(self, values)

    @property
    def dense(self) -> bool:
        return self.structure.blocks.dense

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

    def seen_along(self, frame: Frame, values: Array) -> DensitiesAndStatistics:
        from bayesmix.families.gaussian.subspace_cells import seen_along

        return seen_along(self, frame, values)

    def filled_along(
        self,
        frame: Frame,
        values: Array,
        labels: Integers,
        generator: np.random.Generator | None,
    ) -> Array:
        from bayesmix.families.gaussian.subspace_cells import filled_along

        return filled_along(self, frame, values, labels, generator)

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        from bayesmix.families.gaussian.gaps import filled

        return filled(self, values, labels, generator)

    def dense_filled(
        self, values: Array, labels: Integers, generator: np.random.Generator
    ) -> Array:
        return self.filled(values, labels, generator) if self.dense else values


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

    @property
    def of_coordinates(self) -> Quadratics:
        """The forms of coordinates in a common subspace, for cells seen in part."""
        return self.linear

    def statistics(self, values: Array, responsibilities: Array) -> Moments:
        return self.linear.statistics(values, responsibilities)


@dataclass(frozen=True)
class QuadraticsOnDevice:
    """Quadratic forms offset_k - ½ |Uᵀ(x - m_k)|² on a device."""

    forms: Quadratics

    def features(self, xp: Any, values: Any) -> Any:
        """Return [1, x, x xᵀ] (n, F) in the order of ``Algebra.features``."""
        one = xp.ones_like(values[:, :1])
        if not self.forms.dense:
            return xp.concat([one, values, values * values], axis=1)
        products = [values[:, i : i + 1] * values[:, i:] for i in range(values.shape[1])]
        return xp.concat([one, values, *products], axis=1)

    def log_density(self, xp: Any, values: Any) -> Any:
        forms, columns = self.forms, []
        shared = len(forms.root) == 1
        for k, (offset, mean) in enumerate(zip(forms.offset, forms.means, strict=True)):
            root = forms.root[0 if shared else k]
            away = values - beside(mean, values)
            along = (
                away @ beside(root, values)
                if forms.dense
                else away * beside(np.broadcast_to(root, mean.shape).copy(), values)
            )
            columns.append(float(offset) - 0.5 * xp.sum(along * along, axis=1))
        return xp.stack(columns, axis=1)

    def statistics(self, xp: Any, values: Any, responsibilities: Any) -> Moments:
        structure = self.forms.structure
        counts = host(xp.sum(responsibilities, axis=0))
        means = averages(host(xp.matrix_transpose(responsibilities) @ values), counts[:, None])
        scatter = []
        for k, mean in enumerate(means):
            away = values - beside(mean, values)
            shares = responsibilities[:, k : k + 1]
            if self.forms.dense:
                scatter.append(host(xp.matrix_transpose(away * shares) @ away))
            else:
                scatter.append(host(xp.sum(away * away * shares, axis=0)))
        return Moments(structure, counts, means, structure.blocks.pool(np.stack(scatter)))
