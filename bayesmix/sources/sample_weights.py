"""The check of sample weights."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from bayesmix.core.validation import unmasked
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, is_elsewhere
from bayesmix.numerics.device_arrays import host

# Weights count samples: sums outside this range are implausible and overflow when squared.
SUM_OF_WEIGHTS = (1e-12, 1e18)
# Samples with less than this share of all weight change no digit and are left out.
LEAST_WEIGHT = 1e-18


def unless_equal(weights: Array | None) -> Array | None:
    """Return weights, or None if all are 1."""
    return None if weights is None or np.all(weights == 1.0) else weights


def refuse_weights(sample_weight: Any) -> None:
    """Raise an error for weights beside a source, which has its own."""
    if sample_weight is not None:
        raise InvalidInputError(
            "sample_weight must be None for a source: name the weight column when reading"
        )


def row_weights(value: Any, n_rows: int) -> Array:
    """Return ``sample_weight`` as n finite, nonnegative numbers; a scalar is repeated."""
    expected = f"sample_weight must be one number for each of the {n_rows} rows"
    if is_elsewhere(value):
        value = host(value)
    unmasked("sample_weight", value)
    try:
        if hasattr(value, "to_numpy") and hasattr(value, "iloc"):  # with pandas' missing values
            value = value.to_numpy(np.float64, na_value=np.nan)
        given = np.full(n_rows, float(value)) if isinstance(value, Real) else np.asarray(value)
        there = given.shape == (n_rows,)
        weights = given.astype(np.float64) if there and given.dtype.kind in "fiubO" else None
    except (TypeError, ValueError):  # ragged, or non-numeric objects
        there, weights = True, None
    if not there and given.ndim:
        remedy = ": give one column, as weights[:, 0]" if given.ndim == 2 else ""
        raise InvalidInputError(f"{expected}, got shape {given.shape}{remedy}")
    if weights is None:
        raise InvalidInputError(f"{expected}, got {value!r:.60}")
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0.0)))
    if len(wrong):
        raise InvalidInputError(
            f"sample_weight must be finite and not negative, got {weights[wrong[0]]} for row "
            f"{wrong[0]}: drop that row, or give it weight 0"
        )
    if not weights.any():
        raise InvalidInputError(
            "sample_weight must not be zero for every row: give some row a positive weight"
        )
    total = float(np.minimum(weights, SUM_OF_WEIGHTS[1]).sum())
    if not SUM_OF_WEIGHTS[0] <= total < SUM_OF_WEIGHTS[1]:
        raise InvalidInputError(
            "sample_weight contains repetition counts and must sum to between "
            f"{SUM_OF_WEIGHTS[0]:g} and {SUM_OF_WEIGHTS[1]:g}, got weights from "
            f"{weights.min():g} to {weights.max():g}: divide them by their mean"
        )
    return np.where(weights < LEAST_WEIGHT * total, 0.0, weights)
