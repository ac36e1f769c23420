"""Screening of candidates for the same data: a few passes from shared starts, then the best go on.

All structures with K components begin at the same partitions, as in mclust, so that a candidate
costs two short runs instead of a search.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeAlias

import numpy as np
from scipy.cluster.hierarchy import cut_tree, linkage

from bayesmix.core.mixture import Mixture
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.sources import Source
from bayesmix.em.model import Assign, Model, Settings, is_valueless, resolve
from bayesmix.em.result import units_of
from bayesmix.em.run import Monitor, Problem, State, run
from bayesmix.errors import BayesmixError
from bayesmix.numerics.arrays import Array
from bayesmix.starts.responsibilities import (
    Given,
    begun,
    complete,
    given_to,
    numbered_starts,
    one_hot,
)

# An objective in data units, K and the number of parameters, to a number that is to be large.
Criterion: TypeAlias = Callable[[float, int, int], float]
# Labels (n,) by the number of clusters.
Partitions: TypeAlias = dict[int, Array]
# A candidate with its number.
Numbered: TypeAlias = tuple[int, tuple[Model, Settings]]

# Passes that rank candidates, those that go on, passes until they settle, and results.
FIRST_PASSES, PROMISING, SETTLE_PASSES, FINALISTS = 5, 6, 60, 3
# A tree needs memory for the distances of all pairs.
MOST_IN_A_TREE = 2000


@dataclass(frozen=True)
class Screened:
    """A candidate by its number, the problem, and the state that a run reached."""

    number: int
    problem: Problem
    state: State

    @property
    def mixture(self) -> Mixture:
        return self.state.current_mixture()

    def advanced(self, passes: int, plain: bool = False) -> Screened | None:
        """Run on, by ``plain`` passes or as the problem says; None for a degenerate fit."""
        problem = replace(self.problem, accelerate=False) if plain else self.problem
        try:
            state = run(problem, self.state, Monitor(), passes)
        except BayesmixError:
            return None
        usable = state.mixture is not None and not is_valueless(self.problem, state)
        return Screened(self.number, self.problem, state) if usable else None

    def value(self, criterion: Criterion) -> float:
        """Return the criterion of an objective in data units, K and a number of parameters."""
        problem, mixture = self.problem, self.mixture
        family, objective, K = problem.family, problem.objective, mixture.n_components
        shift = units_of(family, objective, mixture, problem.source.total_weight)
        of_weights = objective.weights_prior.n_parameters(K)
        n_parameters = of_weights + family.n_parameters(K, mixture.frame.n_directions)
        if objective.restriction is not None:
            n_parameters -= objective.restriction.n_restrictions
        return criterion(self.state.objective + shift, K, n_parameters)


# A run with its criterion.
Ranked: TypeAlias = tuple[float, Screened]


def finalists(
    candidates: Sequence[tuple[Model, Settings]],
    source: Source,
    criterion: Criterion,
) -> list[tuple[int, Mixture]]:
    """Return numbers and mixtures of the candidates with the best criterion, best first.

    ``candidates`` must come with rising K. K ends at three or more where its best value falls: two
    components may be worse than one where three are better.
    """
    ranked: list[Ranked] = []
    partitions = _partitions(source, {model.n_components for model, _ in candidates})
    best = -math.inf
    with single_threaded_blas():
        for K, same_k in groupby(enumerate(candidates), lambda item: item[1][0].n_components):
            short_runs = _short_runs(same_k, source, criterion, partitions)
            ranked += short_runs
            value = max((value for value, _ in short_runs), default=best)
            if value < best and K > 2:
                break
            best = max(best, value)
        settled = (screened.advanced(SETTLE_PASSES) for screened in _best(ranked, PROMISING))
        ranked = [(screened.value(criterion), screened) for screened in settled if screened]
    return [(screened.number, screened.mixture) for screened in _best(ranked, FINALISTS)]


def _short_runs(
    same_k: Iterable[Numbered], source: Source, criterion: Criterion, partitions: Partitions
) -> list[Ranked]:
    """Return the states of candidates with the same K after a few passes from shared starts."""
    ranked: list[Ranked] = []
    starts: list[Assign] = []
    sizes: set[int] = set()
    reached: dict[int, float] = {}  # by start
    # Structures without a posterior have costly updates: they take the better start alone.
    for number, (model, settings) in sorted(same_k, key=_costly):
        K = model.n_components
        size = model.family.n_parameters(K, source.shape[1])
        if K == 1 and size in sizes:
            continue  # with one component, structures with as many parameters are one
        sizes.add(size)
        try:
            problem = resolve(model, source, settings.among(()))
        except BayesmixError:  # too few samples for this structure
            continue
        starts = starts or _starts(source, model, settings.seed, partitions)
        if len(starts) > 1 and reached and not model.family.has_posterior:
            starts = [starts[max(reached, key=lambda place: reached[place])]]
        for place, start in enumerate(starts):
            shared = given_to(problem, source, start)
            at_start = Screened(number, problem, begun(problem, shared, K))
            screened = at_start.advanced(FIRST_PASSES, plain=True)
            value = screened.value(criterion) if screened else -math.inf
            ranked += [(value, screened)] if screened else []
            reached[place] = max(value, reached.get(place, value))
    return ranked


def _costly(candidate: Numbered) -> bool:
    return not candidate[1][0].family.has_posterior


def _starts(source: Source, model: Model, seed: int, partitions: Partitions) -> list[Assign]:
    """Return partitions by k-means, in one or two scales, and by a tree."""
    K = model.n_components
    numbers = range(1 if K == 1 or partitions else 2)
    starts: list[Assign] = [
        start
        for _, start in numbered_starts(source, source.summary, model, seed, 0, numbers, False)
    ]
    if K > 1 and partitions:
        starts.append(Given(one_hot(partitions[K], K)))
    return starts


def _partitions(source: Source, numbers: set[int]) -> Partitions:
    """Return labels (n,) by numbers of clusters in Ward's tree, none for many samples."""
    if source.shape[0] > MOST_IN_A_TREE:
        return {}
    summary, values = source.summary, np.asarray(source.in_memory().values, dtype=np.float64)
    tree = linkage(complete((values - summary.centre) / summary.scale)[0], "ward")
    possible = sorted(number for number in numbers if number <= source.shape[0])
    return dict(zip(possible, cut_tree(tree, possible).T, strict=True))


def _best(ranked: list[Ranked], most: int) -> list[Screened]:
    """Return the best run of each of the best candidates."""
    by_number: dict[int, Screened] = {}
    for _, screened in sorted(ranked, key=lambda pair: pair[0], reverse=True):
        by_number.setdefault(screened.number, screened)
    return list(by_number.values())[:most]
