"""A source of rows in several arrays, as a file has them in groups: they are never joined.

It has what ``protocols.source`` asks for and nothing else, so that a part of the package that asks
for more fails on it.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bayesmix.core.rows import Rows, faults_in
from bayesmix.core.tree_sums import reduced
from bayesmix.errors import TooManyRowsError
from bayesmix.sources.memory import ArraySource, summarise


@dataclass(frozen=True)
class Parts:
    """Rows part by part, of which only so many may be at hand."""

    values: tuple
    weights: tuple | None = None
    at_hand: int = 10**9
    columns: tuple[str, ...] | None = None
    numbers: np.ndarray | None = None
    n_jobs: int | None = 1

    @classmethod
    def of(cls, values, cuts, weights=None, **options):
        """Parts of an array, cut before these rows."""
        rows = None if weights is None else tuple(np.split(weights, cuts))
        return cls(tuple(np.split(values, cuts)), rows, **options)

    @property
    def _sizes(self):
        return [len(part) for part in self.values]

    @property
    def _weights(self):
        return [None] * len(self.values) if self.weights is None else self.weights

    @property
    def _parts(self):
        firsts = np.cumsum([0, *self._sizes])
        return [Rows(*part) for part in zip(self.values, self._weights, firsts, strict=False)]

    @property
    def shape(self):
        return sum(self._sizes), self.values[0].shape[1]

    @cached_property
    def total_weight(self):
        return float(self.shape[0] if self.weights is None else sum(map(np.sum, self.weights)))

    @cached_property
    def summary(self):
        weights = None if self.weights is None else np.concatenate(self.weights)
        return summarise(np.concatenate(self.values), weights, 1)

    def idle(self, width):
        return 0

    @property
    def faults(self):
        return self.reduce(faults_in, 1)

    def row_text(self, row):
        return f"row {row}"

    def reduce(self, step, width):
        return reduced(step, self._parts, 1)

    def map(self, step, width):
        return np.concatenate([step(part) for part in self._parts])

    def with_jobs(self, n_jobs):
        return self

    def present(self):
        if self.weights is None or all(part.all() for part in self.weights):
            return self
        rows = np.flatnonzero(np.concatenate(self.weights))
        return replace(self.subset(rows), numbers=rows)

    def subset(self, rows):
        chosen = np.zeros(self.shape[0], dtype=bool)
        chosen[rows] = True
        own = np.split(chosen, np.cumsum(self._sizes)[:-1])
        values = tuple(part[some] for part, some in zip(self.values, own, strict=True))
        weights = self.weights
        if weights is not None:
            weights = tuple(part[some] for part, some in zip(weights, own, strict=True))
        return replace(self, values=values, weights=weights, numbers=None)

    def sample(self, n, generator):
        n_rows = self.shape[0]
        chosen = generator.choice(n_rows, n, replace=False) if n < n_rows else np.arange(n_rows)
        return self.in_memory(np.sort(chosen))

    def spread(self, n):
        return self.in_memory(slice(None, None, max(1, self.shape[0] // n)))

    def in_memory(self, rows=None):
        n_rows = self.shape[0]
        numbers = np.arange(n_rows)[slice(None) if rows is None else rows]
        if len(numbers) > self.at_hand:
            raise TooManyRowsError(f"{len(numbers):,} rows are more than are read at once")
        ends = np.cumsum(self._sizes)
        which = np.searchsorted(ends, numbers, side="right")
        within = numbers - (ends - self._sizes)[which]
        values = np.array([self.values[k][row] for k, row in zip(which, within, strict=True)])
        weights = None
        if self.weights is not None:
            weights = np.array([self.weights[k][i] for k, i in zip(which, within, strict=True)])
        return ArraySource(values.reshape(-1, self.shape[1]), weights, columns=self.columns)
