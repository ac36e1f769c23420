"""What estimators say of every row of a chunk, from the result of their fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np
from scipy.special import entr

from bayesmix.engine.device_passes import device_shares
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.namespaces import beside, together
from bayesmix.protocols import Source
from bayesmix.records import Rows
from bayesmix.sources import PartitionedSource
from bayesmix.workflow.far import limits
from bayesmix.workflow.result import FitResult

PerRow = TypeVar("PerRow", bound="Array | Integers")


@dataclass(frozen=True)
class Said(Generic[PerRow]):
    """What is said of the rows of a chunk, here or where they lie."""

    result: FitResult
    say: Callable[[FitResult, Rows], PerRow]

    def __call__(self, rows: Rows) -> PerRow:
        return self.say(self.result, rows)

    def on_device(self, values: Any, weights: Array | None) -> Any | None:
        """The same on a device, where a normal density can be looked at there."""
        result = self.result
        mixture = result.mixture if self.say is responsibilities else result.density
        if self.say not in (log_densities, probabilities, labels, responsibilities):
            return None
        if mixture.frame.flat is not None or not result.family.continuous:
            return None
        found = device_shares(mixture, values, limits(mixture, result.family))
        if found is None:
            return None
        xp, shares, log_normaliser = found
        if self.say is log_densities:
            return log_normaliser - result.log_volume
        return xp.argmax(shares, axis=1) if self.say is labels else shares


def said_there(result: FitResult, source: Source, say: Any, X: Any) -> Any:
    """What is said of the rows X, part by part, as one array of the library of X, beside it."""
    parts = cast("PartitionedSource", source).said(Said(result, say), result.n_components)
    return together([beside(part, X) if isinstance(part, np.ndarray) else part for part in parts])


def log_densities(result: FitResult, rows: Rows) -> Array:
    """Log densities (n,)."""
    return result.log_density(rows.values)


def total_log_density(result: FitResult, rows: Rows) -> Array:
    """Σ w log density, over rows that count, and Σ w."""
    weights = rows.weights_or_ones
    counted = weights > 0
    total = (result.log_density(rows.values)[counted] * weights[counted]).sum()
    return np.array([total, weights.sum()])


def probabilities(result: FitResult, rows: Rows) -> Array:
    """Normalised terms of the density (n, K)."""
    return result.probabilities(rows.values)


def labels(result: FitResult, rows: Rows) -> Integers:
    """Most probable components (n,), -1 for noise."""
    return result.labels(rows.values)


def entropies(result: FitResult, rows: Rows) -> Array:
    """The entropy of those terms (n,), in nats."""
    found: Array = entr(result.probabilities(rows.values)).sum(axis=1)
    return found


def responsibilities(result: FitResult, rows: Rows) -> Array:
    """q(Z) (n, K)."""
    return result.responsibilities(rows.values)
