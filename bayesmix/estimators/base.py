"""What every estimator does once it has a result: predict, score, sample, criteria, plot, save."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from bayesmix.engine.monitor import Monitor
from bayesmix.engine.stopping import Aitken, Change
from bayesmix.errors import BayesmixWarning, InvalidInputError
from bayesmix.estimators import validation
from bayesmix.estimators.progress import Reporter
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.random import Purpose, root_seed, stream
from bayesmix.records import Mixture, Rows
from bayesmix.selection import criteria
from bayesmix.sources import ArraySource
from bayesmix.workflow.assess import assess
from bayesmix.workflow.fit import fit
from bayesmix.workflow.model import Model, Settings
from bayesmix.workflow.result import FitResult
from bayesmix.workflow.starts import INIT_PARAMS, given_start


class MixtureEstimator(DensityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """The part of the interface that does not depend on what is fitted; abstract."""

    result_: FitResult
    n_features_in_: int

    @abstractmethod
    def _model(self) -> Model:
        """What to fit, from the parameters, checked."""

    @abstractmethod
    def _describe(self, result: FitResult) -> None:
        """Set the fitted attributes of this kind of model."""

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the mixture to rows.

        Parameters
        ----------
        X : array, frame or source (n, D)
            Rows of finite real numbers.
        y : ignored
            For pipelines.
        sample_weight : array (n,), optional
            How often each row counts; a weight of 2 is the row twice.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For parameters or rows that cannot be used; the estimator is then as it was.
        """
        self._fit(X, sample_weight)
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Integers:
        """Fit, and the component of every row (n,)."""
        return self.fit(X, y, sample_weight).predict(X)

    def _fit(self, X: Any, sample_weight: Any) -> None:
        before = dict(vars(self))
        try:
            model = self._model()
            source, rows = validation.training_rows(self, X, sample_weight, self.n_jobs)
            settings = self._settings(model, source, rows)
            reporter = Reporter(
                type(self).__name__, int(self.verbose), int(self.verbose_interval), self.progress
            )
            monitor = reporter.attach(self._monitor())
            start = self._start_mixture(model, source, settings)
            with reporter:
                result = fit(model, source, settings, monitor, start)
        except BaseException:
            # Nothing half-fitted remains.
            vars(self).clear()
            vars(self).update(before)
            raise
        self._adopt(result)
        self._warn(result)

    def _settings(self, model: Model, source: ArraySource, rows: Any) -> Settings:
        """How to fit, from the parameters, checked."""
        validation.integer("n_init", self.n_init, 1)
        validation.integer("max_iter", self.max_iter, 1)
        validation.integer("verbose", int(self.verbose), 0)
        validation.integer("verbose_interval", self.verbose_interval, 1)
        validation.flag("warm_start", self.warm_start)
        validation.one_of("search", self.search, ("auto", None))
        validation.one_of("acceleration", self.acceleration, ("auto", None))
        validation.one_of("progress", self.progress, (None, True, False))
        tol = validation.auto_or_number("tol", self.tol, 0.0)
        seed = root_seed(self.random_state)
        init = self._init(model, source, rows, seed)
        explicit = not isinstance(init, str)
        per_row = not model.inference.variational
        return Settings(
            stopping=Aitken() if tol is None else Change(tol, per_row),
            max_iter=self.max_iter,
            n_init=self.n_init if not explicit else 1,
            init=init,
            search=self.search == "auto" and not explicit and not self._explicit_parameters(),
            accelerate=self.acceleration == "auto" and tol is None,
            seed=seed,
            sort=not explicit and not self._explicit_parameters(),
        )

    def _init(self, model: Model, source: ArraySource, rows: Any, seed: int) -> Any:
        value = self.init_params
        if isinstance(value, str):
            return validation.one_of(
                "init_params",
                value,
                INIT_PARAMS,
                "or responsibilities, labels or a callable",
            )
        if callable(value):
            value = value(source.values, model.n_components, stream(seed, Purpose.START, 0))
            rows = None
        given = np.asarray(value)
        if rows is not None and given.ndim:
            given = given[rows]
        return given_start(given, source.shape[0], model.n_components)

    def _monitor(self) -> Monitor:
        validation.optional_integer("max_passes", self.max_passes, 1)
        if self.max_seconds is not None:
            validation.number("max_seconds", self.max_seconds, 0.0, strict=True)
        return Monitor(max_passes=self.max_passes, max_seconds=self.max_seconds)

    def _explicit_parameters(self) -> bool:
        """Whether starting parameters were given: then the run goes exactly as given."""
        return False

    def _start_mixture(
        self, model: Model, source: ArraySource, settings: Settings
    ) -> Mixture | None:
        """The mixture to start at: the last result under ``warm_start``, or given parameters."""
        if not (self.warm_start and hasattr(self, "result_")):
            return None
        last = self.result_
        same = (
            last.n_features == source.shape[1]
            and last.family == model.family
            and last.inference.name == model.inference.name
        )
        return last.mixture if same else None

    def _adopt(self, result: FitResult) -> None:
        """Fitted attributes that every estimator has."""
        self.result_ = result
        self.n_features_in_ = result.n_features
        self.n_components_ = result.n_components
        self.weights_ = result.mixture.weights.mean().copy()
        self.converged_ = result.converged
        self.n_iter_ = len(result.trace)
        self.objective_trace_ = result.trace.copy()
        self.log_likelihood_ = result.log_likelihood
        if result.variational:
            self.elbo_ = result.objective
            self.lower_bound_ = result.objective
            self.lower_bounds_ = list(result.trace)
        else:
            self.lower_bound_ = result.objective / result.total_weight
            self.lower_bounds_ = list(result.trace / result.total_weight)
        self._describe(result)

    def _warn(self, result: FitResult) -> None:
        if result.status == "max_iter":
            validation.warn(
                f"not converged after {len(result.trace)} iterations: raise max_iter "
                f"(now {self.max_iter}), or set tol to what you need",
                ConvergenceWarning,
            )
        elif result.status == "interrupted":
            validation.warn("interrupted: this is the best fit so far", BayesmixWarning)
        elif result.status != "converged":
            validation.warn(
                f"stopped by {result.status} before it converged: this is the best fit so far",
                ConvergenceWarning,
            )

    # Densities and assignments

    def score_samples(self, X: Any) -> Array:
        """Log density of every row (n,), in nats.

        For a variational fit the posterior predictive density (Bishop 2006, eq. 10.81), which
        integrates to 1.
        """
        return self._map(X, LogDensityStep(self._fitted()))

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log density of the rows, in nats."""
        return float(self.score_samples(X).mean())

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of the components for every row (n, K): normalised terms of the density."""
        return self._map(X, ProbabilityStep(self._fitted()))

    def predict(self, X: Any) -> Integers:
        """The most probable component of every row (n,)."""
        return self._map(X, LabelStep(self._fitted()))

    def responsibilities(self, X: Any) -> Array:
        """q(Z) (n, K): what the last E-step would give these rows (Bishop 2006, eq. 10.49)."""
        return self._map(X, ResponsibilityStep(self._fitted()))

    def _map(self, X: Any, step: Any) -> Any:
        return validation.new_rows(self, X).map(step, self.result_.n_components)

    def _fitted(self) -> FitResult:
        check_is_fitted(self, "result_")
        return self.result_

    def sample(self, n_samples: int = 1, random_state: Any = None) -> tuple[Array, Integers]:
        """Draw rows (n, D) from the fitted density, and the components (n,) that they came from.

        ``random_state`` None uses the estimator's own.
        """
        result = self._fitted()
        validation.integer("n_samples", n_samples, 1)
        seed = root_seed(self.random_state if random_state is None else random_state)
        return result.draw(n_samples, stream(seed, Purpose.SAMPLE))

    # Criteria, with scikit-learn's sign: lower is better

    def bic(self, X: Any = None) -> float:
        """Bayesian information criterion, -2 log L + p log n; None for X: of the fit itself."""
        return self._criterion(criteria.bic, X)

    def aic(self, X: Any = None) -> float:
        """Akaike information criterion, -2 log L + 2 p."""
        return self._criterion(criteria.aic, X)

    def aicc(self, X: Any = None) -> float:
        """AIC corrected for small n (Hurvich & Tsai 1989); infinite where n - p - 1 <= 0."""
        return self._criterion(criteria.aicc, X)

    def icl(self, X: Any = None) -> float:
        """Integrated completed likelihood, hard assignments (Biernacki, Celeux & Govaert 2000)."""
        return self._criterion(criteria.icl, X)

    def _criterion(self, criterion: Any, X: Any) -> float:
        result = self._fitted()
        if X is None:
            if result.n_rows == 0:
                raise InvalidInputError("this mixture was not fitted to rows: give X")
            sums = result.plug_in_sums
        else:
            sums = assess(result.plug_in, validation.new_rows(self, X), result.log_volume)
        value: float = -2.0 * criterion(sums, result.n_parameters)
        return value

    # Looking and keeping

    def plot(self, X: Any = None, ax: Any = None, **options: Any) -> Any:
        """The density with its components, over the rows where they are given; see plot_density."""
        from bayesmix.plots import plot_density

        return plot_density(self, X, ax=ax, **options)

    def save(self, path: Any) -> None:
        """Write the fitted estimator to one file, without pickle; ``bayesmix.load`` reads it."""
        from bayesmix.io import save

        self._fitted()
        save(self, path)


@dataclass(frozen=True)
class LogDensityStep:
    """Rows to log densities."""

    result: FitResult

    def __call__(self, rows: Rows) -> Array:
        return self.result.log_density(rows.values)


@dataclass(frozen=True)
class ProbabilityStep:
    """Rows to normalised terms of the density."""

    result: FitResult

    def __call__(self, rows: Rows) -> Array:
        return self.result.probabilities(rows.values)


@dataclass(frozen=True)
class LabelStep:
    """Rows to most probable components."""

    result: FitResult

    def __call__(self, rows: Rows) -> Integers:
        labels: Integers = self.result.probabilities(rows.values).argmax(axis=1)
        return labels


@dataclass(frozen=True)
class ResponsibilityStep:
    """Rows to q(Z)."""

    result: FitResult

    def __call__(self, rows: Rows) -> Array:
        return self.result.responsibilities(rows.values)
