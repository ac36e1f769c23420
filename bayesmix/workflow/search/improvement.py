"""Moves until none helps: ranked by what they promise on a sample, taken on the objective.

With K fixed a move is a swap (a merge and a split at once); where the objective is an evidence
bound, merges and splits of their own let K move. Where none helps, the rows of pairs are divided
anew. Trials that cannot win are abandoned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import numpy as np

from bayesmix.engine.run import Problem, State
from bayesmix.engine.stopping import REMAINING_IN_SEARCH
from bayesmix.errors import DegenerateFitError
from bayesmix.workflow.model import Model, is_valueless
from bayesmix.workflow.search.attempts import Attempts
from bayesmix.workflow.search.divisions import Division, best_divisions
from bayesmix.workflow.search.moves import (
    Deletion,
    Merge,
    Move,
    deletions,
    holds_as_many,
    merge_losses,
)
from bayesmix.workflow.search.splits import Halves, Look, best_splits

MOST_ROUNDS = 60
# Predicted losses (nats a row) from which no trial of a move, or of a division, comes back.
HOPELESS_MOVE, HOPELESS = 0.02, 0.05
MOST_DIVISIONS = 12
# Pairs (in multiples of K) whose merging is looked at, and what it may cost the rows of a pair that
# is divided anew: where it is more, two clusters are too well told apart for that to be better.
MOST_MERGES = 2
TOLD_APART = 0.25
# What counts as better is more than the gain (nats a row) that may remain while searching.
BETTER = 2.0 * REMAINING_IN_SEARCH
# A trial gets a few passes; where none is better by then, so many that came closest go on, and all
# of small data. A trial must not be far behind (nats a row), and goes on while what it gains in so
# many passes, that many times over, would bring it past the state that it began at, unless its
# components hold as many rows as there: then it is on its way back.
MOST_FOLLOWED = 3
TRIAL_PASSES = 8
FAR_BEHIND = 1e-2
MORE_PASSES = 25
PATIENCE = 4.0
MOST_MORE = 8
# The passes of a trial, all at once on small data; where they cost more, with how far behind it may
# be (nats a row) after the first: a third or more of those that fail are seen to by then.
AT_ONCE = ((TRIAL_PASSES, np.inf),)
BY_STAGES = ((2, 9e-3), (2, 6e-3), (TRIAL_PASSES - 4, np.inf))

AnyMove: TypeAlias = Move | Deletion | Division


@dataclass
class Improver:
    """Moves of one search; ``view`` is the problem on the rows where they are looked for."""

    attempts: Attempts
    model: Model
    view: Problem
    small: bool  # whether these are all rows, and few: trials cost little
    large: bool  # whether a trial on all rows costs much more than one look at the view
    surely: bool = False  # whether only moves that promise to gain are tried
    accident: float = 0.0  # what a component too many gains on the rows of the view, in nats
    looked: tuple[State, Look, list[Merge]] | None = None  # the latest look, and merges by it
    ends: list[tuple[Problem, State]] = field(default_factory=list)  # where none was better

    def improved(self, problem: Problem, state: State) -> State:
        """Moves until none helps, judged on the rows of ``problem``."""
        for _ in range(self._most_rounds):
            if self.attempts.monitor.stopped is not None:
                return state
            known = self._known_end(problem, state)
            if known is not None:
                return known
            better = self._one_round(problem, state)
            if better is None:
                break
            state = better
        self.ends.append((problem, state))
        return state

    def _known_end(self, problem: Problem, state: State) -> State | None:
        """The end that moves from elsewhere led to, where this state is in the same place."""
        near = BETTER * problem.source.total_weight
        for at, end in self.ends:
            alike = at is problem and abs(end.objective - state.objective) <= near
            if alike and holds_as_many(end, state):
                return max(end, state, key=self.attempts.rank)
        return None

    def divided_anew(self, problem: Problem, state: State) -> State:
        """Other divisions of pairs where no other move helps; then moves again, until none does."""
        for _ in range(self._most_rounds):
            if self.attempts.monitor.stopped is not None:
                break
            better = self._first_better(problem, self._divisions(state), state)
            if better is None:
                break
            # Further along a ridge swaps are what they were.
            same = holds_as_many(better, state)
            state = better if same else self.improved(problem, better)
        return state

    def _one_round(self, problem: Problem, state: State) -> State | None:
        """The first move of the round that is better, or None."""
        look, merges = self._look(state)
        moves = self._moves(state, best_splits(self.view, state, look), merges)
        if self.surely:
            moves = (move for move in moves if move.predicted > 0.0)
        return self._first_better(problem, moves, state)

    def _look(self, state: State) -> tuple[Look, list[Merge]]:
        """A look at the rows of the view and what merges would lose there, once for a state."""
        if self.looked is None or self.looked[0] is not state:
            look = Look.at(self.view, state)
            most = MOST_MERGES * state.at().n_components
            self.looked = state, look, merge_losses(self.view, state, look, most)
        return self.looked[1:]

    @property
    def _most_rounds(self) -> int:
        """How many rounds of moves there may be."""
        any_moves = self.model.n_components > 1 and self.model.family.rearranged
        return MOST_ROUNDS if any_moves else 0

    @property
    def _free(self) -> bool:
        """Whether moves may change the number of components."""
        return self.view.objective.variational and self.model.prune

    def _may_add(self, state: State) -> bool:
        """Whether there may be a component more."""
        return self._free and self.model.n_components > state.at().n_components

    @property
    def _hopeless(self) -> float:
        """What a move is expected to gain that is not worth a trial."""
        return -HOPELESS_MOVE * self.view.source.total_weight - 10.0

    def _first_better(
        self, problem: Problem, moves: Iterable[AnyMove], state: State
    ) -> State | None:
        """A move that is better after a few passes at once, else one of those that came closest."""
        behind: list[tuple[AnyMove, State]] = []
        stages = AT_ONCE if self.small else BY_STAGES
        begun = partial(self._begun, problem, state, stages)
        followed = partial(self._followed, problem, state)
        threads = problem.free_threads(state.at().n_components)
        for move, trial in self.attempts.in_order(begun, moves, threads):
            if trial is not None:
                if self._is_better(problem, trial, state):
                    return followed(self.attempts, (move, trial))
                behind.append((move, trial))
            if self.attempts.monitor.stopped is not None:
                return None
        behind.sort(key=lambda entry: self.attempts.rank(entry[1]), reverse=True)
        most = len(behind) if self.small else MOST_FOLLOWED
        for _, better in self.attempts.in_order(followed, behind[:most], threads):
            if better is not None or self.attempts.monitor.stopped is not None:
                return better
        for move, trial in behind[most:]:
            self._note(self.attempts, move, trial, state, accepted=False)
        return None

    def _moves(
        self, state: State, splits: list[Halves], merges: list[Merge]
    ) -> Iterator[Move | Deletion]:
        """Moves worth a trial: fewer components first where K is free, then the most promising."""
        K = state.at().n_components
        if self._free:
            few = 2.0 * (self.view.source.shape[1] + 1)
            yield from deletions(state.expectation.counts, few)
            yield from (Move(None, (i, j), -loss) for loss, i, j in merges[:4])
        moves = []
        if self._may_add(state):
            moves += [Move(halves, None, halves.gain - self.accident) for halves in splits[:4]]
        for halves in splits:
            for loss, i, j in merges:
                if halves.k not in (i, j):
                    moves.append(Move(halves, (i, j), halves.gain - loss))
        moves.sort(key=lambda move: -move.predicted)
        used: Counter[tuple[int, ...]] = Counter()
        most, of_each = (8, 2) if self.large else (2 * K + 2, 3)
        tried = 0
        for move in moves:
            if move.predicted < self._hopeless or tried >= most:
                return
            if any(used[part] >= of_each for part in move.touched):
                continue
            used.update(move.touched)
            tried += 1
            yield move

    def _divisions(self, state: State) -> list[Division]:
        """Other ways in which pairs that are not well told apart may share their rows."""
        look, merges = self._look(state)
        counts = state.expectation.counts
        near = [(i, j) for loss, i, j in merges if loss < TOLD_APART * (counts[i] + counts[j])]
        hopeless = -HOPELESS * self.view.source.total_weight - 10.0
        found = best_divisions(self.view, state, look, near)
        found = [division for division in found if division.predicted > hopeless]
        found.sort(key=lambda division: -division.predicted)
        return found[:MOST_DIVISIONS]

    def _followed(
        self,
        problem: Problem,
        state: State,
        attempts: Attempts,
        entry: tuple[AnyMove, State],
    ) -> State | None:
        """Where a trial leads if that is better; abandoned where it falls behind."""
        move, trial = entry
        n_rows = problem.source.total_weight
        goal = self._goal(problem, trial, state)
        for _ in range(MOST_MORE):
            if trial.status != "max_iter" or attempts.monitor.stopped is not None:
                break
            if move.kind == "divide" and trial.objective < goal and holds_as_many(trial, state):
                break
            if trial.objective < state.objective - FAR_BEHIND * n_rows:
                break
            before = trial.objective
            more = attempts.run(problem, trial, MORE_PASSES)
            if more is None:
                return None
            trial = more
            if trial.objective + PATIENCE * (trial.objective - before) < goal:
                break
        accepted = self._is_better(problem, trial, state)
        self._note(attempts, move, trial, state, accepted)
        return trial if accepted else None

    def _is_better(self, problem: Problem, trial: State, state: State) -> bool:
        held = is_valueless(problem, state)
        if held or is_valueless(problem, trial):
            return self.attempts.rank(trial) > self.attempts.rank(state)
        return trial.objective > self._goal(problem, trial, state)

    def _goal(self, problem: Problem, trial: State, state: State) -> float:
        """The objective above which a trial is better."""
        goal = state.objective + BETTER * problem.source.total_weight
        if problem.source is self.view.source:
            goal += self.accident * (trial.at().n_components - state.at().n_components)
        return goal

    def _note(
        self, attempts: Attempts, move: AnyMove, trial: State, state: State, accepted: bool
    ) -> None:
        gain = trial.objective - state.objective
        attempts.note(move.kind, str(move), trial, gain, accepted)

    def _begun(
        self,
        problem: Problem,
        state: State,
        stages: tuple[tuple[int, float], ...],
        attempts: Attempts,
        move: AnyMove,
    ) -> State | None:
        """The first passes of a trial; None where a covariance could not be factorised.

        ``stages`` are passes, and how far behind it may be after them to get those of the next.
        """
        try:
            trial: State | None = move.begun(problem, state)
        except DegenerateFitError:
            return None
        for passes, behind in stages:
            trial = trial and attempts.run(problem, trial, passes)
            least = state.objective - behind * problem.source.total_weight
            if trial is None or trial.objective < least:
                break
        return trial
