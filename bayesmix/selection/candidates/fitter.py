"""How candidates are fitted: by an object that is handed down from above and knows the rows.

It was given rows once, checked them once, and says what an estimator makes of them: selection needs
no more of estimators than this, and no estimator anything that selection alone would set.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from bayesmix.numerics.arrays import Array
from bayesmix.protocols import Chosen, Parameters, Procedure, Source, UserRows
from bayesmix.records import Mixture
from bayesmix.workflow.result import FitResult


class Effort(Enum):
    """How far the search of a candidate goes."""

    AS_ASKED = "as the estimator says"
    WITHOUT_MOVES = "as the estimator says, but for moves"
    STARTS = "starts alone"
    WHOLE = "starts and moves"


class Fitter(Protocol):
    """Fits an estimator, with whatever parameters, to its rows."""

    @property
    def prefix(self) -> str:
        """What parameters of the mixture begin with: those of a pipeline name the step."""
        ...

    @property
    def table(self) -> UserRows:
        """The rows as the estimator reads them."""
        ...

    @property
    def source(self) -> Source:
        """The same rows, checked."""
        ...

    @property
    def searches(self) -> bool:
        """Whether the estimator searches at all."""
        ...

    def on(self, rows: Chosen) -> Fitter:
        """The same for some of the rows, by number."""
        ...

    def candidate(self, parameters: Parameters, effort: Effort = Effort.AS_ASKED) -> Procedure:
        """The estimator with other parameters, not fitted yet."""
        ...

    def sparse(self, parameters: Parameters, most: int) -> Procedure:
        """One that begins with so many components, and keeps those that rows call for."""
        ...

    def fit(self, candidate: Procedure, near: tuple[Mixture, ...] = ()) -> FitResult:
        """Fit a candidate, whose search begins at mixtures of no more components as well."""
        ...

    def source_of(self, candidate: Procedure) -> Source:
        """The rows as the mixture of a fitted candidate reads them."""
        ...

    def log_density(self, candidate: Procedure) -> Array:
        """Log density (n,) of the rows in their units, by a candidate fitted to these or others."""
        ...
