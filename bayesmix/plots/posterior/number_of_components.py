"""``plot_over_k``: the posteriors of K and of the number of occupied components, with the prior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 0.4
# Large numbers less probable than this are left out.
WORTH_SHOWING = 0.004


def plot_over_k(found: Any, ax: Axes | None = None) -> Axes:
    """How probable each number of components K is, and each number of occupied ones K+.

    Thin lines go from the lowest to the highest of the chains: long ones say that chains are too
    short, or have not mixed. What the data say of K is how far its bars are from the prior.

    Parameters
    ----------
    found : GibbsOverK
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
    >>> vb = bm.BayesianGaussianMixture(
    ...     3, weight_concentration_prior_type="dirichlet_distribution", random_state=0
    ... ).fit(X)
    >>> found = bm.gibbs(vb, X, draws=50, chains=2, n_components=None)
    >>> found.plot(ax=Figure().subplots()).get_ylabel()
    'probability'
    """
    if not hasattr(found, "k_of_chains"):
        raise InvalidInputError(
            f"found must be what gibbs returned with n_components=None, got {type(found).__name__}"
        )
    ax = style.axes_or_new(ax)
    numbers = np.arange(1, 1 + max(found.k_of_chains.shape[1], int(found.n_occupied.max())))
    of_k = _up_to(found.k_of_chains, len(numbers))
    of_occupied = (found.n_occupied[:, :, None] == numbers).mean(axis=1)
    prior = _up_to(found.prior_over_k[None], len(numbers))[0]
    probable = np.flatnonzero(np.maximum(of_k, of_occupied).mean(axis=0) >= WORTH_SHOWING)
    shown = slice(0, int(probable[-1]) + 1)
    handles = [
        _bars(ax, numbers[shown] - WIDTH / 2, of_occupied[:, shown], style.FILL, style.FAINT),
        _bars(ax, numbers[shown] + WIDTH / 2, of_k[:, shown], style.colour(0), style.INK),
        *ax.plot(
            numbers[shown], prior[shown], ls=style.line(0), lw=1.2, color=style.colour(5),
            marker="o", ms=4.0, mfc="white", zorder=4,
        ),
    ]  # fmt: skip
    labels = ["occupied components", "components K", "prior of K"]
    style.whole_numbers(ax)
    ax.set_xlim(0.2, shown.stop + 0.8)
    highest = max(of_k[:, shown].max(), of_occupied[:, shown].max())
    # A prior far above both need not be seen to its top.
    ax.set_ylim(0.0, 1.08 * max(highest, min(prior[shown].max(), 1.5 * highest)))
    ax.set_xlabel("number of components")
    ax.set_ylabel("probability")
    style.quiet(ax)
    beyond = of_k.mean(axis=0)[shown.stop :].sum()
    if beyond >= WORTH_SHOWING:
        style.note(ax, [f"{beyond:.1%} at K > {shown.stop}"])
    style.legend_on_top(ax, handles, labels)
    return ax


def _bars(ax: Axes, places: Array, of_chains: Array, colour: str, line: str) -> Any:
    """Bars of the mean over chains (C, M), and from the lowest to the highest chain a line."""
    bars = ax.bar(places, of_chains.mean(axis=0), WIDTH, color=colour, zorder=2)
    if len(of_chains) > 1:
        ax.vlines(
            places, of_chains.min(axis=0), of_chains.max(axis=0), color=line, lw=0.9, zorder=3
        )
    return bars


def _up_to(shares: Array, length: int) -> Array:
    """Shares (C, M) of as many numbers, 0 where there are none."""
    whole = np.zeros((len(shares), length))
    width = min(length, shares.shape[1])
    whole[:, :width] = shares[:, :width]
    return whole
