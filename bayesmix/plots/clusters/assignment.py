"""``plot_assignment``: how sure it is which component a row is from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import entr

from bayesmix.errors import UnsupportedError
from bayesmix.plots import style
from bayesmix.plots.density.bands import DRAWS, SEED, drawable_level
from bayesmix.plots.density.curve import curve_grid, rug
from bayesmix.plots.density.plane import (
    MOST_POINTS,
    draw_ellipses,
    finish,
    limits_of,
    outside_the_view,
)
from bayesmix.plots.subject import Sample, View, fitted, sample_of, view_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# From certain to equally probable, ever darker, in no component's colour.
SHADES = ("#f2f2f2", "#8c8c8c", "#000000")
MOST_TICKS = 2000
MOST_NAMED = 10


def plot_assignment(
    model: Any,
    X: Any = None,
    ax: Axes | None = None,
    *,
    columns: Any = None,
    sample_weight: Any = None,
    level: float | None = None,
    method: Any = "variational",
    legend: bool = True,
) -> Axes:
    """How sure it is which component a row is from.

    Over two columns: the rows, darker the larger the entropy of their assignment (of all columns of
    the fit). Of a fit of one column: the probability of every component along it, with an interval
    where a level is asked for.

    Parameters
    ----------
    model : fitted mixture or search
        Of a search, the best estimator.
    X : array, frame or source (n, D), optional
        Rows to show; needed for two columns.
    ax : matplotlib Axes, optional
        Where to draw; None makes a new figure.
    columns : two names or numbers, optional
        As in ``plot_density``.
    sample_weight : array (n,), optional
        How often each row counts.
    level : float, optional
        Of the intervals of a fit of one column, such as 0.9.
    method : {"variational", "gibbs", "bootstrap"} or draws, default="variational"
        Where those are from, as in ``assignment_interval``. For the last two of the names ``X``
        must be the rows of the fit.
    legend : bool, default=True
        Of probabilities along one column.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> gm = bm.GaussianMixture(2, random_state=0).fit(X)
    >>> ax = bm.plot_assignment(gm, X, ax=Figure().subplots())
    >>> ax.get_xlabel()
    'eruptions'
    """
    estimator = fitted(model, with_noise=level is None)
    if not estimator.result_.family.continuous:
        raise UnsupportedError(
            "assignments are drawn over continuous columns: of a "
            f"{estimator.result_.family.name} mixture ask assignment_entropy"
        )
    view = view_of(estimator, columns, X)
    sample = sample_of(estimator, view, X, sample_weight)
    if len(view.columns) == 2:
        if level is not None:
            raise UnsupportedError(
                "level is drawn for fits of one column: of others use assignment_interval"
            )
        if sample is None:
            raise UnsupportedError("over two columns it is the rows that are shown: give X")
        ax = style.axes_or_new(ax)
        _draw_rows(ax, view, sample)
        return ax
    if view.n_features > 1:
        raise UnsupportedError(
            "probabilities are drawn along the only column of a fit: name two columns of more, "
            "as in columns=[0, 1]"
        )
    number = None if level is None else drawable_level("level", level)
    ax = style.axes_or_new(ax)
    _draw_probabilities(ax, estimator, view, sample, number, method, X, legend)
    return ax


def _draw_rows(ax: Axes, view: View, sample: Sample) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    limits = limits_of(view, sample.values)
    draw_ellipses(ax, view)
    shown = sample.thinned(MOST_POINTS)
    remarks = [*view.remarks, *sample.remarks, *outside_the_view(sample.values, limits)]
    if len(shown.values) < len(sample.values):
        remarks.append(f"{len(shown.values):,} of {len(sample.values):,} rows drawn")
    entropies = entr(shown.probabilities).sum(axis=1)
    # The least sure ones on top.
    order = np.argsort(entropies, kind="stable")
    highest = np.log(max(shown.probabilities.shape[1], 2))
    area = 18.0 * (1.0 + entropies[order] / highest) * min(1.0, (1500 / len(entropies)) ** 0.5)
    if shown.weights is not None:
        area = area * np.clip(shown.weights / shown.weights.mean(), 0.0, 9.0)[order]
    points = ax.scatter(
        shown.values[order, 0], shown.values[order, 1], c=entropies[order], s=area,
        cmap=LinearSegmentedColormap.from_list("certainty", SHADES), vmin=0.0, vmax=highest,
        linewidths=0.3, edgecolors=style.FAINT, zorder=2, rasterized=len(entropies) > 2000,
    )  # fmt: skip
    bar = ax.figure.colorbar(points, ax=ax, pad=0.02)
    bar.set_label("entropy of the assignment (nats)")
    bar.outline.set_visible(False)
    finish(ax, view, limits, remarks)


def _draw_probabilities(
    ax: Axes,
    estimator: Any,
    view: View,
    sample: Sample | None,
    level: float | None,
    method: Any,
    data: Any,
    legend: bool,
) -> None:
    low, high = view.extent(0, None if sample is None else sample.values[:, 0])
    grid = curve_grid(view, low, high)
    rows = _as_rows(estimator, grid)
    curves = estimator.predict_proba(rows)
    handles: list[Any] = []
    labels: list[str] = []
    for k, curve in enumerate(curves.T[: view.n_components]):
        handles += ax.plot(grid, curve, color=style.colour(k), ls=style.line(k), lw=1.8, zorder=4)
        labels.append(f"{k}: weight {view.weights[k]:.2f}")
    if view.noise:
        handles += ax.plot(grid, curves[:, -1], color=style.colour(-1), ls=":", lw=1.8, zorder=4)
        labels.append(f"noise: weight {view.noise:.2g}")
    if level is not None:
        ends = estimator.assignment_interval(rows, level, DRAWS, SEED, method, data)
        shade: Any = None
        for k in range(view.n_components):
            shade = ax.fill_between(
                grid, *ends[:, k].T, color=style.colour(k), alpha=0.22, lw=0, zorder=2
            )
        handles.append(shade)
        labels.append(f"{100 * level:g} % intervals")
    if len(handles) > MOST_NAMED:
        handles, labels = [tuple(handles[:3])], [f"components 0 to {view.n_components - 1}"]
    if sample is not None:
        rug(ax, sample.thinned(MOST_TICKS).values[:, 0])
    ax.set_xlim(low, high)
    ax.set_ylim(0.0, 1.02)
    ax.set_xlabel(view.names[0])
    ax.set_ylabel("probability of the component")
    style.quiet(ax)
    style.note(ax, view.remarks)
    if legend:
        style.legend_on_top(ax, handles, labels)


def _as_rows(estimator: Any, grid: Any) -> Any:
    """Places as rows of the kind that the estimator was fitted to."""
    named = getattr(estimator, "feature_names_in_", None)
    if named is None:
        return grid[:, None]
    import pandas as pd

    return pd.DataFrame(grid[:, None], columns=list(named))
