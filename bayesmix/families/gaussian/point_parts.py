"""Gaussian densities of some columns, draws, and moments of empty or held components."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bayesmix.core.rows import NO_ROWS
from bayesmix.families.gaussian.family import Gaussians
from bayesmix.families.gaussian.moments import Moments
from bayesmix.numerics.arrays import Array, Integers, align


class PartsOfGaussians:
    """Methods of ``Gaussians`` that an EM pass does not use."""

    def seen_in(self: Any, columns: Integers) -> Gaussians:
        return self.marginal(columns)

    def moved(self: Any, k: int, mean: Array, block: Array | None) -> Gaussians:
        """Move component k to another mean, and to another block unless None."""
        means = self.means.copy()
        means[k] = mean
        blocks = self.blocks
        if block is not None:
            blocks = blocks.copy()
            blocks[k] = block
        return replace(self, means=means, blocks=blocks)

    def draw(self: Any, counts: Integers, generator: np.random.Generator) -> Array:
        normal = generator.standard_normal((int(counts.sum()), self.n_features))
        labels = np.repeat(np.arange(self.n_components), counts)
        return self.means[labels] + self.spread_out(normal, labels)

    def spread_out(self: Any, normal: Array, labels: Integers) -> Array:
        """Transform standard normal values to the covariances of components."""
        dense = self.covariances
        out = np.empty_like(normal)
        for k in np.unique(labels):
            rows = labels == k
            out[rows] = normal[rows] @ np.linalg.cholesky(dense[k]).T
        return out

    def marginal(self: Any, columns: Integers) -> Gaussians:
        """Return the marginal densities of some columns (Bishop 2006, eq. 2.98)."""
        blocks = self.structure.algebra.select(self.blocks, columns)
        return Gaussians(self.structure, self.means[:, columns], blocks)

    def conditional(self: Any, columns: Integers, given: Integers, values: Array) -> Gaussians:
        """Return the densities of ``columns`` given values (Bishop 2006, eq. 2.81, 2.82)."""
        from bayesmix.families.gaussian.covariance.regression import regress, regressed

        slopes, conditional_blocks = regress(self.structure.algebra, self.blocks, columns, given)
        means = regressed(self.means, slopes, columns, given, values[None])[0]
        return Gaussians(self.structure, means, conditional_blocks)

    def conditional_means(self: Any, columns: Integers, given: Integers, values: Array) -> Array:
        from bayesmix.families.gaussian.covariance.regression import regress, regressed

        slopes, _ = regress(self.structure.algebra, self.blocks, columns, given)
        return regressed(self.means, slopes, columns, given, values)


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
