"""Treatment of missing values in the data of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.em.model import Model
from bayesmix.errors import (
    BayesmixWarning,
    InvalidInputError,
    UnsupportedError,
    warn,
)
from bayesmix.numerics.device_arrays import host
from bayesmix.sources.memory import ArraySource, has_sparse_rows, is_collection, is_source
from bayesmix.sources.partitions_of_rows import complete

if TYPE_CHECKING:
    from bayesmix.core.sources import Source


def rows_with_missing(X: Any, in_part: bool = False) -> int:
    """Return the number of rows in memory with missing values; 0 where that is unknown.

    ``in_part``: without those that have no value at all.
    """
    if is_source(X) or is_collection(X):
        if not isinstance(X, ArraySource) or has_sparse_rows(X):  # which have no missing values
            return 0
        values = X.values
    else:
        try:
            plain = nan_for_gaps(host(X))
            if hasattr(plain, "iloc"):
                values = plain.to_numpy(np.float64, na_value=np.nan)
            else:
                values = np.asarray(plain)
                values = values.astype(np.float64) if values.dtype.kind == "O" else values
        except (AttributeError, TypeError, ValueError):  # the fit refuses these data, with advice
            return 0
    if values.ndim != 2 or values.dtype.kind != "f" or not values.size:
        return 0
    # A row that is repeated without a copy of its values is read once.
    repeats = len(values) if values.strides[0] == 0 else 1
    missing = np.isnan(values[: len(values) // repeats])
    counted = missing.any(axis=1)
    if in_part:
        counted &= ~missing.all(axis=1)
    return repeats * int(counted.sum())


def with_values(source: ArraySource) -> ArraySource:
    """Return the rows that have a value; a warning counts the others."""
    empty = source.faults.empty
    if not empty or empty.n_rows > source.shape[0] - 2:
        return source
    present, first = ~np.isnan(source.values).all(axis=1), source.row_text(empty.row)
    what = "row without any value is" if empty.n_rows == 1 else "rows without any value are"
    first = first if empty.n_rows == 1 else f"the first is {first}"
    warn(f"{empty.n_rows:,} {what} left out: {first}", BayesmixWarning)
    return source.numbered(np.flatnonzero(present))


def nan_for_gaps(X: Any) -> Any:
    """Return masked or missing values of arrays and frames as NaN."""
    if np.ma.isMaskedArray(X):
        return np.ma.filled(X.astype(np.float64), np.nan)
    if hasattr(X, "iloc") and hasattr(X, "columns"):  # pandas
        objects = [str(dtype) == "object" for dtype in X.dtypes]
        if any(objects):
            X = X.copy()
            for column in X.columns[objects]:
                X[column] = X[column].where(X[column].notna(), np.nan)
    return X


def without_gaps(source: Source, missing: str, ordered: bool) -> Source:
    """Return the rows to fit with missing="drop" or "use"; ``ordered`` rows are all kept."""
    if missing == "drop":
        present = complete(source)
        if present.shape[0] < 2:
            raise InvalidInputError(
                "X must have at least two rows without missing values, but only "
                f"{present.shape[0]} of {source.shape[0]} are left with missing='drop': use "
                "missing='use'"
            )
        return present
    if isinstance(source, ArraySource):
        return source if ordered else with_values(source)
    if source.faults.not_finite:
        raise UnsupportedError(
            "missing='use' needs data in memory, got parts or a device array: use X.in_memory(), "
            "X.compute() or a NumPy array, or drop rows with missing values (missing='drop')"
        )
    return source


def refuse_gaps(model: Model) -> None:
    """Raise an error for models that do not support missing values."""
    family: Any = model.family
    if model.noise is not None:
        raise UnsupportedError(
            "noise does not support missing values: drop such rows, or use noise=None"
        )
    if not family.takes_gaps:
        gaussian = family.name == "gaussian"
        named = f"covariance_type={family.covariance!r}" if gaussian else repr(family)
        remedy = (
            "covariance_type='full' or covariance_type='diag'" if gaussian else "Gaussian('full')"
        )
        raise UnsupportedError(
            f"{named} does not support missing values: drop such rows, or use {remedy}"
        )
