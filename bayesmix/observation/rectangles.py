"""Standard bivariate normal distributions on rectangles: log probabilities, scores, information.

Given z_1 the second value is normal on an interval, so that log p(z_1, rectangle) is known, and
concave (Prékopa 1973). Gauss-Legendre quadrature integrates it between the points where it is e^-40
of its maximum, which holds in tails and for correlations near 1. With y = (z_2 - ρ z_1) / s and
s² = 1 - ρ², R⁻¹z = (z_1 - ρ y / s, y / s) has no cancellation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr

from bayesmix.numerics.arrays import LOG_2PI, Array, Indices
from bayesmix.observation.truncated_normal import (
    MANY,
    NEGLIGIBLE,
    drawn_nodes,
    quantile,
    sums_by,
)

# Newton's steps to the maximum, which only divides the panels, and from outside to e^-40 of it.
STEPS_TO_MODE, STEPS_TO_ENDS = 15, 10
# Standard deviations on both sides of an edge of the second interval with a panel of their own.
EDGE = 5.0


class OnRectangle(NamedTuple):
    """Log probabilities (m,), E[R⁻¹z] (2, m), and R⁻¹ - cov[R⁻¹z] as entries 11, 12, 22 (3, m)."""

    log_probability: Array
    scores: Array
    information: Array


class _Second(NamedTuple):
    """The second value given the first: log probability, mean of y and 1 - its variance."""

    log_probability: Array
    mean: Array
    lost_variance: Array


class _Rectangles(NamedTuple):
    """Distinct rectangles: bounds, correlations and s, each (m,)."""

    low: Array
    high: Array
    second_low: Array
    second_high: Array
    correlation: Array
    rest: Array

    def at(self, places: Indices) -> _Rectangles:
        return _Rectangles(*(part[places] for part in self))

    def second(self, z: Array) -> _Second:
        a, b = ((bound - self.correlation * z) / self.rest for bound in self[2:4])
        flipped = a > -b
        low, high = np.where(flipped, -b, a), np.where(flipped, -a, b)
        upper = log_ndtr(high)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_probability = upper + np.log(-np.expm1(log_ndtr(low) - upper))
            first, last = (
                np.exp(-0.5 * (bound * bound + LOG_2PI) - log_probability) for bound in (low, high)
            )
            mean = first - last
            ends = np.where(first > 0.0, low * first, 0.0) - np.where(last > 0.0, high * last, 0.0)
        lost = np.clip(mean * mean - ends, 0.0, 1.0)
        return _Second(log_probability, np.where(flipped, -mean, mean), lost)

    def log_density(self, z: Array) -> tuple[Array, Array, Array]:
        """Return log p(z_1, rectangle) without a constant, its slope and its curvature."""
        second, ratio = self.second(z), self.correlation / self.rest
        value = second.log_probability - 0.5 * z * z
        return value, ratio * second.mean - z, -1.0 - ratio * ratio * second.lost_variance


class _Nodes(NamedTuple):
    """Nodes (q, p) of panels (p,): rectangles of the panels, z_1, masses, and y given z_1."""

    owner: Indices
    z: Array
    mass: Array
    second: _Second


def on_rectangle(bounds: Array, correlation: Array) -> OnRectangle:
    """Return the distributions for lower and upper bounds (2, 2, m), with correlations (m,)."""
    # Values below limits of detection have the same rectangle if nothing else was measured.
    distinct, numbers = np.unique(
        np.vstack([bounds.reshape(4, -1), correlation]), axis=1, return_inverse=True
    )
    nodes, log_total, ratio, rest = _quadrature(distinct)
    m = len(log_total)

    def mean(values: Array) -> Array:
        return sums_by(nodes.owner, (nodes.mass * values).sum(axis=0), m)

    own = ratio[nodes.owner]
    parts = nodes.z - own * nodes.second.mean, nodes.second.mean / rest[nodes.owner]
    scores = np.array([mean(part) for part in parts])
    first, second = (part - score[nodes.owner] for part, score in zip(parts, scores, strict=True))
    lost = mean(nodes.second.lost_variance)
    information = np.array(
        [
            1.0 + ratio * ratio * lost - mean(first * first),
            -ratio / rest * lost - mean(first * second),
            lost / rest**2 - mean(second * second),
        ]
    )
    numbers = numbers.ravel()
    return OnRectangle(log_total[numbers], scores[:, numbers], information[:, numbers])


def drawn_on_rectangle(bounds: Array, correlation: Array, uniform: Array) -> Array:
    """Return draws (2, m) from uniform numbers (2, m); the first value is one of the nodes."""
    rectangles = np.vstack([bounds.reshape(4, -1), correlation])
    nodes, log_total, _, rest = _quadrature(rectangles)
    owner = np.broadcast_to(nodes.owner, nodes.z.shape).ravel()
    chosen = drawn_nodes(owner, nodes.mass.ravel(), np.arange(len(log_total)), uniform[0])
    z = nodes.z.ravel()[chosen]
    a, b = ((bound - correlation * z) / rest for bound in bounds[:, 1])
    return np.array([z, correlation * z + rest * quantile(a, b, uniform[1])])


def _quadrature(rectangles: Array) -> tuple[_Nodes, Array, Array, Array]:
    """Return nodes, log probabilities, ρ / s and s of rectangles (5, m)."""
    low, second_low, high, second_high, correlation = rectangles
    rest = np.sqrt((1.0 - correlation) * (1.0 + correlation))
    own = _Rectangles(low, high, second_low, second_high, correlation, rest)
    mode = _mode(own)
    most, slope, _ = own.log_density(mode)
    ends = [_end(own, mode, most, slope, side) for side in (-1.0, 1.0)]
    with np.errstate(divide="ignore", invalid="ignore"):
        width = EDGE * rest / np.abs(correlation)
        edges = [
            bound / correlation + side * width
            for bound in (second_low, second_high)
            for side in (-1.0, 1.0)
        ]
    breaks = np.array([*ends, mode, *edges])
    breaks = np.where(np.isfinite(breaks), breaks, mode)
    breaks = np.sort(np.clip(breaks, ends[0], ends[1]), axis=0)
    panel, owner = np.nonzero(breaks[1:] > breaks[:-1])
    half = 0.5 * (breaks[panel + 1, owner] - breaks[panel, owner])
    points, weights = MANY
    z = (breaks[panel, owner] + half) + half * points[:, None]
    part = own.at(owner)
    second = part.second(z)
    mass = half * weights[:, None] * np.exp(second.log_probability - 0.5 * z * z - most[owner])
    total = sums_by(owner, mass.sum(axis=0), len(most))
    log_total = np.log(total) + most - 0.5 * LOG_2PI
    return _Nodes(owner, z, mass / total[owner], second), log_total, correlation / rest, rest


def _mode(own: _Rectangles) -> Array:
    """Return about where log p(z_1, rectangle) is largest, by Newton's steps inside brackets."""
    finite = [np.where(np.isfinite(bound), np.abs(bound), 0.0) for bound in own[:4]]
    far = 10.0 + np.max(finite, axis=0)
    low, high = np.maximum(own.low, -far), np.minimum(own.high, far)
    z = np.clip(0.0, low, high)
    for _ in range(STEPS_TO_MODE):
        _, slope, curvature = own.log_density(z)
        rising = slope > 0.0
        low, high = np.where(rising, z, low), np.where(rising, high, z)
        further = z - slope / curvature
        inside = (further > low) & (further < high)
        z = np.where(inside, further, 0.5 * (low + high))
    return z


def _end(own: _Rectangles, mode: Array, most: Array, slope: Array, side: float) -> Array:
    """Return where log p(z_1, rectangle) is ``NEGLIGIBLE`` below its maximum, or the bound."""
    steep = np.maximum(-side * slope, 0.0)
    # Curvature is at least 1.
    reach = 2.0 * NEGLIGIBLE / (steep + np.sqrt(steep * steep + 2.0 * NEGLIGIBLE))
    z = np.clip(mode + side * reach, own.low, own.high)
    for _ in range(STEPS_TO_ENDS):
        value, slope, _ = own.log_density(z)
        over = most - value - NEGLIGIBLE
        with np.errstate(invalid="ignore", divide="ignore"):
            nearer = z + over / slope
        nearer = np.where(np.isfinite(nearer), nearer, 0.5 * (z + mode))
        z = np.where(over > 0.0, nearer, z)
    return z
