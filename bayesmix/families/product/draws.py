"""Draws of the parameters of a product: those of every part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bayesmix.families.product.layout import Layout
from bayesmix.numerics.arrays import Integers
from bayesmix.protocols import DrawnComponents
from bayesmix.protocols.components import Named
from bayesmix.records import Frame

if TYPE_CHECKING:
    from bayesmix.families.product.components import Products


@dataclass(frozen=True)
class ProductDraws:
    """S draws of the parameters of every part."""

    layout: Layout
    parts: tuple[DrawnComponents, ...]

    @cached_property
    def components(self) -> Products:
        """All S K densities, those of a draw together."""
        return _products(self.layout, tuple(part.components for part in self.parts))

    def subset(self, keep: Integers) -> ProductDraws:
        """Some components of every draw."""
        return ProductDraws(self.layout, tuple(part.subset(keep) for part in self.parts))

    def at(self, draw: int) -> Products:
        """One of the draws as K densities at a point."""
        return _products(self.layout, tuple(part.at(draw) for part in self.parts))

    def parameters(self, frame: Frame) -> Named:
        """Parameters (S, ...) in data units, as "species: probabilities"."""
        named = {}
        frames = self.layout.frames(frame)
        for label, part, own in zip(self.layout.labels, self.parts, frames, strict=True):
            for name, (axes, values) in part.parameters(own).items():
                named[f"{label}: {name}"] = tuple(named_axis(label, axis) for axis in axes), values
        return named


def named_axis(label: str, axis: str) -> str:
    """What an axis stands for: components are those of all parts."""
    return axis if axis == "component" else f"{label}: {axis}"


def _products(layout: Layout, parts: tuple[object, ...]) -> Products:
    from bayesmix.families.product.components import Products

    return Products(layout, parts)
