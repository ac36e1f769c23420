"""One fit of a search: a candidate fitted to all rows or to those of a fold, and what it is worth.

A candidate that cannot be fitted, or whose likelihood was only kept finite by holding a collapsed
component, is a row with its reason.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from bayesmix.errors import BayesmixWarning, UnsupportedError
from bayesmix.protocols import Parameters, Procedure, UserRows
from bayesmix.records import Mixture
from bayesmix.selection.candidates.candidate import Candidate
from bayesmix.selection.candidates.combinations import asked
from bayesmix.selection.candidates.fitter import Effort, Fitter
from bayesmix.selection.criteria.evidence_of_k import log_relabellings
from bayesmix.selection.criteria.folds import Split
from bayesmix.selection.criteria.registry import PLUG_IN, record
from bayesmix.selection.criteria.scores import Score, ScoreFunction
from bayesmix.workflow.result import FitResult

DEGENERATE = "degenerate"
WHOLE = -1


@dataclass(frozen=True)
class Question:
    """Which fit of a search: a candidate with its number, the part of the rows, where it begins.

    ``near`` are fits of other candidates to the same rows, special cases of it.
    """

    parameters: Parameters
    number: int
    part: int
    near: tuple[Mixture, ...]


class KeptFits(Protocol):
    """Where finished fits are kept."""

    def get(self, question: Question, model: Procedure, X: UserRows) -> Candidate | None:
        """What came of a fit, with ``model``, which is not fitted yet, as its estimator."""

    def put(self, question: Question, row: Candidate, X: UserRows) -> None:
        """Keep it; ``OSError`` or ``UnsupportedError`` where that cannot be."""

    def tell(self, reason: str) -> None:
        """Warn, once, that fits are not kept."""


@dataclass(frozen=True)
class Task:
    """Fit one candidate to all rows, or to those of a fold.

    ``criteria`` are functions (FitResult, Source) -> float or Score beside those that cost nothing.
    """

    fitter: Fitter
    splits: tuple[Split, ...] = ()
    criteria: Mapping[str, ScoreFunction] = field(default_factory=dict)
    checkpoint: KeptFits | None = None
    patience: int | None = None
    watched: str = ""  # the criterion that patience is about
    refuted: Callable[[list[float]], bool] | None = None  # where K takes care of itself

    def given_up(self, rows: Sequence[Candidate]) -> bool:
        """Whether more are refuted, or the latest ``patience``, by K, were all worse than before.

        Never where there are folds: they need every candidate, wherever it is worked on.
        """
        if self.refuted is not None:
            return self.refuted([row.value(self.watched) for row in rows])
        if self.patience is None or self.splits or len(rows) <= self.patience:
            return False
        values = [value for row in rows if math.isfinite(value := row.value(self.watched))]
        late = values[-self.patience :]
        return len(values) > self.patience and max(late) < max(values[: -self.patience])

    def kept(self, question: Question) -> Candidate:
        """The row from the checkpoint, or made now and put there; a search outlives a full disk."""
        parameters, part = question.parameters, question.part
        if self.checkpoint is None:
            return self(question)
        row = self.checkpoint.get(question, self._unfitted(parameters, part), self.fitter.table)
        if row is not None:
            return row
        row = self(question)
        if row.interrupted:
            return row
        try:
            self.checkpoint.put(question, row, self.fitter.table)
        except (OSError, UnsupportedError) as problem:
            return replace(row, unkept=str(problem))
        return row

    def heard(self, row: Candidate) -> None:
        """Say what became of a row in a worker, whose warnings nobody hears."""
        if self.checkpoint is not None and row.unkept:
            self.checkpoint.tell(row.unkept)

    def _unfitted(self, parameters: dict[str, Any], part: int) -> Any:
        """A candidate's estimator; by folds only the winner needs the last thousandth of a nat."""
        short = part != WHOLE or self.by_folds
        return self.fitter.candidate(parameters, Effort.WITHOUT_MOVES if short else Effort.AS_ASKED)

    def __call__(self, question: Question) -> Candidate:
        """The row, made now."""
        parameters, part, near = question.parameters, question.part, question.near
        began = time.perf_counter()
        model = self._unfitted(parameters, part)
        row = Candidate(parameters, asked(parameters), {}, 0.0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                if part == WHOLE:
                    row = self._scored(row, model, self.fitter.fit(model, near))
                else:
                    row = self._fold(row, model, self.splits[part], near)
            except ValueError as problem:
                row = replace(row, note=f"failed: {problem}")
        heard = tuple(
            dict.fromkeys(
                str(warning.message)
                for warning in caught
                if issubclass(warning.category, (BayesmixWarning, UserWarning))
            )
        )
        return replace(row, warnings=heard, seconds=time.perf_counter() - began)

    @property
    def by_folds(self) -> bool:
        """Whether held-out density chooses: then only the winner needs the last thousandth."""
        return record(self.watched).folds

    def polished(self, row: Candidate) -> Candidate:
        """A candidate fitted with all of the search, beginning where a short one led as well."""
        if row.begin is None or not self.fitter.searches:
            return row
        return self.again(row, row.begin, Effort.WHOLE)

    def again(self, row: Candidate, begin: Mixture, effort: Effort) -> Candidate:
        """A candidate fitted once more, beginning at a mixture as well, where that is better."""
        if row.sound is None:
            return row
        model = self.fitter.candidate(row.parameters, effort)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = self.fitter.fit(model, (begin,))
            if found.degenerate is not None or found.objective <= row.sound.objective:
                return row
            better = self._scored(row, model, found)
        kept = {name: row.scores[name] for name in ("cv",) if name in row.scores}
        return replace(better, scores=better.scores | kept)

    def _scored(self, row: Candidate, model: Any, result: FitResult) -> Candidate:
        """Fitted to all rows, with every criterion that needs no folds."""
        row = _fitted(row, result)
        scores = {"log_likelihood": Score(result.log_likelihood)}
        row = replace(row, scores=scores, estimator=model)
        if result.degenerate is not None:
            return replace(row, note=f"{DEGENERATE}: {result.degenerate}")
        for name, of_sums in PLUG_IN.items():
            scores[name] = Score(of_sums(result.plug_in_sums, result.n_parameters))
        if result.variational:
            scores["elbo"] = Score(result.objective)
            scores["elbo_log_k"] = Score(result.objective + log_relabellings(result))
        for name, criterion in self.criteria.items():
            score = criterion(result, self.fitter.source_of(model))
            scores[name] = score if isinstance(score, Score) else Score(float(score))
        notes = [] if result.converged else [f"not converged ({result.status})"]
        notes += [f"{name}: {score.note}" for name, score in scores.items() if score.note]
        return replace(row, note="; ".join(notes))

    def _fold(
        self, row: Candidate, model: Any, split: Split, near: tuple[Mixture, ...]
    ) -> Candidate:
        """Fitted to the rows of a fold and judged on those held out.

        Starts, those near other candidates too, do without moves: a fold needs a good
        optimum of each candidate, not the last thousandth of a nat.
        """
        result = self.fitter.on(split.train).fit(model, near)
        row = _fitted(row, result)
        if result.degenerate is not None:
            return replace(row, note=f"{DEGENERATE}: {result.degenerate}")
        return replace(row, density=self.fitter.on(split.test).log_density(model))


def _fitted(row: Candidate, result: FitResult) -> Candidate:
    """What every fit says: how many components, where the next may begin, whether it was ended."""
    return replace(
        row,
        n_components=result.n_components,
        begin=None if result.degenerate is not None else result.mixture,
        interrupted=result.status == "interrupted",
        reached=result.objective,
    )
