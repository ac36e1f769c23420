"""``plot_density``: a fitted mixture with its data, over one or two columns.

One column is a curve, or bars of counts. Two columns are regions of highest density with ellipses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, quantiles
from bayesmix.plots import style
from bayesmix.plots.common_directions import view_and_sample
from bayesmix.plots.style import Axes
from bayesmix.plots.subject import DrawnGroups, Sample, View, fitted_and_read
from bayesmix.posterior import bands
from bayesmix.sources.memory import as_source

WIDTH = 0.86
MOST_NAMED = 10


def draw_bars(ax: Axes, view: View, sample: Sample | None, legend: bool) -> None:
    """Draw the probabilities of one column of counts."""
    low, high = view.extent(0, None if sample is None else sample.values[:, 0])
    places = counts_between(low, high)
    edges = np.append(places, places[-1] + 1) - 0.5
    rows: style.Key = {}
    reached = 0.0
    if sample is not None:
        total = len(sample.values) if sample.weights is None else sample.weights.sum()
        shares = np.histogram(sample.values[:, 0], edges, weights=sample.weights)[0] / total
        reached = float(shares.max())
        rows["rows"] = ax.bar(places, shares, WIDTH, color=style.FILL, zorder=1)
    terms = view.terms(places[:, None])
    outline, lines = draw_probabilities(ax, view, places, terms)
    key = {"probability": outline, **rows}
    if 1 < view.n_components <= MOST_NAMED:
        key |= view.groups.key(lines)
    style.whole_numbers(ax)
    style.finished(
        ax, key if legend else None, view.remarks, xlim=(edges[0], edges[-1]),
        ylim=(0.0, 1.08 * max(reached, float(terms.sum(axis=1).max()))), xlabel=view.names[0],
        ylabel="probability",
    )  # fmt: skip


def counts_between(low: float, high: float) -> Array:
    """Return the counts within an axis."""
    return np.arange(max(0.0, np.ceil(low)), np.floor(high) + 1.0)


def draw_probabilities(ax: Axes, view: View, places: Array, terms: Array) -> tuple[Any, list[Any]]:
    """Draw outlined bars for the mixture, and lines with markers for its components."""
    outline = ax.bar(
        places, terms.sum(axis=1), WIDTH, fill=False, edgecolor=style.INK, lw=1.2, zorder=3
    )
    lines: list[Any] = []
    if view.n_components == 1:
        return outline, lines
    for k in range(view.n_components):
        lines += ax.plot(
            places, terms[:, k], color=view.groups.colour(k), ls=style.line(k), lw=1.3,
            marker=view.groups.marker(k), ms=4.5, mec="white", mew=0.4, zorder=4,
        )  # fmt: skip
        peak = int(terms[:, k].argmax())
        number_at_peak(ax, view, k, places[peak], terms[peak, k])
    return outline, lines


# Fixed, so that figures are reproducible.
SEED = 0
DRAWS = 1000
FEWEST_BEYOND = 2.0


@dataclass(frozen=True)
class Band:
    """Function from points (n, d) to pointwise limits (n, 2) of a density, with their level."""

    level: float
    ends: Callable[[Array], Array]

    @property
    def label(self) -> str:
        return f"{100 * self.level:g} % band"


def band_of(
    model: Any,
    view: View,
    level: Any,
    method: Any = "variational",
    data: Any = None,
    sample_weight: Any = None,
    n_draws: int = DRAWS,
) -> Band:
    """Return the band of a fit over a view; point estimates have one only by a bootstrap."""
    number = drawable_level("band", level, n_draws)
    result = model.result_
    _check_curve(view, result)
    drawn = bands.drawn_mixtures(model, method, data, n_draws, SEED, sample_weight)
    whole = np.array_equal(view.columns, np.arange(result.n_features))

    def ends(points: Array) -> Array:
        if whole:
            return bands.density_band(drawn, as_source(points), number, False)
        return bands.marginal_band(drawn, view.columns, points, number)

    return Band(number, ends)


def band_of_average(average: Any, view: View, level: Any, method: Any, data: Any) -> Band:
    """Return the band of an averaged density over the columns of a view."""
    number = drawable_level("band", level, bands.DRAWS_OF_EACH)
    _check_curve(view, average.estimators[0].result_)
    parts = [each for _, each in average.drawn(number, bands.DRAWS_OF_EACH, SEED, method, data)]

    def ends(points: Array) -> Array:
        return bands.hull(
            [bands.marginal_band(each, view.columns, points, number) for each in parts]
        )

    return Band(number, ends)


def _check_curve(view: View, result: Any) -> None:
    if view.axis != "columns":
        raise UnsupportedError(
            "bands need a column of a common subspace: choose it, as in columns=0"
        )
    if not view.continuous:
        raise UnsupportedError(
            f"bands need a continuous column, got a {result.family.adjective} mixture: use "
            "density_interval"
        )


def drawable_level(name: str, level: Any, n_draws: int = DRAWS) -> float:
    """Return a level for which a figure has enough draws."""
    highest = 1.0 - FEWEST_BEYOND / n_draws
    flag = isinstance(level, (bool, np.bool_))
    if flag or not isinstance(level, Real) or not 0.0 < float(level) <= highest:
        raise InvalidInputError(
            f"{name} must be a level above 0 and up to {highest:g}, such as 0.9, got {level!r}"
        )
    return float(level)


MOST_BINS = 200
# Values count as rounded if a bin would have fewer distinct values than this.
ROUNDED = 8.0
MOST_TICKS = 2000
MOST_BARS = 200  # more hide one another
# Above this many observations the kernels are at the bins of a fine histogram.
MOST_KERNELS = 2000
# Height of a narrow peak, relative to the histogram, above which it is cut off.
HIGHEST = 4.0


def draw_curve(
    ax: Axes, view: View, sample: Sample | None, kde: bool, legend: bool, band: Band | None = None
) -> None:
    """Draw the density of one column."""
    low, high = view.extent(0, None if sample is None else sample.values[:, 0])
    grid = curve_grid(view, low, high)
    terms = view.terms(grid[:, None])
    remarks = list(view.remarks)
    measured = sample is not None and sample.spans is not None
    name = "density of true values" if measured else "density"
    key, top, reached = draw_whole(ax, grid, terms.sum(axis=1), name, sample, band)
    if sample is not None:
        column = sample.values[:, 0]
        outside = int(((column < low) | (column > high)).sum())
        if outside:
            remarks.append(f"{outside:,} of {len(column):,} observations outside the view")
        kde = kde and not measured
        estimate = kernel_density(column, sample.weights, grid) if kde else None
        if estimate is not None:
            (line,) = ax.plot(grid, estimate, color=style.FAINT, lw=1.2, zorder=3)
            reached = max(reached, float(estimate.max()))
            key["kernel density estimate"] = line
        if top > HIGHEST * reached:
            remarks.append(f"the highest peak ({top:.3g}) is cut off")
            top = HIGHEST * reached
    if view.n_components > 1:
        lines = draw_components(ax, view, grid, terms)
        if len(view.groups.words) <= MOST_NAMED:
            key |= view.groups.key(lines)
        else:
            key[several(view.groups)] = tuple(lines[:3])
    finish_curve(ax, view, (low, high), max(top, reached), remarks, key if legend else {})


def draw_whole(
    ax: Axes, grid: Array, curve: Array, name: str, sample: Sample | None, band: Band | None
) -> tuple[style.Key, float, float]:
    """Draw a density, its band and the data; return the legend and the heights of both."""
    (line,) = ax.plot(grid, curve, color=style.INK, lw=2.6, zorder=4)
    key: style.Key = {name: line}
    top, reached = float(curve.max()), 0.0
    if band is not None:
        lower, upper = band.ends(grid[:, None]).T
        key[band.label] = ax.fill_between(
            grid, lower, upper, color=style.INK, alpha=0.32, lw=0, zorder=3.5
        )
        top = max(top, float(upper.max()))
    if sample is not None:
        # Values with an open end have no place in a histogram.
        placed = sample if sample.spans is None else sample.placed
        values = placed.values[:, 0]
        heights, edges = histogram(values, placed.weights, grid[0], grid[-1])
        heights = heights * (len(values) / len(sample.values))
        key["rows"] = ax.stairs(heights, edges, fill=True, color=style.FILL, zorder=1)
        ax.stairs(heights, edges, color="white", lw=0.6, zorder=1.1)
        reached = float(heights.max())
        if sample.spans is None:
            rug(ax, values)
        else:
            draw_bars_of(ax, sample, [(float(grid[0]), float(grid[-1]))])
    return key, top, reached


def finish_curve(
    ax: Axes, view: View, limits: tuple[float, float], top: float, remarks: list[str],
    key: style.Key,
) -> None:  # fmt: skip
    """Set limits, labels, notes and legend of a density over one column."""
    ax.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
    style.finished(
        ax, key, remarks, xlim=limits, ylim=(0.0, 1.06 * top), xlabel=view.names[0],
        ylabel="density",
    )  # fmt: skip


def curve_grid(view: View, low: float, high: float) -> Array:
    """Return points for curves: even, and dense where a component is narrow."""
    steps = np.linspace(-4.0, 4.0, 81)
    close = view.means + view.deviations * steps
    every = np.concatenate([np.linspace(low, high, 401), close.ravel()])
    return np.unique(every[(every >= low) & (every <= high)])


def draw_components(ax: Axes, view: View, grid: Array, terms: Array) -> list[Any]:
    """Draw the components with their numbers at the peaks."""
    lines = []
    for k in range(view.n_components):
        term = terms[:, k]
        lines += ax.plot(
            grid, term, color=view.groups.colour(k), ls=style.line(k), lw=1.5, zorder=5
        )
        peak = int(term.argmax())
        number_at_peak(ax, view, k, grid[peak], term[peak])
    return lines


def number_at_peak(ax: Axes, view: View, k: int, x: float, y: float) -> None:
    """Draw the number of the group of component k above the highest point of its line."""
    if (group := int(view.groups.of_components[k])) >= 0:
        style.number_at_peak(ax, group, x, y)


def several(groups: DrawnGroups) -> str:
    """Name many groups in a legend: "component 1 to component 14"."""
    return f"{groups.words[0]} to {groups.words[-1]}"


def histogram(values: Array, weights: Array | None, low: float, high: float) -> tuple[Array, Array]:
    """Return heights and edges of a histogram, normalised by the observations within the view.

    Bins are narrower than for one normal density (four times the cube root of n bins, or those of
    Freedman & Diaconis 1981 if more), because mixtures have several modes. For rounded values each
    bin contains equally many possible values.
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
    """Return SciPy's kernel density estimate with Scott's bandwidth, or None if undefined."""
    from scipy.stats import gaussian_kde

    mass = np.ones(len(values)) if weights is None else weights
    if np.ptp(values[mass > 0]) == 0.0:
        return None
    n = max(float(mass.sum()), 2.0)
    if len(values) > MOST_KERNELS:
        mass, edges = np.histogram(values, MOST_KERNELS, weights=mass)
        values = (0.5 * (edges[1:] + edges[:-1]))[mass > 0]
        mass = mass[mass > 0]
    # Weights are repetition counts, so n = Σw determines the bandwidth and the variance, unlike
    # in SciPy.
    unbiased = (1.0 - ((mass / mass.sum()) ** 2).sum()) / (1.0 - 1.0 / n)
    bandwidth = n**-0.2 * np.sqrt(unbiased)
    return gaussian_kde(values, float(bandwidth), weights=mass)(grid)


