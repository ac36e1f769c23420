"""Default properties of families of real-valued columns; see ``core.families``."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from bayesmix.core.coding import Coding
from bayesmix.core.rows import Event, Frame
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Integers, Stored


class FamilyDefaults:
    """Defaults: any real values, no linear forms or missing values, the same for any columns."""

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
        return self

    def check(self, values: Stored, first: int = 0) -> None:
        """Accept any finite real value."""

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        """Set no directions aside."""
        return frame, ()

    def max_components(self, n_distinct: int, n_features: int) -> int | None:
        """Return None: no limit."""
        return None


def refuse_constant(source: Source, data: str = "X", mixture: str = "") -> None:
    """Raise an error for constant columns, whose density is unbounded."""
    constant = np.flatnonzero(source.summary.constant)
    if len(constant):
        column = str(constant[0]) if source.columns is None else repr(source.columns[constant[0]])
        raise InvalidInputError(
            f"{data} must have no constant columns{mixture}, but all values of column {column} are "
            "equal: leave out that column"
        )
