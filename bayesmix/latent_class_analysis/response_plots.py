"""Figures of item-response profiles: the probability of each level in each class."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.plots import style
from bayesmix.plots.style import Axes

# Width within a level for marks of the classes.
CLASS_WIDTH = 0.5
# Above this number, levels are listed vertically.
MOST_ACROSS = 24


def plot_latent_classes(classes: Any, ax: Axes | None = None) -> Axes:
    """Plot item-response profiles: the probability of each level in each class, with intervals.

    A line joins the levels of a column; a column with two levels shows the second only. More than
    24 levels are listed vertically.

    Parameters
    ----------
    classes : LatentClasses
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = np.random.default_rng(0).integers(0, 3, (90, 2))
    >>> m = bm.Mixture(2, family=bm.Categorical(), random_state=0).fit(X)
    >>> bm.plots.plot_latent_classes(bm.latent_classes(m, X), ax=Figure().subplots()).get_ylabel()
    'probability in the class'
    """
    style.expect("classes", classes, "LatentClasses", "bivariate_residuals")
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
    key: style.Key = {}
    for k, (name, share) in enumerate(classes.sizes["share"].items()):
        aside = CLASS_WIDTH * ((k + 0.5) / n_classes - 0.5)
        middle = classes.probabilities[name].to_numpy()
        below = middle - classes.lower[name].to_numpy()
        over = classes.upper[name].to_numpy() - middle
        for run, where in zip(runs, places, strict=True):
            points, spread = (where + aside, middle[run]), np.maximum([below[run], over[run]], 0.0)
            key[f"{name} ({share:.0%})"] = ax.errorbar(
                *(points if across else points[::-1]), yerr=spread if across else None,
                xerr=None if across else spread, color=style.colour(k), marker=style.marker(k),
                ls="-", lw=1.0, ms=5.0,
            )  # fmt: skip
    names = [f"{index[place][0]}: {index[place][1]}" for run in runs for place in run]
    every, reach, what = np.concatenate(places), (-0.02, 1.02), "probability in the class"
    if across:
        ax.set_xticks(every, names, rotation=45, ha="right", parse_math=False)
        return style.finished(ax, key, ylim=reach, ylabel=what)
    ax.set_yticks(every, names, parse_math=False)  # names may have dollar signs
    return style.finished(ax, key, ylim=(every[-1] + 1.0, -1.0), xlim=reach, xlabel=what)
