"""``plot_occupied``: the posterior of the number of occupied components, with every chain's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 0.7
# Of more chains their own shares hide one another.
MOST_MARKED = 10


def plot_occupied(found: Any, ax: Axes | None = None) -> Axes:
    """How probable each number of occupied components is; marks show chain by chain.

    Marks far from their bar say that chains are too short, or have not mixed.

    Parameters
    ----------
    found : Gibbs or GibbsOverK
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
    >>> vb = bm.BayesianGaussianMixture(3, random_state=0).fit(X)
    >>> found = bm.gibbs(vb, X, draws=50, chains=2)
    >>> bm.plot_occupied(found, ax=Figure().subplots()).get_ylabel()
    'probability'
    """
    if not hasattr(found, "occupied") or not hasattr(found, "n_occupied"):
        raise InvalidInputError(f"found must be what gibbs returned, got {type(found).__name__}")
    ax = style.axes_or_new(ax)
    numbers = np.array(found.occupied.index)
    shares = found.occupied.to_numpy()
    handles: list[Any] = [ax.bar(numbers, shares, WIDTH, color=style.FILL, zorder=1)]
    labels = ["all draws"]
    own = (found.n_occupied[:, :, None] == numbers).mean(axis=1)
    highest = shares.max()
    if 1 < found.n_chains <= MOST_MARKED:
        nudges = np.linspace(-0.3, 0.3, found.n_chains) * WIDTH
        for chain, nudge in enumerate(nudges):
            handles += ax.plot(
                numbers + nudge, own[chain], ls="", color=style.colour(chain),
                marker=style.marker(chain), ms=5, mec="white", mew=0.4, zorder=3,
            )  # fmt: skip
            labels.append(f"chain {chain}")
        highest = own.max()
    style.whole_numbers(ax)
    ax.set_xlim(numbers.min() - 0.8, numbers.max() + 0.8)
    ax.set_ylim(0.0, 1.05 * highest)
    ax.set_xlabel("occupied components")
    ax.set_ylabel("probability")
    style.quiet(ax)
    known = np.ndim(found.n_components) == 0
    style.note(ax, [f"of {found.n_components} in the model" if known else "K unknown"])
    style.legend_on_top(ax, handles, labels)
    return ax
