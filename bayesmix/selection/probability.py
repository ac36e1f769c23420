"""Probabilities over candidates and over K, from what each has for evidence and a prior over K.

Where a structure without a posterior wins by BIC, exp(BIC) stands for the evidence, so named.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import logsumexp

from bayesmix.numerics.arrays import Array
from bayesmix.posterior.telescoping import beta_negative_binomial, prior_over
from bayesmix.selection.candidates import Candidate, without_posterior
from bayesmix.selection.criteria import why_no_probabilities

# The evidence is divided by √n over this where it is approximate and its model is not meant to be
# true: differences between wrong models vary with √n over data sets, while their softmax treats
# them as exact (Cai, Campbell & Broderick 2021). Chosen on small data sets of other seeds than it
# is reported on (benchmarks/clusters.py).
ROOTS = 4.0
# Candidates further below the best than this take no part, with or without an estimate.
NATS_THAT_MATTER = 15.0
SOURCES = {
    "evidence": "importance-weighted evidence",
    "elbo_log_k": "bound + log K! (an approximation)",
    "bic": "BIC (an approximation: {structure} has no posterior)",
}


@dataclass(frozen=True)
class Probabilities:
    """Of candidates (C,), with the prior over K behind them and where the evidence is from."""

    values: Array
    prior: dict[int, float]
    criterion: str
    structure: str = ""  # the one for which there is nothing but BIC
    temperature: float = 1.0

    @property
    def falls(self) -> bool:
        """Whether the prior falls with K all the way, as the one that is used for itself does."""
        weights = [self.prior[k] for k in sorted(self.prior)]
        return all(later < earlier for earlier, later in pairwise(weights))

    @property
    def source(self) -> str:
        """Where the evidence is from, in words."""
        source = SOURCES[self.criterion].format(structure=self.structure)
        return source if self.temperature == 1.0 else f"{source} / {self.temperature:.1f}"


def prior_asked(numbers: list[int], given: Any, falls: bool) -> dict[int, float]:
    """Over the numbers that were asked for: as given, else the same for each.

    Or one that falls with K: beta-negative-binomial, whatever the range.
    """
    if falls and given is None:
        given = beta_negative_binomial
    return prior_over(sorted(set(numbers)), given)


def temperature(rows: list[Candidate]) -> float:
    """Return what the evidence is divided by, so that probabilities of K are calibrated: √n / 4.

    A probability of 0.9 is then right nine times in ten where components are not quite normal.
    """
    weight = max((row.result.total_weight for row in rows if row.result is not None), default=0.0)
    return max(1.0, math.sqrt(weight) / ROOTS)


def probabilities(
    rows: list[Candidate], prior: dict[int, float], temperature: float = 1.0
) -> Probabilities:
    """Of each candidate, from p(X | candidate) p(candidate).

    Every model that was asked for has the same share of the prior probability of each K, whatever
    became of its fits. Structures that cross-validation dropped take no part. The
    importance-weighted evidence is used where every candidate that matters has it, else the bound
    with log K! for relabellings.

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
    found = _normalised(rows, prior, values / temperature)
    return Probabilities(found, prior, criterion, temperature=temperature)


def by_bic(rows: list[Candidate], prior: dict[int, float]) -> Probabilities | None:
    """What stands for them where the first candidate, chosen by BIC, is of no posterior; or None.

    Schwarz's approximation to the evidence.
    """
    names = [key for key in rows[0].parameters if key.split("__")[-1] == "covariance_type"]
    structure = rows[0].parameters[names[0]] if names else None
    if structure is None or not without_posterior(structure):
        return None
    values = np.array([row.value("bic") for row in rows])
    return Probabilities(_normalised(rows, prior, values), prior, "bic", str(structure))


def prior_weights(rows: list[Candidate], prior: dict[int, float]) -> Array:
    """Of candidates before the rows: 0 where a fit is not sound, or its structure was dropped.

    With one component some structures are one model, which then has the prior of them all.
    """
    structures, alone = {row.structure for row in rows}, sum(row.asked == 1 for row in rows)
    of_one = len(structures) / max(alone, 1)
    weights = [
        prior.get(row.asked, 0.0) * (of_one if row.asked == 1 else 1.0)
        if row.sound is not None and not row.dropped
        else 0.0
        for row in rows
    ]
    return np.array(weights)


def _normalised(rows: list[Candidate], prior: dict[int, float], values: Array) -> Array:
    """Probabilities of candidates from their log evidence."""
    with np.errstate(divide="ignore"):
        logs = np.where(np.isfinite(values), values, -np.inf) + np.log(prior_weights(rows, prior))
    probabilities: Array = np.exp(logs - logsumexp(logs))
    return probabilities


def evidence_of(rows: list[Candidate]) -> tuple[Array, str]:
    """Log evidence of every candidate, or what stands for it, and the name of that column."""
    bounds = np.array([row.value("elbo_log_k") for row in rows])
    estimates = np.array([row.value("evidence") for row in rows])
    matters = np.isfinite(bounds) & (bounds > np.nanmax(bounds) - NATS_THAT_MATTER)
    if np.isfinite(estimates[matters]).all():
        return np.where(matters, estimates, -np.inf), "evidence"
    return bounds, "elbo_log_k"


def totals_over_k(rows: list[Candidate], found: Probabilities) -> dict[int, float]:
    """P(K | X): the probabilities of all candidates with K components together."""
    numbers = sorted({row.asked for row in rows})
    return {
        k: sum(p for row, p in zip(rows, found.values, strict=True) if row.asked == k)
        for k in numbers
    }


def over_k(rows: list[Candidate], found: Probabilities) -> Any:
    """P(K | X) as a Series; ``attrs`` holds the prior over K and where the evidence is from."""
    import pandas as pd

    series = pd.Series(totals_over_k(rows, found), name="probability").sort_index()
    series = series.rename_axis("n_components")
    series.attrs = {"prior": found.prior, "evidence": found.source}
    return series
