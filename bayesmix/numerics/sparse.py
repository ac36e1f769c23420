"""Rows of mostly zeros, stored by their other entries (CSR), in the place of an array.

Products and sums use the stored entries; ``numpy.asarray`` makes rows dense, which is meant for a
few of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse

    from bayesmix.numerics.arrays import Array


@dataclass(frozen=True, eq=False)
class SparseRows:
    """Values (n, D) of which only those other than 0 are stored; none are missing."""

    matrix: sparse.csr_array  # of float64, without stored zeros

    @property
    def shape(self) -> tuple[int, int]:
        n, n_columns = self.matrix.shape
        return int(n), int(n_columns)

    ndim = 2
    dtype = np.dtype(np.float64)

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def T(self) -> Any:
        """The transpose as a sparse matrix, for products."""
        return self.matrix.T

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> SparseRows:
        return SparseRows(self.matrix[rows])

    def __matmul__(self, other: Array) -> Array:
        return np.asarray(self.matrix @ np.ascontiguousarray(other))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        dense: Array = self.matrix.toarray()
        return dense if dtype is None else dense.astype(dtype, copy=False)

    def sum(self, axis: int) -> Array:
        return np.asarray(self.matrix.sum(axis=axis), dtype=np.float64).ravel()

    def row_sums(self, entries: Array) -> Array:
        """Return the sums (n,) over rows of one number for each stored entry."""
        sums: Array = np.zeros(len(self))
        filled = np.flatnonzero(np.diff(self.matrix.indptr))
        if len(filled):
            sums[filled] = np.add.reduceat(entries, self.matrix.indptr[filled])
        return sums


def is_sparse(values: Any) -> TypeGuard[SparseRows]:
    """Whether values are stored by their entries other than 0."""
    return isinstance(values, SparseRows)


def stored_rows(X: Any) -> SparseRows:
    """Return a sparse matrix or array of any format as rows."""
    from scipy import sparse

    matrix = sparse.csr_array(X, dtype=np.float64, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return SparseRows(matrix)


def columns_read(values: Any) -> int:
    """Return the number of entries of a row that computations read: of sparse rows, on average."""
    n, n_columns = values.shape
    return -(-int(values.matrix.nnz) // max(n, 1)) if is_sparse(values) else int(n_columns)


def summed(function: Callable[[Array], Array], values: Any) -> Array:
    """Return Σ_d f(x_d) (n,) for a function that is 0 at 0."""
    if is_sparse(values):
        return values.row_sums(function(values.matrix.data))
    out: Array = function(values.T).sum(axis=0)
    return out
