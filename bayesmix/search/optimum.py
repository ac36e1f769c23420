"""The search for the best optimum: a race of starts, settled runs, and ``Improver``'s moves.

Large data are searched on a subsample; only moves with a predicted gain are tried on all of them.
Moves are swaps; for variational bounds also splits and merges, and divisions of pairs at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from bayesmix.core.parallel import ordered_map
from bayesmix.core.random import Purpose, stream
from bayesmix.em.model import (
    Attempt,
    Model,
    Settings,
    is_repaired,
    is_spurious,
    is_valueless,
    rank,
)
from bayesmix.em.prediction import ALIKE
from bayesmix.em.pruning import pruned
from bayesmix.em.result import SearchRecord
from bayesmix.em.run import (
    AMONG_CANDIDATES,
    REMAINING_IN_SEARCH,
    ROUGH,
    Aitken,
    Monitor,
    Problem,
    State,
    begin_at,
    run,
)
from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array
from bayesmix.search.stacked import raced
from bayesmix.sources.memory import has_sparse_rows
from bayesmix.starts.responsibilities import Given, begun, numbered_starts, one_hot, spread_of

if TYPE_CHECKING:
    from bayesmix.search.improver import Improver

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
    spurious: State | None = None  # the likeliest with a spurious component, on all data
    leading: float = -np.inf  # best objective of which the user was told

    def rank(self, state: State) -> tuple[int, float]:
        return rank(self.problem, state)

    def run(self, problem: Problem, state: State, passes: int) -> State | None:
        """Run passes on a problem; return None for a singular covariance."""
        try:
            state = run(problem, state, self.monitor, passes)
        except DegenerateFitError:
            return None
        if problem.source is self.problem.source:
            self.best = self._better(self.best, state)
            if is_spurious(self.problem, state) and not state.holds:
                self._take_spurious(state)
        else:
            self.best_of_sample = self._better(self.best_of_sample, state)
        return state

    def in_order(
        self, work: Callable[[Attempts, Item], Result], items: Iterable[Item], n_threads: int
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
            results = ordered_map(lambda item: work(*item), tried, n_threads)
            for (apart, item), result in zip(tried, results, strict=True):
                self._take(apart)
                yield item, result

    def _take(self, apart: Attempts) -> None:
        self.monitor.counted(apart.monitor)
        self.records += apart.records
        if apart.best is not None:
            self.best = self._better(self.best, apart.best)
        if apart.best_of_sample is not None:
            self.best_of_sample = self._better(self.best_of_sample, apart.best_of_sample)
        if apart.spurious is not None:
            self._take_spurious(apart.spurious)

    def _take_spurious(self, state: State) -> None:
        if self.spurious is None or state.objective > self.spurious.objective:
            self.spurious = state

    def _better(self, state: State | None, later: State) -> State:
        return later if state is None or self.rank(later) > self.rank(state) else state

    def note(self, stage: str, description: str, state: State, gain: float, accepted: bool) -> None:
        self.records.append(
            SearchRecord(stage, description, state.objective, gain, accepted, state.passes)
        )
        if accepted and state.objective > self.leading + ALIKE * self.problem.source.total_weight:
            self.monitor.tell(description, state.objective - self.leading)
            self.leading = state.objective

    def fallback(self) -> State | None:
        """Return the best state so far, if need be from the subsample."""
        if self.best is None and self.best_of_sample is not None:
            return begin_at(self.problem, self.best_of_sample.current_mixture())
        return self.best


# Size of a subsample: enough for full covariances, within limits. Smaller subsamples have optima
# that the full data do not have.
FEWEST_ROWS, MOST_ROWS, ROWS_PER_PARAMETER = 2000, 20_000, 15
# All data are searched where observations x components x cost is less than this.
SAMPLED_ABOVE = 2**22
# Observations x parameters above which one start is settled and few moves are followed.
LARGE = 2**24
QUICK_AND_WARM = 2  # quick starts in addition to warm ones
# Difference, in nats per observation, within which two runs on a subsample reached one optimum.
ALIKE_ON_A_SAMPLE = 1e-5
SETTLE_PASSES, FINISH_PASSES = 400, 5000
# First number of starts at partitions of trees.
BEYOND = 1000
# The same for states with equal counts that have not converged.
ALIKE_ON_THE_WAY = 1e-4
# Share of all observations by which counts may differ and count as equal.
EQUAL_COUNTS = 0.01
# Gain of a superfluous component in nats per parameter: 1 for a regular model (Akaike 1973), more
# for the best of many splits.
NATS_PER_PARAMETER = 2.0


@dataclass
class Visited:
    """Objectives and counts of states that a search was at."""

    states: list[tuple[float, Array]] = field(default_factory=list)

    def before(self, objective: float, counts: Array, alike: float) -> bool:
        """Whether a state within ``alike`` nats per observation was visited; this one now is."""
        difference = alike * counts.sum()
        if any(
            abs(other - objective) < difference and equal_counts(counts, other_counts)
            for other, other_counts in self.states
        ):
            return True
        self.states.append((objective, counts))
        return False


def equal_counts(counts: Array, other_counts: Array) -> bool:
    """Whether components hold nearly as many observations, in any order."""
    return len(counts) == len(other_counts) and bool(
        np.abs(np.sort(counts) - np.sort(other_counts)).max() < EQUAL_COUNTS * other_counts.sum()
    )


@dataclass(frozen=True)
class Schedule:
    """Number of starts, and of settled ones; both end when ``agree`` reach the best objective."""

    starts: int
    passes: int
    agree: int
    settled: int = 1
    improved: int = 4  # of the settled, by moves, which take most of the time


QUICK = Schedule(3, 6, 3)  # without moves
FULL = Schedule(24, 30, 6, 8, 3)
OF_BOUNDS = Schedule(11, 30, 8, 3)  # which have fewer optima than likelihoods
# In tables of levels probabilities of 0 stay 0; families without moves depend on their starts.
MANY_OPTIMA = Schedule(27, 15, 9, 4)
ON_A_SAMPLE = Schedule(8, 6, 2, 4)
OF_LARGE_DATA = replace(ON_A_SAMPLE, settled=1)  # whose optima cost many long passes


@dataclass(frozen=True)
class Optimum:
    """The best state of a search, and the starts and moves that were tried."""

    state: State
    records: tuple[SearchRecord, ...]
    spurious: State | None = None  # a likelier one with a spurious component


@dataclass(frozen=True)
class ShortRun:
    """A start, numbered from 0, and its state; starts from other candidates are negative."""

    number: int
    state: State

    def __str__(self) -> str:
        return f"start {self.number + 1}" if self.number >= 0 else "start from another candidate"


def search(attempt: Attempt) -> Optimum:
    """Return the best state that starts and moves reach."""
    searcher = OptimumSearch(
        attempt.problem, attempt.model, attempt.settings, attempt.monitor, attempt.index
    )
    try:
        best = searcher.best_state()
        spurious = None if attempt.settings.compared else searcher.likelier_spurious(best)
        return Optimum(best, tuple(searcher.attempts.records), spurious)
    except KeyboardInterrupt:
        # An interrupt outside a run would lose the best state so far.
        fallback = searcher.attempts.fallback()
        if fallback is None:
            raise
        attempt.monitor.interrupt()
        return Optimum(fallback, tuple(searcher.attempts.records))


@dataclass
class OptimumSearch:
    """A search: the problem on all data and on the subsample, and its runs."""

    problem: Problem
    model: Model
    settings: Settings
    monitor: Monitor
    index: int

    def __post_init__(self) -> None:
        problem, K = self.problem, self.model.n_components
        source = problem.source
        n_rows, n_features = source.shape
        parameters = K * (1 + n_features + n_features * (n_features + 1) // 2)
        enough = min(max(FEWEST_ROWS, ROWS_PER_PARAMETER * parameters), MOST_ROWS)
        work = n_rows * K * (n_features * n_features + 16)
        self.whole = n_rows <= enough or work <= SAMPLED_ABOVE
        stopping = Aitken(REMAINING_IN_SEARCH) if self.settings.moves else AMONG_CANDIDATES
        stopping = ROUGH if self.settings.rough else stopping
        accident, n_parameters = 0.0, self.model.family.n_parameters
        if self.whole:
            self.problem = replace(self.problem, source=source.in_memory())
            form = problem.form.in_search if self.settings.moves else problem.form
            self.all_rows = self.sample = replace(self.problem, stopping=stopping, form=form)
        else:
            self.all_rows = replace(self.problem, stopping=stopping)
            generator = stream(self.settings.seed, Purpose.SUBSAMPLE, self.index)
            rows = source.sample(enough, generator).standing_for(source.total_weight)
            family, frame, objective = problem.family, problem.frame, problem.objective
            repair = is_repaired(objective)
            guard = family.guard(rows, frame, source.summary, repair)
            self.sample = replace(problem, source=rows, guard=guard, stopping=AMONG_CANDIDATES)
            of_one, of_two = (n_parameters(k, n_features) for k in (1, 2))
            accident = NATS_PER_PARAMETER * (n_rows / enough - 1.0) * (of_two - of_one + 1)
        alike = ALIKE if self.whole else ALIKE_ON_A_SAMPLE
        self.alike = alike * source.total_weight
        self.attempts = Attempts(self.problem, self.monitor)
        self.large = self.whole and n_rows * n_parameters(K, n_features) > LARGE
        self.accident, self.thorough = accident, n_rows <= enough and not self.large

    @cached_property
    def improver(self) -> Improver:
        """Moves, which load on first use."""
        from bayesmix.search.improver import Improver

        return Improver(self.attempts, self.model, self.sample, self.thorough, self.accident)

    def best_state(self) -> State:
        """Return the best settled start, improved by moves and run to convergence."""
        continued = None
        if self.settings.warm_starts and (self.large or not self.whole):
            from bayesmix.starts.candidate_starts import continued_from

            continued = continued_from(self)
        settled = self._settled_starts() if continued is None else [continued]
        if not self.whole and continued is None:
            on_all_rows = (self._on_all_rows(end) for end in settled)
            settled = list(islice((state for state in on_all_rows if state is not None), 1))
        if not settled:
            raise DegenerateFitError(
                "every start ended with a singular covariance: use a prior (prior='auto'), fewer "
                "components, or a simpler covariance_type"
            )
        if not self.settings.moves:
            return settled[0]
        improved = []
        prunes = self.model.prune and self.problem.objective.variational
        for state in settled[: self._schedule.improved]:
            if prunes:  # all empty components at once, where moves would merge one by one
                state = pruned(self.all_rows, state, self.monitor, SETTLE_PASSES)
            state = self.improver.improved(self.all_rows, state)
            improved.append(self.improver.divided(self.all_rows, state))
            if self.monitor.stopped is not None:
                break
        ends: list[State] = []
        # Where all that moves improved collapse, the settled ones are left.
        for state in (*sorted(improved, key=self.attempts.rank, reverse=True), *settled):
            passes = SETTLE_PASSES if is_valueless(self.problem, state) else FINISH_PASSES
            exact = self._exact(state)
            ends.append(self.attempts.run(self.problem, exact, passes) or exact)
            # A run may collapse where it was thought to be all but over.
            if self.monitor.stopped is not None or not is_valueless(self.problem, ends[-1]):
                break
        return max(ends, key=self.attempts.rank)

    def likelier_spurious(self, best: State) -> State | None:
        """Return the likeliest spurious maximum that the search met, None if it is less likely."""
        met = self.attempts.spurious
        if met is None or is_valueless(self.problem, best) or self.monitor.stopped is not None:
            return None
        # It may have been left on its way to a maximum, or to a component that is held at a point.
        met = self.attempts.run(self.problem, self._exact(met), FINISH_PASSES) or met
        return met if met.objective > best.objective + self.alike and not met.holds else None

    def _exact(self, state: State) -> State:
        """Return a state in the form of the problem, in which its sums keep their digits."""
        form, mixture = self.problem.form, state.current_mixture()
        if state.form is not form.in_search:
            return state
        exact = replace(state, form=form)
        kept = form.keeps_digits(mixture, state.expectation)
        return exact if kept else begin_at(self.problem, mixture, exact)

    @property
    def _schedule(self) -> Schedule:
        if not self.settings.moves:
            return QUICK
        if not self.whole:
            return ON_A_SAMPLE
        if self.large:
            return OF_LARGE_DATA
        family = self.problem.family
        levels_only = family.keeps_zeros and not family.continuous
        if levels_only or not family.rearranged:
            return MANY_OPTIMA
        return OF_BOUNDS if self.problem.objective.variational else FULL

    def _settled_starts(self) -> list[State]:
        """Return distinct optima of the most promising starts, best first, until enough agree.

        If most starts or all optima collapse, more starts are run, first under a prior.
        """
        schedule = self._schedule
        ends: list[State] = []
        lost: set[float] = set()  # objectives of starts that collapsed: the same state does again
        on_the_way, several = Visited(), self.whole and self.settings.moves
        sound = False
        for guided in (False, True):
            runs = self._short_runs(schedule, guided)
            begun = [run.state for run in runs if run.number >= 0]
            most = 1 if self._agree(begun) >= schedule.agree else schedule.settled
            for short in sorted(runs, key=lambda run: self.attempts.rank(run.state), reverse=True):
                if sound and is_valueless(self.problem, short.state):
                    break
                objective, counts = short.state.objective, short.state.expectation.counts
                if objective in lost:
                    continue
                if several and on_the_way.before(objective, counts, ALIKE_ON_THE_WAY):
                    continue
                state = self.attempts.run(self.sample, short.state, SETTLE_PASSES)
                if state is None or is_valueless(self.problem, state):
                    lost.add(short.state.objective)
                if state is not None:
                    if not self.whole and self.settings.moves:
                        state = self.improver.improved(self.sample, state)
                    ends.append(state)
                    self.attempts.note("settle", str(short), state, 0.0, True)
                sound = any(not is_valueless(self.problem, end) for end in ends)
                # One more is settled than is improved, as some end at one optimum.
                enough = len(self._apart(ends)) >= most
                enough = enough or (several and len(ends) > most)
                if (sound and (enough or self._agree(ends) >= schedule.agree)) or self._stopped:
                    break
            collapsed = sum(is_valueless(self.problem, short.state) for short in runs)
            if self._stopped or (sound and 2 * collapsed < len(runs)):
                break
        return self._apart(ends)[:most]

    @property
    def _stopped(self) -> bool:
        begun = self.attempts.best is not None or self.attempts.best_of_sample is not None
        return self.monitor.stopped is not None and begun

    def _short_runs(self, schedule: Schedule, guided: bool) -> list[ShortRun]:
        """Run a few passes from each start and from fits of other candidates."""
        runs: list[ShortRun] = []
        if self.settings.warm_starts and not guided:
            from bayesmix.starts.candidate_starts import runs_from_warm_starts

            runs += runs_from_warm_starts(self, schedule.passes)
        numbers = range(schedule.starts if self.model.n_components > 1 else 1)
        if guided and len(numbers) > 1:
            numbers = range(len(numbers), 2 * len(numbers))
        if runs and schedule is QUICK:  # fits of other candidates are better than most starts
            numbers = numbers[: 1 if self.settings.rough else QUICK_AND_WARM]
        starts, passes = self._begun(numbers, schedule), schedule.passes
        if len(numbers) > 1 and not guided:
            n_starts = len(numbers) + 1  # with a partition of a tree
            starts, passes = raced(self.sample, starts, n_starts, self.monitor, passes)
        for number, state in starts:
            if self._stopped:
                break
            after: State | None = state
            if guided:
                from bayesmix.starts.named_starts import guided_by_a_prior

                after = guided_by_a_prior(self, state, 2 * passes)
            after = after and self.attempts.run(self.sample, after, passes)
            if after is not None:
                runs.append(ShortRun(number, after))
            if self._agree([run.state for run in runs if run.number >= 0]) >= schedule.agree:
                break
        for short in runs:
            self.attempts.note("start", str(short), short.state, 0.0, False)
        return runs

    def _begun(self, numbers: range, schedule: Schedule) -> Iterator[tuple[int, State]]:
        """Yield numbers and states of the starts, before their first M-step."""
        summary, seed = self.problem.source.summary, self.settings.seed
        given = summary, self.model, seed, self.index, numbers, schedule in (FULL, OF_BOUNDS)
        yield from self._at_partitions(numbers)
        for number, start in numbered_starts(self.sample.source, *given):
            yield number, begun(self.sample, start, self.model.n_components)

    def _at_partitions(self, numbers: range) -> Iterator[tuple[int, State]]:
        """Yield starts at partitions of trees, numbered beyond all others.

        Fits of other candidates are better starts.
        """
        K, family, partitions = self.model.n_components, self.model.family, self.settings.partitions
        source: Any = self.sample.source
        if partitions is None or K == 1 or numbers.start or self.settings.warm_starts:
            return
        if has_sparse_rows(source) or source.inside is not None:
            return
        spread = spread_of(family)
        labels = partitions(family, source, K, self.settings.seed + self.index)
        for place, of_tree in enumerate(labels):
            shares = (1.0 - spread) * one_hot(of_tree, K) + spread / K
            yield BEYOND + place, begun(self.sample, Given(shares), K)

    def _on_all_rows(self, end: State) -> State | None:
        """Run on all data from a subsample's optimum."""
        # The first E-step over all data gives an interrupt something to return.
        state = begin_at(self.all_rows, end.current_mixture(), predecessor=end)
        return self.attempts.run(self.all_rows, state, SETTLE_PASSES)

    def _agree(self, states: list[State]) -> int:
        """Count states at the best objective, among sound ones if there are any."""
        sound = [state for state in states if not is_valueless(self.problem, state)] or states
        values = [state.objective for state in sound]
        return sum(value > max(values) - self.alike for value in values)

    def _apart(self, ends: list[State]) -> list[State]:
        """Return states with distinct objectives, best first; only sound ones if there are any.

        Of states with one objective the first without a repair is taken.
        """
        sound = [state for state in ends if not is_valueless(self.problem, state)] or ends
        apart: list[State] = []
        for state in sorted(sound, key=self.attempts.rank, reverse=True):
            if not apart or state.objective <= apart[-1].objective - self.alike:
                apart.append(state)
            elif apart[-1].repaired and not state.repaired:
                apart[-1] = state
        return apart
