"""Data properties that mislead a density: rounding, duplicates, repeated values, skewness.

The likelihood is unbounded at repeated values. Duplicates count twice in the evidence and leak
between folds. Normal mixtures approximate skewed features by several components that are not
clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.core.printed_numbers import percent
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.rounding import (
    FEW_VALUES,
    LENGTH_ROUNDING,
    TIMES_THE_NEXT,
    is_tied,
    masses_at_ends,
    step_of,
)

if TYPE_CHECKING:
    from bayesmix.core.sources import Source
    from bayesmix.sources.memory import ArraySource


# Only the first observations of larger data are checked for rounding, and nothing else is checked.
MOST_ROWS = 20_000
# A component is narrower than the rounding if its standard deviation is less than that of two
# neighbouring values.
NARROW = 0.5
# Duplicates are reported above a tenth of the data, or if all are repeated equally often. An
# observation that is a tenth of the data by itself has another cause.
MANY = 0.1
FEWEST_DISTINCT = 20
# A value is repeated if this share of observations has it and no other value has a fifth of them.
REPEATED_VALUE = 0.05
# Correlation matrices with smaller eigenvalues are numerically singular.
COLLINEAR = 1e-10


@dataclass(frozen=True)
class RoundedFeature:
    """A feature with values on a grid, or with few values; ``step`` is 0 without a grid.

    ``masses``: it has a limit or zero with a mass of its own at an end of its range.
    """

    column: int
    name: str
    step: float
    gap: float  # smallest difference between values
    n_values: int
    masses: bool = False

    def __str__(self) -> str:
        steps = f" in steps of {self.step:g}" if self.step else ""
        return f"{self.name} ({self.n_values} values{steps})"


@dataclass(frozen=True)
class Duplicates:
    """Number of duplicates, and the index (n,) of each observation's distinct value.

    ``distinct`` is None if folds may separate duplicates. ``values`` describes features with
    repeated values.
    """

    n_rows: int = 0
    n_copies: int = 0
    distinct: Integers | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class LogScale:
    """Normal model of logarithms of some features and of the other features, with BIC in nats."""

    columns: tuple[str, ...] = ()
    bic: float = -np.inf


def column_names(columns: Sequence[str] | None, n_columns: int) -> list[str]:
    """Return the names of features, numbered if they have none."""
    return [str(name) for name in columns or (f"column {d}" for d in range(n_columns))]


def rounded_features(
    source: Source | None, spread: Sequence[int] = ()
) -> tuple[RoundedFeature, ...]:
    """Return the features that are rounded or have few values, but those that were ``spread``."""
    if source is None:
        return ()
    spaced = np.setdiff1d(np.flatnonzero(source.summary.gap > 0.0), spread)
    if not len(spaced):
        return ()

    names = column_names(source.columns, source.shape[1])
    first = source.in_memory(slice(MOST_ROWS)).values
    rounded = []
    for d in spaced.tolist():
        column, gap = np.asarray(first[:, d], dtype=np.float64), source.summary.gap[d]
        values, times = np.unique(column[~np.isnan(column)], return_counts=True)
        if is_tied(times):
            step = step_of(values, float(gap))
            if step > 0.0 or 1 < len(values) <= FEW_VALUES:
                masses = bool(masses_at_ends(times).any())
                rounded.append(RoundedFeature(d, names[d], step, float(gap), len(values), masses))
    return tuple(rounded)


def narrower(result: Any, rounded: Sequence[RoundedFeature]) -> list[tuple[int, RoundedFeature]]:
    """Return components that are narrower than the rounding of a feature, with the feature."""
    rounded = [feature for feature in rounded if is_density(result, feature) and not feature.masses]
    if not rounded:
        return []
    deviations = result.plug_in.components.unframed(result.mixture.frame).deviations
    return [
        (k, feature)
        for k in range(result.n_components)
        for feature in rounded
        if deviations[k, feature.column] < NARROW * (feature.step or feature.gap)
    ]


def is_density(result: Any, feature: RoundedFeature) -> bool:
    """Whether a fit models a feature by a density."""
    return bool(result.family.marginal(np.array([feature.column])).continuous)


def duplicates(source: Source | None) -> Duplicates:
    """Return duplicates and repeated values, if there are not too many observations to check."""
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
    gaps = np.logical_or.reduce([np.isnan(column) for column in columns])
    if gaps.any():  # observations that are equal in what was seen are no copies
        distinct = np.where(gaps, len(times) + np.arange(n_rows), distinct)
        _, distinct, times = np.unique(distinct, return_inverse=True, return_counts=True)
    n_copies = n_rows - len(times)
    if len(times) < FEWEST_DISTINCT or (n_features == 1 and values):
        return Duplicates(values=values)
    # Values of a single feature may also coincide by rounding.
    many = n_features > 1 and n_copies >= MANY * n_rows
    many = many and any(_continuous(column, len(times)) for column in columns)
    single = times.max() > MANY * n_rows
    if (single and values) or not (many or np.gcd.reduce(times) > 1):
        return Duplicates(values=values)
    return Duplicates(n_rows, n_copies, None if single else distinct, values)


def distinct_rows(source: ArraySource) -> int:
    """Return the number of distinct observations; of many observations all count."""
    if source.shape[0] > MOST_ROWS:
        return source.shape[0]
    return len(_copies(source)[1])


def equal_copies(
    source: ArraySource, weight_type: str | None = None
) -> tuple[Integers, int, float]:
    """Return one of the copies of every observation, how many there are, and their whole weight.

    Both numbers are 1 if they are not the same for all. A number that divides those of all values
    is one of copies too: some observations may be equal by rounding.
    """
    n_rows, weights, weight = source.shape[0], source.weights, 1.0
    rows = np.arange(n_rows)
    if n_rows > MOST_ROWS or weight_type == "sampling":
        return rows, 1, 1.0
    if weights is not None:
        weight = float(weights[0])
        if not np.all(weights == weight) or weight % 1.0:
            return rows, 1, 1.0
    numbers, times = _copies(source)
    copies = int(np.gcd.reduce(times)) if len(times) >= FEWEST_DISTINCT else 1
    if copies > 1:
        order = np.argsort(numbers, kind="stable")
        times = np.bincount(numbers)
        starts = np.repeat(np.cumsum(times) - times, times)
        rows = np.sort(order[(np.arange(n_rows) - starts) % copies == 0])
    return rows, copies, weight


def _copies(source: ArraySource) -> tuple[Integers, Integers]:
    """Return the index (n,) of each observation's distinct value, and numbers of copies."""
    rows = source.values
    return _distinct([np.asarray(rows[:, d], dtype=np.float64) for d in range(rows.shape[1])])


