"""Columns of the data of a fit: checks, and whether the family codes levels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Set
from functools import partial
from numbers import Real
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError, InvalidTypeError
from bayesmix.families.gaussian.family import Gaussian

if TYPE_CHECKING:
    from bayesmix.core.sources import Source
    from bayesmix.families.coding import Coding


def adopt_columns(estimator: Any, source: Source) -> None:
    """Set on an estimator what ``validate_data`` sets, for data from a source."""
    estimator.n_features_in_ = source.shape[1]
    if source.columns is not None:
        estimator.feature_names_in_ = np.array(source.columns, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


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
    times = Counter(column for column in X.columns if isinstance(column, str))
    twice = [name for name, count in times.items() if count > 1]
    if twice:
        raise InvalidInputError(f"X must have unique column names, got {twice[0]!r} twice")
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


def is_mixed(family: Any) -> bool:
    """Whether a family may be fitted to tables with non-numeric columns."""
    if family is None or isinstance(family, Gaussian):
        return False
    from bayesmix.families.independent.levels import LevelsFamily
    from bayesmix.families.product.family import Product

    by_name = ("auto", "categorical", "ordinal")
    return isinstance(family, Product | LevelsFamily) or family in by_name


def reads_levels(estimator: Any) -> Callable[[Any], tuple[Any, Coding | None]] | None:
    """Return the family or estimator that codes levels as numbers; None if there is none."""
    inner = getattr(estimator, "estimator", estimator)
    family = getattr(inner, "family", None)
    if family is not None:
        from bayesmix.families.names import family_named

        family = family_named(family)
    looks = family is None and hasattr(inner, "columns")
    if not looks and not is_mixed(family):
        return None
    from bayesmix.estimators.regression.coded_frames import coded_for

    return partial(coded_for, family, columns=getattr(inner, "columns", None))
