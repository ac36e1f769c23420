"""The tree of merges from which a search began: what merges lose, and where the answer cuts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import UnsupportedError
from bayesmix.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesmix.selection.merge_tree import MergeTree

# Clusters at the foot of the tree: twice as many as components were chosen, within these limits.
FEWEST_LEAVES, MOST_LEAVES = 12, 40
# Losses below this many nats are drawn on a linear scale.
LINEAR_BELOW = 10.0
WIDTH, HEIGHT = 6.4, 4.0


def plot_tree(search: Any, ax: Axes | None = None) -> Axes:
    """Draw the last merges of the tree, from small clusters at the foot to one cluster at the top.

    Each merge is drawn at the log evidence that it loses, in nats; a merge that loses less than an
    earlier one is drawn at the height of that one. The dashed line cuts the tree into as many
    components as the chosen candidate has.

    Parameters
    ----------
    search : MixtureSearch
        A search in which K was not given, such as ``bm.select(X)``.
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.

    Raises
    ------
    UnsupportedError
        If the search had no tree: for given numbers of components, sequences and regressions.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> search = bm.select(bm.datasets.load_faithful())
    >>> bm.plots.plot_tree(search, ax=Figure().subplots()).get_ylabel()
    'log evidence lost by the merge (nats)'
    """
    style.expect("search", search, "a fitted search, as select gives it", "results_", "plot_tree")
    chosen_row = search.candidates_[0]
    tree: MergeTree | None = search._trees.get(chosen_row.structure)
    if tree is None:
        raise UnsupportedError(
            "this search has no tree of merges: use bm.select(X) without n_components, for data "
            "that are no sequences and no regression"
        )
    chosen = min(chosen_row.asked, tree.n_cells)
    n_leaves = min(max(2 * chosen, FEWEST_LEAVES), MOST_LEAVES, tree.n_cells)
    axes = style.axes_or_new(ax, WIDTH, HEIGHT)
    merges = tree.merges[tree.n_cells - n_leaves :]
    heights = np.maximum.accumulate(np.maximum(tree.losses[tree.n_cells - n_leaves :], 0.0))
    _draw(axes, merges, heights, n_leaves)
    axes.set_yscale("symlog", linthresh=LINEAR_BELOW)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    below = heights[n_leaves - chosen - 1] if chosen < n_leaves else 0.0
    above = heights[n_leaves - chosen] if chosen > 1 else 2.0 * heights[-1] + LINEAR_BELOW
    cut = float(np.sqrt(below * above)) if below > LINEAR_BELOW else 0.5 * (below + above)
    axes.axhline(cut, color=style.INK, lw=1.0, ls=(0, (4, 3)), zorder=1)
    noun = "component" if chosen == 1 else "components"
    axes.annotate(
        f"{chosen} {noun}", (1.0, cut), xycoords=("axes fraction", "data"), ha="right",
        va="bottom", xytext=(-2, 2), textcoords="offset points",
    )  # fmt: skip
    axes.set_xticks([])
    axes.set_xlabel(f"{n_leaves} small clusters")
    return style.finished(axes, ylabel="log evidence lost by the merge (nats)")


def _draw(axes: Axes, merges: Any, heights: Any, n_leaves: int) -> None:
    """Draw each merge as a bracket over the places of the two clusters."""
    members: list[list[int]] = [[i] for i in range(n_leaves)]
    joins: list[tuple[list[int], list[int]]] = []
    for first, second in merges.tolist():
        joins.append((members[first], members[second]))
        members[first] = members[first] + members.pop(second)
    order = {leaf: place for place, leaf in enumerate(members[0])}
    at: dict[tuple[int, ...], tuple[float, float]] = {
        (leaf,): (float(order[leaf]), 0.0) for leaf in range(n_leaves)
    }
    for (left, right), height in zip(joins, heights.tolist(), strict=True):
        (x, low), (y, lower) = at[tuple(left)], at[tuple(right)]
        line = [x, x, y, y], [low, height, height, lower]
        axes.plot(*line, color=style.INK, lw=1.5, solid_joinstyle="miter", zorder=2)
        at[tuple(left + right)] = 0.5 * (x + y), height
