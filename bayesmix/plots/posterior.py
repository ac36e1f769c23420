"""Plots of posterior draws: comparison with a fit, number of components, occupied components."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesmix.numerics.arrays import Array
from bayesmix.plots import style
from bayesmix.plots.style import Axes

# Of more parameters, those with the largest differences are shown.
MOST_ROWS = 24
MOST_CHAINS = 10
N_BINS = 24
MIDDLE = (0.003, 0.997)
# Range of the axis in posterior standard deviations; longer intervals are cut off.
IN_VIEW = 4.5
LONG_NAME = 24
PANELS: dict[str, Any] = {"nrows": 1, "ncols": 2, "width_ratios": (3, 2)}
FIGURE_WIDTH, HEIGHT_OF_ROW, LEAST_HEIGHT = 9.6, 0.21, 3.6
FIT, SAMPLER = style.COLOURS[0], style.COLOURS[5]


def plot_crosscheck(check: Any, axes: Any = None) -> Any:
    """Plot 90 % intervals of all parameters, and the quantity with the slowest mixing by chain.

    Left: intervals of fit and sampler in posterior standard deviations, largest differences first.
    Right: the quantity with the largest R-hat under the fit (filled) and in each chain; a separate
    chain is stuck in another mode.

    Parameters
    ----------
    check : CrossCheck
    axes : two matplotlib Axes, optional
        Where to draw; None creates a figure.

    Returns
    -------
    array of two Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> vb = bm.BayesianGaussianMixture(2, random_state=0).fit(X)
    >>> c = bm.crosscheck(vb, X, n_draws=100, chains=2, sampler="gibbs")
    >>> left, right = bm.plots.plot_crosscheck(c, axes=Figure().subplots(1, 2))
    >>> left.get_xlabel()
    'posterior standard deviations from the posterior mean'
    """
    style.expect("check", check, "a CrossCheck", "parameters", "alignment")
    axes = style.panels(axes, 1, 2, size_of(check), width_ratios=PANELS["width_ratios"])
    table = _chosen(check.parameters)
    _intervals(axes[0], table, len(check.parameters))
    _chains(axes[1], check)
    return axes


def size_of(check: Any) -> tuple[float, float]:
    """Return width and height of the figure in inches."""
    n_rows = min(len(check.parameters), MOST_ROWS)
    return FIGURE_WIDTH, max(LEAST_HEIGHT, 1.3 + HEIGHT_OF_ROW * n_rows)


def _chosen(parameters: pd.DataFrame) -> pd.DataFrame:
    """Return the parameters with the largest differences of interval ends, in their order."""
    apart = [
        (parameters[f"fit_{end}"] - parameters[f"sampler_{end}"]).abs() for end in ("5%", "95%")
    ]
    furthest = apart[0].combine(apart[1], max) / parameters["sampler_sd"]
    return parameters[parameters.index.isin(furthest.nlargest(MOST_ROWS).index)]


def _intervals(ax: Axes, table: pd.DataFrame, n_parameters: int) -> None:
    centre, sd = table["sampler_mean"], table["sampler_sd"]
    places = np.arange(len(table))[::-1]

    def ends(who: str) -> Any:
        both = np.column_stack([(table[f"{who}_{end}"] - centre) / sd for end in ("5%", "95%")])
        return np.clip(both, -IN_VIEW, IN_VIEW)

    sampler, fit = ends("sampler"), ends("fit")
    ax.vlines(0.0, -0.7, len(table) - 0.4, color=style.FILL, lw=1.0, zorder=0)
    mine = ax.hlines(
        places + 0.14, fit[:, 0], fit[:, 1], color=FIT, lw=3.2, alpha=0.9, capstyle="butt"
    )
    theirs = ax.hlines(places - 0.14, sampler[:, 0], sampler[:, 1], color=SAMPLER, lw=1.4)
    middle = np.clip((table["fit_mean"] - centre) / sd, -IN_VIEW, IN_VIEW)
    ax.plot(middle, places + 0.14, ls="", marker="|", ms=7, mew=1.4, color="white", zorder=4)
    ax.plot(np.zeros(len(table)), places - 0.14, ls="", marker="|", ms=6, color=SAMPLER, zorder=4)
    ax.set_yticks(places, [str(name) for name in table.index], fontsize="small")
    ax.set_ylim(-0.7, len(table) - 0.3)
    reach = max(2.2, 1.08 * float(np.abs(np.concatenate([sampler, fit])).max(initial=0.0)))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    few = n_parameters > len(table)
    style.finished(
        ax, {"90% interval of the fit": mine, "of the sampler": theirs},
        [f"{len(table)} of {n_parameters} with the largest differences"] if few else [],
        xlim=(-reach, reach), xlabel="posterior standard deviations from the posterior mean",
    )  # fmt: skip


def _chains(ax: Axes, check: Any) -> None:
    chains, fitted = check.slowest.sampled, check.slowest.fitted
    fitted = fitted[np.isfinite(fitted)]
    low, high = np.quantile(np.concatenate([chains.ravel(), fitted]), MIDDLE)
    bins = np.linspace(low, high, N_BINS + 1)

    def shares(values: Array) -> Array:
        return np.histogram(values, bins)[0] / max(1, values.size)

    key: style.Key = {"fit": ax.stairs(shares(fitted), bins, fill=True, color=style.FILL, zorder=1)}
    # Lines of more chains would hide one another.
    shown = chains if len(chains) <= MOST_CHAINS else chains.reshape(1, -1)
    for number, values in enumerate(shown):
        key[f"chain {number}" if len(shown) > 1 else "all chains"] = ax.stairs(
            shares(values), bins, color=style.colour(number), ls=style.line(number), lw=1.3,
            zorder=3,
        )  # fmt: skip
    ax.set_xlim(low, high)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    # Long numbers would overlap in a narrow panel.
    ax.locator_params(axis="x", nbins=4)
    rhat = max(table["rhat"].max() for table in (check.parameters, check.invariants))
    xlabel = check.slowest.name
    if len(xlabel) > LONG_NAME:
        xlabel = xlabel.replace("[", "\n[", 1)
    style.finished(ax, key, [f"largest R-hat: {rhat:.3f}"], xlabel=xlabel)


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
        ax, key, [f"{beyond:.1%} at K > {shown.stop}"] if beyond >= WORTH_SHOWING else [],
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
