"""``plot_crosscheck``: a fit beside the posterior, number by number and chain by chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.plots import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Of more parameters those that differ the most are shown.
MOST_ROWS = 24
MOST_CHAINS = 10
N_BINS = 24
MIDDLE = (0.003, 0.997)
# Standard deviations of the posterior that are in view; intervals beyond are cut off.
IN_VIEW = 4.5
LONG_NAME = 24
PANELS: dict[str, Any] = {"nrows": 1, "ncols": 2, "width_ratios": (3, 2)}
WIDTH, HEIGHT_OF_ROW, LEAST_HEIGHT = 9.6, 0.21, 3.6
FIT, SAMPLER = style.COLOURS[0], style.COLOURS[5]


def plot_crosscheck(check: Any, axes: Any = None) -> Any:
    """Central 90% intervals of every parameter, and chain by chain what mixes worst.

    Left: both intervals in standard deviations of the sampler's posterior, so that a fit that
    agrees has bars as long as the sampler's; parameters that differ the most come first. Right: the
    quantity with the largest R-hat at draws of the fit (filled) and of every chain; a chain apart
    from the others is stuck elsewhere.

    Parameters
    ----------
    check : CrossCheck
    axes : two matplotlib Axes, optional
        Where to draw; None makes a new figure.

    Returns
    -------
    array of two Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> vb = bm.BayesianGaussianMixture(2, random_state=0).fit(X)
    >>> c = bm.crosscheck(vb, X, draws=100, chains=2, sampler="gibbs")
    >>> left, right = bm.plot_crosscheck(c, axes=Figure().subplots(1, 2))
    >>> left.get_xlabel()
    'posterior standard deviations from the posterior mean'
    """
    if not hasattr(check, "parameters") or not hasattr(check, "alignment"):
        raise InvalidInputError(
            f"check must be what crosscheck returned, got {type(check).__name__}"
        )
    if axes is None:
        _, axes = style.pyplot().subplots(figsize=size_of(check), layout="constrained", **PANELS)
    table = _chosen(check.parameters)
    axes = np.ravel(np.asarray(axes, dtype=object))
    if len(axes) != 2:
        raise InvalidInputError(f"axes must be two matplotlib Axes, got {len(axes)}")
    _intervals(axes[0], table, len(check.parameters))
    _chains(axes[1], check)
    return axes


def size_of(check: Any) -> tuple[float, float]:
    """Width and height of the figure in inches: each parameter has a line."""
    n_rows = min(len(check.parameters), MOST_ROWS)
    return WIDTH, max(LEAST_HEIGHT, 1.3 + HEIGHT_OF_ROW * n_rows)


def _chosen(parameters: pd.DataFrame) -> pd.DataFrame:
    """Those that differ the most in an end of their intervals, in their own order."""
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
    ax.set_xlim(-reach, reach)
    ax.set_xlabel("posterior standard deviations from the posterior mean")
    ax.tick_params(axis="y", length=0)
    style.quiet(ax)
    ax.spines["left"].set_visible(False)
    if n_parameters > len(table):
        style.note(ax, [f"{len(table)} of {n_parameters} that differ the most"])
    style.legend_on_top(ax, [mine, theirs], ["90% interval of the fit", "of the sampler"])


def _chains(ax: Axes, check: Any) -> None:
    chains, own = check.slowest.sampled, check.slowest.fitted
    own = own[np.isfinite(own)]
    low, high = np.quantile(np.concatenate([chains.ravel(), own]), MIDDLE)
    bins = np.linspace(low, high, N_BINS + 1)

    def shares(values: Array) -> Array:
        return np.histogram(values, bins)[0] / max(1, values.size)

    handles: list[Any] = [ax.stairs(shares(own), bins, fill=True, color=style.FILL, zorder=1)]
    labels = ["fit"]
    # Of more chains their lines hide one another.
    shown = chains if len(chains) <= MOST_CHAINS else chains.reshape(1, -1)
    for number, values in enumerate(shown):
        handles.append(
            ax.stairs(
                shares(values), bins, color=style.colour(number), ls=style.line(number), lw=1.3,
                zorder=3,
            )
        )  # fmt: skip
        labels.append(f"chain {number}" if len(shown) > 1 else "all chains")
    ax.set_xlim(low, high)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(_in_lines(check.slowest.name))
    # Numbers such as -1137.5 stand close in a narrow panel.
    ax.locator_params(axis="x", nbins=4)
    style.quiet(ax)
    rhat = max(table["rhat"].max() for table in (check.parameters, check.invariants))
    style.note(ax, [f"largest R-hat: {rhat:.3f}"])
    style.legend_on_top(ax, handles, labels)


def _in_lines(name: str) -> str:
    """A long name in two lines: the panel is narrow where parameters have long names."""
    return name if len(name) <= LONG_NAME else name.replace("[", "\n[", 1)
