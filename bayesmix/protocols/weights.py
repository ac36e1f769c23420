"""L1: mixing weights as protocols: at a point, or a distribution over them."""

from __future__ import annotations

from typing import Any, Protocol, Self, TypeAlias, TypeVar

import numpy as np

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.protocols.components import Record
from bayesmix.records.rows import WeightSpread

D = TypeVar("D", contravariant=True)  # draws of one kind


class DrawnWeights(Record, Protocol):
    """S draws of π: a record of arrays that begin with S."""

    @property
    def log_weights(self) -> Array:
        """log π_k (S, K)."""
        ...


class WeightsOf(Protocol[D]):
    """Mixing weights: at a point, or a distribution over them."""

    @property
    def n_components(self) -> int: ...

    def expected_log(self) -> Array:
        """E[log π_k] (K,)."""
        ...

    def mean(self) -> Array:
        """E[π_k] (K,)."""
        ...

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

    def subset(self, keep: Integers, counts: Array) -> Self: ...


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
