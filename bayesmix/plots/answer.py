"""``plot_answer``: how many clusters there are, and which: the first figure of a search."""

from __future__ import annotations

from typing import Any

from bayesmix.core.nouns import plural
from bayesmix.core.printed_numbers import probability
from bayesmix.core.procedures import noun_of
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.plots import density as drawing
from bayesmix.plots import style
from bayesmix.plots.assignment import plot_profile
from bayesmix.plots.common_directions import view_and_sample
from bayesmix.plots.description import plot_description
from bayesmix.plots.selection import plot_selection
from bayesmix.plots.style import Axes
from bayesmix.plots.subject import fitted_and_read, most_columns

SIZE = (10.4, 4.4)
PANELS: dict[str, Any] = {"nrows": 1, "ncols": 2, "width_ratios": (1, 3)}
# Less probable numbers are not drawn, beyond those beside more probable ones.
LEAST_SHOWN = 0.005
WIDTH = 0.72
# Lines of a description that fit beside the numbers of clusters.
MOST_LINES = 14
LABEL_INCHES = 0.25  # of a bar before the layout, below which its probability is upright
LIGHT = "#b8b8b8"  # numbers that are not the answer


def plot_answer(search: Any, X: Any = None, axes: Any = None, *, columns: Any = None) -> Any:
    """Plot the probability of each number of clusters, beside the clusters.

    Clusters have the names, colours and shares of ``search.answer_``. They are drawn over two
    continuous columns (those in which components overlap least), over one column, or, in mixed
    tables, as ``describe(X).plot()`` does. Without probabilities the left panel is
    ``plot_selection``.

    Parameters
    ----------
    search : fitted MixtureSearch
    X : array, frame or source (n, D), optional
        Data to show, in the colours of their most probable cluster.
    axes : two matplotlib Axes, optional
        Where to draw; None creates a figure.
    columns : name, number, or one or two of them, optional
        Columns of the right panel, as in ``plot_density``.

    Returns
    -------
    array of two Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> search = bm.select(X, n_components=(1, 2, 3))
    >>> left, right = bm.plot_answer(search, X, axes=Figure().subplots(1, 2))
    >>> left.get_xlabel(), right.get_legend().get_texts()[0].get_text()
    ('number of clusters', 'cluster 1 (64 %)')
    """
    style.expect("search", search, "a fitted MixtureSearch", "answer_", "best_estimator_")
    if axes is None:
        figure = style.pyplot().figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots(**PANELS)
    left, right = axes = style.panels(axes, 1, 2, SIZE)
    if search.answer_.probabilities:
        _numbers(left, search.answer_)
    else:
        plot_selection(search, left)
    if noun_of(search) in ("regression", "state"):
        search.best_estimator_.plot(ax=right)
    else:
        _clusters(right, search, X, columns)
    return axes


def _numbers(ax: Axes, answer: Any) -> None:
    """Draw a bar for the probability of each number of clusters; the answer is dark."""
    likely = [k for k, p in answer.probabilities.items() if p >= LEAST_SHOWN]
    numbers = range(max(1, min([answer.number, *likely]) - 1), max([answer.number, *likely]) + 2)
    heights = [answer.probabilities.get(k, 0.0) for k in numbers]
    colours = [style.INK if k == answer.number else LIGHT for k in numbers]
    bars = ax.bar(numbers, heights, WIDTH, color=colours)
    # Of many bars, their labels would overlap side by side.
    upright = ax.get_window_extent().width < LABEL_INCHES * ax.figure.dpi * len(numbers)
    for bar, height in zip(bars, heights, strict=True):
        if height >= LEAST_SHOWN:
            ax.annotate(
                probability(height), (bar.get_x() + bar.get_width() / 2.0, height),
                textcoords="offset points", xytext=(0, 3), ha="center", fontsize="small",
                rotation=90.0 * upright,
            )  # fmt: skip
    style.whole_numbers(ax, list(numbers))
    style.finished(
        ax, xlabel=f"number of {plural(answer.noun)}", ylabel="probability", ylim=(0.0, 1.08)
    )
    if answer.at_least:
        ax.set_title(answer.headline, loc="left", fontsize="medium")


def _clusters(ax: Axes, search: Any, X: Any, columns: Any) -> None:
    """Draw the clusters over one or two columns, or by their means."""
    estimator, rows = fitted_and_read(search, X, with_noise=True)
    try:
        drawn = most_columns(estimator.result_.family)
    except UnsupportedError:
        drawn = 0
    if not drawn or (drawn == 1 and columns is None and estimator.result_.n_features > 1):
        try:
            plot_description(search.describe(X), ax, MOST_LINES)
        except (UnsupportedError, InvalidInputError):  # one cluster, or data without draws
            plot_profile(search, rows, ax)
        return
    view, sample = view_and_sample(search, columns, rows, None)
    drawing.draw_view(ax, view, sample, legend=False)
    key = drawing.group_key(view)
    if 1 < len(key) <= drawing.MOST_NAMED:
        style.legend_on_top(ax, key)
