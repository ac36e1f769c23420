"""Steps over the chunks of a partition: their sum in a fixed tree, or their output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, cast

import numpy as np

from bayesmix.core.parallel import ordered_map, resolve_jobs
from bayesmix.core.rows import MOST_INDEXED, Rows
from bayesmix.core.tree_sums import reduced
from bayesmix.sources.memory import Value, chunk_rows


@dataclass(frozen=True)
class Within(Generic[Value]):
    """Sum of a step over the chunks of a partition in a fixed tree, or its concatenated output."""

    step: Callable[[Rows], Value]
    width: int
    mapped: bool = False
    n_jobs: int | None = 1

    def __call__(self, rows: Rows) -> Value:
        n_rows, n_features = rows.values.shape
        chunks = chunks_of(rows, chunk_rows(n_rows, n_features, self.width))
        if len(chunks) == 1:
            return self.step(chunks[0])
        n_jobs = resolve_jobs(self.n_jobs)
        if self.mapped:
            output: Any = list(ordered_map(self.step, chunks, n_jobs))
            return cast("Value", np.concatenate(output))
        return reduced(self.step, chunks, n_jobs)


def chunks_of(rows: Rows, size: int) -> list[Rows]:
    """Return the chunks of a partition; the last one of small data is kept for the next pass.

    Chunks hold what passes find out about their values, such as patterns of missing ones.
    """
    if rows.values.size > MOST_INDEXED:
        return rows.blocks(size)
    kept: tuple[int, list[Rows]] | None = rows.__dict__.get("chunks")
    if kept is None or kept[0] != size:
        kept = rows.__dict__["chunks"] = size, rows.blocks(size)
    return kept[1]
