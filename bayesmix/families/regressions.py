"""Regressions as components: generalised linear models of a response given a design.

Each row holds response, offset, number of trials and the design. The M-step is one Fisher scoring
step from the coefficients of the E-step (McLachlan & Peel 2000, section 5.10; Nelder & Wedderburn
1972), which is exact for a normal response.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, cast

import numpy as np
from scipy import stats
from scipy.special import digamma, expit, gammaln, logit, polygamma

from bayesmix.core.mixture import Mixture, halfway
from bayesmix.core.restrictions import HeldValues
from bayesmix.core.rows import AddedByField, Event, Frame
from bayesmix.families.gamma import log_constant, most_likely_shapes
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.memo import once

# Columns of a row before its design.
RESPONSE, OFFSET, TRIALS, DESIGN = 0, 1, 2, 3
# Linear predictors of log links are held in this range, so that means are finite.
LARGEST_PREDICTOR = 50.0
# Smallest eigenvalue of the information per sample below which a likelihood is flat.
FLAT = 1e-7
# Sizes of negative binomials, and the longest step of their logarithms.
SIZES, LONGEST_STEP = (1e-3, 1e6), 1.0
Derivatives = tuple[Array, Array]  # of log p in η, and the expected negative second ones


class Response(ABC):
    """Distribution of a response given the linear predictor η, with its canonical or log link.

    Arguments are responses and trials (n, 1), predictors (n, K) and dispersions (K,).
    """

    name: str
    part = boundary = ""  # name of coefficients beyond those of the mean, and if they are infinite
    dispersed = True  # whether there is a dispersion parameter
    # Name in tables: "scale" is the root of the dispersion.
    spread = "scale"
    discrete = False
    gaussian = False  # whether η is a mean, and the dispersion the variance, of a normal variable

    def predictors(self, coefficients: Array, values: Array) -> Array:
        """Return η (n, K)."""
        return np.asarray(values[:, DESIGN:] @ coefficients.T + values[:, OFFSET, None])

    def gradients(self, coefficients: Array, values: Array) -> Array:
        """Return derivatives (n, K, P) of η in the coefficients."""
        design = values[:, None, DESIGN:]
        return np.broadcast_to(design, (len(values), *coefficients.shape))

    def dispersions(self, at: Regressions, values: Array) -> Array:
        """Return dispersions (K,) or (n, K) of samples."""
        return at.dispersion

    def sums(self, at: Regressions, values: Array, shares: Array) -> RegressionSums:
        """Return sums over samples of scores and expected information at given components."""
        y, trials = values[:, RESPONSE, None], values[:, TRIALS, None]
        eta = at.predictors(values)
        slopes, curvature = self.derivatives(y, trials, eta, at.dispersion)
        terms = self.dispersion_terms(y, eta, at.dispersion)
        return added(at, values[:, DESIGN:], shares, slopes, curvature, terms)

    def first_predictors(self, values: Array) -> Array:
        """Return predictors (n,) from the responses of rows alone, from which starts are made."""
        return np.asarray(self.first_predictor(values[:, RESPONSE], values[:, TRIALS]))

    def start_scale(self, values: Array) -> Array | float:
        """Return units (n,) or 1 of squared distances of first predictors from lines."""
        return 1.0

    def first_sums(self, values: Array, shares: Array) -> RegressionSums:
        """Return weighted least squares of the first predictors, where no components are known."""
        y, trials, design = values[:, RESPONSE, None], values[:, TRIALS, None], values[:, DESIGN:]
        first = np.broadcast_to(self.first_predictor(y, trials), shares.shape).copy()
        dispersion = np.ones(shares.shape[1])
        _, curvature = self.derivatives(y, trials, first, dispersion)
        slopes = curvature * (first - values[:, OFFSET, None])
        at = Regressions(self, np.zeros((shares.shape[1], design.shape[1])), dispersion)
        terms = self.dispersion_terms(y, values[:, OFFSET, None] + 0.0 * first, dispersion)
        return added(at, design, shares, slopes, curvature, terms)

    def before(self, y: Array) -> Array:
        """Return values just below y, where distribution functions have not yet stepped."""
        return np.asarray(y - 1.0 if self.discrete else np.nextafter(y, -np.inf))

    @abstractmethod
    def log_density(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Array:
        """Return log p(y | η) (n, K)."""

    @abstractmethod
    def derivatives(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Derivatives:
        """Return d log p / dη (n, K) and the expected negative second derivative."""

    @abstractmethod
    def mean(self, eta: Array) -> Array:
        """Return E[y | η] per trial."""

    @abstractmethod
    def first_predictor(self, y: Array, trials: Array) -> Array:
        """Return a predictor from the response alone, from which coefficients start."""

    def dispersion_terms(self, y: Array, eta: Array, dispersion: Array) -> tuple[Array, ...]:
        """Return arrays (n, K) whose sums determine the dispersion."""
        return ()

    def dispersion(self, previous: Array, counts: Array, sums: Array, gained: Array) -> Array:
        """Return dispersions (K,) from sums (T, K); ``gained``: fall of Σ r e² by the step."""
        return previous

    def dispersion_score(self, dispersion: Array, counts: Array, sums: Array) -> Array:
        """Return Σ d log p / d log dispersion (K,); empty without a dispersion parameter."""
        return np.empty(0)

    @abstractmethod
    def distribution(self, trials: Array, eta: Array, dispersion: Array) -> Any:
        """Return the frozen scipy distribution of y."""

    @abstractmethod
    def wrong(self, y: Array, trials: Array) -> tuple[Any, str]:
        """Return where responses are outside the support (n,), and what the support is."""


class IdentityLink(Response):
    """Normal responses, of which all values or some are seen."""

    gaussian = True

    def mean(self, eta: Array) -> Array:
        return eta

    def first_predictor(self, y: Array, trials: Array) -> Array:
        return y

    def dispersion(self, previous: Array, counts: Array, sums: Array, gained: Array) -> Array:
        """Return the mean squared residual after the step."""
        return np.maximum(sums[0] - gained, 0.0) / np.maximum(counts, 1e-300)

    def dispersion_score(self, dispersion: Array, counts: Array, sums: Array) -> Array:
        return 0.5 * (sums[0] / dispersion - counts)


class NormalResponse(IdentityLink):
    """y ~ N(η, dispersion)."""

    name = "normal"

    def log_density(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Array:
        return -0.5 * (np.log(2.0 * np.pi * dispersion) + (y - eta) ** 2 / dispersion)

    def derivatives(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Derivatives:
        return (y - eta) / dispersion, np.broadcast_to(1.0 / dispersion, eta.shape)

    def dispersion_terms(self, y: Array, eta: Array, dispersion: Array) -> tuple[Array, ...]:
        return ((y - eta) ** 2,)

    def distribution(self, trials: Array, eta: Array, dispersion: Array) -> Any:
        return stats.norm(eta, np.sqrt(dispersion))

    def wrong(self, y: Array, trials: Array) -> tuple[Any, str]:
        return ~np.isfinite(y), "finite numbers"


class LogLink(Response):
    """Responses with a log link."""

    def mean(self, eta: Array) -> Array:
        return np.exp(np.clip(eta, -LARGEST_PREDICTOR, LARGEST_PREDICTOR))

    def first_predictor(self, y: Array, trials: Array) -> Array:
        return np.log(np.maximum(y, 0.1 if self.discrete else 0.0))

    def wrong(self, y: Array, trials: Array) -> tuple[Any, str]:
        return (y < 0) | (y != np.floor(y)), "counts (0, 1, 2, ...)"


class PoissonResponse(LogLink):
    """y ~ Poisson(e^η)."""

    name = "poisson"
    dispersed, discrete = False, True

    def log_density(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Array:
        return y * eta - self.mean(eta) - gammaln(y + 1.0)

    def derivatives(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Derivatives:
        means = self.mean(eta)
        return y - means, means

    def distribution(self, trials: Array, eta: Array, dispersion: Array) -> Any:
        return stats.poisson(self.mean(eta))


class NegativeBinomialResponse(LogLink):
    """y with mean μ = e^η and variance μ + μ² dispersion; 1 / dispersion is the size."""

    name = "negative_binomial"
    discrete = True
    spread = "dispersion"

    def log_density(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Array:
        size = 1.0 / dispersion
        constant = gammaln(y + size) - gammaln(size) - gammaln(y + 1.0) + size * np.log(size)
        return constant + y * eta - (y + size) * np.logaddexp(np.log(size), eta)

    def derivatives(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Derivatives:
        size, means = 1.0 / dispersion, self.mean(eta)
        return (y - means) * size / (means + size), means * size / (means + size)

    def dispersion_terms(self, y: Array, eta: Array, dispersion: Array) -> tuple[Array, ...]:
        """Return first and second derivatives of log p in the size."""
        size, means = 1.0 / dispersion, self.mean(eta)
        ratio = (y + size) / (means + size)
        first = digamma(y + size) - digamma(size) + np.log(size / (size + means)) + 1.0 - ratio
        second = polygamma(1, y + size) - polygamma(1, size) + 1.0 / size
        return first, second + (ratio - 2.0) / (means + size)

    def dispersion(self, previous: Array, counts: Array, sums: Array, gained: Array) -> Array:
        """Take a Newton step in the logarithm of the size."""
        size = 1.0 / previous
        slope, curvature = size * sums[0], -(size * sums[0] + size * size * sums[1])
        newton = slope / np.where(curvature > 0.0, curvature, 1.0)
        step = np.where(curvature > 0.0, newton, np.sign(slope))
        log_size = np.log(size) + np.clip(step, -LONGEST_STEP, LONGEST_STEP)
        return 1.0 / np.clip(np.exp(log_size), *SIZES)

    def dispersion_score(self, dispersion: Array, counts: Array, sums: Array) -> Array:
        return -sums[0] / dispersion

    def distribution(self, trials: Array, eta: Array, dispersion: Array) -> Any:
        size = 1.0 / dispersion
        return stats.nbinom(size, size / (size + self.mean(eta)))


class GammaResponse(LogLink):
    """y with mean μ = e^η and variance μ² dispersion; 1 / dispersion is the shape."""

    name = "gamma"

    def log_density(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Array:
        shape, ratio = 1.0 / dispersion, y / self.mean(eta)
        return log_constant(shape) - shape * (ratio - 1.0 - np.log(ratio)) - np.log(y)

    def derivatives(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Derivatives:
        return (y / self.mean(eta) - 1.0) / dispersion, np.broadcast_to(1.0 / dispersion, eta.shape)

    def dispersion_terms(self, y: Array, eta: Array, dispersion: Array) -> tuple[Array, ...]:
        ratio = y / self.mean(eta)
        return (ratio - 1.0 - np.log(ratio),)

    def dispersion(self, previous: Array, counts: Array, sums: Array, gained: Array) -> Array:
        """Return 1 / shape at the coefficients before the step."""
        spread = np.maximum(sums[0] / np.maximum(counts, 1e-300), 1e-12)
        return 1.0 / most_likely_shapes(spread)

    def dispersion_score(self, dispersion: Array, counts: Array, sums: Array) -> Array:
        shape = 1.0 / dispersion
        return np.asarray(shape * (sums[0] - counts * (np.log(shape) - digamma(shape))))

    def distribution(self, trials: Array, eta: Array, dispersion: Array) -> Any:
        return stats.gamma(1.0 / dispersion, scale=self.mean(eta) * dispersion)

    def wrong(self, y: Array, trials: Array) -> tuple[Any, str]:
        return y <= 0, "positive numbers"


class BinomialResponse(Response):
    """y successes of ``trials`` with probability expit(η)."""

    name = "binomial"
    dispersed, discrete = False, True

    def log_density(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Array:
        ways = gammaln(trials + 1.0) - gammaln(y + 1.0) - gammaln(trials - y + 1.0)
        return ways + y * eta - trials * np.logaddexp(0.0, eta)

    def derivatives(self, y: Array, trials: Array, eta: Array, dispersion: Array) -> Derivatives:
        probability = expit(eta)
        return y - trials * probability, trials * probability * (1.0 - probability)

    def mean(self, eta: Array) -> Array:
        return expit(eta)

    def first_predictor(self, y: Array, trials: Array) -> Array:
        return logit((y + 0.5) / (trials + 1.0))

    def distribution(self, trials: Array, eta: Array, dispersion: Array) -> Any:
        return stats.binom(trials.astype(int), expit(eta))

    def wrong(self, y: Array, trials: Array) -> tuple[Any, str]:
        whole = (y == np.floor(y)) & (trials == np.floor(trials))
        return ~whole | (y < 0) | (y > trials), "numbers of successes from 0 to trials"


@dataclass(frozen=True)
class RegressionSums(AddedByField):
    """Sums over samples at given components: score (K, P), information (K, P, P), dispersion."""

    at: Regressions
    counts: Array
    score: Array
    information: Array
    dispersion: Array  # (T, K)
    same = ("at",)

    @once
    def _parts(self) -> tuple[Array, ...]:
        """Counts, both sides of the equations of the next coefficients, and dispersion."""
        right = self.score + np.einsum("kpq,kq->kp", self.information, self.at.coefficients)
        return self.counts, right, self.information, self.dispersion

    def pack(self) -> Array:
        return np.concatenate([part.ravel() for part in self._parts])

    def units(self) -> Array:
        """Return reciprocal sizes, as columns of the design are standardised."""
        largest = np.abs(self.information).max(initial=0.0) or 1.0
        sizes = self.counts.sum(), largest, largest, np.abs(self.dispersion).sum() or 1.0
        return np.repeat(1.0 / np.array(sizes), [part.size for part in self._parts])

    def unpack(self, vector: Array) -> RegressionSums:
        parts = self._parts
        pieces = np.split(vector, np.cumsum([part.size for part in parts])[:-1])
        counts, right, information, dispersion = (
            piece.reshape(part.shape) for piece, part in zip(pieces, parts, strict=True)
        )
        score = right - np.einsum("kpq,kq->kp", information, self.at.coefficients)
        return RegressionSums(self.at, counts, score, information, dispersion)

    @property
    def further_score(self) -> Array:
        """Gradient of the log likelihood in ``further`` of the components."""
        at = self.at
        score = at.response.dispersion_score(at.dispersion, self.counts, self.dispersion)
        return score.sum(keepdims=True) if at.shared_dispersion and len(score) else score


class Curves(ABC):
    """K regressions of one response, with what else belongs to each of them."""

    response: Response
    coefficients: Array  # (K, P)
    dispersion: Array  # (K,)
    shared_dispersion = False  # whether all components have the same
    by_component: tuple[str, ...] = ("coefficients", "dispersion")

    @property
    def n_components(self) -> int:
        return len(self.coefficients)

    def predictors(self, values: Array) -> Array:
        """Return η (n, K)."""
        return self.response.predictors(self.coefficients, values)

    def gradients(self, values: Array) -> Array:
        """Return derivatives (n, K, P) of η in the coefficients."""
        return self.response.gradients(self.coefficients, values)

    @property
    @abstractmethod
    def further(self) -> Array:
        """Parameters of standard errors beside the coefficients."""

    @abstractmethod
    def moved(self, coefficients: Array, further: Array) -> Self:
        """Return components at other parameters."""

    def halfway_to(self, other: Self) -> Self:
        coefficients = 0.5 * (self.coefficients + other.coefficients)
        return other.moved(coefficients, 0.5 * (self.further + other.further))

    def subset(self, keep: Integers) -> Self:
        kept: Any = {name: getattr(self, name)[keep] for name in self.by_component}
        return replace(cast("Any", self), **kept)


@dataclass(frozen=True)
class Regressions(Curves):
    """Coefficients (K, P) and dispersions (K,) of K regressions."""

    response: Response
    coefficients: Array
    dispersion: Array
    shared_dispersion: bool = False

    def dispersions(self, values: Array) -> Array:
        """Return dispersions (K,) or (n, K) of samples."""
        return self.response.dispersions(self, values)

    def expected_log_density(self, values: Array) -> Array:
        y, trials = values[:, RESPONSE, None], values[:, TRIALS, None]
        eta, dispersion = self.predictors(values), self.dispersions(values)
        return self.response.log_density(y, trials, eta, dispersion)

    def statistics(self, values: Array, responsibilities: Array) -> RegressionSums:
        return self.response.sums(self, values, responsibilities)

    @property
    def further(self) -> Array:
        """Log dispersions; one if components share it."""
        if not self.response.dispersed:
            return np.empty(0)
        return np.log(self.dispersion[:1] if self.shared_dispersion else self.dispersion)

    @property
    def further_scale(self) -> Array:
        return np.ones(len(self.further))

    def moved(self, coefficients: Array, further: Array) -> Regressions:
        dispersion = self.dispersion
        if self.response.dispersed:
            dispersion = np.broadcast_to(np.exp(further), dispersion.shape).copy()
        return replace(self, coefficients=coefficients, dispersion=dispersion)


def added(
    at: Regressions,
    design: Array,
    shares: Array,
    slopes: Array,
    curvature: Array,
    terms: tuple[Array, ...],
) -> RegressionSums:
    """Return sums at given components, from derivatives (n, K) of samples."""
    information = np.stack([(design * w[:, None]).T @ design for w in (shares * curvature).T])
    dispersion = np.array([(shares * term).sum(axis=0) for term in terms])
    score, counts = (shares * slopes).T @ design, shares.sum(axis=0)
    size = (len(terms), at.n_components)
    return RegressionSums(at, counts, score, information, dispersion.reshape(size))


class LeastSquares:
    """Families fitted by reweighted least squares, whose sums may be extrapolated."""

    held: HeldValues | None = None  # coefficients of the design that keep a value

    def feasible(self, statistics: RegressionSums) -> bool:
        """Whether information matrices are not negative in any direction, but for rounding."""
        values = np.linalg.eigvalsh(statistics.information)
        largest = values.max(axis=1, initial=0.0, keepdims=True)
        return bool((values >= -FLAT * largest).all())

    def inside(self, statistics: RegressionSums, present: RegressionSums) -> RegressionSums:
        return statistics


@dataclass(frozen=True)
class RegressionFamily(LeastSquares):
    """Regressions of one response, some of whose coefficients all components share."""

    response: Response
    fixed: Integers  # columns of the design with the same coefficient in all components
    floor: float = 0.0  # smallest dispersion of a normal or gamma response
    shared_dispersion: bool = False  # whether all components have the same
    held: HeldValues | None = None  # coefficients of the design that keep a value
    name = "regression"
    adjective, title = "", "regression"  # "3 regressions"
    continuous = far_densities = False
    linear = False
    n_learned = 0
    coding = None

    def statistics(self, values: Array, responsibilities: Array) -> RegressionSums:
        """Return weighted least squares of the first predictors, where no components are known."""
        return self.response.first_sums(values, responsibilities)

    def maximum_likelihood(
        self,
        statistics: RegressionSums,
        previous: Regressions | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> Regressions:
        """Take a scoring step of the coefficients, and update the dispersions."""
        at = statistics.at
        given = statistics.score, statistics.information, at.coefficients
        step = scoring_step(self.fixed, *given, self.held)
        # Score and information are divided by the dispersion of a normal response.
        fall = np.einsum("kp,kp->k", step, statistics.score)
        fall = 2.0 * fall - np.einsum("kp,kpq,kq->k", step, statistics.information, step)
        given = statistics.counts, statistics.dispersion, fall * at.dispersion
        if self.shared_dispersion:
            given = tuple(part.sum(axis=-1, keepdims=True) for part in given)
        dispersion = self.response.dispersion(at.dispersion, *given)
        started = previous is None and not self.response.gaussian
        dispersion = at.dispersion if started else np.maximum(dispersion, self.floor)
        dispersion = np.broadcast_to(dispersion, at.dispersion.shape).copy()
        coefficients = at.coefficients + step
        return Regressions(self.response, coefficients, dispersion, self.shared_dispersion)

    def flat_directions(self, sums: RegressionSums) -> list[tuple[int | None, Array]]:
        """Return directions (P,) of flat likelihood, with their component (None if shared)."""
        P = sums.score.shape[1]
        own = [np.setdiff1d(np.arange(P), self.fixed)] * len(sums.counts)
        if self.held is not None:
            own = [np.setdiff1d(own[0], np.flatnonzero(held)) for held in self.held.held]
        blocks: list[Any] = [
            (k, own[k], sums.information[k], count) for k, count in enumerate(sums.counts)
        ]
        blocks.append((None, self.fixed, sums.information.sum(axis=0), sums.counts.sum()))
        found: list[tuple[int | None, Array]] = []
        for component, columns, information, count in blocks:
            if not len(columns):
                continue
            values, vectors = np.linalg.eigh(information[np.ix_(columns, columns)])
            if values[0] < FLAT * count:
                direction = np.zeros(P)
                direction[columns] = vectors[:, 0]
                found.append((component, direction))
        return found

    def n_parameters(self, n_components: int, n_columns: int) -> int:
        shared, dispersed = len(self.fixed), int(self.response.dispersed)
        own = n_components * (n_columns - DESIGN - shared) - n_held(self.held)
        return shared + own + dispersed * (1 if self.shared_dispersion else n_components)


def coefficient_places(fixed: Integers, K: int, P: int) -> Integers:
    """Return places (K, P) of coefficients among the unknowns, the shared ones first."""
    free = np.setdiff1d(np.arange(P), fixed)
    places = np.empty((K, P), dtype=int)
    places[:, fixed] = np.arange(len(fixed))
    places[:, free] = len(fixed) + np.arange(K * len(free)).reshape(K, -1)
    return places


def n_held(held: HeldValues | None) -> int:
    """Return the number of coefficients that keep a value."""
    return 0 if held is None else held.n_restrictions


def scoring_step(
    fixed: Integers,
    score: Array,
    information: Array,
    coefficients: Array,
    held: HeldValues | None = None,
) -> Array:
    """Return the step (K, P) of coefficients, of which those of ``fixed`` columns are shared.

    Held coefficients, none of them shared, move to their values.
    """
    if held is not None:
        known = np.where(held.held, held.values - coefficients, 0.0)
        score = score - (information @ known[..., None])[..., 0]
        free = ~held.held
        information = information * free[:, None] * free[..., None]
        information += held.held[..., None] * np.eye(score.shape[1])  # of any size but 0
        step = scoring_step(fixed, score * free, information, coefficients)
        return np.where(held.held, known, step)
    if not len(fixed):
        return scaled_solution(information, score)
    places = coefficient_places(fixed, *score.shape)
    size = int(places.max()) + 1
    whole, total = np.zeros((size, size)), np.zeros(size)
    for k, own in enumerate(places):
        whole[np.ix_(own, own)] += information[k]
        total[own] += score[k]
    return scaled_solution(whole, total)[places]


def mapped_eigenvalues(matrices: Array, function: Callable[[Array], Array]) -> Array:
    """Return symmetric matrices (..., q, q) after a function of their eigenvalues."""
    values, vectors = np.linalg.eigh(matrices)
    return np.asarray((vectors * function(values)[..., None, :]) @ vectors.mT)


def scaled_solution(information: Array, score: Array) -> Array:
    """Return the smallest solutions of singular systems, in unknowns of unit information."""
    diagonal = np.diagonal(information, axis1=-2, axis2=-1)
    scale = np.sqrt(np.maximum(diagonal, 1e-300))
    unit = information / scale[..., None] / scale[..., None, :]
    inverse = mapped_eigenvalues(unit, _reciprocals)
    return np.asarray((inverse @ (score / scale)[..., None])[..., 0] / scale)


def _reciprocals(values: Array) -> Array:
    """Return reciprocals of ascending eigenvalues, and 0 for those of singular directions."""
    out: Array = np.zeros_like(values)
    return np.divide(1.0, values, out=out, where=values > 1e-12 * values[..., -1:])


def held(mixture: Mixture[Regressions], floor: Array) -> Sequence[Event]:
    """Return events for components whose dispersion is at its floor."""
    low = mixture.components.dispersion <= floor[0] * (1.0 + 1e-9)
    text = (
        "{which} fits its observations exactly, so the likelihood has no maximum. The dispersion "
        "was set to a small positive value: use fewer components"
    )
    return [Event("held", text, components=(k,)) for k in np.flatnonzero(low).tolist()]


halfway.register(Curves, Curves.halfway_to)
