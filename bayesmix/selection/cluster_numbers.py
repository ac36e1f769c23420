"""Clusters of candidates by held-out assignments, and the probability of their number.

Components are one cluster where held-out observations cannot tell them apart. Each fold is fitted
from the fit to all data, so that components keep their identity, and assigns the observations that
it has not seen. Components that fit accidents of the data lose their observations in the folds.

The probability of a number of clusters comes from a Bayesian bootstrap (Rubin 1981) of the
criterion and of these assignments, without further fits: the criterion is a sum of the candidate's
log densities and a penalty, and candidates are compared on weighted observations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.procedures import noun_of
from bayesmix.core.random import Purpose, stream
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.clusters import (
    COMPONENTS,
    OVERLAP,
    Hierarchy,
    counted_as,
    labels_of,
    number_of,
    too_small,
)
from bayesmix.selection.criteria import record
from bayesmix.selection.data_checks import RoundedFeature
from bayesmix.selection.scores import Fold
from bayesmix.selection.tasks import Assignments, Task

N_DRAWS = 200  # the standard error of a probability of 0.9 is then 0.02
# Candidates compared under bootstrap weights, and the share of draws below which one is ignored.
MOST_CONTENDING, SELDOM = 14, 0.02
# Observations that are weighted; of larger data evenly spaced ones.
MOST_WEIGHTED = 20_000
# A criterion on other data differs from the observed one by twice the sampling variance of either.
BOTH_SAMPLES = np.sqrt(2.0)


@dataclass(frozen=True)
class Clustering:
    """Clusters (K,) of a candidate's components; their merges, and which are small, if merged."""

    clusters: Integers
    hierarchy: Hierarchy | None = None
    small: Booleans | None = None

    def into(self, number: int) -> Integers | None:
        """Return the components in this number of clusters; None if they do not form it."""
        if number_of(self.clusters) == number:
            return self.clusters
        if self.hierarchy is None or self.small is None:
            return None
        for n_groups in range(number, len(self.clusters) + 1):
            labels = labels_of(self.hierarchy.groups(n_groups), self.small)
            if number_of(labels) == number:
                return labels
        return None


@dataclass(frozen=True)
class ClusterNumbers:
    """Clusterings of candidates that may win, by index, and probabilities of their number."""

    clusterings: dict[int, Clustering]
    probabilities: dict[int, float]

    @property
    def likeliest(self) -> int:
        """The most probable number of clusters; ties go to fewer."""
        return min(self.probabilities, key=lambda n: (-self.probabilities[n], n))

    @property
    def best(self) -> int:
        """The candidate with fewest components that forms the most probable number of clusters.

        If none forms it on the observed data, the one whose components can be cut into it.
        """
        n = self.likeliest
        formed = [
            i for i, clustering in self.clusterings.items() if number_of(clustering.clusters) == n
        ]
        able = [i for i, clustering in self.clusterings.items() if clustering.into(n) is not None]
        return min(
            formed or able or self.clusterings, key=lambda i: len(self.clusterings[i].clusters)
        )

    def of(self, candidate: int) -> Integers:
        """Return the clusters of a candidate, in the most probable number if it can form it."""
        clustering = self.clusterings[candidate]
        cut = clustering.into(self.likeliest)
        return clustering.clusters if cut is None else cut


@single_threaded_blas()
def cluster_numbers(
    task: Task,
    candidates: Sequence[Candidate],
    order: Sequence[int],
    criterion: str,
    weights: Array,
    splits: Callable[[], tuple[Fold, ...]],
    rounded: Sequence[RoundedFeature],
    counted: str | None,
    seed: int,
) -> ClusterNumbers:
    """Return the clusters of candidates that may win, and the probability of each number.

    ``order``: indices of the candidates with a value of the criterion, best first. ``counted``:
    "merged", "components" or None, as in ``MixtureSearch``.
    """
    contending = [i for i in order if candidates[i].result is not None][:MOST_CONTENDING]
    drawn = _weights(weights, task.fitter.units, stream(seed, Purpose.RESAMPLE))
    try:
        choices = _choices(task, candidates, contending, criterion, drawn)
    except UnsupportedError:  # steps of a pipeline without densities in units of the data
        contending = contending[:1]
        choices = np.zeros(N_DRAWS, dtype=np.intp)
    shares = np.bincount(choices, minlength=len(contending)) / len(choices)
    likely = [place for place, share in enumerate(shares) if share >= SELDOM or place == 0]
    try:
        merged = any(noun_of(candidates[i].estimator) == "component" for i in contending)
        folds = splits() if merged and counted != COMPONENTS else ()
    except InvalidInputError:  # too few observations for folds
        folds = ()
    clusterings, totals = dict[int, Clustering](), dict[int, float]()
    for place in likely:
        i = contending[place]
        choosing = choices == place
        draws = drawn.values if choosing.all() else drawn.values[choosing]
        clusterings[i], numbers = _merged(
            task, candidates[i], folds, drawn, draws, rounded, counted
        )
        for number in numbers:
            totals[number] = totals.get(number, 0.0) + 1.0
    probabilities = {number: totals[number] / sum(totals.values()) for number in sorted(totals)}
    return ClusterNumbers(clusterings, probabilities)


