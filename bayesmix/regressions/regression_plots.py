"""Mixtures of regressions, curves of units over time, and weights along one covariate."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.allocation.gated_chain import CovariateChain
from bayesmix.core.nouns import part_name
from bayesmix.core.printed_numbers import percent
from bayesmix.errors import InvalidInputError
from bayesmix.plots.density import MOST_POINTS
from bayesmix.plots.style import Axes, axes_or_new, colour, evenly, expect, finished, line, marker
from bayesmix.plots.subject import fitted
from bayesmix.regressions.trajectory_tables import (
    MOST_PLACES,
    class_assignment,
    fitted_units,
    rows_along,
    time_of,
    trajectory_curves,
)

MOST_UNITS = 150  # drawn behind the curves
BESIDE = 0.03  # distance between rows of points of a response with two values, in their difference


def plot_regression(
    model: Any, X: Any = None, y: Any = None, feature: Any = 0, ax: Axes | None = None
) -> Axes:
    """Plot the mean response of each class along one column, over the data if given.

    Parameters
    ----------
    model : RegressionMixture
        A fitted model.
    X, y : array or frame (n, D) and array (n,), optional
        Data; by default those of the fit. Colours and markers show the most probable class.
    feature : str or int, default=0
        Column of X along which fitted means are drawn. Its powers and other polynomials change with
        it, as do its products with other columns, which are at their means.
    ax : matplotlib Axes, optional
    """
    model = getattr(model, "best_estimator_", model)
    expect("model", model, "a fitted RegressionMixture", "intercept_", "coefficients")
    data, ax = model._data, axes_or_new(ax)
    (place, column), columns = time_of(data, feature, "feature"), None
    values, joint = data.values, data.posterior(model._mixture)[0]
    labels = joint.argmax(axis=1)[... if data.units is None else data.units]
    if X is not None:
        if y is None:
            raise InvalidInputError("y must be given with X")
        rows, _ = model._rows(X, y, None, None, None)
        values, columns = data.arranged(*rows), rows[3]
        column = columns[:, place]
        labels = model.predict_proba(X, y).argmax(axis=1)
    response, shown = values[:, 0] / values[:, 2], evenly(len(values), MOST_POINTS)
    along, rows = rows_along(model, place, columns)
    lines = model._response.mean(model._mixture.components.predictors(rows))
    for k in range(model.n_components_):
        mine = shown[labels[shown] == k]
        ax.scatter(
            column[mine], response[mine], s=14, color=colour(k), alpha=0.6, marker=marker(k),
            linewidths=0,
        )  # fmt: skip
        label = f"{data.name_of(k)} ({percent(model.weights_[k])})"
        ax.plot(along, lines[:, k], color=colour(k), linestyle=line(k), linewidth=2.0, label=label)
    # Above the axes: inside them it would cover data.
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0)
    return finished(ax, xlabel=data.design.names[place], ylabel=model._label)


MOST_AVERAGED = 2000  # samples over whose other covariates weights are averaged


def plot_gate(model: Any, covariate: str | int = 0, ax: Axes | None = None) -> Axes:
    """Plot the weight of each class along one covariate.

    Weights are averaged over the other covariates of the data.

    Parameters
    ----------
    model : fitted mixture, RegressionMixture or search
        With covariates of the weights.
    covariate : str or int, default=0
        Name or index of the covariate.
    ax : matplotlib Axes, optional

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=300)
    >>> X = rng.normal(size=(300, 1)) + 4.0 * (rng.random(300) < 1 / (1 + np.exp(-z)))[:, None]
    >>> gm = bm.GaussianMixture(2, random_state=0).fit(X, covariates=z)
    >>> bm.plots.plot_gate(gm).get_ylabel()
    'weight'
    """
    regressions = getattr(model, "best_estimator_", model)
    if hasattr(regressions, "_mixture") and hasattr(regressions, "_data"):
        data, gate = regressions._data, regressions._mixture.weights
        design, table, noun = data.gate, data.covariates, "class"
    else:
        result = fitted(model, with_noise=True).result_
        design, gate, table = result.side.design, result.mixture.weights, result.side.covariates
        noun = result.class_noun
    if design is None:
        raise InvalidInputError("plot_gate needs a fit with covariates: fit(X, covariates=)")
    if isinstance(gate, CovariateChain):
        raise InvalidInputError(
            "plot_gate shows weights, but transitions of this fit depend on covariates: use "
            "transition_matrix"
        )
    place = 1 + design.place(covariate, "covariate must be one of the names or indices")
    table = np.array(table[:: -(-len(table) // MOST_AVERAGED)])
    along = np.linspace(table[:, place].min(), table[:, place].max(), MOST_PLACES)
    weights = np.empty((MOST_PLACES, len(gate.coefficients)))
    for row, value in enumerate(along):
        table[:, place] = value
        weights[row] = np.exp(gate.log_weights(table)).mean(axis=0)
    ax = axes_or_new(ax)
    units = along * design.scale[place - 1] + design.centre[place - 1]
    for k, curve in enumerate(weights.T):
        style = {"color": colour(k), "linestyle": line(k)}
        ax.plot(units, curve, linewidth=2.0, label=part_name(noun, k), **style)
    ax.legend(frameon=False)
    return finished(ax, xlabel=design.names[place - 1], ylabel="weight", ylim=(0.0, 1.0))


def plot_trajectories(
    model: Any, time: Any = 0, level: float = 0.9, ax: Axes | None = None
) -> Axes:
    """Plot the mean curve of each class with its interval, and a sample of units behind.

    Units have the colour of their most probable class, whose share of units is in the legend. Of a
    response with two values, each class has a row of points beside them.

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
    model, joint = fitted_units(model)
    curves = trajectory_curves(model, time, level)
    shares, data, ax = class_assignment(model)["share"], model._data, axes_or_new(ax)
    (place, column), values = time_of(data, time), data.values
    response, labels = values[:, 0] / values[:, 2], joint.argmax(axis=1)
    ends, line_style = np.cumsum(np.bincount(data.units)), "-"
    if len(levels := np.unique(response)) == 2:
        # Lines between two values would cover the curves: a row of points for each class.
        line_style, places = "none", BESIDE * np.diff(levels) * (1 + labels[data.units])
        response = response + np.where(response == levels[1], places, -places)
    for i in evenly(len(ends), MOST_UNITS):
        rows = np.arange(ends[i - 1] if i else 0, ends[i])
        rows = rows[np.argsort(column[rows], kind="stable")]
        style: dict[str, Any] = {"color": colour(int(labels[i])), "linewidth": 0.6, "alpha": 0.35}
        style |= {"marker": ".", "markersize": 2.0, "linestyle": line_style}
        ax.plot(column[rows], response[rows], **style)
    for k, (name, curve) in enumerate(curves.groupby("class", sort=False)):
        label = f"{name} ({percent(shares[name])} of units)"
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
