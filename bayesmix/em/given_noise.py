"""Noise that a model asks for, before its density is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from bayesmix.core.engines import Objective
    from bayesmix.core.families import Family
    from bayesmix.core.mixture import Mixture
    from bayesmix.core.sources import Source
    from bayesmix.em.model import Attempt, Model, Settings
    from bayesmix.em.result import FitResult
    from bayesmix.em.run import Monitor, Problem, State

# ``search.fit.fit``, which starts of special models call.
Fit: TypeAlias = "Callable[[Model, Source, Settings, Monitor], FitResult]"


class GivenNoise(Protocol):
    """Noise that a model asks for, before its density is known."""

    def over(self, objective: Objective, source: Source, family: Family) -> Objective:
        """Return the objective of a mixture with this noise."""

    def added(self, problem: Problem, mixture: Mixture | None) -> Mixture | None:
        """Return a mixture to continue from with noise; raise if the density is undefined."""

    def begun(self, fit: Fit, attempt: Attempt) -> State:
        """Return the best start of a mixture with noise."""
