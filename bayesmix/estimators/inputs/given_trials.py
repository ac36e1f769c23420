"""Numbers of trials, or totals of counts, that users give beside the data or for draws."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError
from bayesmix.estimators.inputs.given_sources import in_order_of_fit
from bayesmix.numerics.arrays import Array
from bayesmix.observation.measured import Measured


def in_trials(estimator: Any, X: Any, trials: Any) -> Any:
    """Return X with numbers of trials, as it is if there are none."""
    if trials is None:
        return X
    return Measured(in_order_of_fit(estimator, X), trials=trials)


def numbers_of_draws(result: FitResult, n_samples: int, **given: Any) -> Array | None:
    """Return numbers of trials (n, D) or totals (n, 1) to draw from, None if none are needed.

    As many rows as numbers are drawn where ``n_samples`` is 1.
    """
    needed = result.family.draws_given
    for name, value in given.items():
        if name != needed and value is not None:
            raise InvalidInputError(f"{name} must be left out: {result.family!r} draws without it")
    if needed is None or given[needed] is None:
        return None
    numbers, width = np.asarray(given[needed]), 1 if needed == "totals" else result.n_features
    n = len(numbers) if n_samples == 1 and numbers.ndim and numbers.shape != (width,) else n_samples
    if numbers.shape == (n,) and n != width:
        numbers = numbers[:, None]
    try:
        numbers = np.broadcast_to(numbers, (n, width))
    except ValueError:
        shapes = f"(n_samples,) or (n_samples, {width})" if width > 1 else "(n_samples,)"
        raise InvalidInputError(
            f"{needed} must be a number or have shape {shapes} with n_samples={n}, got "
            f"{np.shape(given[needed])}"
        ) from None
    whole = numbers.dtype.kind in "iuf" and bool(((numbers >= 0) & (numbers % 1 == 0)).all())
    if not whole:
        raise InvalidInputError(
            f"{needed} must be whole numbers from 0 on, got {given[needed]!r:.60}"
        )
    return numbers
