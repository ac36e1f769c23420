"""Tables of numbers from lists, frames and arrays of other types; all else is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set, Sized
from numbers import Real
from os import PathLike
from typing import Any

import numpy as np

from bayesmix.errors import InvalidInputError, InvalidTypeError
from bayesmix.numerics.arrays import is_elsewhere
from bayesmix.sources.containers import tabular
from bayesmix.sources.memory import is_source, with_sparse_rows


def table_of(X: Any) -> Any:
    """Return X if it has rows; otherwise a NumPy array of it."""
    refuse_no_table(X)
    X = tabular(with_sparse_rows(X))
    held = is_source(X) or is_elsewhere(X) or isinstance(X, Sized)
    return X if held else np.asarray(X)


def numeric_table(X: Any) -> Any:
    """Return a table of numbers, lists as an array; raise an error for all else."""
    refuse_no_table(X)
    if isinstance(X, (list, tuple)):
        X = np.asarray(X)
    refuse_text(X)
    return X


def refuse_no_table(X: Any) -> None:
    """Raise an error for input without rows and columns, with what to give instead."""
    if isinstance(X, (str, bytes, PathLike)):
        raise InvalidInputError(
            f"X must be an array or a data frame, got {str(X)!r:.60}: read a file with "
            "bayesmix.read_table(path)"
        )
    fields = getattr(getattr(X, "dtype", None), "names", None)
    if fields:
        raise InvalidTypeError(
            f"X must be a table of numbers, got records of {', '.join(map(str, fields))}: "
            "give pandas.DataFrame(X), or numpy.lib.recfunctions.structured_to_unstructured(X)"
        )
    records = isinstance(X, (list, tuple)) and len(X) > 0 and isinstance(X[0], Mapping)
    no_rows = isinstance(X, (Mapping, Set, Iterator)) and not hasattr(X, "shape")
    if X is None or records or no_rows:
        got = f"a list of {type(X[0]).__name__}" if records else f"{type(X).__name__}"
        raise InvalidTypeError(
            f"X must be a table of numbers, got {got}: give an array, a list of rows, or "
            "a frame (pandas.DataFrame(X) of dicts, list(X) of an iterator)"
        )


def refuse_text(X: Any) -> None:
    """Raise an error that names non-numeric columns before a conversion is tried."""
    dtypes = getattr(X, "dtypes", None)
    if dtypes is None or not hasattr(X, "columns"):
        if getattr(getattr(X, "dtype", None), "kind", "f") in "USMm":
            raise InvalidInputError(
                f"X must be numeric, got {X.dtype}: encode or drop such columns"
            )
        return
    from bayesmix.data.table_columns import check_once

    names = [column for column in X.columns if isinstance(column, str)]
    check_once("X", names, names)
    wrong = [
        f"{column!r} ({dtype})"
        for place, (column, dtype) in enumerate(zip(X.columns, dtypes, strict=True))
        if not _is_numeric(X, place, dtype)
    ]
    if wrong:
        raise InvalidInputError(
            f"X must be numeric, but these columns are not: {', '.join(wrong)}: drop or encode "
            "them, use bayesmix.select(X), which takes columns of all kinds, or "
            "bayesmix.Measured(X) if cells such as '<0.5' are limits"
        )


def _is_numeric(X: Any, place: int, dtype: Any) -> bool:
    """Whether a column contains real numbers, also as objects."""
    if hasattr(dtype, "is_numeric"):  # polars
        return bool(dtype.is_numeric()) or str(dtype) == "Boolean"
    if getattr(dtype, "kind", "O") != "O" or not hasattr(X, "iloc"):
        return getattr(dtype, "kind", "O") in "fiub"
    return str(dtype) == "object" and all(isinstance(value, Real) for value in X.iloc[:, place])
