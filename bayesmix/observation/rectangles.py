"""Quadrature of log-concave densities on intervals, and standard normals on these and rectangles.

Gauss-Legendre nodes lie between the points where the density is e^-40 of its largest value, on both
sides of the mode and of other breaks, so that tails and sharp peaks are held.

With c the point of an interval nearest to 0, the density at c + t is φ(c) exp(-c t - t²/2).
Gauss-Legendre quadrature integrates it without cancellation in far tails and narrow intervals,
where closed forms have lost digits.

Given z_1 the second value is normal on an interval, so that log p(z_1, rectangle) is known, and
concave (Prékopa 1973). Quadrature over z_1 holds in tails and for correlations near 1. With
y = (z_2 - ρ z_1) / s and s² = 1 - ρ², R⁻¹z = (z_1 - ρ y / s, y / s) has no cancellation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias, cast

import numpy as np
from scipy.special import erfcx, log_ndtr

from bayesmix.numerics.arrays import LOG_2PI, Array, Indices

# Relative densities below e^-40 are rounding; with 28 nodes the integral down to there is exact to
# 1e-14. So it is with 10 nodes if the density on the interval changes by less than about e^3.
NEGLIGIBLE, LITTLE = 40.0, 3.0
FEW, MANY = (np.polynomial.legendre.leggauss(number) for number in (10, 28))
# Bisections of the logarithm of a distance between 1e-9 and 1e15, to 1.5 %.
NEAREST, HALVINGS = 1e-9, 12
GOLDEN = 0.5 * (np.sqrt(5.0) - 1.0)
# Standard deviations on both sides of an edge of the second interval with a panel of their own.
EDGE = 5.0

LogDensity: TypeAlias = Callable[[Array], Array]


class Nodes(NamedTuple):
    """Nodes (q,): their intervals, values and masses that sum to 1; log integrals (m,)."""

    owner: Indices
    values: Array
    mass: Array
    log_total: Array

    @classmethod
    def of(cls, owner: Indices, values: Array, mass: Array, largest: Array) -> Nodes:
        """Return nodes from masses relative to ``exp(largest)`` (m,).

        Where a density vanishes before the first node, as far in the tail of a component, all nodes
        are as good as the bound beside them, and the integral is bounded by the smallest double.
        """
        total = np.bincount(owner, mass, len(largest))
        vanishes = ~(total > 0.0)
        mass = np.where(vanishes[owner], 1.0, mass)
        total = np.where(vanishes, np.bincount(owner, mass, len(largest)), total)
        least = float(np.log(np.finfo(np.float64).tiny))
        log_total = largest + np.where(vanishes, least, np.log(total))
        return cls(owner, values, mass / total[owner], log_total)

    def mean(self, values: Array) -> Array:
        """Return expectations (m,) of functions (q,) of the values."""
        return cast("Array", np.bincount(self.owner, self.mass * values, len(self.log_total)))

    def drawn(self, wanted: Indices, uniform: Array) -> Indices:
        """Return a node of each wanted interval, by mass."""
        order = np.argsort(self.owner, kind="stable")
        first, last = np.searchsorted(self.owner[order], [wanted, wanted + 1])
        # The nodes of interval g lie between g and g + 1.
        place = np.searchsorted(np.cumsum(self.mass[order]), wanted + uniform)
        return order[np.clip(place, first, last - 1)]


def points_on(low: Array, high: Array, rule: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return nodes and weights (q, ...) of a rule on intervals."""
    half = 0.5 * (high - low)
    points, weights = (part.reshape(-1, *[1] * half.ndim) for part in rule)
    return (low + half) + half * points, half * weights


def mode_of(log_density: LogDensity, low: Array, high: Array, sections: int) -> Array:
    """Return where log-concave densities are largest between bounds, by golden sections."""
    for _ in range(sections if low.size else 0):
        width = GOLDEN * (high - low)
        before, after = log_density(np.array([high - width, low + width]))
        falls = before >= after
        low, high = np.where(falls, low, high - width), np.where(falls, low + width, high)
    return 0.5 * (low + high)


