"""Starts of a run: responsibilities by k-means, k-means++, at random, or given by the user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import ndtri

from bayesmix.core.families import Family
from bayesmix.core.mixture import Mixture
from bayesmix.core.random import Purpose, stream
from bayesmix.core.rows import Rows, Summary
from bayesmix.core.sources import Source
from bayesmix.em.expectation import StartStep
from bayesmix.em.model import Model, Start
from bayesmix.em.run import Problem, State, begin
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.search.quick_starts import (
    Distinct,
    complete,
    distinct_rows,
    graph_start,
    has_enough_rows,
    lloyd,
    plus_plus,
)

INIT_PARAMS = ("kmeans", "k-means++", "random", "random_from_data")
LLOYD_ROUNDS = 100
# Rounds of k-means in a numbered start; numbers of the graph starts.
SHORT_LLOYD, GRAPH_STARTS = 5, (4, 7)
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
) -> Iterator[tuple[int, Start]]:
    """Yield starts by k-means++ and a few rounds of k-means, in columns of two scales in turn.

    With ``graphs`` some use clusters of a graph, most for components with few directions.
    """
    family, K = model.family, model.n_components
    generator = stream(seed, Purpose.START, index)
    rows = distinct_rows(source, summary, generator, heavy_tails=family.heavy_tails)
    factors = (heap_factors(rows, K), np.ones(rows.values.shape[1]))
    directions = family.own_directions
    by_graph: tuple[int, ...] = ()
    if rows.stress is None and has_enough_rows(rows.values, K):
        if directions is not None:
            by_graph = tuple(number for number in numbers if number % 3 < 2)
        elif graphs and family.rearranged:
            by_graph = GRAPH_STARTS
    for number in numbers:
        generator = stream(seed, Purpose.START, index, number)
        if number in by_graph:
            yield (
                number,
                graph_start(rows, summary, K, directions, by_graph.index(number), generator),
            )
            continue
        scaled = replace(rows, values=rows.values * factors[number % 2])
        near = scaled if number % 2 else along_principal_axes(scaled, K)
        centres = lloyd(near, plus_plus(near, K, generator), SHORT_LLOYD)
        if near is not scaled:
            centres = means_of(scaled, near.beyond(centres).argmin(axis=0), K)
        yield number, NearestCentre(centres, summary, factors[number % 2], spread_of(family))


def along_principal_axes(rows: Distinct, n_axes: int) -> Distinct:
    """Wide rows along their first principal axes; others as they are.

    Distances over more columns than rows are mostly noise, in which k-means sees no clusters.
    """
    n, D = rows.values.shape
    if n > D or rows.stress is not None or n_axes >= min(n, D):
        return rows
    centred = rows.values - np.average(rows.values, axis=0, weights=rows.weights)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    return replace(rows, values=left[:, :n_axes] * sizes[:n_axes])


def means_of(rows: Distinct, labels: Array, n_groups: int) -> Array:
    """Means (K, D) of groups of rows; the mean of all for an empty one."""
    shares = one_hot(labels, n_groups) * rows.weights[:, None]
    shares[:, shares.sum(axis=0) == 0.0] = rows.weights[:, None]
    means: Array = (shares.T @ rows.values) / shares.sum(axis=0)[:, None]
    return means


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
    """Assign observations to the nearest centre (K, D), except for a fraction spread over all.

    Centres are in columns of unit scale, multiplied by factors (D,).
    """

    centres: Array
    summary: Summary
    factors: Array | float = 1.0
    spread: float = 0.0

    def __call__(self, rows: Rows) -> Array:
        values = (np.asarray(rows.values, dtype=np.float64) - self.summary.centre) / (
            self.summary.scale / self.factors
        )
        filled, stress = complete(values)
        labels = Distinct(filled, rows.weights_or_ones, stress).beyond(self.centres).argmin(axis=0)
        K = len(self.centres)
        return (1.0 - self.spread) * one_hot(labels, K) + self.spread / K


@dataclass(frozen=True)
class RandomShares:
    """Random responsibilities, the same for an observation whatever its chunk."""

    n_components: int
    seed: int
    run: int

    def __call__(self, rows: Rows) -> Array:
        generator = stream(self.seed, Purpose.START, self.run, rows.first)
        shares = generator.random((len(rows), self.n_components))
        shares /= shares.sum(axis=1, keepdims=True)
        return shares


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
        shares, _ = self.mixture.responsibilities(self.mixture.frame.apply(rows.values))
        return shares[:, : self.mixture.n_components]


def one_hot(labels: Any, n_components: int) -> Array:
    """Return responsibilities of 0 and 1 from labels (n,)."""
    out = np.zeros((len(labels), n_components))
    out[np.arange(len(labels)), labels] = 1.0
    return out


def begun(
    problem: Problem, start: Start, n_components: int, origin: Mixture | None = None
) -> State:
    """Return a state that starts with an M-step from responsibilities; see ``begin``."""
    step = StartStep(problem.family, problem.frame, start, n_components)
    return begin(problem, problem.source.reduce(step, n_components).finished(), origin)


def named_start(
    name: str,
    source: Source,
    summary: Summary,
    n_components: int,
    seed: int,
    run: int,
    family: Family | None = None,
) -> Start:
    """Return the start named by ``init_params``, adapted to a family if given."""
    if name == "random":
        return RandomShares(n_components, seed, run)
    spread = 0.0 if family is None else spread_of(family)
    heavy_tails = family is not None and family.heavy_tails
    generator = stream(seed, Purpose.START, run)
    rows = distinct_rows(source, summary, generator, heavy_tails=heavy_tails)
    if name == "random_from_data":
        shares = rows.weights / rows.weights.sum()
        with_replacement = len(shares) < n_components
        chosen = generator.choice(len(shares), n_components, replace=with_replacement, p=shares)
        return NearestCentre(rows.values[chosen], summary, spread=spread)
    centres = plus_plus(rows, n_components, generator)
    if name == "kmeans":
        centres = lloyd(rows, centres, LLOYD_ROUNDS)
    return NearestCentre(centres, summary, spread=spread)


def given_start(value: Any, n_rows: int, n_components: int, noise: bool = False) -> Given:
    """Check responsibilities (n, K) or labels (n,); with noise (n, K + 1) or label -1.

    Raises ``InvalidInputError`` for other shapes, negative values or sums other than 1.
    """
    array = np.asarray(value)
    if array.ndim == 1 and array.dtype.kind in "iub":
        least = -int(noise)
        if len(array) != n_rows or array.min() < least or array.max() >= n_components:
            raise InvalidInputError(
                f"init_params as labels must be {n_rows} integers from {least} to "
                f"{n_components - 1}, got {len(array)} from {array.min()} to {array.max()}"
            )
        return Given(one_hot(array.astype(int), n_components + noise)[:, :n_components])
    if array.shape != (n_rows, n_components + noise) or array.dtype.kind not in "fiub":
        raise InvalidInputError(
            f"init_params as responsibilities must have shape ({n_rows}, {n_components + noise}), "
            f"got {array.shape} of {array.dtype}"
        )
    shares = array.astype(np.float64)
    if not np.isfinite(shares).all() or shares.min() < 0:
        raise InvalidInputError("init_params: responsibilities must be finite and not negative")
    if np.abs(shares.sum(axis=1) - 1.0).max() > 1e-6:
        raise InvalidInputError("init_params: the responsibilities of each row must sum to 1")
    return Given(shares[:, :n_components])
