"""Log-sum-exp: log joints become responsibilities (Bishop 2006, eq. 9.23 and 10.49)."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.numerics.arrays import Array

# Finite logarithms below this stand for minus infinity.
IMPOSSIBLE = -1e100
# If the largest log joint is this close to 0, no shift is needed: responsibilities that underflow
# are below e^-200.
NEAR_ZERO = 200.0
# Smaller exponentials are set to 0, as subnormal numbers are a hundred times slower.
LOWEST = -400.0
LEFT_OUT = float(np.exp(np.full(16, LOWEST))[0])  # in the rounding of the vectorised loop
# Odds between e^-700 and e^700 neither overflow nor underflow.
LARGEST_ODDS = 700.0


def normalise(log_joint: Array) -> Array:
    """Turn log joints (n, K) into responsibilities in place; return the log normaliser (n,).

    Observations with all log joints minus infinity have log normaliser minus infinity and equal
    responsibilities.
    """
    lowest = np.minimum.reduce(log_joint, axis=None, initial=0.0)
    if lowest > -NEAR_ZERO and np.maximum.reduce(log_joint, axis=None, initial=0.0) < NEAR_ZERO:
        return _exponentiated(log_joint, some_left_out=False)
    largest = np.maximum.reduce(log_joint, axis=1)
    # Row by row, so that a row has the same digits among others as alone.
    near = np.abs(largest) < NEAR_ZERO
    if np.logical_and.reduce(near):
        return _exponentiated(log_joint, bool(lowest < LOWEST))
    impossible = largest == -np.inf
    some_impossible = np.count_nonzero(impossible) > 0
    largest[near | impossible] = 0.0
    log_joint[impossible] = 0.0
    log_joint -= largest[:, None]
    some_left_out = bool(np.minimum.reduce(log_joint, axis=None) < LOWEST)
    log_normaliser = _exponentiated(log_joint, some_left_out)
    log_normaliser += largest
    if some_impossible:
        log_normaliser[impossible] = -np.inf
    return log_normaliser


def _exponentiated(log_joint: Array, some_left_out: bool) -> Array:
    """Turn logarithms (n, K) into fractions of their rows in place; return log sums (n,)."""
    if some_left_out:
        np.maximum(log_joint, LOWEST, out=log_joint)
    np.exp(log_joint, out=log_joint)
    if some_left_out:
        log_joint -= LEFT_OUT
    total = np.add.reduce(log_joint, axis=1)
    log_joint /= total[:, None]  # a share of all is exactly 1
    return np.log(total)


def normalised(xp: Any, log_joint: Any) -> tuple[Any, Any]:
    """Return responsibilities (n, K) and log normaliser (n,) of finite log joints on a device."""
    largest = xp.max(log_joint, axis=1, keepdims=True)
    less = log_joint - largest
    shares = xp.where(less < LOWEST, xp.zeros_like(less), xp.exp(less))
    total = xp.sum(shares, axis=1, keepdims=True)
    return shares / total, (largest + xp.log(total))[:, 0]
