"""The classes of a fit as papers describe them: sizes, profiles, covariates and outcomes.

Standard errors of profiles: ``parameter_table``. Covariates: odds ratios of all pairs of classes.
Outcomes: three-step estimates with Wald tests that all classes, and pairs of them, are equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bayesmix.allocation.gate import Gate
from bayesmix.allocation.gated_chain import CovariateChain, GatedChain
from bayesmix.allocation.timed_covariate_chain import TimedCovariateChain
from bayesmix.assess.fit_evidence import fitted_mixture
from bayesmix.assess.group_statistics import mean_and_variance, share_of
from bayesmix.core import validation
from bayesmix.core.nouns import ordered_index, part_index, part_name
from bayesmix.em.display import sample_in_words
from bayesmix.errors import BayesmixError, BayesmixWarning, InvalidInputError, warn
from bayesmix.families.categorical import Categorical
from bayesmix.families.successes import Bernoulli
from bayesmix.latent_class_analysis.class_tests import entropy_of, mean_posteriors
from bayesmix.latent_class_analysis.distal import distal, refuse_all, unusable_outcomes, wald_test
from bayesmix.latent_class_analysis.latent_classes import bivariate_residuals
from bayesmix.latent_class_analysis.profile_tables import PROFILED, ClassProfiles
from bayesmix.posterior.bands import checked_level
from bayesmix.posterior.gate_errors import wald_errors
from bayesmix.posterior.parameter_errors import KINDS, parameter_index, scores_of, table_of_scores
from bayesmix.posterior.survey_design import SurveyDesign
from bayesmix.selection.summary_text import phrase
from bayesmix.sequences.transition_errors import (
    shares_of_states,
    sizes_by_wave,
    transitions_by_wave,
)
from bayesmix.sources.survey_weights import are_sampling, type_of, weighted

# One of the parts of a survey.
SINGULAR = {"clusters": "cluster", "strata": "stratum"}
# Values of a Wald test.
TEST = ["chi_squared", "df", "df_denominator", "f", "p"]


def class_profiles(
    model: Any,
    X: Any,
    outcomes: Any = None,
    *,
    standard_errors: str | None = None,
    reference: int = 1,
    correction: str | None = "ML",
    covariates: Any = None,
    sample_weight: Any = None,
    weight_type: str | None = None,
    clusters: Any = None,
    strata: Any = None,
    level: float = 0.95,
    n_draws: int = 100,
    random_state: Any = 0,
) -> ClassProfiles:
    """Return sizes and profiles of classes, effects of covariates, and outcomes, with errors.

    Parameters
    ----------
    model : fitted estimator or search
        By maximum likelihood: latent profiles, latent classes, counts or mixed columns.
    X : array or frame (n, D)
        The data of the fit.
    outcomes : mapping, frame or series, optional
        Distal outcomes by name, with a value for each sample (missing where unknown). Those that
        cannot be computed, such as constants, are left out with a warning; ``left_out`` says why.
    standard_errors : {"information", "sandwich", "bootstrap"}, optional
        As in ``parameter_table``. None: "sandwich" for surveys (sampling weights, clusters or
        strata), else "information".
    reference : int, default=1
        Reference class of ``covariates``, from 1; ``contrasts`` has all pairs.
    correction : {"ML", "BCH"} or None, default="ML"
        Correction for classification errors, as in ``distal``.
    covariates : array or frame, optional
        Covariates of the fit, if there are any and outcomes are given.
    sample_weight : array (n,), optional
        Sample weights of the fit; of sequences one for each sequence or sample.
    weight_type : {None, "sampling", "frequency"}, optional
        As in ``enumerate_classes``.
    clusters, strata : array (n,), optional
        Design of a survey; of sequences one for each sequence or sample.
    level : float, default=0.95
    n_draws : int, default=100
        Refits for the errors of outcomes, as in ``distal``.
    random_state : default=0

    Returns
    -------
    ClassProfiles

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_iris()
    >>> m = bm.GaussianMixture(2, random_state=0).fit(X)
    >>> print(bm.class_profiles(m, X).to_apa("classification").to_markdown().splitlines()[6])
    | Profile 1 | 100 | 1.00 | .00 |
    """
    estimator, X = fitted_mixture(model, X)
    level = checked_level(level)
    result = estimator.result_
    if result.columns and set(result.columns) < set(getattr(X, "columns", ())):
        X = X[list(result.columns)]  # an enumeration leaves out columns such as identifiers
    K, n = result.n_components, result.total_weight
    reference = validation.integer("reference", reference, 1)
    if reference > K:
        raise InvalidInputError(f"reference must be a class from 1 to {K}, got {reference}")
    outcomes = outcomes.to_frame() if isinstance(outcomes, pd.Series) else outcomes
    outcomes = {} if outcomes is None else dict(outcomes)
    unusable = unusable_outcomes(outcomes, np.shape(X)[0])
    parts = {"clusters": clusters, "strata": strata}
    sets = {name: pd.unique(np.asarray(p)).size for name, p in parts.items() if p is not None}
    design = [f"{size} {name if size > 1 else SINGULAR[name]}" for name, size in sets.items()]
    surveyed = bool(design)
    if sample_weight is not None:
        weight_type = weight_type or ("sampling" if surveyed else type_of(sample_weight, X, n))
        if weight_type is not None:
            sample_weight = weighted(X, sample_weight, weight_type)[1]
        if are_sampling(np.asarray(sample_weight), weight_type):
            surveyed, design = True, ["sampling weights", *design]
    if standard_errors is None:
        standard_errors = "sandwich" if surveyed else "information"
    options = {"strata": strata, "sample_weight": sample_weight, "level": level}
    options |= {"n_draws": n_draws, "random_state": random_state}
    scores = scores_of(estimator, X, sample_weight)
    validation.one_of("standard_errors", standard_errors, KINDS)
    parameters = table_of_scores(
        scores, standard_errors, clusters, strata, level, n_draws, random_state
    )
    units = {name: scores.by_unit(name, part) for name, part in parts.items()}
    survey = SurveyDesign.of(len(scores.weights), **units)
    noun = result.class_noun
    index = part_index(noun, K)
    counts = {"n_assigned": result.hard_counts, "assigned": result.hard_counts / n}
    transitions: Any = None
    waves = moves_by_wave = None
    if result.side.ordered:
        kind = "information" if standard_errors == "bootstrap" else standard_errors
        share: Any = pd.DataFrame(np.transpose(shares_of_states(scores, kind)), index)
        if result.side.of_persons:
            waves = sizes_by_wave(scores, kind)
            moves_by_wave = transitions_by_wave(scores, kind)
        pairs = pd.MultiIndex.from_product([index, index], names=["from", "to"])
        transitions = parameters.loc["transition"].set_axis(pairs, axis="index")
    else:
        share = parameters.loc["share"][["estimate", "standard_error"]].set_index(index)
    sizes = share.set_axis(["share", "standard_error"], axis="columns").assign(**counts)
    tables, tests = {}, []
    options |= {"covariates": covariates, "clusters": clusters}
    options["weight_type"] = None if sample_weight is None else weight_type
    for name, outcome in outcomes.items():
        if str(name) in unusable:
            continue
        try:
            table = distal(estimator, X, outcome, correction, **options)
        except BayesmixError as problem:
            unusable[str(name)] = problem
            continue
        table.attrs |= {"level": level, "correction": correction}
        tables[str(name)] = table
        for test, values in table.attrs["tests"].items():
            d = np.nan
            if test != "all" and "sd" in table:
                pair: Any = table.iloc[[int(k) - 1 for k in test.split(" vs ")]]
                spread = np.sqrt((pair["sd"] ** 2).mean())
                if spread > 0.0:
                    d = -pair["mean"].diff().iloc[1] / spread
            tests.append((str(name), test, *values.values(), d))
    refuse_all(unusable, len(outcomes))
    left_out = {name: str(problem) for name, problem in unusable.items()}
    for name, reason in left_out.items():
        warn(f"outcome {name!r} is left out: {reason}", BayesmixWarning)
    columns = ["outcome", "test", *TEST, "d"]
    degrees = np.inf
    if surveyed:
        degrees = len(scores.weights) - 1 if survey is None else survey.degrees_of_freedom
    kind = "information" if standard_errors == "bootstrap" else standard_errors
    contrasts, effects = _odds_ratios(scores, kind, survey, reference, level, degrees)
    residuals = None
    if isinstance(result.family, Categorical | Bernoulli):
        stacked: Any = bivariate_residuals(scores, sizes["share"].to_numpy()).stack()
        residuals = stacked.dropna().sort_values(ascending=False)
    return ClassProfiles(
        sizes,
        _described(parameters, scores),
        *_sample(scores),
        mean_posteriors(scores.responsibilities, scores.row_weights, noun),
        entropy_of(result.plug_in_sums.entropy, n, K),
        contrasts,
        effects,
        tables,
        pd.DataFrame(tests, columns=columns).set_index(["outcome", "test"]),
        standard_errors,
        result.plug_in_sums.n,
        reference,
        residuals,
        phrase(design) if design else "",
        transitions,
        left_out,
        waves,
        sample_in_words(result) if result.side.of_persons else f"{n:,.0f}",
        moves_by_wave,
    )


def _described(parameters: pd.DataFrame, scores: Any) -> pd.DataFrame:
    """Return profiles in the order of the columns, with deviations within classes and z values."""
    profiles = parameters[parameters.index.get_level_values("parameter").isin(PROFILED)]
    names = pd.Index(scores.result.columns or range(scores.result.n_features))
    columns = names.get_indexer(profiles.index.get_level_values("column"))
    order = np.argsort(columns, kind="stable")
    profiles, columns = profiles.iloc[order], columns[order]
    values = np.ma.masked_invalid(np.asarray(scores.source.rows.values, dtype=np.float64))
    means = np.ma.average(values, axis=0, weights=scores.row_weights)
    spread = np.sqrt(np.ma.average((values - means) ** 2, axis=0, weights=scores.row_weights))
    of_means = profiles.index.get_level_values("parameter") == "mean"
    divisor = np.where(of_means, np.ma.filled(spread, np.nan)[columns], np.nan)
    divisor[divisor == 0.0] = np.nan
    keys = pd.MultiIndex.from_tuples([("variance", *key[1:]) for key in profiles.index])
    variances = parameters[["estimate", "standard_error"]].reindex(keys).to_numpy()
    sd = np.sqrt(variances[:, 0])
    return profiles.assign(
        sd=sd,
        sd_error=0.5 * variances[:, 1] / np.where(sd > 0.0, sd, np.nan),
        z=(profiles["estimate"] - np.ma.filled(means, np.nan)[columns]) / divisor,
        z_error=profiles["standard_error"] / divisor,
    )


def _sample(scores: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return descriptive statistics of the columns, and correlations of those with numbers."""
    result, numbers = scores.result, []
    values = pd.DataFrame(np.asarray(scores.source.rows.values, dtype=np.float64))
    values.columns = pd.Index(result.columns or range(values.shape[1]))
    weights, rows = pd.Series(scores.row_weights), {}
    parameters = [own for own in scores.parameters if own.parameter in PROFILED]
    for own in sorted(parameters, key=lambda own: own.column):
        _, column, level, _ = parameter_index([own], result)[0]
        seen = values[column].notna()
        x, w = values[column][seen].to_numpy(), weights[seen].to_numpy()
        row = {"n": w.sum(), "missing": weights.sum() - w.sum()}
        if own.level is not None:
            row["share"] = share_of(x, w, own.level)
        else:
            numbers.append(column)
            row["mean"], variance = mean_and_variance(x, w)
            row["sd"] = np.sqrt(variance)
        rows[column, level] = row
    index = pd.MultiIndex.from_tuples(rows, names=["column", "level"])
    table = pd.DataFrame(
        list(rows.values()), index, columns=["n", "missing", "mean", "sd", "share"]
    )
    correlations = pd.DataFrame(np.eye(len(numbers)), numbers, numbers)
    for first, second in combinations(numbers, 2):
        both, r = values[[first, second]].dropna(), np.nan
        if len(both) > 1:  # columns of different waves have no row in common
            covariance = np.cov(both.to_numpy().T, aweights=weights[both.index])
            r = float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))
        correlations.loc[first, second] = correlations.loc[second, first] = r
    return table, correlations


