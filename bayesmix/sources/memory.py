"""Arrays in memory or memory-mapped as sources, in chunks that depend on (N, D, K) alone."""

from __future__ import annotations

import tokenize
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike, fspath
from typing import Any, TypeVar, cast

import numpy as np

from bayesmix.core.coding import Coding
from bayesmix.core.parallel import ordered_map, reduced, resolve_jobs
from bayesmix.core.rows import Faults, Rows, Summary, faults_in
from bayesmix.core.sources import Kept
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Booleans, Indices, Integers, Stored
from bayesmix.numerics.features import cost_of
from bayesmix.sources.summary import summarise

Value = TypeVar("Value")

MOST_CHUNKS = 256
# Work per chunk, in observations times components times features plus a constant.
CHUNK_WORK = 2**21
BESIDES = 8
# Passes below this ``cost_of`` (about 0.3 ms) are too short for a second thread.
WORTH_HALVING = 3_000_000
OF_THE_ROWS = ("summary", "total_weight", "faults", "rows")


def chunk_rows(n_rows: int, n_features: int, width: int) -> int:
    """Return the chunk size: enough work for a thread, at most 256 chunks.

    Several chunks are even in number and equal in size, so that two threads share them evenly.
    """
    work = n_rows * width * (n_features + BESIDES)
    if n_rows * width * cost_of(n_features) < WORTH_HALVING:
        return n_rows
    pairs = min(MOST_CHUNKS // 2, max(1, work // (2 * CHUNK_WORK)))
    return -(-n_rows // (2 * pairs))


@dataclass(frozen=True)
class KeptHere:
    """An integer per observation of an array (n,)."""

    values: Indices

    def differing(self, other: Kept) -> int:
        return int(np.count_nonzero(self.values != other.some(slice(None))))

    def some(self, rows: slice) -> Indices:
        return self.values[rows]


@dataclass(frozen=True)
class ArraySource:
    """Data (n, D) of any real type, sample weights (n,), and the number of threads.

    ``columns`` are names of the features, ``numbers`` those of a subset in the original data.
    ``labels`` and ``begins`` are as in ``Rows``; subsets must consist of whole sequences.
    """

    values: Stored
    weights: Array | None = None
    n_jobs: int | None = 1
    columns: tuple[str, ...] | None = None
    numbers: Integers | None = None
    coding: Coding | None = None
    labels: Integers | Array | None = None
    begins: Booleans | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without cached chunks."""
        return {name: value for name, value in vars(self).items() if name != "rows"}

    @property
    def shape(self) -> tuple[int, int]:
        n_rows, n_features = self.values.shape
        return int(n_rows), int(n_features)

    @cached_property
    def total_weight(self) -> float:
        return float(len(self.values) if self.weights is None else self.weights.sum())

    @cached_property
    def summary(self) -> Summary:
        return summarise(self.values, self.weights, self.n_jobs)

    @cached_property
    def rows(self) -> Rows:
        """All observations, with caches that last between passes."""
        return Rows(self.values, self.weights, labels=self.labels, begins=self.begins)

    @cached_property
    def faults(self) -> Faults:
        """Faults of values and weights."""
        return self.reduce(faults_in, 1)

    def row_text(self, row: int) -> str:
        return f"row {row}"

    def _chunks(self, width: int, earlier: Kept | None = None) -> list[Rows]:
        n_rows, n_features = self.shape
        rows = self.rows if earlier is None else self.rows.recalling(earlier.some(slice(None)))
        return rows.blocks(chunk_rows(n_rows, n_features, width))

    def idle(self, width: int) -> int:
        return max(0, resolve_jobs(self.n_jobs) - len(self._chunks(width)))

    def reduce(
        self, step: Callable[[Rows], Value], width: int, earlier: Kept | None = None
    ) -> Value:
        chunks = self._chunks(width, earlier)
        if len(chunks) == 1:
            return step(chunks[0])
        return reduced(step, chunks, resolve_jobs(self.n_jobs))

    def map(self, step: Callable[[Rows], Value], width: int, earlier: Kept | None = None) -> Value:
        chunks = self._chunks(width, earlier)
        parts: Any = list(ordered_map(step, chunks, resolve_jobs(self.n_jobs)))
        whole: Value = parts[0] if len(parts) == 1 else cast("Any", np.concatenate(parts))
        return whole

    def keep(
        self, step: Callable[[Rows], Indices], width: int, earlier: Kept | None = None
    ) -> KeptHere:
        return KeptHere(self.map(step, width, earlier))

    def with_jobs(self, n_jobs: int | None) -> ArraySource:
        if n_jobs == self.n_jobs:
            return self
        other = replace(self, n_jobs=n_jobs)
        # The summary does not depend on the number of threads.
        cached = {name: self.__dict__[name] for name in OF_THE_ROWS if name in self.__dict__}
        other.__dict__.update(cached)
        return other

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
        """Return a subset (indices or a mask) with its weights."""
        weights = None if self.weights is None else self.weights[rows]
        return replace(
            self,
            values=self.values[rows],
            weights=weights,
            numbers=None if self.numbers is None else self.numbers[rows],
            labels=None if self.labels is None else self.labels[rows],
            begins=None if self.begins is None else self.begins[rows],
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


# Errors of damaged headers, which are parsed as Python.
DAMAGED = (
    ArithmeticError,
    LookupError,
    MemoryError,
    OSError,
    RecursionError,
    SyntaxError,
    TypeError,
    UserWarning,
    ValueError,
    tokenize.TokenError,
)


def open_npy(
    path: str | PathLike[str], weights: Array | None = None, n_jobs: int | None = 1
) -> ArraySource:
    """Open a two-dimensional numerical ``.npy`` file as a memory-mapped source.

    Raises ``InvalidInputError`` for any other content.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # a header of Python 2, or a damaged one
            values = np.load(fspath(path), mmap_mode="r", allow_pickle=False)
    except DAMAGED as problem:
        remedy = ": save rows.astype(float)" if "Python objects" in str(problem) else ""
        raise InvalidInputError(
            f"{path}: not a readable .npy file: {problem!r:.200}{remedy}"
        ) from None
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        remedy = "save rows[:, None]" if values.ndim == 1 else "save rows and columns"
        if values.dtype.kind not in "fiub":
            remedy = "save an array of floats, with a column for each part or field"
        raise InvalidInputError(
            f"{path}: expected a two-dimensional array of real numbers, "
            f"got shape {values.shape} of {values.dtype}: {remedy}"
        )
    return ArraySource(values, weights, n_jobs)
