"""A density over one column: curve, components, histogram, rug, kernel density estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.numerics.quantiles import quantiles
from bayesmix.plots import style
from bayesmix.plots.density.bands import Band, draw_band
from bayesmix.plots.subject import Sample, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BINS = 200
# Values are taken as rounded where a bin would hold fewer than so many different ones.
ROUNDED = 8.0
MOST_TICKS = 2000
# Above this many rows the kernels sit on the bins of a fine histogram.
MOST_KERNELS = 2000
MOST_NAMED = 10
# A spike may rise to so many times the height of the histogram before it is cut off.
HIGHEST = 4.0


def draw_curve(
    ax: Axes,
    view: View,
    sample: Sample | None,
    kde: bool,
    legend: bool,
    band: Band | None = None,
) -> None:
    """Draw the density of a view of one column."""
    values = None if sample is None else sample.values[:, 0]
    low, high = view.extent(0, values)
    grid = curve_grid(view, low, high)
    terms = view.terms(grid[:, None])
    handles: list[Any] = []
    labels: list[str] = []
    remarks = list(view.remarks)
    reached = 0.0
    if sample is not None:
        column = sample.values[:, 0]
        heights, edges = histogram(column, sample.weights, low, high)
        reached = float(heights.max())
        bars = ax.stairs(heights, edges, fill=True, color=style.FILL, zorder=1)
        ax.stairs(heights, edges, color="white", lw=0.6, zorder=1.1)
        outside = int(((column < low) | (column > high)).sum())
        if outside:
            remarks.append(f"{outside:,} of {len(column):,} rows outside the view")
        handles.append(bars)
        labels.append("rows")
    curve = terms.sum(axis=1)
    (whole,) = ax.plot(grid, curve, color=style.INK, lw=2.6, zorder=4)
    handles.insert(0, whole)
    labels.insert(0, "density")
    top = float(curve.max())
    if band is not None:
        shade, highest = draw_band(ax, band, grid)
        top = max(top, highest)
        handles.insert(1, shade)
        labels.insert(1, band.label)
    if sample is not None and kde:
        estimate = kernel_density(column, sample.weights, grid)
        if estimate is not None:
            (line,) = ax.plot(grid, estimate, color=style.FAINT, lw=1.2, zorder=3)
            reached = max(reached, float(estimate.max()))
            handles.append(line)
            labels.append("kernel density estimate")
    if view.n_components > 1:
        lines = draw_components(ax, view, grid, terms)
        if len(lines) <= MOST_NAMED:
            handles += lines
            labels += [f"{k}: weight {weight:.2f}" for k, weight in enumerate(view.weights)]
        else:
            handles.append(tuple(lines[:3]))
            labels.append(f"components 0 to {len(lines) - 1}")
    if sample is not None:
        if top > HIGHEST * reached:
            remarks.append(f"the highest peak ({top:.3g}) is cut off")
            top = HIGHEST * reached
        rug(ax, sample.thinned(MOST_TICKS).values[:, 0])
    ax.set_xlim(low, high)
    ax.set_ylim(0.0, 1.06 * max(top, reached))
    ax.set_xlabel(view.names[0])
    style.label_density(ax)
    style.quiet(ax)
    style.note(ax, remarks)
    if legend:
        style.legend_on_top(ax, handles, labels)


def curve_grid(view: View, low: float, high: float) -> Array:
    """Places at which curves are evaluated: even, and close where a component is narrow."""
    steps = np.linspace(-4.0, 4.0, 81)
    close = view.means + view.deviations * steps
    every = np.concatenate([np.linspace(low, high, 401), close.ravel()])
    grid: Array = np.unique(every[(every >= low) & (every <= high)])
    return grid


def draw_components(ax: Axes, view: View, grid: Array, terms: Array) -> list[Any]:
    """One line a component, with its number at its peak."""
    lines = []
    for k in range(view.n_components):
        term = terms[:, k]
        lines += ax.plot(grid, term, color=style.colour(k), ls=style.line(k), lw=1.5, zorder=5)
        peak = int(term.argmax())
        style.number_at_peak(ax, k, grid[peak], term[peak])
    return lines


def histogram(values: Array, weights: Array | None, low: float, high: float) -> tuple[Array, Array]:
    """Heights and edges over the rows within the view; the bars hold those rows' share of 1.

    Narrower bins than for one normal density (four times the cube root of n, or those of Freedman &
    Diaconis 1981 where there are more), because a mixture's columns have more than one hill. Where
    values are rounded every bin takes equally many of the possible ones.
    """
    mass = np.ones(len(values)) if weights is None else weights
    seen = (values >= low) & (values <= high)
    inside, inside_mass = values[seen], mass[seen]
    total = float(mass.sum())
    spread = float(np.ptp(inside))
    if spread == 0.0:
        return np.array([inside_mass.sum() / total / (high - low)]), np.array([low, high])
    root = np.cbrt(inside_mass.sum())
    quarter, three_quarters = quantiles(inside, inside_mass, (0.25, 0.75))
    width = spread / min(4.0 * root, MOST_BINS)
    if three_quarters > quarter:
        width = min(width, 2.0 * (three_quarters - quarter) / root)
    width = max(width, spread / MOST_BINS)
    step = float(np.diff(np.unique(inside)).min())
    if width < ROUNDED * step:
        width = step * max(1.0, round(width / step))
        edges = np.arange(inside.min() - step / 2.0, inside.max() + width, width)
    else:
        edges = np.linspace(inside.min(), inside.max(), round(spread / width) + 1)
    counts, edges = np.histogram(inside, edges, weights=inside_mass)
    return counts / (total * np.diff(edges)), edges


def kernel_density(values: Array, weights: Array | None, grid: Array) -> Array | None:
    """SciPy's Gaussian kernel density estimate with Scott's bandwidth; None where there is none."""
    from scipy.stats import gaussian_kde

    mass = np.ones(len(values)) if weights is None else weights
    if np.ptp(values[mass > 0]) == 0.0:
        return None
    n = max(float(mass.sum()), 2.0)
    if len(values) > MOST_KERNELS:
        mass, edges = np.histogram(values, MOST_KERNELS, weights=mass)
        values = (0.5 * (edges[1:] + edges[:-1]))[mass > 0]
        mass = mass[mass > 0]
    # Weights are repetition counts (DESIGN, section 5): n = Σw decides on the bandwidth, and the
    # variance is that of n rows, where SciPy would take it for fewer.
    unbiased = (1.0 - ((mass / mass.sum()) ** 2).sum()) / (1.0 - 1.0 / n)
    bandwidth = n**-0.2 * np.sqrt(unbiased)
    estimate: Array = gaussian_kde(values, float(bandwidth), weights=mass)(grid)
    return estimate


def rug(ax: Axes, values: Array) -> None:
    """A tick a row, under the axis line."""
    ax.plot(
        values, np.zeros(len(values)), "|", color=style.INK, ms=7, mew=0.7, alpha=0.55,
        transform=ax.get_xaxis_transform(), zorder=2, clip_on=True,
    )  # fmt: skip
