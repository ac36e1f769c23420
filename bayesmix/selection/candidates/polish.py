"""Candidates that may win, fitted with all of the search, and what others gain by it.

Each began near the one with a component less. Where that one has since been found in a better
place, or describes the rows better, those of more components begin from there once more. And where
components of a candidate hold next to nothing, the others are a mixture of fewer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.selection.candidates.candidate import Candidate
from bayesmix.selection.candidates.fitter import Effort
from bayesmix.selection.candidates.task import Task
from bayesmix.selection.clustering.clusters import too_small

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