def _odds_ratios(
    scores: Any,
    kind: str,
    survey: SurveyDesign | None,
    reference: int,
    level: float,
    degrees: float,
) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    """Return odds ratios of covariates for all pairs of classes, and tests of every term."""
    design = scores.result.side.design
    if design is None:
        return None, None
    rows: list[tuple[Any, ...]] = []
    tests: dict[str, Any] = {}
    half, noun = float(stats.t.isf(0.5 * (1.0 - level), degrees)), scores.result.class_noun
    weights = scores.result.mixture.weights
    for gate, place, where in _gates(weights):
        own_rows, own_tests = _of_gate(scores, gate, place, kind, survey, reference, half, degrees)
        rows += [(k, j, term + where, *values) for k, j, term, *values in own_rows]
        tests |= {term + where: test for term, test in own_tests.items()}
    if isinstance(weights, TimedCovariateChain) and weights.log_rates.shape[2] > 1:
        own_rows, own_tests = _of_rates(scores, weights, kind, half, degrees)
        rows, tests = rows + own_rows, tests | own_tests
    index = ordered_index([row[:3] for row in rows], [noun, "reference", "term"])
    names = ["estimate", "standard_error", "odds_ratio", "lower", "upper", "p"]
    table = pd.DataFrame([row[3:] for row in rows], index, names)
    table.attrs |= {"level": level, "degrees_of_freedom": degrees}
    return table, pd.DataFrame(tests.values(), list(tests), TEST).rename_axis("term")


