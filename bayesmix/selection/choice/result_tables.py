"""What a search did, as DataFrames: candidates, their folds, and what each fit tried."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesmix.selection.candidates.candidate import Candidate
from bayesmix.selection.candidates.structures_asked import alike, from_simple_to_rich
from bayesmix.selection.criteria.scores import nec

# Scores that cost nothing have no error; of these it says how sure they are.
WITH_ERRORS = ("cv", "evidence", "loo")


def results(rows: list[Candidate], criterion: str) -> Any:
    """A row per candidate, a column per criterion with its standard error where it has one.

    What a candidate is and the criterion that chose come first, then how many nats each candidate
    is behind the first one.
    """
    import pandas as pd

    columns: list[dict[str, Any]] = []
    names = list(dict.fromkeys([criterion, *(name for row in rows for name in row.scores)]))
    ratios = _entropy_ratios(rows)
    best = max((row for row in rows if row.held is not None), key=_held_out, default=None)
    for row, ratio in zip(rows, ratios, strict=True):
        entry = _parameters(row)
        entry["found_components"] = row.n_components
        for name in names:
            entry[name] = row.value(name)
            error = row.scores[name].standard_error if name in row.scores else math.nan
            if name in (*WITH_ERRORS, criterion) and math.isfinite(error):
                entry[f"{name}_se"] = error
            if name in row.scores and math.isfinite(row.scores[name].pareto_k):
                entry[f"{name}_k"] = row.scores[name].pareto_k
            if name == criterion:
                entry["behind"] = rows[0].value(name) - row.value(name)
                if row.dropped:  # it may have a larger log evidence
                    entry["behind"] = math.nan
        if best is not None and best.held is not None:
            behind = None if row.held is None else best.held.less(row.held)
            entry["cv_behind"] = math.nan if behind is None else behind.value
            entry["cv_behind_se"] = math.nan if behind is None else behind.standard_error
        entry["nec"] = ratio
        entry["n_parameters"] = math.nan if row.result is None else row.result.n_parameters
        entry["seconds"] = row.seconds
        entry["note"] = row.note
        entry["excluded"] = row.dropped
        entry["warnings"] = "; ".join(row.warnings)
        columns.append(entry)
    return pd.DataFrame(columns)


def over_structures(results: Any, criterion: str) -> Any:
    """A criterion as a matrix, K by structure; ``attrs["best"]`` are the best three cells.

    With one component some structures are the same model: all of them show its value.
    """
    names = from_simple_to_rich(dict.fromkeys(results["covariance_type"]))
    matrix = results.pivot_table(
        index="n_components", columns="covariance_type", values=criterion, dropna=False, sort=False
    )
    matrix = matrix.reindex(columns=names).sort_index()
    best = matrix.stack().nlargest(3)
    if 1 in matrix.index:
        for name, others in alike(names).items():
            matrix.loc[1, name] = matrix.loc[1, others].max()
    matrix.attrs = {"best": [(name, int(k), float(value)) for (k, name), value in best.items()]}
    return matrix


def _held_out(row: Candidate) -> float:
    value = row.value("cv")
    return value if math.isfinite(value) else -math.inf


def _parameters(row: Candidate) -> dict[str, Any]:
    return {key.split("__")[-1]: value for key, value in row.parameters.items()}


def _entropy_ratios(rows: list[Candidate]) -> list[float]:
    """NEC of every candidate, against the one of a single component that is otherwise alike."""
    alone: dict[str, Any] = {}
    for row in rows:
        if row.sound is not None and row.n_components == 1:
            alone[row.structure] = row.sound.plug_in_sums
    ratios = []
    for row in rows:
        one = alone.get(row.structure)
        if row.sound is None or one is None:
            ratios.append(math.nan)
        elif row.n_components == 1:
            ratios.append(1.0)
        else:
            ratios.append(nec(row.sound.plug_in_sums, one))
    return ratios


def leading(results: Any, criterion: str, most: int) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the first candidates: what they are, how far behind, other criteria."""
    columns = list(results.columns)
    kind = columns[: columns.index("found_components")]
    beside = [name for name in ("bic", "icl", "aic") if name in columns and name != criterion]
    rows = [
        [
            *(str(row[name]) for name in kind),
            *(f"{row[name]:,.2f}" for name in (criterion, "behind", *beside)),
        ]
        for _, row in results.head(most).iterrows()
    ]
    return [*kind, criterion, "behind", *beside], rows


def folds(found: list[tuple[int, int, Candidate]]) -> Any:
    """A row per candidate and fold: components, mean held-out log density, seconds, note."""
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
        for candidate, part, row in found
    ]
    return of_folds(entries)


def of_folds(entries: list[Any]) -> Any:
    """The table with these rows."""
    import pandas as pd

    columns = ["candidate", "fold", "found_components", "held_out", "rows", "seconds", "note"]
    return pd.DataFrame(entries, columns=[*columns, "warnings"])


def restarts(rows: list[Candidate]) -> Any:
    """A row per start or move that the search of a candidate tried."""
    import pandas as pd

    columns = ["candidate", "stage", "description", "objective", "gain", "accepted", "passes"]
    entries = [
        (number, *(getattr(record, name) for name in columns[1:]))
        for number, row in enumerate(rows)
        if row.result is not None
        for record in row.result.search_trace
    ]
    return pd.DataFrame(entries, columns=columns)
