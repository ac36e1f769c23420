"""Candidates that may win, fitted with all of the search, and those that these lead on.

A mixture contains every mixture of fewer components. So one of K + 1 that describes the rows less
well than one of K, now that this was searched to its end, is in a poor place: it begins from there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.selection.candidates.fitter import Effort
from bayesmix.selection.candidates.row import Row
from bayesmix.selection.candidates.task import Task

# Nats of likelihood that a component of no rows costs, by the weight that its prior gives it.
AN_EMPTY_ONE = 1.0


def polished(
    task: Task, rows: list[Row], worth: Callable[[list[Row]], Array], within: float, most: int
) -> list[Row]:
    """Rows with at most so many candidates searched further, from the best one on.

    Those that are ``worth`` no less than the best is now, less ``within``.
    """
    rows, done = list(rows), set[int]()
    values = worth(rows)
    least = values.max() - within
    while len(done) < most:
        left = [i for i in np.argsort(-values, kind="stable").tolist() if i not in done]
        if not left or not values[left[0]] >= least > -np.inf:
            break
        i = left[0]
        rows[i] = task.polished(rows[i])
        done.add(i)
        if task.fitter.searches and not task.by_folds:
            _lead_on(task, rows, i)
        values = worth(rows)
    return rows


def _lead_on(task: Task, rows: list[Row], i: int) -> None:
    """Let those of more components begin near it, as long as they describe the rows less well."""
    larger = _one_more(rows, i)
    while larger is not None and _in_a_poor_place(rows, larger, i):
        begin = rows[i].begin
        assert begin is not None  # what has a likelihood has a mixture
        rows[larger] = task.again(rows[larger], begin, Effort.STARTS)
        i, larger = larger, _one_more(rows, larger)


def _one_more(rows: list[Row], i: int) -> int | None:
    """The candidate of a component more that is the same for the rest."""
    same = (j for j, row in enumerate(rows) if row.asked == rows[i].asked + 1)
    return next((j for j in same if rows[j].kind == rows[i].kind), None)


def _in_a_poor_place(rows: list[Row], larger: int, i: int) -> bool:
    """Whether a candidate describes the rows less well than one that it contains."""
    more, fewer = (rows[place].value("log_likelihood") for place in (larger, i))
    return more < fewer - AN_EMPTY_ONE
