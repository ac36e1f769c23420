"""A candidate model of a search: its parameters, its fit and its scores."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from bayesmix.numerics.arrays import Array
from bayesmix.protocols import Parameters, Procedure
from bayesmix.records import Mixture
from bayesmix.selection.candidates.combinations import asked
from bayesmix.selection.criteria.held_out import HeldOut
from bayesmix.selection.criteria.scores import Score
from bayesmix.selection.pipelines import last_step
from bayesmix.workflow.result import FitResult


@dataclass(frozen=True)
class Candidate:
    """A candidate fitted to all rows or to those of a fold, with what came of it.

    Scores are in nats, greater is better; NaN where there is none. ``density`` (m,) is the log
    density of the rows that the fold holds out, ``begin`` what the next candidate may begin at.
    """

    parameters: Parameters
    n_components: int
    scores: dict[str, Score]
    seconds: float
    note: str = ""
    warnings: tuple[str, ...] = ()
    estimator: Procedure | None = field(default=None, compare=False, repr=False)
    begin: Mixture | None = field(default=None, compare=False, repr=False)
    density: Array | None = field(default=None, compare=False, repr=False)
    interrupted: bool = False
    reached: float = math.nan  # the objective
    held: HeldOut | None = field(default=None, compare=False, repr=False)
    dropped: str = ""  # why cross-validation drops its structure
    unkept: str = ""  # why the checkpoint does not hold it

    @property
    def asked(self) -> int:
        """K as it was asked for; a pruned fit may have found fewer."""
        return asked(self.parameters)

    def value(self, criterion: str) -> float:
        """The score's value, NaN where there is none."""
        score = self.scores.get(criterion)
        return math.nan if score is None else score.value

    @property
    def structure(self) -> str:
        """All parameters but the number of components."""
        others = [
            (key, value)
            for key, value in self.parameters.items()
            if key.split("__")[-1] != "n_components"
        ]
        return repr(sorted(others, key=lambda item: item[0]))

    @property
    def result(self) -> FitResult | None:
        """The fit itself, where there is one."""
        return None if self.estimator is None else last_step(self.estimator).result_

    @property
    def sound(self) -> FitResult | None:
        """The fit, unless its likelihood is no value to compare with."""
        result = self.result
        return None if result is None or result.degenerate is not None else result
