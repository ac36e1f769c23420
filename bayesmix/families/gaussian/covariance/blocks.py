"""How the scatters and covariances of K components lie in an array, and what is pooled there.

============ ======= =========== ============================= ==============
blocks       algebra shape       one block for                 rows behind it
============ ======= =========== ============================= ==============
MATRICES     dense   (K, D, D)   each component                N_k
ONE_MATRIX   dense   (1, D, D)   all components                Σ_k N_k
DIAGONALS    axes    (K, D)      each component and column     N_k
ONE_DIAGONAL axes    (1, D)      each column, all components   Σ_k N_k
SCALARS      axes    (K, 1)      each component, all columns   D N_k
ONE_SCALAR   axes    (1, 1)      all components and columns    D Σ_k N_k
============ ======= =========== ============================= ==============
"""

from __future__ import annotations

from dataclasses import dataclass

from bayesmix.families.gaussian.covariance.algebra import Algebra
from bayesmix.families.gaussian.covariance.dense import DENSE
from bayesmix.families.gaussian.covariance.diagonal import AXES
from bayesmix.numerics.arrays import Array, Integers


@dataclass(frozen=True)
class Blocks:
    """``shared``: one block for all components; ``isotropic``: one number for all columns."""

    algebra: Algebra
    shared: bool = False
    isotropic: bool = False

    def pool(self, unpooled: Array) -> Array:
        """Component scatters summed into blocks."""
        if self.isotropic:
            unpooled = unpooled.sum(axis=1, keepdims=True)
        if self.shared:
            unpooled = unpooled.sum(axis=0, keepdims=True)
        return unpooled

    def counts(self, counts: Array, n_features: int) -> Array:
        """Rows' worth behind every block, of which each pooled column of a row is one."""
        if self.isotropic:
            counts = n_features * counts[:, None]
        else:
            counts = self.algebra.counts(counts, n_features)
        return counts.sum(axis=0, keepdims=True) if self.shared else counts

    def means_per_block(self, n_components: int, n_features: int) -> int:
        """How many independent normal means (of the block's dimension) lean on one block."""
        return (n_components if self.shared else 1) * (n_features if self.isotropic else 1)

    def keep(self, blocks: Array, keep: Integers) -> Array:
        """Those of some components; what all share stays."""
        return blocks if self.shared else blocks[keep]

    def as_covariances(self, blocks: Array) -> Array:
        """Blocks as users see them, in scikit-learn's shapes."""
        shown: Array = blocks[self._shown].copy()
        return shown

    def from_covariances(self, covariances: Array) -> Array:
        """Blocks from what users give, in scikit-learn's shapes."""
        if self.isotropic:
            covariances = covariances[..., None]
        return covariances[None] if self.shared else covariances

    def covariance_shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """scikit-learn's shape."""
        one = self.one_shape(n_features)
        return one if self.shared else (n_components, *one)

    def one_shape(self, n_features: int) -> tuple[int, ...]:
        """The shape in which users give and see one covariance: of a prior, of one component."""
        return () if self.isotropic else self.algebra.one_shape(n_features)

    def one_of(self, blocks: Array) -> Array | float:
        """The first block as users see it."""
        return float(blocks[0, 0]) if self.isotropic else blocks[0].copy()

    def block_of(self, covariance: Array) -> Array:
        """One block (leading axis 1) that stands for a covariance matrix (D, D)."""
        block = self.algebra.of_dense(covariance)[None]
        return block.mean(axis=1, keepdims=True) if self.isotropic else block

    @property
    def _shown(self) -> tuple[int | slice, ...]:
        components = 0 if self.shared else slice(None)
        return (components, 0) if self.isotropic else (components,)


MATRICES = Blocks(DENSE)
ONE_MATRIX = Blocks(DENSE, shared=True)
DIAGONALS = Blocks(AXES)
ONE_DIAGONAL = Blocks(AXES, shared=True)
SCALARS = Blocks(AXES, isotropic=True)
ONE_SCALAR = Blocks(AXES, shared=True, isotropic=True)
