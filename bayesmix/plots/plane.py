"""Density over two columns: regions of highest density, ellipses, and data by component."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.plots import style
from bayesmix.plots.subject import Sample, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes


GRID = 201
HELD = (0.95, 0.75, 0.5, 0.25)
SHADES = ("#f3f3f3", "#e7e7e7", "#dadada", "#cdcdcd")
MOST_POINTS = 5_000
MOST_NAMED = 10


def draw_plane(ax: Axes, view: View, sample: Sample | None, legend: bool) -> None:
    """Draw the density of two columns."""
    limits = limits_of(view, None if sample is None else sample.values)
    draw_regions(ax, view, limits)
    draw_ellipses(ax, view)
    remarks = list(view.remarks)
    if sample is not None:
        remarks += draw_points(ax, sample, limits)
    finish(ax, view, limits, remarks)
    if legend:
        style.legend_on_top(ax, *_key(view))


def limits_of(view: View, values: Array | None) -> list[tuple[float, float]]:
    """Return the limits of both axes."""
    return [view.extent(d, None if values is None else values[:, d]) for d in (0, 1)]


def finish(ax: Axes, view: View, limits: list[tuple[float, float]], remarks: Sequence[str]) -> None:
    """Set limits, labels and notes of a plane."""
    ax.set(xlim=limits[0], ylim=limits[1], xlabel=view.names[0], ylabel=view.names[1])
    style.quiet(ax)
    style.note(ax, remarks)


def _key(view: View) -> tuple[list[Any], list[str]]:
    """Return handles and labels of the legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    labels: list[str] = []
    if 1 < view.n_components <= MOST_NAMED:
        for k, weight in enumerate(view.weights):
            marker, colour = style.marker(k), style.colour(k)
            handles.append(Line2D([], [], ls="", marker=marker, color=colour, ms=5))
            labels.append(f"{k}: weight {weight:.2f}")
    if view.noise:
        handles.append(Line2D([], [], ls="", marker=style.marker(-1), color=style.colour(-1), ms=5))
        labels.append(f"noise: weight {view.noise:.2g}")
    handles.append(
        tuple(Line2D([], [], color=style.FAINT, lw=width, ls=ls) for width, ls in RIMS.values())
    )
    labels.append("1 and 2 standard deviations")
    handles.append(tuple(Patch(facecolor=shade) for shade in SHADES))
    labels.append(f"holds {', '.join(f'{100 * held:.0f}' for held in HELD)} %")
    return handles, labels


def draw_regions(ax: Axes, view: View, limits: list[tuple[float, float]]) -> None:
    """Draw filled contours of the regions that contain the shares ``HELD``."""
    x, y, points = plane_grid(limits, GRID)
    fill_regions(ax, x, y, view.terms(points).sum(axis=1) / (1.0 - view.noise))


def fill_regions(ax: Axes, x: Array, y: Array, density: Array) -> None:
    """Draw filled contours of a density on a grid."""
    levels = np.unique(holding(density, (x[1] - x[0]) * (y[1] - y[0]), HELD))
    heights = density.reshape(len(y), len(x))
    shades = SHADES[-len(levels) :]
    ax.contourf(x, y, heights, [*levels, 1.01 * density.max()], colors=shades, zorder=0)


def plane_grid(limits: list[tuple[float, float]], n: int) -> tuple[Array, Array, Array]:
    """Return n points along each axis, and the points (n n, 2) of their grid."""
    x, y = (np.linspace(low, high, n) for low, high in limits)
    return x, y, np.column_stack([each.ravel() for each in np.meshgrid(x, y)])


def holding(density: Array, cell: float, shares: tuple[float, ...]) -> Array:
    """Return the levels above which a density on a grid contains these shares."""
    descending = np.sort(density)[::-1]
    held = np.cumsum(descending) * cell
    places = np.minimum(np.searchsorted(held, shares), len(held) - 1)
    return descending[places]


# Standard deviations: width and style of the line.
RIMS: dict[float, tuple[float, Any]] = {1.0: (1.8, "-"), 2.0: (1.1, (0, (4, 2)))}


def draw_ellipses(ax: Axes, view: View, strength: Array | None = None) -> None:
    """Draw ellipses of 1 and 2 standard deviations with the component's number."""
    from matplotlib.patches import Ellipse

    for k, (mean, covariance) in enumerate(zip(view.means, view.covariances, strict=True)):
        variances, axes = np.linalg.eigh(covariance)
        reach = np.sqrt(np.maximum(variances, 0.0))
        angle = np.degrees(np.arctan2(axes[1, 1], axes[0, 1]))
        alpha = 1.0 if strength is None else float(strength[k])
        for deviations, (width, ls) in RIMS.items():
            ax.add_patch(
                Ellipse(
                    (mean[0], mean[1]),
                    2.0 * deviations * reach[1],
                    2.0 * deviations * reach[0],
                    angle=angle,
                    fill=False,
                    edgecolor=style.colour(k),
                    lw=width,
                    ls=ls,
                    alpha=alpha,
                    zorder=3,
                    path_effects=style.halo(width + 1.4),
                )
            )
        tip = 2.0 * reach[1] * axes[:, 1] * np.sign(axes[1, 1] or 1.0)
        if view.n_components > 1:
            style.number(
                ax, k, mean[0] + tip[0], mean[1] + tip[1], zorder=5, va="center", alpha=alpha
            )


def outside_the_view(values: Array, limits: list[tuple[float, float]]) -> list[str]:
    """Return a note on observations outside the view, if there are any."""
    low, high = np.transpose(limits)
    outside = ((values < low) | (values > high)).any(axis=1)
    if not outside.any():
        return []
    return [f"{int(outside.sum()):,} of {len(values):,} observations outside the view"]


def rows_in_view(sample: Sample, limits: list[tuple[float, float]]) -> tuple[Sample, list[str]]:
    """Return at most ``MOST_POINTS`` observations, and notes on the others."""
    remarks = sample.remarks + outside_the_view(sample.values, limits)
    shown = sample.thinned(MOST_POINTS)
    if len(shown.values) < len(sample.values):
        remarks.append(f"{len(shown.values):,} of {len(sample.values):,} observations drawn")
    return shown, remarks


def draw_points(
    ax: Axes, sample: Sample, limits: list[tuple[float, float]], size: float = 26.0
) -> list[str]:
    """Draw observations in colour and marker of their most probable component; return notes."""
    from matplotlib.colors import to_rgb

    shown, remarks = rows_in_view(sample, limits)
    certainty = shown.certainty
    area = size * (0.25 + 0.75 * certainty) * min(1.0, (1500 / len(shown.values)) ** 0.5)
    if shown.weights is not None:
        area = area * np.clip(shown.weights / shown.weights.mean(), 0.0, 9.0)
    labels = shown.labels
    for k in np.unique(labels):
        rows = labels == k
        colours = np.empty((int(rows.sum()), 4))
        colours[:, :3] = to_rgb(style.colour(k))
        colours[:, 3] = 0.25 + 0.65 * certainty[rows]
        ax.scatter(
            shown.values[rows, 0],
            shown.values[rows, 1],
            s=area[rows],
            c=colours,
            marker=style.marker(k),
            linewidths=0.4 if k >= 0 else 1.0,
            edgecolors="white" if k >= 0 else None,
            zorder=2,
            rasterized=len(shown.values) > 2000,
        )
    return remarks
