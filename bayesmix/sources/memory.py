"""Rows of an array in memory or memory-mapped, in chunks fixed by (N, D, K) alone.

Numeric files that are mapped into memory rather than read.
"""

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
# Work of a chunk, in rows times components times features and what a row costs besides.
CHUNK_WORK = 2**21
BESIDES = 8
# A pass of less (about 0.3 ms), by ``cost_of``, is over before another thread has joined in.
WORTH_HALVING = 3_000_000
OF_THE_ROWS = ("summary", "total_weight", "faults", "rows")


def chunk_rows(n_rows: int, n_features: int, width: int) -> int:
    """Rows in a chunk: enough work for a thread, at most 256 chunks; never of threads or time.

    More than one chunk are an even number of equal ones, so that two threads share them evenly.
    """
    work = n_rows * width * (n_features + BESIDES)
    if n_rows * width * cost_of(n_features) < WORTH_HALVING:
        return n_rows
    pairs = min(MOST_CHUNKS // 2, max(1, work // (2 * CHUNK_WORK)))
    return -(-n_rows // (2 * pairs))


@dataclass(frozen=True)
class KeptHere:
    """An integer of every row of an array (n,)."""

    values: Indices

    def differing(self, other: Kept) -> int:
        """For how many rows two of them differ."""
        return int(np.count_nonzero(self.values != other.some(slice(None))))

    def some(self, rows: slice) -> Indices:
        """Those of some rows."""
        return self.values[rows]


@dataclass(frozen=True)
class ArraySource:
    """values (n, D) of any real type, optional weights (n,), and how many threads may work.

    ``columns`` are the names of the features, where they have any; ``numbers`` what messages call
    the rows, where these are some of the rows that were given; ``coding`` what the columns were
    before they became numbers, where that is known. ``labels`` and ``begins`` are as in ``Rows``;
    some of the rows that ``begins`` keeps together stay together only if they are whole sequences.
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
        """Without what rows keep of one pass for the next."""
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
        """All rows at once: what they keep of one pass is there in the next."""
        return Rows(self.values, self.weights, labels=self.labels, begins=self.begins)

    @cached_property
    def faults(self) -> Faults:
        """What is wrong with values and weights."""
        return self.reduce(faults_in, 1)

    def row_text(self, row: int) -> str:
        """What messages call a row."""
        return f"row {row}"

    def _chunks(self, width: int, earlier: Kept | None = None) -> list[Rows]:
        n_rows, n_features = self.shape
        rows = self.rows if earlier is None else self.rows.recalling(earlier.some(slice(None)))
        return rows.blocks(chunk_rows(n_rows, n_features, width))

    def idle(self, width: int) -> int:
        """How many of the threads have nothing to do in a pass: chunks are few."""
        return max(0, resolve_jobs(self.n_jobs) - len(self._chunks(width)))

    def reduce(
        self, step: Callable[[Rows], Value], width: int, earlier: Kept | None = None
    ) -> Value:
        """Σ over chunks, each computed whole, merged in a fixed binary tree."""
        chunks = self._chunks(width, earlier)
        if len(chunks) == 1:
            return step(chunks[0])
        return reduced(step, chunks, resolve_jobs(self.n_jobs))

    def map(self, step: Callable[[Rows], Value], width: int, earlier: Kept | None = None) -> Value:
        """Per-row output, concatenated in the order of the rows."""
        chunks = self._chunks(width, earlier)
        parts: Any = list(ordered_map(step, chunks, resolve_jobs(self.n_jobs)))
        whole: Value = parts[0] if len(parts) == 1 else cast("Any", np.concatenate(parts))
        return whole

    def keep(
        self, step: Callable[[Rows], Indices], width: int, earlier: Kept | None = None
    ) -> KeptHere:
        """Per-row output; here is where the rows are."""
        return KeptHere(self.map(step, width, earlier))

    def with_jobs(self, n_jobs: int | None) -> ArraySource:
        """The same rows for so many threads."""
        if n_jobs == self.n_jobs:
            return self
        other = replace(self, n_jobs=n_jobs)
        # What is known of the rows does not depend on who looked at them.
        known = {name: self.__dict__[name] for name in OF_THE_ROWS if name in self.__dict__}
        other.__dict__.update(known)
        return other

    def present(self) -> ArraySource:
        """Without rows of weight zero; these have the numbers that they had."""
        if self.weights is None or self.weights.all():
            return self
        return self.numbered(np.flatnonzero(self.weights))

    def numbered(self, rows: Integers) -> ArraySource:
        """Some rows, with the numbers that they had among all."""
        some = self.subset(rows)
        return some if self.numbers is not None else replace(some, numbers=rows)

    def spread(self, n: int) -> ArraySource:
        """About n rows, evenly spaced."""
        return self.subset(slice(None, None, max(1, len(self.values) // n)))

    def in_memory(self, rows: Any = None) -> ArraySource:
        """Some rows (indices or a slice), by default all of them: they are at hand."""
        return self if rows is None else self.subset(rows)

    def subset(self, rows: Any) -> ArraySource:
        """Some rows (indices or a mask), with their weights."""
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
        """The same rows with their weights multiplied by factors (n,)."""
        weights = factors if self.weights is None else self.weights * factors
        return replace(self, weights=weights)

    def standing_for(self, total_weight: float) -> ArraySource:
        """The same rows with weights in the same proportions that add up to so much."""
        return self.reweighted(np.full(len(self.values), total_weight / self.total_weight))

    def sample(self, n: int, generator: np.random.Generator) -> ArraySource:
        """At most n rows without replacement, in their order; all of them where there are fewer."""
        if n >= len(self.values):
            return self
        rows = np.sort(generator.choice(len(self.values), n, replace=False))
        return self.subset(rows)


# What a header raises that is no header: it is parsed as Python.
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
    """A two-dimensional numeric ``.npy`` file as a source; its pages are read as they are used.

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
