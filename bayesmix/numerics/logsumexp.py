"""The one log-sum-exp: log joints become responsibilities (Bishop 2006, eq. 9.23 and 10.49)."""

from __future__ import annotations

import numpy as np

from bayesmix.numerics.arrays import Array

# Finite logarithms below this stand for minus infinity: what cannot be.
IMPOSSIBLE = -1e100


def normalise(log_joint: Array) -> Array:
    """Turn log joints (n, K) into responsibilities in place; return their log normaliser (n,).

    A row that no component can produce (every log joint is minus infinity) has log normaliser
    minus infinity and equal responsibilities.
    """
    largest = log_joint.max(axis=1)
    impossible = largest == -np.inf
    some_impossible = np.count_nonzero(impossible) > 0
    if some_impossible:
        largest[impossible] = 0.0
        log_joint[impossible] = 0.0
    log_joint -= largest[:, None]
    np.exp(log_joint, out=log_joint)
    total = log_joint.sum(axis=1)
    log_joint /= total[:, None]
    log_normaliser: Array = np.log(total)
    log_normaliser += largest
    if some_impossible:
        log_normaliser[impossible] = -np.inf
    return log_normaliser
