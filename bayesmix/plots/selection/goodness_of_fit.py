"""``plot_goodness_of_fit``: whether rows lie as far from their components as the model says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_goodness_of_fit(fit: Any, ax: Axes | None = None) -> Axes:
    """Share of rows inside each contour of the components, less the share that should be there.

    On the left the contours close to the centres, on the right those that hold nearly all rows.
    The band is where the model's own data lie, in 95 of 100 data sets all along. A line above it
    says that there are too many rows within, one below that there are too few.

    Parameters
    ----------
    fit : GoodnessOfFit
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
    >>> fit = bm.goodness_of_fit(gm, X, n_resamples=19, random_state=0)
    >>> bm.plot_goodness_of_fit(fit, ax=Figure().subplots()).get_ylabel()
    'rows inside, observed less expected'
    """
    if not hasattr(fit, "replicates") or not hasattr(fit, "shares"):
        raise InvalidInputError(f"fit must be a GoodnessOfFit, got {type(fit).__name__}")
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
    labels.append(f"{fit.n_rows:,.0f} rows (p = {fit.p_value:.2g})")
    reach = 1.1 * max(abs(value) for value in ax.dataLim.intervaly)
    ax.set_ylim(-reach, reach)
    ax.set_xlim(0.0, 1.0)
    ax.set_xticks(np.linspace(0.0, 1.0, 5))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _points(value)))
    ax.set_xlabel("contour of the components, by the share of rows expected inside")
    ax.set_ylabel("rows inside, observed less expected")
    style.quiet(ax)
    style.legend_on_top(ax, handles, labels)
    return ax


def _points(value: float) -> str:
    """A difference of shares, with its sign."""
    percent = round(100.0 * value, 1)
    return "0" if percent == 0 else f"{percent:+g}%".replace("-", "−")
