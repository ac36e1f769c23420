"""Bernoulli family: independent binary columns, Beta posterior (Bishop 2006, sec. 9.3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayesmix.core.rows import Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.families.independent.columns import ColumnsFamily, refuse_where
from bayesmix.families.independent.factors import (
    BetaFactors,
    SuccessColumns,
    SuccessDraws,
    SuccessPrior,
)
from bayesmix.families.independent.linear import NEVER, PLAIN, Sums
from bayesmix.numerics.arrays import Array, Integers, Stored


@dataclass(frozen=True)
class Bernoullis(SuccessColumns):
    """Success probabilities (K, D) at a point; 0 and 1 are allowed."""

    probabilities: Array

    reading = PLAIN

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        p = np.repeat(self.probabilities, counts, axis=0)
        return (generator.random(p.shape) < p).astype(float)


@dataclass(frozen=True)
class BernoulliDraws(SuccessDraws):
    """S draws of probabilities as log p and log (1 - p), both (S, K, D)."""

    log_successes: Array
    log_failures: Array

    reading = PLAIN

    def at(self, draw: int) -> Bernoullis:
        return Bernoullis(np.exp(self.log_successes[draw]))


@dataclass(frozen=True)
class BetaProbabilities(BetaFactors):
    """q(θ) = Π Beta(successes, failures), both (K, D)."""

    successes: Array
    failures: Array

    reading = PLAIN

    def drawn(self, log_successes: Array, log_failures: Array) -> BernoulliDraws:
        return BernoulliDraws(log_successes, log_failures)

    def plug_in(self) -> Bernoullis:
        return Bernoullis(self.shares)

    def predictive(self) -> Bernoullis:
        """Return p(x | k, data), a Bernoulli at the mean."""
        return Bernoullis(self.shares)


@dataclass(frozen=True)
class BetaPrior(SuccessPrior):
    """Prior θ ~ Beta(successes, failures), the same for all components and columns."""

    successes: float = 1.0
    failures: float = 1.0

    def given(self, statistics: Sums) -> BetaProbabilities:
        """Add counts of successes and failures to the prior."""
        return BetaProbabilities(
            self.successes + statistics.totals,
            self.failures + (statistics.known - statistics.totals),
        )

    def at_shares(self, shares: Array, q: BetaFactors) -> Bernoullis:
        return Bernoullis(shares)


@dataclass(frozen=True)
class Bernoulli(ColumnsFamily[Bernoullis]):
    """Independent binary columns.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rows = np.random.default_rng(0).integers(0, 2, (50, 3))
    >>> bm.Mixture(n_components=1, family=bm.Bernoulli()).fit(rows).n_components_
    1
    """

    name = "bernoulli"
    continuous = False
    keeps_zeros = True
    reading = PLAIN
    mean_where_empty = 0.5

    def check(self, values: Stored, first: int = 0) -> None:
        """Raise an error for values other than 0 and 1."""
        wrong = (values != 0) & (values != 1) & ~np.isnan(values)
        held, remedy = "zeros and ones for a Bernoulli", "threshold it, or use another family"
        refuse_where(wrong, values, first, held, remedy)

    def at_means(self, means: Array) -> Bernoullis:
        """Return the fractions of ones (Bishop 2006, eq. 9.59)."""
        return Bernoullis(np.clip(means, 0.0, 1.0))

    def feasible(self, statistics: Sums) -> bool:
        """Whether the numbers of ones are possible."""
        return bool(
            (statistics.totals >= 0).all() and (statistics.totals <= statistics.known).all()
        )

    def reference_prior(self, summary: Summary, frame: Frame) -> BetaPrior:
        return BetaPrior()

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> BetaPrior:
        """Return Beta(1.5, 1.5), which keeps probabilities off 0 and 1."""
        return BetaPrior(1.5, 1.5)

    def as_draws(self, points: Sequence[Bernoullis]) -> BernoulliDraws:
        shares = np.array([one.probabilities for one in points])
        with np.errstate(divide="ignore"):
            logs = np.log(shares), np.log1p(-shares)
        return BernoulliDraws(*(np.maximum(one, NEVER) for one in logs))
