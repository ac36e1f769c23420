"""Clusters: the components of a fitted mixture, those joined that its density does not separate.

A cluster that is not normal takes several normal components. The components i and j are one cluster
where observations of the lighter one are often assigned to the other one; the share is computed
from the fitted density alone (Hennig 2010, "directly estimated misclassification probabilities").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.random import Purpose, stream
from bayesmix.selection.choice.data_checks import RoundedFeature, narrower
from bayesmix.workflow.result import FitResult

if TYPE_CHECKING:
    from bayesmix.protocols import PointComponents
    from bayesmix.records import Mixture

OUTLYING = -1
# Draws of every component; the standard error of a share of 0.05 is then 0.005.
N_DRAWS = 2000
# Two clusters are one where the lighter one shares more than this with the other one.
OVERLAP = 0.05
# Sums of responsibilities are whole to this.
ROUNDING = 1e-6


def clusters_of_components(result: FitResult, rounded: Sequence[RoundedFeature] = ()) -> Integers:
    """Return the cluster of every component (K,): 0, 1, ... from the heaviest, -1 for outlying.

    ``rounded``: the rounded features of the data, where they are known.
    """
    outlying = too_small(result, rounded)
    if outlying.all():
        outlying[:] = False
    kept = np.flatnonzero(~outlying)
    labels = np.full(result.n_components, OUTLYING)
    mixture = result.plug_in
    labels[kept] = joined(shared_mass(mixture, kept), mixture.weights.mean()[kept])
    return labels


def too_small(result: FitResult, rounded: Sequence[RoundedFeature] = ()) -> Booleans:
    """Return which components (K,) are no clusters: too few observations, or no width.

    A component needs two observations, and as many values as it has parameters. It has no width
    where it sits on identical observations or is narrower than the rounding of a column.
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


def shared_mass(mixture: Mixture[PointComponents], components: Integers) -> Array:
    """Return E[r_i r_j] (C, C) over draws of the mixture of some components, r responsibilities."""
    weights = mixture.weights.mean()[components]
    counts = np.zeros(mixture.n_components, dtype=np.int64)
    counts[components] = N_DRAWS
    mixture = replace(mixture, noise=None)
    draws = mixture.components.draw(counts, stream(0, Purpose.DRAW))
    shares = mixture.responsibilities(draws)[0][:, components]
    shares /= shares.sum(axis=1, keepdims=True)
    shared: Array = shares.T @ (shares * np.repeat(weights / N_DRAWS, N_DRAWS)[:, None])
    return shared


def joined(shared: Array, weights: Array) -> Integers:
    """Return clusters (C,) after joining, the largest overlap first, while it is above OVERLAP."""
    groups = [[i] for i in range(len(weights))]
    while len(groups) > 1:
        masses = np.array([weights[group].sum() for group in groups])
        pairs = np.array([[shared[np.ix_(one, two)].sum() for two in groups] for one in groups])
        overlap = np.triu(pairs / np.minimum.outer(masses, masses), 1)
        i, j = np.unravel_index(overlap.argmax(), overlap.shape)
        if overlap[i, j] <= OVERLAP:
            break
        groups[i] += groups.pop(int(j))
    labels = np.empty(len(weights), dtype=np.int64)
    for cluster, group in enumerate(sorted(groups, key=lambda group: -weights[group].sum())):
        labels[group] = cluster
    return labels


def most_probable_clusters(shares: Array, clusters: Integers) -> Integers:
    """Return the most probable cluster (n,) by probabilities of components (n, K) or (n, K + 1).

    A last column beyond the components is that of the noise, which is outlying.
    """
    labels = np.append(clusters, np.full(shares.shape[1] - len(clusters), OUTLYING))
    sums = np.zeros((len(shares), labels.max() + 2))
    np.add.at(sums.T, labels + 1, shares.T)
    most: Integers = sums.argmax(axis=1) - 1
    return most
