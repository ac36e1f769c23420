"""Memory for results by sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesmix.core import validation
from bayesmix.sources.memory import in_parts

if TYPE_CHECKING:
    from bayesmix.core.sources import Source


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
