"""What a family of real columns says of itself where it says nothing else.

``protocols.family`` says what each of these is.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from bayesmix.core.coding import Coding
from bayesmix.core.rows import Event, Frame
from bayesmix.core.sources import Source
from bayesmix.numerics.arrays import Integers, Stored


class FamilyDefaults:
    """Any real number will do; no linear forms or gaps; the same over any columns."""

    any_real = True
    drawn_columns = 2
    least = -np.inf
    linear = False
    far_densities = False
    rearranged = True
    heavy_tails = False
    keeps_zeros = False

    @property
    def has_posterior(self) -> bool:
        return True

    @property
    def own_directions(self) -> int | None:
        return None

    @property
    def coding(self) -> Coding | None:
        """None: values stand for themselves."""
        return None

    @property
    def takes_gaps(self) -> bool:
        return False

    @property
    def truncates(self) -> bool:
        return False

    def linear_is_faster(self, n_features: int) -> bool:
        return self.linear

    def made(self, components: Any) -> bool:
        return True

    def marginal(self, columns: Integers) -> Self:
        """Itself: it is the same over any columns."""
        return self

    def check(self, values: Stored, first: int = 0) -> None:
        """Any finite real value will do."""

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        """Nothing."""
        return frame, ()

    def max_components(self, n_distinct: int, n_features: int) -> int | None:
        """No limit."""
        return None
