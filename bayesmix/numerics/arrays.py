"""Array types and the unit roundoff.

Kinds of features in which log densities can be linear, and the cost of a pass.

Weighted quantiles that are values of the data, so that weights are equivalent to repetition.

Missing values, and arrays of other libraries (array API standard).
"""

from __future__ import annotations

import math
from dataclasses import is_dataclass
from typing import Any, TypeAlias, TypeVar

import array_api_compat as compat
import numpy as np
import numpy.typing as npt

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


TOTALS = 0  # [1, x]
COUNTS = 1  # [1, x, -Σ log x!]
AXES = 2  # [1, x, x²]
DENSE = 3  # [1, x, x_i x_j (i <= j)]
COLUMNS_FIRST = (AXES, DENSE)  # features may be written in place from framed data
PRODUCT = -2  # features of the parts of a product, concatenated
CHOICES = 4  # [1, x, Σ log of the binomial coefficients]
LEVELS = 5  # [1, indicators of the levels of each column]
WITH_LOGS = 7  # [1, x, log x]
TRANSFORMED = 8  # plus the kind of the normal features: these of g(x), and the Jacobian
LOG_2, LOG_2PI = math.log(2.0), math.log(2.0 * math.pi)
# Cost of an exponential, in multiplications.
EXPONENTIAL = 16


def cost_of(n_columns: int) -> int:
    """Return the cost of an observation and a component in a pass, in multiplications."""
    return 1 + n_columns + n_columns * (n_columns + 1) // 2 + EXPONENTIAL


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


def has_gaps(values: Stored) -> bool:
    """Whether any value is missing."""
    return bool(values.dtype.kind == "f" and np.isnan(values).any())


def without_gaps(values: Array) -> Array:
    """Replace missing values by 0."""
    return np.where(np.isnan(values), 0.0, values)