def end_of(log_density: LogDensity, centre: Array, largest: Array, limit: Array) -> Array:
    """Return where a log density is ``NEGLIGIBLE`` below that of ``centre``, or the limit."""
    side, far = np.sign(limit - centre), np.abs(limit - centre)
    near = np.minimum(NEAREST, far)
    for _ in range(HALVINGS if near.size else 0):
        middle = np.sqrt(near * far)
        beyond = ~(largest - log_density(centre + side * middle) <= NEGLIGIBLE)
        near, far = np.where(beyond, near, middle), np.where(beyond, middle, far)
    return centre + side * far


class Truncated(NamedTuple):
    """Log probability of a region, E[R⁻¹z] and R⁻¹ - cov[R⁻¹z] of z with correlations R in it.

    On an interval these are the mean and 1 - variance, on a rectangle (2, ...) and the entries 11,
    12 and 22 (3, ...).
    """

    log_probability: Array
    scores: Array
    information: Array


def on_interval(a: Array, b: Array) -> Truncated:
    """Return the standard normal on intervals [a, b], a < b; bounds may be infinite."""
    flipped = a < -b
    low, high = np.where(flipped, [-b, -a], [a, b])
    c = np.maximum(low, 0.0)
    reach = 2.0 * NEGLIGIBLE / (c + np.sqrt(c * c + 2.0 * NEGLIGIBLE))
    start, stop = np.maximum(low - c, -reach), np.minimum(high - c, reach)
    width = stop - start
    narrow = width * (c + 0.5 * width) < LITTLE
    wide = ~narrow & (c * c < 2.0 * NEGLIGIBLE)
    out = np.empty((3, *c.shape))
    for chosen, rule in ((narrow, FEW), (~narrow & ~wide, MANY)):
        centre = c[chosen]
        t, weights = points_on(start[chosen], stop[chosen], rule)
        density = weights * np.exp(-t * (centre + 0.5 * t))
        mass = density.sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):  # intervals of no width
            shift, square = (density * t).sum(axis=0) / mass, (density * t * t).sum(axis=0) / mass
            out[:, chosen] = np.log(mass), centre + shift, 1.0 - (square - shift * shift)
    ends = c[wide] + np.array([start[wide], stop[wide]])
    density = np.exp(0.5 * (c[wide] + ends) * (c[wide] - ends))
    mass = -np.diff(np.sqrt(0.5 * np.pi) * erfcx(np.sqrt(0.5) * ends) * density, axis=0)[0]
    density /= mass
    mean = density[0] - density[1]
    lost = mean * (mean - ends[0]) + (ends[1] - ends[0]) * density[1]
    out[:, wide] = np.log(mass), mean, lost
    return Truncated(out[0] - 0.5 * (c * c + LOG_2PI), np.where(flipped, -out[1], out[1]), out[2])


def _rest(rectangles: Array) -> Array:
    """Return s of rectangles (5, m): lower bounds, upper bounds and correlations."""
    return np.sqrt((1.0 - rectangles[4]) * (1.0 + rectangles[4]))


def _second_bounds(rectangles: Array, z: Array) -> Array:
    """Return the bounds (2, ...) of y given z_1."""
    shift, rest = rectangles[4] * z, _rest(rectangles)
    return np.array([(rectangles[1] - shift) / rest, (rectangles[3] - shift) / rest])


def _log_density(rectangles: Array, z: Array) -> Array:
    """Return log p(z_1, rectangle)."""
    a, b = _second_bounds(rectangles, z)
    low, high = log_ndtr(np.where(a > -b, [-b, -a], [a, b]))
    with np.errstate(divide="ignore", invalid="ignore"):
        return high + np.log(-np.expm1(low - high)) - 0.5 * (z * z + LOG_2PI)


