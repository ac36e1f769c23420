"""``plot_em_steps``: the fit at chosen iterations, side by side, as textbooks show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.errors import InvalidInputError, warn
from bayesmix.numerics.arrays import Array
from bayesmix.plots import style
from bayesmix.plots.density.bars import counts_between, draw_probabilities
from bayesmix.plots.density.curve import curve_grid, draw_components
from bayesmix.plots.density.plane import draw_ellipses, draw_points
from bayesmix.plots.iterations.explicit_start import ExplicitStart, explicit
from bayesmix.plots.subject import REACH, Sample, View, raw_rows, sample_of, view_of
from bayesmix.sources import is_collection, is_source

NAMES = {
    "maximum_likelihood": "log likelihood",
    "maximum_a_posteriori": "log posterior",
    "variational_bayes": "bound",
}
MOST_DOTS = 2000
# Components of a start may lie so many widths of the rows outside them and still be seen.
FURTHEST = 0.6


def plot_em_steps(
    start: Any,
    X: Any,
    iterations: Sequence[int] = (0, 1, 2, 5, 10, 20),
    ax: Any = None,
    *,
    columns: Any = None,
    sample_weight: Any = None,
) -> Any:
    """The fit at chosen iterations of plain EM (or plain coordinate ascent), one panel each.

    Iteration 0 is the start itself: its components where parameters are given; where
    responsibilities are, the rows alone, coloured by them. Every panel is the same run, without
    search, acceleration or pruning, components in the order of the start.

    Parameters
    ----------
    start : mixture, or fitted search
        Of a search the best one. With a start of its own: ``init_params`` as responsibilities,
        labels, a callable or a name, or ``weights_init``, ``means_init`` and ``precisions_init``.
        Or parameters to start at: ``GaussianMixture.from_parameters(weights, means, covariances)``.
    X : array or frame (n, D)
    iterations : sequence of int
    ax : sequence of matplotlib Axes, optional
        One for every iteration; None makes a new figure.
    columns, sample_weight
        As in ``plot_density``.

    Returns
    -------
    array of Axes, one for every iteration

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = [[-3.0], [-2.5], [-1.0], [0.0], [2.0], [4.0], [5.0]]
    >>> start = bm.GaussianMixture.from_parameters(
    ...     [1 / 3, 1 / 3, 1 / 3], [[-4.0], [0.0], [8.0]], [1.0, 0.2, 3.0]
    ... )
    >>> axes = bm.plot_em_steps(start, X, (0, 1, 5), ax=Figure().subplots(1, 3))
    >>> print(axes[1].get_title(loc="left"))
    iteration 1
    log likelihood −14.41
    """
    if hasattr(X, "fit") and not hasattr(start, "fit"):
        warn("plot_em_steps(X, start) is now plot_em_steps(start, X)", FutureWarning)
        start, X = X, start
    start = getattr(start, "best_estimator_", start)
    if not hasattr(start, "fit") or "acceleration" not in start.get_params():
        raise InvalidInputError(
            "start must be a mixture of bayesmix, or a fitted search (of scikit-learn: "
            f"bayesmix.from_sklearn(start)), got {type(start).__name__}"
        )
    wanted = [int(each) for each in iterations]
    if not wanted or min(wanted) < 0:
        raise InvalidInputError(
            f"iterations must be one or more integers of at least 0, got {iterations!r}"
        )
    if is_source(X) or is_collection(X):
        X, weights = raw_rows(X)
        sample_weight = weights if sample_weight is None else sample_weight
    rows = X if hasattr(X, "to_numpy") else np.asarray(X, dtype=np.float64)
    run = explicit(start, rows)
    models = {each: run.after(each, rows, sample_weight) for each in {*wanted, 1} if each > 0}
    # The last model chooses the columns for all panels.
    columns = view_of(models[max(models)], columns, rows).columns.tolist()
    steps = [
        _step(models[each], each, rows, columns, sample_weight)
        if each
        else _opening_step(run, models[1], rows, columns, sample_weight)
        for each in wanted
    ]
    axes = _axes(len(wanted)) if ax is None else np.ravel(np.asarray(ax, dtype=object))
    if len(axes) != len(wanted):
        raise InvalidInputError(f"ax must hold {len(wanted)} axes, got {len(axes)}")
    _draw(axes, steps)
    return axes


@dataclass(frozen=True)
class Step:
    """One panel."""

    title: str
    value: str
    names: tuple[str, ...]
    view: View | None
    sample: Sample


def _step(model: Any, iteration: int, X: Any, columns: Any, sample_weight: Any) -> Step:
    view = view_of(model, columns, X)
    sample = sample_of(model, view, X, sample_weight)
    assert sample is not None
    title = f"iteration {iteration}"
    if model.converged_ and model.n_iter_ < iteration:
        title += f" (converged at {model.n_iter_})"
    value = f"{NAMES[model.result_.inference.name]} {style.signed(model.result_.objective)}"
    return Step(title, value, view.names, view, sample)


def _opening_step(run: ExplicitStart, first: Any, X: Any, columns: Any, sample_weight: Any) -> Step:
    """The start; ``first`` is the run's model after one iteration, which knows the columns."""
    if run.opening is None:
        raise InvalidInputError(
            "iteration 0 has nothing to show where only some of weights_init, means_init and "
            "precisions_init are given: give all three, or begin at iteration 1"
        )
    if isinstance(run.opening, np.ndarray):
        view = view_of(first, columns, X)
        sample = sample_of(first, view, X, sample_weight)
        assert sample is not None
        sample = replace(sample, probabilities=run.opening)
        return Step("start", "responsibilities", view.names, None, sample)
    view = view_of(run.opening, columns, X)
    sample = sample_of(run.opening, view, X, sample_weight)
    assert sample is not None
    value = ""
    if run.estimator.prior is None:
        weights = 1.0 if sample.weights is None else sample.weights
        total = float((weights * run.opening.score_samples(raw_rows(X)[0])).sum())
        value = f"log likelihood {style.signed(total)}"
    return Step("start", value, view.names, view, sample)


