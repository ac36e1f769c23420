"""Probabilities that rows are in the same component, averaged over draws of (π, θ).

Given (π, θ) assignments are independent, so that what Z adds is integrated out:
p(z_i = z_j | X) = E[Σ_k r_ik r_jk] with r the responsibilities at a draw. Labels do not matter.
"""

from __future__ import annotations

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.sampling.draws.likelihood import shares_of
from bayesmix.sampling.draws.parameters import Draws

BATCH_VALUES = 2**21


def co_clustered(draws: Draws, framed: Array) -> Array:
    """(m, m), ones on the diagonal, for framed rows (m, D)."""
    n_draws, n_components = draws.weights.log_weights.shape
    n_rows = len(framed)
    total = np.zeros((n_rows, n_rows))
    size = max(1, BATCH_VALUES // (n_components * n_rows))
    for start in range(0, n_draws, size):
        shares = shares_of(draws, framed, start, start + size).reshape(n_rows, -1)
        total += shares @ shares.T
    total /= n_draws
    np.fill_diagonal(total, 1.0)
    return total
