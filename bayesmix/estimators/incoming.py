"""Rows and weights as they come in, checked once: every refusal says what came and what to do."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from bayesmix.errors import InvalidInputError, InvalidTypeError
from bayesmix.numerics.arrays import Array
from bayesmix.sources import ArraySource

# What scikit-learn says, and what it leaves to the reader to find out.
REMEDIES = {
    "minimum of 2": "a mixture needs two rows or more to see any spread",
    "while a minimum of 1": "give at least one row and one column",
    "Complex data": "give the real and the imaginary part as two columns",
    "convert string": "X must be numbers: encode or drop text",
    "is expecting": "give the columns that were given to fit, in the same order",
    "inhomogeneous": "X must be a table: every row as long as the others",
    "Found array with dim": "X must have two dimensions: rows and columns",
}
MOST_ROWS_READ = 2**18


def training_rows(
    estimator: Any, X: Any, sample_weight: Any, n_jobs: int | None
) -> tuple[ArraySource, Any]:
    """The rows to fit as a source, and which of the given rows they are (None: all).

    Rows of weight zero are left out: they are no rows.
    """
    if isinstance(X, ArraySource):
        if sample_weight is not None:
            raise InvalidInputError(
                "sample_weight must not be given beside a source: name the weight when reading"
            )
        _adopt_columns(estimator, X)
        values, weights, columns = finite(X.values), X.weights, X.columns
        if weights is not None:
            weights = row_weights(weights, len(values))
    else:
        values = validated(estimator, X, reset=True, ensure_min_samples=2)
        columns = None
        weights = None if sample_weight is None else row_weights(sample_weight, len(values))
    if weights is None or np.all(weights == 1.0):
        return ArraySource(values, None, n_jobs, columns), None
    if weights.all():
        return ArraySource(values, weights, n_jobs, columns), None
    rows = np.flatnonzero(weights)
    return ArraySource(values[rows], weights[rows], n_jobs, columns, rows), rows


def new_rows(estimator: Any, X: Any) -> ArraySource:
    """Rows at predict time: as many columns, in the same order, as at fit."""
    if not isinstance(X, ArraySource):
        return ArraySource(validated(estimator, X, reset=False), None, estimator.n_jobs)
    if X.shape[1] != estimator.n_features_in_:
        raise InvalidInputError(
            f"X has {X.shape[1]} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input: {REMEDIES['is expecting']}"
        )
    weights = None if X.weights is None else row_weights(X.weights, X.shape[0])
    return ArraySource(finite(X.values), weights, estimator.n_jobs, X.columns)


def row_weights(value: Any, n_rows: int) -> Array:
    """``sample_weight`` as n finite numbers, none negative, not all zero; one number is for all."""
    expected = f"sample_weight must be one number for each of the {n_rows} rows"
    if isinstance(value, Real):
        weights = np.full(n_rows, float(value))
    else:
        try:
            given = np.asarray(value)
            if given.dtype.kind not in "fiubO":
                raise InvalidInputError(f"{expected}, got {given.dtype}")
            weights = given.astype(np.float64)
        except (TypeError, ValueError) as problem:
            raise InvalidInputError(f"{expected}, got {value!r:.60}: {problem}") from None
    if weights.shape != (n_rows,):
        raise InvalidInputError(f"{expected}, got shape {weights.shape}")
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0.0)))
    if len(wrong):
        raise InvalidInputError(
            f"sample_weight must be finite and not negative, got {weights[wrong[0]]} for row "
            f"{wrong[0]}: drop that row, or give it weight 0"
        )
    if not weights.any():
        raise InvalidInputError(
            "sample_weight must not be zero for every row: give some row a positive weight"
        )
    return weights


def validated(estimator: Any, X: Any, **options: Any) -> Any:
    """X as scikit-learn validates it, float32 or float64, with errors that say what to do."""
    refuse_text(X)
    try:
        return validate_data(estimator, X, dtype=[np.float64, np.float32], **options)
    except TypeError as problem:
        raise InvalidTypeError(explained(X, problem)) from None
    except ValueError as problem:
        raise InvalidInputError(explained(X, problem)) from None


def explained(X: Any, problem: Exception) -> str:
    """scikit-learn's message, with the rows that are to blame or with the remedy."""
    text = str(problem)
    if "contains NaN" in text or "contains infinity" in text:
        return _not_finite(np.asarray(X, dtype=np.float64), 0, getattr(X, "columns", None))
    for fragment, remedy in REMEDIES.items():
        if fragment in text:
            return f"{text.rstrip('.')}: {remedy}"
    return text


def finite(values: Any) -> Any:
    """Values of a source, read in pieces to see that all are finite."""
    for start in range(0, len(values), MOST_ROWS_READ):
        piece = np.asarray(values[start : start + MOST_ROWS_READ])
        if not np.isfinite(piece).all():
            raise InvalidInputError(_not_finite(piece, start, None))
    return values


def _not_finite(values: Any, first: int, columns: Any) -> str:
    wrong = ~np.isfinite(values)
    row, column = np.argwhere(wrong)[0]
    rows = int(wrong.any(axis=1).sum())
    value = "NaN" if np.isnan(values[row, column]) else "infinity"
    name = column if columns is None else repr(columns[column])
    more = f" (and others: {rows} rows in all)" if rows > 1 else ""
    return (
        f"X must be finite numbers, but it contains {value} in row {first + row}, column {name}"
        f"{more}: drop or impute such rows"
    )


def refuse_text(X: Any) -> None:
    """Name the columns of a frame that hold no numbers, before anything tries to convert them."""
    dtypes = getattr(X, "dtypes", None)
    if dtypes is None or not hasattr(X, "columns"):
        return
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
        return bool(dtype.is_numeric())
    if getattr(dtype, "kind", "O") != "O" or not hasattr(X, "iloc"):
        return getattr(dtype, "kind", "O") in "fiub"
    return str(dtype) == "object" and all(isinstance(value, Real) for value in X.iloc[:, place])


def _adopt_columns(estimator: Any, source: ArraySource) -> None:
    """What ``validate_data`` sets on an estimator, for rows that come as a source."""
    estimator.n_features_in_ = source.shape[1]
    if source.columns is not None:
        estimator.feature_names_in_ = np.array(source.columns, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_
