"""Predictors of classes, and regressions within classes, corrected for errors of assignment.

The third step of three: multinomial regression of the class on predictors (R3STEP in Mplus:
Vermunt 2010; Asparouhov & Muthén 2014), and of an outcome on predictors in each class, where
slopes may differ (moderation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.linalg import block_diag

from bayesmix.allocation.designs import Standardised, columns_of, without_marks
from bayesmix.core import validation
from bayesmix.core.nouns import ordered_index, part_names
from bayesmix.errors import InvalidInputError
from bayesmix.latent_class_analysis.assignment import CORRECTIONS, AssignedClasses, Estimates, Tests
from bayesmix.latent_class_analysis.distal import (
    ObservedOutcome,
    observed_outcome,
    values_of_outcome,
    wald_test,
)
from bayesmix.latent_class_analysis.third_step import (
    CategoryPart,
    ClassPart,
    LeastSquaresPart,
    NormalPart,
    Regression,
    Sum,
    Tied,
)
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.posterior.bands import checked_level
from bayesmix.posterior.survey_design import SurveyDesign


@dataclass(frozen=True)
class Predictors:
    """Predictors of some observations: a design (m, P) for those that have all values.

    ``variables`` has the places of the terms of each column: the levels of text belong together.
    """

    design: Standardised
    values: Array
    present: Booleans
    variables: dict[str, list[int]]

    @classmethod
    def of(cls, given: Any, rows: Integers, wanted: Booleans) -> Predictors:
        """Return the predictors of ``rows`` that are ``wanted`` (m,) and have no missing values."""
        present = ~pd.isna(given.iloc[rows]).any(axis=1).to_numpy() & wanted
        if not present.any():
            raise InvalidInputError(
                "predictors have a missing value in every sample that counts: leave such columns "
                "out, or impute them"
            )
        own = given.iloc[rows][present]
        table, names = columns_of("predictors", own, len(own))[:2]
        design = Standardised.of("predictors", table, names)
        variables, place = {"intercept": [0]}, 1
        for name in map(str, own.columns):
            # Text has an indicator of each level but one.
            size = 1 if names[place - 1] == name else own[name].astype(str).nunique() - 1
            variables[name] = list(range(place, place + size))
            place += size
        return cls(design, design.apply(table), present, variables)

    @property
    def terms(self) -> list[str]:
        return self.design.terms


def class_predictors(
    model: Any,
    X: Any,
    predictors: Any,
    correction: str | None = "ML",
    *,
    covariates: Any = None,
    waves: Any = None,
    sample_weight: Any = None,
    weight_type: str | None = None,
    clusters: Any = None,
    strata: Any = None,
    level: float = 0.95,
    n_draws: int = 100,
    random_state: Any = 0,
) -> pd.DataFrame:
    """Return a multinomial regression of the class on predictors (three-step method, R3STEP).

    The classes stay as they were fitted; errors of assignment are corrected.

    Parameters
    ----------
    model : fitted estimator or search
        The classes.
    X : array or frame (n, D)
        Data of the fit.
    predictors : array, frame or series (n, P)
        Text becomes indicators of its levels. Observations with a missing predictor are left out.
    correction : {"ML", "BCH"} or None, default="ML"
        "ML" maximises the likelihood with known classification errors, "BCH" weights observations
        by their inverse, None regresses the most probable class.
    covariates, sample_weight, weight_type, clusters, strata, level, random_state
        As in ``distal``.
    waves : array (n,), optional
        Wave of each sample of a hidden Markov model: states are regressed wave by wave, and are
        assigned by the answers of the wave alone.
    n_draws : int, default=100
        Number of refits for standard errors that include the uncertainty of the classes. 0: those
        of the sandwich for given classes, as Mplus has them.

    Returns
    -------
    DataFrame
        ``estimate`` (log odds), ``standard_error``, ``odds_ratio`` with its limits ``lower`` and
        ``upper``, and ``p``, by class, reference class and term (by wave first, with ``waves``).
        ``attrs["tests"]`` has Wald tests that a predictor has no effect, ``attrs["n"]`` the number
        of observations used, each by wave where there are some.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> age = rng.normal(size=1000)
    >>> reads = rng.random(1000) < 1 / (1 + np.exp(1 - age))
    >>> X = (rng.random((1000, 4)) < np.where(reads[:, None], 0.8, 0.3)).astype(float)
    >>> m = bm.Mixture(2, family=bm.Bernoulli(), random_state=0).fit(X)
    >>> bm.class_predictors(m, X, age, None, n_draws=0)["estimate"].round(2).tolist()
    [-0.83, 0.71]
    >>> bm.class_predictors(m, X, age, n_draws=0)["estimate"].round(2).tolist()
    [-0.73, 1.16]
    """
    validation.one_of("correction", correction, CORRECTIONS)
    level = checked_level(level)
    classes = AssignedClasses.of(
        model, X, covariates, sample_weight, weight_type, clusters, strata, waves, n_draws,
        random_state,
    )  # fmt: skip
    if classes.shares.shape[1] == 1:
        raise InvalidInputError("class_predictors needs two classes or more, got one")
    given = _as_frame(predictors, len(classes.shares))

    def step_of(rows: Integers) -> RegressionOfClasses:
        own = Predictors.of(given, rows, classes.weights[rows] > 0.0)
        return RegressionOfClasses(own, classes, correction, level)

    return classes.table(classes.estimated(step_of))


@dataclass(frozen=True)
class RegressionOfClasses:
    """The multinomial regression of the class on predictors."""

    own: Predictors
    classes: AssignedClasses
    correction: str | None
    level: float

    @property
    def n(self) -> int:
        return int(self.own.present.sum())

    def __call__(
        self, shares: Array, weights: Array, survey: SurveyDesign | None = None
    ) -> Estimates:
        K, back = shares.shape[1], self.own.design.back
        names, linear = (
            tuple(self.own.terms) * (K - 1),
            np.asarray(np.kron(np.eye(K - 1), back), np.float64),
        )
        part = ClassPart(self.own.values, K)
        regression = Regression(part, self.own.present, self.correction, names, linear)
        return regression(shares, weights, survey)

    def table(self, estimates: Estimates, n_refits: float) -> tuple[pd.DataFrame, Tests]:
        """Return odds ratios of all pairs of classes, and tests of each variable."""
        K, P = self.classes.shares.shape[1], len(self.own.terms)
        noun, degrees = self.classes.noun, self.classes.degrees_of_freedom
        half = float(stats.t.isf(0.5 * (1.0 - self.level), degrees))
        names, by_class = part_names(noun, K), np.vstack([np.zeros(K - 1), np.eye(K - 1)])
        rows = []
        for j, k in combinations(range(K), 2):
            contrast = np.kron(by_class[k] - by_class[j], np.eye(P))
            b = contrast @ estimates.values
            errors = np.sqrt((contrast @ estimates.covariance @ contrast.T).diagonal())
            p = _p_values(b, errors, degrees)
            limits = np.exp(b - half * errors), np.exp(b + half * errors)
            keys = ((names[k], names[j], term) for term in self.own.terms)
            columns = (b, errors, np.exp(b), *limits, p)
            rows += [(*key, *values) for key, *values in zip(keys, *columns, strict=True)]
        index = ordered_index([row[:3] for row in rows], [noun, "reference", "term"])
        shown = ["estimate", "standard_error", "odds_ratio", "lower", "upper", "p"]
        places, tests = np.arange((K - 1) * P).reshape(K - 1, P), {}
        for variable, terms in self.own.variables.items():
            if variable != "intercept":
                chosen = places[:, terms]
                still = np.eye(chosen.size)
                tests[variable] = _tested(estimates, chosen, still, degrees, n_refits)
        return pd.DataFrame([row[3:] for row in rows], index, shown), tests


def distal_regression(
    model: Any,
    X: Any,
    outcome: Any,
    predictors: Any,
    correction: str | None = "ML",
    *,
    moderation: bool | list[str] = True,
    covariates: Any = None,
    waves: Any = None,
    sample_weight: Any = None,
    weight_type: str | None = None,
    clusters: Any = None,
    strata: Any = None,
    level: float = 0.95,
    n_draws: int = 100,
    random_state: Any = 0,
) -> Any:
    """Return the regression of an outcome on predictors in each class (three-step method).

    Numbers have a linear regression, by maximum likelihood with a variance for each class, else by
    least squares. Text, booleans, categories and
    numbers with two values have a multinomial logistic regression against the lowest level.

    Parameters
    ----------
    model : fitted estimator or search
        The classes.
    X : array or frame (n, D)
        Data of the fit.
    outcome : array or series (n,), or mapping or frame of several
        As in ``distal``.
    predictors : array, frame or series (n, P)
        As in ``class_predictors``. With ``correction="ML"`` they may affect the class too.
    correction : {"ML", "BCH"} or None, default="ML"
        As in ``distal``.
    moderation : bool or list of str, default=True
        Whether the class moderates the effects: True estimates the slopes of each class, False one
        slope for all; a list names the predictors whose slopes differ. Intercepts always differ.
    covariates, sample_weight, weight_type, clusters, strata, level, random_state
        As in ``distal``.
    waves, n_draws
        As in ``class_predictors``.

    Returns
    -------
    DataFrame, or dict of such by outcome
        ``estimate``, ``standard_error``, ``lower``, ``upper`` and ``p`` by class and term (by wave
        first, by level of a category second). ``attrs["tests"]["equal"]`` has Wald tests that a
        coefficient is equal in all classes, ``attrs["tests"]["zero"]`` that it is 0 in all of them.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> reads, age = rng.random(1000) < 0.4, rng.normal(size=1000)
    >>> X = (rng.random((1000, 4)) < np.where(reads[:, None], 0.9, 0.2)).astype(float)
    >>> income = rng.normal(30.0 + 10.0 * reads + np.where(reads, 4.0, 1.0) * age, 5.0)
    >>> m = bm.Mixture(2, family=bm.Bernoulli(), random_state=0).fit(X)
    >>> table = bm.distal_regression(m, X, income, age, n_draws=0)
    >>> table["estimate"].round(1).tolist()
    [30.3, 1.0, 40.2, 4.2]
    >>> table.attrs["tests"]["equal"]["predictors0"]["p"] < 0.001
    True
    """
    validation.one_of("correction", correction, CORRECTIONS)
    level = checked_level(level)
    classes = AssignedClasses.of(
        model, X, covariates, sample_weight, weight_type, clusters, strata, waves, n_draws,
        random_state,
    )  # fmt: skip
    given = _as_frame(predictors, len(classes.shares))

    def step_of(one: Any, rows: Integers) -> RegressionWithinClasses:
        values = values_of_outcome(one, len(classes.shares)).iloc[rows]
        observed, levels = observed_outcome(values, classes.weights[rows])
        own = Predictors.of(given, rows, observed.present)
        return RegressionWithinClasses(
            observed, own, levels, moderation, classes, correction, level
        )

    return classes.by_outcome(outcome, step_of)


@dataclass(frozen=True)
class RegressionWithinClasses:
    """The regression of an outcome on predictors in each of K classes."""

    observed: ObservedOutcome
    own: Predictors
    levels: Sequence[object] | None
    moderation: bool | list[str]
    classes: AssignedClasses
    correction: str | None
    level: float

    @property
    def n(self) -> int:
        return int(self.own.present.sum())

    @property
    def n_classes(self) -> int:
        return int(self.classes.shares.shape[1])

    @cached_property
    def _outcome(self) -> Array:
        """Numbers (m,), or indicators (m, M) of levels."""
        values = self.observed.values[self.own.present]
        if not self.observed.numeric:
            return values
        found = np.unique(values)
        return values == found if len(found) == 2 else values[:, 0]

    @property
    def _n_equations(self) -> int:
        outcome = self._outcome
        return 1 if outcome.ndim == 1 else outcome.shape[1] - 1

    @cached_property
    def _moderated(self) -> list[bool]:
        """Whether the coefficient of each term differs between classes."""
        if isinstance(self.moderation, bool):
            return [True] + [self.moderation] * (len(self.own.terms) - 1)
        names = list(self.own.variables)
        if unknown := [name for name in self.moderation if name not in names[1:]]:
            raise InvalidInputError(
                f"moderation names {unknown[0]!r}, which is no predictor: the predictors are "
                f"{', '.join(names[1:])}"
            )
        differing = [self.own.variables[name] for name in ("intercept", *self.moderation)]
        return [any(place in own for own in differing) for place in range(len(self.own.terms))]

    @cached_property
    def _tie(self) -> Array:
        """Matrix from free coefficients to those of all classes."""
        K, E, moderated = self.n_classes, self._n_equations, self._moderated
        columns, P = [], len(moderated)
        for equation in range(E):
            for p, differs in enumerate(moderated):
                unit = np.zeros((E, P))
                unit[equation, p] = 1.0
                for owners in np.eye(K) if differs else np.ones((1, K)):
                    columns.append(np.kron(owners, unit.ravel()))
        return np.transpose(columns)

    def __call__(
        self, shares: Array, weights: Array, survey: SurveyDesign | None = None
    ) -> Estimates:
        return self._regression(shares, weights, survey)

    @cached_property
    def _regression(self) -> Regression:
        """The third step, in standard deviations of the outcome and of predictors."""
        K, E, terms, design = self.n_classes, self._n_equations, self.own.terms, self.own.values
        outcome, tie = self._outcome, self._tie
        of_classes, centre, unit = ClassPart(design, K), 0.0, 1.0
        within: Any
        free = [terms[int(column.argmax()) % len(terms)] for column in tie.T]
        size = len(tie)
        if outcome.ndim == 1:
            centre, unit = float(outcome.mean()), float(outcome.std())
            within = LeastSquaresPart((outcome - centre) / unit, design, K)
            if self.correction == "ML":
                within = NormalPart((outcome - centre) / unit, design, K)
                tie = block_diag(tie, np.eye(K))
        else:
            within = CategoryPart(outcome.astype(np.float64), design, K)
        part = Sum(of_classes, Tied(within, tie))
        linear = np.zeros((size, part.size))
        reported = unit * np.kron(np.eye(K * E), self.own.design.back)
        linear[:, of_classes.size :] = reported @ tie[:size]
        shift = np.tile(centre * np.eye(len(terms))[0], K * E)
        names = (*terms * (K - 1), *free)
        return Regression(part, self.own.present, self.correction, names, linear, shift)

    def table(self, estimates: Estimates, n_refits: float) -> tuple[pd.DataFrame, Tests]:
        """Return coefficients with intervals, and tests of each variable."""
        K, E, terms = self.n_classes, self._n_equations, self.own.terms
        degrees, noun = self.classes.degrees_of_freedom, self.classes.noun
        half = float(stats.t.isf(0.5 * (1.0 - self.level), degrees))
        b, errors = estimates.values, np.sqrt(estimates.covariance.diagonal())
        parts: list[Any] = [part_names(noun, K), terms]
        names = [noun, "term"]
        if self.levels is not None:
            parts.insert(1, list(self.levels)[1:])
            names.insert(1, "level")
        index = pd.MultiIndex.from_product(parts, names=names)
        table = pd.DataFrame(
            {
                "estimate": b,
                "standard_error": errors,
                "lower": b - half * errors,
                "upper": b + half * errors,
                "p": _p_values(b, errors, degrees),
            },
            index,
        )
        tests: dict[str, Any] = {"equal": {}, "zero": {}}
        places = np.arange(len(b)).reshape(K, E, len(terms))
        for variable, own in self.own.variables.items():
            differs = self._moderated[own[0]]
            chosen = places[:, :, own].reshape(K, -1)
            if differs and K > 1:
                away = np.kron(np.eye(K)[1:] - np.eye(K)[0], np.eye(chosen.shape[1]))
                tests["equal"][variable] = _tested(estimates, chosen, away, degrees, n_refits)
            if variable != "intercept":
                alone = np.eye(chosen.size if differs else chosen.shape[1])
                values = chosen if differs else chosen[:1]
                tests["zero"][variable] = _tested(estimates, values, alone, degrees, n_refits)
        return table, tests


def _p_values(estimates: Array, errors: Array, degrees: float) -> Array:
    """Return two-sided p-values; 0 for errors of 0, as of outcomes that are constant in a class."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(2.0 * stats.t.sf(np.abs(estimates) / errors, degrees))


