"""Credible bands of a density: where the densities of draws lie, row by row or as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, TypeAlias

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.protocols import Source
from bayesmix.sampling.density.partition import conditional_means, marginal
from bayesmix.sampling.draws.mixtures import DrawnMixtures
from bayesmix.workflow.far import log_density

# Rows times draws that are held at a time.
BLOCK_VALUES = 2**22
LEAST_LOG = math.log(np.finfo(float).tiny)

# a slice of the rows -> log densities (rows, S) in data units
LogDensities: TypeAlias = Callable[[slice], Array]


def density_band(drawn: DrawnMixtures, source: Source, level: float, simultaneous: bool) -> Array:
    """Lower and upper ends (n, 2) of the density; see ``density_interval`` of the estimators.

    Pointwise the quantiles over draws. Simultaneous: mean ± factor · standard deviation of the log
    density over draws, the factor the smallest for which ``level`` of the drawn curves lie inside
    at all rows.
    """

    def log_densities(rows: slice) -> Array:
        return drawn.log_densities(source.subset(rows))

    return _band(log_densities, source.shape[0], drawn.n_draws, level, simultaneous)


def hull(bands: Sequence[Array]) -> Array:
    """Ends (n, 2) of what holds all of some bands."""
    lower, upper = np.moveaxis(np.array(bands), -1, 0)
    return np.column_stack([lower.min(axis=0), upper.max(axis=0)])


def marginal_band(drawn: DrawnMixtures, columns: Integers, values: Array, level: float) -> Array:
    """Ends (n, 2) of the density of some columns alone at values (n, C), pointwise."""
    mixtures = [marginal(each, columns) for each in drawn.mixtures()]
    family = drawn.result.family

    def log_densities(rows: slice) -> Array:
        return np.column_stack([log_density(each, values[rows], family) for each in mixtures])

    return _band(log_densities, len(values), len(mixtures), level, False)


def conditional_band(
    drawn: DrawnMixtures, columns: Integers, given: Integers, values: Array, level: float
) -> Array:
    """Ends (n, C, 2) of E[x_columns | x_given] at rows: quantiles over draws."""
    check_draws(drawn.n_draws, level)
    mixtures = list(drawn.mixtures())
    band = np.empty((len(values), len(columns), 2))
    size = max(1, BLOCK_VALUES // (drawn.n_draws * len(columns)))
    for start in range(0, len(values), size):
        rows = slice(start, start + size)
        means = [conditional_means(each, columns, given, values[rows]) for each in mixtures]
        band[rows] = np.moveaxis(np.quantile(means, tails(level), axis=0), 0, -1)
    return band


def tails(level: float) -> tuple[float, float]:
    """The two quantiles between which the share ``level`` lies, as much below as above."""
    return (1.0 - level) / 2.0, (1.0 + level) / 2.0


def checked_level(value: Any) -> float:
    """A level as a number above 0 and below 1."""
    number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if not number or not 0.0 < float(value) < 1.0:
        raise InvalidInputError(
            f"level must be a number above 0 and below 1, such as 0.9, got {value!r}"
        )
    return float(value)


def check_draws(n_draws: int, level: float) -> None:
    """Refuse draws too few for their quantiles to reach the ends of a level."""
    fewest = math.ceil(2.0 / (1.0 - level) - 1e-9)
    if n_draws < fewest:
        raise InvalidInputError(
            f"n_draws must be at least {fewest} for level={level:g}: fewer draws do not reach its "
            f"ends, got {n_draws}"
        )


def _band(
    log_densities: LogDensities, n_rows: int, n_draws: int, level: float, simultaneous: bool
) -> Array:
    check_draws(n_draws, level)
    size = max(1, BLOCK_VALUES // n_draws)
    blocks = [slice(start, start + size) for start in range(0, n_rows, size)]
    if simultaneous:
        return np.exp(_simultaneous(log_densities, blocks, n_rows, n_draws, level))
    # A density of zero has a logarithm that quantiles can be taken between.
    logs = (np.maximum(log_densities(rows), np.finfo(float).min) for rows in blocks)
    quantiles = [np.quantile(each, tails(level), axis=1).T for each in logs]
    band: Array = np.exp(np.concatenate(quantiles))
    return band


def _simultaneous(
    log_densities: LogDensities, blocks: list[slice], n_rows: int, n_draws: int, level: float
) -> Array:
    middle, spread = np.empty(n_rows), np.empty(n_rows)
    furthest = np.zeros(n_draws)
    for rows in blocks:
        # What is below rounds to a density of 0, and may have no mean.
        densities = np.maximum(log_densities(rows), LEAST_LOG)
        middle[rows], spread[rows] = densities.mean(axis=1), densities.std(axis=1)
        densities -= middle[rows, None]
        # Where all draws agree nothing is away from them.
        densities /= np.where(spread[rows] > 0.0, spread[rows], 1.0)[:, None]
        np.maximum(furthest, np.abs(densities).max(axis=0), out=furthest)
    # The smallest number that is no less than ``level`` of them.
    inside = max(1, math.ceil(level * n_draws - 1e-9))
    factor = np.partition(furthest, inside - 1)[inside - 1]
    return np.column_stack([middle - factor * spread, middle + factor * spread])
