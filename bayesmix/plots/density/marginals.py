"""``MixtureDensity.plot``: a density over some columns, alone or given others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.plots.density.bars import draw_bars
from bayesmix.plots.density.curve import draw_curve
from bayesmix.plots.density.plane import draw_plane
from bayesmix.plots.style import axes_or_new
from bayesmix.plots.subject import View, most_columns
from bayesmix.records.coding import Level, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesmix.sampling.density.mixture_density import MixtureDensity


def plot_part(
    density: MixtureDensity, ax: Axes | None = None, *, columns: Any = None, legend: bool = True
) -> Axes:
    """The density with its components over one or two of its columns.

    Parameters
    ----------
    density : MixtureDensity
        What ``marginal`` or ``conditional`` returned.
    ax : matplotlib Axes, optional
        Where to draw; None makes a new figure.
    columns : name, number, or one or two of them, optional
        Needed where the density has more columns than can be drawn: two, of counts one.
    legend : bool, default=True

    Returns
    -------
    Axes
    """
    most = most_columns(density.family)
    drawn = density if columns is None else density.marginal(columns)
    if len(drawn.columns) > most:
        number = "one column" if most == 1 else "one or two columns"
        raise InvalidInputError(f"columns must name {number} to draw, got {len(drawn.columns)}")
    view = part_view(drawn)
    ax = axes_or_new(ax)
    if len(view.columns) == 2:
        draw_plane(ax, view, None, legend)
    elif view.continuous:
        draw_curve(ax, view, None, False, legend)
    else:
        draw_bars(ax, view, None, legend)
    return ax


def part_view(density: MixtureDensity) -> View:
    """The view of a density over one or two columns."""
    scale = density.mixture.frame.scale
    covariances = density.mixture.components.covariances
    if density.mixture.frame.flat is not None or not np.isfinite(covariances).all():
        raise UnsupportedError(
            "a density without variances (at most two degrees of freedom, or a constant column) "
            "has no view of its own: draw exp(score_samples) over points that you choose"
        )
    labels = density.columns if density.names is None else density.names
    plain = density.names is None and len(labels) == 1 and not density.given
    names = tuple(f"x{label}" if isinstance(label, int) else label for label in labels)
    return View(
        density=density.mixture,
        log_volume=density.mixture.frame.log_volume if density.family.continuous else 0.0,
        means=density.means_,
        covariances=covariances * np.outer(scale, scale),
        names=("x",) if plain else names,
        columns=np.array(density.columns),
        continuous=density.family.continuous,
        n_features=len(density.columns),
        given=", ".join(_named(label, value) for label, value in density.given.items()),
        least=density.family.least,
    )


def _named(label: str | int, value: Level) -> str:
    return f"{f'x{label}' if isinstance(label, int) else label} = {shown(value)}"
