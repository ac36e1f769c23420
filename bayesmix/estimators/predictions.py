"""What estimators say of every row of a chunk, from the result of their fit.

What an estimator says of the rows of a Dask collection: a lazy collection, block by block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np
from scipy.special import entr

from bayesmix.core.rows import Rows
from bayesmix.core.sources import Source
from bayesmix.em.device import device_shares
from bayesmix.em.model import check_values
from bayesmix.em.result import FitResult, limits
from bayesmix.errors import InvalidInputError
from bayesmix.estimators.fit_columns import check_blocks
from bayesmix.estimators.incoming import refuse
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.namespaces import beside, together
from bayesmix.sources.dask_workers import numbers_of, whole_rows
from bayesmix.sources.memory import ArraySource
from bayesmix.sources.partitions_of_rows import PartitionedSource

PerRow = TypeVar("PerRow", bound="Array | Integers")


@dataclass(frozen=True)
class Said(Generic[PerRow]):
    """What is said of the rows of a chunk, here or where they lie."""

    result: FitResult
    say: Callable[[FitResult, Rows], PerRow]

    def __call__(self, rows: Rows) -> PerRow:
        return self.say(self.result, rows)

    def on_device(self, values: Any, weights: Array | None) -> Any | None:
        """The same on a device, where a normal density can be looked at there."""
        result = self.result
        mixture = result.mixture if self.say is responsibilities else result.density
        if self.say not in (log_densities, probabilities, labels, responsibilities):
            return None
        if mixture.frame.flat is not None or not result.family.continuous:
            return None
        found = device_shares(mixture, values, limits(mixture, result.family))
        if found is None:
            return None
        xp, shares, log_normaliser = found
        if self.say is log_densities:
            return log_normaliser - result.log_volume
        return xp.argmax(shares, axis=1) if self.say is labels else shares


def said_there(result: FitResult, source: Source, say: Any, X: Any) -> Any:
    """What is said of the rows X, part by part, as one array of the library of X, beside it."""
    parts = cast("PartitionedSource", source).said(Said(result, say), result.n_components)
    return together([beside(part, X) if isinstance(part, np.ndarray) else part for part in parts])


def log_densities(result: FitResult, rows: Rows) -> Array:
    """Log densities (n,)."""
    return result.log_density(rows.values)


def total_log_density(result: FitResult, rows: Rows) -> Array:
    """Σ w log density, over rows that count, and Σ w."""
    weights = rows.weights_or_ones
    counted = weights > 0
    total = (result.log_density(rows.values)[counted] * weights[counted]).sum()
    return np.array([total, weights.sum()])


def probabilities(result: FitResult, rows: Rows) -> Array:
    """Normalised terms of the density (n, K)."""
    return result.probabilities(rows.values)


def labels(result: FitResult, rows: Rows) -> Integers:
    """Most probable components (n,), -1 for noise."""
    return result.labels(rows.values)


def entropies(result: FitResult, rows: Rows) -> Array:
    """The entropy of those terms (n,), in nats."""
    found: Array = entr(result.probabilities(rows.values)).sum(axis=1)
    return found


def responsibilities(result: FitResult, rows: Rows) -> Array:
    """q(Z) (n, K)."""
    return result.responsibilities(rows.values)


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
