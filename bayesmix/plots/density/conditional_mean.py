"""``plot_conditional_mean``: what one column says of another, with its band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.plots import style
from bayesmix.plots.density.bands import DRAWS, SEED, drawable_level
from bayesmix.plots.density.plane import draw_points, limits_of
from bayesmix.plots.subject import fitted, sample_of, view_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLACES = 201


def plot_conditional_mean(
    model: Any,
    given: Any,
    of: Any,
    X: Any = None,
    ax: Axes | None = None,
    *,
    sample_weight: Any = None,
    level: float | None = None,
    method: Any = "variational",
    legend: bool = True,
) -> Axes:
    """E[one column | another] as a curve, over the rows where they are given: mixture regression.

    Other columns of the fit are integrated out.

    Parameters
    ----------
    model : fitted mixture or search
        Of a search, the best estimator.
    given, of : name or number
        The column that is given (horizontal), and the one that is expected.
    X : array, frame or source (n, D), optional
        Rows to show.
    ax : matplotlib Axes, optional
        Where to draw; None makes a new figure.
    sample_weight : array (n,), optional
        How often each row counts.
    level : float, optional
        Of a shaded credible band of the expectation, such as 0.9. It is not where new rows lie.
    method : {"variational", "gibbs", "bootstrap"} or draws, default="variational"
        Where the band is from, as in ``conditional_interval``. For the last two of the names ``X``
        must be the rows of the fit.
    legend : bool, default=True

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> vb = bm.BayesianGaussianMixture(2, random_state=0).fit(X)
    >>> ax = bm.plot_conditional_mean(vb, "eruptions", "waiting", X, ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('eruptions', 'waiting')
    """
    estimator = fitted(model)
    if not estimator.result_.family.continuous:
        raise UnsupportedError(
            "a conditional mean is drawn over a continuous column: of a "
            f"{estimator.result_.family.name} mixture ask conditional_mean"
        )
    view = view_of(estimator, [given, of], X)
    if len(view.columns) != 2:
        raise InvalidInputError(f"given and of must be two columns, got {given!r} and {of!r}")
    number = None if level is None else drawable_level("level", level)
    sample = sample_of(estimator, view, X, sample_weight)
    limits = limits_of(view, None if sample is None else sample.values)
    places = np.linspace(*limits[0], PLACES)
    known = int(view.columns[0])
    # Among the columns that are not given.
    wanted = int(view.columns[1]) - (view.columns[1] > known)
    ax = style.axes_or_new(ax)
    if number is not None:
        ends = estimator.conditional_interval(
            places[:, None], known, number, DRAWS, SEED, method, X
        )[:, wanted]
        shade = ax.fill_between(places, *ends.T, color=style.INK, alpha=0.25, lw=0, zorder=3)
    mean = estimator.conditional_mean(places[:, None], known)[:, wanted]
    (line,) = ax.plot(places, mean, color=style.INK, lw=2.2, zorder=4, path_effects=style.halo(3.6))
    remarks = [] if sample is None else draw_points(ax, sample, limits)
    ax.set_xlim(*limits[0])
    ax.set_ylim(*limits[1])
    ax.set_xlabel(view.names[0])
    ax.set_ylabel(view.names[1])
    style.quiet(ax)
    style.note(ax, remarks)
    if legend:
        handles: list[Any] = [line]
        labels = [f"mean of {view.names[1]} given {view.names[0]}"]
        if number is not None:
            handles.append(shade)
            labels.append(f"{100 * number:g} % band of the mean")
        style.legend_on_top(ax, handles, labels)
    return ax
