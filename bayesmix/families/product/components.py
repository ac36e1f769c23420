"""Components of a product of families, at a point, posterior or predictive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Self, cast

import numpy as np

from bayesmix.core.components import DensitiesAndStatistics, Named
from bayesmix.core.parameters import Coordinate, Reported
from bayesmix.core.rows import Frame
from bayesmix.families.product.layout import PerPart, ProductStatistics
from bayesmix.families.product.stacks import Stacks
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.distributions import ColumnDistribution
from bayesmix.numerics.memo import once


class SumOverParts(PerPart):
    """K log densities that are sums over parts."""

    @property
    def n_components(self) -> int:
        return int(self.parts[0].n_components)

    def subset(self, keep: Integers) -> Self:
        return self.over("subset", keep=keep)

    @once
    def stacks(self) -> Stacks:
        """The parts, those of one kind together."""
        return Stacks.of(self.parts, self.layout.places)

    def expected_log_density(self, values: Array) -> Array:
        return self.stacks.expected_log_density(values)

    def statistics(self, values: Array, responsibilities: Array) -> ProductStatistics:
        return ProductStatistics(self.layout, self.stacks.statistics(values, responsibilities))


class LinearProduct(SumOverParts):
    """Linear forms of a product."""

    dense = False

    @property
    def kind(self) -> object:
        return "product", *(part.kind for part in self.parts)

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
        for own, width in zip(
            self.each("features", self.layout.split(values)), self.widths, strict=True
        ):
            out[place : place + width] = own[1:]
            place += width
        return out

    @once
    def coefficients(self) -> Array:
        """Coefficients Θ (K, F), with the constants of the parts added."""
        constants = sum(part.coefficients[:, :1] for part in self.parts)
        return np.hstack([constants, *(part.coefficients[:, 1:] for part in self.parts)])

    def from_sums(self, sums: Array) -> ProductStatistics:
        split = np.split(sums[:, 1:], np.cumsum(self.widths)[:-1], axis=1)
        own = [np.hstack([sums[:, :1], features]) for features in split]
        return ProductStatistics(self.layout, self.each("from_sums", own))

    def seen(self, values: Array) -> DensitiesAndStatistics:
        total, statistics = self.stacks.seen(values)
        return total, lambda shares: ProductStatistics(self.layout, statistics(shares))

    def dense_filled(
        self, values: Array, labels: Integers, generator: np.random.Generator
    ) -> Array:
        same = {"labels": labels, "generator": generator}
        return self.layout.together(self.each("dense_filled", self.layout.split(values), **same))

    def expected_log_likelihood(self, statistics: ProductStatistics) -> float:
        return float(sum(self.each("expected_log_likelihood", statistics.parts)))

    def loss(self, statistics: ProductStatistics, most: float = 0.0) -> float:
        shares = (1.0 + sum(self.widths)) / (1.0 + np.array(self.widths))
        losses = self.each("loss", statistics.parts, most / (shares * len(self.parts)))
        return float(shares @ losses)


def _moved_part(place: int, moved: Any, components: Products, steps: Array) -> Products:
    parts = list(components.parts)
    parts[place] = moved(parts[place], steps)
    return replace(components, parts=tuple(parts))


class Products(SumOverParts):
    """K densities Π_i p(x_i | θ_ki), with the capabilities that the parts share."""

    @once
    def linear(self) -> LinearProduct:
        return LinearProduct(self.layout, tuple(part.linear for part in self.parts))

    def released(self) -> Products:
        return self.over("released")

    def plug_in(self) -> Products:
        return self.over("plug_in")

    def predictive(self) -> Products:
        return self.over("predictive")

    def unframed(self, frame: Frame) -> Products:
        parts = self.each("unframed", self.layout.frames(frame))
        return Products(self.layout.unframed(frame), parts)

    def coordinates(self, family: Any) -> list[Coordinate[Any]]:
        """Return the coordinates of all parts."""
        return [
            replace(own, moved=partial(_moved_part, place, own.moved), block=(place, own.block))
            for place, (part, of_part) in enumerate(zip(self.parts, family.families, strict=True))
            for own in part.coordinates(of_part)
        ]

    def reported(self, columns: tuple[int, ...] | None = None) -> list[Reported]:
        parts = zip(self.parts, self.layout.columns, strict=True)
        return [own for part, places in parts for own in part.reported(places)]

    # Column summaries, marginals and conditionals.

    @property
    def distribution(self) -> ColumnDistribution:
        (part,) = self.parts
        return cast("ColumnDistribution", part.distribution)

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
        numbers, places = zip(*self.layout.seen(columns), strict=True)
        layout = self.layout.some(range(len(self.parts)), places)
        return Products(layout, self.each("seen_in", numbers))

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        same = {"labels": labels, "generator": generator}
        return self.layout.together(self.each("filled", self.layout.split(values), **same))

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
        return self.layout.together(self.each("draw", counts=counts, generator=generator))

    # Distant observations, for continuous parts only.

    @property
    def precision_root(self) -> Array:
        """Precision roots of the parts with far densities, as a vector."""
        pairs = zip(self.parts, self.layout.far, strict=True)
        roots = [part.precision_root.ravel() for part, far in pairs if far]
        return np.concatenate([np.ones(1), *roots])

    # Posterior.

    def draws(self, n_draws: int, generator: np.random.Generator) -> ProductDraws:
        parts = self.each("draws", n_draws=n_draws, generator=generator)
        return ProductDraws(self.layout, parts)

    def log_factors(self, draws: ProductDraws) -> tuple[Array, Array]:
        shared, pairs = zip(*self.each("log_factors", draws.parts), strict=True)
        return sum(shared), sum(pairs)


class ProductDraws(PerPart):
    """S draws of the parameters of each part."""

    @cached_property
    def components(self) -> Products:
        return Products(self.layout, tuple(part.components for part in self.parts))

    def subset(self, keep: Integers) -> ProductDraws:
        return self.over("subset", keep=keep)

    def at(self, draw: int) -> Products:
        return Products(self.layout, self.each("at", draw=draw))

    def parameters(self, frame: Frame) -> Named:
        return {
            f"{label}: {name}": (tuple(named_axis(label, axis) for axis in axes), values)
            for label, name, (axes, values) in self.by_label(
                "parameters", self.layout.frames(frame)
            )
        }


def named_axis(label: str, axis: str) -> str:
    """Prefix the name of an axis by the label of its part, except for components."""
    return axis if axis == "component" else f"{label}: {axis}"
