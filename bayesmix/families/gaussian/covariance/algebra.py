"""Algebra of dense Gaussian precisions, in blocks (B, D, D) with B = K, or 1 if shared.

A root U has precision = U Uᵀ, so a squared distance is |Uᵀ(x - m)|².
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np
from scipy.linalg import rq

from bayesmix.core.rows import Frame
from bayesmix.errors import DegenerateFitError
from bayesmix.numerics import arrays as features
from bayesmix.numerics.arrays import Array, Integers, frozen
from bayesmix.numerics.triangular import diagonals, inverse_from_root, inverse_root

if TYPE_CHECKING:
    from bayesmix.families.gaussian.covariance.diagonal import Axes

# Tolerance for the rounding of blocks held at the floor.
BELOW_FLOOR = 0.999
# Variance in columns of unit scale below which all data agree.
FLAT_VARIANCE = 1e-12

# Ratio of the smallest to the largest variance that a factorisation resolves.
LOST_IN_ROUNDING = 1e-12
# Components with responsibility for at most one in this many observations are treated sparsely.
FEW = 2
# Deviations (features times observations) that are squared at once, within the cache.
CACHED = 2**16
# Number of features above which centred distances are faster than products of features.
LINEAR_UP_TO = 64


@dataclass(frozen=True)
class Dense:
    """Operations on full precision matrices in stacks (B, D, D)."""

    kind: ClassVar[int] = features.DENSE

    def linear_is_faster(self, n_features: int) -> bool:
        return n_features <= LINEAR_UP_TO

    def block_dimension(self, n_features: int) -> int:
        """Return p of the Wishart of a block: D for dense, 1 for diagonal."""
        return n_features

    def one_shape(self, n_features: int) -> tuple[int, ...]:
        """Return the shape of one covariance, (D, D) or (D,)."""
        return (n_features, n_features)

    def counts(self, counts: Array, n_features: int) -> Array:
        """Return numbers per component (K,) by Wishart factor: (K,), or (K, D) for diagonals."""
        return counts

    def outer(self, left: Array, right: Array) -> Array:
        """Return l_k r_kᵀ by component, unpooled."""
        return left[:, :, None] * right[:, None, :]

    def scatter(self, values: Array, responsibilities: Array, means: Array) -> Array:
        """Return Σ_n r_nk (x_n - m_k)(x_n - m_k)ᵀ by component, unpooled."""
        columns = values.T
        n_components, n_features = means.shape
        total = np.empty((n_components, n_features, n_features))
        away, weighted = np.empty(columns.shape), np.empty(columns.shape)
        for k in range(n_components):
            shares, mean = responsibilities[:, k], means[k][:, None]
            held = np.flatnonzero(shares)
            if FEW * len(held) < len(shares):
                deviations = columns[:, held] - mean
                np.dot(deviations * shares[held], deviations.T, out=total[k])
            else:
                np.subtract(columns, mean, out=away)
                np.multiply(away, shares, out=weighted)
                np.dot(weighted, away.T, out=total[k])
        return total

    def of_dense(self, matrices: Array) -> Array:
        """Return the represented part of matrices (..., D, D), unpooled."""
        return matrices

    def dense(self, blocks: Array, n_components: int, n_features: int) -> Array:
        """Return matrices (K, D, D) of covariance blocks."""
        return np.broadcast_to(blocks, (n_components, n_features, n_features))

    def add_to_diagonal(self, blocks: Array, entries: Array) -> Array:
        return blocks + np.diag(entries)

    def root(self, inverse: Array) -> Array:
        """Return the root U of the inverse of covariance blocks."""
        return inverse_root(inverse)

    def inverse(self, root: Array) -> Array:
        """Return (U Uᵀ)⁻¹."""
        return inverse_from_root(root)

    def gram(self, root: Array) -> Array:
        """Return U Uᵀ."""
        return root @ root.transpose(0, 2, 1)

    def log_det(self, root: Array) -> Array:
        """Return log |U Uᵀ| by block."""
        return 2.0 * np.add.reduce(np.log(root.diagonal(0, 1, 2)), axis=1)

    def per_component(self, block_values: Array, n_components: int, n_features: int) -> Array:
        """Sum numbers per block to numbers per component (K,)."""
        return (
            block_values if len(block_values) == n_components else block_values.repeat(n_components)
        )

    def by_column(self, block_values: Array, n_components: int, n_features: int) -> None:
        """Return numbers per block by column (K, D), None for blocks of several columns."""
        return None

    def squared(self, values: Array, means: Array, root: Array) -> Array:
        """Return |Uᵀ(x_n - m_k)|² (n, K)."""
        columns = values.T
        if columns.shape[1] == 1:
            # A product with one column uses another BLAS routine, with different rounding.
            return self.squared(columns.repeat(2, axis=1).T, means, root)[:1]
        out = np.empty((len(means), columns.shape[1]))
        shared = len(root) == 1
        away, whitened = np.empty(columns.shape), np.empty(columns.shape)
        for k in range(len(means)):
            np.subtract(columns, means[k][:, None], out=away)
            np.matmul(root[0 if shared else k].T, away, out=whitened)
            np.multiply(whitened, whitened, out=whitened)
            np.add.reduce(whitened, axis=0, out=out[k])
        return out.T

    def whitened(self, away: Array, root: Array) -> Array:
        """Return Uᵀ a_k (K, D) for vectors a (K, D)."""
        return (away[:, None, :] @ root)[:, 0]

    def lengths(self, away: Array, root: Array) -> Array:
        """Return |Uᵀ a_k|² (K,) for vectors a (K, D)."""
        along = self.whitened(away, root)
        return np.vecdot(along, along)

    def trace(self, blocks: Array, root: Array) -> Array:
        """Return tr(blocks U Uᵀ) by block."""
        return np.einsum("bij,bij->b", blocks, self.gram(root))

    def product(self, left: Array, right: Array) -> Array:
        """Return Lᵀ R by block."""
        return left.transpose(0, 2, 1) @ right

    def inner(self, left: Array, right: Array) -> Array:
        """Return tr(L Lᵀ R Rᵀ) by block, from roots."""
        product = self.product(left, right)
        return np.einsum("bij,bij->b", product, product)

    def factor(self, blocks: Array) -> Array:
        """Return L with blocks = L Lᵀ."""
        return np.linalg.cholesky(blocks).astype(np.float64, copy=False)

    def stretch(self, blocks: Array, scale: Array) -> Array:
        """Return covariance blocks in coordinates multiplied by ``scale``."""
        return blocks * (scale[:, None] * scale)

    def features(self, values: Array, out: Array | None = None) -> Array:
        columns = values.T
        n_features, n = columns.shape
        if out is None:
            out = np.empty((1 + n_features + n_features * (n_features + 1) // 2, n))
        if not np.may_share_memory(values, out):
            out[0] = 1.0
            out[1 : 1 + n_features] = columns
        place = 1 + n_features
        for i in range(n_features):
            np.multiply(columns[i], columns[i:], out=out[place : place + n_features - i])
            place += n_features - i
        return out

    def coefficients(self, offset: Array, means: Array, root: Array) -> Array:
        n_components, n_features = means.shape
        # |Uᵀ(x - m)|² = |Aᵀ [-1, x]|² with A = [mᵀ U; U].
        A = np.empty((n_components, 1 + n_features, n_features))
        np.matmul(means[:, None, :], root, out=A[:, :1])
        A[:, 1:] = root
        square = (A @ A.transpose(0, 2, 1)).reshape(n_components, (1 + n_features) ** 2)
        pairs = _pairs(n_features)
        out = square.take(pairs.place, axis=1)
        out *= _factors(n_components, n_features)
        out[:, 0] += offset
        return out

    def second(self, sums: Array, n_features: int) -> Array:
        """Return Σ r x xᵀ, unpooled, from sums of features."""
        return sums.take(_pairs(n_features).feature, axis=1)

    def feature_bounds(self, counts: Array, second: Array) -> Array:
        """Return bounds (K, F) on Σ r |φ| from Σ r (K,) and Σ r x² (K, D)."""
        # Cauchy and Schwarz, as features are products of two entries of [1, x].
        n_components, n_features = second.shape
        root = np.empty((n_components, 1 + n_features))
        root[:, 0] = counts
        root[:, 1:] = second
        np.sqrt(root, out=root)
        left, right = _pairs(n_features).sides
        return root.take(left, axis=1) * root.take(right, axis=1)

    def spread(self, blocks: Array, n_components: int, n_features: int) -> Array:
        """Return diagonals (K, D) of covariance blocks."""
        variances = diagonals(blocks)
        return variances if len(variances) == n_components else variances.repeat(n_components, 0)

    def narrow(self, blocks: Array, floor: Array) -> list[Array]:
        """Return for each block the directions (D, f) along which it is below ``floor`` (D,).

        Directions are orthogonal in columns divided by sqrt(floor); their length is the standard
        deviation to hold there: 1, or more if rounding hides more.
        """
        unit = np.sqrt(floor)
        return [_narrow_axes(block / np.outer(unit, unit)) for block in blocks]

    def select(self, blocks: Array, columns: Integers) -> Array:
        """Return covariance blocks of some columns."""
        return np.ascontiguousarray(blocks[:, columns[:, None], columns])

    def flat(self, covariance: Array) -> tuple[Array, Array]:
        """Return orthonormal directions with extent (D, D') and without (D, f).

        ``covariance`` is that of the data, in columns of unit scale: (D, D), or (D,) for axes.
        """
        columns = np.diagonal(covariance) < FLAT_VARIANCE
        rest = covariance[np.ix_(~columns, ~columns)]
        variances, axes = np.linalg.eigh(rest) if len(rest) else (np.zeros(0), np.zeros((0, 0)))
        identity = np.eye(len(covariance))
        if not (variances < FLAT_VARIANCE).any():
            # With constant columns only, the axes are kept exactly.
            return identity[:, ~columns], identity[:, columns]
        within = identity[:, ~columns]
        without = variances < FLAT_VARIANCE
        flat = np.hstack([identity[:, columns], within @ axes[:, without]])
        return within @ axes[:, ~without], flat

    def lift(self, blocks: Array, frame: Frame, along_flat: float) -> Array:
        """Transform covariance blocks to data coordinates, with a variance for flat directions."""
        if frame.basis is not None and frame.flat is not None:
            blocks = frame.basis @ blocks @ frame.basis.T
            blocks = blocks + along_flat * (frame.flat @ frame.flat.T)
        return self.stretch(blocks, frame.scale)

    def root_of_lifted(self, blocks: Array, frame: Frame, along_flat: float) -> Array:
        """Return the roots of the inverses of ``lift``, from the factors of the blocks.

        A lifted block mixes columns of unlike extent, and may be singular in rounding.
        """
        root = self.root(blocks)
        if frame.basis is not None and frame.flat is not None:
            flat = np.broadcast_to(frame.flat / np.sqrt(along_flat), (len(root), *frame.flat.shape))
            whole = np.concatenate([frame.basis @ root, flat], axis=2)
            root = np.stack([rq(matrix, mode="r") for matrix in whole])
            root = root * np.sign(diagonals(root))[:, None, :]
        return root / frame.scale[:, None]

    def project(self, blocks: Array, frame: Frame) -> Array:
        """Transform covariance blocks from data coordinates to the frame."""
        blocks = self.stretch(blocks, 1.0 / frame.scale)
        if frame.basis is not None:
            blocks = frame.basis.T @ blocks @ frame.basis
        return blocks

    def tightest(self, root: Array, floor: Array) -> Array:
        """Return an upper bound (B,) on floor / variance; below 1 the block is above the floor."""
        return np.vecdot(root, root) @ floor


def _narrow_axes(block: Array) -> Array:
    """Return directions of a matrix with variance below 1, as columns.

    If the factorisation fails, also those lost in the rounding of the largest, with its length.
    """
    variances, axes = np.linalg.eigh(block)
    least = BELOW_FLOOR
    try:
        inverse_root(block[None])
    except DegenerateFitError:
        least = max(least, LOST_IN_ROUNDING * float(variances[-1]))
    return axes[:, variances < least] * np.sqrt(max(1.0, least))


@dataclass(frozen=True)
class _Pairs:
    """Features as pairs i <= j of z = [1, x], in the order 1, x, x xᵀ."""

    sides: tuple[Integers, Integers]  # i and j (F,)
    place: Integers  # (F,) of (i, j) in a flattened matrix M (1 + D, 1 + D)
    feature: Integers  # (D, D) index of x_i x_j


@lru_cache(maxsize=64)
def _pairs(n_features: int) -> _Pairs:
    size = 1 + n_features
    left, right = np.triu_indices(size)
    feature = np.empty((size, size), dtype=np.intp)
    feature[left, right] = feature[right, left] = np.arange(len(left))
    return frozen(_Pairs((left, right), left * size + right, feature[1:, 1:].copy()))


@lru_cache(maxsize=64)
def _factors(n_components: int, n_features: int) -> Array:
    """Return the coefficients of M_ij z_i z_j in -½ [-1, x]ᵀ M [-1, x] (K, F)."""
    left, right = _pairs(n_features).sides
    factors = np.where(left == right, -0.5, np.where(left == 0, 1.0, -1.0))
    return frozen(np.tile(factors, (n_components, 1)))


# Dense or diagonal precisions.
Algebra: TypeAlias = "Dense | Axes"
DENSE = Dense()
