"""Predictions of a fitted estimator for data in memory, by chunk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.rows import Rows
from bayesmix.em.prediction import limits
from bayesmix.em.result import FitResult
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.sources.device_steps import device_shares

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
        result = self.result
        mixture = result.mixture if self.method is FitResult.responsibilities else result.density
        usable = mixture.frame.is_whole and result.family.continuous
        if self.method not in ON_DEVICE or not usable:
            return None
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
