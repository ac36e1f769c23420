"""How far out a row lies in a component, as the share of the component's rows that lie nearer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammainc

from bayesmix.engine.expectation import block_rows
from bayesmix.families.gaussian.point import Gaussians
from bayesmix.numerics.arrays import Array
from bayesmix.protocols import PointComponents
from bayesmix.records import Mixture, Rows

# Contours at which shares are counted.
GRID = 100
REFERENCE_ROWS = 5000
# Equal rows have log densities that differ by rounding.
DECIMALS = 8
# Rows that belong to a component with no more than this are not looked at for it.
NO_SHARE = 1e-9


@dataclass(frozen=True)
class Distances:
    """Of Gaussian components: the chi-squared probability of the squared Mahalanobis distance."""

    components: Gaussians

    def mass(self, values: Array, k: int, weights: Array) -> Array:
        """Weights of rows by the cell of the grid that they lie in (G,)."""
        held = weights > NO_SHARE
        values, weights = values[held], weights[held]
        structure = self.components.structure
        one = structure.blocks.keep(self.components.precision_root, np.array([k]))
        squared = structure.algebra.squared(values, self.components.means[[k]], one)[:, 0]
        nearer = gammainc(0.5 * values.shape[1], 0.5 * squared)
        cells = np.minimum((nearer * GRID).astype(np.int64), GRID - 1)
        mass: Array = np.bincount(cells, weights, GRID).astype(np.float64)
        return mass


@dataclass(frozen=True)
class Ranks:
    """Of discrete components: log densities among those (K, M, sorted) of rows drawn from each.

    A row that ties with others is spread evenly over what lies between the share of more probable
    rows and that of as probable ones as well (Czado, Gneiting & Held 2009), which is the average of
    the randomised transform.
    """

    components: PointComponents
    drawn: Array

    def mass(self, values: Array, k: int, weights: Array) -> Array:
        """Weights of rows by the cell of the grid that they lie in (G,)."""
        held = weights > NO_SHARE
        values, weights = values[held], weights[held]
        one = self.components.subset(np.array([k]))
        log_density = one.expected_log_density(values)[:, 0].round(DECIMALS)
        drawn = self.drawn[k]
        # The row itself is one of those as probable: no rank is 0 or 1.
        total = len(drawn) + 1.0
        low = (len(drawn) - np.searchsorted(drawn, log_density, side="right")) / total
        high = (len(drawn) - np.searchsorted(drawn, log_density, side="left") + 1.0) / total
        edges = np.linspace(0.0, 1.0, GRID + 1)
        reached = np.clip((edges - low[:, None]) / (high - low)[:, None], 0.0, 1.0)
        mass: Array = np.diff(weights @ reached)
        return mass


def reference(
    mixture: Mixture[PointComponents], generator: np.random.Generator
) -> Distances | Ranks:
    """What rows are compared with: a distribution, or rows drawn where none is known."""
    components = mixture.components
    if isinstance(components, Gaussians):
        return Distances(components)
    K = components.n_components
    rows = components.draw(np.full(K, REFERENCE_ROWS), generator)
    drawn = np.empty((K, REFERENCE_ROWS))
    for k in range(K):
        own = rows[k * REFERENCE_ROWS : (k + 1) * REFERENCE_ROWS]
        one = components.subset(np.array([k]))
        drawn[k] = np.sort(one.expected_log_density(own)[:, 0].round(DECIMALS))
    return Ranks(components, drawn)


@dataclass(frozen=True)
class ReachStep:
    """Rows to responsibilities by component and cell of the grid (K, G)."""

    mixture: Mixture
    reference: Distances | Ranks

    def __call__(self, rows: Rows) -> Array:
        mixture = self.mixture
        mass = np.zeros((mixture.n_components, GRID))
        for block in rows.blocks(block_rows(rows.values.shape[1], mixture.n_components)):
            values = mixture.frame.apply(block.values)
            shares, _ = mixture.responsibilities(values)
            if block.weights is not None:
                shares *= block.weights[:, None]
            for k in range(mixture.n_components):
                mass[k] += self.reference.mass(values, k, shares[:, k])
        return mass


@dataclass(frozen=True)
class Inside:
    """Expected rows of every component (K,), and how many lie inside each contour (K, G + 1)."""

    counts: Array
    reached: Array

    @property
    def shares(self) -> Array:
        """Of all rows (G + 1,)."""
        shares: Array = self.reached.sum(axis=0) / self.counts.sum()
        return shares

    @property
    def by_component(self) -> Array:
        """Of each component's rows (K, G + 1); those of a component without rows are as expected.

        A component that no row belongs to has nothing to be judged by.
        """
        held = self.counts > 0
        shares = np.tile(np.linspace(0.0, 1.0, GRID + 1), (len(self.counts), 1))
        shares[held] = self.reached[held] / self.counts[held, None]
        return shares
