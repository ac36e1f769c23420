"""Regions of highest density, regions of classes, and samples along discriminant directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from bayesmix.core.printed_numbers import percent
from bayesmix.core.procedures import features_read
from bayesmix.em.prediction import log_density
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.plots import density as drawing
from bayesmix.plots import style
from bayesmix.plots.pairs import part_view
from bayesmix.plots.style import Axes, axes_or_new, colour, evenly, expect, finished, marker
from bayesmix.plots.subject import View, raw_rows
from bayesmix.posterior.bands import marginal

if TYPE_CHECKING:
    from bayesmix.numerics.arrays import Array
    from bayesmix.posterior.regions import DensityRegion


INSIDE = "#0072B2"
OUTSIDE = "#D55E00"
HELD = "#cfe0ee"


def plot_region(
    region: DensityRegion, X: Any = None, ax: Axes | None = None, *, legend: bool = True
) -> Axes:
    """Plot a region of highest density over one or two columns, with the data if given.

    Parameters
    ----------
    region : DensityRegion
        Over continuous columns.
    X : array, frame or source (n, d), optional
        Data to show.
    ax : matplotlib Axes, optional
        Where to draw; None creates a figure.
    legend : bool, default=True

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> gm = bm.GaussianMixture(2, random_state=0).fit(X[:150])
    >>> region = gm.density_region(0.9, calibration=X[150:])
    >>> ax = region.plot(X, ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('eruptions', 'waiting')
    """
    style.expect("region", region, "a DensityRegion", "contains")
    view = _view_of(region)
    inside = None if X is None else region.contains(X)
    values = None if X is None else raw_rows(features_read(region.model, X))[0]
    ax = style.axes_or_new(ax)
    if len(view.columns) == 1:
        _draw_line(ax, view, region, values, inside, legend)
    else:
        _draw_plane(ax, view, region, values, inside, legend)
    return ax


def _view_of(region: DensityRegion) -> View:
    density = region.density
    if region.transformed:
        raise UnsupportedError(
            "plots of regions do not support pipelines, which transform columns: use contains"
        )
    if not density.family.continuous:
        raise UnsupportedError(
            "plots of regions need continuous features: for counts and binary features, use "
            "contains"
        )
    if len(density.columns) > 2:
        raise UnsupportedError(
            "plots of regions need one or two columns: use marginal(columns).density_region()"
        )
    return part_view(density)


def _draw_line(
    ax: Axes, view: View, region: DensityRegion, values: Array | None, inside: Any, legend: bool
) -> None:
    low, high = view.extent(0, None if values is None else values[:, 0])
    intervals = region.intervals()
    grid = np.unique(np.concatenate([drawing.curve_grid(view, low, high), intervals.ravel()]))
    curve = view.terms(grid[:, None]).sum(axis=1)
    (line,) = ax.plot(grid, curve, color=style.INK, lw=2.2, zorder=4)
    key: style.Key = {"density": line}
    for first, last in intervals:
        within = (grid >= first) & (grid <= last)
        key[_named(region)] = ax.fill_between(
            grid[within], curve[within], color=HELD, lw=0, zorder=1
        )
    level = float(np.exp(region.threshold))
    ax.axhline(level, color=style.FAINT, lw=1.0, ls=(0, (4, 3)), zorder=3)
    if values is not None:
        drawing.rug(ax, values[inside, 0])
        outside = values[~inside, 0]
        ax.plot(
            outside, np.zeros(len(outside)), "X", color=OUTSIDE, ms=6.5, mec="white", mew=0.6,
            transform=ax.get_xaxis_transform(), zorder=6, clip_on=False,
        )  # fmt: skip
        if not inside.all():
            key[_outside_label(inside)] = _outside_mark()
    top = float(curve.max())
    drawing.finish_curve(ax, view, (low, high), top, view.remarks, key if legend else {})


def _draw_plane(
    ax: Axes, view: View, region: DensityRegion, values: Array | None, inside: Any, legend: bool
) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    limits = drawing.limits_of(view, values)
    x, y, points = drawing.plane_grid(limits, drawing.GRID)
    height = np.log(np.maximum(view.terms(points).sum(axis=1), 1e-300)) - region.threshold
    grid = height.reshape(drawing.GRID, drawing.GRID)
    ax.contourf(x, y, grid, [0.0, 1.0 + max(0.0, float(grid.max()))], colors=[HELD], zorder=0)
    ax.contour(x, y, grid, [0.0], colors=[INSIDE], linewidths=1.4, zorder=1)
    drawing.draw_ellipses(ax, view, strength=np.full(view.n_components, 0.55))
    key: style.Key = {_named(region): Patch(facecolor=HELD, edgecolor=INSIDE)}
    remarks = list(view.remarks)
    if values is not None:
        remarks += drawing.outside_the_view(values, limits)
        shown = style.evenly(len(values), drawing.MOST_POINTS)
        if len(shown) < len(values):
            remarks.append(f"{len(shown):,} of {len(values):,} observations drawn")
        some, within = values[shown], inside[shown]
        ax.plot(
            *some[within].T, "o", color=INSIDE, ms=3.6, mec="white", mew=0.4, alpha=0.7, zorder=2
        )
        ax.plot(*some[~within].T, "X", color=OUTSIDE, ms=6.5, mec="white", mew=0.6, zorder=4)
        key["inside"] = Line2D([], [], ls="", marker="o", color=INSIDE, ms=4)
        key[_outside_label(inside)] = _outside_mark()
    drawing.finish(ax, view, limits, remarks, key if legend else None)


def _named(region: DensityRegion) -> str:
    how = "calibrated" if region.calibrated else "by the model"
    return f"contains {100 * region.level:g} %, {how}"


def _outside_label(inside: Any) -> str:
    return f"outside: {100 * (1.0 - inside.mean()):.2g} % of the data"


def _outside_mark() -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], ls="", marker="X", color=OUTSIDE, mec="white", mew=0.6, ms=7)


# Points of the grid along each axis, and the room beside the data as a share of their range.
N_GRID, MARGIN = 200, 0.08


def plot_classes(
    model: Any, X: Any = None, y: Any = None, features: Any = (0, 1), ax: Axes | None = None
) -> Axes:
    """Plot the most probable class over two features, by the marginal class densities.

    Parameters
    ----------
    model : MixtureClassifier
        A fitted classifier.
    X, y : array or frame (n, D) and array (n,), optional
        Samples to draw, with their classes; without y they have their most probable class.
    features : pair of column names or indices, default=(0, 1)
    ax : matplotlib Axes, optional
    """
    from matplotlib.colors import to_rgb

    expect("model", model, "a fitted MixtureClassifier", "classes_", "priors_")
    names = [str(name) for name in getattr(model, "feature_names_in_", range(model.n_features_in_))]
    given = [str(one) for one in features]
    if len(given) != 2 or not set(given) <= {*names, *map(str, range(len(names)))}:
        raise InvalidInputError(f"features must be two of {', '.join(names)}, got {features!r}")
    columns = np.array([names.index(one) if one in names else int(one) for one in given])
    for density, family in model._densities:
        levels = set(family.level_probabilities(density.components)) & set(columns.tolist())
        if levels:
            raise UnsupportedError(
                f"plot_classes shows numbers, but {names[min(levels)]} has levels: choose two "
                "other features"
            )
    marginals = [(marginal(density, columns), family) for density, family in model._densities]
    values = model._values(X)[:, columns] if X is not None else None
    if values is None:
        means = np.array([model_.result_.mixture.frame.centre for model_ in model.models_.values()])
        spread = np.array([m.result_.mixture.frame.scale for m in model.models_.values()])
        low, high = (means - 4.0 * spread).min(axis=0), (means + 4.0 * spread).max(axis=0)
        low, high = low[columns], high[columns]
    else:
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    room = MARGIN * np.where(high > low, high - low, 1.0)
    axes = [np.linspace(a - r, b + r, N_GRID) for a, b, r in zip(low, high, room, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    joint = np.column_stack([log_density(m, grid, family) for m, family in marginals])
    joint += np.log(model.priors_)
    best, sure = joint.argmax(axis=1), np.exp(joint.max(axis=1) - logsumexp(joint, axis=1))
    shape = (N_GRID, N_GRID)
    ax = axes_or_new(ax)
    for g in range(len(model.classes_)):
        # Regions fade where the class is uncertain.
        alpha = np.where(best == g, 0.30 * (sure - 1.0 / len(model.classes_)), 0.0).clip(0.0)
        ax.imshow(
            np.broadcast_to(to_rgb(colour(g)), (*shape, 3)), alpha=alpha.reshape(shape),
            origin="lower", extent=(*axes[0][[0, -1]], *axes[1][[0, -1]]), aspect="auto",
        )  # fmt: skip
        if len(model.classes_) > 1:
            margin = joint[:, g] - np.delete(joint, g, axis=1).max(axis=1)
            ax.contour(*axes, margin.reshape(shape), levels=[0.0], colors="0.35", linewidths=0.8)
    if values is not None:
        known = model.predict(X) if y is None else y
        _scatter(ax, values, _with_none(known), model.classes_)
    return finished(ax, xlabel=names[columns[0]], ylabel=names[columns[1]])


def plot_directions(directions: Any, X: Any, y: Any = None, ax: Axes | None = None) -> Axes:
    """Plot samples along the first two discriminant directions.

    Parameters
    ----------
    directions : DiscriminantDirections
    X : array or frame (n, D)
    y : array (n,), optional
        Classes that colour the samples; by default the most probable class or component.
    ax : matplotlib Axes, optional
    """
    expect("directions", directions, "a DiscriminantDirections", "eigenvalues", "transform")
    scores = directions.transform(X)
    known = _with_none(directions.model.predict(X) if y is None else y)
    classes = np.array(sorted({one for one in known.tolist() if one is not None}))
    ax = axes_or_new(ax)
    if scores.shape[1] == 1:
        for g, name in enumerate(classes):
            mine = scores[known == name, 0]
            ax.hist(mine, bins="auto", density=True, color=colour(g), alpha=0.5, label=str(name))
        ax.set_ylabel("density")
        ax.legend(frameon=False)
    else:
        _scatter(ax, scores, known, classes)
        ax.set_ylabel(_label(directions, 1))
    return finished(ax, xlabel=_label(directions, 0))


def _with_none(y: Any) -> Any:
    """Return classes as objects, None where missing."""
    known: Any = np.asarray(y, dtype=object)
    return np.where(pd.isna(known), None, known)


def _label(directions: Any, place: int) -> str:
    share = directions.eigenvalues[place] / directions.eigenvalues.sum()
    return f"direction {place + 1} ({percent(share)} of the separation)"


def _scatter(ax: Any, values: Array, known: Any, classes: Any) -> None:
    shown = evenly(len(values), drawing.MOST_POINTS)
    values, known = values[shown], known[shown]
    for g, name in enumerate(classes):
        mine = known == name
        ax.scatter(
            values[mine, 0], values[mine, 1], s=18, color=colour(g), marker=marker(g), alpha=0.75,
            linewidths=0, label=str(name),
        )  # fmt: skip
    rest = ~np.isin(known, classes)
    if rest.any():
        ax.scatter(values[rest, 0], values[rest, 1], s=8, color="0.45", label="no class")
    ax.legend(frameon=False)