def _gates(weights: Any) -> Iterator[tuple[Gate, int, str]]:
    """Yield gates with the place of their coefficients among parameters, and of which states."""
    if isinstance(weights, TimedCovariateChain):
        if weights.gate.coefficients.shape[1] > 1:
            yield weights.gate, 0, " (first state)"
        return
    if not isinstance(weights, CovariateChain):
        gate = weights.gate if isinstance(weights, GatedChain) else weights
        yield gate, 0, " (first state)" if isinstance(weights, GatedChain) else ""
        return
    place = 0
    for number, gate in enumerate(weights.gates):
        if gate.coefficients.shape[1] > 1:
            yield gate, place, f" (from state {number})" if number else " (first state)"
        place += gate.free.size


def _of_rates(
    scores: Any, chain: TimedCovariateChain, kind: str, half: float, degrees: float
) -> tuple[list[tuple[Any, ...]], dict[str, Any]]:
    """Return rows of hazard ratios of rates in continuous time, and tests of their terms.

    The reference of a rate is the state that is left.
    """
    design = scores.result.side.design.restricted(chain.places)
    noun = scores.result.class_noun
    terms, pairs = [f"{term} (rate)" for term in design.terms], np.argwhere(chain.allowed)
    back = np.kron(np.eye(len(pairs)), design.back)
    b = back @ chain.log_rates[chain.allowed].ravel()
    own = slice(chain.gate.free.size, chain.gate.free.size + b.size)
    covariance = back @ scores.covariance(kind)[own, own] @ back.T
    errors = wald_errors(scores.information[own, own], back, float(scores.weights.sum()))
    finite = ~np.isnan(errors)
    errors = np.where(finite, np.sqrt(np.maximum(covariance.diagonal(), 0.0)), np.nan)
    p = 2.0 * stats.t.sf(np.abs(b) / errors, degrees)
    limits = (np.where(finite, b, np.nan), b - half * errors, b + half * errors)
    columns = (b, errors, *map(np.exp, limits), p)
    keys = [(part_name(noun, k), part_name(noun, j), term) for j, k in pairs for term in terms]
    tests = {}
    for place, term in enumerate(terms):
        if place:
            each = np.arange(place, b.size, len(terms))
            tests[term] = wald_test(b[each], covariance[np.ix_(each, each)], degrees)
            if not finite[each].all():
                tests[term] |= dict.fromkeys(("chi_squared", "f", "p"), np.nan)
    return [(*key, *values) for key, *values in zip(keys, *columns, strict=True)], tests


