"""Ranking of candidates, and weights for model averaging."""

from __future__ import annotations

import math
import re

import numpy as np
from scipy.special import logsumexp

from bayesmix.errors import UndefinedError
from bayesmix.numerics.arrays import Array
from bayesmix.selection.averaging import AveragedDensity, averaged
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.criteria import record, why_no_probabilities
from bayesmix.selection.probability import Probabilities, log_evidences, prior_weights
from bayesmix.selection.scores import finite, stacking, within_one_error
from bayesmix.selection.summary_text import label
from bayesmix.selection.tasks import Task, polished

WEIGHTS_OF_AKAIKE = ("aic", "aicc")


def completed(
    task: Task, rows: list[Candidate], criterion: str, polish: float | None
) -> list[Candidate]:
    """Return candidates with all criteria; those that may win get the full search.

    After quick searches, candidates within ``polish`` nats of the best are fitted again with the
    full search (None: none); with folds only the winner is.
    """
    if polish is None:
        return rows
    scored = record(criterion).column

    def worth(rows: list[Candidate]) -> Array:
        order = chosen(rows, criterion)[: 1 if task.by_folds else None]
        values = np.full(len(rows), -np.inf)
        values[order] = [rows[i].value(scored) for i in order]
        return values

    return polished(task, rows, worth, polish)


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
