"""Plots of the fit at chosen iterations, and of its search and objective trace."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_array

from bayesmix.core.protocols import Procedure
from bayesmix.core.random import root_seed
from bayesmix.core.rows import Rows
from bayesmix.em.display import OBJECTIVES
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError, UnsupportedError, warn
from bayesmix.numerics.arrays import Array
from bayesmix.plots import density as drawing
from bayesmix.plots import style, subject
from bayesmix.plots.style import Axes
from bayesmix.plots.subject import Sample, View
from bayesmix.selection.pipelines import refuse_sequences
from bayesmix.sources.memory import as_source, is_collection, is_source
from bayesmix.starts.named_starts import named_start


@dataclass(frozen=True)
class ExplicitStart:
    """An estimator with an explicit start: responsibilities (n, K), or parameters."""

    estimator: Procedure
    responsibilities: Array | None
    complete: bool = True  # whether all parameters are given

    def after(self, iteration: int, X: Any, sample_weight: Any) -> Any:
        """Return the model after a number of iterations."""
        model = clone(self.estimator).set_params(max_iter=iteration)
        with warnings.catch_warnings():
            # No convergence is expected.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return model.fit(X, sample_weight=sample_weight)


def explicit(start: Any, X: Any) -> ExplicitStart:
    """Return an estimator with an explicit start, whose runs of any length agree."""
    options = {"search": None, "acceleration": None, "prune": False, "progress": False}
    parameters = start.get_params(deep=False)
    estimator = clone(start).set_params(
        warm_start=False, **{key: value for key, value in options.items() if key in parameters}
    )
    names = ("weights", "means", "precisions")
    given = [parameters.get(f"{name}_init") is not None for name in names]
    if getattr(getattr(start, "result_", None), "status", "") == "given":
        own = {f"{name}_init": getattr(start, f"{name}_") for name in names}
        return ExplicitStart(estimator.set_params(**own), None)
    if any(given):
        return ExplicitStart(estimator, None, all(given))
    values = check_array(subject.raw_rows(X)[0], ensure_all_finite="allow-nan")
    source, seed = as_source(values), root_seed(start.random_state)
    begin = start._init(start._model(), source, seed)
    if isinstance(begin, str):
        begin = named_start(begin, source, source.summary, start.n_components, seed, 0)
    responsibilities: Array = begin(Rows(values))
    return ExplicitStart(estimator.set_params(init_params=responsibilities), responsibilities)


MOST_DOTS = 2000
# Components of a start are shown up to this many widths of the data outside them.
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
    """Plot the fit at chosen iterations of plain EM, or coordinate ascent, one panel each.

    Iteration 0 is the start: its components, or the data coloured by given responsibilities. All
    panels belong to one run without search, acceleration or pruning, with components in the order
    of the start.

    Parameters
    ----------
    start : mixture, or fitted search
        A mixture with a start: ``init_params`` as responsibilities, labels, a callable or a name,
        or ``weights_init``, ``means_init`` and ``precisions_init``; or given parameters as
        ``GaussianMixture.from_parameters(weights, means, covariances)``. For a search, its best
        estimator.
    X : array or frame (n, D)
    iterations : sequence of int
    ax : sequence of matplotlib Axes, optional
        One for each iteration; None creates a figure.
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
    refuse_sequences(start, "plot_em_steps")
    wanted = [int(iteration) for iteration in iterations]
    if not wanted or min(wanted) < 0:
        raise InvalidInputError(
            f"iterations must be one or more integers of at least 0, got {iterations!r}"
        )
    if is_source(X) or is_collection(X):
        X, weights = subject.raw_rows(X)
        sample_weight = weights if sample_weight is None else sample_weight
    rows = X if hasattr(X, "to_numpy") else np.asarray(X, dtype=np.float64)
    run = explicit(start, rows)
    models = {
        iteration: run.after(iteration, rows, sample_weight)
        for iteration in {*wanted, 1}
        if iteration > 0
    }
    # The last model determines the columns of all panels.
    columns = subject.view_of(models[max(models)], columns, rows).columns.tolist()
    steps = [
        _step(models[iteration], iteration, rows, columns, sample_weight)
        if iteration
        else _opening_step(run, models[1], rows, columns, sample_weight)
        for iteration in wanted
    ]
    axes = _axes(len(wanted)) if ax is None else np.ravel(np.asarray(ax, dtype=object))
    if len(axes) != len(wanted):
        raise InvalidInputError(f"ax must contain {len(wanted)} axes, got {len(axes)}")
    _draw(axes, steps)
    return axes


@dataclass(frozen=True)
class Step:
    """A panel."""

    title: str
    value: str
    names: tuple[str, ...]
    view: View | None
    sample: Sample


def _step(model: Any, iteration: int, X: Any, columns: Any, sample_weight: Any) -> Step:
    view = subject.view_of(model, columns, X)
    sample = subject.sample_of(model, view, X, sample_weight)
    assert sample is not None
    title = f"iteration {iteration}"
    if model.converged_ and model.n_iter_ < iteration:
        title += f" (converged at {model.n_iter_})"
    value = f"{OBJECTIVES[model.result_.inference.name]} {style.signed(model.result_.objective)}"
    return Step(title, value, view.names, view, sample)


