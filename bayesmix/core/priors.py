"""L1: priors as protocols: of mixing weights, and of the parameters of components.

L1: how samples choose their components, as protocols.

With mixing weights, at a point or with a posterior, each sample chooses by itself. A Markov chain
or a gate is an allocation too: it turns log densities into responsibilities in its own way, and
may have statistics of its own.

L1: the twins in PyMC of weights and components: the same model, for other samplers.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, Protocol, Self, TypeAlias, TypeVar

import numpy as np

from bayesmix.core.components import DrawnComponents, PointComponents, Posterior, Record
from bayesmix.core.rows import Allocated, Frame, Rows, WeightSpread
from bayesmix.numerics.arrays import Array, Integers

D = TypeVar("D", contravariant=True)  # draws of one kind


class DrawnWeights(Record, Protocol):
    """S draws of π: a record of arrays that begin with S."""

    @property
    def log_weights(self) -> Array:
        """log π_k (S, K)."""
        ...


class Allocation(Protocol):
    """How samples choose their components: the part of a mixture that its densities do not know."""

    @property
    def n_components(self) -> int: ...

    def expected_log(self) -> Array:
        """E[log π_k] (K,), added to the log densities of each sample; 0 where there is none."""
        ...

    def mean(self) -> Array:
        """The expected share (K,) of each component."""
        ...

    def allocate(self, joint: Array, rows: Rows) -> Allocated:
        """Turn log joints (n, K) into responsibilities in place.

        The log normalisers (n,) add up to that of all rows; statistics are None where the counts of
        the components suffice.
        """
        ...

    def subset(self, keep: Integers, counts: Array) -> Self:
        """The allocation to some components, in the order given."""
        ...


class WeightsOf(Allocation, Protocol[D]):
    """Mixing weights: at a point, or a distribution over them."""

    def draws(self, n_draws: int, generator: np.random.Generator) -> DrawnWeights:
        """Independent draws."""
        ...

    def log_density_of(self, draws: D) -> Array:
        """log q(π) (S,) of draws, in the coordinates of its kind: 0 at a point."""
        ...

    @property
    def exchangeable(self) -> bool:
        """Whether reordering components changes nothing else."""
        ...


class WeightsAtAPoint(WeightsOf[Any], Protocol):
    """Weights that an M-step may have set."""

    def proportional(self, shares: Array) -> Self:
        """Others, in proportion to shares."""
        ...


class VaryingWeightsOf(WeightsOf[D], Protocol[D]):
    """A distribution over weights."""

    def spread(self) -> WeightSpread:
        """Covariances of log π and of π."""
        ...


class FactorisedWeightsOf(VaryingWeightsOf[D], Protocol[D]):
    """A density that is a product over components, so that relabellings can be summed over."""

    def log_normaliser(self) -> float:
        """log of what the product is multiplied by."""
        ...

    def log_factors(self, draws: D) -> Array:
        """(S, J, K): log factor j of the drawn weight k."""
        ...


# Of any kind, as in ``components``.
Weights: TypeAlias = WeightsOf[Any]
VaryingWeights: TypeAlias = VaryingWeightsOf[Any]
FactorisedWeights: TypeAlias = FactorisedWeightsOf[Any]


# PyMC and PyTensor have no types; which values are theirs is said at least.
Pymc: TypeAlias = ModuleType
Tensor: TypeAlias = Any
PymcModel: TypeAlias = Any
NamedTensors: TypeAlias = dict[str, tuple[tuple[str, ...], Tensor]]


class ComponentsTwinOf(Protocol[D]):
    """K component densities of one draw in PyMC."""

    def log_density(self, pm: Pymc, values: Array) -> Tensor:
        """log p(x_n | θ_k) (n, K) of framed rows."""
        ...

    def named(self, frame: Frame) -> NamedTensors:
        """Parameters in data units that are no variables themselves."""
        ...

    @property
    def drawn(self) -> dict[str, Tensor]:
        """What a draw is made of, by the fields of its record."""
        ...

    def draws(self, values: Mapping[str, Array]) -> DrawnComponents:
        """S draws from the values (S, ...) of ``drawn``."""
        ...

    def point(self, draws: D) -> dict[str, Array]:
        """Values (S, ...) of the model's variables at draws."""
        ...


class WeightsTwinOf(Protocol[D]):
    """K weights of one draw in PyMC."""

    @property
    def log_weights(self) -> Tensor:
        """log π_k (K,), finite."""
        ...

    def named(self) -> NamedTensors:
        """π where it is no variable itself."""
        ...

    @property
    def drawn(self) -> dict[str, Tensor]:
        """What a draw is made of, by the fields of its record."""
        ...

    def draws(self, values: Mapping[str, Array], n_draws: int) -> DrawnWeights:
        """S draws from the values (S, ...) of ``drawn``."""
        ...

    def point(self, draws: D) -> dict[str, Array]:
        """Values (S, ...) of the model's variables at draws."""
        ...


