"""Gauss-Legendre quadrature of log-concave densities on intervals, as nodes with masses.

Nodes lie between the points where the density is e^-40 of its largest value, on both sides of the
mode and of other breaks, so that tails and sharp peaks are held.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from bayesmix.numerics.arrays import Array, Indices

# Relative densities below e^-40 are rounding; with 28 nodes the integral down to there is exact to
# 1e-14. So it is with 10 nodes if the density on the interval changes by less than about e^3.
NEGLIGIBLE, LITTLE = 40.0, 3.0
FEW, MANY = (np.polynomial.legendre.leggauss(number) for number in (10, 28))
# Bisections of the logarithm of a distance between 1e-9 and 1e15, to 1.5 %.
NEAREST, HALVINGS = 1e-9, 12
GOLDEN = 0.5 * (np.sqrt(5.0) - 1.0)

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
        total = sums_by(owner, mass, len(largest))
        return cls(owner, values, mass / total[owner], np.log(total) + largest)

    def mean(self, values: Array) -> Array:
        """Return expectations (m,) of functions (q,) of the values."""
        return sums_by(self.owner, self.mass * values, len(self.log_total))

    def drawn(self, wanted: Indices, uniform: Array) -> Indices:
        """Return a node of each wanted interval, by mass."""
        order = np.argsort(self.owner, kind="stable")
        first, last = np.searchsorted(self.owner[order], [wanted, wanted + 1])
        # The nodes of interval g lie between g and g + 1.
        place = np.searchsorted(np.cumsum(self.mass[order]), wanted + uniform)
        return order[np.clip(place, first, last - 1)]


def sums_by(owner: Indices, values: Array, m: int) -> Array:
    """Return the sums (m,) of values by owner."""
    return np.bincount(owner, values, m).astype(np.float64)


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
