"""Patterns of missing values (NaN): observations that have values in the same columns."""

from __future__ import annotations

import numpy as np

from bayesmix.numerics.arrays import Array, Stored


def has_gaps(values: Stored) -> bool:
    """Whether any value is missing."""
    return bool(values.dtype.kind == "f" and np.isnan(values).any())


def without_gaps(values: Array) -> Array:
    """Replace missing values by 0."""
    return np.where(np.isnan(values), 0.0, values)
