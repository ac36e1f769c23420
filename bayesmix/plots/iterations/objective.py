"""``plot_objective``: how a fit got where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.plots import style
from bayesmix.plots.subject import fitted
from bayesmix.workflow.result import FitResult, SearchRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = {
    "maximum_likelihood": "log likelihood",
    "maximum_a_posteriori": "log likelihood + log prior",
    "variational_bayes": "evidence lower bound",
}
# An inset needs a curve to show.
FEWEST = 4
# The width of what the search tried, of that of the run.
SEARCH = 0.45
GROUND = "#f0f0f0"
# Marker, colour and filling of what the search tried.
TRIED = {
    "a start": ("o", style.INK, "none"),
    "a run to its end": ("o", style.INK, style.INK),
    "a move, taken": ("^", style.COLOURS[5], style.COLOURS[5]),
    "a move, not taken": ("x", style.FAINT, style.FAINT),
}


def plot_objective(model: Any, ax: Axes | None = None) -> Axes:
    """What the search tried, and the objective after every iteration of the run that is returned.

    On the grey ground every start, every run that was taken to its end and every move stands in the
    order of the search, where it ended. Where something other than a pass came between (a repair, a
    prune, a move, a change of order) the line is interrupted and the place marked. The inset shows
    the gap to the last value on a log scale: a straight line there is linear convergence.

    Parameters
    ----------
    model : fitted mixture or search
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
    >>> gm = bm.GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> bm.plot_objective(gm, ax=Figure().subplots()).get_ylabel()
    'log likelihood (nats)'
    """
    result: FitResult = fitted(model, with_noise=True).result_
    if not len(result.trace):
        raise UnsupportedError("this mixture was given, not fitted: it has no objective trace")
    ax = style.axes_or_new(ax)
    starts = [start for start in result.segments if start < len(result.trace)]
    draw_segments(ax, result.trace, starts)
    for start in starts[1:]:
        ax.axvline(start + 0.5, color=style.FAINT, lw=1.0, ls=":", zorder=1)
    if starts[1:]:
        kinds = sorted({event.kind for event in result.events if event.at_pass > 0})
        style.note(ax, [f"dotted: a new segment ({', '.join(kinds) or 'a change of order'})"])
    ax.set_xlabel(f"iteration ({result.status.replace('_', ' ')})")
    ax.set_ylabel(f"{NAMES[result.inference.name]} (nats)")
    style.whole_numbers(ax)
    if result.search_trace:
        _draw_search(ax, result)
    ax.ticklabel_format(axis="y", useOffset=False)
    ax.margins(x=0.02, y=0.06)
    style.quiet(ax)
    if len(result.trace) >= FEWEST and np.ptp(result.trace) > 0:
        _gap_inset(ax, result.trace, starts)
    return ax


def _draw_search(ax: Axes, result: FitResult) -> None:
    """Where each start and each move of the search ended, left of the run."""
    from matplotlib.ticker import MaxNLocator

    records = [record for record in result.search_trace if np.isfinite(record.objective)]
    width = SEARCH * max(len(result.trace), FEWEST)
    places = np.linspace(-width, 0.0, len(records) + 2)[1:-1]
    named = [_kind(record) for record in records]
    handles = []
    for name in [name for name in TRIED if name in named]:
        marker, colour, face = TRIED[name]
        chosen = [place for place, kind in enumerate(named) if kind == name]
        values = [records[place].objective for place in chosen]
        handles += ax.plot(
            places[chosen], values, ls="", marker=marker, ms=4.5, mfc=face, mec=colour, zorder=2,
            label=name,
        )  # fmt: skip
    ax.axvspan(-width, 0.5, color=GROUND, zorder=0, lw=0)
    ticks = MaxNLocator("auto", integer=True).tick_values(1, len(result.trace))
    ax.set_xticks([tick for tick in ticks if 1 <= tick <= len(result.trace)])
    style.legend_on_top(ax, handles, [str(handle.get_label()) for handle in handles])


def _kind(record: SearchRecord) -> str:
    """What was tried, one of ``TRIED``."""
    if record.stage == "start":
        return "a start"
    if record.stage == "settle":
        return "a run to its end"
    return "a move, taken" if record.accepted else "a move, not taken"


def draw_segments(ax: Axes, values: Array, starts: list[int]) -> None:
    """A line a segment, with a point for every iteration while they can be told apart."""
    marker = "o" if len(values) <= 60 else ""
    for start, end in zip(starts, [*starts[1:], len(values)], strict=True):
        iterations = np.arange(start + 1, end + 1)
        ax.plot(
            iterations, values[start:end], color=style.COLOURS[0], marker=marker, ms=4, lw=1.6,
            zorder=2,
        )  # fmt: skip


def _gap_inset(ax: Axes, trace: Array, starts: list[int]) -> None:
    """The gap to the last value, in the corner that a rising curve leaves free."""
    gap = trace[-1] - trace
    gap = np.where(gap > 0, gap, np.nan)
    # Early in its rise at half time: free on the lower right, else on the upper left.
    risen = trace[len(trace) // 2] - trace.min() > 0.5 * np.ptp(trace)
    place = (0.5, 0.16, 0.46, 0.46) if risen else (0.13, 0.48, 0.46, 0.46)
    inset = ax.inset_axes(place)
    draw_segments(inset, gap, starts)
    inset.set_yscale("log")
    inset.set_title("gap to the last value (nats)", fontsize="small", path_effects=style.halo())
    inset.tick_params(labelsize="small")
    style.whole_numbers(inset)
    style.quiet(inset)
