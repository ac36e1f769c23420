"""Ranking of candidates."""

from __future__ import annotations

import math
import re

import numpy as np

from bayesmix.selection.candidates import Candidate
from bayesmix.selection.criteria import record, why_no_probabilities
from bayesmix.selection.probability import log_evidences


def answerable(rows: list[Candidate], criterion: str) -> str:
    """Return the criterion, or its substitute if relevant candidates have no value of it.

    Importance sampling may fail for some candidates, and others must not win because of that.
    Cross-validation replaces leave-one-out.
    """
    if criterion == "loo":
        return "cv" if any(disowned(row, criterion) for row in rows) else criterion
    return log_evidences(rows)[1] if criterion == "evidence" else criterion


def disowned(row: Candidate, criterion: str) -> bool:
    """Whether a sound fit has no value of a criterion because a diagnostic failed."""
    return row.sound is not None and not math.isfinite(row.value(criterion))


def chosen(rows: list[Candidate], criterion: str) -> list[int]:
    """Return indices of candidates with a value: the chosen one, then by value."""
    scored = record(criterion).column
    values = np.array([row.value(scored) for row in rows])
    order = [int(i) for i in np.flatnonzero(np.isfinite(values))]
    order.sort(key=lambda i: (-values[i], i))
    if criterion == "cv_1se" and order:
        from bayesmix.selection.one_standard_error import within_one_error

        held = [row.held for row in rows]
        sizes = [0 if row.result is None else row.result.n_parameters for row in rows]
        simplest = within_one_error(held, sizes)
        order = [simplest, *(i for i in order if i != simplest)]
    return order


def why_none(rows: list[Candidate], criterion: str) -> str:
    """Return why no candidate has a value, with reasons that differ in numbers alone once."""
    scored, none = record(criterion), f"no candidate has a value of {criterion}"
    if scored.folds and any(row.value(scored.column) == -math.inf for row in rows):
        return (
            f"{none}: held-out observations have density zero, since the other folds lack their "
            "categories: use the default criterion, or merge rare categories"
        )
    reasons = [row.note for row in rows if row.note]
    reasons += [
        str(reason) for row in rows if row.sound and (reason := why_no_probabilities(row.sound))
    ]
    kinds = {re.sub(r"\d+", "", reason): reason for reason in reversed(reasons)}
    text = "; ".join(reversed(kinds.values()))
    if len(kinds) == 1 and text.startswith("failed: "):
        text, none = text.removeprefix("failed: "), "no candidate could be fitted"
    return f"{none}: {text}"
