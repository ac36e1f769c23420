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
        """Return nodes from masses relative to ``exp(largest)`` (m,)."""
        total = np.bincount(owner, mass, len(largest))
        return cls(owner, values, mass / total[owner], np.log(total) + largest)

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


def nodes_between(
    log_density: LogDensity, breaks: Array, largest: Array, rule: tuple[Array, Array] | None = None
) -> Nodes:
    """Return nodes between breaks (B, m) of densities relative to ``exp(largest)`` (m,)."""
    values, weights = points_on(breaks[:-1], breaks[1:], rule or MANY)
    mass = weights * np.exp(log_density(values) - largest)
    owner = np.broadcast_to(np.arange(len(largest)), mass.shape)
    return Nodes.of(owner.ravel(), values.ravel(), mass.ravel(), largest)


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
        centre, first, half = c[chosen], start[chosen], 0.5 * width[chosen]
        sums = np.zeros((3, len(half)))
        for point, weight in zip(*rule, strict=True):
            t = first + (1.0 + point) * half
            density = weight * half * np.exp(-t * (centre + 0.5 * t))
            for total in sums:
                total += density
                density *= t
        with np.errstate(divide="ignore", invalid="ignore"):  # intervals of no width
            shift, square = sums[1:] / sums[0]
            out[:, chosen] = np.log(sums[0]), centre + shift, 1.0 - (square - shift * shift)
    ends = c[wide] + np.array([start[wide], stop[wide]])
    density = np.exp(0.5 * (c[wide] + ends) * (c[wide] - ends))
    mass = -np.diff(np.sqrt(0.5 * np.pi) * erfcx(np.sqrt(0.5) * ends) * density, axis=0)[0]
    density /= mass
    mean = density[0] - density[1]
    lost = mean * (mean - ends[0]) + (ends[1] - ends[0]) * density[1]
    out[:, wide] = np.log(mass), mean, lost
    return Truncated(out[0] - 0.5 * (c * c + LOG_2PI), np.where(flipped, -out[1], out[1]), out[2])


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
        return cls(*np.vstack([rectangles, np.sqrt((1.0 - correlation) * (1.0 + correlation))]))

    def some(self, places: Indices) -> _Rectangles:
        return _Rectangles(*(part[places] for part in self))

    def second_bounds(self, z: Array) -> tuple[Array, Array]:
        """Return the bounds of y given z_1."""
        shift = self.correlation * z
        return (self.second_low - shift) / self.rest, (self.second_high - shift) / self.rest

    def log_density(self, z: Array) -> Array:
        """Return log p(z_1, rectangle)."""
        a, b = self.second_bounds(z)
        low, high = log_ndtr(np.where(a > -b, [-b, -a], [a, b]))
        with np.errstate(divide="ignore", invalid="ignore"):
            return high + np.log(-np.expm1(low - high)) - 0.5 * (z * z + LOG_2PI)

    def nodes(self) -> Nodes:
        """Return nodes of z_1."""
        ratio = self.correlation / self.rest
        far = 10.0 + np.max(np.abs(np.where(np.isfinite(self[:4]), self[:4], 0.0)), axis=0)
        low, high = np.maximum(self.low, -far), np.minimum(self.high, far)
        middle, width = 0.5 * (low + high), high - low
        largest = self.log_density(middle)
        slope = ratio * on_interval(*self.second_bounds(middle)).scores - middle
        few = width * (np.abs(slope) + (1.0 + ratio * ratio) * width) < LITTLE
        wide = np.flatnonzero(~few)
        pairs = self.some(wide)
        mode = mode_of(pairs.log_density, low[wide], high[wide], 20)  # only divides panels
        largest[wide] = pairs.log_density(mode)
        ends = end_of(pairs.log_density, mode, largest[wide], np.array([low[wide], high[wide]]))
        with np.errstate(divide="ignore", invalid="ignore"):
            edges = [
                (bound + side * pairs.rest) / pairs.correlation
                for bound in (pairs.second_low, pairs.second_high)
                for side in (-EDGE, EDGE)
            ]
        breaks = np.array([*ends, mode, *edges])
        breaks = np.sort(np.clip(np.where(np.isnan(breaks), mode, breaks), *ends), axis=0)
        panel, place = np.nonzero(breaks[1:] > breaks[:-1])
        parts = []
        for rule, owner, start, stop in (
            (FEW, np.flatnonzero(few), low[few], high[few]),
            (MANY, wide[place], breaks[panel, place], breaks[panel + 1, place]),
        ):
            z, weights = points_on(start, stop, rule)
            mass = weights * np.exp(self.some(owner).log_density(z) - largest[owner])
            parts.append((np.tile(owner, len(z)), z.ravel(), mass.ravel()))
        owner, values, mass = map(np.concatenate, zip(*parts, strict=True))
        return Nodes.of(owner, values, mass, largest)


def on_rectangle(rectangles: Array) -> Truncated:
    """Return the distributions for bounds and correlations (5, ...)."""
    # Values below limits of detection have the same rectangle if nothing else was measured.
    distinct, numbers = np.unique(rectangles.reshape(5, -1), axis=1, return_inverse=True)
    pairs = _Rectangles.of(distinct)
    nodes, rest = pairs.nodes(), pairs.rest
    bounds = pairs.some(nodes.owner).second_bounds(nodes.values)
    ratio, second = pairs.correlation / rest, on_interval(*bounds)
    parts = nodes.values - ratio[nodes.owner] * second.scores, second.scores / rest[nodes.owner]
    scores = np.array([nodes.mean(part) for part in parts])
    first, last = parts - scores[:, nodes.owner]
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
    pairs = _Rectangles.of(rectangles)
    nodes = pairs.nodes()
    z = nodes.values[nodes.drawn(np.arange(len(pairs.low)), uniform[0])]
    y = drawn_on_interval(*pairs.second_bounds(z), uniform[1])
    return np.array([z, pairs.correlation * z + pairs.rest * y])
