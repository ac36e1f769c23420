"""``plot_selection``: what a search found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.plots import style
from bayesmix.selection.choice.summary_text import NAMES
from bayesmix.selection.criteria.scores import column_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Candidates this many times as far below the best as the median one are out of the picture.
FURTHEST = 3.0
MOST_TICKS = 20
LOWEST_RESCALED = -2.0
PAIRED = "cv_behind_se"
TOGETHER = ("bic", "icl", "aicc", "elbo", "elbo_log_k", "evidence", "loo", "cv")


def plot_selection(search: Any, ax: Axes | None = None, *, criterion: str | None = None) -> Axes:
    r"""A criterion over the number of components, a line for every covariance structure.

    The best candidate is ringed. On the lower edge, crosses are candidates without a value (failed
    or degenerate fits), triangles those too far below the others to be drawn. Standard errors are
    drawn where the criterion has them.

    Parameters
    ----------
    search : fitted MixtureSearch
    ax : matplotlib Axes, optional
        Where to draw; None makes a new figure.
    criterion : str, optional
        A column of ``results_``; None is the criterion that chose. "all": every criterion, each
        rescaled to end at 0 for its best and at -1 for the median number of components.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> search = bm.select(bm.datasets.load_faithful(), n_components=(1, 2, 3))
    >>> bm.plot_selection(search, ax=Figure().subplots()).get_ylabel()
    'evidence and folds\n(nats, greater is better)'
    """
    results = getattr(search, "results_", None)
    if results is None:
        raise InvalidInputError(
            f"search must be a fitted MixtureSearch, got {type(search).__name__}"
        )
    if criterion == "all":
        return draw_all(results, style.axes_or_new(ax), search)
    name = search.criterion_ if criterion is None else criterion
    name = column_of(name)
    if name not in results.columns:
        raise InvalidInputError(f"criterion must be a column of results_, got {name!r}")
    ax = style.axes_or_new(ax)
    table = results.assign(
        value=results[name].where(np.isfinite(results[name])),
        error=results.get(PAIRED if name == "cv" else f"{name}_se", np.nan),
    )
    chosen = name == column_of(search.criterion_)
    best = table.loc[search.best_index_ if chosen else table["value"].idxmax()]
    handles: list[Any] = []
    labels: list[str] = []
    groups = list(_groups(table))
    lowest = _lowest(table["value"].dropna().to_numpy())
    for index, (label, rows) in enumerate(groups):
        nudge = 0.06 * (index - (len(groups) - 1) / 2)
        with_errors = bool(table["error"].notna().any())
        handles.append(_line(ax, rows, index, nudge if with_errors else 0.0))
        nudge *= 2.0
        _on_the_edge(ax, rows[rows["value"].isna()], index, nudge, "x")
        if lowest is not None:
            _on_the_edge(ax, rows[rows["value"] < lowest], index, nudge, "v")
        labels.append(label or _title(name))
    if name == "cv" and table["error"].notna().any():
        handles.append(ax.axhline(table["value"].max(), color=style.FAINT, ls=":", lw=1.2))
        labels.append("best value; bars: one standard error of the difference from it")
    ring = ax.plot(
        best["n_components"], best["value"], "o", ms=15, mfc="none", mec=style.INK, mew=1.6,
        zorder=4,
    )  # fmt: skip
    handles += ring
    word = "best" if best["value"] == table["value"].max() else "chosen"
    n = int(best["n_components"])
    labels.append(f"{word}: {n} component{'s' if n != 1 else ''}" + _kind(best, groups))
    if lowest is not None:
        ax.set_ylim(bottom=lowest)
        below = int((table["value"] < lowest).sum())
        style.note(ax, [f"{below} of {len(table)} candidates lie below (triangles)"])
    ax.set_xlabel("components")
    ax.set_ylabel(f"{_title(name)}\n(nats, greater is better)")
    numbers = np.unique(table["n_components"])
    if len(numbers) <= MOST_TICKS:
        ax.set_xticks(numbers)
    else:
        style.whole_numbers(ax)
    style.quiet(ax)
    style.legend_on_top(ax, handles, labels)
    return ax


def draw_all(results: Any, ax: Axes, search: Any) -> Axes:
    """Every criterion over the number of components, each on a scale of its own."""
    shown = [name for name in TOGETHER if name in results and results[name].notna().any()]
    chosen = column_of(search.criterion_)
    if chosen not in shown and chosen in results:
        shown.insert(0, chosen)
    handles: list[Any] = []
    labels: list[str] = []
    for index, name in enumerate(shown):
        value = results[name].where(np.isfinite(results[name]))
        over_k = value.groupby(results["n_components"]).max().dropna()
        away = over_k.max() - over_k
        scale = away.median() if away.median() > 0 else max(away.max(), 1.0)
        height = np.maximum(-away / scale, LOWEST_RESCALED)
        main = name == chosen
        handles += ax.plot(
            over_k.index, height, color=style.colour(index), marker=style.marker(index),
            ls="-" if main else style.line(index), lw=2.4 if main else 1.3, ms=5, zorder=3,
        )  # fmt: skip
        k = over_k.idxmax()
        ax.plot(k, 0.0, "o", ms=12 + 3 * index, mfc="none", mec=style.colour(index), mew=1.2)
        labels.append(f"{_title(name)}: {k}")
    numbers = np.unique(results["n_components"])
    if len(numbers) <= MOST_TICKS:
        ax.set_xticks(numbers)
    else:
        style.whole_numbers(ax)
    ax.set_ylim(LOWEST_RESCALED - 0.15, 0.35)
    ax.set_yticks([0.0, -1.0], ["best", "median"])
    ax.set_xlabel("components")
    ax.set_ylabel("criterion, rescaled")
    style.quiet(ax)
    style.legend_on_top(ax, handles, labels)
    return ax


def _title(criterion: str) -> str:
    return NAMES.get(criterion, criterion).removeprefix("the ")


def _lowest(values: Any) -> float | None:
    """Where the axis begins so that hopeless candidates do not flatten the rest; None: at the last.

    Three times as far below the best as the median candidate.
    """
    best = values.max()
    lowest = best - FURTHEST * (best - np.median(values))
    return float(lowest) if values.min() < lowest < best else None


def _groups(table: Any) -> Iterator[tuple[str, Any]]:
    """Candidates that differ in the number of components only, under what sets them apart."""
    parameters = list(table.columns[: list(table.columns).index("found_components")])
    others = [
        each
        for each in parameters
        if each != "n_components" and table[each].astype(str).nunique() > 1
    ]
    if not others:
        yield "", table
        return
    keys = table[others].astype(str).agg(", ".join, axis=1)
    for key in dict.fromkeys(keys):
        yield key, table[keys == key]


def _kind(best: Any, groups: list[tuple[str, Any]]) -> str:
    for label, rows in groups:
        if label and best.name in rows.index:
            return f", {label}"
    return ""


def _line(ax: Axes, rows: Any, index: int, nudge: float) -> Any:
    """One line of candidates that have a value."""
    rows = rows.sort_values("n_components")
    fine = rows[rows["value"].notna()]
    container = ax.errorbar(
        fine["n_components"] + nudge,
        fine["value"],
        yerr=fine["error"] if fine["error"].notna().any() else None,
        color=style.colour(index),
        marker=style.marker(index),
        ls=style.line(index) if index else "-",
        ms=6,
        lw=1.5,
        capsize=2.5,
        zorder=3,
    )
    return container


def _on_the_edge(ax: Axes, rows: Any, index: int, nudge: float, marker: str) -> None:
    """Candidates that have no place in the picture, at its lower edge."""
    if not len(rows):
        # An empty line would count as one at the figure's corner, and the layout makes room for it.
        return
    ax.plot(
        rows["n_components"] + nudge, np.full(len(rows), 0.02), marker, color=style.colour(index),
        transform=ax.get_xaxis_transform(), ms=5, mew=1.4, zorder=3, clip_on=False,
    )  # fmt: skip
