"""What a search has run so far: its records, and the best state to fall back on."""

from __future__ import annotations

from dataclasses import dataclass, field

from bayesmix.engine.monitor import Monitor
from bayesmix.engine.run import Problem, State, begin_at, run
from bayesmix.errors import DegenerateFitError
from bayesmix.workflow.model import rank
from bayesmix.workflow.result import SearchRecord


@dataclass
class Attempts:
    """Runs of one search; ``problem`` is the one on all rows."""

    problem: Problem
    monitor: Monitor
    records: list[SearchRecord] = field(default_factory=list)
    best: State | None = None  # of all that was run on all rows
    best_of_sample: State | None = None

    @property
    def begun(self) -> bool:
        """Whether there is anything to fall back on."""
        return self.best is not None or self.best_of_sample is not None

    def rank(self, state: State) -> tuple[bool, float]:
        """What states of this search are compared by."""
        return rank(self.problem, state)

    def run(self, problem: Problem, state: State, passes: int) -> State | None:
        """A run that may fail: None where a covariance could not be factorised."""
        try:
            state = run(problem, state, self.monitor, passes)
        except DegenerateFitError:
            return None
        if problem.source is self.problem.source:
            if self.best is None or self.rank(state) > self.rank(self.best):
                self.best = state
        elif self.best_of_sample is None or self.rank(state) > self.rank(self.best_of_sample):
            self.best_of_sample = state
        return state

    def note(self, stage: str, description: str, state: State, gain: float, accepted: bool) -> None:
        """Keep what was tried, for the result."""
        self.records.append(
            SearchRecord(stage, description, state.objective, gain, accepted, state.passes)
        )

    def fallback(self) -> State | None:
        """The best on all rows so far, by way of the sample where nothing was run on them."""
        if self.best is None and self.best_of_sample is not None:
            return begin_at(self.problem, self.best_of_sample.at())
        return self.best
