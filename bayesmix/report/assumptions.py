"""Assumptions of a search: its priors in words, and what the template says about the rest."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from functools import singledispatch
from inspect import getdoc, isroutine
from typing import Any

import numpy as np

from bayesmix.assess.fit_evidence import OF_DRAWS
from bayesmix.em.result import FitResult
from bayesmix.families.amounts import logged_names
from bayesmix.families.categorical import CategoricalPrior
from bayesmix.families.count_posterior import SizePrior
from bayesmix.families.gaussian.prior import NormalWishart
from bayesmix.families.monotone import Logarithms
from bayesmix.families.product.prior import PartPriors
from bayesmix.families.rates import RatePrior
from bayesmix.families.student_t.posterior import NormalWishartFreedom
from bayesmix.families.successes import SuccessPrior
from bayesmix.families.transformed import TransformedPrior
from bayesmix.report.subject import Subject, capital, listed
from bayesmix.selection.criteria import OF_SOURCE, PLUG_IN

MOST_NUMBERS = 6
WEIGHT_PRIORS = {
    "dirichlet_distribution": "weights ~ Dirichlet({0:g}, ..., {0:g})",
    "dirichlet_process": "weights by stick-breaking, concentration {0:g} (Blei & Jordan 2006)",
    "dirichlet_chain": "first state and rows of transitions ~ Dirichlet({0:g}, ..., {0:g})",
    "gate": "weights by logistic regression on covariates, normal prior of the coefficients",
    "gated_chain": (
        "first state by logistic regression on covariates, normal prior of the coefficients; rows "
        "of transitions ~ Dirichlet"
    ),
    "covariate_chain": (
        "first state and transitions by logistic regression on covariates, normal prior of the "
        "coefficients"
    ),
    "type2_ml": "weights without a prior, by type-II maximum likelihood",
}


def documented(search: Any) -> str:
    """Return what a criterion measures by its docstring, for one that is a function."""
    given = search.criterion
    function = (
        given if callable(given) else {**PLUG_IN, **OF_SOURCE, **OF_DRAWS}.get(search.criterion_)
    )
    written = getdoc(function) if isroutine(function) else None
    return " ".join((written or "").replace("``", "").split())


def weights_prior(subject: Subject) -> str:
    """Describe the prior of the mixing weights."""
    weights = subject.result.inference.weights_prior
    concentration = float(getattr(getattr(weights, "of_row", weights), "concentration", 0.0))
    return capital(WEIGHT_PRIORS.get(weights.name, repr(weights)).format(concentration))


def components_prior(result: FitResult) -> str:
    """Describe the prior of the components, in data units or along the common directions."""
    if result.mixture.frame.rest is None:
        words = prior_in_words(result.prior, result.unframed, result.variational)
        logged = logged_names(result.family, result.columns or range(result.n_features))
        return f"{words} On the log scale: {listed(logged)}." if logged else words
    prior = result.bayesian.parameters_prior
    words = prior_in_words(prior, result.mixture.components, result.variational)
    return f"Along the common directions: {words}"


@singledispatch
def prior_in_words(prior: Any, q: Any, variational: bool) -> str:
    """Describe the prior of a component's parameters in data units; ``q`` is the fit under it."""
    values = [
        f"{one.name.replace('_', ' ')} = {_numbers(value)}"
        for one in (fields(prior) if is_dataclass(prior) else ())
        if isinstance(value := getattr(prior, one.name), int | float | np.ndarray)
    ]
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(prior).__name__).capitalize()
    return f"{name}: {', '.join(values)}." if values else f"{name}."


@prior_in_words.register
def _(prior: SizePrior, q: Any, variational: bool) -> str:
    return (
        "Counts are negative binomial with learned sizes r; their probabilities of success ~ "
        f"Beta(1, 1 + r / m), where m = {_numbers(prior.means)} are the means of the columns."
    )


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
    # Columns on the log scale are named below.
    some = isinstance(prior.function, Logarithms)
    return of_normals if some else f"{capital(prior.function.plural)}: {of_normals}"


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
    times = "" if prior.per_share == 1.0 else f"{prior.per_share:g} "
    mass = f"{times}(L − 1)" if prior.mass is None else f"{prior.mass:g}"
    return (
        f"Probabilities of levels ~ Dirichlet({least}{mass} / L), where L is the number "
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
