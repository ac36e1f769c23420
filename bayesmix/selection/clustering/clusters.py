"""Clusters: components of a fitted mixture, joined where its density has no valley between them.

A cluster that is not normal takes several normal components. Two groups of components are looked at
along the direction that separates them best (Fisher's discriminant), where the mixture's density is
a sum of normal densities (Hennig 2010 judges pairs so). It comes from the fit alone, without data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.random import Purpose, stream
from bayesmix.selection.choice.data_checks import RoundedFeature, narrower
from bayesmix.workflow.result import FitResult

if TYPE_CHECKING:
    from bayesmix.protocols import PointComponents
    from bayesmix.records import Mixture

Group: TypeAlias = tuple[int, ...]

OUTLYING = -1
# Two groups are one cluster where the valley between them is higher than this share of the lower
# peak: equal normal densities less than 3.6 standard deviations apart. Chosen on one half of the
# data sets of benchmarks/clusters.py; from 0.35 to 0.5 the mean adjusted Rand index hardly changes.
VALLEY = 0.4
# The same for families without covariances: normal densities with that valley share a tenth.
SHARED = 0.1
# Draws of every component; the standard error of a share of 0.1 is then below 0.01.
N_DRAWS = 2000
# Points along the direction, and how many standard deviations it reaches beyond the outer means.
N_POINTS, REACH = 201, 2.0
# Sums of responsibilities are whole numbers to this.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Join:
    """Two groups of components that become one, and their overlap: 0 separated, 1 inseparable."""

    first: Group
    second: Group
    overlap: float

    @property
    def group(self) -> Group:
        """Return the components of both, in order."""
        return tuple(sorted((*self.first, *self.second)))


@dataclass(frozen=True)
class Hierarchy:
    """The joins that lead from K components to one cluster, the largest overlap first.

    ``limit`` is the overlap above which groups are one cluster.
    """

    weights: Array
    joins: tuple[Join, ...]
    limit: float

    @classmethod
    def of(cls, result: FitResult) -> Hierarchy:
        """Return the hierarchy of a fitted mixture."""
        mixture = replace(result.plug_in, noise=None)
        covariances = mixture.components.covariances
        weights = mixture.weights.mean()
        overlap: Callable[[Group, Group], float]
        if result.family.continuous and np.isfinite(covariances).all():
            overlap, limit = _Valleys(weights, mixture.components.means, covariances), VALLEY
        else:
            overlap, limit = _Shares(weights, shared_mass(mixture)), SHARED
        return cls(weights, _joins(len(weights), overlap), limit)

    @property
    def n_suggested(self) -> int:
        """The number of groups left once no two overlap by more than the limit."""
        low = (step for step, join in enumerate(self.joins) if join.overlap <= self.limit)
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

    A component needs two observations, and as many values as it has parameters. It has no width
    where it sits on identical observations or is narrower than the rounding of a feature.
    """
    K, D = result.n_components, result.mixture.frame.n_directions
    own = result.family.n_parameters(K + 1, D) - result.family.n_parameters(K, D)
    small: Booleans = result.counts < max(2.0, own / D) - ROUNDING
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
    counts = np.full(len(weights), N_DRAWS)
    draws = mixture.components.draw(counts, stream(0, Purpose.DRAW))
    shares = mixture.responsibilities(draws)[0]
    shared: Array = shares.T @ (shares * np.repeat(weights / N_DRAWS, N_DRAWS)[:, None])
    return shared


def _joins(n_components: int, overlap: Callable[[Group, Group], float]) -> tuple[Join, ...]:
    """Return all joins, at each step that of the two groups with the largest overlap."""
    groups: list[Group] = [(k,) for k in range(n_components)]
    overlaps = np.full((n_components, n_components), -np.inf)
    for i in range(n_components):
        overlaps[i, :i] = [overlap(groups[i], groups[j]) for j in range(i)]
    joins: list[Join] = []
    while len(groups) > 1:
        i, j = (int(place) for place in np.unravel_index(overlaps.argmax(), overlaps.shape))
        joins.append(Join(groups[j], groups[i], float(overlaps[i, j])))
        groups[j] = joins[-1].group
        del groups[i]
        overlaps = np.delete(np.delete(overlaps, i, axis=0), i, axis=1)
        for k in range(len(groups)):
            if k != j:
                overlaps[max(j, k), min(j, k)] = overlap(groups[j], groups[k])
    return tuple(joins)


@dataclass(frozen=True)
class _Valleys:
    """The lowest density between two groups of components as a share of the lower peak."""

    weights: Array
    means: Array
    covariances: Array

    def __call__(self, first: Group, second: Group) -> float:
        weight, mean, covariance = self._moments(first)
        other_weight, other_mean, other_covariance = self._moments(second)
        within = weight * covariance + other_weight * other_covariance
        within.flat[:: len(within) + 1] += np.finfo(np.float64).eps * np.trace(within)
        direction = np.linalg.solve(within, other_mean - mean)
        both = [*first, *second]
        centres = self.means[both] @ direction
        spreads = np.sqrt(np.einsum("i,kij,j->k", direction, self.covariances[both], direction))
        if not (spreads > 0.0).all():  # one and the same mean
            return 1.0
        low, high = (centres - REACH * spreads).min(), (centres + REACH * spreads).max()
        standardised = (np.linspace(low, high, N_POINTS)[:, None] - centres) / spreads
        density = np.exp(-0.5 * standardised**2) @ (self.weights[both] / spreads)
        before = np.maximum.accumulate(density)
        after = np.maximum.accumulate(density[::-1])[::-1]
        return float((density / np.minimum(before, after)).min())

    def _moments(self, group: Group) -> tuple[float, Array, Array]:
        """Return weight, mean and covariance matrix of some components together."""
        members = list(group)
        weights = self.weights[members]
        total = float(weights.sum())
        mean = weights @ self.means[members] / total
        away = self.means[members] - mean
        within = np.einsum("k,kij->ij", weights, self.covariances[members])
        return total, mean, (within + (away.T * weights) @ away) / total


@dataclass(frozen=True)
class _Shares:
    """E[r_i r_j] of two groups of components as a share of what it is for equal densities."""

    weights: Array
    shared: Array

    def __call__(self, first: Group, second: Group) -> float:
        one, other = list(first), list(second)
        mass, other_mass = self.weights[one].sum(), self.weights[other].sum()
        shared = self.shared[np.ix_(one, other)].sum()
        return float(shared * (mass + other_mass) / (mass * other_mass))
