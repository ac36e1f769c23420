"""Allocation of groups of samples that share their component."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix.core.group_counts import GroupCounts
from bayesmix.core.rows import LOWEST_LOG, Allocated, Rows
from bayesmix.numerics.arrays import Array, normalise

if TYPE_CHECKING:
    from bayesmix.core.priors import Allocation


def group_by_group(weights: Allocation, joint: Array, rows: Rows) -> Allocated:
    """Turn log joints (n, K) into responsibilities that all samples of a group share.

    Log densities add up within a group and log weights count once. The log normaliser of a group is
    divided among its samples, which have equal sample weights.
    """
    sizes = rows.side.group_sizes
    starts = np.cumsum(sizes) - sizes
    logs = np.maximum(weights.expected_log(), LOWEST_LOG)
    sums: Array = np.add.reduceat(joint, starts, axis=0) - (sizes - 1.0)[:, None] * logs
    log_normaliser = np.repeat(normalise(sums) / sizes, sizes)
    joint[:] = np.repeat(sums, sizes, axis=0)
    counts = (rows.weights_or_ones[starts, None] * sums).sum(axis=0)
    return Allocated(log_normaliser, GroupCounts(counts))
