"""``plot_nested``: what whole procedures achieve on rows held out, fold by fold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    >>> bm.plot_nested(found, ax=Figure().subplots()).get_xlabel()
    'log density of a row (nats, greater is better)'
    """
    if not hasattr(found, "held"):
        raise InvalidInputError(
            f"found must be what nested_cv returned, got {type(found).__name__}"
        )
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
