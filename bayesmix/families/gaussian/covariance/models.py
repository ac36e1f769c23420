"""Covariance structures: their free parameters, blocks and M-steps.

Σ_k = λ_k D_k A_k D_kᵀ (Banfield & Raftery 1993; Celeux & Govaert 1995): volume, shape and
orientation are equal (E), variable (V) or the identity (I), named as in mclust and scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TypeAlias

from bayesmix.errors import UnsupportedError
from bayesmix.families.gaussian.covariance.algebra import DENSE, Algebra
from bayesmix.numerics.arrays import Array, Integers, align
from bayesmix.numerics.memo import once

# Shapes and orientations that are invariant under changes of units by column.
OF_ANY_UNITS = ("EI", "VI", "EE", "VV")

ITERATIVE = "bayesmix.families.gaussian.covariance.m_steps"
Estimate: TypeAlias = Callable[[Array, Array, Array | None], Array]


@dataclass(frozen=True)
class Blocks:
    """Array layout of scatters and covariances of K components, and their pooling.

    ``shared``: one block for all components; ``isotropic``: one number for all columns.

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

    dense: bool
    shared: bool = False
    isotropic: bool = False

    @once
    def algebra(self) -> Algebra:
        """Operations on such blocks; those of diagonal matrices load on first use."""
        if self.dense:
            return DENSE
        from bayesmix.families.gaussian.covariance.diagonal import AXES

        return AXES

    def pool(self, unpooled: Array) -> Array:
        """Sum component scatters into blocks."""
        if self.isotropic:
            unpooled = unpooled.sum(axis=1, keepdims=True)
        if self.shared:
            unpooled = unpooled.sum(axis=0, keepdims=True)
        return unpooled

    def counts(self, counts: Array, n_features: int) -> Array:
        """Return the number of values behind each block; pooled columns count one by one."""
        if self.isotropic:
            counts = n_features * counts[:, None]
        else:
            counts = self.algebra.counts(counts, n_features)
        return counts.sum(axis=0, keepdims=True) if self.shared else counts

    def means_per_block(self, n_components: int, n_features: int) -> int:
        """Return the number of independent normal means (of the block's dimension) per block."""
        return (n_components if self.shared else 1) * (n_features if self.isotropic else 1)

    def keep(self, blocks: Array, keep: Integers) -> Array:
        """Select components; a shared block is kept."""
        return blocks if self.shared else blocks[keep]

    def as_covariances(self, blocks: Array) -> Array:
        """Return blocks in scikit-learn's shapes."""
        return blocks[self._shown].copy()

    def from_covariances(self, covariances: Array) -> Array:
        """Return blocks from scikit-learn's shapes."""
        if self.isotropic:
            covariances = covariances[..., None]
        return covariances[None] if self.shared else covariances

    def covariance_shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        shape = self.one_shape(n_features)
        return shape if self.shared else (n_components, *shape)

    def one_shape(self, n_features: int) -> tuple[int, ...]:
        """Return the user's shape of a single covariance."""
        return () if self.isotropic else self.algebra.one_shape(n_features)

    def one_of(self, blocks: Array) -> Array | float:
        """Return the first block in the user's shape."""
        return float(blocks[0, 0]) if self.isotropic else blocks[0].copy()

    def block_of(self, covariance: Array) -> Array:
        """Return a block (leading axis 1) for a covariance matrix (D, D)."""
        block = self.algebra.of_dense(covariance)[None]
        return block.mean(axis=1, keepdims=True) if self.isotropic else block

    @property
    def _shown(self) -> tuple[int | slice, ...]:
        components = 0 if self.shared else slice(None)
        return (components, 0) if self.isotropic else (components,)


MATRICES = Blocks(dense=True)
ONE_MATRIX = Blocks(dense=True, shared=True)
DIAGONALS = Blocks(dense=False)
ONE_DIAGONAL = Blocks(dense=False, shared=True)
SCALARS = Blocks(dense=False, isotropic=True)
ONE_SCALAR = Blocks(dense=False, shared=True, isotropic=True)


