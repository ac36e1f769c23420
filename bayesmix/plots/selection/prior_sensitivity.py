"""``plot_sensitivity``: probabilities over K under a grid of priors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_sensitivity(found: Any, ax: Axes | None = None) -> Axes:
    """P(K) under every prior, a thin line each, coloured by scale, or by the mass over levels.

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
            f"found must be what sensitivity returned, got {type(found).__name__}"
        )
    ax = style.axes_or_new(ax)
    numbers = np.array(found.probabilities.columns, dtype=int)
    by = "mass" if "mass" in found.table else "scale"
    values = list(dict.fromkeys(found.table[by]))
    handles, labels = [], []
    for index, value in enumerate(values):
        mine = found.probabilities[found.table[by] == value].to_numpy()
        nudge = 0.05 * (index - (len(values) - 1) / 2)
        lines = ax.plot(
            numbers + nudge, mine.T, color=style.colour(index), marker=style.marker(index), ms=4,
            lw=1.0, alpha=0.75,
        )  # fmt: skip
        handles.append(lines[0])
        labels.append(_label(by, value))
    ax.set_xticks(numbers)
    ax.set_ylim(-0.02, 1.05)
    ax.set_xlabel("components")
    ax.set_ylabel("probability")
    style.quiet(ax)
    style.legend_on_top(ax, handles, labels)
    return ax


def _label(by: str, value: Any) -> str:
    if by == "mass":
        return f"mass {value:g}"
    return "scale learned" if value == "learned" else f"scale fixed at {value}"
