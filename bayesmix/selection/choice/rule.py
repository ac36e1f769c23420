"""The rule of ``select``: evidence for the number of components, folds between structures.

How many components made the rows is a question for the evidence. Across structures the evidence is
slow to see that a rich one predicts better: it scores predictions made one after the other, and
charges it for what it did not know in the first rows (van Erven, Grünwald & de Rooij 2012). So the
structures, each at the best of its own candidates, predict rows that were held out; those that are
worse than the best by more than one standard error of the paired difference are refuted, and
the evidence decides among the others. Where one component predicts best of all, it is chosen. No
number that is undefined takes part.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.parallel import SECONDS_ALONE
from bayesmix.selection.candidates.polish import polished
from bayesmix.selection.candidates.row import Row
from bayesmix.selection.candidates.task import Question, Task
from bayesmix.selection.choice.standing import (
    Lattice,
    few_counts,
    few_rows,
    leads_without,
    on_one_value,
)
from bayesmix.selection.criteria.folds import Split
from bayesmix.selection.criteria.held_out import HeldOut, combined, finite
from bayesmix.selection.criteria.scores import Score

NAME = "evidence_folds"
# Whole searches cost a third of a selection of 150 rows where two are made (0.3 of 1.1 s).
MOST_POLISHED = 4
ALONE = "one component predicts rows that were held out better"
# Seconds of work left, in those that processes take to begin, that are worth them.
WORTH_WORKERS = 3.0


@dataclass(frozen=True)
class Judgement:
    """Candidates with what the rule says of each, and how it came to that."""

    rows: list[Row]
    # By kind: how many nats of held-out density its best candidate is behind.
    behind: dict[str, Score] = field(default_factory=dict)
    refuted: tuple[str, ...] = ()  # kinds
    why_no_folds: str = ""
    without_standing: bool = False  # whether something speaks against all of several components
    n_apart: int = 0  # how many rows folds were not judged on, being outliers
    interrupted: bool = False


@dataclass(frozen=True)
class Rule:
    """What the rule needs: how to fit, weights of rows, the prior over K, lattices, and workers.

    ``polish``: candidates within so many nats of the best are fitted with all of the search.
    """

    task: Task
    weights: Array
    prior: dict[int, float]
    grid: tuple[Lattice, ...]
    polish: float | None
    workers: int

    def judged(
        self, rows: list[Row], folds: Callable[[], tuple[Split, ...]] | None = None
    ) -> Judgement:
        """What the rule says; where Ctrl-C comes, what bounds alone say.

        ``folds`` makes them; None: there is no time for any.
        """
        if folds is not None:
            try:
                return self._judged(rows, folds)
            except KeyboardInterrupt:
                pass
        rule = replace(self, polish=None)
        why = "an interrupt left no time for folds"
        return replace(rule._judged(rows, None), why_no_folds=why, interrupted=True)

    def _judged(self, rows: list[Row], folds: Callable[[], tuple[Split, ...]] | None) -> Judgement:
        """All of it: standing, a better optimum for those that may win, folds, evidence."""
        rows = self._polished(rows)
        rows, apart, nobody = self._standing(rows)
        splits, why = self._splits(rows, folds)
        rows, behind = self._held_out(rows, splits, apart)
        refuted = tuple(kind for kind, one in behind.items() if one.value > one.standard_error)
        rows = [replace(row, refuted=row.kind in refuted) for row in rows]
        return Judgement(self._scored(rows), behind, refuted, why, nobody, len(apart))

    def _standing(self, rows: list[Row]) -> tuple[list[Row], Integers, bool]:
        """Candidates with what speaks against each, outliers, whether it is against all of several.

        That values are few, as those of a column of 0 and 1, speaks against none where it would
        leave one component alone; nor does anything where it would leave no candidate.
        """
        speaks_against: tuple[Callable[[Row], str], ...]
        speaks_against = partial(on_one_value, grid=self.grid), lambda _: ""
        for others in speaks_against:
            barred = [replace(row, objection=few_rows(row) or others(row)) for row in rows]
            barred, apart = self._with_outliers(barred, others)
            several = [row for row in barred if row.sound is not None and row.asked > 1]
            if not several or not all(row.objection for row in several):
                return barred, apart, False
        if any(row.sound is not None and not row.objection for row in barred):
            return barred, apart, False
        return [replace(row, objection="") for row in rows], apart, True

    def _with_outliers(
        self, rows: list[Row], others: Callable[[Row], str]
    ) -> tuple[list[Row], Integers]:
        """Few rows of a component do not speak against a candidate that leads without them.

        Those rows, of the candidate that leads most, are what folds are not judged on. ``others``
        is what else speaks against a candidate. Of so many rows that one in some is judged the few
        are not looked for.
        """
        bounds, none = self._bounds(rows), np.zeros(0, dtype=np.intp)
        free = [i for i, row in enumerate(rows) if not row.objection and np.isfinite(bounds[i])]
        if not free or len(self.weights) < self.task.fitter.source.shape[0]:
            return rows, none
        best = max(free, key=lambda i: bounds[i])
        order = np.argsort(-bounds, kind="stable").tolist()
        ahead = [i for i in order if bounds[i] > bounds[best] and not others(rows[i])]
        rows, found = list(rows), list[Integers]()
        least = self._log_density(rows[best]) if ahead else none
        for i in ahead:
            gained, lead = self._log_density(rows[i]) - least, float(bounds[i] - bounds[best])
            few = np.array(list(few_counts(rows[i]).values()))
            mine = leads_without(gained, self.weights, few, lead)
            if mine is not None:
                rows[i] = replace(rows[i], objection="")
                found.append(mine)
        return rows, found[0] if found else none

    def _log_density(self, row: Row) -> Array:
        """Of all rows (n,), by a candidate."""
        assert row.estimator is not None
        return self.task.fitter.log_density(row.estimator)

    def _splits(
        self, rows: list[Row], folds: Callable[[], tuple[Split, ...]] | None
    ) -> tuple[tuple[Split, ...], str]:
        """Folds, or why there are none."""
        if folds is None:
            return (), ""
        try:
            return folds(), ""
        except InvalidInputError as problem:
            return (), f"there are no folds ({problem})"

    def log_prior(self, row: Row, rows: Sequence[Row]) -> float:
        """Of a candidate: that of its K, shared by the kinds that were asked for."""
        share = self.prior.get(row.asked, 0.0) / len({each.kind for each in rows})
        return math.log(share) if share > 0.0 else -math.inf

    def _bounds(self, rows: Sequence[Row]) -> Array:
        """Bound + log K! + log prior of every candidate; minus infinity without a value."""
        worth = [
            row.value("elbo_log_k") + self.log_prior(row, rows) if row.sound else -math.inf
            for row in rows
        ]
        return np.where(np.isfinite(worth), worth, -np.inf)

    def _polished(self, rows: list[Row]) -> list[Row]:
        """Those that are close to the best with all of the search."""
        if self.polish is None:
            return rows
        return polished(self.task, rows, self._bounds, self.polish, MOST_POLISHED)

    def _held_out(
        self, rows: list[Row], splits: tuple[Split, ...], apart: Integers
    ) -> tuple[list[Row], dict[str, Score]]:
        """Held-out density of each kind's best candidate, and how far each is behind the best.

        It is not judged on the rows ``apart``.
        """
        bounds = self._bounds(rows)
        free = np.where([bool(row.objection) for row in rows], -np.inf, bounds)
        leaders = []
        for kind in dict.fromkeys(row.kind for row in rows):
            mine = [i for i, row in enumerate(rows) if row.kind == kind]
            best = max(mine, key=lambda i: free[i])
            if np.isfinite(free[best]):
                leaders.append(best)
        alone = [i for i, row in enumerate(rows) if row.asked == 1 and np.isfinite(bounds[i])]
        alone = sorted(alone, key=lambda i: -bounds[i])[:1]
        tried = sorted({*leaders, *alone})
        if len(tried) < 2 or not splits:
            return rows, {}
        weights = self.weights.copy()
        weights[apart] = 0.0
        held = held_out(self.task, rows, tried, splits, weights, self.workers)
        for i, one in held.items():
            rows[i] = replace(rows[i], scores=rows[i].scores | {"cv": one.score}, held=one)
        values = {i: one.score.value for i, one in held.items()}
        if alone and alone[0] in held and values[alone[0]] >= max(values.values()):
            rows = [
                replace(row, objection=row.objection or ALONE)
                if row.asked > 1 and row.sound is not None
                else row
                for row in rows
            ]
        led = [i for i in leaders if i in held]
        if len(led) < 2:
            return rows, {}
        best_held = held[max(led, key=values.__getitem__)]
        return rows, {rows[i].kind: best_held.less(held[i]) for i in led}

    def _scored(self, rows: list[Row]) -> list[Row]:
        """Bound + log K! + log prior of every sound candidate."""
        return [
            row if row.sound is None else replace(row, scores=row.scores | {NAME: Score(value)})
            for row, value in zip(rows, self._bounds(rows).tolist(), strict=True)
        ]


def held_out(
    task: Task,
    rows: list[Row],
    some: Sequence[int],
    splits: tuple[Split, ...],
    weights: Array,
    workers: int,
) -> dict[int, HeldOut]:
    """Held-out density of some candidates, each fitted to folds from where its own fit ended.

    Those that have none in some fold are left out.
    """
    task = replace(task, splits=splits)
    jobs = [
        (Question(rows[i].parameters, i, part, tuple(filter(None, [rows[i].begin]))),)
        for i in some
        for part in range(len(splits))
    ]
    found = list(in_turn(task.kept, jobs, workers))
    for part in found:
        task.heard(part)
    if any(part.interrupted for part in found):
        raise KeyboardInterrupt  # the fit that it came in ended with its best so far
    held: dict[int, HeldOut] = {}
    for place, i in enumerate(some):
        parts = found[place * len(splits) : (place + 1) * len(splits)]
        densities = [
            (split.test, part.density)
            for split, part in zip(splits, parts, strict=True)
            if part.density is not None
        ]
        if len(densities) == len(splits):
            one = combined(densities, weights)
            if finite(one):
                held[i] = one
    return held


def with_folds(
    task: Task, rows: list[Row], splits: tuple[Split, ...], weights: Array, workers: int
) -> list[Row]:
    """All sound candidates with their held-out density."""
    sound = [i for i, row in enumerate(rows) if row.sound is not None]
    held = held_out(task, rows, sound, splits, weights, workers)
    return [
        replace(row, scores=row.scores | {"cv": held[i].score}, held=held[i]) if i in held else row
        for i, row in enumerate(rows)
    ]


def in_turn(
    call: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[Any]:
    """Results in order; worker processes join in where much is left."""
    began = time.perf_counter()
    for place, job in enumerate(jobs):
        rest = jobs[place:]
        left = (time.perf_counter() - began) / max(place, 1) * len(rest)
        if workers > 1 and len(rest) > 1 and left > WORTH_WORKERS * SECONDS_ALONE:
            from joblib import Parallel, delayed

            parallel = Parallel(n_jobs=workers, return_as="generator")
            yield from parallel(delayed(call)(*one) for one in rest)
            return
        yield call(*job)
