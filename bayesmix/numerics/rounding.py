"""Rounded values: the step of a grid that they lie on."""

from __future__ import annotations

import numpy as np

from bayesmix.numerics.arrays import Array, Integers

# A feature is rounded if most observations share their value with others.
TIED_SHARE = 0.5
OFF_THE_GRID = 1e-3  # of a step, for floating-point rounding
# Differences of distinct values below this, relative to their range, are floating-point rounding.
SAME_VALUE = 1e-9


def step_of(values: Array, gap: float) -> float:
    """Return the step of which sorted distinct values are multiples, about ``gap``; 0 for none."""
    if len(values) < 2 or gap <= 0.0:
        return 0.0
    # Use the whole range, because the smallest difference has lost digits.
    width = float(values[-1] - values[0])
    step = width / max(1.0, np.rint(width / gap))
    steps = (values - values[0]) / step
    return step if np.abs(steps - np.rint(steps)).max() < OFF_THE_GRID else 0.0


def is_tied(times: Integers) -> bool:
    """Whether most observations share their value, from the numbers of times of values."""
    return bool(times[times > 1].sum() >= TIED_SHARE * times.sum())


def rounded_step(column: Array) -> float:
    """Return the step of a rounded column without missing values; 0 if it is not rounded."""
    values, times = np.unique(column, return_counts=True)
    gaps = np.diff(values)
    gaps = gaps[gaps > SAME_VALUE * np.ptp(values)] if len(gaps) else gaps
    return step_of(values, float(gaps.min())) if len(gaps) and is_tied(times) else 0.0
