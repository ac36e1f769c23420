"""Tables of a search: candidates, also by structure or the leading ones, folds, starts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.selection.candidates import Candidate
from bayesmix.selection.criteria import ON_SAMPLE, record
from bayesmix.selection.scores import nec
from bayesmix.selection.structures import alike, from_simple_to_rich
from bayesmix.selection.summary_text import cell

# Criteria of the fit alone have no standard error.
WITH_ERRORS = ("cv", "evidence", "loo")


def results(rows: list[Candidate], criterion: str) -> Any:
    """Return a table with one row per candidate and one column per criterion or standard error.

    Parameters and the criterion that chose come first, then the difference to the best. Values
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
    values = [row.value(criterion) for row in rows]
    greatest = max(filter(math.isfinite, values), default=math.nan)
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
                entry["behind"] = abs(factor) * (greatest - row.value(name))
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


def comparing(results: Any, criterion: str) -> str:
    """Return the column that compares all candidates: the criterion, or its values on a sample."""
    return ON_SAMPLE if ON_SAMPLE in results else record(criterion).column


def over_structures(results: Any, criterion: str) -> Any:
    """Return a criterion as a matrix, K by structure; ``attrs["best"]`` has the best three cells.

    For K = 1, structures that are the same model show the same value.
    """
    names = from_simple_to_rich(dict.fromkeys(results["covariance_type"]))
    matrix = results.pivot_table(
        index="n_components", columns="covariance_type", values=criterion, dropna=False, sort=False
    )
    matrix = matrix.reindex(columns=names).sort_index()
    smaller_is_better = record(criterion).factor < 0.0
    cells = matrix.stack()
    best = cells.nsmallest(3) if smaller_is_better else cells.nlargest(3)
    if 1 in matrix.index:
        for name, equal in alike(names).items():
            values = matrix.loc[1, equal]
            matrix.loc[1, name] = values.min() if smaller_is_better else values.max()
    matrix.attrs = {"best": [(name, int(k), float(value)) for (k, name), value in best.items()]}
    return matrix


def leading(results: Any, criterion: str, most: int) -> tuple[list[str], list[list[str]]]:
    """Return headers and rows of the first candidates: parameters, criterion, other criteria."""
    columns = list(results.columns)
    kind = columns[: columns.index("found_components")]
    beside = [name for name in ("bic", "icl", "aic") if name in columns and name != criterion]
    rows = [
        [
            *(cell(name, row[name]) for name in kind),
            *(f"{row[name]:,.2f}" for name in (criterion, "behind", *beside)),
        ]
        for _, row in results.head(most).iterrows()
    ]
    return [*kind, criterion, "behind", *beside], rows
