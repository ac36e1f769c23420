"""Components of a product of families, at a point, posterior or predictive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self, TypeAlias

import numpy as np
from scipy.linalg import block_diag

from bayesmix.core.components import Coordinates, DrawnComponents, Named, Seen
from bayesmix.core.rows import Frame, Spread
from bayesmix.families.product.layout import Layout, ProductStatistics
from bayesmix.numerics import arrays as features
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.memo import once

# Components of a part, of the same type as those of the product.
OfPart: TypeAlias = Any


@dataclass(frozen=True)
class SumOverParts:
    """K log densities that are sums over parts."""

    layout: Layout
    parts: tuple[OfPart, ...]

    @property
    def n_components(self) -> int:
        return int(self.parts[0].n_components)

    def with_columns(self, values: Array) -> Iterator[tuple[OfPart, Array]]:
        """Return each part with its columns of framed data."""
        return zip(self.parts, self.layout.split(values), strict=True)

    def each(self, change: Callable[[OfPart], Any]) -> Self:
        """Return the same sum over changed parts."""
        return replace(self, parts=tuple(map(change, self.parts)))

    def subset(self, keep: Integers) -> Self:
        return self.each(lambda part: part.subset(keep))

    def expected_log_density(self, values: Array) -> Array:
        densities = (part.expected_log_density(own) for part, own in self.with_columns(values))
        return sum(densities, np.zeros((len(values), self.n_components), order="F"))

    def statistics(self, values: Array, responsibilities: Array) -> ProductStatistics:
        pairs = self.with_columns(values)
        parts = tuple(part.statistics(own, responsibilities) for part, own in pairs)
        return ProductStatistics(self.layout, parts)


class LinearProduct(SumOverParts):
    """Linear forms of a product."""

    kind, dense = features.PRODUCT, False

    @property
    def linear(self) -> LinearProduct:
        return self

    @once
    def widths(self) -> tuple[int, ...]:
        """Number of features of each part besides the constant."""
        return tuple(part.coefficients.shape[1] - 1 for part in self.parts)

    def features(self, values: Array, out: Array | None = None) -> Array:
        if out is None:
            out = np.empty((1 + sum(self.widths), len(values)))
        out[0], place = 1.0, 1
        for (part, own), width in zip(self.with_columns(values), self.widths, strict=True):
            out[place : place + width] = part.features(own)[1:]
            place += width
        return out

    @once
    def coefficients(self) -> Array:
        """Coefficients Θ (K, F), with the constants of the parts added."""
        constants = sum(part.coefficients[:, :1] for part in self.parts)
        return np.hstack([constants, *(part.coefficients[:, 1:] for part in self.parts)])

    def from_sums(self, sums: Array) -> ProductStatistics:
        parts, place = [], 1
        for part, width in zip(self.parts, self.widths, strict=True):
            part_sums = np.hstack([sums[:, :1], sums[:, place : place + width]])
            parts.append(part.from_sums(part_sums))
            place += width
        return ProductStatistics(self.layout, tuple(parts))

    def seen(self, values: Array) -> Seen:
        each = [part.seen(own) for part, own in self.with_columns(values)]
        total: Array = sum(
            (density for density, _ in each), np.zeros((len(values), self.n_components), order="F")
        )
        return total, lambda shares: ProductStatistics(
            self.layout, tuple(statistics(shares) for _, statistics in each)
        )

    def dense_filled(
        self, values: Array, labels: Integers, generator: np.random.Generator
    ) -> Array:
        pairs = self.with_columns(values)
        return self.layout.together(
            [part.dense_filled(own, labels, generator) for part, own in pairs]
        )

    def near(self, log_weights: Array) -> Array:
        nothing = np.zeros_like(log_weights)
        return sum((part.near(nothing) for part in self.parts), 0.5 * log_weights)

    def expected_log_likelihood(self, statistics: ProductStatistics) -> float:
        pairs = zip(self.parts, statistics.parts, strict=True)
        return float(
            sum(part.expected_log_likelihood(part_statistics) for part, part_statistics in pairs)
        )

    def loss(self, statistics: ProductStatistics, most: float = 0.0) -> float:
        """Sum the bounds of the parts, scaled to the number of features."""
        n_features, total = 1 + sum(self.widths), 0.0
        for part, part_statistics, width in zip(
            self.parts, statistics.parts, self.widths, strict=True
        ):
            share = n_features / (1 + width)
            total += share * part.loss(part_statistics, most / (share * len(self.parts)))
        return total


@dataclass(frozen=True)
class Products(SumOverParts):
    """K densities Π_i p(x_i | θ_ki), with the capabilities that the parts share."""

    @once
    def linear(self) -> LinearProduct:
        return LinearProduct(self.layout, tuple(part.linear for part in self.parts))

    def released(self) -> Products:
        return self.each(lambda part: part.released())

    def plug_in(self) -> Products:
        return self.each(lambda part: part.plug_in())

    def predictive(self) -> Products:
        return self.each(lambda part: part.predictive())

    def unframed(self, frame: Frame) -> Products:
        frames = self.layout.frames(frame)
        parts = tuple(
            part.unframed(part_frame) for part, part_frame in zip(self.parts, frames, strict=True)
        )
        return Products(self.layout.unframed(frame), parts)

    @property
    def expected_totals(self) -> Array:
        return np.hstack([part.expected_totals for part in self.parts])

    # Column summaries, marginals and conditionals.

    @property
    def means(self) -> Array:
        return self.layout.together([part.means for part in self.parts])

    @property
    def deviations(self) -> Array:
        return self.layout.together([part.deviations for part in self.parts])

    @property
    def covariances(self) -> Array:
        """Block-diagonal covariance matrices (K, D, D), as parts are independent."""
        width = self.layout.width
        out = np.zeros((self.n_components, width, width))
        for columns, part in zip(self.layout.places, self.parts, strict=True):
            out[:, columns[:, None], columns] = part.covariances
        return out

    def marginal(self, columns: Integers) -> Products:
        return self._restricted(
            columns, lambda part, numbers, _: self.parts[part].marginal(numbers)
        )

    @property
    def patterned(self) -> Booleans:
        return self.layout.patterned(self.parts)

    def seen_in(self, columns: Integers) -> Products:
        """Return the densities of observed columns, where parts may have none."""
        picked = self.layout.seen(columns)
        pairs = zip(self.parts, picked, strict=True)
        parts = tuple(part.seen_in(numbers) for part, (numbers, _) in pairs)
        return Products(self.layout.at([places for _, places in picked]), parts)

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        pairs = self.with_columns(values)
        return self.layout.together([part.filled(own, labels, generator) for part, own in pairs])

    def conditional(self, columns: Integers, given: Integers, values: Array) -> Products:
        known = self.layout.picked(given)

        def of_part(part: int, numbers: Integers, _: Integers) -> Any:
            own, places = known[part]
            if not len(own):
                return self.parts[part].marginal(numbers)
            return self.parts[part].conditional(numbers, own, values[places])

        return self._restricted(columns, of_part)

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        out = np.empty((len(values), self.n_components, len(columns)))
        wanted, known = self.layout.picked(columns), self.layout.picked(given)
        for part, (numbers, places), (own, there) in zip(self.parts, wanted, known, strict=True):
            if not len(numbers):
                continue
            out[:, :, places] = (
                part.conditional_means(numbers, own, values[:, there])
                if len(own)
                else part.means[:, numbers]
            )
        return out

    def _restricted(
        self, columns: Integers, of_part: Callable[[int, Integers, Integers], Any]
    ) -> Products:
        picked = self.layout.picked(columns)
        kept = [part for part, (numbers, _) in enumerate(picked) if len(numbers)]
        layout = self.layout.some(kept, [picked[part][1] for part in kept])
        return Products(layout, tuple(of_part(part, *picked[part]) for part in kept))

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        return self.layout.together([part.draw(counts, generator) for part in self.parts])

    # Distant observations, for continuous parts only.

    @property
    def precision_root(self) -> Array:
        """Precision roots of the parts with far densities, as a vector."""
        pairs = zip(self.parts, self.layout.far, strict=True)
        roots = [part.precision_root.ravel() for part, far in pairs if far]
        return np.concatenate([np.ones(1), *roots])

    def beyond(self, units: Array, exponent: int) -> tuple[Array, Array | float]:
        relative = np.zeros((len(units), self.n_components))
        lost: Array | float = 0.0
        for (part, own), far in zip(self.with_columns(units), self.layout.far, strict=True):
            if far:
                more, beside = part.beyond(own, exponent)
                lost = lost + beside
            else:
                more = part.expected_log_density(np.ldexp(own, exponent))
            together = relative + more
            # Two parts may be widest in different components, which leaves none: the first decides.
            settled = np.isneginf(together).all(axis=1)
            relative = np.where(settled[:, None], relative, together)
        return relative, lost

    # Posterior.

    def draws(self, n_draws: int, generator: np.random.Generator) -> ProductDraws:
        return ProductDraws(
            self.layout, tuple(part.draws(n_draws, generator) for part in self.parts)
        )

    def log_factors(self, draws: ProductDraws) -> tuple[Array, Array]:
        factors = [
            part.log_factors(part_draws)
            for part, part_draws in zip(self.parts, draws.parts, strict=True)
        ]
        return sum(shared for shared, _ in factors), sum(pairs for _, pairs in factors)

    def coordinates(self) -> ProductCoordinates:
        return ProductCoordinates(
            self.layout, self.n_components, tuple(part.coordinates() for part in self.parts)
        )


@dataclass(frozen=True)
class ProductDraws:
    """S draws of the parameters of each part."""

    layout: Layout
    parts: tuple[DrawnComponents, ...]

    @cached_property
    def components(self) -> Products:
        return Products(self.layout, tuple(part.components for part in self.parts))

    def subset(self, keep: Integers) -> ProductDraws:
        return ProductDraws(self.layout, tuple(part.subset(keep) for part in self.parts))

    def at(self, draw: int) -> Products:
        return Products(self.layout, tuple(part.at(draw) for part in self.parts))

    def parameters(self, frame: Frame) -> Named:
        named = {}
        frames = self.layout.frames(frame)
        for label, part, own in zip(self.layout.labels, self.parts, frames, strict=True):
            for name, (axes, values) in part.parameters(own).items():
                named[f"{label}: {name}"] = tuple(named_axis(label, axis) for axis in axes), values
        return named


def named_axis(label: str, axis: str) -> str:
    """Prefix the name of an axis by the label of its part, except for components."""
    return axis if axis == "component" else f"{label}: {axis}"


@dataclass(frozen=True)
class ProductCoordinates:
    """Coordinates of the parts, concatenated."""

    layout: Layout
    n_components: int
    parts: tuple[Coordinates, ...]

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    @once
    def _firsts(self) -> list[int]:
        return [0, *np.cumsum([part.size for part in self.parts]).tolist()]

    def places(self, k: int) -> Integers:
        pairs = zip(self._firsts, self.parts, strict=False)
        return np.concatenate([first + part.places(k) for first, part in pairs])

    def slopes(self, values: Array, k: int) -> Array:
        pairs = zip(self.parts, self.layout.split(values), strict=True)
        return np.hstack([part.slopes(part_values, k) for part, part_values in pairs])

    def coupling(self) -> Array:
        blocks = [part.coupling() for part in self.parts]
        sizes = [part.size for part in self.parts]
        return block_diag(
            *(np.zeros((n, n)) + block for n, block in zip(sizes, blocks, strict=True))
        )

    def parameters(self, frame: Frame) -> dict[str, Spread]:
        named: dict[str, Spread] = {}
        frames = self.layout.frames(frame)
        for first, label, part, own in zip(
            self._firsts, self.layout.labels, self.parts, frames, strict=False
        ):
            for name, spread in part.parameters(own).items():
                across = np.zeros((len(spread.across), self.size))
                across[:, first : first + part.size] = spread.across
                named[f"{label}: {name}"] = replace(spread, across=across)
        return named

    @once
    def moved(self) -> Integers:
        pairs = zip(self._firsts, self.parts, strict=False)
        return np.concatenate([first + part.moved for first, part in pairs])

    def standardised(self, draws: ProductDraws) -> Array:
        pairs = zip(self.parts, draws.parts, strict=True)
        return np.hstack([part.standardised(part_draws) for part, part_draws in pairs])

    def drawn(self, standardised: Array) -> ProductDraws:
        draws: list[Any] = []
        first = 0
        for part in self.parts:
            n_moved = len(part.moved)
            draws.append(part.drawn(standardised[:, first : first + n_moved]))
            first += n_moved
        return ProductDraws(self.layout, tuple(draws))
