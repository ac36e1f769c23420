"""Types and kinds of arrays, quantiles, and log-sum-exp.

Log-sum-exp makes responsibilities of log joints (Bishop 2006, eq. 9.23 and 10.49).
"""

from __future__ import annotations

import math
from dataclasses import is_dataclass
from typing import Any, TypeAlias, TypeVar

import array_api_compat as compat
import numpy as np
import numpy.typing as npt

from bayesmix.numerics.sparse import is_sparse

Array: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Booleans: TypeAlias = npt.NDArray[np.bool_]
Indices: TypeAlias = npt.NDArray[np.integer[Any]]  # of any width
Stored: TypeAlias = npt.NDArray[Any]  # data of any real type

UNIT_ROUNDOFF = float(np.finfo(np.float64).eps) / 2.0

Value = TypeVar("Value")


def diagonal_matrices(entries: Array) -> Array:
    """Return matrices (K, D, D) with entries (K, D) on their diagonals."""
    return entries[:, :, None] * np.eye(entries.shape[1])


def power_of_two(sizes: Array) -> Array:
    """Return the powers of two at or below sizes; to divide by them is exact."""
    return np.exp2(np.floor(np.log2(sizes)))


def align(counts: Array, blocks: Array) -> Array:
    """Return ``counts`` with trailing axes of length 1, to multiply blocks."""
    return counts.reshape(counts.shape + (1,) * (blocks.ndim - counts.ndim))


def frozen(value: Value) -> Value:
    """Make all arrays in ``value``, at any depth, read-only."""
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    elif isinstance(value, (tuple, list)):
        for item in value:
            frozen(item)
    elif is_dataclass(value):
        for item in vars(value).values():
            frozen(item)
    return value


# Kinds of features of linear forms: [1, x, x²], and [1, x, x_i x_j (i <= j)].
SQUARES, PRODUCTS = 2, 3
COLUMNS_FIRST = (SQUARES, PRODUCTS)  # 1 and x are written in place from framed data
LOG_2, LOG_2PI = math.log(2.0), math.log(2.0 * math.pi)
# Cost of an exponential, in multiplications.
EXPONENTIAL = 16


def cost_of(n_columns: int) -> int:
    """Return the cost of an observation and a component in a pass, in multiplications."""
    return 1 + n_columns + n_columns * (n_columns + 1) // 2 + EXPONENTIAL


# Interquartile range of a normal distribution in standard deviations.
IQR_OF_NORMAL = 1.349


def quantiles(column: Array, weights: Array | None, levels: tuple[float, ...]) -> list[float]:
    """Return the smallest value with cumulative weight p, for each level p.

    Hyndman & Fan 1996, type 1: quantiles are values of ``column``, so that shifts and scaling by
    powers of two act exactly.
    """
    if weights is None:
        n = len(column)
        ranks = [max(0, int(np.ceil(level * n)) - 1) for level in levels]
        ordered = np.partition(column, sorted(set(ranks)))
        return [float(ordered[rank]) for rank in ranks]
    order = np.argsort(column, kind="stable")
    reached = np.cumsum(weights[order])
    places = np.searchsorted(reached, np.asarray(levels) * reached[-1] * (1.0 - 1e-12))
    return [float(column[order[min(place, len(order) - 1)]]) for place in places]


def is_elsewhere(X: Any) -> bool:
    """Whether X is an array of a library other than NumPy."""
    on_host = isinstance(X, np.generic | list | tuple) or compat.is_numpy_array(X)
    if on_host or compat.is_dask_array(X) or compat.is_pydata_sparse_array(X):
        return False
    return bool(compat.is_array_api_obj(X))


def has_gaps(values: Any) -> bool:
    """Whether any value is missing."""
    return bool(not is_sparse(values) and values.dtype.kind == "f" and np.isnan(values).any())


def without_gaps(values: Array) -> Array:
    """Replace missing values by 0."""
    return np.where(np.isnan(values), 0.0, values)


# Finite logarithms below this stand for minus infinity.
IMPOSSIBLE = -1e100
# If the largest log joint is this close to 0, no shift is needed: responsibilities that underflow
# are below e^-200.
NEAR_ZERO = 200.0
# Smaller exponentials are set to 0, as subnormal numbers are a hundred times slower.
LOWEST = -400.0
LEFT_OUT = float(np.exp(np.full(16, LOWEST))[0])  # in the rounding of the vectorised loop


def normalise(log_joint: Array) -> Array:
    """Turn log joints (n, K) into responsibilities in place; return the log normaliser (n,).

    Observations with all log joints minus infinity have log normaliser minus infinity and equal
    responsibilities.
    """
    lowest = np.minimum.reduce(log_joint, axis=None, initial=0.0)
    if lowest > -NEAR_ZERO and np.maximum.reduce(log_joint, axis=None, initial=0.0) < NEAR_ZERO:
        return _exponentiated(log_joint, some_left_out=False)
    largest = np.maximum.reduce(log_joint, axis=1)
    # Row by row, so that a row has the same digits among others as alone.
    near = np.abs(largest) < NEAR_ZERO
    if np.logical_and.reduce(near):
        return _exponentiated(log_joint, bool(lowest < LOWEST))
    impossible = largest == -np.inf
    some_impossible = np.count_nonzero(impossible) > 0
    largest[near | impossible] = 0.0
    log_joint[impossible] = 0.0
    log_joint -= largest[:, None]
    some_left_out = bool(np.minimum.reduce(log_joint, axis=None) < LOWEST)
    log_normaliser = _exponentiated(log_joint, some_left_out)
    log_normaliser += largest
    if some_impossible:
        log_normaliser[impossible] = -np.inf
    return log_normaliser


def _exponentiated(log_joint: Array, some_left_out: bool) -> Array:
    """Turn logarithms (n, K) into fractions of their rows in place; return log sums (n,)."""
    if some_left_out:
        np.maximum(log_joint, LOWEST, out=log_joint)
    np.exp(log_joint, out=log_joint)
    if some_left_out:
        log_joint -= LEFT_OUT
    total = np.add.reduce(log_joint, axis=1)
    log_joint /= total[:, None]  # a share of all is exactly 1
    return np.log(total)


def normalised(xp: Any, log_joint: Any) -> tuple[Any, Any]:
    """Return responsibilities (n, K) and log normaliser (n,) of finite log joints on a device."""
    largest = xp.max(log_joint, axis=1, keepdims=True)
    less = log_joint - largest
    shares = xp.where(less < LOWEST, xp.zeros_like(less), xp.exp(less))
    total = xp.sum(shares, axis=1, keepdims=True)
    return shares / total, (largest + xp.log(total))[:, 0]
