"""Standard normal distributions on intervals: log probabilities, means and variances.

With c the point of [a, b] nearest to 0, the density at c + t is φ(c) exp(-c t - t²/2).
Gauss-Legendre quadrature on both sides of c integrates it without cancellation, in tails and in
narrow intervals.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr, ndtri_exp

from bayesmix.numerics.arrays import LOG_2PI, Array
from bayesmix.observation.quadrature import FEW, LITTLE, MANY, NEGLIGIBLE, points_on


class OnInterval(NamedTuple):
    """Log probability of an interval, and mean and 1 - variance of a standard normal on it."""

    log_probability: Array
    mean: Array
    lost_variance: Array


def on_interval(a: Array, b: Array) -> OnInterval:
    """Return the standard normal on intervals [a, b], a < b; bounds may be infinite."""
    shape, a, b = a.shape, a.ravel(), b.ravel()
    c = np.clip(0.0, a, b)
    reach = 2.0 * NEGLIGIBLE / (np.abs(c) + np.sqrt(c * c + 2.0 * NEGLIGIBLE))
    below, above = np.maximum(a - c, -reach), np.minimum(b - c, reach)
    narrow = (above - below) * (np.abs(c) + 0.5 * (above - below)) < LITTLE
    sums = np.zeros((3, len(c)))
    for chosen, low, high, rule in (
        (narrow, below, above, FEW),
        (~narrow & (below < 0.0), below, 0.0 * below, MANY),
        (~narrow & (above > 0.0), 0.0 * above, above, MANY),
    ):
        if chosen.any():
            t, weights = points_on(low[chosen], high[chosen], rule)
            density = weights * np.exp(-t * (c[chosen] + 0.5 * t))
            for order in range(3):
                sums[order, chosen] += density.sum(axis=0)
                density *= t
    mass, first, second = sums
    shift = first / mass
    log_probability = np.log(mass) - 0.5 * (c * c + LOG_2PI)
    lost_variance = 1.0 - (second / mass - shift * shift)
    return OnInterval(
        *(part.reshape(shape) for part in (log_probability, c + shift, lost_variance))
    )


def quantile(a: Array, b: Array, share: Array) -> Array:
    """Return the value in [a, b] below which ``share`` of the standard normal on it lies."""
    flipped = a + b < 0.0
    low, high = np.where(flipped, -b, a), np.where(flipped, -a, b)
    beyond = np.where(flipped, share, 1.0 - share)
    with np.errstate(divide="ignore"):
        logs = np.logaddexp(log_ndtr(-low) + np.log(beyond), log_ndtr(-high) + np.log1p(-beyond))
    value = np.clip(-ndtri_exp(logs), low, high)
    return np.where(flipped, -value, value)
