"""``plot_selection``: what a search found.

``plot_structures``: a criterion as a matrix, structures by numbers of components.

``plot_nested``: what whole procedures achieve on rows held out, fold by fold.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.families.gaussian.covariance.models import label
from bayesmix.plots import style
from bayesmix.selection.criteria import record

if TYPE_CHECKING:
    from matplotlib.axes import Axes


LOWEST_RESCALED = -2.0
# Of more lines only those of the best few candidates, which are named, are in colour.
MOST_LINES, NAMED_CELLS = 7, 3
TOGETHER = ("bic", "icl", "aicc", "elbo", "elbo_log_k", "evidence", "loo", "cv")
# Nats behind within which the scale is about linear; beyond, it is about logarithmic.
CLOSE = 2.0
MARKS = (0, 1, 3)
# How solid lines are of what was left out.
FAINT = 0.4
# A legend of more lines than this stands beside the axes.
MOST_ON_TOP = 2


def plot_selection(search: Any, ax: Axes | None = None, *, criterion: str | None = None) -> Axes:
    r"""How far behind the best every candidate is, a line for every covariance structure.

    The best is on top, at 0. The scale is linear for close candidates and logarithmic for others,
    so that the close are told apart and all are in the picture. The chosen candidate is ringed;
    lines of structures that were left out are faint. Crosses on the lower edge are candidates
    without a value (failed or degenerate fits). Standard errors are drawn where the criterion has
    them; of held-out density those of the difference. Of more than seven
    structures only those of the best three candidates are in colour, and these are named.

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
    'nats behind the best\nby log evidence'
    """
    results = getattr(search, "results_", None)
    if results is None:
        raise InvalidInputError(
            f"search must be a fitted MixtureSearch, got {type(search).__name__}"
        )
    if criterion == "all":
        return draw_all(results, style.axes_or_new(ax), search)
    name = search.criterion_ if criterion is None else criterion
    name = record(name).column
    if name not in results.columns:
        raise InvalidInputError(f"criterion must be a column of results_, got {name!r}")
    ax = style.axes_or_new(ax)
    value = results[name].where(np.isfinite(results[name]))
    decides = name == record(search.criterion_).column
    best = search.best_index_ if decides else value.idxmax()
    table = results.assign(
        behind=value[best] - value,
        error=results.get("cv_behind_se" if name == "cv" else f"{name}_se", np.nan),
        out=(results["excluded"] != "") if decides and "excluded" in results else False,
    )
    handles: list[Any] = []
    labels: list[str] = []
    groups = list(_groups(table))
    leading = table["behind"].nsmallest(NAMED_CELLS).index
    for index, (group, rows) in enumerate(groups):
        nudge = 0.06 * (index - (len(groups) - 1) / 2)
        with_errors = bool(table["error"].notna().any())
        out = bool(rows["out"].all())
        line = _line(ax, rows, index, nudge if with_errors else 0.0, out)
        if len(groups) > MOST_LINES and not rows.index.isin(leading).any():
            _fade(line)
            continue
        handles.append(line)
        _on_the_edge(ax, rows[rows["behind"].isna()], index, 2.0 * nudge)
        labels.append(f"{group or _title(name)}{', left out' if out else ''}")
    if len(groups) > MOST_LINES:
        _name(ax, table.loc[leading], groups)
    handles += ax.plot(
        table["n_components"][best], 0.0, "o", ms=15, mfc="none", mec=style.INK, mew=1.6, zorder=4
    )
    word = "best" if table["behind"].min() >= 0.0 else "chosen"
    n = int(table["n_components"][best])
    kind = _kind(table.loc[best], groups)
    labels.append(f"{word}: {n} component{'s' if n != 1 else ''}{kind}")
    error = table["error"].fillna(0.0)
    _scale(ax, np.nanmin(table["behind"] - error), np.nanmax(table["behind"] + error))
    ax.set_xlabel("components")
    ax.set_ylabel(f"nats behind the best\nby {_title(name)}")
    style.whole_numbers(ax, np.unique(table["n_components"]).tolist())
    style.quiet(ax)
    if len(handles) > MOST_ON_TOP:
        style.legend_beside(ax, handles, labels)
    else:
        style.legend_on_top(ax, handles, labels)
    return ax


def _scale(ax: Axes, least: float, most: float) -> None:
    """The best on top; room for all, and marks at whole nats."""
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    ax.set_yscale("asinh", linear_width=CLOSE)
    marks = [*MARKS]
    while marks[-1] < max(most, -least):
        marks.append(10 * marks[-2])
    ahead = [-mark for mark in marks[1:] if mark <= -least]
    ax.yaxis.set_major_locator(FixedLocator([*ahead, *marks]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.set_ylim(max(1.5 * most, 3.0), min(-0.8, 1.5 * least))
    ax.axhline(0.0, color=style.FAINT, ls=":", lw=1.0, zorder=1)


def draw_all(results: Any, ax: Axes, search: Any) -> Axes:
    """Every criterion over the number of components, each on a scale of its own."""
    shown = [name for name in TOGETHER if name in results and results[name].notna().any()]
    chosen = record(search.criterion_).column
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
    style.whole_numbers(ax, np.unique(results["n_components"]).tolist())
    ax.set_ylim(LOWEST_RESCALED - 0.15, 0.35)
    ax.set_yticks([0.0, -1.0], ["best", "median"])
    ax.set_xlabel("components")
    ax.set_ylabel("criterion, rescaled")
    style.quiet(ax)
    style.legend_on_top(ax, handles, labels)
    return ax


def _title(criterion: str) -> str:
    return record(criterion).label


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
    for group, rows in groups:
        if group and best.name in rows.index:
            return f", {group}"
    return ""


def _line(ax: Axes, rows: Any, index: int, nudge: float, out: bool) -> Any:
    """One line of candidates that have a value; faint where none of them may be chosen."""
    rows = rows.sort_values("n_components")
    fine = rows[rows["behind"].notna()]
    container = ax.errorbar(
        fine["n_components"] + nudge,
        fine["behind"],
        yerr=fine["error"] if fine["error"].notna().any() else None,
        color=style.colour(index),
        marker=style.marker(index),
        ls=style.line(index) if index else "-",
        ms=6,
        lw=1.5,
        capsize=2.5,
        alpha=FAINT if out else 1.0,
        zorder=2 if out else 3,
    )
    return container


def _fade(line: Any) -> None:
    """A line in the background."""
    for artist in line.get_children():
        artist.set(color=style.FAINT, zorder=1.5)
    line.lines[0].set(marker="", lw=1.0)


def _name(ax: Axes, leading: Any, groups: list[tuple[str, Any]]) -> None:
    """The best candidates by name, beside them."""
    for place, (_, best) in enumerate(leading.iterrows()):
        ax.annotate(
            f"{place + 1}. {_kind(best, groups).removeprefix(', ')}, {int(best['n_components'])}",
            (best["n_components"], best["behind"]),
            textcoords="offset points", xytext=(12, 8 - 13 * place), color=style.INK, zorder=5,
        )  # fmt: skip


def _on_the_edge(ax: Axes, rows: Any, index: int, nudge: float) -> None:
    """Candidates that have no value, at the lower edge."""
    if not len(rows):
        # An empty line would count as one at the figure's corner, and the layout makes room for it.
        return
    ax.plot(
        rows["n_components"] + nudge, np.full(len(rows), 0.02), "x", color=style.colour(index),
        transform=ax.get_xaxis_transform(), ms=5, mew=1.4, zorder=3, clip_on=False,
    )  # fmt: skip


# Nats behind up to which colours follow the differences, and at which a cell is blank.
NEAR, BLANK = 1.0, 1000.0
# Cells darker than this share bear light numbers.
DARK = 0.55


def plot_structures(search: Any, ax: Axes | None = None, *, criterion: str | None = None) -> Axes:
    """How many nats behind the best every candidate is, a row a structure, a column a K.

    The darker, the closer to the best; the best three have a frame, the better the wider. Rows go
    from simple to rich. A dash is a candidate without a value (failed or degenerate); with one
    component structures that are one model show its value.

    Parameters
    ----------
    search : fitted MixtureSearch
        Over covariance structures.
    ax : matplotlib Axes, optional
        Where to draw; None makes a new figure.
    criterion : str, optional
        A column of ``results_``; None is the criterion that chose.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> search = bm.select(bm.datasets.load_faithful(), (2, 3), "all", criterion="bic")
    >>> bm.plot_structures(search, ax=Figure().subplots()).get_title()
    'nats behind the best by BIC (EEE, 3: -1157.15)'
    """
    results = getattr(search, "results_", None)
    if results is None or "covariance_type" not in results:
        raise InvalidInputError(
            "search must be a fitted MixtureSearch over covariance structures, got "
            f"{type(search).__name__}"
        )
    name = record(criterion or search.criterion_).column
    if name not in results.columns:
        raise InvalidInputError(f"criterion must be a column of results_, got {name!r}")
    matrix = search.matrix(name)
    best = matrix.attrs["best"]
    behind = best[0][2] - matrix.to_numpy(dtype=float).T
    if ax is None:
        size = 2.0 + 0.62 * len(matrix), 1.2 + 0.33 * matrix.shape[1]
        ax = style.axes_or_new(None, *size)
    close = _close(behind)
    ax.imshow(close, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for (i, j), value in np.ndenumerate(behind):
        colour = "white" if close[i, j] > DARK else style.INK
        ax.text(j, i, _number(value), ha="center", va="center", size="small", color=colour)
    numbers, structures = list(matrix.index), list(matrix.columns)
    for place, (structure, k, _) in enumerate(best, start=1):
        _framed(ax, numbers.index(k), structures.index(structure), 4.0 - place)
    ax.set_xticks(range(len(numbers)), [str(k) for k in numbers])
    ax.set_yticks(range(len(structures)), [label(each) for each in structures])
    ax.set_xlabel("components")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    first = f"{label(best[0][0])}, {best[0][1]}: {best[0][2]:.2f}"
    ax.set_title(f"nats behind the best by {record(name).label} ({first})", size="medium")
    return ax


def _close(behind: Any) -> Any:
    """1 for the best, about logarithmic to 0."""
    scaled = np.arcsinh(np.maximum(behind, 0.0) / NEAR) / np.arcsinh(BLANK / NEAR)
    return 0.9 * np.clip(1.0 - np.nan_to_num(scaled, nan=1.0, posinf=1.0), 0.0, 1.0)


def _number(value: float) -> str:
    if not np.isfinite(value):
        return "–"
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


def _framed(ax: Axes, column: int, row: int, width: float) -> None:
    from matplotlib.patches import Rectangle

    corner = column - 0.47, row - 0.45
    ax.add_patch(Rectangle(corner, 0.94, 0.9, fill=False, ec=style.COLOURS[1], lw=width))


def plot_nested(found: Any, ax: Axes | None = None) -> Axes:
    """Held-out log density of every procedure, its folds, and what its own score said.

    A small mark is an outer fold, with the number of components that was chosen there; the large
    one the mean with one standard error; a hollow diamond the naive score, whose distance is the
    optimism.

    Parameters
    ----------
    found : NestedResult
    ax : matplotlib Axes, optional
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> found = bm.nested_cv(bm.GaussianMixture(2), X, cv=3, random_state=0)
    >>> bm.plots.plot_nested(found, ax=Figure().subplots()).get_xlabel()
    'log density of a row (nats, greater is better)'
    """
    style.expect("found", found, "what nested_cv returned", "held")
    ax = style.axes_or_new(ax, height=1.9 + 0.9 * len(found.held))
    scores, table = found.scores, found.table
    for place, name in enumerate(found.held):
        row, folds = scores.loc[name], table[table["procedure"] == name]
        colour = style.colour(place)
        fine = folds[folds["held_out"].notna()]
        heights = place + 0.22 + 0.0 * fine["held_out"]
        ax.plot(fine["held_out"], heights, "|", color=colour, ms=9, mew=1.6, zorder=3)
        for x, k in _apart(fine["held_out"].to_numpy(), fine["n_components"].to_numpy()):
            ax.annotate(
                str(k), (x, place + 0.22), color=style.FAINT, ha="center", va="bottom",
                textcoords="offset points", xytext=(0, 6), fontsize="small",
            )  # fmt: skip
        ax.errorbar(
            row["held_out"], place, xerr=row["standard_error"], fmt="o", color=colour, ms=8,
            capsize=4, lw=2, zorder=4,
        )  # fmt: skip
        ax.plot(row["naive"], place, "D", mfc="white", mec=colour, ms=7, mew=1.6, zorder=4)
        ax.plot([row["held_out"], row["naive"]], [place, place], ":", color=colour, lw=1.2)
    ax.set_yticks(range(len(found.held)), list(found.held))
    ax.set_ylim(-0.6, len(found.held) - 0.25)
    ax.set_xlabel("log density of a row (nats, greater is better)")
    style.quiet(ax)
    style.legend_on_top(ax, *_key())
    return ax


def _apart(values: Any, numbers: Any) -> list[tuple[float, str]]:
    """Where to write the chosen numbers: those of folds that lie together stand once."""
    width = 0.03 * max(float(np.ptp(values)), 1e-12) if len(values) else 0.0
    groups: list[tuple[list[float], list[int]]] = []
    for value, number in sorted(zip(values, numbers, strict=True)):
        if groups and value - groups[-1][0][-1] < width:
            groups[-1][0].append(value)
            groups[-1][1].append(number)
        else:
            groups.append(([value], [number]))
    return [(float(np.mean(xs)), ",".join(str(k) for k in dict.fromkeys(ks))) for xs, ks in groups]


def _key() -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    ink = style.FAINT
    handles = [
        Line2D([], [], marker="o", color=ink, ms=8, lw=2),
        Line2D([], [], marker="|", color=ink, ms=9, mew=1.6, ls=""),
        Line2D([], [], marker="D", mfc="white", mec=ink, ms=7, ls=""),
    ]
    labels = ["held out, ± 1 standard error", "fold, with its K", "the procedure's own score"]
    return handles, labels
