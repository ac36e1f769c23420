"""Binomial family: independent numbers of successes in known numbers of trials, Beta posterior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import betaln, gammaln

from bayesmix.core.components import Named
from bayesmix.core.rows import Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError
from bayesmix.families.independent.columns import Columns, ColumnsFamily
from bayesmix.families.independent.factors import (
    BetaFactors,
    SuccessColumns,
    SuccessDraws,
    SuccessPrior,
)
from bayesmix.families.independent.linear import NEVER, Reading, Sums
from bayesmix.numerics import arrays as features
from bayesmix.numerics.arrays import Array, Integers, Stored


@dataclass(frozen=True)
class Choices(Reading):
    """Sufficient statistics of numbers of successes."""

    trials: tuple[int, ...]

    kind = features.CHOICES
    has_base = True

    @property
    def most(self) -> Array:
        return np.array(self.trials, dtype=np.float64)

    def subset(self, columns: Integers) -> Choices:
        return Choices(tuple(self.trials[column] for column in columns))

    def log_base(self, values: Array) -> Array:
        """Return Σ log binomial coefficients."""
        failures = self.most - values
        logs = gammaln(self.most + 1.0) - gammaln(values + 1.0) - gammaln(failures + 1.0)
        return logs.sum(axis=-1)


@dataclass(frozen=True)
class Binomials(SuccessColumns):
    """Success probabilities (K, D) at a point; 0 and 1 are allowed."""

    probabilities: Array
    reading: Choices

    def marginal(self, columns: Integers) -> Binomials:
        return Binomials(self.probabilities[:, columns], self.reading.subset(columns))

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        p = np.repeat(self.probabilities, counts, axis=0)
        return generator.binomial(self.reading.trials, p).astype(float)


@dataclass(frozen=True)
class BetaBinomials(Columns):
    """Beta-binomial predictive, with probabilities integrated out."""

    successes: Array
    failures: Array
    reading: Choices

    @property
    def means(self) -> Array:
        return self.reading.most * self.successes / (self.successes + self.failures)

    @property
    def deviations(self) -> Array:
        total, most = self.successes + self.failures, self.reading.most
        share = self.successes / total
        return np.sqrt(most * share * (1.0 - share) * (total + most) / (total + 1.0))

    def marginal(self, columns: Integers) -> BetaBinomials:
        parameters = self.successes[:, columns], self.failures[:, columns]
        return BetaBinomials(*parameters, self.reading.subset(columns))

    def expected_log_density(self, values: Array) -> Array:
        out, failures = np.empty((len(values), self.n_components)), self.reading.most - values
        for k, (a, b) in enumerate(zip(self.successes, self.failures, strict=True)):
            out[:, k] = (betaln(a + values, b + failures) - betaln(a, b)).sum(axis=1)
        out += self.reading.log_base(values)[:, None]
        return out

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        a, b = (np.repeat(each, counts, axis=0) for each in (self.successes, self.failures))
        return generator.binomial(self.reading.trials, generator.beta(a, b)).astype(float)


@dataclass(frozen=True)
class BinomialDraws(SuccessDraws):
    """S draws of probabilities as log p and log (1 - p), both (S, K, D)."""

    log_successes: Array
    log_failures: Array
    reading: Choices

    def parameters(self, frame: Frame) -> Named:
        axes, shares = ("component", "feature"), np.exp(self.log_successes)
        return {"probabilities": (axes, shares), "means": (axes, self.most * shares)}

    def at(self, draw: int) -> Binomials:
        return Binomials(np.exp(self.log_successes[draw]), self.reading)


@dataclass(frozen=True)
class BinomialProbabilities(BetaFactors):
    """q(θ) = Π Beta(successes, failures), both (K, D)."""

    successes: Array
    failures: Array
    reading: Choices

    def drawn(self, log_successes: Array, log_failures: Array) -> BinomialDraws:
        return BinomialDraws(log_successes, log_failures, self.reading)

    def plug_in(self) -> Binomials:
        return Binomials(self.shares, self.reading)

    def predictive(self) -> BetaBinomials:
        return BetaBinomials(self.successes, self.failures, self.reading)


@dataclass(frozen=True)
class BinomialPrior(SuccessPrior):
    """Prior θ ~ Beta(successes, failures), the same for all components and columns."""

    successes: float
    failures: float
    reading: Choices

    def given(self, statistics: Sums) -> BinomialProbabilities:
        """Add successes and failures to the prior."""
        trials = self.reading.most * statistics.known
        return BinomialProbabilities(
            self.successes + statistics.totals,
            self.failures + (trials - statistics.totals),
            self.reading,
        )

    def at_shares(self, shares: Array, q: BetaFactors) -> Binomials:
        return Binomials(shares, self.reading)


@dataclass(frozen=True)
class Binomial(ColumnsFamily[Binomials]):
    """Independent numbers of successes in known numbers of trials.

    Parameters
    ----------
    n_trials : sequence of int
        Number of trials of each column.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rows = np.random.default_rng(0).binomial([5, 20], 0.3, (50, 2))
    >>> bm.Mixture(n_components=1, family=bm.Binomial([5, 20])).fit(rows).n_components_
    1
    """

    n_trials: tuple[int, ...]

    name = "binomial"
    continuous = False
    keeps_zeros = True
    drawn_columns = 1

    def __post_init__(self) -> None:
        numbers: list[Any] = np.atleast_1d(self.n_trials).tolist()
        if not numbers or any(one != int(one) or one < 1 for one in numbers):
            raise InvalidInputError(
                "n_trials must be whole numbers of at least 1, one for each column, got "
                f"{self.n_trials!r}"
            )
        object.__setattr__(self, "n_trials", tuple(map(int, numbers)))

    @property
    def reading(self) -> Choices:
        return Choices(self.n_trials)

    @property
    def mean_where_empty(self) -> Array:
        return 0.5 * self.reading.most

    def marginal(self, columns: Integers) -> Binomial:
        return Binomial(tuple(self.n_trials[column] for column in columns))

    def check(self, values: Stored, first: int = 0) -> None:
        """Raise an error for values that are no numbers of successes."""
        if values.shape[1] != len(self.n_trials):
            raise InvalidInputError(
                f"n_trials must be given for each of the {values.shape[1]} columns of X, got "
                f"{len(self.n_trials)}"
            )
        broken = (values != np.floor(values)) & ~np.isnan(values)
        wrong = (values < 0) | broken | (values > self.reading.most)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise InvalidInputError(
                f"X must hold numbers of successes, 0 to {self.n_trials[column]} in column "
                f"{column}, got {values[row, column]:g} in row {first + row}: correct n_trials, or "
                "use another family"
            )

    def at_means(self, means: Array) -> Binomials:
        return Binomials(np.clip(means / self.reading.most, 0.0, 1.0), self.reading)

    def feasible(self, statistics: Sums) -> bool:
        """Whether the numbers of successes are possible."""
        most = self.reading.most * statistics.known
        return bool((statistics.totals >= 0).all() and (statistics.totals <= most).all())

    def reference_prior(self, summary: Summary, frame: Frame) -> BinomialPrior:
        return BinomialPrior(1.0, 1.0, self.reading)

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> BinomialPrior:
        """Return Beta(1.5, 1.5), which keeps probabilities off 0 and 1."""
        return BinomialPrior(1.5, 1.5, self.reading)

    def as_draws(self, points: Sequence[Binomials]) -> BinomialDraws:
        shares = np.array([one.probabilities for one in points])
        with np.errstate(divide="ignore"):
            logs = np.log(shares), np.log1p(-shares)
        yes, no = (np.maximum(one, NEVER) for one in logs)
        return BinomialDraws(yes, no, self.reading)
