"""Patterns of gaps: which rows have values in the same columns (NaN is a gap)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bayesmix.numerics.arrays import Array, Indices, Integers, Stored

BITS = 8


def has_gaps(values: Stored) -> bool:
    """Whether any value is missing."""
    return bool(values.dtype.kind == "f" and np.isnan(values).any())


def patterns(values: Stored) -> Iterator[tuple[Integers, Indices]]:
    """The columns (d,) that some rows have values in, and these rows, for every pattern of gaps."""
    n_rows, n_features = values.shape
    bits = np.packbits(~np.isnan(values), axis=1)
    keys: Any
    if n_features <= BITS * BITS:
        words = np.zeros((n_rows, BITS), dtype=np.uint8)
        words[:, : bits.shape[1]] = bits
        keys = words.view(np.uint64)[:, 0]
    else:
        keys = np.unique(bits, axis=0, return_inverse=True)[1].ravel()
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    firsts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    for rows in np.split(order, firsts[1:]):
        yield np.flatnonzero(~np.isnan(values[rows[0]])), rows


def without_gaps(values: Array) -> Array:
    """Values with 0 in the place of those that are missing."""
    return np.where(np.isnan(values), 0.0, values)
