"""What a bound says of the evidence for K: relabellings of the components (DESIGN section 5)."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammaln

from bayesmix.weights import DirichletPrior
from bayesmix.workflow.result import FitResult

# A component with less than this share of a row is empty; empty ones coincide with the prior.
EMPTY = 1e-3
COINCIDING = 1e-6


def log_relabellings(result: FitResult) -> float:
    """log(K! / ∏ m_j!), m_j the sizes of groups of coinciding components (all empty: one group).

    A mode of the posterior has that many copies, of which a variational fit covers one, so that
    bound + this approximates the log evidence. Only an approximation: modes overlap, and the sum
    has exceeded the exact evidence by up to 1.8 nats. NaN where it does not apply: pruned fits,
    sparse (α0 < 1), stick-breaking or type-II weights.
    """
    weights = getattr(result.inference, "weights", None)
    full_size = result.n_components == result.requested_components
    if not (result.variational and full_size and isinstance(weights, DirichletPrior)):
        return math.nan
    if weights.concentration < 1.0:
        return math.nan
    groups = [int(np.sum(result.counts < EMPTY))]
    left = list(np.flatnonzero(result.counts >= EMPTY))
    means = result.mixture.components.means
    counts = result.counts
    while left:
        first = left.pop(0)
        twins = [
            k
            for k in left
            if abs(counts[k] - counts[first]) < COINCIDING * counts[first]
            and np.abs(means[k] - means[first]).max() < COINCIDING
        ]
        left = [k for k in left if k not in twins]
        groups.append(1 + len(twins))
    K = result.n_components
    return float(gammaln(K + 1) - sum(gammaln(size + 1) for size in groups))
