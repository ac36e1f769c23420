"""Fitter of candidates that read a table themselves, such as pipelines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from bayesmix.core.mixture import Mixture
from bayesmix.core.procedures import last_step, prefix_of
from bayesmix.core.protocols import Procedure, UserRows
from bayesmix.em.result import FitResult
from bayesmix.estimators.inputs import incoming
from bayesmix.estimators.searching.fitters import Unfitted, part_of
from bayesmix.numerics.arrays import Array
from bayesmix.posterior.predictions import in_memory
from bayesmix.selection.pipelines import density_in_data_units, fit_weighted, steps_before
from bayesmix.selection.scores import rows_of
from bayesmix.sources.memory import as_source

if TYPE_CHECKING:
    from bayesmix.core.sources import Chosen, Source


@dataclass(frozen=True)
class TableFitter(Unfitted):
    """Fits an estimator that reads the table itself, such as a pipeline."""

    estimator: Procedure
    table: UserRows
    sample_weight: ArrayLike | None
    source: Source

    @property
    def prefix(self) -> str:
        """Name of the last step of a pipeline."""
        return prefix_of(self.estimator)

    def on(self, rows: Chosen) -> TableFitter:
        weight = None if self.sample_weight is None else np.asarray(self.sample_weight)[rows]
        part = part_of(self.source, rows)
        return replace(self, table=rows_of(self.table, rows), sample_weight=weight, source=part)

    def fit(self, candidate: Any, warm_starts: tuple[Mixture, ...] = ()) -> FitResult:
        inner = last_step(candidate)
        if warm_starts and inner is not candidate and inner._reads_sources:
            name = candidate.steps[-1][0]
            candidate.steps[-1] = name, _WarmStarted(inner, warm_starts)
            try:
                fit_weighted(candidate, self.table, self.sample_weight)
            finally:
                candidate.steps[-1] = name, inner
        else:
            fit_weighted(candidate, self.table, self.sample_weight)
        return inner.result_

    def source_of(self, candidate: Any) -> Source:
        steps = steps_before(candidate)
        if steps is None:
            return self.source
        values = np.asarray(steps.transform(self.table), dtype=np.float64)
        return as_source(values, self.source.in_memory().weights, self.source.n_jobs)

    def shares(self, candidate: Any) -> Array:
        """Return the component probabilities of each observation."""
        return in_memory(last_step(candidate).result_, self.source_of(candidate), FitResult.shares)

    def log_density(self, candidate: Any) -> Array:
        return density_in_data_units(candidate, self.table)


class _WarmStarted(BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Replaces the mixture of a pipeline during a fit that starts from others."""

    def __init__(self, mixture: Any, warm_starts: tuple[Mixture, ...]) -> None:
        self.mixture = mixture
        self.warm_starts = warm_starts

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit the mixture."""
        rows = partial(incoming.training_rows, self.mixture, X, sample_weight)
        self.mixture._fit(rows, self.warm_starts)
        return self
