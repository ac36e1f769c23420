"""Mean log densities, sums for criteria, and entropies of predictions."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import entr

from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.rows import NO_SIDE_INFORMATION, Rows, SideInformation
from bayesmix.em.result import DensitySums, FitResult, assess
from bayesmix.numerics.arrays import Array

if TYPE_CHECKING:
    from bayesmix.core.sources import Source


def mean_log_density(result: FitResult, source: Source) -> float:
    """Return the mean log density of a source, weighted, in nats."""
    with single_threaded_blas():
        total, weight = source.reduce(partial(_log_density, result), result.n_components)
    return float(total / weight)


def _log_density(result: FitResult, rows: Rows) -> Array:
    """Return Σ w log density over samples of positive weight, and Σ w."""
    weights = rows.weights_or_ones
    counted = weights > 0
    log_density = result.log_density(rows.values, rows.side.of_predictions)
    total = (log_density[counted] * weights[counted]).sum()
    return np.array([total, weights.sum()])


def density_sums(result: FitResult, source: Source) -> DensitySums:
    """Return the sums over a source that criteria need, at the point estimate."""
    with single_threaded_blas():
        point = replace(result.plug_in, weights=result.mixture.weights.averaged())
        return assess(result.family, point, source, result.log_volume)


def entropies(
    result: FitResult, values: Array, side: SideInformation = NO_SIDE_INFORMATION
) -> Array:
    """Return entropies (n,) of the component probabilities, in nats."""
    return entr(result.probabilities(values, side)).sum(axis=1)
