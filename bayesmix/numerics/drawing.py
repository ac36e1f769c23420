"""Draws of labels."""

from __future__ import annotations

import numpy as np

from bayesmix.numerics.arrays import Array, Integers


def drawn_labels(shares: Array, generator: np.random.Generator) -> Integers:
    """Return a column (n,) for each row of shares (n, K), with probabilities proportional to it."""
    reached = np.cumsum(shares, axis=1)
    below = reached < generator.random((len(shares), 1)) * reached[:, -1:]
    return np.asarray(below.sum(axis=1))
