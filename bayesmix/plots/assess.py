"""Plots of goodness-of-fit tests, residuals, likelihood ratio tests and prior sensitivity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import betaincinv, ndtri

from bayesmix.errors import InvalidInputError
from bayesmix.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> gm = bm.GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> fit = bm.goodness_of_fit(gm, X, n_resamples=19, random_state=0)
    >>> bm.plots.plot_goodness_of_fit(fit, ax=Figure().subplots()).get_ylabel()
    'rows inside, observed less expected'
    """
    style.expect("fit", fit, "a GoodnessOfFit", "replicates", "shares")
    from matplotlib.ticker import FuncFormatter, PercentFormatter

    ax = style.axes_or_new(ax)
    handles: list[Any] = []
    labels: list[str] = []
    if fit.n_failed < len(fit.replicates):
        low, high = fit.band()
        handles.append(
            ax.fill_between(
                fit.grid, low - fit.grid, high - fit.grid, color=style.FILL, lw=0, zorder=1
            )
        )
        labels.append("95% of data sets of this model")
    ax.axhline(0.0, color=style.FAINT, lw=0.8, zorder=2)
    handles += ax.plot(
        fit.grid, fit.shares - fit.grid, color=style.colour(0 if fit.fits else 5), lw=1.8, zorder=3
    )
    labels.append(f"{fit.n_rows:,.0f} observations (p = {fit.p_value:.2g})")
    reach = 1.1 * max(abs(value) for value in ax.dataLim.intervaly)
    ax.set(ylim=(-reach, reach), xlim=(0.0, 1.0))
    ax.set_xticks(np.linspace(0.0, 1.0, 5))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _points(value)))
    ax.set(xlabel="expected coverage of the contour", ylabel="rows inside, observed less expected")
    style.quiet(ax)
    style.legend_on_top(ax, handles, labels)
    return ax


def _points(value: float) -> str:
    """Format a signed difference of shares."""
    percent = round(100.0 * value, 1)
    return "0" if percent == 0 else f"{percent:+g}%".replace("-", "−")


def plot_likelihood_ratio(test: Any, ax: Axes | None = None) -> Axes:
    """Plot the simulated likelihood ratios and the observed one.

    Parameters
    ----------
    test : LikelihoodRatioTest
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.

    Returns
    -------
    Axes

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
    handles: list[Any] = []
    labels: list[str] = []
    top = 1.0
    if len(values):
        counts, edges = np.histogram(values, bins="fd" if len(values) > 50 else "sturges")
        top = float(counts.max())
        handles.append(
            ax.bar(
                edges[:-1], counts, np.diff(edges), align="edge", color=style.FILL, ec="white",
                lw=0.8, zorder=1,
            )
        )  # fmt: skip
        labels.append(f"{len(values)} data sets simulated with K={K}")
        upper = float(np.quantile(values, 0.95))
        handles.append(ax.vlines(upper, 0.0, top, color=style.FAINT, lw=1.2, ls=":", zorder=2))
        labels.append("95% quantile")
    colour = style.colour(5 if test.called_for else 0)
    handles.append(ax.vlines(test.statistic, 0.0, top, color=colour, lw=2.5, zorder=3))
    labels.append(f"observed (p = {test.p_value:.2g})")
    ax.set_ylim(0.0, 1.03 * top)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    if test.n_failed:
        style.note(ax, [f"{test.n_failed} data sets have no value"])
    low, high = min(0.0, test.statistic, *values), max(test.statistic, *values, 1.0)
    ax.set_xlim(low, high + 0.04 * (high - low))
    ax.set(xlabel=f"twice the log likelihood ratio of K={K + 1} to K={K}", ylabel="data sets")
    style.quiet(ax)
    style.legend_on_top(ax, handles, labels)
    return ax


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
    ax.fill_between(middle, low, high, color=style.FILL, linewidth=0, label="95 % pointwise band")
    ax.plot(middle, middle, color=style.FAINT, lw=1.0)
    for label, mine in (("inside", ~outside), ("outside", outside)):
        if mine.any():
            k = int(label == "outside")
            ax.plot(
                middle[mine], values[mine], ls="none", marker=style.marker(k), ms=4,
                color=style.colour(k), label=f"{label}: {mine.sum()} residuals",
            )  # fmt: skip
    ax.set(xlabel="standard normal quantile", ylabel="residual")
    style.quiet(ax)
    style.legend_on_top(ax, *ax.get_legend_handles_labels())
    return ax


def plot_sensitivity(found: Any, ax: Axes | None = None) -> Axes:
    """Plot P(K | data) under each prior, and the number of priors that choose each K.

    Markers show the scale of the prior, or its mass over levels; the line is their median.

    Parameters
    ----------
    found : PriorSensitivity
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
    handles, labels = [], []
    for index, value in enumerate(values):
        mine = found.probabilities[found.table[by] == value].to_numpy(float)
        middles = numbers + width * (index - (len(values) - 1) / 2)
        most = 0.4 * width
        aside = [style.side_by_side(each, NEAR, STEP, most) for each in mine.T]
        colour = style.colour(index)
        handles += ax.plot(
            (middles + np.transpose(aside)).ravel(), mine.ravel(), ls="none", color=colour,
            marker=style.marker(index), ms=5, mec="white", mew=0.5, zorder=3,
        )  # fmt: skip
        ax.hlines(np.median(mine, axis=0), middles - most, middles + most, color=colour, lw=1.5)
        labels.append(_label(by, value))
    ax.vlines(numbers[:-1] + 0.5, 0.0, 1.0, color=style.FILL, lw=1.0, zorder=1)
    chosen = found.table["chosen"]
    times = [int((chosen == number).sum()) for number in numbers]
    names = [f"{number}\n{n} of {len(chosen)}" for number, n in zip(numbers, times, strict=True)]
    ax.set_xticks(numbers, names)
    ax.set(xlim=(numbers[0] - 0.5, numbers[-1] + 0.5), ylim=(-0.03, 1.05))
    ax.set(xlabel="number of components, and number of priors that choose it", ylabel="probability")
    style.quiet(ax)
    style.legend_on_top(ax, handles, labels)
    return ax


def _label(by: str, value: Any) -> str:
    if by == "mass":
        return f"mass {value:g}"
    return "scale learned" if value == "learned" else f"scale fixed at {value}"
