"""Candidates of a search over mixtures of regressions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bayesmix.allocation.formulas import FormulaDesign
from bayesmix.core.mixture import Mixture
from bayesmix.core.protocols import Parameters, Procedure, UserRows
from bayesmix.core.rows import SideInformation
from bayesmix.core.sources import Chosen
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError, SelectionWarning, UnsupportedError, warn
from bayesmix.estimators.inputs.constraints import group_codes, of_samples
from bayesmix.estimators.searching.fitters import Unfitted
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.regressions.regression_columns import explanatory
from bayesmix.regressions.regression_data import check_table
from bayesmix.selection.candidates import asked
from bayesmix.selection.scores import n_rows_of, rows_of
from bayesmix.sequences.sequence_data import parts_of_sequences, starts_of_sequences
from bayesmix.sources.memory import ArraySource


@dataclass(frozen=True)
class RegressionFitter(Unfitted):
    """Fits candidates of a search to a table, its response and further arguments."""

    estimator: Procedure
    table: UserRows
    response: ArrayLike | str  # a formula
    beside: dict[str, UserRows]
    source: ArraySource  # of the numbers of rows and their weights
    weight_type: str | None = None
    whole: bool = True  # whether the rows are whole sequences, if they are sequences
    prefix = ""

    @classmethod
    def of(
        cls, estimator: Any, X: Any, y: Any, beside: dict[str, Any], weight_type: str | None
    ) -> RegressionFitter:
        """Return the fitter of all rows; ``beside`` are further arguments of ``fit``."""
        weights = beside["sample_weight"]
        weights = None if weights is None else np.asarray(weights, dtype=np.float64)
        source = ArraySource(np.zeros((n_rows_of(X), 1)), weights)
        given = {name: value for name, value in beside.items() if value is not None}
        lengths, sequences = given.pop("lengths", None), given.get("sequences")
        if lengths is not None or sequences is not None:
            n = source.shape[0]
            begins = starts_of_sequences(lengths, sequences, n, "sequences")
            given["sequences"] = np.cumsum(begins)
            if "gate" in given:
                side = SideInformation(begins=begins)
                given["gate"] = of_samples(given["gate"], side, "gate")
        if not isinstance(y, str):  # what columns are is decided once, on all rows
            estimator.set_params(columns=explanatory(X, estimator.columns))
            if estimator.response == "ordinal" and estimator.limits is None:
                check_table(X, y)
                levels = np.asarray(y, dtype=np.float64)
                estimator.set_params(limits=(float(levels.min()), float(levels.max())))
        return cls(estimator, X, y, given, source, weight_type)

    @property
    def units(self) -> Integers | None:
        groups, n = self.beside.get("groups"), self.source.shape[0]
        return None if groups is None else group_codes(groups, n, n)

    def check(self, chains: list[list[dict[str, Any]]]) -> None:
        """Raise the error of the first candidate if the data suit none; warn of too large K."""
        beside = self.beside.copy()
        given = self.table, self.response, beside.pop("sample_weight", None)
        errors, numbers = [], {asked(parameters) for chain in chains for parameters in chain}
        n_units = max(numbers)
        for parameters, *_ in chains:
            candidate: Any = self.candidate(parameters)
            try:
                n_units = candidate._training(*given, **beside).n_units
            except InvalidInputError as problem:
                errors.append(problem)
        if len(errors) == len(chains):
            raise errors[0]
        if min(numbers) <= n_units < max(numbers):
            large = ", ".join(str(K) for K in sorted(numbers) if n_units < K)
            warn(f"more classes than units, {n_units}, are not fitted: {large}", SelectionWarning)

    def on(self, rows: Chosen) -> RegressionFitter:
        """Return the fitter of some rows."""
        response, whole = self.response, True
        beside: Any = {name: rows_of(value, rows) for name, value in self.beside.items()}
        if (sequences := self.beside.get("sequences")) is not None:
            begins, whole = parts_of_sequences(np.diff(np.asarray(sequences), prepend=0) > 0, rows)
            beside["sequences"] = np.cumsum(begins)
        return replace(
            self,
            table=rows_of(self.table, rows),
            response=response if isinstance(response, str) else rows_of(response, rows),
            beside=beside,
            source=self.source.subset(rows),
            whole=whole,
        )

    def sparse(self, parameters: Parameters, most: int) -> Any:
        """Raise an error, as regressions have no sparse prior."""
        raise UnsupportedError("regressions have no sparse prior of weights")

    def fit(self, candidate: Any, warm_starts: tuple[Mixture, ...] = ()) -> FitResult:
        """Fit a candidate from its own starts."""
        how = {"weight_type": self.weight_type, **self.beside}
        return candidate.fit(self.table, self.response, **how).result_

    def source_of(self, candidate: Any) -> Any:
        """Return the rows."""
        return self.source

    def log_density(self, candidate: Any) -> Array:
        """Return the conditional log density (n,) of the responses."""
        y, beside = self.response, dict(self.beside)
        beside.pop("sample_weight", None)
        if isinstance(y, str):
            _, y, _ = FormulaDesign.of(y, self.table)
        if not self.whole:  # the first state of a part has the stationary distribution
            beside["initial"] = candidate.stationary_distribution_
            return candidate._log_density_of_parts(self.table, y, **beside)
        return candidate.score_samples(self.table, y, **beside)
