"""Columns of levels and counts beside others: shares of levels, and rows and densities in cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.families.level_probabilities import level_probabilities
from bayesmix.numerics.arrays import Array
from bayesmix.plots import style
from bayesmix.plots.density.bars import WIDTH, counts_between
from bayesmix.plots.density.plane import GRID, HELD, SHADES, draw_points, holding
from bayesmix.plots.subject import Sample, View
from bayesmix.workflow.result import FitResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Rows of a cell are spread over so much of it, ...
SPREAD = 0.7
# ... at places that fill it evenly: the fractions of whole multiples (Roberts 2018).
STEPS = (0.7548776662466927, 0.5698402909980532)
MOST_NAMED = 8
LONGEST = 12


@dataclass(frozen=True)
class Kind:
    """What a column holds: levels by name, else counts or what is continuous."""

    continuous: bool
    levels: tuple[str, ...] | None = None

    def places(self, low: float, high: float) -> Array:
        """Where a density is looked at between the ends of an axis."""
        if self.continuous:
            return np.linspace(low, high, GRID)
        if self.levels is not None:
            return np.arange(len(self.levels), dtype=np.float64)
        counts = counts_between(low, high)
        return counts[:: -(-len(counts) // GRID)]

    def extent(self, view: View, column: int, values: Array | None) -> tuple[float, float]:
        """Where the axis of a column of a view begins and ends."""
        if self.levels is not None:
            return -0.5, len(self.levels) - 0.5
        low, high = view.extent(column, values)
        if self.continuous:
            return low, high
        counts = counts_between(low, high)
        return counts[0] - 0.5, counts[-1] + 0.5


def kind_of(result: FitResult, column: int) -> Kind:
    """What a column of a fit holds."""
    place = np.array([column])
    probabilities = level_probabilities(result.family, result.plug_in.components)
    if column not in probabilities:
        return Kind(result.family.marginal(place).continuous)
    coding = result.family.coding
    named = None if coding is None else coding.levels[column]
    if named is None:
        named = tuple(range(probabilities[column].shape[1]))
    return Kind(False, tuple(map(str, named)))


def columns_that_differ(result: FitResult, most: int) -> list[int]:
    """Columns of any kind, no more than ``most``: those with most of their variance between."""
    from bayesmix.plots.clusters.profile import lines_of

    point = result.unframed.plug_in()
    names = [str(column) for column in range(result.n_features)]
    weights = result.mixture.mean_weights
    own = lines_of(result.family, point, names)
    apart = [max(line.apart(weights) for line in lines) for lines in own]
    return sorted(np.argsort(-np.array(apart), kind="stable")[:most].tolist())


def draw_shares(ax: Axes, view: View, sample: Sample | None, kind: Kind) -> None:
    """The share of every level, in parts by component, over that among the rows."""
    assert kind.levels is not None
    codes = np.arange(len(kind.levels))
    if sample is not None:
        counts = np.bincount(sample.values[:, 0].astype(int), sample.weights, len(codes))
        ax.bar(codes, counts / counts.sum(), WIDTH, color=style.FILL, zorder=1)
    parts = view.terms(codes[:, None].astype(np.float64))
    reached = np.zeros(len(codes))
    for k, own in enumerate(parts.T):
        ax.bar(codes, own, 0.6 * WIDTH, reached, color=style.colour(k), ec="white", lw=0.5)
        reached += own
    ax.set_xlim(-0.5, len(codes) - 0.5)
    _name_levels(ax, kind, "x")
    style.quiet(ax)


def draw_cells(
    ax: Axes, view: View, sample: Sample | None, kinds: tuple[Kind, Kind], rows_only: bool
) -> None:
    """Two columns of which one at least has cells: their rows, or their density in shades."""
    limits = [
        kind.extent(view, d, None if sample is None else sample.values[:, d])
        for d, kind in enumerate(kinds)
    ]
    if rows_only and sample is not None:
        draw_points(ax, spread_out(sample, kinds), limits, size=14.0)
    else:
        _shade(ax, view, kinds, limits)
    ax.set_xlim(*limits[0])
    ax.set_ylim(*limits[1])
    for axis, kind in zip(("x", "y"), kinds, strict=True):
        _name_levels(ax, kind, axis)
    style.quiet(ax)


def spread_out(sample: Sample, kinds: tuple[Kind, Kind]) -> Sample:
    """The rows, spread over their cells."""
    values = sample.values.copy()
    numbers = np.arange(len(values))
    for d, (kind, step) in enumerate(zip(kinds, STEPS, strict=True)):
        if not kind.continuous:
            values[:, d] += SPREAD * (numbers * step % 1.0 - 0.5)
    return replace(sample, values=values)


def _shade(
    ax: Axes, view: View, kinds: tuple[Kind, Kind], limits: list[tuple[float, float]]
) -> None:
    """Cells, and strips of them, darker where the shares ``HELD`` are most densely."""
    x, y = (kind.places(*limit) for kind, limit in zip(kinds, limits, strict=True))
    points = np.column_stack([each.ravel() for each in np.meshgrid(x, y)])
    density = view.terms(points).sum(axis=1)
    # Of all that is in sight, so that counts of which some are left out hold what they hold.
    levels = holding(density / density.sum(), 1.0, HELD) * density.sum()
    depth = (density[:, None] >= levels).sum(axis=1).astype(np.float64).reshape(len(y), len(x))
    depth[depth == 0.0] = np.nan
    from matplotlib.colors import ListedColormap

    ax.pcolormesh(
        _edges(x), _edges(y), depth, cmap=ListedColormap(SHADES), vmin=0.5,
        vmax=len(SHADES) + 0.5, edgecolors="none", rasterized=True, zorder=0,
    )  # fmt: skip
    for kind, line in zip(kinds, (ax.axvline, ax.axhline), strict=True):
        for code in range(1, len(kind.levels or ())):
            line(code - 0.5, color="white", lw=3.0, zorder=1)


def _edges(places: Array) -> Array:
    """Of cells around even places."""
    half = 0.5 * (places[1] - places[0]) if len(places) > 1 else 0.5
    return np.append(places - half, places[-1] + half)


def _name_levels(ax: Axes, kind: Kind, axis: str) -> None:
    """Names of the levels at the ticks of an axis, some of them where they are many."""
    if kind.levels is None:
        return
    codes = list(range(len(kind.levels)))[:: -(-len(kind.levels) // MOST_NAMED)]
    names = [_short(kind.levels[code]) for code in codes]
    options: dict[str, Any] = {} if axis == "y" else {"rotation": 45, "ha": "right"}
    getattr(ax, f"set_{axis}ticks")(codes, names, **options)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
