"""Mean curves of classes over time, with a sample of units behind."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.plots.style import Axes, axes_or_new, colour, evenly, finished, line

MOST_UNITS = 150  # drawn behind the curves


def plot_trajectories(
    model: Any, time: Any = 0, level: float = 0.9, ax: Axes | None = None
) -> Axes:
    """Plot the mean curve of each class with its interval, and a sample of units behind.

    Units have the colour of their most probable class, whose share of units is in the legend.

    Parameters
    ----------
    model : RegressionMixture or MixtureSearch
        Fitted with ``groups``.
    time : str or int, default=0
        Column of X along which curves are drawn.
    level : float, default=0.9
        Level of the intervals of the mean curves.
    ax : matplotlib Axes, optional
    """
    from bayesmix.assess.trajectory_tables import (
        class_assignment,
        fitted_units,
        time_of,
        trajectory_curves,
    )

    model, joint = fitted_units(model)
    curves = trajectory_curves(model, time, level)
    shares, data, ax = class_assignment(model)["share"], model._data, axes_or_new(ax)
    (place, column), values = time_of(data, time), data.values
    response, labels = values[:, 0] / values[:, 2], joint.argmax(axis=1)
    ends = np.cumsum(np.bincount(data.units))
    for i in evenly(len(ends), MOST_UNITS):
        rows = np.arange(ends[i - 1] if i else 0, ends[i])
        rows = rows[np.argsort(column[rows], kind="stable")]
        style: dict[str, Any] = {"color": colour(int(labels[i])), "linewidth": 0.6, "alpha": 0.35}
        ax.plot(column[rows], response[rows], marker=".", markersize=2.0, **style)
    for k in range(model.n_components_):
        curve = curves[curves["component"] == k]
        label = f"class {k} ({shares[k]:.0%} of units)"
        ax.fill_between(
            curve["time"], curve["lower"], curve["upper"], color=colour(k), alpha=0.25, linewidth=0
        )
        ax.plot(
            curve["time"], curve["mean"], color=colour(k), linestyle=line(k), linewidth=2.5,
            label=label,
        )  # fmt: skip
    # Above the axes: inside them it would cover curves.
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0)
    return finished(ax, xlabel=data.design.names[place], ylabel=model._label)
