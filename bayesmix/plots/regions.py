"""``plot_region``: the region of highest density, with observations inside and outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.plots import style
from bayesmix.plots.density import (
    GRID,
    MOST_POINTS,
    curve_grid,
    draw_ellipses,
    finish,
    finish_curve,
    limits_of,
    outside_the_view,
    plane_grid,
    rug,
)
from bayesmix.plots.pairs import part_view
from bayesmix.plots.subject import View, raw_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesmix.posterior.regions import DensityRegion


INSIDE = "#0072B2"
OUTSIDE = "#D55E00"
HELD = "#cfe0ee"


def plot_region(
    region: DensityRegion, X: Any = None, ax: Axes | None = None, *, legend: bool = True
) -> Axes:
    """Plot a region of highest density over one or two columns, with the data if given.

    Parameters
    ----------
    region : DensityRegion
        Over continuous columns.
    X : array, frame or source (n, d), optional
        Data to show.
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.
    legend : bool, default=True

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> gm = bm.GaussianMixture(2, random_state=0).fit(X[:150])
    >>> region = gm.density_region(0.9, calibration=X[150:])
    >>> ax = region.plot(X, ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('eruptions', 'waiting')
    """
    style.expect("region", region, "a DensityRegion", "contains")
    view = _view_of(region)
    values = None if X is None else raw_rows(X)[0]
    inside = None if X is None else region.contains(X)
    ax = style.axes_or_new(ax)
    if len(view.columns) == 1:
        _draw_line(ax, view, region, values, inside, legend)
    else:
        _draw_plane(ax, view, region, values, inside, legend)
    return ax


def _view_of(region: DensityRegion) -> View:
    density = region.density
    if region.transformed:
        raise UnsupportedError(
            "regions of pipelines cannot be drawn, because their columns are transformed: use "
            "contains"
        )
    if not density.family.continuous:
        raise UnsupportedError(
            "a region is drawn for continuous features: for counts and binary features use contains"
        )
    if len(density.columns) > 2:
        raise UnsupportedError(
            "regions are drawn over one or two columns: use marginal(columns).density_region()"
        )
    return part_view(density)


def _draw_line(
    ax: Axes, view: View, region: DensityRegion, values: Array | None, inside: Any, legend: bool
) -> None:
    low, high = view.extent(0, None if values is None else values[:, 0])
    intervals = region.intervals()
    grid = np.unique(np.concatenate([curve_grid(view, low, high), intervals.ravel()]))
    curve = view.terms(grid[:, None]).sum(axis=1)
    (line,) = ax.plot(grid, curve, color=style.INK, lw=2.2, zorder=4)
    key: style.Key = {"density": line}
    for first, last in intervals:
        within = (grid >= first) & (grid <= last)
        key[_named(region)] = ax.fill_between(
            grid[within], curve[within], color=HELD, lw=0, zorder=1
        )
    level = float(np.exp(region.threshold))
    ax.axhline(level, color=style.FAINT, lw=1.0, ls=(0, (4, 3)), zorder=3)
    if values is not None:
        rug(ax, values[inside, 0])
        outside = values[~inside, 0]
        ax.plot(
            outside, np.zeros(len(outside)), "X", color=OUTSIDE, ms=6.5, mec="white", mew=0.6,
            transform=ax.get_xaxis_transform(), zorder=6, clip_on=False,
        )  # fmt: skip
        if not inside.all():
            key[_outside_label(inside)] = _outside_mark()
    top = float(curve.max())
    finish_curve(ax, view, (low, high), top, view.remarks, key if legend else {})


def _draw_plane(
    ax: Axes, view: View, region: DensityRegion, values: Array | None, inside: Any, legend: bool
) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    limits = limits_of(view, values)
    x, y, points = plane_grid(limits, GRID)
    height = np.log(np.maximum(view.terms(points).sum(axis=1), 1e-300)) - region.threshold
    grid = height.reshape(GRID, GRID)
    ax.contourf(x, y, grid, [0.0, 1.0 + max(0.0, float(grid.max()))], colors=[HELD], zorder=0)
    ax.contour(x, y, grid, [0.0], colors=[INSIDE], linewidths=1.4, zorder=1)
    draw_ellipses(ax, view, strength=np.full(view.n_components, 0.55))
    key: style.Key = {_named(region): Patch(facecolor=HELD, edgecolor=INSIDE)}
    remarks = list(view.remarks)
    if values is not None:
        remarks += outside_the_view(values, limits)
        shown = style.evenly(len(values), MOST_POINTS)
        if len(shown) < len(values):
            remarks.append(f"{len(shown):,} of {len(values):,} observations drawn")
        some, within = values[shown], inside[shown]
        ax.plot(
            *some[within].T, "o", color=INSIDE, ms=3.6, mec="white", mew=0.4, alpha=0.7, zorder=2
        )
        ax.plot(*some[~within].T, "X", color=OUTSIDE, ms=6.5, mec="white", mew=0.6, zorder=4)
        key["inside"] = Line2D([], [], ls="", marker="o", color=INSIDE, ms=4)
        key[_outside_label(inside)] = _outside_mark()
    finish(ax, view, limits, remarks, key if legend else None)


def _named(region: DensityRegion) -> str:
    how = "calibrated" if region.calibrated else "by the model"
    return f"holds {100 * region.level:g} %, {how}"


def _outside_label(inside: Any) -> str:
    return f"outside: {100 * (1.0 - inside.mean()):.2g} % of the data"


def _outside_mark() -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], ls="", marker="X", color=OUTSIDE, mec="white", mew=0.6, ms=7)
