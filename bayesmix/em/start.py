"""Where a run begins: the type of all starts, and of the noise that a model asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from bayesmix.core.engines import Objective
    from bayesmix.core.families import Family
    from bayesmix.core.mixture import Mixture
    from bayesmix.core.sources import Source
    from bayesmix.em.model import Attempt, Model, Settings
    from bayesmix.em.result import FitResult, SearchRecord
    from bayesmix.em.run import Monitor, Problem, State

# ``search.fit.fit``: starts fit other models, or the same model to other data.
Fit: TypeAlias = "Callable[[Model, Source, Settings, Monitor], FitResult]"


@dataclass(frozen=True)
class Begun:
    """The first state of a run, and the records of the search that led to it."""

    state: State
    records: tuple[SearchRecord, ...] = ()


class Start(Protocol):
    """Where a run begins."""

    def begun(self, attempt: Attempt) -> Begun:
        """Return the first state of a run; raise ``BayesmixError`` if there is none."""


class GivenNoise(Start, Protocol):
    """Noise that a model asks for, before its density is known; the start of its fits."""

    def over(self, objective: Objective, source: Source, family: Family) -> Objective:
        """Return the objective of a mixture with this noise."""

    def check(self, problem: Problem) -> None:
        """Raise an error if the density of the noise is undefined."""

    def added(self, problem: Problem, mixture: Mixture) -> Mixture:
        """Return a mixture to begin at with noise."""
