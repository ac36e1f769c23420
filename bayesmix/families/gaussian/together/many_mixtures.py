"""Maximum likelihood of many Gaussian mixtures over the same few rows: passes that they share.

Components of all mixtures are lines of one matrix: a product with features of the rows makes their
log densities, another one their sums. Sums of 1, x and products of x lose digits where clusters lie
far apart: what comes of them is where fits begin, no fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np

from bayesmix.families.gaussian.covariance.models import NAMED, STRUCTURES, Structure
from bayesmix.families.gaussian.moments import Moments
from bayesmix.families.gaussian.point import Gaussians, maximum_likelihood
from bayesmix.families.gaussian.together.conditional_steps import TOGETHER, Ownership
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.features import AXES
from bayesmix.numerics.wishart import LOG_2PI
from bayesmix.records import Frame

# Values of one block of log joints: enough for a product, and few enough to stay in cache.
BLOCK_VALUES = 2**17
# A component of fewer rows than this many for every number that a column takes may be a collapse.
ROWS_A_COLUMN = 25.0
LEAST_ROWS = 1.0
# A sum of joints above this has its digits without a look at the largest of them.
SMALLEST_SUM = 1e-250


@dataclass(frozen=True)
class Bundle:
    """Mixtures by structure (names (C,), equal ones side by side) and number of components."""

    structures: tuple[str, ...]
    sizes: Integers

    @cached_property
    def division(self) -> Ownership:
        return Ownership(self.sizes)

    @cached_property
    def alike(self) -> list[tuple[str, slice, slice, Ownership]]:
        """Of every structure its mixtures, their components, and which are whose."""
        found, mixture, component = [], 0, 0
        for name, group in groupby(self.structures):
            mixtures = slice(mixture, mixture + len(list(group)))
            parts = Ownership(self.sizes[mixtures])
            components = slice(component, component + len(parts.owner))
            found.append((name, mixtures, components, parts))
            mixture, component = mixtures.stop, components.stop
        return found

    def subset(self, keep: Booleans) -> Bundle:
        """Some of the mixtures."""
        names = tuple(name for name, kept in zip(self.structures, keep, strict=True) if kept)
        return Bundle(names, self.sizes[keep])


@dataclass(frozen=True)
class SharedRows:
    """Rows of a frame as features (F, n): 1, x and products of x."""

    values: Array  # (n, D)
    weights: Array
    frame: Frame
    floor: Array  # (D,) smallest variances that the rows support

    @cached_property
    def features(self) -> Array:
        columns = self.values.T
        left, right = self._sides
        return np.vstack([np.ones(len(self.values)), columns, columns[left] * columns[right]])

    @cached_property
    def total(self) -> float:
        return float(self.weights.sum())

    @cached_property
    def _sides(self) -> tuple[Integers, Integers]:
        """Which columns products are of."""
        return np.triu_indices(self.values.shape[1])

    @cached_property
    def _squares(self) -> Booleans:
        """Which products are squares."""
        left, right = self._sides
        same: Booleans = left == right
        return same

    def sums(self, shares: Array) -> Array:
        """Σ w r f (M, F) of responsibilities (M, n)."""
        summed: Array = (shares * self.weights) @ self.features.T
        return summed

    def _moments(self, sums: Array) -> tuple[Array, Array, Array]:
        """Counts (M,), means (M, D), and scatter as its products (M, P)."""
        size = self.values.shape[1]
        left, right = self._sides
        counts = np.maximum(sums[:, 0], np.finfo(float).tiny)
        means = sums[:, 1 : 1 + size] / counts[:, None]
        return (
            counts,
            means,
            sums[:, 1 + size :] - counts[:, None] * means[:, left] * means[:, right],
        )

    def _blocks(self, structure: Structure, products: Array) -> Array:
        """Scatter in the blocks of a structure, nothing pooled."""
        if structure.algebra.kind == AXES:
            return np.maximum(products[:, self._squares], 0.0)
        size = self.values.shape[1]
        left, right = self._sides
        scatter = np.empty((len(products), size, size))
        scatter[:, left, right] = scatter[:, right, left] = products
        return scatter

    def maximised(
        self, bundle: Bundle, sums: Array, kept: Mapping[str, Array]
    ) -> tuple[Array, Booleans, dict[str, Array]]:
        """The M-step: coefficients (M, F) of log joints, which mixtures are sound, what to keep."""
        counts, means, products = self._moments(sums)
        size = means.shape[1]
        left, right = self._sides
        coefficients = np.zeros_like(sums)
        slopes, squares = coefficients[:, 1 : 1 + size], coefficients[:, 1 + size :]
        factors = np.where(self._squares, -0.5, -1.0)
        log_det = np.empty(len(sums))
        after: dict[str, Array] = {}
        for name, _, own, parts in bundle.alike:
            structure = NAMED[name]
            step = TOGETHER[structure.letters]
            scatter = self._blocks(structure, products[own])
            precisions, log_det[own], keep = step(parts, counts[own], scatter, kept.get(name))
            if keep is not None:
                after[name] = keep
            if precisions.ndim == 2:
                slopes[own] = precisions * means[own]
                squares[own, self._squares] = -0.5 * precisions
            else:
                slopes[own] = (precisions @ means[own][:, :, None])[:, :, 0]
                squares[own] = precisions[:, left, right] * factors
        quadratic = np.einsum("kd,kd->k", slopes, means)
        coefficients[:, 0] = np.log(counts / self.total)
        coefficients[:, 0] -= 0.5 * (log_det + size * LOG_2PI + quadratic)
        narrow = -2.0 * (squares[:, self._squares] @ self.floor) > 1.0
        bad = narrow & (counts < ROWS_A_COLUMN * (size + 1))
        bad |= ~np.isfinite(coefficients[:, 0]) | (counts < LEAST_ROWS)
        sound = ~np.logical_or.reduceat(bad, bundle.division.starts)
        coefficients[bad] = 0.0
        return coefficients, sound, after

    def expected(self, bundle: Bundle, coefficients: Array) -> tuple[Array, Array]:
        """The E-step: log likelihoods (C,) in the frame, and the sums (M, F)."""
        n_rows, sizes = len(self.values), bundle.sizes
        values = np.zeros(len(sizes))
        sums = np.zeros_like(coefficients)
        block = max(64, BLOCK_VALUES // len(coefficients))
        for first in range(0, n_rows, block):
            rows = slice(first, first + block)
            features, weights = self.features[:, rows], self.weights[rows]
            joint, log_total, total = self._joints(bundle, coefficients @ features)
            values += log_total @ weights
            joint *= np.repeat(weights / total, sizes, axis=0)
            sums += joint @ features.T
        return values, sums

    @staticmethod
    def _joints(bundle: Bundle, joint: Array) -> tuple[Array, Array, Array]:
        """Joints but for a factor a row and mixture, logarithms of their sums, those sums."""
        starts, sizes = bundle.division.starts, bundle.sizes
        plain = np.exp(joint)
        total = np.add.reduceat(plain, starts, axis=0)
        if total.min() > SMALLEST_SUM:
            return plain, np.log(total), total
        highest = np.maximum.reduceat(joint, starts, axis=0)
        joint -= np.repeat(highest, sizes, axis=0)
        np.exp(joint, out=joint)
        total = np.add.reduceat(joint, starts, axis=0)
        return joint, np.log(total) + highest, total

    def halves(self, bundle: Bundle, coefficients: Array, sums: Array) -> Array:
        """Of the sums of every component those (M, F) of its rows on one side of its mean.

        Sides lie along the axis in which it extends farthest.
        """
        _, means, products = self._moments(sums)
        axes = np.linalg.eigh(self._blocks(STRUCTURES["full"], products))[1][:, :, -1]
        middle = np.einsum("md,md->m", axes, means)[:, None]
        found = np.zeros_like(sums)
        block = max(64, BLOCK_VALUES // len(sums))
        for first in range(0, len(self.values), block):
            rows = slice(first, first + block)
            features = self.features[:, rows]
            joint, _, total = self._joints(bundle, coefficients @ features)
            joint *= np.repeat(self.weights[rows] / total, bundle.sizes, axis=0)
            joint *= axes @ self.values[rows].T > middle
            found += joint @ features.T
        return found

    def losses(self, one: Array, other: Array) -> Array:
        """What log likelihoods lose (M,) where two components, by their sums, become one."""
        lost: Array = self._spread(one + other) - self._spread(one) - self._spread(other)
        return lost

    def _spread(self, sums: Array) -> Array:
        """n log(|S / n|^½ / n) (M,) of n rows with scatter S."""
        counts, _, products = self._moments(sums)
        variances = self._blocks(STRUCTURES["full"], products) / counts[:, None, None]
        log_det = np.linalg.slogdet(variances + np.diag(self.floor))[1]
        spread: Array = counts * (0.5 * log_det - np.log(counts))
        return spread

    def components(self, structure: str, sums: Array) -> Gaussians:
        """Those that maximise, of the sums of one mixture."""
        model = NAMED[structure]
        counts, means, products = self._moments(sums)
        scatter = self._blocks(model, products)
        pooled = Moments(model, counts, means, model.blocks.pool(scatter))
        return maximum_likelihood(model, pooled, None, None, None)
