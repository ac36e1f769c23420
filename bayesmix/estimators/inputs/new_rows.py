"""Data at predict time, with the columns of the fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmix.core.validation import jobs, written_out
from bayesmix.em.model import check_values
from bayesmix.errors import (
    InvalidInputError,
)
from bayesmix.estimators.inputs.given_sources import dask_or_device, given_source
from bayesmix.estimators.inputs.incoming import missing_of, refuse, validated
from bayesmix.estimators.inputs.sample_weights import refuse_weights, row_weights
from bayesmix.estimators.regression import coded_frames
from bayesmix.numerics.arrays import is_elsewhere
from bayesmix.sources.memory import as_source, eager, is_collection, is_source

if TYPE_CHECKING:
    from bayesmix.core.sources import Source


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

        check_columns(estimator, int(X.shape[1]), columns_of(X))
    elif not is_elsewhere(X):
        written_out("X", X)
        given, family = X, estimator.result_.family
        X = coded_frames.as_fitted(X, family, getattr(estimator, "unseen", "missing"))
        # Categories that the fit has not seen are missing values.
        gaps = gaps or (X is not given and family.takes_gaps and coded_frames.is_complete(given))
    X, sample_weight = dask_or_device(X, sample_weight, n_jobs)
    if not is_source(X):
        values = validated(estimator, X, gaps, reset=False)
        weights = None if sample_weight is None else row_weights(sample_weight, len(values))
        source = as_source(values, weights, n_jobs)
        if gaps:  # scikit-learn refused non-finite values already
            refuse(source, estimator, gaps=True)
        return source
    refuse_weights(sample_weight)
    check_columns(estimator, X.shape[1], X.columns)
    source = given_source(X, n_jobs)
    unseen = estimator.result_.family.takes_gaps and coded_frames.lacks_levels_only(source)
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


OF_THE_FIT = "pass the columns of the fit, in the same order"


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
