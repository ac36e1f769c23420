"""Plots of posterior draws: number of components, occupied components."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.core.printed_numbers import percent
from bayesmix.numerics.arrays import Array
from bayesmix.plots import style
from bayesmix.plots.style import Axes

BAR_OF_K = 0.4
# Less probable large numbers are left out.
WORTH_SHOWING = 0.004


def plot_over_k(found: Any, ax: Axes | None = None) -> Axes:
    """Plot the posteriors of K and of the number of occupied components, with the prior of K.

    Thin lines show the range over chains; long ones mean that chains are too short or have not
    mixed. The information in the data about K is the difference from its prior.

    Parameters
    ----------
    found : GibbsOverK
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> vb = bm.BayesianGaussianMixture(
    ...     3, weight_concentration_prior_type="dirichlet_distribution", random_state=0
    ... ).fit(X)
    >>> found = bm.gibbs(vb, X, n_draws=50, chains=2, n_components=None)
    >>> found.plot(ax=Figure().subplots()).get_ylabel()
    'probability'
    """
    style.expect("found", found, "a GibbsOverK (gibbs with n_components=None)", "k_of_chains")
    ax = style.axes_or_new(ax)
    numbers = np.arange(1, 1 + max(found.k_of_chains.shape[1], int(found.n_occupied.max())))
    of_k = _up_to(found.k_of_chains, len(numbers))
    of_occupied = (found.n_occupied[:, :, None] == numbers).mean(axis=1)
    prior = _up_to(found.prior_over_k[None], len(numbers))[0]
    probable = np.flatnonzero(np.maximum(of_k, of_occupied).mean(axis=0) >= WORTH_SHOWING)
    shown = slice(0, int(probable[-1]) + 1)
    places = numbers[shown]
    (line,) = ax.plot(
        places, prior[shown], ls=style.line(0), lw=1.2, color=style.colour(5), marker="o", ms=4.0,
        mfc="white", zorder=4,
    )  # fmt: skip
    aside = BAR_OF_K / 2
    key = {
        "occupied components": _bars(
            ax, places - aside, of_occupied[:, shown], style.FILL, style.FAINT
        ),
        "components K": _bars(ax, places + aside, of_k[:, shown], style.colour(0), style.INK),
        "prior of K": line,
    }
    style.whole_numbers(ax)
    highest = max(of_k[:, shown].max(), of_occupied[:, shown].max())
    # A prior far above both posteriors is cut off.
    top = 1.08 * max(highest, min(prior[shown].max(), 1.5 * highest))
    beyond = of_k.mean(axis=0)[shown.stop :].sum()
    return style.finished(
        ax, key, [f"{percent(beyond, 1)} at K > {shown.stop}"] if beyond >= WORTH_SHOWING else [],
        xlim=(0.2, shown.stop + 0.8), ylim=(0.0, top), xlabel="number of components",
        ylabel="probability",
    )  # fmt: skip


def _bars(ax: Axes, places: Array, of_chains: Array, colour: str, line: str) -> Any:
    """Draw bars of the mean over chains (C, M), with the range over chains."""
    bars = ax.bar(places, of_chains.mean(axis=0), BAR_OF_K, color=colour, zorder=2)
    if len(of_chains) > 1:
        ax.vlines(
            places, of_chains.min(axis=0), of_chains.max(axis=0), color=line, lw=0.9, zorder=3
        )
    return bars


def _up_to(shares: Array, length: int) -> Array:
    whole = np.zeros((len(shares), length))
    width = min(length, shares.shape[1])
    whole[:, :width] = shares[:, :width]
    return whole


BAR_OF_COUNT = 0.7
# Marks of more chains would hide one another.
MOST_MARKED = 10


def plot_occupied(found: Any, ax: Axes | None = None) -> Axes:
    """Plot the posterior of the number of occupied components, with marks for the chains.

    Marks far from their bar mean that chains are too short or have not mixed.

    Parameters
    ----------
    found : Gibbs or GibbsOverK
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> vb = bm.BayesianGaussianMixture(3, random_state=0).fit(X)
    >>> found = bm.gibbs(vb, X, n_draws=50, chains=2)
    >>> bm.plots.plot_occupied(found, ax=Figure().subplots()).get_ylabel()
    'probability'
    """
    style.expect("found", found, "a result of gibbs", "occupied", "n_occupied")
    ax = style.axes_or_new(ax)
    numbers = np.array(found.occupied.index)
    shares = found.occupied.to_numpy()
    key: style.Key = {
        "all draws": ax.bar(numbers, shares, BAR_OF_COUNT, color=style.FILL, zorder=1)
    }
    own = (found.n_occupied[:, :, None] == numbers).mean(axis=1)
    highest = shares.max()
    if 1 < found.n_chains <= MOST_MARKED:
        nudges = np.linspace(-0.3, 0.3, found.n_chains) * BAR_OF_COUNT
        for chain, nudge in enumerate(nudges):
            (key[f"chain {chain}"],) = ax.plot(
                numbers + nudge, own[chain], ls="", color=style.colour(chain),
                marker=style.marker(chain), ms=5, mec="white", mew=0.4, zorder=3,
            )  # fmt: skip
        highest = own.max()
    style.whole_numbers(ax)
    known = np.ndim(found.n_components) == 0
    return style.finished(
        ax, key, [f"of {found.n_components} in the model" if known else "K unknown"],
        xlim=(numbers.min() - 0.8, numbers.max() + 0.8), ylim=(0.0, 1.05 * highest),
        xlabel="occupied components", ylabel="probability",
    )  # fmt: skip
