"""Tables of a search: candidates, folds, starts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.selection.candidates import Candidate
from bayesmix.selection.criteria import record
from bayesmix.selection.scores import nec

# Criteria of the fit alone have no standard error.
WITH_ERRORS = ("cv", "evidence", "loo")


def results(rows: list[Candidate], criterion: str) -> Any:
    """Return a table with one row per candidate and one column per criterion or standard error.

    Parameters and the criterion that chose come first, then the difference from the best. Values
    are published ones: AIC, BIC and ICL smaller is better, others in nats, greater is better.
    """
    columns: list[dict[str, Any]] = []
    names = list(dict.fromkeys([criterion, *(name for row in rows for name in row.scores)]))
    ratios = _entropy_ratios(rows)
    best = max(
        (row for row in rows if row.held is not None),
        key=lambda row: row.comparable("cv"),
        default=None,
    )
    for row, ratio in zip(rows, ratios, strict=True):
        entry = {key.split("__")[-1]: value for key, value in row.parameters.items()}
        entry["found_components"] = row.n_components
        for name in names:
            factor = record(name).factor
            entry[name] = factor * row.value(name)
            error = row.scores[name].standard_error if name in row.scores else math.nan
            if name in (*WITH_ERRORS, criterion) and math.isfinite(error):
                entry[f"{name}_se"] = abs(factor) * error
            if name in row.scores and math.isfinite(row.scores[name].pareto_k):
                entry[f"{name}_k"] = row.scores[name].pareto_k
            if name == criterion:
                entry["behind"] = abs(factor) * (rows[0].value(name) - row.value(name))
        if best is not None and best.held is not None:
            behind = None if row.held is None else best.held.less(row.held)
            entry["cv_behind"] = math.nan if behind is None else behind.value
            entry["cv_behind_se"] = math.nan if behind is None else behind.standard_error
        entry["nec"] = ratio
        entry["n_parameters"] = math.nan if row.result is None else row.result.n_parameters
        entry["seconds"] = row.seconds
        entry["note"] = row.note
        entry["warnings"] = "; ".join(row.warnings)
        columns.append(entry)
    return pd.DataFrame(columns)


def _entropy_ratios(rows: list[Candidate]) -> list[float]:
    """Return NEC of each candidate, relative to K = 1 with the same other parameters."""
    alone: dict[str, Any] = {}
    for row in rows:
        if row.sound is not None and row.n_components == 1:
            alone[row.structure] = row.sound.plug_in_sums
    ratios = []
    for row in rows:
        reference = alone.get(row.structure)
        if row.sound is None or reference is None:
            ratios.append(math.nan)
        elif row.n_components == 1:
            ratios.append(1.0)
        else:
            ratios.append(nec(row.sound.plug_in_sums, reference))
    return ratios


def folds(fits: list[tuple[int, int, Candidate]]) -> Any:
    """Return a row per candidate and fold: components, mean held-out log density, seconds, note."""
    entries = [
        (
            candidate,
            part,
            row.n_components,
            math.nan if row.density is None else float(np.mean(row.density)),
            0 if row.density is None else len(row.density),
            row.seconds,
            row.note,
            "; ".join(row.warnings),
        )
        for candidate, part, row in fits
    ]
    return of_folds(entries)


def of_folds(entries: list[Any]) -> Any:
    """Return the table of these rows."""
    columns = ["candidate", "fold", "found_components", "held_out", "rows", "seconds", "note"]
    return pd.DataFrame(entries, columns=[*columns, "warnings"])


def restarts(rows: list[Candidate]) -> Any:
    """Return a row per start or move in the search of each candidate."""
    columns = ["candidate", "stage", "description", "objective", "gain", "accepted", "passes"]
    entries = [
        (number, *(getattr(record, name) for name in columns[1:]))
        for number, row in enumerate(rows)
        if row.result is not None
        for record in row.result.search_trace
    ]
    return pd.DataFrame(entries, columns=columns)
