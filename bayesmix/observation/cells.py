"""What samples tell of values of independent columns that are known to an interval, a cell.

The probability of a cell, and the distribution of the value in it, are sums over nodes: the counts
in it, or values of x (normal columns) or log x (positive ones), whose density is log-concave, at
Gauss-Legendre nodes of the root of the distance from where it is largest. Nodes enter the
statistics as values with weights, so any family's M-step is that of complete data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np

from bayesmix.core.families import Support
from bayesmix.core.missing_cells import INCOMPLETE
from bayesmix.core.rows import Rows
from bayesmix.numerics.arrays import Array, Indices
from bayesmix.numerics.memo import once
from bayesmix.observation.instrument import Hidden, instrument_of
from bayesmix.observation.rectangles import (
    MANY,
    NEGLIGIBLE,
    LogDensity,
    Nodes,
    end_of,
    points_on,
)
from bayesmix.observation.true_values import MeasuredView

# Logarithms of positive doubles, and counts that are exact in doubles.
LOGS, LARGEST_COUNT = 700.0, 2.0**53


@dataclass(frozen=True)
class CellView(MeasuredView):
    """What a chunk tells of values in cells."""

    survival: bool = False  # whether values above a bound may be one node, for sums alone

    @once
    def hidden(self) -> Hidden:
        instrument = instrument_of(self.rows)
        return instrument.hidden_in(self.mixture.frame, instrument.hidden)

    @once
    def rest(self) -> Rows:
        """Samples without their hidden values."""
        values = np.where(instrument_of(self.rows).hidden, np.nan, self.rows.values)
        return Rows(values, self.rows.weights, self.rows.first)

    @once
    def cells(self) -> tuple[Array, Indices]:
        """Columns and bounds (3, G) of distinct cells, and which are those of hidden values."""
        columns, _, *bounds, _ = self.hidden
        cells, numbers = np.unique([columns, *bounds], axis=1, return_inverse=True)
        return cells, numbers.ravel()

    @once
    def nodes(self) -> list[Nodes]:
        """Nodes of each component."""
        components = map(self.component, range(self.mixture.n_components))
        return [_nodes_in(component, self.survival, *self.cells[0]) for component in components]

    def component(self, k: int) -> Any:
        return self.mixture.components.subset(np.array([k]))

    @once
    def joint_of_any(self) -> Array:
        joint, hidden = INCOMPLETE.log_joint(self.mixture, self.rest), self.hidden
        for k, part in enumerate(self.nodes):
            logs = part.log_total[self.cells[1]] - hidden.log_steps
            joint[:, k] += np.bincount(hidden.samples, logs, len(joint))
        return joint

    def statistics(self, parts: Sequence[tuple[Self, Array]]) -> Any:
        of_components = []
        for k in range(self.mixture.n_components):
            points = [view.points(k, part[:, k]) for view, part in parts]
            values, weights = (np.concatenate(part) for part in zip(*points, strict=True))
            _, statistics = self.component(k).linear.seen(values)
            of_components.append(statistics(weights[:, None]))
        return type(of_components[0]).joined(of_components)

    def points(self, k: int, share: Array) -> tuple[Array, Array]:
        """Return samples and nodes (q, D) in the frame, and their weights, of a component.

        A node is a sample without other values; what samples without any value add is subtracted.
        """
        (columns, *_), numbers = self.cells
        values, part = self.mixture.frame.apply(self.rest.values), self.nodes[k]
        of_hidden = share[self.hidden.samples]
        mass = np.bincount(numbers, of_hidden, len(columns))
        nodes = np.full((len(part.values) + 1, values.shape[1]), np.nan)
        nodes[range(len(part.values)), columns[part.owner].astype(np.intp)] = part.values
        weights = share, part.mass * mass[part.owner], [-of_hidden.sum()]
        return np.concatenate([values, nodes]), np.concatenate(weights)

    def moments(self, shares: Array) -> tuple[Array, Array]:
        """Return means and mean squares (n, D) of true values in the frame."""
        (columns, samples, *_), numbers = self.hidden, self.cells[1]
        first = self.mixture.frame.apply(self.rest.values)
        second = first * first
        for moments, power in ((first, 1), (second, 2)):
            means = np.array([part.mean(part.values**power) for part in self.nodes])
            moments[samples, columns] = (shares[samples] * means[:, numbers].T).sum(axis=1)
        return first, second

    def drawn(self, labels: Indices, generator: np.random.Generator) -> Array:
        (columns, samples, *_), frame = self.hidden, self.mixture.frame
        values, uniform = self.rest.values.copy(), generator.random(len(samples))
        for k, part in enumerate(self.nodes):
            inside = labels[samples] == k
            points = part.values[part.drawn(self.cells[1][inside], uniform[inside])]
            d = columns[inside]
            values[samples[inside], d] = frame.centre[d] + points * frame.scale[d]
        return values


def _nodes_in(component: Any, survival: bool, columns: Array, low: Array, high: Array) -> Nodes:
    """Return the nodes of cells (G,) for one component."""
    logs = np.full(len(columns), -np.inf)
    parts = [(np.empty(0, dtype=np.intp), *np.empty((2, 0)))]
    for d in np.unique(columns):
        column = component.marginal(np.array([d], dtype=np.intp))
        column = getattr(column, "parts", [column])[0]
        nodes_of, least = NODES[column.support]
        inside = (columns == d) & (low < high) & (high >= least)
        survives = inside & np.isposinf(high) & (survival and column.reads_bounds)
        for chosen, nodes_in in ((survives, _survival), (inside & ~survives, nodes_of)):
            if chosen.any():
                nodes = nodes_in(column, low[chosen], high[chosen])
                logs[chosen] = nodes.log_total
                parts.append((np.flatnonzero(chosen)[nodes.owner], nodes.values, nodes.mass))
    owner, values, mass = map(np.concatenate, zip(*parts, strict=True))
    return Nodes(owner, values, mass, logs)


def _survival(column: Any, low: Array, high: Array) -> Nodes:
    """Return minus each bound, which the statistics of the column read as a value above it."""
    logs = column.log_survival(low[:, None])[:, 0, 0]
    values = np.where(low > 0.0, -low, np.nan)
    return Nodes(np.arange(len(low)), values, np.ones(len(low)), logs)


def _log_density_of(column: Any) -> LogDensity:
    """Return the log density of a column with one component, for values of any shape."""

    def log_density(values: Array) -> Array:
        logs = column.expected_log_density(values.reshape(-1, 1))
        return cast("Array", logs.reshape(values.shape))

    return log_density


def _reals_in(column: Any, low: Array, high: Array) -> Nodes:
    """Return nodes of intervals of a real column with one component."""
    mean = float(column.means[0, 0])
    nearest = np.clip(mean, low, high)
    # Log-concave tails fall by a nat or more in a standard deviation.
    reach = NEGLIGIBLE * float(column.deviations[0, 0])
    bounds = np.clip([low, high], nearest - reach, nearest + reach)
    return _nodes_around(_log_density_of(column), mean, *bounds)


def _logs_in(column: Any, low: Array, high: Array) -> Nodes:
    """Return nodes of intervals of a positive column with one component."""
    of_values = _log_density_of(column)

    def log_density(logs: Array) -> Array:
        return of_values(np.exp(logs)) + logs

    with np.errstate(divide="ignore"):
        a, b = (np.clip(np.log(np.maximum(bound, 0.0)), -LOGS, LOGS) for bound in (low, high))
    # Gamma densities of log x have their mode there, others are at most a few nats below.
    centre = float(np.clip(np.log(column.means[0, 0]), -LOGS, LOGS))
    nodes = _nodes_around(log_density, centre, a, b)
    return nodes._replace(values=np.exp(nodes.values))


def _nodes_around(log_density: LogDensity, centre: float, a: Array, b: Array) -> Nodes:
    """Return nodes of intervals on both sides of a centre, about where the density is largest."""
    nearest = np.clip(centre, a, b)
    largest = log_density(nearest)
    away = end_of(log_density, nearest, largest, np.array([a, b])) - nearest
    # Roots of distances: a gamma of small shape bends near its mode, and its tail is a hundred
    # times as wide.
    roots, weights = points_on(np.zeros(away.shape), np.sqrt(np.abs(away)), MANY)
    values = nearest + np.sign(away) * roots**2
    mass = 2.0 * roots * weights * np.exp(log_density(values) - largest)
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


# Nodes of intervals of a column with one component, and its least value, by its support.
NODES = {
    Support.REAL: (_reals_in, -np.inf),
    Support.POSITIVE: (_logs_in, float(np.finfo(float).tiny)),
    Support.COUNTS: (_counts_in, 0.0),
}
