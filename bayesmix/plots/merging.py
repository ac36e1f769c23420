"""Plots of merging trees, of stability, and of latent classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


WIDTH = 5.8
LEAST_HEIGHT, HEIGHT_OF_STEP = 3.6, 0.42
# With more components, numbers at the merges would overlap.
MOST_NUMBERED = 16
# Between the suggested number of groups and the next merge.
CUT = 0.5


def plot_merging(merging: Any, ax: Axes | None = None) -> Axes:
    """Draw the tree of merges, from all components at the top to one cluster at the bottom.

    The number at a merge is the overlap: the share of the lighter group that both have in common.
    The dashed line is the suggested cut; branches that cross it are the clusters.

    Parameters
    ----------
    merging : Merging
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> gm = bm.GaussianMixture(n_components=4, random_state=0).fit(X)
    >>> bm.plots.plot_merging(bm.merge_components(gm, X), ax=Figure().subplots()).get_ylabel()
    'clusters'
    """
    style.expect("merging", merging, "a Merging", "tree", "groups")
    K = merging.n_components
    tree = style.axes_or_new(ax, WIDTH, max(LEAST_HEIGHT, 1.2 + HEIGHT_OF_STEP * K))
    _draw_tree(tree, merging)
    cut = merging.hierarchy.n_suggested - CUT
    tree.axhline(cut, color=style.INK, lw=1.0, ls=(0, (4, 3)), zorder=1)
    style.quiet(tree)
    tree.set_ylim(0.2, K + 0.75)
    tree.set_yticks(range(1, K + 1))
    tree.set_ylabel("clusters")
    return tree


def _draw_tree(ax: Axes, merging: Any) -> None:
    """Draw components at the top in an order without crossings, and a step for each merge."""
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
    """Return components in the order of the tree."""
    order: dict[Any, tuple[int, ...]] = {(k,): (k,) for k in range(merging.n_components)}
    for pair in merging.tree["merged"]:
        first, second = sorted(pair, key=lambda group: -merging.weights[list(group)].sum())
        order[tuple(sorted((*first, *second)))] = (*order[first], *order[second])
    return list(order[tuple(range(merging.n_components))])


# Points closer than the first distance are drawn side by side at the second.
NEAR, ASIDE = 0.02, 0.07
MOST_ASIDE = 0.4
BETWEEN = "halves\ncompared"


def plot_stability(stability: Any, ax: Axes | None = None) -> Axes:
    """Plot the agreement of each resample with the clustering of all data, by its K.

    Open marks: agreement between the halves of a split. The short line is the median.

    Parameters
    ----------
    stability : Stability
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> found = bm.stability(bm.GaussianMixture(2), X, n_resamples=4, random_state=0)
    >>> bm.plots.plot_stability(found, ax=Figure().subplots()).get_xlabel()
    'components selected'
    """
    style.expect("stability", stability, "a Stability", "k_shares", "between_halves")
    ax = style.axes_or_new(ax)
    fitted = stability.fitted
    numbers = sorted({*stability.k_shares.index, stability.n_components})
    n = len(stability.table)
    names: list[str] = []
    for place, number in enumerate(numbers):
        values = fitted.loc[fitted["n_components"] == number, "adjusted_rand"].to_numpy(float)
        found = number == stability.n_components
        names.append(f"{number}\n{len(values)} of {n}" + ("\nas in all data" if found else ""))
        _column(ax, place, values, style.colour(0) if found else style.FAINT, filled=True)
    between = stability.table["between_halves"].dropna().to_numpy(float)
    if len(between):
        names.append(f"{BETWEEN}\n{len(between)} pairs")
        place = len(numbers)
        ax.axvline(place - 0.5, color=style.FILL, lw=1.0, zorder=1)
        _column(ax, place, between, style.INK, filled=False)
    ax.set_xticks(range(len(names)), names)
    ax.set(xlim=(-0.6, len(names) - 0.4), ylim=(min(0.0, ax.dataLim.y0 - 0.03), 1.03))
    ax.set(xlabel="components selected", ylabel="adjusted Rand index")
    if stability.n_failed:
        style.note(ax, [f"{stability.n_failed} of {n} could not be fitted"])
    style.quiet(ax)
    return ax


def _column(ax: Axes, place: int, values: Array, colour: str, filled: bool) -> None:
    """Draw points side by side where they would overlap, and their median."""
    if not len(values):
        return
    aside = style.side_by_side(values, NEAR, ASIDE, MOST_ASIDE)
    ax.plot(
        place + aside, values, "o", color=colour, mfc=colour if filled else "none",
        mec="white" if filled else colour, mew=0.5 if filled else 1.2, ms=7, zorder=3,
    )  # fmt: skip
    ax.hlines(
        np.median(values), place - MOST_ASIDE, place + MOST_ASIDE, color=colour, lw=1.5, zorder=2
    )


# Width within a level for marks of the classes.
CLASS_WIDTH = 0.5
# Above this number, levels are listed vertically.
MOST_ACROSS = 24


def plot_latent_classes(classes: Any, ax: Axes | None = None) -> Axes:
    """Plot item-response profiles: the probability of each level in each class, with intervals.

    A line joins the levels of a column; a column with two levels shows the second only. More than
    24 levels are listed vertically.

    Parameters
    ----------
    classes : LatentClasses
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = np.random.default_rng(0).integers(0, 3, (90, 2))
    >>> m = bm.Mixture(2, family=bm.Categorical(), random_state=0).fit(X)
    >>> bm.plots.plot_latent_classes(bm.latent_classes(m, X), ax=Figure().subplots()).get_ylabel()
    'probability in the class'
    """
    style.expect("classes", classes, "LatentClasses", "bivariate_residuals")
    index = classes.probabilities.index
    columns = index.get_level_values("column")
    runs = [np.flatnonzero(columns == name) for name in columns.unique()]
    runs = [run[1:] if len(run) == 2 else run for run in runs]
    starts = np.cumsum([0, *(len(run) + 0.5 * (len(run) > 1) for run in runs[:-1])])
    places = [start + np.arange(len(run)) for start, run in zip(starts, runs, strict=True)]
    n_levels = sum(map(len, runs))
    across = n_levels <= MOST_ACROSS
    long = 0.45 * n_levels if across else 1.0 + 0.25 * n_levels
    ax = style.axes_or_new(ax, *((max(6.4, long), 4.4) if across else (6.4, long)))
    n_classes = classes.probabilities.shape[1]
    handles, labels = [], []
    for k, share in enumerate(classes.sizes["share"]):
        aside = CLASS_WIDTH * ((k + 0.5) / n_classes - 0.5)
        middle = classes.probabilities[k].to_numpy()
        below = middle - classes.lower[k].to_numpy()
        over = classes.upper[k].to_numpy() - middle
        for run, where in zip(runs, places, strict=True):
            points, spread = (where + aside, middle[run]), np.maximum([below[run], over[run]], 0.0)
            drawn = ax.errorbar(
                *(points if across else points[::-1]),
                yerr=spread if across else None,
                xerr=None if across else spread,
                color=style.colour(k),
                marker=style.marker(k),
                linestyle="-",
                linewidth=1.0,
                markersize=5.0,
            )
        handles.append(drawn)
        labels.append(f"class {k} ({share:.0%})")
    names = [f"{index[place][0]}: {index[place][1]}" for run in runs for place in run]
    every, reach, what = np.concatenate(places), (-0.02, 1.02), "probability in the class"
    if across:
        ax.set_xticks(every, names, rotation=45, ha="right")
        ax.set(ylim=reach, ylabel=what)
    else:
        ax.set_yticks(every, names)
        ax.set(ylim=(every[-1] + 1.0, -1.0), xlim=reach, xlabel=what)
    style.quiet(ax)
    style.legend_on_top(ax, handles, labels)
    return ax
