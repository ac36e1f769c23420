"""Figures of hidden Markov models: states over time, and the graph of transitions."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.plots.style import FAINT, INK, axes_or_new, colour, finished, halo, marker

# Transitions that are less probable have no arrow.
LEAST_SHOWN = 0.005


def plot_states(
    model: Any, X: Any, lengths: Any = None, groups: Any = None, column: int = 0, ax: Any = None
) -> Any:
    """Plot one column of sequences over time, and the smoothed probabilities of the states.

    Parameters
    ----------
    model : HiddenMarkovModel
        A fitted model.
    X, lengths, groups
        As in ``fit``.
    column : int, default=0
        Column of X that is shown.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    values = np.asarray(X)
    if column not in range(values.shape[1]):
        raise InvalidInputError(f"column must be below {values.shape[1]}, got {column!r}")
    values = values[:, column]
    levels: Any = ()
    try:
        values = values.astype(np.float64)
    except ValueError:  # text
        import pandas as pd

        codes, levels = pd.factorize(values, sort=True)
        values = np.where(codes < 0, np.nan, codes)
    probabilities = model.predict_proba(X, lengths, groups)
    states, time = probabilities.argmax(axis=1), np.arange(len(values))
    ax = axes_or_new(ax, 7.2, 3.8)
    ax.plot(time, values, color=FAINT, linewidth=0.8, zorder=1)
    for k in range(model.n_components_):
        own = states == k
        ax.scatter(
            time[own], values[own], s=14, color=colour(k), marker=marker(k), linewidths=0,
            label=f"state {k}", zorder=2,
        )  # fmt: skip
    known = values[~np.isnan(values)]
    low, high = known.min(), known.max()
    height = 0.3 * (high - low if high > low else 1.0)
    reached = np.zeros(len(values))
    for k, share in enumerate(probabilities.T):
        bottom = low - 1.3 * height + height * reached
        ax.fill_between(
            time, bottom, bottom + height * share, step="mid", color=colour(k), alpha=0.8,
            linewidth=0,
        )  # fmt: skip
        reached = reached + share
    if len(levels):
        ax.set_yticks(range(len(levels)), levels)
    ax.legend(frameon=False, ncols=min(model.n_components_, 4), loc="upper right")
    name = str(getattr(X, "columns", [f"x{column}"] * (column + 1))[column])
    return finished(ax, xlabel="sample", ylabel=name)


def plot_transitions(model: Any, ax: Any = None) -> Any:
    """Plot the states as a graph: areas are long-run shares, arrows transition probabilities.

    Numbers in the nodes are states with their expected durations in samples.
    """
    ax = axes_or_new(ax, 4.8, 4.8)
    K = model.n_components_
    angles = 0.5 * np.pi - 2.0 * np.pi * np.arange(K) / K
    places = np.column_stack([np.cos(angles), np.sin(angles)])
    for j in range(K):
        for k in range(K):
            probability = model.transmat_[j, k]
            if j == k or probability < LEAST_SHOWN:
                continue
            ax.annotate(
                "", places[k], places[j],
                arrowprops={
                    "arrowstyle": "-|>", "connectionstyle": "arc3,rad=0.2", "color": INK,
                    "linewidth": 0.5 + 4.0 * probability, "alpha": 0.3 + 0.7 * probability,
                    "shrinkA": 24, "shrinkB": 24,
                },
            )  # fmt: skip
            side = np.array([1.0, -1.0]) * (places[k] - places[j])[::-1]
            middle = 0.5 * (places[j] + places[k]) - 0.1 * side
            ax.text(*middle, f"{probability:.2f}", ha="center", va="center", path_effects=halo())
    shares = model.stationary_distribution_
    ax.scatter(*places.T, s=500 + 2500 * shares, c=[colour(k) for k in range(K)], zorder=2)
    for k, duration in enumerate(model.expected_durations_):
        ax.text(
            *places[k], f"{k}\n{duration:.3g}", ha="center", va="center", zorder=3,
            path_effects=halo(),
        )  # fmt: skip
    ax.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal")
    ax.axis("off")
    return ax
