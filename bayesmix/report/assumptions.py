"""Assumptions of a search: data, criterion, priors, seed, versions."""

from __future__ import annotations

import inspect
from functools import singledispatch
from typing import Any

import numpy as np

from bayesmix.families.categorical import CategoricalPrior
from bayesmix.families.gaussian.prior import NormalWishart
from bayesmix.families.product.prior import PartPriors
from bayesmix.families.rates import RatePrior
from bayesmix.families.student_t.posterior import NormalWishartFreedom
from bayesmix.families.successes import SuccessPrior
from bayesmix.families.transformed import TransformedPrior
from bayesmix.report.markup import Markup, joined, section, tag
from bayesmix.report.subject import Subject, capital, family_title, listed
from bayesmix.selection.criteria import OF_DRAWS, PLUG_IN, record
from bayesmix.selection.summary_text import counted

MOST_NUMBERS = 6
HOW = {
    "maximum_likelihood": "maximum likelihood (EM)",
    "maximum_a_posteriori": "maximum a posteriori (EM)",
    "variational_bayes": "variational Bayes with the exact bound",
}
WEIGHT_PRIORS = {
    "dirichlet_distribution": "weights ~ Dirichlet({0:g}, ..., {0:g})",
    "dirichlet_process": "weights by stick-breaking, concentration {0:g} (Blei & Jordan 2006)",
    "dirichlet_chain": "first state and rows of transitions ~ Dirichlet({0:g}, ..., {0:g})",
    "gate": "weights by logistic regression on covariates, normal prior of the coefficients",
    "gated_chain": (
        "first state by logistic regression on covariates, normal prior of the coefficients; rows "
        "of transitions ~ Dirichlet"
    ),
    "type2_ml": "weights without a prior, by type-II maximum likelihood",
}
# Criteria that are not functions with a docstring.
MEANINGS = {
    "evidence_folds": (
        "Cross-validation compares covariance structures, each at its best K. Structures that are "
        "worse than the best by more than one standard error of the paired difference are "
        "excluded. The log evidence (bound + log K!) and the prior over K choose among the "
        "others. It assumes the prior below, and tends to choose too many {0}s if clusters are "
        "not normal."
    ),
    "elbo": (
        "The exact evidence lower bound of a variational fit, without log K! for relabelled "
        "{0}s. It estimates the number of {0}s that generated the data, and depends on "
        "the prior as the exact evidence does."
    ),
    "elbo_log_k": (
        "The evidence lower bound plus log K! for relabelled {0}s. It estimates the number "
        "of {0}s that generated the data; it is approximate, since modes overlap, and "
        "depends on the prior as the exact evidence does."
    ),
    "cv": (
        "The sum of held-out log densities. It finds the density that predicts new observations "
        "best, and tends to choose too many clusters. Differences of candidates are far more "
        "precise than their values, because they share the folds."
    ),
}
MEANINGS["cv_1se"] = (
    MEANINGS["cv"] + " The one-standard-error rule chooses the fewest parameters within one "
    "standard error of the paired difference to the best."
)


def assumptions(subject: Subject) -> Markup:
    """Return all assumptions as terms and descriptions."""
    table, result = subject.search.folds_, subject.result
    seconds = float(subject.table["seconds"].sum())
    folds = []
    if len(table):
        cv = subject.search.cv
        how = "shuffled by the seed" if isinstance(cv, int) else f"by {type(cv).__name__}"
        n_folds = int(table["fold"].nunique())
        folds.append(("Folds", f"{n_folds}, {how}, the same for every candidate."))
        seconds += float(table["seconds"].sum())
    models = "hidden Markov models" if subject.noun == "state" else "mixtures"
    candidates = (
        f"{counted(len(subject.table), 'candidate')} ({family_title(result.family)} {models}), "
        f"fitted by {HOW[result.inference.name]}. Starts include the fit with fewer "
        f"{subject.noun}s."
    )
    entries = [
        ("Rows", _rows(subject)),
        ("Columns", listed(subject.columns) + _made_by(subject)),
        ("Candidates", candidates),
        (capital(record(subject.search.criterion_).label), meaning(subject.search, subject.noun)),
        *folds,
        *_priors(subject),
        ("Local optima", f"Chosen fit: {result.search_summary}."),
        ("Scale", "Log densities and criteria are totals in nats, and greater is better. BIC and "
                  "AIC are half the usual values, with the opposite sign."),
        ("Seed", f"{result.seed}; the same seed gives the same numbers on any number of "
         "cores."),
        ("Time", f"{seconds:.1f} s in total over all fits."),
        ("Versions", ", ".join(f"{k} {v}" for k, v in result.versions.items())),
    ]  # fmt: skip
    return section(
        "Assumptions",
        tag("dl", joined(joined([tag("dt", term), tag("dd", text)]) for term, text in entries)),
    )


def _rows(subject: Subject) -> str:
    result = subject.result
    text = counted(result.n_rows, "row")
    if result.total_weight != result.n_rows:
        text += (
            f" with weights that sum to {result.total_weight:,g}: weight 2 counts as two rows in "
            "every criterion"
        )
    if subject.noun == "state":
        n_sequences = counted(len(result.side.starts), "sequence")
        text += f" in {n_sequences}, in order of time, assumed to follow a Markov chain of states."
    else:
        text += ", assumed independent and identically distributed."
    if result.n_missing:
        cells = result.n_rows * result.n_features
        text += f" {result.n_missing:,} of {cells:,} values are missing, assumed missing at random."
    return text


