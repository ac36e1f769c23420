"""The value of one variable that separates two components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.assess.fit_evidence import fitted_mixture
from bayesmix.core import validation
from bayesmix.core.nouns import part_name
from bayesmix.core.printed_numbers import number
from bayesmix.core.random import root_seed
from bayesmix.core.rows import Rows
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.posterior.bands import checked_level, drawn_mixtures

# Points between the means, and deviations beyond them, among which crossings are looked for.
POINTS, REACH = 4001, 6.0


@dataclass(frozen=True, repr=False)
class DecisionThreshold:
    """The value that separates two components of a mixture of one variable.

    Attributes
    ----------
    value : float
        Between the means of the components if a crossing lies there.
    crossings : tuple of float
        All values at which the components are equally probable, or at which the error is met.
    lower, upper : float
        Interval of ``value`` over draws of the parameters; NaN without data or a posterior.
    components : tuple of int
        Numbers from 0 of the component with the lower and with the higher mean.
    lower_above, upper_below : float
        Share of the lower component above ``value``, and of the upper one below it.
    level : float
    """

    value: float
    crossings: tuple[float, ...]
    lower: float
    upper: float
    components: tuple[int, int]
    lower_above: float
    upper_below: float
    level: float

    def __float__(self) -> float:
        return self.value

    def summary(self) -> str:
        """Return the threshold with its interval and errors."""
        low, high = (part_name("component", k) for k in self.components)
        text = f"Threshold between {low} and {high}: {number(self.value)}"
        if np.isfinite(self.lower):
            text += f", {self.level:.0%} interval [{number(self.lower)}, {number(self.upper)}]"
        text += (
            f". {self.lower_above:.1%} of {low} lie above, {self.upper_below:.1%} of {high} below."
        )
        others = [number(value) for value in self.crossings if value != self.value]
        return text + (f" Also at {', '.join(others)}." if others else "")

    __repr__ = summary


def decision_threshold(
    model: Any,
    X: Any = None,
    components: tuple[int, int] | None = None,
    *,
    error: float | None = None,
    level: float = 0.9,
    n_draws: int = 200,
    random_state: Any = 0,
) -> DecisionThreshold:
    """Return the value at which two components of one variable are equally probable.

    Parameters
    ----------
    model : fitted mixture or search of one variable
    X : array (n, 1), optional
        Data of the fit, for the interval of a likelihood fit (a bootstrap). Variational fits draw
        from the posterior without them.
    components : tuple of int, optional
        Two components, from 0; needed for more than two.
    error : float, optional
        Instead of equal probability: the share of the lower component that lies above the value,
        such as 0.01 for a specificity of 99 %.
    level : float, default=0.9
    n_draws : int, default=200
    random_state : default=0

    Returns
    -------
    DecisionThreshold

    Raises
    ------
    InvalidInputError
        For more than one variable, equal components, or where there is no such value.

    Examples
    --------
    >>> import bayesmix as bm
    >>> gm = bm.GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0])
    >>> round(bm.decision_threshold(gm).value, 6)
    2.0
    """
    level = checked_level(level)
    estimator, X = fitted_mixture(model, X)
    result = estimator.result_
    if result.n_features != 1 or not result.family.continuous:
        raise InvalidInputError(
            f"model must have one continuous variable, got {result.n_features}: use its marginal"
        )
    K = result.n_components
    pair = tuple(components) if components is not None else tuple(range(K))
    if len(set(pair)) != 2 or not all(0 <= k < K for k in pair):
        raise InvalidInputError(
            f"components must be two of 0 to {K - 1}, got {components!r}"
            + ("" if components is not None else ": the mixture has more than two")
        )
    if error is not None:
        error = validation.number("error", error, 0.0, strict=True)
        if error >= 1.0:
            raise InvalidInputError(f"error must be below 1, got {error}")
    point = result.plug_in.components.unframed(result.mixture.frame)
    means = point.means[:, 0]
    low, high = sorted(pair, key=lambda k: float(means[k]))
    spread = np.sqrt(point.covariances[[low, high], 0, 0])
    reach = REACH * float(spread.max())
    grid = np.linspace(means[low] - reach, means[high] + reach, POINTS)
    grid = np.union1d(grid, np.linspace(means[low], means[high], POINTS))
    grid = grid[grid >= result.family.least]
    place = (float(means[low]), float(means[high]))
    values = _crossings(result.plug_in, grid, (low, high), error)
    if not values:
        raise InvalidInputError(
            f"component {low + 1} and component {high + 1} are nowhere equally probable: one of "
            "them is always more probable"
        )
    value = _between(values, place)
    lower = upper = np.nan
    if result.variational or X is not None:
        method = "variational" if result.variational else "bootstrap"
        drawn = drawn_mixtures(estimator, method, X, n_draws, root_seed(random_state))
        found = [_crossings(mixture, grid, (low, high), error) for mixture in drawn.mixtures()]
        drawn_values = [_between(each, place) for each in found if each]
        tails = (0.5 * (1.0 - level), 0.5 * (1.0 + level))
        if len(drawn_values) > 1:
            lower, upper = (float(end) for end in np.quantile(drawn_values, tails))
    shares = [_share_above(result.plug_in, grid, k, value) for k in (low, high)]
    return DecisionThreshold(
        value, tuple(values), lower, upper, (low, high), shares[0], 1.0 - shares[1], level
    )


def _log_joint(mixture: Any, grid: Array) -> Array:
    """Return log π_k p(x | k) (m, K) at values of the variable."""
    joint: Array = mixture.log_joint(Rows(grid[:, None]))
    return joint


def _crossings(
    mixture: Any, grid: Array, pair: tuple[int, int], error: float | None
) -> list[float]:
    """Return all values at which two components are equally probable, or the error is met."""
    joint = _log_joint(mixture, grid)
    low, high = pair
    if error is None:
        difference = joint[:, high] - joint[:, low]
    else:
        difference = error - _above(joint[:, low], grid)
    known = np.isfinite(difference)
    x, d = grid[known], difference[known]
    places = np.flatnonzero(np.sign(d[:-1]) * np.sign(d[1:]) < 0.0)
    exact = x[d == 0.0].tolist()
    # The grid is fine: a straight line between two of its points.
    crossed = x[places] - d[places] * (x[places + 1] - x[places]) / (d[places + 1] - d[places])
    return sorted([*exact, *crossed.tolist()])


def _between(values: list[float], place: tuple[float, float]) -> float:
    """Return the value between the means, or the one that is nearest to their middle."""
    middle = 0.5 * (place[0] + place[1])
    inside = [value for value in values if place[0] <= value <= place[1]]
    return min(inside or values, key=lambda value: abs(value - middle))


def _above(log_joint: Array, grid: Array) -> Array:
    """Return the share of a component above each value, by the trapezoidal rule."""
    density = np.exp(log_joint - log_joint.max())
    pieces = 0.5 * (density[1:] + density[:-1]) * np.diff(grid)
    below = np.concatenate([[0.0], np.cumsum(pieces)])
    return 1.0 - below / below[-1]


def _share_above(mixture: Any, grid: Array, k: int, value: float) -> float:
    """Return the share of a component above a value."""
    return float(np.interp(value, grid, _above(_log_joint(mixture, grid)[:, k], grid)))
