"""Probabilities of candidates and of K, from their log evidence and a prior over K."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from bayesmix.core.prior_over_k import beta_negative_binomial, prior_over
from bayesmix.numerics.arrays import Array
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.criteria import RULE, why_no_probabilities
from bayesmix.selection.scores import Score

# Candidates further below the best than this are ignored.
NATS_THAT_MATTER = 15.0
SOURCES = {
    "evidence": "importance-sampled log evidence",
    "elbo_log_k": "ELBO + log K!, an approximation of the log evidence",
}


@dataclass(frozen=True)
class Probabilities:
    """Probabilities of candidates (C,), with the prior over K and the source of the evidence."""

    values: Array
    prior: dict[int, float]
    criterion: str

    @property
    def source(self) -> str:
        """Source of the evidence, in words."""
        return SOURCES[self.criterion]


def prior_asked(numbers: list[int], given: Any, falls: bool) -> dict[int, float]:
    """Return the prior over the requested K: as given, or uniform.

    The decreasing prior is beta-negative-binomial, whatever the range.
    """
    if falls and given is None:
        given = beta_negative_binomial
    return prior_over(sorted(set(numbers)), given)


def log_posteriors(rows: Sequence[Candidate], prior: dict[int, float]) -> Array:
    """Return ELBO + log K! + log P(K) of every candidate; minus infinity without a value."""
    n_structures = len({row.structure for row in rows})
    values = np.full(len(rows), -np.inf)
    for i, row in enumerate(rows):
        share = prior.get(row.asked, 0.0) / n_structures
        if row.sound is not None and share > 0.0:
            values[i] = row.value("elbo_log_k") + math.log(share)
    return np.where(np.isfinite(values), values, -np.inf)


def with_log_posteriors(rows: list[Candidate], prior: dict[int, float]) -> list[Candidate]:
    """Return sound candidates with the criterion of ``select``."""
    return [
        row if row.sound is None else replace(row, scores=row.scores | {RULE: Score(value)})
        for row, value in zip(rows, log_posteriors(rows, prior).tolist(), strict=True)
    ]


def probabilities(rows: list[Candidate], prior: dict[int, float]) -> Probabilities:
    """Return probabilities of candidates, proportional to p(X | candidate) p(candidate).

    All requested models share the prior probability of each K equally, whether or not their fits
    succeeded. The importance-sampling estimate is used if all relevant candidates have one,
    otherwise the bound plus log K!.
    Raises ``UnsupportedError`` if a candidate has no evidence for its K.
    """
    for row in rows:
        if row.result is not None and (reason := why_no_probabilities(row.result)):
            raise reason
    values, criterion = log_evidences(rows)
    with np.errstate(divide="ignore"):
        logs = np.where(np.isfinite(values), values, -np.inf) + np.log(prior_weights(rows, prior))
    return Probabilities(np.exp(logs - logsumexp(logs)), prior, criterion)


def prior_weights(rows: list[Candidate], prior: dict[int, float]) -> Array:
    """Return prior weights of candidates; 0 for unsound fits.

    Structures that are the same model for K = 1 share one prior weight.
    """
    structures, alone = {row.structure for row in rows}, sum(row.asked == 1 for row in rows)
    shares = [len(structures) / alone if row.asked == 1 else 1.0 for row in rows]
    sound = [row.sound is not None for row in rows]
    return np.array([prior.get(row.asked, 0.0) for row in rows]) * shares * sound


def log_evidences(rows: list[Candidate]) -> tuple[Array, str]:
    """Return the log evidence of every candidate, or its substitute, and the column's name."""
    bounds = np.array([row.value("elbo_log_k") for row in rows])
    estimates = np.array([row.value("evidence") for row in rows])
    matters = np.isfinite(bounds) & (bounds > np.nanmax(bounds) - NATS_THAT_MATTER)
    if np.isfinite(estimates[matters]).all():
        return np.where(matters, estimates, -np.inf), "evidence"
    return bounds, "elbo_log_k"


def over_k(rows: list[Candidate], probabilities: Probabilities) -> Any:
    """Return P(K | X) as a Series; ``attrs`` has the prior over K and its evidence."""
    totals = dict.fromkeys(sorted(row.asked for row in rows), 0.0)
    for row, share in zip(rows, probabilities.values.tolist(), strict=True):
        totals[row.asked] += share
    series = pd.Series(totals, name="probability").rename_axis("n_components")
    series.attrs = {"prior": probabilities.prior, "evidence": probabilities.source}
    return series
