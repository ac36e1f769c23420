"""L1: the twins in PyMC of weights and components: the same model, for other samplers."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, Protocol, TypeAlias, TypeVar

from bayesmix.numerics.arrays import Array
from bayesmix.protocols.components import DrawnComponents
from bayesmix.protocols.weights import DrawnWeights
from bayesmix.records.rows import Frame

D = TypeVar("D", contravariant=True)  # draws of a family, or of a kind of weights

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
