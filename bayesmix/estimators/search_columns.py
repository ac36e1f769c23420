"""What the columns of a frame are to a search: decided once on all rows, and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from bayesmix.estimators.fit_columns import as_coded
from bayesmix.estimators.incoming import typed_rows
from bayesmix.selection.pipelines import noun_of
from bayesmix.sources.border import coding_of, is_source

if TYPE_CHECKING:
    from bayesmix.core.coding import Coding


class ColumnsOfSearch:
    """Kinds of the columns of a search's frame."""

    estimator: Any
    columns: Any
    _coding: Coding | None = None

    def _look_at(self, X: Any, sample_weight: Any) -> tuple[Any, Any]:
        """Return a frame as numbers with its weights, if the search decides what columns are."""
        self._coding = None
        if is_source(X):
            self._coding = coding_of(X)
            return X, sample_weight
        regression = self.estimator is not None and noun_of(self.estimator) == "regression"
        if regression or not (self.estimator is None or self.columns):
            return X, sample_weight
        X, sample_weight, coding = typed_rows(X, sample_weight, self.columns)
        self._coding = coding or self._coding
        return X, sample_weight

    def _as_fitted(self, X: Any) -> Any:
        """Return a frame at predict time as numbers; other data are unchanged."""
        return as_coded(X, self._coding)

    @property
    def columns_(self) -> pd.DataFrame:
        """The kind of each column, and the reason where it follows from names and values."""
        names: Any = getattr(self, "feature_names_in_", range(getattr(self, "n_features_in_", 0)))
        plain = [(str(name), "continuous", "") for name in names]
        decisions = plain if self._coding is None else self._coding.decisions or plain
        table = pd.DataFrame(decisions, columns=["column", "kind", "reason"])
        return table.set_index("column")
