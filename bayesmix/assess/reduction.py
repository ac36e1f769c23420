"""Reduction of normal mixtures: pairs are merged where this costs least (Runnalls 2007)."""

from __future__ import annotations

import numpy as np

from bayesmix.numerics.arrays import Array, Integers


def reduced(
    weights: Array, means: Array, covariances: Array, n_components: int
) -> tuple[Array, Array, Array, Integers, float]:
    """Return fewer weights, means and covariances, the group of each component, and the cost.

    The pair (i, j) is merged whose mean and covariance are preserved with the least B(i, j) =
    ½ [(w_i + w_j) log |P_ij| - w_i log |P_i| - w_j log |P_j|], an upper bound of the increase of
    KL(mixture ‖ reduced mixture) (Runnalls 2007, eq. 23). The cost is the sum of these bounds.
    """
    weights, means, covariances = weights.copy(), means.copy(), covariances.copy()
    groups: list[list[int]] = [[k] for k in range(len(weights))]
    logs, cost = np.linalg.slogdet(covariances)[1], 0.0
    bounds = np.full((len(weights), len(weights)), np.inf)
    for k in range(1, len(weights)):
        bounds[k, :k] = _bounds(k, np.arange(k), weights, means, covariances, logs)
    while len(weights) > n_components:
        second, first = np.unravel_index(int(bounds.argmin()), bounds.shape)
        cost += float(bounds[second, first])
        weight, mean, covariance = _merged(first, second, weights, means, covariances)
        weights[first], means[first], covariances[first] = weight, mean, covariance
        logs[first] = np.linalg.slogdet(covariance)[1]
        groups[first] += groups.pop(second)
        weights, logs = np.delete(weights, second), np.delete(logs, second)
        means, covariances = np.delete(means, second, 0), np.delete(covariances, second, 0)
        bounds = np.delete(np.delete(bounds, second, 0), second, 1)
        others = np.delete(np.arange(len(weights)), first)
        values = _bounds(first, others, weights, means, covariances, logs)
        bounds[np.maximum(others, first), np.minimum(others, first)] = values
    order = np.argsort(-weights, kind="stable")
    labels = np.empty(sum(map(len, groups)), dtype=np.int64)
    for place, k in enumerate(order):
        labels[groups[k]] = place
    return weights[order], means[order], covariances[order], labels, cost


def _merged(
    first: int | np.integer,
    others: int | np.integer | Integers,
    weights: Array,
    means: Array,
    covariances: Array,
) -> tuple[Array, Array, Array]:
    """Return weights, means and covariances of one component merged with each of others."""
    total = weights[first] + weights[others]
    share = np.asarray(weights[others] / total)[..., None]
    away = means[others] - means[first]
    mean = means[first] + share * away
    within = (1.0 - share[..., None]) * covariances[first] + share[..., None] * covariances[others]
    between = (share * (1.0 - share))[..., None] * away[..., :, None] * away[..., None, :]
    return total, mean, within + between


def _bounds(
    first: int | np.integer,
    others: Integers,
    weights: Array,
    means: Array,
    covariances: Array,
    logs: Array,
) -> Array:
    """Return the costs of merging a component with each of others."""
    total, _, merged = _merged(first, others, weights, means, covariances)
    apart = weights[first] * logs[first] + weights[others] * logs[others]
    return 0.5 * (total * np.linalg.slogdet(merged)[1] - apart)
