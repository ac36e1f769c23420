"""Finding the optimum: short starts, then moves judged on the objective, until none helps.

A few k-means++ starts get a dozen passes on a sample; the best goes to all rows; then rounds of
moves. With K fixed a move is a swap (a merge and a split at once); where the objective is an
evidence bound, merges and splits of their own let K move. Trials that fall behind are abandoned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.engine.monitor import Monitor
from bayesmix.engine.objectives import MaximumAPosteriori
from bayesmix.engine.run import Problem, State, run
from bayesmix.errors import DegenerateFitError
from bayesmix.random import Purpose, stream
from bayesmix.weights import DirichletPrior
from bayesmix.workflow.model import Model, Settings
from bayesmix.workflow.moves import Deletion, Move, best_splits, deletions, merge_losses
from bayesmix.workflow.result import SearchRecord
from bayesmix.workflow.starts import (
    NearestCentre,
    OfMixture,
    Start,
    begun,
    distinct_rows,
    hierarchical_start,
    lloyd,
    plus_plus,
)

SAMPLE_ROWS = 2000
# Starts; the later batches are for where every start so far collapsed.
BATCHES = (range(8), range(8, 16))
# Of small data, how many starts are settled and improved.
SETTLED = 2
SETTLED_AMONG_SPIKES = 3
SHORT_PASSES = 15
SHORT_LLOYD = 5
SETTLE_PASSES = 400
FINISH_PASSES = 5000
MOST_ROUNDS = 60
# Trials of a move: after so many passes it must not be behind by more than this (nats a row).
TRIALS = ((8, 1e-2), (25, 1e-3), (120, 0.0))
# What counts as better, in nats a row.
BETTER = 3e-8


@dataclass(frozen=True)
class Found:
    """Where the search ended, and what it tried."""

    state: State
    records: tuple[SearchRecord, ...]


@dataclass(frozen=True)
class _Short:
    """A start and where a dozen passes led."""

    number: int
    start: Start
    state: State


def is_valueless(problem: Problem, state: State) -> bool:
    """Whether a likelihood was only kept finite by holding a collapsed component."""
    return problem.objective.name == "maximum_likelihood" and any(
        event.kind == "held" for event in state.events
    )


def search(
    problem: Problem, model: Model, settings: Settings, monitor: Monitor, index: int
) -> Found:
    """The best state that starts and moves lead to; see the module."""
    searcher = _Searcher(problem, model, settings, monitor, index, [])
    try:
        return searcher.found()
    except KeyboardInterrupt:
        # Not all of the work is inside a run, which would have ended with its best so far.
        if searcher.best is None:
            raise
        monitor.interrupt()
        return Found(searcher.best, tuple(searcher.records))


@dataclass
class _Searcher:
    problem: Problem
    model: Model
    settings: Settings
    monitor: Monitor
    index: int
    records: list[SearchRecord]
    best: State | None = None  # of all that was run on all rows
    collapsed: int = 0  # how many starts did

    def found(self) -> Found:
        """Settled starts, improved by moves, and the best of them run to its end."""
        settled = self.settled_starts()
        if self.model.n_components == 1:
            return Found(settled[0], tuple(self.records))
        best: State | None = None
        for state in settled:
            improved = self.improved(state)
            if best is None or self.rank(improved) > self.rank(best):
                best = improved
            if self.monitor.stopped is not None:
                break
        assert best is not None
        finished = self._run(self.problem, best, FINISH_PASSES)
        return Found(finished or best, tuple(self.records))

    def rank(self, state: State) -> tuple[bool, float]:
        return (not is_valueless(self.problem, state), state.objective)

    def sampled(self) -> Problem:
        """The problem on a sample whose weights stand for all rows."""
        source: Any = self.problem.source
        n_rows = source.shape[0]
        if n_rows <= SAMPLE_ROWS:
            return self.problem
        generator = stream(self.settings.seed, Purpose.SUBSAMPLE, self.index)
        sample = source.sample(SAMPLE_ROWS, generator)
        factor = source.total_weight / sample.total_weight
        return replace(self.problem, source=sample.reweighted(np.full(len(sample.values), factor)))

    def settled_starts(self) -> list[State]:
        """The best of the short starts, run on all rows; more of them where all collapse.

        Of small data two different ones are worth improving: passes are cheap and optima many.
        """
        sample = self.sampled()
        small = sample is self.problem
        settled: list[State] = []
        for batch in BATCHES if self.model.n_components > 1 else (range(1),):
            short = [
                entry
                for number, start in self._starts(sample, batch)
                if (entry := self._short(sample, number, start))
            ]
            short.sort(key=lambda entry: (self.rank(entry.state), -entry.number), reverse=True)
            spiky = self._spiky(sample, len(batch))
            wanted = (SETTLED_AMONG_SPIKES if spiky else SETTLED) if small else 1
            for entry in short:
                state = self._settled(sample, entry)
                if state is not None and not self._known(state, settled):
                    settled.append(state)
                    self._note("settle", f"start {entry.number}", state, 0.0, True)
                sound = [state for state in settled if not is_valueless(self.problem, state)]
                if len(sound) >= wanted or (settled and self.monitor.stopped is not None):
                    return sorted(sound or settled, key=self.rank, reverse=True)
            if not spiky and any(not is_valueless(self.problem, state) for state in settled):
                break
        if not settled:
            raise DegenerateFitError(
                "no start led to a mixture with usable covariances: use a prior (prior='auto'), "
                "fewer components, or a simpler covariance_type"
            )
        return sorted(settled, key=self.rank, reverse=True)[:wanted]

    def _known(self, state: State, settled: list[State]) -> bool:
        """Whether an earlier start led to the same optimum."""
        near = 1e-6 * self.problem.source.total_weight
        return any(abs(state.objective - other.objective) < near for other in settled)

    def _starts(self, sample: Problem, batch: range) -> Iterator[tuple[int, Start]]:
        """Numbered k-means++ starts; for small data on which most collapse, a hierarchical one."""
        K, summary = self.model.n_components, self.problem.source.summary
        for number in batch:
            generator = stream(self.settings.seed, Purpose.START, self.index, number)
            rows = distinct_rows(sample.source, summary, generator)
            centres = lloyd(rows, plus_plus(rows, K, generator), SHORT_LLOYD)
            yield number, NearestCentre(centres, summary)
        if batch.start == 0 and self._spiky(sample, len(batch)):
            given = hierarchical_start(sample.source, K)
            if given is not None:
                yield -1, given

    def _spiky(self, sample: Problem, n_starts: int) -> bool:
        """Whether most starts collapse on small data: good optima then lie among spikes."""
        return sample is self.problem and 2 * self.collapsed >= n_starts

    def _short(self, sample: Problem, number: int, start: Start) -> _Short | None:
        """A dozen passes from one start, on the sample."""
        if self.monitor.stopped is not None and self.records:
            return None
        K = self.model.n_components
        state = self._run(sample, begun(sample, start, K), SHORT_PASSES)
        if state is None or is_valueless(sample, state):
            self.collapsed += 1
            state = self._by_way_of_a_prior(sample, start) or state
        if state is None:
            return None
        self._note("start", f"start {number}", state, 0.0, False)
        return _Short(number, start, state)

    def _by_way_of_a_prior(self, sample: Problem, start: Start) -> State | None:
        """A likelihood run from where the same start leads under a prior: it collapses less."""
        K, family = self.model.n_components, self.problem.family
        prior = family.map_prior(sample.source, self.problem.frame, K)
        guided = replace(
            sample,
            objective=MaximumAPosteriori(prior=prior, weights=DirichletPrior(1.0)),
            accelerate=False,
        )
        state = self._run(guided, begun(guided, start, K), 2 * SHORT_PASSES)
        if state is None:
            return None
        return self._run(sample, begun(sample, OfMixture(state.at()), K), SHORT_PASSES)

    def _settled(self, sample: Problem, entry: _Short) -> State | None:
        """A short start run on all rows until it converges."""
        if sample is self.problem:
            return self._run(self.problem, entry.state, SETTLE_PASSES)
        K = self.model.n_components
        whole = begun(self.problem, OfMixture(entry.state.at()), K)
        settled = self._run(self.problem, whole, SETTLE_PASSES)
        if settled is None:
            settled = self._run(self.problem, begun(self.problem, entry.start, K), SETTLE_PASSES)
        return settled

    def improved(self, state: State) -> State:
        """Moves until none helps."""
        for _ in range(MOST_ROUNDS):
            if self.monitor.stopped is not None:
                break
            better = self._one_round(state)
            if better is None:
                break
            state = better
        return state

    def _one_round(self, state: State) -> State | None:
        """The first move of the round that is better, or None."""
        sample = self.sampled()
        for move in self._moves(sample, state):
            tried = self._tried(move, state)
            if tried is not None or self.monitor.stopped is not None:
                return tried
        return None

    def _moves(self, sample: Problem, state: State) -> Iterator[Move | Deletion]:
        """Moves worth a trial: fewer components first where K is free, then the most promising."""
        mixture = state.at()
        K = mixture.n_components
        small = sample is self.problem
        free = self.problem.objective.variational and self.model.prune
        merges = merge_losses(sample, mixture, most=max(6, 3 * K)) if K > 1 else []
        if free:
            few = 2.0 * (self.problem.source.shape[1] + 1)
            yield from deletions(mixture, state.expectation.counts, few)
            yield from (Move(mixture, None, (i, j), -loss) for loss, i, j in merges[:4])
        splits = best_splits(sample, mixture)
        moves = []
        if free and self.model.n_components > K:
            moves += [Move(mixture, halves, None, halves.gain) for halves in splits[:4]]
        for halves in splits:
            for loss, i, j in merges:
                if halves.k not in (i, j):
                    moves.append(Move(mixture, halves, (i, j), halves.gain - loss))
        moves.sort(key=lambda move: -move.predicted)
        hopeless = -0.02 * self.problem.source.total_weight - 10.0
        used: Counter[tuple[int, ...]] = Counter()
        most, of_each = (4 * K, 3) if small else (8, 2)
        tried = 0
        for move in moves:
            if move.predicted < hopeless or tried >= most:
                return
            if any(used[part] >= of_each for part in move.touched):
                continue
            used.update(move.touched)
            tried += 1
            yield move

    def _tried(self, move: Move | Deletion, state: State) -> State | None:
        """The state after the move if it is better; abandoned early where it falls behind."""
        problem, n_rows = self.problem, self.problem.source.total_weight
        trial: State | None = begun(problem, move, move.n_components, state.at())
        for passes, behind in TRIALS:
            assert trial is not None
            trial = self._run(problem, trial, passes)
            if trial is None or self.monitor.stopped is not None:
                break
            if trial.objective < state.objective - behind * n_rows:
                break
        else:
            assert trial is not None
            if trial.status != "converged":
                trial = self._run(problem, trial, SETTLE_PASSES)
        if trial is None:
            return None
        gain = trial.objective - state.objective
        accepted = self.rank(trial) > self.rank(state) and (
            gain > BETTER * n_rows or is_valueless(problem, state)
        )
        self._note(move.kind, str(move), trial, gain, accepted)
        return trial if accepted else None

    def _run(self, problem: Problem, state: State, passes: int) -> State | None:
        """A run that may fail: None where a covariance could not be factorised."""
        try:
            state = run(problem, state, self.monitor, passes)
        except DegenerateFitError:
            return None
        whole = problem is self.problem
        if whole and (self.best is None or self.rank(state) > self.rank(self.best)):
            self.best = state
        return state

    def _note(
        self, stage: str, description: str, state: State, gain: float, accepted: bool
    ) -> None:
        self.records.append(
            SearchRecord(stage, description, state.objective, gain, accepted, state.passes)
        )
