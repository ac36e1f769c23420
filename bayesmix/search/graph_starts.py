"""Starts by clusters of a neighbour graph.

Graphs find clusters that are elongated, nested or differ in direction: Heckel & Bölcskei 2015; Ng,
Jordan & Weiss 2002.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.spatial.distance import cdist

from bayesmix.core.rows import Rows, Summary
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.search.starts import LLOYD_ROUNDS, TINY, Distinct, lloyd, plus_plus

# Size of a graph: enough for its clusters, but eigenvectors take cubic time.
ROWS_PER_CLUSTER, MOST_ROWS = 50, 500
# Numbers of neighbours, in turn: few separate close clusters, many connect sparse ones.
NEIGHBOURS = (10, 5, 20)
# Extent relative to the longest axis, and distance, that count as zero.
NEGLIGIBLE = 1e-6


def graph_start(
    rows: Distinct,
    summary: Summary,
    n_components: int,
    directions: int | None,
    turn: int,
    generator: np.random.Generator,
) -> NearestNeighbour:
    """Return clusters of the graph of a subsample, by direction or distance.

    Clusters extend along ``directions`` axes, None for all. ``turn`` varies the number of
    neighbours and, for clusters with few directions, the measure.
    """
    values, weights = rows.values, rows.weights
    n_sampled = min(ROWS_PER_CLUSTER * n_components, MOST_ROWS)
    if len(values) > n_sampled:
        shares = weights / weights.sum()
        sample = generator.choice(len(values), n_sampled, replace=False, p=shares)
        values, weights = values[sample], weights[sample]
    # Clusters differ in their directions and in their centre.
    n_axes = values.shape[1] if directions is None else n_components * (directions + 1)
    shares = weights / weights.sum()
    centre = shares @ values
    _, extents, axes = np.linalg.svd(
        np.sqrt(shares)[:, None] * (values - centre), full_matrices=False
    )
    wide = extents[:n_axes] > NEGLIGIBLE * extents[0]
    axes = (axes[:n_axes][wide] / extents[:n_axes][wide, None]).T
    along = (values - centre) @ axes
    by_direction = directions is not None and turn % 2 == 0
    wanted = NEIGHBOURS[(turn if directions is None else turn // 2) % len(NEIGHBOURS)]
    n_neighbours = min(wanted, len(values) // n_components - 1)
    graph = _similarity(_closeness(along, along, by_direction), n_neighbours, by_direction)
    spectral = _spectral_axes(graph, n_components)
    lines = Distinct(spectral, np.ones(len(spectral)))
    centres = lloyd(lines, plus_plus(lines, n_components, generator), LLOYD_ROUNDS)
    labels = lines.nearest(centres)
    return NearestNeighbour(summary, centre, axes, along, labels, n_components, by_direction)


@dataclass(frozen=True)
class NearestNeighbour:
    """Assign observations to the cluster of the nearest of the ``sampled`` (s, m).

    Scaled columns are projected on ``axes`` (D, m), each of unit variance.
    """

    summary: Summary
    centre: Array
    axes: Array
    sampled: Array
    labels: Integers
    n_components: int
    by_direction: bool

    def __call__(self, rows: Rows) -> Array:
        values = np.asarray(rows.values, dtype=np.float64)
        scaled = (values - self.summary.centre) / self.summary.scale
        along = (scaled - self.centre) @ self.axes
        nearest = _closeness(along, self.sampled, self.by_direction).argmax(axis=1)
        return np.eye(self.n_components)[self.labels[nearest]]


def _closeness(along: Array, sampled: Array, by_direction: bool) -> Array:
    """Return closeness (n, s) to the sampled: cos², or the negative squared distance."""
    if by_direction:
        cosines: Array = _of_unit_length(along) @ _of_unit_length(sampled).T
        return cosines * cosines
    return -np.asarray(cdist(along, sampled, "sqeuclidean"))


def _of_unit_length(rows: Array) -> Array:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(lengths, TINY)


def _similarity(close: Array, n_neighbours: int, by_direction: bool) -> Array:
    """Return the graph (n, n) of nearest neighbours, weighted by closeness."""
    np.fill_diagonal(close, -np.inf)
    place = len(close) - n_neighbours
    least = np.partition(close, place, axis=1)[:, place]
    # Rounding must not separate neighbours at equal distances.
    near = close >= (least - NEGLIGIBLE * np.maximum(np.abs(least), 1.0))[:, None]
    if not by_direction:
        # Distances are scaled by that to the farthest neighbour (Zelnik-Manor & Perona 2004).
        reach = np.sqrt(np.maximum(-least, NEGLIGIBLE**2))
        close = np.exp(close / reach[:, None] / reach)
    directed = np.where(near, close, 0.0)
    return directed + directed.T


def _spectral_axes(graph: Array, n_clusters: int) -> Array:
    """Return unit vectors (n, K) from leading eigenvectors of the normalised graph."""
    root = 1.0 / np.sqrt(np.maximum(graph.sum(axis=1), TINY))
    n = len(graph)
    _, vectors = eigh(root[:, None] * graph * root, subset_by_index=[n - n_clusters, n - 1])
    return _of_unit_length(vectors)
