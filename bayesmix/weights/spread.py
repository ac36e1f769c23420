"""How weights vary under q: what linear response has to know of them."""

from __future__ import annotations

from dataclasses import dataclass

from bayesmix.numerics.arrays import Array


@dataclass(frozen=True)
class WeightSpread:
    """Covariances (K, K) under q."""

    of_logs: Array  # Cov(log π)
    across: Array  # Cov(π, log π)
    of_weights: Array  # Cov(π)
