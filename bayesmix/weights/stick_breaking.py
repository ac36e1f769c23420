"""Truncated Dirichlet-process weights (Blei & Jordan 2006, sec. 3.2): the last takes the rest.

π_k = v_k Π_{j<k} (1 - v_j), v_k ~ Beta(1, α0) for k < K, v_K = 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, digamma

from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.weights.point import PointWeights


@dataclass(frozen=True)
class StickBreaking:
    """q(v_k) = Beta(first_k, rest_k), k < K; the concentration of the prior is kept for subsets."""

    first: Array  # (K - 1,)
    rest: Array  # (K - 1,)
    prior: StickBreakingPrior
    exchangeable = False

    @property
    def n_components(self) -> int:
        return len(self.first) + 1

    def expected_log(self) -> Array:
        """E[log π_k] = E[log v_k] + Σ_{j<k} E[log(1 - v_j)]."""
        total = digamma(self.first + self.rest)
        expected = np.zeros(self.n_components)
        expected[:-1] = digamma(self.first) - total
        expected[1:] += np.cumsum(digamma(self.rest) - total)
        return expected

    def mean(self) -> Array:
        """E[π_k]: sticks are independent under q."""
        share = self.first / (self.first + self.rest)
        expected = np.ones(self.n_components)
        expected[:-1] = share
        expected[1:] *= np.cumprod(1.0 - share)
        return expected

    def subset(self, keep: Integers, counts: Array) -> StickBreaking:
        """Sticks are not closed under dropping or sorting: made anew from the kept counts."""
        return self.prior.posterior(counts)


@dataclass(frozen=True)
class StickBreakingPrior:
    """v_k ~ Beta(1, concentration)."""

    concentration: float
    name = "dirichlet_process"

    def posterior(self, counts: Array) -> StickBreaking:
        """q(v_k) = Beta(1 + N_k, α0 + Σ_{j>k} N_j) (Blei & Jordan 2006, eq. 18 and 19)."""
        beyond = np.cumsum(counts[::-1])[::-1]
        return StickBreaking(1.0 + counts[:-1], self.concentration + beyond[1:], self)

    def kl(self, weights: StickBreaking) -> float:
        """Σ_k KL(q(v_k) || Beta(1, α0))."""
        a, b = weights.first, weights.rest
        total = digamma(a + b)
        divergence = (
            betaln(1.0, self.concentration)
            - betaln(a, b)
            + (a - 1.0) * (digamma(a) - total)
            + (b - self.concentration) * (digamma(b) - total)
        )
        return float(divergence.sum())

    def mode(self, counts: Array) -> PointWeights:
        """Refused: point estimates under stick-breaking depend on the order of components."""
        raise UnsupportedError(
            "maximum a posteriori fits take Dirichlet weights: "
            "use weight_concentration_prior_type='dirichlet_distribution'"
        )

    def log_density(self, weights: PointWeights) -> float:
        """Refused, as ``mode``."""
        raise UnsupportedError("stick-breaking weights have no point density here")

    def n_parameters(self, n_components: int) -> int:
        """Free parameters of the weights."""
        return n_components - 1
