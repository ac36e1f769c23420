"""A mixture whose number of components is found by merges, as a start among large data.

Clusters of k-means, many more than are expected, run a few passes. Then pairs are merged, best
first, while the bound at fixed responsibilities rises. A merge needs no pass over the data: the
sums of the two are added (as in the trees of Heller & Ghahramani 2005). Components on fewer
observations than columns, whose covariances are those of the prior, are dropped.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import entr

from bayesmix.core.mixture import Mixture
from bayesmix.em.run import Monitor, Problem, State, begin, run
from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array
from bayesmix.search.moves import Assignment, of_statistics
from bayesmix.starts.named_starts import named_start
from bayesmix.starts.responsibilities import begun

if TYPE_CHECKING:
    from collections.abc import Sequence

# Components to begin with: doubled while more than half of them are left.
FEWEST = 50
# Passes of the clusters of k-means, which cut groups, and after merges; rounds of merges.
PASSES, ROUNDS = 4, 3
# Values of the covariances of merges that are predicted side by side (8 MB).
SIDE_BY_SIDE = 2**20


def agglomerated(problem: Problem, most: int, seed: int) -> Mixture | None:
    """Return a mixture of at most ``most`` components after all merges that gain.

    None for a likelihood, which no merge raises, for families without sums, and if a component
    collapses.
    """
    if not (problem.objective.variational and problem.family.rearranged and problem.family.linear):
        return None
    K, merged = min(FEWEST, most), None
    while True:
        try:
            merged = _from_clusters(problem, K, seed)
        except DegenerateFitError:
            return merged
        if merged is None or 2 * merged.n_components <= K or most == K:
            return merged
        K = min(2 * K, most)


def _from_clusters(problem: Problem, n_components: int, seed: int) -> Mixture | None:
    """Return the mixture that is left of so many clusters of k-means."""
    source = problem.source
    start = named_start("kmeans", source, source.summary, n_components, seed, 0, problem.family)
    state = begun(problem, start, n_components)
    if state.expectation.statistics.shared:
        return None
    for _ in range(ROUNDS):
        state = _run(problem, state)
        statistics: Any = _merged(problem, state)
        held = np.flatnonzero(statistics.counts > problem.frame.n_directions)
        if 0 < len(held) < len(statistics.counts):
            statistics = statistics.subset(held)
        if len(statistics.counts) == state.current_mixture().n_components:
            break
        state = begin(problem, of_statistics(statistics), state.mixture, state)
    return _run(problem, state).current_mixture()


def _run(problem: Problem, state: State) -> State:
    state = run(problem, state, Monitor(), PASSES)
    if state.status == "interrupted":
        raise KeyboardInterrupt
    return state


def _merged(problem: Problem, state: State) -> Any:
    """Return the sums after the merges that gain, best first."""
    statistics: Any = state.expectation.statistics
    assignment = Assignment.under(problem, state)
    shares, K = assignment.responsibilities.copy(), len(statistics.counts)
    gains = np.full((K, K), -np.inf)
    pairs = list(combinations(range(K), 2))
    n_side_by_side = max(1, SIDE_BY_SIDE // problem.frame.n_directions**2)
    while pairs:
        for first in range(0, len(pairs), n_side_by_side):
            some = pairs[first : first + n_side_by_side]
            gains[tuple(zip(*some, strict=True))] = _gains(
                problem, state, statistics, shares, assignment.weights, some
            )
        i, j = divmod(int(gains.argmax()), len(gains))
        if not gains[i, j] > 0.0:
            break
        statistics = statistics.merged(i, j)
        shares[:, i] += shares[:, j]
        shares, gains = np.delete(shares, j, axis=1), np.delete(gains, j, axis=0)
        gains = np.delete(gains, j, axis=1)
        gains[i, :] = gains[:, i] = -np.inf
        pairs = [(min(i, k), max(i, k)) for k in range(len(gains)) if k != i]
    return statistics


def _gains(
    problem: Problem,
    state: State,
    statistics: Any,
    shares: Array,
    weights: Array,
    pairs: Sequence[tuple[int, int]],
) -> Array:
    """Return what the bound gains by each merge, at responsibilities that are otherwise fixed."""
    K, objective = len(statistics.counts), problem.objective
    both = [statistics.subset(np.array(pair)) for pair in pairs]
    joint = type(statistics).joined([statistics, *(pair.merged(0, 1) for pair in both)])
    together = objective.update(
        of_statistics(joint), state.mixture, problem.frame, state.resolution
    )

    def bound(places: list[int], sums: Any) -> float:
        part = together.subset(np.array(places), joint.counts)
        return objective.regulariser(part) + part.expected_log_joint(sums)

    entropies, gains = weights @ entr(shares), np.empty(len(pairs))
    for place, ((i, j), pair) in enumerate(zip(pairs, both, strict=True)):
        entropy = weights @ entr(shares[:, i] + shares[:, j]) - entropies[i] - entropies[j]
        one, two = bound([K + place], pair.merged(0, 1)), bound([i, j], pair)
        gains[place] = one - two + entropy
    return gains
