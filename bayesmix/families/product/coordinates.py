"""q(θ) of a product in coordinates of unit variance: those of its parts, one after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import block_diag

from bayesmix.families.product.draws import ProductDraws
from bayesmix.families.product.layout import Layout
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.once import once
from bayesmix.protocols import Coordinates
from bayesmix.records import Frame, Spread


@dataclass(frozen=True)
class ProductCoordinates:
    """Coordinates of every part; components of parts share none."""

    layout: Layout
    n_components: int
    parts: tuple[Coordinates, ...]

    @property
    def size(self) -> int:
        """P."""
        return sum(part.size for part in self.parts)

    @once
    def _firsts(self) -> list[int]:
        """Where the coordinates of every part begin."""
        return [0, *np.cumsum([part.size for part in self.parts]).tolist()]

    def places(self, k: int) -> Integers:
        """What the log density of component k depends on."""
        pairs = zip(self._firsts, self.parts, strict=False)
        return np.concatenate([first + part.places(k) for first, part in pairs])

    def slopes(self, values: Array, k: int) -> Array:
        """d E[log p(x | θ_k)] / d E[z] (n, p) over ``places(k)``."""
        pairs = zip(self.parts, self.layout.split(values), strict=True)
        return np.hstack([part.slopes(own, k) for part, own in pairs])

    def coupling(self) -> Array:
        """Second derivatives of what couples components beside the rows, within every part."""
        blocks = [part.coupling() for part in self.parts]
        sizes = [part.size for part in self.parts]
        coupled: Array = block_diag(
            *(np.zeros((n, n)) + block for n, block in zip(sizes, blocks, strict=True))
        )
        return coupled

    def parameters(self, frame: Frame) -> dict[str, Spread]:
        """Parameters in data units, as "species: probabilities"."""
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
        """Coordinates that ``standardised`` has."""
        pairs = zip(self._firsts, self.parts, strict=False)
        return np.concatenate([first + part.moved for first, part in pairs])

    def standardised(self, draws: ProductDraws) -> Array:
        """Draws of q in unconstrained coordinates (S, ...)."""
        pairs = zip(self.parts, draws.parts, strict=True)
        return np.hstack([part.standardised(own) for part, own in pairs])

    def drawn(self, standardised: Array) -> ProductDraws:
        """The draws that have these unconstrained coordinates."""
        made: list[Any] = []
        first = 0
        for part in self.parts:
            n_moved = len(part.moved)
            made.append(part.drawn(standardised[:, first : first + n_moved]))
            first += n_moved
        return ProductDraws(self.layout, tuple(made))
