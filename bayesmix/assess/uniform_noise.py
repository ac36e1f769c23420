"""Uniform noise beside the components of a fit, and its gain in held-out density.

Normal components describe scattered observations by a wide one among them, or by wider ones. A
mixture with noise is fitted once, from the fit, without the components that noise replaces.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.allocation.noise import UniformNoise, hypervolume
from bayesmix.assess.held_out import held_out_densities
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Rows
from bayesmix.em.result import FitResult
from bayesmix.numerics.arrays import Array
from bayesmix.posterior.predictions import in_memory
from bayesmix.search.fit import fit
from bayesmix.selection.scores import Fold, HeldOut, Score
from bayesmix.sources.memory import ArraySource
from bayesmix.starts.noise_starts import NoiseOfFit
from bayesmix.starts.responsibilities import Given

# Passes in which the weight of the noise settles between fixed components.
PASSES = 50
NO_GAIN = Score(-np.inf)


@dataclass(frozen=True)
class StartWithNoise:
    """Responsibilities (n, K) beside noise, and the gain in log likelihood less that by chance."""

    shares: Array
    gain: float


def gain_of_noise(candidate: Any, source: ArraySource, splits: Sequence[Fold]) -> Score:
    """Return the gain in held-out log density of uniform noise beside a fit's components.

    It is minus infinity, without a fit, where noise gains less on fixed components than half of the
    logarithm of n for each further parameter (BIC), and where most observations would be noise.
    """
    result, weights = candidate.result_, source.rows.weights_or_ones
    values = np.asarray(source.values)
    discrete = [
        not result.family.marginal(np.array([d])).continuous for d in range(values.shape[1])
    ]
    # The box is that of all data, as its limits are observations, which a fold may hold out.
    box = hypervolume(values, np.array(discrete))
    if not np.isfinite(box.log_volume):
        return NO_GAIN
    start = max(starts_with_noise(result, values, weights, box), key=lambda start: start.gain)
    if not start.gain > 0.0:
        return NO_GAIN
    whole = _fitted(candidate, source, start.shares, box)
    probabilities = in_memory(whole, source, FitResult.probabilities)
    shares, noise = probabilities[:, :-1], probabilities[:, -1]
    if weights @ noise > 0.5 * weights.sum():  # a uniform group, such as a scale, is no noise
        return NO_GAIN
    densities = np.full(len(values), np.nan)
    for split in splits:
        fold = _fitted(candidate, source.subset(split.train), shares[split.train], box)
        densities[split.test] = in_memory(fold, source.subset(split.test), FitResult.log_density)
    plain = held_out_densities(candidate, source, splits)
    return HeldOut(densities, weights).less(HeldOut(plain, weights))


def starts_with_noise(
    result: FitResult, values: Array, weights: Array, box: UniformNoise
) -> Iterator[StartWithNoise]:
    """Yield starts without the first few components by mean log density, fewest left out first."""
    density: Mixture[Any] = result.density
    shares, log_density = density.responsibilities(Rows(values))
    prior, K = density.weights.mean(), result.n_components
    with np.errstate(divide="ignore", invalid="ignore"):
        of_components = np.log(shares) + log_density[:, None] - np.log(prior)
        spread = np.nansum(weights[:, None] * shares * of_components, axis=0)
    order = np.argsort(spread / np.maximum(weights @ shares, np.finfo(np.float64).tiny))
    log_noise = box.log_density(values) + result.log_volume
    noise = np.exp(log_noise - log_density)  # relative to the fit
    n, width = weights.sum(), result.mixture.frame.n_directions
    for n_left_out in range(K):
        left = np.sort(order[n_left_out:])
        components = shares[:, left] / prior[left].sum()
        weight = max(1.0 - prior[left].sum(), 1.0 / n)
        for _ in range(PASSES):
            total = (1.0 - weight) * components.sum(axis=1) + weight * noise
            weight = float(weights @ (weight * noise / total) / n)
        total = (1.0 - weight) * components.sum(axis=1) + weight * noise
        parameters = result.family.n_parameters
        more = 1 + len(left) - K + parameters(len(left), width) - parameters(K, width)
        gain = float(weights @ np.log(total)) - 0.5 * np.log(n) * more
        yield StartWithNoise((1.0 - weight) * components / total[:, None], gain)


def _fitted(candidate: Any, source: ArraySource, shares: Array, box: UniformNoise) -> FitResult:
    """Return the fit with noise in the box that starts at responsibilities (n, K)."""
    model = replace(
        candidate._model_of(candidate._model(), source),
        n_components=shares.shape[1],
        family=candidate.result_.family,
        noise=NoiseOfFit(box),
        prune=False,
    )
    settings = candidate._settings(model, source).continuing(Given(shares))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit(model, source, settings)
