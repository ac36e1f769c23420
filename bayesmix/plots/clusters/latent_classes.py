"""``plot_latent_classes``: what every class answers, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Classes stand side by side within this width of a level.
WIDTH = 0.5
# Of more levels, these stand one below another: a page is longer than it is wide.
MOST_ACROSS = 24


def plot_latent_classes(classes: Any, ax: Axes | None = None) -> Axes:
    """Item-response profiles: the probability of every level in every class, with its interval.

    A line joins the levels of one column; a column of two levels shows the second alone. More than
    24 levels stand one below another.

    Parameters
    ----------
    classes : LatentClasses
    ax : matplotlib Axes, optional
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = np.random.default_rng(0).integers(0, 3, (90, 2))
    >>> m = bm.Mixture(2, family=bm.Categorical(), random_state=0).fit(X)
    >>> bm.plot_latent_classes(bm.latent_classes(m, X), ax=Figure().subplots()).get_ylabel()
    'probability in the class'
    """
    if not hasattr(classes, "bivariate_residuals"):
        raise InvalidInputError(f"classes must be LatentClasses, got {type(classes).__name__}")
    index = classes.probabilities.index
    columns = index.get_level_values("column")
    runs = [np.flatnonzero(columns == name) for name in columns.unique()]
    runs = [run[1:] if len(run) == 2 else run for run in runs]
    starts = np.cumsum([0, *(len(run) + 0.5 * (len(run) > 1) for run in runs[:-1])])
    places = [start + np.arange(len(run)) for start, run in zip(starts, runs, strict=True)]
    n_levels = sum(map(len, runs))
    across = n_levels <= MOST_ACROSS
    long = 0.45 * n_levels if across else 1.0 + 0.25 * n_levels
    ax = style.axes_or_new(ax, *((max(6.4, long), 4.4) if across else (6.4, long)))
    n_classes = classes.probabilities.shape[1]
    handles, labels = [], []
    for k, share in enumerate(classes.sizes["share"]):
        aside = WIDTH * ((k + 0.5) / n_classes - 0.5)
        middle = classes.probabilities[k].to_numpy()
        below = middle - classes.lower[k].to_numpy()
        over = classes.upper[k].to_numpy() - middle
        for run, where in zip(runs, places, strict=True):
            points, spread = (where + aside, middle[run]), np.maximum([below[run], over[run]], 0.0)
            drawn = ax.errorbar(
                *(points if across else points[::-1]),
                yerr=spread if across else None,
                xerr=None if across else spread,
                color=style.colour(k),
                marker=style.marker(k),
                linestyle="-",
                linewidth=1.0,
                markersize=5.0,
            )
        handles.append(drawn)
        labels.append(f"class {k} ({share:.0%})")
    names = [f"{index[place][0]}: {index[place][1]}" for run in runs for place in run]
    every, reach, what = np.concatenate(places), (-0.02, 1.02), "probability in the class"
    if across:
        ax.set_xticks(every, names, rotation=45, ha="right")
        ax.set(ylim=reach, ylabel=what)
    else:
        ax.set_yticks(every, names)
        ax.set(ylim=(every[-1] + 1.0, -1.0), xlim=reach, xlabel=what)
    style.quiet(ax)
    style.legend_on_top(ax, handles, labels)
    return ax
