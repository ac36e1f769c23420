"""What estimators say of every row: picklable steps for sources."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import entr

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.records import Rows
from bayesmix.workflow.result import FitResult


@dataclass(frozen=True)
class LogDensityStep:
    """Rows to log densities."""

    result: FitResult

    def __call__(self, rows: Rows) -> Array:
        return self.result.log_density(rows.values)


@dataclass(frozen=True)
class ProbabilityStep:
    """Rows to normalised terms of the density."""

    result: FitResult

    def __call__(self, rows: Rows) -> Array:
        return self.result.probabilities(rows.values)


@dataclass(frozen=True)
class LabelStep:
    """Rows to most probable components."""

    result: FitResult

    def __call__(self, rows: Rows) -> Integers:
        labels: Integers = self.result.probabilities(rows.values).argmax(axis=1)
        return labels


@dataclass(frozen=True)
class EntropyStep:
    """Rows to the entropy of those terms, in nats."""

    result: FitResult

    def __call__(self, rows: Rows) -> Array:
        entropies: Array = entr(self.result.probabilities(rows.values)).sum(axis=1)
        return entropies


@dataclass(frozen=True)
class ResponsibilityStep:
    """Rows to q(Z)."""

    result: FitResult

    def __call__(self, rows: Rows) -> Array:
        return self.result.responsibilities(rows.values)
