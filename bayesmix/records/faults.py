"""L1: what is wrong with rows: values and weights that cannot be used, and where they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from bayesmix.numerics.arrays import Booleans
from bayesmix.records.rows import Rows

# Squares of larger values, and sums of them, are no doubles.
LARGEST_VALUE = 1e150
ROWS_AT_ONCE = 2**18


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


def faults_in(rows: Rows) -> Faults:
    """What is wrong with the rows of a chunk, read in pieces."""
    pieces = rows.blocks(ROWS_AT_ONCE)
    return reduce(add, [_of_values(piece) + _of_weights(piece) for piece in pieces], Faults())


def _of_values(rows: Rows) -> Faults:
    values = np.asarray(rows.values)
    if not values.size:
        return Faults()
    if max(float(values.max()), -float(values.min())) <= LARGEST_VALUE:
        return Faults(never=np.zeros(values.shape[1], dtype=np.bool_))
    values = values.astype(np.float64, copy=False)
    finite, missing = np.isfinite(values), np.isnan(values)
    nothing = np.broadcast_to(missing.all(axis=1, keepdims=True), values.shape)
    return Faults(
        not_finite=Fault.of(values, ~finite, rows.first),
        infinite=Fault.of(values, np.isinf(values), rows.first),
        empty=Fault.of(values, nothing, rows.first),
        never=missing.all(axis=0),
        too_large=Fault.of(values, finite & (np.abs(values) > LARGEST_VALUE), rows.first),
    )


def _of_weights(rows: Rows) -> Faults:
    if rows.weights is None:
        return Faults()
    weights = np.asarray(rows.weights)[:, None]
    return Faults(weight=Fault.of(weights, ~(np.isfinite(weights) & (weights >= 0.0)), rows.first))
