"""Ranking of candidates, weights for model averaging, and the tables of a search."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from bayesmix.errors import UndefinedError
from bayesmix.numerics.arrays import Array
from bayesmix.selection.averaging import AveragedDensity, averaged
from bayesmix.selection.candidates import Candidate, alike, from_simple_to_rich
from bayesmix.selection.criteria import record, why_no_probabilities
from bayesmix.selection.probability import Probabilities, log_evidences, prior_weights
from bayesmix.selection.scores import finite, nec, stacking, within_one_error
from bayesmix.selection.summary_text import label
from bayesmix.selection.sweep import Sweep
from bayesmix.selection.tasks import polished

WEIGHTS_OF_AKAIKE = ("aic", "aicc")


def completed(
    sweep: Sweep, rows: list[Candidate], criterion: str, polish: float | None
) -> list[Candidate]:
    """Return candidates with all criteria; those that may win get the full search.

    After quick searches, candidates within ``polish`` nats of the best are fitted again with the
    full search (None: none); with folds only the winner is.
    """
    task = sweep.task
    if not sweep.whole:
        rows = with_winner(sweep, rows, criterion)
    if polish is None:
        return rows
    scored = record(criterion).column

    def worth(rows: list[Candidate]) -> Array:
        order = chosen(rows, criterion)[: 1 if task.by_folds else None]
        values = np.full(len(rows), -np.inf)
        values[order] = [rows[i].value(scored) for i in order]
        return values

    return polished(task, rows, worth, polish)


def with_winner(sweep: Sweep, rows: list[Candidate], criterion: str) -> list[Candidate]:
    """Return candidates that were fitted to folds only, with the winner fitted to all data.

    A candidate whose likelihood collapses on all data cannot win.
    """
    for i in chosen(rows, criterion):
        whole = sweep.fitted_to_all(i)
        if whole.sound is not None:
            scores = whole.scores | {"cv": rows[i].scores["cv"]}
            rows[i] = replace(whole, scores=scores, held=rows[i].held)
            break
        rows[i] = whole
    return rows


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
        held = [row.held for row in rows]
        sizes = [0 if row.result is None else row.result.n_parameters for row in rows]
        simplest = within_one_error(held, sizes)
        order = [simplest, *(i for i in order if i != simplest)]
    return order


def why_none(rows: list[Candidate]) -> str:
    """Return why candidates have no value, reasons that differ in numbers alone once."""
    reasons = [row.note for row in rows if row.note]
    reasons += [
        str(reason) for row in rows if row.sound and (reason := why_no_probabilities(row.sound))
    ]
    kinds = {re.sub(r"\d+", "", reason): reason for reason in reversed(reasons)}
    return "; ".join(reversed(kinds.values()))


def averaged_over(
    rows: list[Candidate], criterion: str, probabilities: Probabilities | None
) -> AveragedDensity:
    """Return the model-averaged density.

    Weights come from stacking for cross-validation (Yao et al. 2018), from posterior probabilities
    if there is an evidence, and are exp(criterion) for BIC and AIC (Akaike weights); criteria of
    clusters have none (``UndefinedError``).
    """
    prior: Array | None = None
    if record(criterion).folds:
        numbers = [i for i, row in enumerate(rows) if row.held is not None and finite(row.held)]
        held = [rows[i].held for i in numbers]
        densities = np.column_stack([held_out.density for held_out in held if held_out is not None])
        assert held[0] is not None
        shares = stacking(densities, held[0].weights)
        how = "stacking of held-out densities"
    elif probabilities is not None:
        numbers = [int(i) for i in np.flatnonzero(probabilities.values > 0)]
        shares, how = probabilities.values[numbers], f"their probabilities ({probabilities.source})"
        weights = prior_weights(rows, probabilities.prior)
        prior = weights[numbers] / weights.sum()
    elif record(criterion).log_evidence or criterion in WEIGHTS_OF_AKAIKE:
        numbers = [i for i, row in enumerate(rows) if np.isfinite(row.value(criterion))]
        values = np.array([rows[i].value(criterion) for i in numbers])
        shares, how = np.exp(values - logsumexp(values)), f"exp({record(criterion).label})"
    else:
        raise UndefinedError(
            f"{record(criterion).label} gives no weights for model averaging: use "
            "criterion='cv', 'bic', 'aic' or a variational estimator"
        )
    return averaged(
        [rows[i].estimator for i in numbers], shares, [label(rows[i]) for i in numbers], how, prior
    )


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


def leading(results: Any, criterion: str, most: int) -> tuple[list[str], list[list[str]]]:
    """Return headers and rows of the first candidates: parameters, criterion, other criteria."""
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
