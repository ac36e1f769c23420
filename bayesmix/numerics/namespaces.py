"""Arrays of other libraries (the array API standard): where they lie, and the way to the host.

The names are those of array-api-compat, which knows what each library calls things.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import array_api_compat as compat
import numpy as np

from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Integers

# An array of any library that keeps the standard, and the namespace of its functions.
DeviceArray: TypeAlias = Any
Namespace: TypeAlias = Any


def is_elsewhere(X: Any) -> bool:
    """Whether X is an array of another library than NumPy, on whatever device."""
    known = isinstance(X, np.generic | list | tuple) or compat.is_numpy_array(X)
    if known or compat.is_dask_array(X) or compat.is_pydata_sparse_array(X):
        return False
    return bool(compat.is_array_api_obj(X))


def host(X: Any) -> Any:
    """The numbers of X as a NumPy array; X itself where it is none of another library."""
    if not is_elsewhere(X):
        return X
    if compat.is_torch_array(X):
        return X.detach().cpu().numpy()
    if compat.is_cupy_array(X):
        return X.get()
    namespace = compat.array_namespace(X)
    if compat.is_array_api_strict_namespace(namespace):
        X = X.to_device(namespace.Device("CPU_DEVICE"))
    return np.asarray(X)


def beside(values: Array | Integers, X: Any) -> Any:
    """Numbers of the host as an array of the library of X, on its device."""
    return compat.array_namespace(X).asarray(values, device=compat.device(X))


def device_of(X: Any) -> Any:
    """Where an array lies."""
    return compat.device(X)


def chosen(X: Any, rows: Integers) -> Any:
    """Some rows, copied where they lie."""
    return compat.array_namespace(X).take(X, beside(rows, X), axis=0)


def together(parts: list[Any]) -> Any:
    """Arrays of one library, one after the other."""
    return parts[0] if len(parts) == 1 else compat.array_namespace(*parts).concat(parts, axis=0)


def as_doubles(X: Any) -> tuple[Any, Any]:
    """The namespace of X, and X as float64 where it lies."""
    xp = compat.array_namespace(X)
    try:
        doubles = xp.astype(X, xp.float64, copy=False)
    except (AttributeError, TypeError, ValueError, RuntimeError):
        doubles = None
    if doubles is None or doubles.dtype != xp.float64:
        raise UnsupportedError(
            f"X lies on {compat.device(X)}, which has no double precision: move it to the host"
        )
    return xp, doubles
