"""Starts for components that k-means does not see: clusters of a graph of neighbours.

Components that lie along few directions differ in these as much as in where they are, and others
may be long, or lie about one another. Rows are taken along the principal axes of all, each of unit
variance, so that what clusters have in common counts no more than what tells them apart. There
neighbours are rows of like direction (Heckel & Bölcskei 2015), or near ones, and clusters those of
the normalised graph (Ng, Jordan & Weiss 2002). Other rows belong where their nearest one does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.records import Rows, Summary
from bayesmix.workflow.search.k_means import LLOYD_ROUNDS, Distinct, lloyd, plus_plus

# Rows of a graph: its cost is the square of them, that of its eigenvectors the cube.
FEWEST, MOST, ROWS_A_CLUSTER = 500, 1500, 50
# Neighbours of a row, in turn: few tell close clusters apart, many hold sparse ones together.
NEIGHBOURS = (20, 10, 5)
# Distinct rows a cluster for a graph to show any.
FEWEST_OF_EACH = 4
# Axes without extent, beside the longest, and distances that are none, along axes of unit variance.
NO_EXTENT = 1e-6
EQUAL = 1e-6
TINY = np.finfo(np.float64).tiny


def shows_clusters(rows: Distinct, n_clusters: int) -> bool:
    """Whether there are rows enough for a graph, and more than one cluster."""
    return n_clusters > 1 and len(rows.values) >= FEWEST_OF_EACH * n_clusters


def graph_start(
    rows: Distinct,
    summary: Summary,
    n_components: int,
    directions: int | None,
    number: int,
    generator: np.random.Generator,
) -> NearestNeighbour:
    """Clusters of the graph of some of the rows, each of so many directions, or of all (None).

    Its kind goes by the number of the start.
    """
    most = int(np.clip(ROWS_A_CLUSTER * n_components, FEWEST, MOST))
    values, weights = rows.values, rows.weights
    if len(values) > most:
        some = generator.choice(len(values), most, replace=False, p=weights / weights.sum())
        values, weights = values[some], weights[some]
    # Its directions and its centre are what may tell a cluster from others.
    most_axes = values.shape[1] if directions is None else n_components * (directions + 1)
    axes = PrincipalAxes.of(values, weights, most_axes)
    along = axes.along(values)
    by_direction = number % 3 == 0
    wanted = NEIGHBOURS[number // 3 % len(NEIGHBOURS)]
    n_neighbours = min(wanted, len(values) // n_components - 1)
    turned = spectral_axes(similarity(along, n_neighbours, by_direction), n_components)
    lines = Distinct(turned, np.ones(len(turned)))
    centres = lloyd(lines, plus_plus(lines, n_components, generator), LLOYD_ROUNDS)
    labels = lines.beyond(centres).argmin(axis=0)
    return NearestNeighbour(summary, axes, along, labels, n_components, by_direction)


@dataclass(frozen=True)
class PrincipalAxes:
    """Principal axes (D, m) of rows in columns of unit scale, by their extent, and the centre."""

    centre: Array
    axes: Array

    @classmethod
    def of(cls, values: Array, weights: Array, most: int) -> PrincipalAxes:
        """Those along which the rows are longest; the smaller of two products is decomposed."""
        shares = weights / weights.sum()
        centre = shares @ values
        away = values - centre
        rooted = np.sqrt(shares)[:, None] * away
        few = len(rooted) < rooted.shape[1]
        squares, vectors = np.linalg.eigh(rooted @ rooted.T if few else rooted.T @ rooted)
        wide = np.flatnonzero(squares > NO_EXTENT**2 * squares[-1])[::-1][:most]
        extent = np.sqrt(squares[wide])
        axes = rooted.T @ (vectors[:, wide] / extent) if few else vectors[:, wide]
        return cls(centre, axes / extent)

    def along(self, values: Array) -> Array:
        """Rows (n, m) along the axes, of unit variance."""
        along: Array = (values - self.centre) @ self.axes
        return along


@dataclass(frozen=True)
class NearestNeighbour:
    """Every row belongs to the cluster of its nearest among rows ``seen`` (s, m)."""

    summary: Summary
    axes: PrincipalAxes
    seen: Array
    labels: Integers
    n_components: int
    by_direction: bool

    def __call__(self, rows: Rows) -> Array:
        values = np.asarray(rows.values, dtype=np.float64)
        along = self.axes.along((values - self.summary.centre) / self.summary.scale)
        nearest = closeness(along, self.seen, self.by_direction).argmax(axis=1)
        shares: Array = np.eye(self.n_components)[self.labels[nearest]]
        return shares


def closeness(along: Array, seen: Array, by_direction: bool) -> Array:
    """How close (n, s) rows are to those seen: cos², or the negative squared distance."""
    close: Array = along @ seen.T
    lengths = np.einsum("nm,nm->n", along, along)[:, None]
    others = np.einsum("nm,nm->n", seen, seen)
    if by_direction:
        close *= close
        close /= np.maximum(lengths * others, TINY)
    else:
        close *= 2.0
        close -= lengths
        close -= others
    return close


def similarity(along: Array, n_neighbours: int, by_direction: bool) -> Array:
    """The graph (n, n) of each row's nearest neighbours, by how close they are."""
    close = closeness(along, along, by_direction)
    np.fill_diagonal(close, -np.inf)
    place = len(close) - n_neighbours
    least = np.partition(close, place, axis=1)[:, place]
    # As near but for rounding is as near: values that were rounded are at equal distances.
    near = close >= (least - EQUAL * np.maximum(np.abs(least), 1.0))[:, None]
    if not by_direction:
        # As far as a row's neighbours reach is its own unit (Zelnik-Manor & Perona 2004).
        reach = np.sqrt(np.maximum(-least, NO_EXTENT**2))
        close = np.exp(close / reach[:, None] / reach)
    own = np.where(near, close, 0.0)
    graph: Array = own + own.T
    return graph


def spectral_axes(graph: Array, n_clusters: int) -> Array:
    """Rows (n, K) of unit length: the leading eigenvectors of the normalised graph."""
    root = 1.0 / np.sqrt(np.maximum(graph.sum(axis=1), TINY))
    n = len(graph)
    _, vectors = eigh(root[:, None] * graph * root, subset_by_index=[n - n_clusters, n - 1])
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    turned: Array = vectors / np.maximum(lengths, TINY)
    return turned
