"""Fits of candidates: to all data, to folds, and with the full search.

A candidate that cannot be fitted, or has a degenerate component, is recorded with the reason. A
``Fitter``, passed down from the estimators, holds the data, which it has checked once.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from bayesmix.core.mixture import Mixture
from bayesmix.em.result import FitResult
from bayesmix.errors import BayesmixError, BayesmixWarning, UnsupportedError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.selection.candidates import Candidate, asked
from bayesmix.selection.criteria import PLUG_IN, log_relabellings, record
from bayesmix.selection.scores import Fold, Score, ScoreFunction, as_score

if TYPE_CHECKING:
    from bayesmix.core.protocols import Parameters, Procedure, UserRows
    from bayesmix.core.sources import Chosen, Source
    from bayesmix.selection.merge_tree import PartitionTree


class Effort(Enum):
    """Extent of the search of a candidate."""

    AS_ASKED = "as the estimator says"
    STARTS = "starts alone, if the estimator searches at all"
    FULL = "starts and moves"


@dataclass(frozen=True)
class Assignments:
    """Component probabilities (n, K) by the fit to all data, and by the fold without the sample."""

    full: Array
    held_out: Array


class Fitter(Protocol):
    """Fits an estimator with given parameters to its data."""

    @property
    def prefix(self) -> str:
        """Prefix of the mixture's parameters: the step's name in a pipeline."""

    @property
    def table(self) -> UserRows:
        """The data as the estimator reads them."""

    @property
    def source(self) -> Source:
        """The same data, checked."""

    @property
    def units(self) -> Integers | None:
        """Units (n,) whose rows are drawn together; None: every row is a unit."""

    @property
    def searches(self) -> bool:
        """Whether the estimator uses a search."""

    def on(self, rows: Chosen) -> Fitter:
        """Return the fitter of a subset, by row numbers."""

    def roughly(self) -> Fitter:
        """Return the fitter of fits that end early, if it has any."""

    def candidate(self, parameters: Parameters, effort: Effort = Effort.AS_ASKED) -> Procedure:
        """Return an unfitted estimator with other parameters."""

    def of_sample(self) -> Fitter | None:
        """Return the fitter of the sample of data in parts, None for data in memory."""

    def on_cells(self, n_cells: int, chains: Sequence[Parameters]) -> Fitter | None:
        """Return the fitter of cells, None where not all candidates are linear in features."""

    def tree(self, parameters: Parameters, n_cells: int) -> PartitionTree | None:
        """Return the tree of merges for a candidate's family, if it has one."""

    def begun_at(self, parameters: Parameters, labels: Integers) -> Mixture | None:
        """Return the mixture after an M-step from labels (n,) of the samples, if there is one."""

    @property
    def noun(self) -> str:
        """What samples are called, in the plural."""

    def fit(self, candidate: Procedure, warm_starts: tuple[Mixture, ...] = ()) -> FitResult:
        """Fit a candidate, also from ``warm_starts``, fits of its neighbours."""

    def source_of(self, candidate: Procedure) -> Source:
        """Return the data as the mixture of a fitted candidate reads them."""

    def log_density(self, candidate: Procedure) -> Array:
        """Return the log density (n,) in the units of the data by a fitted candidate."""

    def shares(self, candidate: Procedure) -> Array | None:
        """Return component probabilities (n, K) by a fitted candidate; None if unsupported."""

    def assignments(self, candidate: Procedure, splits: tuple[Fold, ...]) -> Assignments | None:
        """Return held-out assignments by folds that start at the fit; None if unsupported."""


DEGENERATE = "degenerate"
ALL_DATA = -1  # as the index of a fold


@dataclass(frozen=True)
class Question:
    """A fit to make: candidate, its index, the fold or all data, and starts.

    ``warm_starts`` are partitions of trees, and fits of other candidates to the same data.
    """

    parameters: Parameters
    number: int
    fold: int
    warm_starts: tuple[Mixture, ...]


class KeptFits(Protocol):
    """Storage of finished fits."""

    def get(self, question: Question, model: Procedure, X: UserRows) -> Candidate | None:
        """Return the saved result of a fit, with the unfitted ``model`` as its estimator."""

    def put(self, question: Question, row: Candidate, X: UserRows) -> None:
        """Save a fit; raises ``OSError`` or ``UnsupportedError`` if that is impossible."""

    def tell(self, reason: str) -> None:
        """Warn, once, that fits are not saved."""


