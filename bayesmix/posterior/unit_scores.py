"""Scores and information of any likelihood fit, by differences of the log densities of its units.

A unit is a sample, a sequence, or a group of samples of one component. ``FreeAllocation`` has the
free parameters of weights, gates, chains and noise, ``coordinates`` those of the components. For
independent samples without labels or noise ``ParameterScores`` is faster.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import null_space
from scipy.special import expit, logit

from bayesmix.allocation.noise import Noise
from bayesmix.allocation.states_of_rows import means_by_wave, shares_before_data
from bayesmix.core.mixture import Mixture
from bayesmix.core.parameters import NO_COLUMN, SHARE, Coordinate, Reported
from bayesmix.core.restrictions import Restriction
from bayesmix.core.rows import Frame, SideInformation
from bayesmix.core.sources import InMemory
from bayesmix.em.model import side_of
from bayesmix.em.restricted import restricted_values
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Booleans
from bayesmix.posterior.bootstrap import point_of
from bayesmix.posterior.free_allocation import FreeAllocation, chain_parameters
from bayesmix.posterior.gate_errors import DIFFERENCE
from bayesmix.posterior.survey_design import SurveyDesign
from bayesmix.sources.survey_weights import are_sampling

# Step of second central differences, in units of each parameter: rounding and truncation are both
# about 1e-6 of a derivative, and 1e-8 of a first one.
SECOND = 1e-3
# Eigenvalue of the scaled information below which a direction of parameters is not identified, and
# information per observation below which a parameter is at its boundary.
FLAT = 1e-7
# Share of such directions in a parameter from which on its standard error is not defined.
IN_FLAT = 1e-4
# Relative size below which a restriction follows from others: differences are exact to 1e-9.
REDUNDANT = 1e-6

# Reported parameters that are 1 if there is one class.
WEIGHTS = ("share", "start", "transition")
# Reported parameters of the allocation, by the name under which they are held.
WHERE_HELD = {
    "weights": "share",
    "startprob": "start",
    "transmat": "transition",
    "generator": "transition rate",
}


def parameters_of(mixture: Mixture[Any], side: SideInformation, mass: Array) -> list[Reported]:
    """Return the reported parameters of a mixture at a point.

    Class sizes are averaged over samples with weights ``mass`` (n,). Of sequences ``mass`` (n, K)
    are the probabilities of states, times sample weights: transitions from a state are averages
    over the samples after it, weighted by the probability of having been there.
    """
    weights: Any = mixture.weights
    of_components = mixture.components.unframed(mixture.frame).reported()
    if side.ordered:
        return [*chain_parameters(weights, side, mass), *of_components]
    shares = weights.mean()
    if side.covariates is not None:
        shares = mass @ np.exp(weights.log_weights(side.covariates)) / mass.sum()
    if mixture.noise is None:
        return [Reported("share", NO_COLUMN, None, shares, SHARE), *of_components]
    noise = mixture.noise.weight
    share = Reported("share", NO_COLUMN, None, (1.0 - noise) * shares, SHARE)
    of_noise = Reported("noise", NO_COLUMN, None, np.array([noise]), SHARE)
    return [share, of_noise, *of_components]


@dataclass(frozen=True, eq=False)
class FitScores(ABC):
    """Scores and information of the free parameters at a fit, and errors of those of its table."""

    result: FitResult
    source: InMemory

    @property
    @abstractmethod
    def scores(self) -> Array:
        """Scores (units, p) of the observed-data log density."""

    @property
    @abstractmethod
    def information(self) -> Array:
        """Minus the Hessian (p, p) of the log likelihood."""

    @property
    @abstractmethod
    def responsibilities(self) -> Array:
        """Probabilities (n, K) of the components of the samples."""

    @property
    @abstractmethod
    def allocation_slopes(self) -> Array:
        """Derivatives (m, a) of reported parameters by the free ones of weights and noise."""

    @property
    def rows(self) -> Any:
        return self.source.rows

    @property
    def starts(self) -> Any:
        """First sample of each unit."""
        side = self.rows.side
        return np.arange(len(self.rows)) if side.begins is None else side.starts

    @property
    def weights(self) -> Array:
        """Weights of the units; those of the samples of a group are equal."""
        return np.asarray(self.rows.weights_or_ones[self.starts])

    def by_unit(self, name: str, values: Any) -> Any:
        """Return values of the units of a survey, from those of units or of all samples."""
        n = len(self.rows)
        if values is None or np.shape(values) != (n,) or len(self.starts) == n:
            return values
        given = np.asarray(values)
        differs = given != np.repeat(given[self.starts], self.rows.side.group_sizes)
        if differs.any():
            raise InvalidInputError(
                f"{name} must be equal within a sequence, but that of row "
                f"{int(np.argmax(differs))} differs from the first: give one for each person"
            )
        return given[self.starts]

    @property
    def row_weights(self) -> Array:
        """Weights of the samples."""
        return np.asarray(self.rows.weights_or_ones)

    @cached_property
    def point(self) -> Mixture[Any]:
        """The mixture at a point."""
        return point_of(self.result.mixture, self.result.side)

    @cached_property
    def frame(self) -> Frame:
        """Data coordinates; those of the fit if components are equal along some directions."""
        frame = self.point.frame
        return Frame.identity(self.result.n_features) if frame.is_whole else frame

    @cached_property
    def components(self) -> Any:
        """The components at a point, in the coordinates of ``frame``."""
        components = self.point.components
        return components.unframed(self.point.frame) if self.point.frame.is_whole else components

    @cached_property
    def coordinates(self) -> list[Coordinate[Any]]:
        found: list[Coordinate[Any]] = self.components.coordinates(self.result.family)
        return found

    @cached_property
    def allocation(self) -> FreeAllocation:
        prior = getattr(self.result.inference, "weights_prior", None)
        return FreeAllocation.of(self.point.weights, bool(getattr(prior, "stationary", False)))

    @property
    def noisy(self) -> bool:
        noise = self.point.noise
        return noise is not None and 0.0 < noise.weight < 1.0

    @cached_property
    def places(self) -> tuple[int, list[Any]]:
        """Number of parameters, and indices (K,) of each coordinate's; shared ones repeat."""
        size, K = self.allocation.size + self.noisy, self.result.n_components
        places = []
        for each in self.coordinates:
            n_places = 1 if each.shared else K
            places.append(np.broadcast_to(np.arange(size, size + n_places), (K,)))
            size += n_places
        return size, places

    def moved(self, steps: Array) -> Mixture[Any]:
        """Return the mixture at steps (p,) from the fit."""
        size, components = self.allocation.size, self.components
        for each, at in zip(self.coordinates, self.places[1], strict=True):
            if steps[at].any():
                components = each.moved(components, steps[at] * each.units)
        noise = self.point.noise
        if noise is not None and self.noisy:
            noise = Noise.at(noise.density, float(expit(logit(noise.weight) + steps[size])))
        return Mixture(self.allocation.moved(steps[:size]), components, self.frame, noise)

    @cached_property
    def mass(self) -> Array:
        """Weights over which ``parameters_of`` averages."""
        if self.rows.side.ordered:
            return self.row_weights[:, None] * self.responsibilities
        return np.asarray(self.rows.weights_or_ones)

    @property
    def parameters(self) -> list[Reported]:
        """Reported parameters, class sizes first."""
        return parameters_of(self.point, self.rows.side, self.mass)

    @cached_property
    def derivatives(self) -> Array:
        """Derivatives (m, p) of the reported parameters."""
        (size, places), K = self.places, self.result.n_components

        def component_values(each: Coordinate[Any], step: float) -> Array:
            moved = each.moved(self.components, step * each.units)
            return np.array([entry.values for entry in moved.unframed(self.frame).reported()])

        derivative = np.zeros((sum(len(entry.values) for entry in self.parameters), size))
        slopes = self.allocation_slopes
        derivative[: len(slopes), : slopes.shape[1]] = slopes
        for each, at in zip(self.coordinates, places, strict=True):
            # A step of all classes at once; each moves its own values alone.
            slopes = component_values(each, DIFFERENCE) - component_values(each, -DIFFERENCE)
            by_class = derivative[-slopes.size :].reshape(-1, K, size)
            by_class[:, np.arange(K), at] += slopes / (2.0 * DIFFERENCE)
        return derivative

    @property
    def certain(self) -> Booleans:
        """Whether each reported parameter (m,) is held, or is the weight of one class alone."""
        alone = self.allocation.size == 0
        sizes = [len(each.values) for each in self.parameters]
        names = np.repeat([each.parameter for each in self.parameters], sizes)
        certain: Booleans = np.isin(names, WEIGHTS) & alone
        if self.restriction is None:
            return certain
        for own in () if self.noisy else self.restriction.of_allocation:
            certain[names == WHERE_HELD[own.name]] |= own.determined.ravel()
        components: Any = self.components
        for own in self.restriction.of_components:
            if own.name in components.__dataclass_fields__:
                # What follows from held values is NaN.
                unknown = np.where(own.held, np.nan, getattr(components, own.name))
                components = replace(components, **{own.name: unknown})
        reported = [entry.values for entry in components.unframed(self.frame).reported()]
        held = np.isnan(np.concatenate(reported))
        certain[len(certain) - len(held) :] |= held
        return certain

    @cached_property
    def inside(self) -> Booleans:
        """Whether each parameter (p,) is away from its boundary."""
        curvature = self.information.diagonal()
        if self.restriction is not None:  # along a single parameter it may be negative
            curvature = np.abs(curvature)
        return curvature > FLAT * self.weights.sum()

    @property
    def restriction(self) -> Restriction | None:
        return getattr(self.result.inference, "restriction", None)

    @cached_property
    def directions(self) -> Array:
        """Directions (p, q) along which parameters may move: those of all parameters that are free.

        Parameters at their boundary are fixed there. Others move so that held parameters, and
        differences between equal ones, do not.
        """
        free = np.eye(len(self.information))[:, self.inside]
        restriction = self.restriction
        if restriction is None:
            return free
        steps = DIFFERENCE * free.T
        fixed: Any = [
            restricted_values(self.moved(step), restriction)
            - restricted_values(self.moved(-step), restriction)
            for step in steps
        ]
        fixed = np.array(fixed).T / (2.0 * DIFFERENCE)
        size = np.linalg.norm(fixed, axis=1, keepdims=True)
        fixed = np.divide(fixed, size, out=np.zeros_like(fixed), where=size > 0.0)
        return np.asarray(free @ null_space(fixed, rcond=REDUNDANT))

    @cached_property
    def undeclared(self) -> str | None:
        """Why errors by derivatives are not defined: the family declares other parameters."""
        family, K = self.result.family, self.result.n_components
        n_declared = sum(1 if coordinate.shared else K for coordinate in self.coordinates)
        n_counted = family.n_parameters(K, self.point.frame.n_directions)
        if n_declared == n_counted:
            return None
        return (
            f"standard errors by derivatives are NaN: {type(family).__name__} counts {n_counted} "
            f"parameters of components, but the fields of {type(self.components).__name__} "
            f"declare {n_declared} (see bayesmix.core.parameters): use standard_errors='bootstrap'"
        )

    @cached_property
    def inverse(self) -> tuple[Array, Array]:
        """Inverse information (p, p), and directions (p, q) that are not identified.

        NaN where parameters are not declared.
        """
        if self.undeclared is not None:
            size = self.places[0]
            return np.full((size, size), np.nan), np.zeros((size, 0))
        free = self.directions
        information = free.T @ self.information @ free
        scale = np.sqrt(information.diagonal())
        values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
        vectors, known = free @ (vectors / scale[:, None]), values > FLAT
        return (vectors[:, known] / values[known]) @ vectors[:, known].T, vectors[:, ~known]

    @property
    def identified(self) -> bool:
        """Whether every direction of parameters that is away from boundaries changes the density.

        Where the first level of a category has probability 0, common steps of the log odds of the
        others move no reported parameter.
        """
        flat = self.inverse[1]
        moved = np.linalg.norm(self.derivatives @ flat, axis=0) if flat.size else np.zeros(0)
        return not (moved > IN_FLAT * np.linalg.norm(flat, axis=0)).any()

    def covariance(self, kind: str, survey: SurveyDesign | None = None) -> Array:
        """Return the covariance (p, p) of the estimates in their units."""
        inverse, _ = self.inverse
        if kind == "information":
            return inverse
        scores = self.weights[:, None] * self.scores
        if survey is not None:
            return inverse @ survey.variance_of_total(scores) @ inverse
        # Whole weights are numbers of independent repetitions, others those of a survey.
        repeated = not are_sampling(self.weights, None)
        of_total = (self.scores if repeated else scores).T @ scores
        return inverse @ of_total @ inverse

    def errors(self, kind: str, survey: SurveyDesign | None = None) -> Array:
        """Return standard errors (m,) of the reported parameters; NaN where there are none."""
        return np.where(self.certain, 0.0, self.errors_of(self.derivatives, kind, survey))

    def errors_of(self, derivative: Array, kind: str, survey: SurveyDesign | None = None) -> Array:
        """Return standard errors (m,) of quantities by their derivatives (m, p)."""
        if self.undeclared is not None:
            return np.full(len(derivative), np.nan)
        covariance, (_, flat) = self.covariance(kind, survey), self.inverse
        variances = np.einsum("mp,pq,mq->m", derivative, covariance, derivative, optimize=True)
        size = (derivative[:, self.inside] ** 2).sum(axis=1)
        undefined = ((derivative @ flat) ** 2).sum(axis=1) > IN_FLAT**2 * size
        # Probabilities at 0 still depend, a little, on those of other answers.
        undefined |= 2.0 * size <= (derivative**2).sum(axis=1)
        return np.where(undefined, np.nan, np.sqrt(np.maximum(variances, 0.0)))

    def degrees_of_freedom(self, survey: SurveyDesign) -> Array:
        """Return the degrees of freedom (m,) of the standard errors of the reported parameters."""
        inverse, _ = self.inverse
        scores = self.weights[:, None] * self.scores
        return survey.degrees_of_freedom_of(scores @ (self.derivatives @ inverse).T)


