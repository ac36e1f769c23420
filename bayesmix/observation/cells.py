"""The E-step over values of independent columns that are known to an interval, a cell.

The probability of a cell, and the distribution of the value in it, are sums over nodes: the counts
in it, or Gauss-Legendre nodes of x (normal columns) or log x (positive ones), whose density is
log-concave. Nodes enter the statistics as values with weights, so any family's M-step is that of
complete data. So do samples that were not recorded: the cells outside of a region hold their
expected number (Dempster, Laird & Rubin 1977).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np

from bayesmix.core.components import Components, Densities
from bayesmix.core.missing_cells import INCOMPLETE
from bayesmix.core.mixture import ChunkSums, Mixture
from bayesmix.core.rows import Rows
from bayesmix.em.expectation import Step, block_sums
from bayesmix.families.gaussian.point import Gaussians
from bayesmix.families.negative_binomial import OverdispersedCounts
from bayesmix.families.rates import Poissons
from bayesmix.numerics.arrays import Array, Indices
from bayesmix.numerics.drawing import drawn_labels
from bayesmix.observation.instrument import Instrument, Region
from bayesmix.observation.missing import Drawing
from bayesmix.observation.quadrature import MANY, LogDensity, Nodes, end_of, points_on

SMALLEST = float(np.finfo(float).tiny)
# Standard deviations beyond which normal densities are far below rounding.
FAR = 20.0
# Logarithms of positive doubles, and counts that are exact in doubles.
LOGS, LARGEST_COUNT = (-700.0, 700.0), 2.0**53
# Modes are sought within e^±60 of the values, on grids that become 16 times finer.
WINDOW, FINER, ROUNDS = 60.0, 16, 6


class Cells(NamedTuple):
    """Distinct cells: columns, bounds (G,); samples, cells and steps (m,) of hidden values.

    The last 3 U cells are below, above and within U regions of recorded values, whose numbers
    (n,) are ``regions``, empty if there are none.
    """

    columns: Indices
    low: Array
    high: Array
    samples: Indices
    numbers: Indices
    steps: Array  # in data units, 0 where the cell contributes a probability
    regions: Indices

    @classmethod
    def of(cls, instrument: Instrument, n: int) -> Cells:
        keys: Array = np.empty((3, 0))
        steps: Array = np.empty(0)
        samples: Indices = np.empty(0, dtype=np.intp)
        numbers = regions = samples
        intervals = instrument.intervals
        if intervals is not None:
            hidden = ~np.isnan(intervals.lower)
            samples, columns = np.nonzero(hidden)
            given = np.array([columns, intervals.lower[hidden], intervals.upper[hidden]])
            keys, inverse = np.unique(given, axis=1, return_inverse=True)
            numbers, steps = inverse.ravel(), intervals.rounded[hidden] * intervals.steps[columns]
        if instrument.region is not None:
            column, regions, cells = _cells_of(instrument.region, n)
            keys = np.hstack([keys, np.insert(cells, 0, column, axis=0)])
        columns, low, high = keys
        return cls(columns.astype(np.intp), low, high, samples, numbers, steps, regions)

    @property
    def n_regions(self) -> int:
        return 1 + int(self.regions.max(initial=-1))


def _cells_of(region: Region, n: int) -> tuple[int, Indices, Array]:
    """Return the truncated column, regions (n,), and bounds (2, 3 U) below, above and within."""
    column = int(np.argmax(region.truncated))
    given = np.array([region.low[:, column], region.high[:, column]])
    (low, high), numbers = np.unique(given, axis=1, return_inverse=True)
    # Values at the bounds were recorded.
    below, above = np.nextafter(low, -np.inf), np.nextafter(high, np.inf)
    open_ends = np.full(low.shape, np.inf)
    cells = np.block([[-open_ends, above, low], [below, open_ends, high]])
    return column, np.broadcast_to(numbers.ravel(), n), cells


@dataclass(frozen=True)
class SplitRows:
    """A chunk: its cells, and its rows without hidden values."""

    cells: Cells
    rest: Rows

    @classmethod
    def of(cls, rows: Rows) -> SplitRows:
        cells = Cells.of(cast("Instrument", rows.side.measurement), len(rows))
        values = np.array(rows.values, dtype=np.float64)
        values[cells.samples, cells.columns[cells.numbers]] = np.nan
        return cls(cells, Rows(values, rows.weights, rows.first))

    def nodes(self, mixture: Mixture[Densities]) -> list[Nodes]:
        """Return the nodes of all cells for each component."""
        cells, frame = self.cells, mixture.frame
        parts = []
        for k in range(mixture.n_components):
            component = cast("Any", mixture.components).subset(np.array([k]))
            by_column = [Nodes(np.empty(0, dtype=np.intp), *np.empty((3, 0)))]
            logs = np.full(len(cells.columns), -np.inf)
            for d in np.unique(cells.columns):
                column = component.marginal(np.array([d]))
                column = getattr(column, "parts", [column])[0]
                nodes_of, least = _kind_of(column)
                there = (cells.columns == d) & (cells.low < cells.high) & (cells.high >= least)
                own = np.flatnonzero(there)
                bounds = (
                    (bound[own] - frame.centre[d]) / frame.scale[d]
                    for bound in (cells.low, cells.high)
                )
                part = nodes_of(column, *bounds)
                logs[own] = part.log_total
                by_column.append(part._replace(owner=own[part.owner]))
            owner, values, mass, _ = map(np.concatenate, zip(*by_column, strict=True))
            parts.append(Nodes(owner, values, mass, logs))
        return parts

    def log_joint(self, mixture: Mixture[Densities], parts: Sequence[Nodes]) -> Array:
        """Return log π_k plus log densities (n, K) in the frame times probabilities of cells."""
        joint, cells = INCOMPLETE.log_joint(mixture, self.rest), self.cells
        steps = cells.steps / mixture.frame.scale[cells.columns[cells.numbers]]
        log_steps = np.log(steps, where=steps > 0.0, out=np.zeros(len(steps)))
        for k, part in enumerate(parts):
            logs = part.log_total[cells.numbers] - log_steps
            joint[:, k] += np.bincount(cells.samples, logs, len(joint))
        if cells.n_regions:
            joint -= self.log_recorded(mixture, parts)[cells.regions, None]
        return joint

    def log_recorded(self, mixture: Mixture[Densities], parts: Sequence[Nodes]) -> Array:
        """Return the log probabilities (U,) that a sample is recorded."""
        U = self.cells.n_regions
        within = np.array([part.log_total[len(part.log_total) - U :] for part in parts])
        return cast("Array", np.logaddexp.reduce(mixture.log_weights[:, None] + within, axis=0))

    def statistics(
        self, mixture: Mixture[Components], parts: Sequence[Nodes], shares: Array
    ) -> Any:
        """Return the statistics of responsibilities (n, K), with expectations over cells.

        A node is a sample without other values; what samples without any value add is subtracted.
        Samples that were not recorded are nodes too, by their expected number.
        """
        cells = self.cells
        values = mixture.frame.apply(np.asarray(self.rest.values))
        alone = values.shape[1] == 1
        seen = ~np.isnan(values[:, 0]) if alone else np.ones(len(values), dtype=bool)
        hidden = np.bincount(cells.samples, minlength=len(values))
        U = cells.n_regions
        if U:
            odds = np.bincount(cells.regions, shares.sum(axis=1), U)
            odds *= np.exp(-self.log_recorded(mixture, parts))
        of_components = []
        for k, part in enumerate(parts):
            own = shares[:, k]
            mass = np.bincount(cells.numbers, own[cells.samples], len(cells.columns))
            if U:
                unrecorded = slice(len(mass) - 3 * U, len(mass) - U)
                logs = mixture.log_weights[k] + part.log_total[unrecorded]
                mass[unrecorded] = np.tile(odds, 2) * np.exp(logs)
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
            frame = mixture.frame
            values[samples, columns] = (
                frame.centre[columns] + part.values[chosen] * frame.scale[columns]
            )
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
    cells, frame, parts = split.cells, mixture.frame, split.nodes(mixture)
    shares = split.log_joint(mixture, parts)
    mixture.allocate(shares, rows)
    first, own = frame.apply(np.asarray(split.rest.values)), shares[cells.samples]
    second = first * first
    for moments, power in ((first, 1), (second, 2)):
        means = np.array([part.mean(part.values**power) for part in parts])[:, cells.numbers]
        moments[cells.samples, cells.columns[cells.numbers]] = (own * means.T).sum(axis=1)
    return frame.undo(first), np.maximum(second - first * first, 0.0) * frame.scale**2


def _kind_of(column: Any) -> tuple[Callable[[Any, Array, Array], Nodes], float]:
    """Return how cells of a column get nodes, and the least value that the column can have."""
    if isinstance(column, Gaussians):
        return _reals_in, -np.inf
    if isinstance(column, (Poissons, OverdispersedCounts)):
        return _counts_in, 0.0
    return _logs_in, SMALLEST


def _reals_in(column: Any, low: Array, high: Array) -> Nodes:
    """Return nodes of intervals of a Gaussian column with one component."""

    def log_density(values: Array) -> Array:
        logs = column.expected_log_density(values.reshape(-1, 1))
        return cast("Array", logs.reshape(values.shape))

    centre = np.clip(column.means[0, 0], low, high)
    reach = FAR * float(column.deviations[0, 0])
    bounds = np.maximum(low, centre - reach), np.minimum(high, centre + reach)
    return _nodes_around(log_density, centre, *bounds)


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
    nodes = _nodes_around(log_density, np.clip(mode, a, b), a, b)
    return nodes._replace(values=np.exp(nodes.values))


def _nodes_around(log_density: LogDensity, centre: Array, a: Array, b: Array) -> Nodes:
    """Return nodes on both sides of where densities on intervals are largest."""
    largest = log_density(centre)
    ends = [end_of(log_density, centre, largest, limit) for limit in (a, b)]
    values, weights = points_on(np.array([ends[0], centre]), np.array([centre, ends[1]]), MANY)
    mass = weights * np.exp(log_density(values) - largest)
    owner = np.broadcast_to(np.arange(len(a)), mass.shape)
    return Nodes.of(owner.ravel(), values.ravel(), mass.ravel(), largest)


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
    return Nodes.of(owner, values, np.exp(logs - largest[owner]), largest)
