"""Clusters that are merged pair by pair, whose evidence follows from their sums.

Under a conjugate prior the evidence of a hard partition is a product over clusters, so that what a
merge gains needs the sums of the two only (Heller & Ghahramani 2005). Where components share a
covariance, a merge adds one outer product to their scatter. Hyperparameters are those that the
present clusters have taught.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from bayesmix.numerics.arrays import Array, Integers

# Updates of hyperparameters at fixed clusters; more change gains by less than a tenth of a nat.
UPDATES = 3


class MergedClusters(Protocol):
    """K clusters of some columns."""

    def relearn(self) -> None:
        """Learn hyperparameters from the present clusters."""

    def value(self) -> float:
        """Return the log evidence of the partition, up to a constant of the data."""

    def gains(self, first: Integers, second: Integers) -> Array:
        """Return what the log evidence gains by merges (P,) of pairs of clusters."""

    def merge(self, first: int, second: int) -> None:
        """Add cluster ``second`` to ``first`` and drop it."""


class SeparateClusters:
    """Clusters with parameters of their own."""

    def __init__(self, prior: Any, statistics: Any) -> None:
        self.prior, self.statistics = prior, statistics
        self.relearn()

    def relearn(self) -> None:
        self.fixed = fixed_prior(self.prior, self.statistics)
        self.evidence = self.fixed.component_evidence(self.statistics)

    def value(self) -> float:
        return float(self.evidence.sum())

    def gains(self, first: Integers, second: Integers) -> Array:
        both = self.statistics.subset(first) + self.statistics.subset(second)
        gains: Array = self.fixed.component_evidence(both)
        return gains - self.evidence[first] - self.evidence[second]

    def merge(self, first: int, second: int) -> None:
        self.statistics = self.statistics.merged(first, second)
        self.evidence = np.delete(self.evidence, second)
        place = first - (second < first)
        merged = self.statistics.subset(np.array([place]))
        self.evidence[place] = self.fixed.component_evidence(merged)[0]


class ClustersOfOneCovariance:
    """Normal clusters that share a covariance."""

    def __init__(self, prior: Any, statistics: Any) -> None:
        self.prior, self.statistics = prior, statistics
        self.relearn()

    def relearn(self) -> None:
        self.fixed = fixed_prior(self.prior, self.statistics)

    def value(self) -> float:
        return float(self.fixed.shared_evidence(self.statistics))

    def gains(self, first: Integers, second: Integers) -> Array:
        gains: Array = self.fixed.shared_merge_gains(self.statistics, first, second)
        return gains

    def merge(self, first: int, second: int) -> None:
        self.statistics = self.statistics.merged(first, second)


def fixed_prior(prior: Any, statistics: Any) -> Any:
    """Return a prior with the hyperparameters that clusters teach, fixed."""
    posterior = None
    for _ in range(UPDATES):
        posterior = prior.posterior(statistics, posterior)
    return prior.fixed_at(posterior)


def clusters_of(prior: Any, statistics: Any) -> MergedClusters:
    """Return clusters under a conjugate prior of their parameters."""
    kind = ClustersOfOneCovariance if statistics.shared else SeparateClusters
    return kind(prior, statistics)
