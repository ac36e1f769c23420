"""Events of a finished fit that the user can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmix.core.rows import Event
from bayesmix.em.model import side_of
from bayesmix.em.result import FEW_POINTS, TOO_FEW_ROWS
from bayesmix.em.run import State
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


def warn_of(events: tuple[Event, ...], noun: str) -> None:
    """Warn about problems of the final fit, whose components have a name."""
    for event in events:
        if event.kind in ("separated", "undetermined"):
            warn(event.in_words(noun), BayesmixWarning)
        if event.kind == "flat":
            warn(event.in_words(noun), FlatDirectionWarning)
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
