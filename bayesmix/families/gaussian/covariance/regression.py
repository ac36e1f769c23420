"""Conditional normal distributions: slopes and covariances given some columns."""

from __future__ import annotations

import numpy as np

from bayesmix.families.gaussian.covariance.models import Algebra
from bayesmix.numerics.arrays import Array, Integers


def regress(
    algebra: Algebra, blocks: Array, columns: Integers, given: Integers
) -> tuple[Array | float, Array]:
    """Return Σ_cg Σ_gg⁻¹ (B, C, G), or 0 for diagonals, and conditional covariance blocks.

    Bishop 2006, eq. 2.81 and 2.82.
    """
    if algebra.diagonal:
        return 0.0, algebra.select(blocks, columns)
    # Factorising the given columns first leaves the conditional covariance as a square.
    factor = algebra.factor(algebra.select(blocks, np.concatenate([given, columns])))
    n_given = len(given)
    across = factor[:, n_given:, :n_given]
    within = factor[:, :n_given, :n_given]
    slopes = np.linalg.solve(np.swapaxes(within, 1, 2), np.swapaxes(across, 1, 2))
    return np.swapaxes(slopes, 1, 2), algebra.gram(factor[:, n_given:, n_given:])


def regressed(
    means: Array, slopes: Array | float, columns: Integers, given: Integers, values: Array
) -> Array:
    """Return m_k + B_k (x_given - m_k,given) (n, K, C) for values of the given columns (n, G).

    ``slopes`` are (K, C, G), (1, C, G) if shared, or 0.
    """
    n_components = len(means)
    column_means = means[:, columns]
    if np.isscalar(slopes):
        return np.broadcast_to(column_means, (len(values), *column_means.shape))
    by_component = np.broadcast_to(slopes, (n_components, len(columns), len(given)))
    out = np.empty((len(values), *column_means.shape))
    for k in range(n_components):
        out[:, k] = column_means[k] + (values - means[k, given]) @ by_component[k].T
    return out
