"""Search for relevant features: starts for each K, moves of features, and P(relevant)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import entr, logsumexp, ndtri
from scipy.stats import rankdata

from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.random import Purpose, stream
from bayesmix.families.categorical import Categorical
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.relevance.relevance import (
    GAIN,
    MOST_PASSES,
    MOST_ROUNDS,
    FeatureTable,
    Relevance,
    at,
    over_sets,
    settled,
    toggled,
)
from bayesmix.selection.summary_text import listed
from bayesmix.starts.responsibilities import Distinct, lloyd, one_hot, plus_plus

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
    for columns, own in family.families_of_columns(values.shape[1]):
        levels[columns] = isinstance(own, Categorical)
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


# Passes and rounds of each start, and number of starts that are continued.
SHORT = (10, 4)
CONTINUED = 2
# K grows until this many in a row are this many nats behind the best.
IN_A_ROW, FAR_BEHIND = 2, 5.0
# Features with log odds up to this, and at most this many, are added or dropped by a fit.
UNCERTAIN, MOST_UNCERTAIN = 6.0, 10


@dataclass(frozen=True)
class SelectedFeatures:
    """States for each K, and the log evidence of all labellings with log p(K) of each.

    ``tried`` are pairs of features and responsibilities that the search went through.
    """

    states: tuple[Relevance, ...]
    values: Array
    tried: tuple[tuple[Integers, Array], ...]

    @property
    def best(self) -> Relevance:
        return self.states[int(self.values.argmax())]

    @property
    def probabilities(self) -> Array:
        """P(K | data) of the states."""
        return np.exp(self.values - logsumexp(self.values))

    @property
    def relevant(self) -> Booleans:
        """Whether each feature (D,) is relevant at the best K."""
        return self.best.relevant

    @property
    def relevance(self) -> Array:
        """P(relevant | data) (D,), averaged over K."""
        each = [
            over_sets(s.gains, s.fewest)[0] if s.n_components > 1 else 0.0 * s.gains
            for s in self.states
        ]
        return self.probabilities @ np.array(each)

    @property
    def evidence(self) -> Array:
        """Gain (D,) in nats of a distribution in each component, averaged over K above 1."""
        several = [i for i, s in enumerate(self.states) if s.n_components > 1]
        if not several:
            return np.zeros_like(self.states[0].gains)
        logs = self.values[several]
        shares = np.exp(logs - logsumexp(logs))
        return shares @ np.array([self.states[i].gains for i in several])


@dataclass(frozen=True)
class FeatureSelection:
    """Whether each feature (D,) is relevant, its evidence in nats, and P(relevant | data)."""

    relevant: Booleans
    evidence: Array
    probability: Array

    @property
    def read(self) -> Integers:
        """Numbers of the features that the mixtures read: all if none is relevant."""
        kept: Integers = np.flatnonzero(self.relevant)
        return kept if len(kept) else np.arange(len(self.relevant))

    @property
    def rest(self) -> Integers:
        """Numbers of the other features."""
        return np.setdiff1d(np.arange(len(self.relevant)), self.read)

    def sentence(self, names: Any, n_components: int) -> str:
        """Say how many features distinguish the clusters, and which ones most clearly."""
        n_relevant, n_features = int(self.relevant.sum()), len(self.relevant)
        if not n_relevant:
            return f"None of {n_features} features distinguishes clusters."
        order = np.argsort(-np.where(self.relevant, self.evidence, -np.inf))[:n_relevant]
        named = listed([str(names[d]) for d in order])
        if n_components == 1:
            return f"{n_relevant} of {n_features} features depend on one another: {named}."
        verb = "distinguishes" if n_relevant == 1 else "distinguish"
        return f"{n_relevant} of {n_features} features {verb} the clusters: {named}."


def select_features(
    table: FeatureTable,
    numbers: Sequence[int],
    log_prior_of: Callable[[int], float],
    grows: bool,
    seed: int,
) -> SelectedFeatures:
    """Return the relevant features for each K; where K grows, until more are far behind."""
    states: list[Relevance] = []
    values: list[float] = []
    tried: list[tuple[Integers, Array]] = []
    with single_threaded_blas():
        groups = groups_of_features(table, seed)
        for n_components in numbers:
            state, others = _for(table, n_components, states[-1:], groups, seed)
            states.append(state)
            tried += others
            log_evidence, relabellings = state.bound, 0.0
            if n_components > 1:
                log_evidence = state.log_evidence
                relabellings = table.some(state.features).relabellings(state.responsibilities)
            values.append(log_evidence + relabellings + log_prior_of(n_components))
            if grows and max(values[-IN_A_ROW:]) < max(values) - FAR_BEHIND:
                break
    return SelectedFeatures(tuple(states), np.array(values), tuple(tried))


def _for(
    table: FeatureTable, n_components: int, before: Sequence[Relevance], groups: Groups, seed: int
) -> tuple[Relevance, list[tuple[Integers, Array]]]:
    """Return the best state of K components, and the features and responsibilities of starts."""
    n, n_features = table.values.shape
    if n_components == 1:
        whole, none = np.ones((n, 1)), np.zeros(n_features, dtype=bool)
        bound = float(table.evidence_of_one.sum())
        return Relevance(whole, none, np.zeros(n_features), bound), []
    generator = stream(seed, Purpose.START, n_components)
    starts = [divided(rows, table.weights, n_components, generator) for rows in groups.values]
    for state in before:
        if state.n_components > 1:
            rows = table.some(state.features).complete
            starts.append(divided(rows, table.weights, n_components, generator))
            starts += list(_split(table, state, generator))
    starts = [table.constrained(start) for start in starts]
    if table.n_labelled:
        starts.append(_of_labels(table, n_components))
    among = table if len(groups.candidates) == n_features else table.some(groups.candidates)
    short = [settled(among, at(among, start), *SHORT) for start in starts]
    short.sort(key=lambda state: -state.bound)
    best = [at(table, state.responsibilities) for state in short[:CONTINUED]]
    ends = [settled(table, state, MOST_PASSES, MOST_ROUNDS) for state in best]
    tried = {
        features.tobytes(): (features, state.responsibilities)
        for state in reversed(short)
        for features in [groups.candidates[state.features]]
    }
    return moved(table, max(ends, key=lambda state: state.bound)), list(tried.values())


def _of_labels(table: FeatureTable, n_components: int) -> Array:
    """Return responsibilities after a pass from the labelled samples alone."""
    labels: Any = table.side.labels
    known = labels >= 0
    shares = np.eye(n_components)[labels] * known[:, None]
    labelled = replace(
        table, values=table.values[known], weights=table.weights[known], side=table.side[known]
    )
    state = at(labelled, shares[known])
    features = state.features if state.relevant.any() else np.array([state.gains.argmax()])
    return table.some(features).passes(shares, 1)


def _split(table: FeatureTable, state: Relevance, generator: np.random.Generator) -> list[Array]:
    """Return the responsibilities of a state with each component divided by k-means."""
    rows, starts = table.some(state.features).complete, []
    for k, share in enumerate(state.responsibilities.T):
        halves = divided(rows, table.weights * share, 2, generator)
        split = np.column_stack([state.responsibilities, share * halves[:, 1]])
        split[:, k] = share * halves[:, 0]
        starts.append(split)
    return starts


def moved(table: FeatureTable, state: Relevance) -> Relevance:
    """Add or drop uncertain features while that raises the bound; log odds are then by fits."""
    while True:
        uncertain = np.argsort(np.abs(state.log_odds))[:MOST_UNCERTAIN]
        gains = state.gains.copy()
        for feature in uncertain:
            smaller = state.relevant.sum() - 1
            if abs(state.log_odds[feature]) > UNCERTAIN or (
                state.relevant[feature] and smaller < max(table.fewest, 1)
            ):
                continue
            other = toggled(table, state, int(feature), SHORT[0])
            if other.bound > state.bound + GAIN:
                state = settled(table, at(table, other.responsibilities), MOST_PASSES, MOST_ROUNDS)
                break
            gap = state.bound - other.bound
            log_odds = gap if state.relevant[feature] else -gap
            gains[feature] += log_odds - state.log_odds[feature]
        else:
            return replace(state, gains=gains)
