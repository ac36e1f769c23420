"""One fit of a search: a candidate fitted to all rows or to those of a fold, and what it is worth.

A candidate that cannot be fitted, or whose likelihood was only kept finite by holding a collapsed
component, is a row with its reason.

How candidates are fitted: by an object that is handed down from above and knows the rows.

It was given rows once, checked them once, and says what an estimator makes of them: selection needs
no more of estimators than this, and no estimator anything that selection alone would set.

Candidates that may win, fitted with all of the search, and what others gain by it.

Each began near the one with a component less. Where that one has since been found in a better
place, or describes the rows better, those of more components begin from there once more. And where
components of a candidate hold next to nothing, the others are a mixture of fewer.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Protocol

import numpy as np

from bayesmix.core.mixture import Mixture
from bayesmix.core.sources import Chosen, Parameters, Procedure, Source, UserRows
from bayesmix.em.result import FitResult
from bayesmix.errors import BayesmixWarning, UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.selection.candidates import Candidate, asked
from bayesmix.selection.clusters import too_small
from bayesmix.selection.criteria import PLUG_IN, log_relabellings, record
from bayesmix.selection.scores import Fold, Score, ScoreFunction


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
    splits: tuple[Fold, ...] = ()
    criteria: Mapping[str, ScoreFunction] = field(default_factory=dict)
    checkpoint: KeptFits | None = None
    patience: int | None = None
    watched: str = ""  # the criterion that patience is about
    ended: Callable[[list[float]], bool] | None = None  # where K takes care of itself

    def given_up(self, rows: Sequence[Candidate]) -> bool:
        """Whether the latest are far behind, or the latest ``patience`` all worse than before.

        Never where there are folds: they need every candidate, wherever it is worked on.
        """
        if self.ended is not None:
            return self.ended([row.value(self.watched) for row in rows])
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
        self, row: Candidate, model: Any, split: Fold, near: tuple[Mixture, ...]
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


# Nats by which a candidate is in a better place than those that began near it know; an empty
# component costs no more of the likelihood.
A_GAIN = 1.0


def polished(
    task: Task,
    rows: list[Candidate],
    worth: Callable[[list[Candidate]], Array],
    within: float,
    most: int,
) -> list[Candidate]:
    """Rows with at most so many candidates searched further, from the best one on.

    Those that are ``worth`` no less than the best is now, less ``within``.
    """
    rows, done = list(rows), set[int]()
    shared = task.fitter.searches and not task.by_folds  # others are worth fitting once more
    if shared:
        for i in sorted(range(len(rows)), key=lambda i: -rows[i].asked):
            _pass_down(task, rows, i)
    values = worth(rows)
    least = values.max() - within
    while len(done) < most:
        left = [i for i in np.argsort(-values, kind="stable").tolist() if i not in done]
        if not left or not values[left[0]] >= least > -np.inf:
            break
        i = left[0]
        before = rows[i].reached
        rows[i] = task.polished(rows[i])
        if shared:
            _pass_on(task, rows, i, before)
        done.add(i)
        values = worth(rows)
    return rows


def _pass_on(task: Task, rows: list[Candidate], i: int, before: float) -> None:
    """Others begin anew from what one found that had reached so much before."""
    while True:
        gained = rows[i].reached > before + A_GAIN
        if gained:
            _pass_down(task, rows, i)
        larger, begin = _like(rows, i, rows[i].asked + 1), rows[i].begin
        if larger is None or begin is None or not (gained or _describes_less(rows, larger, i)):
            return
        before = rows[larger].reached
        rows[larger] = task.again(rows[larger], begin, Effort.STARTS)
        i = larger


def _describes_less(rows: list[Candidate], larger: int, i: int) -> bool:
    """Whether a candidate describes the rows less well than one that it contains."""
    more, fewer = (rows[place].value("log_likelihood") for place in (larger, i))
    return more < fewer - A_GAIN


def _pass_down(task: Task, rows: list[Candidate], i: int) -> None:
    """Where components hold next to nothing a candidate of fewer begins at what is left.

    That is often a better place than where its chain had come to.
    """
    result = rows[i].sound
    if result is None or result.n_components != rows[i].asked:
        return
    held = np.flatnonzero(~too_small(result))
    fewer = _like(rows, i, len(held))
    if 0 < len(held) < rows[i].asked and fewer is not None:
        left = result.mixture.subset(held, result.counts)
        rows[fewer] = task.again(rows[fewer], left, Effort.STARTS)


def _like(rows: list[Candidate], i: int, n_components: int) -> int | None:
    """The candidate that differs in the number of components alone."""
    same = (j for j, row in enumerate(rows) if row.asked == n_components)
    return next((j for j in same if rows[j].structure == rows[i].structure), None)
