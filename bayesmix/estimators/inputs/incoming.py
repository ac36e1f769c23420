"""Checks of incoming data and weights; each error says what was given and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import validate_data

from bayesmix.core import validation
from bayesmix.core.procedures import last_step, takes_sequences
from bayesmix.core.validation import unmasked, written_out
from bayesmix.errors import (
    InvalidInputError,
    InvalidTypeError,
)
from bayesmix.estimators.searching import fit_columns
from bayesmix.numerics.arrays import Array, is_elsewhere
from bayesmix.sources.border import as_source, eager, is_collection, is_source

if TYPE_CHECKING:
    from bayesmix.core.sources import Source

MISSING = ("error", "use", "drop")


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
    X = eager(X)
    if not isinstance(X, np.ndarray) and (is_source(X) or is_collection(X) or is_elsewhere(X)):
        from bayesmix.estimators.inputs.given_sources import training_source

        source = training_source(estimator, X, sample_weight, n_jobs, mixed is not None)
    else:
        written_out("X", X)
        if mixed is not None:
            X, coding = mixed(X)
        values = validated(estimator, X, missing != "error", reset=True, ensure_min_samples=2)
        names = getattr(estimator, "feature_names_in_", None)
        columns = None if names is None else tuple(map(str, names))
        source = as_source(
            values, weights_of_fit(sample_weight, len(values)), n_jobs, columns, coding
        )
    if missing != "error":
        from bayesmix.estimators.inputs.missing_rows import without_gaps

        source = without_gaps(source, missing, takes_sequences(estimator))
    refuse(source, estimator, large=True, gaps=missing == "use")
    return source.present()


def weights_of_fit(sample_weight: Any, n_rows: int) -> Array | None:
    """Return checked sample weights of a fit; None if all are 1."""
    if sample_weight is None:
        return None
    from bayesmix.estimators.inputs.sample_weights import row_weights, unless_equal

    return unless_equal(row_weights(sample_weight, n_rows))


def refuse(source: Source, model: Any = None, large: bool = False, gaps: bool = False) -> None:
    """Raise an error that names the first unusable value; ``large`` values only matter in a fit.

    ``gaps``: values may be missing, but not a whole sample, except in sequences, nor, in a fit, a
    whole column. ``model``: the estimator that the error advises on.
    """
    if source.faults or source.total_weight != source.shape[0]:
        from bayesmix.estimators.inputs.data_errors import refuse_first

        refuse_first(source, model, large, gaps)


def missing_of(estimator: Any) -> str:
    """Return how an estimator, or the estimator of a search, treats missing values."""
    inner = last_step(getattr(estimator, "estimator", estimator))
    return validation.one_of("missing", getattr(inner, "missing", "error"), MISSING)


def same_rows(estimator: Any, source: Source, n_jobs: int | None) -> Source:
    """Return data that were checked before, for another estimator."""
    fit_columns.adopt_columns(estimator, source)
    return source.with_jobs(n_jobs)


def validated(estimator: Any, X: Any, gaps: bool = False, **options: Any) -> Any:
    """Return X validated by scikit-learn as float32 or float64; ``gaps`` allows missing values."""
    if gaps:
        from bayesmix.estimators.inputs.missing_rows import nan_for_gaps

        X, options = nan_for_gaps(X), {**options, "ensure_all_finite": "allow-nan"}
    unmasked("X", X)
    try:
        if getattr(getattr(X, "dtype", None), "kind", "O") not in "fiub":
            from bayesmix.estimators.inputs.numeric_tables import numeric_table

            X = numeric_table(X)
        with np.errstate(invalid="ignore"):  # it adds infinities of both signs
            return validate_data(estimator, X, dtype=[np.float64, np.float32], **options)
    except (InvalidInputError, InvalidTypeError):
        raise
    except OverflowError as problem:
        raise InvalidInputError(f"X must be numbers in the range of a double: {problem}") from None
    except (TypeError, ValueError) as problem:
        from bayesmix.estimators.inputs.data_errors import explained

        kind = InvalidTypeError if isinstance(problem, TypeError) else InvalidInputError
        raise kind(explained(estimator, X, problem, options["reset"])) from None
