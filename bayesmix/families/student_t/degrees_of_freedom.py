"""Degrees of freedom that maximise the expected log density of hidden precisions."""

from __future__ import annotations

import numpy as np
from scipy.special import digamma

from bayesmix.numerics.arrays import Array

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