def _tested(
    estimates: Estimates, places: Integers, contrast: Array, degrees: float, n_refits: float
) -> dict[str, float]:
    """Return the Wald test that contrasts of some estimates are 0."""
    own = places.ravel()
    covariance = contrast @ estimates.covariance[np.ix_(own, own)] @ contrast.T
    return wald_test(contrast @ estimates.values[own], covariance, degrees, n_refits)


def _as_frame(predictors: Any, n: int) -> pd.DataFrame:
    """Return predictors as a frame with a row for each of n samples."""
    if isinstance(predictors, pd.Series):
        predictors = predictors.to_frame(
            "predictors0" if predictors.name is None else predictors.name
        )
    if hasattr(predictors, "to_pandas"):
        predictors = predictors.to_pandas()
    if not isinstance(predictors, pd.DataFrame):
        given = np.asarray(predictors)
        given = given[:, None] if given.ndim == 1 else given
        if given.ndim != 2:
            raise InvalidInputError(
                f"predictors must be a table with a row for each of the {n} samples, got shape "
                f"{given.shape}"
            )
        predictors = pd.DataFrame(given, columns=[f"predictors{p}" for p in range(given.shape[1])])
    if len(predictors) != n:
        raise InvalidInputError(
            f"predictors must have one row for each of the {n} samples, got {len(predictors)} rows"
        )
    predictors = predictors.reset_index(drop=True).rename(columns=str)
    return without_marks("predictors", predictors)
