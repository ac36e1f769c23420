"""The credible band of a variational fit over one column, behind its curve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.plots import style
from bayesmix.sampling.bands import density_band
from bayesmix.sources import ArraySource

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A figure is the same every time.
SEED = 0
DRAWS = 1000
FEWEST_BEYOND = 2.0


@dataclass(frozen=True)
class Band:
    """Lower and upper ends (n, 2) of a density at places (n,), row by row, with their level."""

    level: float
    ends: Callable[[Array], Array]

    @property
    def label(self) -> str:
        return f"{100 * self.level:g} % band"


def band_of(model: Any, level: Any) -> Band | None:
    """The band of a fitted estimator; None for None.

    Raises where there is none: for point fits, for more columns than one, and for counts.
    """
    if level is None:
        return None
    result = model.result_
    highest = 1.0 - FEWEST_BEYOND / DRAWS
    flag = isinstance(level, (bool, np.bool_))
    if flag or not isinstance(level, Real) or not 0.0 < float(level) <= highest:
        raise InvalidInputError(
            f"band must be None or a level above 0 and up to {highest:g}, such as 0.9, got "
            f"{level!r}"
        )
    if not (result.variational and result.family.continuous and result.n_features == 1):
        raise UnsupportedError(
            "band is drawn for variational Gaussian fits of one column: fit "
            "BayesianGaussianMixture to that column, or use density_interval"
        )
    number = float(level)

    def ends(places: Array) -> Array:
        return density_band(result, ArraySource(places[:, None]), number, False, DRAWS, SEED)

    return Band(number, ends)


def draw_band(ax: Axes, band: Band, grid: Array) -> tuple[Any, float]:
    """A shaded band over places of the axis; returns it and the highest that it reaches."""
    lower, upper = band.ends(grid).T
    shade = ax.fill_between(grid, lower, upper, color=style.INK, alpha=0.32, lw=0, zorder=3.5)
    return shade, float(upper.max())
