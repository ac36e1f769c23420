"""Several mixtures on the same small data as one product: starts of a race, and trials of moves.

S mixtures of K components are one mixture of S·K components. Sums and updates are those of any
mixture, as only mixing weights know the mixtures. Learned hyperparameters are common to all until
the mixtures run on alone. A pass of each then costs a tenth of a pass alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bayesmix.core.mixture import Expectation, Mixture
from bayesmix.core.rows import Allocated, Rows
from bayesmix.em.expectation import BLOCK_VALUES
from bayesmix.em.model import side_of
from bayesmix.em.run import Monitor, Problem, State, begin_at, e_step
from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array, Integers, normalise

if TYPE_CHECKING:
    from bayesmix.core.components import Statistics
    from bayesmix.core.families import Family
    from bayesmix.core.priors import AllocationSums, Weights, WeightsPrior

# A start by its number.
Numbered: TypeAlias = tuple[int, State]

# Log joints of all trials of a product: of more, arithmetic costs more than calls of functions.
MOST_JOINTS = 8 * BLOCK_VALUES


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

    def log_normalisers(self, joint: Array) -> Array:
        """Return the log normalisers (S, n) of each mixture from log joints (n, K S)."""
        n, L = joint.shape
        apart = np.array(joint.T.reshape(L // len(self.parts), -1))
        return normalise(apart.T).reshape(-1, n)


@dataclass(frozen=True)
class SeparatePriors:
    """The prior of the mixing weights of each of S mixtures."""

    prior: WeightsPrior
    n_mixtures: int

    def mode(self, sums: Any) -> Any:
        return self.side_by_side(tuple(map(self.prior.mode, self.split(sums))))

    def posterior(self, sums: Any) -> Any:
        return self.side_by_side(tuple(map(self.prior.posterior, self.split(sums))))

    def side_by_side(self, parts: tuple[Any, ...]) -> Any:
        return SeparateWeights(parts)

    def split(self, sums: Any) -> Iterable[Any]:
        """Return the statistics of each mixture from those of all: counts (K S,)."""
        counts: Array = sums.reshape(-1, self.n_mixtures).T
        return counts


class StackedMixtures:
    """Mixtures with as many components each, which are updated together.

    ``allocation`` holds the statistics of the allocations of all states, None for counts.
    """

    def __init__(
        self,
        problem: Problem,
        states: Sequence[State],
        priors: SeparatePriors,
        allocation: AllocationSums | None = None,
    ) -> None:
        self.problem, self.priors = problem, priors
        self.n_components = len(states[0].expectation.counts)
        self.form = problem.form
        self.mixture: Any = None
        parts = [state.expectation.statistics for state in states]
        in_turn = np.arange(len(states) * self.n_components).reshape(len(states), -1)
        statistics = parts[0].joined(parts).subset(in_turn.T.ravel())
        self.expectation = Expectation(0.0, 0.0, statistics.counts, statistics, allocation)

    @property
    def n_mixtures(self) -> int:
        return self.priors.n_mixtures

    def step(self) -> None:
        """Make an M-step and an E-step; raises ``DegenerateFitError`` for a singular covariance."""
        problem = self.problem
        objective: Any = replace(problem.objective, weights=self.priors)  # type: ignore[type-var]
        following = objective.update(
            self.expectation, self.mixture, problem.frame, problem.guard.resolution
        )
        self.expectation, self.form = e_step(problem.source, following, self.form)
        self.mixture = following

    def advance(self, passes: int, monitor: Monitor) -> None:
        """Make passes until they are made or the monitor stops; see ``step``."""
        for number in range(passes):
            if monitor.stopped is not None:
                return
            before = self.expectation.log_normaliser
            self.step()
            gain = self.expectation.log_normaliser - before
            monitor.tick(
                number + 1,
                self.expectation.log_normaliser / self.n_mixtures,
                gain / self.n_mixtures,
            )

    @property
    def counts(self) -> Array:
        """Counts (S, K) of each mixture."""
        return self.expectation.counts.reshape(-1, self.n_mixtures).T

    def log_likelihoods(self) -> Array:
        """Return Σ w l (S,) of each mixture, in the frame."""
        rows, mixture = self.problem.source.in_memory().rows, self.mixture
        if self.form.watched:
            joint = mixture.coefficients.dot(rows.features(mixture.linear, mixture.frame)).T
        else:
            joint = mixture.log_joint(rows)
        return mixture.weights.log_normalisers(joint) @ rows.weights_or_ones

    def keep(self, chosen: Sequence[int]) -> None:
        """Go on with some of the mixtures, in the order ``chosen``."""
        places = self._places()[list(chosen)].T.ravel()
        statistics = self.expectation.statistics.subset(places)
        weights = SeparateWeights(tuple(self.mixture.weights.parts[s] for s in chosen))
        components = self.mixture.components.subset(places)
        self.mixture = Mixture(weights, components, self.mixture.frame)
        self.expectation = Expectation(0.0, 0.0, statistics.counts, statistics)
        self.priors = replace(self.priors, n_mixtures=len(chosen))

    def parted(self) -> list[Mixture]:
        """Return each mixture alone."""
        return [
            Mixture(weights, self.mixture.components.subset(place), self.mixture.frame)
            for weights, place in zip(self.mixture.weights.parts, self._places(), strict=True)
        ]

    def _places(self) -> Integers:
        """Return the places (S, K) of the components of each mixture."""
        places: Integers = np.arange(self.n_mixtures * self.n_components)
        return places.reshape(-1, self.n_mixtures).T


def raced(
    problem: Problem, starts: Iterator[Numbered], n_starts: int, monitor: Monitor, passes: int
) -> tuple[Iterator[Numbered], int]:
    """Return starts after plain passes, and the passes left to each: at least one.

    Only starts whose log joints fit into one block are raced, and only components with updates of
    their own. The race ends at convergence, or where a covariance becomes singular.
    """
    first = next(starts)
    starts, statistics = chain([first], starts), first[1].expectation.statistics
    if most_side_by_side(problem, statistics, BLOCK_VALUES) < n_starts:
        return starts, passes
    numbers, states = zip(*starts, strict=True)
    priors = SeparatePriors(problem.objective.weights_prior, len(states))
    ends, left = stacked_passes(problem, states, priors, None, monitor, passes - 1)
    return zip(numbers, ends, strict=True), left + 1


def stackable(family: Family, statistics: Statistics) -> bool:
    """Whether each component has an update in closed form that depends on no other."""
    return family.has_posterior and family.rearranged and not statistics.shared


def most_side_by_side(
    problem: Problem, statistics: Statistics, most_joints: int = MOST_JOINTS
) -> int:
    """Return how many mixtures like that of ``statistics`` are updated together, 0 for none."""
    source = problem.source
    if not (stackable(problem.family, statistics) and problem.form.watched) or side_of(source):
        return 0
    return most_joints // (source.shape[0] * len(statistics.counts))


def stacked_passes(
    problem: Problem,
    states: Sequence[State],
    priors: SeparatePriors,
    allocation: AllocationSums | None,
    monitor: Monitor,
    passes: int,
) -> tuple[list[State], int]:
    """Return states after plain passes of all at once, and the passes that remain.

    ``allocation`` holds the statistics of the allocations of all states, None for counts.
    """
    n_starts, source = len(states), problem.source
    race = StackedMixtures(problem, states, priors, allocation)
    left = passes
    values: tuple[float, ...] = (-np.inf,)
    try:
        while left and monitor.stopped is None:
            race.step()
            left -= 1
            values = (*values, race.expectation.log_normaliser / n_starts)
            monitor.tick(passes - left, values[-1], values[-1] - values[-2])
            magnitude = race.expectation.magnitude / n_starts
            if problem.stopping.converged(values, source.total_weight, magnitude):
                left = 0
    except DegenerateFitError:
        pass  # the starts go on alone from their last regular covariances
    except KeyboardInterrupt:
        if race.mixture is None:
            raise
        monitor.interrupt()
    if race.mixture is None:
        return list(states), left
    return [begin_at(problem, end) for end in race.parted()], left
