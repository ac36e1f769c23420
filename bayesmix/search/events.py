"""Events of a finished fit that the user can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmix.core.rows import Event
from bayesmix.em.model import is_spurious, side_of
from bayesmix.em.result import FEW_POINTS, TOO_FEW_ROWS
from bayesmix.em.run import Problem, State
from bayesmix.errors import (
    BayesmixWarning,
    DegenerateComponentWarning,
    FlatDirectionWarning,
    warn,
)

if TYPE_CHECKING:
    from bayesmix.core.sources import Source


def of_covariates(weights_prior: Any, state: State, source: Source) -> tuple[Event, ...]:
    """Return events of covariates without an effect, or that separate components."""
    sums: Any = state.expectation.allocation
    design: Any = side_of(source).design
    lost = weights_prior.without_effect(design.names)
    events = tuple(Event("undetermined", text) for text in lost)
    return events + _separation(sums, design)


def _separation(sums: Any, design: Any) -> tuple[Event, ...]:
    """Return an event if covariates separate components, so that coefficients diverge."""
    separated = sums.separation(design.terms)
    if separated is None:
        return ()
    what, components = separated
    text = (
        f"{what}, so the coefficients of the gate have no finite estimate: use a prior "
        "(MaximumAPosteriori()), fewer covariates or fewer components"
    )
    return (Event("separated", text, components=components),)


SPURIOUS = "spurious"  # kind of event


def left_out(problem: Problem, spurious: State, best: State) -> Event:
    """Return an event of a likelier maximum that was left out for a spurious component."""
    counts = spurious.expectation.counts
    n = min(float(counts[k]) for k in problem.guard.spurious(spurious.current_mixture()))
    gain = spurious.objective - best.objective
    text = (
        f"a maximum that is likelier by {gain:.2g} nats was left out, because one of its "
        f"components describes only about {n:.0f} observations that happen to lie close together "
        "or along a line (spurious='allow' returns it)"
    )
    return Event(SPURIOUS, text, gain=gain)


def of_spurious(problem: Problem, state: State) -> tuple[Event, ...]:
    """Return an event of spurious components of the best state that a search found."""
    if state.holds or not is_spurious(problem, state):
        return ()
    components = problem.guard.spurious(state.current_mixture())
    text = (
        "{which} describes only a few observations that happen to lie close together or along a "
        "line, and no maximum without such a component was found: use a prior (prior='auto') or "
        "fewer components"
    )
    return (Event(SPURIOUS, text, components=components),)


def warn_of(events: tuple[Event, ...], noun: str) -> None:
    """Warn about problems of the final fit, whose components have a name."""
    for event in events:
        if event.kind in ("separated", "undetermined"):
            warn(event.in_words(noun), BayesmixWarning)
        if event.kind == "flat":
            warn(event.in_words(noun), FlatDirectionWarning)
        if event.kind == SPURIOUS:
            warn(event.in_words(noun), DegenerateComponentWarning)
    few = [event for event in events if event.kind in (TOO_FEW_ROWS, FEW_POINTS)]
    if few:
        warn(few[0].in_words(noun), DegenerateComponentWarning)
        return
    held = [event for event in events if event.kind == "held" and event.components]
    if held:
        more = f" (and {len(held) - 1} more, see result_.events)" if len(held) > 1 else ""
        warn(held[0].in_words(noun) + more, DegenerateComponentWarning)


def warn_of_stop(status: str, limits: Any) -> None:
    """Warn of a fit that ended before it converged; ``limits`` has the limits under their names."""
    from sklearn.exceptions import ConvergenceWarning

    if status == "interrupted":
        warn("interrupted: this is the best fit so far", BayesmixWarning)
    elif status == "max_iter" and limits.max_iter > 0:
        warn(
            f"the fit did not converge within max_iter={limits.max_iter} iterations: raise "
            "max_iter",
            ConvergenceWarning,
        )
    elif status in ("max_passes", "max_seconds"):
        warn(
            f"stopped by {status}={getattr(limits, status)} before it converged: this is the best "
            "fit so far",
            ConvergenceWarning,
        )