def _made_by(subject: Subject) -> str:
    if subject.steps is None:
        n_given = len(subject.columns_given)
        return "." if n_given == len(subject.columns) else f"; selected from {n_given:,} columns."
    names = ", ".join(type(step).__name__ for _, step in subject.steps.steps)
    return f"; output of {names}. Criteria refer to these columns."


def meaning(search: Any, noun: str) -> str:
    """Return what a criterion measures and when it misleads, from its docstring."""
    name, given = search.criterion_, search.criterion
    if name in MEANINGS and not callable(given):
        return MEANINGS[name].format(noun)
    function = given if callable(given) else {**PLUG_IN, **OF_DRAWS}[name]
    written = inspect.getdoc(function) if inspect.isroutine(function) else None
    if not written:
        return "A user-defined function without documentation."
    return " ".join(written.replace("``", "").split())


def _priors(subject: Subject) -> list[tuple[str, str]]:
    result = subject.result
    if result.inference.name == "maximum_likelihood":
        return [("Priors", "None: maximum likelihood.")]
    weights = result.inference.weights_prior
    concentration = float(getattr(getattr(weights, "of_row", weights), "concentration", 0.0))
    of_components = prior_in_words(result.prior, result.unframed, result.variational)
    entries = [
        (f"Prior of {subject.noun}s", of_components),
        ("Prior of weights", capital(WEIGHT_PRIORS[weights.name].format(concentration)) + "."),
    ]
    series = subject.probabilities
    if series is not None:
        prior = series.attrs["prior"]
        pairs = listed([f"{k}: {p:.2g}" for k, p in prior.items()])
        entries.append(("Prior over K", f"{pairs}. P(K | data) uses {series.attrs['evidence']}."))
    if result.variational:
        about = "The posterior factorises into assignments and parameters. Its standard deviations "
        entries.append(("The approximation", about + "are therefore too small."))
    return entries


@singledispatch
def prior_in_words(prior: Any, q: Any, variational: bool) -> str:
    """Describe the prior of a component's parameters in data units; ``q`` is the fit under it."""
    return f"{prior!r}."


@prior_in_words.register
def _(prior: NormalWishart, q: Any, variational: bool) -> str:
    learned = variational and prior.scale.learned
    scale: Any = q.scale if variational else prior.scale
    precision = q.prior_mean_precision if variational else prior.mean_precision
    variances = prior.structure.algebra.spread(scale.mean, 1, len(prior.mean))[0]
    by_rows = " (learned)" if prior.learns_mean_precision and variational else ""
    text = (
        f"μ | Λ ~ N(m0, (β0 Λ)⁻¹) and Λ ~ Wishart(W0, ν0), in the structure of the covariance: m0 "
        f"= {_numbers(prior.mean)}, β0 = {precision:.3g}{by_rows}, "
        f"ν0 = {prior.degrees_of_freedom:g}, diagonal of W0⁻¹ = {_numbers(variances)}"
    )
    return text + (" (mean of the learned scale that components share)." if learned else ".")


@prior_in_words.register
def _(prior: TransformedPrior, q: Any, variational: bool) -> str:
    of_normals = prior_in_words(prior.normals, q.normals, variational)
    return f"{capital(prior.function.plural)}: {of_normals}"


@prior_in_words.register
def _(prior: NormalWishartFreedom, q: Any, variational: bool) -> str:
    values = prior.freedom.values
    freedom = f"each of {_numbers(values)} as probable" if variational else "all as probable"
    if len(values) == 1:
        freedom = f"{values[0]:g}"
    of_normals = prior_in_words(prior.normals, q.normals, variational)
    return f"{of_normals} Degrees of freedom: {freedom}."


@prior_in_words.register
def _(prior: PartPriors, q: Any, variational: bool) -> str:
    parts = zip(prior.layout.labels, prior.parts, q.parts, strict=True)
    return " ".join(
        f"{label}: {prior_in_words(prior, q, variational)}" for label, prior, q in parts
    )


@prior_in_words.register
def _(prior: RatePrior, q: Any, variational: bool) -> str:
    return f"Rates ~ Gamma(shape {prior.shape:g}, rate {_numbers(prior.rate)}), by column."


@prior_in_words.register
def _(prior: CategoricalPrior, q: Any, variational: bool) -> str:
    least = f"{prior.least:g} + " if prior.least else ""
    return (
        f"Probabilities of levels ~ Dirichlet({least}{prior.mass:g} / L), where L is the number "
        "of levels of the column."
    )


@prior_in_words.register
def _(prior: SuccessPrior, q: Any, variational: bool) -> str:
    return f"Probabilities ~ Beta({prior.successes:g}, {prior.failures:g})."


def _numbers(values: Any) -> str:
    flat = np.ravel(np.asarray(values, dtype=np.float64))
    text = ", ".join(f"{value:.4g}" for value in flat[:MOST_NUMBERS]).replace("-", "−")
    if len(flat) == 1:
        return text
    return f"({text}{', ...' if len(flat) > MOST_NUMBERS else ''})"