def _of_gate(
    scores: Any,
    gate: Gate,
    place: int,
    kind: str,
    survey: SurveyDesign | None,
    reference: int,
    half: float,
    degrees: float,
) -> tuple[list[tuple[Any, ...]], dict[str, Any]]:
    """Return rows of the odds ratios of one gate, and tests of its terms."""
    design = scores.result.side.design.restricted(gate.places)
    K, P = scores.result.n_components, len(design.terms)
    back = np.kron(np.eye(K), design.back)
    coefficients = (back @ gate.coefficients.ravel()).reshape(K, P)
    size = (K - 1) * P
    by_class = back[:, P:].reshape(K, P, size)
    own = slice(place, place + size)
    information, n = scores.information[own, own], float(scores.weights.sum())
    covariance = scores.covariance(kind, survey)[own, own]
    compared = [k for k in range(K) if k != reference - 1]
    pairs = [(k, reference - 1) for k in compared]
    pairs += [(second, first) for first, second in combinations(compared, 2)]
    rows: list[tuple[Any, ...]] = []
    infinite, noun = np.zeros(P, bool), scores.result.class_noun
    for k, j in pairs:
        b, contrast = coefficients[k] - coefficients[j], by_class[k] - by_class[j]
        variances = np.einsum("pa,ab,pb->p", contrast, covariance, contrast)
        # Where classes are separated, coefficients have no finite estimate.
        finite = ~np.isnan(wald_errors(information, contrast, n))
        infinite |= ~finite
        errors = np.where(finite, np.sqrt(np.maximum(variances, 0.0)), np.nan)
        p = 2.0 * stats.t.sf(np.abs(b) / errors, degrees)
        ratio, limits = np.where(finite, b, np.nan), (b - half * errors, b + half * errors)
        columns = (b, errors, *map(np.exp, (ratio, *limits)), p)
        keys = ((part_name(noun, k), part_name(noun, j), term) for term in design.terms)
        rows += [(*key, *values) for key, *values in zip(keys, *columns, strict=True)]
    tests: dict[str, Any] = {}
    # The levels of text are tested together.
    for name, terms in design.variables.items():
        contrast = (by_class[1:, terms] - by_class[0, terms]).reshape((K - 1) * len(terms), size)
        differences = (coefficients[1:, terms] - coefficients[0, terms]).ravel()
        tests[name] = wald_test(differences, contrast @ covariance @ contrast.T, degrees)
        if infinite[terms].any():
            tests[name] |= dict.fromkeys(("chi_squared", "f", "p"), np.nan)
    return rows, tests
