"""A coloured table of clusters: values in units, colours by how far a cluster is from the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.assess.description import percent
from bayesmix.core import validation
from bayesmix.errors import UnsupportedError
from bayesmix.plots.style import FAINT, INK, Axes, axes_or_new, expect, finished, luminance

# Effect at which the colour is full: almost no overlap of two normal distributions.
FULL = 3.0
# Effects that are called small (Cohen 1988); rows below it are not drawn.
SMALL = 0.2
# Inches of a row, of a column and of the names beside them; characters of a name.
ROW, COLUMN, NAMES, MOST_CHARACTERS = 0.3, 1.05, 2.4, 34
# Inches of all columns up to which they are wide, and the least width of each, in small print.
WIDEST, NARROW = 8.0, 0.5
# Luminance of a colour below which text on it is white.
DARK = 0.2


def plot_description(description: Any, ax: Axes | None = None, most: int = 20) -> Axes:
    """Plot the most telling columns and levels of a description as a coloured table.

    Parameters
    ----------
    description : Description
    ax : matplotlib axes, optional
    most : int, default=20
        Largest number of rows.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    UnsupportedError
        For a single group, which is compared with nothing.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> described = bm.GaussianMixture(2, random_state=0).fit(X).describe(X)
    >>> ax = described.plot(ax=Figure().subplots())
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['eruptions, mean', 'waiting, mean']
    """
    expect("description", description, "a Description", "typical", "variables")
    most = validation.integer("most", most, 1)
    typical = description.typical
    if typical.empty:
        raise UnsupportedError(
            f"one {description.noun} is compared with nothing: print the description, or use its "
            "table"
        )
    groups = [str(name) for name in description.certainty.index]
    shown = set(description.most_telling(SMALL)[:most] or description.most_telling()[:most])
    variables = {variable.name: variable for variable in description.variables}
    rows = [
        (variable.name, level)
        for variable in description.variables
        for level in (("",) if variable.levels is None else variable.levels)
        if (variable.name, level) in shown
    ]
    K, n_rows = len(groups), max(len(rows), 1)
    width = max(min(COLUMN, WIDEST / K), NARROW)
    size = "small" if width == COLUMN else "xx-small"
    ax = axes_or_new(ax, NAMES + width * K, 1.0 + ROW * n_rows)
    effects, values = (
        np.array([[_cell(typical, name, key, part) for name in groups] for key in rows])
        .reshape(len(rows), K)
        for part in ("effect", "value")
    )  # fmt: skip
    image = ax.imshow(
        np.ma.masked_invalid(effects), cmap="RdBu_r", vmin=-FULL, vmax=FULL, aspect="auto"
    )
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        variable = variables[rows[row][0]]
        text = variable.written(value) if variable.levels is None else percent(value)
        shade = image.cmap(image.norm(effects[row, column]))
        ink = "white" if luminance(shade) < DARK else INK
        ax.text(column, row, text, ha="center", va="center", color=ink, fontsize=size,
                parse_math=False)  # fmt: skip
    skewed = {name for name, statistic in description.table if statistic == "median"}
    middles = {name: "median" if name in skewed else "mean" for name in variables}
    labels = [_label(variables[name], level or middles[name], bool(level)) for name, level in rows]
    ax.set_yticks(range(len(rows)), labels, fontsize="small", parse_math=False)
    shares = description.table[("size", "share")]
    heads = [f"{name}\n{percent(shares[name])}" for name in groups]
    ax.set_xticks(range(K), heads, fontsize=size, parse_math=False)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.set_xticks(np.arange(1, K) - 0.5, minor=True)
    ax.set_yticks(np.arange(1, len(rows)) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=1.5)
    ax.tick_params(which="minor", length=0)
    bar = ax.figure.colorbar(image, ax=ax, location="bottom", shrink=0.6, aspect=40, pad=0.03)
    bar.set_label("Below or above the rest, in standard deviations", fontsize="small")
    bar.ax.tick_params(labelsize="small", length=0)
    bar.outline.set_visible(False)
    left_out = len(typical.index.droplevel(0).unique()) - len(rows)
    finished(ax)
    ax.spines[:].set_visible(False)
    if left_out > 0:
        ax.set_xlabel(
            f"{left_out:,} less telling rows are not shown", fontsize="small", color=FAINT
        )
    return ax


def _cell(typical: Any, name: str, key: tuple[str, str], part: str) -> float:
    """Return a value of a group and a row of the figure, NaN where there is none."""
    place = (name, *key)
    return float(typical.at[place, part]) if place in typical.index else np.nan


def _label(variable: Any, what: str, of_level: bool) -> str:
    """Return the name of a row with its level or statistic, cut where it is too long."""
    name = variable.name
    text = f"{name}: {what}"
    if not of_level:
        room = MOST_CHARACTERS - len(f", {what}")
        text = f"{name if len(name) <= room else f'{name[: room - 1]}…'}, {what}"
    text = text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"
    return f"{text}{variable.remarks}"
