"""``plot_stability``: what comes back when a procedure sees parts of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Points nearer than this to one another are set side by side, so far apart.
NEAR, ASIDE = 0.02, 0.07
MOST_ASIDE = 0.4
BETWEEN = "halves\ncompared"


def plot_stability(stability: Any, ax: Axes | None = None) -> Axes:
    """The agreement of every resample with the clustering by all rows, by the K that it found.

    Beside them, open, how well the two halves of a split agree with each other. The short line in
    each column is the median.

    Parameters
    ----------
    stability : Stability
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
    >>> found = bm.stability(bm.GaussianMixture(2), X, n_resamples=4, random_state=0)
    >>> bm.plot_stability(found, ax=Figure().subplots()).get_xlabel()
    'components found'
    """
    if not hasattr(stability, "k_shares") or not hasattr(stability, "between_halves"):
        raise InvalidInputError(f"stability must be a Stability, got {type(stability).__name__}")
    ax = style.axes_or_new(ax)
    fitted = stability.fitted
    numbers = sorted({*stability.k_shares.index, stability.n_components})
    n = len(stability.table)
    names: list[str] = []
    for place, number in enumerate(numbers):
        values = fitted.loc[fitted["n_components"] == number, "adjusted_rand"].to_numpy(float)
        found = number == stability.n_components
        names.append(f"{number}\n{len(values)} of {n}" + ("\nas in all rows" if found else ""))
        _column(ax, place, values, style.colour(0) if found else style.FAINT, filled=True)
    between = stability.table["between_halves"].dropna().to_numpy(float)
    if len(between):
        names.append(f"{BETWEEN}\n{len(between)} pairs")
        place = len(numbers)
        ax.axvline(place - 0.5, color=style.FILL, lw=1.0, zorder=1)
        _column(ax, place, between, style.INK, filled=False)
    ax.set_xticks(range(len(names)), names)
    ax.set_xlim(-0.6, len(names) - 0.4)
    ax.set_ylim(min(0.0, ax.dataLim.y0 - 0.03), 1.03)
    ax.set_xlabel("components found")
    ax.set_ylabel("adjusted Rand index")
    if stability.n_failed:
        style.note(ax, [f"{stability.n_failed} of {n} could not be fitted"])
    style.quiet(ax)
    return ax


def _column(ax: Axes, place: int, values: Array, colour: str, filled: bool) -> None:
    """Points of one column, side by side where they would hide one another, and their median."""
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
