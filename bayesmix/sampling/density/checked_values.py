"""Rows of some columns of a fit, as they come in: checked by name where columns have names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.records.coding import Level, codes_of
from bayesmix.sources import is_source
from bayesmix.sources.partitions.collections import gathered
from bayesmix.validation import unmasked, written_out


def checked_values(
    name: str,
    X: Any,
    labels: Sequence[str | int],
    levels: Sequence[tuple[Level, ...] | None] = (),
) -> Array:
    """Finite values (n, C) of an array, frame or source of the columns that the labels name.

    Levels, where columns have any, become their codes.
    """
    X = gathered(X)
    unmasked(name, X)
    written_out(name, X)
    wanted = [str(label) for label in labels]
    named = any(isinstance(label, str) for label in labels)
    found = getattr(X, "columns", None)
    if found is not None and named and list(map(str, found)) != wanted:
        raise InvalidInputError(
            f"{name} must have the columns {', '.join(wanted)}, in this order, got "
            f"{', '.join(map(str, found))}"
        )
    raw = X.in_memory().values if is_source(X) else X
    raw = raw.to_numpy() if hasattr(raw, "to_numpy") else raw
    if any(levels) and not is_source(X):
        raw = _coded(raw, labels, levels)
    try:
        values = np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInputError(f"{name} must be numbers, got {X!r:.60}") from None
    if values.ndim != 2 or values.shape[1] != len(wanted) or not len(values):
        remedy = ": give one row as [[...]], one column as values[:, None]"
        raise InvalidInputError(
            f"{name} must have shape (n, {len(wanted)}), columns {', '.join(wanted)}, got shape "
            f"{values.shape}{remedy if values.ndim < 2 else ''}"
        )
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0, 0])
        raise InvalidInputError(f"{name} must be finite, but is not in row {row}: drop it")
    return values


def _coded(
    raw: Any, labels: Sequence[str | int], levels: Sequence[tuple[Level, ...] | None]
) -> Any:
    """The same with codes in the place of levels; what is no such table, as it is."""
    table = np.array(raw, dtype=object)
    if table.ndim != 2 or table.shape[1] != len(levels):
        return raw
    for column, (label, own) in enumerate(zip(labels, levels, strict=True)):
        if own is not None:
            table[:, column] = codes_of(label, table[:, column], own)
    return table
