"""Where a run begins: responsibilities for every row (k-means++, k-means, random, given).

Distances are taken in columns divided by their robust scale, so that units do not matter, and draws
are made over the distinct rows in sorted order, so that neither does the order of the rows, nor
whether a row is repeated or weighted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import ndtri

from bayesmix.engine.expectation import StartStep
from bayesmix.engine.run import Problem, State, begin
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.protocols import Family, Source
from bayesmix.random import Purpose, stream
from bayesmix.records import Mixture, Rows, Summary
from bayesmix.workflow.model import Start
from bayesmix.workflow.search.effort import effort_of
from bayesmix.workflow.search.k_means import (
    LLOYD_ROUNDS,
    Distinct,
    distinct_rows,
    lloyd,
    plus_plus,
    seen_values,
)
from bayesmix.workflow.search.neighbours import graph_start, shows_clusters

# Columns stand out by the shortest interval that holds half of a component, of at least ...
LEAST_SHARE = 0.1
# ... and by this factor at most.
MOST_EMPHASIS = 100.0
# Where far rows belong to clusters, rows are drawn in to so many times √D columns of unit scale: no
# start is at one of them, and a cluster that lies there keeps its direction.
DRAWN_IN_AT = 2.0
# Rounds of k-means that a numbered start gets.
SHORT_LLOYD = 5
# A share that is reached but for rounding is reached.
LESS_THAN_ROUNDING = 1.0 - 1e-12


def stretches(rows: Distinct, n_components: int) -> list[Array]:
    """Factors (D,) by which columns of unit scale are stretched, for starts to take in turn.

    The robust scale of a column with two heaps is the distance between them: there they stand out
    less than noise does. The standard deviation is less misled, and the shortest interval that
    holds half of a component's share of the rows is about as wide as a heap.
    """
    share = max(0.5 / n_components, LEAST_SHARE)
    if rows.stress is None:
        parts = rows.weights / rows.weights.sum()
        away = rows.values - parts @ rows.values
        deviation = np.sqrt(parts @ (away * away))
        widths = np.array([_narrowest(column, rows.weights, share) for column in rows.values.T])
    else:
        columns = zip(rows.values.T, rows.stress.T > 0, strict=True)
        known = [(column[own], rows.weights[own]) for column, own in columns]
        deviation = np.array([_deviation(*column) for column in known])
        widths = np.array([_narrowest(*column, share) for column in known])
    normal = 2.0 * ndtri(0.5 + 0.5 * share)
    heaps = np.where(widths > 0.0, normal / np.where(widths > 0.0, widths, 1.0), 1.0)
    spread = np.where(deviation > 0.0, 1.0 / np.where(deviation > 0.0, deviation, 1.0), 1.0)
    return [np.clip(heaps, 1.0 / MOST_EMPHASIS, MOST_EMPHASIS), np.ones(len(spread)), spread]


def _deviation(column: Array, weights: Array) -> float:
    """Standard deviation of weighted values."""
    mean = np.average(column, weights=weights)
    return float(np.sqrt(np.average((column - mean) ** 2, weights=weights)))


def _narrowest(column: Array, weights: Array, share: float) -> float:
    """Length of the shortest interval that holds this share of the weight."""
    if np.ptp(weights) == 0.0:
        ordered = np.sort(column)
        rows = int(np.ceil(share * len(ordered) * LESS_THAN_ROUNDING))
        return float((ordered[rows - 1 :] - ordered[: len(ordered) + 1 - rows]).min())
    order = np.argsort(column)
    ordered, weighed = column[order], weights[order]
    mass = np.cumsum(weighed)
    before = mass - weighed
    ends = np.searchsorted(mass, before + share * mass[-1] * LESS_THAN_ROUNDING)
    fits = ends < len(ordered)
    return float((ordered[ends[fits]] - ordered[fits]).min())


def reach_of(family: Family) -> float:
    """How far out rows are left where they are: see ``distinct_rows``."""
    return DRAWN_IN_AT if family.heavy_tails else np.inf


def numbered_starts(
    source: Source,
    summary: Summary,
    family: Family,
    n_components: int,
    seed: int,
    index: int,
    numbers: range,
    graphs: bool,
) -> Iterator[tuple[int, Start]]:
    """k-means++ and a few rounds of Lloyd's, one after the other in columns scaled otherwise.

    With ``graphs`` some are clusters of a graph; of components along few directions always.
    """
    generator = stream(seed, Purpose.START, index)
    rows = distinct_rows(source, summary, generator, within=reach_of(family))
    scales = stretches(rows, n_components)
    directions = family.own_directions
    by_graph: tuple[int, ...] = ()
    if rows.stress is None and shows_clusters(rows, n_components):
        if directions is not None:
            by_graph = tuple(number for number in numbers if number % 3 < 2)
        elif graphs:
            by_graph = effort_of(family).by_graph
    for number in numbers:
        generator = stream(seed, Purpose.START, index, number)
        if number in by_graph:
            yield number, graph_start(rows, summary, n_components, directions, number, generator)
            continue
        factors = scales[number % len(scales)]
        seen = replace(rows, values=rows.values * factors)
        centres = lloyd(seen, plus_plus(seen, n_components, generator), SHORT_LLOYD)
        yield number, NearestCentre(centres, summary, factors, effort_of(family).spread)


@dataclass(frozen=True)
class NearestCentre:
    """Every row belongs to its nearest centre (K, D), but for a share that is spread over all.

    Centres are in columns of unit scale, stretched by factors (D,).
    """

    centres: Array
    summary: Summary
    factors: Array | float = 1.0
    spread: float = 0.0

    def __call__(self, rows: Rows) -> Array:
        values = (np.asarray(rows.values, dtype=np.float64) - self.summary.centre) / (
            self.summary.scale / self.factors
        )
        filled, stress = seen_values(values)
        labels = Distinct(filled, rows.weights_or_ones, stress).beyond(self.centres).argmin(axis=0)
        K = len(self.centres)
        return (1.0 - self.spread) * one_hot(labels, K) + self.spread / K


@dataclass(frozen=True)
class RandomShares:
    """Random responsibilities, normalised; the same for a row whatever the chunks' workers."""

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
    """Responsibilities (n, K) that the user gave."""

    responsibilities: Array

    def __call__(self, rows: Rows) -> Array:
        return self.responsibilities[rows.first : rows.first + len(rows)]


