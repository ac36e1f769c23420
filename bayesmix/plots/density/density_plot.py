"""``plot_density``: a fitted mixture over its data, in one column or two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmix.errors import UnsupportedError
from bayesmix.plots.density.bands import band_of
from bayesmix.plots.density.bars import draw_bars
from bayesmix.plots.density.curve import draw_curve
from bayesmix.plots.density.plane import draw_plane
from bayesmix.plots.style import axes_or_new
from bayesmix.plots.subject import fitted, sample_of, view_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_density(
    model: Any,
    X: Any = None,
    ax: Axes | None = None,
    *,
    columns: Any = None,
    sample_weight: Any = None,
    kde: bool = True,
    band: float | None = None,
    method: Any = "variational",
    legend: bool = True,
) -> Axes:
    """The density with its components, over the rows where they are given.

    Over one column: the curve, the weighted components, a histogram, a rug, and a kernel density
    estimate to compare with. Over two: the regions that hold 25, 50, 75 and 95 % of the density,
    ellipses of 1 and 2 standard deviations, and the rows coloured by their component, smaller and
    paler the less certain that is. Counts (Poisson) over one column: bars.

    Parameters
    ----------
    model : fitted mixture or search
        Of a search, the best estimator. A variational fit shows its predictive density; ellipses
        are those of ``covariances_``.
    X : array, frame or source (n, D), optional
        Rows to show.
    ax : matplotlib Axes, optional
        Where to draw; None makes a new figure.
    columns : name, number, or one or two of them, optional
        Whose marginal density is drawn. None: the two columns in which the components lie furthest
        apart, where there are more than two.
    sample_weight : array (n,), optional
        How often each row counts, in histogram, kernel density estimate and size of the points.
    kde : bool, default=True
        Whether the kernel density estimate (one column, Scott's bandwidth) is drawn.
    band : float, optional
        Level of a shaded credible band over one column, such as 0.9, row by row. Of two columns
        ``plot_uncertainty`` shows as much.
    method : {"variational", "gibbs", "bootstrap"} or draws, default="variational"
        Where the band is from, as in ``density_interval``. For the last two of the names ``X`` must
        be the rows of the fit.
    legend : bool, default=True

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        For a model without a density that can be drawn, and for rows or columns that do not fit it.
    ImportError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_faithful()
    >>> gm = bm.GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> ax = bm.plot_density(gm, X, ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('eruptions', 'waiting')
    """
    estimator = fitted(model, with_noise=band is None)
    view = view_of(estimator, columns, X)
    if band is not None and len(view.columns) == 2:
        raise UnsupportedError(
            "band is drawn over one column: name it, as in columns=0, or show the doubt over two "
            "with plot_uncertainty"
        )
    shaded = None if band is None else band_of(estimator, view, band, method, X, sample_weight)
    sample = sample_of(estimator, view, X, sample_weight)
    ax = axes_or_new(ax)
    if len(view.columns) == 2:
        draw_plane(ax, view, sample, legend)
    elif view.continuous:
        draw_curve(ax, view, sample, kde, legend, shaded)
    else:
        draw_bars(ax, view, sample, legend)
    return ax
