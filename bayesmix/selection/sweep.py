"""One pass over the candidates: fit each, note what every criterion says of it, never fall over.

Candidates come in chains that differ in K alone, on all rows or on those of one fold. Each begins
near the one before it in its chain, and near the best of those that it contains (as many
components, a simpler structure) on the same rows. So nothing crosses the border of a fold, and
fits may be made anywhere, once those that they begin near are there, without changing a number. A
candidate that cannot be fitted, or whose likelihood was only kept finite by holding a collapsed
component, is a row with its reason.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.base import clone

from bayesmix.errors import BayesmixWarning
from bayesmix.numerics.arrays import Array
from bayesmix.parallel import SECONDS_ALONE
from bayesmix.protocols import Source
from bayesmix.records import Mixture
from bayesmix.selection.candidates import Contents, asked, contents, simplest_first
from bayesmix.selection.checkpoint import Checkpoint
from bayesmix.selection.criteria import OF_FOLDS, PLUG_IN, Score
from bayesmix.selection.evidence import log_relabellings
from bayesmix.selection.folds import (
    Split,
    fit_weighted,
    last_step,
    log_density,
    rows_of,
    was_interrupted,
)
from bayesmix.selection.held_out import combined
from bayesmix.selection.hopeless import hopeless
from bayesmix.selection.row import Row
from bayesmix.workflow.result import FitResult

DEGENERATE = "degenerate"
WHOLE = -1


@dataclass(frozen=True)
class Task:
    """Fit one candidate to all rows, or to those of a fold.

    ``criteria`` are functions (FitResult, Source) -> float or Score beside those that cost nothing.
    """

    estimator: Any
    X: Any
    sample_weight: Any
    splits: tuple[Split, ...]
    criteria: dict[str, Any]
    source: Source | None
    checkpoint: Checkpoint | None = None
    patience: int | None = None
    watched: str = ""  # the criterion that patience is about
    refuted: Callable[[list[float]], bool] | None = None  # where K takes care of itself

    def given_up(self, rows: Sequence[Row]) -> bool:
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

    def kept(
        self, parameters: dict[str, Any], number: int, part: int, near: tuple[Mixture, ...]
    ) -> Row:
        """The row from the checkpoint, or made now and put there."""
        name = f"candidate-{number}-{'all' if part == WHOLE else f'fold-{part}'}"
        row = None if self.checkpoint is None else self.checkpoint.get(name)
        if row is None:
            row = self(parameters, part, near)
            if self.checkpoint is not None and not row.interrupted:
                self.checkpoint.put(name, row)
        return row

    def __call__(
        self, parameters: dict[str, Any], part: int = WHOLE, near: tuple[Mixture, ...] = ()
    ) -> Row:
        """``near`` are fits of other candidates to the same rows."""
        began = time.perf_counter()
        model = clone(self.estimator).set_params(**parameters)
        if near:
            last_step(model)._begin_near(*near)
        row = Row(parameters, asked(parameters), {}, 0.0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                row = self._whole(row, model) if part == WHOLE else self._fold(row, model, part)
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

    def _whole(self, row: Row, model: Any) -> Row:
        """Fitted to all rows, with every criterion that needs no folds."""
        if self.by_folds:
            _shorten(model)
        return self._scored(row, model)

    @property
    def by_folds(self) -> bool:
        """Whether held-out density chooses: then only the winner needs the last thousandth."""
        return self.watched in OF_FOLDS

    def polished(self, row: Row) -> Row:
        """A candidate fitted with all of the search, beginning where a short one led as well."""
        searched = getattr(last_step(self.estimator), "search", None) is not None
        return row if row.begin is None or not searched else self.again(row, row.begin, "auto")

    def again(self, row: Row, begin: Mixture, search: str) -> Row:
        """A candidate fitted once more, beginning at a mixture as well, where that is better."""
        model = clone(self.estimator).set_params(**row.parameters)
        inner = last_step(model)
        inner.set_params(search=search)
        inner._begin_near(begin)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            better = self._scored(row, model)
        if better.sound is None or row.sound is None:
            return row
        if better.sound.objective <= row.sound.objective:
            return row
        kept = {name: row.scores[name] for name in ("cv",) if name in row.scores}
        return replace(better, scores=better.scores | kept)

    def _scored(self, row: Row, model: Any) -> Row:
        fit_weighted(model, self.X, self.sample_weight)
        row = _fitted(row, model)
        result: FitResult = last_step(model).result_
        scores = {"log_likelihood": Score(result.log_likelihood)}
        row = replace(row, scores=scores, estimator=model)
        if result.degenerate is not None:
            return replace(row, note=f"{DEGENERATE}: {result.degenerate}")
        for name, criterion in PLUG_IN.items():
            scores[name] = Score(criterion(result.plug_in_sums, result.n_parameters))
        if result.variational:
            scores["elbo"] = Score(result.objective)
            scores["elbo_log_k"] = Score(result.objective + log_relabellings(result))
        for name, criterion in self.criteria.items():
            score = criterion(result, self.source_of(model))
            scores[name] = score if isinstance(score, Score) else Score(float(score))
        notes = [] if result.converged else [f"not converged ({result.status})"]
        notes += [f"{name}: {score.note}" for name, score in scores.items() if score.note]
        return replace(row, note="; ".join(notes))

    def source_of(self, model: Any) -> Any:
        """The rows as the mixture sees them: of a pipeline, transformed."""
        if not (hasattr(model, "steps") and len(model.steps) > 1) or self.source is None:
            return self.source
        values = np.asarray(model[:-1].transform(self.X), dtype=np.float64)
        return replace(self.source, values=values)  # type: ignore[type-var]

    def _fold(self, row: Row, model: Any, part: int) -> Row:
        """Fitted to the rows of a fold and judged on those held out.

        Starts, those near other candidates too, do without moves: a fold needs a good
        optimum of each candidate, not the last thousandth of a nat.
        """
        _shorten(model)
        split = self.splits[part]
        weight = None if self.sample_weight is None else np.asarray(self.sample_weight)[split.train]
        fit_weighted(model, rows_of(self.X, split.train), weight)
        row = _fitted(row, model)
        result: FitResult = last_step(model).result_
        if result.degenerate is not None:
            return replace(row, note=f"{DEGENERATE}: {result.degenerate}")
        return replace(row, density=log_density(model, rows_of(self.X, split.test)))


def _shorten(model: Any) -> None:
    """Starts alone, where the estimator would make moves as well."""
    inner = last_step(model)
    if getattr(inner, "search", None) == "auto":
        inner.set_params(search="short")


def _fitted(row: Row, model: Any) -> Row:
    """What every fit says: how many components, where the next may begin, whether it was ended."""
    result: FitResult = last_step(model).result_
    return replace(
        row,
        n_components=result.n_components,
        begin=None if result.degenerate is not None else result.mixture,
        interrupted=was_interrupted(model),
        reached=result.objective,
    )


@dataclass
class Sweep:
    """All chains and how far each has come: rows by (chain, part)."""

    task: Task
    chains: list[list[dict[str, Any]]]
    whole: bool = True  # whether all are fitted to all rows, and not to those of folds alone
    rows: dict[tuple[int, int], list[Row]] = field(default_factory=dict)
    at_least: int = 0  # so many of every chain, whatever is given up
    seen: Mixture | None = None  # where candidates of as many components begin as well

    @property
    def parts(self) -> list[int]:
        return [*([WHOLE] if self.whole else []), *range(len(self.task.splits))]

    @property
    def total(self) -> int:
        return len(self.parts) * self.n_candidates

    @property
    def n_candidates(self) -> int:
        """How many candidates there are."""
        return sum(map(len, self.chains))

    @property
    def n_found(self) -> int:
        """How many of them were fitted so far, to all rows where they are."""
        return sum(len(self.done(number, self.parts[0])) for number in range(len(self.chains)))

    def done(self, chain: int, part: int) -> list[Row]:
        """The rows that this chain has so far."""
        return self.rows.setdefault((chain, part), [])

    def one_by_one(self) -> Iterator[Row]:
        """Candidate after candidate, each with all its folds; may be left at any time."""
        for number, place in self._in_order():
            for part in self.parts:
                rows = self.done(number, part)
                if len(rows) > place or self._ended(number, part):
                    continue
                row = self.task.kept(*self._job(number, part))
                self._note(rows, row)
                yield row

    def _in_order(self) -> list[tuple[int, int]]:
        """(chain, place) of all candidates: chain by chain, or all chains side by side."""
        order = simplest_first(self.inside, len(self.chains))
        found = [(number, place) for number in order for place in range(len(self.chains[number]))]
        return sorted(found, key=lambda each: each[1]) if self.side_by_side else found

    @property
    def side_by_side(self) -> bool:
        """Whether chains wait for one another: where one ends depends on the others."""
        return self.task.refuted is not None

    def every(self, workers: int) -> Iterator[Row]:
        """All rows as they come; worker processes join in once it takes a while."""
        began = time.perf_counter()
        for row in self.one_by_one():
            yield row
            busy = time.perf_counter() - began > SECONDS_ALONE
            if busy and workers > 1 and len(self.unfinished) > 1:
                yield from self.in_workers(workers)
                return

    def in_workers(self, workers: int) -> Iterator[Row]:
        """What is left, in worker processes: again and again the next of every chain that can."""
        from joblib import Parallel, delayed

        with Parallel(n_jobs=workers, return_as="generator") as parallel:
            while ready := self.ready:
                finished = parallel(delayed(self.task.kept)(*self._job(*each)) for each in ready)
                for key, row in zip(ready, finished, strict=True):
                    self._note(self.done(*key), row)
                    yield row

    @cached_property
    def inside(self) -> Contents:
        """(chain, place) of every candidate -> those of the candidates that it contains."""
        return contents(self.chains)

    def _job(self, chain: int, part: int) -> tuple[dict[str, Any], int, int, tuple[Mixture, ...]]:
        """What ``Task.kept`` is next asked for in a chain."""
        place = len(rows := self.done(chain, part))
        there = [self.done(other, part)[at : at + 1] for other, at in self.inside[chain, place]]
        simpler = [row for found in there for row in found if row.begin is not None]
        best = sorted(simpler, key=lambda row: row.reached)[-1:]
        near = [row.begin for row in (*rows[-1:], *best) if row.begin is not None]
        parameters = self.chains[chain][place]
        if self.seen is not None and self.seen.n_components == asked(parameters):
            near.append(self.seen)
        return parameters, self.number(chain, place), part, tuple(near)

    @property
    def ready(self) -> list[tuple[int, int]]:
        """Where the next candidate contains none that is left; the richest, slow ones first."""
        left = self.unfinished
        if self.side_by_side:
            first = min(len(self.done(*each)) for each in left) if left else 0
            left = [each for each in left if len(self.done(*each)) == first]
        return [
            (chain, part)
            for chain, part in reversed(left)
            if not any(
                (other, part) in left and len(self.done(other, part)) <= at
                for other, at in self.inside[chain, len(self.done(chain, part))]
            )
        ]

    @property
    def unfinished(self) -> list[tuple[int, int]]:
        """The chains and parts in which something is left to do, the simplest first."""
        return [
            (number, part)
            for number in simplest_first(self.inside, len(self.chains))
            for part in self.parts
            if len(self.done(number, part)) < len(self.chains[number])
            and not self._ended(number, part)
        ]

    def _ended(self, number: int, part: int) -> bool:
        """Whether nothing more of a chain is to be tried."""
        rows = self.done(number, part)
        if len(rows) < self.at_least:
            return False
        if self.task.given_up(rows) or not self.side_by_side:
            return self.task.given_up(rows)
        others = [self.done(other, part) for other in range(len(self.chains)) if other != number]
        return hopeless(rows, others, self.task.watched, self.task.given_up)

    def number(self, chain: int, place: int) -> int:
        """The candidate's number among all."""
        return sum(map(len, self.chains[:chain])) + place

    def _note(self, rows: list[Row], row: Row) -> None:
        """Keep a row; one that Ctrl-C ended is kept of a fit to all rows only, and ends the sweep.

        Held-out density of a fit that was broken off would say nothing of the candidate.
        """
        if not row.interrupted or row.estimator is not None:
            rows.append(row)
        if row.interrupted:
            raise KeyboardInterrupt

    def candidates(self, weights: Array) -> list[Row]:
        """A row per candidate that was fitted, with its held-out score."""
        found = []
        for number in range(len(self.chains)):
            for place, row in enumerate(self.done(number, self.parts[0])):
                if not self.whole:
                    row = Row(row.parameters, row.n_components, {}, row.seconds)
                found.append(self._with_folds(row, number, place, weights))
        return found

    def fitted_to_all(self, candidate: int) -> Row:
        """A candidate's row on all rows, after those of its chain before it."""
        number = 0
        while candidate >= len(self.chains[number]):
            candidate -= len(self.chains[number])
            number += 1
        done = self.done(number, WHOLE)
        while len(done) <= candidate:
            self._note(done, self.task.kept(*self._job(number, WHOLE)))
        return done[candidate]

    def _with_folds(self, row: Row, number: int, place: int, weights: Array) -> Row:
        if not self.task.splits or (self.whole and row.sound is None):
            return row
        parts = []
        for part, split in enumerate(self.task.splits):
            rows = self.done(number, part)
            one = rows[place] if len(rows) > place else None
            if one is None or one.density is None:
                reason = "interrupted" if one is None else one.note
                scores = row.scores | {"cv": Score(math.nan)}
                note = "; ".join(filter(None, [row.note, f"fold {part}: {reason}"]))
                return replace(row, scores=scores, note=note)
            parts.append((split.test, one.density))
        held = combined(parts, weights)
        return replace(row, scores=row.scores | {"cv": held.score}, held=held)

    def folds(self) -> list[tuple[int, int, Row]]:
        """(candidate, fold, row) of all fits to folds."""
        return [
            (self.number(number, place), part, row)
            for (number, part), rows in sorted(self.rows.items())
            if part != WHOLE
            for place, row in enumerate(rows)
        ]
