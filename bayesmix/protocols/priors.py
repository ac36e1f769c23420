"""L1: priors as protocols: of mixing weights, and of the parameters of components."""

from __future__ import annotations

from typing import Any, Protocol, Self, TypeAlias, TypeVar

import numpy as np

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.protocols.components import PointComponents, Posterior
from bayesmix.protocols.twins import ComponentsTwinOf, Pymc, WeightsTwinOf
from bayesmix.protocols.weights import Allocation, DrawnWeights, Weights
from bayesmix.records.rows import Frame

S = TypeVar("S", contravariant=True)  # a family's own statistics
T = TypeVar("T", contravariant=True)  # the statistics of an allocation
P = TypeVar("P", contravariant=True)  # what is at a point: densities, or weights
Q = TypeVar("Q", contravariant=True)  # and under q
D = TypeVar("D", contravariant=True)  # draws
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
