"""Log permanents of positive matrices, for averages over relabellings of components.

Matrices are scaled so that their largest matching is 1 and cut into blocks at negligible entries;
blocks use f(C) = Σ_{j in C} a[|C|, j] f(C without j) over column sets C, whose terms are all
positive. Large blocks have an upper bound: a permanent of entries from 0 to 1 is its mean over
independent 0-1 matrices with these entries as probabilities, each at most ∏_i (r_i!)^(1/r_i) for
row sums r_i (Brègman 1973), and this is concave in r_i.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import comb
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import gammaln

from bayesmix.numerics.arrays import Array, Integers

LARGEST_BLOCK = 20
# Values of a batch of matrices in memory.
BATCH_VALUES = 2**21
# Up to this size searching for blocks does not pay.
WHOLE_UP_TO = 10
# Smaller entries of a scaled matrix are dropped. In a block of 20 rows, the matchings that use one
# add up to at most 20! 1e-40 = 2e-22, beside a permanent of at least 1.
NEGLIGIBLE = 1e-40


def log_permanents(log_matrices: Array) -> Array:
    """Return log permanents (S,) of matrices with finite log entries (S, K, K).

    NaN for blocks of more than 20 rows.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesmix.numerics.permanents import log_permanents
    >>> float(np.exp(log_permanents(np.log([[[1.0, 2.0], [3.0, 4.0]]]))[0]))
    10.0
    """
    return _over_blocks(log_matrices, _log_permanents)


def log_permanent_bounds(log_matrices: Array) -> Array:
    """Return upper bounds (S,) of log permanents of matrices with finite log entries (S, K, K).

    They are exact for blocks of up to 10 rows, and for blocks of equal entries.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesmix.numerics.permanents import log_permanent_bounds
    >>> bound = log_permanent_bounds(np.zeros((1, 12, 12)))[0]
    >>> bool(np.isclose(bound, np.log(np.arange(1, 13)).sum()))
    True
    """
    return _over_blocks(log_matrices, _log_bounds)


def _over_blocks(log_matrices: Array, of_block: Callable[[Array], Array]) -> Array:
    """Return the sums over blocks of a function of scaled matrices, in units of the matrices."""
    logs, log_factors = _matched(log_matrices)
    scaled = np.exp(logs)
    small = log_matrices.shape[1] <= WHOLE_UP_TO
    return log_factors + (of_block(scaled) if small else _by_blocks(scaled, of_block))


def _matched(log_matrices: Array) -> tuple[Array, Array]:
    """Scale so that the largest matching is a diagonal of ones; return logs and log factors."""
    order = np.array([linear_sum_assignment(matrix, maximize=True)[1] for matrix in log_matrices])
    logs = np.take_along_axis(log_matrices, order[:, None, :], axis=2)
    matching = np.trace(logs, axis1=1, axis2=2)
    logs -= np.diagonal(logs, axis1=1, axis2=2)[:, None, :].copy()
    # The matching is the largest, so no cycle gains and longest paths are potentials.
    longest = logs.copy()
    for via in range(logs.shape[1]):
        np.maximum(longest, longest[:, :, via, None] + longest[:, None, via], out=longest)
    potential = longest.max(axis=2)
    logs += potential[:, None, :] - potential[:, :, None]
    return logs, matching


def _by_blocks(matrices: Array, of_block: Callable[[Array], Array]) -> Array:
    """Return sums (S,) of a function of the blocks, grouping draws with the same blocks."""
    row_labels, column_labels = _blocks(matrices > NEGLIGIBLE)
    patterns, which = np.unique(
        np.concatenate([row_labels, column_labels], axis=1), axis=0, return_inverse=True
    )
    n_rows = matrices.shape[1]
    sums = np.zeros(len(matrices))
    for index, pattern in enumerate(patterns):
        members = np.flatnonzero(which.ravel() == index)
        for label in np.unique(pattern[:n_rows]):
            rows = np.flatnonzero(pattern[:n_rows] == label)
            columns = np.flatnonzero(pattern[n_rows:] == label)
            block = matrices[np.ix_(members, rows, columns)]
            sums[members] += of_block(block)
    return sums


def _blocks(kept: Any) -> tuple[Integers, Integers]:
    """Return block labels (S, K) of rows and of columns connected by kept entries."""
    kept = kept.astype(np.float32)  # products of Booleans are slow
    together = np.sign(kept @ kept.transpose(0, 2, 1))
    for _ in range(max(1, kept.shape[1] - 1).bit_length()):
        together = np.sign(together @ together)
    rows = together.argmax(axis=2)
    return rows, np.take_along_axis(rows, kept.argmax(axis=1), axis=1)


def _log_bounds(matrices: Array) -> Array:
    """Return upper bounds (S,) of log permanents of entries from 0 to 1, by rows or by columns."""
    n_rows = matrices.shape[1]
    if n_rows <= WHOLE_UP_TO:
        return _log_permanents(matrices)
    sizes = np.arange(1, n_rows + 1)
    largest = np.append(0.0, np.exp(gammaln(sizes + 1.0) / sizes))
    bounds = [np.interp(matrices.sum(axis=axis), np.append(0, sizes), largest) for axis in (1, 2)]
    return np.asarray(np.log(bounds).sum(axis=2).min(axis=0))


def _log_permanents(matrices: Array) -> Array:
    """Return log permanents (S,) by dynamic programming over column sets of the first rows."""
    n_matrices, n_rows, n_columns = matrices.shape
    if n_rows != n_columns:
        return np.full(n_matrices, -np.inf)
    if n_rows > LARGEST_BLOCK:
        return np.full(n_matrices, np.nan)
    size = max(1, BATCH_VALUES // comb(n_rows, n_rows // 2))
    parts = [
        _of_batch(np.ascontiguousarray(matrices[start : start + size].transpose(1, 2, 0)))
        for start in range(0, n_matrices, size)
    ]
    return np.log(np.concatenate(parts)) if parts else np.zeros(0)


def _of_batch(entries: Array) -> Array:
    """Return permanents (S,) of entries (m, m, S)."""
    sums = np.ones((1, entries.shape[2]))
    for row, (columns, before) in zip(entries, _sets(len(entries)), strict=True):
        following = row[columns[:, 0]] * sums[before[:, 0]]
        for place in range(1, columns.shape[1]):
            following += row[columns[:, place]] * sums[before[:, place]]
        sums = following
    return sums[0]


@lru_cache(maxsize=8)
def _sets(size: int) -> tuple[tuple[Integers, Integers], ...]:
    """Return for column sets of size 1 to m their members, and the index without each member."""
    every = np.arange(2**size)
    members = (every[:, None] >> np.arange(size)) & 1
    counts = members.sum(axis=1)
    number = np.empty(2**size, dtype=np.intp)
    number[0] = 0
    layers = []
    for count in range(1, size + 1):
        chosen = np.flatnonzero(counts == count)
        number[chosen] = np.arange(len(chosen))
        columns = np.nonzero(members[chosen])[1].reshape(len(chosen), count)
        layers.append((columns, number[chosen[:, None] ^ (1 << columns)]))
    return tuple(layers)