@dataclass(frozen=True)
class OfMixture:
    """The responsibilities of a mixture, as a start on other rows."""

    mixture: Mixture

    def __call__(self, rows: Rows) -> Array:
        shares, _ = self.mixture.responsibilities(self.mixture.frame.apply(rows.values))
        return shares[:, : self.mixture.n_components]


def one_hot(labels: Any, n_components: int) -> Array:
    """Responsibilities of 0 and 1 from labels (n,)."""
    out = np.zeros((len(labels), n_components))
    out[np.arange(len(labels)), labels] = 1.0
    return out


def begun(
    problem: Problem, start: Start, n_components: int, origin: Mixture | None = None
) -> State:
    """A run about to take its first M-step from a start's responsibilities; see ``begin``."""
    step = StartStep(problem.family, problem.frame, start, n_components)
    return begin(problem, problem.source.reduce(step, n_components).finished(), origin)


INIT_PARAMS = ("kmeans", "k-means++", "random", "random_from_data")


def named_start(
    name: str,
    source: Source,
    summary: Summary,
    n_components: int,
    seed: int,
    run: int,
    family: Family | None = None,
) -> Start:
    """The start that ``init_params`` names; of a family, as it needs one."""
    within = np.inf if family is None else reach_of(family)
    spread = 0.0 if family is None else effort_of(family).spread
    if name == "random":
        return RandomShares(n_components, seed, run)
    generator = stream(seed, Purpose.START, run)
    rows = distinct_rows(source, summary, generator, within=within)
    if name == "random_from_data":
        replace = len(rows.values) < n_components
        chosen = generator.choice(
            len(rows.values), n_components, replace=replace, p=rows.weights / rows.weights.sum()
        )
        return NearestCentre(rows.values[chosen], summary, spread=spread)
    centres = plus_plus(rows, n_components, generator)
    if name == "kmeans":
        centres = lloyd(rows, centres, LLOYD_ROUNDS)
    return NearestCentre(centres, summary, spread=spread)


def given_start(value: Any, n_rows: int, n_components: int, noise: bool = False) -> Given:
    """Responsibilities (n, K) or labels (n,), checked; with ``noise`` (n, K + 1), and labels of -1.

    Raises ``InvalidInputError`` for other shapes, negative shares or rows that do not sum to 1.
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
