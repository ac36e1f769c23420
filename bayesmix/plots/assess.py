"""Plots of assessments: tests, residuals, prior sensitivity, merging and stability."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import betaincinv, ndtri

from bayesmix.core.printed_numbers import percent
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.plots import style
from bayesmix.plots.style import Axes


def plot_goodness_of_fit(fit: Any, ax: Axes | None = None) -> Axes:
    """Plot observed minus expected coverage of the component contours.

    Contours near the centres are on the left. The band contains 95 % of data sets simulated from
    the model, simultaneously. Above the line there are too many observations inside a contour,
    below it too few.

    Parameters
    ----------
    fit : GoodnessOfFit
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> gm = bm.GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> fit = bm.goodness_of_fit(gm, X, n_resamples=19, random_state=0)
    >>> bm.plots.plot_goodness_of_fit(fit, ax=Figure().subplots()).get_ylabel()
    'observations inside, observed less expected'
    """
    style.expect("fit", fit, "a GoodnessOfFit", "replicates", "shares")
    from matplotlib.ticker import FuncFormatter, PercentFormatter

    ax = style.axes_or_new(ax)
    key: style.Key = {}
    if fit.n_failed < len(fit.replicates):
        low, high = fit.band()
        key["95 % of data sets of this model"] = ax.fill_between(
            fit.grid, low - fit.grid, high - fit.grid, color=style.FILL, lw=0, zorder=1
        )
    ax.axhline(0.0, color=style.FAINT, lw=0.8, zorder=2)
    (key[f"{fit.n_rows:,.0f} observations (p = {fit.p_value:.2g})"],) = ax.plot(
        fit.grid, fit.shares - fit.grid, color=style.colour(0 if fit.fits else 5), lw=1.8, zorder=3
    )
    reach = 1.1 * max(abs(value) for value in ax.dataLim.intervaly)
    ax.set_xticks(np.linspace(0.0, 1.0, 5))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))

    def signed(value: float, _: int | None) -> str:
        percent = round(100.0 * value, 1)
        return f"{percent:+g}%".replace("-", "−") if percent else "0"

    ax.yaxis.set_major_formatter(FuncFormatter(signed))
    return style.finished(
        ax, key, xlim=(0.0, 1.0), ylim=(-reach, reach), xlabel="expected coverage of the contour",
        ylabel="observations inside, observed less expected",
    )  # fmt: skip


def plot_likelihood_ratio(test: Any, ax: Axes | None = None) -> Axes:
    """Plot the simulated likelihood ratios and the observed one.

    Parameters
    ----------
    test : LikelihoodRatioTest
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_galaxies()
    >>> test = bm.likelihood_ratio_test(bm.GaussianMixture(1), X, n_resamples=4, random_state=0)
    >>> bm.plots.plot_likelihood_ratio(test, ax=Figure().subplots()).get_ylabel()
    'data sets'
    """
    style.expect("test", test, "a LikelihoodRatioTest", "statistic", "smaller")
    from matplotlib.ticker import MaxNLocator

    ax = style.axes_or_new(ax)
    K = test.n_components
    values = test.replicates[~np.isnan(test.replicates)]
    key: style.Key = {}
    top = 1.0
    if len(values):
        counts, edges = np.histogram(values, bins="fd" if len(values) > 50 else "sturges")
        top = float(counts.max())
        key[f"{len(values)} data sets simulated with K={K}"] = ax.bar(
            edges[:-1], counts, np.diff(edges), align="edge", color=style.FILL, ec="white",
            lw=0.8, zorder=1,
        )  # fmt: skip
        upper = float(np.quantile(values, 0.95))
        key["95 % quantile"] = ax.vlines(
            upper, 0.0, top, color=style.FAINT, lw=1.2, ls=":", zorder=2
        )
    colour = style.colour(5 if test.called_for else 0)
    key[f"observed (p = {test.p_value:.2g})"] = ax.vlines(
        test.statistic, 0.0, top, color=colour, lw=2.5, zorder=3
    )
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    low, high = min(0.0, test.statistic, *values), max(test.statistic, *values, 1.0)
    return style.finished(
        ax, key, [f"{test.n_failed} data sets have no value"] if test.n_failed else [],
        xlim=(low, high + 0.04 * (high - low)), ylim=(0.0, 1.03 * top),
        xlabel=f"twice the log likelihood ratio of K={K + 1} to K={K}", ylabel="data sets",
    )  # fmt: skip


# Width of marks relative to the space of one K, and their smallest distance side by side.
WIDTH = 0.86
NEAR = 0.03
STEP = 0.035


def plot_residuals(residuals: Any, ax: Axes | None = None) -> Axes:
    """Plot the quantiles of residuals against those of a standard normal distribution.

    The band has each order statistic of a standard normal sample with probability 95 %.

    Parameters
    ----------
    residuals : array (n,) or (n, 1)
        ``pseudo_residuals`` of a hidden Markov model or ``residuals`` of regressions; NaN is left
        out.
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_earthquakes()
    >>> hmm = bm.HiddenMarkovModel(2, family=bm.Poisson(), random_state=0).fit(X)
    >>> ax = bm.plots.plot_residuals(hmm.pseudo_residuals(X), ax=Figure().subplots())
    >>> ax.get_ylabel()
    'residual'
    """
    values = np.squeeze(np.asarray(residuals))
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise InvalidInputError(
            f"residuals must be numbers in an array (n,), got {type(residuals).__name__}"
        )
    values = np.sort(values[~np.isnan(values)])
    ranks = np.arange(1, len(values) + 1)
    low, middle, high = (ndtri(betaincinv(ranks, ranks[::-1], p)) for p in (0.025, 0.5, 0.975))
    outside = (values < low) | (values > high)
    ax = style.axes_or_new(ax, 4.8, 4.4)
    band = ax.fill_between(middle, low, high, color=style.FILL, linewidth=0)
    key: style.Key = {}
    ax.plot(middle, middle, color=style.FAINT, lw=1.0)
    for k, (label, mask) in enumerate((("inside", ~outside), ("outside", outside))):
        if mask.any():
            (key[f"{label}: {mask.sum()} residuals"],) = ax.plot(
                middle[mask], values[mask], ls="none", marker=style.marker(k), ms=4,
                color=style.colour(k),
            )  # fmt: skip
    key["95 % pointwise band"] = band
    return style.finished(ax, key, xlabel="standard normal quantile", ylabel="residual")


def plot_sensitivity(found: Any, ax: Axes | None = None) -> Axes:
    """Plot P(K | data) under each prior, and the number of priors that choose each K.

    Markers show the scale of the prior, or its mass over levels; the line is their median.

    Parameters
    ----------
    found : PriorSensitivity
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> search = bm.select(X, (1, 2), "full", criterion="elbo_log_k")
    >>> found = bm.prior_sensitivity(search, X, n_components=(1, 2))
    >>> bm.plots.plot_sensitivity(found, ax=Figure().subplots()).get_ylabel()
    'probability'
    """
    style.expect("found", found, "a PriorSensitivity", "probabilities")
    ax = style.axes_or_new(ax)
    numbers = np.array(found.probabilities.columns, dtype=int)
    by = "mass" if "mass" in found.table else "scale"
    values = list(dict.fromkeys(found.table[by]))
    width = WIDTH / len(values)
    key: style.Key = {}
    for index, value in enumerate(values):
        probabilities = found.probabilities[found.table[by] == value].to_numpy(float)
        middles = numbers + width * (index - (len(values) - 1) / 2)
        most = 0.4 * width
        aside = [style.side_by_side(column, NEAR, STEP, most) for column in probabilities.T]
        colour = style.colour(index)
        fixed = "scale learned" if value == "learned" else f"scale fixed at {value}"
        (key[f"mass {value:g}" if by == "mass" else fixed],) = ax.plot(
            (middles + np.transpose(aside)).ravel(), probabilities.ravel(), ls="none", color=colour,
            marker=style.marker(index), ms=5, mec="white", mew=0.5, zorder=3,
        )  # fmt: skip
        ax.hlines(
            np.median(probabilities, axis=0), middles - most, middles + most, color=colour, lw=1.5
        )
    ax.vlines(numbers[:-1] + 0.5, 0.0, 1.0, color=style.FILL, lw=1.0, zorder=1)
    chosen = found.table["chosen"]
    times = [int((chosen == number).sum()) for number in numbers]
    names = [f"{number}\n{n} of {len(chosen)}" for number, n in zip(numbers, times, strict=True)]
    ax.set_xticks(numbers, names)
    return style.finished(
        ax, key, xlim=(numbers[0] - 0.5, numbers[-1] + 0.5), ylim=(-0.03, 1.05),
        xlabel="number of components, and number of priors that choose it", ylabel="probability",
    )  # fmt: skip


TREE_WIDTH = 5.8
LEAST_HEIGHT, HEIGHT_OF_STEP = 3.6, 0.42
# With more components, numbers at the merges would overlap.
MOST_NUMBERED = 16
# Between the suggested number of groups and the next merge.
CUT = 0.5


def plot_merging(merging: Any, ax: Axes | None = None) -> Axes:
    """Draw the tree of merges, from all components at the top to one cluster at the bottom.

    The number at a merge is the overlap: the share of the lighter group that both have in common.
    For clusters between gaps it is the least density between both, as a share of the lower peak.
    The dashed line is the cut; branches that cross it are the clusters.

    Parameters
    ----------
    merging : Merging
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.

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
    tree = style.axes_or_new(ax, TREE_WIDTH, max(LEAST_HEIGHT, 1.2 + HEIGHT_OF_STEP * K))
    _draw_tree(tree, merging)
    cut = merging.n_groups - CUT
    tree.axhline(cut, color=style.INK, lw=1.0, ls=(0, (4, 3)), zorder=1)
    tree.set_yticks(range(1, K + 1))
    return style.finished(tree, ylim=(0.2, K + 0.75), ylabel="clusters")


