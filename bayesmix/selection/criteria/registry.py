"""Every criterion in one record: its name, its label, the question it answers, and its function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bayesmix.selection.criteria import scores
from bayesmix.selection.criteria.evidence_of_k import evidence, leave_one_out_score
from bayesmix.selection.criteria.scores import ScoreFunction
from bayesmix.workflow.result import DensitySums

COMPONENTS = "how many components generated the data"
CLUSTERS = "how many well-separated clusters there are"
PREDICTION = "which density predicts new observations best"


@dataclass(frozen=True)
class Criterion:
    """What is known of a criterion; all are in nats, and greater is better.

    ``of_fit`` computes it from the density sums and the number of parameters of any fit,
    ``of_draws`` from posterior draws, when it is asked for. ``posterior``: variational fits only.
    ``log_evidence``: differences are log Bayes factors. ``others``: named under "Other criteria".
    """

    name: str
    label: str
    question: str
    of_fit: Callable[[DensitySums, int], float] | None = None
    of_draws: ScoreFunction | None = None
    posterior: bool = False
    folds: bool = False
    log_evidence: bool = False
    others: bool = False

    @property
    def column(self) -> str:
        """The column of ``results_`` with its values: both rules by folds read the same one."""
        return "cv" if self.folds else self.name


RECORDS = {
    each.name: each
    for each in (
        Criterion("evidence_folds", "log evidence", COMPONENTS, posterior=True, log_evidence=True),
        Criterion("bic", "BIC", COMPONENTS, scores.bic, log_evidence=True, others=True),
        Criterion("sabic", "sample-size adjusted BIC", COMPONENTS, scores.sabic),
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
            of_draws=evidence,
            posterior=True,
            log_evidence=True,
            others=True,
        ),
        Criterion(
            "loo",
            "leave-one-out log density",
            PREDICTION,
            of_draws=leave_one_out_score,
            posterior=True,
            others=True,
        ),
        Criterion("cv", "cross-validated log density", PREDICTION, folds=True, others=True),
        Criterion(
            "cv_1se",
            "cross-validated log density, one-standard-error rule",
            PREDICTION,
            folds=True,
        ),
    )
}

# The default rule, named evidence_folds, has "auto" as a second name.
NAMES = ("auto", *RECORDS)
PLUG_IN = {name: each.of_fit for name, each in RECORDS.items() if each.of_fit is not None}
OF_DRAWS = {name: each.of_draws for name, each in RECORDS.items() if each.of_draws is not None}
POSTERIOR = ("auto", *(name for name, each in RECORDS.items() if each.posterior))


def record(name: str) -> Criterion:
    """The record of a criterion; a user's own function has its name alone."""
    return RECORDS.get(name) or Criterion(name, name, "a question of its own")
