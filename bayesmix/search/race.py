"""A race of starts as one product: S starts of K components are one mixture of S·K components.

Sums and updates are those of any mixture, as only mixing weights know the starts. Learned
hyperparameters are common to all until the starts run on alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bayesmix.core.mixture import Expectation, Mixture
from bayesmix.core.rows import Allocated, Rows
from bayesmix.em.expectation import BLOCK_VALUES
from bayesmix.em.model import side_of
from bayesmix.em.run import Monitor, Problem, State, begin_at, summed
from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.logsumexp import normalise

if TYPE_CHECKING:
    from bayesmix.core.priors import Weights, WeightsPrior

# A start by its number.
Numbered: TypeAlias = tuple[int, State]


@dataclass(frozen=True)
class SeparateWeights:
    """Mixing weights of S mixtures of K components: component 0 of each comes first, then 1."""

    parts: tuple[Weights, ...]

    def expected_log(self) -> Array:
        return np.column_stack([part.expected_log() for part in self.parts]).ravel()

    def allocate(self, joint: Array, rows: Rows) -> Allocated:
        """Turn log joints (n, K S) into the responsibilities of each mixture in place."""
        n, L = joint.shape
        shares = joint.T.reshape(L // len(self.parts), -1)  # (K, S n), a view of a linear form
        log_normaliser = normalise(shares.T).reshape(-1, n).sum(axis=0)
        if not np.shares_memory(shares, joint):
            joint[:] = shares.reshape(L, n).T
        return Allocated(log_normaliser)


@dataclass(frozen=True)
class SeparatePriors:
    """The prior of the mixing weights of each of S mixtures."""

    prior: WeightsPrior
    n_mixtures: int

    def mode(self, counts: Array) -> SeparateWeights:
        return SeparateWeights(tuple(map(self.prior.mode, self._split(counts))))

    def posterior(self, counts: Array) -> SeparateWeights:
        return SeparateWeights(tuple(map(self.prior.posterior, self._split(counts))))

    def _split(self, counts: Array) -> Array:
        return counts.reshape(-1, self.n_mixtures).T


def raced(
    problem: Problem, starts: Iterator[Numbered], n_starts: int, monitor: Monitor, passes: int
) -> tuple[Iterator[Numbered], int]:
    """Return starts after plain passes, and the passes left to each: at least one.

    Only starts whose log joints fit into one block are raced, and only components with updates of
    their own. The race ends at convergence, or where a covariance becomes singular.
    """
    first = next(starts)
    starts, statistics = chain([first], starts), first[1].expectation.statistics
    source, family = problem.source, problem.family
    separable = family.has_posterior and family.rearranged and not statistics.shared
    n_joints = source.shape[0] * n_starts * len(statistics.counts)
    plain = problem.form.watched and not side_of(source) and n_joints <= BLOCK_VALUES
    if not separable or not plain:
        return starts, passes
    numbers, states = zip(*starts, strict=True)
    ends, left = _advanced(problem, states, monitor, passes - 1)
    return zip(numbers, ends, strict=True), left + 1


def _advanced(
    problem: Problem, states: Sequence[State], monitor: Monitor, passes: int
) -> tuple[Sequence[State], int]:
    """Return states after plain passes of all at once, and the passes that remain."""
    n_starts, source, frame = len(states), problem.source, problem.frame
    priors = SeparatePriors(problem.objective.weights_prior, n_starts)
    objective: Any = replace(problem.objective, weights=priors)  # type: ignore[type-var]
    parts = [state.expectation.statistics for state in states]
    in_turn = np.arange(n_starts * len(parts[0].counts)).reshape(n_starts, -1)
    statistics = parts[0].joined(parts).subset(in_turn.T.ravel())
    expectation = Expectation(0.0, 0.0, statistics.counts, statistics)
    mixture: Any = None
    form, left = problem.form, passes
    values: tuple[float, ...] = (-np.inf,)
    try:
        while left and monitor.stopped is None:
            following = objective.update(expectation, mixture, frame, problem.guard.resolution)
            expectation, form = summed(source, following, form)
            mixture, left = following, left - 1
            values = (*values, expectation.log_normaliser / n_starts)
            monitor.tick(passes - left, values[-1], values[-1] - values[-2])
            magnitude = expectation.magnitude / n_starts
            if problem.stopping.converged(values, source.total_weight, magnitude):
                left = 0
    except DegenerateFitError:
        pass  # the starts go on alone from their last regular covariances
    except KeyboardInterrupt:
        if mixture is None:
            raise
        monitor.interrupt()
    if mixture is None:
        return states, left
    places = np.arange(in_turn.size).reshape(-1, n_starts).T
    ends = [
        Mixture(weights, mixture.components.subset(place), frame)
        for weights, place in zip(mixture.weights.parts, places, strict=True)
    ]
    return [begin_at(problem, end) for end in ends], left
