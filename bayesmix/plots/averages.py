"""Plots of density uncertainty, of model-averaged densities, and of conditional means."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.core.printed_numbers import percent, probability
from bayesmix.core.procedures import features_read
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.plots import density as drawing
from bayesmix.plots import style
from bayesmix.plots.style import Axes
from bayesmix.plots.subject import continuous_columns, fitted, fitted_and_read, sample_of, view_of

PLANE_GRID = 91
PLANE_DRAWS = 400
# Outside the region with this probability the density is too low for a relative uncertainty.
SHOWN = 0.99
# The mask reaches slightly further, so that its edge is smooth.
BEYOND = 0.2
# Limits of the colours, in half-widths of the band over the density.
STEPS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
WIDTH_SHADES = ("#f4f2f8", "#dcd6ea", "#bdb2d9", "#937fbd", "#64409a", "#3b1470", "#1b0238")


def plot_uncertainty(
    model: Any,
    X: Any = None,
    axes: Any = None,
    *,
    columns: Any = None,
    sample_weight: Any = None,
    level: float = 0.9,
    method: Any = "variational",
    legend: bool = True,
) -> Any:
    """Plot the density over two columns next to its relative uncertainty.

    Left: as ``plot_density``. Right: half the width of the pointwise credible band divided by the
    density, within the 99 % region; 20 % means a relative uncertainty of about a fifth.

    Parameters
    ----------
    model : fitted mixture or search
        For a search, its best estimator.
    X : array, frame or source (n, D), optional
        Data to show.
    axes : two matplotlib Axes, optional
        Where to draw; None creates a figure.
    columns : two names or numbers, optional
        As in ``plot_density``.
    sample_weight : array (n,), optional
        Sample weights.
    level : float, default=0.9
        Level of the band.
    method : {"variational", "gibbs", "bootstrap"} or draws, default="variational"
        Source of the band, as in ``density_interval``. "gibbs" and "bootstrap" need ``X``, the data
        of the fit.
    legend : bool, default=True

    Returns
    -------
    array of two Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> vb = bm.BayesianGaussianMixture(n_components=2, random_state=0).fit(X)
    >>> left, right = bm.plot_uncertainty(vb, X, axes=Figure().subplots(1, 2))
    >>> right.get_xlabel()
    'eruptions'
    """
    estimator, X = fitted_and_read(model, X)
    if not continuous_columns(estimator.result_):
        raise UnsupportedError(
            "plot_uncertainty needs continuous columns, got a "
            f"{estimator.result_.family.adjective} mixture: use density_interval"
        )
    view = view_of(model, columns, X)
    if len(view.columns) != 2:
        raise UnsupportedError(
            "plot_uncertainty needs two columns: for one column, use plot_density with band=0.9"
        )
    band = drawing.band_of(estimator, view, level, method, X, sample_weight, PLANE_DRAWS)
    sample = sample_of(estimator, view, X, sample_weight)
    left, right = style.panels(axes, 1, 2, (11.0, 4.4))
    drawing.draw_plane(left, view, sample, legend)
    limits = drawing.limits_of(view, None if sample is None else sample.values)
    x, y, points = drawing.plane_grid(limits, PLANE_GRID)
    density = view.terms(points).sum(axis=1)
    least = drawing.holding(density, (x[2] - x[1]) * (y[2] - y[1]), (SHOWN,))[0]
    if not least:  # the view ends before the region does
        least = density[density > 0.0].min()
    seen = density >= BEYOND * least
    lower, upper = band.ends(points[seen]).T
    shares = np.full(len(points), np.nan)
    shares[seen] = 0.5 * (upper - lower) / density[seen]
    table = shares.reshape(PLANE_GRID, PLANE_GRID)
    filled = right.contourf(x, y, table, STEPS, colors=WIDTH_SHADES, extend="max", zorder=0)
    bar = right.figure.colorbar(filled, ax=right, ticks=STEPS, pad=0.02)
    bar.ax.set_yticklabels([percent(step) for step in STEPS])
    bar.set_label(f"half the width of the {band.label} / density")
    bar.outline.set_visible(False)
    right.contourf(
        x, y, density.reshape(PLANE_GRID, PLANE_GRID), [0.0, least], colors=["white"], zorder=0.5
    )
    drawing.draw_ellipses(right, view)
    drawing.finish(right, view, limits, [f"within the {percent(SHOWN)} region"])
    # The legend moves the axes of the left panel.
    right.set_ylim(left.get_ylim())
    return np.array([left, right])


MOST_LINES = 5
BAND = 0.9
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
    """Plot the model-averaged density with those of the candidates.

    One column: the average in black with its credible band, the candidates with the largest weights
    in colour, the data as a histogram. Two columns: regions with 25, 50, 75 and 95 % of the
    average, and the 75 % outline of each candidate.

    Parameters
    ----------
    average : fitted search or AveragedDensity
        A search, or its ``averaged_``.
    X : array, frame or source (n, D), optional
        Data to show.
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.
    columns : name, number, or one or two of them, optional
        Columns of the marginal density; None: as in ``plot_density``.
    band : float, optional
        Level of the pointwise band over one column, a union over all candidates that were not ruled
        out. None: 0.9 if candidates have a posterior. Two columns have no band.
    method : {"variational", "gibbs"}, default="variational"
        Source of the band; "gibbs" needs ``X``, the data of the fits.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> average = bm.select(X, n_components=(2, 3), criterion="elbo_log_k").averaged_
    >>> bm.plots.plot_averaged(average, X, ax=Figure().subplots(), columns="waiting").get_xlabel()
    'waiting'
    """
    given, average = average, getattr(average, "averaged_", average)
    style.expect("average", average, "a fitted search or its averaged_", "estimators")
    X = features_read(given, X)
    leader = fitted(average.estimators[0])
    first = view_of(leader, columns, X)
    if band is not None and len(first.columns) > 1:
        raise UnsupportedError("band needs one column: choose it, as in columns=0")
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
        shaded = (
            None if level is None else drawing.band_of_average(average, first, level, method, X)
        )
        _curves(ax, average, views, sample, limits[0], shaded)
    else:
        _regions(ax, average, views, sample, limits)
    return ax


def _curves(
    ax: Axes,
    average: Any,
    views: Any,
    sample: Any,
    limits: tuple[float, float],
    band: drawing.Band | None,
) -> None:
    low, high = limits
    grid = np.unique(
        np.concatenate([drawing.curve_grid(view, low, high) for view in views[:MOST_LINES]])
    )
    densities = np.array([view.terms(grid[:, None]).sum(axis=1) for view in views])
    mean = average.shares @ densities
    key, top, reached = drawing.draw_whole(ax, grid, mean, "average", sample, band)
    for place, density in enumerate(densities[:MOST_LINES]):
        (key[_named(average, place)],) = ax.plot(
            grid, density, color=style.colour(place), ls=style.line(place), lw=1.3, zorder=5
        )
    drawing.finish_curve(ax, views[0], limits, max(top, reached), views[0].remarks, key)


def _regions(ax: Axes, average: Any, views: Any, sample: Any, limits: Any) -> None:
    from matplotlib.lines import Line2D

    x, y, points = drawing.plane_grid(limits, GRID)
    cell = (x[2] - x[1]) * (y[2] - y[1])
    densities = np.array([view.terms(points).sum(axis=1) for view in views])
    drawing.fill_regions(ax, x, y, average.shares @ densities)
    key: style.Key = {f"average holds {drawing.HELD_TEXT}": drawing.shades()}
    for place, density in enumerate(densities[:MOST_LINES]):
        colour, ls = style.colour(place), style.line(place)
        level = drawing.holding(density, cell, (0.75,))
        ax.contour(
            x, y, density.reshape(GRID, GRID), level, colors=[colour], linestyles=[ls],
            linewidths=1.4, zorder=3,
        )  # fmt: skip
        key[_named(average, place)] = Line2D([], [], color=colour, ls=ls, lw=1.4)
    if sample is not None:
        shown = sample.thinned(drawing.MOST_POINTS).values
        ax.plot(shown[:, 0], shown[:, 1], ".", color=style.FAINT, ms=3, zorder=1)
    drawing.finish(ax, views[0], limits, views[0].remarks, key)


def _named(average: Any, place: int) -> str:
    return f"{probability(average.shares[place])}  {average.labels[place]}"


PLACES = 201


def plot_conditional_mean(
    model: Any,
    given: Any,
    of: Any,
    X: Any = None,
    ax: Axes | None = None,
    *,
    sample_weight: Any = None,
    level: float | None = None,
    method: Any = "variational",
    legend: bool = True,
) -> Axes:
    """Plot the mean of one column given another (mixture regression), and the data if given.

    Other columns of the fit are integrated out.

    Parameters
    ----------
    model : fitted mixture or search
        For a search, its best estimator.
    given, of : name or number
        Conditioning column (horizontal) and target column.
    X : array, frame or source (n, D), optional
        Data to show.
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.
    sample_weight : array (n,), optional
        Sample weights.
    level : float, optional
        Level of a credible band of the mean, such as 0.9. It is not a prediction interval.
    method : {"variational", "gibbs", "bootstrap"} or draws, default="variational"
        Source of the band, as in ``conditional_interval``. "gibbs" and "bootstrap" need ``X``, the
        data of the fit.
    legend : bool, default=True

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> vb = bm.BayesianGaussianMixture(2, random_state=0).fit(X)
    >>> ax = bm.plot_conditional_mean(vb, "eruptions", "waiting", X, ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('eruptions', 'waiting')
    """
    estimator, X = fitted_and_read(model, X)
    if not estimator.result_.family.continuous:
        raise UnsupportedError(
            "plot_conditional_mean needs continuous columns, got a "
            f"{estimator.result_.family.adjective} mixture: use conditional_mean"
        )
    view = view_of(model, [given, of], X)
    if len(view.columns) != 2:
        raise InvalidInputError(f"given and of must be two columns, got {given!r} and {of!r}")
    number = None if level is None else drawing.drawable_level("level", level)
    sample = sample_of(estimator, view, X, sample_weight)
    limits = drawing.limits_of(view, None if sample is None else sample.values)
    places = np.linspace(*limits[0], PLACES)
    known = int(view.columns[0])
    # Position among the columns that are not given.
    wanted = int(view.columns[1]) - (view.columns[1] > known)
    ax = style.axes_or_new(ax)
    mean = estimator.conditional_mean(places[:, None], known)[:, wanted]
    (line,) = ax.plot(places, mean, color=style.INK, lw=2.2, zorder=4, path_effects=style.halo(3.6))
    key: style.Key = {f"mean of {view.names[1]} given {view.names[0]}": line}
    if number is not None:
        ends = estimator.conditional_interval(
            places[:, None], known, number, drawing.DRAWS, drawing.SEED, method, X
        )[:, wanted]
        key[f"{100 * number:g} % band of the mean"] = ax.fill_between(
            places, *ends.T, color=style.INK, alpha=0.25, lw=0, zorder=3
        )
    remarks = [] if sample is None else drawing.draw_points(ax, sample, limits)
    drawing.finish(ax, view, limits, remarks, key if legend else None)
    return ax
