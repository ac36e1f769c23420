"""The two algebras of Gaussian precisions: dense matrices, and axes (one scalar a column).

A precision lives in *blocks*. Dense: stacks (B, D, D) with B = K, or B = 1 where components share
one. Axes: arrays (K, D), or (K, 1) where columns share one. A root U has precision = U Uᵀ, so a
squared distance is |Uᵀ(x - m)|². All that the four covariance structures have in common is here,
once per algebra.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np

from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.triangular import inverse_from_root, inverse_root

# A block held exactly at the floor is not below it: room for the rounding of the sum.
BELOW_FLOOR = 0.999
# Share of the largest variance that the smallest must have for a factorisation to see it.
LOST_IN_ROUNDING = 1e-12
# Variance in columns of unit scale under which all rows agree.
FLAT_VARIANCE = 1e-12


class Algebra(Protocol):
    """What a structure needs to know of its precision blocks."""

    @property
    def cross_products(self) -> bool:
        """Whether the features hold x_i x_j for i < j."""
        ...

    def block_dimension(self, n_features: int) -> int:
        """p of the Wishart of one block: D for dense, 1 for axes."""
        ...

    def outer(self, weight: Array, delta: Array) -> Array:
        """weight_k δ_k δ_kᵀ for every component, unpooled."""
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

    def scale_root(self, root: Array, factor: Array) -> Array:
        """sqrt(factor) U, factor of block shape."""
        ...

    def squared(self, values: Array, means: Array, root: Array) -> Array:
        """|Uᵀ(x_n - m_k)|² (n, K)."""
        ...

    def trace(self, blocks: Array, root: Array) -> Array:
        """tr(blocks U Uᵀ) of every block."""
        ...

    def stretch(self, blocks: Array, scale: Array) -> Array:
        """Covariance-like blocks in coordinates multiplied by ``scale``."""
        ...

    def features(self, values: Array) -> Array: ...

    def coefficients(self, offset: Array, means: Array, root: Array) -> Array: ...

    def moments(self, sums: Array, n_features: int) -> tuple[Array, Array, Array]:
        """Counts, means and unpooled scatters from sums of features."""
        ...

    def second_moment_bound(self, second: Array) -> Array:
        """Bounds on Σ r |x_i x_j| for the quadratic features, from Σ r x² (K, D)."""
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

    def flat(self, covariance: Array) -> Array:
        """Orthonormal directions (D, f) that the algebra has and in which no row differs.

        ``covariance`` (D, D) is that of all rows, in columns of unit scale.
        """
        ...

    def tightest(self, root: Array, floor: Array) -> Array:
        """Upper bound (B,) on how far a block is below the floor; under 1 it is above."""
        ...


class Dense:
    """Full precision matrices in stacks (B, D, D)."""

    cross_products = True

    def block_dimension(self, n_features: int) -> int:
        return n_features

    def outer(self, weight: Array, delta: Array) -> Array:
        product: Array = (weight[:, None] * delta)[:, :, None] * delta[:, None, :]
        return product

    def scatter(self, values: Array, responsibilities: Array, means: Array) -> Array:
        columns = values.T
        n_components, n_features = means.shape
        total = np.empty((n_components, n_features, n_features))
        for k in range(n_components):
            away = columns - means[k][:, None]
            np.dot(away * responsibilities[:, k], away.T, out=total[k])
        return total

    def of_dense(self, matrices: Array) -> Array:
        return matrices

    def dense(self, blocks: Array, n_components: int, n_features: int) -> Array:
        return np.broadcast_to(blocks, (n_components, n_features, n_features))

    def add_to_diagonal(self, blocks: Array, entries: Array) -> Array:
        return blocks + np.diag(entries)

    def root(self, inverse: Array) -> Array:
        return inverse_root(inverse)

    def inverse(self, root: Array) -> Array:
        return inverse_from_root(root)

    def gram(self, root: Array) -> Array:
        product: Array = root @ root.transpose(0, 2, 1)
        return product

    def log_det(self, root: Array) -> Array:
        logs: Array = 2.0 * np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
        return logs

    def per_component(self, block_values: Array, n_components: int, n_features: int) -> Array:
        return np.broadcast_to(block_values, (n_components,))

    def scale_root(self, root: Array, factor: Array) -> Array:
        scaled: Array = np.sqrt(factor)[:, None, None] * root
        return scaled

    def squared(self, values: Array, means: Array, root: Array) -> Array:
        columns = values.T
        out = np.empty((len(means), columns.shape[1]))
        shared = len(root) == 1
        for k in range(len(means)):
            away = root[0 if shared else k].T @ (columns - means[k][:, None])
            np.einsum("dn,dn->n", away, away, out=out[k])
        return out.T

    def trace(self, blocks: Array, root: Array) -> Array:
        total: Array = (blocks * self.gram(root)).sum(axis=(1, 2))
        return total

    def stretch(self, blocks: Array, scale: Array) -> Array:
        return blocks * np.outer(scale, scale)

    def features(self, values: Array) -> Array:
        columns = values.T
        n_features, n = columns.shape
        out = np.empty((1 + n_features + n_features * (n_features + 1) // 2, n))
        out[0] = 1.0
        out[1 : 1 + n_features] = columns
        place = 1 + n_features
        for i in range(n_features):
            np.multiply(columns[i], columns[i:], out=out[place : place + n_features - i])
            place += n_features - i
        return out

    def coefficients(self, offset: Array, means: Array, root: Array) -> Array:
        n_components, n_features = means.shape
        precision = np.broadcast_to(self.gram(root), (n_components, n_features, n_features))
        linear = np.einsum("kij,kj->ki", precision, means)
        upper, right = _upper_triangle(n_features)
        quadratic = -precision[:, upper, right]
        quadratic[:, upper == right] *= 0.5
        constant = offset - 0.5 * np.einsum("ki,ki->k", linear, means)
        return np.concatenate([constant[:, None], linear, quadratic], axis=1)

    def moments(self, sums: Array, n_features: int) -> tuple[Array, Array, Array]:
        counts, means = _counts_and_means(sums, n_features)
        second = np.empty((len(counts), n_features, n_features))
        upper, right = _upper_triangle(n_features)
        second[:, upper, right] = sums[:, 1 + n_features :]
        second[:, right, upper] = sums[:, 1 + n_features :]
        return counts, means, second - self.outer(counts, means)

    def second_moment_bound(self, second: Array) -> Array:
        upper, right = _upper_triangle(second.shape[1])
        bound: Array = np.sqrt(second[:, upper] * second[:, right])
        return bound

    def spread(self, blocks: Array, n_components: int, n_features: int) -> Array:
        diagonals = np.diagonal(blocks, axis1=1, axis2=2)
        return np.broadcast_to(diagonals, (n_components, n_features))

    def narrow(self, blocks: Array, floor: Array) -> list[Array]:
        unit = np.sqrt(floor)
        return [_narrow_axes(block / np.outer(unit, unit)) for block in blocks]

    def flat(self, covariance: Array) -> Array:
        variances, axes = np.linalg.eigh(covariance)
        without_extent: Array = axes[:, variances < FLAT_VARIANCE]
        return without_extent

    def tightest(self, root: Array, floor: Array) -> Array:
        bound: Array = np.einsum("bij,bij,i->b", root, root, floor)
        return bound


class Axes:
    """Diagonal precisions as arrays (K, D), or (K, 1) where all columns share one."""

    cross_products = False

    def block_dimension(self, n_features: int) -> int:
        return 1

    def outer(self, weight: Array, delta: Array) -> Array:
        product: Array = weight[:, None] * delta * delta
        return product

    def scatter(self, values: Array, responsibilities: Array, means: Array) -> Array:
        columns = values.T
        total = np.empty(means.shape)
        for k in range(len(means)):
            away = columns - means[k][:, None]
            away *= away
            np.dot(away, responsibilities[:, k], out=total[k])
        return total

    def of_dense(self, matrices: Array) -> Array:
        return np.diagonal(matrices, axis1=-2, axis2=-1).copy()

    def dense(self, blocks: Array, n_components: int, n_features: int) -> Array:
        variances = np.broadcast_to(blocks, (n_components, n_features))
        matrices: Array = variances[:, :, None] * np.eye(n_features)
        return matrices

    def add_to_diagonal(self, blocks: Array, entries: Array) -> Array:
        return blocks + entries

    def root(self, inverse: Array) -> Array:
        if not np.all(inverse > 0):
            worst = int(np.argmin(inverse.min(axis=1)))
            raise DegenerateFitError(
                f"the covariance of component {worst} is singular (smallest variance "
                f"{inverse[worst].min():.1e} in columns of unit scale): "
                "use a prior, or fewer components"
            )
        root: Array = 1.0 / np.sqrt(inverse)
        return root

    def inverse(self, root: Array) -> Array:
        return 1.0 / (root * root)

    def gram(self, root: Array) -> Array:
        return root * root

    def log_det(self, root: Array) -> Array:
        logs: Array = 2.0 * np.log(root)
        return logs

    def per_component(self, block_values: Array, n_components: int, n_features: int) -> Array:
        spread = np.broadcast_to(block_values, (n_components, n_features))
        total: Array = spread.sum(axis=1)
        return total

    def scale_root(self, root: Array, factor: Array) -> Array:
        scaled: Array = np.sqrt(factor) * root
        return scaled

    def squared(self, values: Array, means: Array, root: Array) -> Array:
        columns = values.T
        out = np.empty((len(means), columns.shape[1]))
        for k in range(len(means)):
            away = (columns - means[k][:, None]) * root[k][:, None]
            np.einsum("dn,dn->n", away, away, out=out[k])
        return out.T

    def trace(self, blocks: Array, root: Array) -> Array:
        return blocks * root * root

    def stretch(self, blocks: Array, scale: Array) -> Array:
        return blocks * (scale * scale)[: blocks.shape[-1]]

    def features(self, values: Array) -> Array:
        columns = values.T
        n_features, n = columns.shape
        out = np.empty((1 + 2 * n_features, n))
        out[0] = 1.0
        out[1 : 1 + n_features] = columns
        np.multiply(columns, columns, out=out[1 + n_features :])
        return out

    def coefficients(self, offset: Array, means: Array, root: Array) -> Array:
        precision = np.broadcast_to(root * root, means.shape)
        linear = precision * means
        constant = offset - 0.5 * np.einsum("ki,ki->k", linear, means)
        return np.concatenate([constant[:, None], linear, -0.5 * precision], axis=1)

    def moments(self, sums: Array, n_features: int) -> tuple[Array, Array, Array]:
        counts, means = _counts_and_means(sums, n_features)
        return counts, means, sums[:, 1 + n_features :] - self.outer(counts, means)

    def second_moment_bound(self, second: Array) -> Array:
        return second

    def spread(self, blocks: Array, n_components: int, n_features: int) -> Array:
        return np.broadcast_to(blocks, (n_components, n_features))

    def narrow(self, blocks: Array, floor: Array) -> list[Array]:
        n_features = len(floor)
        if blocks.shape[1] < n_features:  # one variance for all columns: all of them, or none
            below = np.repeat(blocks < BELOW_FLOOR * floor.mean(), n_features, axis=1)
        else:
            below = blocks < BELOW_FLOOR * floor
        return [np.eye(n_features)[:, columns] for columns in below]

    def flat(self, covariance: Array) -> Array:
        without_extent: Array = np.eye(len(covariance))[:, np.diagonal(covariance) < FLAT_VARIANCE]
        return without_extent

    def tightest(self, root: Array, floor: Array) -> Array:
        scale = floor if root.shape[1] == len(floor) else floor.mean()
        bound: Array = (root * root * scale).max(axis=1)
        return bound


def _narrow_axes(block: Array) -> Array:
    """Directions of one matrix below 1, as columns.

    Where its range defeats the factorisation, those too that are lost in the rounding of its
    largest, as long as that rounding.
    """
    variances, axes = np.linalg.eigh(block)
    least = BELOW_FLOOR
    try:
        inverse_root(block[None])
    except DegenerateFitError:
        least = max(least, LOST_IN_ROUNDING * float(variances[-1]))
    below: Array = axes[:, variances < least] * np.sqrt(max(1.0, least))
    return below


@lru_cache(maxsize=64)
def _upper_triangle(n_features: int) -> tuple[Integers, Integers]:
    """Rows and columns of the pairs i <= j, in the order of the features."""
    return np.triu_indices(n_features)


def _counts_and_means(sums: Array, n_features: int) -> tuple[Array, Array]:
    counts = sums[:, 0].copy()
    means = np.zeros((len(counts), n_features))
    np.divide(sums[:, 1 : 1 + n_features], counts[:, None], out=means, where=counts[:, None] > 0)
    return counts, means


DENSE = Dense()
AXES = Axes()
