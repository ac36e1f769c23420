"""The credible band of a fit over one column, behind its curve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.plots import style
from bayesmix.plots.subject import View
from bayesmix.sampling.band_draws import DRAWS_OF_EACH, drawn_mixtures
from bayesmix.sampling.density.credible_bands import density_band, hull, marginal_band
from bayesmix.sources import as_source

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A figure is the same every time.
SEED = 0
DRAWS = 1000
FEWEST_BEYOND = 2.0


@dataclass(frozen=True)
class Band:
    """Lower and upper ends (n, 2) of a density at points (n, d), row by row, with their level."""

    level: float
    ends: Callable[[Array], Array]

    @property
    def label(self) -> str:
        return f"{100 * self.level:g} % band"


def band_of(
    model: Any,
    view: View,
    level: Any,
    method: Any = "variational",
    data: Any = None,
    sample_weight: Any = None,
    n_draws: int = DRAWS,
) -> Band:
    """The band of a fitted estimator's density over the columns of a view; ``data`` as its methods.

    Raises where there is none: for point fits without a bootstrap, and for counts.
    """
    number = drawable_level("band", level, n_draws)
    result = model.result_
    _check_curve(view, result)
    drawn = drawn_mixtures(model, method, data, n_draws, SEED, sample_weight)
    whole = np.array_equal(view.columns, np.arange(result.n_features))

    def ends(points: Array) -> Array:
        if whole:
            return density_band(drawn, as_source(points), number, False)
        return marginal_band(drawn, view.columns, points, number)

    return Band(number, ends)


def band_of_average(average: Any, view: View, level: Any, method: Any, data: Any) -> Band:
    """The band of a density averaged over candidates, over the columns of a view."""
    number = drawable_level("band", level, DRAWS_OF_EACH)
    _check_curve(view, average.estimators[0].result_)
    parts = [each for _, each in average.drawn(number, DRAWS_OF_EACH, SEED, method, data)]

    def ends(points: Array) -> Array:
        return hull([marginal_band(each, view.columns, points, number) for each in parts])

    return Band(number, ends)


def _check_curve(view: View, result: Any) -> None:
    if not view.continuous:
        raise UnsupportedError(
            f"a band is drawn around curves, not around the bars of a {result.family.name} "
            "mixture: use density_interval"
        )


def drawable_level(name: str, level: Any, n_draws: int = DRAWS) -> float:
    """A level that the draws of a figure reach."""
    highest = 1.0 - FEWEST_BEYOND / n_draws
    flag = isinstance(level, (bool, np.bool_))
    if flag or not isinstance(level, Real) or not 0.0 < float(level) <= highest:
        raise InvalidInputError(
            f"{name} must be a level above 0 and up to {highest:g}, such as 0.9, got {level!r}"
        )
    return float(level)


def draw_band(ax: Axes, band: Band, grid: Array) -> tuple[Any, float]:
    """A shaded band over places of the axis; returns it and the highest that it reaches."""
    lower, upper = band.ends(grid[:, None]).T
    shade = ax.fill_between(grid, lower, upper, color=style.INK, alpha=0.32, lw=0, zorder=3.5)
    return shade, float(upper.max())
