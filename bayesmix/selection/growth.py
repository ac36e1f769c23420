"""Where a range of K that takes care of itself ends: where more components are refuted.

K grows until the evidence of the last few is far behind the best. Evidence may stand still for many
K before it rises (twenty-five equal clusters are nearly as well described by twelve as by sixteen):
so a variational fit that begins with too many components and prunes them looks ahead.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from bayesmix.errors import BayesmixError
from bayesmix.selection.folds import fit_weighted, last_step, n_rows_of, rows_of
from bayesmix.selection.row import Row
from bayesmix.selection.sweep import WHOLE, Sweep, Task

# K goes no further than this, nor than leaves a component as many rows as columns and one.
LARGEST = 30
# Nats by which so many K in a row must be behind the best one of their structure.
REFUTED, IN_A_ROW = 10.0, 3
# How far beyond what the pruned fit found K is tried.
BEYOND = 2
# It is made where there are so many rows a component of the largest K tried, times columns and one:
# with fewer there is nothing more to be found.
ROWS_TO_LOOK = 4.0
ROWS_LOOKED_AT = 3000


def largest(n_rows: int, n_features: int) -> int:
    """The cap on K for so many rows."""
    return max(1, min(LARGEST, n_rows // (n_features + 1)))


def refuted(values: Sequence[float]) -> bool:
    """Whether the latest few of a chain, by K, are all far behind the best."""
    late = values[-IN_A_ROW:]
    if len(values) <= IN_A_ROW:
        return False
    best = np.nanmax(values) if np.isfinite(values).any() else np.nan
    return bool(all(not value > best - REFUTED for value in late)) and bool(np.isfinite(best))


def looked_ahead(task: Task, parameters: dict[str, Any], most: int) -> int | None:
    """How many components a fit that begins with ``most`` keeps; None where it fails."""
    model = clone(task.estimator).set_params(**parameters)
    inner = last_step(model)
    rows, weights = _some(task)
    inner.set_params(
        n_components=most,
        weight_concentration_prior=1.0 / most,
        prune=True,
        search="auto",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fit_weighted(model, rows, weights)
        except (BayesmixError, KeyboardInterrupt):
            return None
    return int(inner.result_.n_components)


def _some(task: Task) -> tuple[Any, Any]:
    """Rows enough to tell how many components there are, evenly spaced, and their weights."""
    every = -(-n_rows_of(task.X) // ROWS_LOOKED_AT)
    if every == 1:
        return task.X, task.sample_weight
    places = np.arange(0, n_rows_of(task.X), every)
    weights = None if task.sample_weight is None else np.asarray(task.sample_weight)[places]
    return rows_of(task.X, places), weights


def worth_a_look(row: Row, tried: int) -> bool:
    """Whether rows are many enough for more components than were tried to be found."""
    result = row.result
    if result is None:
        return False
    return result.total_weight > ROWS_TO_LOOK * (result.n_features + 1) * tried


def grown(sweep: Sweep, most: int) -> bool:
    """Whether a pruned fit found more than was tried: then how far all chains go is noted."""
    rows = [row for number in range(len(sweep.chains)) for row in sweep.done(number, WHOLE)]
    valued = [row for row in rows if row.value(sweep.task.watched) > -np.inf]
    if not valued:
        return False
    best = max(valued, key=lambda row: row.value(sweep.task.watched))
    tried = max(row.asked for row in rows)
    if tried >= most or not worth_a_look(best, tried):
        return False
    seen = looked_ahead(sweep.task, best.parameters, most)
    if seen is None or seen + BEYOND <= tried:
        return False
    sweep.at_least = min(most, seen + BEYOND)
    return True
