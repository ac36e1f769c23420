"""Search for relevant features: several starts for each K, moves of features, and P(relevant)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import gammaln, logsumexp

from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.random import Purpose, stream
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
from bayesmix.relevance.relevance_starts import Groups, divided, groups_of_features
from bayesmix.selection.summary_text import listed

# Passes and rounds of each start, and number of starts that are continued.
SHORT = (10, 4)
CONTINUED = 2
# K grows until this many in a row are this many nats behind the best.
IN_A_ROW, FAR_BEHIND = 2, 5.0
# Expected number of observations below which a component is empty.
EMPTY = 0.5
# Features with log odds up to this, and at most this many, are added or dropped by a fit.
UNCERTAIN, MOST_UNCERTAIN = 6.0, 10


@dataclass(frozen=True)
class SelectedFeatures:
    """States for each K, and the log evidence with log K! and log p(K) of each.

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
            relabellings = _log_relabellings(state, table.n_labelled)
            log_evidence = state.log_evidence if n_components > 1 else state.bound
            values.append(log_evidence + relabellings + log_prior_of(n_components))
            if grows and max(values[-IN_A_ROW:]) < max(values) - FAR_BEHIND:
                break
    return SelectedFeatures(tuple(states), np.array(values), tuple(tried))


def _log_relabellings(state: Relevance, n_labelled: int) -> float:
    """Return log((K - L)! / m!) with L labelled components, as m empty ones are identical."""
    empty = np.count_nonzero(state.responsibilities[:, n_labelled:].sum(axis=0) < EMPTY)
    return float(gammaln(state.n_components - n_labelled + 1.0) - gammaln(empty + 1.0))


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
