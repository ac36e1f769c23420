"""Checks of incoming data and weights; each error says what was given and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import validate_data

from bayesmix.core import validation
from bayesmix.core.procedures import last_step, takes_sequences
from bayesmix.core.rows import LARGEST_VALUE, Fault, SideInformation
from bayesmix.core.validation import jobs, unmasked, written_out
from bayesmix.em.model import check_values
from bayesmix.errors import (
    BayesmixWarning,
    InvalidInputError,
    InvalidTypeError,
    UnsupportedError,
    warn,
)
from bayesmix.estimators import fit_columns
from bayesmix.numerics.arrays import Array, is_elsewhere
from bayesmix.sources.border import as_source, coding_of, eager, is_collection, is_source
from bayesmix.sources.memory import ArraySource

if TYPE_CHECKING:
    from bayesmix.core.coding import Coding
    from bayesmix.core.sources import Source

# scikit-learn's messages, and remedies that they leave out.
REMEDIES = {
    "minimum of 2": "a mixture needs at least two rows",
    "while a minimum of 1": "give at least one row and one column",
    "Complex data": "use two columns for the real and the imaginary part",
    "convert string": "X must be numbers: encode or drop text",
    "is expecting": fit_columns.OF_THE_FIT,
    "inhomogeneous": "X must be a table with rows of equal length",
    "Found array with dim": "X must have two dimensions: rows and columns",
}
MISSING = ("error", "use", "drop")
# Weights count samples: sums outside this range are implausible and overflow when squared.
SUM_OF_WEIGHTS = (1e-12, 1e18)
# Samples with less than this share of all weight change no digit and are left out.
LEAST_WEIGHT = 1e-18


@contextmanager
def unchanged_on_error(estimator: Any) -> Iterator[None]:
    """Restore all attributes of an estimator if its fit raises an error or is interrupted."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def training_rows(estimator: Any, X: Any, sample_weight: Any, n_jobs: int | None) -> Source:
    """Return the data to fit as a source; samples of weight zero are left out."""
    mixed, coding = fit_columns.reads_levels(estimator), None
    missing = missing_of(estimator)
    X, sample_weight = _dask_or_device(X, sample_weight, n_jobs)
    X = eager(X)
    if is_source(X):
        if isinstance(X, ArraySource) and X.weights is None and sample_weight is not None:
            X, sample_weight = replace(X, weights=row_weights(sample_weight, X.shape[0])), None
        _refuse_weights(sample_weight)
        held = coding_of(X)
        if mixed is None and held is not None and held.has_levels:
            pairs = zip(held.names, held.levels, strict=True)
            named = ", ".join(repr(name) for name, levels in pairs if levels is not None)
            raise InvalidInputError(
                f"X must be numeric, but these columns are not: {named}: leave them out, or use "
                'Mixture(family="auto")'
            )
        fit_columns.adopt_columns(estimator, X)
        source = _given(X, n_jobs, everything_once=True)
    else:
        written_out("X", X)
        if mixed is not None:
            X, coding = mixed(X)
        values = validated(estimator, X, missing != "error", reset=True, ensure_min_samples=2)
        names = getattr(estimator, "feature_names_in_", None)
        columns = None if names is None else tuple(map(str, names))
        weights = None if sample_weight is None else row_weights(sample_weight, len(values))
        source = as_source(values, _unless_equal(weights), n_jobs, columns, coding)
    if missing == "drop":
        from bayesmix.sources.border import complete

        given, source = source, complete(source)
        if source.shape[0] < 2:
            raise InvalidInputError(
                f"X must have at least two rows without missing values, but only {source.shape[0]} "
                f"of {given.shape[0]} are left with missing='drop': use missing='use'"
            )
    in_memory = isinstance(source, ArraySource)
    if missing == "use" and not in_memory and source.faults.not_finite:
        raise UnsupportedError(
            "missing='use' needs data in memory, got parts or a device array: use X.in_memory(), "
            "X.compute() or a NumPy array, or drop rows with missing values (missing='drop')"
        )
    if missing == "use" and isinstance(source, ArraySource) and not takes_sequences(estimator):
        source = _with_values(source)
    refuse(source, estimator, large=True, gaps=missing == "use")
    return source.present()


