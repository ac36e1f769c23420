"""``plot_likelihood_ratio``: the likelihood ratio of the rows among those of simulated data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_likelihood_ratio(test: Any, ax: Axes | None = None) -> Axes:
    """How often data drawn from the smaller mixture had which ratio, and where that of the rows is.

    Parameters
    ----------
    test : LikelihoodRatioTest
    ax : matplotlib Axes, optional
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_galaxies()
    >>> test = bm.likelihood_ratio_test(bm.GaussianMixture(1), X, n_resamples=4, random_state=0)
    >>> bm.plot_likelihood_ratio(test, ax=Figure().subplots()).get_ylabel()
    'data sets'
    """
    if not hasattr(test, "statistic") or not hasattr(test, "smaller"):
        raise InvalidInputError(f"test must be a LikelihoodRatioTest, got {type(test).__name__}")
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
        labels.append(f"{len(values)} data sets drawn with K={K}")
        upper = float(np.quantile(values, 0.95))
        handles.append(ax.vlines(upper, 0.0, top, color=style.FAINT, lw=1.2, ls=":", zorder=2))
        labels.append("95% of them to the left")
    colour = style.colour(5 if test.called_for else 0)
    handles.append(ax.vlines(test.statistic, 0.0, top, color=colour, lw=2.5, zorder=3))
    labels.append(f"the rows (p = {test.p_value:.2g})")
    ax.set_ylim(0.0, 1.03 * top)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    if test.n_failed:
        style.note(ax, [f"{test.n_failed} data sets have no value"])
    low, high = min(0.0, test.statistic, *values), max(test.statistic, *values, 1.0)
    ax.set_xlim(low, high + 0.04 * (high - low))
    ax.set_xlabel(f"twice the log likelihood ratio of K={K + 1} to K={K}")
    ax.set_ylabel("data sets")
    style.quiet(ax)
    style.legend_on_top(ax, handles, labels)
    return ax
