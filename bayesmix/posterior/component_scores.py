"""Derivatives of the log densities of components, by closed forms or central differences."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, singledispatch
from itertools import product
from typing import Any

import numpy as np

from bayesmix.allocation.point import PointWeights
from bayesmix.core.mixture import Mixture
from bayesmix.core.parameters import Coordinate
from bayesmix.families.categorical import Categoricals
from bayesmix.families.dependent_categorical import DependentCategoricals
from bayesmix.families.gaussian.covariance.coordinates import FREE_BLOCKS
from bayesmix.families.gaussian.family import Gaussians
from bayesmix.families.successes import Bernoullis
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.gaps import seen
from bayesmix.posterior.gate_errors import DIFFERENCE
from bayesmix.posterior.unit_scores import SECOND, FitScores


class ComponentScores(FitScores):
    """Scores from the log densities of components along their coordinates, and curvatures."""

    def log_densities(self, components: Any) -> Array:
        """Return the log density of each component (n, K) at the observed cells."""
        K = self.result.n_components
        mixture = Mixture(PointWeights(np.full(K, 1.0 / K)), components, self.frame)
        with np.errstate(divide="ignore", invalid="ignore"):
            return mixture.log_joint(self.source.rows) + np.log(K)

    def stepped(self, *moves: tuple[int, float]) -> Any:
        """Return components with steps along some coordinates, in their units."""
        components = self.components
        for place, step in moves:
            each = self.coordinates[place]
            components = each.moved(components, step * each.units)
        return components

    @cached_property
    def gradients(self) -> Array:
        """Derivatives (d, n, K) of the components' log densities along the coordinates."""
        out = np.empty((len(self.coordinates), len(self.rows), self.result.n_components))
        for place in range(len(out)):
            up, down = (
                self.log_densities(self.stepped((place, s))) for s in (DIFFERENCE, -DIFFERENCE)
            )
            with np.errstate(invalid="ignore"):
                out[place] = np.nan_to_num((up - down) / (2.0 * DIFFERENCE))
        return out

    def curvatures(self) -> Iterator[tuple[int, int, Array]]:
        """Yield pairs of coordinates with second derivatives (K,) of Σ w r log f."""
        shares, n = self.row_weights[:, None] * self.responsibilities, len(self.coordinates)
        values = self.frame.apply(self.source.rows.values)
        exact = closed_curvatures(self.components, self.coordinates, values, shares)
        if exact is not None:
            yield from exact
            return

        def at(*steps: tuple[int, float]) -> Array:
            logs = self.log_densities(self.stepped(*steps))
            return (shares * np.where(shares > 0.0, logs, 0.0)).sum(axis=0)

        here = at()
        single = [at((place, SECOND)) + at((place, -SECOND)) for place in range(n)]
        for first in range(n):
            yield first, first, (single[first] - 2.0 * here) / SECOND**2
            for second in range(first):
                if self.coordinates[first].block == self.coordinates[second].block:
                    both = sum(at((first, s), (second, s)) for s in (SECOND, -SECOND))
                    mixed = both - single[first] - single[second] + 2.0 * here
                    yield first, second, 0.5 * mixed / SECOND**2


@singledispatch
def closed_curvatures(
    components: Any, coordinates: list[Coordinate[Any]], values: Array, shares: Array
) -> Iterator[tuple[int, int, Array]] | None:
    """Return pairs of coordinates with second derivatives (K,) of Σ w r log f, if these are known.

    None: by differences.
    """
    return None


@closed_curvatures.register(Gaussians)
def _of_normals(
    components: Gaussians, coordinates: list[Coordinate[Any]], values: Array, shares: Array
) -> Iterator[tuple[int, int, Array]] | None:
    free = components.blocks.ndim == 3 and components.structure.name in FREE_BLOCKS
    if not free or np.isnan(values).any():
        return None
    hessians, n = _dense_hessians(components, coordinates, values, shares), len(coordinates)
    return ((i, j, hessians[:, i, j]) for i in range(n) for j in range(i + 1))


@closed_curvatures.register(Categoricals)
def _of_levels(
    components: Categoricals, coordinates: list[Coordinate[Any]], values: Array, shares: Array
) -> Iterator[tuple[int, int, Array]]:
    """Yield pairs of coordinates, log odds of levels, with second derivatives (K,) of Σ w r log p.

    Exact, so that weights are repetitions in all digits.
    """
    counts, place = shares.T @ seen(values), 0  # (K, D)
    for d, (start, end) in enumerate(components.reading.pairs):
        p = components.probabilities[:, start + 1 : end]
        for i, j in product(range(p.shape[1]), repeat=2):
            if j <= i:
                of_both = p[:, i] * ((i == j) - p[:, j])
                yield place + i, place + j, -counts[:, d] * of_both
        place += p.shape[1]


@closed_curvatures.register(DependentCategoricals)
def _of_cells(
    components: DependentCategoricals,
    coordinates: list[Coordinate[Any]],
    values: Array,
    shares: Array,
) -> Iterator[tuple[int, int, Array]] | None:
    """Yield pairs of effects on a block with second derivatives (K,) of Σ w r log p."""
    if np.isnan(values).any():
        return None
    reading, p = components.reading, components.cell_probabilities
    counts = shares.sum(axis=0)
    indicators = [reading.indicator(effect) for effect in reading.effects]
    blocks = [reading.block_of(effect) for effect in reading.effects]
    means = [p @ indicator for indicator in indicators]
    return (
        (i, j, -counts * (p @ (indicators[i] * indicators[j]) - means[i] * means[j]))
        for i in range(len(blocks))
        for j in range(i + 1)
        if blocks[i] == blocks[j]
    )


@closed_curvatures.register(Bernoullis)
def _of_binary(
    components: Bernoullis, coordinates: list[Coordinate[Any]], values: Array, shares: Array
) -> Iterator[tuple[int, int, Array]]:
    """Yield coordinates, log odds of columns, with second derivatives (K,) of Σ w r log p."""
    p = components.probabilities
    curvature = -(shares.T @ seen(values)) * p * (1.0 - p)  # (K, D)
    yield from ((place, place, curvature[:, place]) for place in range(len(coordinates)))


def _dense_hessians(
    components: Gaussians, coordinates: list[Coordinate[Any]], values: Array, shares: Array
) -> Array:
    """Return second derivatives (K, d, d) of Σ w r log N(x | μ, Σ), in units of the coordinates.

    The closed form of what differences approximate, which for full covariances take seconds.
    """
    K, D = components.means.shape
    hessians = np.empty((K, len(coordinates), len(coordinates)))
    rows, columns = np.tril_indices(D)
    basis = np.zeros((len(rows), D, D))
    basis[np.arange(len(rows)), rows, columns] = basis[np.arange(len(rows)), columns, rows] = 1.0
    units = np.array([each.units for each in coordinates]).T
    for k, precision in enumerate(np.linalg.inv(components.covariances)):
        whitened = (values - components.means[k]) @ precision
        first, second = shares[:, k] @ whitened, (shares[:, k, None] * whitened).T @ whitened
        n, turned, hessian = shares[:, k].sum(), precision @ basis, hessians[k]
        hessian[:D, :D] = -n * precision
        hessian[D:, :D] = -(turned @ first)
        hessian[:D, D:] = hessian[D:, :D].T
        hessian[D:, D:] = 0.5 * n * np.einsum("aij,bji->ab", turned, turned)
        hessian[D:, D:] -= np.einsum("aij,bji->ab", basis, turned @ second)
        hessian *= np.outer(units[k], units[k])
    return hessians
