"""Posterior of negative binomial counts: Beta factors, and one size for each column.

A count x with size r and chance p of each further event has log density log Γ(x + r) - log Γ(r) -
log x! + x log p + r log(1 - p); its mean is r p / (1 - p). With p ~ Beta(1, 1 + r / m) the expected
mean is m for every r, and the Poisson limit has the prior Gamma(1, 1 / m) of ``Poisson``. The size
of a column is common to all components, and set by type-II maximum likelihood.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NoReturn

import numpy as np
from scipy.special import digamma, gammaln, polygamma

from bayesmix.core.components import DensitiesAndStatistics, Named
from bayesmix.core.parameters import POSITIVE, within
from bayesmix.core.priors import NamedTensors, Pymc
from bayesmix.core.rows import Frame
from bayesmix.errors import UnsupportedError
from bayesmix.families.gamma import log_less_digamma
from bayesmix.families.independent.columns import (
    Columns,
    ConjugatePrior,
    DrawnColumns,
    PosteriorColumns,
)
from bayesmix.families.independent.factors import TotalsTwin
from bayesmix.families.independent.linear import Reading
from bayesmix.families.negative_binomial import CountTables, OverdispersedCounts, log_rising
from bayesmix.numerics.arrays import Array, Integers, has_gaps, without_gaps
from bayesmix.numerics.gaps import seen
from bayesmix.numerics.special import log_gammas

# Range of sizes relative to the mean (or to 1). At the largest the variance exceeds that of a
# Poisson by 1e-4 of it; digits of log densities are lost beyond.
LEAST_RATIO, LARGEST_RATIO = 1e-3, 1e4
# Longest steps of log r in a pass, down and up. Small sizes widen components, which must first move
# apart: with unlimited steps down, 2 of 6 tables of zeros and counts had a component too many.
LONGEST_DOWN, LONGEST_UP = 0.5, 2.0
# Passes from the mean of a column to any size in the range, and a relative change of all sizes
# that ends them: the evidence is flat at its maximum, so it changes by rounding alone.
PASSES, SETTLED = 20, 1e-7


def log_ways(sizes: Array, values: Array) -> Array:
    """Return log Γ(x + r) - log Γ(r) - log x!, 0 for a count of 0."""
    return log_rising(sizes, values) + values * np.log(sizes) - gammaln(values + 1.0)


def ways_of_rows(sizes: Array, values: Array) -> Array:
    """Return Σ_d log Γ(x + r) - log Γ(r) - log x! (n,) of counts (n, D), each count once."""
    length = int(values.max(initial=0.0)) + 1
    if length > len(values):
        return log_ways(sizes, values).sum(axis=1)
    table = log_ways(sizes, np.arange(length, dtype=np.float64)[:, None])
    return np.take_along_axis(table, values.astype(np.intp), axis=0).sum(axis=1)


def log_beta(a: Array, b: Array) -> Array:
    """Return log B(a, b), with the digits that b = r N of a Poisson limit needs."""
    return gammaln(a) - log_rising(b, a) - a * np.log(b)


def log_ends(a: Array, b: Array) -> Array:
    """Return ψ(b) - ψ(a + b), also where b is large."""
    return log_less_digamma(a + b) - log_less_digamma(b) - np.log1p(a / b)


@dataclass(frozen=True)
class CountsOfSize(Reading):
    """Counts of given sizes, with base Σ log Γ(x + r) - log Γ(r) - log x!."""

    sizes: tuple[float, ...]

    has_base = True

    def log_base(self, values: Array) -> Array:
        return ways_of_rows(np.array(self.sizes), values)


@dataclass(frozen=True)
class CountDraws(DrawnColumns):
    """S draws of log p and log(1 - p), and sizes, all (S, K, D)."""

    log_successes: Array
    log_failures: Array
    sizes: Array

    @property
    def sufficient(self) -> tuple[Array, ...]:
        return self.log_successes, self.log_failures

    @property
    def rates(self) -> Array:
        """Means (S, K, D)."""
        return self.sizes * np.exp(self.log_successes - self.log_failures)

    @property
    def components(self) -> OverdispersedCounts:
        n_features = self.sizes.shape[2]
        rates, sizes = self.rates.reshape(-1, n_features), self.sizes.reshape(-1, n_features)
        return OverdispersedCounts(rates, sizes)

    def at(self, draw: int) -> OverdispersedCounts:
        return OverdispersedCounts(self.rates[draw], self.sizes[draw])

    def parameters(self, frame: Frame) -> Named:
        axes = ("component", "feature")
        return {"rates": (axes, self.rates), "sizes": (axes, self.sizes)}


@dataclass(frozen=True)
class BetaNegativeBinomials(Columns):
    """Predictive densities, with p ~ Beta(successes, failures) integrated out; all (K, D)."""

    successes: Array
    failures: Array
    sizes: Array

    @property
    def means(self) -> Array:
        return self.sizes * self.successes / (self.failures - 1.0)

    @property
    def deviations(self) -> Array:
        """Standard deviation of each column (K, D), infinite for at most 2 failures."""
        a, b, r = self.successes, self.failures, self.sizes
        below = np.maximum(b - 2.0, 0.0) * (b - 1.0) ** 2
        with np.errstate(divide="ignore"):
            return np.sqrt(r * a * (r + b - 1.0) * (a + b - 1.0) / below)

    def expected_log_density(self, values: Array) -> Array:
        out = np.empty((len(values), self.n_components))
        rows = zip(self.successes, self.failures, self.sizes, strict=True)
        for k, (a, b, size) in enumerate(rows):
            logs = log_beta(a + values, b + size) - log_beta(a, b) + log_ways(size, values)
            out[:, k] = logs.sum(axis=1)
        return out

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        a, b, size = (
            np.repeat(each, counts, axis=0) for each in (self.successes, self.failures, self.sizes)
        )
        odds = generator.standard_gamma(a) / generator.standard_gamma(b)
        return generator.poisson(odds * generator.standard_gamma(size)).astype(float)


@dataclass(frozen=True)
class CountPosterior(PosteriorColumns):
    """q(p) = Π Beta(successes, failures) at sizes r, all (K, D); a column has one size."""

    successes: Array = field(metadata=within(POSITIVE))
    failures: Array = field(metadata=within(POSITIVE))
    sizes: Array = field(metadata=within(POSITIVE))

    dense = False

    @property
    def means(self) -> Array:
        """E[r p / (1 - p)] (K, D)."""
        return self.sizes * self.successes / (self.failures - 1.0)

    @property
    def expected_totals(self) -> Array:
        """E[x] and r (K, 2 D)."""
        return np.hstack([self.means, self.sizes])

    @property
    def natural(self) -> tuple[Array, ...]:
        return self.successes - 1.0, self.failures - 1.0

    @cached_property
    def expected(self) -> tuple[Array, ...]:
        a, b = self.successes, self.failures
        return digamma(a) - digamma(a + b), log_ends(a, b)

    @property
    def log_normalisers(self) -> Array:
        return log_beta(self.successes, self.failures)

    def expected_log_density(self, values: Array) -> Array:
        """Return E[log p(x | k)] (n, K) of the observed cells."""
        further, ends = self.expected
        ends = self.sizes * ends
        complete = without_gaps(values)
        out: Array = complete @ further.T
        out += seen(values) @ ends.T if has_gaps(values) else ends.sum(axis=1)
        out += ways_of_rows(self.sizes[0], complete)[:, None]
        return out

    def seen_in(self, columns: Integers) -> CountPosterior:  # type: ignore[override]  # no form
        """Return self, as missing cells are left out in all columns."""
        return self

    @property
    def linear(self) -> Any:
        """Return self, as missing values need no linear form."""
        return self

    def seen(self, values: Array) -> DensitiesAndStatistics:
        return self.expected_log_density(values), partial(self.statistics, values)

    def dense_filled(
        self, values: Array, labels: Integers, generator: np.random.Generator
    ) -> Array:
        return values

    def statistics(self, values: Array, responsibilities: Array) -> Any:
        return CountTables.of(values, responsibilities)

    def plug_in(self) -> Any:
        return OverdispersedCounts(self.means, self.sizes)

    def predictive(self) -> Columns:
        return BetaNegativeBinomials(self.successes, self.failures, self.sizes)

    def draws(self, n_draws: int, generator: np.random.Generator) -> CountDraws:
        successes = log_gammas(self.successes, n_draws, generator)
        failures = log_gammas(self.failures, n_draws, generator)
        total = np.logaddexp(successes, failures)
        return with_sizes(self.sizes, successes - total, failures - total)


def with_sizes(sizes: Array, log_successes: Array, log_failures: Array) -> CountDraws:
    """Return draws with the sizes (K, D) of a posterior."""
    return CountDraws(log_successes, log_failures, np.broadcast_to(sizes, log_successes.shape))


class CountsTwin(TotalsTwin):
    """Negative binomials in PyMC, with chances as the variable and fixed sizes."""

    def named(self, frame: Frame) -> NamedTensors:
        from pytensor import tensor as pt

        odds = pt.exp(self.drawn["log_successes"] - self.drawn["log_failures"])
        assert isinstance(self.reading, CountsOfSize)
        return {"rates": (("component", "feature"), odds * np.array(self.reading.sizes))}

    def point(self, draws: Any) -> Mapping[str, Array]:  # type: ignore[override]  # read only
        return {"chances": np.exp(draws.log_successes)}


@dataclass(frozen=True)
class SizePrior(ConjugatePrior[CountPosterior]):
    """Prior p ~ Beta(1, 1 + r / m) of columns with means m (D,), and learned sizes r."""

    means: Array = field(metadata=within(POSITIVE))

    fixes_scale = False

    def posterior(
        self,
        statistics: Any,
        previous: CountPosterior | None = None,
        resolution: Array | None = None,
    ) -> CountPosterior:
        """Return q(p) at the most likely sizes, found from those of ``previous``."""
        known, totals = _known(statistics)
        start = np.maximum(self.means, 1.0) if previous is None else previous.sizes[0]
        return self._at(known, totals, self._sizes(statistics, known, totals, start))

    def given(self, statistics: Any) -> CountPosterior:
        """Return q(p) at the most likely sizes."""
        q = self.posterior(statistics)
        for _ in range(PASSES):
            before, q = q.sizes, self.posterior(statistics, q)
            if np.allclose(q.sizes, before, rtol=SETTLED, atol=0.0):
                break
        return q

    def conditional(
        self, statistics: Any, last: CountDraws, generator: np.random.Generator
    ) -> CountPosterior:
        """Return p(p | X, Z) at the sizes of a draw."""
        return self._at(*_known(statistics), last.sizes[0, 0])

    def mode_given(self, statistics: Any) -> NoReturn:
        """Raise an error, as the joint mode of chances and sizes may not exist."""
        raise UnsupportedError(
            "a NegativeBinomial has no posterior mode: use inference=MaximumLikelihood() or "
            "VariationalBayes()"
        )

    def _at(self, known: Array, totals: Array, sizes: Array) -> CountPosterior:
        failures = 1.0 + sizes / self.means + sizes * known
        return CountPosterior(1.0 + totals, failures, np.broadcast_to(sizes, known.shape).copy())

    def _sizes(self, statistics: Any, known: Array, totals: Array, start: Array) -> Array:
        """Return sizes (D,) after a Newton step of log r, at least as likely as ``start``.

        With chances integrated out, the log evidence of a column is Σ_j C_j log(r + j) + Σ_k log
        B(1 + T_k, b + r N_k) - log B(1, b), with b = 1 + r / m, and C_j counts above j.
        """
        above, steps = _above(statistics)
        per_size = known + 1.0 / self.means  # d(b + r N) / dr (K, D)

        def evidence(sizes: Array) -> Array:
            before, after = 1.0 + sizes / self.means, 1.0 + sizes * per_size
            of_chances = log_beta(1.0 + totals, after) + np.log(before)
            of_counts = (above * np.log(sizes[:, None] + steps)).sum(axis=1)
            return of_counts + of_chances.sum(axis=0)

        scale = np.maximum(self.means, 1.0)
        low, high = np.log(LEAST_RATIO * scale), np.log(LARGEST_RATIO * scale)
        sizes = np.clip(start, np.exp(low), np.exp(high))
        shares = above / (sizes[:, None] + steps)
        before, after = 1.0 + sizes / self.means, 1.0 + sizes * per_size
        both = after + 1.0 + totals
        of_chances = log_ends(1.0 + totals, after)
        of_prior = 1.0 / (self.means * before)
        slope = shares.sum(axis=1) + (per_size * of_chances + of_prior).sum(axis=0)
        curve = -(shares / (sizes[:, None] + steps)).sum(axis=1) + (
            per_size**2 * (polygamma(1, after) - polygamma(1, both)) - of_prior**2
        ).sum(axis=0)
        slope, curve = sizes * slope, sizes * slope + sizes**2 * curve  # in log r
        newton = -slope / np.where(curve < 0.0, curve, -np.inf)
        step = np.where(curve < 0.0, newton, LONGEST_UP * np.sign(slope))
        step = np.clip(step, -LONGEST_DOWN, LONGEST_UP)
        sizes = np.exp(np.clip(np.log(sizes) + step, low, high))
        return np.where(evidence(sizes) >= evidence(start), sizes, start)

    def _natural(self, sizes: Array) -> tuple[Array, Array]:
        """Return natural parameters of the prior, and its log normalisers, at sizes (K, D)."""
        return sizes / self.means, -np.log1p(sizes / self.means)

    def kl(self, q: CountPosterior) -> float:
        natural, log_normalisers = self._natural(q.sizes)
        (successes, failures), (further, ends) = q.natural, q.expected
        leaning = successes * further + (failures - natural) * ends
        return float((leaning - (q.log_normalisers - log_normalisers)).sum())

    def feature_evidence(self, statistics: Any) -> Array:
        """Return the log evidence (K, D) of each column at its most likely size, up to Σ log x!."""
        q = self.given(statistics)
        above, steps = _above(statistics)
        of_counts = (above * np.log(q.sizes[0][:, None] + steps)).sum(axis=1)
        of_chances: Array = q.log_normalisers - self._natural(q.sizes)[1]
        return of_chances + of_counts / q.n_components

    def log_density_of(self, draws: Any) -> Array:
        natural, log_normalisers = self._natural(draws.sizes)
        density: Array = (natural * draws.log_failures - log_normalisers).sum(axis=(-2, -1))
        return density

    def pymc_distribution(self, pm: Pymc, q: CountPosterior, n_components: int) -> CountsTwin:
        from pytensor import tensor as pt

        sizes = q.sizes[0]
        p = pm.Beta(
            "chances", alpha=np.array(1.0), beta=1.0 + sizes / self.means,
            dims=("component", "feature"),
        )  # fmt: skip
        logs = {"log_successes": pt.log(p), "log_failures": pt.log1p(-p)}
        constants = (logs["log_failures"] * sizes).sum(axis=1)
        reading = CountsOfSize(tuple(sizes.tolist()))
        record = partial(with_sizes, q.sizes)
        return CountsTwin(constants, logs["log_successes"], logs, record, reading)


def _above(statistics: Any) -> tuple[Array, Array]:
    """Return C_j (D, L - 1), the number of counts above j in a column, and j."""
    tables = statistics.tables.sum(axis=0)
    above = np.cumsum(tables[:, :0:-1], axis=1)[:, ::-1]
    return above, np.arange(above.shape[1], dtype=np.float64)


def _known(statistics: Any) -> tuple[Array, Array]:
    """Return Σ w r of the observed cells and Σ w r x, both (K, D)."""
    tables = statistics.tables
    return tables.sum(axis=2), tables @ np.arange(tables.shape[2], dtype=np.float64)
