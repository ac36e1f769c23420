"""Bernoulli and binomial families: numbers of successes in columns, Beta posteriors.

Bishop 2006, sec. 9.3.3. A Bernoulli column is a single trial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, TypeAlias, cast

import numpy as np
from scipy.special import betaln, digamma, logit

from bayesmix.core.components import Named
from bayesmix.core.parameters import POSITIVE, SHARE, ReportedQuantity, parameter, within
from bayesmix.core.priors import Pymc
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
    refuse_where,
)
from bayesmix.families.independent.factors import TotalsTwin
from bayesmix.families.independent.linear import (
    NEVER,
    PLAIN,
    LinearInTotals,
    Reading,
    Sums,
    towards_zero,
)
from bayesmix.numerics.arrays import IMPOSSIBLE, Array, Integers, Stored
from bayesmix.numerics.sparse import is_sparse
from bayesmix.numerics.special import log_choices, log_gammas

# Log probability ratio that stands for impossible, where infinities would cancel.
SURE = 700.0


class OfTrials:
    """Records with numbers of trials in ``reading``, or of a single trial per column."""

    reading: Reading  # sufficient statistics

    @property
    def trials(self) -> tuple[Reading, ...]:
        """Last argument of records with several trials."""
        return () if self.reading is PLAIN else (self.reading,)

    @property
    def most(self) -> Array | float:
        return self.reading.most


@dataclass(frozen=True)
class SuccessColumns(OfTrials, PointColumns):
    """Probabilities (K, D) of success at a point; zeros and ones are allowed."""

    probabilities: Array = field(metadata=parameter(SHARE))

    reports = (
        ReportedQuantity(
            "probability",
            lambda components: components.probabilities,
            SHARE,
            lambda components, values: [(d, 1) for d in range(values.shape[1])],
        ),
    )

    @property
    def sufficient(self) -> tuple[Array, ...]:
        with np.errstate(divide="ignore"):
            return np.log(self.probabilities), np.log1p(-self.probabilities)

    @cached_property
    def linear(self) -> LinearInTotals:
        """Log p(x | θ_k) = Σ n log(1 - p) + x log(p / (1 - p)) (Bishop 2006, eq. 9.44).

        A failure at p = 1 is penalised by ``SURE`` nats.
        """
        always = self.probabilities == 1.0
        safe = np.where(always, 0.5, self.probabilities)
        log_odds = np.where(always, SURE, np.maximum(logit(safe), NEVER))
        constants = self.most * np.where(always, -SURE, np.log1p(-safe))
        return LinearInTotals(constants, log_odds, self.reading, not always.any())

    def expected_log_density(self, values: Array) -> Array:
        """Return Σ x log p + (n - x) log(1 - p) (n, K), minus infinity if impossible.

        The linear form would cancel for many trials, or sure outcomes.
        """
        if self.reading is not PLAIN:
            return self.in_trials(values, self.most)
        yes, no = (np.maximum(one, NEVER) for one in self.sufficient)
        if is_sparse(values):  # where p = 1, a failure costs ``SURE`` nats
            out: Array = self.linear.expected_log_density(cast("Any", values))
        elif no.min() > IMPOSSIBLE:
            out = values @ (yes - no).T + no.sum(axis=1)
        else:
            out = values @ yes.T + (1.0 - values) @ no.T
        if min(yes.min(), no.min()) < IMPOSSIBLE:
            out[out < IMPOSSIBLE] = -np.inf
        return out

    def in_trials(self, successes: Array, trials: Array | float) -> Array:
        """Return log densities (n, K) of successes in numbers of trials, (D,) or (n, D)."""
        yes, no = (np.maximum(one, NEVER) for one in self.sufficient)
        out: Array = successes @ yes.T + (trials - successes) @ no.T
        if min(yes.min(), no.min()) < IMPOSSIBLE:
            out[out < IMPOSSIBLE] = -np.inf
        out += log_choices(successes, trials)[:, None]
        return out

    @property
    def means(self) -> Array:
        return self.most * self.probabilities

    @property
    def deviations(self) -> Array:
        return np.sqrt(self.most * (self.probabilities * (1.0 - self.probabilities)))


@dataclass(frozen=True)
class SuccessDraws(OfTrials, DrawnColumns):
    """S draws of probabilities as log p and log (1 - p), both (S, K, D)."""

    log_successes: Array
    log_failures: Array

    point: ClassVar[Callable[..., SuccessColumns]]

    @property
    def sufficient(self) -> tuple[Array, ...]:
        return self.log_successes, self.log_failures

    @cached_property
    def components(self) -> LinearInTotals:
        n_features = self.log_successes.shape[2]
        failures = self.log_failures.reshape(-1, n_features)
        log_odds = self.log_successes.reshape(-1, n_features) - failures
        return LinearInTotals(self.most * failures, log_odds, self.reading)

    def at(self, draw: int) -> SuccessColumns:
        return self.point(np.exp(self.log_successes[draw]), *self.trials)

    def parameters(self, frame: Frame) -> Named:
        return {"probabilities": (("component", "feature"), np.exp(self.log_successes))}


@dataclass(frozen=True)
class BetaFactors(OfTrials, PosteriorColumns):
    """q(θ) = Π Beta(successes, failures), both (K, D)."""

    successes: Array = field(metadata=within(POSITIVE))
    failures: Array = field(metadata=within(POSITIVE))

    kind: ClassVar[type[SuccessDraws]]

    def drawn(self, log_successes: Array, log_failures: Array) -> SuccessDraws:
        """Return draws from log p and log (1 - p) (S, K, D)."""
        return self.kind(log_successes, log_failures, *self.trials)

    @property
    def shares(self) -> Array:
        return self.successes / (self.successes + self.failures)

    @property
    def means(self) -> Array:
        return self.most * self.shares

    def plug_in(self) -> SuccessColumns:
        return self.kind.point(self.shares, *self.trials)

    @property
    def natural(self) -> tuple[Array, ...]:
        return self.successes - 1.0, self.failures - 1.0

    @cached_property
    def expected(self) -> tuple[Array, ...]:
        total = digamma(self.successes + self.failures)
        return digamma(self.successes) - total, digamma(self.failures) - total

    @property
    def log_normalisers(self) -> Array:
        return betaln(self.successes, self.failures)

    @cached_property
    def linear(self) -> LinearInTotals:
        yes, no = self.expected
        return LinearInTotals(self.most * no, yes - no, self.reading)

    def draws(self, n_draws: int, generator: np.random.Generator) -> SuccessDraws:
        successes = log_gammas(self.successes, n_draws, generator)
        failures = log_gammas(self.failures, n_draws, generator)
        total = np.logaddexp(successes, failures)
        return self.drawn(successes - total, failures - total)


@dataclass(frozen=True)
class SuccessPrior(OfTrials, ConjugatePrior[BetaFactors]):
    """Prior θ ~ Beta(successes, failures), the same for all components and columns."""

    successes: float
    failures: float

    factors: ClassVar[type[BetaFactors]]

    def given(self, statistics: Sums) -> BetaFactors:
        """Add successes and failures to the prior."""
        failures = self.most * statistics.counts_of_totals - statistics.totals
        return self.factors(
            self.successes + statistics.totals, self.failures + failures, *self.trials
        )

    def mode_given(self, statistics: Sums) -> SuccessColumns:
        """Return the posterior mode, or raise an error for parameters below 1."""
        if min(self.successes, self.failures) < 1.0:
            raise InvalidInputError(
                "a maximum a posteriori fit needs Beta parameters of at least 1, got "
                f"({self.successes}, {self.failures})"
            )
        q = self.given(statistics)
        total = q.successes + q.failures - 2.0
        shares = np.where(total > 0.0, (q.successes - 1.0) / np.where(total > 0.0, total, 1.0), 0.5)
        return q.kind.point(shares, *self.trials)

    def pymc_distribution(self, pm: Pymc, q: BetaFactors, n_components: int) -> TotalsTwin:
        from pytensor import tensor as pt

        axes = ("component", "feature")
        # As arrays, since PyTensor computes log Γ of scalars in float32 if they fit.
        alpha, beta = np.array(self.successes), np.array(self.failures)
        p = pm.Beta("probabilities", alpha=alpha, beta=beta, dims=axes)
        logs = {"log_successes": pt.log(p), "log_failures": pt.log1p(-p)}
        successes, failures = logs.values()
        constants, slopes = (q.most * failures).sum(axis=1), successes - failures
        return TotalsTwin(constants, slopes, logs, q.drawn, q.reading)


class SuccessFamily(ColumnsFamily[SuccessColumns]):
    """Shared methods of the families of successes."""

    continuous = False
    keeps_zeros = True
    kind: ClassVar[type[SuccessDraws]]
    prior: ClassVar[Callable[..., SuccessPrior]]

    @property
    def trials(self) -> tuple[Reading, ...]:
        """Last argument of records with several trials."""
        return () if self.reading is PLAIN else (self.reading,)

    @property
    def mean_where_empty(self) -> Array | float:
        return 0.5 * self.reading.most

    def at_means(self, means: Array) -> SuccessColumns:
        """Return the fractions of successes (Bishop 2006, eq. 9.59)."""
        return self.kind.point(np.clip(means / self.reading.most, 0.0, 1.0), *self.trials)

    def inside(self, statistics: Sums, present: Sums) -> Sums:
        most = self.reading.most
        totals = towards_zero(statistics.totals, present.totals)
        failures = towards_zero(
            most * statistics.counts_of_totals - statistics.totals,
            most * present.counts_of_totals - present.totals,
        )
        known = (totals + failures) / most
        return replace(statistics, totals=totals, known_counts=known)

    def reference_prior(self, summary: Summary, frame: Frame) -> SuccessPrior:
        return self.prior(1.0, 1.0, *self.trials)

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> SuccessPrior:
        """Return Beta(1.5, 1.5), which keeps probabilities away from 0 and 1."""
        return self.prior(1.5, 1.5, *self.trials)

    def as_draws(self, points: Sequence[SuccessColumns]) -> SuccessDraws:
        logs = (np.array(each) for each in zip(*(one.sufficient for one in points), strict=True))
        return self.kind(*(np.maximum(one, NEVER) for one in logs), *self.trials)


class Bernoullis(SuccessColumns):
    """Success probabilities (K, D) at a point; 0 and 1 are allowed."""

    reading = PLAIN

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        p = np.repeat(self.probabilities, counts, axis=0)
        return (generator.random(p.shape) < p).astype(float)


class BernoulliDraws(SuccessDraws):
    """S draws of probabilities as log p and log (1 - p), both (S, K, D)."""

    reading, point = PLAIN, Bernoullis


class BetaProbabilities(BetaFactors):
    """q(θ) = Π Beta(successes, failures), both (K, D)."""

    reading, kind = PLAIN, BernoulliDraws

    def predictive(self) -> SuccessColumns:
        return self.plug_in()


@dataclass(frozen=True)
class BetaPrior(SuccessPrior):
    """Prior θ ~ Beta(successes, failures), the same for all components and columns."""

    successes: float = 1.0
    failures: float = 1.0

    reading, factors = PLAIN, BetaProbabilities


@dataclass(frozen=True)
class Bernoulli(SuccessFamily):
    """Independent binary columns.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rows = np.random.default_rng(0).integers(0, 2, (50, 3))
    >>> bm.Mixture(n_components=1, family=bm.Bernoulli()).fit(rows).n_components_
    1
    """

    name = "bernoulli"
    takes_sparse = True
    adjective = "Bernoulli"
    separable = True
    kind, prior = BernoulliDraws, BetaPrior
    reading = PLAIN

    def level_probabilities(self, components: Any) -> dict[int, Array]:
        ones = enumerate(components.probabilities.T)
        return {column: np.column_stack([1.0 - p, p]) for column, p in ones}

    def check(self, values: Stored, first: int = 0) -> None:
        """Raise an error for values other than 0 and 1."""
        wrong = (values != 0) & (values != 1) & ~np.isnan(values)
        held, remedy = "zeros and ones for a Bernoulli", "threshold it, or use another family"
        refuse_where(wrong, values, first, held, remedy)


@dataclass(frozen=True)
class Choices(Reading):
    """Sufficient statistics of numbers of successes."""

    trials: tuple[int, ...]

    has_base = True

    @property
    def most(self) -> Array:
        return np.array(self.trials, dtype=np.float64)

    def subset(self, columns: Integers) -> Choices:
        return Choices(tuple(self.trials[column] for column in columns))

    def log_base(self, values: Array) -> Array:
        return log_choices(values, self.most)


@dataclass(frozen=True)
class SharesOfTrials(Reading):
    """Shares of successes, where each cell has its own number of trials."""

    def subset(self, columns: Integers) -> SharesOfTrials:
        return self


SHARES_OF_TRIALS = SharesOfTrials()
# How many trials each column or cell has.
NumbersOfTrials: TypeAlias = Choices | SharesOfTrials


def _of_columns(reading: NumbersOfTrials, values: Array) -> Array:
    """Return values of columns (K, D), NaN where only cells have numbers of trials."""
    return values if isinstance(reading, Choices) else np.full(values.shape, np.nan)


def _drawn_trials(reading: NumbersOfTrials) -> tuple[int, ...]:
    """Return numbers of trials to draw from; raise an error where only cells have them."""
    if isinstance(reading, Choices):
        return reading.trials
    raise UnsupportedError(
        "Binomial() draws successes in given numbers of trials: pass sample(n_samples, trials=...)"
    )


@dataclass(frozen=True)
class Binomials(SuccessColumns):
    """Success probabilities (K, D) at a point; 0 and 1 are allowed."""

    reading: NumbersOfTrials

    @property
    def deviations(self) -> Array:
        """Standard deviations (K, D), NaN where they depend on the trials of a cell."""
        return _of_columns(self.reading, super().deviations)

    def marginal(self, columns: Integers) -> Binomials:
        return Binomials(self.probabilities[:, columns], self.reading.subset(columns))

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        return self.draw_in(_drawn_trials(self.reading), counts, generator)

    def draw_in(self, trials: Any, counts: Integers, generator: np.random.Generator) -> Array:
        """Draw successes (n, D) of counts_k samples of each component in numbers of trials."""
        p = np.repeat(self.probabilities, counts, axis=0)
        return generator.binomial(trials, p).astype(float)


@dataclass(frozen=True)
class BetaBinomials(Columns):
    """Beta-binomial predictive, with probabilities integrated out."""

    successes: Array
    failures: Array
    reading: NumbersOfTrials

    @property
    def means(self) -> Array:
        return self.reading.most * self.successes / (self.successes + self.failures)

    @property
    def deviations(self) -> Array:
        total, most = self.successes + self.failures, self.reading.most
        share = self.successes / total
        deviations = np.sqrt(most * share * (1.0 - share) * (total + most) / (total + 1.0))
        return _of_columns(self.reading, deviations)

    def marginal(self, columns: Integers) -> BetaBinomials:
        parameters = self.successes[:, columns], self.failures[:, columns]
        return BetaBinomials(*parameters, self.reading.subset(columns))

    def expected_log_density(self, values: Array) -> Array:
        return self.in_trials(values, self.reading.most)

    def in_trials(self, successes: Array, trials: Array | float) -> Array:
        """Return log densities (n, K) of successes in numbers of trials, (D,) or (n, D)."""
        out, failures = np.empty((len(successes), self.n_components)), trials - successes
        for k, (a, b) in enumerate(zip(self.successes, self.failures, strict=True)):
            out[:, k] = (betaln(a + successes, b + failures) - betaln(a, b)).sum(axis=1)
        out += log_choices(successes, trials)[:, None]
        return out

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        return self.draw_in(_drawn_trials(self.reading), counts, generator)

    def draw_in(self, trials: Any, counts: Integers, generator: np.random.Generator) -> Array:
        """Draw successes (n, D) of counts_k samples of each component in numbers of trials."""
        a, b = (np.repeat(each, counts, axis=0) for each in (self.successes, self.failures))
        return generator.binomial(trials, generator.beta(a, b)).astype(float)


@dataclass(frozen=True)
class BinomialDraws(SuccessDraws):
    """S draws of probabilities as log p and log (1 - p), both (S, K, D)."""

    reading: NumbersOfTrials

    point = Binomials

    def parameters(self, frame: Frame) -> Named:
        axes, shares = ("component", "feature"), np.exp(self.log_successes)
        return {"probabilities": (axes, shares), "means": (axes, self.most * shares)}


@dataclass(frozen=True)
class BinomialProbabilities(BetaFactors):
    """q(θ) = Π Beta(successes, failures), both (K, D)."""

    reading: NumbersOfTrials

    kind = BinomialDraws

    def in_trials(self, successes: Array, trials: Array | float) -> Array:
        """Return E[log p(x | θ_k)] (n, K) of successes in numbers of trials, (D,) or (n, D)."""
        yes, no = self.expected
        out: Array = successes @ yes.T + (trials - successes) @ no.T
        out += log_choices(successes, trials)[:, None]
        return out

    def predictive(self) -> BetaBinomials:
        return BetaBinomials(self.successes, self.failures, self.reading)


@dataclass(frozen=True)
class BinomialPrior(SuccessPrior):
    """Prior θ ~ Beta(successes, failures), the same for all components and columns."""

    reading: NumbersOfTrials

    factors = BinomialProbabilities


BY_ROW = "for numbers of trials that differ between rows use Binomial() and fit(X, trials=...)"


@dataclass(frozen=True)
class Binomial(SuccessFamily):
    """Independent numbers of successes in known numbers of trials.

    Parameters
    ----------
    n_trials : sequence of int, optional
        Number of trials of each column. None: ``trials`` of ``fit``, predictions and ``sample``
        has them for each row or cell.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> rows = rng.binomial([5, 20], 0.3, (50, 2))
    >>> bm.Mixture(n_components=1, family=bm.Binomial([5, 20])).fit(rows).n_components_
    1

    Numbers of trials that differ between cells:

    >>> trials = rng.integers(5, 60, (200, 3))
    >>> X = rng.binomial(trials, rng.choice([0.2, 0.6], (200, 1)))
    >>> m = bm.Mixture(2, family=bm.Binomial(), random_state=0).fit(X, trials=trials)
    >>> np.sort(m.probabilities_[:, 0]).round(1)
    array([0.2, 0.6])
    """

    n_trials: tuple[int, ...] | None = None

    name = "binomial"
    separable = True
    kind, prior = BinomialDraws, BinomialPrior

    def __post_init__(self) -> None:
        if self.n_trials is None:
            return
        try:
            numbers = np.atleast_1d(np.asarray(self.n_trials))
        except ValueError:  # a ragged list
            numbers = np.empty(0)
        if numbers.ndim > 1:
            raise InvalidInputError(
                f"n_trials must be one number for each column, got shape {numbers.shape}: {BY_ROW}"
            )
        whole = numbers.dtype.kind in "iuf" and np.isfinite(numbers).all()
        if not whole or not len(numbers) or (numbers < 1).any() or (numbers % 1 != 0).any():
            raise InvalidInputError(
                "n_trials must be whole numbers of at least 1, one for each column, got "
                f"{self.n_trials!r:.80}"
            )
        object.__setattr__(self, "n_trials", tuple(map(int, numbers)))

    @property
    def reading(self) -> NumbersOfTrials:
        return SHARES_OF_TRIALS if self.n_trials is None else Choices(self.n_trials)

    @property
    def drawn_columns(self) -> int:  # type: ignore[override]  # a class attribute of others
        """Number of columns in a density plot, 0 where densities depend on the trials of a cell."""
        return 0 if self.n_trials is None else 1

    @property
    def needs_measurement(self) -> str | None:
        """Message of an error for data without numbers of trials, None if the family has them."""
        if self.n_trials is not None:
            return None
        return (
            "Binomial() needs numbers of trials: pass trials=..., one for each cell, row or column "
            "of X"
        )

    @property
    def draws_given(self) -> str | None:
        return "trials" if self.n_trials is None else None

    def marginal(self, columns: Integers) -> Binomial:
        if self.n_trials is None:
            return self
        return Binomial(tuple(self.n_trials[column] for column in columns))

    def check(self, values: Stored, first: int = 0) -> None:
        """Raise an error for values that are not numbers of successes."""
        if self.n_trials is None:  # shares of successes, checked with their trials
            return
        if values.shape[1] != len(self.n_trials):
            raise InvalidInputError(
                f"n_trials must be given for each of the {values.shape[1]} columns of X, got "
                f"{len(self.n_trials)}: {BY_ROW}"
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