def _opening_step(run: ExplicitStart, first: Any, X: Any, columns: Any, sample_weight: Any) -> Step:
    """Return the panel of the start; ``first`` is the model after one iteration."""
    if not run.complete:
        raise InvalidInputError(
            "iteration 0 needs all of weights_init, means_init and precisions_init: give all "
            "three, or begin at iteration 1"
        )
    if run.responsibilities is None:
        model = run.after(0, X, sample_weight)
        return replace(_step(model, 0, X, columns, sample_weight), title="start")
    view = subject.view_of(first, columns, X)
    sample = subject.whole_sample(first, X, sample_weight, view.groups)
    assert sample is not None
    sample = replace(sample, probabilities=run.responsibilities).over(view.columns)
    return Step("start", "responsibilities", view.names, None, sample)


def _axes(n: int) -> Any:
    across = n if n <= 4 else -(-n // 2) if n <= 8 else 4
    down = -(-n // across)
    _, grid = style.pyplot().subplots(
        down, across, figsize=(max(2.6 * across, 3.6), 2.6 * down + 0.2), sharex=True, sharey=True,
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for place, unused in enumerate(grid.ravel()[n:], start=n):
        unused.remove()
        grid.ravel()[place - across].tick_params(labelbottom=True)
    return grid.ravel()[:n]


def _draw(axes: Any, steps: list[Step]) -> None:
    views = [step.view for step in steps if step.view is not None]
    dimension = steps[0].sample.values.shape[1]
    deviations = subject.REACH if dimension == 1 else 2.2
    limits = []
    for d in range(dimension):
        values = steps[0].sample.values[:, d]
        limits.append(_limits(values, [view.reach(d, deviations) for view in views]))
    ordinate = "density" if all(view.continuous for view in views) else "probability"
    heights = [0.0]
    for ax, step in zip(axes, steps, strict=True):
        if dimension == 1:
            heights.append(_curve_panel(ax, step, limits[0]))
            continue
        drawing.draw_points(ax, step.sample, limits, size=16.0)
        if step.view is not None:  # paler for small weights
            share = step.view.n_components * step.view.weights
            drawing.draw_ellipses(ax, step.view, np.clip(share, 0.15, 1.0))
    for ax, step in zip(axes, steps, strict=True):
        top = (0.0, 1.1 * (max(heights) or 1.0))
        style.finished(ax, xlim=limits[0], ylim=limits[1] if dimension == 2 else top)
        ax.set_title(f"{step.title}\n{step.value}".strip(), fontsize="small", loc="left")
        # Neighbouring panels share labels.
        if ax.xaxis.get_major_ticks()[0].label1.get_visible():
            ax.set_xlabel(step.names[0])
        if ax.yaxis.get_major_ticks()[0].label1.get_visible():
            ax.set_ylabel(step.names[1] if dimension == 2 else ordinate)


def _limits(values: Array, reaches: list[tuple[float, float]]) -> tuple[float, float]:
    """Return limits for data and components, unless these are far outside the data."""
    first, last = float(values.min()), float(values.max())
    span = (last - first) or 1.0
    low = min([first - 0.06 * span, *(low for low, _ in reaches)])
    high = max([last + 0.06 * span, *(high for _, high in reaches)])
    return max(low, first - FURTHEST * span), min(high, last + FURTHEST * span)


def _curve_panel(ax: Any, step: Step, limits: tuple[float, float]) -> float:
    from matplotlib.colors import to_rgba

    sample = step.sample.thinned(MOST_DOTS)
    labels, certainty = sample.labels, sample.certainty
    for k in np.unique(labels):
        rows = labels == k
        ax.scatter(
            sample.values[rows, 0], np.full(int(rows.sum()), 0.025),
            s=12.0 + 22.0 * certainty[rows],
            c=[to_rgba(style.colour(k), 0.35 + 0.6 * sure) for sure in certainty[rows]],
            marker=style.marker(k), transform=ax.get_xaxis_transform(), linewidths=0.5,
            edgecolors="white", zorder=6, clip_on=False,
        )  # fmt: skip
    if step.view is None:
        return 0.0
    grid = (
        drawing.curve_grid(step.view, *limits)
        if step.view.continuous
        else drawing.counts_between(*limits)
    )
    terms = step.view.terms(grid[:, None])
    if step.view.continuous:
        ax.plot(grid, terms.sum(axis=1), color=style.INK, lw=1.8, zorder=4)
        drawing.draw_components(ax, step.view, grid, terms)
    else:
        drawing.draw_probabilities(ax, step.view, grid, terms)
    return float(terms.sum(axis=1).max())


# Fewer points make no curve for the inset.
FEWEST = 4
# Nats of the vertical axis at least: smaller differences change no conclusion.
LEAST_SPAN = 0.1
# Width of the search panel relative to the run.
SEARCH = 0.45
GROUND = "#f0f0f0"
# Marker, colour and fill of searched starts and moves.
TRIED = {
    "start": ("o", style.INK, "none"),
    "converged run": ("o", style.INK, style.INK),
    "accepted move": ("^", style.COLOURS[5], style.COLOURS[5]),
    "rejected move": ("x", style.FAINT, style.FAINT),
}


def plot_objective(model: Any, ax: Axes | None = None) -> Axes:
    """Plot starts and moves of the search, and the objective after each iteration of the final run.

    The grey panel shows the final objective of each start, settled run and move, in order.
    Interruptions of the line mark repairs, pruning, moves and reordering. The inset shows the
    distance to the final value on a log scale, on which linear convergence is a straight line.

    Parameters
    ----------
    model : fitted mixture or search
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> gm = bm.GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> bm.plot_objective(gm, ax=Figure().subplots()).get_ylabel()
    'log likelihood (nats)'
    """
    result: FitResult = subject.fitted(model, with_noise=True).result_
    if not len(result.trace):
        raise UnsupportedError(
            "this mixture has given parameters and no objective trace: fit it first"
        )
    ax = style.axes_or_new(ax)
    starts = [start for start in result.segments if start < len(result.trace)]
    draw_segments(ax, result.trace, starts)
    for start in starts[1:]:
        ax.axvline(start + 0.5, color=style.FAINT, lw=1.0, ls=":", zorder=1)
    remarks = []
    if starts[1:]:
        kinds = sorted({event.kind for event in result.events if event.at_pass > 0})
        remarks = [f"dotted: a new segment ({', '.join(kinds) or 'a change of order'})"]
    style.finished(
        ax, None, remarks, xlabel=f"iteration ({result.status.replace('_', ' ')})",
        ylabel=f"{OBJECTIVES[result.inference.name]} (nats)",
    )  # fmt: skip
    style.whole_numbers(ax)
    if result.search_trace:
        _draw_search(ax, result)
    ax.ticklabel_format(axis="y", useOffset=False)
    ax.margins(x=0.02, y=0.06)
    drawn = np.concatenate([line.get_ydata() for line in ax.lines])
    if np.ptp(drawn) < LEAST_SPAN:
        middle = 0.5 * (drawn.min() + drawn.max())
        ax.set_ylim(middle - 0.5 * LEAST_SPAN, middle + 0.5 * LEAST_SPAN)
    if len(result.trace) >= FEWEST and np.ptp(result.trace) > LEAST_SPAN:
        _gap_inset(ax, result.trace, starts)
    return ax


def _draw_search(ax: Axes, result: FitResult) -> None:
    from matplotlib.ticker import MaxNLocator

    records = [record for record in result.search_trace if np.isfinite(record.objective)]
    width = SEARCH * max(len(result.trace), FEWEST)
    places = np.linspace(-width, 0.0, len(records) + 2)[1:-1]
    stages = {"start": "start", "settle": "converged run"}
    moves = ("rejected move", "accepted move")
    named = [stages.get(record.stage, moves[record.accepted]) for record in records]
    key: style.Key = {}
    for name in [name for name in TRIED if name in named]:
        marker, colour, face = TRIED[name]
        chosen = [place for place, kind in enumerate(named) if kind == name]
        values = [records[place].objective for place in chosen]
        (key[name],) = ax.plot(
            places[chosen], values, ls="", marker=marker, ms=4.5, mfc=face, mec=colour, zorder=2,
            label=name,
        )  # fmt: skip
    ax.axvspan(-width, 0.5, color=GROUND, zorder=0, lw=0)
    ticks = MaxNLocator("auto", integer=True).tick_values(1, len(result.trace))
    ax.set_xticks([tick for tick in ticks if 1 <= tick <= len(result.trace)])
    style.legend_on_top(ax, key)


def draw_segments(ax: Axes, values: Array, starts: list[int]) -> None:
    """Draw a line per segment, with points if there is room."""
    marker = "o" if len(values) <= 60 else ""
    for start, end in zip(starts, [*starts[1:], len(values)], strict=True):
        iterations = np.arange(start + 1, end + 1)
        ax.plot(
            iterations, values[start:end], color=style.COLOURS[0], marker=marker, ms=4, lw=1.6,
            zorder=2,
        )  # fmt: skip


def _gap_inset(ax: Axes, trace: Array, starts: list[int]) -> None:
    gap = trace[-1] - trace
    gap = np.where(gap > 0, gap, np.nan)
    # An early rise leaves the lower right corner free, a late one the upper left.
    risen = trace[len(trace) // 2] - trace.min() > 0.5 * np.ptp(trace)
    place = (0.5, 0.16, 0.46, 0.46) if risen else (0.13, 0.48, 0.46, 0.46)
    inset = ax.inset_axes(place)
    draw_segments(inset, gap, starts)
    inset.set_yscale("log")
    inset.set_title(
        "distance to the final value (nats)", fontsize="small", path_effects=style.halo()
    )
    inset.tick_params(labelsize="small")
    style.whole_numbers(inset)
    style.finished(inset)
