"""Densities and probabilities of known classes, each a component or a mixture."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from scipy.special import logsumexp

from bayesmix.allocation.point import PointWeights
from bayesmix.core.mixture import Mixture
from bayesmix.em.prediction import log_density
from bayesmix.em.result import FitResult
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.sources.memory import ArraySource


def density_over_classes(joint: Array) -> Array:
    """Return log densities (n,) of log joint densities (n, G)."""
    density: Array = logsumexp(joint, axis=1)
    return density


def normalised(joint: Array) -> Array:
    """Return log probabilities (n, G) of the classes from log joint densities."""
    return joint - density_over_classes(joint)[:, None]


def bic_of_densities(result: FitResult, source: ArraySource) -> float:
    """Return the log density of the data minus half BIC's penalty, without class probabilities."""
    density = result.log_density(np.asarray(source.values))
    n_parameters = result.n_parameters - (result.n_components - 1)
    penalty = 0.5 * n_parameters * np.log(source.total_weight)
    return float(source.rows.weights_or_ones @ density - penalty)


def brier_score(result: FitResult, values: Array, classes: Integers) -> float:
    """Return the summed squared errors of the probabilities of classes, each a component."""
    joint = log_densities(by_component(result), values) + np.log(result.mixture.mean_weights)
    probabilities = np.exp(normalised(joint))
    return float(((probabilities - np.eye(result.n_components)[classes]) ** 2).sum())


def by_component(result: FitResult) -> list[tuple[Any, Any]]:
    """Return the predictive density of each component and its family."""
    mixture, density_of = result.mixture, cast("Any", Mixture)
    components = [mixture.components.subset(np.array([k])) for k in range(result.n_components)]
    weights = PointWeights(np.ones(1))
    return [
        (density_of(weights, component.predictive(), mixture.frame), result.family)
        for component in components
    ]


def log_densities(densities: list[tuple[Any, Any]], values: Array) -> Array:
    """Return log p(x | class) (n, G) in data units."""
    return np.column_stack([log_density(density, values, family) for density, family in densities])