def rug(ax: Axes, values: Array) -> None:
    """Draw a tick per observation, or for an evenly spaced subset, under the axis."""
    values = values[style.evenly(len(values), MOST_TICKS)]
    ax.plot(
        values, np.zeros(len(values)), "|", color=style.INK, ms=7, mew=0.7, alpha=0.55,
        transform=ax.get_xaxis_transform(), zorder=2, clip_on=True,
    )  # fmt: skip


GRID = 201
HELD = (0.95, 0.75, 0.5, 0.25)
HELD_TEXT = f"{', '.join(f'{100 * held:.0f}' for held in HELD)} %"
SHADES = ("#f3f3f3", "#e7e7e7", "#dadada", "#cdcdcd")
MOST_POINTS = 5_000


def draw_plane(ax: Axes, view: View, sample: Sample | None, legend: bool) -> None:
    """Draw the density of two columns."""
    limits = limits_of(view, None if sample is None else sample.values)
    draw_regions(ax, view, limits)
    draw_ellipses(ax, view)
    remarks = list(view.remarks)
    if sample is not None:
        remarks += draw_points(ax, sample, limits)
    finish(ax, view, limits, remarks, _key(view) if legend else None)


def limits_of(view: View, values: Array | None) -> list[tuple[float, float]]:
    """Return the limits of both axes."""
    return [view.extent(d, None if values is None else values[:, d]) for d in (0, 1)]


