"""Plots of a search: criteria over K and structures, nested cross-validation, features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bayesmix.core.nouns import counted, plural
from bayesmix.core.procedures import noun_of
from bayesmix.errors import InvalidInputError
from bayesmix.plots import style
from bayesmix.plots.style import Axes
from bayesmix.selection.criteria import record
from bayesmix.selection.search_tables import comparing
from bayesmix.selection.structures import labels_beside
from bayesmix.selection.summary_text import cell

LOWEST_RESCALED = -2.0
# With more lines, only those of the best candidates are in colour and labelled.
MOST_LINES, NAMED_CELLS = 7, 3
TOGETHER = ("bic", "icl", "aicc", "elbo", "elbo_log_k", "evidence", "loo", "cv")
# Nats behind the best up to which the scale is linear; beyond, it is logarithmic.
CLOSE = 2.0
MARKS = (0, 1, 3)
LINE = 1.3  # height of a line of text, relative to the size of its font
MARGIN = 0.08  # of the height, so that the ring at the chosen candidate is not cut
# Above this number of lines the legend is next to the axes.
MOST_ON_TOP = 2


def plot_selection(search: Any, ax: Axes | None = None, *, criterion: str | None = None) -> Axes:
    r"""Plot the difference of each candidate to the best, with a line per covariance structure.

    The best candidate is at 0, others are below it, and the chosen one has a ring: ``select`` takes
    the simplest candidate with the most probable number of clusters. The scale is linear for close
    candidates and logarithmic for others. Crosses at the lower edge are failed or
    degenerate fits.
    Standard errors are shown if the criterion has them (paired ones for
    cross-validation). With more than seven structures, only those of the best three
    candidates are in colour.

    Parameters
    ----------
    search : fitted MixtureSearch
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.
    criterion : str, optional
        A column of ``results_``; None: the criterion that chose. "all": every criterion, rescaled
        to 0 at its best and -1 at the median K.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> search = bm.select(bm.datasets.load_faithful(), n_components=(1, 2, 3))
    >>> bm.plot_selection(search, ax=Figure().subplots()).get_ylabel()
    'ELBO + log K! + log P(K),\nnats below the best'
    """
    results = getattr(search, "results_", None)
    if results is None:
        raise InvalidInputError(
            f"search must be a fitted MixtureSearch, got {type(search).__name__}"
        )
    if criterion == "all":
        return draw_all(results, style.axes_or_new(ax), search)
    name = _column(search, criterion)
    ax = style.axes_or_new(ax)
    value = results[name].where(np.isfinite(results[name]))
    decides = name == comparing(results, search.criterion_)
    sign = np.sign(record(name).factor)
    best = (sign * value).idxmax()
    ringed = search.best_index_ if decides else best
    table = results.assign(
        behind=sign * (value[best] - value),
        error=results.get("cv_behind_se" if name == "cv" else f"{name}_se", np.nan),
    )
    key: style.Key = {}
    groups = list(_groups(table))
    leading = table["behind"].nsmallest(NAMED_CELLS).index
    for index, (group, rows) in enumerate(groups):
        nudge = 0.06 * (index - (len(groups) - 1) / 2)
        with_errors = bool(table["error"].notna().any())
        line = _line(ax, rows, index, nudge if with_errors else 0.0)
        if len(groups) > MOST_LINES and not rows.index.isin(leading).any():
            for artist in line.get_children():
                artist.set(color=style.FAINT, zorder=1.5)
            line.lines[0].set(marker="", lw=1.0)
            continue
        _mark_failed(ax, rows[rows["behind"].isna()], index, 2.0 * nudge)
        key[group or _title(name)] = line
    if len(groups) > MOST_LINES:
        _name(ax, table.loc[leading], groups)
    n, height = int(table["n_components"][ringed]), float(table["behind"][ringed])
    kind = _kind(table.loc[ringed], groups)
    which = "chosen" if decides else "best"
    (key[f"{which}: {counted(n, noun_of(search))}{kind}"],) = ax.plot(
        n, height, "o", ms=15, mfc="none", mec=style.INK, mew=1.6, zorder=4
    )
    error = table["error"].fillna(0.0)
    _scale(ax, np.nanmin(table["behind"] - error), np.nanmax(table["behind"] + error))
    style.whole_numbers(ax, np.unique(table["n_components"]).tolist())
    distance = record(name).distance.replace(", ", ",\n")
    style.finished(ax, xlabel=plural(noun_of(search)), ylabel=distance)
    (style.legend_beside if len(key) > MOST_ON_TOP else style.legend_on_top)(ax, key)
    return ax


def _column(search: Any, criterion: str | None) -> str:
    """Return the column of ``results_`` of a criterion, by default the criterion of the choice."""
    name = record(criterion or comparing(search.results_, search.criterion_)).column
    if name not in search.results_.columns:
        raise InvalidInputError(f"criterion must be a column of results_, got {name!r}")
    return name


def _scale(ax: Axes, least: float, most: float) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    ax.set_yscale("asinh", linear_width=CLOSE)
    marks = [*MARKS]
    while marks[-1] < max(most, -least):
        marks.append(10 * marks[-2])
    ahead = [-mark for mark in marks[1:] if mark <= -least]
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    scale = ax.yaxis.get_transform()
    low, high = scale.transform(np.array([max(most, MARKS[-1]), min(least, 0.0)]))
    margin = MARGIN * (low - high)
    # Where candidates are far apart, marks near the best one would overlap.
    points = float(ax.yaxis.get_major_ticks(1)[0].label1.get_fontsize())
    step = LINE * points * ax.figure.dpi / 72.0 / ax.get_window_extent().height
    step *= low - high + 2.0 * margin
    kept = [0]
    for mark in marks[1:]:
        if scale.transform(mark) - scale.transform(kept[-1]) > step:
            kept.append(mark)
    ax.yaxis.set_major_locator(FixedLocator([*(mark for mark in ahead if -mark in kept), *kept]))
    ax.set_ylim(*scale.inverted().transform(np.array([low + margin, high - margin])))
    ax.axhline(0.0, color=style.FAINT, ls=":", lw=1.0, zorder=1)


def draw_all(results: Any, ax: Axes, search: Any) -> Axes:
    """Plot all criteria over the number of components, each rescaled."""
    shown = [name for name in TOGETHER if name in results and np.isfinite(results[name]).any()]
    chosen = record(search.criterion_).column
    if chosen not in shown and chosen in results:
        shown.insert(0, chosen)
    key: style.Key = {}
    for index, name in enumerate(shown):
        value = results[name].where(np.isfinite(results[name]))
        better = np.sign(record(name).factor) * value
        over_k = better.groupby(results["n_components"]).max().dropna()
        away = over_k.max() - over_k
        scale = away.median() if away.median() > 0 else max(away.max(), 1.0)
        height = np.maximum(-away / scale, LOWEST_RESCALED)
        main, k = name == chosen, over_k.idxmax()
        (key[f"{_title(name)}: {k}"],) = ax.plot(
            over_k.index, height, color=style.colour(index), marker=style.marker(index),
            ls="-" if main else style.line(index), lw=2.4 if main else 1.3, ms=5, zorder=3,
        )  # fmt: skip
        ax.plot(k, 0.0, "o", ms=12 + 3 * index, mfc="none", mec=style.colour(index), mew=1.2)
    style.whole_numbers(ax, np.unique(results["n_components"]).tolist())
    ax.set_yticks([0.0, -1.0, LOWEST_RESCALED], ["best", "median", "far below"])
    reach = (LOWEST_RESCALED - 0.15, 0.35)
    return style.finished(ax, key, ylim=reach, xlabel="components", ylabel="criterion, rescaled")


def _title(criterion: str) -> str:
    return record(criterion).label


def _groups(table: Any) -> Iterator[tuple[str, Any]]:
    """Return candidates that differ only in K, by their other parameters."""
    parameters = list(table.columns[: list(table.columns).index("found_components")])
    several = [name for name in parameters if table[name].astype(str).nunique() > 1]
    besides_k = [name for name in several if name != "n_components"]
    if not besides_k:
        yield "", table
        return
    cells = [
        [cell(name, value) for name, value in zip(besides_k, row, strict=True)]
        for row in table[besides_k].itertuples(index=False)
    ]
    keys = np.array([", ".join(filter(None, each)) for each in cells])
    for key in dict.fromkeys(keys):
        yield key, table[keys == key]


def _kind(best: Any, groups: list[tuple[str, Any]]) -> str:
    for group, rows in groups:
        if group and best.name in rows.index:
            return f", {group}"
    return ""


def _line(ax: Axes, rows: Any, index: int, nudge: float) -> Any:
    rows = rows.sort_values("n_components")
    fine = rows[rows["behind"].notna()]
    return ax.errorbar(
        fine["n_components"] + nudge, fine["behind"],
        yerr=fine["error"] if fine["error"].notna().any() else None, color=style.colour(index),
        marker=style.marker(index), ls=style.line(index) if index else "-", ms=6, lw=1.5,
        capsize=2.5, zorder=3,
    )  # fmt: skip


def _name(ax: Axes, leading: Any, groups: list[tuple[str, Any]]) -> None:
    several = len({_kind(best, groups) for _, best in leading.iterrows()}) > 1
    for place, (_, best) in enumerate(leading.iterrows()):
        kind = f"{_kind(best, groups).removeprefix(', ')}, " if several else ""
        ax.annotate(
            f"{place + 1}. {kind}{int(best['n_components'])}",
            (best["n_components"], best["behind"]),
            textcoords="offset points", xytext=(12, 8 - 13 * place), color=style.INK, zorder=5,
        )  # fmt: skip


def _mark_failed(ax: Axes, rows: Any, index: int, nudge: float) -> None:
    """Mark candidates without a value at the lower edge."""
    if not len(rows):
        # An empty line would change the layout.
        return
    ax.plot(
        rows["n_components"] + nudge, np.full(len(rows), 0.02), "x", color=style.colour(index),
        transform=ax.get_xaxis_transform(), ms=5, mew=1.4, zorder=3, clip_on=False,
    )  # fmt: skip


# Nats behind the best up to which colours are proportional, and at which a cell is white.
NEAR, BLANK = 1.0, 1000.0
# Darker cells have light numbers.
DARK = 0.55


def plot_structures(search: Any, ax: Axes | None = None, *, criterion: str | None = None) -> Axes:
    r"""Plot the difference to the best candidate as a matrix: covariance structures by K.

    Darker is better, the best three have frames, and the chosen one has an asterisk. Structures are
    sorted from simple to rich. A dash is a failed or degenerate fit; for K = 1, structures that are
    the same model show the same value.

    Parameters
    ----------
    search : fitted MixtureSearch
        Search over covariance structures.
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.
    criterion : str, optional
        A column of ``results_``; None: the criterion that chose.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> search = bm.select(bm.datasets.load_faithful(), (2, 3), "all", criterion="bic")
    >>> bm.plot_structures(search, ax=Figure().subplots()).get_title(loc="left")
    'BIC above the best\n(tied (EEE), 3: 2,314.31); * chosen'
    """
    results = getattr(search, "results_", None)
    if results is None or "covariance_type" not in results:
        raise InvalidInputError(
            "search must be a fitted MixtureSearch over covariance structures, got "
            f"{type(search).__name__}"
        )
    from matplotlib.patches import Rectangle

    name = _column(search, criterion)
    matrix = search.matrix(name)
    best = matrix.attrs["best"]
    values = matrix.to_numpy(dtype=float).T
    behind = np.sign(record(name).factor) * (best[0][2] - values) + 0.0  # no minus before zero
    numbers, structures = list(matrix.index), list(matrix.columns)
    chosen = None
    if name == comparing(results, search.criterion_):
        best_row = results.loc[search.best_index_]
        chosen = (
            structures.index(best_row["covariance_type"]),
            numbers.index(best_row["n_components"]),
        )
    ax = style.axes_or_new(ax, 2.0 + 0.62 * len(matrix), 1.2 + 0.33 * matrix.shape[1])
    # 1 for the best, decreasing to 0 approximately logarithmically.
    scaled = np.arcsinh(np.maximum(behind, 0.0) / NEAR) / np.arcsinh(BLANK / NEAR)
    close = 0.9 * np.clip(1.0 - np.nan_to_num(scaled, nan=1.0, posinf=1.0), 0.0, 1.0)
    ax.imshow(close, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for (i, j), value in np.ndenumerate(behind):
        colour = "white" if close[i, j] > DARK else style.INK
        text = f"{_number(value)} *" if (i, j) == chosen else _number(value)
        ax.text(j, i, text, ha="center", va="center", size="small", color=colour)
    for place, (structure, k, _) in enumerate(best, start=1):
        corner = numbers.index(k) - 0.47, structures.index(structure) - 0.45
        frame = Rectangle(corner, 0.94, 0.9, fill=False, ec=style.COLOURS[1], lw=4.0 - place)
        ax.add_patch(frame)
    ax.set_xticks(range(len(numbers)), [str(k) for k in numbers])
    names = labels_beside(structures)
    ax.set_yticks(range(len(structures)), [names[each] for each in structures])
    ax.set_xlabel("components")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    first = f"{names[best[0][0]]}, {best[0][1]}: {best[0][2]:,.2f}"
    marked = "" if chosen is None else "; * chosen"
    ax.set_title(f"{record(name).distance}\n({first}){marked}", size="medium", loc="left")
    return ax


def _number(value: float) -> str:
    if not np.isfinite(value):
        return "–"
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


def plot_nested(found: Any, ax: Axes | None = None) -> Axes:
    """Plot held-out log density, folds, and naive score of each procedure.

    Small marks are outer folds with their chosen K, the large one is the mean ± standard error, and
    the hollow diamond is the naive score; its distance is the optimism.

    Parameters
    ----------
    found : NestedResult
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> found = bm.nested_cv(bm.GaussianMixture(2), X, cv=3, random_state=0)
    >>> bm.plots.plot_nested(found, ax=Figure().subplots()).get_xlabel()
    'log density in nats per observation'
    """
    style.expect("found", found, "a NestedResult", "held")
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
    reach = (-0.6, len(found.held) - 0.25)
    return style.finished(ax, _key(), ylim=reach, xlabel="log density in nats per observation")


def _apart(values: Any, numbers: Any) -> list[tuple[float, str]]:
    """Return positions for the chosen K, once for folds that coincide."""
    width = 0.03 * max(float(np.ptp(values)), 1e-12) if len(values) else 0.0
    groups: list[tuple[list[float], list[int]]] = []
    for value, number in sorted(zip(values, numbers, strict=True)):
        if groups and value - groups[-1][0][-1] < width:
            groups[-1][0].append(value)
            groups[-1][1].append(number)
        else:
            groups.append(([value], [number]))
    return [(float(np.mean(xs)), ",".join(str(k) for k in dict.fromkeys(ks))) for xs, ks in groups]


def _key() -> style.Key:
    from matplotlib.lines import Line2D

    ink = style.FAINT
    return {
        "held out, ± 1 standard error": Line2D([], [], marker="o", color=ink, ms=8, lw=2),
        "fold, with its K": Line2D([], [], marker="|", color=ink, ms=9, mew=1.6, ls=""),
        "naive score": Line2D([], [], marker="D", mfc="white", mec=ink, ms=7, ls=""),
    }


def plot_feature_evidence(search: Any, ax: Axes | None = None, *, most: int = 20) -> Axes:
    """Plot the evidence that each feature distinguishes the clusters, largest first.

    Relevant features are filled. The scale is linear near 0 and logarithmic beyond.

    Parameters
    ----------
    search : MixtureSearch
        Fitted with ``variable_selection=True``.
    ax : matplotlib Axes, optional
        None makes a new figure.
    most : int, default=20
        Largest number of features to show.

    Returns
    -------
    Axes
    """
    from matplotlib.ticker import StrMethodFormatter

    style.expect("search", search, "a fitted MixtureSearch", "results_", "get_support")
    ax = style.axes_or_new(ax)
    table = search.feature_evidence_.assign(relevant=search.get_support())
    table = table.sort_values("evidence", ascending=False, kind="stable")[:most]
    places = np.arange(len(table))
    relevant = table["relevant"].to_numpy()
    kinds = (("relevant", relevant, style.colour(0)), ("irrelevant", ~relevant, style.FILL))
    key = {
        kind: ax.barh(places[mine], table["evidence"][mine], color=colour)
        for kind, mine, colour in kinds
    }
    ax.set_xscale("asinh", linear_width=CLOSE)
    limits = ax.get_xlim()
    # Labels of ticks nearer to 0 would overlap.
    ax.set_xticks([x for x in ax.get_xticks() if x == 0.0 or abs(x) >= CLOSE], minor=False)
    ax.set_xlim(limits)
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    ax.vlines(0.0, -0.5, len(table) - 0.5, color=style.INK, lw=0.8)
    ax.set_yticks(places, table.index)
    ax.invert_yaxis()
    what = "evidence that the feature differs between components (nats)"
    return style.finished(ax, key, xlabel=what)
