"""Standard normal distributions on intervals and rectangles: log probabilities and moments.

With c the point of an interval nearest to 0, the density at c + t is φ(c) exp(-c t - t²/2).
Gauss-Legendre quadrature on both sides of c integrates it without cancellation, in tails and in
narrow intervals.

Given z_1 the second value is normal on an interval, so that log p(z_1, rectangle) is known, and
concave (Prékopa 1973). Quadrature over z_1 holds in tails and for correlations near 1. With
y = (z_2 - ρ z_1) / s and s² = 1 - ρ², R⁻¹z = (z_1 - ρ y / s, y / s) has no cancellation.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
from scipy.special import log_ndtr, ndtri_exp

from bayesmix.numerics.arrays import LOG_2PI, Array, Indices
from bayesmix.observation.quadrature import (
    FEW,
    LITTLE,
    MANY,
    MUCH,
    NEGLIGIBLE,
    Nodes,
    end_of,
    mode_of,
    points_on,
)

# Golden sections to the maximum, which only divides the panels.
STEPS_TO_MODE = 20
# Standard deviations on both sides of an edge of the second interval with a panel of their own.
EDGE = 5.0


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
    parts = log_probability, c + shift, 1.0 - (second / mass - shift * shift)
    return OnInterval(*(part.reshape(shape) for part in parts))


def quantile(a: Array, b: Array, share: Array) -> Array:
    """Return the value in [a, b] below which ``share`` of the standard normal on it lies."""
    flipped = a + b < 0.0
    low, high = np.where(flipped, -b, a), np.where(flipped, -a, b)
    beyond = np.where(flipped, share, 1.0 - share)
    with np.errstate(divide="ignore"):
        logs = np.logaddexp(log_ndtr(-low) + np.log(beyond), log_ndtr(-high) + np.log1p(-beyond))
    value = np.clip(-ndtri_exp(logs), low, high)
    return np.where(flipped, -value, value)


class OnRectangle(NamedTuple):
    """Log probabilities, E[R⁻¹z] (2, ...), and entries 11, 12, 22 of R⁻¹ - cov[R⁻¹z] (3, ...)."""

    log_probability: Array
    scores: Array
    information: Array


class _Rectangles(NamedTuple):
    """Rectangles (m,): lower bounds, upper bounds, correlations ρ and s."""

    low: Array
    second_low: Array
    high: Array
    second_high: Array
    correlation: Array
    rest: Array

    @classmethod
    def of(cls, rectangles: Array) -> _Rectangles:
        """Return rectangles from bounds and correlations (5, m)."""
        correlation = rectangles[4]
        rest = np.sqrt((1.0 - correlation) * (1.0 + correlation))
        return cls(*np.concatenate([rectangles, rest[None]]))

    def some(self, places: Indices) -> _Rectangles:
        return _Rectangles(*(part[places] for part in self))

    def second(self, z: Array) -> OnInterval:
        """Return the second value given z_1."""
        a, b = self.second_bounds(z)
        log_probability = _log_interval(a, b)
        with np.errstate(divide="ignore", invalid="ignore"):
            first, last = (np.exp(-0.5 * (e * e + LOG_2PI) - log_probability) for e in (a, b))
            mean = first - last
            ends = np.where(first > 0.0, a * first, 0.0) - np.where(last > 0.0, b * last, 0.0)
        return OnInterval(log_probability, mean, np.clip(mean * mean - ends, 0.0, 1.0))

    def second_bounds(self, z: Array) -> tuple[Array, Array]:
        """Return the bounds of y given z_1."""
        shift = self.correlation * z
        return (self.second_low - shift) / self.rest, (self.second_high - shift) / self.rest

    def log_density(self, z: Array) -> Array:
        """Return log p(z_1, rectangle)."""
        return _log_interval(*self.second_bounds(z)) - 0.5 * (z * z + LOG_2PI)

    def nodes(self) -> Nodes:
        """Return nodes of z_1."""
        ratio = self.correlation / self.rest
        far = 10.0 + np.max(np.abs(np.where(np.isfinite(self[:4]), self[:4], 0.0)), axis=0)
        low, high = np.maximum(self.low, -far), np.minimum(self.high, far)
        middle, width = 0.5 * (low + high), high - low
        largest, slope = self.log_density(middle), ratio * self.second(middle).mean - middle
        change = width * (np.abs(slope) + (1.0 + ratio * ratio) * width)
        few, wide = change < LITTLE, np.flatnonzero(~(change < MUCH))
        whole = (FEW, np.flatnonzero(few)), (MANY, np.flatnonzero(~few & (change < MUCH)))
        panels = [(rule, places, low[places], high[places]) for rule, places in whole]
        pairs = self.some(wide)
        mode = mode_of(pairs.log_density, low[wide], high[wide], STEPS_TO_MODE)
        largest[wide] = pairs.log_density(mode)
        limits = low[wide], high[wide]
        ends = [end_of(pairs.log_density, mode, largest[wide], limit) for limit in limits]
        with np.errstate(divide="ignore", invalid="ignore"):
            edges = [
                (bound + side * pairs.rest) / pairs.correlation
                for bound in (pairs.second_low, pairs.second_high)
                for side in (-EDGE, EDGE)
            ]
        breaks = np.array([*ends, mode, *edges])
        breaks = np.sort(np.clip(np.where(np.isnan(breaks), mode, breaks), *ends), axis=0)
        panel, place = np.nonzero(breaks[1:] > breaks[:-1])
        panels.append((MANY, wide[place], breaks[panel, place], breaks[panel + 1, place]))
        parts = []
        for rule, owner, start, stop in panels:
            z, weights = points_on(start, stop, rule)
            mass = weights * np.exp(self.some(owner).log_density(z) - largest[owner])
            parts.append((np.tile(owner, len(z)), z.ravel(), mass.ravel()))
        owner, values, mass = map(np.concatenate, zip(*parts, strict=True))
        return Nodes.of(owner, values, mass, largest)


def _log_interval(a: Array, b: Array) -> Array:
    """Return log P(a < y < b) of a standard normal, from the tail in which it lies."""
    flipped = a > -b
    low, high = np.where(flipped, -b, a), np.where(flipped, -a, b)
    upper = log_ndtr(high)
    with np.errstate(divide="ignore", invalid="ignore"):
        return cast("Array", upper + np.log(-np.expm1(log_ndtr(low) - upper)))


def on_rectangle(rectangles: Array) -> OnRectangle:
    """Return the distributions for bounds and correlations (5, ...)."""
    # Values below limits of detection have the same rectangle if nothing else was measured.
    distinct, numbers = np.unique(rectangles.reshape(5, -1), axis=1, return_inverse=True)
    pairs = _Rectangles.of(distinct)
    nodes, rest = pairs.nodes(), pairs.rest
    ratio, second = pairs.correlation / rest, pairs.some(nodes.owner).second(nodes.values)
    parts = nodes.values - ratio[nodes.owner] * second.mean, second.mean / rest[nodes.owner]
    scores = np.array([nodes.mean(part) for part in parts])
    first, last = parts - scores[:, nodes.owner]
    lost = nodes.mean(second.lost_variance)
    information = np.array(
        [
            1.0 + ratio * ratio * lost - nodes.mean(first * first),
            -ratio / rest * lost - nodes.mean(first * last),
            lost / rest**2 - nodes.mean(last * last),
        ]
    )
    places = numbers.reshape(rectangles.shape[1:])
    return OnRectangle(nodes.log_total[places], scores[:, places], information[:, places])


def drawn_on_rectangle(rectangles: Array, uniform: Array) -> Array:
    """Return draws (2, ..., m) from uniform numbers (2, m); the first value is one of the nodes."""
    shares = np.broadcast_to(uniform[:, None], (2, *rectangles.shape[1:])).reshape(2, -1)
    pairs = _Rectangles.of(rectangles.reshape(5, -1))
    nodes = pairs.nodes()
    z = nodes.values[nodes.drawn(np.arange(len(pairs.low)), shares[0])]
    y = quantile(*pairs.second_bounds(z), shares[1])
    return np.array([z, pairs.correlation * z + pairs.rest * y]).reshape(2, *rectangles.shape[1:])
