"""The E-step over values of positive or count columns that are known to an interval, a cell.

The probability of a cell, and the distribution of the value in it, are sums over nodes: the counts
in it, or Gauss-Legendre nodes of log x, whose density is log-concave in all these families. Nodes
enter the statistics as values with weights, so any family's M-step is that of complete data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np

from bayesmix.core.components import Components, Densities
from bayesmix.core.missing_cells import INCOMPLETE
from bayesmix.core.mixture import ChunkSums, Mixture
from bayesmix.core.rows import Rows
from bayesmix.em.expectation import Step, block_sums
from bayesmix.families.negative_binomial import OverdispersedCounts
from bayesmix.families.rates import Poissons
from bayesmix.numerics.arrays import Array, Indices
from bayesmix.numerics.drawing import drawn_labels
from bayesmix.observation.instrument import Instrument
from bayesmix.observation.missing import Drawing
from bayesmix.observation.quadrature import MANY, Nodes, end_of, sums_by

# Logarithms of positive doubles, and counts that are exact in doubles.
LOGS, LARGEST_COUNT = (-700.0, 700.0), 2.0**53
# Modes are sought within e^±60 of the values, on grids that become 16 times finer.
WINDOW, FINER, ROUNDS = 60.0, 16, 6


class Cells(NamedTuple):
    """Distinct cells: columns, bounds (G,); and the samples and numbers (m,) of hidden values."""

    columns: Indices
    low: Array
    high: Array
    samples: Indices
    numbers: Indices


@dataclass(frozen=True)
class SplitRows:
    """A chunk: its cells, and its rows without hidden values."""

    cells: Cells
    rest: Rows

    @classmethod
    def of(cls, rows: Rows) -> SplitRows:
        intervals = cast("Instrument", rows.side.measurement).intervals
        assert intervals is not None
        hidden = ~np.isnan(intervals.lower)
        samples, columns = np.nonzero(hidden)
        keys = np.array([columns, intervals.lower[hidden], intervals.upper[hidden]])
        distinct, numbers = np.unique(keys, axis=1, return_inverse=True)
        columns, low, high = distinct
        cells = Cells(columns.astype(np.intp), low, high, samples, numbers.ravel())
        return cls(cells, Rows(np.where(hidden, np.nan, rows.values), rows.weights, rows.first))

    def nodes(self, mixture: Mixture[Densities]) -> list[Nodes]:
        """Return the nodes of all cells for each component."""
        cells, frame = self.cells, mixture.frame
        counts = isinstance(mixture.components, (Poissons, OverdispersedCounts))
        nodes_of = _counts_in if counts else _logs_in
        parts = []
        for k in range(mixture.n_components):
            component = cast("Any", mixture.components).subset(np.array([k]))
            by_column: list[Nodes] = []
            logs = np.zeros(len(cells.columns))
            for d in np.unique(cells.columns):
                own = np.flatnonzero(cells.columns == d)
                bounds = cells.low[own] / frame.scale[d], cells.high[own] / frame.scale[d]
                part = nodes_of(component.marginal(np.array([d])), *bounds)
                logs[own] = part.log_total
                by_column.append(part._replace(owner=own[part.owner]))
            owner, values, mass, _ = map(np.concatenate, zip(*by_column, strict=True))
            parts.append(Nodes(owner, values, mass, logs))
        return parts

    def log_joint(self, mixture: Mixture[Densities], parts: Sequence[Nodes]) -> Array:
        """Return log π_k plus log densities (n, K) in the frame times probabilities of cells."""
        joint = INCOMPLETE.log_joint(mixture, self.rest)
        samples, numbers = self.cells.samples, self.cells.numbers
        for k, part in enumerate(parts):
            joint[:, k] += np.bincount(samples, part.log_total[numbers], len(joint))
        return joint

    def statistics(
        self, mixture: Mixture[Components], parts: Sequence[Nodes], shares: Array
    ) -> Any:
        """Return the statistics of responsibilities (n, K), with expectations over cells.

        A node is a sample without other values; what samples without any value add is subtracted.
        """
        cells = self.cells
        values = mixture.frame.apply(np.asarray(self.rest.values))
        alone = values.shape[1] == 1
        seen = ~np.isnan(values[:, 0]) if alone else np.ones(len(values), dtype=bool)
        hidden = np.bincount(cells.samples, minlength=len(values))
        of_components = []
        for k, part in enumerate(parts):
            own = shares[:, k]
            mass = np.bincount(cells.numbers, own[cells.samples], len(cells.columns))
            points = np.full((len(part.values), values.shape[1]), np.nan)
            points[range(len(points)), cells.columns[part.owner]] = part.values
            blank = values[:0] if alone else np.full((1, values.shape[1]), np.nan)
            every = np.concatenate([values[seen], points, blank])
            weights = np.concatenate(
                [own[seen], part.mass * mass[part.owner], -(own @ hidden)[None][: len(blank)]]
            )
            component = mixture.components.subset(np.array([k]))
            if alone:
                of_components.append(component.statistics(every, weights[:, None]))
            else:
                _, statistics = cast("Any", component).linear.seen(every)
                of_components.append(statistics(weights[:, None]))
        return type(of_components[0]).joined(of_components)


def log_joint(mixture: Mixture[Densities], rows: Rows) -> Array:
    """Return log π_k plus log densities and probabilities (n, K) of what was seen."""
    split = SplitRows.of(rows)
    return split.log_joint(mixture, split.nodes(mixture))


@dataclass(frozen=True)
class Celled(Drawing):
    """E-step over values that are known to an interval."""

    name = "intervals of values"

    def step(self, mixture: Mixture[Components]) -> Step:
        return CelledStep(mixture)

    def drawn(
        self, mixture: Mixture[Components], rows: Rows, generator: np.random.Generator
    ) -> Array:
        """Return values (n, D) with draws of nodes where they are known to an interval."""
        split = SplitRows.of(rows)
        parts = split.nodes(mixture)
        joint = split.log_joint(mixture, parts)
        mixture.allocate(joint, rows)
        labels = drawn_labels(joint, generator)
        values, cells = np.array(split.rest.values), split.cells
        uniform = generator.random(len(cells.samples))
        for k, part in enumerate(parts):
            mine = labels[cells.samples] == k
            samples, numbers = cells.samples[mine], cells.numbers[mine]
            columns = cells.columns[numbers]
            chosen = part.drawn(numbers, uniform[mine])
            values[samples, columns] = part.values[chosen] * mixture.frame.scale[columns]
        return values


@dataclass(frozen=True)
class CelledStep:
    """E-step of a chunk whose values are known to intervals; picklable."""

    mixture: Mixture[Components]

    def __call__(self, rows: Rows) -> ChunkSums:
        split = SplitRows.of(rows)
        parts = split.nodes(self.mixture)
        joint = split.log_joint(self.mixture, parts)
        return block_sums(
            self.mixture, joint, rows, lambda shares: split.statistics(self.mixture, parts, shares)
        )


def true_moments(mixture: Mixture[Densities], rows: Rows) -> tuple[Array, Array]:
    """Return posterior means and variances (n, D) of the values of samples, in data units."""
    split = SplitRows.of(rows)
    cells, parts = split.cells, split.nodes(mixture)
    shares = split.log_joint(mixture, parts)
    mixture.allocate(shares, rows)
    first = np.array(split.rest.values)
    second = first * first
    columns = cells.columns[cells.numbers]
    own = shares[cells.samples]
    for moments, power in ((first, 1), (second, 2)):
        means = np.array([part.mean(part.values**power) for part in parts])[:, cells.numbers]
        scale = mixture.frame.scale[columns] ** power
        moments[cells.samples, columns] = scale * (own * means.T).sum(axis=1)
    return first, np.maximum(second - first * first, 0.0)


def _logs_in(column: Any, low: Array, high: Array) -> Nodes:
    """Return nodes of intervals of a positive column with one component."""

    def log_density(logs: Array) -> Array:
        values = np.exp(logs).reshape(-1, 1)
        return cast("Array", column.expected_log_density(values).reshape(logs.shape) + logs)

    least, most = LOGS
    with np.errstate(divide="ignore"):
        a, b = (np.clip(np.log(np.maximum(bound, 0.0)), least, most) for bound in (low, high))
    bounds = np.concatenate([a[a > least], b[b < most], [0.0]])
    grid = float(np.median(bounds)) + np.linspace(-WINDOW, WINDOW, 1 + int(2 * WINDOW))
    width = 1.0
    for _ in range(ROUNDS):
        mode = float(grid[np.argmax(log_density(grid))])
        grid = mode + np.linspace(-width, width, 2 * FINER + 1)
        width /= FINER
    centre = np.clip(mode, a, b)
    largest = log_density(centre)
    ends = [end_of(log_density, centre, largest, limit) for limit in (a, b)]
    points, weights = MANY
    half = 0.5 * np.array([centre - ends[0], ends[1] - centre])
    logs = np.array([ends[0], centre]) + half * (1.0 + points[:, None, None])
    mass = half * weights[:, None, None] * np.exp(log_density(logs) - largest)
    total = mass.sum(axis=(0, 1))
    owner = np.broadcast_to(np.arange(len(a)), mass.shape)
    return Nodes(
        owner.ravel(), np.exp(logs).ravel(), (mass / total).ravel(), np.log(total) + largest
    )


def _counts_in(column: Any, low: Array, high: Array) -> Nodes:
    """Return the counts in intervals of a column with one component."""

    def log_density(values: Array) -> Array:
        return cast("Array", column.expected_log_density(values[:, None])[:, 0])

    a, b = np.maximum(np.ceil(low), 0.0), np.minimum(np.floor(high), LARGEST_COUNT)
    centre = np.clip(np.floor(column.means[0, 0]), a, b)
    largest = log_density(centre)
    first = np.floor(end_of(lambda v: log_density(np.floor(v)), centre, largest, a))
    last = np.ceil(end_of(lambda v: log_density(np.ceil(v)), centre, largest, b))
    lengths = (last - first).astype(np.intp) + 1
    owner = np.repeat(np.arange(len(a)), lengths)
    values = first[owner] + np.arange(len(owner)) - (np.cumsum(lengths) - lengths)[owner]
    logs = log_density(values)
    largest = np.maximum.reduceat(logs, np.cumsum(lengths) - lengths)
    mass = np.exp(logs - largest[owner])
    total = sums_by(owner, mass, len(a))
    return Nodes(owner, values, mass / total[owner], np.log(total) + largest)
