"""Steps over the chunks of a partition: their sum in a fixed tree, or their output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, cast

import numpy as np

from bayesmix.core.parallel import ordered_map, resolve_jobs
from bayesmix.core.rows import Rows
from bayesmix.core.tree_sums import reduced
from bayesmix.numerics.arrays import Indices
from bayesmix.sources.memory import Value, chunk_rows

if TYPE_CHECKING:
    from bayesmix.core.sources import Kept


@dataclass(frozen=True)
class Within(Generic[Value]):
    """Sum of a step over the chunks of a partition in a fixed tree, or its concatenated output."""

    step: Callable[[Rows], Value]
    width: int
    mapped: bool = False
    n_jobs: int | None = 1

    def __call__(self, rows: Rows) -> Value:
        n_rows, n_features = rows.values.shape
        chunks = rows.blocks(chunk_rows(n_rows, n_features, self.width))
        if len(chunks) == 1:
            return self.step(chunks[0])
        n_jobs = resolve_jobs(self.n_jobs)
        if self.mapped:
            output: Any = list(ordered_map(self.step, chunks, n_jobs))
            return cast("Value", np.concatenate(output))
        return reduced(self.step, chunks, n_jobs)


@dataclass(frozen=True)
class KeptHere:
    """An integer per observation (n,), in memory."""

    values: Indices

    def differing(self, other: Kept) -> int:
        return int(np.count_nonzero(self.values != other.some(slice(None))))

    def some(self, rows: slice) -> Indices:
        return self.values[rows]