@dataclass(frozen=True)
class Structure:
    """A covariance structure, given by its letters.

    ``estimate(scatter, counts, previous)`` returns covariances Σ_k that maximise
    -½ Σ_k (n_k log|Σ_k| + tr(S_k Σ_k⁻¹)) for S_k and n_k > 0 in blocks; iterative estimates start
    at ``previous``, below which the sum does not fall. ``nearest`` is the simplest conjugate
    structure that contains this one, None if it is conjugate.
    """

    name: str
    letters: str
    blocks: Blocks
    estimate: Estimate
    nearest: str | None = None

    @once
    def algebra(self) -> Algebra:
        return self.blocks.algebra

    @once
    def shared(self) -> bool:
        return self.blocks.shared

    @once
    def isotropic(self) -> bool:
        """Whether all columns share a variance."""
        return self.blocks.isotropic

    @property
    def common_scale(self) -> bool:
        """Whether the model is invariant only under a common scaling of all columns."""
        return self.letters[1:] not in OF_ANY_UNITS

    @property
    def own_volume(self) -> bool:
        """Whether volumes differ, so that a single component can collapse."""
        return self.letters[0] == "V"

    @property
    def common_shape(self) -> bool:
        """Whether covariances differ but share a shape, so that directions collapse jointly."""
        return self.letters[1] == "E" and not self.shared

    def conjugate(self) -> Blocks:
        """Return the blocks whose precisions have Wishart posteriors, or raise an error."""
        if self.nearest is not None:
            raise UnsupportedError(
                f"covariance_type={self.name!r} has no variational fit: use {self.nearest!r}, the "
                "most similar structure that has one, or maximum likelihood (GaussianMixture)"
            )
        return self.blocks

    def n_parameters(self, n_components: int, n_features: int) -> int:
        times = {"I": 0, "E": 1, "V": n_components}
        volume, shape, orientation = (times[letter] for letter in self.letters)
        pairs = n_features * (n_features - 1) // 2
        return volume + shape * (n_features - 1) + orientation * pairs

    def max_components(self, n_distinct: int, n_features: int) -> int | None:
        # Variable shapes and orientations are determined by the component's observations alone. As
        # many components as distinct observations would each hold one.
        if self.letters[1:] == "VV":
            return n_distinct // (n_features + 1)
        # Axes other than the columns need deviations in each direction.
        return max(n_distinct - (1 if self.letters[2] == "I" else n_features), 0)


def averaged(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """Return the average scatter of each block (Bishop 2006, eq. 9.25)."""
    return scatter / align(counts, scatter)


@dataclass(frozen=True)
class Iterative:
    """An M-step of the module of iterative ones, which loads on first use."""

    name: str

    def __call__(self, scatter: Array, counts: Array, previous: Array | None) -> Array:
        blocks: Array = getattr(import_module(ITERATIVE), self.name)(scatter, counts, previous)
        return blocks


STRUCTURES: dict[str, Structure] = {
    structure.name: structure
    for structure in (
        Structure("full", "VVV", MATRICES, averaged),
        Structure("tied", "EEE", ONE_MATRIX, averaged),
        Structure("diag", "VVI", DIAGONALS, averaged),
        Structure("spherical", "VII", SCALARS, averaged),
        Structure("EII", "EII", ONE_SCALAR, averaged),
        Structure("EEI", "EEI", ONE_DIAGONAL, averaged),
        Structure("VEI", "VEI", DIAGONALS, Iterative("of_one_shape"), nearest="diag"),
        Structure("EVI", "EVI", DIAGONALS, Iterative("of_one_volume"), nearest="diag"),
        Structure("VEE", "VEE", MATRICES, Iterative("of_one_matrix"), nearest="full"),
        Structure("EVE", "EVE", MATRICES, Iterative("of_common_axes_and_volume"), nearest="full"),
        Structure("VVE", "VVE", MATRICES, Iterative("of_common_axes"), nearest="full"),
        Structure("EEV", "EEV", MATRICES, Iterative("of_own_axes"), nearest="full"),
        Structure("VEV", "VEV", MATRICES, Iterative("of_own_axes_and_volumes"), nearest="full"),
        Structure("EVV", "EVV", MATRICES, Iterative("of_own_forms"), nearest="full"),
    )
}
# All names of structures.
NAMED = STRUCTURES | {
    "VVV": STRUCTURES["full"],
    "EEE": STRUCTURES["tied"],
    "VVI": STRUCTURES["diag"],
    "VII": STRUCTURES["spherical"],
    "tied_spherical": STRUCTURES["EII"],
    "tied_diag": STRUCTURES["EEI"],
}
# Structures of scikit-learn, compared by default; for a single column two of them are distinct.
SCIKIT_LEARNS = ("full", "tied", "diag", "spherical")
OF_ONE_COLUMN = ("full", "tied")
