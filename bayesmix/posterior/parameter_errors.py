"""Standard errors of all parameters of a likelihood fit: information, sandwich, bootstrap.

Free parameters are log odds of the weights (or coefficients of a gate), means, covariances, log
odds of probabilities and log rates. Scores follow from Fisher's identity and the information from
Louis (1982), with derivatives of each component's log density by central differences. Reported
parameters use the delta method. Sandwich: White 1982; clusters and strata: Binder 1983.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats
from scipy.special import softmax

from bayesmix.allocation.gate import shares_of
from bayesmix.core import validation
from bayesmix.core.nouns import ordered_index, part_names
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.parameters import Domain, Reported
from bayesmix.core.random import root_seed
from bayesmix.em.model import side_of
from bayesmix.em.result import FitResult
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError, warn
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.posterior.bands import checked_level
from bayesmix.posterior.bootstrap import RefitTask
from bayesmix.posterior.chain_scores import ChainScores, has_chain_scores
from bayesmix.posterior.component_scores import ComponentScores
from bayesmix.posterior.gate_errors import interval_table
from bayesmix.posterior.subject import rows_of_fit
from bayesmix.posterior.survey_design import SurveyDesign
from bayesmix.posterior.unit_scores import (
    UnitScores,
    parameters_of,
    scores_by_unit,
    slopes_by_differences,
)

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("information", "sandwich", "bootstrap")
# Derivatives of all observations, in half a gigabyte.
MOST_NUMBERS = 2**26


@dataclass(frozen=True, eq=False)
class ParameterScores(ComponentScores):
    """Scores (n, p) and information (p, p) of the free parameters at a fit, in their units."""

    @cached_property
    def design(self) -> Array:
        """Covariates of the weights (n, P); a constant without covariates."""
        side = side_of(self.source)
        return np.ones((self.source.shape[0], 1)) if side.covariates is None else side.covariates

    @cached_property
    def shares(self) -> Array:
        """Weights of the components of each observation (n, K)."""
        n = self.source.shape[0]
        return shares_of(self.point.weights, side_of(self.source).covariates, n)

    @cached_property
    def joint(self) -> Array:
        """Log densities of class and observation (n, K)."""
        with np.errstate(divide="ignore"):
            return self.log_densities(self.components) + np.log(self.shares)

    @cached_property
    def responsibilities(self) -> Array:
        r: Array = softmax(self.joint, axis=1)
        return r

    @property
    def allocation_slopes(self) -> Array:
        return slopes_by_differences(self)

    def _complete(self, k: int) -> tuple[Array, Integers]:
        """Return scores (n, q) of observations known to be of class k, and their places (q,)."""
        of_weights = (np.eye(self.result.n_components)[k] - self.shares)[:, 1:]
        first = (of_weights[:, :, None] * self.design[:, None, :]).reshape(len(of_weights), -1)
        columns = [*range(first.shape[1]), *(places[k] for places in self.places[1])]
        return np.hstack([first, self.gradients[:, :, k].T]), np.array(columns, dtype=int)

    @cached_property
    def scores(self) -> Array:
        """Scores (n, p) of the observed-data log density of each observation."""
        size = len(self.joint), len(self.coordinates), self.result.n_components
        if np.prod(size) > MOST_NUMBERS:
            raise UnsupportedError(
                f"standard errors by derivatives need {np.prod(size):.3g} numbers, too many for "
                "memory: use standard_errors='bootstrap'"
            )
        scores = np.zeros((size[0], self.places[0]))
        for k in range(self.result.n_components):
            gradients, places = self._complete(k)
            scores[:, places] += self.responsibilities[:, k : k + 1] * gradients
        return scores

    @cached_property
    def information(self) -> Array:
        """Minus the Hessian (p, p) of the log likelihood (Louis 1982, eq. 3.2)."""
        places, weights = self.places[1], self.weights
        total: Array = (weights[:, None] * self.scores).T @ self.scores
        for k in range(self.result.n_components):
            gradients, at = self._complete(k)
            counts = weights * self.responsibilities[:, k]
            total[np.ix_(at, at)] -= (counts[:, None] * gradients).T @ gradients
        free = self.shares[:, 1:]
        spread = weights[:, None, None] * free[:, :, None] * (np.eye(free.shape[1]) - free[:, None])
        X = self.design
        of_weights = np.einsum("nkl,np,nq->kplq", spread, X, X, optimize=True)
        products = free.shape[1] * X.shape[1]
        total[:products, :products] += of_weights.reshape(products, products)
        for first, second, curvature in self.curvatures():
            for i, j, value in zip(places[first], places[second], curvature, strict=True):
                total[i, j] -= value
                if first != second:
                    total[j, i] -= value
        return total


def parameter_table(
    estimator: Any,
    X: Any,
    standard_errors: str = "information",
    *,
    sample_weight: Any = None,
    clusters: Any = None,
    strata: Any = None,
    level: float = 0.95,
    n_draws: int = 200,
    random_state: Any = 0,
) -> pd.DataFrame:
    """Return all parameters of a likelihood fit with standard errors and intervals.

    Intervals are computed on log odds of shares and probabilities, and on logs of variances and
    rates; with clusters they use Student's t, with at most clusters minus strata degrees of freedom
    (Satterthwaite's for the sandwich). ``X`` are the data of the fit. Standard errors are NaN where
    a parameter is at its boundary or not identified.
    """
    scores = scores_of(estimator, X, sample_weight, standard_errors)
    return table_of_scores(scores, standard_errors, clusters, strata, level, n_draws, random_state)


def table_of_scores(
    scores: Any,
    standard_errors: str,
    clusters: Any,
    strata: Any,
    level: float,
    n_draws: int = 200,
    random_state: Any = 0,
) -> pd.DataFrame:
    """Return ``parameter_table`` from the scores of a fit."""
    level = checked_level(level)
    if standard_errors == "information" and not (clusters is None and strata is None):
        raise InvalidInputError(
            "clusters and strata need standard_errors='sandwich' or 'bootstrap'"
        )
    parameters, n_units = scores.parameters, len(scores.weights)
    if scores.result.side.ordered:
        clusters, strata = scores.by_unit("clusters", clusters), scores.by_unit("strata", strata)
    if scores.result.side.ordered and standard_errors != "information":
        if n_units < 2:
            raise UnsupportedError(
                f"standard_errors={standard_errors!r} needs two sequences or more, got one: use "
                "standard_errors='information'"
            )
        if standard_errors == "sandwich" and clusters is None:
            clusters = np.arange(n_units)
        weighted = scores.source.weights is not None
        surveyed = weighted or not (clusters is None and strata is None)
        if standard_errors == "bootstrap" and surveyed:
            raise UnsupportedError(
                "the bootstrap of sequences has no weights, clusters or strata: leave them out, or "
                "use standard_errors='sandwich'"
            )
    survey = SurveyDesign.of(n_units, clusters, strata)
    with single_threaded_blas():
        if standard_errors == "bootstrap":
            errors = _bootstrapped(scores, n_draws, random_state, survey)
        else:
            errors = scores.errors(standard_errors, survey)
        degrees: Any = np.inf if survey is None else survey.degrees_of_freedom
        if survey is not None and standard_errors == "sandwich":
            degrees = scores.degrees_of_freedom(survey)
    index = parameter_index(parameters, scores.result)
    estimates = np.concatenate([entry.values for entry in parameters])
    quantile = stats.t.ppf(0.5 + 0.5 * level, degrees)
    domains = [entry.domain for entry in parameters for _ in entry.values]
    return bounded_intervals(index, estimates, errors, quantile, domains)


def bounded_intervals(
    index: Any, estimates: Array, errors: Array, quantile: Any, domains: Sequence[Domain]
) -> pd.DataFrame:
    """Return estimates, errors and intervals, which stay in the domains of the parameters (n,).

    Estimates at the limits of their domains have errors of 0.
    """
    half = quantile * errors
    table = interval_table(index, estimates, errors, half)
    for domain in set(domains):
        own = np.array([each == domain for each in domains])
        limits = domain.interval(estimates[own], half[own])
        table.loc[own, ["lower", "upper"]] = np.column_stack(limits)
    return table


def normal_quantile(level: float) -> float:
    """Return the half width, in standard errors, of intervals of a level."""
    return float(stats.norm.isf(0.5 * (1.0 - level)))


def parameter_index(parameters: list[Reported], result: FitResult) -> pd.MultiIndex:
    """Return parameter, column, level and class, or state, of reported parameters."""
    names: Any = result.columns or range(result.n_features)
    rows: list[tuple[Any, ...]] = []
    for entry in parameters:
        column = "" if entry.column < 0 else names[entry.column]
        text: Any = "" if entry.level is None else entry.level
        if isinstance(text, int):
            text = level_name(result.family, entry.column, text)
        alone = entry.parameter == "noise"
        classes = ["all"] if alone else part_names(result.class_noun, result.n_components)
        rows += [(entry.parameter, column, text, name) for name in classes]
    return ordered_index(rows, ["parameter", "column", "level", result.class_noun])


def scores_of(estimator: Any, X: Any, sample_weight: Any = None, kind: str = "information") -> Any:
    """Return the scores of a fit at its data, or raise for fits without standard errors."""
    result: FitResult = estimator._fitted()
    validation.one_of("standard_errors", kind, KINDS)
    if result.mixture.frame.rest is not None:
        raise UnsupportedError(
            "standard errors are not available in a common subspace, whose directions are "
            "estimated too: refit to resampled observations, or use covariance_type='diag'"
        )
    if kind != "bootstrap" and result.inference.name != "maximum_likelihood":
        raise UnsupportedError(
            "standard errors by derivatives need a maximum likelihood fit, got "
            f"{result.inference.name.replace('_', ' ')}: use standard_errors='bootstrap', or gibbs"
        )
    sequences: Any = {} if result.side.ordered else None
    source: Any = rows_of_fit(
        estimator,
        X,
        sample_weight,
        gaps=True,
        covariates=True,
        sequences=sequences,
        measured=True,
        weighted_sequences=True,
    ).in_memory()
    scores = scores_at(result, source)
    if kind != "bootstrap" and scores.undeclared is not None:
        warn(scores.undeclared, BayesmixWarning)
    return scores


def scores_at(result: FitResult, source: Any) -> Any:
    """Return the scores of a fit at its data, in memory, by the fastest way."""
    if has_chain_scores(result):
        return ChainScores(result, source)
    kind_of: Any = UnitScores if scores_by_unit(result, source) else ParameterScores
    return kind_of(result, source)


def level_name(family: Any, column: int, level: int) -> Any:
    """Return the name of a level of a column; its number where the data had codes."""
    named = None if family.coding is None else family.coding.levels[column]
    return level if named is None else named[level]


def _bootstrapped(
    scores: Any, n_draws: int, random_state: Any, survey: SurveyDesign | None
) -> Array:
    """Return standard deviations of the parameters over refits to random weights."""
    n_draws = validation.integer("n_draws", n_draws, 2)
    task = RefitTask(scores.result, scores.source, root_seed(random_state), survey)
    points = [refit.point for refit in map(task, range(n_draws)) if refit is not None]
    if len(points) < 2:
        raise UnsupportedError(
            f"only {len(points)} of {n_draws} refits had no degenerate component: use another kind "
            "of standard errors, or fewer components"
        )
    side, mass = scores.result.side, scores.mass
    tables = (parameters_of(one, side, mass) for one in points)
    draws = [np.concatenate([entry.values for entry in table]) for table in tables]
    return np.std(np.array(draws), axis=0, ddof=1)
