"""Draws from the predictive density of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.core import validation
from bayesmix.core.mixture import Mixture
from bayesmix.em.prediction import NOISE
from bayesmix.numerics.arrays import Array, Integers

if TYPE_CHECKING:
    from bayesmix.core.components import (
        Predictive,
    )


# Memory of a sample, in arrays of its size.
ARRAYS_OF_A_SAMPLE = 3.0


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
    values = density.drawn(counts, generator)
    labels = np.repeat(np.arange(density.n_components), counts)
    if noise is None:
        return values, labels
    values = np.vstack([values, noise.density.draw(n_noise, generator)])
    return values, np.append(labels, np.full(n_noise, NOISE))


def drawn_in(
    density: Mixture[Predictive], numbers: Array, generator: np.random.Generator
) -> tuple[Array, Integers]:
    """Draw an observation for each row of numbers of trials, or of totals, and their labels."""
    components: Any = density.components
    n, K = len(numbers), density.n_components
    labels = generator.choice(K, n, p=density.weights.mean())
    order = np.argsort(labels, kind="stable")
    values = np.empty((n, len(density.frame.centre)))
    counts = np.bincount(labels, minlength=K)
    values[order] = components.draw_in(numbers[order], counts, generator)
    return values, labels