def _draw_tree(ax: Axes, merging: Any) -> None:
    K = merging.n_components
    places: dict[tuple[int, ...], tuple[float, float]] = {
        (k,): (float(x), float(K)) for x, k in enumerate(_leaves(merging))
    }
    for (k, *_), (x, y) in places.items():
        style.number(
            ax,
            k,
            x,
            y,
            colour=style.colour(merging.clusters[k]),
            textcoords="offset points",
            xytext=(0, 4),
            va="bottom",
            fontsize="medium",
        )
    shown = K <= MOST_NUMBERED
    for n_clusters, pair, overlap in merging.tree.to_numpy():
        branches = sorted(pair, key=lambda group: places[group][0])
        (left, high_left), (right, high_right) = (places[group] for group in branches)
        height = float(n_clusters)
        for group, x, high in zip(branches, (left, right), (high_left, high_right), strict=True):
            colour = style.colour(merging.clusters[group[0]]) if len(group) == 1 else style.INK
            ax.plot([x, x], [high, height], color=colour, lw=2.0, solid_capstyle="butt", zorder=2)
        ax.plot([left, right], [height, height], color=style.INK, lw=2.0, zorder=2)
        middle = 0.5 * (left + right)
        if shown:
            ax.annotate(
                percent(overlap), (middle, height), textcoords="offset points", xytext=(0, 3),
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
        f"{C} cluster{'s' if C > 1 else ''}{'' if merging.searched else ' suggested'}"
    )


