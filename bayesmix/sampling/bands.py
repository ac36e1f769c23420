"""Credible bands of a density: where the densities of draws lie, row by row or as a whole."""

from __future__ import annotations

import math

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.sampling.draws import Draws
from bayesmix.sampling.partition import conditional_means
from bayesmix.sampling.posterior import log_densities_at, mixtures_of, posterior_draws
from bayesmix.sources import ArraySource
from bayesmix.workflow.result import FitResult

# Rows times draws that are held at a time.
BLOCK_VALUES = 2**22


def density_band(
    result: FitResult,
    source: ArraySource,
    level: float,
    simultaneous: bool,
    n_draws: int,
    seed: int,
) -> Array:
    """Lower and upper ends (n, 2) of the density; see ``density_interval`` of the estimators.

    Pointwise the quantiles over draws. Simultaneous: mean ± factor · standard deviation of the log
    density over draws, the factor the smallest for which ``level`` of the drawn curves lie inside
    at all rows.
    """
    _check_draws(n_draws, level)
    draws = posterior_draws(result, n_draws, seed)
    ends = _simultaneous if simultaneous else _pointwise
    return np.exp(ends(result, source, level, draws))


def conditional_band(
    result: FitResult,
    columns: Integers,
    given: Integers,
    values: Array,
    level: float,
    n_draws: int,
    seed: int,
) -> Array:
    """Ends (n, C, 2) of E[x_columns | x_given] at rows: quantiles over draws."""
    _check_draws(n_draws, level)
    draws = posterior_draws(result, n_draws, seed)
    mixtures = list(mixtures_of(result, draws))
    band = np.empty((len(values), len(columns), 2))
    size = max(1, BLOCK_VALUES // (n_draws * len(columns)))
    for start in range(0, len(values), size):
        rows = slice(start, start + size)
        means = [conditional_means(each, columns, given, values[rows]) for each in mixtures]
        band[rows] = np.moveaxis(np.quantile(means, _tails(level), axis=0), 0, -1)
    return band


def _pointwise(result: FitResult, source: ArraySource, level: float, draws: Draws) -> Array:
    band = np.empty((source.shape[0], 2))
    for rows in _blocks(source, draws):
        densities = log_densities_at(result, draws, source.subset(rows))
        band[rows] = np.quantile(densities, _tails(level), axis=1).T
    return band


def _simultaneous(result: FitResult, source: ArraySource, level: float, draws: Draws) -> Array:
    middle, spread = np.empty(source.shape[0]), np.empty(source.shape[0])
    furthest = np.zeros(draws.n_draws)
    for rows in _blocks(source, draws):
        densities = log_densities_at(result, draws, source.subset(rows))
        middle[rows], spread[rows] = densities.mean(axis=1), densities.std(axis=1)
        densities -= middle[rows, None]
        # Where all draws agree nothing is away from them.
        densities /= np.where(spread[rows] > 0.0, spread[rows], 1.0)[:, None]
        np.maximum(furthest, np.abs(densities).max(axis=0), out=furthest)
    # The smallest number that is no less than ``level`` of them.
    inside = max(1, math.ceil(level * draws.n_draws - 1e-9))
    factor = np.partition(furthest, inside - 1)[inside - 1]
    return np.column_stack([middle - factor * spread, middle + factor * spread])


def _blocks(source: ArraySource, draws: Draws) -> list[slice]:
    size = max(1, BLOCK_VALUES // draws.n_draws)
    return [slice(start, start + size) for start in range(0, source.shape[0], size)]


def _tails(level: float) -> tuple[float, float]:
    return (1.0 - level) / 2.0, (1.0 + level) / 2.0


def _check_draws(n_draws: int, level: float) -> None:
    fewest = math.ceil(2.0 / (1.0 - level) - 1e-9)
    if n_draws < fewest:
        raise InvalidInputError(
            f"n_draws must be at least {fewest} for level={level:g}: fewer draws do not reach its "
            f"ends, got {n_draws}"
        )
