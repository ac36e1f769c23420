"""The loop: a run is ``step(State) -> State`` until a stopping rule says so.

A state is frozen and complete: mixture, the sums of its E-step, accelerator history, what has
happened. Between accepted passes of one segment the objective does not fall; a repair, a prune or a
move begins a new segment.

Progress, interruption and deadlines, handed down through everything that takes time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from bayesmix.core.components import Components
from bayesmix.core.engines import Guard, Objective, PassesKept, Stopping
from bayesmix.core.families import Family
from bayesmix.core.mixture import ChunkSums, Expectation, Mixture
from bayesmix.core.rows import Event, Frame
from bayesmix.core.sources import Source
from bayesmix.em.acceleration import Anderson, extrapolated
from bayesmix.em.expectation import Assessment, AssessmentStep, Form
from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.memo import filled_at_once


@dataclass
class Monitor:
    """Told of every pass; says when to stop. The one mutable thing that runs carry."""

    max_passes: int | None = None
    max_seconds: float | None = None
    on_pass: Callable[[str, int, float, float], None] | None = None
    passes: int = 0
    stopped: str | None = None
    stage: str = ""
    told: bool = False  # whether somebody reads every pass
    latest: tuple[int, float, float] | None = None  # what was told of the last pass
    parent: Monitor | None = None  # what this one stops with
    _began: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    @property
    def countable(self) -> bool:
        """Whether passes may be made elsewhere: nobody has to stop them or reads each."""
        return self.max_passes is None and self.max_seconds is None and not self.told

    def child(self) -> Monitor:
        """One for work in another thread, which ends with this one; see ``counted``."""
        return Monitor(parent=self)

    def counted(self, other: Monitor) -> None:
        """Passes made elsewhere are passes once what they led to is taken."""
        self.passes += other.passes
        if self.on_pass is not None and other.latest is not None:
            self.on_pass(self.stage, *other.latest)

    def tick(self, iteration: int, objective: float, gain: float) -> None:
        """One pass over rows is done."""
        self.passes += 1
        self.latest = iteration, objective, gain
        if self.parent is not None:
            self.stopped = self.parent.stopped
        if self.on_pass is not None:
            self.on_pass(self.stage, iteration, objective, gain)
        if self.stopped is None:
            if self.max_passes is not None and self.passes >= self.max_passes:
                self.stopped = "max_passes"
            elif self.max_seconds is not None and self.seconds >= self.max_seconds:
                self.stopped = "max_seconds"

    def interrupt(self) -> None:
        """Ctrl-C came: the innermost fit ends with its best so far, and all above it too."""
        self.stopped = "interrupted"
        if self.parent is not None:
            self.parent.interrupt()


# Plain passes after a jump that gained so little that it may have been the last.
PLAIN_TO_LOOK = 2
# Plain passes before extrapolation begins, and repairs in a row before one gives up on more.
PLAIN_FIRST = 5
MOST_REPAIRS = 8
GOES_ON_CENTRED = "centred form"  # an event
HELD = "held"  # likewise


@dataclass(frozen=True)
class Problem:
    """What a run works on; fixed while it lasts."""

    source: Source
    family: Family
    objective: Objective
    frame: Frame
    guard: Guard
    stopping: Stopping
    accelerate: bool
    form: Form  # that a run begins with
    notes: tuple[Event, ...] = ()  # what is known of the rows before any run
    kept: PassesKept | None = None  # what is known of its passes from before
    gives_up: bool = False  # whether a run ends where a component is held: it is of no use then

    def densities(self, mixture: Mixture) -> Mixture[Components]:
        """The mixture as rows see it: linear forms, of families that have them.

        Raises ``DegenerateFitError`` where one has collapsed; some of them cost nothing more.
        """
        if not self.family.linear:
            return mixture
        return Mixture(mixture.weights, mixture.linear, mixture.frame)

    def free_threads(self, n_components: int) -> int:
        """How many threads fits side by side may take: those that a pass of so many leaves idle."""
        return 1 + self.source.idle(n_components)


@filled_at_once
@dataclass(frozen=True)
class State:
    """Where a run is: ``expectation`` holds the sums at ``mixture`` (None before the first M)."""

    mixture: Mixture | None
    expectation: Expectation
    objective: float
    form: Form
    resolution: Array | None
    trace: tuple[float, ...] = ()
    segments: tuple[int, ...] = (0,)
    recent: tuple[float, ...] = ()
    plain_left: int = PLAIN_FIRST
    anderson: Anderson = Anderson()  # noqa: RUF009  (frozen)
    events: tuple[Event, ...] = ()
    passes: int = 0
    status: str = "running"

    @property
    def iterations(self) -> int:
        return len(self.trace)

    @property
    def holds(self) -> bool:
        """Whether a component was kept from collapsing on the way."""
        return any(event.kind == HELD for event in self.events)

    def afresh(self) -> State:
        """The same place as the beginning of another run: the last plain passes are its first."""
        return replace(self, trace=self.recent, segments=(0,), status="running")

    def at(self) -> Mixture:
        """The mixture; a run has one from its first step on."""
        assert self.mixture is not None
        return self.mixture


def begin(
    problem: Problem,
    expectation: Expectation,
    origin: Mixture | None = None,
    nearby: State | None = None,
) -> State:
    """A run that starts with an M-step on given sums.

    ``origin`` is the mixture that the sums were made from, if any: what was learned of the prior
    there, with however many components, is where learning goes on. Where a run ``nearby`` goes on
    in a form that loses no digits this one begins in such a form.
    """
    form, told = problem.form, problem.notes
    if nearby is not None and not nearby.form.watched:
        form = form.surer
        told += tuple(event for event in nearby.events if event.kind == GOES_ON_CENTRED)
    return State(origin, expectation, -np.inf, form, problem.guard.resolution, events=told)


def begin_at(
    problem: Problem, mixture: Mixture, state: State | None = None, nearby: State | None = None
) -> State:
    """A run that starts with an E-step at a given mixture; ``state`` is what went before.

    ``nearby`` as in ``begin``.
    """
    before = state or begin(problem, None, None, nearby)  # type: ignore[arg-type]  # filled in here
    form = _renewed(problem, mixture, before)
    expectation, form, more = _expect(problem, mixture, form, before.passes)
    value = expectation.log_normaliser + problem.objective.regulariser(mixture)
    return replace(
        before,
        mixture=mixture,
        expectation=expectation,
        objective=value,
        form=form,
        recent=(value,),
        plain_left=PLAIN_FIRST,
        anderson=before.anderson.forgotten(),
        segments=(*before.segments, before.iterations) if before.trace else before.segments,
        events=before.events + more,
        passes=before.passes + 1,
        status="running",
    )


def _renewed(problem: Problem, mixture: Mixture, state: State) -> Form:
    """The form of the next E-step."""
    passes = state.iterations - state.segments[-1]
    return state.form.renewed(problem.source, mixture, passes)


def _expect(
    problem: Problem, mixture: Mixture, form: Form, passes: int
) -> tuple[Expectation, Form, tuple[Event, ...]]:
    """One E-step over all rows, in a surer form where digits would be lost."""
    expectation, kept = surely_summed(problem.source, mixture, form, problem.kept)
    if kept is form:
        return expectation, form, ()
    event = Event(
        GOES_ON_CENTRED,
        "clusters lie too far apart for the linear form to keep its digits; the run goes on "
        "in the centred form",
        at_pass=passes,
    )
    return expectation, kept, (event,)


def surely_summed(
    source: Source, mixture: Mixture, form: Form, kept: PassesKept | None = None
) -> tuple[Expectation, Form]:
    """The sums of one E-step, and the form that kept their digits."""
    expectation = summed(source, mixture, form, kept)
    if form.keeps_digits(mixture, expectation):
        return expectation, form
    return summed(source, mixture, form.surer, kept), form.surer


def summed(
    source: Source, mixture: Mixture, form: Form, kept: PassesKept | None = None
) -> Expectation:
    """The sums of one E-step over all rows."""

    def added() -> ChunkSums:
        total: ChunkSums = source.reduce(
            form.step(mixture), form.width(mixture.n_components), form.earlier
        )
        return total

    if kept is None:
        return added().finished()
    if not form.exact:
        # Each row goes on from the few components that it knew: no part of the mixture.
        kept.leave_out("passes of more than 100 components are made again")
        return added().finished()
    return kept.summed(source, mixture, form.name, added).finished()


def assessed(source: Source, mixture: Mixture) -> Assessment:
    """What a fit is described by, from one look at all rows."""
    total: Assessment = source.reduce(AssessmentStep(mixture), mixture.n_components)
    return total


def _updated(
    problem: Problem, state: State, thorough: bool
) -> tuple[Mixture, Array | None, tuple[Event, ...], bool]:
    """The M-step with the guard's repairs: mixture, resolution, events, whether it was moved."""
    objective, frame = problem.objective, problem.frame
    resolution, events = state.resolution, state.events
    mixture = objective.update(state.expectation, state.mixture, frame, resolution)
    changed = False
    for _ in range(MOST_REPAIRS):
        repair = problem.guard.examine(mixture, resolution, events, thorough)
        if repair is None:
            break
        changed, thorough = True, True
        stamped = tuple(replace(event, at_pass=state.passes) for event in repair.events)
        resolution, events = repair.resolution, events + stamped
        if repair.mixture is not None:
            mixture = repair.mixture
        else:
            mixture = objective.update(state.expectation, state.mixture, frame, resolution)
    return mixture, resolution, events, changed


