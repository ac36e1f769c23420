"""Quick starts: k-means over distinct observations, and clusters of a neighbour graph.

Graphs find clusters that are elongated, nested or differ in direction: Heckel & Bölcskei 2015; Ng,
Jordan & Weiss 2002. Neither the order of observations, duplicates nor units matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import eigh
from scipy.spatial.distance import cdist

from bayesmix.core.rows import Rows, Summary
from bayesmix.core.sources import Source
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.gaps import has_gaps, without_gaps

SAMPLE_ROWS = 4096
# Values are clipped here, in robust deviations, so that fourth powers are finite.
FARTHEST = 1e70
# Radius, in units of sqrt(D), to which outliers are shrunk under heavy tails, so that no start is
# at an outlier.
DRAWN_IN_AT = 2.0


@dataclass(frozen=True)
class Distinct:
    """Distinct observations (m, D) in columns of unit scale, sorted, with weights (m,).

    Missing values are 0. ``stress`` (m, D) multiplies squares: 0 for missing values, above 1 for
    the others of the observation, so that distances compare with those of complete ones.
    """

    values: Array
    weights: Array
    stress: Array | None = None

    def beyond(self, centres: Array) -> Array:
        """Return |x - c|² - |x|² (K, m) by matrix products, where cancellation is harmless."""
        if self.stress is None:
            out: Array = (-2.0 * centres) @ self.values.T
            out += np.einsum("kd,kd->k", centres, centres)[:, None]
            return out
        return (-2.0 * centres) @ (self.stress * self.values).T + centres**2 @ self.stress.T


def distinct_rows(
    source: Source,
    summary: Summary,
    generator: np.random.Generator,
    most: int = SAMPLE_ROWS,
    heavy_tails: bool = False,
) -> Distinct:
    """Return the distinct observations of a subsample of the source."""
    sample = source.sample(most, generator).rows
    values = (np.asarray(sample.values, dtype=np.float64) - summary.centre) / summary.scale
    np.clip(values, -FARTHEST, FARTHEST, out=values)
    if heavy_tails:
        radius = DRAWN_IN_AT * np.sqrt(values.shape[1])
        lengths = np.sqrt(np.nansum(values * values, axis=1, keepdims=True))
        values *= radius / np.maximum(lengths, radius)
    weights = sample.weights_or_ones
    n_features = values.shape[1]
    filled, stress = complete(values)
    whole = filled if stress is None else np.hstack([filled, stress])
    keys = _sort_keys(whole)
    if len(np.unique(keys[-1])) < len(whole):  # otherwise there are no duplicates
        whole, inverse = np.unique(whole, axis=0, return_inverse=True)
        weights = np.bincount(inverse.ravel(), weights, len(whole)).astype(np.float64)
        keys = _sort_keys(whole)
    order = np.lexsort(keys)
    order = order[weights[order] > 0]
    values = whole[order, :n_features]
    return Distinct(values, weights[order], None if stress is None else whole[order, n_features:])


def complete(values: Array) -> tuple[Array, Array | None]:
    """Replace missing values by 0; return values and ``stress`` (None: all 1)."""
    if not has_gaps(values):
        return values, None
    present = ~np.isnan(values)
    share = np.maximum(present.mean(axis=1, keepdims=True), 1.0 / values.shape[1])
    return without_gaps(values), present / share


def _sort_keys(values: Array) -> list[Array]:
    """Return sort keys that depend neither on the order of columns nor on rounding."""
    squares = values * values
    return [
        np.round(powers.sum(axis=1), 9) for powers in (squares * squares, squares * values, squares)
    ]


def plus_plus(rows: Distinct, n_centres: int, generator: np.random.Generator) -> Array:
    """Return greedy k-means++ centres (K, D) (Arthur & Vassilvitskii 2007)."""
    trials = 2 + int(np.log(n_centres))
    centres = np.empty((n_centres, rows.values.shape[1]))
    centres[0] = rows.values[_drawn(rows.weights, 1, generator)[0]]
    stress = 1.0 if rows.stress is None else rows.stress
    squares = (stress * rows.values * rows.values).sum(axis=1)
    nearest = np.maximum(rows.beyond(centres[:1])[0] + squares, 0.0)
    for k in range(1, n_centres):
        mass = rows.weights * nearest
        candidates = _drawn(mass if mass.sum() > 0 else rows.weights, trials, generator)
        distances = np.maximum(rows.beyond(rows.values[candidates]) + squares, 0.0)
        np.minimum(distances, nearest, out=distances)
        best = int((distances @ rows.weights).argmin())
        centres[k] = rows.values[candidates[best]]
        nearest = distances[best]
    return centres


def _drawn(mass: Array, n: int, generator: np.random.Generator) -> Any:
    """Draw n indices with probabilities proportional to ``mass``."""
    reached = np.cumsum(mass)
    places = np.searchsorted(reached, generator.random(n) * reached[-1], side="right")
    return np.minimum(places, len(mass) - 1)


def lloyd(rows: Distinct, centres: Array, rounds: int) -> Array:
    """Return centres after at most ``rounds`` rounds of k-means; empty centres stay."""
    centres = centres.copy()
    labels = np.full(len(rows.values), -1)
    for _ in range(rounds):
        updated = rows.beyond(centres).argmin(axis=0)
        if np.array_equal(updated, labels):
            break
        labels = updated
        totals = np.bincount(labels, weights=rows.weights, minlength=len(centres))
        for d in range(centres.shape[1]):
            if rows.stress is not None:
                present = rows.weights * (rows.stress[:, d] > 0)
                totals = np.bincount(labels, weights=present, minlength=len(centres))
            sums = np.bincount(labels, rows.weights * rows.values[:, d], len(centres))
            np.divide(sums, totals, out=centres[:, d], where=totals > 0)
    return centres


# Largest graph, as eigenvectors take cubic time.
MOST_ROWS = 500
# Numbers of neighbours, in turn: few separate close clusters, many connect sparse ones.
NEIGHBOURS = (10, 5, 20)
# Distinct observations per cluster that a graph needs.
FEWEST_ROWS = 4
# Extent relative to the longest axis, and distance, that count as zero.
NEGLIGIBLE = 1e-6
TINY = np.finfo(np.float64).tiny
LLOYD_ROUNDS = 100


def has_enough_rows(values: Array, n_clusters: int) -> bool:
    """Whether there are enough distinct observations for a graph, and several clusters."""
    return n_clusters > 1 and len(values) >= FEWEST_ROWS * n_clusters


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
    if len(values) > MOST_ROWS:
        shares = weights / weights.sum()
        sample = generator.choice(len(values), MOST_ROWS, replace=False, p=shares)
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
    labels = lines.beyond(centres).argmin(axis=0)
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
        shares: Array = np.eye(self.n_components)[self.labels[nearest]]
        return shares


def _closeness(along: Array, sampled: Array, by_direction: bool) -> Array:
    """Return closeness (n, s) to the sampled: cos², or the negative squared distance."""
    if by_direction:
        cosines: Array = _of_unit_length(along) @ _of_unit_length(sampled).T
        return cosines * cosines
    return -np.asarray(cdist(along, sampled, "sqeuclidean"))


def _of_unit_length(rows: Array) -> Array:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    directions: Array = rows / np.maximum(lengths, TINY)
    return directions


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
    graph: Array = directed + directed.T
    return graph


def _spectral_axes(graph: Array, n_clusters: int) -> Array:
    """Return unit vectors (n, K) from leading eigenvectors of the normalised graph."""
    root = 1.0 / np.sqrt(np.maximum(graph.sum(axis=1), TINY))
    n = len(graph)
    _, vectors = eigh(root[:, None] * graph * root, subset_by_index=[n - n_clusters, n - 1])
    return _of_unit_length(vectors)
