"""The E-step on the device that holds the data, in any array library.

Sums are made in float64, and a pass copies only statistics of the K components to the host.
Mixtures with noise and families that are not ``Portable`` run on the host.
"""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

import numpy as np

from bayesmix.core.components import Components
from bayesmix.core.mixture import ChunkSums, FeatureSums, Mixture
from bayesmix.core.rows import Frame
from bayesmix.em.expectation import Assessment, AssessmentStep, ExpectationStep
from bayesmix.em.sequence_sums import MOST_HELD
from bayesmix.numerics.arrays import Array, normalised
from bayesmix.numerics.device_arrays import as_doubles, beside, host
from bayesmix.sources.devices import DeviceStep, Portable


def framed(xp: Any, values: Any, frame: Frame) -> Any:
    """Transform observations (n, D) to a frame (n, D')."""
    inside = (values - beside(frame.centre, values)) * beside(frame.inverse_scale, values)
    return inside if frame.basis is None else inside @ beside(frame.basis, values)


def can_go_there(mixture: Mixture[Components]) -> bool:
    """Whether the E-step of the mixture can run on a device."""
    return mixture.noise is None and isinstance(mixture.components, Portable)


def log_joint(xp: Any, mixture: Mixture[Any], values: Any) -> Any:
    """Return E[log π_k] + E[log p(x | θ_k)] (n, K) of framed observations, in centred form."""
    log_density = mixture.components.on_device.log_density(xp, values)
    return log_density + beside(mixture.finite_log_weights, values)


def device_sums(
    mixture: Mixture[Any], linear: bool, X: Any, weights: Array | None
) -> ChunkSums | None:
    """Run the E-step in data units; None if only NumPy can."""
    if not can_go_there(mixture):
        return None
    xp, doubles = as_doubles(X)
    values, forms = framed(xp, doubles, mixture.frame), mixture.components.on_device
    features = forms.features(xp, values) if linear else None
    if linear:
        joint = features @ beside(np.ascontiguousarray(mixture.coefficients.T), values)
    else:
        joint = log_joint(xp, mixture, values)
    shares, log_normaliser = normalised(xp, joint)
    weight = float(X.shape[0]) if weights is None else float(weights.sum())
    if weights is not None:
        device_weights = beside(weights, values)
        shares, log_normaliser = shares * device_weights[:, None], log_normaliser * device_weights
    total = float(xp.sum(log_normaliser))
    magnitude = weight + float(xp.sum(xp.abs(log_normaliser)))
    if linear:
        sums = FeatureSums(mixture.linear, host(xp.matrix_transpose(shares) @ features))
        return ChunkSums(total, magnitude, sums)
    return ChunkSums(total, magnitude, forms.statistics(xp, values, shares))


def device_shares(
    mixture: Mixture[Any], X: Any, limits: tuple[Array, Array] | None
) -> tuple[Any, Any, Any] | None:
    """Return the namespace, responsibilities (n, K) and log normaliser (n,) in the frame.

    None if only NumPy can, as for values beyond ``limits`` (lowest, highest).
    """
    if not can_go_there(mixture):
        return None
    xp, doubles = as_doubles(X)
    if limits is not None:
        lowest, highest = (host(find(doubles, axis=0)) for find in (xp.min, xp.max))
        if (lowest < limits[0]).any() or (highest > limits[1]).any():
            return None
    return xp, *normalised(xp, log_joint(xp, mixture, framed(xp, doubles, mixture.frame)))


def on_device(step: Any, values: Any, weights: Array | None) -> Any | None:
    """Run a step on the device that holds a partition; None if only NumPy can."""
    match step:
        case ExpectationStep():
            return device_sums(step.mixture, step.arithmetic.watched, values, weights)
        case AssessmentStep():
            return _assessed(step, values, weights)
        case DeviceStep():
            return step.on_device(values, weights)
    return None


def _assessed(step: AssessmentStep, values: Any, weights: Array | None) -> Assessment | None:
    allocation = device_shares(step.mixture, values, None)
    if allocation is None:
        return None
    _, shares, log_normaliser = allocation
    n_rows, n_components = shares.shape
    counted = np.ones(n_rows) if weights is None else weights
    size = max(1, MOST_HELD // n_components)  # few responsibilities at a time on the host
    blocks = [slice(a, min(a + size, n_rows)) for a in range(0, n_rows, size)]
    parts = ((host(shares[b, :]), host(log_normaliser[b]), counted[b]) for b in blocks)
    return reduce(add, (step.sums(*part) for part in parts))
