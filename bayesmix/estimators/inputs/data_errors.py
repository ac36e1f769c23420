"""Errors about data that cannot be used, with the remedy."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from bayesmix.core.procedures import last_step, takes_sequences
from bayesmix.core.rows import LARGEST_VALUE, Fault
from bayesmix.core.sources import Source
from bayesmix.errors import BayesmixWarning, InvalidInputError, warn
from bayesmix.estimators.inputs.given_sources import OF_THE_FIT
from bayesmix.selection.structures import structures_asked
from bayesmix.sources.sample_weights import SUM_OF_WEIGHTS

# scikit-learn's messages, and remedies that they leave out.
REMEDIES = {
    "minimum of 2": "a mixture needs at least two rows; X.reshape(-1, 1) turns a row into a column",
    "while a minimum of 1": "give at least one row and one column",
    "Complex data": "use two columns for the real and the imaginary part",
    "convert string": "encode or drop text, or pass a frame to bayesmix.select",
    "is expecting": OF_THE_FIT,
    "inhomogeneous": "X must be a table with rows of equal length",
    "Found array with dim": "X must have two dimensions: rows and columns",
}


def explained(estimator: Any, X: Any, problem: Exception, fits: bool) -> str:
    """Return scikit-learn's message with the row in question or the remedy added."""
    text = str(problem)
    if "contains NaN" in text or "contains infinity" in text:
        if hasattr(X, "iloc"):  # pandas, perhaps with its own missing values
            values = X.to_numpy(np.float64, na_value=np.nan)
        else:
            values = np.asarray(X, dtype=np.float64)
        fault = Fault.of(values, ~np.isfinite(values))
        remedy = missing_remedy(estimator, fits)
        return _not_finite(fault, getattr(X, "columns", None), f"row {fault.row}", remedy)
    if takes_sequences(estimator) and ("inhomogeneous" in text or "Found array with dim" in text):
        return (
            "X must be one table of all sequences, got several: give numpy.concatenate(X) and "
            "lengths=[len(x) for x in X]"
        )
    if "Reshape your data" in text:
        return (
            f"X must have two dimensions, rows and columns, got shape {np.shape(X)}. Reshape your "
            "data: X.reshape(-1, 1) where it is one column, X.reshape(1, -1) where it is one row"
        )
    if "2-dimensional container" in text and getattr(X, "ndim", 0) == 1:
        return "X must be a table (DataFrame), got a single column (Series): pass X.to_frame()"
    named = text if re.search(r"\b[Xy]\b", text) else f"X cannot be used: {text}"
    if "feature names should match" in text:  # one name a line
        return f"{named.rstrip()}: {OF_THE_FIT}"
    for fragment, remedy in REMEDIES.items():
        if fragment in text:
            return f"{named.rstrip('.').splitlines()[0]}: {remedy}"
    return named


def missing_remedy(estimator: Any, fits: bool) -> str:
    """Return the parameter of an estimator, or of the estimator of a search, that allows NaN.

    ``fits``: only a fit can drop samples.
    """
    if not hasattr(last_step(getattr(estimator, "estimator", estimator)), "missing"):
        return ""
    values = ["missing='use' (integrate them out)"] * integrates_out_missing(estimator)
    values += ["missing='drop'"] * fits
    return f", or set {' or '.join(values)}" if values else ""


def integrates_out_missing(estimator: Any) -> bool:
    """Whether an estimator, or the estimator of a search, supports ``missing="use"``."""
    inner = last_step(getattr(estimator, "estimator", estimator))
    if not hasattr(inner, "missing"):
        return False
    mixture = inner._mixture(1) if hasattr(inner, "_mixture") else inner  # of a class
    model, asked = mixture._model(), getattr(estimator, "covariance_type", None)
    structures = structures_asked(None if asked == "auto" else asked, None, False)
    families: list[Any] = [model.family if own is None else own for own in structures]
    families = [
        model.family.with_covariance(own) if isinstance(own, str) else own for own in families
    ]
    complete_only = getattr(estimator, "variable_selection", False) and (
        estimator.irrelevant == "regression"
    )
    return model.noise is None and not complete_only and any(f.takes_gaps for f in families)


def _not_finite(fault: Fault, columns: Any, row: str, remedy: str) -> str:
    missing = bool(np.isnan(fault.value))
    wanted, value = ("have no missing values", "NaN") if missing else ("be finite", "infinity")
    remedy = f"drop or impute such rows{remedy if missing else ''}"
    return (
        f"X must {wanted}, but it contains {value} in {row}, column "
        f"{_column(fault, columns)}{_others(fault)}: {remedy}"
    )


def _others(fault: Fault) -> str:
    return f" ({fault.n_rows} such rows in all)" if fault.n_rows > 1 else ""


def _column(fault: Fault, columns: Any) -> str:
    return str(fault.column) if columns is None else repr(columns[fault.column])


def refuse_first(
    source: Source, model: Any = None, large: bool = False, gaps: bool = False
) -> None:
    """Raise an error that names the first unusable value; ``large`` values only matter in a fit.

    ``gaps``: values may be missing, but in a fit no whole sample, except in sequences, nor a whole
    column. ``model``: the estimator that the error advises on.
    """
    faults = source.faults
    unusable = faults.infinite if gaps else faults.not_finite
    if unusable:
        row = source.row_text(unusable.row)
        raise InvalidInputError(
            _not_finite(unusable, source.columns, row, missing_remedy(model, large))
        )
    if faults.empty and not takes_sequences(model):
        row = source.row_text(faults.empty.row) + _others(faults.empty)
        if large:
            raise InvalidInputError(
                f"X must have a value in every row, but there is none in {row}: leave out such rows"
            )
        warn(f"X has no value in {row}: the weights are its probabilities", BayesmixWarning)
    if large and faults.never is not None and faults.never.any():
        never = Fault(1, 0, int(np.argmax(faults.never)))
        raise InvalidInputError(
            f"X must have a value in every column, but column {_column(never, source.columns)} has "
            "none: leave out that column"
        )
    if faults.weight:
        raise InvalidInputError(
            "the weights of X must be finite and not negative, got "
            f"{faults.weight.value:g} for {source.row_text(faults.weight.row)}: leave out that row"
        )
    if large and not SUM_OF_WEIGHTS[0] <= source.total_weight < SUM_OF_WEIGHTS[1]:
        raise InvalidInputError(
            "the weights of X are repetition counts and must sum to between "
            f"{SUM_OF_WEIGHTS[0]:g} and {SUM_OF_WEIGHTS[1]:g}, got {source.total_weight:g}: divide "
            "them by their mean"
        )
    if large and faults.too_large:
        fault = faults.too_large
        raise InvalidInputError(
            f"X must lie within {LARGEST_VALUE:g} of 0, but it contains {fault.value:g} in "
            f"{source.row_text(fault.row)}, column {_column(fault, source.columns)}, whose square "
            "overflows: rescale that column"
        )
