"""Columns of rows that come in: numbers, by their names, and those of the fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from numbers import Real
from os import PathLike
from typing import Any

import numpy as np

from bayesmix.errors import InvalidInputError, InvalidTypeError
from bayesmix.protocols import Source
from bayesmix.sources.partitions.collections import columns_of

OF_THE_FIT = "give the columns that were given to fit, in the same order"


def adopt_columns(estimator: Any, source: Source) -> None:
    """What ``validate_data`` sets on an estimator, for rows that come as a source."""
    estimator.n_features_in_ = source.shape[1]
    if source.columns is not None:
        estimator.feature_names_in_ = np.array(source.columns, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def check_blocks(estimator: Any, X: Any) -> tuple[str, ...] | None:
    """Columns of a Dask collection at predict time, checked by its types alone."""
    columns = columns_of(X)
    check_columns(estimator, int(X.shape[1]), columns)
    return columns


def check_columns(estimator: Any, n_features: int, columns: tuple[str, ...] | None) -> None:
    """Refuse other columns than those of the fit."""
    if n_features != estimator.n_features_in_:
        raise InvalidInputError(
            f"X has {n_features} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input: {OF_THE_FIT}"
        )
    known = getattr(estimator, "feature_names_in_", None)
    if columns is not None and known is not None and tuple(known) != tuple(columns):
        raise InvalidInputError(
            f"X has the columns {', '.join(columns)}, but {', '.join(known)} were fitted: "
            f"{OF_THE_FIT}"
        )


def refuse_no_table(X: Any) -> None:
    """Say what to give instead of what has no rows and columns."""
    if isinstance(X, (str, bytes, PathLike)):
        raise InvalidInputError(
            f"X must be rows, got {str(X)!r:.60}: read a file with bayesmix.read(path)"
        )
    fields = getattr(getattr(X, "dtype", None), "names", None)
    if fields:
        raise InvalidTypeError(
            f"X must be numbers in rows and columns, got records of {', '.join(map(str, fields))}: "
            "give pandas.DataFrame(X), or numpy.lib.recfunctions.structured_to_unstructured(X)"
        )
    one = isinstance(X, (list, tuple)) and len(X) > 0 and isinstance(X[0], Mapping)
    other = isinstance(X, (Mapping, Set, Iterator)) and not hasattr(X, "shape")
    if X is None or one or other:
        got = f"a list of {type(X[0]).__name__}" if one else f"{type(X).__name__}"
        raise InvalidTypeError(
            f"X must be rows and columns of numbers, got {got}: give an array, a list of rows, or "
            "a frame (pandas.DataFrame(X) of dicts, list(X) of what runs through once)"
        )


def refuse_text(X: Any) -> None:
    """Name the columns that hold no numbers, before anything tries to convert them."""
    dtypes = getattr(X, "dtypes", None)
    if dtypes is None or not hasattr(X, "columns"):
        if getattr(getattr(X, "dtype", None), "kind", "f") in "USMm":
            raise InvalidInputError(
                f"X must be numeric, got {X.dtype}: encode or drop such columns"
            )
        return
    times = Counter(column for column in X.columns if isinstance(column, str))
    twice = [name for name, count in times.items() if count > 1]
    if twice:
        raise InvalidInputError(f"columns must have names of their own, got {twice[0]!r} twice")
    wrong = [
        f"{column!r} ({dtype})"
        for place, (column, dtype) in enumerate(zip(X.columns, dtypes, strict=True))
        if not _is_numeric(X, place, dtype)
    ]
    if wrong:
        raise InvalidInputError(
            f"X must be numeric, but these columns are not: {', '.join(wrong)}: drop or encode them"
        )


def _is_numeric(X: Any, place: int, dtype: Any) -> bool:
    """Whether a column holds real numbers, be it in a column of objects."""
    if hasattr(dtype, "is_numeric"):  # polars
        return bool(dtype.is_numeric()) or str(dtype) == "Boolean"
    if getattr(dtype, "kind", "O") != "O" or not hasattr(X, "iloc"):
        return getattr(dtype, "kind", "O") in "fiub"
    return str(dtype) == "object" and all(isinstance(value, Real) for value in X.iloc[:, place])
