"""Protocols of allocations and of priors over weights and parameters, with their PyMC versions.

An allocation turns log densities into responsibilities: mixing weights do so by observation, a
Markov chain by sequence and a gate by covariates, with statistics besides counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Protocol, Self, TypeAlias

import numpy as np

from bayesmix.core.components import (
    DrawnComponents,
    Named,
    PointComponents,
    Posterior,
    Record,
)
from bayesmix.core.rows import Allocated, Frame, Rows, WeightSpread
from bayesmix.numerics.arrays import Array, Integers

# responsibilities (n, K), sample weights (n,) or None, generator -> assigned weights (n, K)
Assign: TypeAlias = Callable[[Array, Array | None, np.random.Generator], Array]


class DrawnWeights(Record, Protocol):
    """S draws of π, as arrays with first axis S."""

    @property
    def log_weights(self) -> Array:
        """Log π_k (S, K), of a Markov chain those of its stationary distribution."""

    def named(self) -> Named:
        """Return parameters (S, ...) besides π, by name."""

    def log_density(self, joint: Array, rows: Rows) -> Array:
        """Return log p(x_n | draw) (S, n) from log densities (S, K, n), which it overwrites."""

    def shares(self, joint: Array, rows: Rows) -> None:
        """Turn log densities (n, S, K) into the responsibilities of each draw in place."""

    def assign(
        self, joint: Array, rows: Rows, assign: Assign, generator: np.random.Generator
    ) -> Allocated:
        """Turn log densities (n, K) into drawn assignments in place, given the first draw.

        ``assign`` draws those of independent observations.
        """


class Allocation(Protocol):
    """Allocation of observations to components."""

    @property
    def n_components(self) -> int: ...

    def expected_log(self) -> Array:
        """Return E[log π_k] (K,), added to the log densities; 0 if not applicable."""

    def mean(self) -> Array:
        """Return the expected fraction (K,) of each component."""

    def allocate(self, joint: Array, rows: Rows) -> Allocated:
        """Turn log joints (n, K) into responsibilities in place.

        The log normalisers (n,) add up to that of the data; statistics are None if counts suffice.
        """

    def subset(self, keep: Integers, counts: Array) -> Self:
        """Select components, in the order given."""


class Weights(Allocation, Protocol):
    """Mixing weights: at a point, or with a distribution."""

    def averaged(self) -> Weights:
        """Return the weights at their mean, a point."""

    def draws(self, n_draws: int, generator: np.random.Generator) -> DrawnWeights:
        """Return independent draws."""

    def log_density_of(self, draws: Any) -> Array:
        """Return log q(π) (S,) of draws in their coordinates; 0 at a point."""

    @property
    def exchangeable(self) -> bool:
        """Whether the order of components is arbitrary."""


class WeightsAtAPoint(Weights, Protocol):
    """Mixing weights at a point."""

    def proportional(self, shares: Array) -> Self:
        """Return weights proportional to ``shares``."""


class VaryingWeights(Weights, Protocol):
    """Mixing weights with a distribution."""

    def spread(self) -> WeightSpread:
        """Return covariances of log π and of π."""


class FactorisedWeights(VaryingWeights, Protocol):
    """A density that factorises over components, so that relabellings can be summed."""

    def log_normaliser(self) -> float:
        """Return the log normalising constant of the factors."""

    def log_factors(self, draws: Any) -> Array:
        """Return log factor j of the drawn weight k (S, J, K)."""


# PyMC and PyTensor have no type hints.
Pymc: TypeAlias = ModuleType
Tensor: TypeAlias = Any
PymcModel: TypeAlias = Any
NamedTensors: TypeAlias = dict[str, tuple[tuple[str, ...], Tensor]]


class ComponentsTwin(Protocol):
    """K component densities of a draw, in PyMC."""

    def log_density(self, pm: Pymc, values: Array) -> Tensor:
        """Return log p(x_n | θ_k) (n, K) of framed data."""

    def named(self, frame: Frame) -> NamedTensors:
        """Return parameters in data units that are not variables."""

    @property
    def drawn(self) -> dict[str, Tensor]:
        """Fields of the record of draws."""

    def draws(self, values: Mapping[str, Array]) -> DrawnComponents:
        """Return S draws from the values (S, ...) of ``drawn``."""

    def point(self, draws: Any) -> dict[str, Array]:
        """Return values (S, ...) of the PyMC variables at draws."""


class WeightsTwin(Protocol):
    """K weights of a draw, in PyMC."""

    def log_likelihood(self, pm: Pymc, joint: Tensor, rows: Rows) -> Tensor:
        """Return log p(X) from the log densities (n, K) of components, assignments summed out."""

    def named(self) -> NamedTensors:
        """π, if it is not a variable."""

    @property
    def drawn(self) -> dict[str, Tensor]:
        """Fields of the record of draws."""

    def draws(self, values: Mapping[str, Array], n_draws: int) -> DrawnWeights:
        """Return S draws from the values (S, ...) of ``drawn``."""

    def point(self, draws: Any) -> dict[str, Array]:
        """Return values (S, ...) of the PyMC variables at draws."""


class AllocationPrior(Protocol):
    """Update of an allocation from its statistics: a prior, or maximum likelihood."""

    @property
    def name(self) -> str: ...

    def posterior(self, statistics: Any, /) -> Allocation: ...

    def kl(self, allocation: Any, /) -> float:
        """Return KL(q || p), 0 for a free parameter."""

    def mode(self, statistics: Any, /) -> Allocation:
        """Return the maximiser of likelihood times prior density."""

    def log_density(self, allocation: Any, /) -> float:
        """Return the log prior density at a point."""

    def n_parameters(self, n_components: int) -> int: ...


class WeightsPrior(AllocationPrior, Protocol):
    """Update of weights from counts (K,): a prior, or type-II maximum likelihood."""

    def posterior(self, counts: Array, /) -> Weights: ...

    def mode(self, counts: Array, /) -> Weights: ...

    def log_density_of(self, draws: Any) -> Array:
        """Return log p(π) (S,) of draws in their coordinates."""

    def pymc_distribution(self, pm: Pymc, q: Any, n_components: int) -> WeightsTwin:
        """Declare K weights in a PyMC model; what is not random is taken from ``q``."""


class OrderedWeightsPrior(WeightsPrior, Protocol):
    """A prior that depends on the order of components."""

    def reordered(
        self, draws: Any, generator: np.random.Generator
    ) -> tuple[DrawnWeights, Integers]:
        """Return a draw after a step over orders, and the new order."""


class Prior(Protocol):
    """A prior over component parameters, conjugate to the family."""

    @property
    def conjugate(self) -> bool:
        """Whether p(θ | X, Z) has closed form; if not, it needs more latent variables."""

    def posterior(
        self, statistics: Any, previous: Any = None, resolution: Array | None = None
    ) -> Posterior:
        """Return q(θ) given statistics; hyperparameters start from ``previous``."""

    def kl(self, q: Any, /) -> float:
        """Return KL(q(θ) || p(θ)) over all components, in nats."""

    def mode(
        self, statistics: Any, previous: Any = None, resolution: Array | None = None
    ) -> PointComponents:
        """Return the joint posterior mode given statistics."""

    def log_density(self, components: Any) -> float:
        """Return log p(θ) at point components."""

    def log_density_of(self, draws: Any) -> Array:
        """Return log p(θ) (S,) of draws, hyperparameters integrated out or fixed."""

    def pymc_distribution(self, pm: Pymc, q: Any, n_components: int) -> ComponentsTwin:
        """Declare K components in a PyMC model; what is not random is taken from ``q``."""

    def conditional(self, statistics: Any, last: Any, generator: np.random.Generator) -> Posterior:
        """Return p(θ | X, Z) at hard assignments, for a Gibbs step after the draw ``last``.

        Raises ``DegenerateFitError`` if a learned scale vanishes.
        """

    def unframed(self, frame: Frame) -> Self:
        """Transform from a frame to data coordinates."""


class SeparablePrior(Prior, Protocol):
    """A conjugate prior under which features are independent given the component."""

    def separate(self) -> Self:
        """Return the prior with fixed hyperparameters, which features would share if learned."""

    def feature_evidence(self, statistics: Any) -> Array:
        """Return the log evidence (K, D) of each feature by component.

        Terms are omitted that depend on neither parameters nor responsibilities.
        """


class PriorChoice(Protocol):
    """The user's prior in data units, completed by defaults."""

    @property
    def fixes_scale(self) -> bool:
        """Whether the prior alone bounds all variances away from zero."""

    def over(self, default: Any, frame: Frame) -> Prior: ...
