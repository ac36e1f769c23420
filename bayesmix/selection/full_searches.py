"""Full searches of the candidates that may win."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.clusters import too_small
from bayesmix.selection.criteria import RULE, chosen, log_posteriors, record
from bayesmix.selection.tasks import Effort, Task

# Full searches of two candidates take a third of a selection with 150 observations (0.3 of 1.1 s).
MOST_POLISHED = 4

A_GAIN = 1.0  # nats that make a better fit a new start for others


def polished(
    task: Task,
    rows: list[Candidate],
    worth: Callable[[list[Candidate]], Array],
    within: float,
) -> list[Candidate]:
    """Return candidates after full searches of at most MOST_POLISHED, best first.

    A candidate is searched if its ``worth`` is at least that of the best minus ``within``.
    """
    rows, done = list(rows), set[int]()
    if not task.fitter.searches:
        return rows
    if not task.by_folds:
        for i in sorted(range(len(rows)), key=lambda i: -rows[i].asked):
            _pass_down(task, rows, i)
    values = worth(rows)
    least = values.max() - within
    while len(done) < min(MOST_POLISHED, len(rows)):
        i = next(i for i in np.argsort(-values, kind="stable").tolist() if i not in done)
        if not values[i] >= least > -np.inf:
            break
        before = rows[i].reached
        rows[i] = task.refit(rows[i], rows[i].begin, Effort.FULL)
        if rows[i].reached > before + A_GAIN and not task.by_folds:
            _pass_down(task, rows, i)
        done.add(i)
        values = worth(rows)
    return rows


def _pass_down(task: Task, rows: list[Candidate], i: int) -> None:
    """Fit a smaller candidate from the remaining components of one with almost empty ones.

    This often finds a better optimum than its chain.
    """
    result, structure = rows[i].sound, rows[i].structure
    if result is None or result.n_components != rows[i].asked:
        return
    held = np.flatnonzero(~too_small(result))
    if 0 < len(held) < rows[i].asked:
        for j, row in enumerate(rows):
            if row.asked == len(held) and row.structure == structure:
                mixture = result.mixture.subset(held, result.counts)
                rows[j] = task.refit(row, mixture, Effort.STARTS)


def completed(
    task: Task,
    rows: list[Candidate],
    criterion: str,
    polish: float,
    prior_over_k: dict[int, float],
) -> list[Candidate]:
    """Return candidates of which those that may win got the full search.

    After quick searches, candidates within ``polish`` nats of the best are fitted again with the
    full search; with folds only the winner is.
    """
    if criterion == RULE:
        return polished(task, rows, partial(log_posteriors, prior=prior_over_k), polish)
    scored = record(criterion).column

    def worth(rows: list[Candidate]) -> Array:
        order = chosen(rows, criterion)[: 1 if task.by_folds else None]
        values = np.full(len(rows), -np.inf)
        values[order] = [rows[i].value(scored) for i in order]
        return values

    return polished(task, rows, worth, polish)
