"""Negative binomial family: independent overdispersed counts.

Mean μ and size r, so that the variance is μ + μ² / r; μ is the mean of the counts, and r solves one
equation. The tables of counts are the sufficient statistics, so that the M-step is exact. The
likelihood in r has one maximum, which is the Poisson limit r = ∞ unless the variance exceeds the
mean (Levin & Reeds 1977). Variational fits have one size for each column (``count_posterior``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import gammaln

from bayesmix.core.families import FamilyOf, Rearranged, Support
from bayesmix.core.parameters import NOT_NEGATIVE, POSITIVE, parameter
from bayesmix.core.rows import Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError
from bayesmix.families.gamma import log_constant
from bayesmix.families.independent.columns import NoGuard
from bayesmix.families.product.family import Product
from bayesmix.families.rates import RATES, CountFamily, Poisson
from bayesmix.families.without_prior import PointsByColumn, WithoutPrior
from bayesmix.numerics.arrays import Array, Integers, has_gaps, without_gaps

if TYPE_CHECKING:
    from bayesmix.families.count_posterior import SizePrior

# Largest count of a fit, for the memory of tables; beyond it a gamma differs by less than 1e-5.
LARGEST_OF_FIT = 100_000
# At this ratio of size to mean (or to 1) the variance exceeds that of a Poisson by 1e-8 of it.
LARGEST_RATIO = 1e8
# Bisections of the logarithm of the size in the worst case; Newton's method needs about five steps.
# A Newton step of this relative size leaves an error of about its square.
STEPS, PRECISION = 60, 1e-7


def log_rising(sizes: Array, values: Array) -> Array:
    """Return log Γ(r + x) - log Γ(r) - x log r, also where r is large."""
    constants = log_constant(sizes) - log_constant(sizes + values)
    return (sizes + values) * np.log1p(values / sizes) - values + constants


@dataclass(frozen=True)
class CountTables(Rearranged):
    """Counts (K,) Σ w r, and tables (K, D, L) Σ w r 1{x = l}."""

    counts: Array
    tables: Array
    shared = False

    @classmethod
    def of(cls, values: Array, responsibilities: Array) -> CountTables:
        """Return the tables of values (n, D), of which missing ones are in none."""
        whole, (n, D) = without_gaps(values).astype(np.intp), values.shape
        length = int(whole.max(initial=0)) + 1
        places = (whole + length * np.arange(D)).ravel()
        weights = np.broadcast_to(responsibilities.T[:, :, None], (responsibilities.shape[1], n, D))
        if has_gaps(values):
            weights = weights * ~np.isnan(values)
        tables = np.empty((responsibilities.shape[1], D, length))
        for table, own in zip(tables, weights, strict=True):
            table[:] = np.bincount(places, own.ravel(), D * length).reshape(D, length)
        return cls(responsibilities.sum(axis=0), tables)

    def _to(self, length: int) -> Array:
        """Return tables of this length."""
        return np.pad(self.tables, [(0, 0), (0, 0), (0, length - self.tables.shape[2])])

    def __add__(self, other: CountTables) -> CountTables:
        length = max(self.tables.shape[2], other.tables.shape[2])
        return CountTables(self.counts + other.counts, self._to(length) + other._to(length))

    def _each(self, change: Callable[[Array], Array]) -> CountTables:
        return CountTables(change(self.counts), change(self.tables))

    def scaled(self, factor: float) -> CountTables:
        return self._each(lambda sums: factor * sums)

    def subset(self, keep: Integers) -> CountTables:
        return self._each(lambda sums: sums[keep])

    @classmethod
    def joined(cls, parts: Sequence[CountTables]) -> CountTables:
        length = max(part.tables.shape[2] for part in parts)
        return cls(
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part._to(length) for part in parts]),
        )

    def pack(self) -> Array:
        return np.concatenate([self.counts, self.tables.ravel()])

    def units(self) -> float:
        return 1.0

    def unpack(self, vector: Array) -> CountTables:
        tables = vector[len(self.counts) :].reshape(self.tables.shape)
        return replace(self, counts=vector[: len(self.counts)], tables=tables)


def most_likely_sizes(tables: Array, means: Array, start: Array) -> Array:
    """Return sizes r (K, D) given means, by Newton's method for log r between bounds.

    The slope is Σ_j C_j / (r + j) + N log(r / (r + μ)), with C_j the number of counts above j.
    """
    known = tables.sum(axis=2)
    above = np.cumsum(tables[..., :0:-1], axis=2)[..., ::-1]  # C_j (K, D, L - 1)
    steps = np.arange(above.shape[2], dtype=np.float64)
    highest = LARGEST_RATIO * np.maximum(means, 1.0)
    # Σ_j 2 j C_j = Σ x (x - 1), at most N μ² unless the variance exceeds the mean.
    excess = 2.0 * (above @ steps) - known * means**2
    spread = excess > 0.0
    low, high = np.full(means.shape, -np.log(LARGEST_RATIO)), np.log(highest)
    log_sizes = np.clip(np.log(start), low, high)
    for _ in range(STEPS):
        sizes = np.exp(log_sizes)
        shares = above / (sizes[..., None] + steps)
        slope = shares.sum(axis=2) - known * np.log1p(means / sizes)
        curve = known * means / (sizes + means) - sizes * (
            (shares / (sizes[..., None] + steps)).sum(axis=2)
        )  # derivative of the slope in log r
        low, high = np.where(slope > 0.0, log_sizes, low), np.where(slope > 0.0, high, log_sizes)
        newton = log_sizes - slope / np.where(curve < 0.0, curve, -np.inf)
        inside = (curve < 0.0) & (newton > low) & (newton < high)
        moved = np.where(inside, newton, 0.5 * (low + high))
        settled = np.abs(moved - log_sizes) <= PRECISION * np.maximum(np.abs(log_sizes), 1.0)
        log_sizes = moved
        if (settled | ~spread).all():
            break
    return np.where(spread, np.exp(log_sizes), highest)


@dataclass(frozen=True)
class OverdispersedCounts(PointsByColumn):
    """Rates and sizes (K, D) at a point; a rate of 0 is allowed."""

    rates: Array = field(metadata=parameter(NOT_NEGATIVE))
    sizes: Array = field(metadata=parameter(POSITIVE))

    named = ("rates", "sizes")
    reports = (RATES,)
    support = Support.COUNTS

    @property
    def means(self) -> Array:
        return self.rates

    @property
    def deviations(self) -> Array:
        return np.sqrt(self.means * (1.0 + self.means / self.sizes))

    def expected_log_density(self, values: Array) -> Array:
        """Return log p(x | k) (n, K), minus infinity for positive counts at mean 0."""
        out = np.zeros((len(values), self.n_components), order="F")
        for d, column in enumerate(values.T):
            # Many samples share few distinct counts.
            counts, places = np.unique(column, return_inverse=True)
            mean, size, x = self.rates[:, d, None], self.sizes[:, d, None], counts[None]
            with np.errstate(divide="ignore", invalid="ignore"):
                powers = np.where(x > 0.0, x * np.log(mean), 0.0)  # 0 log 0 = 0
                logs = log_rising(size, x) + powers - (size + x) * np.log1p(mean / size)
            out += (logs - gammaln(x + 1.0)).T[places]
        return out

    def statistics(self, values: Array, responsibilities: Array) -> CountTables:
        return CountTables.of(values, responsibilities)

    @property
    def expected_totals(self) -> Array:
        """E[x] and r (K, 2 D)."""
        return np.hstack([self.means, self.sizes])

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        sizes = np.repeat(self.sizes, counts, axis=0)
        rates = generator.standard_gamma(sizes) * np.repeat(self.rates / self.sizes, counts, axis=0)
        return generator.poisson(rates).astype(float)


@dataclass(frozen=True)
class NegativeBinomial(CountFamily, WithoutPrior, FamilyOf[CountTables, OverdispersedCounts]):
    """Independent columns of overdispersed counts, with variance μ + μ² / r.

    By maximum likelihood each component has sizes r of its own; columns whose variance does not
    exceed their mean get the Poisson limit, at r = 1e8 max(μ, 1). Under variational Bayes the
    components share the size of a column, which type-II maximum likelihood sets, at most at r = 1e4
    max(m, 1) with m the mean of the column; means have beta prime posteriors. There is no MAP.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> rows = np.vstack([rng.negative_binomial(3, 0.5, (200, 2)), rng.poisson(30.0, (100, 2))])
    >>> m = bm.Mixture(2, family=bm.NegativeBinomial(), random_state=0).fit(rows)
    >>> m.weights_.round(2)
    array([0.67, 0.33])
    """

    name = "negative_binomial"
    takes_intervals = True
    separable = True
    with_article = "a negative binomial"
    any_real = False
    least = 0.0
    takes_gaps = True
    has_posterior = True
    no_prior = (
        "a NegativeBinomial has no MAP estimate: use inference=MaximumLikelihood() or "
        "VariationalBayes()"
    )

    def frame(self, summary: Summary) -> Frame:
        """Return the identity, or raise an error for counts that are too large for tables."""
        if (largest := summary.maximum.max()) > LARGEST_OF_FIT:
            raise InvalidInputError(
                f"X must hold counts up to {LARGEST_OF_FIT:,} for a negative binomial fit, got "
                f"{largest:g}: use Gamma() or LogNormal() for numbers as large as that"
            )
        return Frame.identity(summary.n_features)

    def statistics(self, values: Array, responsibilities: Array) -> CountTables:
        return CountTables.of(values, responsibilities)

    def maximum_likelihood(
        self,
        statistics: CountTables,
        previous: OverdispersedCounts | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> OverdispersedCounts:
        """Match the mean, and solve for the size of each column."""
        tables = statistics.tables
        known, values = tables.sum(axis=2), np.arange(tables.shape[2], dtype=np.float64)
        # An empty component keeps its previous parameters, if there are any.
        means, sizes = np.ones_like(known), np.ones_like(known)
        if previous is not None and previous.means.shape == known.shape:
            means, sizes = previous.means.copy(), previous.sizes
        np.divide(tables @ values, known, out=means, where=known > 0.0)
        most_likely = most_likely_sizes(tables, means, sizes)
        return OverdispersedCounts(means, np.where(known > 0.0, most_likely, sizes))

    def reference_prior(self, summary: Summary, frame: Frame) -> SizePrior:  # type: ignore[override]
        """Return the prior with the mean of each column."""
        from bayesmix.families.count_posterior import SizePrior

        return SizePrior(np.maximum(summary.mean, 1e-3))

    def feasible(self, statistics: CountTables) -> bool:
        return bool((statistics.tables >= 0.0).all() and (statistics.counts >= 0.0).all())

    def guard(self, source: Source, frame: Frame, summary: Summary, repair: bool) -> NoGuard:
        return NoGuard()


def overdispersed(family: Any) -> Any:
    """Return the family with negative binomial counts in place of Poisson counts.

    The two are candidates of one search: ``select(X, family=[family, overdispersed(family)])``.
    """
    if isinstance(family, Poisson):
        return NegativeBinomial()
    if isinstance(family, Product):
        parts = (replace(part, family=overdispersed(part.family)) for part in family.parts)
        return replace(family, parts=tuple(parts))
    return family