@dataclass(frozen=True)
class Task:
    """Fits a candidate to all data, or to a fold.

    ``criteria`` are functions (FitResult, Source) -> float or Score, computed after the fit.
    """

    fitter: Fitter
    splits: tuple[Fold, ...] = ()
    criteria: Mapping[str, ScoreFunction] = field(default_factory=dict)
    checkpoint: KeptFits | None = None
    patience: int | None = None
    watched: str = ""  # criterion by which chains end, or that chooses

    def on(self, rows: Integers, roughly: bool = False) -> Task:
        """Return the task on some samples; fits are not saved, and end early if ``roughly``."""
        fitter = self.fitter.on(rows)
        return replace(self, fitter=fitter.roughly() if roughly else fitter, checkpoint=None)

    def given_up(self, rows: Sequence[Candidate]) -> bool:
        """Whether the last ``patience`` candidates are worse than the best before.

        Never with folds, which need every candidate.
        """
        if self.patience is None or self.splits or len(rows) <= self.patience:
            return False
        values = [value for row in rows if math.isfinite(value := row.value(self.watched))]
        late = values[-self.patience :]
        return len(values) > self.patience and max(late) < max(values[: -self.patience])

    def fit_or_load(self, question: Question) -> Candidate:
        """Return the saved fit, or make and save it; a full disk does not stop the search."""
        parameters, fold = question.parameters, question.fold
        if self.checkpoint is None:
            return self(question)
        row = self.checkpoint.get(question, self._unfitted(parameters, fold), self.fitter.table)
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

    def repeat_warnings(self, row: Candidate) -> None:
        """Repeat the warnings of a fit made in a worker process."""
        if self.checkpoint is not None and row.unkept:
            self.checkpoint.tell(row.unkept)

    def _unfitted(self, parameters: dict[str, Any], fold: int) -> Any:
        """Return the estimator of a candidate, precise unless folds compare it with others."""
        short = fold != ALL_DATA or self.by_folds
        return self.fitter.candidate(parameters, Effort.STARTS if short else Effort.AS_ASKED)

    def __call__(self, question: Question) -> Candidate:
        """Return the fit."""
        parameters, fold, warm_starts = question.parameters, question.fold, question.warm_starts
        began = time.perf_counter()
        model = self._unfitted(parameters, fold)
        row = Candidate(parameters, asked(parameters), {}, 0.0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                if fold == ALL_DATA:
                    row = self._scored(row, model, self.fitter.fit(model, warm_starts))
                else:
                    row = self._fold(row, model, self.splits[fold], warm_starts)
            except ValueError as problem:
                row = replace(row, note=f"failed: {problem}")
        texts = tuple(
            dict.fromkeys(
                str(warning.message)
                for warning in caught
                if issubclass(warning.category, (BayesmixWarning, UserWarning))
            )
        )
        return replace(row, warnings=texts, seconds=time.perf_counter() - began)

    @property
    def by_folds(self) -> bool:
        """Whether cross-validation chooses, so that only the winner needs a precise optimum."""
        return record(self.watched).folds

    def refit(self, row: Candidate, begin: Mixture | None, effort: Effort) -> Candidate:
        """Fit a candidate again, also from another mixture, and keep the better fit."""
        if row.sound is None or begin is None:
            return row
        model = self.fitter.candidate(row.parameters, effort)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                result = self.fitter.fit(model, (begin,))
            except BayesmixError:
                return row  # the quick fit remains
            if result.status == "interrupted":
                raise KeyboardInterrupt
            if result.degenerate is not None or result.objective <= row.sound.objective:
                return row
            better = self._scored(row, model, result)
        held_out = {name: row.scores[name] for name in ("cv",) if name in row.scores}
        return replace(better, scores=better.scores | held_out)

    def _scored(self, row: Candidate, model: Any, result: FitResult) -> Candidate:
        """Fit to all data, with all criteria that need no folds."""
        row = _fitted(row, result)
        scores = {"log_likelihood": Score(result.log_likelihood)}
        row = replace(row, scores=scores, estimator=model)
        if result.degenerate is not None:
            return replace(row, note=f"{DEGENERATE}: {result.degenerate}")
        for name, of_sums in PLUG_IN.items():
            scores[name] = Score(of_sums(result.plug_in_sums, result.n_parameters))
        if result.variational:
            scores["elbo"] = Score(result.objective)
            # Values that were learned before the fit have no prior and cost what they do in BIC.
            noise = result.mixture.noise
            n_learned = result.family.n_learned + (noise.density.n_learned if noise else 0)
            of_learned = 0.5 * n_learned * math.log(result.total_weight)
            added = log_relabellings(result) - of_learned
            scores["elbo_log_k"] = Score(result.objective + added)
        for name, criterion in self.criteria.items():
            scores[name] = as_score(criterion(result, self.fitter.source_of(model)), name)
        notes = [] if result.converged else [f"not converged ({result.status})"]
        notes += [f"{name}: {score.note}" for name, score in scores.items() if score.note]
        return replace(row, note="; ".join(notes))

    def _fold(
        self, row: Candidate, model: Any, split: Fold, warm_starts: tuple[Mixture, ...]
    ) -> Candidate:
        """Fit to the training part of a fold and score the held-out part.

        No moves are tried: a fold needs a good optimum of each candidate, but not a precise one.
        """
        result = self.fitter.on(split.train).fit(model, warm_starts)
        row = _fitted(row, result)
        if result.degenerate is not None:
            return replace(row, note=f"{DEGENERATE}: {result.degenerate}")
        return replace(row, density=self.fitter.on(split.test).log_density(model))


def _fitted(row: Candidate, result: FitResult) -> Candidate:
    """Return what all fits have: the number of components, the next start, the status."""
    return replace(
        row,
        n_components=result.n_components,
        begin=None if result.degenerate is not None else result.mixture,
        interrupted=result.status == "interrupted",
        reached=result.objective,
    )
