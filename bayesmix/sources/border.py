"""Conversion of user data to sources, and helpers for any source."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeGuard

from bayesmix.core.parallel import resolve_jobs
from bayesmix.numerics.arrays import Array
from bayesmix.sources.memory import ArraySource

if TYPE_CHECKING:
    from bayesmix.core.protocols import ColumnCoding, RowsRead
    from bayesmix.core.sources import Partitioned, Source


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
    coding: ColumnCoding | None = None,
) -> Source:
    """Return a source with ``n_jobs`` threads: X itself, or the observations of an array (n, D).

    ``weights``, ``columns`` and ``coding`` are for arrays only.
    """
    if is_source(X):
        return X.with_jobs(n_jobs)
    return ArraySource(X, weights, n_jobs, columns, coding=coding)


def coding_of(source: Source) -> Any:
    """Return the coding of the columns of a source, if it has any."""
    return getattr(source, "coding", None)


def in_parts(X: Any) -> Partitioned | None:
    """Return X if it is a partitioned source, else None."""
    return X if getattr(X, "partitioned", False) else None


def passed(source: Source) -> RowsRead | None:
    """Return the counter of observations read, for partitioned sources."""
    parts = in_parts(source)
    return None if parts is None else parts.passed


def processes(X: Any, n_jobs: int | None) -> int:
    """Return the number of processes for parallel fits; partitioned data use all in each fit."""
    return 1 if in_parts(X) else resolve_jobs(n_jobs)


def all_weights(source: Source) -> Array:
    """Return sample weights (n,), 1 if none are given."""
    return source.map(attrgetter("weights_or_ones"), 1)
