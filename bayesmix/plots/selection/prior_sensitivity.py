"""``plot_sensitivity``: probabilities over K under a grid of priors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The share of the room of one K that marks take, and how near they stand before they go aside.
WIDTH = 0.86
NEAR = 0.03
STEP = 0.035


def plot_sensitivity(found: Any, ax: Axes | None = None) -> Axes:
    """P(K) under every prior, a mark each, and how many of the priors choose every K.

    Marks differ by the scale of the prior, or by its mass over levels; a line is their median.

    Parameters
    ----------
    found : PriorSensitivity
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
    >>> search = bm.select(X, (1, 2), "full", criterion="elbo_log_k")
    >>> found = bm.prior_sensitivity(search, X, n_components=(1, 2))
    >>> bm.plot_sensitivity(found, ax=Figure().subplots()).get_ylabel()
    'probability'
    """
    if not hasattr(found, "probabilities"):
        raise InvalidInputError(
            f"found must be what prior_sensitivity returned, got {type(found).__name__}"
        )
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
    ax.set_xlim(numbers[0] - 0.5, numbers[-1] + 0.5)
    ax.set_ylim(-0.03, 1.05)
    ax.set_xlabel("components, and how many priors choose them")
    ax.set_ylabel("probability")
    style.quiet(ax)
    style.legend_on_top(ax, handles, labels)
    return ax


def _label(by: str, value: Any) -> str:
    if by == "mass":
        return f"mass {value:g}"
    return "scale learned" if value == "learned" else f"scale fixed at {value}"
