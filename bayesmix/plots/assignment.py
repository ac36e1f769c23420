"""Plots of assignment uncertainty, and of component profiles over many columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import entr

from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.coding import shown
from bayesmix.numerics.arrays import Array
from bayesmix.plots import density as drawing
from bayesmix.plots import style, subject
from bayesmix.plots.common_directions import view_and_sample
from bayesmix.plots.style import Axes
from bayesmix.plots.subject import Sample, View

# Grey scale from certain to uniform, unlike any component's colour.
SHADES = ("#f2f2f2", "#8c8c8c", "#000000")


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
    """Plot the uncertainty of the assignment to components.

    Two columns: observations, darker for larger entropy of their assignment (by all columns of the
    fit). One column: the probability of each component, with intervals if ``level`` is given.

    Parameters
    ----------
    model : fitted mixture or search
        For a search, its best estimator.
    X : array, frame or source (n, D), optional
        Data to show; required for two columns.
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.
    columns : two names or numbers, optional
        As in ``plot_density``.
    sample_weight : array (n,), optional
        Sample weights.
    level : float, optional
        Level of the intervals for one column, such as 0.9.
    method : {"variational", "gibbs", "bootstrap"} or draws, default="variational"
        Source of the intervals, as in ``assignment_interval``. "gibbs" and "bootstrap" need ``X``,
        the data of the fit.
    legend : bool, default=True
        For one column.

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
    estimator, X = subject.fitted_and_read(model, X, with_noise=level is None)
    if not subject.continuous_columns(estimator.result_):
        raise UnsupportedError(
            f"plot_assignment needs continuous columns, got a {estimator.result_.family.adjective} "
            "mixture: use assignment_entropy"
        )
    view, sample = view_and_sample(model, columns, X, sample_weight)
    if len(view.columns) == 2:
        if level is not None:
            raise UnsupportedError("level needs a fit to one column: use assignment_interval")
        if sample is None:
            raise UnsupportedError("plot_assignment over two columns needs data: pass X")
        ax = style.axes_or_new(ax)
        _draw_rows(ax, view, sample)
        return ax
    if view.n_features > 1:
        raise UnsupportedError(
            "plot_assignment over one column needs a fit to one column: choose two columns, as in "
            "columns=[0, 1]"
        )
    number = None if level is None else drawing.drawable_level("level", level)
    ax = style.axes_or_new(ax)
    _draw_probabilities(ax, estimator, view, sample, number, method, X, legend)
    return ax


def _draw_rows(ax: Axes, view: View, sample: Sample) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    limits = drawing.limits_of(view, sample.values)
    drawing.draw_ellipses(ax, view)
    shown, remarks = drawing.rows_in_view(sample, limits)
    entropies = entr(shown.probabilities).sum(axis=1)
    # Uncertain observations are drawn last.
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
    drawing.finish(ax, view, limits, [*view.remarks, *remarks])


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
    grid = drawing.curve_grid(view, low, high)
    rows = subject.as_fitted(estimator, grid[:, None])
    curves = estimator.predict_proba(rows)
    lines: list[Any] = []
    for k, curve in enumerate(curves.T[: view.n_components]):
        colour = view.groups.colour(k)
        lines += ax.plot(grid, curve, color=colour, ls=style.line(k), lw=1.8, zorder=4)
    key: style.Key = view.groups.key(lines)
    if view.noise:
        (line,) = ax.plot(grid, curves[:, -1], color=style.colour(-1), ls=":", lw=1.8, zorder=4)
        key[drawing.noise_label(view)] = line
    if level is not None:
        ends = estimator.assignment_interval(rows, level, drawing.DRAWS, drawing.SEED, method, data)
        for k in range(view.n_components):
            key[f"{100 * level:g} % intervals"] = ax.fill_between(
                grid, *ends[:, k].T, color=view.groups.colour(k), alpha=0.22, lw=0, zorder=2
            )
    if len(key) > drawing.MOST_NAMED:
        key = {drawing.several(view.groups): tuple(key.values())[:3]}
    if sample is not None:
        drawing.rug(ax, sample.values[:, 0])
    style.finished(
        ax, key if legend else None, view.remarks, xlim=(low, high), ylim=(0.0, 1.02),
        xlabel=view.names[0], ylabel="probability of the component",
    )  # fmt: skip


# Inches of a line, and lines of a figure that fits a page: those in which components differ most.
INCHES_A_LINE = 0.3
MOST_LINES = 34
ROOM = 0.6  # fraction of a column's space for its components


