"""Figures of hidden Markov models: states over time, and the graph of transitions."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.allocation.states_of_rows import flows_before_data, means_by_wave
from bayesmix.core.nouns import part_name
from bayesmix.core.printed_numbers import percent, significant
from bayesmix.core.printed_numbers import probability as printed
from bayesmix.errors import InvalidInputError
from bayesmix.plots.style import FAINT, INK, axes_or_new, colour, expect, finished, halo, marker

# Transitions that are less probable have no arrow.
LEAST_SHOWN = 0.005
# Waves of an alluvial figure, half the width of its bars, and the smallest share that it writes.
MOST_WAVES, HALF_BAR, LEAST_WRITTEN = 12, 0.09, 0.04
# Height of the strip of probabilities, as a share of the axes.
STRIP = 0.15


def plot_states(
    model: Any,
    X: Any,
    lengths: Any = None,
    groups: Any = None,
    column: int = 0,
    ax: Any = None,
    covariates: Any = None,
    y: Any = None,
    sequences: Any = None,
    gate: Any = None,
    offset: Any = None,
    trials: Any = None,
    times: Any = None,
    exact_times: Any = None,
) -> Any:
    """Plot one column of sequences over time, and the smoothed probabilities of the states.

    Parameters
    ----------
    model : HiddenMarkovModel or RegressionMixture
        A fitted model, of regressions with sequences.
    X, lengths, groups
        As in ``fit``.
    column : int, default=0
        Column of X that is shown.
    ax : matplotlib Axes, optional
    covariates : optional
        As in ``fit``.
    y : array or Series (n,), optional
        Response of regressions, which is shown; its index gives the times.
    sequences, gate, offset, trials : optional
        As in ``RegressionMixture.fit``.
    times : array (n,), optional
        As in ``fit``; the horizontal axis.
    exact_times : array (n,) of bool, optional
        As in ``fit``.

    Returns
    -------
    matplotlib Axes
    """
    model = getattr(model, "best_estimator_", model)
    expect("model", model, "a fitted HiddenMarkovModel, or regressions with lengths", "transmat_")
    if model.noun == "regression":
        if y is None:
            raise InvalidInputError("y must be given for regressions: plot_states(model, X, y=y)")
        values, name, timed = np.asarray(y), model._label, y if hasattr(y, "index") else X
        rows = model._in_sequences(X, y, gate, offset, trials, lengths, sequences, times).rows
        probabilities = model._states(smooth=True)(rows)[:, :-1]
        starts = rows.side.starts
    else:
        values = np.asarray(X)
        if column not in range(values.shape[1]):
            raise InvalidInputError(f"column must be below {values.shape[1]}, got {column!r}")
        values, timed = values[:, column], X
        name = str(getattr(X, "columns", [f"x{column}"] * (column + 1))[column])
        probabilities = model.predict_proba(X, lengths, groups, covariates, times, exact_times)
        starts = model._seen(X, lengths, groups).side.starts
    time, unit = times_of(timed)
    if times is not None:
        time, unit = np.asarray(times), str(getattr(times, "name", None) or "time")
    return drawn_states(values, probabilities, time, starts, xlabel=unit, ylabel=name, ax=ax)


def drawn_states(
    values: Any, probabilities: Any, time: Any, starts: Any, *, xlabel: str, ylabel: str, ax: Any
) -> Any:
    """Draw values (n,) over time, and the probabilities (n, K) of the states as a strip.

    ``starts`` are the first samples of the sequences.
    """
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator

    levels: Any = ()
    try:
        values = values.astype(np.float64)
    except ValueError:  # text
        codes, levels = pd.factorize(values, sort=True)
        values = np.where(codes < 0, np.nan, codes)
    states = probabilities.argmax(axis=1)
    ax = axes_or_new(ax, 7.2, 3.8)
    for start, end in pairwise([*starts, len(values)]):
        ax.plot(time[start:end], values[start:end], color=FAINT, linewidth=0.8, zorder=1)
        if start:
            border = time[start - 1] + (time[start] - time[start - 1]) / 2
            ax.axvline(border, color=FAINT, linewidth=0.8, linestyle=":")
    key = {}
    for k in range(probabilities.shape[1]):
        own = states == k
        key[part_name("state", k)] = ax.scatter(
            time[own], values[own], s=14, color=colour(k), marker=marker(k), linewidths=0, zorder=2
        )
    known = values[~np.isnan(values)]
    low, high = known.min(), known.max()
    span = high - low if high > low else 1.0
    if len(levels):
        ax.set_yticks(range(len(levels)), levels)
    else:
        ticks = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)
        ax.set_yticks([tick for tick in ticks if low - 0.1 * span <= tick <= high])
    ax.set_ylim(low - 0.35 * span, high + 0.05 * span)
    reached = np.zeros(len(values))
    for k, share in enumerate(probabilities.T):
        ax.fill_between(
            time, STRIP * reached, STRIP * (reached + share), step="mid", color=colour(k),
            linewidth=0, transform=ax.get_xaxis_transform(),
        )  # fmt: skip
        reached = reached + share
    ax.text(1.01, 0.5 * STRIP, "P(state)", transform=ax.transAxes, va="center", fontsize="small")
    ax.margins(x=0.01)
    if time.dtype.kind == "M":
        locator = AutoDateLocator()  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    return finished(ax, key, xlabel=xlabel, ylabel=ylabel)


def times_of(X: Any) -> tuple[Any, str]:
    """Return the increasing numbers or dates of the index of a frame, or counts, and their name."""
    index: Any = getattr(X, "index", None)
    rising = getattr(index, "is_monotonic_increasing", False) and index.is_unique
    if rising and index.dtype.kind in "iufM":
        return np.asarray(index), str(
            index.name or ("time" if index.dtype.kind == "M" else "sample")
        )
    return np.arange(len(X)), "sample"


def plot_alluvial(model: Any, ax: Any = None) -> Any:
    """Plot the flows of the persons of a panel between the states from wave to wave.

    Heights are estimated shares of the persons, and bands those who change, or stay, between two
    waves.

    Parameters
    ----------
    model : HiddenMarkovModel
        A model fitted to sequences of at most 12 waves.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> X = np.tile([[0.0], [5.0], [5.2], [0.1], [5.1], [4.9]], (20, 1))
    >>> hmm = bm.HiddenMarkovModel(2, random_state=0).fit(X, groups=np.repeat(range(40), 3))
    >>> bm.plots.plot_alluvial(hmm).get_ylabel()
    'share of the persons'
    """
    model = getattr(model, "best_estimator_", model)
    expect("model", model, "a fitted HiddenMarkovModel", "state_shares")
    side = model.result_.side
    shares = model.state_shares().to_numpy()
    if len(shares) > MOST_WAVES or len(shares) < 2:
        raise InvalidInputError(
            f"model must be of a panel of 2 to {MOST_WAVES} waves, got {len(shares)}: use "
            "plot_states or plot_transitions"
        )
    flows = flows_before_data(model.result_.mixture.weights.averaged(), side)
    flows = means_by_wave(flows.reshape(len(flows), -1), side, np.ones(len(flows)))
    flows = flows.reshape(len(flows), *2 * shares.shape[1:])
    ax, K = axes_or_new(ax, 6.8, 4.2), shares.shape[1]
    bottoms = np.cumsum(shares, axis=1) - shares
    along = np.linspace(0.0, 1.0, 60)
    bend = along * along * (3.0 - 2.0 * along)
    for wave in range(1, len(shares)):
        left, right = bottoms[wave - 1].copy(), bottoms[wave].copy()
        for j, k in np.ndindex(K, K):
            height = flows[wave, j, k]
            low = left[j] + (right[k] - left[j]) * bend
            x = wave + HALF_BAR + (1.0 - 2.0 * HALF_BAR) * along
            ax.fill_between(x, low, low + height, color=colour(j), alpha=0.45, linewidth=0)
            left[j] += height
            right[k] += height
    key = {}
    for k in range(K):
        bars = ax.bar(
            np.arange(1, len(shares) + 1), shares[:, k], 2.0 * HALF_BAR, bottoms[:, k],
            color=colour(k),
        )  # fmt: skip
        key[part_name("state", k)] = bars
        for wave, (share, bottom) in enumerate(
            zip(shares[:, k], bottoms[:, k], strict=True), start=1
        ):
            if share >= LEAST_WRITTEN:
                ax.text(
                    wave, bottom + 0.5 * share, percent(share), ha="center", va="center",
                    fontsize="small", path_effects=halo(),
                )  # fmt: skip
    ax.set_xticks(range(1, len(shares) + 1))
    ax.set_ylim(0.0, 1.0)
    return finished(ax, key, xlabel="wave", ylabel="share of the persons")


def plot_transitions(model: Any, ax: Any = None) -> Any:
    """Plot the states as a graph: areas are long-run shares, arrows transition probabilities.

    Transitions of less than 0.5 % have no arrow.

    Parameters
    ----------
    model : HiddenMarkovModel
        A fitted model.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    model = getattr(model, "best_estimator_", model)
    expect("model", model, "a fitted HiddenMarkovModel", "transmat_")
    K = model.n_components_
    ax = axes_or_new(ax, 6.0, 2.2 if K == 2 else 4.4)
    # Two states are side by side, the first of more is on top.
    angles = (1.0 if K == 2 else 0.5) * np.pi - 2.0 * np.pi * np.arange(K) / K
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
            # The arc bends to the right of its direction, by half of `rad` times its length.
            right = np.array([1.0, -1.0]) * (places[k] - places[j])[::-1]
            middle = 0.5 * (places[j] + places[k]) + 0.1 * right
            ax.text(*middle, printed(probability), ha="center", va="center", path_effects=halo())
    shares = model.stationary_distribution_
    ax.scatter(*places.T, s=500 + 2500 * shares, c=[colour(k) for k in range(K)], zorder=2)
    for k, duration in enumerate(model.expected_durations_):
        ax.text(*places[k], str(k + 1), ha="center", va="center", zorder=3, path_effects=halo())
        beside, above = np.rint(places[k]).astype(int)
        ax.annotate(
            f"{percent(shares[k])} in the long run,\n{significant(duration)} in a row",
            places[k],
            xytext=26.0 * places[k], textcoords="offset points", fontsize="small",
            ha=("center", "left", "right")[beside], va=("center", "bottom", "top")[above],
            path_effects=halo(),
        )  # fmt: skip
    ax.set(xlim=(-2.1, 2.1), ylim=(-0.6, 0.6) if K == 2 else (-1.5, 1.5), aspect="equal")
    ax.axis("off")
    return ax
