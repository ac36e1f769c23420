"""Regressions of classes, and of outcomes within classes, given assigned classes.

ML maximises Σ w log Σ_t P(t | z) D[t, s] p(y | z, t), with known errors of assignment D (Vermunt
2010). BCH maximises Σ w Σ_t D⁻¹[s, t] (log P(t | z) + log p(y | z, t)) (Bolck, Croon & Hagenaars
2004; Vermunt 2010). Errors given the classes are those of the sandwich (Huber 1967).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import log_softmax, logsumexp, softmax

from bayesmix.allocation.gate import SEPARATED
from bayesmix.core.rows import LOWEST_LOG
from bayesmix.errors import InvalidInputError
from bayesmix.latent_class_analysis.assignment import Estimates, errors_of_assignment, refuse_empty
from bayesmix.numerics.arrays import Array, Booleans
from bayesmix.posterior.survey_design import SurveyDesign

MOST_STEPS = 200
# Twice the gain in nats of a Newton step at which it ends.
GAINED = 1e-10
# Shortest part of a step before it counts as rounding.
SHORTEST = 2.0**-30


class StepPart(Protocol):
    """Log densities (n, K) of observations in classes, with derivatives by p parameters."""

    @property
    def size(self) -> int: ...

    def start(self, counts: Array) -> Array:
        """Return parameters (p,) from numbers (n, K) of observations in classes."""
        ...

    def logs(self, theta: Array) -> Array: ...

    def scores(self, theta: Array) -> Array:
        """Return derivatives (n, K, p)."""
        ...

    def information(self, theta: Array, counts: Array) -> Array:
        """Return minus the second derivatives (p, p) of Σ counts log density."""
        ...


@dataclass(frozen=True)
class ClassPart:
    """Multinomial regression of the class on a design (n, P); the first class has zeros."""

    design: Array
    n_classes: int

    @property
    def size(self) -> int:
        return (self.n_classes - 1) * self.design.shape[1]

    def start(self, counts: Array) -> Array:
        theta = np.zeros((self.n_classes - 1, self.design.shape[1]))
        shares = np.maximum(counts.sum(axis=0), 1e-3 * len(counts) / self.n_classes)
        theta[:, 0] = np.log(shares[1:] / shares[0])
        return theta.ravel()

    def logs(self, theta: Array) -> Array:
        slopes = theta.reshape(self.n_classes - 1, -1)
        linear = np.hstack([np.zeros((len(self.design), 1)), self.design @ slopes.T])
        return np.asarray(log_softmax(linear, axis=1))

    def scores(self, theta: Array) -> Array:
        shares = np.exp(self.logs(theta))
        away = np.eye(self.n_classes)[None, :, 1:] - shares[:, None, 1:]
        products = away[..., None] * self.design[:, None, None, :]
        return np.asarray(products.reshape(*away.shape[:2], -1))

    def information(self, theta: Array, counts: Array) -> Array:
        shares = np.exp(self.logs(theta))[:, 1:]
        return softmax_information(shares, self.design, counts.sum(axis=1))


@dataclass(frozen=True)
class CategoryPart:
    """Multinomial regression of a category (n, M) on a design within classes."""

    outcome: Array
    design: Array
    n_classes: int

    @property
    def size(self) -> int:
        return self.n_classes * (self.outcome.shape[1] - 1) * self.design.shape[1]

    def start(self, counts: Array) -> Array:
        M, P = self.outcome.shape[1], self.design.shape[1]
        theta = np.zeros((self.n_classes, M - 1, P))
        shares = np.maximum(counts.T @ self.outcome, 1e-3 * len(counts) / (self.n_classes * M))
        theta[:, :, 0] = np.log(shares[:, 1:] / shares[:, :1])
        return theta.ravel()

    def _by_class(self, theta: Array) -> Array:
        """Log probabilities (n, K, M)."""
        slopes = theta.reshape(self.n_classes, -1, self.design.shape[1])
        linear = np.einsum("np,kmp->nkm", self.design, slopes)
        return np.asarray(log_softmax(np.pad(linear, ((0, 0), (0, 0), (1, 0))), axis=2))

    def logs(self, theta: Array) -> Array:
        return np.asarray((self._by_class(theta) * self.outcome[:, None, :]).sum(axis=2))

    def scores(self, theta: Array) -> Array:
        n, K, P = len(self.design), self.n_classes, self.design.shape[1]
        away = (self.outcome[:, None, :] - np.exp(self._by_class(theta)))[..., 1:]
        scores = np.zeros((n, K, K, away.shape[2], P))
        for k in range(K):
            scores[:, k, k] = away[:, k, :, None] * self.design[:, None, :]
        return scores.reshape(n, K, -1)

    def information(self, theta: Array, counts: Array) -> Array:
        shares, size = np.exp(self._by_class(theta))[..., 1:], self.size // self.n_classes
        out = np.zeros((self.size, self.size))
        for k in range(self.n_classes):
            own = slice(k * size, (k + 1) * size)
            out[own, own] = softmax_information(shares[:, k], self.design, counts[:, k])
        return out


@dataclass(frozen=True)
class LeastSquaresPart:
    """Linear regression of numbers (n,) on a design within classes, without their variances.

    Negative counts of BCH may make variances negative, and least squares need none. Parameters are
    the coefficients (K, P).
    """

    outcome: Array
    design: Array
    n_classes: int

    @property
    def size(self) -> int:
        return self.n_classes * self.design.shape[1]

    def start(self, counts: Array) -> Array:
        return np.zeros(self.size)

    def _residuals(self, theta: Array) -> Array:
        return np.asarray(self.outcome[:, None] - self.design @ theta.reshape(self.n_classes, -1).T)

    def logs(self, theta: Array) -> Array:
        return np.asarray(-0.5 * self._residuals(theta) ** 2)

    def scores(self, theta: Array) -> Array:
        away, K, P = self._residuals(theta), self.n_classes, self.design.shape[1]
        scores = np.zeros((len(away), K, self.size))
        for k in range(K):
            scores[:, k, k * P : (k + 1) * P] = away[:, k, None] * self.design
        return scores

    def information(self, theta: Array, counts: Array) -> Array:
        P, out = self.design.shape[1], np.zeros((self.size, self.size))
        for k in range(self.n_classes):
            own = slice(k * P, (k + 1) * P)
            out[own, own] = (self.design * counts[:, k, None]).T @ self.design
        return out


@dataclass(frozen=True)
class NormalPart:
    """Linear regression of numbers (n,) on a design within classes, which have own variances.

    Parameters: coefficients (K, P), then logs of standard deviations (K,).
    """

    outcome: Array
    design: Array
    n_classes: int

    @property
    def size(self) -> int:
        return self.n_classes * (self.design.shape[1] + 1)

    def start(self, counts: Array) -> Array:
        slopes, variances = [], []
        for weights in counts.T:
            moments = (self.design * weights[:, None]).T
            slopes.append(np.linalg.lstsq(moments @ self.design, moments @ self.outcome)[0])
            residuals = self.outcome - self.design @ slopes[-1]
            variances.append(weights @ residuals**2 / weights.sum())
        if not min(variances) > 1e-12 * self.outcome.var():
            k = int(np.argmin(variances))
            raise InvalidInputError(
                f"the outcome has no variance in class {k + 1}: use correction='BCH', or give its "
                "levels as text"
            )
        return np.append(np.ravel(slopes), 0.5 * np.log(variances))

    def _residuals(self, theta: Array) -> tuple[Array, Array]:
        """Residuals (n, K) in standard deviations, and these (K,)."""
        K = self.n_classes
        slopes, scales = theta[:-K].reshape(K, -1), np.exp(theta[-K:])
        return (self.outcome[:, None] - self.design @ slopes.T) / scales, scales

    def logs(self, theta: Array) -> Array:
        away, scales = self._residuals(theta)
        return np.asarray(-0.5 * away**2 - np.log(scales) - 0.5 * np.log(2.0 * np.pi))

    def scores(self, theta: Array) -> Array:
        (away, scales), K, P = self._residuals(theta), self.n_classes, self.design.shape[1]
        scores = np.zeros((len(away), K, self.size))
        for k in range(K):
            scores[:, k, k * P : (k + 1) * P] = (away[:, k] / scales[k])[:, None] * self.design
            scores[:, k, K * P + k] = away[:, k] ** 2 - 1.0
        return scores

    def information(self, theta: Array, counts: Array) -> Array:
        (away, scales), K, P = self._residuals(theta), self.n_classes, self.design.shape[1]
        out = np.zeros((self.size, self.size))
        for k in range(K):
            own, scale = slice(k * P, (k + 1) * P), K * P + k
            moments = (self.design * counts[:, k, None]).T
            out[own, own] = moments @ self.design / scales[k] ** 2
            out[own, scale] = out[scale, own] = 2.0 * moments @ away[:, k] / scales[k]
            out[scale, scale] = 2.0 * counts[:, k] @ away[:, k] ** 2
        return out


@dataclass(frozen=True)
class Tied:
    """A part whose parameters are ``tie`` (p, q) times q free ones, so that some are equal."""

    inner: StepPart
    tie: Array

    @property
    def size(self) -> int:
        return self.tie.shape[1]

    def start(self, counts: Array) -> Array:
        return np.asarray(np.linalg.lstsq(self.tie, self.inner.start(counts))[0])

    def logs(self, theta: Array) -> Array:
        return self.inner.logs(self.tie @ theta)

    def scores(self, theta: Array) -> Array:
        return np.asarray(self.inner.scores(self.tie @ theta) @ self.tie)

    def information(self, theta: Array, counts: Array) -> Array:
        return np.asarray(self.tie.T @ self.inner.information(self.tie @ theta, counts) @ self.tie)


@dataclass(frozen=True)
class Sum:
    """The product of two densities, with parameters of the first before those of the second."""

    first: StepPart
    second: StepPart

    @property
    def size(self) -> int:
        return self.first.size + self.second.size

    def start(self, counts: Array) -> Array:
        return np.append(self.first.start(counts), self.second.start(counts))

    def _split(self, theta: Array) -> tuple[Array, Array]:
        return theta[: self.first.size], theta[self.first.size :]

    def logs(self, theta: Array) -> Array:
        one, two = self._split(theta)
        return self.first.logs(one) + self.second.logs(two)

    def scores(self, theta: Array) -> Array:
        one, two = self._split(theta)
        return np.concatenate([self.first.scores(one), self.second.scores(two)], axis=2)

    def information(self, theta: Array, counts: Array) -> Array:
        (one, two), size = self._split(theta), self.first.size
        out = np.zeros((self.size, self.size))
        out[:size, :size] = self.first.information(one, counts)
        out[size:, size:] = self.second.information(two, counts)
        return out


def softmax_information(shares: Array, design: Array, weights: Array) -> Array:
    """Return Σ w (diag p - p p') ⊗ z z' for probabilities (n, M) without those of the reference."""
    M, P = shares.shape[1], design.shape[1]
    out = np.empty((M, P, M, P))
    for a in range(M):
        for b in range(a, M):
            factor = weights * shares[:, a] * ((a == b) - shares[:, b])
            out[a, :, b] = out[b, :, a] = (design * factor[:, None]).T @ design
    return out.reshape(M * P, M * P)


@dataclass(frozen=True)
class CorrectedLikelihood:
    """The log likelihood of ML, or the pseudo log likelihood of BCH and of no correction.

    ``factors`` (n, K) are D[t, s] for ML, else ``counts`` of observations in classes.
    """

    part: StepPart
    factors: Array
    likelihood: bool
    weights: Array

    def value(self, theta: Array) -> float:
        logs = self.part.logs(theta)
        if self.likelihood:
            return float(self.weights @ logsumexp(logs + self._log_factors, axis=1))
        return float(self.weights @ (self.factors * logs).sum(axis=1))

    @property
    def _log_factors(self) -> Array:
        logs = np.full(self.factors.shape, LOWEST_LOG)
        np.log(self.factors, out=logs, where=self.factors > 0.0)
        return logs

    def derivatives(self, theta: Array) -> tuple[Array, Array]:
        """Return scores (n, p) of observations, and minus the second derivatives (p, p)."""
        of_classes = self.part.scores(theta)
        counts = self.factors
        if self.likelihood:
            counts = np.asarray(softmax(self.part.logs(theta) + self._log_factors, axis=1))
        scores = np.einsum("nk,nkp->np", counts, of_classes)
        information = self.part.information(theta, counts * self.weights[:, None])
        if self.likelihood:  # Louis 1982
            for k in range(counts.shape[1]):
                own = of_classes[:, k] * (counts[:, k] * self.weights)[:, None]
                information -= own.T @ of_classes[:, k]
            information += (scores * self.weights[:, None]).T @ scores
        return scores, information

    def maximised(self) -> tuple[Array, Array, Array]:
        """Return the maximum (p,), scores (n, p) and information (p, p) there."""
        counts = self.factors
        if self.likelihood:
            counts = counts / counts.sum(axis=1, keepdims=True)
        theta = self.part.start(counts * self.weights[:, None])
        value = self.value(theta)
        for _ in range(MOST_STEPS):
            scores, information = self.derivatives(theta)
            gradient = self.weights @ scores
            values, vectors = np.linalg.eigh(information)
            if values[0] <= 1e-10 * values[-1]:  # not concave here (Berndt et al. 1974)
                products = (scores * self.weights[:, None]).T @ scores
                values, vectors = np.linalg.eigh(products)
                values = np.maximum(values, 1e-10 * values[-1])
            step = vectors @ ((vectors.T @ gradient) / values)
            if gradient @ step < GAINED:
                break
            length = 1.0
            while not (moved := self.value(theta + length * step)) > value:
                length *= 0.5
                if length < SHORTEST:
                    return theta, scores, information
            theta, value = theta + length * step, moved
        return theta, scores, information


@dataclass(frozen=True)
class Regression:
    """A third step: a regression of the class, and of an outcome, for ``present`` observations.

    ``part_of`` makes the density from the present observations and the number of classes; ``names``
    are those of its coefficients, and tables show ``linear`` (m, p) times the parameters, plus
    ``shift``.
    """

    part: StepPart
    present: Booleans
    correction: str | None
    names: tuple[str, ...]
    linear: Array
    shift: Array | float = 0.0

    def __call__(
        self, shares: Array, weights: Array, survey: SurveyDesign | None = None
    ) -> Estimates:
        classes, errors = errors_of_assignment(shares, weights)
        classes, own = classes[self.present], weights[self.present]
        refuse_empty(classes[own > 0.0], len(errors))
        if self.correction == "ML":
            factors = np.asarray(errors.T[classes])
        else:  # BCH undoes the errors of assignment
            undone = np.linalg.inv(errors) if self.correction == "BCH" else np.eye(len(errors))
            factors = np.asarray(undone[classes])
        objective = CorrectedLikelihood(self.part, factors, self.correction == "ML", own)
        theta, scores, information = objective.maximised()
        values = np.linalg.eigvalsh(information)
        if not values[0] > SEPARATED * own.sum():
            name = self.names[int(np.abs(theta[: len(self.names)]).argmax())]
            raise InvalidInputError(
                f"the likelihood has no finite maximum: {name} separates classes or levels "
                "completely (or nearly so): leave it out, merge its levels, or use fewer classes"
            )
        inverse = np.linalg.inv(information)
        if survey is None:
            # Weights of replication count squares once each.
            meat = (scores * own[:, None]).T @ scores
        else:
            full = np.zeros((len(weights), scores.shape[1]))
            full[self.present] = scores * own[:, None]
            meat = survey.variance_of_total(full)
        covariance = self.linear @ inverse @ meat @ inverse @ self.linear.T
        return Estimates(self.linear @ theta + self.shift, covariance)
