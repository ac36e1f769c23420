"""Tables in the containers of other libraries: frames, vectors, and objects that become arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesmix.errors import InvalidTypeError
from bayesmix.numerics.device_arrays import here


def tabular(X: Any, name: str = "X") -> Any:
    """Return data as an array, or as a frame that has names; raise an error for sparse matrices.

    Frames of Arrow become frames of pandas, objects with ``__array__`` alone become arrays, and
    other data are unchanged.
    """
    X = native(X)
    kind = type(X)  # instances of frames have attributes by the names of their columns
    if hasattr(kind, "nnz"):
        raise InvalidTypeError(f"{name} must be dense, got a sparse matrix: pass {name}.toarray()")
    if hasattr(kind, "column_names") and hasattr(kind, "to_pandas"):
        return X.to_pandas()
    return np.asarray(X) if hasattr(X, "__array__") and not hasattr(X, "shape") else X


def native(X: Any) -> Any:
    """Return lazy frames collected, frames of narwhals as those beneath, tensors as arrays.

    Arrays of other libraries become NumPy arrays without a copy, but those on a device stay there.
    """
    X = here(X.collect() if type(X).__name__ == "LazyFrame" else X)
    return X.to_native() if hasattr(type(X), "to_native") else X


def one_column(X: Any) -> Any:
    """Return a series as a frame of one column, a vector of numbers as a column (n, 1)."""
    if hasattr(type(X), "to_frame") and getattr(X, "ndim", 1) == 1:
        return X.to_frame()
    if isinstance(X, (list, tuple)) and all(map(_is_scalar, X)):
        X = np.asarray(X)
    return X[:, None] if isinstance(X, np.ndarray) and X.ndim == 1 else X


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, Mapping) and np.ndim(value) == 0
