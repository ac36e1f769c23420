"""Predictions for Dask collections and for arrays on devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from bayesmix.em.model import check_values
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError
from bayesmix.estimators.inputs.incoming import refuse
from bayesmix.estimators.inputs.new_rows import check_columns
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.posterior.predictions import Prediction
from bayesmix.sources.memory import ArraySource

if TYPE_CHECKING:
    from bayesmix.core.sources import Source
    from bayesmix.sources.partitions_of_rows import PartitionedSource


def on_device(result: FitResult, source: Source, method: Any, X: Any) -> Any:
    """Return predictions for an array of another library, in that library."""
    parts = cast("PartitionedSource", source).said(Prediction(result, method), result.n_components)
    from bayesmix.numerics.device_arrays import beside, together

    return together([beside(part, X) if isinstance(part, np.ndarray) else part for part in parts])


@dataclass(frozen=True)
class BlockPrediction:
    """Predictions for a block of a Dask collection, checked like an array."""

    method: Callable[[FitResult, Array], Array | Integers]
    result: FitResult
    columns: tuple[str, ...] | None

    def __call__(self, block: Any) -> Array | Integers:
        from bayesmix.sources.dask_workers import numbers_of

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
    from bayesmix.sources.dask_workers import columns_of, whole_rows

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
