"""Array types and the unit roundoff."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Booleans: TypeAlias = npt.NDArray[np.bool_]
Indices: TypeAlias = npt.NDArray[np.integer[Any]]  # of any width
Stored: TypeAlias = npt.NDArray[Any]  # data of any real type

UNIT_ROUNDOFF = float(np.finfo(np.float64).eps) / 2.0

Value = TypeVar("Value")


def diagonal_matrices(entries: Array) -> Array:
    """Return matrices (K, D, D) with entries (K, D) on their diagonals."""
    matrices: Array = entries[:, :, None] * np.eye(entries.shape[1])
    return matrices


def align(counts: Array, blocks: Array) -> Array:
    """Return ``counts`` with trailing axes of length 1, to multiply blocks."""
    return counts.reshape(counts.shape + (1,) * (blocks.ndim - counts.ndim))


def frozen(value: Value) -> Value:
    """Make all arrays in ``value``, at any depth, read-only."""
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    elif isinstance(value, (tuple, list)):
        for item in value:
            frozen(item)
    elif is_dataclass(value):
        for item in vars(value).values():
            frozen(item)
    return value
