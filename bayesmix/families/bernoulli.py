"""Bernoulli family: independent binary columns, Beta posterior (Bishop 2006, sec. 9.3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import betaln, digamma, log_expit, logit, xlog1py, xlogy

from bayesmix.errors import InvalidInputError
from bayesmix.families.columns import ColumnCoordinates, of_betas
from bayesmix.families.sums import NEVER, LinearInTotals, NoGuard, Sums, TotalsTwin, sums
from bayesmix.numerics.arrays import Array, Integers, diagonal_matrices
from bayesmix.numerics.gammas import log_gammas
from bayesmix.numerics.logsumexp import IMPOSSIBLE
from bayesmix.protocols import Source
from bayesmix.records import Event, Frame, Summary

# Nats by which an outcome that cannot be is away where infinities would cancel: as good as never.
SURE = 700.0


def _stabilised(means: Array) -> Array:
    """Angles in which a column varies as much at any probability: see ``LinearInTotals.near``."""
    return np.arcsin(np.sqrt(means))


@dataclass(frozen=True)
class Bernoullis:
    """Success probabilities (K, D) at a point; zeros and ones are allowed."""

    probabilities: Array

    @property
    def n_components(self) -> int:
        return len(self.probabilities)

    @cached_property
    def linear(self) -> LinearInTotals:
        """log p(x | θ_k) = Σ log(1 - p) + x log(p / (1 - p)) (Bishop 2006, eq. 9.44)."""
        exact = not (self.probabilities == 1.0).any()
        return LinearInTotals(
            self._coefficients(SURE), exact=exact, stabilised=_stabilised(self.means)
        )

    def _coefficients(self, sure: float) -> Array:
        """As above; a zero where only ones can be is ``sure`` nats away."""
        always = self.probabilities == 1.0
        safe = np.where(always, 0.5, self.probabilities)
        log_odds = np.where(always, sure, np.maximum(logit(safe), NEVER))
        constants = np.where(always, -sure, np.log1p(-safe))
        return np.hstack([constants.sum(axis=1, keepdims=True), log_odds])

    def expected_log_density(self, values: Array) -> Array:
        """log p(x | θ_k) (n, K); minus infinity where it cannot be."""
        out = LinearInTotals(self._coefficients(0.0)).expected_log_density(values)
        always = self.probabilities == 1.0
        against = (1.0 - values) @ always.T.astype(float) if not self.linear.exact else 0.0
        out[(out < IMPOSSIBLE) | (against > 0)] = -np.inf
        return out

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        """Counts and totals."""
        return sums(values, responsibilities)

    def subset(self, keep: Integers) -> Bernoullis:
        return Bernoullis(self.probabilities[keep])

    def released(self) -> Bernoullis:
        return self

    def unframed(self, frame: Frame) -> Bernoullis:
        return self

    def plug_in(self) -> Bernoullis:
        return self

    def predictive(self) -> Bernoullis:
        return self

    @property
    def means(self) -> Array:
        """E[x | k]."""
        return self.probabilities

    @property
    def deviations(self) -> Array:
        """Standard deviation of every column (K, D)."""
        return np.sqrt(self.probabilities * (1.0 - self.probabilities))

    @property
    def covariances(self) -> Array:
        """Covariance matrices (K, D, D): given the component, columns are independent."""
        return diagonal_matrices(self.deviations**2)

    def marginal(self, columns: Integers) -> Bernoullis:
        """The densities of some columns."""
        return Bernoullis(self.probabilities[:, columns])

    def conditional(self, columns: Integers, given: Integers, values: Array) -> Bernoullis:
        """The densities of ``columns``: given the component, columns are independent."""
        return self.marginal(columns)

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        """E[x_columns | k] (n, K, C), whatever the given values (n, G) are."""
        own = self.means[:, columns]
        return np.broadcast_to(own, (len(values), *own.shape))

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        """counts_k rows of every component, in component order."""
        p = np.repeat(self.probabilities, counts, axis=0)
        return (generator.random(p.shape) < p).astype(float)


@dataclass(frozen=True)
class BernoulliDraws:
    """S draws of probabilities as log p and log (1 - p), both (S, K, D)."""

    log_successes: Array
    log_failures: Array

    @cached_property
    def components(self) -> LinearInTotals:
        """All S K densities, those of a draw together."""
        n_features = self.log_successes.shape[2]
        failures = self.log_failures.reshape(-1, n_features)
        log_odds = self.log_successes.reshape(-1, n_features) - failures
        return LinearInTotals(np.hstack([failures.sum(axis=1, keepdims=True), log_odds]))

    def subset(self, keep: Integers) -> BernoulliDraws:
        """Some components of every draw."""
        return BernoulliDraws(self.log_successes[:, keep], self.log_failures[:, keep])

    def at(self, draw: int) -> Bernoullis:
        """One of the draws as K densities at a point."""
        return Bernoullis(np.exp(self.log_successes[draw]))

    def parameters(self, frame: Frame) -> dict[str, tuple[tuple[str, ...], Array]]:
        """Probabilities (S, K, D), with what axes after the first stand for."""
        return {"probabilities": (("component", "feature"), np.exp(self.log_successes))}


@dataclass(frozen=True)
class BetaProbabilities:
    """q(θ) = Π Beta(successes, failures), both (K, D)."""

    successes: Array
    failures: Array

    @property
    def n_components(self) -> int:
        return len(self.successes)

    @cached_property
    def linear(self) -> LinearInTotals:
        """E[log p(x | θ_k)], linear in the row."""
        log_odds = digamma(self.successes) - digamma(self.failures)
        log_failure = digamma(self.failures) - digamma(self.successes + self.failures)
        coefficients = np.hstack([log_failure.sum(axis=1, keepdims=True), log_odds])
        return LinearInTotals(coefficients, stabilised=_stabilised(self.means))

    def expected_log_density(self, values: Array) -> Array:
        """E[log p(x | θ_k)] (n, K)."""
        return self.linear.expected_log_density(values)

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        """Counts and totals."""
        return sums(values, responsibilities)

    def draws(self, n_draws: int, generator: np.random.Generator) -> BernoulliDraws:
        """Independent draws of θ."""
        successes = log_gammas(self.successes, n_draws, generator)
        failures = log_gammas(self.failures, n_draws, generator)
        total = np.logaddexp(successes, failures)
        return BernoulliDraws(successes - total, failures - total)

    def log_factors(self, draws: BernoulliDraws) -> tuple[Array, Array]:
        """Shared (S,): nothing. Entry (j, k) of (S, J, K): log q_j of the drawn θ_k."""
        normalisers = betaln(self.successes, self.failures).sum(axis=1)
        pairs: Array = (
            (draws.log_successes @ (self.successes - 1.0).T).transpose(0, 2, 1)
            + (draws.log_failures @ (self.failures - 1.0).T).transpose(0, 2, 1)
            - normalisers[:, None]
        )
        return np.zeros(len(pairs)), pairs

    def coordinates(self) -> ColumnCoordinates:
        """Log odds, standardised."""
        return of_betas(
            self.successes,
            self.failures,
            lambda draws: draws.log_successes - draws.log_failures,
            lambda odds: BernoulliDraws(log_expit(odds), log_expit(-odds)),
        )

    def subset(self, keep: Integers) -> BetaProbabilities:
        return BetaProbabilities(self.successes[keep], self.failures[keep])

    def released(self) -> BetaProbabilities:
        return self

    def unframed(self, frame: Frame) -> BetaProbabilities:
        return self

    def plug_in(self) -> Bernoullis:
        """E[θ]."""
        return Bernoullis(self.means)

    def predictive(self) -> Bernoullis:
        """p(x | k, data): Bernoulli at the mean."""
        return Bernoullis(self.means)

    @property
    def means(self) -> Array:
        """E[x | k]."""
        return self.successes / (self.successes + self.failures)


@dataclass(frozen=True)
class BetaPrior:
    """θ ~ Beta(successes, failures), the same for every component and column."""

    successes: float = 1.0
    failures: float = 1.0

    fixes_scale = True

    def posterior(
        self, statistics: Sums, previous: Any = None, resolution: Any = None
    ) -> BetaProbabilities:
        """Counts of successes and failures added."""
        return BetaProbabilities(
            self.successes + statistics.totals,
            self.failures + (statistics.counts[:, None] - statistics.totals),
        )

    def kl(self, q: BetaProbabilities) -> float:
        """Σ KL(Beta || Beta)."""
        a, b = q.successes, q.failures
        total = digamma(a + b)
        divergence = (
            betaln(self.successes, self.failures)
            - betaln(a, b)
            + (a - self.successes) * (digamma(a) - total)
            + (b - self.failures) * (digamma(b) - total)
        )
        return float(divergence.sum())

    def mode(self, statistics: Sums, previous: Any = None, resolution: Any = None) -> Bernoullis:
        """Posterior mode; refused where a parameter is below 1 and no mode may exist."""
        if min(self.successes, self.failures) < 1.0:
            raise InvalidInputError(
                "a maximum a posteriori fit needs Beta parameters of at least 1, got "
                f"({self.successes}, {self.failures})"
            )
        q = self.posterior(statistics)
        total = q.successes + q.failures - 2.0
        return Bernoullis(Sums(total[:, 0], q.successes - 1.0).shares(0.5))

    def log_density(self, components: Bernoullis) -> float:
        """log p(θ) at a point; 0 log 0 is 0."""
        p = components.probabilities
        density = (
            xlogy(self.successes - 1.0, p)
            + xlog1py(self.failures - 1.0, -p)
            - betaln(self.successes, self.failures)
        )
        return float(density.sum())

    def conditional(
        self, statistics: Sums, last: BernoulliDraws, generator: np.random.Generator
    ) -> BetaProbabilities:
        """p(θ | X, Z): a step of Gibbs sampling."""
        return self.posterior(statistics)

    def log_density_of(self, draws: BernoulliDraws) -> Array:
        """log p(θ) (S,) of draws."""
        density: Array = (
            (self.successes - 1.0) * draws.log_successes
            + (self.failures - 1.0) * draws.log_failures
            - betaln(self.successes, self.failures)
        ).sum(axis=(1, 2))
        return density

    def pymc_distribution(self, pm: Any, q: BetaProbabilities, n_components: int) -> TotalsTwin:
        """The same prior over K components in PyMC, and their densities."""
        from pytensor import tensor as pt

        axes = ("component", "feature")
        # Arrays: of a number that float32 can hold PyTensor would take log Γ in float32.
        alpha, beta = np.array(self.successes), np.array(self.failures)
        p = pm.Beta("probabilities", alpha=alpha, beta=beta, dims=axes)
        logs = {"log_successes": pt.log(p), "log_failures": pt.log1p(-p)}
        successes, failures = logs.values()
        constants, slopes = failures.sum(axis=1), successes - failures
        return TotalsTwin(constants, slopes, logs, BernoulliDraws)

    def unframed(self, frame: Frame) -> BetaPrior:
        return self

    def over(self, default: BetaPrior, frame: Frame) -> BetaPrior:
        """Itself: a prior that is given replaces the default."""
        return self


@dataclass(frozen=True)
class Bernoulli:
    """Binary columns, independent within a component.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rows = np.random.default_rng(0).integers(0, 2, (50, 3))
    >>> bm.Mixture(n_components=1, family=bm.Bernoulli()).fit(rows).n_components_
    1
    """

    name = "bernoulli"
    continuous = False
    drawn_columns = 0
    linear = True
    far_densities = False
    centred_kernel = False

    def made(self, components: Any) -> bool:
        return True

    def linear_is_faster(self, n_features: int) -> bool:
        return True

    def check(self, values: Any, first: int = 0) -> None:
        """Raise where a value is neither 0 nor 1."""
        wrong = (values != 0) & (values != 1)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise InvalidInputError(
                f"X must hold zeros and ones for a Bernoulli mixture, got {values[row, column]:g} "
                f"in row {first + row}, column {column}: threshold it, or use another family"
            )

    def frame(self, summary: Summary) -> Frame:
        """The data's own coordinates."""
        return Frame.identity(summary.n_features)

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        """Nothing: a constant column is a value like others."""
        return frame, ()

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        return sums(values, responsibilities)

    def maximum_likelihood(
        self,
        statistics: Sums,
        previous: Bernoullis | None = None,
        resolution: Any = None,
        frame: Frame | None = None,
    ) -> Bernoullis:
        """Shares of ones (Bishop 2006, eq. 9.59)."""
        # A component without rows stays what it was, where there is one to stay.
        same = previous is not None and previous.probabilities.shape == statistics.totals.shape
        empty = previous.probabilities if previous is not None and same else 0.5
        return Bernoullis(np.clip(statistics.shares(empty), 0.0, 1.0))

    def feasible(self, statistics: Sums) -> bool:
        """From no ones to all ones."""
        return bool(
            (statistics.totals >= 0).all()
            and (statistics.totals <= statistics.counts[:, None]).all()
        )

    def reference_prior(self, summary: Summary, frame: Frame) -> BetaPrior:
        """Uniform probabilities."""
        return BetaPrior()

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> BetaPrior:
        """Beta(1.5, 1.5): no probability reaches 0 or 1."""
        return BetaPrior(1.5, 1.5)

    def as_draws(self, points: Sequence[Bernoullis]) -> BernoulliDraws:
        """Mixtures at points as draws."""
        shares = np.array([one.probabilities for one in points])
        with np.errstate(divide="ignore"):
            logs = np.log(shares), np.log1p(-shares)
        return BernoulliDraws(*(np.maximum(one, NEVER) for one in logs))

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features

    def max_components(self, n_distinct: int, n_features: int) -> int | None:
        """No limit: the likelihood is bounded."""
        return None

    def guard(self, source: Source, frame: Frame, summary: Summary, repair: bool) -> NoGuard:
        """The likelihood is bounded."""
        return NoGuard()
