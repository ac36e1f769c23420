"""Assignment of observations to classes, its errors, and refits that show how uncertain both are.

Observations are assigned to their most probable class, with the errors D[t, s] =
P(assigned s | class t) that follow from the fit. A third step uses the assigned classes and D.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, Self, TypeAlias, TypeVar

import numpy as np
import pandas as pd
from scipy.special import softmax

from bayesmix.assess.fit_evidence import fitted_mixture
from bayesmix.core import validation
from bayesmix.core.given_arrays import finite_array
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.random import root_seed
from bayesmix.core.sources import InMemory
from bayesmix.em.result import FitResult
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError, warn
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.posterior.bootstrap import RefitTask
from bayesmix.posterior.subject import rows_of_fit
from bayesmix.posterior.survey_design import SurveyDesign
from bayesmix.sources.survey_weights import are_sampling, weighted

CORRECTIONS = ("ML", "BCH", None)


# Wald tests by name, those of several kinds by kind first.
Tests: TypeAlias = dict[str, Any]


class HasCovariance(Protocol):
    """Estimates of a third step: ``values`` (p,) with their ``covariance`` (p, p)."""

    @property
    def values(self) -> Array: ...

    def with_covariance(self, covariance: Array) -> Self: ...


E = TypeVar("E", bound=HasCovariance)


@dataclass(frozen=True)
class Estimates:
    """Estimates (p,) of a third step, and their covariance (p, p) for given classes."""

    values: Array
    covariance: Array

    def with_covariance(self, covariance: Array) -> Estimates:
        return Estimates(self.values, covariance)


class ThirdStep(Protocol[E]):
    """A third step for some observations."""

    @property
    def n(self) -> int:
        """Number of observations that are used."""
        ...

    def __call__(self, shares: Array, weights: Array, survey: SurveyDesign | None = None) -> E:
        """Return estimates from class probabilities (n, K) and weights (n,)."""
        ...

    def table(self, estimates: E, n_refits: float) -> tuple[pd.DataFrame, Tests]:
        """Return what users see, and tests."""
        ...


@dataclass(frozen=True)
class Estimated(Generic[E]):
    """A third step for some ``rows``, with estimates for the classes of the fit."""

    step: ThirdStep[E]
    rows: Integers
    estimates: E


def errors_of_assignment(shares: Array, weights: Array) -> tuple[Integers, Array]:
    """Return the most probable classes (n,), and P(assigned s | class t) (K, K)."""
    K, classes = shares.shape[1], shares.argmax(axis=1)
    of_classes = shares * weights[:, None]
    return classes, (of_classes.T @ np.eye(K)[classes]) / of_classes.sum(axis=0)[:, None]


def refuse_empty(classes: Integers, n_classes: int) -> None:
    """Raise an error if no observation with an outcome is assigned to a class."""
    missing = np.flatnonzero(~np.isin(np.arange(n_classes), classes))
    if missing.size:
        raise InvalidInputError(
            f"no observation with an outcome is assigned to class {missing[0] + 1}: use fewer "
            "classes"
        )


@dataclass(frozen=True)
class AssignedClasses:
    """Probabilities (n, K) of the classes of observations, with what refits need.

    ``source`` has the data of the fit, None if there are no refits; ``waves`` (n,) are places among
    ``wave_names``.
    """

    result: FitResult
    source: InMemory | None
    shares: Array
    weights: Array
    survey: SurveyDesign | None
    waves: Integers | None
    wave_names: tuple[object, ...]
    n_draws: int
    seed: int

    @classmethod
    def of(
        cls,
        model: Any,
        X: Any,
        covariates: Any,
        sample_weight: Any,
        weight_type: str | None,
        clusters: Any,
        strata: Any,
        waves: Any,
        n_draws: int,
        random_state: Any,
    ) -> AssignedClasses:
        """Return the classes of a fit, after checks of what was given."""
        estimator, X = fitted_mixture(model, X)
        if estimator.result_.side.grouped:
            raise UnsupportedError("distal does not support groups: fit without them")
        ordered = estimator.result_.side.ordered
        source = source_of_fit(estimator, X, None) if ordered else None
        if source is not None:
            shares, _ = estimator.result_.mixture.responsibilities(source.rows)
        else:
            shares = estimator.predict_proba(X, covariates)
        n, wave_names = len(shares), tuple[object, ...]()
        if waves is not None:
            if source is None:
                raise UnsupportedError("waves needs a hidden Markov model: leave it out")
            if np.shape(waves) != (n,):
                raise InvalidInputError(
                    f"waves must have one entry for each of the {n} samples, got shape "
                    f"{np.shape(waves)}"
                )
            distinct, waves = np.unique(waves, return_inverse=True)
            wave_names = tuple(distinct)
            shares = shares_of_waves(estimator.result_.mixture, source.rows, np.ones(n), waves)
        weights = np.ones(n)
        if sample_weight is not None or weight_type is not None:
            sample_weight = weighted(X, sample_weight, weight_type)[1]
            weights = finite_array("sample_weight", sample_weight, (n,))
            if are_sampling(weights, weight_type) and clusters is None:
                clusters = np.arange(n)
        n_draws = validation.integer("n_draws", n_draws, 0)
        survey = SurveyDesign.of(n, clusters, strata)
        if ordered and survey is not None:
            raise UnsupportedError(
                "distal does not support clusters or strata of sequences: leave out"
            )
        if ordered and n_draws and len(estimator.result_.side.starts) < 2:
            raise UnsupportedError(
                "standard errors by refits need two sequences or more, got one: use n_draws=0"
            )
        refitted = source_of_fit(estimator, X, sample_weight) if n_draws else None
        seed = root_seed(random_state)
        return cls(
            estimator.result_, refitted, shares, weights, survey, waves, wave_names, n_draws, seed
        )

    @property
    def degrees_of_freedom(self) -> float:
        return np.inf if self.survey is None else self.survey.degrees_of_freedom

    @property
    def noun(self) -> str:
        return self.result.class_noun

    @property
    def parts(self) -> dict[object, Integers]:
        """Observations of each wave; all of them without waves."""
        if self.waves is None:
            return {None: np.arange(len(self.shares))}
        return {name: np.flatnonzero(self.waves == i) for i, name in enumerate(self.wave_names)}

    def estimated(self, step_of: Callable[[Integers], ThirdStep[E]]) -> dict[object, Estimated[E]]:
        """Return a third step for the observations of each wave."""
        out = {}
        with single_threaded_blas():
            for wave, rows in self.parts.items():
                step, survey = step_of(rows), self.survey and self.survey.subset(rows)
                estimates = step(self.shares[rows], self.weights[rows], survey)
                out[wave] = Estimated(step, rows, estimates)
        return out

    def tables(self, steps: Mapping[Any, dict[object, Estimated[E]]]) -> dict[Any, pd.DataFrame]:
        """Return tables of third steps, which share the refits that their errors come from.

        Waves come first in the index if there are some.
        """
        flat = {(name, wave): one for name, own in steps.items() for wave, one in own.items()}
        found = self._with_refits(flat) if self.n_draws else {}
        out: dict[Any, pd.DataFrame] = {}
        for name, own in steps.items():
            tables = {
                wave: one.step.table(*found.get((name, wave), (one.estimates, np.inf)))
                for wave, one in own.items()
            }
            if self.waves is None:
                out[name], tests = tables[None]
                out[name].attrs |= {"n": own[None].step.n, "tests": tests}
                continue
            parts: Any = {wave: table for wave, (table, _) in tables.items()}
            out[name] = pd.concat(parts, names=["wave"])
            tests = {str(wave): tests for wave, (_, tests) in tables.items()}
            out[name].attrs = {"n": {wave: one.step.n for wave, one in own.items()}, "tests": tests}
        return out

    def table(self, steps: dict[object, Estimated[E]]) -> pd.DataFrame:
        """Return the table of one third step."""
        return self.tables({None: steps})[None]

    def by_outcome(self, outcome: Any, step_of: Callable[[Any, Integers], ThirdStep[E]]) -> Any:
        """Return the table of an outcome, or of each of several.

        A warning names those of several that cannot be used.
        """
        if not isinstance(outcome, (pd.DataFrame, Mapping)):
            return self.table(self.estimated(partial(step_of, outcome)))
        steps = {}
        for name, one in outcome.items():
            try:
                steps[str(name)] = self.estimated(partial(step_of, one))
            except InvalidInputError as problem:
                warn(f"outcome {str(name)!r} is left out: {problem}", BayesmixWarning)
        if not steps:
            raise InvalidInputError("no outcome can be used: see the warnings")
        return self.tables(steps)

    def _with_refits(self, steps: Mapping[Any, Estimated[E]]) -> dict[Any, tuple[E, float]]:
        """Return estimates whose covariances come from refits, and the number of these."""
        drawn: dict[Any, list[Array]] = {key: [] for key in steps}
        with single_threaded_blas():
            for shares, weights in self._refits():
                for key, one in steps.items():
                    # Corrections need an assigned observation in each class.
                    with suppress(InvalidInputError, np.linalg.LinAlgError):
                        drawn[key].append(one.step(shares[one.rows], weights[one.rows]).values)
        out = {}
        for key, draws in drawn.items():
            if len(draws) < 2:
                raise UnsupportedError(
                    f"only {len(draws)} of {self.n_draws} refits have observations in all classes, "
                    "too few for standard errors: use fewer classes, or n_draws=0"
                )
            covariance = np.atleast_2d(np.cov(np.array(draws), rowvar=False))
            out[key] = steps[key].estimates.with_covariance(covariance), float(len(draws))
        return out

    def _refits(self) -> Iterator[tuple[Array, Array]]:
        """Yield probabilities (n, K) of classes and weights (n,), 0 for what a fit leaves out."""
        source: Any = self.source
        n = len(self.shares)
        rows = np.arange(n) if source.numbers is None else source.numbers
        survey = self.survey and self.survey.subset(rows)
        task = RefitTask(self.result, source, self.seed, survey)
        for number in range(self.n_draws):
            refit = task(number)
            if refit is None:
                continue
            shares, weights = np.zeros_like(self.shares), np.zeros(n)
            weights[rows] = source.rows.weights_or_ones * task.weights(number)
            if self.waves is None:
                shares[rows], _ = refit.point.responsibilities(source.rows)
            else:
                own = refit.point, source.rows, weights[rows], self.waves[rows]
                shares[rows] = shares_of_waves(*own)
            yield shares, weights


def shares_of_waves(mixture: Any, rows: Any, weights: Array, waves: Any) -> Array:
    """Return probabilities (n, K) of states, each from the observation itself and its wave.

    Answers at other waves are left out: they would tell of predictors beside the state.
    """
    smoothed, _ = mixture.responsibilities(rows)
    joint = mixture.log_joint(rows)
    for wave in np.unique(waves):
        members = waves == wave
        totals = weights[members] @ smoothed[members]
        joint[members] += np.log(np.maximum(totals / totals.sum(), np.finfo(float).tiny))
    return np.asarray(softmax(joint, axis=1))


def source_of_fit(estimator: Any, X: Any, sample_weight: Any) -> Any:
    """Return the data of the fit, in the sequences of the fit if there are any."""
    sequences: Any = {} if estimator.result_.side.ordered else None
    return rows_of_fit(
        estimator, X, sample_weight, gaps=True, covariates=True, sequences=sequences
    ).in_memory()
