"""Which candidate a criterion chooses, and what candidates are worth when they are averaged."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.special import logsumexp

from bayesmix.errors import UndefinedError
from bayesmix.numerics.arrays import Array
from bayesmix.selection.averaging import AveragedDensity, averaged
from bayesmix.selection.candidates.candidate import Candidate
from bayesmix.selection.candidates.candidate_sweep import Sweep
from bayesmix.selection.candidates.polish import polished
from bayesmix.selection.choice.probability import Probabilities, evidence_of, prior_weights
from bayesmix.selection.choice.summary_text import label
from bayesmix.selection.criteria.evidence_of_k import why_no_probabilities
from bayesmix.selection.criteria.held_out import finite, stacking, within_one_error
from bayesmix.selection.criteria.registry import record

WEIGHTS_OF_AKAIKE = ("aic", "aicc")
MOST_POLISHED = 5


def completed(
    sweep: Sweep, rows: list[Candidate], criterion: str, polish: float | None
) -> list[Candidate]:
    """Rows with what compares them among one another, and those that may win searched to the end.

    Of short searches the candidates within ``polish`` nats of the best are fitted again with all of
    the search, by folds the winner alone; None: none is.
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

    return polished(task, rows, worth, polish, MOST_POLISHED)


def with_winner(sweep: Sweep, rows: list[Candidate], criterion: str) -> list[Candidate]:
    """Rows of candidates that were fitted to folds alone, the winner's as all rows have it.

    One whose likelihood collapses on all rows does not win, as where all were fitted to them.
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
    """The criterion, or the one in its place where candidates that matter have no value of it.

    Importance weights may fail for some candidates: the others must not win for that. In the place
    of leave-one-out stand folds.
    """
    if criterion == "loo":
        return "cv" if any(disowned(row, criterion) for row in rows) else criterion
    return evidence_of(rows)[1] if criterion == "evidence" else criterion


def disowned(row: Candidate, criterion: str) -> bool:
    """Whether a sound fit has no value of a criterion for what its own diagnostic says."""
    return row.sound is not None and not math.isfinite(row.value(criterion))


def chosen(rows: list[Candidate], criterion: str) -> list[int]:
    """Numbers of the candidates that have a value, the chosen one first, then by value."""
    scored = record(criterion).column
    values = np.array([row.value(scored) for row in rows])
    order = [int(i) for i in np.flatnonzero(np.isfinite(values))]
    order.sort(key=lambda i: (bool(rows[i].dropped), -values[i], i))
    if criterion == "cv_1se" and order:
        held = [row.held for row in rows]
        sizes = [0 if row.result is None else row.result.n_parameters for row in rows]
        simplest = within_one_error(held, sizes)
        order = [simplest, *(i for i in order if i != simplest)]
    return order


def why_none(rows: list[Candidate]) -> str:
    """Why candidates have no value: what became of their fits, or why fits have no evidence."""
    reasons = [row.note for row in rows if row.note]
    reasons += [
        str(reason) for row in rows if row.sound and (reason := why_no_probabilities(row.sound))
    ]
    return "; ".join(dict.fromkeys(reasons))


def averaged_over(
    rows: list[Candidate], criterion: str, found: Probabilities | None
) -> AveragedDensity:
    """The density averaged over candidates.

    Shares come from stacking where the criterion is held-out density (Yao et al. 2018), from the
    probabilities of candidates where they have an evidence, and are exp(criterion) for BIC and for
    AIC (Akaike weights).

    Raises
    ------
    UndefinedError
        Where the criterion is about clusters, not about the density.
    """
    prior: Array | None = None
    if record(criterion).folds:
        numbers = [i for i, row in enumerate(rows) if row.held is not None and finite(row.held)]
        held = [rows[i].held for i in numbers]
        densities = np.column_stack([one.density for one in held if one is not None])
        assert held[0] is not None
        shares = stacking(densities, held[0].weights)
        how = "stacking of held-out densities"
    elif found is not None:
        numbers = [int(i) for i in np.flatnonzero(found.values > 0)]
        shares, how = found.values[numbers], f"their probabilities ({found.source})"
        weights = prior_weights(rows, found.prior)
        prior = weights[numbers] / weights.sum()
    elif record(criterion).log_evidence or criterion in WEIGHTS_OF_AKAIKE:
        numbers = [i for i, row in enumerate(rows) if np.isfinite(row.value(criterion))]
        values = np.array([rows[i].value(criterion) for i in numbers])
        shares, how = np.exp(values - logsumexp(values)), f"exp({record(criterion).label})"
    else:
        raise UndefinedError(
            f"{record(criterion).label} is not about the density, and gives no shares to "
            "average with: use criterion='cv', 'bic', 'aic' or a variational estimator"
        )
    return averaged(
        [rows[i].estimator for i in numbers],
        shares,
        [label(rows[i]) for i in numbers],
        how,
        prior,
    )
