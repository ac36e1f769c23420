"""Where data come in: a source as it is, and an array as one; what is asked of any source."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, TypeGuard

import numpy as np

from bayesmix.core import validation
from bayesmix.core.coding import Coding
from bayesmix.core.parallel import resolve_jobs
from bayesmix.core.sources import Source
from bayesmix.numerics.arrays import Array
from bayesmix.sources.memory import ArraySource
from bayesmix.sources.partitions_of_rows import Complete, PartitionedSource, Passed


def is_source(X: Any) -> TypeGuard[Source]:
    """Whether these rows come as a source: whatever runs steps over its own rows is one."""
    return all(callable(getattr(X, name, None)) for name in ("reduce", "map", "in_memory"))


def is_collection(X: Any) -> bool:
    """Whether this is a Dask array or frame: made of tasks, block by block."""
    return callable(getattr(X, "__dask_graph__", None)) and callable(getattr(X, "to_delayed", None))


def eager(X: Any) -> Any:
    """Rows that are there: a lazy frame of polars is collected."""
    return X.collect() if type(X).__name__ == "LazyFrame" else X


def as_source(
    X: Any,
    weights: Array | None = None,
    n_jobs: int | None = 1,
    columns: tuple[str, ...] | None = None,
    coding: Coding | None = None,
) -> Source:
    """A source for so many threads: X where it is one, else the rows of an array (n, D).

    ``weights``, ``columns`` and their ``coding`` belong to arrays; a source has its own.
    """
    if is_source(X):
        return X.with_jobs(n_jobs)
    return ArraySource(X, weights, n_jobs, columns, coding=coding)


def coding_of(source: Source) -> Coding | None:
    """What the columns of a source were before they became numbers, where it knows."""
    coding: Coding | None = getattr(source, "coding", None)
    return coding


def processes(X: Any, n_jobs: int | None) -> int:
    """How many processes may fit to these rows side by side.

    Rows that are read in parts, or lie on a cluster, are fitted one fit at a time by all who work.
    """
    return 1 if isinstance(X, PartitionedSource) else resolve_jobs(n_jobs)


def passed(source: Source) -> Passed | None:
    """What counts the rows of passes, where a pass may take a while: rows are in parts."""
    return source.passed if isinstance(source, PartitionedSource) else None


def few_enough(source: Source, n_columns: int) -> Source:
    """The source, unless it has too many rows to bring so many numbers of each here."""
    if isinstance(source, PartitionedSource):
        source.refuse_many(n_columns)
    n_rows = source.shape[0]
    # Chunk by chunk at first, and then all together.
    n_bytes, what = 16.0 * n_rows * n_columns, "number" if n_columns == 1 else "numbers"
    validation.in_memory(
        f"{n_columns} {what} for each of {n_rows:,} rows", n_bytes, "give some of them at a time"
    )
    return source


def complete(source: Source) -> Source:
    """The rows without missing values, with the numbers that they had among all.

    Those of parts stay where they are and are counted anew.
    """
    if isinstance(source, PartitionedSource):
        return source.chosen(Complete()) if source.faults.not_finite else source
    whole = source.in_memory()
    assert isinstance(whole, ArraySource)
    kept = Complete()(whole.rows)
    return whole if kept.all() else whole.numbered(np.flatnonzero(kept))


def all_weights(source: Source) -> Array:
    """Weights (n,) of all rows, 1 where they have none."""
    weights: Array = source.map(attrgetter("weights_or_ones"), 1)
    return weights
