"""Types of sample weights: numbers of repetitions, or inverse probabilities of a survey."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bayesmix.core import validation
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError, warn
from bayesmix.numerics.arrays import Array, is_elsewhere
from bayesmix.numerics.device_arrays import host
from bayesmix.sources.memory import ArraySource, is_collection, is_source

WEIGHT_TYPES = (None, "frequency", "sampling")
# Weights that are not integers and sum to more than this many times n are probably survey weights.
MOST_PER_SAMPLE = 1.5


def warn_of_order(X: Any, values: Any, name: str = "y") -> None:
    """Warn if a series has the index of a frame in another order."""
    in_series = hasattr(X, "iloc") and hasattr(values, "iloc") and len(X) == len(values)
    if not in_series or X.index.equals(values.index) or not X.index.is_unique:
        return
    if values.index.isin(X.index).all():
        warn(
            f"{name} has the index of X in another order, but rows are matched by position: for "
            f"the order of X pass {name}.loc[X.index]",
            BayesmixWarning,
        )


def weighted(X: Any, sample_weight: Any, weight_type: str | None) -> tuple[Any, Any]:
    """Return data and weights of a type: sampling weights are divided by their mean.

    Likelihoods and criteria then equal those of Mplus and Latent GOLD. Weights of no stated type
    are unchanged, with a warning if they look like survey weights. Invalid weights are unchanged,
    and refused later.
    """
    validation.one_of("weight_type", weight_type, WEIGHT_TYPES)
    held = is_source(X) or is_collection(X)
    given = getattr(X, "weights", None) if held and sample_weight is None else sample_weight
    if weight_type == "sampling" and held and not isinstance(X, ArraySource):
        raise UnsupportedError(
            "weight_type='sampling' needs data in memory: use X.in_memory(), or divide the weights "
            "by their mean"
        )
    if given is None or not (held is False or isinstance(X, ArraySource)):
        if weight_type is not None and given is None:
            raise InvalidInputError(f"weight_type={weight_type!r} needs sample_weight: give both")
        return X, sample_weight
    warn_of_order(X, sample_weight, "sample_weight")
    weights, total = _numbers(given, X)
    if weights is None:
        return X, sample_weight
    n = int(np.count_nonzero(weights))
    if weight_type == "sampling":
        weights = weights * (n / total)
        return (replace(X, weights=weights), None) if held else (X, weights)
    if weight_type is None and total > MOST_PER_SAMPLE * n and (weights != np.rint(weights)).any():
        warn(
            f"sample_weight sums to {total:,.0f} for {n:,} samples, and criteria count as many "
            "observations: set weight_type='sampling' for survey weights, or "
            "weight_type='frequency' for numbers of repetitions",
            BayesmixWarning,
        )
    return X, sample_weight


def are_sampling(weights: Array, weight_type: str | None) -> bool:
    """Return whether weights are those of a survey; fractions of no stated type are."""
    return weight_type == "sampling" or (weight_type is None and bool((weights % 1.0).any()))


def type_of(weights: Any, X: Any, total_of_fit: float = np.nan) -> str | None:
    """Return the type of weights that was not stated: whole numbers repeat rows, with a warning.

    It is None for invalid weights, and for those of a fit as they are.
    """
    values, total = _numbers(weights, X)
    if values is None or np.isclose(total, total_of_fit, rtol=1e-9):
        return None
    if are_sampling(values, None):
        return "sampling"
    if (values != 1.0).any():
        warn(
            f"sample_weight has whole numbers, so rows were repeated (n = {total:,.0f}): set "
            "weight_type='sampling' for survey weights, or weight_type='frequency'",
            BayesmixWarning,
        )
    return "frequency"


def _numbers(given: Any, X: Any) -> tuple[Array | None, float]:
    """Return weights (n,) of data as an array on the host, None if invalid, and their sum."""
    try:
        if is_elsewhere(given):
            given = host(given)
        values = np.asarray(given)
        rows = (X.shape if hasattr(X, "shape") else np.shape(X))[:1]
        if values.shape != rows or values.dtype.kind not in "fiuO":
            return None, 0.0
        weights: Array = values.astype(np.float64)
    except (TypeError, ValueError):
        return None, 0.0
    with np.errstate(over="ignore"):
        total = float(weights.sum())
    return (weights if 0.0 < total < np.inf and weights.min() >= 0.0 else None), total
