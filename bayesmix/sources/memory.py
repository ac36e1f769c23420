"""Arrays in memory or memory-mapped as sources, and conversion of user data to sources.

Chunks depend on (N, D, K) alone. A summary of the data comes before a fit: medians, robust scales
and ties.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar, cast

import numpy as np
from scipy.sparse import issparse

from bayesmix.core.parallel import ordered_map, resolve_jobs
from bayesmix.core.rows import (
    NO_SIDE_INFORMATION,
    Faults,
    Rows,
    SideInformation,
    Summary,
    faults_in,
)
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import IQR_OF_NORMAL, Array, Integers, Stored, cost_of, quantiles
from bayesmix.numerics.memo import cached
from bayesmix.numerics.sparse import SparseRows, is_sparse, stored_rows

if TYPE_CHECKING:
    from bayesmix.core.protocols import ColumnCoding, RowsRead
    from bayesmix.core.rows import Frame
    from bayesmix.core.sources import Partitioned, Source


def is_source(X: Any) -> TypeGuard[Source]:
    """Whether X is a source: it has steps over its observations."""
    return all(callable(getattr(X, name, None)) for name in ("reduce", "map", "in_memory"))


def is_collection(X: Any) -> bool:
    """Whether X is a Dask array or frame."""
    return callable(getattr(X, "__dask_graph__", None)) and callable(getattr(X, "to_delayed", None))


def with_sparse_rows(X: Any) -> Any:
    """Return a sparse matrix as a source of sparse rows, other data as they are.

    Raises ``InvalidInputError`` for an entry that is not finite.
    """
    if not issparse(X):
        return X
    values = stored_rows(X)
    wrong = np.flatnonzero(~np.isfinite(values.matrix.data))
    if len(wrong):
        row = int(np.searchsorted(values.matrix.indptr, wrong[0], side="right")) - 1
        raise InvalidInputError(
            f"X must be finite, got {values.matrix.data[wrong[0]]} in row {row}, column "
            f"{values.matrix.indices[wrong[0]]}: sparse rows have no missing values"
        )
    return ArraySource(cast("Any", values))


def has_sparse_rows(source: Any) -> bool:
    """Whether a source holds rows by their entries other than 0."""
    return is_sparse(getattr(source, "values", None))


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


# Values closer than this, relative to the scale, count as tied.
SAME_VALUE = 1e-9
# Observations from which on a column deserves a thread.
WORTH_A_THREAD = 4096
# Above this size quantiles and ties are those of a subsample, to limit memory.
MOST_SORTED = 250_000


def summarise(values: Any, weights: Array | None, n_jobs: int | None) -> Summary:
    """Return the summary, with a thread per column; large data use a subsample for quantiles."""
    n_rows, n_features = values.shape
    if is_sparse(values):
        return summary_of_sparse(values, weights)
    if n_rows > MOST_SORTED:
        from bayesmix.sources.column_sums import summary_of_many

        return summary_of_many(values, weights, n_jobs, MOST_SORTED)
    present = None if weights is None or np.all(weights > 0) else weights > 0
    used = weights if weights is None or present is None else weights[present]
    # Equal weights do not change quantiles; without them, repeating the data is exactly neutral.
    if used is not None and np.all(used == used[0]):
        used = None
    repeated = weights is not None and bool(np.any(weights > 1))

    n_missing = missing_in(values)

    def summed_up(d: int) -> tuple[float, ...]:
        column = np.asarray(
            values[:, d] if present is None else values[present, d], dtype=np.float64
        )
        if not n_missing:
            return _column(column, used, repeated)
        observed = ~np.isnan(column)
        if not observed.any():
            raise InvalidInputError(
                f"X must have a value in every column, but column {d} has none in the samples of "
                "positive weight that are fitted: leave out that column"
            )
        return _column(column[observed], None if used is None else used[observed], repeated)

    jobs = resolve_jobs(n_jobs) if n_rows > WORTH_A_THREAD else 1
    columns = list(ordered_map(summed_up, range(n_features), jobs))
    centre, scale, minimum, maximum, gap, mean, lower, upper = (
        np.array(part) for part in zip(*columns, strict=True)
    )
    return Summary(
        n_rows=n_rows,
        total_weight=float(n_rows if weights is None else weights.sum()),
        centre=centre,
        scale=scale,
        minimum=minimum,
        maximum=maximum,
        gap=gap,
        constant=minimum == maximum,
        mean=mean,
        lower=lower,
        upper=upper,
        n_missing=n_missing,
    )


def summary_of_sparse(values: SparseRows, weights: Array | None) -> Summary:
    """Return the summary of sparse rows, of columns with their zeros one by one."""
    columns, n = values.matrix.tocsc(), values.shape[0]
    given = np.ones(n) if weights is None else weights
    repeated = weights is not None and bool(np.any(weights > 1))

    def summed_up(d: int) -> tuple[float, ...]:
        part = slice(columns.indptr[d], columns.indptr[d + 1])
        own = given[columns.indices[part]]
        # Zeros are one value with the weight of all.
        rest = max(float(given.sum() - own.sum()), 0.0)
        column = np.append(columns.data[part], 0.0)
        mass = np.append(own, rest)
        present = mass > 0.0
        return _column(column[present], mass[present], repeated or rest > 1.0)

    centre, scale, minimum, maximum, gap, mean, lower, upper = np.array(
        [summed_up(d) for d in range(values.shape[1])]
    ).T
    total = float(given.sum())
    bounds = {"minimum": minimum, "maximum": maximum, "constant": minimum == maximum}
    quartiles = {"centre": centre, "lower": lower, "upper": upper}
    return Summary(n, total, scale=scale, gap=gap, mean=mean, **bounds, **quartiles)


def missing_in(values: Any) -> int:
    """Count missing values."""
    return int(np.count_nonzero(np.isnan(values))) if values.dtype.kind == "f" else 0


def _column(column: Array, weights: Array | None, repeated: bool) -> tuple[float, ...]:
    ordered = np.sort(column)  # serves quantiles and ties
    levels = (0.25, 0.5, 0.75)
    lower, middle, upper = quantiles(ordered if weights is None else column, weights, levels)
    away = column - middle
    mean = float(np.average(away, weights=weights))
    scale = (upper - lower) / IQR_OF_NORMAL
    if scale == 0.0:
        scale = float(np.sqrt(np.average((away - mean) ** 2, weights=weights)))
    if scale == 0.0:
        scale = 1.0
    gap = _gap(ordered - middle, scale, repeated)
    ends = float(ordered[0]), float(ordered[-1])
    return middle, scale, *ends, gap, middle + mean, lower, upper


def _gap(values: Array, scale: float, repeated: bool) -> float:
    """Return the smallest difference of distinct sorted values, 0 without ties or repeats."""
    steps = np.diff(values)
    distinct = steps > SAME_VALUE * scale
    if not distinct.any() or not (repeated or len(steps) > np.count_nonzero(distinct)):
        return 0.0
    return float(steps[distinct].min())


Value = TypeVar("Value")

MOST_CHUNKS = 256
# Work per chunk, in observations times components times features plus a constant.
CHUNK_WORK = 2**21
BESIDES = 8
# Passes below this ``cost_of`` (about 0.3 ms) are too short for a second thread.
WORTH_HALVING = 3_000_000
OF_THE_ROWS = ("summary", "total_weight", "faults", "rows", "cached")


@lru_cache(maxsize=64)
def chunk_rows(n_rows: int, n_features: int, width: int) -> int:
    """Return the chunk size: enough work for a thread, at most 256 chunks.

    Several chunks are even in number and equal in size, so that two threads share them evenly.
    """
    work = n_rows * width * (n_features + BESIDES)
    if n_rows * width * cost_of(n_features) < WORTH_HALVING:
        return n_rows
    pairs = min(MOST_CHUNKS // 2, max(1, work // (2 * CHUNK_WORK)))
    return -(-n_rows // (2 * pairs))


@dataclass(frozen=True, repr=False)
class ArraySource:
    """Data (n, D) of any real type, sample weights (n,), and the number of threads.

    ``columns`` are names of the features, ``numbers`` those of a subset in the original data.
    Subsets of sequences must consist of whole sequences. Values are in data units, or ``inside`` a
    frame.
    """

    values: Stored
    weights: Array | None = None
    n_jobs: int | None = 1
    columns: tuple[str, ...] | None = None
    numbers: Integers | None = None
    coding: ColumnCoding | None = None
    side: SideInformation = NO_SIDE_INFORMATION
    inside: Frame | None = None

    def __repr__(self) -> str:
        kind = "measured samples" if self.side.measurement else "samples"
        return f"ArraySource of {self.shape[0]:,} {kind}, {self.shape[1]} columns"

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without cached chunks and starts."""
        return {name: value for name, value in vars(self).items() if name not in ("rows", "cached")}

    @property
    def shape(self) -> tuple[int, int]:
        n_rows, n_features = self.values.shape
        return int(n_rows), int(n_features)

    @cached_property
    def total_weight(self) -> float:
        return float(len(self.values) if self.weights is None else self.weights.sum())

    @cached_property
    def summary(self) -> Summary:
        summary, measurement = (
            summarise(self.values, self.weights, self.n_jobs),
            self.side.measurement,
        )
        if measurement is None:
            return summary
        return replace(summary, known_errors=measurement.least_errors(self.rows))

    @cached_property
    def rows(self) -> Rows:
        return Rows(self.values, self.weights, side=self.side, inside=self.inside)

    @cached_property
    def faults(self) -> Faults:
        return self.reduce(faults_in, 1)

    def row_text(self, row: int) -> str:
        return f"row {row}"

    def _chunks(self, width: int) -> list[Rows]:
        if is_sparse(self.values):
            return [self.rows]
        return self.rows.blocks(chunk_rows(*self.shape, width))

    def idle(self, width: int) -> int:
        return max(0, resolve_jobs(self.n_jobs) - len(self._chunks(width)))

    def reduce(self, step: Callable[[Rows], Value], width: int, mapped: bool = False) -> Value:
        if is_sparse(self.values) or self.shape[0] <= chunk_rows(*self.shape, width):
            return step(self.rows)
        from bayesmix.sources.chunks import Within

        return Within(step, width, mapped, self.n_jobs)(self.rows)

    def map(self, step: Callable[[Rows], Value], width: int) -> Value:
        return self.reduce(step, width, mapped=True)

    def with_jobs(self, n_jobs: int | None) -> ArraySource:
        if n_jobs == self.n_jobs:
            return self
        other = replace(self, n_jobs=n_jobs)
        # The summary does not depend on the number of threads.
        cached = {name: self.__dict__[name] for name in OF_THE_ROWS if name in self.__dict__}
        other.__dict__.update(cached)
        return other

    def along(self, frame: Frame) -> ArraySource:
        """Return the coordinates along the basis of a frame, computed once."""

        def projected() -> ArraySource:
            values = np.ascontiguousarray(self.map(partial(Rows.framed, frame=frame), 1))
            values.flags.writeable = False
            return replace(self, values=values, columns=None, coding=None, inside=frame)

        assert frame.basis is not None
        key = (part.tobytes() for part in (frame.centre, frame.scale, frame.basis))
        return cached(self, ("coordinates", *key), projected)

    def present(self) -> ArraySource:
        """Return the source without weights of zero, with the original numbers."""
        if self.weights is None or self.weights.all():
            return self
        return self.numbered(np.flatnonzero(self.weights))

    def numbered(self, rows: Integers) -> ArraySource:
        """Return a subset with its original numbers."""
        subset = self.subset(rows)
        return subset if self.numbers is not None else replace(subset, numbers=rows)

    def spread(self, n: int) -> ArraySource:
        return self.subset(slice(None, None, max(1, len(self.values) // n)))

    def in_memory(self, rows: Any = None) -> ArraySource:
        return self if rows is None else self.subset(rows)

    def subset(self, rows: Any) -> ArraySource:
        weights = None if self.weights is None else self.weights[rows]
        return replace(
            self,
            values=self.values[rows],
            weights=weights,
            numbers=None if self.numbers is None else self.numbers[rows],
            side=self.side[rows],
        )

    def reweighted(self, factors: Array) -> ArraySource:
        weights = factors if self.weights is None else self.weights * factors
        return replace(self, weights=weights)

    def standing_for(self, total_weight: float) -> ArraySource:
        return self.reweighted(np.full(len(self.values), total_weight / self.total_weight))

    def sample(self, n: int, generator: np.random.Generator) -> ArraySource:
        if n >= len(self.values):
            return self
        rows = np.sort(generator.choice(len(self.values), n, replace=False))
        return self.subset(rows)
