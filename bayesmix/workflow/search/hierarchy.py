"""Model-based hierarchical clustering (Fraley 1998): where candidates fitted at once begin.

Clusters have their own covariance matrices. From every distinct row by itself, the pair is merged
whose union costs least; a cluster of n rows with scatter S costs n log(|S / n| + (tr S + s) / n), s
the variance of the whole, which keeps the cost of a few rows finite.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.gaps import has_gaps
from bayesmix.protocols import Source

MOST_ROWS = 400
NO_EXTENT = 1e-6  # of an axis, beside the longest


def clusters_of(source: Source, n_clusters: int) -> Integers | None:
    """Labels (n,) of the clusters of a hierarchy; None where the rows are too many, or too few.

    On the principal axes of standardised columns, each divided by the root of its singular value,
    as in mclust (Scrucca & Raftery 2015).
    """
    rows = source.in_memory().rows
    values, weights = np.asarray(rows.values, dtype=np.float64), rows.weights_or_ones
    if has_gaps(values):
        return None
    unique, inverse = np.unique(values, axis=0, return_inverse=True)
    if not 2 * n_clusters <= len(unique) <= MOST_ROWS:
        return None
    totals = np.bincount(inverse.ravel(), weights, len(unique)).astype(np.float64)
    away = unique - np.average(unique, axis=0, weights=totals)
    deviation = np.sqrt(np.average(away * away, axis=0, weights=totals))
    standardised = away / np.where(deviation > 0, deviation, 1.0)
    roots = np.sqrt(totals)[:, None]
    _, sizes, axes = np.linalg.svd(roots * standardised, full_matrices=False)
    extent = sizes > NO_EXTENT * sizes[0]
    turned = standardised @ axes[extent].T / np.sqrt(sizes[extent])
    return hierarchical_labels(turned, totals, n_clusters)[inverse.ravel()]


def hierarchical_labels(values: Array, weights: Array, n_clusters: int) -> Integers:
    """Labels (m,) of m distinct rows of which each counts ``weights`` times."""
    owner = np.arange(len(values))
    merges = _merges(values.tobytes(), weights.astype(np.float64).tobytes(), values.shape)
    for one, other in merges[: len(values) - n_clusters]:
        owner[owner == other] = one
    return np.unique(owner, return_inverse=True)[1].ravel()


@lru_cache(maxsize=8)
def _merges(values: bytes, weights: bytes, shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Which clusters were merged, in order: candidates of one search ask for the same."""
    tree = _Clusters(np.frombuffer(values).reshape(shape), np.frombuffer(weights))
    return [tree.merge_cheapest() for _ in range(shape[0] - 1)]


class _Clusters:
    """Moments of the clusters so far, and what merging each pair would cost."""

    def __init__(self, values: Array, weights: Array) -> None:
        n_rows, n_features = values.shape
        mean = np.average(values, axis=0, weights=weights)
        self.variance = float(np.average((values - mean) ** 2, axis=0, weights=weights).mean())
        self.counts = weights.astype(np.float64).copy()
        self.means = values.copy()
        self.scatters = np.zeros((n_rows, n_features, n_features))
        self.alive = np.ones(n_rows, dtype=bool)
        self.own = self._cost(self.counts, self.scatters)
        self.extra = np.full((n_rows, n_rows), np.inf)
        for i in range(n_rows - 1):
            self._price(i, np.arange(i + 1, n_rows))

    def _cost(self, counts: Array, scatters: Array) -> Array:
        n_features = scatters.shape[-1]
        volume = np.full(len(counts), -np.inf)
        many = np.flatnonzero(counts > n_features)
        if len(many):
            sign, log_det = np.linalg.slogdet(scatters[many])
            whole = many[sign > 0]
            volume[whole] = log_det[sign > 0] - n_features * np.log(counts[whole])
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

    def merge_cheapest(self) -> tuple[int, int]:
        """Merge the pair that costs least: the first of the two stays."""
        i, j = (int(k) for k in np.unravel_index(self.extra.argmin(), self.extra.shape))
        counts, scatters = self._joined(i, np.array([j]))
        share = self.counts[j] / counts[0]
        self.means[i] += share * (self.means[j] - self.means[i])
        self.counts[i], self.scatters[i] = counts[0], scatters[0]
        self.own[i] = self._cost(counts, scatters)[0]
        self.alive[j] = False
        self.extra[j, :] = self.extra[:, j] = np.inf
        others = np.flatnonzero(self.alive)
        self._price(i, others[others != i])
        return i, j
