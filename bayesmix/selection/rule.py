"""The rule of ``select``: evidence for the number of components, cross-validation for structures.

1. Variational Bayes fits each structure with K = 1, 2, ... components. The score of a candidate is
e = ELBO + log K! + log p(K), an approximate log evidence.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from bayesmix.core.parallel import SECONDS_ALONE
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.scores import Fold, HeldOut, Score, combined, finite
from bayesmix.selection.tasks import Question, Task, polished

NAME = "evidence_folds"
# Differences, in standard errors, from which a structure is ruled out, or (from 1) excluded.
RULED_OUT = 2.0
# Seconds of remaining work above which worker processes are started.
WORTH_WORKERS = 3.0

Folds = Callable[[], tuple[Fold, ...]]


@dataclass(frozen=True)
class Judgement:
    """Candidates with scores, and the cross-validated difference of each structure to the best."""

    candidates: list[Candidate]
    behind: dict[str, Score] = field(default_factory=dict)  # by structure
    why_no_folds: str = ""
    interrupted: bool = False


@dataclass(frozen=True)
class Rule:
    """How candidates are fitted, sample weights, prior over K, and worker processes.

    ``polish``: candidates within this many nats of the best get a full search.
    """

    task: Task
    weights: Array
    prior: dict[int, float]
    polish: float | None
    workers: int

    def judged(self, candidates: list[Candidate], folds: Folds | None) -> Judgement:
        """Return the score of every candidate; after Ctrl-C (``folds`` None) by evidence alone."""
        if folds is not None:
            try:
                return self._judged(candidates, folds)
            except KeyboardInterrupt:
                pass
        why = "interrupted before cross-validation"
        return Judgement(self._scored(candidates), why_no_folds=why, interrupted=True)

    def _judged(self, candidates: list[Candidate], folds: Folds) -> Judgement:
        if self.polish is not None:
            candidates = polished(self.task, candidates, self.evidence, self.polish)
        values = self.evidence(candidates)
        best = {
            structure: max(members, key=values.__getitem__)
            for structure in dict.fromkeys(candidate.structure for candidate in candidates)
            if (
                members := [
                    i
                    for i, candidate in enumerate(candidates)
                    if candidate.structure == structure and np.isfinite(values[i])
                ]
            )
        }
        behind, why = dict[str, Score](), ""
        if len(best) > 1:
            try:
                candidates, behind = self._compared(candidates, list(best.values()), folds())
            except InvalidInputError as problem:
                why = f"no cross-validation ({problem})"
        return Judgement(self._scored(candidates), behind, why)

    def _compared(
        self, candidates: list[Candidate], chosen: list[int], splits: tuple[Fold, ...]
    ) -> tuple[list[Candidate], dict[str, Score]]:
        """Return candidates without excluded structures, and the cross-validated differences."""
        held = held_out(self.task, candidates, chosen, splits, self.weights, self.workers)
        for i, density in held.items():
            scores = candidates[i].scores | {"cv": density.score}
            candidates[i] = replace(candidates[i], scores=scores, held=density)
        if len(held) < 2:
            return candidates, {}
        best = max(held.values(), key=lambda density: density.score.value)
        behind = {candidates[i].structure: best.less(density) for i, density in held.items()}
        dropped = {structure: verdict(score) for structure, score in behind.items()}
        candidates = [
            replace(candidate, dropped=dropped.get(candidate.structure, ""))
            for candidate in candidates
        ]
        return candidates, behind

    def evidence(self, candidates: Sequence[Candidate]) -> Array:
        """Return ELBO + log K! + log p(K) of every candidate; minus infinity without a value."""
        n_structures = len({candidate.structure for candidate in candidates})
        values = np.full(len(candidates), -np.inf)
        for i, candidate in enumerate(candidates):
            share = self.prior.get(candidate.asked, 0.0) / n_structures
            if candidate.sound is not None and share > 0.0:
                values[i] = candidate.value("elbo_log_k") + math.log(share)
        return np.where(np.isfinite(values), values, -np.inf)

    def _scored(self, candidates: list[Candidate]) -> list[Candidate]:
        return [
            candidate
            if candidate.sound is None
            else replace(candidate, scores=candidate.scores | {NAME: Score(value)})
            for candidate, value in zip(candidates, self.evidence(candidates).tolist(), strict=True)
        ]


def verdict(behind: Score) -> str:
    """Return why a structure this many nats behind in cross-validation is excluded, or ""."""
    if not behind.value > behind.standard_error:
        return ""
    ruled_out = behind.value >= RULED_OUT * behind.standard_error
    return "ruled out by cross-validation" if ruled_out else "slightly worse in cross-validation"


def held_out(
    task: Task,
    candidates: list[Candidate],
    chosen: Sequence[int],
    splits: tuple[Fold, ...],
    weights: Array,
    workers: int,
) -> dict[int, HeldOut]:
    """Return held-out log densities of some candidates; those that failed in a fold are left out.

    Fits to folds start from the candidate's fit to all data.
    """
    task = replace(task, splits=splits)
    jobs = [
        (Question(candidates[i].parameters, i, part, tuple(filter(None, [candidates[i].begin]))),)
        for i in chosen
        for part in range(len(splits))
    ]
    fits = list(in_turn(task.fit_or_load, jobs, workers))
    for fit in fits:
        task.repeat_warnings(fit)
    if any(fit.interrupted for fit in fits):
        raise KeyboardInterrupt  # fit that Ctrl-C ended at its best state so far
    held: dict[int, HeldOut] = {}
    for place, i in enumerate(chosen):
        parts = fits[place * len(splits) : (place + 1) * len(splits)]
        densities = [
            (split.test, part.density)
            for split, part in zip(splits, parts, strict=True)
            if part.density is not None
        ]
        if len(densities) == len(splits) and finite(density := combined(densities, weights)):
            held[i] = density
    return held


def with_folds(
    task: Task, candidates: list[Candidate], splits: tuple[Fold, ...], weights: Array, workers: int
) -> list[Candidate]:
    """Return all sound candidates with their held-out log density."""
    sound = [i for i, candidate in enumerate(candidates) if candidate.sound is not None]
    held = held_out(task, candidates, sound, splits, weights, workers)
    return [
        replace(candidate, scores=candidate.scores | {"cv": held[i].score}, held=held[i])
        if i in held
        else candidate
        for i, candidate in enumerate(candidates)
    ]


def in_turn(
    call: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[Any]:
    """Yield results in order; worker processes help if much is left."""
    began = time.perf_counter()
    for place, job in enumerate(jobs):
        rest = jobs[place:]
        seconds_left = (time.perf_counter() - began) / max(place, 1) * len(rest)
        if workers > 1 and len(rest) > 1 and seconds_left > WORTH_WORKERS * SECONDS_ALONE:
            parallel = Parallel(n_jobs=workers, return_as="generator")
            yield from parallel(delayed(call)(*arguments) for arguments in rest)
            return
        yield call(*job)
