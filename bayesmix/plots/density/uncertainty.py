"""``plot_uncertainty``: a density over two columns, beside how far its draws differ there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.plots import style
from bayesmix.plots.density.bands import band_of
from bayesmix.plots.density.plane import (
    draw_ellipses,
    draw_plane,
    finish,
    holding,
    limits_of,
    plane_grid,
)
from bayesmix.plots.subject import fitted, sample_of, view_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRID = 91
DRAWS = 400
# Beyond the region that holds this share there is next to no density to be unsure of.
SHOWN = 0.99
# The mask is drawn over what lies a little beyond, so that its edge is smooth.
BEYOND = 0.2
# Half-widths of the band over the density between which colours change, light where it is sure.
STEPS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
SHADES = ("#f4f2f8", "#dcd6ea", "#bdb2d9", "#937fbd", "#64409a", "#3b1470", "#1b0238")


def plot_uncertainty(
    model: Any,
    X: Any = None,
    axes: Any = None,
    *,
    columns: Any = None,
    sample_weight: Any = None,
    level: float = 0.9,
    method: Any = "variational",
    legend: bool = True,
) -> Any:
    """The density over two columns, and beside it how unsure it is, relative to itself.

    Left the figure of ``plot_density``. Right half the width of the credible band divided by the
    density, row by row, within the region that holds 99 % of it: 20 % means that the density is
    known to about a fifth.

    Parameters
    ----------
    model : fitted mixture or search
        Of a search, the best estimator.
    X : array, frame or source (n, D), optional
        Rows to show.
    axes : two matplotlib Axes, optional
        Where to draw; None makes a new figure.
    columns : two names or numbers, optional
        As in ``plot_density``.
    sample_weight : array (n,), optional
        How often each row counts.
    level : float, default=0.9
        Of the band.
    method : {"variational", "gibbs", "bootstrap"} or draws, default="variational"
        Where the band is from, as in ``density_interval``. For the last two of the names ``X`` must
        be the rows of the fit.
    legend : bool, default=True

    Returns
    -------
    array of two Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> vb = bm.BayesianGaussianMixture(n_components=2, random_state=0).fit(X)
    >>> left, right = bm.plot_uncertainty(vb, X, axes=Figure().subplots(1, 2))
    >>> right.get_xlabel()
    'eruptions'
    """
    estimator = fitted(model)
    if not estimator.result_.family.continuous:
        raise UnsupportedError(
            "plot_uncertainty is over two continuous columns: of a "
            f"{estimator.result_.family.name} mixture ask density_interval"
        )
    view = view_of(estimator, columns, X)
    if len(view.columns) != 2:
        raise UnsupportedError(
            "plot_uncertainty is over two continuous columns: of one use plot_density with band=0.9"
        )
    band = band_of(estimator, view, level, method, X, sample_weight, DRAWS)
    sample = sample_of(estimator, view, X, sample_weight)
    left, right = _two(axes)
    draw_plane(left, view, sample, legend)
    limits = limits_of(view, None if sample is None else sample.values)
    x, y, points = plane_grid(limits, GRID)
    density = view.terms(points).sum(axis=1)
    least = holding(density, (x[1] - x[0]) * (y[1] - y[0]), (SHOWN,))[0]
    seen = density >= BEYOND * least
    lower, upper = band.ends(points[seen]).T
    shares = np.full(len(points), np.nan)
    shares[seen] = 0.5 * (upper - lower) / density[seen]
    _draw_shares(right, x, y, shares.reshape(GRID, GRID), band.label)
    right.contourf(x, y, density.reshape(GRID, GRID), [0.0, least], colors=["white"], zorder=0.5)
    draw_ellipses(right, view)
    finish(right, view, limits, [f"within the region that holds {100 * SHOWN:.0f} %"])
    # A legend makes room above the rows on the left.
    right.set_ylim(left.get_ylim())
    return np.array([left, right])


def _draw_shares(ax: Axes, x: Array, y: Array, shares: Array, label: str) -> None:
    """Filled contours with a scale in percent."""
    filled = ax.contourf(x, y, shares, STEPS, colors=SHADES, extend="max", zorder=0)
    bar = ax.figure.colorbar(filled, ax=ax, ticks=STEPS, pad=0.02)
    bar.ax.set_yticklabels([f"{100 * step:.0f} %" for step in STEPS])
    bar.set_label(f"half the width of the {label} / density")
    bar.outline.set_visible(False)


def _two(axes: Any) -> tuple[Any, Any]:
    if axes is None:
        _, axes = style.pyplot().subplots(1, 2, figsize=(11.0, 4.4), layout="constrained")
    each = list(np.ravel(np.asarray(axes, dtype=object)))
    if len(each) != 2:
        raise InvalidInputError(f"axes must be two, got {len(each)}")
    return each[0], each[1]
