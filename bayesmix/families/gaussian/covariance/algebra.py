"""The two algebras of Gaussian precisions: dense matrices, and axes (one scalar a column).

A precision lives in *blocks*. Dense: stacks (B, D, D) with B = K, or B = 1 where components share
one. Axes: arrays (K, D), with 1 for D where columns share one and for K where components do. A root
U has precision = U Uᵀ, so a squared distance is |Uᵀ(x - m)|². All that covariance structures have
in common is here, once per algebra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from bayesmix.core.rows import Frame
from bayesmix.numerics.arrays import Array, Integers

if TYPE_CHECKING:
    from bayesmix.families.gaussian.twin_blocks import WishartTwin

# A block held exactly at the floor is not below it: room for the rounding of the sum.
BELOW_FLOOR = 0.999
# Variance in columns of unit scale under which all rows agree.
FLAT_VARIANCE = 1e-12


class Algebra(Protocol):
    """What a structure needs to know of its precision blocks."""

    @property
    def kind(self) -> int:
        """Which features the linear form has."""
        ...

    @property
    def twin(self) -> WishartTwin:
        """The same precisions in PyMC."""
        ...

    def linear_is_faster(self, n_features: int) -> bool:
        """Whether the linear form takes less time than the centred one."""
        ...

    def block_dimension(self, n_features: int) -> int:
        """p of the Wishart of one block: D for dense, 1 for axes."""
        ...

    def one_shape(self, n_features: int) -> tuple[int, ...]:
        """The shape of one covariance, (D, D) or (D,)."""
        ...

    def counts(self, counts: Array, n_features: int) -> Array:
        """Numbers per component (K,) as numbers per Wishart factor: (K,), or (K, D) over axes."""
        ...

    def outer(self, left: Array, right: Array) -> Array:
        """l_k r_kᵀ for every component, unpooled."""
        ...

    def scatter(self, values: Array, responsibilities: Array, means: Array) -> Array:
        """Σ_n r_nk (x_n - m_k)(x_n - m_k)ᵀ for every component, unpooled."""
        ...

    def of_dense(self, matrices: Array) -> Array:
        """What the algebra keeps, unpooled, of matrices (..., D, D)."""
        ...

    def dense(self, blocks: Array, n_components: int, n_features: int) -> Array:
        """Matrices (K, D, D) of covariance-like blocks."""
        ...

    def add_to_diagonal(self, blocks: Array, entries: Array) -> Array: ...

    def root(self, inverse: Array) -> Array:
        """Root U of the inverse of covariance-like blocks."""
        ...

    def inverse(self, root: Array) -> Array:
        """(U Uᵀ)⁻¹."""
        ...

    def gram(self, root: Array) -> Array:
        """U Uᵀ."""
        ...

    def log_det(self, root: Array) -> Array:
        """log |U Uᵀ| of every block."""
        ...

    def per_component(self, block_values: Array, n_components: int, n_features: int) -> Array:
        """Numbers per block summed to numbers per component (K,)."""
        ...

    def by_column(self, block_values: Array, n_components: int, n_features: int) -> Array | None:
        """Numbers per block as numbers per column (K, D), None where a block has many columns."""
        ...

    def scale_root(self, root: Array, factor: Array) -> Array:
        """sqrt(factor) U, factor of block shape."""
        ...

    def squared(self, values: Array, means: Array, root: Array) -> Array:
        """|Uᵀ(x_n - m_k)|² (n, K)."""
        ...

    def lengths(self, away: Array, root: Array) -> Array:
        """|Uᵀ a_k|² (K,), one vector a (K, D) for every component."""
        ...

    def trace(self, blocks: Array, root: Array) -> Array:
        """tr(blocks U Uᵀ) of every block."""
        ...

    def inner(self, left: Array, right: Array) -> Array:
        """tr(L Lᵀ R Rᵀ) of every block, from roots."""
        ...

    def factor(self, blocks: Array) -> Array:
        """L with blocks = L Lᵀ."""
        ...

    def draw_roots(
        self, root: Array, degrees_of_freedom: Array, n_draws: int, generator: np.random.Generator
    ) -> Array:
        """Roots (S, B, ...) of S draws from Wishart(U Uᵀ, ν) of every block."""
        ...

    def coloured(self, normal: Array, roots: Array) -> Array:
        """U⁻ᵀ z: standard normal z (S, K, D) turned into deviations of precision U Uᵀ."""
        ...

    def stretch(self, blocks: Array, scale: Array) -> Array:
        """Covariance-like blocks in coordinates multiplied by ``scale``."""
        ...

    def features(self, values: Array, out: Array | None = None) -> Array: ...

    def coefficients(self, offset: Array, means: Array, root: Array) -> Array: ...

    def second(self, sums: Array, n_features: int) -> Array:
        """Σ r x xᵀ, unpooled, from sums of features."""
        ...

    def feature_bounds(self, counts: Array, second: Array) -> Array:
        """Bounds (K, F) on Σ r |φ| of all features, from Σ r (K,) and Σ r x² (K, D)."""
        ...

    def spread(self, blocks: Array, n_components: int, n_features: int) -> Array:
        """Diagonals (K, D) of covariance-like blocks."""
        ...

    def narrow(self, blocks: Array, floor: Array) -> list[Array]:
        """For every block the directions (D, f) along which it is below ``floor`` (D,).

        Directions are orthogonal in columns divided by sqrt(floor), and as long as the standard
        deviation that they have to be held at there: 1, or more where rounding hides more.
        """
        ...

    def select(self, blocks: Array, columns: Integers) -> Array:
        """Covariance-like blocks of some columns alone."""
        ...

    def regress(
        self, blocks: Array, columns: Integers, given: Integers
    ) -> tuple[Array | float, Array]:
        """Σ_cg Σ_gg⁻¹ (B, C, G), 0 over axes, and blocks of what is left of the columns.

        Bishop 2006, eq. 2.81 and 2.82.
        """
        ...

    def flat(self, covariance: Array) -> tuple[Array, Array]:
        """Orthonormal directions with extent (D, D') and without (D, f), as the algebra has them.

        ``covariance`` (D, D) is that of all rows, in columns of unit scale.
        """
        ...

    def lift(self, blocks: Array, frame: Frame, along_flat: float) -> Array:
        """Covariance-like framed blocks in data coordinates, with a variance where it is flat."""
        ...

    def project(self, blocks: Array, frame: Frame) -> Array:
        """Covariance-like blocks in data coordinates, in the frame."""
        ...

    def tightest(self, root: Array, floor: Array) -> Array:
        """Upper bound (B,) on how far a block is below the floor; under 1 it is above."""
        ...
