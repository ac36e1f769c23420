"""Model-based hierarchical clustering (Fraley 1998): a start for small data where others collapse.

Clusters have their own covariance matrices. From every distinct row by itself, the pair is merged
whose union costs least; a cluster of n rows with scatter S costs n log(|S / n| + (tr S + s) / n), s
the variance of the whole, which keeps the cost of a few rows finite.
"""

from __future__ import annotations

import numpy as np

from bayesmix.numerics.arrays import Array, Integers

MOST_ROWS = 400


def hierarchical_labels(values: Array, weights: Array, n_clusters: int) -> Integers:
    """Labels (m,) of m distinct rows of which each counts ``weights`` times."""
    tree = _Clusters(values, weights)
    for _ in range(len(values) - n_clusters):
        tree.merge_cheapest()
    return tree.labels()


class _Clusters:
    """Moments of the clusters so far, and what merging each pair would cost."""

    def __init__(self, values: Array, weights: Array) -> None:
        n_rows, n_features = values.shape
        mean = np.average(values, axis=0, weights=weights)
        self.variance = float(np.average((values - mean) ** 2, axis=0, weights=weights).mean())
        self.counts = weights.astype(np.float64).copy()
        self.means = values.copy()
        self.scatters = np.zeros((n_rows, n_features, n_features))
        self.owner = np.arange(n_rows)
        self.alive = np.ones(n_rows, dtype=bool)
        self.own = self._cost(self.counts, self.scatters)
        self.extra = np.full((n_rows, n_rows), np.inf)
        for i in range(n_rows - 1):
            self._price(i, np.arange(i + 1, n_rows))

    def _cost(self, counts: Array, scatters: Array) -> Array:
        n_features = scatters.shape[-1]
        sign, log_det = np.linalg.slogdet(scatters)
        whole = (sign > 0) & (counts > n_features)
        volume = np.where(whole, log_det - n_features * np.log(counts), -np.inf)
        spread = (np.trace(scatters, axis1=-2, axis2=-1) + self.variance) / counts
        cost: Array = counts * np.logaddexp(volume, np.log(spread))
        return cost

    def _joined(self, i: int, others: Integers) -> tuple[Array, Array]:
        """Counts and scatters of cluster i with each of the others."""
        counts = self.counts[i] + self.counts[others]
        away = self.means[others] - self.means[i]
        between = (self.counts[i] * self.counts[others] / counts)[:, None] * away
        scatters = self.scatters[i] + self.scatters[others] + between[:, :, None] * away[:, None]
        return counts, scatters

    def _price(self, i: int, others: Integers) -> None:
        extra = self._cost(*self._joined(i, others)) - self.own[i] - self.own[others]
        self.extra[np.minimum(i, others), np.maximum(i, others)] = extra

    def merge_cheapest(self) -> None:
        i, j = (int(k) for k in np.unravel_index(self.extra.argmin(), self.extra.shape))
        counts, scatters = self._joined(i, np.array([j]))
        share = self.counts[j] / counts[0]
        self.means[i] += share * (self.means[j] - self.means[i])
        self.counts[i], self.scatters[i] = counts[0], scatters[0]
        self.own[i] = self._cost(counts, scatters)[0]
        self.owner[self.owner == j] = i
        self.alive[j] = False
        self.extra[j, :] = self.extra[:, j] = np.inf
        others = np.flatnonzero(self.alive)
        self._price(i, others[others != i])

    def labels(self) -> Integers:
        return np.unique(self.owner, return_inverse=True)[1].ravel()
