"""Degrees of freedom: point estimates, a prior on a grid, and their factor of q."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, gammaln, logsumexp, xlogy

from bayesmix.numerics.arrays import Array, Integers

# Range of estimates: below there is hardly a centre, above the density is normal.
FEWEST, MOST = 0.5, 500.0
# Initial degrees of freedom.
FIRST = 5.0
# Bisections of a factor of 1,000, to a relative 2^-50.
HALVINGS = 50


def slope(nu: Array) -> Array:
    """Return log(ν/2) - ψ(ν/2) + 1, which falls from infinity to 1."""
    half = 0.5 * nu
    fallen: Array = np.log(half) - digamma(half) + 1.0
    return fallen


def tails_of(nu: float) -> float:
    """Return the average E[log u] - E[u] for which ν is optimal."""
    return -float(slope(np.array(nu)))


def most_likely(tails: Array, counts: Array) -> Array:
    """Solve log(ν/2) - ψ(ν/2) + 1 + Σ r (E[log u] - E[u]) / Σ r = 0 for ν (K,), within limits."""
    average = np.full(len(counts), tails_of(FIRST))
    np.divide(tails, counts, out=average, where=counts > 0.0)
    low, high = np.full(len(counts), np.log(FEWEST)), np.full(len(counts), np.log(MOST))
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        rising = slope(np.exp(middle)) + average > 0.0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    nu: Array = np.exp(0.5 * (low + high))
    return nu


def point_freedom(asked: float | str | None, counts: Array, tails: Array) -> Array:
    """Return degrees of freedom (K,): fixed, or estimated jointly or by component."""
    if asked == "shared":
        both = most_likely(tails.sum(keepdims=True), counts.sum(keepdims=True))
        return np.repeat(both, len(counts))
    if asked is None or isinstance(asked, str):
        return most_likely(tails, counts)
    return np.full(len(counts), float(asked))


# Grid of about equal steps in log ν, from almost Cauchy to almost normal.
GRID = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0, 128.0)
# Gain in nats per observation above which q(ν) is updated in a separate pass.
WORTH_A_PASS = 1e-10


def log_normaliser(nu: Array, n_features: int) -> Array:
    """Return ν/2 log(ν/2) - log Γ(ν/2) + log Γ((ν + D)/2)."""
    half = 0.5 * nu
    normaliser: Array = half * np.log(half) - gammaln(half) + gammaln(half + 0.5 * n_features)
    return normaliser


@dataclass(frozen=True)
class FreedomFactor:
    """q(ν_k): probabilities (K, J) of values (J,)."""

    values: Array
    probabilities: Array

    def subset(self, keep: Integers) -> FreedomFactor:
        return FreedomFactor(self.values, self.probabilities[keep])

    @property
    def means(self) -> Array:
        """E[ν_k] (K,)."""
        means: Array = self.probabilities @ self.values
        return means

    def draw(self, n_draws: int, shared: bool, generator: np.random.Generator) -> Array:
        """Draw ν (S, K)."""
        reached = np.cumsum(self.probabilities, axis=1)
        uniform = generator.random((n_draws, 1 if shared else len(reached)))[:, :, None]
        places = np.minimum((reached < uniform).sum(axis=2), len(self.values) - 1)
        drawn: Array = self.values[places]
        return drawn


@dataclass(frozen=True)
class FreedomPrior:
    """Uniform prior of ν on values (J,); ``asked`` is a number, "shared" or separate.

    Modes are those of a flat density, off the grid.
    """

    values: Array
    asked: float | str | None

    @property
    def shared(self) -> bool:
        """Whether all components share ν."""
        return self.asked == "shared"

    def first(self, n_components: int) -> FreedomFactor:
        """Return the prior as a factor of q."""
        n_values = len(self.values)
        return FreedomFactor(self.values, np.full((n_components, n_values), 1.0 / n_values))

    def posterior(self, scores: Array) -> FreedomFactor:
        """Return q(ν) from Σ r log p(x | ν_j) (K, J)."""
        logs = self._logs(scores)
        return FreedomFactor(self.values, np.exp(logs - logsumexp(logs, axis=1, keepdims=True)))

    def _logs(self, scores: Array) -> Array:
        return np.tile(scores.sum(axis=0), (len(scores), 1)) if self.shared else scores

    def gain(self, scores: Array, q: FreedomFactor) -> float:
        """Return the gain of the bound if q(ν) is updated."""
        logs, shares = self._logs(scores), q.probabilities
        most = logsumexp(logs, axis=1)
        gained = most - (shares * logs).sum(axis=1) + xlogy(shares, shares).sum(axis=1)
        return float(gained[0] if self.shared else gained.sum())

    def mode(self, counts: Array, tails: Array) -> Array:
        """Return the mode of ν (K,) from Σ r and Σ r (E[log u] - E[u])."""
        return point_freedom(self.asked, counts, tails)

    def kl(self, q: FreedomFactor) -> float:
        """Return Σ_k KL(q(ν_k) || p(ν))."""
        shares = q.probabilities[:1] if self.shared else q.probabilities
        return float(xlogy(shares, shares * len(self.values)).sum())