def _distinct(columns: list[Array]) -> tuple[Integers, Integers]:
    """Return the index (n,) of each observation's distinct value, and numbers of copies."""
    numbers = np.zeros(len(columns[0]), dtype=np.intp)
    times = np.array([len(numbers)])
    for column in columns:
        if len(times) == len(numbers) > 1:
            break  # all are distinct
        # A missing value counts as a value here.
        _, of_column = np.unique(column, return_inverse=True, equal_nan=True)
        pairs = numbers * (int(of_column.max(initial=0)) + 1) + of_column
        _, numbers, times = np.unique(pairs, return_inverse=True, return_counts=True)
    # By first appearance, so that folds do not depend on the order of columns.
    _, firsts = np.unique(numbers, return_index=True)
    return np.argsort(np.argsort(firsts))[numbers], times


def _continuous(column: Array, n_distinct: int) -> bool:
    """Whether a feature has many values that are not on a grid."""
    values = np.unique(column[~np.isnan(column)])
    many = len(values) >= max(FEWEST_DISTINCT, 0.5 * n_distinct)
    if not many:
        return False

    return not step_of(values, float(np.diff(values).min()))


def _repeated(column: Array) -> str:
    """Return the repeated values of a feature with their shares in words, or an empty string."""
    column = column[~np.isnan(column)]
    values, times = np.unique(column, return_counts=True)
    if len(values) <= FEW_VALUES:
        return ""
    order = np.argsort(-times, kind="stable")
    falls = times[order[:-1]] >= TIMES_THE_NEXT * times[order[1:]]
    common = np.flatnonzero(falls & (times[order[:-1]] >= REPEATED_VALUE * len(column)))
    if not len(common) or len(values) - common[-1] - 1 < FEW_VALUES:
        return ""
    shares = (
        f"{values[i]:g} in {percent(times[i] / len(column))}" for i in order[: common[-1] + 1]
    )
    return " and ".join(shares)


def are_directions(source: Source | None) -> bool:
    """Whether all of the first observations, of two or more features, have length 1."""
    if source is None or source.shape[1] < 2 or source.summary.n_missing:
        return False
    values = source.in_memory(slice(MOST_ROWS)).values
    squares = np.einsum("nd,nd->n", values, values, dtype=np.float64)
    return bool((np.abs(np.sqrt(squares) - 1.0) <= LENGTH_ROUNDING).all())


def log_scale(source: Source | None) -> LogScale:
    """Return the normal model with logarithms of features that are closer to normal then.

    There is none for measured data: criteria of intervals are of probabilities, not of densities.
    """
    if source is None or source.shape[0] > MOST_ROWS or source.summary.n_missing:
        return LogScale()
    sample = source.in_memory()
    if sample.rows.side.measurement is not None:
        return LogScale()
    rows = np.array(sample.values, dtype=np.float64)
    weights = np.ones(len(rows)) if sample.weights is None else np.asarray(sample.weights)
    names = column_names(source.columns, rows.shape[1])
    skewed, volume = [], 0.0
    # Values that overflow are not compared.
    with np.errstate(all="ignore"):
        for d in np.flatnonzero(source.summary.minimum > 0.0):
            logs = np.log(rows[:, d])
            mean = float(np.average(logs, weights=weights))
            # The log likelihood per observation is minus log(deviation) minus the mean logarithm.
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
    """Return the maximum log likelihood of a normal; not finite for collinear features."""
    covariance = np.atleast_2d(np.cov(rows.T, aweights=weights, ddof=0))
    deviations = np.sqrt(np.diagonal(covariance))
    correlations = covariance / np.outer(deviations, deviations)
    if not np.isfinite(correlations).all():
        return np.nan
    values = np.linalg.eigvalsh(correlations)
    if values[0] < COLLINEAR:
        return np.nan
    log_determinant = np.log(values).sum() + 2.0 * np.log(deviations).sum()
    per_observation = len(values) * (np.log(2.0 * np.pi) + 1.0) + log_determinant
    return float(-0.5 * weights.sum() * per_observation)


def _deviation(column: Array, weights: Array) -> float:
    return float(np.sqrt(np.cov(column, aweights=weights, ddof=0)))
