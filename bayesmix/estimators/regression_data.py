"""Data of a mixture of regressions: starts, predictions, standard errors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from bayesmix.allocation.gate import Gate, GatePrior
from bayesmix.allocation.point import FreeWeights
from bayesmix.core.designs import Standardised
from bayesmix.core.mixture import Mixture
from bayesmix.core.random import Purpose, stream
from bayesmix.core.rows import Frame, Rows, SideInformation
from bayesmix.em.expectation import CENTRED
from bayesmix.em.objectives import MaximumLikelihood
from bayesmix.em.run import Aitken, Problem, State
from bayesmix.families.gaussian.collapse import FloorGuard
from bayesmix.families.regressions import DESIGN, RegressionFamily, Regressions, held
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.search.starts import one_hot
from bayesmix.sources.memory import ArraySource

# Step of the central differences that give the observed information.
DIFFERENCE = 1e-5


def beside(covariates: Array | None, units: Integers | None) -> SideInformation:
    """Return covariates and groups from ascending numbers of units."""
    if units is None:
        return SideInformation(covariates=covariates)
    begins = np.append(True, units[1:] != units[:-1])
    return SideInformation(begins=begins, covariates=covariates, grouped=True)


@dataclass(frozen=True)
class Starts:
    """Starts of a mixture of regressions: samples assigned to regressions through a few of them."""

    values: Array
    first: Array  # (n,) linear predictors of the response alone
    units: Integers | None
    seed: int

    def responsibilities(self, n_components: int, number: int) -> Array:
        """Return responsibilities (n, K) of a numbered start.

        Odd starts take samples that are near each other in a random direction.
        """
        generator = stream(self.seed, Purpose.START, number)
        design, target = self.values[:, DESIGN:], self.first
        n, size = design.shape[0], design.shape[1] + 1
        distances = np.empty((n, n_components))
        order = np.argsort(design @ generator.normal(size=design.shape[1]), kind="stable")
        for k in range(n_components):
            if number % 2:
                width = min(n, max(size, n // n_components))
                begin = int(generator.integers(0, n - width + 1))
                sample = generator.choice(order[begin : begin + width], size)
            else:
                sample = generator.integers(0, n, size)
            line = np.linalg.lstsq(design[sample], target[sample])[0]
            distances[:, k] = (target - design @ line) ** 2
        if self.units is not None:
            sums = np.zeros((self.units.max() + 1, n_components))
            np.add.at(sums, self.units, distances)
            distances = sums[self.units]
        labels = distances.argmin(axis=1)
        return 0.9 * one_hot(labels, n_components) + 0.1 / n_components


@dataclass(frozen=True)
class Predicted:
    """Predictive distributions of new samples."""

    values: Array
    predictors: Array  # (n, K)
    weights: Array  # (n, K)
    components: Regressions

    def cdf(self, y: Array) -> Array:
        """Return P(response <= y) (n,)."""
        response, trials = self.components.response, self.values[:, 2:3]
        components = response.distribution(trials, self.predictors, self.components.dispersion)
        total: Array = (self.weights * components.cdf(y[:, None])).sum(axis=1)
        return total

    def quantile(self, level: float) -> Array:
        """Return quantiles (n,) of the mixtures by bisection between those of components."""
        response, trials = self.components.response, self.values[:, 2:3]
        components = response.distribution(trials, self.predictors, self.components.dispersion)
        ends: Array = np.asarray(components.ppf(level))
        low: Array = ends.min(axis=1)
        high: Array = ends.max(axis=1)
        if response.discrete:
            low = low - 1.0
        for _ in range(60):
            middle = 0.5 * (low + high)
            middle = np.floor(middle) if response.discrete else middle
            above = self.cdf(middle) >= level
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return np.asarray(high)


@dataclass(frozen=True)
class Data:
    """Data of a fit, and how they were arranged."""

    values: Array
    weights: Array | None
    units: Integers | None  # ascending numbers (n,) of units
    covariates: Array | None
    family: RegressionFamily
    design: Standardised
    gate: Standardised | None

    @property
    def n_samples(self) -> float:
        return float(len(self.values) if self.weights is None else self.weights.sum())

    @property
    def n_units(self) -> int:
        return len(self.values) if self.units is None else int(self.units.max()) + 1

    @property
    def rows(self) -> Rows:
        """All samples, with covariates and groups."""
        return Rows(self.values, self.weights, side=beside(self.covariates, self.units))

    def first_predictor(self) -> Array:
        """Return linear predictors (n,) of the response alone, less the offset."""
        y, offset, trials = self.values[:, 0], self.values[:, 1], self.values[:, 2]
        return np.asarray(self.family.response.first_predictor(y, trials) - offset)

    def problem(self) -> Problem:
        """Return the problem of EM."""
        source = ArraySource(self.values, self.weights, side=self.rows.side)
        prior: Any = None if self.covariates is None else GatePrior(self.covariates.shape[1])
        family: Any = self.family
        objective = MaximumLikelihood(family=family)
        objective = replace(objective, weights=prior or FreeWeights())
        guard: Any = FloorGuard(np.array([self.family.floor]), held)
        frame = Frame.identity(self.values.shape[1])
        return Problem(source, family, objective, frame, guard, Aitken(), False, CENTRED)

    def log_likelihood(self, state: State) -> float:
        return float(state.expectation.log_normaliser)

    def n_parameters(self, state: State) -> int:
        K = state.current_mixture().n_components
        weights = K - 1 if self.covariates is None else (K - 1) * self.covariates.shape[1]
        return weights + self.family.n_parameters(K, self.values.shape[1] - DESIGN)

    # Standard errors

    def wald(self, mixture: Mixture) -> tuple[list[tuple[str, int | str, str]], Array, Array]:
        """Return names, estimates and standard errors of gate and coefficients, in data units."""
        layout = ParameterVector(self, mixture)
        theta = layout.theta
        size = len(theta)
        hessian = np.empty((size, size))
        for place in range(size):
            step = np.zeros(size)
            step[place] = DIFFERENCE * (1.0 + abs(theta[place]))
            rise = layout.score(theta + step) - layout.score(theta - step)
            hessian[place] = rise / (2.0 * step[place])
        information = -0.5 * (hessian + hessian.T)
        names, back = layout.back()
        try:
            np.linalg.cholesky(information)
            covariance = np.linalg.inv(information)
            errors = np.sqrt(np.einsum("ij,jk,ik->i", back, covariance, back))
        except np.linalg.LinAlgError:
            errors = np.full(len(names), np.nan)
        return names, back @ theta, errors


@dataclass(frozen=True)
class ParameterVector:
    """All parameters as a vector: gate or log odds of weights, coefficients, log dispersions."""

    data: Data
    mixture: Mixture

    @property
    def covariates(self) -> Array:
        values = self.data.covariates
        return np.ones((len(self.data.values), 1)) if values is None else values

    @property
    def gate(self) -> Array:
        """Coefficients (K - 1, P) of the gate, an intercept alone without one."""
        weights: Any = self.mixture.weights
        if isinstance(weights, Gate):
            coefficients: Array = weights.coefficients[1:]
            return coefficients
        logs: Array = np.log(np.maximum(weights.mean(), 1e-300))
        odds: Array = logs - logs[0]
        return odds[1:, None]

    @property
    def components(self) -> Regressions:
        return cast("Regressions", self.mixture.components)

    @property
    def places(self) -> Integers:
        """Places (K, P) of coefficients among the unknowns, the shared ones first."""
        K, P = self.components.coefficients.shape
        fixed = self.data.family.fixed
        free = np.setdiff1d(np.arange(P), fixed)
        places = np.empty((K, P), dtype=int)
        places[:, fixed] = np.arange(len(fixed))
        places[:, free] = len(fixed) + np.arange(K * len(free)).reshape(K, -1)
        return places

    @property
    def theta(self) -> Array:
        """The parameters of the fit."""
        places = self.places
        coefficients = np.empty(places.max() + 1)
        coefficients[places] = self.components.coefficients
        logs = np.log(self.components.dispersion)
        dispersed = self.data.family.response.dispersed
        return np.concatenate([self.gate.ravel(), coefficients, logs if dispersed else []])

    def score(self, theta: Array) -> Array:
        """Return the gradient of the log likelihood."""
        data, places = self.data, self.places
        gate = theta[: self.gate.size].reshape(self.gate.shape)
        coefficients = theta[gate.size :][places]
        rest = theta[gate.size + places.max() + 1 :]
        dispersed = data.family.response.dispersed
        dispersion = np.exp(rest) if dispersed else self.components.dispersion
        components = Regressions(data.family.response, coefficients, dispersion)
        y, trials = data.values[:, :1], data.values[:, 2:3]
        eta = components.predictors(data.values)
        whole = np.concatenate([np.zeros_like(gate, shape=(1, self.gate.shape[1])), gate])
        allocation = Gate(whole, np.full(len(whole), 1.0 / len(whole)))
        joint = components.expected_log_density(data.values)
        side = beside(self.covariates, data.units)
        rows = Rows(data.values, data.weights, side=side)
        sums = allocation.allocate(joint, rows).statistics
        joint *= rows.weights_or_ones[:, None]
        slopes, _ = components.response.derivatives(y, trials, eta, dispersion)
        of_coefficients = (joint * slopes).T @ data.values[:, DESIGN:]
        summed = np.zeros(places.max() + 1)
        np.add.at(summed, places, of_coefficients)
        parts = [cast("Any", sums).gradient[1:].ravel(), summed]
        if dispersed:
            slope = components.response.dispersion_slope(y, eta, dispersion)
            parts.append((joint * slope).sum(axis=0))
        return np.concatenate(parts)

    def back(self) -> tuple[list[tuple[str, int | str, str]], Array]:
        """Return names, and the matrix from the parameters to coefficients in data units."""
        data, places = self.data, self.places
        names: list[tuple[str, int | str, str]] = []
        rows: list[Array] = []
        size, first = len(self.theta), self.gate.size
        gate_terms = ["intercept"] if data.gate is None else data.gate.terms
        gate_back = np.eye(1) if data.gate is None else data.gate.back
        width = self.gate.shape[1]
        for k in range(len(self.gate)):
            for term, row in zip(gate_terms, gate_back, strict=True):
                names.append(("gate", k + 1, term))
                rows.append(np.zeros(size))
                rows[-1][k * width : (k + 1) * width] = row
        shared = set(data.family.fixed.tolist())
        for k, places_of_k in enumerate(places):
            for p, (term, row) in enumerate(zip(data.design.terms, data.design.back, strict=True)):
                if p in shared and k:
                    continue
                names.append(("coefficient", "all" if p in shared else k, term))
                rows.append(np.zeros(size))
                rows[-1][first + places_of_k] = row
        return names, np.array(rows)
