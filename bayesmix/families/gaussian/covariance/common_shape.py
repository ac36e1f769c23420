"""M-steps of covariances that differ in volume alone (VEI, VEE), or but for their axes (VEV).

Given volumes the shape is a pooled one, so that what is left is convex in their logarithms
(Celeux & Govaert 1995 go there in turns): Newton's method, over K numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg.lapack import dposv

from bayesmix.errors import DegenerateFitError
from bayesmix.families.gaussian.covariance.m_steps import (
    NO_VARIANCE,
    along,
    determinant_roots,
    principal,
    unit_volume,
)
from bayesmix.numerics.arrays import Array, Booleans, align
from bayesmix.numerics.triangular import inverse_root

# Steps at most, and the longest: a volume that falls without end is that of a collapse.
STEPS = 30
LONGEST = 5.0
# A step this short leaves an error of its square.
SHORT = 1e-6
# A step that raises what is minimised, by more than rounding, is halved; at most so often.
HALVINGS = 30
ROUNDING = 1e-14
# Keeps what is solved regular where a component adds nothing.
RIDGE = 1e-12

# log |Σ_k S_k / λ_k| and C^-½ (S_k / λ_k) C^-½ with C that sum (K, m), from log λ (K,).
Pooled = Callable[[Array], tuple[float, Array, Array]]


def of_one_shape(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """VEI: Σ_k = λ_k B with B diagonal and |B| = 1."""
    shape = unit_volume(scatter.sum(axis=0) if previous is None else previous[0])
    per_row = counts[:, 0]
    begun = np.log(_at_least((scatter / shape).mean(axis=1) / per_row))
    # Where rows lie on one another a scatter is rounding, of either sign.
    some = np.where(_has_scatter(begun)[:, None], np.maximum(scatter, 0.0), 0.0)

    def pooled(logs: Array) -> tuple[float, Array, Array]:
        parts = some * np.exp(-logs)[:, None]
        total = np.maximum(parts.sum(axis=0), NO_VARIANCE)
        shares = parts / total
        return float(np.log(total).sum()), shares.sum(axis=1), shares

    logs = _least(pooled, per_row, scatter.shape[1], begun)
    shape = unit_volume((some * np.exp(-logs)[:, None]).sum(axis=0))
    volumes = _at_least((scatter / shape).mean(axis=1) / per_row)
    return volumes[:, None] * shape


def of_own_axes_and_volumes(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """VEV: Σ_k = λ_k D_k A D_kᵀ: of the sums of squares along the own axes, VEI."""
    squares, axes = principal(scatter)
    earlier = None if previous is None else principal(previous[:1])[0]
    return along(axes, of_one_shape(squares, counts[:, None], earlier))


def of_one_matrix(scatter: Array, counts: Array, previous: Array | None) -> Array:
    """VEE: Σ_k = λ_k C with |C| = 1; a C that has lost a direction is left as it is."""
    n_components, n_features, _ = scatter.shape
    first = scatter.sum(axis=0) if previous is None else previous[0]
    first = first / determinant_roots(first)
    try:
        squares = _seen_by(inverse_root(first[None])[0], scatter)
        begun = np.log(_at_least(np.trace(squares, axis1=1, axis2=2) / (n_features * counts)))
        some = np.where(_has_scatter(begun)[:, None, None], scatter, 0.0)

        def pooled(logs: Array) -> tuple[float, Array, Array]:
            parts = some * np.exp(-logs)[:, None, None]
            root = inverse_root(parts.sum(axis=0)[None])[0]
            shares = _seen_by(root, parts)
            log_det = -2.0 * float(np.log(np.diagonal(root)).sum())
            return log_det, np.trace(shares, axis1=1, axis2=2), shares.reshape(n_components, -1)

        logs = _least(pooled, counts, n_features, begun)
        matrix = (some * np.exp(-logs)[:, None, None]).sum(axis=0)
        matrix = matrix / determinant_roots(matrix)
        squares = _seen_by(inverse_root(matrix[None])[0], scatter)
    except DegenerateFitError:
        return np.broadcast_to(first, scatter.shape).copy()
    volumes = _at_least(np.trace(squares, axis1=1, axis2=2) / (n_features * counts))
    covariances: Array = align(volumes, scatter) * matrix
    return covariances


def _least(pooled: Pooled, counts: Array, n_features: int, begun: Array) -> Array:
    """log λ (K,) at which n log|Σ_k S_k / λ_k| + D Σ_k n_k log λ_k is least."""
    total, root = counts.sum(), np.sqrt(counts)
    wanted = n_features * counts / total
    logs = begun
    log_det, own, shares = pooled(logs)
    cost = log_det + wanted @ logs
    for _ in range(STEPS):
        slope = np.where(_has_scatter(begun), wanted - own, 0.0)
        # In log λ_k sqrt(n_k): of components with few rows no less than of others.
        scaled = shares / root[:, None]
        curvature = np.diag(own / counts + RIDGE) - scaled @ scaled.T
        # A common factor of all volumes changes nothing.
        curvature += n_features / total**2 * np.outer(root, root)
        _, scaled_step, refused = dposv(curvature, -slope / root)
        if refused:  # no scatter to speak of
            break
        step = scaled_step / root
        longest = np.abs(step).max()
        step *= min(1.0, LONGEST / max(longest, LONGEST))
        for _ in range(HALVINGS):
            found = pooled(logs + step)
            there = found[0] + wanted @ (logs + step)
            if there <= cost + ROUNDING * (abs(cost) + abs(log_det)):
                break
            step *= 0.5
        else:
            break
        logs, cost, (log_det, own, shares) = logs + step, there, found
        if longest <= SHORT:
            break
    return logs


def _seen_by(root: Array, matrices: Array) -> Array:
    """Uᵀ S_k U (K, D, D)."""
    seen: Array = root.T @ matrices @ root
    return seen


def _has_scatter(logs: Array) -> Booleans:
    found: Booleans = logs > np.log(NO_VARIANCE)
    return found


def _at_least(volumes: Array) -> Array:
    least: Array = np.maximum(volumes, NO_VARIANCE)
    return least
