"""Data that are no plain array: sources, collections, devices; and data at predict time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from bayesmix.core.rows import SideInformation
from bayesmix.core.validation import jobs, written_out
from bayesmix.data import coded_frames
from bayesmix.em.model import check_values
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError
from bayesmix.estimators.inputs import incoming
from bayesmix.estimators.inputs.incoming import missing_of, refuse, validated, weights_of_fit
from bayesmix.numerics.arrays import Array, Integers, is_elsewhere
from bayesmix.numerics.device_arrays import beside, together
from bayesmix.posterior.predictions import Prediction
from bayesmix.sources.containers import tabular
from bayesmix.sources.dask_workers import collected, columns_of, numbers_of, whole_rows
from bayesmix.sources.devices import on_device
from bayesmix.sources.memory import (
    ArraySource,
    as_source,
    coding_of,
    is_collection,
    is_source,
    with_sparse_rows,
)
from bayesmix.sources.sample_weights import refuse_weights, row_weights, unless_equal

if TYPE_CHECKING:
    from bayesmix.core.sources import Source
    from bayesmix.sources.partitions_of_rows import PartitionedSource


def dask_or_device(X: Any, sample_weight: Any, n_jobs: int | None) -> tuple[Any, Any]:
    """Return a Dask collection, or an array on a device, as a source with its weights."""
    if is_collection(X):
        return collected(X, sample_weight, n_jobs), None
    if not is_elsewhere(X):
        return X, sample_weight
    return on_device(X, weights_of_fit(sample_weight, X.shape[0]), n_jobs), None


def given_source(X: Source, n_jobs: int | None, everything_once: bool = False) -> Source:
    """Return a source with checked weights; ``everything_once`` drops weights that are all 1."""
    if not isinstance(X, ArraySource):
        return X.with_jobs(n_jobs)
    weights = None if X.weights is None else row_weights(X.weights, len(X.values))
    return ArraySource(
        X.values,
        unless_equal(weights) if everything_once else weights,
        n_jobs,
        X.columns,
        coding=X.coding,
        side=SideInformation(measurement=X.side.measurement),
    )


def with_weights(X: Source, sample_weight: Any) -> Source:
    """Return samples in memory with weights that are passed beside them; refuse them beside others.

    Measured data have no argument for weights of their own.
    """
    if isinstance(X, ArraySource) and X.weights is None and sample_weight is not None:
        return replace(X, weights=row_weights(sample_weight, X.shape[0]))
    refuse_weights(sample_weight)
    return X


def training_source(
    estimator: Any, X: Any, sample_weight: Any, n_jobs: int | None, mixed: bool
) -> Source:
    """Return a source, collection or array on a device as the data of a fit.

    ``mixed``: the family takes columns of levels.
    """
    X, sample_weight = dask_or_device(X, sample_weight, n_jobs)
    X = with_weights(X, sample_weight)
    held = coding_of(X)
    if not mixed and held is not None and held.has_levels:
        pairs = zip(held.names, held.levels, strict=True)
        named = ", ".join(repr(name) for name, levels in pairs if levels is not None)
        raise InvalidInputError(
            f"X must be numeric, but these columns are not: {named}: leave them out, or use "
            'Mixture(family="auto")'
        )
    incoming.adopt_columns(estimator, X)
    return given_source(X, n_jobs, everything_once=True)


def predictions_on_device(result: FitResult, source: Source, method: Any, X: Any) -> Any:
    """Return predictions for an array of another library, in that library."""
    parts = cast("PartitionedSource", source).said(Prediction(result, method), result.n_components)
    return together([beside(part, X) if isinstance(part, np.ndarray) else part for part in parts])


@dataclass(frozen=True)
class BlockPrediction:
    """Predictions for a block of a Dask collection, checked like an array."""

    method: Callable[[FitResult, Array], Array | Integers]
    result: FitResult
    columns: tuple[str, ...] | None

    def __call__(self, block: Any) -> Array | Integers:
        values = numbers_of(block)
        if not len(values):
            return self.example[:0]
        source = ArraySource(values, columns=self.columns)
        try:
            refuse(source)
            check_values(self.result.family, source, 1)
        except InvalidInputError as problem:
            raise type(problem)(f"in one of its blocks, {problem}") from None
        return self.method(self.result, values)

    @property
    def example(self) -> Array | Integers:
        """Return the prediction for a row of zeros, which has the right type and shape."""
        return self.method(self.result, np.zeros((1, self.result.n_features)))

    def of_frame(self, block: Any) -> Any:
        """Return predictions with the index of a block of a frame."""
        values = self(block)
        kind = pd.Series if values.ndim == 1 else pd.DataFrame
        return kind(values, index=block.index)


def lazily(estimator: Any, X: Any, method: Callable[[FitResult, Array], Any]) -> Any:
    """Return predictions for a Dask collection: an array, or a series or frame if X is a frame."""
    X = whole_rows(X)
    columns = columns_of(X)
    check_columns(estimator, int(X.shape[1]), columns)
    predict = BlockPrediction(method, estimator._fitted(), columns)
    if columns is not None:
        return X.map_partitions(predict.of_frame, meta=predict.of_frame(X._meta))
    example = predict.example
    options: dict[str, Any] = {"dtype": example.dtype, "meta": example[:0]}
    if example.ndim == 1:
        return X.map_blocks(predict, drop_axis=1, **options)
    return X.map_blocks(predict, chunks=(X.chunks[0], (example.shape[1],)), **options)


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
    X = with_weights(X, sample_weight)
    check_columns(estimator, X.shape[1], X.columns)
    source = given_source(X, n_jobs)
    unseen = estimator.result_.family.takes_gaps and coded_frames.lacks_levels_only(source)
    refuse(source, estimator, gaps=gaps or unseen)
    return source


def in_order_of_fit(estimator: Any, X: Any) -> Any:
    """Return the columns of the fit in its order, of a frame that may have others too."""
    X = tabular(with_sparse_rows(X))
    columns = getattr(X, "columns", None)
    fitted = getattr(estimator, "feature_names_in_", None)
    if fitted is None or columns is None or is_source(X):
        return X
    names, wanted = list(columns), list(fitted)
    result = getattr(estimator, "result_", None)
    # The coding of a mixed table finds the columns of the fit, and its note names the others.
    coded = result is not None and result.family.coding is not None
    if names == wanted or coded or not set(wanted) <= set(names):
        return X
    return X[wanted]


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
