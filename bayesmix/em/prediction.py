"""Densities and probabilities of data at any distance.

Distances whose squares would overflow, beyond about 1e150 standard deviations, are clipped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from bayesmix.core import validation
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import NO_SIDE_INFORMATION, Rows, SideInformation
from bayesmix.em.expectation import Assessment, AssessmentStep
from bayesmix.numerics.arrays import Array, Integers

if TYPE_CHECKING:
    from bayesmix.core.components import (
        Densities,
        FarDensities,
        Predictive,
    )
    from bayesmix.core.families import Family


# Longest distance, in standard deviations, whose sums of squares do not overflow.
LONGEST = 1e150


def described(mixture: Mixture[Densities], rows: Rows, family: Family) -> tuple[Array, Array]:
    """Return probabilities (n, K) of data in data units, and log densities (n,) in nats.

    They are densities of what was seen, for counts log P(x). Noise, if any, is the last column of
    (n, K + 1).
    """
    near = within_reach(mixture, rows, family)
    shares, log_density = mixture.responsibilities(near)
    if family.continuous:
        log_density = log_density - near.observation.log_volume(mixture, near)
    return shares, log_density


def within_reach(mixture: Mixture[Densities], rows: Rows, family: Family) -> Rows:
    """Return samples with distances clipped where their squares would overflow."""
    values = np.asarray(rows.values)
    if not has_far_rows(mixture, values, family):
        return rows
    near = np.clip(values, *cast("tuple[Array, Array]", limits(mixture, family)))
    return replace(rows, values=near)


def has_far_rows(mixture: Mixture[Densities], values: Array, family: Family) -> bool:
    """Whether squared distances may overflow."""
    bounds = limits(mixture, family)
    if bounds is None:
        return False
    lowest, highest = bounds
    farthest = np.fmax.reduce(values, axis=0), np.fmin.reduce(values, axis=0)
    return bool((farthest[0] > highest).any() or (farthest[1] < lowest).any())


def limits(mixture: Mixture[Densities], family: Family) -> tuple[Array, Array] | None:
    """Return the lowest and highest values (D,) whose squared distances are finite; None: any."""
    if not family.far_densities:
        return None
    frame = mixture.frame
    limit = _reach(cast("FarDensities", mixture.components), frame.n_directions) * frame.scale
    return frame.centre - limit, frame.centre + limit


def log_density(
    mixture: Mixture[Densities],
    values: Array,
    family: Family,
    side: SideInformation = NO_SIDE_INFORMATION,
) -> Array:
    """Return log p(x) (n,) of the observed cells in nats and data units; for counts log P(x)."""
    return described(mixture, Rows(values, side=side), family)[1]


def _reach(components: FarDensities, n_features: int) -> float:
    """Return the radius, in the frame, within which squared distances are finite."""
    largest = max(1.0, float(np.abs(components.precision_root).max()))
    return LONGEST / (4.0 * n_features * largest)


def at_any_distance(family: Family, mixture: Mixture, rows: Rows) -> Assessment:
    """Return the assessment of a chunk; distances are clipped where their squares overflow."""
    return AssessmentStep(mixture)(within_reach(mixture, rows, family))


# Label of noise.
NOISE = -1


# Memory of a sample, in arrays of its size.
ARRAYS_OF_A_SAMPLE = 3.0


def most_probable(shares: Array, n_components: int) -> Integers:
    """Return the most probable component (n,), -1 for noise, the last of (n, K + 1)."""
    most: Integers = shares.argmax(axis=1)
    return most if shares.shape[1] == n_components else np.where(most < n_components, most, NOISE)


def drawn_from(
    density: Mixture[Predictive], n: int, generator: np.random.Generator
) -> tuple[Array, Integers]:
    """Draw n observations, and their labels, from a mixture: sorted by label, noise last."""
    n_features = len(density.frame.centre)
    n_bytes = 8.0 * n * (ARRAYS_OF_A_SAMPLE * n_features + 1)
    validation.in_memory(f"n_samples={n:,}", n_bytes, "sample in parts")
    noise = density.noise
    n_noise = 0 if noise is None else int(generator.binomial(n, noise.weight))
    counts = generator.multinomial(n - n_noise, density.weights.mean())
    values = density.frame.undo(density.components.draw(counts, generator))
    labels = np.repeat(np.arange(density.n_components), counts)
    if noise is None:
        return values, labels
    values = np.vstack([values, noise.density.draw(n_noise, generator)])
    return values, np.append(labels, np.full(n_noise, NOISE))
