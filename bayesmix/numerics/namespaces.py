"""Arrays of other libraries (array API standard), and their transfer to the host."""

from __future__ import annotations

from typing import Any, TypeAlias

import array_api_compat as compat
import numpy as np

from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Integers

# An array of any such library, and its namespace of functions.
DeviceArray: TypeAlias = Any
Namespace: TypeAlias = Any


def is_elsewhere(X: Any) -> bool:
    """Whether X is an array of a library other than NumPy."""
    on_host = isinstance(X, np.generic | list | tuple) or compat.is_numpy_array(X)
    if on_host or compat.is_dask_array(X) or compat.is_pydata_sparse_array(X):
        return False
    return bool(compat.is_array_api_obj(X))


def host(X: Any) -> Any:
    """Return X as a NumPy array, unchanged if it has no other library."""
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
    """Return host values as an array of the library and on the device of X."""
    return compat.array_namespace(X).asarray(values, device=compat.device(X))


def device_of(X: Any) -> Any:
    """Return the device of an array."""
    return compat.device(X)


def chosen(X: Any, rows: Integers) -> Any:
    """Return some rows, copied on the device."""
    return compat.array_namespace(X).take(X, beside(rows, X), axis=0)


def together(parts: list[Any]) -> Any:
    """Concatenate arrays of one library."""
    return parts[0] if len(parts) == 1 else compat.array_namespace(*parts).concat(parts, axis=0)


def as_doubles(X: Any) -> tuple[Any, Any]:
    """Return the namespace of X, and X as float64 on its device."""
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
