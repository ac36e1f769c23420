"""Gamma family: independent positive columns, by maximum likelihood.

Shapes solve log k - ψ(k) = log(mean) - mean log (Minka 2002); 1 / k, about the variance of
logarithms, is bounded below by the resolution of the data.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import stats
from scipy.special import digamma, gammaln, polygamma

from bayesmix.core.families import FamilyOf
from bayesmix.core.parameters import POSITIVE, parameter
from bayesmix.core.rows import Frame
from bayesmix.families.independent.columns import SMALLEST
from bayesmix.families.independent.linear import (
    Reading,
    Sums,
    sums_of_seen,
    totals_of_seen,
)
from bayesmix.families.without_prior import PositiveFamily, PositivePoints
from bayesmix.numerics.arrays import Array, Integers, has_gaps
from bayesmix.numerics.distributions import ColumnDistribution
from bayesmix.numerics.gaps import seen as present_in

# Above this the skewness 2 / √k is below 1e-3, as good as normal.
LARGEST_SHAPE = 1e7
# From here on the first terms of Stirling's series are exact in double precision.
LARGE = 100.0
# Newton steps from within a factor of 2, with quadratic convergence.
STEPS = 6


class TwoTotals(Reading):
    """Two sufficient statistics of each positive value."""

    def spread(self, values: Array) -> Array:
        return np.concatenate([values, values], axis=-1)

    def sums(self, values: Array, responsibilities: Array) -> Sums:
        """Return counts and totals over the observed cells."""
        if not has_gaps(values):
            return self.observed(values).sums(responsibilities)
        present = present_in(values)
        # Missing values become 1, which has a logarithm.
        totals = totals_of_seen(self, np.where(present > 0.0, values, 1.0), present)
        return sums_of_seen(self, totals, present, responsibilities)


@dataclass(frozen=True)
class WithLogs(TwoTotals):
    """Sufficient statistics x and log x, without units as medians are near 1 in the frame."""

    def totals(self, values: Array) -> Array:
        return np.concatenate([values.T, np.log(values.T)])


WITH_LOGS = WithLogs()


def log_less_digamma(shapes: Array) -> Array:
    """Return log k - ψ(k), between 1 / 2k and 1 / k."""
    large = np.maximum(shapes, LARGE)
    series = 1.0 / (2.0 * large) + 1.0 / (12.0 * large**2) - 1.0 / (120.0 * large**4)
    return np.where(shapes >= LARGE, series, np.log(shapes) - digamma(shapes))


def log_constant(shapes: Array) -> Array:
    """Return k log k - k - log Γ(k)."""
    large = np.maximum(shapes, LARGE)
    series = 0.5 * np.log(large / (2.0 * np.pi)) - 1.0 / (12.0 * large) + 1.0 / (360.0 * large**3)
    plain = shapes * np.log(shapes) - shapes - gammaln(shapes)
    return np.where(shapes >= LARGE, series, plain)


def most_likely_shapes(spread: Array) -> Array:
    """Solve log k - ψ(k) = ``spread`` > 0 by Newton's method for 1 / k, between bounds."""
    low, high = spread, 2.0 * spread
    inverse = np.clip(2.0 * spread / (1.0 + spread), low, high)
    for _ in range(STEPS):
        shapes = 1.0 / inverse
        slope = polygamma(1, shapes) - inverse  # slope of log k - ψ(k) in -k, about 1 / 2k²
        inverse += (spread - log_less_digamma(shapes)) / (shapes * shapes * slope)
        inverse = np.clip(inverse, low, high)
    return 1.0 / inverse