def _with_values(source: ArraySource) -> ArraySource:
    """Return the rows that have a value; a warning counts the others."""
    empty = source.faults.empty
    if not empty or empty.n_rows > source.shape[0] - 2:
        return source
    present, first = ~np.isnan(source.values).all(axis=1), source.row_text(empty.row)
    what = "row without any value is" if empty.n_rows == 1 else "rows without any value are"
    first = first if empty.n_rows == 1 else f"the first is {first}"
    warn(f"{empty.n_rows:,} {what} left out: {first}", BayesmixWarning)
    return source.numbered(np.flatnonzero(present))


def typed_rows(
    X: Any, sample_weight: Any, columns: Any = None, **named: Any
) -> tuple[Any, Any, Coding | None]:
    """Return a frame as a source with the kinds of its columns, the weights, and these kinds.

    Frames of continuous columns, and other data, are unchanged.
    """
    frame, coding = fit_columns.looked_at(eager(X), columns, **named)
    if coding is None or frame is X:
        return X, sample_weight, coding
    weights = None if sample_weight is None else row_weights(sample_weight, len(frame))
    return fit_columns.with_coding(frame, coding, weights), None, coding


def _dask_or_device(X: Any, sample_weight: Any, n_jobs: int | None) -> tuple[Any, Any]:
    """Return a Dask collection, or an array on a device, as a source with its weights."""
    if is_collection(X):
        from bayesmix.sources.dask_workers import collected

        return collected(X, sample_weight, n_jobs), None
    if not is_elsewhere(X):
        return X, sample_weight
    from bayesmix.sources.devices import on_device

    weights = None if sample_weight is None else row_weights(sample_weight, X.shape[0])
    return on_device(X, _unless_equal(weights), n_jobs), None


def missing_of(estimator: Any) -> str:
    """Return how an estimator, or the estimator of a search, treats missing values."""
    inner = last_step(getattr(estimator, "estimator", estimator))
    return validation.one_of("missing", getattr(inner, "missing", "error"), MISSING)


def same_rows(estimator: Any, source: Source, n_jobs: int | None) -> Source:
    """Return data that were checked before, for another estimator."""
    fit_columns.adopt_columns(estimator, source)
    return source.with_jobs(n_jobs)


def part_of(source: Source, rows: Any) -> Source:
    """Return a subset of the data to fit, by index."""
    from bayesmix.selection.scores import rows_of

    part: Source = rows_of(source, rows)
    if isinstance(part, ArraySource) and part.weights is not None:
        return replace(part, weights=_unless_equal(part.weights))
    return part


def new_rows(estimator: Any, X: Any, sample_weight: Any = None, gaps: bool = False) -> Source:
    """Return data at predict time, with the columns of the fit; ``gaps`` allows missing values."""
    X = in_order_of_fit(estimator, X)
    used = missing_of(estimator) == "use"
    source = _new_rows(estimator, X, sample_weight, gaps or used)
    if used and not gaps and source.faults.not_finite:
        raise InvalidInputError(
            "X must have no missing values here, but "
            f"{source.faults.not_finite.n_rows:,} rows have some: drop or impute them"
        )
    check_values(estimator.result_.family, source, 1)
    return source


def _new_rows(estimator: Any, X: Any, sample_weight: Any, gaps: bool) -> Source:
    n_jobs = jobs(estimator.n_jobs)
    if is_collection(X):
        from bayesmix.sources.dask_workers import columns_of

        fit_columns.check_columns(estimator, int(X.shape[1]), columns_of(X))
    elif not is_elsewhere(X):
        written_out("X", X)
        given, family = X, estimator.result_.family
        X = fit_columns.as_fitted(X, family, getattr(estimator, "unseen", "missing"))
        # Categories that the fit has not seen are missing values.
        gaps = gaps or (X is not given and family.takes_gaps and fit_columns.is_complete(given))
    X, sample_weight = _dask_or_device(X, sample_weight, n_jobs)
    if not is_source(X):
        values = validated(estimator, X, gaps, reset=False)
        weights = None if sample_weight is None else row_weights(sample_weight, len(values))
        source = as_source(values, weights, n_jobs)
        if gaps:  # scikit-learn refused non-finite values already
            refuse(source, estimator, gaps=True)
        return source
    _refuse_weights(sample_weight)
    fit_columns.check_columns(estimator, X.shape[1], X.columns)
    source = _given(X, n_jobs)
    unseen = estimator.result_.family.takes_gaps and fit_columns.lacks_levels_only(source)
    refuse(source, estimator, gaps=gaps or unseen)
    return source


