"""The objective of a mixture some of whose parameters are held, or equal in several components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.core.engines import Objective
from bayesmix.core.families import Family
from bayesmix.core.mixture import Expectation, Mixture
from bayesmix.core.priors import WeightsPrior
from bayesmix.core.restrictions import Restriction
from bayesmix.core.rows import Frame
from bayesmix.em.run import Problem, State, begin, e_step
from bayesmix.numerics.arrays import Array

# Attributes of chains with the parameters that may be held.
OF_CHAIN = {"startprob": "initial", "transmat": "transition", "generator": "rates"}


@dataclass(frozen=True)
class Restricted:
    """A likelihood whose update satisfies a restriction, in data units."""

    inner: Objective
    family: Family
    restriction: Restriction
    variational = False

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def weights_prior(self) -> WeightsPrior:
        return self.inner.weights_prior

    @property
    def weights(self) -> Any:
        return self.inner.weights_prior

    def update(
        self,
        expectation: Expectation,
        previous: Mixture | None,
        frame: Frame,
        resolution: Array | None,
    ) -> Mixture:
        """Return the M-step of the likelihood under the restriction."""
        prior: Any = self.weights_prior
        sums, restriction = expectation.of_allocation, self.restriction.of_allocation
        if restriction and getattr(prior, "stationary", False):  # first states follow from moves
            weights = prior.stationary_mode(sums, restriction)
        else:
            weights = prior.mode(sums)
            weights = weights.restricted(restriction) if restriction else weights
        before = previous and previous.components
        given = expectation.statistics, before, resolution, frame
        of_components = self.restriction.of_components
        if not of_components:
            return Mixture(weights, self.family.maximum_likelihood(*given), frame)
        return Mixture(weights, self.family.restricted(*given, of_components), frame)

    def regulariser(self, mixture: Mixture) -> float:
        return 0.0


def named_parameter(mixture: Mixture[Any, Any], name: str) -> Array:
    """Return a parameter of a mixture in data units, in the shape in which it is held."""
    weights: Any = mixture.weights
    if name == "weights":
        return np.asarray(weights.mean())
    if name in OF_CHAIN:
        return np.asarray(getattr(weights, OF_CHAIN[name]))
    components: Any = mixture.components.unframed(mixture.frame)
    if name == "covariances":
        blocks = components.structure.blocks
        values = blocks.as_covariances(components.blocks)
        return np.asarray(values[None] if blocks.shared else values)
    return np.asarray(getattr(components, name))


def restricted_values(mixture: Mixture[Any, Any], restriction: Restriction) -> Array:
    """Return the held parameters, and the differences of equal ones, which are constant."""
    values = []
    for parameter in restriction:
        estimates = named_parameter(mixture, parameter.name)
        values.append(estimates[parameter.held])
        if parameter.grouped:
            differences = estimates - parameter.first_of_equals(estimates)
            if parameter.columns is not None:
                differences = differences[:, parameter.columns]
            values.append(differences.ravel())
    return np.concatenate(values)


def begun_at(problem: Problem, mixture: Mixture) -> State:
    """Return a state that starts with an M-step from the sums at a mixture."""
    expectation, _ = e_step(problem.source, mixture, problem.form)
    return begin(problem, expectation, mixture)
