"""Patterns of missing values (NaN): observations that have values in the same columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.numerics.arrays import Array, Booleans, Indices, Integers, Stored

BITS = 8


def patterns(values: Stored, among: Booleans | None = None) -> Iterator[tuple[Integers, Indices]]:
    """Yield each pattern of missing values as observed columns (d,) and indices of observations.

    Only missing values in the columns ``among`` count; other columns belong to all patterns.
    """
    present = ~np.isnan(values)
    if among is not None:
        present |= ~among
    keys = _keys(present)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    firsts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    for rows in np.split(order, firsts[1:]):
        yield np.flatnonzero(present[rows[0]]), rows


def seen(values: Array) -> Array:
    """Return 1 for observed and 0 for missing values."""
    return (~np.isnan(values)).astype(np.float64)


@dataclass(frozen=True)
class Lacking:
    """Observations (n,) with s missing values each, missing columns (P, s) and pattern indices."""

    rows: Indices
    columns: Indices
    pattern: Indices


def by_number_missing(values: Array) -> list[Lacking]:
    """Group incomplete observations by their number of missing values."""
    present = ~np.isnan(values)
    _, first, inverse = np.unique(_keys(present), return_index=True, return_inverse=True)
    absent = ~present[first]
    numbers = absent.sum(axis=1)
    groups = []
    for number in np.unique(numbers[numbers > 0]):
        members = np.flatnonzero(numbers == number)
        place = np.full(len(numbers), -1)
        place[members] = np.arange(len(members))
        pattern = place[inverse.ravel()]
        rows = np.flatnonzero(pattern >= 0)
        columns = np.nonzero(absent[members])[1].reshape(len(members), number)
        groups.append(Lacking(rows, columns, pattern[rows]))
    return groups


def _keys(present: Booleans) -> Any:
    """Return keys (n,), equal for observations with the same pattern."""
    bits = np.packbits(present, axis=1)
    n_rows, n_features = present.shape
    if n_features > BITS * BITS:
        return np.unique(bits, axis=0, return_inverse=True)[1].ravel()
    words = np.zeros((n_rows, BITS), dtype=np.uint8)
    words[:, : bits.shape[1]] = bits
    return words.view(np.uint64)[:, 0]