def finish(
    ax: Axes, view: View, limits: list[tuple[float, float]], remarks: Sequence[str],
    key: style.Key | None = None,
) -> None:  # fmt: skip
    """Set limits, labels, notes and legend of a plane."""
    style.finished(
        ax, key, remarks, xlim=limits[0], ylim=limits[1], xlabel=view.names[0],
        ylabel=view.names[1],
    )  # fmt: skip


def dot(k: int) -> Any:
    """Return a mark in the colour of a group, for legends."""
    from matplotlib.lines import Line2D

    return Line2D([], [], ls="", marker=style.marker(k), color=style.colour(k), ms=5)


def group_key(view: View) -> style.Key:
    """Return a mark for each group, unless they are many."""
    named = view.groups.labels if view.n_components > 1 else []
    return {label: dot(k) for k, label in enumerate(named if len(named) <= MOST_NAMED else [])}


def _key(view: View) -> style.Key:
    from matplotlib.lines import Line2D

    key = group_key(view)
    if view.noise:
        key[noise_label(view)] = dot(-1)
    key["1 and 2 standard deviations"] = tuple(
        Line2D([], [], color=style.FAINT, lw=width, ls=ls) for width, ls in RIMS.values()
    )
    return key | {f"holds {HELD_TEXT}": shades()}


