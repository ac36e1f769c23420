"""``RegressionMixture``: mixtures of regressions, and mixtures of experts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from scipy.special import ndtri
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from bayesmix.allocation.designs import TimeColumns
from bayesmix.allocation.formulas import FormulaDesign
from bayesmix.allocation.forward_backward import most_probable_paths
from bayesmix.allocation.gate import shares_of
from bayesmix.allocation.outcome_rows import OutcomeColumns
from bayesmix.allocation.states_of_rows import StatesOfRows
from bayesmix.core import validation
from bayesmix.core.given_arrays import finite_array
from bayesmix.core.mixture import Mixture
from bayesmix.core.nouns import part_names
from bayesmix.core.printed_numbers import significant
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.core.rows import SideInformation
from bayesmix.em.model import LOOSE_BOUND, MaximumLikelihood, Model
from bayesmix.em.result import FitResult
from bayesmix.em.run import State
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError, warn
from bayesmix.estimators.inputs import described_columns as columns
from bayesmix.estimators.inputs.constraints import group_codes, of_samples, standardised
from bayesmix.estimators.inputs.incoming import (
    one_number,
    store_parameters,
    unchanged_on_error,
    validated,
)
from bayesmix.estimators.showing import Showing
from bayesmix.families.bayesian_regression import RegressionPosterior
from bayesmix.families.coding import Coding
from bayesmix.families.regressions import RegressionFamily, Regressions, Response
from bayesmix.families.several_outcomes import OUTCOMES, SeveralOutcomes
from bayesmix.families.trajectory_responses import RESPONSES
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.posterior.bands import checked_level
from bayesmix.regressions import regression_data
from bayesmix.regressions.random_effect_data import RandomEffectData
from bayesmix.regressions.regression_columns import (
    as_design,
    coding_of_design,
    explanatory,
    look_at_response,
    training_data,
)
from bayesmix.regressions.regression_data import Data
from bayesmix.regressions.regression_vector import coefficient_table, printed_coefficients
from bayesmix.search.events import warn_of_stop
from bayesmix.sequences.sequence_data import (
    Forecast,
    elapsed_times,
    starts_of_sequences,
)
from bayesmix.sources.containers import tabular
from bayesmix.sources.survey_weights import warn_of_order, weighted

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from bayesmix.assess.description import Description

N_STARTS = 30
NAMES = {"poisson": "Poisson", "zero_inflated_poisson": "zero-inflated Poisson"}
# Attributes that do not follow from data and mixture.
KEPT = (
    *("elbo_", "converged_", "n_iter_", "objective_trace_", "n_features_in_"),
    *("_held", "_separated", "_formula", "_coding", "_label", "_sampling", "_time", "_outcomes"),
)


def response_of(response: Any) -> Response:
    """Return the distribution of a response by its name, or those of several outcomes."""
    if not isinstance(response, Mapping):
        return RESPONSES[validation.one_of("response", response, tuple(RESPONSES))]
    if not response:
        raise InvalidInputError("response must name a distribution for each outcome, got none")
    for outcome, kind in response.items():
        validation.one_of(f"response[{outcome!r}]", kind, tuple(OUTCOMES))
    return SeveralOutcomes(tuple(response.values()), tuple(range(len(response))))


def by_weight(counts: Array, family: Any) -> Integers:
    """Return components by decreasing counts; those with held coefficients keep their places."""
    order = np.arange(len(counts))
    free = order if family.held is None else np.flatnonzero(~family.held.held.any(axis=1))
    order[free] = free[np.argsort(-counts[free], kind="stable")]
    return order


class RegressionMixture(RegressorMixin, Showing):  # type: ignore[misc]  # scikit-learn is untyped
    """Mixture of K regressions, by maximum likelihood or variational Bayes.

    y_n | x_n, k has mean g(x_n'β_k + offset_n), where g is the identity for a normal response, the
    logistic function for a binomial response, and the exponential otherwise (Wedel & DeSarbo
    1995). The M-step is exact for a normal response, otherwise a step of Fisher scoring, which is
    halved if the likelihood would decrease.

    Parameters
    ----------
    n_components : int, default=1
        Number of regressions. ``MixtureSearch`` chooses it.
    response : str, default="normal"
        Distribution of the response: "normal", "poisson", "binomial", "gamma",
        "negative_binomial", "zero_inflated_poisson", "censored_normal", or "ordinal" for whole
        numbers that are ordered levels, with adjacent-category logits (Agresti 2010). A mapping of
        columns of X to "normal", "bernoulli", "poisson", "weibull" or "exponential": y has several
        outcomes, independent given the class, each in the rows where its column is not 0. Times of
        the last two are negative where they are censored; see ``trajectories``.
    fixed : sequence of column names or indices, optional
        Columns of X that have the same coefficient in all components.
    random : sequence of column names or indices and "intercept", optional
        Random effects of the units ``groups``, for a normal response: y_i | k ~ N(X_i β_k,
        Z_i D_k Z_i' + σ_k² I). ``()``: none, but the residual variance as below.
    random_covariance : {"shared", "proportional", "free"}, default="shared"
        Covariance D_k of random effects in the components; proportional is w_k D.
    residual_variance : {"shared", "free", "time", "free_time"}, optional
        Whether components share their residual variance, or their dispersion; by default they do
        with ``random`` and do not without. "time": all share one for each time (``varIdent`` of
        nlme; the default of growth models in Mplus). "free_time": each component has its own for
        each time.
    residual_correlation : {None, "ar1", "car1"}, default=None
        Autocorrelation of the residuals of a unit: ρ^m between visits m steps apart ("ar1"), a step
        being the smallest distance in time, or ρ^Δ at a distance Δ in time ("car1", ρ > 0), as
        ``corAR1`` and ``corCAR1`` of nlme. Variances by time and correlations need ``random``,
        where ``()`` is no random effect.
    residual_time : column name or index, optional
        Column of X with the time, of the two arguments above.
    limits : (lower, upper), optional
        Limits of a censored normal response, one of which may be None: values at a limit may be
        beyond it. Predictions are those of the uncensored response. Of an ordinal response: the
        lowest and highest level; by default those of y.
    inflation : sequence of column names or indices, optional
        Columns of X that change the log odds of extra zeros of a zero-inflated Poisson response,
        which are otherwise constant within a component.
    fit_intercept : bool, default=True
        Whether each component has an intercept.
    initial : {"free", "stationary"}, default="free"
        Distribution of the first state of a sequence, as in ``HiddenMarkovModel``; only with
        ``lengths`` or ``sequences``, as the next two.
    covariate_effects : {"first", "transitions", "all", "none"}, default="transitions"
        What depends on ``gate``: first states, transitions, or both.
    covariate_timing : {"entered", "left"}, default="entered"
        Whose covariates a transition depends on: those of the sample that is entered or left.
    inference : optional
        None is maximum likelihood. ``VariationalBayes()``, for a normal response, uses a
        ``RegressionPrior`` of coefficients and residual precisions.
    n_init : int, default=30
        Number of starts, each run to convergence, of which the best is kept.
    max_iter : int, default=2000
        Largest number of EM iterations of a run.
    random_state : int, RandomState or Generator, optional
        Seed of the starts.
    columns : mapping of name to kind, optional
        Kinds of columns of a frame X, as in ``Mixture``. Text becomes indicators of all levels but
        the first. Row numbers, identifiers, dates and constant columns are left out, with a
        warning, unless named as "continuous".
    hold : mapping, optional
        ``{"coef": values}``: coefficients (K, D) that keep these values, per unit of the columns of
        X, and NaN where they are free: 0 leaves a column out of a component. Rows of fewer than K
        components are those of the first, and components with held coefficients keep their places.

    Attributes
    ----------
    coef_ : array (K, D)
        Slopes on the scale of the linear predictor.
    intercept_ : array (K,)
    scale_ : array (K,)
        Standard deviation of a normal response; coefficient of variation of a gamma response;
        1 / size of a negative binomial; 1 for counts and successes.
    weights_ : array (K,)
        Mixing weights; with a gate, averages over the data. Of states the stationary distribution.
    gate_coef_, gate_intercept_ : arrays (K, P), (K,)
        Coefficients of the log odds of component k relative to component 0; only with a gate.
        Where transitions depend on it arrays (K + 1, K, P) and (K + 1, K): of first states, and of
        the states after each state.
    startprob_, transmat_, stationary_distribution_, expected_durations_ : arrays
        As of ``HiddenMarkovModel``; only with ``lengths`` or ``sequences``.
    generator_ : array (K, K)
        Rates of transitions as of ``HiddenMarkovModel``; only with ``times``.
    log_likelihood_ : float
        Log likelihood of y given X in nats, at the estimates.
    elbo_ : float
        Bound on the log evidence of a variational fit; with a gate it is not tight.
    random_covariance_ : array (K, q, q)
        Covariances of random effects in units of the data, ``"intercept"`` first.
    n_parameters_, n_iter_ : int
    converged_ : bool
    result_ : FitResult

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> x, z = rng.uniform(0, 10, (200, 1)), rng.integers(0, 2, 200)
    >>> y = np.where(z == 0, 3 * x[:, 0], 20 - x[:, 0]) + rng.normal(0, 1, 200)
    >>> model = bm.RegressionMixture(2, random_state=0).fit(x, y)
    >>> np.sort(model.coef_[:, 0]).round()
    array([-1.,  3.])

    With ``lengths`` or ``sequences`` the components are the states of a Markov chain, as in a
    switching regression (Hamilton 1989); ``lagged`` makes columns of an autoregression.

    >>> z = (np.arange(200) // 40) % 2
    >>> y = np.where(z == 0, 3 * x[:, 0], 20 - x[:, 0]) + rng.normal(0, 1, 200)
    >>> switching = bm.RegressionMixture(2, random_state=0).fit(x, y, lengths=200)
    >>> switching.transmat_.round(2)
    array([[0.98, 0.02],
           [0.03, 0.97]])
    """

    _answer = "log_likelihood_"
    noun = "regression"
    _dependent_data = "regressions"
    _coding: Coding | None = None
    _label = "response"  # of the axis of figures
    _sampling = False
    _time: TimeColumns | None = None  # of ``trajectories``
    _outcomes: OutcomeColumns | None = None  # of ``trajectories`` of several outcomes

    def __init__(
        self,
        n_components: int = 1,
        *,
        response: Any = "normal",
        fixed: Any = None,
        random: Any = None,
        random_covariance: str = "shared",
        residual_variance: str | None = None,
        residual_correlation: str | None = None,
        residual_time: Any = None,
        limits: Any = None,
        inflation: Any = None,
        fit_intercept: bool = True,
        initial: str = "free",
        covariate_effects: str = "transitions",
        covariate_timing: str = "entered",
        inference: Any = None,
        n_init: int = N_STARTS,
        max_iter: int = 2000,
        random_state: Any = None,
        columns: Any = None,
        hold: Any = None,
    ) -> None:
        store_parameters(self, locals())

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        gate: Any = None,
        groups: Any = None,
        lengths: Any = None,
        sequences: Any = None,
        times: Any = None,
        offset: Any = None,
        trials: Any = None,
        sample_weight: Any = None,
        weight_type: str | None = None,
    ) -> Self:
        """Fit the regressions.

        Parameters
        ----------
        X : array or frame (n, D)
            Explanatory variables, without a constant; D may be 0 for intercepts alone.
        y : array (n,), or str
            Response; a string is a formula such as ``"y ~ x + I(x**2)"`` over the frame X and
            needs formulaic.
        gate : array or frame (n, P), optional
            Covariates of the mixing weights; ``gate=X`` fits a mixture of experts.
        groups : array (n,), optional
            Identifier of the unit of each observation; observations of a unit share their
            component. The gate must be constant within a unit.
        lengths : int or sequence of int, optional
            Number of samples of each sequence. Samples are in order of time, and components are
            the states of a hidden Markov chain. ``gate`` are then covariates of its transitions,
            with a row for each sample or sequence.
        sequences : array (n,), optional
            Identifier of the sequence of each sample, instead of ``lengths``.
        times : array (n,), optional
            Times of the samples of sequences at uneven times, as in ``HiddenMarkovModel.fit``.
        offset : array (n,), optional
            Known part of the linear predictor, such as the log of an exposure.
        trials : array (n,), optional
            Numbers of trials of a binomial response; 1 by default.
        sample_weight : array (n,), optional
            Number of times that each observation counts.
        weight_type : {None, "frequency", "sampling"}, optional
            As in ``GaussianMixture.fit``; with "sampling", standard errors are of the sandwich.

        Returns
        -------
        self

        Raises
        ------
        InvalidInputError
            For collinear or constant columns, responses outside the support, units with several
            values of the gate, and lengths that do not sum to n; the estimator is then unchanged.
        """
        with unchanged_on_error(self):
            number = self._model().n_components
            validation.integer("n_init", self.n_init, 1)
            validation.integer("max_iter", self.max_iter, 1)
            weight = weighted(X, sample_weight, weight_type)[1]
            beside = {"gate": gate, "groups": groups, "offset": offset, "trials": trials}
            beside |= {"lengths": lengths, "sequences": sequences, "times": times}
            data = self._training(X, y, weight, **beside)
            if number > data.n_units:
                raise InvalidInputError(
                    f"n_components={number} must not be larger than the number of "
                    f"{'units' if groups is not None else 'samples'}, got {data.n_units}"
                )
            seed = root_seed(self.random_state)
            data, best = data.fitted(number, self.n_init, self.max_iter, seed)
            self._adopt(data, best, seed)
            self._sampling = weight_type == "sampling"
        self._warn()
        return self

    def _model(self) -> Model:
        one_number(self)
        number = validation.integer("n_components", self.n_components, 1)
        response = response_of(self.response)
        family: Any = RegressionFamily(response, np.empty(0, dtype=int), 0.0)
        inference: Any = MaximumLikelihood() if self.inference is None else self.inference
        return Model(number, family, inference)

    def _training(self, X: Any, y: Any, weight: Any = None, **beside: Any) -> Any:
        self._formula, self._coding, self._time, self._outcomes = None, None, None, None
        self._label = str(getattr(y, "name", None) or "response")
        if isinstance(y, str):
            self._formula, y, X = FormulaDesign.of(y, X)
        else:
            X, y = tabular(X), tabular(y, "y")
            self._coding = explanatory(X, self.columns)
            beside["coding"] = coding_of_design(self._coding)
            X = as_design(X, self._coding, beside["coding"])
            y = look_at_response(y, self.response)
            warn_of_order(X, y)
        regression_data.check_table(X, y)
        y_given = y
        response: Any = self._model().family.response  # type: ignore[attr-defined]
        # Without coefficients components differ by their dispersions.
        fewest = 0 if self.fit_intercept or response.dispersed else 1
        fewest_samples = 2 if np.shape(X)[1:] != (0,) else 1  # one tells nothing of a slope
        X, y = validated(
            self, X, reset=True, y=y, y_numeric=True, ensure_min_features=fewest,
            ensure_min_samples=fewest_samples,
        )  # fmt: skip
        X = np.asarray(X, dtype=np.float64)
        names = tuple(getattr(self, "feature_names_in_", [f"x{d}" for d in range(X.shape[1])]))
        return training_data(self, response, X, y, names, y_given, weight, **beside)

    def _log_likelihood_of(self, y: Array, n_components: int, n_init: int, seed: int) -> float:
        """Return the log likelihood of a fit to other responses (n,), in the order of the data."""
        data = self._data.with_response(y)
        _, best = data.fitted(n_components, n_init, self.max_iter, seed)
        return float(best.objective)

    def _adopt(self, data: Data, state: State, seed: int) -> None:
        mixture = state.current_mixture()
        order = by_weight(state.expectation.counts, data.family)
        mixture = mixture.subset(order, state.expectation.counts)
        ordered = data.reordered(order)
        self._show(ordered, mixture, regression_data.result_of(ordered, mixture, state, seed))
        if data.variational is not None:
            self.elbo_ = state.objective
        self.converged_ = state.status == "converged"
        self.n_iter_ = state.iterations
        self.objective_trace_ = np.array(state.trace)
        self._held = state.holds
        self._separated = data.warnings(state, order.tolist())

    def _show(self, data: Any, mixture: Mixture, result: FitResult) -> None:
        """Set the attributes that follow from data, mixture and result of the fit."""
        for name in [name for name in vars(self) if name.endswith("_")]:
            if name not in ("n_features_in_", "feature_names_in_"):
                delattr(self, name)
        self._q, self._fit_mixture = None, mixture
        if data.variational is not None:
            self._q = cast("RegressionPosterior", mixture.components)
        mixture = regression_data.point_of(mixture)
        components = cast("Regressions", mixture.components)
        self._data, self._mixture = data, mixture
        raw = components.coefficients[:, : len(data.design.terms)] @ data.design.back.T
        first = int(data.design.intercept)
        self.coef_ = raw[:, first:]
        self.intercept_ = raw[:, 0] if first else np.zeros(len(raw))
        root = components.response.spread == "scale"
        self.scale_ = np.sqrt(components.dispersion) if root else components.dispersion.copy()
        self.weights_ = mixture.weights.mean()
        weights: Any = mixture.weights
        if data.gate is not None:
            gate = data.gate.in_units(weights.coefficients)
            self.gate_intercept_, self.gate_coef_ = gate[..., 0], gate[..., 1:]
        if data.chain is not None:
            self.startprob_, self.transmat_ = weights.initial.copy(), weights.transition.copy()
            self.stationary_distribution_ = weights.mean()
            with np.errstate(divide="ignore"):
                self.expected_durations_ = 1.0 / (1.0 - self.transmat_.diagonal())
                if data.elapsed is not None:
                    self.generator_ = weights.rates / data.elapsed.unit
                    self.expected_durations_ = 1.0 / np.abs(self.generator_.diagonal())
        if self.random is not None:
            back, variable = data.random.back, cast("Any", components)
            self.random_covariance_ = back @ variable.covariances @ back.T
        self.n_components_ = len(raw)
        self.result_ = result
        self.log_likelihood_ = result.log_likelihood
        self.n_parameters_ = result.n_parameters

    def to_record(self) -> dict[str, Any]:
        """Return the data, the mixture and the course of the fit, for saving."""
        check_is_fitted(self, "log_likelihood_")
        kept = {name: getattr(self, name) for name in KEPT if hasattr(self, name)}
        data = {field.name: getattr(self._data, field.name) for field in fields(self._data)}
        return {"data": data, "mixture": self._fit_mixture, "kept": kept, "result": self.result_}

    def from_record(self, record: dict[str, Any]) -> None:
        """Restore the fit from the output of ``to_record``."""
        data: Any = Data if self.random is None else RandomEffectData
        self._show(data(**record["data"]), record["mixture"], record["result"])
        for name, value in record["kept"].items():
            if name not in KEPT:
                raise ValueError(f"{name} is not an attribute of a fit")
            if name == "_formula" and isinstance(value, str):  # of earlier versions
                value = FormulaDesign(value.split("~", 1)[1])
            setattr(self, name, value)

    def _warn(self) -> None:
        if not self.converged_:
            warn_of_stop("max_iter", self)
        if self._held:
            warn(
                "a component fits its observations exactly, so the likelihood has no maximum: use "
                "fewer components",
                BayesmixWarning,
            )
        for text in self._separated:
            warn(text, BayesmixWarning)

    # Predictions

    def predict(
        self, X: Any, *, gate: Any = None, offset: Any = None, y: Any = None, lengths: Any = None,
        sequences: Any = None, times: Any = None,
    ) -> Array:  # fmt: skip
        """Return the mean response (n,) of the mixture; per trial for a binomial response.

        With a chain it is that of a random time. Given responses ``y`` (n,) of sequences, it is the
        mean of each sample given the responses before it.
        """
        rows = self._new(X, gate, offset, None, y, lengths, sequences, times)
        return (rows.weights * self._response.mean(rows.predictors)).sum(axis=1)

    def predict_components(self, X: Any, *, offset: Any = None) -> Array:
        """Return the mean response (n, K) of each component."""
        rows, _ = self._rows(X, None, offset, None, None)
        return self._response.mean(self._regressions.predictors(self._data.arranged(*rows)))

    def predict_proba(
        self,
        X: Any,
        y: Any = None,
        *,
        gate: Any = None,
        groups: Any = None,
        offset: Any = None,
        trials: Any = None,
        lengths: Any = None,
        sequences: Any = None,
        times: Any = None,
    ) -> Array:
        """Return P(component | x, y) (n, K), the same for all observations of a group.

        With a chain it is that of each state given the whole sequence. Fits of several outcomes by
        ``trajectories`` take their long table as X alone, and have a row for each of its rows.
        """
        if self._outcomes is not None and y is None:
            return self._of_table(X, gate)
        if y is None:
            raise InvalidInputError("y must have the responses, got None")
        if self._has_states(groups, lengths, sequences, times):
            data = self._in_sequences(X, y, gate, offset, trials, lengths, sequences, times)
            return self._states(smooth=True)(data.rows)[:, :-1]
        joint, _, units = self._posterior(X, y, gate, groups, offset, trials)
        return np.asarray(joint[units])

    def _of_table(self, table: Any, gate: Any) -> Array:
        """Return P(class) (n, K) of the units of a long table of several outcomes."""
        outcomes = cast("OutcomeColumns", self._outcomes)
        rows = outcomes.stacked(table)
        if gate is not None:
            gate = tabular(gate).iloc[rows.places].reset_index(drop=True)
        joint, _, units = self._posterior(rows.design, rows.y, gate, rows.units, None, None)
        numbers = np.asarray(tabular(table)[outcomes.unit])
        codes = dict(zip(rows.units.tolist(), units.tolist(), strict=True))
        if without := [unit for unit in numbers.tolist() if unit not in codes]:
            raise InvalidInputError(
                f"unit {without[0]!r} has no value of any outcome: leave it out"
            )
        return np.asarray(joint[[codes[unit] for unit in numbers.tolist()]])

    def filter_proba(
        self, X: Any, y: Any, *, gate: Any = None, offset: Any = None, trials: Any = None,
        lengths: Any = None, sequences: Any = None, times: Any = None,
    ) -> Array:  # fmt: skip
        """Return the probability (n, K) of each state given the sequence up to the sample.

        Arguments are those of ``fit``; without ``lengths`` and ``sequences`` X is one sequence.
        """
        self._needs_states("filter_proba")
        data = self._in_sequences(X, y, gate, offset, trials, lengths, sequences, times)
        return self._states()(data.rows)[:, :-1]

    def decode(
        self, X: Any, y: Any, *, gate: Any = None, offset: Any = None, trials: Any = None,
        lengths: Any = None, sequences: Any = None, times: Any = None,
    ) -> Integers:  # fmt: skip
        """Return the most probable path of states (n,) of each sequence (Viterbi).

        Arguments are those of ``fit``; without ``lengths`` and ``sequences`` X is one sequence.
        ``predict_proba(...).argmax(axis=1)`` has the most probable state of each sample.
        """
        self._needs_states("decode")
        rows = self._in_sequences(X, y, gate, offset, trials, lengths, sequences, times).rows
        chain: Any = self._mixture.weights
        joint = self._states().log_densities(rows)
        moves = chain.transitions_at(rows.side)
        return most_probable_paths(joint, rows.side.starts, chain.first_states(rows.side), moves)

    def transition_matrix(self, gate: Any = None) -> Array:
        """Return the probabilities of transitions (m, K, K) at given covariates, or averaged.

        ``gate`` (m, P) are covariates of transitions; None: averages (K, K) over the samples of the
        fit, ``transmat_``, whose standard errors are in ``coefficients``.
        """
        self._needs_states("transition_matrix")
        if gate is None:
            return np.array(self.transmat_)
        return self._moves_at(gate)

    def _moves_at(self, gate: Any) -> Array:
        """Return the probabilities of transitions (m, K, K) at covariates (m, P)."""
        chain: Any = self._mixture.weights
        design = self._data.gate
        if design is None or not hasattr(chain, "transitions_of"):
            raise InvalidInputError("gate must be left out: transitions of this fit depend on none")
        return np.asarray(chain.transitions_of(standardised("gate", gate, len(gate), design)))

    def forecast(
        self,
        X: Any,
        y: Any,
        future: Any,
        level: float = 0.9,
        *,
        gate: Any = None,
        future_gate: Any = None,
        offset: Any = None,
        trials: Any = None,
        future_offset: Any = None,
        future_trials: Any = None,
    ) -> Forecast:
        """Return states and responses of the samples that follow one sequence.

        Parameters
        ----------
        X, y, gate, offset, trials
            One sequence, up to the present, as in ``fit``.
        future : array or frame (steps, D)
            Explanatory variables of the samples ahead; of an autoregression known for one step.
        level : float, default=0.9
            Probability of the central predictive intervals, at the estimates.
        future_gate, future_offset, future_trials : optional
            Those of the samples ahead.
        """
        self._needs_states("forecast")
        if self._data.elapsed is not None:
            raise UnsupportedError("forecast does not support times: use filter_proba and predict")
        level = checked_level(level)
        present = self.filter_proba(X, y, gate=gate, offset=offset, trials=trials)[-1]
        rows, _ = self._rows(future, None, future_offset, future_trials, None)
        values = self._data.arranged(*rows)
        chain: Any = self._mixture.weights
        moves: Array = np.broadcast_to(self.transmat_, (len(values), *self.transmat_.shape))
        if hasattr(chain, "transitions_of"):
            steps = "none" if future_gate is None else f"{len(future_gate)} rows"
            if future_gate is None or len(future_gate) != len(values):
                raise InvalidInputError(
                    f"future_gate must have a row for each of the {len(values)} steps ahead, as "
                    f"transitions depend on it, got {steps}"
                )
            moves = self._moves_at(future_gate)
            if chain.timing == "left":
                moves = np.concatenate([self._moves_at(gate[-1:]), moves[:-1]])
        elif future_gate is not None:
            raise InvalidInputError("future_gate must be left out: transitions depend on none")
        shares = np.empty((len(values), len(present)))
        for step, move in enumerate(moves):
            shares[step] = present = present @ move
        ahead = regression_data.Predicted(self._regressions, values, shares)
        mean = (shares * self._response.mean(ahead.predictors)).sum(axis=1)
        lower, upper = (ahead.quantile(0.5 + side * level)[:, None] for side in (-0.5, 0.5))
        return Forecast(shares, mean[:, None], lower, upper, level, (self._label,))

    def describe(
        self, X: Any, y: Any, level: float = 0.9, *, sample_weight: Any = None, **beside: Any
    ) -> Description:
        """Describe the classes by their response and columns, as ``MixtureSearch.describe``.

        ``beside`` has further arguments of ``predict_proba``. Observations are assigned to their
        most probable class.
        """
        probabilities = self.predict_proba(X, y, **beside)
        noun = self._data.noun
        return columns.describe(
            None,
            X,
            response=y,
            probabilities=probabilities,
            groups=np.arange(probabilities.shape[1]),
            names=tuple(part_names(noun, probabilities.shape[1])),
            noun=noun,
            level=level,
            sample_weight=sample_weight,
        )

    def score_samples(
        self,
        X: Any,
        y: Any,
        *,
        gate: Any = None,
        groups: Any = None,
        offset: Any = None,
        trials: Any = None,
        lengths: Any = None,
        sequences: Any = None,
        times: Any = None,
    ) -> Array:
        """Return the conditional log density (n,) of the responses in nats.

        The log density of a group is the sum over its observations. With a chain it is that of each
        response given those before it.
        """
        if self._has_states(groups, lengths, sequences, times):
            data = self._in_sequences(X, y, gate, offset, trials, lengths, sequences, times)
            return self._states()(data.rows)[:, -1]
        _, log_density, units = self._posterior(X, y, gate, groups, offset, trials)
        return np.asarray((log_density / np.bincount(units))[units])

    def _log_density_of_parts(
        self, X: Any, y: Any, *, initial: Array, sequences: Any, gate: Any = None,
        offset: Any = None, trials: Any = None, times: Any = None,
    ) -> Array:  # fmt: skip
        """Return ``score_samples`` of parts of sequences, with the distribution of first states."""
        data = self._in_sequences(X, y, gate, offset, trials, None, sequences, times)
        return self._states(initial=initial)(data.rows)[:, -1]

    def predict_interval(
        self,
        X: Any,
        level: float = 0.9,
        *,
        gate: Any = None,
        offset: Any = None,
        trials: Any = None,
        y: Any = None,
        lengths: Any = None,
        sequences: Any = None,
        times: Any = None,
    ) -> Array:
        """Return the central predictive interval (n, 2) of the response, at the estimates.

        Uncertainty of the coefficients is not included. ``y``, ``lengths`` and ``sequences`` are as
        in ``predict``.
        """
        level = checked_level(level)
        rows = self._new(X, gate, offset, trials, y, lengths, sequences, times)
        return np.column_stack([rows.quantile(0.5 + side * level) for side in (-0.5, 0.5)])

    def residuals(
        self, X: Any, y: Any, *, gate: Any = None, offset: Any = None, trials: Any = None,
        lengths: Any = None, sequences: Any = None, times: Any = None, random_state: Any = 0,
    ) -> Array:  # fmt: skip
        """Return quantile residuals (n,), standard normal under the model (Dunn & Smyth 1996).

        For discrete responses they are randomised within the step of the distribution function.
        With a chain each response is compared with its distribution given those before it.
        """
        y_past = y if self._has_states(None, lengths, sequences, times) else None
        past = (y_past, lengths, sequences, times)
        rows = self._new(X, gate, offset, trials, *past)
        y_given, y = y, finite_array("y", y, (len(rows.values),))
        regression_data.check_response(self._response, y, rows.values[:, 2], y_given)
        shares = stream(root_seed(random_state), Purpose.SAMPLE).random(len(y))
        below = rows.cdf(self._response.before(y))
        upper = below + shares * (rows.cdf(y) - below)
        return ndtri(np.clip(upper, 1e-15, 1.0 - 1e-15))

    def bic(self) -> float:
        """Return -2 log L + p log n of the fit, where n is the number of units with groups."""
        check_is_fitted(self, "log_likelihood_")
        n = self._data.n_samples
        return float(-2.0 * self.log_likelihood_ + self.n_parameters_ * np.log(n))

    def aic(self) -> float:
        """Return -2 log L + 2 p of the fit."""
        check_is_fitted(self, "log_likelihood_")
        return float(-2.0 * self.log_likelihood_ + 2.0 * self.n_parameters_)

    # Uncertainty

    def coefficients(self, level: float = 0.95, robust: bool | None = None) -> pd.DataFrame:
        """Return class sizes, coefficients and scales with standard errors, intervals, z and p.

        Rows are by ``part``, ``class`` and ``term``. Parts are "share" (or "gate", log odds against
        class 1), "coefficient", and "scale" (``scale_``, such as the residual standard deviation)
        or, with ``random``, "variance". Standard errors come from the observed information of all
        parameters (Louis 1982), evaluated by central differences of the exact score. They are NaN
        if the information is singular. ``robust=True``, the default with sampling weights, is the
        sandwich by unit (White 1982). Intervals are Wald's, on the log odds of shares and the
        logarithm of scales and variances; ``z`` and ``p`` test that a coefficient is 0. For a
        variational fit, coefficients have standard deviations of q and credible intervals, and
        there are no tests.
        """
        check_is_fitted(self, "log_likelihood_")
        level = checked_level(level)
        robust = (self._sampling if robust is None else robust) and self._q is None
        return coefficient_table(self._data, self._mixture, self._q, level, robust, self._sampling)

    def parameter_table(
        self,
        standard_errors: str = "information",
        *,
        level: float = 0.95,
        n_draws: int = 200,
        random_state: Any = 0,
    ) -> pd.DataFrame:
        """Return shares, coefficients, dispersions and variances with standard errors.

        As of the other mixtures. "sandwich" and "bootstrap" are by unit.
        """
        from bayesmix.regressions.regression_vector import regression_table

        check_is_fitted(self, "log_likelihood_")
        if self._q is not None:
            raise UnsupportedError(
                "parameter_table needs a maximum likelihood fit: use coefficients() for credible "
                "intervals"
            )
        return regression_table(
            self._data, self._mixture, standard_errors, level, n_draws, random_state
        )

    def summary(self) -> str:
        """Return a summary with a table of coefficients."""
        table = printed_coefficients(self.coefficients()).to_string()
        return "\n".join([*self._sentences(), table])

    def _sentences(self) -> list[str]:
        """Return the summary without the coefficients."""
        check_is_fitted(self, "log_likelihood_")
        K, name = self.n_components_, self._response.name
        name = NAMES.get(name, name.replace("_", " "))
        size = f"n = {self._data.n_samples:.0f}"
        if self._data.units is not None:
            size += f" units, {self._data.n_rows} observations"
        what = "Mixture of" if self._data.chain is None else "Hidden Markov model of"
        head = (
            f"{what} {K} {name} regression{'s' if K > 1 else ''} "
            f"({size}): log likelihood {self.log_likelihood_:.2f}, "
            f"{self.n_parameters_} parameters, BIC {self.bic():.1f}."
        )
        weights = ", ".join(f"{weight:.2f}" for weight in self.weights_)
        lines = [head, f"Weights: {weights}."]
        if self._data.chain is not None:
            durations = ", ".join(f"{each:.3g}" for each in self.expected_durations_)
            lines = [head, f"Stationary distribution: {weights}. Expected durations: {durations}."]
        if self._response.dispersed:
            lines.append(f"Scales: {', '.join(map(significant, self.scale_))}.")
        if self._q is not None and self._data.gate is not None:
            lines.append(f"{LOOSE_BOUND}.")
        return lines

    def random_effects(self) -> pd.DataFrame:
        """Return class, from 1, probabilities and predicted effects of each unit of the fit."""
        from bayesmix.regressions.trajectory_tables import unit_table

        return unit_table(self)

    def _answer_html(self) -> str:
        table = printed_coefficients(self.coefficients())
        return f"<p>{self._sentences()[0]}</p>{table.to_html()}"

    def plot(self, X: Any = None, y: Any = None, feature: Any = 0, ax: Any = None) -> Any:
        """Plot the mean of each component along one column of X; see ``plot_regression``."""
        from bayesmix.regressions.regression_plots import plot_regression

        check_is_fitted(self, "log_likelihood_")
        if not self._data.design.names:
            raise UnsupportedError("plot needs a column of X, along which means are drawn")
        return plot_regression(self, X, y, feature, ax)

    def report(self, path: Any, title: str = "Trajectories") -> Path:
        """Write a fit with groups as one HTML page, and return its path; see ``write_report``."""
        from bayesmix.report import write_report

        return write_report(self, path, title=title)

    @property
    def _regressions(self) -> Regressions:
        check_is_fitted(self, "log_likelihood_")
        return cast("Regressions", self._mixture.components)

    @property
    def _response(self) -> Any:
        return self._regressions.response

    def _rows(
        self, X: Any, y: Any, offset: Any, trials: Any, gate: Any
    ) -> tuple[tuple[Array, ...], Array | None]:
        """Return response, offset, trials and columns of new samples, and their covariates."""
        check_is_fitted(self, "log_likelihood_")
        data = self._data
        if self._formula is not None:
            X = self._formula.columns(X)
        features = tuple(getattr(self, "feature_names_in_", ()))
        if self._time is not None:
            X = self._time.frame(X, features)
        coding = data.design.coding or coding_of_design(self._coding, features)
        X = as_design(tabular(X), self._coding, coding)
        regression_data.check_table(X)
        X = validated(self, X, reset=False, ensure_min_features=0)
        X = np.asarray(X, dtype=np.float64)
        n = len(X)
        offset = regression_data.offsets(offset, n)
        trials = regression_data.trial_numbers(trials, n)
        y = np.zeros(n) if y is None else finite_array("y", y, (n,))
        covariates = None
        if gate is not None:
            if data.gate is None:
                raise InvalidInputError("gate must be left out: the fit had none")
            covariates = standardised("gate", gate, n, data.gate)
        return (y, offset, trials, X), covariates

    def _has_states(self, groups: Any, lengths: Any, sequences: Any, times: Any = None) -> bool:
        """Whether components are states; raise an error for arguments of the other case."""
        check_is_fitted(self, "log_likelihood_")
        states = self._data.chain is not None
        of_chain = {"lengths": lengths, "sequences": sequences, "times": times}
        wrong = {"groups": groups} if states else of_chain
        for name, value in wrong.items():
            if value is not None:
                raise InvalidInputError(f"{name} must be left out: the fit had none")
        return states

    def _needs_states(self, what: str) -> None:
        if not self._has_states(None, None, None):
            raise InvalidInputError(f"{what} needs a fit with lengths or sequences")

    def _states(self, **options: Any) -> StatesOfRows:
        return StatesOfRows(self._mixture, continuous=False, **options)

    def _in_sequences(
        self, X: Any, y: Any, gate: Any, offset: Any, trials: Any, lengths: Any, sequences: Any,
        times: Any,
    ) -> Data:  # fmt: skip
        """Return the data of new sequences; without lengths and sequences there is one."""
        gate = None if self.covariate_effects == "none" else gate
        n = len(tabular(y, "y"))
        begins = starts_of_sequences(lengths, sequences, n, "sequences")
        if gate is not None:
            gate = of_samples(gate, SideInformation(begins=begins), "gate")
        rows, covariates = self._rows(X, y, offset, trials, gate)
        regression_data.check_response(self._response, rows[0], rows[2], y)
        if covariates is None and self._data.gate is not None:
            raise InvalidInputError("gate must be given, because the fit has a gate")
        data, elapsed = cast("Data", self._data), None
        if (fitted := data.elapsed) is not None:
            if times is None:
                raise InvalidInputError("times of the samples are needed, as the fit had times")
            elapsed = elapsed_times(times, SideInformation(begins=begins), unit=fitted.unit)
        elif times is not None:
            raise InvalidInputError("times must be left out: the fit had none")
        return data.of_sequences(rows, covariates, begins, elapsed)

    def _new(
        self, X: Any, gate: Any, offset: Any, trials: Any, y: Any = None, lengths: Any = None,
        sequences: Any = None, times: Any = None,
    ) -> regression_data.Predicted:  # fmt: skip
        """Return the predictive distributions of samples; of a chain given those before, if any."""
        if self._has_states(None, lengths, sequences, times):
            if y is not None:
                data = self._in_sequences(X, y, gate, offset, trials, lengths, sequences, times)
                filtered = self._states()(data.rows)[:, :-1]
                shares = self._states().predicted(filtered, data.rows)
                return regression_data.Predicted(self._regressions, data.values, shares)
            for name, value in {
                "gate": gate, "lengths": lengths, "sequences": sequences, "times": times,
            }.items():  # fmt: skip
                if value is not None:
                    raise InvalidInputError(f"{name} needs responses y: give both, or neither")
        elif y is not None:
            raise InvalidInputError("y must be left out: the fit had no lengths or sequences")
        rows, covariates = self._rows(X, None, offset, trials, gate)
        values = self._data.arranged(*rows)
        if covariates is None and self._data.gate is not None and self._data.chain is None:
            raise InvalidInputError("gate must be given, because the fit has a gate")
        shares = shares_of(self._mixture.weights, covariates, len(values))
        return regression_data.Predicted(self._regressions, values, shares)

    def _posterior(
        self, X: Any, y: Any, gate: Any, groups: Any, offset: Any, trials: Any
    ) -> tuple[Array, Array, Integers]:
        """Return probabilities (U, K) and log densities (U,) of units, and the unit of each row."""
        rows, covariates = self._rows(X, y, offset, trials, gate)
        n = len(rows[0])
        regression_data.check_response(self._response, rows[0], rows[2], y)
        units = np.arange(n) if groups is None else group_codes(groups, n, n)
        if covariates is not None:
            covariates = covariates[regression_data.first_rows(units)]
        rows = regression_data.ordered(units, *rows)
        data = self._data.of_new(rows, covariates, np.bincount(units))
        return *data.posterior(self._mixture), units
