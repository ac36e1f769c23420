"""A probability over counts: bars for the mixture and the rows, a line a component."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.plots import style
from bayesmix.plots.subject import Sample, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 0.86
MOST_NAMED = 10


def draw_bars(ax: Axes, view: View, sample: Sample | None, legend: bool) -> None:
    """Draw the probabilities of a view of one column of counts."""
    low, high = view.extent(0, None if sample is None else sample.values[:, 0])
    places = counts_between(low, high)
    edges = np.append(places, places[-1] + 1) - 0.5
    handles: list[Any] = []
    labels: list[str] = []
    reached = 0.0
    if sample is not None:
        total = len(sample.values) if sample.weights is None else sample.weights.sum()
        shares = np.histogram(sample.values[:, 0], edges, weights=sample.weights)[0] / total
        reached = float(shares.max())
        handles.append(ax.bar(places, shares, WIDTH, color=style.FILL, zorder=1))
        labels.append("rows")
    terms = view.terms(places[:, None])
    outline, lines = draw_probabilities(ax, view, places, terms)
    handles.insert(0, outline)
    labels.insert(0, "probability")
    if 1 < view.n_components <= MOST_NAMED:
        handles += lines
        labels += [f"{k}: weight {weight:.2f}" for k, weight in enumerate(view.weights)]
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(0.0, 1.08 * max(reached, float(terms.sum(axis=1).max())))
    style.whole_numbers(ax)
    ax.set_xlabel(view.names[0])
    ax.set_ylabel("probability")
    style.quiet(ax)
    style.note(ax, view.remarks)
    if legend:
        style.legend_on_top(ax, handles, labels)


def counts_between(low: float, high: float) -> Array:
    """The counts of an axis that goes from low to high."""
    return np.arange(max(0.0, np.ceil(low)), np.floor(high) + 1.0)


def draw_probabilities(ax: Axes, view: View, places: Array, terms: Array) -> tuple[Any, list[Any]]:
    """Outlined bars for the mixture, marked lines with numbers for its components."""
    outline = ax.bar(
        places, terms.sum(axis=1), WIDTH, fill=False, edgecolor=style.INK, lw=1.2, zorder=3
    )
    lines: list[Any] = []
    if view.n_components == 1:
        return outline, lines
    for k in range(view.n_components):
        lines += ax.plot(
            places, terms[:, k], color=style.colour(k), ls=style.line(k), lw=1.3,
            marker=style.marker(k), ms=4.5, mec="white", mew=0.4, zorder=4,
        )  # fmt: skip
        peak = int(terms[:, k].argmax())
        style.number_at_peak(ax, k, places[peak], terms[peak, k])
    return outline, lines
