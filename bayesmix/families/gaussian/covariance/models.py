"""Covariance structures: their free parameters, blocks, algebra and M-steps.

Σ_k = λ_k D_k A_k D_kᵀ (Banfield & Raftery 1993; Celeux & Govaert 1995): volume, shape and
orientation are equal (E), variable (V) or the identity (I), named as in mclust and scikit-learn.

Dense precisions are blocks (B, D, D) with B = K, or 1 if shared. A root U has precision = U Uᵀ, so
a squared distance is |Uᵀ(x - m)|².
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np
from scipy.linalg import rq

from bayesmix.core.rows import Frame
from bayesmix.errors import DegenerateFitError, UnsupportedError
from bayesmix.numerics.arrays import PRODUCTS, Array, Integers, align, frozen
from bayesmix.numerics.memo import once
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

    kind: ClassVar[int] = PRODUCTS  # of features
    diagonal: ClassVar[bool] = False

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
        """Return φ(x) = [1, x, x_i x_j for i <= j] (F, n), in ``out`` if given."""
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
        """Return Θ (K, F) with Θ φ(x) = offset_k - ½ |Uᵀ(x - m_k)|²."""
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
        frame.refuse_rest()
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
    def volumes_differ(self) -> bool:
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
