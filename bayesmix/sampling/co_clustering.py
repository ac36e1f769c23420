"""Probabilities that rows are in the same component, averaged over draws of (π, θ).

Given (π, θ) assignments are independent, so that what Z adds is integrated out:
p(z_i = z_j | X) = E[Σ_k r_ik r_jk] with r the responsibilities at a draw. Labels do not matter.
"""

from __future__ import annotations

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.numerics.logsumexp import normalise
from bayesmix.records import LOWEST_LOG
from bayesmix.sampling.draws import Draws

BATCH_VALUES = 2**21


def co_clustered(draws: Draws, framed: Array) -> Array:
    """(m, m), ones on the diagonal, for framed rows (m, D)."""
    log_weights = np.maximum(draws.weights.log_weights, LOWEST_LOG)
    n_draws, n_components = log_weights.shape
    n_rows = len(framed)
    components = draws.components.components
    total = np.zeros((n_rows, n_rows))
    size = max(1, BATCH_VALUES // (n_components * n_rows))
    for start in range(0, n_draws, size):
        part = log_weights[start : start + size]
        places = np.arange(start * n_components, (start + len(part)) * n_components)
        joint = np.ascontiguousarray(components.subset(places).expected_log_density(framed))
        joint = joint.reshape(n_rows, *part.shape)
        joint += part
        normalise(joint.reshape(-1, n_components))
        shares = joint.reshape(n_rows, len(places))
        total += shares @ shares.T
    total /= n_draws
    np.fill_diagonal(total, 1.0)
    return total
