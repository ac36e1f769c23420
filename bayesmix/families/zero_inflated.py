"""Zero-inflated Poisson family: independent counts with more zeros than a Poisson has.

A count is 0 with probability φ, and otherwise Poisson with rate λ (Lambert 1992). Number, sum and
number of zeros are sufficient, so that the M-step is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.special import gammaln, lambertw

from bayesmix.core.families import Support
from bayesmix.core.parameters import MOMENTS_OF_AMOUNTS, NOT_NEGATIVE, SHARE, parameter
from bayesmix.families.independent.columns import ColumnsFamily, PointColumns
from bayesmix.families.independent.linear import NEVER, LinearInTotals, Reading, Sums
from bayesmix.families.rates import CountFamily
from bayesmix.families.without_prior import WithoutPrior
from bayesmix.numerics.arrays import IMPOSSIBLE, Array, Integers


@dataclass(frozen=True)
class WithZeros(Reading):
    """Sufficient statistics x and 1{x = 0}, with base -Σ log x!."""

    has_base = True

    def totals(self, values: Array) -> Array:
        return np.concatenate([values.T, values.T == 0.0])

    def log_base(self, values: Array) -> Array:
        return -gammaln(values.T + 1.0).sum(axis=0)

    def spread(self, values: Array) -> Array:
        return np.concatenate([values, values], axis=-1)


WITH_ZEROS = WithZeros()


def rates_of_positive(means: Array) -> Array:
    """Return λ with λ / (1 - exp(-λ)) = ``means`` >= 1, the mean of the positive counts."""
    # With y = λ - m, y exp(y) = -m exp(-m). The bound λ <= 2 (m - 1) is reached at m = 1, about
    # which the function has no numbers.
    rates: Array = np.fmin(means + lambertw(-means * np.exp(-means), 0).real, 2.0 * (means - 1.0))
    return rates


@dataclass(frozen=True)
class ZeroInflatedPoissons(PointColumns):
    """Probabilities of extra zeros φ and rates λ (K, D) at a point; a rate of 0 is allowed."""

    extra_zeros: Array = field(metadata=parameter(SHARE))
    rates: Array = field(metadata=parameter(NOT_NEGATIVE))

    named = ("extra_zeros", "rates", "means")
    support = Support.COUNTS
    reports = MOMENTS_OF_AMOUNTS

    @property
    def sufficient(self) -> tuple[Array, ...]:
        return self.extra_zeros, self.rates

    @property
    def log_zeros(self) -> Array:
        """Log p(0) (K, D)."""
        return np.log(self.extra_zeros + (1.0 - self.extra_zeros) * np.exp(-self.rates))

    @cached_property
    def linear(self) -> LinearInTotals:
        constants = np.log1p(-self.extra_zeros) - self.rates
        with np.errstate(divide="ignore"):
            logs = np.maximum(np.log(self.rates), NEVER)
        return LinearInTotals(constants, np.hstack([logs, self.log_zeros - constants]), WITH_ZEROS)

    def expected_log_density(self, values: Array) -> Array:
        """Return log p(x | k) (n, K), minus infinity for positive counts at rate 0."""
        out = self.linear.expected_log_density(values)
        out[out < IMPOSSIBLE] = -np.inf
        return out

    @property
    def means(self) -> Array:
        return (1.0 - self.extra_zeros) * self.rates

    @property
    def deviations(self) -> Array:
        return np.sqrt(self.means * (1.0 + self.extra_zeros * self.rates))

    @property
    def expected_totals(self) -> Array:
        """E[x] and p(0) (K, 2 D)."""
        return np.hstack([self.means, np.exp(self.log_zeros)])

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        rates = np.repeat(self.rates, counts, axis=0)
        present = generator.random(rates.shape) >= np.repeat(self.extra_zeros, counts, axis=0)
        return np.where(present, generator.poisson(rates), 0).astype(float)


@dataclass(frozen=True)
class ZeroInflatedPoisson(CountFamily, WithoutPrior, ColumnsFamily[ZeroInflatedPoissons]):
    """Independent columns of counts with extra zeros.

    Maximum likelihood only, as there is no conjugate prior. One such component has the density of
    a component of zeros beside a Poisson component; it is the model with fewer classes.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> rows = rng.poisson(4.0, (500, 1)) * (rng.random((500, 1)) < 0.6)
    >>> m = bm.Mixture(1, family=bm.ZeroInflatedPoisson()).fit(rows)
    >>> m.extra_zeros_.round(2), m.rates_.round(1)
    (array([[0.4]]), array([[4.]]))
    """

    name = "zero_inflated_poisson"
    adjective = "zero-inflated Poisson"
    with_article = "a zero-inflated Poisson"
    no_prior = (
        "a ZeroInflatedPoisson has no conjugate prior: use inference=MaximumLikelihood(), or "
        "Poisson()"
    )
    reading = WITH_ZEROS
    mean_where_empty = 1.0  # of counts and zeros alike, which is read as a Poisson of rate 1

    def at_means(self, means: Array) -> ZeroInflatedPoissons:
        """Return the estimates for mean counts and shares of zeros (K, 2 D)."""
        mean, zeros = np.split(means, 2, axis=1)
        positive = np.maximum(1.0 - zeros, 0.0)
        known = (positive > 0.0) & (mean > 0.0)
        # Rounding may produce a mean of the positive counts below 1.
        of_positive = np.divide(mean, positive, out=np.ones_like(mean), where=known)
        rates = rates_of_positive(np.maximum(of_positive, 1.0))
        share = -np.expm1(-rates)
        inflated = known & (positive < share)
        extra = np.where(inflated, 1.0 - positive / np.where(inflated, share, 1.0), 0.0)
        return ZeroInflatedPoissons(extra, np.where(inflated, rates, mean))

    def feasible(self, statistics: Sums) -> bool:
        """Whether there are at most as many zeros as counts, and positive counts are 1 or more."""
        total, zeros = np.split(statistics.totals, 2, axis=1)
        known = np.broadcast_to(statistics.counts_of_totals, statistics.totals.shape)[
            :, : total.shape[1]
        ]
        positive = known - zeros
        return bool((zeros >= 0).all() and (positive >= 0).all() and (total >= positive).all())
