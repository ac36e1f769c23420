"""Conversion of user data to sources, and helpers for any source."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from bayesmix.core import validation
from bayesmix.core.parallel import resolve_jobs
from bayesmix.numerics.arrays import Array
from bayesmix.sources.memory import ArraySource

if TYPE_CHECKING:
    from bayesmix.core.coding import Coding
    from bayesmix.core.sources import Source
    from bayesmix.sources.partitions_of_rows import PartitionedSource, Passed


def is_source(X: Any) -> TypeGuard[Source]:
    """Whether X is a source: it has steps over its observations."""
    return all(callable(getattr(X, name, None)) for name in ("reduce", "map", "in_memory"))


def is_collection(X: Any) -> bool:
    """Whether X is a Dask array or frame."""
    return callable(getattr(X, "__dask_graph__", None)) and callable(getattr(X, "to_delayed", None))


def eager(X: Any) -> Any:
    """Collect a lazy frame of polars; return other data unchanged."""
    return X.collect() if type(X).__name__ == "LazyFrame" else X


def as_source(
    X: Any,
    weights: Array | None = None,
    n_jobs: int | None = 1,
    columns: tuple[str, ...] | None = None,
    coding: Coding | None = None,
) -> Source:
    """Return a source with ``n_jobs`` threads: X itself, or the observations of an array (n, D).

    ``weights``, ``columns`` and ``coding`` are for arrays only.
    """
    if is_source(X):
        return X.with_jobs(n_jobs)
    return ArraySource(X, weights, n_jobs, columns, coding=coding)


def coding_of(source: Source) -> Coding | None:
    """Return the coding of the columns of a source, if it has any."""
    return getattr(source, "coding", None)


def in_parts(X: Any) -> PartitionedSource | None:
    """Return X if it is a partitioned source, else None."""
    if isinstance(X, ArraySource) or not is_source(X):
        return None
    from bayesmix.sources.partitions_of_rows import PartitionedSource

    return X if isinstance(X, PartitionedSource) else None


def passed(source: Source) -> Passed | None:
    """Return the counter of observations read, for partitioned sources."""
    parts = in_parts(source)
    return None if parts is None else parts.passed


def processes(X: Any, n_jobs: int | None) -> int:
    """Return the number of processes for parallel fits; partitioned data use all in each fit."""
    return 1 if in_parts(X) else resolve_jobs(n_jobs)


def fold_rules(seed: int, n_folds: int, every: int) -> list[tuple[Any, Any]]:
    """Return rules for the two parts of each fold, so that data in parts stay where they are."""
    from bayesmix.sources.partitions_of_rows import OfFold

    return [
        (OfFold(seed, n_folds, fold, False), OfFold(seed, n_folds, fold, True, every))
        for fold in range(n_folds)
    ]


def few_enough(source: Source, n_columns: int) -> Source:
    """Return the source if ``n_columns`` numbers per observation fit into memory here."""
    if (parts := in_parts(source)) is not None:
        parts.refuse_many(n_columns)
    n_rows = source.shape[0]
    # Chunks and their concatenation are in memory together.
    n_bytes, what = 16.0 * n_rows * n_columns, "number" if n_columns == 1 else "numbers"
    validation.in_memory(
        f"{n_columns} {what} for each of {n_rows:,} rows", n_bytes, "pass fewer rows at a time"
    )
    return source


def complete(source: Source) -> Source:
    """Return the complete observations, in memory with their original numbers."""
    from bayesmix.sources.partitions_of_rows import is_complete

    if (parts := in_parts(source)) is not None:
        return parts.chosen(is_complete) if source.faults.not_finite else source
    whole = source.in_memory()
    assert isinstance(whole, ArraySource)
    mask = is_complete(whole.rows)
    return whole if mask.all() else whole.numbered(np.flatnonzero(mask))


def all_weights(source: Source) -> Array:
    """Return sample weights (n,), 1 if none are given."""
    return source.map(attrgetter("weights_or_ones"), 1)
