"""Where a range of K that takes care of itself ends: where more components are refuted.

K grows until the evidence of the last few is far behind the best. Evidence may stand still for many
K before it rises (twenty-five equal clusters are nearly as well described by twelve as by sixteen):
so a variational fit that begins with too many components and prunes them looks ahead.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bayesmix.errors import BayesmixError
from bayesmix.records import Mixture
from bayesmix.selection.candidates.candidate import Candidate
from bayesmix.selection.candidates.candidate_sweep import Sweep
from bayesmix.selection.candidates.fitter import Effort, Fitter
from bayesmix.selection.candidates.task import WHOLE, Task

# K grows no further than this by itself.
LARGEST = 30
# Nats by which so many K in a row must be behind the best one of their structure.
REFUTED, IN_A_ROW = 10.0, 3
# How far beyond what the pruned fit found K is tried.
BEYOND = 2
# It is made where there are so many rows a component of the largest K tried, times columns and one:
# with fewer there is nothing more to be found.
ROWS_TO_LOOK = 4.0
ROWS_LOOKED_AT = 3000


def refuted(values: Sequence[float]) -> bool:
    """Whether the latest few of a chain, by K, are all far behind the best."""
    late = values[-IN_A_ROW:]
    if len(values) <= IN_A_ROW:
        return False
    best = np.nanmax(values) if np.isfinite(values).any() else np.nan
    return bool(all(not value > best - REFUTED for value in late)) and bool(np.isfinite(best))


def looked_ahead(task: Task, parameters: dict[str, Any], most: int) -> Mixture | None:
    """What a fit that begins with ``most`` components keeps; None where it fails."""
    fitter = _some(task.fitter)
    model = fitter.sparse(parameters, most)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = fitter.fit(model)
        except BayesmixError:
            return None
    if result.status == "interrupted":
        raise KeyboardInterrupt
    return result.mixture


def _some(fitter: Fitter) -> Fitter:
    """With rows enough to tell how many components there are, evenly spaced."""
    n_rows = fitter.source.shape[0]
    every = -(-n_rows // ROWS_LOOKED_AT)
    return fitter if every == 1 else fitter.on(np.arange(0, n_rows, every))


def worth_a_look(row: Candidate, tried: int) -> bool:
    """Whether rows are many enough for more components than were tried to be found."""
    result = row.result
    if result is None:
        return False
    return result.total_weight > ROWS_TO_LOOK * (result.n_features + 1) * tried


def finished(sweep: Sweep, most: int, run: Callable[[Sweep], None]) -> bool:
    """Look ahead, and go on where that says so.

    False where Ctrl-C came: what was found so far stays.
    """
    try:
        if grown(sweep, most):
            run(sweep)
    except KeyboardInterrupt:
        return False
    return True


def grown(sweep: Sweep, most: int) -> bool:
    """Whether a pruned fit found more than some chain tried: how far all go is then noted.

    Candidates of as many components as it found are fitted once more, from there.
    """
    chains = [sweep.done(number, WHOLE) for number in range(len(sweep.chains))]
    longest = max(map(len, sweep.chains))  # others end where they have too few observations
    valued = [row for rows in chains for row in rows if row.value(sweep.task.watched) > -np.inf]
    if not valued:
        return False
    best = max(valued, key=lambda row: row.value(sweep.task.watched))
    tried = min(
        len(rows) for rows, chain in zip(chains, sweep.chains, strict=True) if len(chain) == longest
    )
    if tried >= most or not worth_a_look(best, tried):
        return False
    sweep.seen = looked_ahead(sweep.task, best.parameters, most)
    if sweep.seen is None:
        return False
    found = sweep.seen.n_components
    for rows in chains:
        for place, row in enumerate(rows):
            if row.asked == found and row.sound is not None:
                rows[place] = sweep.task.again(row, sweep.seen, Effort.STARTS)
    sweep.at_least = min(most, found + BEYOND)
    return sweep.at_least > tried
