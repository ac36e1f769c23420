"""Properties of the data that mislead a density: rounding, duplicates, repeated values, skewness.

On a single value a density has no bound; duplicates count twice in an evidence, and folds that hold
one of two duplicates out have seen the other; a mixture of normals follows skewed features with
several components of which none is a cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.core.sources import Source
from bayesmix.numerics.arrays import Array, Integers

# Of more observations the first ones are looked at for rounding, and nothing else is checked.
MOST_ROWS = 20_000
# A feature is rounded where most observations share their value with others.
TIED_SHARE = 0.5
OFF_THE_GRID = 1e-3  # of a step: room for the rounding of doubles
# A rating of 0 to 10 has no more values than this, and is not normal within a component.
FEW_VALUES = 11
# A component is narrower than rounding where its standard deviation is that of two neighbours.
NARROW = 0.5
# Duplicates are reported where they are a tenth, or where all are repeated equally often; a single
# observation that is a tenth of the data has a cause of its own.
MANY = 0.1
FEWEST_DISTINCT = 20
# A value stands out where so many observations have it, and no other has a fifth of them.
REPEATED_VALUE = 0.05
TIMES_THE_NEXT = 5
# Correlations that have a smaller eigenvalue are singular but for rounding.
COLLINEAR = 1e-10


@dataclass(frozen=True)
class RoundedFeature:
    """A feature whose values lie on a grid, or are few; ``step`` 0 where they lie on none."""

    column: int
    name: str
    step: float
    gap: float  # the smallest difference between values
    n_values: int

    def __str__(self) -> str:
        steps = f" in steps of {self.step:g}" if self.step else ""
        return f"{self.name} ({self.n_values} values{steps})"


@dataclass(frozen=True)
class Duplicates:
    """How many of the observations are duplicates, and which distinct one each is (n,).

    ``distinct`` is None where folds need not keep duplicates together. ``values``: features with
    values that stand out, in words.
    """

    n_rows: int = 0
    n_copies: int = 0
    distinct: Integers | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class LogScale:
    """One normal of the logarithms of some features and of the others: its BIC in nats."""

    columns: tuple[str, ...] = ()
    bic: float = -np.inf


def column_names(columns: Sequence[str] | None, n_columns: int) -> list[str]:
    """The names of features; those without names are numbered."""
    return [str(each) for each in columns or (f"column {d}" for d in range(n_columns))]


def rounded_features(source: Source | None) -> tuple[RoundedFeature, ...]:
    """The features of a source that are rounded to a step, or have few values."""
    if source is None:
        return ()
    names = column_names(source.columns, source.shape[1])
    first = source.in_memory(slice(MOST_ROWS)).values
    rounded = []
    for d, gap in enumerate(source.summary.gap):
        column = np.asarray(first[:, d], dtype=np.float64)
        values, times = np.unique(column[~np.isnan(column)], return_counts=True)
        if gap > 0.0 and times[times > 1].sum() >= TIED_SHARE * times.sum():
            step = step_of(values, float(gap))
            if step > 0.0 or 1 < len(values) <= FEW_VALUES:
                rounded.append(RoundedFeature(d, names[d], step, float(gap), len(values)))
    return tuple(rounded)


def step_of(values: Array, gap: float) -> float:
    """The step that sorted distinct values are whole numbers of, ``gap`` or nearly; 0 for none."""
    if len(values) < 2 or gap <= 0.0:
        return 0.0
    # As the whole width gives it: the smallest difference has lost digits.
    width = float(values[-1] - values[0])
    step = width / max(1.0, np.rint(width / gap))
    steps = (values - values[0]) / step
    return step if np.abs(steps - np.rint(steps)).max() < OFF_THE_GRID else 0.0


def narrower(result: Any, rounded: Sequence[RoundedFeature]) -> list[tuple[int, RoundedFeature]]:
    """Components that are narrower than the rounding of a feature, and the feature."""
    rounded = [each for each in rounded if is_density(result, each)]
    if not rounded:
        return []
    deviations = result.plug_in.components.unframed(result.mixture.frame).deviations
    return [
        (k, each)
        for k in range(result.n_components)
        for each in rounded
        if deviations[k, each.column] < NARROW * (each.step or each.gap)
    ]


def is_density(result: Any, each: RoundedFeature) -> bool:
    """Whether a fit describes a feature by a density."""
    return bool(result.family.marginal(np.array([each.column])).continuous)


def duplicates(source: Source | None) -> Duplicates:
    """Duplicates and repeated values, where there are not too many observations to look at."""
    if source is None or source.shape[0] > MOST_ROWS:
        return Duplicates()
    rows = source.in_memory().values
    n_rows, n_features = rows.shape
    columns = [np.asarray(rows[:, d], dtype=np.float64) for d in range(n_features)]
    names = column_names(source.columns, n_features)
    values = tuple(
        f"{names[d]} ({repeated})" for d in range(n_features) if (repeated := _repeated(columns[d]))
    )
    distinct, times = _distinct(columns)
    n_copies = n_rows - len(times)
    if len(times) < FEWEST_DISTINCT or (n_features == 1 and values):
        return Duplicates(values=values)
    # Values of one feature alone tie by rounding as well, whatever was made of them since.
    many = n_features > 1 and n_copies >= MANY * n_rows
    many = many and any(_continuous(column, len(times)) for column in columns)
    single = times.max() > MANY * n_rows
    if (single and values) or not (many or np.gcd.reduce(times) > 1):
        return Duplicates(values=values)
    return Duplicates(n_rows, n_copies, None if single else distinct, values)


def _distinct(columns: list[Array]) -> tuple[Integers, Integers]:
    """Which distinct observation each is (n,), and how often each of them occurs."""
    numbers = np.zeros(len(columns[0]), dtype=np.intp)
    times = np.array([len(numbers)])
    for column in columns:
        # A missing value is a value as any other.
        _, of_column = np.unique(column, return_inverse=True, equal_nan=True)
        pairs = numbers * (int(of_column.max(initial=0)) + 1) + of_column
        _, numbers, times = np.unique(pairs, return_inverse=True, return_counts=True)
    return numbers, times


def _continuous(column: Array, n_distinct: int) -> bool:
    """Whether a feature has many values that lie on no grid."""
    values = np.unique(column[~np.isnan(column)])
    many = len(values) >= max(FEWEST_DISTINCT, 0.5 * n_distinct)
    return many and not step_of(values, float(np.diff(values).min()))


def _repeated(column: Array) -> str:
    """The values that stand out in a feature and their shares, in words; empty where none does."""
    column = column[~np.isnan(column)]
    values, times = np.unique(column, return_counts=True)
    if len(values) <= FEW_VALUES:
        return ""
    order = np.argsort(-times, kind="stable")
    falls = times[order[:-1]] >= TIMES_THE_NEXT * times[order[1:]]
    common = np.flatnonzero(falls & (times[order[:-1]] >= REPEATED_VALUE * len(column)))
    if not len(common) or len(values) - common[-1] - 1 < FEW_VALUES:
        return ""
    shares = (f"{values[i]:g} in {times[i] / len(column):.0%}" for i in order[: common[-1] + 1])
    return " and ".join(shares)


def log_scale(source: Source | None) -> LogScale:
    """One normal on the log scale of the positive features that are closer to normal there."""
    if source is None or source.shape[0] > MOST_ROWS or source.summary.n_missing:
        return LogScale()
    there = source.in_memory()
    rows = np.array(there.values, dtype=np.float64)
    weights = np.ones(len(rows)) if there.weights is None else np.asarray(there.weights)
    names = column_names(source.columns, rows.shape[1])
    skewed, volume = [], 0.0
    # What no double holds is compared with nothing.
    with np.errstate(all="ignore"):
        for d in np.flatnonzero(source.summary.minimum > 0.0):
            logs = np.log(rows[:, d])
            mean = float(np.average(logs, weights=weights))
            # Per observation the log likelihood is minus log(deviation), less the mean of logs.
            if _deviation(logs, weights) * np.exp(mean) < _deviation(rows[:, d], weights):
                rows[:, d] = logs
                skewed.append(names[d])
                volume += mean
        likelihood = _log_likelihood(rows, weights) if skewed else -np.inf
    if not np.isfinite(likelihood):
        return LogScale()
    total, n_features = float(weights.sum()), rows.shape[1]
    n_parameters = n_features * (n_features + 3) / 2.0
    bic = likelihood - total * volume - 0.5 * n_parameters * np.log(total)
    return LogScale(tuple(skewed), float(bic))


def _log_likelihood(rows: Array, weights: Array) -> float:
    """The largest that one normal has; not finite where features are collinear."""
    covariance = np.atleast_2d(np.cov(rows.T, aweights=weights, ddof=0))
    deviations = np.sqrt(np.diagonal(covariance))
    correlations = covariance / np.outer(deviations, deviations)
    if not np.isfinite(correlations).all():
        return np.nan
    values = np.linalg.eigvalsh(correlations)
    if values[0] < COLLINEAR:
        return np.nan
    log_determinant = np.log(values).sum() + 2.0 * np.log(deviations).sum()
    each = len(values) * (np.log(2.0 * np.pi) + 1.0) + log_determinant
    return float(-0.5 * weights.sum() * each)


def _deviation(column: Array, weights: Array) -> float:
    return float(np.sqrt(np.cov(column, aweights=weights, ddof=0)))
