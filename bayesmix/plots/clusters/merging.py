"""``plot_merging``: the tree by which components become clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmix.errors import InvalidInputError
from bayesmix.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 5.8
LEAST_HEIGHT, HEIGHT_OF_STEP = 3.6, 0.42
# More components than this, and numbers at every merge would meet.
MOST_NUMBERED = 16
# Between the number of groups suggested and the next merge.
CUT = 0.5


def plot_merging(merging: Any, ax: Axes | None = None) -> Axes:
    """Draw the tree of merges, one step for each, from all components above to one cluster below.

    The number at a merge is the overlap of the two groups: the share of the lighter one that they
    share. The dashed line is the suggested cut: branches that cross it are the clusters.

    Parameters
    ----------
    merging : Merging
    ax : matplotlib Axes, optional
        Where to draw the tree; None makes a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> gm = bm.GaussianMixture(n_components=4, random_state=0).fit(X)
    >>> bm.plot_merging(bm.merge_components(gm, X), ax=Figure().subplots()).get_ylabel()
    'clusters'
    """
    if not hasattr(merging, "tree") or not hasattr(merging, "groups"):
        raise InvalidInputError(f"merging must be a Merging, got {type(merging).__name__}")
    K = merging.n_components
    if ax is None:
        height = max(LEAST_HEIGHT, 1.2 + HEIGHT_OF_STEP * K)
        _, ax = style.pyplot().subplots(figsize=(WIDTH, height), layout="constrained")
    tree: Axes = ax
    _draw_tree(tree, merging)
    cut = merging.hierarchy.n_suggested - CUT
    tree.axhline(cut, color=style.INK, lw=1.0, ls=(0, (4, 3)), zorder=1)
    style.quiet(tree)
    tree.set_ylim(0.2, K + 0.75)
    tree.set_yticks(range(1, K + 1))
    tree.set_ylabel("clusters")
    return tree


def _draw_tree(ax: Axes, merging: Any) -> None:
    """Components at the top, in an order in which no branches cross; a step down for each merge."""
    K = merging.n_components
    places: dict[tuple[int, ...], tuple[float, float]] = {
        (k,): (float(x), float(K)) for x, k in enumerate(_leaves(merging))
    }
    for (k, *_), (x, y) in places.items():
        style.number(
            ax, k, x, y, textcoords="offset points", xytext=(0, 4), va="bottom", fontsize="medium"
        )
    shown = K <= MOST_NUMBERED
    for n_clusters, pair, overlap in merging.tree.to_numpy():
        branches = sorted(pair, key=lambda group: places[group][0])
        (left, high_left), (right, high_right) = (places[group] for group in branches)
        height = float(n_clusters)
        for group, x, high in zip(branches, (left, right), (high_left, high_right), strict=True):
            colour = style.colour(group[0]) if len(group) == 1 else style.INK
            ax.plot([x, x], [high, height], color=colour, lw=2.0, solid_capstyle="butt", zorder=2)
        ax.plot([left, right], [height, height], color=style.INK, lw=2.0, zorder=2)
        middle = 0.5 * (left + right)
        if shown:
            ax.annotate(
                f"{overlap:.0%}", (middle, height), textcoords="offset points", xytext=(0, 3),
                ha="center", va="bottom", fontsize="small", color=style.INK,
                path_effects=style.halo(),
            )  # fmt: skip
        places[tuple(sorted((*pair[0], *pair[1])))] = (middle, height)
    root_x, root_y = places[tuple(range(K))]
    ax.plot([root_x, root_x], [root_y, root_y - 0.5], color=style.INK, lw=2.0, zorder=2)
    ax.set_xlim(-0.6, K - 0.4)
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    C = merging.n_clusters
    ax.set_xlabel(
        f"{K} component{'s' if K > 1 else ''}, merged from above; "
        f"{C} cluster{'s' if C > 1 else ''} suggested"
    )


def _leaves(merging: Any) -> list[int]:
    """Components in the order in which the tree has them side by side."""
    order: dict[Any, tuple[int, ...]] = {(k,): (k,) for k in range(merging.n_components)}
    for pair in merging.tree["merged"]:
        first, second = sorted(pair, key=lambda group: -merging.weights[list(group)].sum())
        order[tuple(sorted((*first, *second)))] = (*order[first], *order[second])
    return list(order[tuple(range(merging.n_components))])
