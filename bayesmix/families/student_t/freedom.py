"""Degrees of freedom on a grid: their prior, and their factor of q."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, gammaln, logsumexp, xlogy

from bayesmix.numerics.arrays import Array, Integers

# Fewer have hardly a centre, and more are a normal.
FEWEST, MOST = 0.5, 500.0
# Those that a fit begins with, before any row was looked at.
FIRST = 5.0
# Each halves a factor of 1,000: 2^-50 of it is left.
HALVINGS = 50


def slope(nu: Array) -> Array:
    """log(ν/2) - ψ(ν/2) + 1: falls from infinity to 1."""
    half = 0.5 * nu
    fallen: Array = np.log(half) - digamma(half) + 1.0
    return fallen


def tails_of(nu: float) -> float:
    """E[log u] - E[u] a row, which makes ν the most likely."""
    return -float(slope(np.array(nu)))


def most_likely(tails: Array, counts: Array) -> Array:
    """ν (K,) with log(ν/2) - ψ(ν/2) + 1 + Σ r (E[log u] - E[u]) / Σ r = 0, within limits."""
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
    """Degrees of freedom (K,): as given, or the most likely ones, one for all or each its own."""
    if asked == "shared":
        both = most_likely(tails.sum(keepdims=True), counts.sum(keepdims=True))
        return np.repeat(both, len(counts))
    if asked is None or isinstance(asked, str):
        return most_likely(tails, counts)
    return np.full(len(counts), float(asked))


# About equal steps of log ν, from hardly a mean to nearly a normal.
GRID = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0, 128.0)
# What q(ν) may gain, in nats a row, before it has a pass of its own.
WORTH_A_PASS = 1e-10


def log_normaliser(nu: Array, n_features: int) -> Array:
    """ν/2 log(ν/2) - log Γ(ν/2) + log Γ((ν + D)/2): of a row, its hidden precision summed out."""
    half = 0.5 * nu
    normaliser: Array = half * np.log(half) - gammaln(half) + gammaln(half + 0.5 * n_features)
    return normaliser


@dataclass(frozen=True)
class FreedomFactor:
    """q(ν_k): probabilities (K, J) of values (J,)."""

    values: Array
    probabilities: Array

    def subset(self, keep: Integers) -> FreedomFactor:
        """Those of some components."""
        return FreedomFactor(self.values, self.probabilities[keep])

    @property
    def means(self) -> Array:
        """E[ν_k] (K,)."""
        means: Array = self.probabilities @ self.values
        return means

    def draw(self, n_draws: int, shared: bool, generator: np.random.Generator) -> Array:
        """ν (S, K)."""
        reached = np.cumsum(self.probabilities, axis=1)
        uniform = generator.random((n_draws, 1 if shared else len(reached)))[:, :, None]
        places = np.minimum((reached < uniform).sum(axis=2), len(self.values) - 1)
        drawn: Array = self.values[places]
        return drawn


@dataclass(frozen=True)
class FreedomPrior:
    """ν equally probable at each of the values (J,); ``asked``: a number, "shared" or one each.

    Modes do not keep to the grid: they are where a flat density has them.
    """

    values: Array
    asked: float | str | None

    @property
    def shared(self) -> bool:
        """Whether one ν is of all components."""
        return self.asked == "shared"

    def first(self, n_components: int) -> FreedomFactor:
        """The prior as a factor: before any row has been weighed."""
        n_values = len(self.values)
        return FreedomFactor(self.values, np.full((n_components, n_values), 1.0 / n_values))

    def posterior(self, scores: Array) -> FreedomFactor:
        """q(ν) from Σ r log p(x | ν_j) (K, J)."""
        logs = self._logs(scores)
        return FreedomFactor(self.values, np.exp(logs - logsumexp(logs, axis=1, keepdims=True)))

    def _logs(self, scores: Array) -> Array:
        return np.tile(scores.sum(axis=0), (len(scores), 1)) if self.shared else scores

    def gain(self, scores: Array, q: FreedomFactor) -> float:
        """How much the bound rises where q(ν) is brought to its best."""
        logs, shares = self._logs(scores), q.probabilities
        most = logsumexp(logs, axis=1)
        gained = most - (shares * logs).sum(axis=1) + xlogy(shares, shares).sum(axis=1)
        return float(gained[0] if self.shared else gained.sum())

    def mode(self, counts: Array, tails: Array) -> Array:
        """The most probable ν (K,) from Σ r and Σ r (E[log u] - E[u])."""
        return point_freedom(self.asked, counts, tails)

    def kl(self, q: FreedomFactor) -> float:
        """Σ_k KL(q(ν_k) || p(ν))."""
        shares = q.probabilities[:1] if self.shared else q.probabilities
        return float(xlogy(shares, shares * len(self.values)).sum())
