"""The E-step of sequences, which are allocated whole."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.core.mixture import ChunkSums, Mixture
from bayesmix.core.rows import Frame, Rows
from bayesmix.em.expectation import Arithmetic, block_rows, block_sums
from bayesmix.numerics.arrays import Array

if TYPE_CHECKING:
    from bayesmix.core.components import Additive, Components, DensitiesAndStatistics

# Features of sequences that are held between densities and statistics: 32 MB.
MOST_HELD = 2**22


def sequence_sums(
    arithmetic: Arithmetic, mixture: Mixture[Components], rows: Rows, width: int
) -> ChunkSums:
    """Run the E-step on a chunk of sequences, which are allocated whole."""
    components, frame = mixture.components, mixture.frame
    joint, statistics = densities_in_blocks(arithmetic, components, frame, rows, width)
    joint += mixture.finite_log_weights
    return block_sums(mixture, joint, rows, statistics)


def densities_in_blocks(
    arithmetic: Arithmetic, components: Components, frame: Frame, rows: Rows, width: int
) -> DensitiesAndStatistics:
    """Return log densities of a chunk and a function to statistics, both computed in blocks.

    For data with more than ``MOST_HELD`` features densities are computed twice.
    """

    def of_blocks() -> Iterator[tuple[slice, DensitiesAndStatistics]]:
        for block in rows.cut(block_rows(width, components.n_components)):
            place = slice(block.first - rows.first, block.first - rows.first + len(block))
            yield place, arithmetic.densities(components, block.framed(frame))

    held = list(of_blocks()) if len(rows) * width <= MOST_HELD else None
    joint: Array = np.empty((components.n_components, len(rows))).T
    for place, (log_density, _) in held or of_blocks():
        joint[place] = log_density

    def statistics(shares: Array) -> Additive:
        return reduce(add, (part(shares[place]) for place, (_, part) in held or of_blocks()))

    return joint, statistics
