"""The EM loop: ``run`` repeats ``step(State) -> State`` until a stopping rule holds.

A plain step is an M-step on the sums of the last E-step, and the E-step at its mixture (Bishop
2006, sec. 9.3.1 and 10.2.1), for any family and objective. After some of them Anderson acceleration
extrapolates the sums (Walker & Ni 2011; cf. SQUAREM, Varadhan & Roland 2008); a step that lowers
the objective is not accepted. A trace has segments, within which the objective does not fall;
repairs, pruning and moves begin a new one.

A run has converged if the gain that is left is small: Aitken's estimate δ_t a / (1 - a), with a =
δ_t / δ_(t-1), after several plain steps, or the last gain, as in scikit-learn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dgesv

from bayesmix.core.mixture import Expectation, Mixture
from bayesmix.core.rows import Event, Frame
from bayesmix.em.expectation import Assessment, AssessmentStep, Form
from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array, Integers

if TYPE_CHECKING:
    from bayesmix.core.components import Components
    from bayesmix.core.engines import Guard, Objective, Stopping
    from bayesmix.core.families import Family
    from bayesmix.core.sources import Source


# Pairs of inputs and outputs that an extrapolation combines.
MEMORY = 8


@dataclass(frozen=True)
class Anderson:
    """The last input-output pairs of the EM map, as packed statistics, with their scales."""

    inputs: tuple[Array, ...] = ()
    outputs: tuple[Array, ...] = ()
    units: Array | float = 1.0

    def remembered(self, source: Array, result: Expectation) -> Anderson:
        """Append a pair; start afresh if the statistics changed length."""
        packed = result.pack()
        if len(source) != len(packed):
            return Anderson()
        return Anderson(
            (*self.inputs, source)[-MEMORY:],
            (*self.outputs, packed)[-MEMORY:],
            self.units if self.inputs else result.units(),
        )

    def proposal(self) -> Array | None:
        """Return the combination of outputs with the smallest combined residual, or None."""
        if len(self.inputs) < 2:
            return None
        outputs = np.array(self.outputs)
        residuals = outputs - np.array(self.inputs)
        if not np.isfinite(residuals).all():
            return None
        with np.errstate(over="ignore", invalid="ignore"):  # non-finite values are rejected below
            latest = residuals[-1] * self.units
            differences = (residuals[1:] - residuals[:-1]) * self.units
            gram = differences @ differences.T
        diagonal = np.einsum("ii->i", gram)
        scale = float(diagonal.sum())
        if not 0.0 < scale < np.inf:
            return None
        diagonal += 1e-14 * scale  # differences may be parallel up to rounding
        _, _, mix, singular = dgesv(gram, differences @ latest)
        if singular or not np.isfinite(mix).all():
            return None
        if len(mix) == 1:
            # Growing steps lead away from a saddle point, whereas their secant points back to it.
            mix = -np.abs(mix)
        return outputs[-1] - mix @ (outputs[1:] - outputs[:-1])


@dataclass
class Monitor:
    """Progress, interruption and time limits: reports each pass and tells runs when to stop."""

    max_passes: int | None = None
    max_seconds: float | None = None
    on_pass: Callable[[str, int, float, float], None] | None = None
    on_gain: Callable[[str, str, float], None] | None = None
    searching: bool = False  # whether passes are those of starts and moves
    passes: int = 0
    stopped: str | None = None
    stage: str = ""
    reports_passes: bool = False  # whether the user sees each pass
    latest: tuple[int, float, float] | None = None  # report of the last pass
    parent: Monitor | None = None  # monitor that stops this one
    _began: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    @property
    def countable(self) -> bool:
        """Whether passes may run in workers: no limits and no report of each pass."""
        return self.max_passes is None and self.max_seconds is None and not self.reports_passes

    def child(self) -> Monitor:
        """Return a monitor for another thread, which stops with this one; see ``counted``."""
        return Monitor(parent=self)

    def counted(self, other: Monitor) -> None:
        """Add the passes of another monitor, once its result is used."""
        self.passes += other.passes
        if self.on_pass is not None and other.latest is not None:
            self.on_pass(self.stage, *other.latest)

    def tick(self, iteration: int, objective: float, gain: float) -> None:
        """Record a pass and check the limits."""
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

    def tell(self, what: str, gain: float) -> None:
        """Report the start or move that is the best so far, with its gain in nats."""
        if self.on_gain is not None:
            self.on_gain(self.stage, what, gain)

    @contextmanager
    def search(self, searching: bool = True) -> Iterator[None]:
        """Mark the passes within as those of starts and moves, or not."""
        outer, self.searching = self.searching, searching
        try:
            yield
        finally:
            self.searching = outer

    def interrupt(self) -> None:
        """Stop after Ctrl-C: all fits end with their best state."""
        self.stopped = "interrupted"
        if self.parent is not None:
            self.parent.interrupt()


# Plain passes before the first extrapolation, and after one with a small gain, to confirm that the
# run has converged (without them a tenth more passes).
PLAIN_FIRST, PLAIN_TO_CONFIRM = 5, 2
MOST_REPAIRS = 8  # in an M-step; a bound of the loop, as one or two suffice
# Times that a Newton step is halved where the objective fell.
MOST_HALVINGS = 20
GOES_ON_CENTRED = "centred form"  # kind of event
HELD, RELOCATED = "held", "relocated"
# A fall relative to the magnitude that is no rounding.
LOST = 1e-6


@dataclass(frozen=True)
class Problem:
    """The fixed inputs of a run."""

    source: Source
    family: Family
    objective: Objective
    frame: Frame
    guard: Guard
    stopping: Stopping
    accelerate: bool
    form: Form  # first form of the E-step
    notes: tuple[Event, ...] = ()  # findings about the data before the run
    # whether to end the run at a held component, as its fit would be refused
    gives_up: bool = False
    refuses_spurious: bool = False  # whether a search prefers optima without spurious components

    def densities(self, mixture: Mixture) -> Mixture[Components]:
        """Return the mixture with linear forms, for families that have them.

        Raises ``DegenerateFitError`` for a collapsed component.
        """
        if not self.family.linear:
            return mixture
        return Mixture(mixture.weights, mixture.linear, mixture.frame)


@dataclass(frozen=True)
class State:
    """State of a run: a mixture, None before the first M-step, and the sums of its E-step."""

    mixture: Mixture | None
    expectation: Expectation
    objective: float
    form: Form
    resolution: Array | None  # floors that hold degenerate components
    trace: tuple[float, ...] = ()
    segments: tuple[int, ...] = (0,)  # first indices into the trace
    recent: tuple[float, ...] = ()  # objectives of the last plain passes, for the stopping rule
    plain_left: int = PLAIN_FIRST  # plain passes before the next extrapolation
    anderson: Anderson = Anderson()
    events: tuple[Event, ...] = ()
    passes: int = 0
    status: str = "running"

    @property
    def iterations(self) -> int:
        return len(self.trace)

    @property
    def holds(self) -> bool:
        """Whether a degenerate component was held."""
        return any(event.kind == HELD for event in self.events)

    @property
    def repaired(self) -> bool:
        """Whether a component collapsed, and was moved or held."""
        return any(event.kind in (HELD, RELOCATED) for event in self.events)

    def afresh(self) -> State:
        """Return the state as the start of another run, with its last plain passes."""
        return replace(self, trace=self.recent, segments=(0,), status="running")

    def subset(self, keep: Integers) -> State:
        """Return the state of the components ``keep``, in that order."""
        place = {int(old): new for new, old in enumerate(keep)}
        events = tuple(
            replace(event, components=tuple(place[k] for k in event.components if k in place))
            for event in self.events
        )
        resolution = self.resolution
        if resolution is not None and len(resolution) > 1:
            resolution = resolution[keep]
        mixture = self.current_mixture().subset(keep, self.expectation.counts)
        return replace(self, mixture=mixture, events=events, resolution=resolution)

    def current_mixture(self) -> Mixture:
        """Return the mixture, which exists after the first step."""
        assert self.mixture is not None
        return self.mixture


def begin(
    problem: Problem,
    expectation: Expectation,
    origin: Mixture | None = None,
    predecessor: State | None = None,
) -> State:
    """Return a state that starts with an M-step on given sums.

    ``origin`` is the mixture behind the sums, if any: its hyperparameters are the initial values.
    ``predecessor`` is the run that the start was taken from.
    """
    form, events = _first_form(problem, predecessor), problem.notes
    if predecessor is not None and form is not problem.form:
        events += tuple(event for event in predecessor.events if event.kind == GOES_ON_CENTRED)
    return State(origin, expectation, -np.inf, form, problem.guard.resolution, events=events)


def _first_form(problem: Problem, predecessor: State | None) -> Form:
    """Return the form of a run, the accurate one if the run that it goes on from needed it."""
    if predecessor is None or predecessor.form.watched:
        return problem.form
    return problem.form.surer


def begin_at(
    problem: Problem,
    mixture: Mixture,
    state: State | None = None,
    predecessor: State | None = None,
) -> State:
    """Return ``state``, or a new one as by ``begin``, continued with an E-step at a mixture."""
    first_form = _first_form(problem, predecessor) if state is None else state.form
    expectation, form = e_step(problem.source, mixture, first_form)
    before = state or begin(problem, expectation, None, predecessor)
    value = expectation.log_normaliser + problem.objective.regulariser(mixture)
    return replace(
        before,
        mixture=mixture,
        expectation=expectation,
        objective=value,
        form=form,
        recent=(value,),
        plain_left=PLAIN_FIRST,
        anderson=Anderson(),
        segments=_with_segment(before),
        events=before.events + _change_of_form(before.form, form, before.passes),
        passes=before.passes + 1,
        status="running",
    )


def _with_segment(state: State) -> tuple[int, ...]:
    """Return the segments of a trace of which another begins, if any pass was made."""
    return (*state.segments, state.iterations) if state.trace else state.segments


def e_step(source: Source, mixture: Mixture, form: Form) -> tuple[Expectation, Form]:
    """Return the sums of an E-step, and the form that computed them with the required accuracy."""
    expectation = source.reduce(form.step(mixture), mixture.n_components).finished()
    if form.keeps_digits(mixture, expectation):
        return expectation, form
    return e_step(source, mixture, form.surer)


def _change_of_form(form: Form, used: Form, at_pass: int) -> tuple[Event, ...]:
    """Return an event if a pass needed a more accurate form."""
    text = "the E-step uses centred data, because the clusters are far apart"
    return () if used is form else (Event(GOES_ON_CENTRED, text, at_pass=at_pass),)


def assessed(source: Source, mixture: Mixture) -> Assessment:
    """Return the diagnostics of a mixture from one pass."""
    return source.reduce(AssessmentStep(mixture), mixture.n_components)


def _m_step(
    problem: Problem, state: State, thorough: bool
) -> tuple[Mixture, Array | None, tuple[Event, ...], bool]:
    """Return mixture, resolution and events after an M-step, and whether the guard changed it."""
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
    """Return the state after an accepted pass: extrapolated, or an M-step and an E-step.

    The E-step is at the mixture that maximises the objective for the sums of the last one (Bishop
    2006, sec. 9.3.1 and 10.2.1).
    """
    if _may_extrapolate(problem, state):
        jumped = _extrapolate(problem, state, monitor)
        if jumped.iterations > state.iterations or monitor.stopped is not None:
            return jumped
        state = jumped
    iteration = state.iterations + 1
    # A thorough examination costs a pass over the data where components are narrow.
    thorough = thorough or iteration & (iteration - 1) == 0  # at powers of two
    mixture, resolution, events, changed = _m_step(problem, state, thorough)
    form = state.form
    for _ in range(MOST_HALVINGS):
        expectation, form = e_step(problem.source, mixture, form)
        value = expectation.log_normaliser + problem.objective.regulariser(mixture)
        fell = value < state.objective - ROUNDING * expectation.magnitude
        shorter = state.mixture.halfway_to(mixture) if fell and state.mixture else None
        if shorter is None:
            break
        mixture = shorter
    gain = value - state.objective
    lost = fell and gain < -LOST * expectation.magnitude
    if lost and not thorough:  # a component may be singular
        return step(problem, state, monitor, thorough=True)
    monitor.tick(iteration, value, gain)
    after = replace(
        state,
        mixture=mixture,
        expectation=expectation,
        objective=value,
        form=form,
        resolution=resolution,
        events=events,
    )
    return _recorded(problem, state, after, changed, lost)


def _may_extrapolate(problem: Problem, state: State) -> bool:
    """Whether enough plain passes were made, and more than rounding is left to gain."""
    if not problem.accelerate or state.plain_left > 0:
        return False
    return not _is_met(problem, state, problem.stopping.expected)


def _recorded(problem: Problem, state: State, after: State, changed: bool, lost: bool) -> State:
    """Return the state after a plain pass with its trace, segments, memory and events.

    ``changed``: the guard changed the mixture. ``lost``: the objective fell by more than rounding.
    """
    value, events = after.objective, after.events
    new_segment = changed or after.form is not state.form or lost
    if lost and not changed and all(event.kind != "fell" for event in events):
        fall = state.objective - value
        text = f"the objective fell by {fall:.3g} nats in one pass: compare other starts"
        events += (Event("fell", text, at_pass=state.passes),)
    anderson = Anderson() if new_segment else state.anderson
    if problem.accelerate and not changed:
        anderson = anderson.remembered(state.expectation.pack(), after.expectation)
    return replace(
        after,
        trace=(*state.trace, value),
        segments=_with_segment(state) if new_segment else state.segments,
        recent=(value,) if new_segment else (*state.recent, value)[-6:],
        plain_left=PLAIN_FIRST if changed else state.plain_left - 1,
        anderson=anderson,
        events=events + _change_of_form(state.form, after.form, state.passes),
        passes=state.passes + 1,
    )


def _extrapolate(problem: Problem, state: State, monitor: Monitor) -> State:
    """Return the extrapolated state if the objective does not fall, else one without history."""
    vector = state.anderson.proposal()
    if vector is None:
        return state
    refused = replace(state, anderson=Anderson())
    jump, passes = _extrapolated_sums(problem, state, vector), state.passes
    if jump is None:
        return refused
    try:
        mixture = problem.objective.update(jump, state.mixture, problem.frame, state.resolution)
        if problem.guard.examine(mixture, state.resolution, state.events, False) is None:
            expectation, form = e_step(problem.source, mixture, state.form)
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
                    plain_left=PLAIN_TO_CONFIRM if small else 0,
                    anderson=state.anderson.remembered(vector, expectation),
                    passes=passes,
                )
    except DegenerateFitError:
        pass
    return replace(refused, passes=passes)


def _extrapolated_sums(problem: Problem, state: State, vector: Array) -> Expectation | None:
    """Return the sums that pack to a vector, None if no observations have such sums."""
    sums = state.expectation.unpacked(vector)
    inside = problem.family.inside(sums.statistics, state.expectation.statistics)
    sums = replace(sums, statistics=inside)
    if not (np.isfinite(vector).all() and sums.counts.min() >= 0.0):
        return None
    feasible = sums.allocation is None or sums.allocation.feasible
    return sums if feasible and problem.family.feasible(sums.statistics) else None


def _is_met(
    problem: Problem, state: State, rule: Callable[[tuple[float, ...], float, float], bool]
) -> bool:
    """Whether a stopping rule holds for the objectives of the last plain passes."""
    return rule(state.recent, problem.source.total_weight, state.expectation.magnitude)


def run(problem: Problem, state: State, monitor: Monitor, max_iter: int) -> State:
    """Run at most ``max_iter`` more passes; the status tells why it ended."""
    until = state.iterations + max_iter
    state = replace(state, status="running")
    try:
        while True:
            if problem.gives_up and state.holds:
                return replace(state, status="collapsed")
            # A continued run may have converged already.
            ended = state.mixture is not None and _is_met(
                problem, state, problem.stopping.converged
            )
            if ended:
                mixture = state.current_mixture()
                if problem.guard.examine(mixture, state.resolution, state.events, True) is None:
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


def run_up_to(problem: Problem, state: State, monitor: Monitor, max_iter: int) -> State:
    """Run until the state has made ``max_iter`` passes in all."""
    return run(problem, state, monitor, max(0, max_iter - state.iterations))


# Remaining gain in nats per observation of a converged run and of a run that is only compared with
# others, and the relative rounding of a sum.
REMAINING_GAIN = 1e-9
REMAINING_IN_SEARCH = 1e-6
ROUNDING = 1e-13
CONFIRMATIONS = 3


@dataclass(frozen=True)
class Aitken:
    """tol="auto": the estimated remaining gain per observation is small several times in a row."""

    remaining: float = REMAINING_GAIN
    confirmations: int = CONFIRMATIONS

    def converged(self, recent: tuple[float, ...], n_rows: float, magnitude: float) -> bool:
        """Whether the run converged; ``recent``: objectives of plain passes, oldest first."""
        if len(recent) < self.confirmations + 2:
            return False
        return self._little_is_left(recent[-(self.confirmations + 2) :], n_rows, magnitude)

    def expected(self, recent: tuple[float, ...], n_rows: float, magnitude: float) -> bool:
        return len(recent) > 2 and self._little_is_left(recent[-3:], n_rows, magnitude)

    def is_small(self, gain: float, n_rows: float) -> bool:
        return gain < 10.0 * self.remaining * n_rows

    def _little_is_left(self, values: tuple[float, ...], n_rows: float, magnitude: float) -> bool:
        """Whether the remaining gain is small after each step, extrapolated geometrically."""
        gains = [b - a for a, b in pairwise(values)]
        if all(abs(gain) <= ROUNDING * magnitude for gain in gains):
            return True
        for before, gain in pairwise(gains):
            if gain <= ROUNDING * magnitude:
                continue
            if before <= gain:
                return False
            if gain * gain / (before - gain) > self.remaining * n_rows:
                return False
        return True


@dataclass(frozen=True)
class Change:
    """Numerical ``tol``: the last change is smaller (per observation for maximum likelihood)."""

    tol: float
    per_row: bool

    def converged(self, recent: tuple[float, ...], n_rows: float, magnitude: float) -> bool:
        if len(recent) < 2:
            return False
        scale = n_rows if self.per_row else 1.0
        return abs(recent[-1] - recent[-2]) / scale < self.tol

    def expected(self, recent: tuple[float, ...], n_rows: float, magnitude: float) -> bool:
        return False

    def is_small(self, gain: float, n_rows: float) -> bool:
        return gain / (n_rows if self.per_row else 1.0) < self.tol


# Rule for candidates, which are only compared with one another.
AMONG_CANDIDATES = Aitken(REMAINING_IN_SEARCH, confirmations=2)
# Rule for candidates on a sample of large data, whose criteria differ by hundreds of nats.
ROUGH = Aitken(1e-4, confirmations=1)