def step(problem: Problem, state: State, monitor: Monitor, thorough: bool = False) -> State:
    """One accepted pass: extrapolated where that helps, plain otherwise."""
    if problem.accelerate and state.plain_left <= 0 and not _may_have_ended(problem, state):
        jumped = _extrapolate(problem, state, monitor)
        if jumped.iterations > state.iterations or monitor.stopped is not None:
            return jumped
        state = jumped
    iteration = state.iterations + 1
    thorough = thorough or iteration & (iteration - 1) == 0
    mixture, resolution, events, changed = _updated(problem, state, thorough)
    form = _renewed(problem, mixture, state)
    expectation, form, more = _expect(problem, mixture, form, state.passes)
    value = expectation.log_normaliser + problem.objective.regulariser(mixture)
    gain = value - state.objective
    monitor.tick(iteration, value, gain)
    new_segment = changed or form is not state.form
    anderson = state.anderson.forgotten() if new_segment else state.anderson
    if problem.accelerate and not changed:
        anderson = anderson.remembered(state.expectation.pack(), expectation)
    return State(
        mixture,
        expectation,
        value,
        form,
        resolution,
        trace=(*state.trace, value),
        segments=(*state.segments, state.iterations)
        if new_segment and state.trace
        else state.segments,
        recent=(value,) if new_segment else (*state.recent, value)[-6:],
        plain_left=PLAIN_FIRST if changed else state.plain_left - 1,
        anderson=anderson,
        events=events + more,
        passes=state.passes + 1,
        status=state.status,
    )