@dataclass(frozen=True)
class Gammas(PositivePoints):
    """Shapes and rates (K, D) at a point."""

    shapes: Array = field(metadata=parameter(POSITIVE))
    rates: Array = field(metadata=parameter(POSITIVE))

    named = ("shapes", "rates", "means")

    @property
    def means(self) -> Array:
        return self.shapes / self.rates

    @property
    def deviations(self) -> Array:
        return np.sqrt(self.shapes) / self.rates

    @property
    def distribution(self) -> ColumnDistribution:
        return ColumnDistribution(stats.gamma(self.shapes[:, 0], scale=1.0 / self.rates[:, 0]))

    @property
    def expected_totals(self) -> Array:
        """E[x] and E[log x] (K, 2 D)."""
        return np.hstack([self.means, np.log(self.means) - log_less_digamma(self.shapes)])

    def expected_log_density(self, values: Array) -> Array:
        """Return log p(x | k) (n, K), minus infinity for x <= 0."""
        clipped = np.maximum(values, SMALLEST)
        out = np.empty((len(values), self.n_components), order="F")
        logs = np.log(clipped)
        for k, (shape, mean) in enumerate(zip(self.shapes, self.means, strict=True)):
            with np.errstate(over="ignore"):  # infinitely far away
                away = clipped / mean - 1.0
            # Near the mean the two terms cancel; far below it x / mean - 1 rounds to -1.
            far = (away < -0.5) | np.isposinf(away)
            log_ratio = np.where(far, logs - np.log(mean), np.log1p(np.maximum(away, -0.5)))
            out[:, k] = log_constant(shape).sum() - (away - log_ratio) @ shape
        out -= logs.sum(axis=1)[:, None]
        out[(values <= 0.0).any(axis=1)] = -np.inf
        return out

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        return WITH_LOGS.sums(values, responsibilities)

    def unframed(self, frame: Frame) -> Gammas:
        return Gammas(self.shapes, self.rates / frame.scale)

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        rates = np.repeat(self.rates, counts, axis=0)
        return generator.standard_gamma(np.repeat(self.shapes, counts, axis=0)) / rates


@dataclass(frozen=True)
class Gamma(PositiveFamily, FamilyOf[Sums, Gammas]):
    """Independent gamma columns, such as amounts and durations.

    Maximum likelihood only, as shapes have no conjugate prior.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.gamma(2.0, 1.0, (200, 1)), rng.gamma(90.0, 0.5, (100, 1))])
    >>> m = bm.Mixture(2, family=bm.Gamma(), random_state=0).fit(X)
    >>> m.weights_.round(2)
    array([0.67, 0.33])
    """

    name = "gamma"
    takes_intervals = True
    with_article = "a Gamma"
    least_variance = 1.0 / LARGEST_SHAPE
    no_prior = (
        "a Gamma has no conjugate prior: use inference=MaximumLikelihood(), or LogNormal(), whose "
        "prior is conjugate"
    )

    def variances_of_logs(self, shapes: Array) -> Array:
        return 1.0 / shapes

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        return WITH_LOGS.sums(values, responsibilities)

    def maximum_likelihood(
        self,
        statistics: Sums,
        previous: Gammas | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> Gammas:
        """Match mean and mean logarithm of each column."""
        # An empty component keeps its previous parameters, if there are any.
        before = None if previous is None else previous.expected_totals
        same = before is not None and before.shape == statistics.totals.shape
        averages = statistics.shares(before if before is not None and same else 1.0)
        means, logs = np.split(averages, 2, axis=1)
        least = np.full((1, means.shape[1]), 1.0 / LARGEST_SHAPE)
        least = least if resolution is None else resolution
        # Products with small responsibilities may underflow to 0.
        earlier = previous.means if previous is not None and same else SMALLEST
        means = np.where(means > 0.0, means, earlier)
        spread = np.log(means) - logs
        shapes = most_likely_shapes(np.maximum(spread, log_less_digamma(1.0 / least)))
        return Gammas(shapes, shapes / means)

    def feasible(self, statistics: Sums) -> bool:
        """Whether the mean logarithm is at most the logarithm of the mean."""
        means, logs = np.split(statistics.shares(1.0), 2, axis=1)
        known = np.broadcast_to(statistics.counts_of_totals, statistics.totals.shape)[
            :, : means.shape[1]
        ]
        if statistics.counts.min() < 0.0 or known.min() < 0.0 or (means <= 0.0).any():
            return False
        return bool((logs <= np.log(means))[known > 0.0].all())
