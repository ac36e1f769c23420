"""Arrays of other libraries on their devices, and their copies on the host."""

from __future__ import annotations

from typing import Any, TypeAlias

import array_api_compat as compat
import numpy as np

from bayesmix.errors import InvalidTypeError, UnsupportedError
from bayesmix.numerics.arrays import Array, Integers, is_elsewhere

# An array of any such library, and its namespace of functions.
DeviceArray: TypeAlias = Any

Namespace: TypeAlias = Any


def host(X: Any) -> Any:
    """Return X as a NumPy array, unchanged if it has no other library."""
    if not is_elsewhere(X):
        return X
    if compat.is_torch_array(X):
        if str(X.layout) != "torch.strided":
            raise InvalidTypeError("X must be dense, got a sparse tensor: pass X.to_dense()")
        X = X.detach().cpu()
        # NumPy has no such type.
        return (X.float() if str(X.dtype) == "torch.bfloat16" else X).numpy()
    if compat.is_cupy_array(X):
        return X.get()
    namespace = compat.array_namespace(X)
    if compat.is_array_api_strict_namespace(namespace):
        X = X.to_device(namespace.Device("CPU_DEVICE"))
    return np.asarray(X)


def on_processor(X: Any) -> bool:
    """Whether X is an array of another library in the memory of the processor."""
    if not is_elsewhere(X):
        return False
    if compat.is_torch_array(X):
        return bool(X.device.type == "cpu")
    if compat.is_jax_array(X):
        return all(place.platform == "cpu" for place in X.devices())
    namespace = compat.array_namespace(X)
    strict = compat.is_array_api_strict_namespace(namespace)
    return strict and bool(X.device == namespace.Device("CPU_DEVICE"))


def here(X: Any) -> Any:
    """Return X as a NumPy array, without a copy, if it lies in the memory of the processor."""
    return host(X) if on_processor(X) else X


def like(values: Any, X: Any) -> Any:
    """Return a result on the host in the library and on the device of X, text unchanged."""
    if not is_elsewhere(X) or not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        return values
    return beside(values, X)


def beside(values: Array | Integers, X: Any) -> Any:
    """Return host values as an array of the library and on the device of X."""
    if not values.flags.writeable:
        values = values.copy()  # PyTorch warns of arrays that it cannot write to
    return compat.array_namespace(X).asarray(values, device=compat.device(X))


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