@dataclass(frozen=True, eq=False)
class UnitScores(FitScores):
    """Scores and information of a fit with sequences, groups, labels, noise or measurement."""

    @property
    def allocation_slopes(self) -> Array:
        return slopes_by_differences(self)

    @cached_property
    def shares_by_wave(self) -> tuple[Array, Array]:
        """Shares (W, K) of sequences in each state before data are known, and slopes (W, K, p)."""
        side, allocation = self.rows.side, self.allocation

        def values(step: Array) -> Array:
            shares = shares_before_data(allocation.moved(step), side)
            return means_by_wave(shares, side, self.row_weights)

        shares = values(np.zeros(allocation.size))
        slopes = np.zeros((*shares.shape, self.places[0]))
        for place, step in enumerate(DIFFERENCE * np.eye(allocation.size)):
            slopes[..., place] = (values(step) - values(-step)) / (2.0 * DIFFERENCE)
        return shares, slopes

    def of_units(self, steps: Array) -> Array:
        """Return the log density of each unit."""
        with np.errstate(divide="ignore", invalid="ignore"):
            by_sample = self.moved(steps).responsibilities(self.rows)[1]
        return np.add.reduceat(by_sample, self.starts)

    @cached_property
    def responsibilities(self) -> Array:
        return self.moved(np.zeros(self.places[0])).responsibilities(self.rows)[0]

    @cached_property
    def scores(self) -> Array:
        steps = DIFFERENCE * np.eye(self.places[0])
        differences = [self.of_units(step) - self.of_units(-step) for step in steps]
        return np.stack(differences, axis=1) / (2.0 * DIFFERENCE)

    @cached_property
    def information(self) -> Array:
        def total(step: Array) -> float:
            return float(self.weights @ self.of_units(step))

        steps = SECOND * np.eye(self.places[0])
        here = total(np.zeros(len(steps)))
        both = np.array([total(step) + total(-step) for step in steps])
        curvature = np.diag(both - 2.0 * here)
        for i, j in zip(*np.tril_indices(len(steps), -1), strict=True):
            step = steps[i] + steps[j]
            mixed = total(step) + total(-step) - both[i] - both[j] + 2.0 * here
            curvature[i, j] = curvature[j, i] = 0.5 * mixed
        return -curvature / SECOND**2


def slopes_by_differences(scores: FitScores) -> Array:
    """Return the derivatives of the reported parameters by those of weights and noise."""
    size, side = scores.places[0], scores.rows.side

    def values(step: Array) -> Array:
        table = parameters_of(scores.moved(step), side, scores.mass)
        return np.concatenate([entry.values for entry in table])

    steps = DIFFERENCE * np.eye(size)[: scores.allocation.size + scores.noisy]
    slopes = np.zeros((len(values(np.zeros(size))), len(steps)))
    for place, step in enumerate(steps):
        slopes[:, place] = (values(step) - values(-step)) / (2.0 * DIFFERENCE)
    return slopes


def scores_by_unit(result: FitResult, source: InMemory) -> bool:
    """Whether a fit needs differences by unit."""
    side = side_of(source)
    parts = (result.mixture.noise, side.labels, side.begins, side.measurement)
    return any(part is not None for part in parts)
