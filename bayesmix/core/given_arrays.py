"""Arrays given by the user as parameters, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.core.validation import unmasked
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array


def finite_array(name: str, value: Any, shape: tuple[int, ...], of: str = "") -> Array:
    """Return ``value`` as finite numbers of a shape; ``of`` explains the shape."""
    unmasked(name, value)
    try:
        array = np.asarray(value)
        numeric = array.dtype.kind in "fiub"
    except ValueError:  # a ragged list
        array, numeric = np.empty(0), False
    expected = f"{name} must be finite numbers of shape {shape}{of}"
    if not numeric:
        raise InvalidInputError(f"{expected}, got {value!r:.80}")
    if array.shape != shape:
        raise InvalidInputError(f"{expected}, got shape {array.shape}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise InvalidInputError(f"{expected}, got {np.argwhere(~np.isfinite(array))[0]} not finite")
    return array


def component_weights(value: Any, n_components: int) -> Array:
    """Check that ``weights_init`` (K,) is in [0, 1] and sums to 1."""
    weights = finite_array("weights_init", value, (n_components,))
    if weights.min() < 0 or weights.max() > 1:
        raise InvalidInputError(
            f"weights_init must lie between 0 and 1, got {weights.min():g} to {weights.max():g}"
        )
    if abs(weights.sum() - 1.0) > 1e-8:
        raise InvalidInputError(
            f"weights_init must sum to 1, got a sum of {weights.sum():.6g}: divide them by it"
        )
    return weights
