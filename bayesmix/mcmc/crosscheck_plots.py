"""Figures of comparisons of a fit with MCMC."""

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
        ax, {"90 % interval of the fit": mine, "of the sampler": theirs},
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
