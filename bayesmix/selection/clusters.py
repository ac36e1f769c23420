"""Clusters: components of a fitted mixture, joined where they overlap.

A cluster that is not normal takes several normal components. Two groups of components are one
cluster where observations of the lighter group often fall to the other group; how often follows
from the fitted density alone, by draws (Hennig 2010, "directly estimated misclassification
probabilities").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from bayesmix.core.random import Purpose, stream
from bayesmix.em.result import FitResult
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.selection.data_checks import RoundedFeature, narrower

if TYPE_CHECKING:
    from bayesmix.core.components import PointComponents
    from bayesmix.core.mixture import Mixture


Group: TypeAlias = tuple[int, ...]

OUTLYING = -1
# Two groups are one cluster where the lighter one shares more than this with the other: equal
# normal densities less than 3.2 standard deviations apart. Chosen and reported on different data
# sets (benchmarks/clusters.py); from 0.08 to 0.12 the mean adjusted Rand index is the same.
OVERLAP = 0.08
# Draws of every component; the standard error of a share of 0.08 is then 0.006.
N_DRAWS = 2000
# Least weight of a component, so that empty ones have an overlap.
TINY = np.finfo(np.float64).tiny
# Fewer observations than this (or D + 1) are outliers where the mean component holds ten times as
# many: three outliers in one wide component are no cluster.
HANDFUL, SMALL_SHARE = 5, 0.1
# Sums of responsibilities are whole numbers to this.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Join:
    """Two groups of components that become one, and the share of the lighter that they share."""

    first: Group
    second: Group
    overlap: float

    @property
    def group(self) -> Group:
        """Return the components of both, in order."""
        return tuple(sorted((*self.first, *self.second)))


@dataclass(frozen=True)
class Hierarchy:
    """The joins that lead from K components to one cluster, the largest overlap first."""

    weights: Array
    joins: tuple[Join, ...]

    @classmethod
    def of(cls, result: FitResult) -> Hierarchy:
        """Return the hierarchy of a fitted mixture."""
        mixture = replace(result.plug_in, noise=None)
        weights = np.maximum(mixture.weights.mean(), TINY)
        masses, shared = weights, shared_mass(mixture)
        groups: list[Group] = [(k,) for k in range(len(weights))]
        joins: list[Join] = []
        while len(groups) > 1:
            overlaps = shared / np.minimum.outer(masses, masses)
            overlaps[np.triu_indices(len(groups))] = -1.0
            i, j = (int(place) for place in np.unravel_index(overlaps.argmax(), overlaps.shape))
            joins.append(Join(groups[j], groups[i], float(overlaps[i, j])))
            groups[j] = joins[-1].group
            del groups[i]
            masses = np.array([weights[list(group)].sum() for group in groups])
            shared[j] += shared[i]
            shared[:, j] += shared[:, i]
            shared = np.delete(np.delete(shared, i, axis=0), i, axis=1)
        return cls(weights, tuple(joins))

    @property
    def n_suggested(self) -> int:
        """The number of groups left once no two overlap by more than OVERLAP."""
        low = (step for step, join in enumerate(self.joins) if join.overlap <= OVERLAP)
        return len(self.weights) - next(low, len(self.joins))

    def groups(self, n_groups: int) -> tuple[Group, ...]:
        """Return the components of every group, the heaviest group first."""
        groups: set[Group] = {(k,) for k in range(len(self.weights))}
        for join in self.joins[: len(self.weights) - n_groups]:
            groups = (groups - {join.first, join.second}) | {join.group}
        return tuple(sorted(groups, key=lambda group: (-self.weights[list(group)].sum(), group)))


def clusters_of_components(result: FitResult, rounded: Sequence[RoundedFeature] = ()) -> Integers:
    """Return the cluster of every component (K,): 0, 1, ... from the heaviest, -1 for outlying.

    A group of components is outlying where each of them is ``too_small`` to be a cluster, unless
    all groups are. ``rounded``: the rounded features of the data, where they are known.
    """
    hierarchy = Hierarchy.of(result)
    return labels_of(hierarchy.groups(hierarchy.n_suggested), too_small(result, rounded))


def labels_of(groups: Sequence[Group], small: Booleans) -> Integers:
    """Return the cluster of every component (K,); groups of small components are outlying."""
    labels = np.full(len(small), OUTLYING)
    large = [group for group in groups if not small[list(group)].all()]
    for cluster, group in enumerate(large or groups):
        labels[list(group)] = cluster
    return labels


def too_small(result: FitResult, rounded: Sequence[RoundedFeature] = ()) -> Booleans:
    """Return which components (K,) are no clusters: too few observations, or no width.

    A component needs two observations, and as many values as it has parameters; a handful beside
    components ten times as large are outliers. It has no width where it sits on identical
    observations or is narrower than the rounding of a feature.
    """
    K, D = result.n_components, result.mixture.frame.n_directions
    own = result.family.n_parameters(K + 1, D) - result.family.n_parameters(K, D)
    counts = result.counts
    small: Booleans = counts < max(2.0, own / D) - ROUNDING
    small |= (counts < max(HANDFUL, D + 1)) & (counts < SMALL_SHARE * counts.mean())
    for event in result.events:
        if event.kind == "held":
            small[list(event.components)] = True
    if result.family.continuous:
        several = [each for each in rounded if each.n_values > 2]
        small[[k for k, _ in narrower(result, several)]] = True
    return small


def most_probable_clusters(shares: Array, clusters: Integers) -> Integers:
    """Return the most probable cluster (n,) by probabilities of components (n, K) or (n, K + 1).

    A last column beyond the components is that of the noise, which is outlying.
    """
    labels = np.append(clusters, np.full(shares.shape[1] - len(clusters), OUTLYING))
    sums = shares @ np.equal.outer(labels, np.arange(OUTLYING, labels.max() + 1))
    most: Integers = sums.argmax(axis=1) + OUTLYING
    return most


def shared_mass(mixture: Mixture[PointComponents]) -> Array:
    """Return E[r_i r_j] (K, K) over draws of the mixture, r the responsibilities."""
    weights = mixture.weights.mean()
    shared = np.zeros((len(weights), len(weights)))
    for k, weight in enumerate(weights):
        counts = np.where(np.arange(len(weights)) == k, N_DRAWS, 0)
        draws = mixture.components.draw(counts, stream(0, Purpose.DRAW, k))
        shares = mixture.responsibilities(draws)[0]
        shared += weight / N_DRAWS * (shares.T @ shares)
    return shared