def plot_profile(
    model: Any,
    X: Any = None,
    ax: Axes | None = None,
    *,
    columns: Any = None,
    standardised: bool | None = None,
) -> Axes:
    """Plot the mean of each component in each column; levels of categories have a line each.

    Bars are one standard deviation to each side for continuous columns. For categories, the
    probability of each level is shown; for two levels, only that of the second.

    Parameters
    ----------
    model : fitted mixture or search
        For a search, its best estimator.
    X : frame, optional
        Provides column names, if the fit has none.
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure whose height suits the number of columns.
    columns : list of names or numbers, optional
        None: all. A figure has at most 34 lines, those in which components differ most.
    standardised : bool, optional
        Whether columns are standardised by mean and standard deviation of the mixture; None: for
        continuous families, so that different units share an axis.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_iris()
    >>> gm = bm.GaussianMixture(n_components=3, random_state=0).fit(X)
    >>> ax = bm.plot_profile(gm, ax=Figure().subplots())
    >>> [label.get_text() for label in ax.get_yticklabels()][:2]
    ['sepal_length', 'sepal_width']
    """
    estimator, X = subject.fitted_and_read(model, X, with_noise=True)
    result, names = estimator.result_, subject.column_names(estimator, X)
    weights = result.mixture.mean_weights
    point = result.unframed.plug_in()
    lines = lines_of(result.family, point, names)
    shown = _columns(names, columns)
    found = [line for d in shown for line in lines[d]]
    drawn = _most_apart(found, weights)
    standardised = result.family.continuous if standardised is None else standardised
    bars = result.family.continuous
    ax = style.axes_or_new(ax, 6.4, 1.4 + INCHES_A_LINE * len(drawn))
    places = np.arange(len(drawn))
    units = [line.unit(weights) if standardised else (0.0, 1.0) for line in drawn]
    origin, unit = np.array(units).T
    means = (np.array([line.means for line in drawn]).T - origin) / unit
    # The probability of a level has no spread.
    deviations = np.array([line.deviations * (not line.of_level) for line in drawn]).T / unit
    groups, marks = subject.groups_of(model), []
    for k in range(len(weights)):
        nudge = ROOM * ((k + 0.5) / len(weights) - 0.5)
        marks.append(ax.errorbar(
            means[k], places + nudge, xerr=deviations[k] if bars else None,
            color=groups.colour(k), marker=groups.marker(k), ls="", ms=5, lw=1.2, zorder=3,
        ))  # fmt: skip
    for place in places[1:]:
        ax.axhline(place - 0.5, color=style.FILL, lw=0.8, zorder=1)
    if standardised:
        ax.axvline(0.0, color=style.FAINT, ls=":", lw=1.0, zorder=1)
    ax.set_yticks(
        places, [style.in_two_lines(line.name, line.level) for line in drawn], parse_math=False
    )
    ax.set_ylim(len(drawn) - 0.5, -0.5)
    what = "mean ± standard deviation" if bars else "mean"
    if all(line.of_level for line in drawn):
        what = "probability"
    elif any(line.of_level for line in drawn):
        what = f"mean{' ± SD' * bars}, probability of a level"
    few = len(drawn) < len(found)
    remarks = [f"{len(drawn)} of {len(found)} lines, largest differences"] if few else []
    style.finished(ax, None, remarks, xlabel=f"{what}{', standardised' if standardised else ''}")
    if len(weights) > 1 and len(groups.words) <= drawing.MOST_NAMED:
        style.legend_beside(ax, groups.key(marks))
    return ax


@dataclass(frozen=True)
class Line:
    """A column, or a level: mean and spread in each component."""

    name: str
    means: Array
    deviations: Array
    level: str = ""  # of a category

    @property
    def of_level(self) -> bool:
        """Whether the line is that of a level."""
        return bool(self.level)

    def unit(self, weights: Array) -> tuple[float, float]:
        """Return mean and standard deviation of the mixture, 1 if it has none."""
        centre = float(weights @ self.means)
        spread = np.sqrt(weights @ (self.deviations**2 + (self.means - centre) ** 2))
        return centre, float(spread) or 1.0

    def apart(self, weights: Array) -> float:
        """Return the fraction of the variance that is between components."""
        centre, spread = self.unit(weights)
        return float(weights @ ((self.means - centre) / spread) ** 2)


def lines_of(family: Any, point: Any, names: list[str]) -> list[list[Line]]:
    """Return the lines of each column: itself, or its levels; only the second of two levels."""
    coding = family.coding
    levels = dict(enumerate(coding.levels)) if coding is not None else {}
    probabilities = family.level_probabilities(point)
    lines = []
    for column, name in enumerate(names):
        called = levels.get(column)
        if called is None or column not in probabilities:
            lines.append([Line(name, point.means[:, column], point.deviations[:, column])])
            continue
        each = zip(called, probabilities[column].T, strict=True)
        own = [Line(name, p, np.sqrt(p * (1.0 - p)), shown(one)) for one, p in each]
        lines.append(own[1:] if len(own) == 2 else own)
    return lines


def _columns(names: list[str], columns: Any) -> list[int]:
    """Return indices of the columns to draw."""
    if columns is None:
        return list(range(len(names)))
    listed = [columns] if isinstance(columns, str | int) else list(columns)
    if not listed:
        raise InvalidInputError("columns must name at least one column, got none")
    return [subject.column_number(names, column) for column in listed]


def _most_apart(lines: list[Line], weights: Array) -> list[Line]:
    """Return the lines in which components differ most, in their order."""
    apart = np.array([line.apart(weights) for line in lines])
    chosen = np.sort(np.argsort(-apart, kind="stable")[:MOST_LINES])
    return [lines[place] for place in chosen]
