"""What samples tell of values of independent columns that are known to an interval, a cell.

The probability of a cell, and the distribution of the value in it, are sums over nodes: the counts
in it, or Gauss-Legendre nodes of x (normal columns) or log x (positive ones), whose density is
log-concave. Nodes enter the statistics as values with weights, so any family's M-step is that of
complete data. So do samples that were not recorded: the cells outside of a region hold their
expected number (Dempster, Laird & Rubin 1977).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np

from bayesmix.core.components import Components, Densities
from bayesmix.core.missing_cells import INCOMPLETE
from bayesmix.core.mixture import ChunkSums, Mixture
from bayesmix.core.rows import Frame, Rows
from bayesmix.em.expectation import block_sums
from bayesmix.families.gaussian.family import Gaussians
from bayesmix.families.negative_binomial import OverdispersedCounts
from bayesmix.families.rates import Poissons
from bayesmix.numerics.arrays import Array, Indices
from bayesmix.observation.instrument import Hidden, Instrument, instrument_of
from bayesmix.observation.rectangles import (
    MANY,
    NEGLIGIBLE,
    LogDensity,
    Nodes,
    end_of,
    points_on,
)

# Logarithms of positive doubles, and counts that are exact in doubles.
LOGS, LARGEST_COUNT = 700.0, 2.0**53
# Grids, each in two steps of the one before: the last step is a billionth.
REFINED = 7


class Cells(NamedTuple):
    """Distinct cells in a frame: columns, bounds (G,); hidden values and their cells (m,).

    The last 3 U cells are below, above and within U regions of recorded values, whose numbers
    (n,) are ``regions``, empty if there are none.
    """

    columns: Indices
    low: Array
    high: Array
    hidden: Hidden
    numbers: Indices
    regions: Indices

    @classmethod
    def of(cls, frame: Frame, instrument: Instrument) -> Cells:
        hidden = instrument.hidden_in(frame, instrument.hidden)
        keys, numbers = np.unique(
            np.array([*hidden[:1], *hidden[2:4]]), axis=1, return_inverse=True
        )
        regions = np.empty(0, dtype=np.intp)
        for d in np.flatnonzero(instrument.truncated):
            bounds = np.array([instrument.least[:, d], instrument.most[:, d]])
            (low, high), inverse = np.unique(bounds, axis=1, return_inverse=True)
            regions = np.broadcast_to(inverse.ravel(), len(instrument.groups))
            # Values at the bounds were recorded.
            below, above = np.nextafter(low, -np.inf), np.nextafter(high, np.inf)
            open_ends = np.full(low.shape, np.inf)
            cells = np.block([[-open_ends, above, low], [below, open_ends, high]])
            cells = (cells - frame.centre[d]) / frame.scale[d]
            keys = np.hstack([keys, np.insert(cells, 0, d, axis=0)])
        columns, (_, low, high) = keys[0].astype(np.intp), keys
        return cls(columns, low, high, hidden, numbers.ravel(), regions)

    @property
    def n_regions(self) -> int:
        return 1 + int(self.regions.max(initial=-1))

    def nodes(self, mixture: Mixture[Densities], k: int) -> Nodes:
        """Return the nodes of all cells for a component."""
        logs = np.full(len(self.columns), -np.inf)
        component = cast("Any", mixture.components).subset(np.array([k]))
        parts = [Nodes(np.empty(0, dtype=np.intp), *np.empty((3, 0)))]
        for d in np.unique(self.columns):
            column = component.marginal(np.array([d]))
            column = getattr(column, "parts", [column])[0]
            nodes_of, least = _kind_of(column)
            there = (self.columns == d) & (self.low < self.high) & (self.high >= least)
            places = np.flatnonzero(there)
            nodes = nodes_of(column, self.low[places], self.high[places])
            logs[places] = nodes.log_total
            parts.append(nodes._replace(owner=places[nodes.owner]))
        owner, values, mass, _ = map(np.concatenate, zip(*parts, strict=True))
        return Nodes(owner, values, mass, logs)


@dataclass(frozen=True)
class CellView:
    """What a chunk tells of values in cells: nodes of each component, log P(recorded) (U,)."""

    mixture: Mixture[Components]
    rows: Rows
    cells: Cells
    rest: Rows  # without hidden values
    nodes: list[Nodes]
    log_recorded: Array
    joint: Array

    @classmethod
    def of(cls, mixture: Mixture[Components], rows: Rows) -> CellView:
        cells = Cells.of(mixture.frame, instrument_of(rows))
        values, hidden = np.array(rows.values, dtype=np.float64), cells.hidden
        values[hidden.samples, hidden.columns] = np.nan
        rest = Rows(values, rows.weights, rows.first)
        nodes = [cells.nodes(mixture, k) for k in range(mixture.n_components)]
        joint, logs = INCOMPLETE.log_joint(mixture, rest), np.array([n.log_total for n in nodes])
        for k, of_component in enumerate(logs[:, cells.numbers] - hidden.log_steps):
            joint[:, k] += np.bincount(hidden.samples, of_component, len(joint))
        within = mixture.log_weights[:, None] + logs[:, logs.shape[1] - cells.n_regions :]
        log_recorded = np.logaddexp.reduce(within, axis=0)
        if cells.n_regions:
            joint -= log_recorded[cells.regions, None]
        return cls(mixture, rows, cells, rest, nodes, log_recorded, joint)

    def sums(self) -> ChunkSums:
        return block_sums(self.mixture, self.joint, self.rows, self.statistics)

    def statistics(self, shares: Array) -> Any:
        """Return the statistics of responsibilities (n, K), with expectations over cells.

        A node is a sample without other values; what samples without any value add is subtracted.
        Samples that were not recorded are nodes too, by their expected number.
        """
        cells, mixture, U = self.cells, self.mixture, self.cells.n_regions
        values = mixture.frame.apply(np.asarray(self.rest.values))
        blank = np.full((1, values.shape[1]), np.nan)
        odds = np.bincount(cells.regions, shares.sum(axis=1)[: len(cells.regions)], U)
        odds = odds * np.exp(-self.log_recorded)
        of_components = []
        for k, (part, share) in enumerate(zip(self.nodes, shares.T, strict=True)):
            of_hidden = share[cells.hidden.samples]
            mass = np.bincount(cells.numbers, of_hidden, len(cells.columns))
            unrecorded = slice(len(mass) - 3 * U, len(mass) - U)
            logs = mixture.log_weights[k] + part.log_total[unrecorded]
            mass[unrecorded] = np.tile(odds, 2) * np.exp(logs)
            points = blank.repeat(len(part.values), axis=0)
            points[range(len(points)), cells.columns[part.owner]] = part.values
            weights = share, part.mass * mass[part.owner], [-of_hidden.sum()]
            component = cast("Any", mixture.components).subset(np.array([k]))
            _, statistics = component.linear.seen(np.concatenate([values, points, blank]))
            of_components.append(statistics(np.concatenate(weights)[:, None]))
        return type(of_components[0]).joined(of_components)

    def moments(self, shares: Array) -> tuple[Array, Array]:
        """Return means and mean squares (n, D) of true values in the frame."""
        (columns, samples, *_), numbers = self.cells.hidden, self.cells.numbers
        first = self.mixture.frame.apply(np.asarray(self.rest.values))
        second = first * first
        for moments, power in ((first, 1), (second, 2)):
            means = np.array([part.mean(part.values**power) for part in self.nodes])
            moments[samples, columns] = (shares[samples] * means[:, numbers].T).sum(axis=1)
        return first, second

    def drawn(self, labels: Indices, generator: np.random.Generator) -> Array:
        (columns, samples, *_), frame = self.cells.hidden, self.mixture.frame
        values, uniform = np.array(self.rest.values), generator.random(len(samples))
        for k, part in enumerate(self.nodes):
            inside = labels[samples] == k
            points = part.values[part.drawn(self.cells.numbers[inside], uniform[inside])]
            d = columns[inside]
            values[samples[inside], d] = frame.centre[d] + points * frame.scale[d]
        return values


def _kind_of(column: Any) -> tuple[Callable[[Any, Array, Array], Nodes], float]:
    """Return how cells of a column get nodes, and the least value that the column can have."""
    if isinstance(column, Gaussians):
        return _reals_in, -np.inf
    if isinstance(column, (Poissons, OverdispersedCounts)):
        return _counts_in, 0.0
    return _logs_in, float(np.finfo(float).tiny)


def _log_density_of(column: Any) -> LogDensity:
    """Return the log density of a column with one component, for values of any shape."""

    def log_density(values: Array) -> Array:
        logs = column.expected_log_density(values.reshape(-1, 1))
        return cast("Array", logs.reshape(values.shape))

    return log_density


def _reals_in(column: Any, low: Array, high: Array) -> Nodes:
    """Return nodes of intervals of a Gaussian column with one component."""
    centre = np.clip(column.means[0, 0], low, high)
    reach = np.sqrt(2.0 * NEGLIGIBLE) * float(column.deviations[0, 0])
    bounds = np.maximum(low, centre - reach), np.minimum(high, centre + reach)
    return _nodes_around(_log_density_of(column), centre, *bounds)


def _logs_in(column: Any, low: Array, high: Array) -> Nodes:
    """Return nodes of intervals of a positive column with one component."""
    of_values = _log_density_of(column)

    def log_density(logs: Array) -> Array:
        return of_values(np.exp(logs)) + logs

    with np.errstate(divide="ignore"):
        a, b = (np.clip(np.log(np.maximum(bound, 0.0)), -LOGS, LOGS) for bound in (low, high))
    first, last = -LOGS, LOGS
    for _ in range(REFINED):
        places = np.linspace(first, last, 129)
        best = int(np.nanargmax(log_density(places)))
        first, last = places[max(best - 1, 0)], places[min(best + 1, 128)]
    nodes = _nodes_around(log_density, np.clip(0.5 * (first + last), a, b), a, b)
    return nodes._replace(values=np.exp(nodes.values))


def _nodes_around(log_density: LogDensity, centre: Array, a: Array, b: Array) -> Nodes:
    """Return nodes on both sides of where densities on intervals are largest."""
    largest = log_density(centre)
    ends = end_of(log_density, centre, largest, np.array([a, b]))
    values, weights = points_on(np.array([ends[0], centre]), np.array([centre, ends[1]]), MANY)
    mass = weights * np.exp(log_density(values) - largest)
    owner = np.broadcast_to(np.arange(len(a)), mass.shape)
    return Nodes.of(owner.ravel(), values.ravel(), mass.ravel(), largest)


def _counts_in(column: Any, low: Array, high: Array) -> Nodes:
    """Return the counts in intervals of a column with one component."""
    log_density = _log_density_of(column)
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