def noise_label(view: View) -> str:
    """Return the text of a legend for the noise."""
    return f"noise ({100 * view.noise:.2g} %)"


def shades() -> tuple[Any, ...]:
    """Return patches in the shades of the regions, for legends."""
    from matplotlib.patches import Patch

    return tuple(Patch(facecolor=shade) for shade in SHADES)


def draw_regions(ax: Axes, view: View, limits: list[tuple[float, float]]) -> None:
    """Draw filled contours of the regions that contain the shares ``HELD``."""
    x, y, points = plane_grid(limits, GRID)
    fill_regions(ax, x, y, view.terms(points).sum(axis=1) / (1.0 - view.noise))


def fill_regions(ax: Axes, x: Array, y: Array, density: Array) -> None:
    """Draw filled contours of a density on a grid of ``plane_grid``, whose first step is half."""
    levels = np.unique(holding(density, (x[2] - x[1]) * (y[2] - y[1]), HELD))
    heights = density.reshape(len(y), len(x))
    shades = SHADES[-len(levels) :]
    ax.contourf(x, y, heights, [*levels, 1.01 * density.max()], colors=shades, zorder=0)


def plane_grid(limits: list[tuple[float, float]], n: int) -> tuple[Array, Array, Array]:
    """Return n points along each axis, and the points (n n, 2) of their grid."""
    x, y = (np.linspace(low, high, n) for low, high in limits)
    # At the limit of positive values a density may be infinite.
    for axis in (x, y):
        axis[0] = axis[:2].mean()
    return x, y, np.column_stack([each.ravel() for each in np.meshgrid(x, y)])


def holding(density: Array, cell: float, shares: tuple[float, ...]) -> Array:
    """Return the levels above which a density on a grid contains these shares."""
    descending = np.sort(density)[::-1]
    held = np.cumsum(descending) * cell
    places = np.minimum(np.searchsorted(held, shares), len(held) - 1)
    return descending[places]


