"""Fitted means of a mixture of regressions along one explanatory variable."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.plots.style import axes_or_new, colour, line, marker, quiet

MOST_BINS = 60  # of equal size, over which fitted means are averaged
MOST_POINTS = 5000  # of the data


def plot_regression(
    model: Any, X: Any = None, y: Any = None, feature: Any = 0, ax: Any = None
) -> Any:
    """Plot the mean response of each component along one column, over the data if given.

    Parameters
    ----------
    model : RegressionMixture
        A fitted model.
    X, y : array or frame (n, D) and array (n,), optional
        Data; by default those of the fit. Colours and markers show the most probable component.
    feature : str or int, default=0
        Column of X along which fitted means are drawn, averaged over neighbouring samples.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    design = model._data.design
    if feature not in design.names and feature not in range(len(design.names)):
        raise InvalidInputError(f"feature must be a column of X, got {feature!r}")
    place = design.names.index(feature) if feature in design.names else int(feature)
    ax = axes_or_new(ax)
    values = model._data.values
    table = (
        values[:, -len(design.names) :] * design.scale + design.centre
        if X is None
        else np.asarray(X, dtype=np.float64)
    )
    response = values[:, 0] if y is None else np.asarray(y, dtype=np.float64)
    joint = model._mixture.responsibilities(values, model._data.rows)[0] if X is None else None
    labels = (model.predict_proba(X, response) if joint is None else joint).argmax(axis=1)
    trials = values[:, 2] if X is None else 1.0
    shown = np.linspace(0, len(table) - 1, min(len(table), MOST_POINTS)).astype(int)
    means = model._response.mean(model.intercept_ + table @ model.coef_.T)
    order = np.argsort(table[:, place], kind="stable")
    bins = np.array_split(order, min(len(order), MOST_BINS))
    along = np.array([table[own, place].mean() for own in bins])
    lines = np.array([means[own].mean(axis=0) for own in bins])
    for k in range(model.n_components_):
        mine = shown[labels[shown] == k]
        ax.scatter(
            table[mine, place], (response / trials)[mine], s=14, color=colour(k), alpha=0.6,
            marker=marker(k), linewidths=0,
        )  # fmt: skip
        label = f"component {k} (weight {model.weights_[k]:.2f})"
        ax.plot(along, lines[:, k], color=colour(k), linestyle=line(k), linewidth=2.0, label=label)
    ax.set_xlabel(design.names[place])
    ax.set_ylabel("response")
    ax.legend(frameon=False)
    quiet(ax)
    return ax
