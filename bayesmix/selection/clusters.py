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
from bayesmix.core.rows import Rows
from bayesmix.em.result import FitResult
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.selection.data_checks import NARROW, RoundedFeature

if TYPE_CHECKING:
    from bayesmix.core.components import PointComponents
    from bayesmix.core.mixture import Mixture


Group: TypeAlias = tuple[int, ...]

OUTLYING = -1
# Groups are one cluster if the lighter one shares more than this with the other: equal normal
# densities less than 3.2 standard deviations apart. Chosen and evaluated on different data
# (benchmarks/clusters.py); decision 16 has the alternatives.
OVERLAP = 0.08
# Number of draws per component; the standard error of a share of 0.08 is then 0.006.
N_DRAWS = 2000
# Minimum weight of a component, so that empty ones have an overlap.
TINY = np.finfo(np.float64).tiny
# Components with fewer observations than this (or D + 1) are outliers if the mean component has ten
# times as many: three outliers in one wide component are not a cluster.
HANDFUL, SMALL_SHARE = 5, 0.1
# Rounding error of sums of responsibilities.
ROUNDING = 1e-6
# Standard deviation, in units of the frame, of a component that collapsed: twice the smallest one.
COLLAPSED = 2e-3
MERGED, COMPONENTS = "merged", "components"


@dataclass(frozen=True)
class Join:
    """Merge of two groups of components, with the share of the lighter group's mass in common."""

    first: Group
    second: Group
    overlap: float

    @property
    def group(self) -> Group:
        """Return the components of both groups, in order."""
        return tuple(sorted((*self.first, *self.second)))


@dataclass(frozen=True)
class Hierarchy:
    """Merges from K components to one cluster, largest overlap first."""

    weights: Array
    joins: tuple[Join, ...]

    @classmethod
    def of(cls, result: FitResult) -> Hierarchy:
        """Return the hierarchy of a fitted mixture, by draws from its density."""
        mixture = replace(result.plug_in, noise=None)
        return cls.by_overlap(mixture.weights.mean(), shared_mass(mixture))

    @classmethod
    def by_overlap(cls, weights: Array, shared: Array, above: float = -1.0) -> Hierarchy:
        """Return the hierarchy of components with these weights (K,) and shared mass (K, K).

        It ends where no two groups overlap by more than ``above``.
        """
        weights = np.maximum(weights, TINY)
        masses, lower = weights, np.tri(len(weights), k=-1, dtype=bool)
        groups: list[Group] = [(k,) for k in range(len(weights))]
        joins: list[Join] = []
        while len(groups) > 1:
            overlaps = shared / np.minimum.outer(masses, masses)
            overlaps = np.where(lower[: len(groups), : len(groups)], overlaps, -1.0)
            i, j = divmod(int(overlaps.argmax()), len(groups))
            if not overlaps[i, j] > above:
                break
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
        """Number of groups once no two overlap by more than OVERLAP."""
        low = (step for step, join in enumerate(self.joins) if join.overlap <= OVERLAP)
        return len(self.weights) - next(low, len(self.joins))

    def groups(self, n_groups: int) -> tuple[Group, ...]:
        """Return the components of every group, heaviest group first."""
        groups: set[Group] = {(k,) for k in range(len(self.weights))}
        for join in self.joins[: len(self.weights) - n_groups]:
            groups = (groups - {join.first, join.second}) | {join.group}
        return tuple(sorted(groups, key=lambda group: (-self.weights[list(group)].sum(), group)))


def counted_as(result: FitResult) -> str:
    """Return whether components are clusters as they are, or only after merging.

    Components are merged if the family is continuous, because a cluster that is not normal needs
    several normal components. Classes of categories and counts are defined by the independence of
    the features within a class, known labels by the user, and states by the order of the samples.
    """
    as_they_are = result.side.labels is not None or result.side.ordered
    return COMPONENTS if as_they_are or not result.family.continuous else MERGED


def clusters_of_components(
    result: FitResult, rounded: Sequence[RoundedFeature] = (), counted: str | None = None
) -> Integers:
    """Return the cluster of every component (K,): 0, 1, ... from the heaviest, -1 for outlying.

    A group is outlying if all its components are ``too_small``, unless all groups are. ``rounded``:
    rounded features of the data, if known. ``counted``: "merged" or "components", by default as
    ``counted_as``.
    """
    if (counted or counted_as(result)) == COMPONENTS:
        return np.arange(result.n_components)
    hierarchy = Hierarchy.of(result)
    return labels_of(hierarchy.groups(hierarchy.n_suggested), too_small(result, rounded))


def number_of(clusters: Integers) -> int:
    """Return the number of clusters, without outlying components."""
    return int(clusters.max()) + 1


def labels_of(groups: Sequence[Group], small: Booleans) -> Integers:
    """Return the cluster of every component (K,); groups of small components are outlying."""
    labels = np.full(len(small), OUTLYING)
    large = [group for group in groups if not small[list(group)].all()]
    for cluster, group in enumerate(large or groups):
        labels[list(group)] = cluster
    return labels


def too_small(result: FitResult, rounded: Sequence[RoundedFeature] = ()) -> Booleans:
    """Return which components (K,) are not clusters: few observations, or zero width.

    A component needs at least two observations, and as many distinct values as parameters; a few
    observations next to components ten times as large are outliers. Its width is zero if in every
    feature it is on identical values or narrower than the rounding.
    """
    K, D = result.n_components, result.mixture.frame.n_directions
    n_per_component = result.family.n_parameters(K + 1, D) - result.family.n_parameters(K, D)
    counts = result.counts
    small: Booleans = counts < max(2.0, n_per_component / D) - ROUNDING
    small |= (counts < max(HANDFUL, D + 1)) & (counts < SMALL_SHARE * counts.mean())
    if result.family.any_real:  # normal or Student-t in every feature
        small |= _without_width(result, rounded)
    return small


def _without_width(result: FitResult, rounded: Sequence[RoundedFeature]) -> Booleans:
    """Return which components (K,) are narrower than the resolution of every feature."""
    frame = result.mixture.frame
    least = COLLAPSED * np.asarray(frame.scale)
    for feature in rounded:
        if feature.n_values > 2:
            least[feature.column] = max(
                least[feature.column], NARROW * (feature.step or feature.gap)
            )
    deviations = result.plug_in.components.unframed(frame).deviations
    return np.asarray((deviations < least).all(axis=1))


def most_probable_clusters(shares: Array, clusters: Integers) -> Integers:
    """Return the most probable cluster (n,) by probabilities of components (n, K) or (n, K + 1).

    A last column beyond the components is the noise, which is outlying.
    """
    labels = np.append(clusters, np.full(shares.shape[1] - len(clusters), OUTLYING))
    sums = shares @ np.equal.outer(labels, np.arange(OUTLYING, labels.max() + 1))
    return sums.argmax(axis=1) + OUTLYING


def shared_mass(mixture: Mixture[PointComponents]) -> Array:
    """Return E[r_i r_j] (K, K) over draws of the mixture, where r are responsibilities."""
    weights = mixture.weights.mean()
    shared = np.zeros((len(weights), len(weights)))
    for k, weight in enumerate(weights):
        counts = np.where(np.arange(len(weights)) == k, N_DRAWS, 0)
        draws = mixture.components.draw(counts, stream(0, Purpose.DRAW, k))
        shares = mixture.responsibilities(Rows(mixture.frame.undo(draws)))[0]
        shared += weight / N_DRAWS * (shares.T @ shares)
    return shared
