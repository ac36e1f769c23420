"""The four covariance structures: which algebra, and what is pooled. One class each.

=========== ======= ============================= ==================================
structure   algebra one precision block for       rows' worth behind a block
=========== ======= ============================= ==================================
Full        dense   each component                N_k
Tied        dense   all components                Σ_k N_k
Diagonal    axes    each component and column     N_k
Spherical   axes    each component                D N_k (every column is a measurement)
=========== ======= ============================= ==================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from bayesmix.families.gaussian.algebra import Algebra
from bayesmix.families.gaussian.axes import AXES
from bayesmix.families.gaussian.dense import DENSE
from bayesmix.numerics.arrays import Array, Integers


class Structure(Protocol):
    """A covariance model."""

    @property
    def name(self) -> str: ...

    @property
    def algebra(self) -> Algebra: ...

    @property
    def common_scale(self) -> bool:
        """Whether only one common factor of all columns leaves the model as it is."""
        ...

    def pool(self, unpooled: Array) -> Array:
        """Component scatters summed into the structure's blocks."""
        ...

    def block_counts(self, counts: Array, n_features: int) -> Array:
        """Rows' worth behind every block, of block shape."""
        ...

    def means_per_block(self, n_components: int, n_features: int) -> int:
        """How many independent normal means (of the block's dimension) lean on one block."""
        ...

    def keep(self, blocks: Array, keep: Integers) -> Array: ...

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Free parameters of the covariances."""
        ...

    def as_covariances(self, blocks: Array) -> Array:
        """Blocks in scikit-learn's shape for this structure."""
        ...

    def from_covariances(self, covariances: Array) -> Array:
        """Blocks from scikit-learn's shape."""
        ...

    def covariance_shape(self, n_components: int, n_features: int) -> tuple[int, ...]: ...

    def block_of(self, covariance: Array) -> Array:
        """One block (leading axis 1) that stands for a covariance matrix (D, D)."""
        ...

    def max_components(self, n_distinct: int, n_features: int) -> int | None: ...


@dataclass(frozen=True)
class Full:
    """Each component its own covariance matrix (mclust: VVV)."""

    name = "full"
    algebra: ClassVar[Algebra] = DENSE
    common_scale = False

    def pool(self, unpooled: Array) -> Array:
        return unpooled

    def block_counts(self, counts: Array, n_features: int) -> Array:
        return counts

    def means_per_block(self, n_components: int, n_features: int) -> int:
        return 1

    def keep(self, blocks: Array, keep: Integers) -> Array:
        return blocks[keep]

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features * (n_features + 1) // 2

    def as_covariances(self, blocks: Array) -> Array:
        return blocks.copy()

    def from_covariances(self, covariances: Array) -> Array:
        return covariances

    def covariance_shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components, n_features, n_features)

    def block_of(self, covariance: Array) -> Array:
        return covariance[None]

    def max_components(self, n_distinct: int, n_features: int) -> int | None:
        return n_distinct // (n_features + 1)


@dataclass(frozen=True)
class Tied:
    """One covariance matrix for all components (mclust: EEE)."""

    name = "tied"
    algebra: ClassVar[Algebra] = DENSE
    common_scale = False

    def pool(self, unpooled: Array) -> Array:
        total: Array = unpooled.sum(axis=0, keepdims=True)
        return total

    def block_counts(self, counts: Array, n_features: int) -> Array:
        total: Array = counts.sum(axis=0, keepdims=True)
        return total

    def means_per_block(self, n_components: int, n_features: int) -> int:
        return n_components

    def keep(self, blocks: Array, keep: Integers) -> Array:
        return blocks

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_features * (n_features + 1) // 2

    def as_covariances(self, blocks: Array) -> Array:
        shared: Array = blocks[0].copy()
        return shared

    def from_covariances(self, covariances: Array) -> Array:
        return covariances[None]

    def covariance_shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_features, n_features)

    def block_of(self, covariance: Array) -> Array:
        return covariance[None]

    def max_components(self, n_distinct: int, n_features: int) -> int | None:
        return None


@dataclass(frozen=True)
class Diagonal:
    """Each component its own variance in each column (mclust: VVI)."""

    name = "diag"
    algebra: ClassVar[Algebra] = AXES
    common_scale = False

    def pool(self, unpooled: Array) -> Array:
        return unpooled

    def block_counts(self, counts: Array, n_features: int) -> Array:
        return np.repeat(counts[:, None], n_features, axis=1)

    def means_per_block(self, n_components: int, n_features: int) -> int:
        return 1

    def keep(self, blocks: Array, keep: Integers) -> Array:
        return blocks[keep]

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features

    def as_covariances(self, blocks: Array) -> Array:
        return blocks.copy()

    def from_covariances(self, covariances: Array) -> Array:
        return covariances

    def covariance_shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components, n_features)

    def block_of(self, covariance: Array) -> Array:
        return np.diagonal(covariance)[None].copy()

    def max_components(self, n_distinct: int, n_features: int) -> int | None:
        return None


@dataclass(frozen=True)
class Spherical:
    """Each component one variance for all columns (mclust: VII)."""

    name = "spherical"
    algebra: ClassVar[Algebra] = AXES
    common_scale = True

    def pool(self, unpooled: Array) -> Array:
        total: Array = unpooled.sum(axis=1, keepdims=True)
        return total

    def block_counts(self, counts: Array, n_features: int) -> Array:
        columns: Array = n_features * counts[:, None]
        return columns

    def means_per_block(self, n_components: int, n_features: int) -> int:
        return n_features

    def keep(self, blocks: Array, keep: Integers) -> Array:
        return blocks[keep]

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components

    def as_covariances(self, blocks: Array) -> Array:
        return blocks[:, 0].copy()

    def from_covariances(self, covariances: Array) -> Array:
        return covariances[:, None]

    def covariance_shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components,)

    def block_of(self, covariance: Array) -> Array:
        return np.array([[np.diagonal(covariance).mean()]])

    def max_components(self, n_distinct: int, n_features: int) -> int | None:
        return None


STRUCTURES: dict[str, Structure] = {
    structure.name: structure for structure in (Full(), Tied(), Diagonal(), Spherical())
}