def _nodes_of(rectangles: Array) -> Nodes:
    """Return nodes of z_1 in rectangles."""
    ratio = rectangles[4] / _rest(rectangles)
    far = 10.0 + np.where(np.isfinite(rectangles), np.abs(rectangles), 0.0).max(axis=0)
    low, high = np.maximum(rectangles[0], -far), np.minimum(rectangles[2], far)
    middle, width = 0.5 * (low + high), high - low
    largest = _log_density(rectangles, middle)
    slope = ratio * on_interval(*_second_bounds(rectangles, middle)).scores - middle
    narrow = width * (np.abs(slope) + (1.0 + ratio * ratio) * width) < LITTLE
    few, wide = np.flatnonzero(narrow), np.flatnonzero(~narrow)
    log_density = partial(_log_density, rectangles[:, wide])
    mode = mode_of(log_density, low[wide], high[wide], 20)  # only divides panels
    largest[wide] = log_density(mode)
    ends = end_of(log_density, mode, largest[wide], np.array([low[wide], high[wide]]))
    _, second_low, _, second_high, correlation = rectangles[:, wide]
    edge = EDGE * _rest(rectangles[:, wide])
    with np.errstate(divide="ignore", invalid="ignore"):
        bounds = np.array(
            [second_low - edge, second_low + edge, second_high - edge, second_high + edge]
        )
        edges = bounds / correlation
    breaks = np.array([*ends, mode, *np.where(np.isnan(edges), mode, edges)])
    breaks = np.sort(np.clip(breaks, *ends), axis=0)
    panel, place = np.nonzero(breaks[1:] > breaks[:-1])
    parts = []
    for rule, owner, start, stop in (
        (FEW, few, low[few], high[few]),
        (MANY, wide[place], breaks[panel, place], breaks[panel + 1, place]),
    ):
        z, weights = points_on(start, stop, rule)
        mass = weights * np.exp(_log_density(rectangles[:, owner], z) - largest[owner])
        parts.append((np.tile(owner, len(z)), z.ravel(), mass.ravel()))
    owner, values, mass = map(np.concatenate, zip(*parts, strict=True))
    return Nodes.of(owner, values, mass, largest)


def on_rectangle(rectangles: Array) -> Truncated:
    """Return the distributions for bounds and correlations (5, ...)."""
    # Values below limits of detection have the same rectangle if nothing else was measured.
    distinct, numbers = np.unique(rectangles.reshape(5, -1), axis=1, return_inverse=True)
    nodes, rest = _nodes_of(distinct), _rest(distinct)
    ratio, owner = distinct[4] / rest, nodes.owner
    second = on_interval(*_second_bounds(distinct[:, owner], nodes.values))
    parts = nodes.values - ratio[owner] * second.scores, second.scores / rest[owner]
    scores = np.array([nodes.mean(part) for part in parts])
    first, last = parts - scores[:, owner]
    lost = nodes.mean(second.information)
    information = np.array(
        [
            1.0 + ratio * ratio * lost - nodes.mean(first * first),
            -ratio / rest * lost - nodes.mean(first * last),
            lost / rest**2 - nodes.mean(last * last),
        ]
    )
    places = numbers.reshape(rectangles.shape[1:])
    return Truncated(nodes.log_total[places], scores[:, places], information[:, places])


def drawn_on_interval(a: Array, b: Array, uniform: Array) -> Array:
    """Return draws of the standard normal on intervals from uniform numbers."""
    from scipy.stats import truncnorm  # slow to import

    return np.asarray(truncnorm.ppf(uniform, a, b))


def drawn_on_rectangle(rectangles: Array, uniform: Array) -> Array:
    """Return draws (2, m) from uniform numbers (2, m); the first value is one of the nodes."""
    nodes = _nodes_of(rectangles)
    z = nodes.values[nodes.drawn(np.arange(rectangles.shape[1]), uniform[0])]
    low, high = _second_bounds(rectangles, z)
    y = drawn_on_interval(low, high, uniform[1])
    return np.array([z, rectangles[4] * z + _rest(rectangles) * y])
