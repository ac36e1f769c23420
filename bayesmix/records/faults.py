"""L1: what is wrong with rows: values and weights that cannot be used, and where they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.numerics.arrays import Booleans


@dataclass(frozen=True)
class Fault:
    """In how many rows something is wrong, and the first of such values; additive over chunks."""

    n_rows: int = 0
    row: int = 0
    column: int = 0
    value: float = 0.0

    def __bool__(self) -> bool:
        return self.n_rows > 0

    def __add__(self, other: Fault) -> Fault:
        return replace(self if self else other, n_rows=self.n_rows + other.n_rows)

    @classmethod
    def of(cls, values: Any, wrong: Any, first: int = 0) -> Fault:
        """Where ``wrong`` (n, D) is true of values (n, D), the first row being this number."""
        n_rows = int(wrong.any(axis=1).sum())
        if not n_rows:
            return NONE
        row, column = np.argwhere(wrong)[0]
        return cls(n_rows, first + int(row), int(column), float(values[row, column]))


NONE = Fault()


@dataclass(frozen=True)
class Faults:
    """What is wrong with some rows, by kind."""

    not_finite: Fault = NONE
    infinite: Fault = NONE
    empty: Fault = NONE  # rows without any value
    never: Booleans | None = None  # (D,) columns without any value
    too_large: Fault = NONE
    weight: Fault = NONE  # neither finite nor at least 0

    def __bool__(self) -> bool:
        return bool(self.not_finite or self.too_large or self.weight)

    def __add__(self, other: Faults) -> Faults:
        return Faults(
            self.not_finite + other.not_finite,
            self.infinite + other.infinite,
            self.empty + other.empty,
            _both(self.never, other.never),
            self.too_large + other.too_large,
            self.weight + other.weight,
        )


def _both(one: Booleans | None, other: Booleans | None) -> Booleans | None:
    """Where both are true; None says nothing."""
    if one is None or other is None:
        return other if one is None else one
    return one & other
