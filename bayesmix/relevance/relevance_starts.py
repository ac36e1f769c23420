"""Starts of a variable selection: groups of dependent features, and k-means on each group.

Features that differ between components are dependent, and one that does so alone has several
modes. So starts are k-means on each feature together with those that it correlates with most, on
features that divide best in two, on principal components and on random features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import entr, ndtri
from scipy.stats import rankdata

from bayesmix.core.random import Purpose, stream
from bayesmix.families.categorical import Categorical
from bayesmix.families.product.family import Product
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.relevance.relevance import FeatureTable
from bayesmix.search.starts import Distinct, lloyd, one_hot, plus_plus

# Size of a group of dependent features, and numbers of groups of each kind.
GROUP_SIZE = 6
N_GROUPS, N_ALONE, N_RANDOM = 8, 2, 3
PRINCIPAL_COMPONENTS = (2, 5)
ROUNDS = 20
BLOCK = 1000
# Largest number of features among which starts look for relevant ones.
MOST_CANDIDATES = 500
LEAST_VARIANCE = 1e-3


def standardised(family: Any, values: Array) -> tuple[Array, Integers]:
    """Return normal scores (n, P) of features, of levels their indicators, and the feature (P,)."""
    levels = np.zeros(values.shape[1], dtype=bool)
    if isinstance(family, Categorical):
        levels[:] = True
    elif isinstance(family, Product):
        for of_part, columns in zip(family.families, family.layout.columns, strict=True):
            levels[list(columns)] = isinstance(of_part, Categorical)
    parts, owner = [], []
    for d in range(values.shape[1]):
        column = values[:, d]
        if levels[d]:
            part = (column == np.unique(column)[:, None]).astype(float)
        else:
            part = ndtri(rankdata(column) / (len(column) + 1.0))[None]
        part -= part.mean(axis=1, keepdims=True)
        deviation = part.std(axis=1, keepdims=True)
        parts.append(part / np.where(deviation > 0, deviation, 1.0))
        owner += [d] * len(part)
    return np.concatenate(parts).T, np.array(owner)


@dataclass(frozen=True)
class Groups:
    """Values (n, p) of groups of features for k-means, and the features that may be relevant."""

    values: tuple[Array, ...]
    candidates: Integers


def groups_of_features(table: FeatureTable, seed: int) -> Groups:
    """Return groups of features in which k-means may find the components."""
    scores, owner = standardised(table.family, table.complete)
    nearest, strengths = closest(scores, owner)
    divisibility = divided_gains(table.complete)
    alone = np.argsort(-divisibility, kind="stable")
    candidates = np.arange(table.n_features)
    if table.n_features > MOST_CANDIDATES:
        by_strength = owner[np.argsort(-strengths, kind="stable")]
        _, first = np.unique(by_strength, return_index=True)
        dependent = by_strength[np.sort(first)][: MOST_CANDIDATES // 2]
        candidates = np.union1d(dependent, alone[: MOST_CANDIDATES // 2])
    groups = [scores[:, group] for group in apart(nearest, strengths)]
    groups += [table.complete[:, [d]] for d in alone[:N_ALONE]]
    among = scores[:, np.isin(owner, candidates)]
    left, lengths, _ = np.linalg.svd(among, full_matrices=False)
    groups += [left[:, :q] * lengths[:q] for q in PRINCIPAL_COMPONENTS]
    generator, size = stream(seed, Purpose.SUBSAMPLE), min(GROUP_SIZE, among.shape[1])
    for _ in range(N_RANDOM):
        groups.append(among[:, generator.choice(among.shape[1], size, replace=False)])
    return Groups(tuple(groups), candidates)


def closest(scores: Array, owner: Integers) -> tuple[Integers, Array]:
    """Return each column with those it correlates with most, and the strength of the first two."""
    n, n_scores = scores.shape
    size = min(GROUP_SIZE, n_scores)
    nearest = np.empty((n_scores, size), dtype=np.int64)
    strengths = np.empty(n_scores)
    for first in range(0, n_scores, BLOCK):
        block = np.arange(first, min(first + BLOCK, n_scores))
        squares = (scores[:, block].T @ scores / n) ** 2
        squares[owner[block, None] == owner] = 0.0
        squares[np.arange(len(block)), block] = np.inf
        nearest[block] = np.argpartition(-squares, size - 1, axis=1)[:, :size]
        closeness = np.sort(np.take_along_axis(squares, nearest[block], axis=1), axis=1)
        strengths[block] = closeness[:, -3:-1].sum(axis=1)
    return nearest, strengths


def apart(nearest: Integers, strengths: Array) -> list[Integers]:
    """Return the groups of the strongest columns that are in no stronger group."""
    chosen: list[Integers] = []
    covered = np.zeros(len(nearest), dtype=bool)
    for seed in np.argsort(-strengths, kind="stable"):
        if not covered[seed]:
            chosen.append(nearest[seed])
            covered[nearest[seed]] = True
        if len(chosen) == N_GROUPS:
            break
    return chosen


def divided_gains(values: Array) -> Array:
    """Return the gain (D,) per observation of two normals, cut at the best value, over one."""
    n = len(values)
    if n < 4:  # no cut leaves two observations on both sides
        return np.zeros(values.shape[1])
    first, cuts = np.arange(1.0, n + 1.0)[:, None], slice(1, n - 2)
    share = first[cuts] / n
    entropy = entr(share) + entr(1.0 - share)
    gains = []
    for block in range(0, values.shape[1], BLOCK // 4):
        ordered = np.sort(values[:, block : block + BLOCK // 4], axis=0)
        sums, squares = ordered.cumsum(axis=0), (ordered**2).cumsum(axis=0)
        left = _log_variance(sums[cuts], squares[cuts], first[cuts])
        right = _log_variance(sums[-1] - sums[cuts], squares[-1] - squares[cuts], n - first[cuts])
        divided = 0.5 * (share * left + (1.0 - share) * right) + entropy
        whole = 0.5 * _log_variance(sums[-1], squares[-1], first[-1])
        gains.append(whole - divided.min(axis=0))
    return np.concatenate(gains)


def _log_variance(sums: Array, squares: Array, counts: Array) -> Array:
    """Return log variances; those of tied values are held at a thousandth of the squared scale."""
    return np.log(np.maximum(squares / counts - (sums / counts) ** 2, LEAST_VARIANCE))


def divided(
    rows: Array, weights: Array, n_components: int, generator: np.random.Generator
) -> Array:
    """Return responsibilities of k-means clusters."""
    distinct = Distinct(np.ascontiguousarray(rows), weights)
    centres = lloyd(distinct, plus_plus(distinct, n_components, generator), ROUNDS)
    return one_hot(distinct.nearest(centres), n_components)
