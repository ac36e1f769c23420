"""Held-out log densities of candidates by cross-validation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from joblib import Parallel, delayed

from bayesmix.core.parallel import SECONDS_ALONE
from bayesmix.numerics.arrays import Array
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.scores import Fold, HeldOut, combined, finite
from bayesmix.selection.tasks import Question, Task

# Seconds of remaining work above which worker processes are started.
WORTH_WORKERS = 3.0


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
