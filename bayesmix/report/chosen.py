"""What a report reads of a fitted search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from bayesmix.protocols import FittedMixture, Parameters, Procedure
from bayesmix.selection.criteria.scores import ScoreFunction

if TYPE_CHECKING:
    import pandas as pd


class Search(Protocol):
    """A fitted ``MixtureSearch``: what it was asked for, and what it chose."""

    estimator: Procedure
    n_components: int | Sequence[int] | None
    criterion: str | ScoreFunction
    cv: object
    polish: float | None
    random_state: object
    best_estimator_: FittedMixture
    best_index_: int
    best_params_: Parameters
    best_score_: float
    criterion_: str
    results_: pd.DataFrame
    folds_: pd.DataFrame
    cautions_: list[str]

    @property
    def k_probabilities_(self) -> pd.Series[float]:
        """Raises ``UndefinedError`` where candidates have no evidence."""
        ...

    def summary(self, verbose: bool = False) -> str: ...

    def matrix(self, criterion: str | None = None) -> pd.DataFrame: ...