def _leaves(merging: Any) -> list[int]:
    order: dict[Any, tuple[int, ...]] = {(k,): (k,) for k in range(merging.n_components)}
    for pair in merging.tree["merged"]:
        first, second = sorted(pair, key=lambda group: -merging.weights[list(group)].sum())
        order[tuple(sorted((*first, *second)))] = (*order[first], *order[second])
    return list(order[tuple(range(merging.n_components))])


# Points closer than the first distance are drawn side by side at the second.
CLOSE, ASIDE = 0.02, 0.07
MOST_ASIDE = 0.4
BETWEEN = "halves\ncompared"


def plot_stability(stability: Any, ax: Axes | None = None) -> Axes:
    """Plot the agreement of each resample with the clustering of all data, by selected K.

    Open marks: agreement between the halves of a split. The short line is the median.

    Parameters
    ----------
    stability : Stability
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.

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
    return style.finished(
        ax, None, [f"{stability.n_failed} of {n} could not be fitted"] * bool(stability.n_failed),
        xlim=(-0.6, len(names) - 0.4), ylim=(min(0.0, ax.dataLim.y0 - 0.03), 1.03),
        xlabel="components selected", ylabel="adjusted Rand index",
    )  # fmt: skip


def _column(ax: Axes, place: int, values: Array, colour: str, filled: bool) -> None:
    if not len(values):
        return
    aside = style.side_by_side(values, CLOSE, ASIDE, MOST_ASIDE)
    ax.plot(
        place + aside, values, "o", color=colour, mfc=colour if filled else "none",
        mec="white" if filled else colour, mew=0.5 if filled else 1.2, ms=7, zorder=3,
    )  # fmt: skip
    ax.hlines(
        np.median(values), place - MOST_ASIDE, place + MOST_ASIDE, color=colour, lw=1.5, zorder=2
    )
