"""Columns of the data: checks, families and levels of mixed tables, frames as results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import replace
from functools import partial
from numbers import Real
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from bayesmix.errors import InvalidInputError, InvalidTypeError
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.sources.border import coding_of, is_collection, is_source

if TYPE_CHECKING:
    from bayesmix.core.coding import Coding
    from bayesmix.core.sources import Source

OF_THE_FIT = "pass the columns of the fit, in the same order"


def adopt_columns(estimator: Any, source: Source) -> None:
    """Set on an estimator what ``validate_data`` sets, for data from a source."""
    estimator.n_features_in_ = source.shape[1]
    if source.columns is not None:
        estimator.feature_names_in_ = np.array(source.columns, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def check_columns(estimator: Any, n_features: int, columns: tuple[str, ...] | None) -> None:
    """Raise an error if the columns are not those of the fit."""
    if n_features != estimator.n_features_in_:
        raise InvalidInputError(
            f"X has {n_features} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input: {OF_THE_FIT}"
        )
    fitted = getattr(estimator, "feature_names_in_", None)
    if columns is not None and fitted is not None and tuple(fitted) != tuple(columns):
        raise InvalidInputError(
            f"X has the columns {', '.join(columns)}, but the fit had {', '.join(fitted)}: "
            f"{OF_THE_FIT}"
        )


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
        raise InvalidInputError(f"columns must have unique names, got {twice[0]!r} twice")
    wrong = [
        f"{column!r} ({dtype})"
        for place, (column, dtype) in enumerate(zip(X.columns, dtypes, strict=True))
        if not _is_numeric(X, place, dtype)
    ]
    if wrong:
        raise InvalidInputError(
            f"X must be numeric, but these columns are not: {', '.join(wrong)}: drop or encode "
            "them, or use bayesmix.select(X), which takes columns of all kinds"
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
    family = named_family(getattr(inner, "family", None))
    looks = family is None and hasattr(inner, "columns")
    if not looks and not is_mixed(family):
        return None
    from bayesmix.estimators.coded_frames import coded_for

    return partial(coded_for, family, columns=getattr(inner, "columns", None))


def named_family(family: Any) -> Any:
    """Return the family of a name; families, "auto" and None are unchanged."""
    if not isinstance(family, str):
        return family
    from bayesmix.families.registry import family_named

    return family_named(family)


def knowing_levels(estimator: Any, source: Source) -> Any:
    """Return an estimator whose family has the levels of all data, so that every part agrees."""
    family = named_family(getattr(estimator, "family", None))
    if not hasattr(family, "levels"):
        return estimator
    from bayesmix.families.independent.levels import LevelsFamily

    if not isinstance(family, LevelsFamily) or family.levels is not None:
        return estimator
    from bayesmix.estimators.coded_frames import family_for

    return clone(estimator).set_params(family=family_for(family, source))


def with_structure(family: Any, covariance: str | None) -> Any:
    """Return a family with this covariance structure for its Gaussians; None changes nothing."""
    if covariance is None:
        return family
    if isinstance(family, Gaussian):
        return replace(family, covariance=covariance)
    from bayesmix.families.product.family import Product
    from bayesmix.families.student_t.family import StudentT

    if isinstance(family, StudentT):
        return replace(family, covariance=covariance)
    if not isinstance(family, Product):
        return family
    parts = [replace(part, family=with_structure(part.family, covariance)) for part in family.parts]
    return replace(family, parts=tuple(parts))


def is_mixed_table(X: Any) -> bool:
    """Whether data are, or come from, a frame with columns that are not continuous."""
    coding = coding_of_table(X)
    return coding is not None and (coding.has_levels or bool(coding.counts))


def coding_of_table(X: Any) -> Coding | None:
    """Return the coding of a table with columns of several kinds; None for other data."""
    if X is None or is_source(X):
        return None if X is None else coding_of(X)
    if isinstance(X, np.ndarray) or is_collection(X):
        return None
    from bayesmix.io.table_columns import coded, is_frame

    return coded(X)[1] if is_frame(X) else None
