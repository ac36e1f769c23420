"""Several outcomes of a unit, independent given its class: measurements, events, times of dropout.

Rows of all outcomes stand in one table, and each has a column of the design that is not 0 in its
rows alone. Joint latent class models: Proust-Lima et al. 2014; survival parts are Weibull, or
exponential in pieces of time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, NoReturn

import numpy as np

from bayesmix.errors import UnsupportedError
from bayesmix.families.regressions import (
    DESIGN,
    LARGEST_PREDICTOR,
    OFFSET,
    RESPONSE,
    BinomialResponse,
    NormalResponse,
    PoissonResponse,
    Regressions,
    RegressionSums,
    Response,
)
from bayesmix.numerics.arrays import Array, Booleans, Integers

# Logarithms of shapes of Weibull densities are held in this range, so that hazards are finite.
LARGEST_LOG_SHAPE = 5.0


class Scores(NamedTuple):
    """Derivatives (n, K) of log p in η and the further parameter, and their information."""

    slopes: Array
    curvature: Array
    further: Array | float = 0.0
    further_curvature: Array | float = 0.0
    crossed: Array | float = 0.0


class Outcome(ABC):
    """Distribution of an outcome y (n, 1) given η (n, K) and a further parameter (n, K)."""

    further: str | None = None  # name of the further parameter
    support: str

    @abstractmethod
    def log_density(self, y: Array, eta: Array, further: Array) -> Array:
        """Return log p(y | η) (n, K)."""

    @abstractmethod
    def scores(self, y: Array, eta: Array, further: Array) -> Scores:
        """Return the derivatives of log p, and information that is not negative."""

    @abstractmethod
    def first_predictor(self, y: Array) -> Array:
        """Return a predictor (n,) from the outcome alone."""

    @abstractmethod
    def wrong(self, y: Array) -> Any:
        """Return where outcomes (n,) are outside the support."""

    def first_further(self, y: Array) -> tuple[float, float]:
        """Return where the further parameter starts, and its lower limit."""
        return 0.0, -LARGEST_LOG_SHAPE


class ByResponse(Outcome):
    """Outcomes without a further parameter."""

    response: Response

    def log_density(self, y: Array, eta: Array, further: Array) -> Array:
        return self.response.log_density(y, np.ones_like(y), eta, further)

    def scores(self, y: Array, eta: Array, further: Array) -> Scores:
        return Scores(*self.response.derivatives(y, np.ones_like(y), eta, further))

    def first_predictor(self, y: Array) -> Array:
        return self.response.first_predictor(y, np.ones_like(y))

    def wrong(self, y: Array) -> Any:
        return self.response.wrong(y, np.ones_like(y))[0]


class BernoulliOutcome(ByResponse):
    """0 or 1 with probability expit(η)."""

    response, support = BinomialResponse(), "0 or 1"


class PoissonOutcome(ByResponse):
    """Counts with mean e^η."""

    response, support = PoissonResponse(), "counts (0, 1, 2, ...)"


class NormalOutcome(Outcome):
    """N(η, e^a), where a is the log variance."""

    further, support = "log variance", "finite numbers"
    response = NormalResponse()

    def log_density(self, y: Array, eta: Array, further: Array) -> Array:
        return self.response.log_density(y, y, eta, np.exp(further))

    def scores(self, y: Array, eta: Array, further: Array) -> Scores:
        variances = np.exp(further)
        squares = (y - eta) ** 2 / variances
        ones = np.ones_like(eta)
        return Scores((y - eta) / variances, ones / variances, 0.5 * (squares - 1.0), 0.5 * ones)

    def first_predictor(self, y: Array) -> Array:
        return y

    def wrong(self, y: Array) -> Any:
        return ~np.isfinite(y)

    def first_further(self, y: Array) -> tuple[float, float]:
        log_variance = float(np.log(max(y.var(), 1e-300)))
        return log_variance, log_variance + 2.0 * np.log(1e-4)  # deviations of 1e-4 of that of y


class SurvivalOutcome(Outcome):
    """Hazard e^η p t^(p - 1) at time t = |y|, where y < 0 is censored and a = log p."""

    support = "times that are not 0"

    def times(self, y: Array) -> Array:
        return np.abs(y)

    def log_density(self, y: Array, eta: Array, further: Array) -> Array:
        event, logs, scaled = self._parts(y, eta, further)
        return event * (eta + further + scaled - logs) - self._hazard(eta, scaled)

    def scores(self, y: Array, eta: Array, further: Array) -> Scores:
        event, _, scaled = self._parts(y, eta, further)
        hazard = self._hazard(eta, scaled)
        return Scores(
            event - hazard,
            hazard,
            event * (1.0 + scaled) - hazard * scaled,
            hazard * scaled**2 + event,
            hazard * scaled,
        )

    def _parts(self, y: Array, eta: Array, further: Array) -> tuple[Array, Array, Array]:
        """Return whether there is an event, log t, and p log t."""
        logs = np.log(np.abs(y))
        shape = np.exp(np.clip(further, -LARGEST_LOG_SHAPE, LARGEST_LOG_SHAPE))
        return (y > 0.0) + 0.0 * eta, logs, shape * logs

    def _hazard(self, eta: Array, scaled: Array) -> Array:
        """Return cumulative hazards."""
        return np.exp(np.clip(eta + scaled, -LARGEST_PREDICTOR, LARGEST_PREDICTOR))

    def first_predictor(self, y: Array) -> Array:
        return np.log(np.where(y > 0.0, 1.0, 0.5)) - np.log(np.abs(y))

    def wrong(self, y: Array) -> Any:
        return (y == 0.0) | ~np.isfinite(y)


class WeibullOutcome(SurvivalOutcome):
    """Weibull times with their own shape in each class."""

    further = "log shape"


class ExponentialOutcome(SurvivalOutcome):
    """Pieces of time with a constant hazard: shapes are 1."""


OUTCOMES: dict[str, Outcome] = {
    "normal": NormalOutcome(),
    "bernoulli": BernoulliOutcome(),
    "poisson": PoissonOutcome(),
    "weibull": WeibullOutcome(),
    "exponential": ExponentialOutcome(),
}


@dataclass(frozen=True)
class SeveralOutcomes(Response):
    """Distributions by row: ``kinds`` and the ``places`` in the design of their columns.

    The first ``n_means`` columns of the design belong to η, and the others to further parameters,
    one for each outcome that has one.
    """

    kinds: tuple[str, ...]
    places: tuple[int, ...]
    n_means: int = 0
    starts: tuple[float, ...] = ()  # of further parameters, by outcome
    limits: tuple[float, ...] = ()
    variances: tuple[float, ...] = ()  # of first predictors, by outcome
    name = "several outcomes"
    part = "further"
    dispersed = False

    @cached_property
    def outcomes(self) -> tuple[Outcome, ...]:
        return tuple(OUTCOMES[kind] for kind in self.kinds)

    @cached_property
    def further_places(self) -> tuple[int | None, ...]:
        """Columns of the further parameters in the design, None for outcomes without one."""
        found, place = list[int | None](), self.n_means
        for outcome in self.outcomes:
            found.append(None if outcome.further is None else place)
            place += outcome.further is not None
        return tuple(found)

    def numbers(self, design: Array) -> Integers:
        """Return the number of the outcome of each row of a design (n, P)."""
        return np.asarray(np.abs(design[:, list(self.places)]).argmax(axis=1))

    def predictors(self, coefficients: Array, values: Array) -> Array:
        X = values[:, DESIGN : DESIGN + self.n_means]
        return np.asarray(X @ coefficients[:, : self.n_means].T + values[:, OFFSET, None])

    def gradients(self, coefficients: Array, values: Array) -> Array:
        out = np.zeros((len(values), *coefficients.shape))
        out[:, :, : self.n_means] = values[:, None, DESIGN : DESIGN + self.n_means]
        return out

    def dispersions(self, at: Regressions, values: Array) -> Array:
        """Return numbers of outcomes and further parameters (n, K, 2)."""
        numbers = self.numbers(values[:, DESIGN:])
        out = np.zeros((len(values), at.n_components, 2))
        out[:, :, 0] = numbers[:, None]
        for m, place in enumerate(self.further_places):
            if place is not None:
                further = np.maximum(at.coefficients[:, place], self.limits[m])
                out[numbers == m, :, 1] = further
        return out

    def rows_of(self, dispersion: Array) -> Iterator[tuple[int, Outcome, Booleans]]:
        """Yield number, distribution and rows of each outcome."""
        for m, outcome in enumerate(self.outcomes):
            yield m, outcome, dispersion[:, 0, 0] == m

    def log_density(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Array:
        out = np.empty(eta.shape)
        for _, outcome, rows in self.rows_of(dispersion):
            out[rows] = outcome.log_density(y[rows], eta[rows], dispersion[rows, :, 1])
        return out

    def sums(self, at: Regressions, values: Array, shares: Array) -> RegressionSums:
        y, X = values[:, RESPONSE, None], values[:, DESIGN : DESIGN + self.n_means]
        eta, dispersion = self.predictors(at.coefficients, values), self.dispersions(at, values)
        (K, P), means = at.coefficients.shape, slice(self.n_means)
        score, information = np.zeros((K, P)), np.zeros((K, P, P))
        for m, outcome, rows in self.rows_of(dispersion):
            found = outcome.scores(y[rows], eta[rows], dispersion[rows, :, 1])
            share, own = shares[rows], X[rows]
            score[:, means] += (share * found.slopes).T @ own
            weighted = (share * found.curvature).T[:, :, None] * own
            information[:, means, means] += own.T @ weighted
            place = self.further_places[m]
            if place is not None:
                score[:, place] = (share * found.further).sum(axis=0)
                information[:, place, place] = (share * found.further_curvature).sum(axis=0)
                crossed = (share * found.crossed).T @ own
                information[:, means, place] = information[:, place, means] = crossed
        none = np.empty((0, K))
        return RegressionSums(at, shares.sum(axis=0), score, information, none)

    def first_predictors(self, values: Array) -> Array:
        numbers, out = self.numbers(values[:, DESIGN:]), np.empty(len(values))
        for m, outcome in enumerate(self.outcomes):
            out[numbers == m] = outcome.first_predictor(values[numbers == m, RESPONSE])
        return out

    def start_scale(self, values: Array) -> Array:
        return np.array(self.variances)[self.numbers(values[:, DESIGN:])]

    def first_sums(self, values: Array, shares: Array) -> RegressionSums:
        """Return a step from least squares of the first predictors."""
        X, K = values[:, DESIGN : DESIGN + self.n_means], shares.shape[1]
        target = self.first_predictors(values) - values[:, OFFSET]
        coefficients = np.zeros((K, values.shape[1] - DESIGN))
        for k, share in enumerate(np.sqrt(shares).T):
            solved = np.linalg.lstsq(X * share[:, None], target * share)[0]
            coefficients[k, : self.n_means] = solved
        for place, start in zip(self.further_places, self.starts, strict=True):
            if place is not None:
                coefficients[:, place] = start
        return self.sums(Regressions(self, coefficients, np.ones(K)), values, shares)

    def derivatives(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> NoReturn:
        raise self.unsupported

    def mean(self, eta: Array) -> NoReturn:
        raise self.unsupported

    def first_predictor(self, y: Array, trials: Array) -> NoReturn:
        raise self.unsupported

    def distribution(self, trials: Array, eta: Array, dispersion: Array) -> NoReturn:
        raise self.unsupported

    @property
    def unsupported(self) -> UnsupportedError:
        """The error of what is about one response."""
        return UnsupportedError(
            "predictions of the response, curves and simulated data do not support several "
            "outcomes: use coefficients(), predict_proba and the tables of classes"
        )

    def wrong(self, y: Array, trials: Array) -> tuple[Any, str]:
        return ~np.isfinite(y), "finite numbers"
