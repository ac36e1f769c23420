"""Steps and sums as bytes: what follows from the rest, or is there twice, does not travel.

Between a client and its workers alone, which run what they are sent in any case; never in a file.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from bayesmix.numerics.arrays import Array

# Matrices of fewer rows are sent as they are.
SMALLEST_MATRIX = 4


def packed(value: Any) -> bytes:
    """Bytes that ``unpacked`` reads: fields of records, and of matrices the half that tells.

    What a record has computed once (its caches) it can compute again, to the same bits.
    """
    stream = io.BytesIO()
    _Packer(stream, protocol=5).dump(value)
    return stream.getvalue()


def unpacked(content: bytes) -> Any:
    """The value again."""
    return pickle.loads(content)


class _Packer(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        kind: Any = type(value)
        if kind is np.ndarray:
            return _of_array(value)
        if is_dataclass(kind) and "__getstate__" not in vars(kind):
            return _record, (kind, {one.name: getattr(value, one.name) for one in fields(value)})
        return NotImplemented


def _record(kind: type, values: dict[str, Any]) -> Any:
    record: Any = object.__new__(kind)
    record.__dict__.update(values)
    return record


def _of_array(array: Array) -> Any:
    """Stacked matrices by a triangle, where the other is its mirror or zero."""
    if array.ndim < 2 or array.shape[-1] != array.shape[-2] or array.dtype != np.float64:
        return NotImplemented
    size = array.shape[-1]
    if size < SMALLEST_MATRIX:
        return NotImplemented
    low, high = np.tril_indices(size, -1)
    lower, upper = array[..., low, high], array[..., high, low]
    diagonal = np.ascontiguousarray(np.diagonal(array, axis1=-2, axis2=-1))
    if np.array_equal(lower, upper):
        return _matrices, (size, diagonal, lower, None)
    for half, other, transposed in ((lower, upper, False), (upper, lower, True)):
        if not other.any():
            return _matrices, (size, diagonal, half, transposed)
    return NotImplemented


def _matrices(size: int, diagonal: Array, half: Array, transposed: bool | None) -> Array:
    """Symmetric matrices (``transposed`` None), or triangular ones, the lower or the upper."""
    low, high = np.tril_indices(size, -1)
    array = np.zeros((*diagonal.shape[:-1], size, size))
    array[..., np.arange(size), np.arange(size)] = diagonal
    if transposed is None or not transposed:
        array[..., low, high] = half
    if transposed is None or transposed:
        array[..., high, low] = half
    return array
