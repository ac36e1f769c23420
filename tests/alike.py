"""Whether two values are equal to the bit, through records and arrays."""

import dataclasses
import math

import numpy as np


def layout_of(array):
    """Strides of the axes along which there is more than one number."""
    return [stride for stride, n in zip(array.strides, array.shape, strict=True) if n > 1]


def alike(one, other):
    """Equal to the bit, through records, arrays (with their layout) and NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        same = one.dtype == other.dtype and one.shape == other.shape
        layout = layout_of(one) == layout_of(other)
        equal_nan = one.dtype.kind == "f"
        return same and layout and np.array_equal(one, other, equal_nan=equal_nan)
    if isinstance(one, dict):
        return list(one) == list(other) and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one)]
        return all(alike(getattr(one, name), getattr(other, name)) for name in names)
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    return one is other or one == other
