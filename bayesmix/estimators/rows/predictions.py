"""What estimators say of every row of a chunk, from the result of their fit."""

from __future__ import annotations

import numpy as np
from scipy.special import entr

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.records import Rows
from bayesmix.workflow.result import FitResult


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
