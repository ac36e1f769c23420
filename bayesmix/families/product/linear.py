"""The linear form of a product: the features of its parts side by side, one constant for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from bayesmix.families.product.layout import Layout
from bayesmix.families.product.statistics import ProductStatistics
from bayesmix.numerics import features
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.filled import filled_at_once
from bayesmix.numerics.once import once
from bayesmix.protocols import Completing, Components, Densities, Linear, Seen


@filled_at_once
@dataclass(frozen=True)
class LinearProduct:
    """K log densities that are sums of linear forms of the parts."""

    layout: Layout
    parts: tuple[Linear, ...]

    @property
    def kind(self) -> int:
        return features.PRODUCT

    @property
    def n_components(self) -> int:
        return self.parts[0].n_components

    @property
    def linear(self) -> LinearProduct:
        """Itself: to an E-step, linear forms are components."""
        return self

    @once
    def widths(self) -> tuple[int, ...]:
        """How many features every part has beside the 1."""
        return tuple(part.coefficients.shape[1] - 1 for part in self.parts)

    def features(self, values: Array, out: Array | None = None) -> Array:
        """[1, features of the parts without theirs] (F, n)."""
        if out is None:
            out = np.empty((1 + sum(self.widths), len(values)))
        out[0], place = 1.0, 1
        for part, own, width in zip(
            self.parts, self.layout.split(values), self.widths, strict=True
        ):
            out[place : place + width] = part.features(own)[1:]
            place += width
        return out

    @once
    def coefficients(self) -> Array:
        """Θ (K, F): constants add up."""
        constants = sum(part.coefficients[:, :1] for part in self.parts)
        return np.hstack([constants, *(part.coefficients[:, 1:] for part in self.parts)])

    def from_sums(self, sums: Array) -> ProductStatistics:
        """Statistics of every part from its own features, and the 1 that all have."""
        parts, place = [], 1
        for part, width in zip(self.parts, self.widths, strict=True):
            own = np.hstack([sums[:, :1], sums[:, place : place + width]])
            parts.append(part.from_sums(own))
            place += width
        return ProductStatistics(self.layout, tuple(parts))

    def expected_log_density(self, values: Array) -> Array:
        """(n, K)."""
        return log_density(self.layout, self.parts, values)

    def statistics(self, values: Array, responsibilities: Array) -> ProductStatistics:
        return statistics(self.layout, self.parts, values, responsibilities)

    @property
    def dense(self) -> bool:
        """Not all columns depend on one another."""
        return False

    def seen(self, values: Array) -> Seen:
        """Log densities of what rows have add up over the parts."""
        pairs = zip(
            cast("tuple[Completing, ...]", self.parts), self.layout.split(values), strict=True
        )
        each = [part.seen(own) for part, own in pairs]
        total: Array = sum(
            (density for density, _ in each), np.zeros((len(values), self.n_components), order="F")
        )
        return total, lambda shares: ProductStatistics(
            self.layout, tuple(statistics(shares) for _, statistics in each)
        )

    def dense_filled(
        self, values: Array, labels: Integers, generator: np.random.Generator
    ) -> Array:
        """Rows with what they lack of dense parts drawn."""
        pairs = zip(
            cast("tuple[Completing, ...]", self.parts), self.layout.split(values), strict=True
        )
        parts = [part.dense_filled(own, labels, generator) for part, own in pairs]
        return self.layout.together(parts)

    def subset(self, keep: Integers) -> LinearProduct:
        return LinearProduct(self.layout, tuple(part.subset(keep) for part in self.parts))

    def near(self, log_weights: Array) -> Array:
        """Log overlaps add up over independent parts; half the log weights count once."""
        nothing = np.zeros_like(log_weights)
        total: Array = sum((part.near(nothing) for part in self.parts), 0.5 * log_weights)
        return total

    def expected_log_likelihood(self, statistics: ProductStatistics) -> float:
        """Σ_i Σ_k Σ_n r_nk E[log p(x_ni | θ_ki)], the sum over the parts."""
        pairs = zip(self.parts, statistics.parts, strict=True)
        return float(sum(part.expected_log_likelihood(own) for part, own in pairs))

    def loss(self, statistics: ProductStatistics, most: float = 0.0) -> float:
        """Bounds of the parts, each as if all features had been added up in it."""
        n_features, total = 1 + sum(self.widths), 0.0
        for part, own, width in zip(self.parts, statistics.parts, self.widths, strict=True):
            share = n_features / (1 + width)
            total += share * part.loss(own, most / (share * len(self.parts)))
        return total


def log_density(layout: Layout, parts: Sequence[Densities], values: Array) -> Array:
    """Σ_i log p(x_i | θ_k) (n, K)."""
    pairs = zip(parts, layout.split(values), strict=True)
    densities = (part.expected_log_density(own) for part, own in pairs)
    total: Array = sum(densities, np.zeros((len(values), parts[0].n_components), order="F"))
    return total


def statistics(
    layout: Layout, parts: Sequence[Components], values: Array, responsibilities: Array
) -> ProductStatistics:
    """Statistics of every part."""
    pairs = zip(parts, layout.split(values), strict=True)
    return ProductStatistics(
        layout, tuple(part.statistics(own, responsibilities) for part, own in pairs)
    )
