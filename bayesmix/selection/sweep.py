"""One pass over the candidates: fit each, note what every criterion says of it, never fall over.

A candidate that cannot be fitted, or whose likelihood was only kept finite by holding a collapsed
component, is a row with its reason, not an exception.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sklearn.base import clone

from bayesmix.errors import BayesmixWarning
from bayesmix.protocols import Source
from bayesmix.selection.criteria import PLUG_IN, Score
from bayesmix.selection.evidence import log_relabellings
from bayesmix.selection.folds import Split, fit_weighted, held_out, last_step, was_interrupted
from bayesmix.workflow.result import FitResult

DEGENERATE = "degenerate"


@dataclass(frozen=True)
class Row:
    """A candidate with its scores (nats, greater is better; NaN where there is none)."""

    parameters: dict[str, Any]
    n_components: int
    scores: dict[str, Score]
    seconds: float
    note: str = ""
    warnings: tuple[str, ...] = ()
    estimator: Any = field(default=None, compare=False, repr=False)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C came during its fit."""
        return self.estimator is not None and was_interrupted(self.estimator)

    @property
    def sound_mixture(self) -> Any:
        """The mixture that was found, or None where there is none to begin at."""
        result = None if self.estimator is None else last_step(self.estimator).result_
        return None if result is None or result.degenerate is not None else result.mixture

    def value(self, criterion: str) -> float:
        """The score's value, NaN where there is none."""
        score = self.scores.get(criterion)
        return math.nan if score is None else score.value


@dataclass(frozen=True)
class Task:
    """Fit one candidate to the rows, and to every fold where held-out density is wanted."""

    estimator: Any
    X: Any
    sample_weight: Any
    splits: tuple[Split, ...]
    callables: dict[str, Any]
    source: Source | None

    def chain(self, candidates: Sequence[dict[str, Any]], before: Row | None = None) -> list[Row]:
        """Rows of candidates that differ in K alone, each beginning near the one before as well."""
        rows: list[Row] = []
        for parameters in candidates:
            before = rows[-1] if rows else before
            rows.append(self(parameters, before))
            if rows[-1].interrupted:
                break
        return rows

    def __call__(self, parameters: dict[str, Any], before: Row | None = None) -> Row:
        """``before`` is the row of a candidate with another K, on the same rows."""
        began = time.perf_counter()
        model = clone(self.estimator).set_params(**parameters)
        near = None if before is None else before.sound_mixture
        if near is not None:
            last_step(model)._begin_near(near)
        asked = next(
            (int(v) for k, v in parameters.items() if k.split("__")[-1] == "n_components"), 0
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                fit_weighted(model, self.X, self.sample_weight)
                scores, note = self._scores(model)
                found = last_step(model).n_components_
            except ValueError as problem:
                seconds = time.perf_counter() - began
                return Row(parameters, asked, {}, seconds, f"failed: {problem}")
        heard = tuple(
            dict.fromkeys(
                str(warning.message)
                for warning in caught
                if issubclass(warning.category, (BayesmixWarning, UserWarning))
            )
        )
        return Row(parameters, found, scores, time.perf_counter() - began, note, heard, model)

    def _scores(self, model: Any) -> tuple[dict[str, Score], str]:
        result: FitResult = last_step(model).result_
        scores = {"log_likelihood": Score(result.log_likelihood)}
        reason = result.degenerate
        if reason is not None:
            return scores, f"{DEGENERATE}: {reason}"
        for name, criterion in PLUG_IN.items():
            scores[name] = Score(criterion(result.plug_in_sums, result.n_parameters))
        if result.variational:
            scores["elbo"] = Score(result.objective)
            scores["elbo_log_k"] = Score(result.objective + log_relabellings(result))
        for name, criterion in self.callables.items():
            score = criterion(result, self.source)
            scores[name] = score if isinstance(score, Score) else Score(float(score))
        note = "" if result.converged else f"not converged ({result.status})"
        if self.splits:
            scores["cv"] = held_out(model, self.X, self.sample_weight, self.splits)
            note = note or scores["cv"].note
        return scores, note
