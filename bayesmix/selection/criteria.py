"""Criteria of a search, ranking by them, and probabilities of candidates and of K."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from scipy.special import gammaln, logsumexp

from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.core.prior_over_k import beta_negative_binomial, prior_over
from bayesmix.core.random import Purpose, stream
from bayesmix.em.result import DensitySums, FitResult
from bayesmix.errors import UndefinedError, UnsupportedError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.permanents import log_permanent_bounds
from bayesmix.selection import scores
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.scores import HeldOut, Score, ScoreFunction, finite

if TYPE_CHECKING:
    from bayesmix.core.components import Posterior
    from bayesmix.core.priors import FactorisedWeights
    from bayesmix.core.sources import Source

# Draws from q for an expectation, whose standard error is then a tenth of a nat where components
# overlap; fewer where a draw has many values, so that they cost less than a few passes over data.
MOST_DRAWS, FEWEST_DRAWS, MOST_VALUES = 64, 4, 2**18
# Random stream; other numbers belong to other methods of the posterior.
OF_RELABELLINGS = 10


def why_no_probabilities(result: FitResult) -> UnsupportedError | None:
    """Return the error that explains why a fit has no evidence for its K, or None.

    K is compared under one symmetric Dirichlet prior with α0 >= 1, without pruning. Otherwise
    components stay empty, and a fit measures the number of occupied components.
    """
    if not result.variational:
        return UndefinedError(
            "maximum likelihood and maximum a posteriori fits have no log evidence: use "
            "bayesmix.select(X), or fit BayesianGaussianMixture"
        )
    weights = getattr(result.inference, "weights", None)
    weights = getattr(weights, "of_row", weights)  # of a Markov chain
    if not isinstance(weights, DirichletPrior):
        return UndefinedError(
            "stick-breaking and type-II weights leave components empty, so P(K) is undefined: use "
            "the number of occupied components (n_components_ of a pruned fit), or use "
            "weight_concentration_prior_type='dirichlet_distribution'"
        )
    if weights.concentration < 1.0:
        return UndefinedError(
            f"weight_concentration_prior={weights.concentration:g} is below 1 and leaves "
            "components empty: use the number of occupied components, or a value of at least 1"
        )
    if result.n_components != result.requested_components:
        return UndefinedError(
            "pruning changes the number of components of the prior: use prune=False"
        )
    return None


def log_relabellings(result: FitResult) -> float:
    """Return -E_q log[(1/K!) Σ_σ q(σθ) / q(θ)] over relabellings σ, by draws from q.

    It is log K! where components have nothing in common, and 0 where all are equal. Added to the
    bound it is the bound of q averaged over relabellings, which does not exceed the log evidence.
    Components with known labels are not relabelled and count in full, as which component has which
    name is arbitrary: a single label does not change P(K). States of a hidden Markov model are
    told apart by their densities alone, which gives a lower value.
    NaN for pruned, sparse (α0 < 1), stick-breaking or type-II weights.
    """
    if why_no_probabilities(result) is not None:
        return math.nan
    K, mixture = result.n_components, result.posterior
    weights = None if result.side.ordered else cast("FactorisedWeights", mixture.weights)
    free = np.flatnonzero(~result.side.named(K))
    return relabellings_of(mixture.components, weights, free, K, result.n_parameters)


def relabellings_of(
    components: Posterior,
    weights: FactorisedWeights | None,
    free: Integers,
    n_components: int,
    n_parameters: int,
) -> float:
    """Return ``log_relabellings`` of q(θ) and q(π), None for states; ``free`` have no labels."""
    of_free, of_all = gammaln(len(free) + 1), gammaln(n_components + 1)
    if len(free) < 2:
        return float(of_all - of_free)
    n_values = max(n_parameters, n_components**2)
    n_draws = min(MOST_DRAWS, max(FEWEST_DRAWS, MOST_VALUES // n_values))
    generator = stream(0, Purpose.DRAW, OF_RELABELLINGS)
    _, pairs = components.log_factors(components.draws(n_draws, generator))
    if weights is not None:
        pairs = pairs + weights.log_factors(weights.draws(n_draws, generator))
    pairs = pairs[:, free[:, None], free]
    ratios = log_permanent_bounds(pairs) - np.trace(pairs, axis1=1, axis2=2)
    return float(of_all - of_free + max(0.0, of_free - ratios.mean()))  # no divergence is negative


def design_bic(result: FitResult, source: Source) -> float:
    """Return BIC for survey weights: that of n over the design effect (Lumley & Scott 2015).

    The effective number of samples is (Σ w)² / Σ w² (Kish 1965), which ignores clusters and strata.
    """
    weights = source.in_memory().rows.weights_or_ones
    effective = float(weights.sum() ** 2 / (weights @ weights))
    sums = result.plug_in_sums
    log_likelihood = sums.log_likelihood * effective / sums.n
    return log_likelihood - 0.5 * result.n_parameters * math.log(effective)


COMPONENTS = "the number of {}s"
CLUSTERS = "the number of well-separated clusters"
PREDICTION = "predictive accuracy"


@dataclass(frozen=True)
class Criterion:
    """Name, label, functions and, where the label is long, ``short`` label of a criterion.

    ``of_fit`` computes it from density sums and number of parameters, ``of_source`` from the fit
    and the data, both in nats, greater is better. Information criteria (those with one of them) are
    published on the scale of -2 log likelihood, smaller is better. ``posterior``: variational fits
    only. ``log_evidence``: differences in nats are log Bayes factors. ``others``: listed under
    "Other criteria".
    """

    name: str
    label: str
    question: str
    of_fit: Callable[[DensitySums, int], float] | None = None
    of_source: ScoreFunction | None = None
    posterior: bool = False
    folds: bool = False
    log_evidence: bool = False
    others: bool = False
    short: str = ""

    @property
    def column(self) -> str:
        """Column of ``results_`` with its values; both cross-validation rules use the same one."""
        return "cv" if self.folds else self.name

    @property
    def information(self) -> bool:
        """Whether it is an information criterion, of the fit or also of the weights."""
        return self.of_fit is not None or self.of_source is not None

    @property
    def factor(self) -> float:
        """Published value per nat: -2 for AIC, BIC and ICL, 1 for others."""
        return 1.0 if not self.information else -2.0

    @property
    def unit(self) -> str:
        """Unit of published differences, with a space before it."""
        return " nats" if not self.information else ""

    @property
    def distance(self) -> str:
        """Name of the difference from the best candidate: "BIC above the best"."""
        name = self.short or self.label
        return f"{name} above the best" if self.information else f"{name}, nats below the best"


# The criterion of ``select``, and its name before 0.3.0.
RULE, RULE_BEFORE = "elbo_prior", "evidence_folds"
RECORDS = {
    criterion.name: criterion
    for criterion in (
        Criterion(
            RULE,
            "ELBO + log K! + log P(K)",
            COMPONENTS,
            posterior=True,
            log_evidence=True,
        ),
        Criterion("bic", "BIC", COMPONENTS, scores.bic, log_evidence=True, others=True),
        Criterion("sabic", "sample-size adjusted BIC", COMPONENTS, scores.sabic, short="SABIC"),
        Criterion("hqc", "Hannan-Quinn criterion", COMPONENTS, scores.hqc, short="HQC"),
        Criterion("icl", "ICL", CLUSTERS, scores.icl, others=True),
        Criterion("icl_soft", "soft ICL", CLUSTERS, scores.icl_soft),
        Criterion("aic", "AIC", PREDICTION, scores.aic, others=True),
        Criterion("aicc", "AICc", PREDICTION, scores.aicc),
        Criterion("elbo", "ELBO", COMPONENTS, posterior=True, log_evidence=True),
        Criterion("elbo_log_k", "ELBO + log K!", COMPONENTS, posterior=True, log_evidence=True),
        Criterion(
            "evidence",
            "importance-sampled log evidence",
            COMPONENTS,
            posterior=True,
            log_evidence=True,
            others=True,
            short="evidence",
        ),
        Criterion(
            "loo",
            "leave-one-out log density",
            PREDICTION,
            posterior=True,
            others=True,
            short="LOO",
        ),
        Criterion("design_bic", "design-adjusted BIC", COMPONENTS, of_source=design_bic),
        Criterion(
            "cv", "cross-validated log density", PREDICTION, folds=True, others=True, short="CV"
        ),
        Criterion(
            "cv_1se",
            "cross-validated log density, one-standard-error rule",
            PREDICTION,
            folds=True,
            short="CV (one-standard-error rule)",
        ),
    )
}

NAMES = ("auto", RULE_BEFORE, *RECORDS)
PLUG_IN = {name: each.of_fit for name, each in RECORDS.items() if each.of_fit is not None}
OF_SOURCE = {name: each.of_source for name, each in RECORDS.items() if each.of_source is not None}
POSTERIOR = ("auto", RULE_BEFORE, *(name for name, each in RECORDS.items() if each.posterior))

# The criterion of all candidates of large data on a sample of it, in nats, greater is better.
ON_SAMPLE = "on_sample"
ROUNDING_OF_VALUES = 1e-11  # relative; criteria are sums over observations


def record(name: str) -> Criterion:
    """Return the record of a criterion; a user-defined function has only a name."""
    if name == ON_SAMPLE:
        return Criterion(ON_SAMPLE, "the criterion on a sample", COMPONENTS)
    return RECORDS.get(name) or Criterion(name, name, "user-defined")


def within_one_error(held: list[HeldOut | None], n_parameters: list[int]) -> int:
    """Return the candidate with fewest parameters within one standard error of the best.

    The standard error is that of the paired difference (Breiman et al. 1984, with pairs). ``held``
    is None for candidates without a value; at least one has a value.
    """
    best = max(
        (index for index, value in enumerate(held) if value is not None and finite(value)),
        key=lambda index: (held[index].score.value, -index),  # type: ignore[union-attr]
    )
    leader = held[best]
    assert leader is not None
    fine = [best]
    for index, value in enumerate(held):
        if value is None or not finite(value) or index == best:
            continue
        behind = leader.less(value)
        if behind.value <= behind.standard_error:
            fine.append(index)
    return min(fine, key=lambda index: (n_parameters[index], -held[index].score.value))  # type: ignore[union-attr]


def criterion_with_values(rows: list[Candidate], criterion: str) -> str:
    """Return the criterion, or its substitute if relevant candidates have no value of it.

    Importance sampling may fail for some candidates, and others must not win because of that.
    Cross-validation replaces leave-one-out.
    """
    if criterion == "loo":
        return "cv" if any(diagnostic_failed(row, criterion) for row in rows) else criterion
    return log_evidences(rows)[1] if criterion == "evidence" else criterion


def diagnostic_failed(row: Candidate, criterion: str) -> bool:
    """Whether a sound fit has no value of a criterion because a diagnostic failed."""
    return row.sound is not None and not math.isfinite(row.value(criterion))


def chosen(rows: list[Candidate], criterion: str) -> list[int]:
    """Return indices of candidates with a value: the chosen one, then by value.

    Those with equal values, as of one component in two structures, are in the order of ``rows``.
    """
    scored = record(criterion).column
    values = np.array([row.value(scored) for row in rows])
    order = [int(i) for i in np.flatnonzero(np.isfinite(values))]
    order.sort(key=lambda i: (-values[i], i))
    rounding = ROUNDING_OF_VALUES * max((abs(values[i]) for i in order), default=0.0)
    apart = np.diff(-values[order], prepend=-np.inf) > rounding
    order = [i for _, i in sorted(zip(np.cumsum(apart).tolist(), order, strict=True))]
    if criterion == "cv_1se" and order:
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
    if scored.posterior:
        reasons += [
            str(reason) for row in rows if row.sound and (reason := why_no_probabilities(row.sound))
        ]
    kinds = {re.sub(r"\d+", "", reason): reason for reason in reversed(reasons)}
    text = "; ".join(reversed(kinds.values())) or "it is not finite for any fit"
    if len(kinds) == 1 and text.startswith("failed: "):
        text, none = text.removeprefix("failed: "), "no candidate could be fitted"
    return f"{none}: {text}"


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


def posterior_of(rows: list[Candidate], prior: dict[int, float]) -> Probabilities | None:
    """Return probabilities of candidates; None if they have no evidence."""
    try:
        return probabilities(rows, prior)
    except UndefinedError:
        return None


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