def _extrapolate(problem: Problem, state: State, monitor: Monitor) -> State:
    """The accelerated pass if the objective does not fall there, else the state without history."""
    vector = state.anderson.proposal()
    if vector is None:
        return replace(state, plain_left=1)
    jump = extrapolated(state.expectation, vector)
    passes = state.passes
    if jump is None or not problem.family.feasible(jump.statistics):
        return _refused(state, passes)
    try:
        mixture = problem.objective.update(jump, state.mixture, problem.frame, state.resolution)
        if problem.guard.examine(mixture, state.resolution, state.events, False) is None:
            expectation, form, _ = _expect(problem, mixture, state.form, passes)
            value = expectation.log_normaliser + problem.objective.regulariser(mixture)
            passes += 1
            gain = value - state.objective
            monitor.tick(state.iterations + 1, value, gain)
            if gain >= 0.0 and form is state.form:
                small = problem.stopping.is_small(gain, problem.source.total_weight)
                return replace(
                    state,
                    mixture=mixture,
                    expectation=expectation,
                    objective=value,
                    trace=(*state.trace, value),
                    recent=(value,),
                    plain_left=PLAIN_TO_LOOK if small else 0,
                    anderson=state.anderson.remembered(vector, expectation),
                    passes=passes,
                )
    except DegenerateFitError:
        pass
    return _refused(state, passes)


def _refused(state: State, passes: int) -> State:
    """The state after an extrapolation that did not help: plain passes and a new history."""
    anderson = state.anderson.forgotten()
    return replace(state, plain_left=2, anderson=anderson, passes=passes)


def run(problem: Problem, state: State, monitor: Monitor, max_iter: int) -> State:
    """At most ``max_iter`` more passes; the status says why it ended."""
    until = state.iterations + max_iter
    state = replace(state, status="running")
    try:
        while True:
            if problem.gives_up and state.holds:
                return replace(state, status="collapsed")
            # A run that goes on from another may have nothing left to do.
            ended = _has_ended(problem, state)
            if ended:
                repair = problem.guard.examine(state.at(), state.resolution, state.events, True)
                if repair is None:
                    return replace(state, status="converged")
            if state.iterations >= until:
                return replace(state, status="max_iter")
            if monitor.stopped is not None and state.mixture is not None:
                return replace(state, status=monitor.stopped)
            state = step(problem, state, monitor, thorough=ended)
    except KeyboardInterrupt:
        if state.mixture is None:
            raise
        monitor.interrupt()
        return replace(state, status="interrupted")


def _has_ended(problem: Problem, state: State) -> bool:
    if state.mixture is None:
        return False
    weight, magnitude = problem.source.total_weight, state.expectation.magnitude
    return problem.stopping.converged(state.recent, weight, magnitude)


def _may_have_ended(problem: Problem, state: State) -> bool:
    """Whether plain passes are to confirm that little is left."""
    weight, magnitude = problem.source.total_weight, state.expectation.magnitude
    return problem.stopping.expected(state.recent, weight, magnitude)
