"""A tree of merges: nested partitions of cells, from every cell to one cluster.

Small clusters of k-means, the cells, give sums. Pairs of clusters are merged, best first, by what
the evidence of the partition gains (Heller & Ghahramani 2005), without another pass over the data.
The tree has a partition for each number of clusters, from which fits start, and the number at which
the evidence of hard partitions is largest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import gammaln
from threadpoolctl import threadpool_limits

from bayesmix.core.pair_merges import MergedClusters, clusters_of
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.numerics.memo import cached
from bayesmix.sources.cells_of_parts import CellsOfParts, Nearest, nearest
from bayesmix.sources.condensed import PartRead, filled

if TYPE_CHECKING:
    from bayesmix.core.families import Family
    from bayesmix.core.sources import Partitioned
    from bayesmix.numerics.arrays import Array, Integers
    from bayesmix.sources.condensed import CellSource
    from bayesmix.sources.memory import ArraySource

# Most cells of a tree to begin with; of fewer observations each is a cell.
MOST = 200
# Observations for each cell from which the centres of cells are found.
SAMPLED = 50
ROUNDS = 20
# Share of the clusters that are left when hyperparameters are learned again.
LEARNED_AGAIN = 0.75
# Values of the covariances of merges that are predicted side by side (8 MB).
SIDE_BY_SIDE = 2**20


def coordinates_of(family: Family, values: Array) -> Array:
    """Return coordinates (n, C) of data in which k-means looks for cells; medians for gaps."""
    values = filled(values)
    return np.ascontiguousarray(family.coordinates(values)(values))


def cell_labels(coordinates: Array, weights: Array, n_cells: int, seed: int) -> Integers:
    """Return the cell (n,) of each observation: clusters of k-means of a sample."""
    return nearest(coordinates, cell_centres(coordinates, weights, n_cells, seed))


def cell_centres(coordinates: Array, weights: Array, n_cells: int, seed: int) -> Array:
    """Return the centres (M, C) of at most ``n_cells`` cells by k-means of a sample."""
    n = len(coordinates)
    sampled: Any = slice(None)
    if n > SAMPLED * n_cells:
        generator = np.random.default_rng(seed)
        sampled = np.sort(generator.choice(n, SAMPLED * n_cells, replace=False))
    distinct, places = np.unique(coordinates[sampled], axis=0, return_inverse=True)
    counts = np.bincount(places.ravel(), weights[sampled])
    if len(distinct) <= n_cells:
        return distinct
    from sklearn.cluster import KMeans

    k_means = KMeans(n_cells, n_init=1, max_iter=ROUNDS, random_state=seed % 2**32)
    with threadpool_limits(1):  # sums in threads would depend on their number
        centres: Array = k_means.fit(distinct, sample_weight=counts).cluster_centers_
    return centres


@dataclass(frozen=True)
class MergeTree:
    """Merges of L cells: the pairs (L - 1, 2), and the evidence (L,) of L, ..., 1 clusters.

    Each pair (i, j) adds cluster j to i, and later clusters move up by one.
    """

    merges: Integers
    evidence: Array

    @property
    def n_cells(self) -> int:
        return len(self.evidence)

    @property
    def best(self) -> int:
        """Number of clusters at which the evidence of hard partitions is largest."""
        return self.n_cells - int(self.evidence.argmax())

    @cached_property
    def losses(self) -> Array:
        """What each merge loses (L - 1,) in nats."""
        return -np.diff(self.evidence)

    def clusters(self, n_clusters: int) -> Integers:
        """Return the cluster (L,) of each cell in the partition with so many clusters."""
        of_cells = np.arange(self.n_cells)
        for first, second in self.merges[: self.n_cells - n_clusters]:
            of_cells[of_cells == second] = first
            of_cells[of_cells > second] -= 1
        return of_cells


@dataclass(frozen=True)
class PartitionTree:
    """A tree and the cells (n,) of the samples that fits read; None if each sample is a cell."""

    tree: MergeTree
    cells: Integers | None = None

    @property
    def best(self) -> int:
        return self.tree.best

    @property
    def n_cells(self) -> int:
        return self.tree.n_cells

    def labels(self, n_clusters: int) -> Integers:
        """Return the cluster (n,) of each sample in the partition with so many clusters."""
        clusters = self.tree.clusters(n_clusters)
        return clusters if self.cells is None else clusters[self.cells]


def log_partition(counts: Array) -> float:
    """Return the log probability of a partition under uniform weights, with log K!."""
    K, n = len(counts), counts.sum()
    return float(gammaln(K) - gammaln(n + K) + gammaln(counts + 1.0).sum() + gammaln(K + 1))


def merge_tree(parts: Sequence[MergedClusters], counts: Array, n_values: int) -> MergeTree:
    """Merge all clusters of these counts (L,); ``n_values`` of a covariance are kept for a pair."""
    counts, learned_at = counts.copy(), len(counts)
    merges: list[tuple[int, int]] = []
    evidence: list[float] = []
    size = max(1, SIDE_BY_SIDE // n_values)

    def gains_of(first: Integers, second: Integers) -> Array:
        gains = gammaln(counts[first] + counts[second] + 1.0)
        gains -= gammaln(counts[first] + 1.0) + gammaln(counts[second] + 1.0)
        for start in range(0, len(first), size):
            some = slice(start, start + size)
            gains[some] += sum(part.gains(first[some], second[some]) for part in parts)
        return np.asarray(gains)

    def all_gains() -> Array:
        gains, pairs = np.full((len(counts), len(counts)), -np.inf), np.triu_indices(len(counts), 1)
        gains[pairs] = gains_of(*pairs)
        return gains

    gains = all_gains()
    while True:
        K = len(counts)
        if LEARNED_AGAIN * learned_at >= K:
            for part in parts:
                part.relearn()
            gains, learned_at = all_gains(), K
        evidence.append(sum(part.value() for part in parts) + log_partition(counts))
        if K == 1:
            return MergeTree(np.array(merges, dtype=np.int64).reshape(-1, 2), np.array(evidence))
        i, j = divmod(int(gains.argmax()), K)
        merges.append((i, j))
        counts[i] += counts[j]
        counts = np.delete(counts, j)
        for part in parts:
            part.merge(i, j)
        gains = np.delete(np.delete(gains, j, axis=0), j, axis=1)
        others = np.delete(np.arange(K - 1), i)  # i < j keeps its place
        gains[i, :], gains[:, i] = -np.inf, -np.inf
        if len(others):
            first, second = np.minimum(i, others), np.maximum(i, others)
            gains[first, second] = gains_of(first, second)


def tree_of(family: Family, cells: CellSource) -> MergeTree:
    """Return the tree of a family over cells."""
    parts = [_clusters(own, cells.read(part)) for own, part in readings_of(family, cells.looked_at)]
    return merge_tree(parts, cells.rows.weights_or_ones, cells.shape[1] ** 2)


def readings_of(family: Family, values: Array) -> list[tuple[Family, PartRead]]:
    """Return the family of each part of the columns, and what it reads of them.

    A part without sums is that of normals, which read coordinates by ``values`` (n, D).
    """
    readings: list[tuple[Family, PartRead]] = []
    for columns, part in family.families_of_columns(values.shape[1]):
        own: Any = part
        if own.linear and own.has_posterior:
            readings.append((own, PartRead(tuple(columns))))
        else:
            coordinates = own.coordinates(values[:, columns])
            reading = PartRead(tuple(columns), type(own).__name__, coordinates)
            readings.append((Gaussian("diag"), reading))
    return readings


def _clusters(family: Any, cells: CellSource) -> MergedClusters:
    frame, _ = family.set_aside(family.frame(cells.summary), cells.members)
    form = cells.form(family, frame)
    features = cells.mean_features(form, frame) * cells.rows.weights_or_ones
    prior = family.reference_prior(cells.summary, frame)
    return clusters_of(prior, form.from_sums(features.T))


def cells_of_tree(source: ArraySource, family: Family, n_cells: int, seed: int) -> Integers:
    """Return the cell (n,) of each observation, numbered without gaps; computed once."""

    def found() -> Integers:
        coordinates = coordinates_of(family, np.asarray(source.values))
        labels = cell_labels(coordinates, source.rows.weights_or_ones, n_cells, seed)
        return np.unique(labels, return_inverse=True)[1].ravel()

    kinds = tuple(type(part).__name__ for _, part in family.families_of_columns(source.shape[1]))
    return cached(source, ("cells", kinds, n_cells, seed), found)


def cells_of_parts(
    source: Partitioned, families: Sequence[Family], n_cells: int, seed: int
) -> CellsOfParts:
    """Return cells of data in parts, with what the families read, from one pass over all of them.

    Their centres are those of the sample that the first pass brought along.
    """
    values = np.asarray(source.some.values, dtype=np.float64)
    coordinates = families[0].coordinates(values)
    weights = source.some.rows.weights_or_ones
    centres = cell_centres(coordinates(values), weights, n_cells, seed)
    asked = [reading for family in families for reading in readings_of(family, values)]
    return CellsOfParts.found(source, Nearest(centres, coordinates), asked)


def usual_number(n: int) -> int:
    """Return the number of cells to begin with for n observations."""
    return min(MOST, n)
