"""Held-out log densities of candidates by cross-validation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from bayesmix.core.parallel import in_turn
from bayesmix.numerics.arrays import Array
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.scores import Fold, HeldOut, combined, finite
from bayesmix.selection.tasks import Question, Task


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
    fits = list(in_turn(task.fit_or_load, jobs, workers, time.perf_counter()))
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