# Those of any family, as in ``components``.
ComponentsTwin: TypeAlias = ComponentsTwinOf[Any]
WeightsTwin: TypeAlias = WeightsTwinOf[Any]


S = TypeVar("S", contravariant=True)  # a family's own statistics
T = TypeVar("T", contravariant=True)  # the statistics of an allocation
P = TypeVar("P", contravariant=True)  # what is at a point: densities, or weights
Q = TypeVar("Q", contravariant=True)  # and under q
F = TypeVar("F", contravariant=True)  # a prior


class AllocationPriorOf(Protocol[T, Q, P]):
    """How an allocation follows from its statistics: a prior, or maximum likelihood."""

    @property
    def name(self) -> str: ...

    def posterior(self, statistics: T, /) -> Allocation: ...

    def kl(self, allocation: Q, /) -> float:
        """KL(q || p), 0 where the allocation is a free parameter."""
        ...

    def mode(self, statistics: T, /) -> Allocation:
        """The point that maximises likelihood times prior density."""
        ...

    def log_density(self, allocation: P, /) -> float:
        """Log prior density at a point."""
        ...

    def n_parameters(self, n_components: int) -> int: ...


class WeightsPriorOf(AllocationPriorOf[Array, Q, P], Protocol[Q, P, D]):
    """How weights follow from counts (K,): a prior, or type-II maximum likelihood."""

    def posterior(self, counts: Array, /) -> Weights: ...

    def mode(self, counts: Array, /) -> Weights: ...

    def log_density_of(self, draws: D) -> Array:
        """log p(π) (S,) of draws, in the coordinates of their kind."""
        ...

    def pymc_distribution(self, pm: Pymc, q: Q, n_components: int) -> WeightsTwinOf[D]:
        """K weights declared in a PyMC model, what is not drawn as in ``q``: a twin of draws."""
        ...


class OrderedWeightsPriorOf(WeightsPriorOf[Q, P, D], Protocol[Q, P, D]):
    """A prior that knows the order of components."""

    def reordered(self, draws: D, generator: np.random.Generator) -> tuple[DrawnWeights, Integers]:
        """One draw after a step over orders, and the new order."""
        ...


class PriorOf(Protocol[S, P, Q, D]):
    """A prior over component parameters, conjugate to the family."""

    @property
    def conjugate(self) -> bool:
        """Whether p(θ | X, Z) is in closed form; if not, hidden numbers of rows are wanted too."""
        ...

    def posterior(
        self, statistics: S, previous: Q | None = None, resolution: Array | None = None
    ) -> Posterior:
        """q(θ) given statistics; what is learned of the prior goes on from the ``previous``."""
        ...

    def kl(self, q: Q, /) -> float:
        """KL(q(θ) || p(θ)) over all components, in nats."""
        ...

    def mode(
        self, statistics: S, previous: P | None = None, resolution: Array | None = None
    ) -> PointComponents:
        """The joint posterior mode given statistics (section 4 of the design: MAP)."""
        ...

    def log_density(self, components: P) -> float:
        """log p(θ) at point components."""
        ...

    def log_density_of(self, draws: D) -> Array:
        """log p(θ) (S,) of draws, what is learned of the prior integrated out or known."""
        ...

    def pymc_distribution(self, pm: Pymc, q: Q, n_components: int) -> ComponentsTwinOf[D]:
        """K components declared in a PyMC model, what is not drawn as in ``q``: a twin of draws.

        It has log densities of rows, tensors in data units by name, and what draws are made of.
        """
        ...

    def conditional(self, statistics: S, last: D, generator: np.random.Generator) -> Posterior:
        """p(θ | X, Z) at hard assignments: a step of Gibbs sampling after the ``last`` draw.

        Raises ``DegenerateFitError`` where a learned scale vanishes.
        """
        ...

    def unframed(self, frame: Frame) -> Self:
        """From a frame into the data's coordinates."""
        ...


class PriorChoiceOf(Protocol[F]):
    """What a user says of the prior, in data units; what is not said is the default."""

    @property
    def fixes_scale(self) -> bool:
        """Whether the prior alone keeps every variance away from zero."""
        ...

    def over(self, default: F, frame: Frame) -> Prior: ...


# Of any family, as in ``components``.
AllocationPrior: TypeAlias = AllocationPriorOf[Any, Any, Any]
WeightsPrior: TypeAlias = WeightsPriorOf[Any, Any, Any]
OrderedWeightsPrior: TypeAlias = OrderedWeightsPriorOf[Any, Any, Any]
Prior: TypeAlias = PriorOf[Any, Any, Any, Any]
PriorChoice: TypeAlias = PriorChoiceOf[Any]