# Standard deviations: width and style of the line.
# Where the number of an ellipse may be, best first.
DIRECTIONS = np.array([[0.0, 1.0], [1.0, 1.0], [-1.0, 1.0], [1.0, 0.0], [-1.0, 0.0], [0.0, -1.0]])
TINY = np.finfo(float).tiny
NUMBER_INCHES = 0.16  # a number and some room
RIMS: dict[float, tuple[float, Any]] = {1.0: (1.8, "-"), 2.0: (1.1, (0, (4, 2)))}


def draw_ellipses(ax: Axes, view: View, strength: Array | None = None) -> None:
    """Draw ellipses of 1 and 2 standard deviations, with the number of the component or cluster."""
    from matplotlib.patches import Ellipse

    placed: list[tuple[int, Array]] = []
    for k, (mean, covariance) in enumerate(zip(view.means, view.covariances, strict=True)):
        variances, axes = np.linalg.eigh(covariance)
        reach = np.sqrt(np.maximum(variances, 0.0))
        angle = np.degrees(np.arctan2(axes[1, 1], axes[0, 1]))
        alpha = 1.0 if strength is None else float(strength[k])
        for deviations, (width, ls) in RIMS.items():
            across, along = 2.0 * deviations * reach
            ellipse = Ellipse(
                (mean[0], mean[1]), along, across, angle=angle, fill=False, lw=width, ls=ls,
                edgecolor=view.groups.colour(k), alpha=alpha, zorder=3,
                path_effects=style.halo(width + 1.4),
            )  # fmt: skip
            ax.add_patch(ellipse)
        group = int(view.groups.of_components[k])
        if view.n_components > 1 and group >= 0:
            places = _on_the_rim(mean, covariance)
            free = _free_place(ax, view, places, [place for _, place in placed])
            if free is None and group in (other for other, _ in placed):
                continue  # another component of the cluster has its number
            x, y = places[0] if free is None else free
            placed.append((group, np.array([x, y])))
            style.number(ax, group, x, y, zorder=5, va="center", alpha=alpha)


def _on_the_rim(mean: Array, covariance: Array) -> Array:
    """Return places (p, 2) for the number of a component on its larger ellipse, best first.

    They are the farthest points in some directions of the standardised columns, first the top.
    """
    towards = DIRECTIONS / np.sqrt(np.maximum(np.diagonal(covariance), TINY))
    lengths = np.sqrt(np.einsum("pd,de,pe->p", towards, covariance, towards))
    return mean + 2.0 * (towards @ covariance) / np.maximum(lengths, TINY)[:, None]


def _free_place(ax: Axes, view: View, places: Array, taken: list[Array]) -> Array | None:
    """Return the first of some places (p, 2) where a number overlaps no other one, if any."""
    panel = ax.get_window_extent()
    spans = [np.ptp(view.extent(d, None)) for d in (0, 1)]
    room = NUMBER_INCHES * ax.figure.dpi * np.array(spans) / (panel.width, panel.height)
    for place in places:
        if all((np.abs(place - other) > room).any() for other in taken):
            return place
    return None


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
    if shown.spans is not None:
        draw_bars_of(ax, shown, limits)
    for k in np.unique(labels):
        rows = labels == k
        colours = np.empty((int(rows.sum()), 4))
        colours[:, :3] = to_rgb(style.colour(k))
        colours[:, 3] = 0.25 + 0.65 * certainty[rows]
        ax.scatter(
            shown.values[rows, 0], shown.values[rows, 1], s=area[rows], c=colours,
            marker=style.marker(k), linewidths=0.4 if k >= 0 else 1.0,
            edgecolors="white" if k >= 0 else None, zorder=2, rasterized=len(shown.values) > 2000,
        )  # fmt: skip
    return remarks


