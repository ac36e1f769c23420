"""Components of a product: at a point, under q, or integrated out, part by part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from bayesmix.families.product import linear as sums_of_parts
from bayesmix.families.product.coordinates import ProductCoordinates
from bayesmix.families.product.draws import ProductDraws
from bayesmix.families.product.layout import Layout
from bayesmix.families.product.linear import LinearProduct
from bayesmix.families.product.statistics import ProductStatistics
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.once import once
from bayesmix.records import Frame

# Components of a part: at a point, under q or integrated out, as those of the product are.
OfPart: TypeAlias = Any


@dataclass(frozen=True)
class Products:
    """K densities Π_i p(x_i | θ_ki): what the parts can, the product can."""

    layout: Layout
    parts: tuple[OfPart, ...]

    @property
    def n_components(self) -> int:
        n_components: int = self.parts[0].n_components
        return n_components

    @once
    def linear(self) -> LinearProduct:
        """The linear form of every part, side by side."""
        return LinearProduct(self.layout, tuple(part.linear for part in self.parts))

    def expected_log_density(self, values: Array) -> Array:
        """Σ_i E[log p(x_i | θ_ki)] (n, K)."""
        return sums_of_parts.log_density(self.layout, self.parts, values)

    def statistics(self, values: Array, responsibilities: Array) -> ProductStatistics:
        return sums_of_parts.statistics(self.layout, self.parts, values, responsibilities)

    def subset(self, keep: Integers) -> Products:
        return self._each(lambda part: part.subset(keep))

    def released(self) -> Products:
        return self._each(lambda part: part.released())

    def plug_in(self) -> Products:
        return self._each(lambda part: part.plug_in())

    def predictive(self) -> Products:
        return self._each(lambda part: part.predictive())

    def unframed(self, frame: Frame) -> Products:
        frames = self.layout.frames(frame)
        parts = tuple(part.unframed(own) for part, own in zip(self.parts, frames, strict=True))
        return Products(self.layout.unframed(frame), parts)

    def _each(self, change: Callable[[Any], Any]) -> Products:
        return replace(self, parts=tuple(map(change, self.parts)))

    # What it says of columns

    @property
    def means(self) -> Array:
        """E[x | k] (K, D)."""
        return self.layout.together([part.means for part in self.parts])

    @property
    def deviations(self) -> Array:
        """Standard deviation of every column (K, D)."""
        return self.layout.together([part.deviations for part in self.parts])

    @property
    def covariances(self) -> Array:
        """Covariance matrices (K, D, D): parts are independent, given the component."""
        width = self.layout.width
        out = np.zeros((self.n_components, width, width))
        for own, part in zip(self.layout.places, self.parts, strict=True):
            out[:, own[:, None], own] = part.covariances
        return out

    def marginal(self, columns: Integers) -> Products:
        """The densities of some columns: of the parts that have any of them."""
        return self._restricted(
            columns, lambda part, numbers, _: self.parts[part].marginal(numbers)
        )

    def conditional(self, columns: Integers, given: Integers, values: Array) -> Products:
        """Those of ``columns``, given others: only what is known of its own part changes one."""
        known = self.layout.picked(given)

        def of_part(part: int, numbers: Integers, _: Integers) -> Any:
            own, places = known[part]
            if not len(own):
                return self.parts[part].marginal(numbers)
            return self.parts[part].conditional(numbers, own, values[places])

        return self._restricted(columns, of_part)

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        """E[x_columns | x_given, k] (n, K, C) for rows of the given columns (n, G)."""
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
        """counts_k rows of every component, in component order."""
        return self.layout.together([part.draw(counts, generator) for part in self.parts])

    # Rows far away: only continuous parts can be

    @property
    def precision_root(self) -> Array:
        """Those of the parts that can be far away, as one vector."""
        pairs = zip(self.parts, self.layout.far, strict=True)
        roots = [part.precision_root.ravel() for part, far in pairs if far]
        return np.concatenate([np.ones(1), *roots])

    def beyond(self, units: Array, exponent: int) -> tuple[Array, Array | float]:
        """Log density (n, K) of framed rows ``units`` times 2^exponent, and what to add (n,)."""
        relative = np.zeros((len(units), self.n_components))
        lost: Array | float = 0.0
        for part, own, far in zip(
            self.parts, self.layout.split(units), self.layout.far, strict=True
        ):
            if far:
                more, beside = part.beyond(own, exponent)
                lost = lost + beside
            else:
                more = part.expected_log_density(np.ldexp(own, exponent))
            together = relative + more
            # Two parts that are each widest elsewhere leave no component: then the first decides.
            settled = np.isneginf(together).all(axis=1)
            relative = np.where(settled[:, None], relative, together)
        return relative, lost

    # Under q

    def draws(self, n_draws: int, generator: np.random.Generator) -> ProductDraws:
        """Independent draws of θ."""
        return ProductDraws(
            self.layout, tuple(part.draws(n_draws, generator) for part in self.parts)
        )

    def log_factors(self, draws: ProductDraws) -> tuple[Array, Array]:
        """Shared (S,), and entry (j, k) of (S, J, K): log q_j of the drawn θ_k."""
        factors = [part.log_factors(own) for part, own in zip(self.parts, draws.parts, strict=True)]
        return sum(shared for shared, _ in factors), sum(pairs for _, pairs in factors)

    def coordinates(self) -> ProductCoordinates:
        """Those of the parts, one after the other."""
        return ProductCoordinates(
            self.layout, self.n_components, tuple(part.coordinates() for part in self.parts)
        )
