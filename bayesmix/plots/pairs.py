"""``plot_pairs`` and ``MixtureDensity.plot``: several columns of any type."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.coding import Level, shown
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.plots import density as drawing
from bayesmix.plots import style, subject
from bayesmix.plots.assignment import lines_of
from bayesmix.plots.common_directions import directions_of
from bayesmix.plots.style import Axes
from bayesmix.plots.subject import DrawnGroups, Sample, View

if TYPE_CHECKING:
    from bayesmix.posterior.density import MixtureDensity


# Fraction of a cell over which its observations are spread, ...
SPREAD = 0.7
# ... evenly, at fractional parts of multiples (Roberts 2018).
STEPS = (0.7548776662466927, 0.5698402909980532)
MOST_NAMED = 8
LONGEST = 12


@dataclass(frozen=True)
class Kind:
    """Type of a column: level names, counts, or continuous."""

    continuous: bool
    levels: tuple[str, ...] | None = None

    def places(self, low: float, high: float) -> Array:
        """Return points between the limits of an axis at which a density is evaluated."""
        if self.continuous:
            return np.linspace(low, high, drawing.GRID)
        if self.levels is not None:
            return np.arange(len(self.levels), dtype=np.float64)
        counts = drawing.counts_between(low, high)
        return counts[:: -(-len(counts) // drawing.GRID)]

    def extent(self, view: View, column: int, values: Array | None) -> tuple[float, float]:
        """Return the limits of an axis for a column."""
        if self.levels is not None:
            return -0.5, len(self.levels) - 0.5
        low, high = view.extent(column, values)
        if self.continuous:
            return low, high
        counts = drawing.counts_between(low, high)
        return counts[0] - 0.5, counts[-1] + 0.5


def kind_of(result: FitResult, column: int) -> Kind:
    """Return the type of a column."""
    place = np.array([column])
    probabilities = result.family.level_probabilities(result.plug_in.components)
    if column not in probabilities:
        return Kind(result.family.marginal(place).continuous)
    coding = result.family.coding
    named = None if coding is None else coding.levels[column]
    if named is None:
        named = tuple(range(probabilities[column].shape[1]))
    return Kind(False, tuple(map(str, named)))


def columns_that_differ(result: FitResult, most: int) -> list[int]:
    """Return at most ``most`` columns, those with the largest variance between components."""
    point = result.unframed.plug_in()
    names = [str(column) for column in range(result.n_features)]
    weights = result.mixture.mean_weights
    own = lines_of(result.family, point, names)
    apart = [max(line.apart(weights) for line in lines) for lines in own]
    return sorted(np.argsort(-np.array(apart), kind="stable")[:most].tolist())


def draw_shares(ax: Axes, view: View, sample: Sample | None, kind: Kind) -> None:
    """Draw the probability of each level, stacked by component, over the observed shares."""
    assert kind.levels is not None
    codes = np.arange(len(kind.levels))
    if sample is not None:
        counts = np.bincount(sample.values[:, 0].astype(int), sample.weights, len(codes))
        ax.bar(codes, counts / counts.sum(), drawing.WIDTH, color=style.FILL, zorder=1)
    parts = view.terms(codes[:, None].astype(np.float64))
    reached = np.zeros(len(codes))
    for k, heights in enumerate(parts.T):
        ax.bar(
            codes, heights, 0.6 * drawing.WIDTH, reached, color=view.groups.colour(k), ec="white",
            lw=0.5,
        )  # fmt: skip
        reached += heights
    ax.set_xlim(-0.5, len(codes) - 0.5)
    _name_levels(ax, kind, "x")
    style.finished(ax)


def draw_cells(
    ax: Axes, view: View, sample: Sample | None, kinds: tuple[Kind, Kind], rows_only: bool
) -> None:
    """Draw two columns of which at least one is discrete: the data, or the density."""
    limits = [
        kind.extent(view, d, None if sample is None else sample.values[:, d])
        for d, kind in enumerate(kinds)
    ]
    if rows_only and sample is not None:
        drawing.draw_points(ax, spread_out(sample, kinds), limits, size=14.0)
    else:
        _shade(ax, view, kinds, limits)
    style.finished(ax, xlim=limits[0], ylim=limits[1])
    for axis, kind in zip(("x", "y"), kinds, strict=True):
        _name_levels(ax, kind, axis)


def spread_out(sample: Sample, kinds: tuple[Kind, Kind]) -> Sample:
    """Spread observations over their cells."""
    values = sample.values.copy()
    numbers = np.arange(len(values))
    for d, (kind, step) in enumerate(zip(kinds, STEPS, strict=True)):
        if not kind.continuous:
            values[:, d] += SPREAD * (numbers * step % 1.0 - 0.5)
    return replace(sample, values=values)


def _shade(
    ax: Axes, view: View, kinds: tuple[Kind, Kind], limits: list[tuple[float, float]]
) -> None:
    """Shade cells, or strips of cells, by regions that contain the shares ``HELD``."""
    x, y = (kind.places(*limit) for kind, limit in zip(kinds, limits, strict=True))
    points = np.column_stack([grid.ravel() for grid in np.meshgrid(x, y)])
    density = view.terms(points).sum(axis=1)
    # Relative to the visible part, so that shares are correct if large counts are left out.
    levels = drawing.holding(density / density.sum(), 1.0, drawing.HELD) * density.sum()
    depth = (density[:, None] >= levels).sum(axis=1).astype(np.float64).reshape(len(y), len(x))
    depth[depth == 0.0] = np.nan
    from matplotlib.colors import ListedColormap

    ax.pcolormesh(
        _edges(x), _edges(y), depth, cmap=ListedColormap(drawing.SHADES), vmin=0.5,
        vmax=len(drawing.SHADES) + 0.5, edgecolors="none", rasterized=True, zorder=0,
    )  # fmt: skip
    for kind, line in zip(kinds, (ax.axvline, ax.axhline), strict=True):
        for code in range(1, len(kind.levels or ())):
            line(code - 0.5, color="white", lw=3.0, zorder=1)


def _edges(places: Array) -> Array:
    half = 0.5 * (places[1] - places[0]) if len(places) > 1 else 0.5
    return np.append(places - half, places[-1] + half)


def _name_levels(ax: Axes, kind: Kind, axis: str) -> None:
    """Label an axis with names of levels, only some of them if there are many."""
    if kind.levels is None:
        return
    codes = list(range(len(kind.levels)))[:: -(-len(kind.levels) // MOST_NAMED)]
    names = [kind.levels[code] for code in codes]
    names = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names]
    options: dict[str, Any] = {} if axis == "y" else {"rotation": 45, "ha": "right"}
    getattr(ax, f"set_{axis}ticks")(codes, names, **options)


# Number of columns drawn by default, and at most.
FIRST_COLUMNS = 5
MOST_COLUMNS = 12
PANEL = 1.9  # inches
# Above this number observations are binned.
MOST_ROWS = 5_000
BINS = 45
# A sample whose component has less than this probability is uncertain.
SURE = 0.9
MOST_UNSURE = 400


def plot_pairs(
    model: Any, X: Any = None, axes: Any = None, *, columns: Any = None, sample_weight: Any = None
) -> Any:
    """Plot each column, and each pair of columns, with the components.

    Diagonal: densities with components over histograms. Below: observations coloured by component,
    paler if uncertain, with ellipses of 1 and 2 standard deviations; large data are binned. Above:
    regions with 25, 50, 75 and 95 % of the density, with the uncertain observations (largest
    probability below 0.9).

    Columns may have any type. For levels the diagonal shows probabilities, stacked by component.
    Observations with levels and counts are jittered.

    Parameters
    ----------
    model : fitted mixture or search
        For a search, its best estimator.
    X : array, frame or source (n, D), optional
        Data to show.
    axes : array of matplotlib Axes (d, d), optional
        Where to draw; None creates a figure.
    columns : list of names or numbers, optional
        At least two columns; None: all up to five, otherwise the five with the least overlap of
        components. In a common subspace, None shows directions, with the columns that have the
        largest loadings.
    sample_weight : array (n,), optional
        Sample weights.

    Returns
    -------
    array of Axes (d, d)

    Raises
    ------
    ValueError
        For data or columns that do not fit the model.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_iris()
    >>> gm = bm.GaussianMixture(n_components=3, random_state=0).fit(X)
    >>> axes = bm.plot_pairs(gm, X, axes=Figure().subplots(4, 4))
    >>> axes[3, 0].get_xlabel()
    'sepal_length'
    """
    estimator, X = subject.fitted_and_read(model, X, with_noise=True)
    names = subject.column_names(estimator, X)
    groups = subject.groups_of(model)
    directions = directions_of(estimator, columns, X)
    if directions is not None and directions.frame.n_directions == 1:
        directions = None  # no pairs
    if directions is None:
        shown = _columns(estimator, names, columns)
        kinds = {column: kind_of(estimator.result_, column) for column in shown}
    else:
        names = [directions.name(d, "\n") for d in range(directions.frame.n_directions)]
        shown = directions.leading(FIRST_COLUMNS)
        kinds = dict.fromkeys(shown, Kind(continuous=True))
    d = len(shown)
    axes = style.panels(axes, d, d, (PANEL * d + 0.4, PANEL * d + 0.6), sharex="col")
    sample = subject.whole_sample(estimator, X, sample_weight, groups)
    if directions is not None:
        sample = directions.placed(sample, estimator, X)

    def of(*columns: int) -> tuple[View, Sample | None]:
        chosen = np.array(columns)
        if directions is None:
            view = subject.view_over(model, chosen, X)
        else:
            view = directions.view(chosen, groups)
        return view, None if sample is None else sample.over(view.columns)

    for row, below in enumerate(shown):
        for place, across in enumerate(shown):
            ax = axes[row, place]
            if row == place:
                if kinds[across].levels is None:
                    drawing.draw_view(ax, *of(across))
                else:
                    draw_shares(ax, *of(across), kinds[across])
                ax.set_title("", loc="right")
                ax.set_yticks([])
            elif kinds[across].continuous and kinds[below].continuous:
                _panel(ax, *of(across, below), lower=row > place)
            else:
                view, own = of(across, below)
                draw_cells(ax, view, own, (kinds[across], kinds[below]), row > place)
                if own is not None and row < place:
                    _unsure(ax, spread_out(own, (kinds[across], kinds[below])))
            size = "medium" if directions is None else "small"
            ax.set_xlabel(names[across] if row == len(shown) - 1 else "", size=size)
            ax.set_ylabel(names[below] if place == 0 and row else "", size=size)
            ax.tick_params(labelsize="small", labelbottom=row == len(shown) - 1)
            if place or not row:
                ax.tick_params(labelleft=False)
    axis = "columns" if directions is None else "directions"
    remarks = [f"{d} of {len(names)} {axis}"] if d < len(names) else []
    if sample is not None:
        unsure = int((sample.probabilities.max(axis=1) < SURE).sum())
        remarks.append(f"uncertain (above the diagonal): {unsure:,} of {len(sample.values):,} rows")
    style.finished(axes[0, -1], remarks=remarks)
    return axes


def _columns(estimator: Any, names: list[str], columns: Any) -> list[int]:
    if columns is None:
        result = estimator.result_
        plain = result.family.drawn_columns > 1
        free = (subject.columns_that_vary if plain else columns_that_differ)(result, FIRST_COLUMNS)
        if len(free) < 2:
            raise UnsupportedError("plot_pairs needs two columns that vary: use plot_density")
        return free
    listed = list(columns) if not isinstance(columns, str) else [columns]
    try:
        chosen = [subject.column_number(names, column) for column in listed]
    except TypeError:
        raise InvalidInputError(f"columns must be names or numbers, got {columns!r}") from None
    if not 2 <= len(set(chosen)) == len(chosen) <= MOST_COLUMNS:
        raise InvalidInputError(
            f"columns must be from 2 to {MOST_COLUMNS} different columns, got {columns!r}"
        )
    return chosen


def _panel(ax: Axes, view: View, sample: Sample | None, lower: bool) -> None:
    limits = drawing.limits_of(view, None if sample is None else sample.values)
    if lower:
        if sample is None:
            drawing.draw_regions(ax, view, limits)
        elif len(sample.values) > MOST_ROWS:
            _bins(ax, sample, limits)
        else:
            drawing.draw_points(ax, sample, limits, size=14.0)
        drawing.draw_ellipses(ax, view)
    else:
        drawing.draw_regions(ax, view, limits)
        if sample is not None:
            _unsure(ax, sample)
    style.finished(ax, xlim=limits[0], ylim=limits[1])


def _bins(ax: Axes, sample: Sample, limits: list[tuple[float, float]]) -> None:
    """Draw observations binned in hexagons, with a logarithmic grey scale."""
    x, y = sample.values.T
    seen = np.ones(len(x), dtype=bool)
    for values, (low, high) in zip((x, y), limits, strict=True):
        seen &= (values >= low) & (values <= high)
    ax.hexbin(
        x[seen], y[seen], C=None if sample.weights is None else sample.weights[seen],
        reduce_C_function=np.sum, gridsize=BINS, bins="log", cmap="Greys", mincnt=1, linewidths=0.1,
        extent=(*limits[0], *limits[1]), zorder=1,
    )  # fmt: skip


def _unsure(ax: Axes, sample: Sample) -> None:
    """Draw uncertain observations in the colour of their most probable component."""
    unsure: Integers = np.flatnonzero(sample.probabilities.max(axis=1) < SURE)
    unsure = unsure[:: -(-len(unsure) // MOST_UNSURE) or 1]
    labels = sample.labels[unsure]
    for k in np.unique(labels):
        points, colour = sample.values[unsure[labels == k]], style.colour(k)
        ax.scatter(
            points[:, 0], points[:, 1], s=12, marker=style.marker(k), linewidths=0.9, zorder=2,
            facecolors="none" if k >= 0 else colour, edgecolors=colour if k >= 0 else None,
        )  # fmt: skip


def plot_part(
    density: MixtureDensity, ax: Axes | None = None, *, columns: Any = None, legend: bool = True
) -> Axes:
    """Plot a ``MixtureDensity`` with its components over one or two of its columns.

    ``columns`` are required if the density has more than can be drawn (two; one for counts).
    """
    most = subject.most_columns(density.family)
    drawn = density if columns is None else density.marginal(columns)
    if len(drawn.columns) > most:
        number = "one column" if most == 1 else "one or two columns"
        raise InvalidInputError(f"columns must name {number} to draw, got {len(drawn.columns)}")
    view = part_view(drawn)
    return drawing.draw_view(style.axes_or_new(ax), view, legend=legend)


def part_view(density: MixtureDensity) -> View:
    """Return the view of a density over one or two columns."""
    scale = density.mixture.frame.scale
    covariances = density.mixture.components.covariances
    if density.mixture.frame.flat is not None or not np.isfinite(covariances).all():
        raise UnsupportedError(
            "a density without variances (at most two degrees of freedom, or a constant column) "
            "cannot be drawn: plot exp(score_samples) at points of your choice"
        )
    labels = density.columns if density.names is None else density.names
    plain = density.names is None and len(labels) == 1 and not density.given
    names = tuple(f"x{label}" if isinstance(label, int) else label for label in labels)
    return View(
        density=density.mixture,
        log_volume=density.mixture.frame.log_volume if density.family.continuous else 0.0,
        means=density.means_,
        covariances=covariances * np.outer(scale, scale),
        names=("x",) if plain else names,
        columns=np.array(density.columns),
        continuous=density.family.continuous,
        n_features=len(density.columns),
        groups=DrawnGroups.alone("component", density.mixture.weights.mean()),
        given=", ".join(_named(label, value) for label, value in density.given.items()),
        least=density.family.least,
    )


def _named(label: str | int, value: Level) -> str:
    return f"{f'x{label}' if isinstance(label, int) else label} = {shown(value)}"
