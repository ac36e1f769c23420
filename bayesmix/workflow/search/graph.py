"""Starts for components that k-means does not see: clusters of a graph of neighbours.

Components may be long, lie within one another, or differ in direction. Rows are taken along the
principal axes of all rows, each of unit variance. Neighbours are rows of similar direction (Heckel
& Bölcskei 2015) or rows that are near; clusters are those of the normalised graph (Ng, Jordan &
Weiss 2002). Other rows belong to the cluster of their nearest neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.spatial.distance import cdist

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.records import Rows, Summary
from bayesmix.workflow.search.k_means import Distinct, lloyd, plus_plus

# Rows of a graph: the eigenvectors cost the cube of them.
MOST_ROWS = 500
# Neighbours of a row, in turn: few separate close clusters, many connect sparse ones.
NEIGHBOURS = (10, 5, 20)
# Distinct rows per cluster that a graph needs.
FEWEST_ROWS = 4
# Extent of an axis, relative to the longest, and distance between rows that count as zero.
NEGLIGIBLE = 1e-6
TINY = np.finfo(np.float64).tiny
LLOYD_ROUNDS = 100


def has_enough_rows(values: Array, n_clusters: int) -> bool:
    """Whether there are enough distinct rows for a graph, and more than one cluster."""
    return n_clusters > 1 and len(values) >= FEWEST_ROWS * n_clusters


def graph_start(
    rows: Distinct,
    summary: Summary,
    n_components: int,
    directions: int | None,
    turn: int,
    generator: np.random.Generator,
) -> NearestNeighbour:
    """Clusters of the graph of a sample of the rows, by direction or distance.

    Each cluster extends along ``directions``, or along all (None). Starts take ``turn``s in
    the number of neighbours and, where clusters have few directions, in being by direction.
    """
    values, weights = rows.values, rows.weights
    if len(values) > MOST_ROWS:
        shares = weights / weights.sum()
        sample = generator.choice(len(values), MOST_ROWS, replace=False, p=shares)
        values, weights = values[sample], weights[sample]
    # Its directions and its centre distinguish a cluster from others.
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
    labels = lines.beyond(centres).argmin(axis=0)
    return NearestNeighbour(summary, centre, axes, along, labels, n_components, by_direction)


@dataclass(frozen=True)
class NearestNeighbour:
    """Every row belongs to the cluster of its nearest neighbour among rows ``sampled`` (s, m).

    Rows in columns of unit scale are taken along ``axes`` (D, m), each of unit variance.
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
        shares: Array = np.eye(self.n_components)[self.labels[nearest]]
        return shares


def _closeness(along: Array, sampled: Array, by_direction: bool) -> Array:
    """How close (n, s) rows are to sampled ones: cos², or the negative squared distance."""
    if by_direction:
        cosines: Array = _of_unit_length(along) @ _of_unit_length(sampled).T
        return cosines * cosines
    return -np.asarray(cdist(along, sampled, "sqeuclidean"))


def _of_unit_length(rows: Array) -> Array:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    directions: Array = rows / np.maximum(lengths, TINY)
    return directions


def _similarity(close: Array, n_neighbours: int, by_direction: bool) -> Array:
    """The graph (n, n) of each row's nearest neighbours, by how close they are."""
    np.fill_diagonal(close, -np.inf)
    place = len(close) - n_neighbours
    least = np.partition(close, place, axis=1)[:, place]
    # Rounded values have neighbours at equal distances, which rounding errors must not separate.
    near = close >= (least - NEGLIGIBLE * np.maximum(np.abs(least), 1.0))[:, None]
    if not by_direction:
        # The distance to a row's farthest neighbour is its unit (Zelnik-Manor & Perona 2004).
        reach = np.sqrt(np.maximum(-least, NEGLIGIBLE**2))
        close = np.exp(close / reach[:, None] / reach)
    directed = np.where(near, close, 0.0)
    graph: Array = directed + directed.T
    return graph


def _spectral_axes(graph: Array, n_clusters: int) -> Array:
    """Rows (n, K) of unit length: the leading eigenvectors of the normalised graph."""
    root = 1.0 / np.sqrt(np.maximum(graph.sum(axis=1), TINY))
    n = len(graph)
    _, vectors = eigh(root[:, None] * graph * root, subset_by_index=[n - n_clusters, n - 1])
    return _of_unit_length(vectors)
