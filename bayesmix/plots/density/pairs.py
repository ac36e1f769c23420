"""``plot_pairs``: several columns, each alone and each against each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Integers
from bayesmix.plots import style
from bayesmix.plots.density.bars import draw_bars
from bayesmix.plots.density.cells import (
    Kind,
    columns_that_differ,
    draw_cells,
    draw_shares,
    kind_of,
    spread_out,
)
from bayesmix.plots.density.curve import draw_curve
from bayesmix.plots.density.plane import draw_ellipses, draw_points, draw_regions, limits_of
from bayesmix.plots.subject import (
    Sample,
    View,
    column_names,
    column_number,
    columns_that_vary,
    fitted,
    view_over,
    whole_sample,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Columns that are drawn where none are named, and at most.
FIRST_COLUMNS = 5
MOST_COLUMNS = 12
PANEL = 1.9  # inches
# Rows are binned where they are more than can be told apart.
MOST_ROWS = 5_000
BINS = 45
# A row whose component has less than this probability is unsure.
SURE = 0.9
MOST_UNSURE = 400


def plot_pairs(
    model: Any,
    X: Any = None,
    axes: Any = None,
    *,
    columns: Any = None,
    sample_weight: Any = None,
) -> Any:
    """Every column alone, and every pair of columns, with the components in both.

    On the diagonal the density of one column with its components, over a histogram. Below it the
    rows of two columns, coloured by component and paler the less certain that is, under ellipses of
    1 and 2 standard deviations; many rows are binned, darker where there are more. Above it the
    regions that hold 25, 50, 75 and 95 % of the density, with the rows whose component is unsure
    (a probability below 0.9).

    Columns may be of any kind. Of levels the diagonal has the share of each, in parts that the
    components have; rows of levels and counts are spread a little, so that they do not hide one
    another.

    Parameters
    ----------
    model : fitted mixture or search
        Of a search, the best estimator.
    X : array, frame or source (n, D), optional
        Rows to show.
    axes : array of matplotlib Axes (d, d), optional
        Where to draw; None makes a new figure.
    columns : list of names or numbers, optional
        Two columns or more; None: all of them up to five, else the five in which the components
        overlap least.
    sample_weight : array (n,), optional
        How often each row counts.

    Returns
    -------
    array of Axes (d, d)

    Raises
    ------
    ValueError
        For rows or columns that do not fit.

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
    estimator = fitted(model, with_noise=True)
    names = column_names(estimator, X)
    shown = _columns(estimator, names, columns)
    axes = _grid_of(axes, len(shown))
    sample = whole_sample(estimator, X, sample_weight)
    kinds = {column: kind_of(estimator.result_, column) for column in shown}

    def of(*columns: int) -> tuple[View, Sample | None]:
        view = view_over(estimator, np.array(columns), X)
        return view, None if sample is None else sample.over(view.columns)

    for row, below in enumerate(shown):
        for place, across in enumerate(shown):
            ax = axes[row, place]
            if row == place:
                _alone(ax, *of(across), kinds[across])
                ax.set_title("", loc="right")
                ax.set_yticks([])
            elif kinds[across].continuous and kinds[below].continuous:
                _panel(ax, *of(across, below), lower=row > place)
            else:
                view, own = of(across, below)
                draw_cells(ax, view, own, (kinds[across], kinds[below]), row > place)
                if own is not None and row < place:
                    _unsure(ax, spread_out(own, (kinds[across], kinds[below])))
            ax.set_xlabel(names[across] if row == len(shown) - 1 else "")
            ax.set_ylabel(names[below] if place == 0 and row else "")
            ax.tick_params(labelsize="small", labelbottom=row == len(shown) - 1)
            if place or not row:
                ax.tick_params(labelleft=False)
    _remark(axes, names, shown, sample)
    return axes


def _columns(estimator: Any, names: list[str], columns: Any) -> list[int]:
    """Numbers of the columns to draw."""
    if columns is None:
        result = estimator.result_
        plain = result.family.drawn_columns > 1
        free = (columns_that_vary if plain else columns_that_differ)(result, FIRST_COLUMNS)
        if len(free) < 2:
            raise UnsupportedError("plot_pairs needs two columns that vary: see plot_density")
        return free
    listed = list(columns) if not isinstance(columns, str) else [columns]
    try:
        chosen = [column_number(names, column) for column in listed]
    except TypeError:
        raise InvalidInputError(f"columns must be names or numbers, got {columns!r}") from None
    if not 2 <= len(set(chosen)) == len(chosen) <= MOST_COLUMNS:
        raise InvalidInputError(
            f"columns must be from 2 to {MOST_COLUMNS} different columns, got {columns!r}"
        )
    return chosen


def _alone(ax: Axes, view: View, sample: Sample | None, kind: Kind) -> None:
    """One column."""
    if kind.levels is not None:
        draw_shares(ax, view, sample, kind)
    elif kind.continuous:
        draw_curve(ax, view, sample, False, False)
    else:
        draw_bars(ax, view, sample, False)


def _grid_of(axes: Any, d: int) -> Any:
    if axes is None:
        _, axes = style.pyplot().subplots(
            d, d, figsize=(PANEL * d + 0.4, PANEL * d + 0.6), layout="constrained", sharex="col"
        )
    axes = np.asarray(axes, dtype=object)
    if axes.shape != (d, d):
        raise InvalidInputError(f"axes must be an array of ({d}, {d}) axes, got {axes.shape}")
    return axes


def _panel(ax: Axes, view: View, sample: Sample | None, lower: bool) -> None:
    limits = limits_of(view, None if sample is None else sample.values)
    if lower:
        if sample is None:
            draw_regions(ax, view, limits)
        elif len(sample.values) > MOST_ROWS:
            _bins(ax, sample, limits)
        else:
            draw_points(ax, sample, limits, size=14.0)
        draw_ellipses(ax, view)
    else:
        draw_regions(ax, view, limits)
        if sample is not None:
            _unsure(ax, sample)
    ax.set_xlim(*limits[0])
    ax.set_ylim(*limits[1])
    style.quiet(ax)


def _bins(ax: Axes, sample: Sample, limits: list[tuple[float, float]]) -> None:
    """Rows counted in hexagons, on a logarithmic scale of greys."""
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
    """Rows whose component is not sure, in the colour of the most probable one."""
    unsure: Integers = np.flatnonzero(sample.probabilities.max(axis=1) < SURE)
    unsure = unsure[:: -(-len(unsure) // MOST_UNSURE) or 1]
    labels = sample.labels[unsure]
    for k in np.unique(labels):
        mine, colour = sample.values[unsure[labels == k]], style.colour(k)
        ax.scatter(
            mine[:, 0], mine[:, 1], s=12, marker=style.marker(k), linewidths=0.9, zorder=2,
            facecolors="none" if k >= 0 else colour, edgecolors=colour if k >= 0 else None,
        )  # fmt: skip


def _remark(axes: Any, names: list[str], shown: list[int], sample: Sample | None) -> None:
    """What is left out, over the figure's right corner."""
    remarks = []
    if len(shown) < len(names):
        remarks.append(f"{len(shown)} of {len(names)} columns")
    if sample is not None:
        unsure = int((sample.probabilities.max(axis=1) < SURE).sum())
        remarks.append(f"unsure (above the diagonal): {unsure:,} of {len(sample.values):,} rows")
    style.note(axes[0, -1], remarks)
