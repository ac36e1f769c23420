"""The race of moves: trials get a few passes, and losing ones are abandoned early.

Moves are swaps; for variational bounds also splits and merges, and divisions of pairs at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TypeVar

from bayesmix.core.parallel import ordered_map
from bayesmix.em.model import Model, is_valueless, rank
from bayesmix.em.result import SearchRecord
from bayesmix.em.run import Monitor, Problem, State, begin_at, run
from bayesmix.em.stopping import REMAINING_IN_SEARCH
from bayesmix.errors import DegenerateFitError
from bayesmix.search.moves import (
    Assignment,
    Merge,
    Move,
    best_divisions,
    best_splits,
    equal_counts,
    merge_losses,
)

MOST_ROUNDS = 60
# Predicted loss (nats per observation) from which no trial recovers.
HOPELESS = 0.05
MOST_DIVISIONS = 12
# Predicted merges in multiples of K, and the loss in nats per observation of the pair above which
# it is too well separated to be divided.
MOST_MERGES, SEPARATED = 2, 0.25
# Gain (nats per observation) of an accepted move, above what the stopping rule leaves.
BETTER = 2.0 * REMAINING_IN_SEARCH
# Passes in each stage of a trial, and the loss (nats per observation) at which it is abandoned.
STAGES = ((2, 9e-3), (2, 6e-3), (4, 1e-2))
# Trials that are followed if none is better yet. A trial continues while PATIENCE times its latest
# gain would exceed the goal.
MOST_FOLLOWED, MORE_PASSES, MOST_STRETCHES, PATIENCE = 3, 25, 8, 4.0

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Attempts:
    """Runs of a search; ``problem`` is that on all data."""

    problem: Problem
    monitor: Monitor
    records: list[SearchRecord] = field(default_factory=list)
    best: State | None = None  # of all runs on all data
    best_of_sample: State | None = None

    def rank(self, state: State) -> tuple[bool, float]:
        return rank(self.problem, state)

    def run(self, problem: Problem, state: State, passes: int) -> State | None:
        """Run a problem; None for a singular covariance."""
        try:
            state = run(problem, state, self.monitor, passes)
        except DegenerateFitError:
            return None
        if problem.source is self.problem.source:
            self.best = self._better(self.best, state)
        else:
            self.best_of_sample = self._better(self.best_of_sample, state)
        return state

    def in_order(
        self,
        work: Callable[[Attempts, Item], Result],
        items: Iterable[Item],
        n_threads: int,
    ) -> Iterator[tuple[Item, Result]]:
        """Yield items and ``work(attempts, item)`` in order, in parallel threads.

        Only results that are taken count, so the number of threads has no effect.
        """
        remaining = iter(items)
        n_threads = n_threads if self.monitor.countable else 1
        while wave := list(islice(remaining, n_threads)):
            if len(wave) == 1:
                yield wave[0], work(self, wave[0])
                continue
            tried = [(Attempts(self.problem, self.monitor.child()), item) for item in wave]
            results = ordered_map(lambda one: work(*one), tried, n_threads)
            for (apart, item), result in zip(tried, results, strict=True):
                self._take(apart)
                yield item, result

    def _take(self, apart: Attempts) -> None:
        """Add the runs of another thread."""
        self.monitor.counted(apart.monitor)
        self.records += apart.records
        if apart.best is not None:
            self.best = self._better(self.best, apart.best)
        if apart.best_of_sample is not None:
            self.best_of_sample = self._better(self.best_of_sample, apart.best_of_sample)

    def _better(self, state: State | None, later: State) -> State:
        """Return the better of two states."""
        return later if state is None or self.rank(later) > self.rank(state) else state

    def note(self, stage: str, description: str, state: State, gain: float, accepted: bool) -> None:
        self.records.append(
            SearchRecord(stage, description, state.objective, gain, accepted, state.passes)
        )

    def fallback(self) -> State | None:
        """Return the best state so far, if need be from the subsample."""
        if self.best is None and self.best_of_sample is not None:
            return begin_at(self.problem, self.best_of_sample.at())
        return self.best


@dataclass
class Improver:
    """Moves of a search; gains are predicted on the problem ``view``."""

    attempts: Attempts
    model: Model
    view: Problem
    thorough: bool  # for small data: all trials run their first passes and are followed
    accident: float = 0.0  # gain of a superfluous component on the view, in nats
    latest: tuple[State, Assignment, list[Merge]] | None = None

    def improved(self, problem: Problem, state: State) -> State:
        """Apply moves until none improves the objective of ``problem``."""
        for _ in self._rounds():
            better = self._first_better(problem, self._moves(state), state)
            if better is None:
                break
            state = better
        return state

    def divided(self, problem: Problem, state: State) -> State:
        """Divide pairs and apply the moves that follow, until none helps."""
        for _ in self._rounds():
            better = self._first_better(problem, self._divisions(state), state)
            if better is None:
                break
            same = equal_counts(better.expectation.counts, state.expectation.counts)
            # After a division with equal counts the swaps would be the same.
            state = better if same else self.improved(problem, better)
        return state

    def _rounds(self) -> Iterator[int]:
        """Yield rounds of moves while more are allowed."""
        if self.model.n_components > 1 and self.model.family.rearranged:
            for number in range(MOST_ROUNDS):
                if self.attempts.monitor.stopped is not None:
                    return
                yield number

    def _prepared(self, state: State) -> tuple[Assignment, list[Merge]]:
        """Return the view under a state and predicted losses of merges, cached."""
        if self.latest is None or self.latest[0] is not state:
            assignment = Assignment.under(self.view, state)
            most = MOST_MERGES * state.at().n_components
            self.latest = state, assignment, merge_losses(self.view, state, assignment, most)
        return self.latest[1:]

    def _moves(self, state: State) -> Iterator[Move]:
        """Yield moves worth a trial: fewer components first where K is free, then by gain."""
        assignment, merges = self._prepared(state)
        splits = best_splits(self.view, state, assignment)
        K = state.at().n_components
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
        """Return divisions of poorly separated pairs, by predicted gain."""
        assignment, merges = self._prepared(state)
        counts = state.expectation.counts
        pairs = [(i, j) for loss, i, j in merges if loss < SEPARATED * (counts[i] + counts[j])]
        splits = best_divisions(self.view, state, assignment, pairs)
        moves = [Move(split, None, split.gain) for split in splits]
        return sorted(moves, key=lambda move: -move.predicted)[:MOST_DIVISIONS]

    def _first_better(self, problem: Problem, moves: Iterable[Move], state: State) -> State | None:
        """Return the first trial that is better at once, or else when followed."""
        # For gains predicted on a subsample, only moves that should gain are tried.
        here = problem.source is self.view.source
        least = -HOPELESS * self.view.source.total_weight - 10.0 if here else 0.0
        moves = (move for move in moves if move.predicted > least)
        behind: list[tuple[Move, State]] = []
        begun, followed = (partial(step, problem, state) for step in (self._begun, self._followed))
        threads = problem.free_threads(state.at().n_components)
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

    def _begun(
        self, problem: Problem, state: State, attempts: Attempts, move: Move
    ) -> State | None:
        """Run the first passes of a trial; None for a singular covariance."""
        try:
            trial: State | None = move.begun(problem, state)
        except DegenerateFitError:
            return None
        for passes, loss in STAGES:
            trial = trial and attempts.run(problem, trial, passes)
            least = state.objective - loss * problem.source.total_weight
            if trial is None or (trial.objective < least and not self.thorough):
                break
        return trial

    def _followed(
        self, problem: Problem, state: State, attempts: Attempts, entry: tuple[Move, State]
    ) -> State | None:
        """Run a trial to its end; None if it is not better or falls behind."""
        move, trial = entry
        goal = self._goal(problem, trial, state)
        least = state.objective - STAGES[-1][1] * problem.source.total_weight
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
            goal += self.accident * (trial.at().n_components - state.at().n_components)
        return goal

    def _note(
        self, attempts: Attempts, move: Move, trial: State, state: State, accepted: bool
    ) -> None:
        gain = trial.objective - state.objective
        attempts.note(move.kind, str(move), trial, gain, accepted)
