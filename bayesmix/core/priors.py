"""Protocols of allocations and of priors over weights and parameters, with their PyMC versions.

An allocation turns log densities into responsibilities: mixing weights do so by observation, a
Markov chain by sequence and a gate by covariates, with statistics besides counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Protocol, Self, TypeAlias, TypeVar

import numpy as np

from bayesmix.core.components import DrawnComponents, Named, PointComponents, Posterior, Record
from bayesmix.core.rows import Allocated, Frame, Rows
from bayesmix.numerics.arrays import Array, Integers

D = TypeVar("D", contravariant=True)  # draws of one type
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


class WeightsOf(Allocation, Protocol[D]):
    """Mixing weights: at a point, or with a distribution."""

    def averaged(self) -> Weights:
        """Return the weights at their mean, a point."""

    def draws(self, n_draws: int, generator: np.random.Generator) -> DrawnWeights:
        """Return independent draws."""

    def log_density_of(self, draws: D) -> Array:
        """Return log q(π) (S,) of draws in their coordinates; 0 at a point."""

    @property
    def exchangeable(self) -> bool:
        """Whether the order of components is arbitrary."""


class WeightsAtAPoint(WeightsOf[Any], Protocol):
    """Mixing weights at a point."""

    def proportional(self, shares: Array) -> Self:
        """Return weights proportional to ``shares``."""


class FactorisedWeightsOf(WeightsOf[D], Protocol[D]):
    """A density that factorises over components, so that relabellings can be summed."""

    def log_normaliser(self) -> float:
        """Return the log normalising constant of the factors."""

    def log_factors(self, draws: D) -> Array:
        """Return log factor j of the drawn weight k (S, J, K)."""


# Protocols for weights of any type, as in ``components``.
Weights: TypeAlias = WeightsOf[Any]
FactorisedWeights: TypeAlias = FactorisedWeightsOf[Any]

# PyMC and PyTensor have no type hints.
Pymc: TypeAlias = ModuleType
Tensor: TypeAlias = Any
PymcModel: TypeAlias = Any
NamedTensors: TypeAlias = dict[str, tuple[tuple[str, ...], Tensor]]


class ComponentsTwinOf(Protocol[D]):
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

    def point(self, draws: D) -> dict[str, Array]:
        """Return values (S, ...) of the PyMC variables at draws."""


class WeightsTwinOf(Protocol[D]):
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

    def point(self, draws: D) -> dict[str, Array]:
        """Return values (S, ...) of the PyMC variables at draws."""


# PyMC protocols for any family, as in ``components``.
ComponentsTwin: TypeAlias = ComponentsTwinOf[Any]
WeightsTwin: TypeAlias = WeightsTwinOf[Any]

S = TypeVar("S", contravariant=True)  # statistics of a family
T = TypeVar("T", contravariant=True)  # statistics of an allocation
P = TypeVar("P", contravariant=True)  # densities or weights at a point
Q = TypeVar("Q", contravariant=True)  # densities or weights under q
F = TypeVar("F", contravariant=True)  # a prior


class AllocationPriorOf(Protocol[T, Q, P]):
    """Update of an allocation from its statistics: a prior, or maximum likelihood."""

    @property
    def name(self) -> str: ...

    def posterior(self, statistics: T, /) -> Allocation: ...

    def kl(self, allocation: Q, /) -> float:
        """Return KL(q || p), 0 for a free parameter."""

    def mode(self, statistics: T, /) -> Allocation:
        """Return the maximiser of likelihood times prior density."""

    def log_density(self, allocation: P, /) -> float:
        """Return the log prior density at a point."""

    def n_parameters(self, n_components: int) -> int: ...


class WeightsPriorOf(AllocationPriorOf[Array, Q, P], Protocol[Q, P, D]):
    """Update of weights from counts (K,): a prior, or type-II maximum likelihood."""

    def posterior(self, counts: Array, /) -> Weights: ...

    def mode(self, counts: Array, /) -> Weights: ...

    def log_density_of(self, draws: D) -> Array:
        """Return log p(π) (S,) of draws in their coordinates."""

    def pymc_distribution(self, pm: Pymc, q: Q, n_components: int) -> WeightsTwinOf[D]:
        """Declare K weights in a PyMC model; what is not random is taken from ``q``."""


class OrderedWeightsPriorOf(WeightsPriorOf[Q, P, D], Protocol[Q, P, D]):
    """A prior that depends on the order of components."""

    def reordered(self, draws: D, generator: np.random.Generator) -> tuple[DrawnWeights, Integers]:
        """Return a draw after a step over orders, and the new order."""


class PriorOf(Protocol[S, P, Q, D]):
    """A prior over component parameters, conjugate to the family."""

    @property
    def conjugate(self) -> bool:
        """Whether p(θ | X, Z) has closed form; if not, it needs more latent variables."""

    def posterior(
        self, statistics: S, previous: Q | None = None, resolution: Array | None = None
    ) -> Posterior:
        """Return q(θ) given statistics; hyperparameters start from ``previous``."""

    def kl(self, q: Q, /) -> float:
        """Return KL(q(θ) || p(θ)) over all components, in nats."""

    def mode(
        self, statistics: S, previous: P | None = None, resolution: Array | None = None
    ) -> PointComponents:
        """Return the joint posterior mode given statistics."""

    def log_density(self, components: P) -> float:
        """Return log p(θ) at point components."""

    def log_density_of(self, draws: D) -> Array:
        """Return log p(θ) (S,) of draws, hyperparameters integrated out or fixed."""

    def conditional(self, statistics: S, last: D, generator: np.random.Generator) -> Posterior:
        """Return p(θ | X, Z) at hard assignments, for a Gibbs step after the draw ``last``.

        Raises ``DegenerateFitError`` if a learned scale vanishes.
        """

    def unframed(self, frame: Frame) -> Self:
        """Transform from a frame to data coordinates."""


class SeparablePriorOf(PriorOf[S, P, Q, D], Protocol[S, P, Q, D]):
    """A conjugate prior under which features are independent given the component."""

    def separate(self) -> Self:
        """Return the prior with fixed hyperparameters, which features would share if learned."""

    def feature_evidence(self, statistics: S) -> Array:
        """Return the log evidence (K, D) of each feature by component.

        Terms are omitted that depend on neither parameters nor responsibilities.
        """


class PriorChoiceOf(Protocol[F]):
    """The user's prior in data units, completed by defaults."""

    @property
    def fixes_scale(self) -> bool:
        """Whether the prior alone bounds all variances away from zero."""

    def over(self, default: F, frame: Frame) -> Prior: ...


# Priors of any family, as in ``components``.
AllocationPrior: TypeAlias = AllocationPriorOf[Any, Any, Any]
WeightsPrior: TypeAlias = WeightsPriorOf[Any, Any, Any]
OrderedWeightsPrior: TypeAlias = OrderedWeightsPriorOf[Any, Any, Any]
Prior: TypeAlias = PriorOf[Any, Any, Any, Any]
SeparablePrior: TypeAlias = SeparablePriorOf[Any, Any, Any, Any]
PriorChoice: TypeAlias = PriorChoiceOf[Any]


class AllocationSums(Protocol):
    """Statistics of an allocation besides counts, additive over observations."""

    def __add__(self, other: Self, /) -> Self: ...

    def pack(self) -> Array: ...

    def units(self) -> Array:
        """Return scales of the entries of ``pack``."""

    def unpack(self, vector: Array, /) -> Self: ...

    @property
    def feasible(self) -> bool:
        """Whether an allocation has such statistics."""
