"""What a search has run so far: its records, and the best state to fall back on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from bayesmix.engine.monitor import Monitor
from bayesmix.engine.run import Problem, State, begin_at, run
from bayesmix.errors import DegenerateFitError
from bayesmix.parallel import ordered_map
from bayesmix.workflow.model import rank
from bayesmix.workflow.result import SearchRecord

Item = TypeVar("Item")
Result = TypeVar("Result")


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
        """Items and ``work(attempts, item)``, in order, as many at once as there are threads.

        What they did counts once a result is taken: the number of threads changes nothing.
        """
        left = iter(items)
        n_threads = n_threads if self.monitor.countable else 1
        while wave := list(islice(left, n_threads)):
            if len(wave) == 1:
                yield wave[0], work(self, wave[0])
                continue
            tried = [(Attempts(self.problem, self.monitor.child()), item) for item in wave]
            results = ordered_map(lambda one: work(*one), tried, n_threads)
            for (apart, item), result in zip(tried, results, strict=True):
                self._take(apart)
                yield item, result

    def _take(self, apart: Attempts) -> None:
        """Count what was run in another thread."""
        self.monitor.counted(apart.monitor)
        self.records += apart.records
        if apart.best is not None:
            self.best = self._better(self.best, apart.best)
        if apart.best_of_sample is not None:
            self.best_of_sample = self._better(self.best_of_sample, apart.best_of_sample)

    def _better(self, one: State | None, other: State) -> State:
        """The later one where it is better."""
        return other if one is None or self.rank(other) > self.rank(one) else one

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
