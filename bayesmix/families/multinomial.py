"""Multinomial family: rows of counts given their totals, Dirichlet posterior.

Words of texts, reads of samples, species of sites: components differ in shares, not in totals. The
density has the multinomial coefficient. Nigam, McCallum, Thrun & Mitchell 2000.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from scipy.special import digamma, gammaln, softmax

from bayesmix.core.components import Named
from bayesmix.core.parameters import POSITIVE, SHARE, ReportedQuantity, Simplex, parameter, within
from bayesmix.core.rows import Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.independent.columns import (
    Columns,
    ColumnsFamily,
    ConjugatePrior,
    DrawnColumns,
    PointColumns,
    PosteriorColumns,
    dirichlet_over,
)
from bayesmix.families.independent.linear import (
    NEVER,
    LinearInTotals,
    Reading,
    Sums,
    towards_zero,
)
from bayesmix.families.rates import CountFamily
from bayesmix.numerics.arrays import IMPOSSIBLE, Array, Integers
from bayesmix.numerics.sparse import summed
from bayesmix.numerics.special import log_factorials, log_gammas, log_rising


class PartsOfTotals(Reading):
    """Counts of a whole, with the log multinomial coefficient as base."""

    has_base = True

    def log_base(self, values: Array) -> Array:
        out: Array = gammaln(values.sum(axis=1) + 1.0) - summed(log_factorials, values)
        return out


PARTS = PartsOfTotals()


def _linear(log_shares: Array) -> LinearInTotals:
    """Return log p(x | θ_k) = Σ x log p + log coefficient."""
    return LinearInTotals(np.zeros((len(log_shares), 1)), log_shares, PARTS)


def _refuse_draws() -> UnsupportedError:
    return UnsupportedError(
        "a multinomial describes counts given their totals: pass sample(n_samples, totals=...)"
    )


class GivenTotals(Columns):
    """K densities of rows given their totals."""

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        """Raise an error, as totals have no distribution."""
        raise _refuse_draws()

    @abstractmethod
    def drawn_shares(self, counts: Integers, generator: np.random.Generator) -> Array:
        """Return shares (n, D) of counts_k samples of each component."""

    def draw_in(self, totals: Array, counts: Integers, generator: np.random.Generator) -> Array:
        """Draw counts (n, D) of counts_k samples of each component with totals (n, 1)."""
        shares = self.drawn_shares(counts, generator)
        return generator.multinomial(totals[:, 0].astype(np.int64), shares).astype(float)


# One row of shares for all columns.
SIMPLEX = Simplex(0.0, 1.0, lambda components: [(0, components.probabilities.shape[1])])


@dataclass(frozen=True)
class Multinomials(GivenTotals, PointColumns):
    """Shares (K, D) at a point, which sum to 1; 0 is allowed."""

    probabilities: Array = field(metadata=parameter(SIMPLEX))

    reports = (ReportedQuantity("probability", lambda components: components.probabilities, SHARE),)
    independent_columns = False

    @property
    def means(self) -> Array:
        """Expected shares (K, D) of a total."""
        return self.probabilities

    @property
    def deviations(self) -> Array:
        """NaN (K, D), as standard deviations depend on the total."""
        return np.full_like(self.probabilities, np.nan)

    @property
    def sufficient(self) -> tuple[Array, ...]:
        with np.errstate(divide="ignore"):
            return (np.log(self.probabilities),)

    @cached_property
    def log_shares(self) -> Array:
        """Finite log p (K, D)."""
        return np.maximum(self.sufficient[0], NEVER)

    @cached_property
    def linear(self) -> LinearInTotals:
        return _linear(self.log_shares)

    def expected_log_density(self, values: Array) -> Array:
        out: Array = values @ self.log_shares.T
        out[out < IMPOSSIBLE] = -np.inf
        out += PARTS.log_base(values)[:, None]
        return out

    def drawn_shares(self, counts: Integers, generator: np.random.Generator) -> Array:
        return np.repeat(_shares(self.probabilities), counts, axis=0)

    def marginal(self, columns: Integers) -> Multinomials:
        """Return the densities of some counts given their own total."""
        return Multinomials(_shares(self.probabilities[:, columns]))


def _shares(values: Array) -> Array:
    """Return rows divided by their sums, equal shares where a sum is 0."""
    totals = values.sum(axis=1, keepdims=True)
    even = np.full(values.shape, 1.0 / values.shape[1])
    return np.divide(values, totals, out=even, where=totals > 0.0)


@dataclass(frozen=True)
class MultinomialDraws(DrawnColumns):
    """S draws of log shares (S, K, D)."""

    log_probabilities: Array

    @property
    def sufficient(self) -> tuple[Array, ...]:
        return (self.log_probabilities,)

    @cached_property
    def components(self) -> LinearInTotals:
        return _linear(self.log_probabilities.reshape(-1, self.log_probabilities.shape[2]))

    def at(self, draw: int) -> Multinomials:
        return Multinomials(np.exp(self.log_probabilities[draw]))

    def parameters(self, frame: Frame) -> Named:
        return {"probabilities": (("component", "feature"), np.exp(self.log_probabilities))}


@dataclass(frozen=True)
class DirichletMultinomials(GivenTotals):
    """Predictive densities: shares integrated out, concentrations (K, D)."""

    concentration: Array

    @property
    def means(self) -> Array:
        return _shares(self.concentration)

    @property
    def deviations(self) -> Array:
        return np.full_like(self.concentration, np.nan)

    def drawn_shares(self, counts: Integers, generator: np.random.Generator) -> Array:
        logs = log_gammas(np.repeat(self.concentration, counts, axis=0), 1, generator)[0]
        shares: Array = softmax(logs, axis=1)
        return shares

    def expected_log_density(self, values: Array) -> Array:
        totals = values.sum(axis=1)
        out = np.empty((len(values), self.n_components))
        for k, own in enumerate(self.concentration):
            whole = own.sum()
            out[:, k] = log_rising(own, values)
            out[:, k] += gammaln(whole) - gammaln(whole + totals)
        out += PARTS.log_base(values)[:, None]
        return out


@dataclass(frozen=True)
class DirichletShares(PosteriorColumns):
    """q(θ) = Π Dirichlet, concentrations (K, D)."""

    concentration: Array = field(metadata=within(POSITIVE))

    @property
    def means(self) -> Array:
        """E[p] (K, D)."""
        return _shares(self.concentration)

    @property
    def natural(self) -> tuple[Array, ...]:
        return (self.concentration - 1.0,)

    @cached_property
    def log_shares(self) -> Array:
        """E[log p] (K, D)."""
        totals = self.concentration.sum(axis=1, keepdims=True)
        return digamma(self.concentration) - digamma(totals)

    @property
    def expected(self) -> tuple[Array, ...]:
        return (self.log_shares,)

    @property
    def log_normalisers(self) -> Array:
        """Log normalising constants (K, 1)."""
        totals = self.concentration.sum(axis=1, keepdims=True)
        return gammaln(self.concentration).sum(axis=1, keepdims=True) - gammaln(totals)

    @cached_property
    def linear(self) -> LinearInTotals:
        return _linear(self.log_shares)

    def draws(self, n_draws: int, generator: np.random.Generator) -> MultinomialDraws:
        logs = log_gammas(self.concentration, n_draws, generator)
        return MultinomialDraws(logs - np.logaddexp.reduce(logs, axis=2, keepdims=True))

    def plug_in(self) -> Multinomials:
        return Multinomials(self.means)

    def predictive(self) -> DirichletMultinomials:
        return DirichletMultinomials(self.concentration)


@dataclass(frozen=True)
class MultinomialPrior(ConjugatePrior[DirichletShares]):
    """θ ~ Dirichlet(least + mass / D) over D columns.

    Parameters
    ----------
    mass : float
        Prior sample size, in counts, spread evenly over the columns.
    least : float, optional
        Constant added to each column: 0 for variational Bayes, 1 for MAP, whose mode is then
        that of ``mass`` further counts.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.MultinomialPrior(mass=2.0).mass
    2.0
    """

    mass: float = 1.0
    least: float | None = None

    def over(self, default: Any, frame: Frame) -> MultinomialPrior:
        own: MultinomialPrior = dirichlet_over(self, default)
        return own

    def given(self, statistics: Sums) -> DirichletShares:
        """Add counts to the prior."""
        n_columns = statistics.totals.shape[1]
        return DirichletShares(statistics.totals + (self.least or 0.0) + self.mass / n_columns)

    def mode_given(self, statistics: Sums) -> Multinomials:
        """Return the posterior mode, or raise an error for concentrations below 1."""
        q = self.given(statistics)
        if (least := float((q.concentration - statistics.totals).min())) < 1.0:
            raise InvalidInputError(
                "a maximum a posteriori fit needs Dirichlet concentrations of at least 1, got "
                f"{least:g}: set least=1"
            )
        return Multinomials(_shares(q.concentration - 1.0))

    def pymc_distribution(self, pm: Any, q: DirichletShares, n_components: int) -> Any:
        raise UnsupportedError("PyMC models do not support multinomial components")


@dataclass(frozen=True)
class Multinomial(CountFamily, ColumnsFamily[Multinomials]):
    """Rows of counts of one whole, given their totals: words of texts, reads of samples.

    Components differ in the shares of the columns. A row of zeros tells nothing of its component.
    Log densities are those of counts given their total, so they are compared only with others of
    the same kind: a Poisson model also describes totals.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> totals = rng.integers(20, 2000, 100)
    >>> X = np.vstack([rng.multinomial(t, [0.6, 0.3, 0.1] if t % 2 else [0.2, 0.3, 0.5])
    ...                for t in totals])
    >>> m = bm.Mixture(2, family=bm.Multinomial(), random_state=0).fit(X)
    >>> m.probabilities_[m.predict([[60, 30, 10]])[0]].round(1)
    array([0.6, 0.3, 0.1])
    """

    name = "multinomial"
    with_article = "a multinomial"
    remedy = "pass counts, not shares or percentages of a whole"
    drawn_columns = 0
    keeps_zeros = True
    takes_gaps = False
    takes_sparse = True
    draws_given = "totals"
    measure_apart = "counts given the total of their row"
    mean_where_empty = 1.0

    @property
    def reading(self) -> PartsOfTotals:
        return PARTS

    def at_means(self, means: Array) -> Multinomials:
        """Return the shares of the mean counts."""
        return Multinomials(_shares(np.maximum(means, 0.0)))

    def inside(self, statistics: Sums, present: Sums) -> Sums:
        totals = towards_zero(statistics.totals, present.totals)
        return Sums(statistics.counts, totals, statistics.measured)

    def marginal(self, columns: Integers) -> Self:
        return self

    def reference_prior(self, summary: Summary, frame: Frame) -> MultinomialPrior:
        """Return the prior with a mass of one count."""
        return MultinomialPrior(1.0, 0.0)

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> MultinomialPrior:
        """Return the prior that adds one count to each component, spread evenly."""
        return MultinomialPrior(1.0, 1.0)

    def as_draws(self, points: Sequence[Multinomials]) -> MultinomialDraws:
        return MultinomialDraws(np.array([point.log_shares for point in points]))

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * (n_features - 1)
