"""Predictions of a fitted estimator for data in memory, by chunk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from scipy.special import entr

from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.rows import NO_SIDE_INFORMATION, Rows, SideInformation
from bayesmix.em.result import DensitySums, FitResult, assess
from bayesmix.numerics.arrays import Array, Integers

if TYPE_CHECKING:
    from bayesmix.core.sources import Source

PerRow = TypeVar("PerRow", bound="Array | Integers")


# Predictions that can be computed on a device.
ON_DEVICE = (
    FitResult.log_density,
    FitResult.probabilities,
    FitResult.labels,
    FitResult.responsibilities,
)


@dataclass(frozen=True)
class Prediction(Generic[PerRow]):
    """A method of ``FitResult`` applied to a chunk, in memory or on a device."""

    result: FitResult
    method: Callable[..., PerRow]

    def __call__(self, rows: Rows) -> PerRow:
        side = rows.side.of_predictions
        given = [side] if side or side.measurement is not None else []
        return self.method(self.result, rows.values, *given)

    def on_device(self, values: Any, weights: Array | None) -> Any | None:
        """Return the prediction computed on the device; None if only NumPy can."""
        from bayesmix.sources.device_steps import device_shares

        result = self.result
        mixture = result.mixture if self.method is FitResult.responsibilities else result.density
        usable = mixture.frame.flat is None and result.family.continuous
        if self.method not in ON_DEVICE or not usable:
            return None
        from bayesmix.em.prediction import limits

        computed = device_shares(mixture, values, limits(mixture, result.family))
        if computed is None:
            return None
        xp, shares, log_normaliser = computed
        if self.method is FitResult.log_density:
            return log_normaliser - result.log_volume
        return xp.argmax(shares, axis=1) if self.method is FitResult.labels else shares


def in_memory(result: FitResult, source: Source, method: Callable[..., PerRow]) -> PerRow:
    """Return predictions for a source."""
    with single_threaded_blas():
        return source.map(Prediction(result, method), result.n_components)


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
