"""A probability over counts: bars for the mixture and the rows, a line a component."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.plots import style
from bayesmix.plots.subject import Sample, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NAMED = 10


def draw_bars(ax: Axes, view: View, sample: Sample | None, legend: bool) -> None:
    """Draw the probabilities of a view of one column of counts."""
    counts = None if sample is None else sample.values[:, 0]
    low, high = view.extent(0, counts)
    places = np.arange(max(0, np.ceil(low)), np.floor(high) + 1)
    terms = view.terms(places[:, None])
    edges = np.append(places, places[-1] + 1) - 0.5
    handles: list[Any] = []
    labels: list[str] = []
    if sample is not None:
        mass = sample.weights
        shares = np.histogram(sample.values[:, 0], edges, weights=mass)[0] / (
            len(sample.values) if mass is None else mass.sum()
        )
        handles.append(ax.bar(places, shares, 0.86, color=style.FILL, zorder=1))
        labels.append("rows")
    total = terms.sum(axis=1)
    outline = ax.bar(places, total, 0.86, fill=False, edgecolor=style.INK, lw=1.2, zorder=3)
    handles.insert(0, outline)
    labels.insert(0, "probability")
    if view.n_components > 1:
        for k in range(view.n_components):
            (line,) = ax.plot(
                places, terms[:, k], color=style.colour(k), ls=style.line(k), lw=1.3,
                marker=style.marker(k), ms=4.5, mec="white", mew=0.4, zorder=4,
            )  # fmt: skip
            peak = int(terms[:, k].argmax())
            style.number(
                ax, k, places[peak], terms[peak, k], textcoords="offset points", xytext=(0, 4),
                zorder=5, fontsize="small", va="bottom",
            )  # fmt: skip
            if view.n_components <= MOST_NAMED:
                handles.append(line)
                labels.append(f"{k}: weight {view.weights[k]:.2f}")
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(0.0, 1.08 * max(p.get_height() for p in ax.patches))  # type: ignore[attr-defined]
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_xlabel(view.names[0])
    ax.set_ylabel("probability")
    style.quiet(ax)
    style.note(ax, view.remarks)
    if legend:
        style.legend_on_top(ax, handles, labels)
