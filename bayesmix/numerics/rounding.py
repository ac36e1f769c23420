"""Rounded values: the grids that they lie on, several where values were rounded differently.

Heights may be written to a tenth, to a half and to a whole inch: a coarse grid then holds a larger
share of the values than chance. ``grids_of`` finds the finest grid and, on it, coarser ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.numerics.arrays import Array, Booleans, Integers

# A feature is rounded if most observations share their value with others.
TIED_SHARE = 0.5
OFF_THE_GRID = 1e-3  # of a step, for floating-point rounding
# Off a grid of other units (inches in tenths of a centimetre), of a step.
OFF_CONVERTED = 0.05
# Share of the observations that may lie off a grid.
MOST_OFF = 0.05
# Differences of distinct values below this, relative to their range, are floating-point rounding.
SAME_VALUE = 1e-9
# Steps of coarser grids, in steps of a finer one: round numbers of decimals, minutes and dozens.
MULTIPLES = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 100, 120, 200)
# A coarser grid holds a larger share than chance by this many standard errors, where no value
# counts more than twice the next one, and by this share of all observations.
STANDARD_ERRORS, LEAST_SHARE = 4.0, 0.05
# Of grids that explain almost as many observations as the best, the coarsest is taken.
ALMOST = 0.85
MOST_BY_CHANCE = 0.99  # so that a share of all values is no surprise
# Deviation of lengths from 1 that rounding to single precision explains.
LENGTH_ROUNDING = 1e-5
# Ratings from 0 to 10 have at most this many values.
FEW_VALUES = 11
# A value at an end of the range that is this many times as frequent as the next is a limit or zero.
TIMES_THE_NEXT = 5


def step_of(values: Array, gap: float) -> float:
    """Return the step of which sorted distinct values are multiples, about ``gap``; 0 for none."""
    if len(values) < 2 or gap <= 0.0:
        return 0.0
    # Use the whole range, because the smallest difference has lost digits.
    width = float(values[-1] - values[0])
    step = width / max(1.0, np.rint(width / gap))
    steps = (values - values[0]) / step
    return step if np.abs(steps - np.rint(steps)).max() < OFF_THE_GRID else 0.0


def is_tied(times: Array | Integers) -> bool:
    """Whether most observations share their value, from the numbers of times of values."""
    return bool(times[times > 1].sum() >= TIED_SHARE * times.sum())


def masses_at_ends(times: Array | Integers) -> Booleans:
    """Return which of two values or more are a limit or zero, by the times of all in order."""
    masses = np.zeros(len(times), dtype=np.bool_)
    masses[0] = times[0] >= TIMES_THE_NEXT * times[1]
    masses[-1] = times[-1] >= TIMES_THE_NEXT * times[-2]
    return masses


@dataclass(frozen=True)
class Grids:
    """Grids of a rounded column: distinct values (m,), how often they occur, and their steps.

    ``places`` (n,) are the indices of the values of the observations. The step of a value is that
    of the coarsest grid that it was probably rounded to.
    """

    values: Array
    times: Array
    places: Integers
    steps: Array

    @property
    def step(self) -> float:
        """Step of the finest grid."""
        return float(self.steps.min())

    @property
    def heaped(self) -> Booleans:
        """Which values (m,) lie on a coarser grid."""
        coarser: Booleans = self.steps > self.step
        return coarser

    @property
    def exact(self) -> Booleans:
        """Which values (m,) are masses of their own: zeros, limits, and all of a few levels.

        Few values are rounded only if they become rare towards both ends, as those of a density.
        """
        times = self.times
        few = len(times) <= FEW_VALUES and 2.0 * max(times[0], times[-1]) >= times.max()
        return masses_at_ends(times) | few


def grids_of(column: Array, weights: Array | None = None) -> Grids | None:
    """Return the grids of a column without missing values; None if it is not rounded."""
    values, places = np.unique(column, return_inverse=True)
    times = np.bincount(places, weights).astype(np.float64)
    if len(values) < 3 or not is_tied(times):
        return None
    numbers, step = _cells(values)
    if step == 0.0:
        numbers, step = _cells_of_most(values, times)
    if step == 0.0:
        return None
    return Grids(values, times, places, step * _multiples(numbers, times))


def steps_of(column: Array) -> Array:
    """Return the step (n,) of each value of a column without missing values; 0 for none."""
    grids = grids_of(column)
    return np.zeros(len(column)) if grids is None else grids.steps[grids.places]


def _cells(values: Array) -> tuple[Integers, float]:
    """Return the number of each value on the finest grid, and its step; 0 for none."""
    gaps = np.diff(values)
    gap = float(gaps[gaps > SAME_VALUE * np.ptp(values)].min())
    step, off = step_of(values, gap), OFF_THE_GRID
    numbers = np.rint((values - values[0]) / (step or gap))
    if step == 0.0:
        numbers, off = np.append(0.0, np.cumsum(np.rint(gaps / gap))), OFF_CONVERTED
        step = float(np.polynomial.Polynomial.fit(numbers, values, 1).convert().coef[-1])
        away = (values - values[0]) / step - numbers
        if np.ptp(away) > 2.0 * off:
            step = 0.0
    return numbers.astype(np.int64), step


def _cells_of_most(values: Array, times: Array) -> tuple[Integers, float]:
    """Return numbers and step on the grid of values that are held more than once; 0 for none.

    Up to ``MOST_OFF`` of the observations may lie off it, as means of eight answers do of which
    some persons gave six.
    """
    common = values[times > times.min()]
    step = _cells(common)[1] if len(common) > 2 else 0.0
    if step == 0.0:
        return np.zeros(len(values), np.int64), 0.0
    numbers = (values - common[0]) / step
    on = np.abs(numbers - np.rint(numbers)) < OFF_THE_GRID
    if times[~on].sum() > MOST_OFF * times.sum():
        step = 0.0
    return np.rint(numbers - numbers[0]).astype(np.int64), step


def _multiples(numbers: Integers, times: Array) -> Array:
    """Return the step (m,) of each value, in steps of the finest grid that numbers it.

    The search goes up: among the values on a grid, it looks for a coarser one.
    """
    multiples, on, step = np.ones(len(numbers)), np.ones(len(numbers), dtype=bool), 1
    least, widest = LEAST_SHARE * times.sum(), (numbers[-1] - numbers[0]) / 2.0
    while True:
        coarser = []
        for multiple in MULTIPLES:
            if step * multiple > widest:
                break
            cells = np.rint(numbers / step).astype(np.int64) % multiple
            sums = np.bincount(cells[on], times[on], multiple).astype(np.float64)
            others = np.bincount(cells[~on], times[~on], multiple).astype(np.float64)
            total, best = sums.sum(), int(sums.argmax())
            chance, uncertain = _by_chance(sums, others, best)
            excess = (sums[best] - total * chance) / (1.0 - chance)
            # One frequent value alone is a mass of its own, and makes no grid.
            *_, second, top = np.sort(np.append(0.0, times[on][cells[on] == best]))
            alone = max(0.0, top - 2.0 * second)
            rest = total - alone
            error = np.sqrt(uncertain * max(rest, 1.0) * chance * (1.0 - chance))
            surplus = sums[best] - alone - rest * chance
            if excess > least and surplus > STANDARD_ERRORS * error:
                coarser.append((excess, multiple, cells[on] == best))
        if not coarser:
            return multiples
        most = max(excess for excess, *_ in coarser)
        multiple, on_grid = [part for excess, *part in coarser if excess >= ALMOST * most][-1]
        first = int(numbers[on][on_grid][0])
        on[on] = on_grid
        numbers, step = numbers - first, step * multiple
        multiples[on] = step


def _by_chance(sums: Array, others: Array, best: int) -> tuple[float, float]:
    """Return the share of values in a class of numbers that needs no coarser grid.

    Also return the ratio of the variance of a count about it to that of a count of a known share.
    ``sums`` and ``others`` count values by class, on the grid and beside it. Classes differ if
    groups of observations are as far apart as the grid: values beside the grid then differ as well,
    and logarithms of counts are quadratic about a group, as those of a normal density.
    """
    shares, multiple = sums / sums.sum(), len(sums)
    known = chance = 1.0 / multiple
    if others.sum() > 0.0:
        chance = max(chance, float(others[best] / others.sum()))
    if multiple > 2:
        side = max((-1, 1), key=lambda side: shares[(best + side) % multiple])
        near, far = shares[(best + side) % multiple], shares[(best + 2 * side) % multiple]
        if far > 0.0:
            chance = max(chance, float(near ** (4.0 / 3.0) / far ** (1.0 / 3.0)))
    return min(chance, MOST_BY_CHANCE), 2.0 if chance > known else 1.0
