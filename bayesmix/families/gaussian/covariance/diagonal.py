"""Algebra of diagonal Gaussian precisions, in arrays (K, D) with 1 for K or D if shared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bayesmix.core.rows import Frame
from bayesmix.errors import DegenerateFitError
from bayesmix.families.gaussian.covariance.models import BELOW_FLOOR, CACHED, FLAT_VARIANCE
from bayesmix.numerics.arrays import SQUARES, Array, Integers, diagonal_matrices

# Below this the square of an inverse root overflows.
SMALLEST_VARIANCE = 1e-290


@dataclass(frozen=True)
class Axes:
    """Diagonal precisions as arrays (K, D), with 1 for K or D if shared; see ``Dense``."""

    kind: ClassVar[int] = SQUARES
    diagonal: ClassVar[bool] = True

    def linear_is_faster(self, n_features: int) -> bool:
        return True

    def block_dimension(self, n_features: int) -> int:
        return 1

    def one_shape(self, n_features: int) -> tuple[int, ...]:
        return (n_features,)

    def counts(self, counts: Array, n_features: int) -> Array:
        return np.repeat(counts[:, None], n_features, axis=1)

    def outer(self, left: Array, right: Array) -> Array:
        return left * right

    def scatter(self, values: Array, responsibilities: Array, means: Array) -> Array:
        columns = values.T
        total = np.empty(means.shape)
        size = max(1, CACHED // max(1, len(values)))
        for first in range(0, len(columns), size):
            block = slice(first, first + size)
            for k in range(len(means)):
                away = columns[block] - means[k, block, None]
                away *= away
                np.dot(away, responsibilities[:, k], out=total[k, block])
        return total

    def of_dense(self, matrices: Array) -> Array:
        return np.diagonal(matrices, axis1=-2, axis2=-1).copy()

    def dense(self, blocks: Array, n_components: int, n_features: int) -> Array:
        return diagonal_matrices(np.broadcast_to(blocks, (n_components, n_features)))

    def add_to_diagonal(self, blocks: Array, entries: Array) -> Array:
        return blocks + entries

    def root(self, inverse: Array) -> Array:
        if not np.all(inverse > SMALLEST_VARIANCE):
            worst = int(np.argmin(inverse.min(axis=1)))
            raise DegenerateFitError(
                f"the covariance of component {worst + 1} is singular (smallest variance "
                f"{inverse[worst].min():.1e} in columns of unit scale): "
                "use a prior, or fewer components"
            )
        return 1.0 / np.sqrt(inverse)

    def inverse(self, root: Array) -> Array:
        return 1.0 / (root * root)

    def gram(self, root: Array) -> Array:
        return root * root

    def log_det(self, root: Array) -> Array:
        return 2.0 * np.log(root)

    def per_component(self, block_values: Array, n_components: int, n_features: int) -> Array:
        return self.spread(block_values, n_components, n_features).sum(axis=1)

    def by_column(self, block_values: Array, n_components: int, n_features: int) -> Array:
        return self.spread(block_values, n_components, n_features)

    def squared(self, values: Array, means: Array, root: Array) -> Array:
        columns = values.T
        out = np.empty((len(means), columns.shape[1]))
        shared = len(root) == 1
        for k in range(len(means)):
            away = (columns - means[k][:, None]) * root[0 if shared else k][:, None]
            np.einsum("dn,dn->n", away, away, out=out[k])
        return out.T

    def whitened(self, away: Array, root: Array) -> Array:
        return away * root

    def lengths(self, away: Array, root: Array) -> Array:
        return ((away * root) ** 2).sum(axis=1)

    def trace(self, blocks: Array, root: Array) -> Array:
        return blocks * root * root

    def product(self, left: Array, right: Array) -> Array:
        return left * right

    def inner(self, left: Array, right: Array) -> Array:
        return (left * right) ** 2

    def factor(self, blocks: Array) -> Array:
        return np.sqrt(blocks)

    def stretch(self, blocks: Array, scale: Array) -> Array:
        return blocks * (scale * scale)[: blocks.shape[-1]]

    def features(self, values: Array, out: Array | None = None) -> Array:
        columns = values.T
        n_features, n = columns.shape
        if out is None:
            out = np.empty((1 + 2 * n_features, n))
        if not np.may_share_memory(values, out):
            out[0] = 1.0
            out[1 : 1 + n_features] = columns
        np.multiply(columns, columns, out=out[1 + n_features :])
        return out

    def coefficients(self, offset: Array, means: Array, root: Array) -> Array:
        precision = self.spread(root * root, *means.shape)
        linear = precision * means
        constant = offset - 0.5 * np.vecdot(linear, means)
        return np.concatenate([constant[:, None], linear, -0.5 * precision], axis=1)

    def second(self, sums: Array, n_features: int) -> Array:
        return sums[:, 1 + n_features :]

    def feature_bounds(self, counts: Array, second: Array) -> Array:
        total = counts[:, None]
        return np.concatenate([total, np.sqrt(total * second), second], axis=1)

    def spread(self, blocks: Array, n_components: int, n_features: int) -> Array:
        if blocks.shape[1] != n_features:
            blocks = blocks.repeat(n_features, axis=1)
        return blocks if len(blocks) == n_components else blocks.repeat(n_components, axis=0)

    def narrow(self, blocks: Array, floor: Array) -> list[Array]:
        n_features = len(floor)
        if blocks.shape[1] < n_features:  # one variance for all columns: all of them, or none
            below = np.repeat(blocks < BELOW_FLOOR * floor.mean(), n_features, axis=1)
        else:
            below = blocks < BELOW_FLOOR * floor
        return [np.eye(n_features)[:, columns] for columns in below]

    def select(self, blocks: Array, columns: Integers) -> Array:
        return blocks if blocks.shape[1] == 1 else blocks[:, columns]

    def flat(self, covariance: Array) -> tuple[Array, Array]:
        columns = covariance < FLAT_VARIANCE
        identity = np.eye(len(covariance))
        basis = identity[:, ~columns] if columns.any() else identity
        return basis, identity[:, columns]

    def lift(self, blocks: Array, frame: Frame, along_flat: float) -> Array:
        frame.refuse_rest()
        if frame.basis is not None and frame.flat is not None:
            blocks = blocks @ frame.basis.T + along_flat * frame.flat.sum(axis=1)
        return self.stretch(blocks, frame.scale)

    def root_of_lifted(self, blocks: Array, frame: Frame, along_flat: float) -> Array:
        return self.root(self.lift(blocks, frame, along_flat))

    def project(self, blocks: Array, frame: Frame) -> Array:
        blocks = self.stretch(blocks, 1.0 / frame.scale)
        return blocks if frame.basis is None else blocks @ frame.basis

    def tightest(self, root: Array, floor: Array) -> Array:
        scale = floor if root.shape[1] == len(floor) else floor.mean()
        return (root * root * scale).max(axis=1)


AXES = Axes()