def _axes(n: int) -> Any:
    """A grid of panels with common scales."""
    across = n if n <= 4 else -(-n // 2) if n <= 8 else 4
    down = -(-n // across)
    _, grid = style.pyplot().subplots(
        down,
        across,
        figsize=(max(2.6 * across, 3.6), 2.6 * down + 0.2),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for place, unused in enumerate(grid.ravel()[n:], start=n):
        unused.remove()
        grid.ravel()[place - across].tick_params(labelbottom=True)
    return grid.ravel()[:n]


def _draw(axes: Any, steps: list[Step]) -> None:
    views = [step.view for step in steps if step.view is not None]
    dimension = steps[0].sample.values.shape[1]
    deviations = REACH if dimension == 1 else 2.2
    limits = []
    for d in range(dimension):
        values = steps[0].sample.values[:, d]
        limits.append(_limits(values, [view.reach(d, deviations) for view in views]))
    ordinate = "density" if all(view.continuous for view in views) else "probability"
    heights = [
        _curve_panel(ax, step, limits[0]) if dimension == 1 else _plane_panel(ax, step, limits)
        for ax, step in zip(axes, steps, strict=True)
    ]
    for ax, step in zip(axes, steps, strict=True):
        ax.set_xlim(*limits[0])
        ax.set_ylim(*(limits[1] if dimension == 2 else (0.0, 1.1 * (max(heights) or 1.0))))
        ax.set_title(f"{step.title}\n{step.value}".strip(), fontsize="small", loc="left")
        style.quiet(ax)
        # Panels beside or above others share their labels with them.
        if ax.xaxis.get_major_ticks()[0].label1.get_visible():
            ax.set_xlabel(step.names[0])
        if ax.yaxis.get_major_ticks()[0].label1.get_visible():
            ax.set_ylabel(step.names[1] if dimension == 2 else ordinate)


def _limits(values: Array, reaches: list[tuple[float, float]]) -> tuple[float, float]:
    """Rows and components together, as far as these do not reach far beyond the rows."""
    first, last = float(values.min()), float(values.max())
    span = (last - first) or 1.0
    low = min([first - 0.06 * span, *(low for low, _ in reaches)])
    high = max([last + 0.06 * span, *(high for _, high in reaches)])
    return max(low, first - FURTHEST * span), min(high, last + FURTHEST * span)


def _curve_panel(ax: Any, step: Step, limits: tuple[float, float]) -> float:
    """Components, density, and the rows on the axis; returns the height reached."""
    from matplotlib.colors import to_rgba

    sample = step.sample.thinned(MOST_DOTS)
    labels, certainty = sample.labels, sample.certainty
    for k in np.unique(labels):
        rows = labels == k
        ax.scatter(
            sample.values[rows, 0],
            np.full(int(rows.sum()), 0.025),
            s=12.0 + 22.0 * certainty[rows],
            c=[to_rgba(style.colour(k), 0.35 + 0.6 * sure) for sure in certainty[rows]],
            marker=style.marker(k),
            transform=ax.get_xaxis_transform(),
            linewidths=0.5,
            edgecolors="white",
            zorder=6,
            clip_on=False,
        )
    if step.view is None:
        return 0.0
    if not step.view.continuous:
        places = counts_between(*limits)
        terms = step.view.terms(places[:, None])
        draw_probabilities(ax, step.view, places, terms)
        return float(terms.sum(axis=1).max())
    grid = curve_grid(step.view, *limits)
    terms = step.view.terms(grid[:, None])
    ax.plot(grid, terms.sum(axis=1), color=style.INK, lw=1.8, zorder=4)
    draw_components(ax, step.view, grid, terms)
    return float(terms.sum(axis=1).max())


def _plane_panel(ax: Any, step: Step, limits: Any) -> float:
    """Ellipses, paler where a component holds little, and the rows."""
    draw_points(ax, step.sample, limits, size=16.0)
    if step.view is not None:
        share = step.view.n_components * step.view.weights
        draw_ellipses(ax, step.view, np.clip(share, 0.15, 1.0))
    return 0.0
