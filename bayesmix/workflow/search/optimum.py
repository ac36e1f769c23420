"""Finding the optimum: short starts, then moves judged on the objective, until none helps.

Coarse to fine: a few k-means++ starts get a dozen passes on a sample, and where all rows are many
the best is improved there by moves; then it goes to all rows, where the moves that still help are
made (``improve``). Starts that cannot win are abandoned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bayesmix.engine.monitor import Monitor
from bayesmix.engine.run import Problem, State, begin_at
from bayesmix.engine.stopping import AMONG_CANDIDATES, REMAINING_IN_SEARCH, Aitken
from bayesmix.errors import DegenerateFitError, UnsupportedError
from bayesmix.random import Purpose, stream
from bayesmix.records import Mixture
from bayesmix.workflow.model import Model, Settings, Start, is_valueless, under_a_prior
from bayesmix.workflow.result import ALIKE, SearchRecord
from bayesmix.workflow.search.attempts import Attempts
from bayesmix.workflow.search.effort import effort_of
from bayesmix.workflow.search.improvement import Improver
from bayesmix.workflow.search.moves import Move
from bayesmix.workflow.search.splits import Look, best_splits
from bayesmix.workflow.search.starts import (
    OfMixture,
    begun,
    numbered_starts,
)

# Rows of the sample: enough to tell the parameters of full covariances, within bounds. Fewer
# have optima that all rows do not have (decision 42).
SAMPLE_ROWS, MOST_SAMPLED = 2000, 20_000
ROWS_A_PARAMETER = 15
# Moves are first made on the sample where a pass over all rows is more work than this, in rows
# times components times what a row costs them; less work is mostly overhead.
COARSE_ABOVE = 2**22
# Starts of large data; the later batches are for where every start so far collapsed.
BATCHES_OF_LARGE = (range(8), range(8, 16))
# Of large data the best of so many starts in a row is improved on the sample, until two such ends
# are in one place (nats a row) and none is better.
STARTS_OF_A_RUN, ONE_PLACE = 2, 1e-5
BATCHES_ALONE = (range(3), range(3, 15))  # where no moves follow
BESIDE_GROWN = 2  # of these, where a mixture of fewer components is there to grow from
FIRST_PASSES = 6
SHORT_PASSES = 15
# Where no moves follow, all starts get a few passes, and a few of them some more.
PASSES_OF_ALL, PASSES_OF_FEW, FEW = 3, 3, 2
# So many splits of a mixture of fewer components are starts; passes over its parts that find them.
SPLITS, LOOKS = 2, 2
GUIDED = 2  # by way of a prior so many times as many
# Numbers of starts from fits of other candidates, and less.
GROWN = -1
SETTLE_PASSES = 400
FINISH_PASSES = 5000


@dataclass(frozen=True)
class Optimum:
    """Where the search ended, and what it tried."""

    state: State
    records: tuple[SearchRecord, ...]


@dataclass(frozen=True)
class _Short:
    """A start and where a dozen passes led."""

    number: int
    start: Start
    state: State

    def __str__(self) -> str:
        return "start from another candidate" if self.number <= GROWN else f"start {self.number}"


def on_these_rows(
    problem: Problem, model: Model, settings: Settings, monitor: Monitor, index: int
) -> Optimum:
    """The best state that starts and moves lead to, with starts on a sample of many rows."""
    searcher = Searcher(problem, model, settings, monitor, index)
    try:
        return searcher.found()
    except KeyboardInterrupt:
        # Not all of the work is inside a run, which would have ended with its best so far.
        best = searcher.attempts.fallback()
        if best is None:
            raise
        monitor.interrupt()
        return Optimum(best, tuple(searcher.attempts.records))


@dataclass
class Searcher:
    """One search: its rows, what it has run, and what looks for moves."""

    problem: Problem
    model: Model
    settings: Settings
    monitor: Monitor
    index: int
    collapsed: int = 0  # how many starts did

    def __post_init__(self) -> None:
        if not self._large:
            # Moves look at all rows: few enough to be at hand, wherever they come from.
            self.problem = replace(self.problem, source=self.problem.source.in_memory())
        stopping = Aitken(REMAINING_IN_SEARCH) if self.settings.moves else AMONG_CANDIDATES
        self.loose = replace(self.problem, stopping=stopping)
        self.effort = effort_of(self.problem.family)
        self.sample = self._sampled()
        # Where a pass over all rows costs little, moves are looked for and tried there.
        view = self.sample if self._large else self.loose
        self.attempts = Attempts(self.problem, self.monitor)
        self.improver = Improver(self.attempts, self.model, view, self.small, self._large)
        self.coarse = self.improver
        if not self._large:
            self.coarse = replace(
                self.improver, view=self.sample, small=False, large=True, surely=True
            )

    @property
    def small(self) -> bool:
        """Whether all rows are few enough to search on."""
        return self.sample is self.loose

    @property
    def _large(self) -> bool:
        """Whether a pass over all rows costs so much more than one over the sample."""
        n_rows, n_features = self.problem.source.shape
        work = n_rows * self.model.n_components * (n_features * n_features + 16)
        return n_rows > self._enough and work > COARSE_ABOVE

    def found(self) -> Optimum:
        """Settled starts, improved by moves, and the best of them run to its end."""
        settled = self.settled_starts()
        if not self.settings.moves:
            # Settled starts are where a short search ends: a candidate with too many components
            # would go on for thousands of passes.
            return Optimum(settled[0], tuple(self.attempts.records))
        improved = []
        for state in settled:
            improved.append(self.improver.improved(self.loose, state))
            if self.monitor.stopped is not None:
                break
        best = self.improver.divided_anew(self.loose, max(improved, key=self.attempts.rank))
        passes = SETTLE_PASSES if is_valueless(self.problem, best) else FINISH_PASSES
        finished = self.attempts.run(self.problem, best, passes)
        return Optimum(finished or best, tuple(self.attempts.records))

    def _sampled(self) -> Problem:
        """The problem on a sample whose weights stand for all rows."""
        source = self.problem.source
        if source.shape[0] <= self._enough:
            return self.loose
        generator = stream(self.settings.seed, Purpose.SUBSAMPLE, self.index)
        weighted = source.sample(self._enough, generator).standing_for(source.total_weight)
        return replace(self.loose, source=weighted, stopping=AMONG_CANDIDATES)

    @property
    def _enough(self) -> int:
        """How many rows tell as much as a search needs to know."""
        D = self.problem.source.shape[1]
        parameters = self.model.n_components * (1 + D + D * (D + 1) // 2)
        return min(max(SAMPLE_ROWS, ROWS_A_PARAMETER * parameters), MOST_SAMPLED)

    def settled_starts(self) -> list[State]:
        """The best of the short starts, run on all rows; more of them where all collapse.

        Of small data some different ones are worth improving: passes are cheap and optima many.
        Where some end in one place, and none in a better one, no more are run.
        """
        ends: list[_Short] = []
        apart: list[State] = []
        for batch in self._batches if self.model.n_components > 1 else (range(1),):
            short = self._short_runs(batch)
            spiky = self._spiky(len(batch))
            several = self.small and self.settings.moves
            wanted = self.effort.settled if several else 1
            for entry in short:
                if ends and is_valueless(self.problem, entry.state):
                    break  # so are those after it, and what is held stays so
                state = self._settled(entry)
                if state is not None:
                    ends.append(replace(entry, state=state))
                    self.attempts.note("settle", str(entry), state, 0.0, True)
                apart = self._apart(ends)
                enough = len(apart) >= wanted or self._alike(ends, ALIKE) >= self.effort.alike
                if apart and (self.monitor.stopped is not None or (enough and self._sound(apart))):
                    return apart
            if not spiky and self._sound(apart):
                break
        if not apart:
            raise DegenerateFitError(
                "no start led to a mixture with usable covariances: use a prior (prior='auto'), "
                "fewer components, or a simpler covariance_type"
            )
        return apart[:wanted]

    @property
    def _batches(self) -> tuple[range, ...]:
        if not self.settings.moves:
            return BATCHES_ALONE
        return self.effort.batches if self.small else BATCHES_OF_LARGE

    def _short_runs(self, batch: range) -> list[_Short]:
        """A dozen passes from every start, the best first; of a sample it is improved there."""
        if not self.settings.moves:
            return self._raced(batch)
        if not self.small and self.model.n_components > 1:
            return self._independent_runs(batch)
        short = self._begun(batch, SHORT_PASSES if self.small else FIRST_PASSES)
        return sorted(short, key=self._promise, reverse=True)

    def _independent_runs(self, batch: range) -> list[_Short]:
        """The best of a few starts, improved on the sample, until two such runs agree."""
        short: list[_Short] = []
        improved: list[_Short] = []
        for first in batch[::STARTS_OF_A_RUN]:
            begun = self._begun(range(first, first + STARTS_OF_A_RUN), FIRST_PASSES)
            if not begun:
                continue
            short += begun
            improved.append(self._improved(max(begun, key=self._promise)))
            if self._alike(improved, ONE_PLACE) >= 2 or self.monitor.stopped is not None:
                break
        short.sort(key=self._promise, reverse=True)
        return sorted(improved, key=self._promise, reverse=True) + short

    def _begun(self, batch: range, passes: int) -> list[_Short]:
        """So many passes from every start of a batch; the first has those near other fits too."""
        short: list[_Short] = []
        for number, start in self._starts(batch):
            entry = self._short(number, start, passes)
            if entry is not None:
                short.append(entry)
            if self._alike(short, ALIKE) >= self.effort.alike:
                break
        short += self._near_others(passes) if batch.start == 0 else []
        for entry in short:
            self.attempts.note("start", str(entry), entry.state, 0.0, False)
        return short

    def _improved(self, entry: _Short) -> _Short:
        """A short start improved by moves on the sample."""
        state = self.attempts.run(self.sample, entry.state, SHORT_PASSES) or entry.state
        state = self.coarse.improved(self.sample, state)
        return replace(entry, state=state)

    def _raced(self, batch: range) -> list[_Short]:
        """A few passes from every start and some more of the best, the best first."""
        short = self._near_others(PASSES_OF_ALL) if batch.start == 0 else []
        for number, start in self._starts(batch[:BESIDE_GROWN] if short else batch):
            entry = self._short(number, start, PASSES_OF_ALL)
            if entry is not None:
                short.append(entry)
        short.sort(key=self._promise, reverse=True)
        for place, entry in enumerate(short[:FEW]):
            state = self.attempts.run(self.sample, entry.state, PASSES_OF_FEW)
            short[place] = replace(entry, state=state or entry.state)
        for entry in short:
            self.attempts.note("start", str(entry), entry.state, 0.0, False)
        return sorted(short, key=self._promise, reverse=True)

    def _promise(self, entry: _Short) -> tuple[tuple[bool, float], int]:
        return self.attempts.rank(entry.state), -entry.number

    def _alike(self, short: list[_Short], nats: float) -> int:
        """How many ended within so many nats a row of the best place so far, a sound one if any."""
        near = nats * self.problem.source.total_weight
        sound = [entry for entry in short if not is_valueless(self.problem, entry.state)]
        values = [entry.state.objective for entry in sound or short]
        return sum(value > max(values) - near for value in values)

    def _apart(self, ends: list[_Short]) -> list[State]:
        """The places where runs ended, the best first: the sound ones if any."""
        near = ALIKE * self.problem.source.total_weight
        apart: list[State] = []
        for state in sorted((end.state for end in ends), key=self.attempts.rank, reverse=True):
            if all(abs(state.objective - other.objective) >= near for other in apart):
                apart.append(state)
        return [state for state in apart if not is_valueless(self.problem, state)] or apart

    def _sound(self, apart: list[State]) -> bool:
        """Whether their likelihoods are values to compare with."""
        return bool(apart) and not is_valueless(self.problem, apart[0])

    def _starts(self, batch: range) -> Iterator[tuple[int, Start]]:
        """Numbered starts: by k-means++, by graphs of neighbours."""
        K, family, settings = self.model.n_components, self.model.family, self.settings
        source, summary = self.sample.source, self.problem.source.summary
        graphs = self.small and settings.moves and family.rearranged
        return numbered_starts(source, summary, family, K, settings.seed, self.index, batch, graphs)

    def _near_others(self, passes: int) -> list[_Short]:
        """More starts: fits of other candidates, of fewer components with a good split made."""
        if self.monitor.stopped is not None:
            return []
        near = [one for one in self.settings.near if one.n_components <= self.model.n_components]
        states = (state for one in near for state in self._from(one))
        runs = (self.attempts.run(self.sample, state, passes) for state in states)
        return [
            _Short(GROWN - place, OfMixture(state.at()), state)
            for place, state in enumerate(runs)
            if state is not None
        ]

    def _from(self, near: Mixture) -> Iterator[State]:
        """Runs about to begin at a fit of another candidate."""
        K = self.model.n_components
        if near.n_components == K:  # of another structure
            yield begun(self.sample, OfMixture(near), K)
            return
        state = self._resumed(near) if self.problem.family.rearranged else None
        while state is not None and state.at().n_components < K - 1:
            state = next(self._split(state), None)
            state = state and self.attempts.run(self.sample, state, SHORT_PASSES)
        if state is not None:
            yield from self._split(state)

    def _split(self, state: State) -> Iterator[State]:
        """Runs about to begin with one of the best splits made."""
        look = Look.at(self.sample, state)
        for halves in best_splits(self.sample, state, look, LOOKS, 0)[:SPLITS]:
            yield Move(halves, None, halves.gain).begun(self.sample, state)

    def _resumed(self, near: Mixture) -> State | None:
        """The run that ended at a mixture: on the same rows one look at them is all it takes."""
        frame = self.sample.frame
        if near.frame.equals(frame) and self.problem.family.made(near.components):
            return begin_at(self.sample, replace(near, frame=frame))
        start = begun(self.sample, OfMixture(near), near.n_components)
        return self.attempts.run(self.sample, start, SHORT_PASSES)

    def _spiky(self, n_starts: int) -> bool:
        """Whether most starts collapse on small data: good optima then lie among spikes."""
        return self.small and 2 * self.collapsed >= n_starts

    def _short(self, number: int, start: Start, passes: int) -> _Short | None:
        """So many passes from one start, on the sample."""
        if self.monitor.stopped is not None and self.attempts.begun:
            return None
        state = self.attempts.run(
            self.sample, begun(self.sample, start, self.model.n_components), passes
        )
        if state is None or is_valueless(self.sample, state):
            self.collapsed += 1
            state = self._by_way_of_a_prior(start, passes) or state
        return None if state is None else _Short(number, start, state)

    def _by_way_of_a_prior(self, start: Start, passes: int) -> State | None:
        """A likelihood run from where the same start leads under a prior: it collapses less."""
        K, sample = self.model.n_components, self.sample
        try:
            objective = under_a_prior(sample, sample.source, K)
        except UnsupportedError:
            return None
        guided = replace(sample, objective=objective, accelerate=False)
        state = self.attempts.run(guided, begun(guided, start, K), GUIDED * passes)
        if state is None:
            return None
        return self.attempts.run(sample, begun(sample, OfMixture(state.at()), K), passes)

    def _settled(self, entry: _Short) -> State | None:
        """A short start run on all rows until little is left to gain."""
        if self.small:
            return self.attempts.run(self.loose, entry.state, SETTLE_PASSES)
        # An E-step over all rows comes first, so that an interrupt from here on has a result.
        state = begin_at(self.loose, entry.state.at(), nearby=entry.state)
        settled = self.attempts.run(self.loose, state, SETTLE_PASSES)
        if settled is None:
            again = begun(self.loose, entry.start, self.model.n_components)
            settled = self.attempts.run(self.loose, again, SETTLE_PASSES)
        return settled