def in_order_of_fit(estimator: Any, X: Any) -> Any:
    """Return a frame with its columns in the order of the fit."""
    X = eager(X)
    arrow = getattr(X, "column_names", None)
    columns = getattr(X, "columns", None) if arrow is None else arrow
    fitted = getattr(estimator, "feature_names_in_", None)
    if fitted is None or columns is None or is_source(X):
        return X
    names, wanted = list(columns), list(fitted)
    if len(names) != len(wanted) or set(names) != set(wanted) or names == wanted:
        return X
    return X[wanted] if arrow is None else X.select(wanted)


def _given(X: Source, n_jobs: int | None, everything_once: bool = False) -> Source:
    """Return a source with checked weights; ``everything_once`` drops weights that are all 1."""
    if not isinstance(X, ArraySource):
        return X.with_jobs(n_jobs)
    weights = None if X.weights is None else row_weights(X.weights, len(X.values))
    return ArraySource(
        X.values,
        _unless_equal(weights) if everything_once else weights,
        n_jobs,
        X.columns,
        coding=X.coding,
        side=SideInformation(measurement=X.side.measurement),
    )


def _unless_equal(weights: Array | None) -> Array | None:
    return None if weights is None or np.all(weights == 1.0) else weights


def refuse(source: Source, model: Any = None, large: bool = False, gaps: bool = False) -> None:
    """Raise an error that names the first unusable value; ``large`` values only matter in a fit.

    ``gaps``: values may be missing, but not a whole sample, except in sequences, nor, in a fit, a
    whole column. ``model``: the estimator that the error advises on.
    """
    faults = source.faults
    unusable = faults.infinite if gaps else faults.not_finite
    if unusable:
        row = source.row_text(unusable.row)
        raise InvalidInputError(
            _not_finite(unusable, source.columns, row, _missing_remedy(model, large))
        )
    if faults.empty and not takes_sequences(model):
        raise InvalidInputError(
            f"X must have a value in every row, but {source.row_text(faults.empty.row)} has "
            f"none{_others(faults.empty)}: leave out such rows"
        )
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


def _refuse_weights(sample_weight: Any) -> None:
    if sample_weight is not None:
        raise InvalidInputError(
            "sample_weight must be None for a source: name the weight column when reading"
        )


def row_weights(value: Any, n_rows: int) -> Array:
    """Return ``sample_weight`` as n finite, nonnegative numbers; a scalar is repeated."""
    expected = f"sample_weight must be one number for each of the {n_rows} rows"
    if is_elsewhere(value):
        from bayesmix.numerics.device_arrays import host

        value = host(value)
    unmasked("sample_weight", value)
    if hasattr(value, "to_numpy") and hasattr(value, "iloc"):  # pandas, perhaps with missing values
        value = value.to_numpy(na_value=np.nan)
    try:
        given = np.full(n_rows, float(value)) if isinstance(value, Real) else np.asarray(value)
        there = given.shape == (n_rows,)
        weights = given.astype(np.float64) if there and given.dtype.kind in "fiubO" else None
    except (TypeError, ValueError):  # ragged, or non-numeric objects
        there, weights = True, None
    if not there and given.ndim:
        remedy = ": give one column, as weights[:, 0]" if given.ndim == 2 else ""
        raise InvalidInputError(f"{expected}, got shape {given.shape}{remedy}")
    if weights is None:
        raise InvalidInputError(f"{expected}, got {value!r:.60}")
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
    total = float(np.minimum(weights, SUM_OF_WEIGHTS[1]).sum())
    if not SUM_OF_WEIGHTS[0] <= total < SUM_OF_WEIGHTS[1]:
        raise InvalidInputError(
            "sample_weight contains repetition counts and must sum to between "
            f"{SUM_OF_WEIGHTS[0]:g} and {SUM_OF_WEIGHTS[1]:g}, got weights from "
            f"{weights.min():g} to {weights.max():g}: divide them by their mean"
        )
    return np.where(weights < LEAST_WEIGHT * total, 0.0, weights)


