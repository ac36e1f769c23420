"""Protocol of the algebra of Gaussian precisions, implemented for dense and for diagonal matrices.

Dense blocks are (B, D, D) with B = K, or 1 if shared; diagonal ones (K, D), with 1 for shared axes.
A root U has precision = U Uᵀ, so a squared distance is |Uᵀ(x - m)|².
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from bayesmix.core.rows import Frame
from bayesmix.numerics.arrays import Array, Integers

if TYPE_CHECKING:
    from bayesmix.families.gaussian.twin import WishartTwin

# Tolerance for the rounding of blocks held at the floor.
BELOW_FLOOR = 0.999
# Variance in columns of unit scale below which all data agree.
FLAT_VARIANCE = 1e-12


class Algebra(Protocol):
    """Operations on precision blocks."""

    @property
    def kind(self) -> int:
        """Kind of features of the linear form."""
        ...

    @property
    def twin(self) -> WishartTwin:
        """Operations on the same precisions in PyMC."""
        ...

    def linear_is_faster(self, n_features: int) -> bool:
        """Whether the linear form is faster than the centred one."""
        ...

    def block_dimension(self, n_features: int) -> int:
        """Return p of the Wishart of a block: D for dense, 1 for diagonal."""
        ...

    def one_shape(self, n_features: int) -> tuple[int, ...]:
        """Return the shape of one covariance, (D, D) or (D,)."""
        ...

    def counts(self, counts: Array, n_features: int) -> Array:
        """Return numbers per component (K,) by Wishart factor: (K,), or (K, D) for diagonals."""
        ...

    def outer(self, left: Array, right: Array) -> Array:
        """Return l_k r_kᵀ by component, unpooled."""
        ...

    def scatter(self, values: Array, responsibilities: Array, means: Array) -> Array:
        """Return Σ_n r_nk (x_n - m_k)(x_n - m_k)ᵀ by component, unpooled."""
        ...

    def of_dense(self, matrices: Array) -> Array:
        """Return the represented part of matrices (..., D, D), unpooled."""
        ...

    def dense(self, blocks: Array, n_components: int, n_features: int) -> Array:
        """Return matrices (K, D, D) of covariance blocks."""
        ...

    def add_to_diagonal(self, blocks: Array, entries: Array) -> Array: ...

    def root(self, inverse: Array) -> Array:
        """Return the root U of the inverse of covariance blocks."""
        ...

    def inverse(self, root: Array) -> Array:
        """Return (U Uᵀ)⁻¹."""
        ...

    def gram(self, root: Array) -> Array:
        """Return U Uᵀ."""
        ...

    def log_det(self, root: Array) -> Array:
        """Return log |U Uᵀ| by block."""
        ...

    def per_component(self, block_values: Array, n_components: int, n_features: int) -> Array:
        """Sum numbers per block to numbers per component (K,)."""
        ...

    def by_column(self, block_values: Array, n_components: int, n_features: int) -> Array | None:
        """Return numbers per block by column (K, D), None for blocks of several columns."""
        ...

    def scale_root(self, root: Array, factor: Array) -> Array:
        """Return sqrt(factor) U, for a factor of block shape."""
        ...

    def squared(self, values: Array, means: Array, root: Array) -> Array:
        """Return |Uᵀ(x_n - m_k)|² (n, K)."""
        ...

    def lengths(self, away: Array, root: Array) -> Array:
        """Return |Uᵀ a_k|² (K,) for vectors a (K, D)."""
        ...

    def trace(self, blocks: Array, root: Array) -> Array:
        """Return tr(blocks U Uᵀ) by block."""
        ...

    def inner(self, left: Array, right: Array) -> Array:
        """Return tr(L Lᵀ R Rᵀ) by block, from roots."""
        ...

    def factor(self, blocks: Array) -> Array:
        """Return L with blocks = L Lᵀ."""
        ...

    def draw_roots(
        self, root: Array, degrees_of_freedom: Array, n_draws: int, generator: np.random.Generator
    ) -> Array:
        """Return roots (S, B, ...) of S draws from Wishart(U Uᵀ, ν) by block."""
        ...

    def coloured(self, normal: Array, roots: Array) -> Array:
        """Return U⁻ᵀ z, which has precision U Uᵀ, for standard normal z (S, K, D)."""
        ...

    def stretch(self, blocks: Array, scale: Array) -> Array:
        """Return covariance blocks in coordinates multiplied by ``scale``."""
        ...

    def features(self, values: Array, out: Array | None = None) -> Array: ...

    def coefficients(self, offset: Array, means: Array, root: Array) -> Array: ...

    def second(self, sums: Array, n_features: int) -> Array:
        """Return Σ r x xᵀ, unpooled, from sums of features."""
        ...

    def feature_bounds(self, counts: Array, second: Array) -> Array:
        """Return bounds (K, F) on Σ r |φ| from Σ r (K,) and Σ r x² (K, D)."""
        ...

    def spread(self, blocks: Array, n_components: int, n_features: int) -> Array:
        """Return diagonals (K, D) of covariance blocks."""
        ...

    def narrow(self, blocks: Array, floor: Array) -> list[Array]:
        """Return for each block the directions (D, f) along which it is below ``floor`` (D,).

        Directions are orthogonal in columns divided by sqrt(floor); their length is the standard
        deviation to hold there: 1, or more if rounding hides more.
        """
        ...

    def select(self, blocks: Array, columns: Integers) -> Array:
        """Return covariance blocks of some columns."""
        ...

    def regress(
        self, blocks: Array, columns: Integers, given: Integers
    ) -> tuple[Array | float, Array]:
        """Return Σ_cg Σ_gg⁻¹ (B, C, G), or 0 for diagonals, and conditional covariance blocks.

        Bishop 2006, eq. 2.81 and 2.82.
        """
        ...

    def flat(self, covariance: Array) -> tuple[Array, Array]:
        """Return orthonormal directions with extent (D, D') and without (D, f).

        ``covariance`` (D, D) is that of the data, in columns of unit scale.
        """
        ...

    def lift(self, blocks: Array, frame: Frame, along_flat: float) -> Array:
        """Transform covariance blocks to data coordinates, with a variance for flat directions."""
        ...

    def project(self, blocks: Array, frame: Frame) -> Array:
        """Transform covariance blocks from data coordinates to the frame."""
        ...

    def tightest(self, root: Array, floor: Array) -> Array:
        """Return an upper bound (B,) on floor / variance; below 1 the block is above the floor."""
        ...


def regressed(
    means: Array, slopes: Array | float, columns: Integers, given: Integers, values: Array
) -> Array:
    """Return m_k + B_k (x_given - m_k,given) (n, K, C) for values of the given columns (n, G).

    ``slopes`` are (K, C, G), (1, C, G) if shared, or 0.
    """
    n_components = len(means)
    own = means[:, columns]
    if np.isscalar(slopes):
        return np.broadcast_to(own, (len(values), *own.shape))
    each = np.broadcast_to(slopes, (n_components, len(columns), len(given)))
    out = np.empty((len(values), *own.shape))
    for k in range(n_components):
        out[:, k] = own[k] + (values - means[k, given]) @ each[k].T
    return out
