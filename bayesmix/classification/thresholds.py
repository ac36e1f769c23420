"""The value of one variable that separates two components.

Log odds of two components are smooth in a coordinate of the support. A grid that is fine in the
scales of both components brackets their roots, and minima between its points where two roots may
be; shares and errors are those of the distribution functions of the families.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit, logit

from bayesmix.assess.fit_evidence import fitted_mixture
from bayesmix.core import validation
from bayesmix.core.components import OfOneColumn
from bayesmix.core.nouns import part_name
from bayesmix.core.printed_numbers import number, percent
from bayesmix.core.random import root_seed
from bayesmix.core.rows import Frame
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.distributions import ColumnDistribution
from bayesmix.posterior.bands import checked_level, drawn_mixtures

# Distances of grid points from the median of a component, in its interquartile range: finely where
# densities bend, and from there by octaves to where squares overflow.
AROUND = 2.0 ** np.concatenate([np.arange(-8.0, 12.0, 0.25), np.arange(12.0, 500.0)])
# Log odds that are flatter than this between neighbours of the grid are constant up to rounding.
FLAT = 1e-6
# Precision of a minimum, relative to its interval.
PRECISION = 1e-9
# Roots are those of doubles, also next to 0: a bisection of all of them has that many steps.
SMALLEST_STEP, MOST_STEPS = float(np.finfo(np.float64).tiny), 5000


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
            text += f", {percent(self.level)} interval [{number(self.lower)}, {number(self.upper)}]"
        above, below = percent(self.lower_above, 1), percent(self.upper_below, 1)
        text += f". {above} of {low} lie above, {below} of {high} below."
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
    point: Any = result.plug_in.components.unframed(result.mixture.frame)
    means = point.means[:, 0]
    low, high = sorted(pair, key=lambda k: float(means[k]))
    place = (float(means[low]), float(means[high]))
    fitted = Pair.of(result.plug_in, result.mixture.frame, (low, high))
    values = fitted.crossings(error)
    if not values:
        raise InvalidInputError(
            f"no value separates component {low + 1} and component {high + 1}: one of them is "
            "always more probable, or they are the same"
        )
    value = _between(values, place)
    lower = upper = np.nan
    if result.variational or X is not None:
        method = "variational" if result.variational else "bootstrap"
        drawn = drawn_mixtures(estimator, method, X, n_draws, root_seed(random_state))
        pairs = (Pair.of(mixture, mixture.frame, (low, high)) for mixture in drawn.mixtures())
        drawn_values = [
            _between(crossings, place)
            for crossings in (each.crossings(error) for each in pairs)
            if crossings
        ]
        tails = (0.5 * (1.0 - level), 0.5 * (1.0 + level))
        if len(drawn_values) > 1:
            lower, upper = (float(end) for end in np.quantile(drawn_values, tails))
    above, below = fitted.distribution.sf(value)[0], fitted.distribution.cdf(value)[1]
    return DecisionThreshold(
        value, tuple(values), lower, upper, (low, high), float(above), float(below), level
    )


@dataclass(frozen=True)
class RealCoordinate:
    """A real coordinate of the values in a support, its limits, and points in all its range."""

    of_values: Callable[[Array], Array]
    values: Callable[[Array], Array]
    least: float
    most: float
    grid: Array

    @classmethod
    def within(cls, low: float, high: float) -> Self:
        """Return numbers, logarithms of positive numbers or logits of shares."""
        if np.isinf(low):
            return cls(np.asarray, np.asarray, -np.inf, np.inf, np.empty(0))
        # Of the smallest and largest doubles, and of the largest one below 1.
        if np.isinf(high):
            return cls(np.log, np.exp, -708.0, 709.0, np.arange(-708.0, 709.0, 0.5))
        return cls(logit, expit, -708.0, 36.0, np.arange(-708.0, 36.0, 0.5))


@dataclass(frozen=True)
class Pair:
    """Two components of one variable in data units, the lower first, with their log weights."""

    components: OfOneColumn
    log_weights: Array

    @classmethod
    def of(cls, mixture: Any, frame: Frame, places: tuple[int, int]) -> Self:
        pair = np.array(places)
        return cls(mixture.components.subset(pair).unframed(frame), mixture.log_weights[pair])

    @cached_property
    def distribution(self) -> ColumnDistribution:
        return self.components.distribution

    @cached_property
    def coordinate(self) -> RealCoordinate:
        return RealCoordinate.within(*self.distribution.support)

    def crossings(self, error: float | None) -> list[float]:
        """Return all values of equal probability, or the one at which the error is met."""
        if error is not None:
            return [float(self.distribution.isf(error)[0])]
        roots = [
            brentq(self._log_odds_at, low, high, xtol=SMALLEST_STEP, maxiter=MOST_STEPS)
            for low, high in self._brackets()
        ]
        values: list[float] = self.coordinate.values(np.sort(roots)).tolist()
        return values

    def _brackets(self) -> list[tuple[float, float]]:
        """Return intervals of the coordinate that hold one root of the log odds each."""
        odds = self._log_odds(self.grid)
        known = np.isfinite(odds) & (odds != 0.0)
        grid, size, sign = self.grid[known], np.abs(odds[known]), np.sign(odds[known])
        changes = np.flatnonzero(sign[1:] != sign[:-1])
        brackets = [(grid[i], grid[i + 1]) for i in changes]
        before, here, after = size[:-2], size[1:-1], size[2:]
        lowest = (here < before) & (here <= after)
        lowest &= np.maximum(before, after) > (1.0 + FLAT) * here
        lowest &= (sign[1:-1] == sign[:-2]) & (sign[1:-1] == sign[2:])
        for i in np.flatnonzero(lowest) + 1:
            # Two roots between neighbours of the grid leave a minimum there.
            low, high = grid[i - 1], grid[i + 1]
            nearest = minimize_scalar(
                lambda u, side=sign[i]: side * self._log_odds_at(u),
                bounds=(low, high),
                method="bounded",
                options={"xatol": PRECISION * (high - low)},
            )
            if nearest.fun < 0.0:
                brackets += [(low, nearest.x), (nearest.x, high)]
        return brackets

    @property
    def grid(self) -> Array:
        """Points (m,) in the coordinate, in all scales of the two components."""
        own, distribution = self.coordinate, self.distribution.continuous
        ends = own.values(np.array([own.least, own.most]))
        quartiles = [np.clip(distribution.isf(np.array([p])), *ends) for p in (0.75, 0.5, 0.25)]
        first, middle, last = map(own.of_values, quartiles)
        steps = np.multiply.outer(AROUND, last - first)
        points = [own.grid, middle, (middle - steps).ravel(), (middle + steps).ravel()]
        grid = np.unique(np.concatenate(points))
        return grid[(grid >= own.least) & (grid <= own.most)]

    def _log_odds(self, points: Array) -> Array:
        """Return log odds (m,) of the lower component at points of the coordinate."""
        values = self.coordinate.values(points)[:, None]
        with np.errstate(over="ignore", invalid="ignore"):  # at the ends of the support
            joint = self.components.expected_log_density(values) + self.log_weights
            return np.asarray(joint[:, 0] - joint[:, 1])

    def _log_odds_at(self, point: float) -> float:
        return float(self._log_odds(np.array([point]))[0])


def _between(values: list[float], place: tuple[float, float]) -> float:
    """Return the value between the means, or the one that is nearest to their middle."""
    middle = 0.5 * (place[0] + place[1])
    inside = [value for value in values if place[0] <= value <= place[1]]
    return min(inside or values, key=lambda value: abs(value - middle))
