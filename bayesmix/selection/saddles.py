"""Saddles of a mixture density: how far it falls between its components.

All critical points of a mixture of two elliptical densities are on a curve between their centres,
the ridgeline (Ray & Lindsay 2005). The saddle between two components is the least density of the
whole mixture on theirs. If the density is flooded and the water falls, peaks come out as islands,
which are joined at saddles, the highest first. The height of a saddle is told as a share of the
lower of the two highest peaks that it joins (Chazal et al. 2013, "Persistence-based clustering").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy.special import logsumexp

from bayesmix.core.components import elliptical
from bayesmix.numerics.arrays import Array

if TYPE_CHECKING:
    from bayesmix.core.components import PointComponents

# Points of a ridgeline, with both ends.
N_POINTS = 21
# Two components, and the height of the saddle between them.
Saddle: TypeAlias = tuple[int, int, float]


def saddles(log_weights: Array, components: PointComponents) -> list[Saddle]:
    """Return pairs of components that are joined at saddles, with the height, the highest first.

    K - 1 pairs connect all components. Heights are shares of the lower peak, 1 where a component
    has no peak of its own. Logarithms and powers have densities of the transformed columns.
    """
    points, scales = elliptical(components)
    means, precisions = points.means, np.asarray(np.linalg.inv(scales), dtype=np.float64)
    K = len(means)
    peaks = _log_density(log_weights, points, means)
    lows = np.empty((K, K))
    for k in range(1, K):
        path = _ridgelines(means[k], precisions[k], means[:k], precisions[:k])
        densities = _log_density(log_weights, points, path.reshape(-1, means.shape[1]))
        lows[k, :k] = densities.reshape(k, N_POINTS).min(axis=1)
    rows, columns = np.tril_indices(K, -1)
    islands, joined = np.arange(K), list[Saddle]()
    for place in np.argsort(-lows[rows, columns], kind="stable"):
        i, j = rows[place], columns[place]
        # The component with the highest peak of an island is its name.
        high, low = sorted((islands[i], islands[j]), key=peaks.__getitem__, reverse=True)
        if high != low:
            joined.append((int(high), int(low), float(np.exp(min(lows[i, j] - peaks[low], 0.0)))))
            islands[islands == low] = high
    return sorted(joined, key=lambda saddle: -saddle[2])


def _log_density(log_weights: Array, components: Any, values: Array) -> Array:
    joint = components.expected_log_density(values) + log_weights
    return np.asarray(logsumexp(joint, axis=1))


def _ridgelines(mean: Array, precision: Array, means: Array, precisions: Array) -> Array:
    """Return points (k, N_POINTS, D) between a centre and others (k, D), both ends included.

    They are at equal steps where both precisions are proportional.
    """
    apart = means - mean
    along = np.einsum("kd,de,ke->k", apart, precision, apart)
    along_others = np.einsum("kd,kde,ke->k", apart, precisions, apart)
    steps = np.linspace(0.0, 1.0, N_POINTS)[:, None, None]
    ratio = np.ones(len(means))  # of equal centres
    np.divide(along, along_others, out=ratio, where=(along > 0.0) & (along_others > 0.0))
    other = ratio[:, None, None, None] * steps * precisions[:, None]
    moved = np.linalg.solve((1.0 - steps) * precision + other, other @ apart[:, None, :, None])
    return np.asarray(mean + moved[..., 0])