def draw_bars_of(ax: Axes, sample: Sample, limits: list[tuple[float, float]]) -> None:
    """Draw errors and intervals of at most ``MOST_BARS`` samples as bars, to the edge if open.

    Bars over one column are at heights without meaning.
    """
    shown = sample.thinned(MOST_BARS)
    assert shown.spans is not None
    colours = [style.colour(k) for k in shown.labels]
    common: dict[str, Any] = {"colors": colours, "lw": 0.8, "alpha": 0.4, "zorder": 1.9}
    lines: tuple[Any, Any] = ax.hlines, ax.vlines
    for d, (line, edge) in enumerate(zip(lines, limits, strict=False)):
        low, high = np.clip(shown.spans[:, :, d], *edge)
        if len(limits) == 2:
            line(shown.values[:, 1 - d], low, high, **common)
            continue
        # Fractional parts of multiples of the golden ratio are even.
        heights = 0.02 + 0.3 * (np.arange(len(low)) * 0.618034 % 1.0)
        line(heights, low, high, transform=ax.get_xaxis_transform(), **common)
        inside = np.clip(shown.values[:, d], *edge)
        ax.scatter(inside, heights, 5.0, colours, transform=ax.get_xaxis_transform(), zorder=2)


def draw_view(
    ax: Axes,
    view: View,
    sample: Sample | None = None,
    legend: bool = False,
    kde: bool = False,
    band: Band | None = None,
) -> Axes:
    """Draw the density of one or two columns."""
    if len(view.columns) == 2:
        draw_plane(ax, view, sample, legend)
    elif view.continuous:
        draw_curve(ax, view, sample, kde, legend, band)
    else:
        draw_bars(ax, view, sample, legend)
    return ax


def plot_density(
    model: Any,
    X: Any = None,
    ax: Axes | None = None,
    *,
    columns: Any = None,
    sample_weight: Any = None,
    kde: bool = True,
    band: float | None = None,
    method: Any = "variational",
    legend: bool = True,
) -> Axes:
    """Plot a fitted density with its components, and the data if given.

    One column: density, weighted components, histogram, rug, and a kernel density estimate for
    comparison; bars for counts. Two columns: regions with 25, 50, 75 and 95 % of the density,
    ellipses of 1 and 2 standard deviations, and observations coloured by component, smaller and
    paler if uncertain.

    Parameters
    ----------
    model : fitted mixture or search
        For a search, its best estimator, in the colours of the clusters. Variational fits show
        the predictive density, with ellipses of ``covariances_``. For ``averaged_``, see
        ``plot_averaged``.
    X : array, frame or source (n, D), optional
        Data to show.
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.
    columns : name, number, or one or two of them, optional
        Columns of the marginal density; None: of more than two, the two with the best separated
        components. In a common subspace, None shows directions, with the columns that have the
        largest loadings.
    sample_weight : array (n,), optional
        Sample weights, used for histogram, kernel density estimate and size of points.
    kde : bool, default=True
        Whether to draw the kernel density estimate (one column, Scott's bandwidth).
    band : float, optional
        Level of a pointwise credible band over one column, such as 0.9; for two columns see
        ``plot_uncertainty``.
    method : {"variational", "gibbs", "bootstrap"} or draws, default="variational"
        Source of the band, as in ``density_interval``. "gibbs" and "bootstrap" need ``X``, the data
        of the fit.
    legend : bool, default=True

    Raises
    ------
    ValueError
        If the density cannot be drawn, or data or columns do not fit the model.
    ImportError
        If Matplotlib is not installed.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> gm = bm.GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> ax = bm.plot_density(gm, X, ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('eruptions', 'waiting')
    """
    if hasattr(model, "estimators") and hasattr(model, "shares"):
        from bayesmix.plots.averages import plot_averaged

        if sample_weight is not None:
            raise UnsupportedError("an averaged density takes no sample_weight: leave it out")
        return plot_averaged(model, X, ax, columns=columns, band=band, method=method)
    estimator, X = fitted_and_read(model, X, with_noise=band is None)
    view, sample = view_and_sample(model, columns, X, sample_weight)
    if band is not None and len(view.columns) == 2:
        raise UnsupportedError(
            "band needs one column: choose it, as in columns=0, or use plot_uncertainty for two"
        )
    shaded = None if band is None else band_of(estimator, view, band, method, X, sample_weight)
    return draw_view(style.axes_or_new(ax), view, sample, legend, kde, shaded)
