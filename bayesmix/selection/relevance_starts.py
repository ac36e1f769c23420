"""Starts of a variable selection: groups of dependent features, and k-means on each group.

Features that differ between components are dependent, and one that does so alone has several
modes. So starts are k-means on each feature together with those that it correlates with most, on
features that divide best in two, on principal components and on random features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import entr, ndtri
from scipy.stats import rankdata

from bayesmix.core.random import Purpose, stream
from bayesmix.families.categorical import Categorical
from bayesmix.families.product.family import Product
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.search.starts import Distinct, lloyd, one_hot, plus_plus
from bayesmix.selection.relevance import FeatureTable

# Size of a group of dependent features, and numbers of groups of each kind.
GROUP_SIZE = 6
N_GROUPS, N_ALONE, N_RANDOM = 8, 2, 3
PRINCIPAL_COMPONENTS = (2, 5)
ROUNDS = 20
BLOCK = 1000
LEAST_VARIANCE = 1e-3


def standardised(family: Any, values: Array) -> tuple[Array, Integers]:
    """Return normal scores (n, P) of features, of levels their indicators, and the feature (P,)."""
    levels = np.zeros(values.shape[1], dtype=bool)
    if isinstance(family, Categorical):
        levels[:] = True
    elif isinstance(family, Product):
        for own, columns in zip(family.families, family.layout.columns, strict=True):
            levels[list(columns)] = isinstance(own, Categorical)
    parts, owner = [], []
    for d in range(values.shape[1]):
        column = values[:, d]
        if levels[d]:
            part = (column[:, None] == np.unique(column)).astype(float)
        else:
            ranks = rankdata(column) / (len(column) + 1.0)
            part = ndtri(ranks)[:, None]
        parts.append(part)
        owner += [d] * part.shape[1]
    scores = np.hstack(parts)
    scores -= scores.mean(axis=0)
    deviation = scores.std(axis=0)
    return scores / np.where(deviation > 0, deviation, 1.0), np.array(owner)


def dependent_groups(scores: Array, owner: Integers) -> list[Integers]:
    """Return groups of columns of ``scores``: each with its closest by correlation, best first."""
    n, n_scores = scores.shape
    size = min(GROUP_SIZE, n_scores)
    groups, strengths = [], []
    for first in range(0, n_scores, BLOCK):
        own = slice(first, min(first + BLOCK, n_scores))
        squares = (scores[:, own].T @ scores / n) ** 2
        squares[owner[own, None] == owner] = 0.0
        squares[np.arange(squares.shape[0]), np.arange(own.start, own.stop)] = np.inf
        nearest = np.argpartition(-squares, size - 1, axis=1)[:, :size]
        strength = np.sort(np.take_along_axis(squares, nearest, axis=1), axis=1)[:, ::-1]
        groups.append(nearest)
        strengths.append(strength[:, 1:3].sum(axis=1))
    nearest, strength = np.vstack(groups), np.concatenate(strengths)
    chosen: list[Integers] = []
    covered = np.zeros(n_scores, dtype=bool)
    for seed in np.argsort(-strength, kind="stable"):
        if not covered[seed]:
            chosen.append(nearest[seed])
            covered[nearest[seed]] = True
        if len(chosen) == N_GROUPS:
            break
    return chosen


def divisible(values: Array) -> Integers:
    """Return the features that two normal densities describe best, cut at one value, best first."""
    n = len(values)
    ordered = np.sort(values, axis=0)
    first, cuts = np.arange(1.0, n + 1.0)[:, None], slice(1, n - 2)
    sums, squares = ordered.cumsum(axis=0), (ordered**2).cumsum(axis=0)
    left = _log_variance(sums[cuts], squares[cuts], first[cuts])
    right = _log_variance(sums[-1] - sums[cuts], squares[-1] - squares[cuts], n - first[cuts])
    share = first[cuts] / n
    lost = 0.5 * (share * left + (1.0 - share) * right) + entr(share) + entr(1.0 - share)
    whole = 0.5 * _log_variance(sums[-1], squares[-1], first[-1])
    order: Integers = np.argsort(lost.min(axis=0) - whole, kind="stable")
    return order


def _log_variance(sums: Array, squares: Array, counts: Array) -> Array:
    """Return log variances; those of tied values are held at a thousandth of the squared scale."""
    logs: Array = np.log(np.maximum(squares / counts - (sums / counts) ** 2, LEAST_VARIANCE))
    return logs


def groups_of_features(table: FeatureTable, seed: int) -> list[Array]:
    """Return values (n, p) of groups of features, in which k-means may find the components."""
    scores, owner = standardised(table.family, table.values)
    generator = stream(seed, Purpose.SUBSAMPLE)
    groups = [scores[:, group] for group in dependent_groups(scores, owner)]
    groups += [table.values[:, [d]] for d in divisible(table.values)[:N_ALONE]]
    left, lengths, _ = np.linalg.svd(scores, full_matrices=False)
    groups += [left[:, :q] * lengths[:q] for q in PRINCIPAL_COMPONENTS]
    size = min(GROUP_SIZE, scores.shape[1])
    for _ in range(N_RANDOM):
        groups.append(scores[:, generator.choice(scores.shape[1], size, replace=False)])
    return groups


def divided(
    rows: Array, weights: Array, n_components: int, generator: np.random.Generator
) -> Array:
    """Return responsibilities of k-means clusters."""
    distinct = Distinct(np.ascontiguousarray(rows), weights)
    centres = lloyd(distinct, plus_plus(distinct, n_components, generator), ROUNDS)
    return one_hot(distinct.beyond(centres).argmin(axis=0), n_components)
