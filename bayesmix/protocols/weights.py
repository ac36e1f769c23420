"""L1: how samples choose their components, as protocols.

With mixing weights, at a point or with a posterior, each sample chooses by itself. A Markov chain
or a gate is an allocation too: it turns log densities into responsibilities in its own way, and
may have statistics of its own.
"""

from __future__ import annotations

from typing import Any, Protocol, Self, TypeAlias, TypeVar

import numpy as np

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.protocols.components import Record
from bayesmix.records.rows import Allocated, Rows, WeightSpread

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
