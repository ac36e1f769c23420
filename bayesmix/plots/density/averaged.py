"""``plot_averaged``: a density averaged over candidates, and where they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.plots import style
from bayesmix.plots.density.bands import Band, band_of_average, draw_band
from bayesmix.plots.density.curve import curve_grid, histogram, rug
from bayesmix.plots.density.plane import HELD, SHADES, holding
from bayesmix.plots.subject import fitted, sample_of, view_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LINES = 5
BAND = 0.9
MOST_TICKS = 2000
MOST_POINTS = 5_000
GRID = 151


def plot_averaged(
    average: Any,
    X: Any = None,
    ax: Axes | None = None,
    *,
    columns: Any = None,
    band: float | None = None,
    method: Any = "variational",
) -> Axes:
    """The averaged density with those of the candidates behind it.

    Over one column: the average in ink with its credible band, the candidates of largest share in
    colour, the rows as a histogram. Over two: regions that hold 25, 50, 75 and 95 % of the averaged
    density, and the 75 % outline of each candidate.

    Parameters
    ----------
    average : fitted search or AveragedDensity
        A search, or its ``averaged_``.
    X : array, frame or source (n, D), optional
        Rows to show.
    ax : matplotlib Axes, optional
        Where to draw; None makes a new figure.
    columns : name, number, or one or two of them, optional
        Whose marginal density is drawn; None: those that ``plot_density`` takes.
    band : float, optional
        Level of the shaded band over one column, row by row, which holds those of all candidates
        that the rows do not speak against. None: 0.9 where the candidates have a posterior; over
        two columns there is none.
    method : {"variational", "gibbs"}, default="variational"
        Where the draws of the band are from; for Gibbs sampling ``X`` must be the rows of the fits.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> average = bm.select(X, n_components=(2, 3), criterion="elbo_log_k").averaged_
    >>> bm.plot_averaged(average, X, ax=Figure().subplots(), columns="waiting").get_xlabel()
    'waiting'
    """
    average = getattr(average, "averaged_", average)
    if not hasattr(average, "estimators"):
        raise InvalidInputError(
            f"average must be a fitted search or its averaged_, got {type(average).__name__}"
        )
    leader = fitted(average.estimators[0])
    first = view_of(leader, columns, X)
    if band is not None and len(first.columns) > 1:
        raise UnsupportedError("band is drawn over one column: name it, as in columns=0")
    views = [view_of(fitted(each), first.columns.tolist(), X) for each in average.estimators]
    sample = sample_of(leader, first, X, None)
    ax = style.axes_or_new(ax)
    values = None if sample is None else sample.values
    limits = [
        first.extent(d, None if values is None else values[:, d]) for d in range(len(first.columns))
    ]
    if len(limits) == 1:
        posterior = leader.result_.variational and first.continuous
        level = BAND if band is None and posterior else band
        shaded = None if level is None else band_of_average(average, first, level, method, X)
        _curves(ax, average, views, sample, limits[0], shaded)
    else:
        _regions(ax, average, views, sample, limits)
    ax.set_xlabel(first.names[0])
    style.quiet(ax)
    style.note(ax, first.remarks)
    return ax


def _curves(
    ax: Axes,
    average: Any,
    views: Any,
    sample: Any,
    limits: tuple[float, float],
    band: Band | None,
) -> None:
    """The average in ink over its band, the candidates' curves and a histogram."""
    low, high = limits
    grid = np.unique(np.concatenate([curve_grid(view, low, high) for view in views[:MOST_LINES]]))
    densities = np.array([view.terms(grid[:, None]).sum(axis=1) for view in views])
    mean = average.shares @ densities
    handles: list[Any] = ax.plot(grid, mean, color=style.INK, lw=2.6, zorder=4)
    labels = ["average"]
    top = float(mean.max())
    if band is not None:
        shade, highest = draw_band(ax, band, grid)
        handles.append(shade)
        labels.append(band.label)
        top = max(top, highest)
    if sample is not None:
        heights, edges = histogram(sample.values[:, 0], sample.weights, low, high)
        handles.append(ax.stairs(heights, edges, fill=True, color=style.FILL, zorder=1))
        ax.stairs(heights, edges, color="white", lw=0.6, zorder=1.1)
        labels.append("rows")
        top = max(top, float(heights.max()))
        rug(ax, sample.thinned(MOST_TICKS).values[:, 0])
    for place, density in enumerate(densities[:MOST_LINES]):
        handles += ax.plot(
            grid, density, color=style.colour(place), ls=style.line(place), lw=1.3, zorder=5
        )
        labels.append(_named(average, place))
    ax.set_xlim(low, high)
    ax.set_ylim(0.0, 1.06 * top)
    style.label_density(ax)
    style.legend_on_top(ax, handles, labels)


def _regions(ax: Axes, average: Any, views: Any, sample: Any, limits: Any) -> None:
    """Shaded regions of the average, an outline of each candidate, the rows as dots."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    x, y = (np.linspace(low, high, GRID) for low, high in limits)
    points = np.column_stack([each.ravel() for each in np.meshgrid(x, y)])
    cell = (x[1] - x[0]) * (y[1] - y[0])
    densities = np.array([view.terms(points).sum(axis=1) for view in views])
    mean = average.shares @ densities
    levels = np.unique(holding(mean, cell, HELD))
    shape = (GRID, GRID)
    ax.contourf(
        x, y, mean.reshape(shape), [*levels, 1.01 * mean.max()], colors=SHADES[-len(levels) :],
        zorder=0,
    )  # fmt: skip
    handles: list[Any] = [tuple(Patch(facecolor=shade) for shade in SHADES)]
    labels = [f"average holds {', '.join(f'{100 * held:.0f}' for held in HELD)} %"]
    for place, density in enumerate(densities[:MOST_LINES]):
        colour, ls = style.colour(place), style.line(place)
        level = holding(density, cell, (0.75,))
        ax.contour(
            x, y, density.reshape(shape), level, colors=[colour], linestyles=[ls], linewidths=1.4,
            zorder=3,
        )  # fmt: skip
        handles.append(Line2D([], [], color=colour, ls=ls, lw=1.4))
        labels.append(_named(average, place))
    if sample is not None:
        shown = sample.thinned(MOST_POINTS).values
        ax.plot(shown[:, 0], shown[:, 1], ".", color=style.FAINT, ms=3, zorder=1)
    ax.set_xlim(*limits[0])
    ax.set_ylim(*limits[1])
    ax.set_ylabel(views[0].names[1])
    style.legend_on_top(ax, handles, labels)


def _named(average: Any, place: int) -> str:
    return f"{average.shares[place]:.2f}  {average.labels[place]}"
