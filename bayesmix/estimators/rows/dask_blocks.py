"""What an estimator says of the rows of a Dask collection: a lazy collection, block by block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.estimators.rows.columns_of_fit import check_blocks
from bayesmix.estimators.rows.incoming import refuse
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.records import Rows
from bayesmix.sources import ArraySource
from bayesmix.sources.partitions.collections import numbers_of, whole_rows
from bayesmix.workflow.model import check_values
from bayesmix.workflow.result import FitResult


@dataclass(frozen=True)
class OfBlock:
    """Says it of a block, which is checked as rows are that come at once."""

    say: Callable[[FitResult, Rows], Array | Integers]
    result: FitResult
    columns: tuple[str, ...] | None

    def __call__(self, block: Any) -> Array | Integers:
        values = numbers_of(block)
        if not len(values):
            return self.of_none[:0]
        source = ArraySource(values, columns=self.columns)
        try:
            refuse(source)
            check_values(self.result.family, source, 1)
        except InvalidInputError as problem:
            raise type(problem)(f"in one of its blocks, {problem}") from None
        return self.say(self.result, Rows(values))

    @property
    def of_none(self) -> Array | Integers:
        """What is said of one row, whatever it is: its type and shape."""
        return self.say(self.result, Rows(np.zeros((1, self.result.n_features))))


@dataclass(frozen=True)
class OfFrame:
    """The same of a block of a frame, in its index."""

    of_block: OfBlock

    def __call__(self, block: Any) -> Any:
        import pandas as pd

        said = self.of_block(block)
        if said.ndim == 1:
            return pd.Series(said, index=block.index)
        return pd.DataFrame(said, index=block.index)


def lazily(estimator: Any, X: Any, say: Callable[[FitResult, Rows], Any], result: FitResult) -> Any:
    """A Dask array of an array; of a frame a series, or a frame with a column a component."""
    X = whole_rows(X)
    columns = check_blocks(estimator, X)
    of_block = OfBlock(say, result, columns)
    one = of_block.of_none
    if columns is not None:
        of_frame = OfFrame(of_block)
        return X.map_partitions(of_frame, meta=of_frame(X._meta))
    options: dict[str, Any] = {"dtype": one.dtype, "meta": one[:0]}
    if one.ndim == 1:
        return X.map_blocks(of_block, drop_axis=1, **options)
    return X.map_blocks(of_block, chunks=(X.chunks[0], (one.shape[1],)), **options)
