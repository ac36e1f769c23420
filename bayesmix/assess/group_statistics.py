"""Weighted statistics of groups of observations, and how far a group is from the rest.

Effect sizes compare a group with all other observations: Cohen's d of numbers, of their normal
scores where they are skewed, and Cohen's h of shares (Cohen 1988). Intervals are those of Hedges &
Olkin 1985 (section 5.E).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bayesmix.core.printed_numbers import number
from bayesmix.families.coding import Mass
from bayesmix.numerics.arrays import Array, Booleans, Integers

# Skewness within groups above which a distribution counts as skewed (Bulmer 1979, page 63).
SKEWED = 1.0
# Of so few values, as many as a rating from 0 to 10 has, means tell more than quartiles.
FEW_VALUES = 11
MOST_DECIMALS = 15


@dataclass(frozen=True)
class Variable:
    """A column to describe: numbers, or codes of levels, NaN where missing.

    ``levels`` is None for numbers; ``unit`` is what stands before and after each number;
    ``fitted``: whether the model was fitted to it. ``apart`` (n,): cells that a column of their own
    describes, as zeros of amounts; they are NaN here but not missing, and ``where`` says so.
    """

    name: str
    values: Array
    levels: tuple[str, ...] | None = None
    unit: tuple[str, str] = ("", "")
    fitted: bool = True
    apart: Booleans | None = None
    where: str = ""

    @property
    def observed(self) -> Booleans:
        return ~np.isnan(self.values)

    @property
    def missing(self) -> Booleans:
        """Whether the value of an observation (n,) is missing."""
        return ~self.observed if self.apart is None else ~self.observed & ~self.apart

    @property
    def remarks(self) -> str:
        """What to print beside the name: " (where not 0)", " (not in the fit)"."""
        where = f" ({self.where})" if self.where else ""
        return where if self.fitted else f"{where} (not in the fit)"

    @cached_property
    def _least_decimals(self) -> int:
        """Decimals for two digits of the standard deviation."""
        x = self.values[self.observed]
        spread = float(x.std()) if len(x) else 0.0
        decimals = 1 - math.floor(math.log10(spread)) if 0.0 < spread < math.inf else 0
        return min(max(decimals, 0), MOST_DECIMALS)

    @cached_property
    def _is_whole(self) -> bool:
        x = self.values[self.observed]
        return bool((x == np.floor(x)).all())

    def number(self, value: float) -> str:
        """Return a number with the decimals that the standard deviation of the column justifies."""
        if self._is_whole and float(value).is_integer():
            return number(value, 0)
        return number(value, least=self._least_decimals)

    def written(self, value: float) -> str:
        """Return a number with its unit."""
        before, after = self.unit
        return f"{before}{self.number(value)}{after}"


def beside_masses(variables: list[Variable], masses: Sequence[Mass]) -> list[Variable]:
    """Return columns whose cells at masses are no missing values: other columns have them."""
    values = {variable.name: variable.values for variable in variables}
    own = {
        variable.name: [
            mass for mass in masses if mass.column == variable.name and mass.name in values
        ]
        for variable in variables
    }
    return [
        replace(
            variable,
            apart=np.logical_or.reduce([values[mass.name] == 1.0 for mass in own[variable.name]]),
            where=f"where not {' or '.join(f'{mass.value:g}' for mass in own[variable.name])}",
        )
        if own[variable.name]
        else variable
        for variable in variables
    ]


@dataclass(frozen=True)
class DescribedGroups:
    """The group of each observation (n,), -1 for outlying ones, with weights and certainty (n,).

    ``names`` has the words for groups 0, 1, ...; ``totals`` replaces their weights, outlying ones
    last, where observations are draws from a model.
    """

    labels: Integers
    weights: Array
    certainty: Array
    names: tuple[str, ...]
    noun: str
    totals: Array | None = None

    @cached_property
    def sizes(self) -> dict[str, float]:
        """Total weight by name; outlying observations are the last group, if there are any."""
        places = [*range(len(self.names)), -1]
        totals = self.totals
        if totals is None:
            totals = np.array([self.weights[self.labels == k].sum() for k in places])
        named = dict(zip([*self.names, "outlying"], totals.tolist(), strict=True))
        if named["outlying"] == 0.0:
            del named["outlying"]
        return named

    def members(self) -> Iterator[tuple[str, Any]]:
        """Yield the name and the observations (n,) of each group."""
        for k, name in enumerate(self.sizes):
            yield name, self.labels == (k if k < len(self.names) else -1)


def mean_and_variance(x: Array, w: Array) -> tuple[float, float]:
    """Return the weighted mean, and the variance with the divisor n - 1 (0 for one value).

    Weights are numbers of repetitions. Both are NaN without values.
    """
    if not len(x):
        return np.nan, np.nan
    mean = float(np.average(x, weights=w))
    squares = float(w @ (x - mean) ** 2)
    return mean, squares / max(float(w.sum()) - 1.0, 1.0)


def quantiles(x: Array, w: Array, points: Sequence[float]) -> Array:
    """Return interpolated quantiles of values with whole weights, as those of repeated values.

    Hyndman & Fan 1996, type 7; other weights are treated alike.
    """
    order = np.argsort(x, kind="stable")
    x, reached = x[order], np.cumsum(w[order])
    ranks = np.asarray(points) * max(float(reached[-1]) - 1.0, 0.0)
    low = np.floor(ranks)
    ends = (np.searchsorted(reached, rank, side="right") for rank in (low, low + 1.0))
    lower, upper = (x[np.minimum(end, len(x) - 1)] for end in ends)
    return np.asarray(lower + (ranks - low) * (upper - lower))


def share_of(x: Array, w: Array, code: Any) -> float:
    """Return the weighted share of values that equal a code, NaN without values."""
    total = float(w.sum())
    return float(w[x == code].sum() / total) if total else np.nan


def is_skewed(variable: Variable, groups: DescribedGroups) -> bool:
    """Whether the distribution of numbers within groups is skewed."""
    residuals, weights = [], []
    for _, members in groups.members():
        rows = members & variable.observed & (groups.weights > 0.0)
        if rows.any():
            x, w = variable.values[rows], groups.weights[rows]
            residuals.append(x - np.average(x, weights=w))
            weights.append(w)
    if not residuals:
        return False
    x, w = np.concatenate(residuals), np.concatenate(weights)
    variance = np.average(x**2, weights=w)
    seen = variable.observed & (groups.weights > 0.0)
    lower, upper = quantiles(variable.values[seen], groups.weights[seen], (0.25, 0.75))
    few = len(np.unique(variable.values[seen])) <= FEW_VALUES
    if variance <= 0.0 or few or lower == upper:  # of mostly zeros, quartiles say nothing
        return False
    return bool(abs(np.average(x**3, weights=w)) > SKEWED * variance**1.5)


def statistics(
    variable: Variable, members: Any, weights: Array, skewed: bool
) -> dict[tuple[str, str], float]:
    """Return the statistics of a variable among some observations."""
    name, rows = variable.name, members & variable.observed & (weights > 0.0)
    x, w = variable.values[rows], weights[rows]
    row: dict[tuple[str, str], float] = {}
    if variable.levels is not None:
        row = {(name, level): share_of(x, w, code) for code, level in enumerate(variable.levels)}
    elif skewed:
        parts = ("lower quartile", "median", "upper quartile")
        points = quantiles(x, w, (0.25, 0.5, 0.75)) if len(x) else [np.nan] * 3
        row = {(name, part): float(value) for part, value in zip(parts, points, strict=True)}
    else:
        mean, variance = mean_and_variance(x, w)
        row = {(name, "mean"): mean, (name, "sd"): float(np.sqrt(variance))}
    if variable.missing.any():
        every = weights[members].sum()
        absent = weights[members & variable.missing].sum()
        row[name, "missing"] = float(absent / every) if every else np.nan
    return row


def effects(
    variables: Sequence[Variable],
    groups: DescribedGroups,
    skewed: set[str],
    level: float,
    names: Sequence[str],
) -> pd.DataFrame:
    """Return effect sizes of each group against the rest, most telling first.

    ``names`` are those of the groups, in order.
    """
    half, records = float(stats.norm.isf(0.5 * (1.0 - level))), []
    for variable in variables:
        seen = variable.observed & (groups.weights > 0.0)
        scores = normal_scores(variable.values, seen) if variable.name in skewed else None
        for name, members in groups.members():
            inside, outside = seen & members, seen & ~members
            if name == "outlying" or not inside.any() or not outside.any():
                continue
            w = groups.weights[inside], groups.weights[outside]
            n, m = (float(weights.sum()) for weights in w)
            x = variable.values[inside], variable.values[outside]
            if variable.levels is None:
                values = x if scores is None else (scores[inside], scores[outside])
                effect = _cohen_d(values, w)
                error = np.sqrt((n + m) / (n * m) + 0.5 * effect**2 / (n + m))
                middles = (
                    mean_and_variance(*pair)[0]
                    if scores is None
                    else float(quantiles(*pair, (0.5,))[0])
                    for pair in zip(x, w, strict=True)
                )
                records.append((name, variable, "", *middles, effect, error, "d"))
                continue
            levels = list(enumerate(variable.levels))
            for code, one in levels[len(levels) == 2 :]:  # of two levels the last says all
                p, q = (share_of(*pair, code) for pair in zip(x, w, strict=True))
                effect = 2.0 * (np.arcsin(np.sqrt(p)) - np.arcsin(np.sqrt(q)))
                error = np.sqrt(1.0 / n + 1.0 / m)
                records.append((name, variable, one, p, q, float(effect), error, "h"))
    rows = [
        (name, v.name, one, value, rest, effect, effect - half * error, effect + half * error,
         measure, v.fitted)
        for name, v, one, value, rest, effect, error, measure in records
    ]  # fmt: skip
    columns = [groups.noun, "column", "level", "value", "rest", "effect", "lower", "upper"]
    frame = pd.DataFrame(rows, columns=[*columns, "measure", "fitted"])
    place = frame[groups.noun].map({name: k for k, name in enumerate(names)})
    order = np.lexsort((-telling(frame).to_numpy(), place.to_numpy()))
    return frame.iloc[order].set_index([groups.noun, "column", "level"])


def telling(typical: pd.DataFrame) -> pd.Series[Any]:
    """Return how far effects are from zero at least: by the end of the interval that is nearer.

    Negative where the interval contains zero, so that rare levels are not called telling.
    """
    effect, half = typical["effect"], 0.5 * (typical["upper"] - typical["lower"])
    return effect.abs() - half


def normal_scores(values: Array, seen: Any) -> Array:
    """Return the normal quantiles of the ranks (Blom 1958), NaN for values not seen."""
    scores = np.full(len(values), np.nan)
    ranks = stats.rankdata(values[seen])
    scores[seen] = stats.norm.ppf((ranks - 0.375) / (len(ranks) + 0.25))
    return scores


def _cohen_d(values: Sequence[Array], weights: Sequence[Array]) -> float:
    """Return the difference of means in pooled standard deviations.

    Without variance within both groups it is in standard deviations of all observations.
    """
    (a, va), (b, vb) = (mean_and_variance(x, w) for x, w in zip(values, weights, strict=True))
    n, m = (max(float(w.sum()) - 1.0, 0.0) for w in weights)
    pooled = (n * va + m * vb) / (n + m) if n + m else 0.0
    if pooled <= 0.0:
        pooled = mean_and_variance(np.concatenate(values), np.concatenate(weights))[1]
    return float((a - b) / np.sqrt(pooled)) if pooled > 0.0 else 0.0
