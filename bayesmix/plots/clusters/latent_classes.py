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


def plot_latent_classes(classes: Any, ax: Axes | None = None) -> Axes:
    """Item-response profiles: the probability of every level in every class, with its interval.

    A line joins the levels of one column; a column of two levels shows the second alone.

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
    ax = style.axes_or_new(ax, width=max(6.4, 0.45 * sum(map(len, runs))))
    n_classes = classes.probabilities.shape[1]
    handles, labels = [], []
    for k, share in enumerate(classes.sizes["share"]):
        aside = WIDTH * ((k + 0.5) / n_classes - 0.5)
        middle = classes.probabilities[k].to_numpy()
        below = middle - classes.lower[k].to_numpy()
        over = classes.upper[k].to_numpy() - middle
        for run, where in zip(runs, places, strict=True):
            drawn = ax.errorbar(
                where + aside,
                middle[run],
                yerr=np.maximum([below[run], over[run]], 0.0),
                color=style.colour(k),
                marker=style.marker(k),
                linestyle="-",
                linewidth=1.0,
                markersize=5.0,
            )
        handles.append(drawn)
        labels.append(f"class {k} ({share:.0%})")
    names = [f"{index[place][0]}: {index[place][1]}" for run in runs for place in run]
    ax.set_xticks(np.concatenate(places), names, rotation=45, ha="right")
    ax.set_ylim(-0.02, 1.02)
    ax.set_ylabel("probability in the class")
    style.quiet(ax)
    style.legend_on_top(ax, handles, labels)
    return ax
