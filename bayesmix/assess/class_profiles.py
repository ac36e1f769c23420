"""The classes of a fit as papers describe them: sizes, profiles, covariates and outcomes.

Standard errors of profiles: ``parameter_table``. Covariates: odds ratios against a reference class.
Outcomes: three-step estimates with Wald tests that all classes, and pairs of them, are equal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bayesmix.assess.apa import ApaTable, bounded, p_text, plain
from bayesmix.assess.class_criteria import entropy_of, mean_posteriors
from bayesmix.assess.distal import outcome_estimates, wald_tests
from bayesmix.assess.fit_evidence import fitted_mixture
from bayesmix.core import validation
from bayesmix.errors import InvalidInputError
from bayesmix.posterior.bands import checked_level
from bayesmix.posterior.parameter_errors import scores_of
from bayesmix.posterior.survey_design import SurveyDesign
from bayesmix.selection.summary_text import phrase

# Parameters that describe what a class answers; variances are in ``parameter_table``.
PROFILED = {"mean": "means", "probability": "item probabilities", "rate": "rates"}


@dataclass(frozen=True, repr=False, eq=False)
class ClassProfiles:
    """Profiles of the classes of a fit; see ``class_profiles``.

    Attributes
    ----------
    sizes : DataFrame
        By class: ``share``, ``standard_error``, ``n_assigned`` and ``assigned`` (its share).
    profiles : DataFrame
        By parameter, column, level and class: ``estimate``, ``standard_error``, ``lower``,
        ``upper``, and ``z``: the estimate in standard deviations from the mean of all samples.
    classification : DataFrame
        Mean posterior probabilities of the columns among samples assigned to a row.
    entropy : float
        Relative entropy; NaN for one class.
    covariates : DataFrame or None
        By class and term: coefficient, ``standard_error``, ``odds_ratio``, its interval and ``p``.
    outcomes : dict of DataFrame
        Three-step estimates of each outcome by class (and level).
    tests : DataFrame
        Wald tests of each outcome: all classes equal, and pairs; ``chi_squared``, ``df``, ``p``.
    standard_errors : str
        Kind of the standard errors of ``profiles``.
    """

    sizes: pd.DataFrame
    profiles: pd.DataFrame
    classification: pd.DataFrame
    entropy: float
    covariates: pd.DataFrame | None
    outcomes: dict[str, pd.DataFrame]
    tests: pd.DataFrame
    standard_errors: str
    n_samples: float
    reference: int

    @property
    def n_classes(self) -> int:
        return len(self.sizes)

    @property
    def overall(self) -> pd.DataFrame:
        """Tests that all classes have equal outcomes, by outcome."""
        every = self.tests.index.get_level_values("test") == "all"
        return self.tests[every].droplevel("test")

    def to_apa(self, part: str = "profiles") -> ApaTable:
        """Return a table in APA style: "profiles", "covariates", "outcomes" or "classification"."""
        tables = {
            "profiles": self._of_profiles,
            "covariates": self._of_covariates,
            "outcomes": self._of_outcomes,
            "classification": self._of_classification,
        }
        return tables[validation.one_of("part", part, tuple(tables))]()

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Plot the profiles with their standard errors; see ``plot_class_profiles``."""
        from bayesmix.plots.profiles import plot_class_profiles

        return plot_class_profiles(self, ax=ax, **options)

    def _of_profiles(self) -> ApaTable:
        heads = [f"Class {k} ({share:.1%})" for k, share in self.sizes["share"].items()]
        rows = []
        for (kind, column, level), own in self.profiles.groupby(
            level=["parameter", "column", "level"], sort=False
        ):
            name = f"{column}: {level}" if level != "" else str(column)
            text = bounded if kind == "probability" else plain
            cells = zip(own["estimate"], own["standard_error"], strict=True)
            rows.append((name, *(f"{text(value)} ({text(error)})" for value, error in cells)))
        shown = {kind for kind, *_ in self.profiles.index}
        plural = phrase([PROFILED[kind] for kind in PROFILED if kind in shown])
        note = (
            f"N = {self.n_samples:,.0f}. Cells are {plural}, with standard errors in parentheses "
            f"({self._kind_in_words})."
        )
        if self.profiles["standard_error"].isna().any():
            note += f" {MISSING_ERROR}"
        title = f"Profiles of the {self.n_classes}-Class Model"
        return ApaTable(title, ("Indicator", *heads), tuple(rows), note)

    @property
    def _kind_in_words(self) -> str:
        return {
            "information": "observed information",
            "sandwich": "robust sandwich estimator",
            "bootstrap": "bootstrap",
        }[self.standard_errors]

    def _of_covariates(self) -> ApaTable:
        if self.covariates is None:
            raise InvalidInputError("covariates were not part of the fit: fit(X, covariates=)")
        level = self.covariates.attrs["level"]
        rows = tuple(
            (
                f"Class {k}: {term}",
                plain(row["estimate"]),
                plain(row["standard_error"]),
                plain(row["odds_ratio"]),
                f"[{plain(row['lower'])}, {plain(row['upper'])}]",
                p_text(row["p"]),
            )
            for (k, term), row in rows_by_key(self.covariates)
        )
        heads = ("Class and predictor", "b", "SE", "OR", f"{level:.0%} CI of OR", "p")
        note = f"Reference: class {self.reference}. OR = odds ratio; CI = confidence interval."
        return ApaTable("Predictors of Class Membership", heads, rows, note)

    def _of_outcomes(self) -> ApaTable:
        if not self.outcomes:
            raise InvalidInputError("no outcomes were given: class_profiles(m, X, outcomes=)")
        heads = ("Outcome", *(f"Class {k}" for k in self.sizes.index), "χ²", "df", "p", "Pairs")
        rows: list[tuple[str, ...]] = []
        for name, table in self.outcomes.items():
            tests = self.tests.loc[name]
            overall: Any = tests.loc["all"]
            pairs = [
                f"{first} ≠ {second}"
                for first, second in combinations(self.sizes.index, 2)
                if tests.loc[f"{first} vs {second}", "p"] < 1.0 - table.attrs["level"]
            ]
            tested = (
                plain(overall["chi_squared"]),
                f"{overall['df']:.0f}",
                p_text(overall["p"]),
                ", ".join(pairs) or "none",
            )
            numeric = "mean" in table
            levels = [None] if numeric else list(table.index.unique("level"))
            for place, level in enumerate(levels):
                own: Any = table if numeric else table.xs(level, level="level")
                text = plain if numeric else bounded
                cells = zip(own.iloc[:, 0], own["standard_error"], strict=True)
                rows.append(
                    (
                        name if numeric else f"{name}: {level}",
                        *(f"{text(value)} ({text(error)})" for value, error in cells),
                        *(tested if place == 0 else ("",) * 4),
                    )
                )
        correction = next(iter(self.outcomes.values())).attrs["correction"]
        sizes = ", ".join(f"{name} {own.attrs['n']:,}" for name, own in self.outcomes.items())
        note = (
            f"Three-step estimates ({correction or 'no'} correction) with standard errors in "
            "parentheses; Wald tests that all classes are equal. Pairs: classes that differ at the "
            f"5% level, not adjusted for their number. Observations with the outcome: {sizes}."
        )
        return ApaTable("Outcomes of the Classes", heads, tuple(rows), note)

    def _of_classification(self) -> ApaTable:
        heads = ("Assigned class", "n", *(f"Class {k}" for k in self.sizes.index))
        rows = tuple(
            (f"Class {k}", f"{self.sizes['n_assigned'][k]:,.0f}", *map(bounded, row))
            for k, row in zip(self.sizes.index, self.classification.to_numpy(), strict=True)
        )
        note = f"Mean posterior probabilities. Relative entropy = {bounded(self.entropy)}."
        return ApaTable("Classification of the Sample", heads, rows, note)

    def summary(self) -> str:
        """Return the sizes of the classes, entropy, and the tests of covariates and outcomes."""
        shares = ", ".join(f"{share:.1%}" for share in self.sizes["share"])
        lines = [f"{self.n_classes} classes: {shares}."]
        if self.n_classes > 1:
            lines.append(f"Relative entropy {self.entropy:.2f}.")
        for name, test in rows_by_key(self.overall):
            statistic = f"χ²({test['df']:.0f}) = {test['chi_squared']:.2f}"
            lines.append(f"{name}: {statistic}, p = {p_text(test['p'])}.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self.to_apa())

    def _repr_html_(self) -> str:
        return self.to_apa().to_html()


MISSING_ERROR = "A dash: at a boundary or not identified."


def class_profiles(
    model: Any,
    X: Any,
    outcomes: Any = None,
    *,
    standard_errors: str = "information",
    reference: int = 1,
    correction: str | None = "ML",
    covariates: Any = None,
    sample_weight: Any = None,
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
    outcomes : mapping or frame, optional
        Distal outcomes by name, with a value for each sample (missing where unknown).
    standard_errors : {"information", "sandwich", "bootstrap"}, default="information"
        As in ``parameter_table``.
    reference : int, default=1
        Reference class of the odds ratios, from 1.
    correction : {"ML", "BCH"} or None, default="ML"
        Correction for classification errors, as in ``distal``.
    covariates : array or frame, optional
        Covariates of the fit, if there are any and outcomes are given.
    sample_weight : array (n,), optional
        Sample weights of the fit.
    clusters, strata : array (n,), optional
        Design of a survey, for ``standard_errors="sandwich"``.
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
    | Class 1 | 100 | 1.00 | .00 |
    """
    estimator, X = fitted_mixture(model, X)
    level = checked_level(level)
    result = estimator.result_
    K, n = result.n_components, result.total_weight
    reference = validation.integer("reference", reference, 1)
    if reference > K:
        raise InvalidInputError(f"reference must be a class from 1 to {K}, got {reference}")
    options = {"clusters": clusters, "strata": strata, "sample_weight": sample_weight}
    parameters = estimator.parameter_table(
        X, standard_errors, level=level, n_draws=n_draws, random_state=random_state, **options
    )
    scores = scores_of(estimator, X, sample_weight)
    survey = SurveyDesign.of(len(scores.weights), clusters, strata)
    share = parameters.xs("share", level="parameter")
    index: Any = pd.RangeIndex(1, K + 1, name="class")
    sizes = pd.DataFrame(
        {
            "share": share["estimate"].to_numpy(),
            "standard_error": share["standard_error"].to_numpy(),
            "n_assigned": result.hard_counts,
            "assigned": result.hard_counts / n,
        },
        index=index,
    )
    profiles = parameters[parameters.index.get_level_values("parameter").isin(PROFILED)]
    names: list[Any] = list(result.columns or range(result.n_features))
    places = [names.index(column) for column in profiles.index.get_level_values("column")]
    profiles = profiles.iloc[np.argsort(places, kind="stable")]
    classification = mean_posteriors(scores.responsibilities, scores.weights)
    tables, tests = {}, []
    for name, outcome in ({} if outcomes is None else dict(outcomes)).items():
        table, means, covariance = outcome_estimates(
            estimator,
            X,
            outcome,
            correction,
            covariates=covariates,
            sample_weight=sample_weight,
            clusters=clusters,
            strata=strata,
            level=level,
            n_draws=n_draws,
            random_state=random_state,
        )
        table.attrs |= {"level": level, "correction": correction}
        tables[str(name)] = table
        tests += [(str(name), *test) for test in wald_tests(means, covariance)]
    columns = ["outcome", "test", "chi_squared", "df", "p"]
    return ClassProfiles(
        sizes,
        _with_z(profiles, scores, result),
        classification,
        entropy_of(result.plug_in_sums.entropy, n, K),
        _odds_ratios(scores, standard_errors, survey, reference, level),
        tables,
        pd.DataFrame(tests, columns=columns).set_index(["outcome", "test"]),
        standard_errors,
        n,
        reference,
    )


def rows_by_key(table: pd.DataFrame) -> list[tuple[Any, dict[Any, Any]]]:
    """Return the rows of a frame with their keys."""
    keys: list[Any] = table.index.tolist()
    return list(zip(keys, table.to_dict("records"), strict=True))


def _with_z(profiles: pd.DataFrame, scores: Any, result: Any) -> pd.DataFrame:
    """Add means in standard deviations of all samples; NaN for probabilities and rates."""
    values, weights = np.asarray(scores.source.rows.values, dtype=np.float64), scores.weights
    known = np.where(np.isnan(values), 0.0, weights[:, None])
    filled = np.nan_to_num(values)
    total = np.maximum(known.sum(axis=0), 1e-300)  # a column without values has no profile
    means = (known * filled).sum(axis=0) / total
    spread = np.sqrt((known * (filled - means) ** 2).sum(axis=0) / total)
    names: list[Any] = list(result.columns or range(result.n_features))
    keys: list[Any] = profiles.index.tolist()
    z = [
        (estimate - means[d]) / spread[d] if kind == "mean" and spread[d] > 0.0 else math.nan
        for (kind, column, *_), estimate in zip(keys, profiles["estimate"], strict=True)
        for d in [names.index(column)]
    ]
    errors = [
        error / spread[names.index(column)] if kind == "mean" else math.nan
        for (kind, column, *_), error in zip(keys, profiles["standard_error"], strict=True)
    ]
    return profiles.assign(z=z, z_error=errors)


def _odds_ratios(
    scores: Any, kind: str, survey: SurveyDesign | None, reference: int, level: float
) -> pd.DataFrame | None:
    """Return coefficients and odds ratios of covariates against a reference class."""
    design = scores.result.side.design
    if design is None:
        return None
    kind = "information" if kind == "bootstrap" else kind
    K, P = scores.n_components, len(design.terms)
    gate: Any = scores.result.mixture.weights
    size = (K - 1) * P
    covariance = np.zeros((K * P, K * P))
    covariance[P:, P:] = scores.covariance(kind, survey)[:size, :size]
    half = float(stats.norm.isf(0.5 * (1.0 - level)))
    rows = []
    for k in (k for k in range(K) if k != reference - 1):
        contrast = np.zeros((P, K * P))
        contrast[:, k * P : (k + 1) * P] = design.back
        contrast[:, (reference - 1) * P : reference * P] = -design.back
        estimates = contrast @ gate.coefficients.ravel()
        errors = np.sqrt((contrast @ covariance @ contrast.T).diagonal())
        for term, b, error in zip(design.terms, estimates, errors, strict=True):
            row = {"class": k + 1, "term": term, "estimate": b, "standard_error": error}
            limits = (math.exp(b + sign * half * error) for sign in (-1.0, 1.0))
            row |= {"odds_ratio": math.exp(b)} | dict(zip(("lower", "upper"), limits, strict=True))
            rows.append(row | {"p": 2.0 * stats.norm.sf(abs(b) / error)})
    table = pd.DataFrame(rows).set_index(["class", "term"])
    table.attrs["level"] = level
    return table
