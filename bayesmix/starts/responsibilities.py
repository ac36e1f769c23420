"""Starts of a run: responsibilities by k-means, k-means++, graphs, at random, or given.

Quick starts: k-means over distinct observations, and clusters of a neighbour graph. Neither the
order of observations, duplicates nor units matter. Graphs find clusters that are elongated, nested
or differ in direction: Heckel & Bölcskei 2015; Ng, Jordan & Weiss 2002.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import eigh
from scipy.spatial.distance import cdist
from scipy.special import ndtri

from bayesmix.core.mixture import Mixture
from bayesmix.core.random import Purpose, stream
from bayesmix.core.rows import FARTHEST, Rows, Summary
from bayesmix.em.expectation import sums_at
from bayesmix.em.model import Assign, Model
from bayesmix.em.run import Problem, State, begin
from bayesmix.numerics.arrays import Array, Integers, has_gaps, quantiles, without_gaps
from bayesmix.numerics.memo import cached
from bayesmix.numerics.sparse import is_sparse
from bayesmix.sources.memory import has_sparse_rows

if TYPE_CHECKING:
    from bayesmix.core.families import Family
    from bayesmix.core.sources import Source
    from bayesmix.sources.memory import ArraySource

SAMPLE_ROWS = 4096
# Values of a dense sample of sparse rows (64 MB), and its fewest rows.
LARGEST_SAMPLE, FEWEST_OF_SPARSE = 2**23, 512
# Radius, in units of sqrt(D), to which outliers are shrunk under heavy tails, so that no start is
# at an outlier.
DRAWN_IN_AT = 2.0
# Decimals of squared distances, in columns of unit scale: sums in any order of columns agree.
DIGITS = 12
# Decimals of sort keys.
ROUNDED = 9


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
        if self.stress is None:
            out: Array = (-2.0 * centres) @ self.values.T
            out += np.einsum("kd,kd->k", centres, centres)[:, None]
            return out
        return (-2.0 * centres) @ (self.stress * self.values).T + centres**2 @ self.stress.T

    def nearest(self, centres: Array) -> Integers:
        """Return the nearest centre of each observation; the first of equally distant ones."""
        return np.round(self.beyond(centres), DIGITS).argmin(axis=0)


def distinct_rows(
    source: Source,
    summary: Summary,
    generator: np.random.Generator,
    most: int = SAMPLE_ROWS,
    heavy_tails: bool = False,
) -> Distinct:
    """Return the distinct observations of a subsample of the source."""
    if has_sparse_rows(source):
        most = min(most, max(LARGEST_SAMPLE // source.shape[1], FEWEST_OF_SPARSE))
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
    keys = sort_keys(whole)
    if len(np.unique(keys[-1])) < len(whole):  # otherwise there are no duplicates
        whole, inverse = np.unique(whole, axis=0, return_inverse=True)
        weights = np.bincount(inverse.ravel(), weights, len(whole)).astype(np.float64)
        # Columns of few values have rows with equal keys: their columns are told apart by skewness.
        skewness = weights @ whole**3 / max(weights.sum(), TINY)
        keys = [np.round(whole @ skewness, ROUNDED), *sort_keys(whole)]
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


def sort_keys(values: Array) -> list[Array]:
    """Return sort keys that depend neither on the order of columns nor on rounding."""
    squares = values * values
    return [
        np.round(powers.sum(axis=1), ROUNDED)
        for powers in (squares * squares, squares * values, squares)
    ]


def places_by_values(source: ArraySource) -> Integers:
    """Return the place (n,) of each observation in an order by values, whatever order they have."""
    summary = source.summary
    values = (np.asarray(source.values, dtype=np.float64) - summary.centre) / summary.scale
    np.clip(values, -FARTHEST, FARTHEST, out=values)
    places = np.empty(len(values), dtype=np.intp)
    places[np.lexsort(sort_keys(complete(values)[0]))] = np.arange(len(values))
    return places


def plus_plus(
    rows: Distinct, n_centres: int, generator: np.random.Generator, first: Array | None = None
) -> Array:
    """Return greedy k-means++ centres (K, D) (Arthur & Vassilvitskii 2007), ``first`` given."""
    trials = 2 + int(np.log(n_centres))
    if first is None or not len(first):
        first = rows.values[_drawn(rows.weights, 1, generator)]
    centres = np.empty((n_centres, rows.values.shape[1]))
    centres[: len(first)] = first
    stress = 1.0 if rows.stress is None else rows.stress
    squares = (stress * rows.values * rows.values).sum(axis=1)
    nearest = np.maximum(rows.beyond(first).min(axis=0) + squares, 0.0)
    for k in range(len(first), n_centres):
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
        updated = rows.nearest(centres)
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


# Distinct observations per cluster that a graph needs.
FEWEST_ROWS = 4
TINY = np.finfo(np.float64).tiny
LLOYD_ROUNDS = 100

OTHER_STARTS = "responsibilities (n, K), labels (n,) or a callable that returns either"
INIT_PARAMS = ("kmeans", "k-means++", "random", "random_from_data")
# Rounds of k-means in a numbered start; numbers of the graph starts.
SHORT_LLOYD, GRAPH_STARTS = 5, (4, 7)
# Numbers of starts at random observations.
AT_RANDOM = range(11, 24)
# Smallest fraction of data in the interval of a cluster; largest factor of a column.
LEAST_SHARE, MOST_EMPHASIS = 0.1, 100.0
# Fraction spread over all components where a probability of 0 would stay 0.
SPREAD = 0.5


def numbered_starts(
    source: Source,
    summary: Summary,
    model: Model,
    seed: int,
    index: int,
    numbers: range,
    graphs: bool,
) -> Iterator[tuple[int, Assign]]:
    """Yield starts by k-means++ and a few rounds of k-means, in columns of two scales in turn.

    With ``graphs`` the first is a core with a rim, and some use clusters of a graph, most for
    components with few directions.
    """
    family, K = model.family, model.n_components
    graphs = graphs and not has_sparse_rows(source)
    if K == 1:
        yield from ((number, of_one_component) for number in numbers)
        return
    key = (seed, index, family.heavy_tails)
    generator = stream(seed, Purpose.START, index)
    rows = cached(
        source,
        ("distinct", *key),
        lambda: distinct_rows(source, summary, generator, heavy_tails=family.heavy_tails),
    )
    directions = family.n_extended_directions
    by_graph: tuple[int, ...] = ()
    if rows.stress is None and len(rows.values) >= FEWEST_ROWS * K:
        if directions is not None:
            by_graph = tuple(number for number in numbers if number % 3 < 2)
        elif graphs and family.rearranged:
            by_graph = GRAPH_STARTS
    if graphs and numbers.start == 0 and family.rearranged and directions is None:
        # First, as starts end when many agree.
        generator = stream(seed, Purpose.START, index, numbers.stop)
        yield numbers.stop, core_and_rim(rows, summary, K, generator)
    for number in numbers:
        generator = stream(seed, Purpose.START, index, number)
        if number in by_graph:
            turn = by_graph.index(number)
            yield number, graph_start(rows, summary, K, directions, turn, generator)
            continue
        # Candidates with the same K begin alike.
        by_centres = partial(_by_centres, rows, summary, K, number % 2 == 0, generator)
        if number in AT_RANDOM:
            by_centres = partial(_at_random, rows, summary, K, generator)
        start = cached(source, ("start", *key, K, number), by_centres)
        yield number, replace(start, spread=spread_of(family))


def _at_random(
    rows: Distinct, summary: Summary, K: int, generator: np.random.Generator
) -> NearestCentre:
    """Return a start at random observations, which overlap as components do."""
    shares, few = rows.weights / rows.weights.sum(), len(rows.values) < K
    chosen = generator.choice(len(shares), K, replace=few, p=shares)
    return NearestCentre(rows.values[chosen], summary)


def _by_centres(
    rows: Distinct, summary: Summary, K: int, by_heaps: bool, generator: np.random.Generator
) -> NearestCentre:
    """Return a start by a few rounds of k-means, in columns of one of two scales."""
    factors = heap_factors(rows, K) if by_heaps else np.ones(rows.values.shape[1])
    scaled = replace(rows, values=rows.values * factors)
    near = along_principal_axes(scaled, K) if by_heaps else scaled
    centres = lloyd(near, plus_plus(near, K, generator), SHORT_LLOYD)
    if near is not scaled:
        centres = means_of(scaled, near.nearest(centres), K)
    return NearestCentre(centres, summary, factors)


def along_principal_axes(rows: Distinct, n_axes: int) -> Distinct:
    """Project data with more features than observations on their first principal axes.

    Distances over more columns than rows are mostly noise, in which k-means sees no clusters.
    """
    n, D = rows.values.shape
    if n > D or rows.stress is not None or n_axes >= min(n, D):
        return rows
    centred = rows.values - np.average(rows.values, axis=0, weights=rows.weights)
    directions, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    return replace(rows, values=directions[:, :n_axes] * sizes[:n_axes])


def means_of(rows: Distinct, labels: Integers, n_groups: int) -> Array:
    """Return means (K, D) of groups of observations; the overall mean for an empty group."""
    shares = one_hot(labels, n_groups) * rows.weights[:, None]
    shares[:, shares.sum(axis=0) == 0.0] = rows.weights[:, None]
    return (shares.T @ rows.values) / shares.sum(axis=0)[:, None]


def heap_factors(rows: Distinct, n_components: int) -> Array:
    """Return factors (D,) that divide columns by the width of a typical cluster.

    The width is that of the shortest interval with half of a component's share; robust scales of
    bimodal columns would be the distance between the modes.
    """
    share = max(0.5 / n_components, LEAST_SHARE)
    widths = np.empty(rows.values.shape[1])
    for d, column in enumerate(rows.values.T):
        present = slice(None) if rows.stress is None else rows.stress[:, d] > 0
        ordered = np.argsort(column[present])
        values, weights = column[present][ordered], rows.weights[present][ordered]
        mass = np.cumsum(weights)
        ends = np.searchsorted(mass, mass - weights + share * mass[-1] * (1.0 - 1e-12))
        inside = ends < len(values)
        widths[d] = (values[ends[inside]] - values[inside]).min()
    normal = 2.0 * ndtri(0.5 + 0.5 * share)
    factors = np.where(widths > 0.0, normal / np.where(widths > 0.0, widths, 1.0), 1.0)
    return np.clip(factors, 1.0 / MOST_EMPHASIS, MOST_EMPHASIS)


def spread_of(family: Family) -> float:
    """Return the fraction that a start spreads over all components."""
    return SPREAD if family.keeps_zeros else 0.0


@dataclass(frozen=True)
class NearestCentre:
    """Assign observations to the nearest scaled centre (K, D), but a fraction to all."""

    centres: Array
    summary: Summary
    factors: Array | float = 1.0
    spread: float = 0.0

    def __call__(self, rows: Rows) -> Array:
        scale, K = self.summary.scale / self.factors, len(self.centres)
        if is_sparse(rows.values):
            slopes = self.centres / scale
            beyond = -2.0 * (rows.values @ slopes.T - slopes @ self.summary.centre)
            beyond += np.einsum("kd,kd->k", self.centres, self.centres)
            labels = np.round(beyond, DIGITS).argmin(axis=1)
        else:
            values = (np.asarray(rows.values, dtype=np.float64) - self.summary.centre) / scale
            filled, stress = complete(values)
            labels = Distinct(filled, rows.weights_or_ones, stress).nearest(self.centres)
        return (1.0 - self.spread) * one_hot(labels, K) + self.spread / K


@dataclass(frozen=True)
class CoreAndRim:
    """Assign the core of the data to the nearest of K - 1 centres, and the rim to one component.

    Finds compact components within a wide one, which have no centres apart.
    """

    core: NearestCentre
    farthest: float  # squared distance from the medians, in robust scales

    def __call__(self, rows: Rows) -> Array:
        summary = self.core.summary
        values = (np.asarray(rows.values, dtype=np.float64) - summary.centre) / summary.scale
        filled, stress = complete(values)
        rim = _squares(filled, stress) > self.farthest
        return np.column_stack([np.where(rim[:, None], 0.0, self.core(rows)), rim])


def core_and_rim(
    rows: Distinct, summary: Summary, n_components: int, generator: np.random.Generator
) -> CoreAndRim:
    """Return the start whose rim is the half of the data that is far from the medians."""
    squares = _squares(rows.values, rows.stress)
    farthest = quantiles(squares, rows.weights, (0.5,))[0]
    within = squares <= farthest
    stress = None if rows.stress is None else rows.stress[within]
    core = Distinct(rows.values[within], rows.weights[within], stress)
    centres = lloyd(core, plus_plus(core, n_components - 1, generator), SHORT_LLOYD)
    return CoreAndRim(NearestCentre(centres, summary), farthest)


def _squares(values: Array, stress: Array | None) -> Array:
    """Return squared distances (n,) from the origin."""
    squares = values * values if stress is None else stress * values * values
    return squares.sum(axis=1)


def of_one_component(rows: Rows) -> Array:
    """Assign all observations to one component."""
    return np.ones((len(rows), 1))


@dataclass(frozen=True)
class Given:
    """Responsibilities (n, K) given by the user."""

    responsibilities: Array

    def __call__(self, rows: Rows) -> Array:
        return self.responsibilities[rows.first : rows.first + len(rows)]


@dataclass(frozen=True)
class OfMixture:
    """Responsibilities of a mixture, as a start on other data."""

    mixture: Mixture

    def __call__(self, rows: Rows) -> Array:
        shares, _ = self.mixture.responsibilities(rows.as_seen)
        return shares[:, : self.mixture.n_components]


def one_hot(labels: Any, n_components: int) -> Array:
    """Return responsibilities of 0 and 1 from labels (n,)."""
    out = np.zeros((len(labels), n_components))
    out[np.arange(len(labels)), labels] = 1.0
    return out


def begun(
    problem: Problem, start: Assign, n_components: int, origin: Mixture | None = None
) -> State:
    """Return a state that starts with an M-step from responsibilities; see ``begin``."""
    step = partial(sums_at, start, problem.family, problem.frame, n_components)
    return begin(problem, problem.source.reduce(step, n_components).finished(), origin)


def given_to(problem: Problem, source: Source, start: Assign) -> Assign:
    """Return a start on a source for the source of a problem, which may have coordinates."""
    return start if problem.source is source else Given(source.map(start, 1))


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