def validated(estimator: Any, X: Any, gaps: bool = False, **options: Any) -> Any:
    """Return X validated by scikit-learn as float32 or float64; ``gaps`` allows missing values."""
    if gaps:
        X, options = _nan_for_gaps(X), {**options, "ensure_all_finite": "allow-nan"}
    unmasked("X", X)
    fit_columns.refuse_no_table(X)
    try:
        if isinstance(X, (list, tuple)):
            X = np.asarray(X)
        fit_columns.refuse_text(X)
        with np.errstate(invalid="ignore"):  # it adds infinities of both signs
            return validate_data(estimator, X, dtype=[np.float64, np.float32], **options)
    except InvalidInputError:
        raise
    except OverflowError as problem:
        raise InvalidInputError(f"X must be numbers in the range of a double: {problem}") from None
    except TypeError as problem:
        raise InvalidTypeError(explained(estimator, X, problem, options["reset"])) from None
    except ValueError as problem:
        raise InvalidInputError(explained(estimator, X, problem, options["reset"])) from None


def _nan_for_gaps(X: Any) -> Any:
    if np.ma.isMaskedArray(X):
        return np.ma.filled(X.astype(np.float64), np.nan)
    if hasattr(X, "iloc") and hasattr(X, "columns"):  # pandas
        objects = [str(dtype) == "object" for dtype in X.dtypes]
        if any(objects):
            X = X.copy()
            for column in X.columns[objects]:
                X[column] = X[column].where(X[column].notna(), np.nan)
    return X


def explained(estimator: Any, X: Any, problem: Exception, fits: bool) -> str:
    """Return scikit-learn's message with the row in question or the remedy added."""
    text = str(problem)
    if "contains NaN" in text or "contains infinity" in text:
        if hasattr(X, "iloc"):  # pandas, perhaps with its own missing values
            values = X.to_numpy(np.float64, na_value=np.nan)
        else:
            values = np.asarray(X, dtype=np.float64)
        fault = Fault.of(values, ~np.isfinite(values))
        remedy = _missing_remedy(estimator, fits)
        return _not_finite(fault, getattr(X, "columns", None), f"row {fault.row}", remedy)
    if "Reshape your data" in text:
        return (
            f"X must have two dimensions, rows and columns, got shape {np.shape(X)}. Reshape your "
            "data: X.reshape(-1, 1) where it is one column, X.reshape(1, -1) where it is one row"
        )
    named = text if "X" in text else f"X cannot be used: {text}"
    if "feature names should match" in text:  # one name a line
        return f"{named.rstrip()}: {fit_columns.OF_THE_FIT}"
    for fragment, remedy in REMEDIES.items():
        if fragment in text:
            return f"{named.rstrip('.').splitlines()[0]}: {remedy}"
    return named


def _missing_remedy(estimator: Any, fits: bool) -> str:
    """Return the parameter of an estimator, or of the estimator of a search, that allows NaN.

    ``fits``: only a fit can drop samples.
    """
    from bayesmix.selection.structures import structures_asked

    inner = last_step(getattr(estimator, "estimator", estimator))
    if not hasattr(inner, "missing"):
        return ""
    mixture = inner._mixture(1) if hasattr(inner, "_mixture") else inner  # of a class
    model, asked = mixture._model(), getattr(estimator, "covariance_type", None)
    structures = structures_asked(None if asked == "auto" else asked, None, False)
    families = [
        fit_columns.with_structure(model.family, structure)
        if isinstance(structure, str | None)
        else structure
        for structure in structures
    ]
    complete_only = getattr(estimator, "variable_selection", False) and (
        estimator.irrelevant == "regression"
    )
    usable = model.noise is None and not complete_only and any(f.takes_gaps for f in families)
    values = ["missing='use' (integrate them out)"] * usable + ["missing='drop'"] * fits
    return f", or set {' or '.join(values)}" if values else ""


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
