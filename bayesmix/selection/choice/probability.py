"""Probabilities over candidates and over K, from what each has for evidence and a prior over K."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import logsumexp

from bayesmix.numerics.arrays import Array
from bayesmix.sampling.gibbs.prior_over_k import beta_negative_binomial, prior_over
from bayesmix.selection.candidates.row import Row
from bayesmix.selection.criteria.evidence_of_k import why_no_probabilities

# Candidates further below the best than this take no part, with or without an estimate.
NATS_THAT_MATTER = 15.0
SOURCES = {
    "evidence": "importance-weighted evidence",
    "elbo_log_k": "bound + log K! (an approximation)",
}


@dataclass(frozen=True)
class Probabilities:
    """Of candidates (C,), with the prior over K behind them and where the evidence is from."""

    values: Array
    prior: dict[int, float]
    criterion: str

    @property
    def falls(self) -> bool:
        """Whether the prior falls with K all the way, as the one that is used for itself does."""
        weights = [self.prior[k] for k in sorted(self.prior)]
        return all(later < earlier for earlier, later in pairwise(weights))

    @property
    def source(self) -> str:
        """Where the evidence is from, in words."""
        return SOURCES[self.criterion]


def prior_asked(numbers: list[int], given: Any, falls: bool) -> dict[int, float]:
    """Over the numbers that were asked for: as given, else the same for each.

    Or one that falls with K: beta-negative-binomial, whatever the range.
    """
    if falls and given is None:
        given = beta_negative_binomial
    return prior_over(sorted(set(numbers)), given)


def probabilities(rows: list[Row], prior: dict[int, float]) -> Probabilities:
    """Of each candidate, from p(X | candidate) p(candidate).

    Every kind that was asked for has the same share of the prior probability of each K, whatever
    became of its fits. Kinds that folds refuted take no part. The importance-weighted evidence is
    used where every candidate that matters has it, else the bound with log K! for relabellings.

    Raises
    ------
    UnsupportedError
        Where a candidate has no evidence for a number of components: maximum likelihood, pruned
        fits, stick-breaking or type-II weights, sparse concentrations.
    """
    for row in rows:
        if row.result is not None and (reason := why_no_probabilities(row.result)):
            raise reason
    values, criterion = evidence_of(rows)
    shares = [
        prior.get(row.asked, 0.0) if row.sound is not None and not row.refuted else 0.0
        for row in rows
    ]
    with np.errstate(divide="ignore"):
        logs = np.where(np.isfinite(values), values, -np.inf) + np.log(shares)
    return Probabilities(np.exp(logs - logsumexp(logs)), prior, criterion)


def evidence_of(rows: list[Row]) -> tuple[Array, str]:
    """Log evidence of every candidate, or what stands for it, and the name of that column."""
    bounds = np.array([row.value("elbo_log_k") for row in rows])
    estimates = np.array([row.value("evidence") for row in rows])
    matters = np.isfinite(bounds) & (bounds > np.nanmax(bounds) - NATS_THAT_MATTER)
    if np.isfinite(estimates[matters]).all():
        return np.where(matters, estimates, -np.inf), "evidence"
    return bounds, "elbo_log_k"


def totals_over_k(rows: list[Row], found: Probabilities) -> dict[int, float]:
    """P(K | X): the probabilities of all candidates with K components together."""
    numbers = sorted({row.asked for row in rows})
    return {
        k: sum(p for row, p in zip(rows, found.values, strict=True) if row.asked == k)
        for k in numbers
    }


def over_k(rows: list[Row], found: Probabilities) -> Any:
    """P(K | X) as a Series; ``attrs`` holds the prior over K and where the evidence is from."""
    import pandas as pd

    series = pd.Series(totals_over_k(rows, found), name="probability").sort_index()
    series = series.rename_axis("n_components")
    series.attrs = {"prior": found.prior, "evidence": found.source}
    return series
