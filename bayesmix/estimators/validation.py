"""What comes in is checked here, once: parameters by name, rows and weights as scikit-learn does."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_sample_weight, validate_data

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.sources import ArraySource


def integer(name: str, value: Any, least: int) -> int:
    """``value`` as an integer of at least ``least``."""
    if not isinstance(value, Integral) or isinstance(value, (bool, np.bool_)) or value < least:
        raise InvalidInputError(f"{name} must be an integer of at least {least}, got {value!r}")
    return int(value)


def optional_integer(name: str, value: Any, least: int) -> int | None:
    """None, or an integer of at least ``least``."""
    return None if value is None else integer(name, value, least)


def number(name: str, value: Any, least: float, strict: bool = False) -> float:
    """``value`` as a finite number of at least (or above) ``least``."""
    bound = "greater than" if strict else "at least"
    fine = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if not fine or not np.isfinite(value) or value < least or (strict and value == least):
        raise InvalidInputError(f"{name} must be a finite number {bound} {least:g}, got {value!r}")
    return float(value)


def auto_or_number(name: str, value: Any, least: float) -> float | None:
    """None for "auto", else a number of at least ``least``."""
    if isinstance(value, str):
        one_of(name, value, ("auto",), "or a number")
        return None
    return number(name, value, least)


def one_of(name: str, value: Any, choices: Sequence[Any], otherwise: str = "") -> Any:
    """``value`` if it is one of the choices."""
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        listed = ", ".join(map(repr, choices))
        raise InvalidInputError(
            f"{name} must be one of {listed}{' ' + otherwise if otherwise else ''}, got {value!r}"
        )
    return value


def flag(name: str, value: Any) -> bool:
    """``value`` as True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise InvalidInputError(f"{name} must be True or False, got {value!r}")
    return bool(value)


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
        estimator.n_features_in_ = X.shape[1]
        columns = getattr(X, "columns", None)
        if columns is not None:
            estimator.feature_names_in_ = np.array(columns, dtype=object)
        return ArraySource(_finite(X.values), X.weights, n_jobs), None
    _refuse_text(X)
    values = validate_data(
        estimator, X, dtype=[np.float64, np.float32], ensure_min_samples=2, reset=True
    )
    if sample_weight is None:
        return ArraySource(values, None, n_jobs), None
    weights = _check_sample_weight(
        sample_weight, values, dtype=np.float64, ensure_non_negative=True
    )
    if not weights.any():
        raise InvalidInputError("sample_weight must not be zero for every row")
    if np.all(weights == 1.0):
        return ArraySource(values, None, n_jobs), None
    present = weights > 0
    if present.all():
        return ArraySource(values, weights, n_jobs), None
    rows = np.flatnonzero(present)
    return ArraySource(values[rows], weights[rows], n_jobs), rows


def new_rows(estimator: Any, X: Any) -> ArraySource:
    """Rows at predict time: as many columns, in the same order, as at fit."""
    if isinstance(X, ArraySource):
        if X.shape[1] != estimator.n_features_in_:
            raise InvalidInputError(
                f"X has {X.shape[1]} features, but {type(estimator).__name__} is expecting "
                f"{estimator.n_features_in_} features as input"
            )
        return ArraySource(_finite(X.values), X.weights, estimator.n_jobs)
    _refuse_text(X)
    values = validate_data(estimator, X, dtype=[np.float64, np.float32], reset=False)
    return ArraySource(values, None, estimator.n_jobs)


def _finite(values: Any) -> Any:
    """Values of a source, read in pieces to see that all are finite."""
    for start in range(0, len(values), 2**18):
        piece = values[start : start + 2**18]
        wrong = ~np.isfinite(piece)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise InvalidInputError(
                f"X must be finite, got {piece[row, column]!r} in row {start + row}, column "
                f"{column}: drop or impute such rows"
            )
    return values


def _refuse_text(X: Any) -> None:
    """Name the columns of a frame that hold no numbers, before anything tries to convert them."""
    dtypes = getattr(X, "dtypes", None)
    if dtypes is None or not hasattr(X, "columns"):
        return
    wrong = [
        str(column)
        for column, dtype in zip(X.columns, dtypes, strict=True)
        if getattr(dtype, "kind", "O") not in "fiub"
    ]
    if wrong:
        raise InvalidInputError(
            f"X must be numeric, but these columns are not: {', '.join(wrong)}: drop or encode them"
        )


def component_weights(value: Any, n_components: int) -> Array:
    """``weights_init`` (K,) checked: in [0, 1] and summing to 1."""
    weights = np.asarray(value, dtype=np.float64)
    if weights.shape != (n_components,):
        raise InvalidInputError(
            f"weights_init must have shape ({n_components},), got {weights.shape}"
        )
    if not np.isfinite(weights).all() or weights.min() < 0 or weights.max() > 1:
        raise InvalidInputError(
            f"weights_init must lie between 0 and 1, got {weights.min():g} to {weights.max():g}"
        )
    if abs(weights.sum() - 1.0) > 1e-8:
        raise InvalidInputError(f"weights_init must sum to 1, got {weights.sum():.6g}")
    return weights


def warn(message: str, category: type[Warning]) -> None:
    """A warning that points at the user's call."""
    warnings.warn(message, category, stacklevel=4)