@dataclass(frozen=True)
class _Weights:
    """Bootstrap weights (B, m) of some observations, and the given ones (m,).

    ``spread`` is the ratio of the standard deviation of a sum over all observations to that of a
    sum over these.
    """

    rows: Integers
    given: Array
    values: Array
    spread: float


def _weights(weights: Array, units: Integers | None, generator: np.random.Generator) -> _Weights:
    """Return weights of which the rows of a unit have the same."""
    counted = weights > 0
    unit_of = np.arange(len(weights)) if units is None else units
    numbers = np.cumsum(np.bincount(unit_of[counted]) > 0) - 1
    chosen = numbers % -(-counted.sum() // MOST_WEIGHTED) == 0
    rows = np.flatnonzero(counted)
    rows = rows[chosen[unit_of[rows]]]
    given = weights[rows]
    firsts, places = np.unique(unit_of[rows], return_index=True, return_inverse=True)[1:]
    of_units = given[firsts]
    drawn = generator.standard_gamma(of_units, size=(N_DRAWS, len(of_units)))
    drawn *= of_units.sum() / drawn.sum(axis=1, keepdims=True)
    spread = float(np.sqrt(weights.sum() / given.sum()))
    return _Weights(rows, given, drawn[:, places], spread)


def _choices(
    task: Task,
    candidates: Sequence[Candidate],
    contending: Sequence[int],
    name: str,
    drawn: _Weights,
) -> Integers:
    """Return the place of the best candidate (B,) under each draw of the weights."""
    if len(contending) == 1:
        return np.zeros(N_DRAWS, dtype=np.intp)
    criterion = record(name)
    values = np.array([candidates[i].value(criterion.column) for i in contending])
    densities = []
    for i in contending:
        held = candidates[i].held if criterion.folds else None
        density = (
            task.fitter.log_density(candidates[i].estimator)  # type: ignore[arg-type]  # it is fitted
            if held is None
            else held.density
        )
        densities.append(np.asarray(density)[drawn.rows])
    differences = np.array(densities) - densities[0]
    differences = np.where(np.isfinite(differences), differences, 0.0)
    change = (drawn.values - drawn.given) @ differences.T
    return np.asarray((values + BOTH_SAMPLES * drawn.spread * change).argmax(axis=1))


def _merged(
    task: Task,
    candidate: Candidate,
    folds: tuple[Fold, ...],
    drawn: _Weights,
    draws: Array,
    rounded: Sequence[RoundedFeature],
    counted: str | None,
) -> tuple[Clustering, list[int]]:
    """Return the clusters of a candidate, and their number under each draw (b, m)."""
    result = candidate.result
    assert result is not None  # candidates with a value are fitted
    K = result.n_components
    independent = noun_of(candidate.estimator) == "component"
    if not independent or (counted or counted_as(result)) == COMPONENTS:
        return Clustering(np.arange(K)), [K] * len(draws)
    small = too_small(result, rounded)

    def labels(hierarchy: Hierarchy) -> Integers:
        return labels_of(hierarchy.groups(hierarchy.n_suggested), small)

    assignments = task.fitter.assignments(candidate.estimator, folds) if K > 1 and folds else None  # type: ignore[arg-type]
    if assignments is None:
        hierarchy = Hierarchy.of(result)
        clusters = labels(hierarchy)
        return Clustering(clusters, hierarchy, small), [number_of(clusters)] * len(draws)
    # Folds cannot confirm components of very few observations, which are outlying, not merged.
    few = small[assignments.full.argmax(axis=1)]
    held_out = np.where(few[:, None], assignments.full, assignments.held_out)
    assignments = Assignments(assignments.full, held_out)
    hierarchy = overlapping(assignments, np.ones(len(assignments.full)))
    of_drawn = Assignments(assignments.full[drawn.rows], assignments.held_out[drawn.rows])
    # Deviations of weights are smaller where the draws stand for more observations.
    observed = (drawn.given + (draw - drawn.given) / drawn.spread for draw in draws)
    numbers = [number_of(labels(overlapping(of_drawn, weights, OVERLAP))) for weights in observed]
    return Clustering(labels(hierarchy), hierarchy, small), numbers


def overlapping(assignments: Assignments, weights: Array, above: float = -1.0) -> Hierarchy:
    """Return merges by the agreement of held-out assignments with those of the whole fit.

    It ends where no two groups overlap by more than ``above``.
    """
    full = assignments.full * weights[:, None]
    shared = full.T @ assignments.held_out
    total = weights.sum()
    return Hierarchy.by_overlap(
        full.sum(axis=0) / total, (shared + shared.T) / (2.0 * total), above
    )
