"""Moves of a search: splits, merges, swaps and divisions until none improves the objective."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from bayesmix.em.model import Model, is_repaired, is_valueless
from bayesmix.em.run import (
    REMAINING_IN_SEARCH,
    Problem,
    State,
    begin_at,
)
from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array, quantiles
from bayesmix.search.moves import (
    DIVISIONS_OF_A_PAIR,
    EMPTY,
    FIRST_PASSES,
    FURTHER_PASSES,
    Assignment,
    Merge,
    Move,
    Split,
    best_splits,
    of_statistics,
    oriented,
    two_component_fits,
    whitened,
)
from bayesmix.search.optimum import ALIKE_ON_THE_WAY, Attempts, Visited, equal_counts
from bayesmix.search.stacked import SeparatePriors, StackedMixtures, most_side_by_side

MOST_ROUNDS = 60
# Loss (nats per observation), predicted or of a trial, from which none recovers.
HOPELESS, BEHIND = 0.05, 0.01
MOST_DIVISIONS = 12
MOST_MERGES = 2  # predicted, in multiples of K
# Gain (nats per observation) of an accepted move, above what the stopping rule leaves.
BETTER = 2.0 * REMAINING_IN_SEARCH
STAGES = (2, 6)  # passes of a trial
# Exponentials of larger log odds overflow.
LARGEST_LOG_ODDS = 700.0
# Trials that are followed if none is better yet. A trial continues while PATIENCE times its latest
# gain would exceed the goal.
MOST_FOLLOWED, MORE_PASSES, MOST_STRETCHES, PATIENCE = 3, 25, 8, 4.0
# Passes of trials side by side, first and between looks at them, and looks after the first.
TOGETHER_FIRST, TOGETHER_MORE, LOOKS = 8, 10, 3


@dataclass
class Improver:
    """Moves of a search; gains are predicted on the problem ``view``."""

    attempts: Attempts
    model: Model
    view: Problem
    thorough: bool  # for small data: all trials run their first passes and are followed
    accident: float = 0.0  # gain of a superfluous component on the view, in nats
    latest: tuple[State, Assignment, list[Merge]] | None = None
    swapped: Visited = field(default_factory=Visited)  # states whose swaps were tried
    redivided: Visited = field(default_factory=Visited)  # states whose divisions were tried

    def improved(self, problem: Problem, state: State) -> State:
        """Apply moves until none improves the objective of ``problem``."""
        for _ in self._rounds():
            if self.swapped.before(state.objective, state.expectation.counts, ALIKE_ON_THE_WAY):
                break
            better = self._first_better(problem, self._moves(state), state)
            if better is None:
                break
            state = better
        return state

    def divided(self, problem: Problem, state: State) -> State:
        """Divide pairs and apply the moves that follow, until none helps."""
        for _ in self._rounds():
            if self.redivided.before(state.objective, state.expectation.counts, ALIKE_ON_THE_WAY):
                break
            better = self._first_better(problem, self._divisions(state), state)
            if better is None:
                break
            same = equal_counts(better.expectation.counts, state.expectation.counts)
            # After a division with equal counts the swaps would be the same.
            state = better if same else self.improved(problem, better)
        return state

    def _rounds(self) -> Iterator[int]:
        if self.model.n_components > 1 and self.model.family.rearranged:
            for number in range(MOST_ROUNDS):
                if self.attempts.monitor.stopped is not None:
                    return
                yield number

    def _prepared(self, state: State) -> tuple[Assignment, list[Merge]]:
        """Return the view under a state and predicted losses of merges, cached."""
        if self.latest is None or self.latest[0] is not state:
            assignment = Assignment.under(self.view, state)
            most = MOST_MERGES * state.current_mixture().n_components
            self.latest = state, assignment, merge_losses(self.view, state, assignment, most)
        return self.latest[1:]

    def _moves(self, state: State) -> Iterator[Move]:
        """Yield moves worth a trial: fewer components first where K is free, then by gain."""
        assignment, merges = self._prepared(state)
        splits = best_splits(self.view, state, assignment)
        K = state.current_mixture().n_components
        moves = [
            Move(split, (i, j), split.gain - loss)
            for split in splits
            for loss, i, j in merges
            if split.group[0] not in (i, j)
        ]
        if self.view.objective.variational and self.model.prune:
            yield from (Move(None, (i, j), -loss) for loss, i, j in merges[:4])
            if self.model.n_components > K:
                moves += [Move(split, None, split.gain - self.accident) for split in splits[:4]]
        moves.sort(key=lambda move: -move.predicted)
        used: Counter[tuple[int, ...]] = Counter()
        tried = 0
        for move in moves:
            if tried > 2 * K:
                return
            # Limit repetition, so that different components are split and merged.
            if all(used[group] < 3 for group in move.touched):
                used.update(move.touched)
                tried += 1
                yield move

    def _divisions(self, state: State) -> list[Move]:
        """Return divisions of overlapping pairs, by predicted gain."""
        assignment, merges = self._prepared(state)
        splits = best_divisions(self.view, state, assignment, [(i, j) for _, i, j in merges])
        moves = [Move(split, None, split.gain - self.accident) for split in splits]
        return sorted(moves, key=lambda move: -move.predicted)[:MOST_DIVISIONS]

    def _first_better(self, problem: Problem, moves: Iterable[Move], state: State) -> State | None:
        """Return the first trial that is better at once, or else when followed."""
        # For gains predicted on a subsample, only moves that should gain are tried.
        same_rows = problem.source is self.view.source
        least = -HOPELESS * self.view.source.total_weight - 10.0 if same_rows else 0.0
        moves = (move for move in moves if move.predicted > least)
        side_by_side = self._most_side_by_side(problem, state)
        if side_by_side > 1:
            while batch := list(islice(moves, side_by_side)):
                better = self._best_of_race(problem, batch, state)
                if better is not None or self.attempts.monitor.stopped is not None:
                    return better
            return None
        behind: list[tuple[Move, State]] = []
        begun, followed = (partial(step, problem, state) for step in (self._begun, self._followed))
        threads = 1 + problem.source.idle(state.current_mixture().n_components)
        for move, trial in self.attempts.in_order(begun, moves, threads):
            if trial is not None:
                if self._is_better(problem, trial, state):
                    return followed(self.attempts, (move, trial))
                behind.append((move, trial))
            if self.attempts.monitor.stopped is not None:
                return None
        behind.sort(key=lambda entry: self.attempts.rank(entry[1]), reverse=True)
        most = len(behind) if self.thorough else MOST_FOLLOWED
        for _, better in self.attempts.in_order(followed, behind[:most], threads):
            if better is not None or self.attempts.monitor.stopped is not None:
                return better
        for move, trial in behind[most:]:
            self._note(self.attempts, move, trial, state, accepted=False)
        return None

    def _most_side_by_side(self, problem: Problem, state: State) -> int:
        """Return how many trials are begun side by side, 0 where each runs alone.

        Moves of variational fits may change K, and learned priors would be common to all trials.
        """
        objective = problem.objective
        if not (self.thorough and is_repaired(objective) and problem.form.watched):
            return 0
        if objective.restriction is not None or is_valueless(problem, state):
            return 0
        rows = problem.source.in_memory().rows
        if not rows.keeps_features(state.current_mixture().coefficients.shape[1]):
            return 0
        return most_side_by_side(problem, state.expectation.statistics)

    def _best_of_race(self, problem: Problem, moves: list[Move], state: State) -> State | None:
        """Run trials side by side, then alone from the best on, until one is better.

        Trials leave the race if they fall behind, gain too little, or reach the optimum of another.
        """
        begun: list[tuple[Move, State]] = []
        for move in moves:
            with suppress(DegenerateFitError):
                begun.append((move, move.begun(problem, state)))
        if not begun:
            return None
        moves, trials = [move for move, _ in begun], [trial for _, trial in begun]
        priors = SeparatePriors(problem.objective.weights_prior, len(trials))
        race, goal = StackedMixtures(problem, trials, priors), self._goal(problem, state, state)
        before = np.full(len(trials), -np.inf)
        with suppress(DegenerateFitError):  # trials go on alone from their last covariances
            for passes in (TOGETHER_FIRST, *LOOKS * (TOGETHER_MORE,)):
                race.advance(passes, self.attempts.monitor)
                if self.attempts.monitor.stopped is not None:
                    return None
                values = race.log_likelihoods()
                if values.max() > goal:
                    break
                chosen = self._promising(problem, state, race, moves, values, before)
                if not chosen:
                    return None
                race.keep(chosen)
                moves, before = [moves[place] for place in chosen], values[chosen]
        places = range(len(trials))
        if race.mixture is not None:
            places = np.argsort(-race.log_likelihoods(), kind="stable").tolist()
            ends = race.parted()
        for place in places:
            trial = (
                trials[place]
                if race.mixture is None
                else begin_at(problem, ends[place], None, state)
            )
            alone = self.attempts.run(problem, trial, STAGES[-1])
            better = alone and self._followed(problem, state, self.attempts, (moves[place], alone))
            if better is not None or self.attempts.monitor.stopped is not None:
                return better
        return None

    def _promising(
        self,
        problem: Problem,
        state: State,
        race: StackedMixtures,
        moves: list[Move],
        values: Array,
        before: Array,
    ) -> list[int]:
        """Return the places of the trials that go on, best first."""
        weight, goal = problem.source.total_weight, self._goal(problem, state, state)
        reached = Visited()
        chosen: list[int] = []
        for place in np.argsort(-values, kind="stable").tolist():
            value, counts = float(values[place]), race.counts[place]
            reachable = value + PATIENCE * (value - float(before[place])) > goal
            returns = moves[place].kind == "divide" and equal_counts(
                counts, state.expectation.counts
            )
            if value < state.objective - BEHIND * weight or not reachable or returns:
                continue
            if not reached.before(value, counts, ALIKE_ON_THE_WAY):
                chosen.append(place)
        return chosen

    def _begun(
        self, problem: Problem, state: State, attempts: Attempts, move: Move
    ) -> State | None:
        """Run the first passes of a trial; return None for a singular covariance."""
        try:
            trial: State | None = move.begun(problem, state)
        except DegenerateFitError:
            return None
        least = state.objective - BEHIND * problem.source.total_weight
        for passes in STAGES:
            trial = trial and attempts.run(problem, trial, passes)
            if trial is None or (trial.objective < least and not self.thorough):
                break
        return trial

    def _followed(
        self, problem: Problem, state: State, attempts: Attempts, entry: tuple[Move, State]
    ) -> State | None:
        """Run a trial to its end; return None if it is not better or falls behind."""
        move, trial = entry
        goal = self._goal(problem, trial, state)
        least = state.objective - BEHIND * problem.source.total_weight
        counts = state.expectation.counts
        for _ in range(MOST_STRETCHES):
            if trial.status != "max_iter" or attempts.monitor.stopped is not None:
                break
            returns = move.kind == "divide" and equal_counts(trial.expectation.counts, counts)
            if trial.objective < least or (returns and trial.objective < goal):
                break
            before = trial.objective
            further = attempts.run(problem, trial, MORE_PASSES)
            if further is None:
                return None
            trial = further
            if trial.objective + PATIENCE * (trial.objective - before) < goal:
                break
        accepted = self._is_better(problem, trial, state)
        self._note(attempts, move, trial, state, accepted)
        return trial if accepted else None

    def _is_better(self, problem: Problem, trial: State, state: State) -> bool:
        if is_valueless(problem, state) or is_valueless(problem, trial):
            return self.attempts.rank(trial) > self.attempts.rank(state)
        return trial.objective > self._goal(problem, trial, state)

    def _goal(self, problem: Problem, trial: State, state: State) -> float:
        """Return the objective that a trial must exceed."""
        goal = state.objective + BETTER * problem.source.total_weight
        if problem.source is self.view.source:
            goal += self.accident * (
                trial.current_mixture().n_components - state.current_mixture().n_components
            )
        return goal

    def _note(
        self, attempts: Attempts, move: Move, trial: State, state: State, accepted: bool
    ) -> None:
        gain = trial.objective - state.objective
        attempts.note(move.kind, str(move), trial, gain, accepted)


def best_divisions(
    problem: Problem, state: State, assignment: Assignment, pairs: Sequence[tuple[int, int]]
) -> list[Split]:
    """The best divisions of each pair that differ from the present one."""
    passes = (FIRST_PASSES, FURTHER_PASSES)
    divisions = two_component_fits(
        problem, state, assignment, pairs, _pair_sides, DIVISIONS_OF_A_PAIR, passes
    )
    return [
        split for split, present in divisions if not equal_counts(split.statistics.counts, present)
    ]


def _pair_sides(values: Array, weights: Array) -> list[Array]:
    """Quarters along the longest axis, core and rim, and sides along an axis of two heaps."""
    white: Any = whitened(values, weights)
    if not white.shape[1]:  # identical observations
        return []
    distance = np.einsum("nd,nd->n", white, white)
    longest = white[:, -1]
    sides = [longest > quarter for quarter in quantiles(longest, weights, (0.25, 0.5, 0.75))]
    sides += [distance < middle for middle in quantiles(distance, weights, (0.5,))]
    if white.shape[1] > 1:
        # Kurtosis is least across two heaps; where some values lie far out it is largest.
        _, axes = np.linalg.eigh((weights * distance * white.T) @ white)
        sides += list((oriented(white @ axes[:, [0, -1]], weights) > 0.0).T)
    return sides


def merge_losses(problem: Problem, state: State, assignment: Assignment, most: int) -> list[Merge]:
    """Return predicted losses of merging the ``most`` overlapping pairs, smallest first.

    A pair is replaced by one component fitted to both; the other responsibilities are fixed.
    """
    mixture = state.current_mixture()
    if mixture.n_components == 1:
        return []
    shares, weights = assignment.responsibilities, assignment.weights
    overlaps, lengths = assignment.overlaps()
    # An empty component may be merged with either of two others, so that all may be split.
    empty = np.flatnonzero(lengths * lengths < EMPTY)
    for partner in np.argsort(-lengths, kind="stable")[:2]:
        overlaps[empty, partner] = overlaps[partner, empty] = np.inf
    first, second = np.triu_indices(mixture.n_components, 1)
    order = np.argsort(-overlaps[first, second], kind="stable")[:most]
    before = problem.objective.regulariser(mixture)
    losses: list[Merge] = []
    for i, j in zip(first[order].tolist(), second[order].tolist(), strict=True):
        merged = state.expectation.statistics.merged(i, j)
        try:
            updated = problem.objective.update(
                of_statistics(merged), mixture, problem.frame, problem.guard.resolution
            )
            pooled = problem.densities(updated).components.subset(np.array([i]))
        except DegenerateFitError:
            continue
        density = pooled.expected_log_density(assignment.values)[:, 0]
        rest = np.maximum(1.0 - shares[:, i] - shares[:, j], 0.0)
        log_odds = density + updated.weights.expected_log()[i] - assignment.log_normaliser
        odds = np.exp(np.minimum(log_odds, LARGEST_LOG_ODDS))
        # An observation that no component explains gives an infinite loss.
        with np.errstate(divide="ignore"):
            gained = np.log(rest + odds) @ weights
        losses.append((before - problem.objective.regulariser(updated) - float(gained), i, j))
    return sorted(losses)
