"""``HiddenMarkovModel``: sequences whose states are components of any family."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Self, cast

import numpy as np
from scipy.special import ndtri

from bayesmix.allocation.chain import DirichletChain, MarkovChain
from bayesmix.allocation.forward_backward import most_probable_paths
from bayesmix.allocation.states_of_rows import StatesOfRows, means_by_wave, shares_before_data
from bayesmix.core import validation
from bayesmix.core.nouns import part_names
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.random import Purpose, stream
from bayesmix.core.rows import SideInformation
from bayesmix.core.sources import Source
from bayesmix.data.coded_frames import decoded
from bayesmix.em.display import columns_of, html_table, sample_in_words
from bayesmix.em.model import Model, Settings
from bayesmix.em.result import FitResult
from bayesmix.em.start import Start
from bayesmix.errors import InvalidInputError, UndefinedError, UnsupportedError
from bayesmix.estimators.attributes.fitted_methods import information
from bayesmix.estimators.attributes.posterior_methods import arviz_draws, seed_of
from bayesmix.estimators.inputs import incoming
from bayesmix.estimators.inputs.constraints import at_covariates, constrained, standardised
from bayesmix.estimators.inputs.given_parameters import GivenParameters
from bayesmix.estimators.inputs.incoming import one_number, store_parameters
from bayesmix.estimators.mixture import Mixture
from bayesmix.estimators.searching.fitters import knowing_levels
from bayesmix.numerics.arrays import Array, Integers, is_elsewhere, quantiles
from bayesmix.numerics.device_arrays import host, like
from bayesmix.observation.measured import with_errors
from bayesmix.selection.pipelines import refuse_sequences
from bayesmix.sequences import sequence_data
from bayesmix.sequences.sequence_data import Forecast, GivenSequences
from bayesmix.sources.memory import ArraySource
from bayesmix.sources.room import few_enough
from bayesmix.starts.chain_starts import ChainStart
from bayesmix.starts.restricted_starts import components_known

# Waves whose shares of states the summary of a panel shows.
MOST_WAVES = 12
# Draws per state for predictive intervals and pseudo-residuals.
N_DRAWS = 20_000


def _criterion(name: str) -> Any:
    """Return the method of an information criterion, with the sequences of X."""

    def method(
        self: Any,
        X: Any = None,
        lengths: Any = None,
        groups: Any = None,
        covariates: Any = None,
        times: Any = None,
        exact_times: Any = None,
        sample_weight: Any = None,
    ) -> float:
        beside = {"lengths": lengths, "groups": groups, "sample_weight": sample_weight}
        beside |= {"times": times, "exact_times": exact_times}
        return information(self, name, X, covariates, **beside)

    method.__name__ = name
    method.__doc__ = getattr(Mixture, name).__doc__
    return method


class HiddenMarkovModel(GivenParameters, Mixture):
    """Hidden Markov model: a mixture whose component depends on that of the previous sample.

    Samples are in order of time, and several sequences follow each other. Families and inference
    methods are those of ``Mixture``: EM (Baum et al. 1970) or variational Bayes with Dirichlet
    priors of the transition probabilities (Beal 2003). Densities of single samples, their regions
    and figures (``density_interval``, ``marginal``, ``tail_probability``) refer to a random time,
    at which states have the stationary distribution.

    Parameters
    ----------
    n_components : int, default=1
        Number of states. ``MixtureSearch`` and ``select`` choose it.
    family, covariance_type, inference
        As in ``Mixture``.
    initial : {"free", "stationary"}, default="free"
        Distribution of the first state of a sequence: estimated, or the stationary distribution of
        the transition matrix or the rates (not with ``VariationalBayes``).
    transition_prior : float, optional
        For fits with a prior: Dirichlet concentration of the initial distribution and each row of
        the transition matrix; 1 by default.
    covariate_effects : {"first", "transitions", "all", "none"} or mapping, default="first"
        What depends on ``covariates``: first states, transitions (latent transition analysis), or
        both. With "all" first states depend on them only if there are more than two sequences for
        each coefficient, and covariates of first samples are not collinear: otherwise this effect
        is not determined. "none" ignores covariates. A mapping names the variables of each part:
        ``{"first": ["sex"], "transitions": ["stress", "wave"]}``; "wave" stands for transitions
        that differ between waves, and needs no column.
    covariate_timing : {"entered", "left"}, default="entered"
        Whose covariates a transition depends on: those of the sample that is entered, or of the
        one before it, that is left, as in depmixS4. With ``times`` rates depend on those of the
        sample that is left.
    missing : {"error", "use"}, default="error"
        "use": missing values are integrated out. A sample may have no observed value.
    n : {"auto", "rows", "persons"}, default="auto"
        What information criteria count. "auto": persons of a panel, whose samples have ``groups``
        with more persons than waves, and samples of other sequences. The penalty of few persons
        is small, so that BIC by "persons" does not choose the number of states of few series.
    n_init : int, default=10
        Number of quick starts; the best three are run to convergence.
    search : {"auto", "short"}, default="auto"
        "auto": also six random chains for each quick start (one for large data), and moves that
        split one state and remove another; "short": quick starts only.
    max_iter : int, default=1000
    random_state, tol, acceleration, max_passes, max_seconds, n_jobs, verbose, progress
        As in ``GaussianMixture``, as is ``verbose_interval``.
    hold : mapping of name to array, optional
        Parameters that keep these values, in the units of the data and NaN where they are free:
        "startprob" (K,), "transmat" (K, K) or, with ``times``, "generator" (K, K), whose diagonal
        is ignored; "means" and "covariances", "rates", or "probabilities". Values of fewer than K
        states are those of the first. Needs maximum likelihood. See the page on held parameters.
    equal : mapping of name to labels, optional
        Parameters that components share: ``{"means": [0, 0, 1]}`` for one mean of the first two. As
        in ``Mixture``, also single columns and, by rows (K, D) of labels, columns of a state.

    Attributes
    ----------
    startprob_ : array (K,)
        Distribution of the first state; posterior mean for variational fits; with covariates the
        average over the sequences of the fit.
    gate_coef_, gate_intercept_ : arrays (K, P), (K,)
        Log odds of each first state against that in row 0; only with covariates. Where transitions
        depend on them arrays (K + 1, K, P) and (K + 1, K): of first states, and of the states
        after each state; with ``times`` of logarithms of rates from each state.
    transmat_ : array (K, K)
        Probabilities of the transition from state i (row) to state j (column). Where they depend
        on covariates averages over the samples, weighted by the probability of having been in
        state i; ``transition_matrix`` returns those at given covariates.
    stationary_distribution_, weights_ : array (K,)
        Stationary probability of each state. States are sorted by this probability.
    expected_durations_ : array (K,)
        Expected number of consecutive samples in a state; with ``times`` the expected time.
    generator_ : array (K, K)
        Rates of transitions per unit of time, whose rows sum to 0; only with ``times``. Where they
        depend on covariates, those at the means of covariates; ``generator_at`` returns others.
        ``transmat_`` are then the transitions over the mean time between samples.
    means_, ...
        Parameters of the states, as in ``Mixture``.
    log_likelihood_, elbo_ : float
        Total, in nats; the bound for variational fits.
    result_ : FitResult

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> states = np.repeat([0, 1, 0, 1], 50)
    >>> X = rng.normal(3.0 * states, 1.0)[:, None]
    >>> hmm = bm.HiddenMarkovModel(2, random_state=0).fit(X)
    >>> hmm.transmat_.round(2)
    array([[0.99, 0.01],
           [0.02, 0.98]])
    """

    # Parameters of other estimators, fixed here.
    init_params = "kmeans"
    warm_start = prune = False
    noise = None
    noun = "state"
    _dependent_data = "sequences"

    def __init__(
        self,
        n_components: int = 1,
        *,
        family: Any = None,
        inference: Any = None,
        covariance_type: str | None = None,
        initial: str = "free",
        transition_prior: float | None = None,
        covariate_effects: Any = "first",
        covariate_timing: str = "entered",
        missing: str = "error",
        n: str = "auto",
        tol: str | float = "auto",
        max_iter: int = 1000,
        n_init: int = 10,
        search: str = "auto",
        random_state: Any = None,
        acceleration: str | None = "auto",
        max_passes: int | None = None,
        max_seconds: float | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        verbose_interval: int = 10,
        progress: bool | None = None,
        hold: Any = None,
        equal: Any = None,
    ) -> None:
        store_parameters(self, locals())

    def fit(  # type: ignore[override]  # sequences have no weights
        self,
        X: Any,
        y: Any = None,
        *,
        lengths: Any = None,
        groups: Any = None,
        covariates: Any = None,
        times: Any = None,
        exact_times: Any = None,
        sample_weight: Any = None,
    ) -> Self:
        """Fit the model to one or several sequences.

        Parameters
        ----------
        X : array, frame, source or Dask collection (n, D)
            Samples in order of time, sequence after sequence. If data are in parts, no sequence may
            cross parts.
        y : ignored
            For pipelines.
        lengths : sequence of int, optional
            Number of samples of each sequence; by default X is one sequence.
        groups : array (n,), optional
            Identifier of the sequence of each sample, instead of ``lengths``.
        covariates : array or frame (n_sequences, P) or (n, P), optional
            Variables on which the first state depends by a multinomial logistic regression; those
            of the samples of a sequence must be equal. With ``covariate_effects="transitions"`` or
            "all" they may vary, and transitions depend on them. Predictions then need
            ``covariates``. Not for variational fits. Maximum a posteriori fits have a weak normal
            prior.
        times : array (n,), optional
            Times of the samples, numbers or dates (in days), which increase within a sequence. The
            chain is then one in continuous time: transitions over a time Δ are exp(QΔ), where
            ``generator_`` Q has the rates. Logarithms of rates are linear in the covariates of the
            sample that is left, as in R's msm. Only with maximum likelihood.
        exact_times : array (n,) of bool, optional
            Which samples have the time at which the chain entered an absorbing state, such as
            deaths. Other states were entered at some time since the sample before. Needs ``times``,
            and a row of zeros of ``hold={"generator": ...}`` for each absorbing state.
        sample_weight : array (n_sequences,) or (n,), optional
            Weight of each sequence, such as the weight of a person in a survey, divided by its
            mean; weights of the samples of a sequence must be equal. Standard errors are then
            those of ``parameter_table(X, "sandwich", sample_weight=...)``.

        Returns
        -------
        self

        Raises
        ------
        InvalidInputError
            For lengths that do not sum to n, groups that are not contiguous, sequences across
            parts, sequences of one sample only, and times that do not increase; the estimator is
            then unchanged.
        """
        lengths = sequence_data.lengths_given(X, y, lengths)

        def rows(n_jobs: int | None) -> Source:
            validation.one_of("missing", self.missing, ("error", "use"))
            source = incoming.training_rows(self, X, None, n_jobs)
            ordered = sequence_data.sequences_to_fit(source, lengths, groups, self.n)
            if times is None:
                ordered = sequence_data.without_times(ordered, exact_times)
            else:
                ordered = sequence_data.at_times(ordered, times, exact_times)
            ordered = sequence_data.with_weights(ordered, sample_weight)
            used = self._used(covariates, ordered.side)
            return constrained(ordered, None, None, used, varying=self._of_transitions)

        self._fit(rows)
        return self

    @property
    def _of_transitions(self) -> bool:
        """Whether transitions depend on covariates."""
        return sequence_data.effects_of(self.covariate_effects)[0] in sequence_data.WHOLE

    def _used(self, covariates: Any, side: Any = None, design: Any = None) -> Any:
        """Return the covariates if they have an effect, else None.

        Those of sequences with ``side`` have indicators of waves, if these are named.
        """
        effects, timing = self.covariate_effects, self.covariate_timing
        if effects == "none":
            return None
        if side is None:
            return covariates
        return sequence_data.with_waves(covariates, effects, timing, side, design)

    def _model(self) -> Model:
        one_number(self)
        model = super()._model()
        inference: Any = model.inference
        if inference.weights is not None:
            raise InvalidInputError(
                "inference must not have a prior over weights: use transition_prior instead"
            )
        prior = sequence_data.chain_prior(
            inference, self.initial, self.covariate_effects, self.covariate_timing,
            self.transition_prior,
        )  # fmt: skip
        return replace(model, inference=replace(inference, weights=prior))

    def _start(self, model: Model, source: Source, settings: Settings) -> Start | None:
        at_hand = sequence_data.sequences_at_hand(cast("sequence_data.InSequences", source))
        if components_known(model, source.shape[1]):  # no other states can be found
            settings, free = replace(settings, n_init=1, moves=False), model
        else:
            free = replace(model, restriction=None)
            at_hand = cast("ArraySource", sequence_data.without_exact_times(at_hand))
        return ChainStart(free, at_hand, settings)

    def _describe(self, result: FitResult) -> None:
        super()._describe(result)
        chain = self._chain_of(result)
        self.startprob_ = chain.initial.copy()
        self.transmat_ = chain.transition.copy()
        self.stationary_distribution_ = chain.mean()
        weights: Any = result.mixture.weights
        with np.errstate(divide="ignore"):
            self.expected_durations_ = 1.0 / (1.0 - chain.transition.diagonal())
            if result.side.elapsed is not None:
                self.generator_ = weights.rates / result.side.elapsed.unit
                self.expected_durations_ = 1.0 / np.abs(self.generator_.diagonal())
        if isinstance(weights, DirichletChain):
            self.startprob_concentration_ = weights.initial.copy()
            self.transmat_concentration_ = weights.transitions.copy()

    def _chain_of(self, result: FitResult) -> MarkovChain:
        return cast("MarkovChain", result.mixture.weights.averaged())

    def _fitter(self, X: Any, sample_weight: Any = None, source: Any = None) -> Any:
        if source is None or source.side.begins is None:
            refuse_sequences(self)
        mixture: Any = knowing_levels(self, source)
        return sequence_data.SequenceFitter(mixture, source.with_jobs(validation.jobs(self.n_jobs)))

    @property
    def _without_transitions(self) -> Mixture:
        """The mixture of the same samples without their order, as a candidate of a search."""
        names = set(Mixture().get_params()) & set(self.get_params())
        mixture = Mixture(**{name: getattr(self, name) for name in names})
        mixture.set_params(prune=False, search="short", n_init=1)
        inference: Any = self._model().inference
        if inference.variational:
            weights = inference.weights.of_row
            mixture.set_params(inference=replace(self.inference, weights=weights))
        return mixture

    # Not supported for sequences.

    def _map(self, *arguments: Any, **options: Any) -> Any:
        raise UnsupportedError("this method does not support sequences: use predict_proba")

    @property
    def partial_fit(self) -> Any:
        """No attribute, as sequences need all their samples at once."""
        raise AttributeError

    def __getattr__(self, name: str) -> Any:
        if name == "partial_fit":
            raise UndefinedError("partial_fit does not support sequences: use fit")
        return super().__getattr__(name)

    def impute(self, *arguments: Any, **options: Any) -> Any:
        """Raise an error, as missing values depend on the whole sequence."""
        raise UnsupportedError(
            "impute does not support sequences: the mean of a missing sample is predict_proba(X) "
            "@ means_"
        )

    def assignment_interval(self, *arguments: Any, **options: Any) -> Any:
        """Raise an error, as states depend on the whole sequence."""
        raise UnsupportedError(
            "assignment_interval does not support sequences: use predict_proba, or the draws of "
            "bayesmix.gibbs"
        )

    # Predictions

    def _seen(  # type: ignore[override]  # of sequences
        self,
        X: Any,
        lengths: Any = None,
        groups: Any = None,
        in_parts: bool = False,
        times: Any = None,
        exact_times: Any = None,
        sample_weight: Any = None,
    ) -> Source:
        """Return checked sequences in memory; with ``in_parts``, data in parts are left there."""
        source = super()._seen(X)
        source = source if in_parts and not is_elsewhere(X) else source.in_memory()
        ordered = sequence_data.in_sequences(source, lengths, groups)
        ordered = sequence_data.counting_persons(ordered, self.result_.side.of_persons)
        timed = self._timed(ordered, times, exact_times)
        return cast("Source", sequence_data.with_weights(timed, sample_weight))

    def _at_covariates(self, source: Source, covariates: Any) -> Source:
        result = self._fitted()
        used = self._used(covariates, cast("Any", source).side, result.side.design)
        return at_covariates(source, result, used, self._of_transitions)

    def _sequences(self, X: Any, given: GivenSequences) -> ArraySource:
        """Return sequences with their covariates and times."""
        times = {"times": given.times, "exact_times": given.exact_times}
        source = self._seen(X, given.lengths, given.groups, **times)
        return cast("ArraySource", self._at_covariates(source, given.covariates))

    def _timed(self, source: Any, times: Any, exact_times: Any = None) -> Any:
        """Return sequences with the times of their samples, if any are given."""
        if times is None:
            return sequence_data.without_times(source, exact_times)
        elapsed = self._fitted().side.elapsed
        if elapsed is None:
            raise InvalidInputError("times must be left out: the fit had none")
        return sequence_data.at_times(source, times, exact_times, elapsed.unit)

    def _in_parts(self, X: Any, given: GivenSequences) -> Source:
        side = self._fitted().side
        timed = given.times is not None or given.exact_times is not None
        plain = self._used(given.covariates) is None and not timed
        if plain and side.design is None and side.elapsed is None:
            return self._seen(X, given.lengths, given.groups, in_parts=True)
        return self._sequences(X, given)

    def _states(self, **options: Any) -> StatesOfRows:
        result = self._fitted()
        states: Any = replace(result.density, weights=cast("Any", self._chain_of(result)))
        return StatesOfRows(states, result.family.continuous, **options)

    def _chained(self, X: Any, *given: Any, smooth: bool = True) -> Array:
        """Return ``StatesOfRows`` (n, K + 1) of all samples, in the array library of X.

        ``given``: as ``GivenSequences``.
        """
        step, n_components = self._states(smooth=smooth), self._fitted().n_components
        source = few_enough(self._in_parts(X, GivenSequences(*given)), n_components + 1)
        with single_threaded_blas():
            return cast("Array", like(source.map(step, n_components), X))

    def predict_proba(  # type: ignore[override]  # of sequences
        self, X: Any, lengths: Any = None, groups: Any = None, covariates: Any = None,
        times: Any = None, exact_times: Any = None,
    ) -> Array:  # fmt: skip
        """Return the probability of each state given the whole sequence (n, K)."""
        return self._chained(X, lengths, groups, covariates, times, exact_times)[:, :-1]

    def responsibilities(  # type: ignore[override]  # of sequences
        self, X: Any, lengths: Any = None, groups: Any = None, covariates: Any = None,
        times: Any = None, exact_times: Any = None,
    ) -> Array:  # fmt: skip
        """Return ``predict_proba``."""
        return self.predict_proba(X, lengths, groups, covariates, times, exact_times)

    def filter_proba(
        self, X: Any, lengths: Any = None, groups: Any = None, covariates: Any = None,
        times: Any = None, exact_times: Any = None,
    ) -> Array:  # fmt: skip
        """Return the probability of each state given the sequence up to the sample (n, K)."""
        return self._chained(X, lengths, groups, covariates, times, exact_times, smooth=False)[
            :, :-1
        ]

    def predict(  # type: ignore[override]  # of sequences
        self,
        X: Any,
        lengths: Any = None,
        groups: Any = None,
        covariates: Any = None,
        times: Any = None,
        exact_times: Any = None,
        *,
        algorithm: str = "smoothing",
    ) -> Integers:
        """Return the state of each sample (n,).

        Parameters
        ----------
        X, lengths, groups, covariates, times, exact_times
            As in ``fit``.
        algorithm : {"smoothing", "viterbi"}, default="smoothing"
            The most probable state of each sample, or the most probable path of each sequence.
        """
        validation.one_of("algorithm", algorithm, ("smoothing", "viterbi"))
        if algorithm == "smoothing":
            given = (lengths, groups, covariates, times, exact_times)
            states = host(self.predict_proba(X, *given)).argmax(axis=1)
            return cast("Integers", like(states, X))
        source = self._sequences(X, GivenSequences(lengths, groups, covariates, times, exact_times))
        chain = self._chain_of(self._fitted())
        initial = chain.first_states(source.side)
        joint = self._states().log_densities(source.rows)
        moves = chain.transitions_at(source.side)
        paths = most_probable_paths(joint, source.side.starts, initial, moves)
        return cast("Integers", like(paths, X))

    def fit_predict(  # type: ignore[override]  # of sequences
        self,
        X: Any,
        y: Any = None,
        *,
        lengths: Any = None,
        groups: Any = None,
        covariates: Any = None,
        times: Any = None,
        exact_times: Any = None,
        sample_weight: Any = None,
    ) -> Integers:
        """Fit, and return the most probable state of each sample (n,)."""
        lengths = sequence_data.lengths_given(X, y, lengths)
        beside = {"lengths": lengths, "groups": groups, "covariates": covariates}
        beside["sample_weight"] = sample_weight
        self.fit(X, **beside, times=times, exact_times=exact_times)
        return self.predict(X, lengths, groups, covariates, times, exact_times)

    def score_samples(  # type: ignore[override]  # of sequences
        self, X: Any, lengths: Any = None, groups: Any = None, covariates: Any = None,
        times: Any = None, exact_times: Any = None,
    ) -> Array:  # fmt: skip
        """Return the log density of each sample given those before it (n,), in nats."""
        return self._chained(X, lengths, groups, covariates, times, exact_times, smooth=False)[
            :, -1
        ]

    def score(  # type: ignore[override]  # of sequences
        self,
        X: Any,
        y: Any = None,
        *,
        lengths: Any = None,
        groups: Any = None,
        covariates: Any = None,
        times: Any = None,
        exact_times: Any = None,
    ) -> float:
        """Return the mean log density of the samples, in nats per observation."""
        lengths = sequence_data.lengths_given(X, y, lengths)
        source = self._in_parts(X, GivenSequences(lengths, groups, covariates, times, exact_times))
        return self._states().mean_log_density(source)

    bic, aic, aicc, icl = map(_criterion, ("bic", "aic", "aicc", "icl"))

    def to_arviz(
        self,
        X: Any = None,
        n_draws: int = 1000,
        random_state: Any = None,
        lengths: Any = None,
        groups: Any = None,
    ) -> Any:
        """Return posterior draws as ``Mixture.to_arviz``, with ``startprob`` and ``transmat``.

        Log likelihoods are those of samples given the samples before them.
        """
        seen = partial(self._sequences, given=GivenSequences(lengths, groups))
        return arviz_draws(self, X, n_draws, random_state, seen)

    def parameter_table(
        self,
        X: Any,
        standard_errors: str = "information",
        *,
        lengths: Any = None,
        groups: Any = None,
        covariates: Any = None,
        times: Any = None,
        exact_times: Any = None,
        **options: Any,
    ) -> Any:
        """Return first states, transitions, and parameters of the states with standard errors.

        ``X`` are the data of a maximum likelihood fit; its sequences, covariates and times may be
        left out. ``standard_errors`` and ``options`` are as in ``Mixture``; "sandwich" and
        "bootstrap" are by sequence.
        """
        self._check_of_fit(GivenSequences(lengths, groups, covariates, times, exact_times))
        return super().parameter_table(X, standard_errors, **options)

    def gate_coefficients(
        self,
        X: Any,
        *arguments: Any,
        lengths: Any = None,
        groups: Any = None,
        covariates: Any = None,
        times: Any = None,
        exact_times: Any = None,
        **options: Any,
    ) -> Any:
        """Return coefficients of covariates as ``Mixture``, in log odds, or log rates with times.

        ``X`` are the data of the fit; its sequences, covariates and times may be left out.
        """
        self._check_of_fit(GivenSequences(lengths, groups, covariates, times, exact_times))
        return super().gate_coefficients(X, *arguments, **options)

    def _check_of_fit(self, given: GivenSequences) -> None:
        """Raise an error for other sequences, covariates or times than those of the fit."""
        side = self._fitted().side
        if side.begins is None:
            return
        begins = side.begins
        if given.lengths is not None or given.groups is not None:
            begins = sequence_data.starts_of_sequences(given.lengths, given.groups, len(begins))
        name = "groups" if given.lengths is None else "lengths"
        of_fit: dict[str, Any] = {name: (begins, side.begins)}
        rows: Any = ArraySource(np.zeros((len(begins), 1)), side=SideInformation(begins=begins))
        if self._used(given.covariates) is not None:
            table = cast("ArraySource", self._at_covariates(rows, given.covariates)).side.covariates
            of_fit["covariates"] = table, side.covariates
        if given.times is not None:
            elapsed = self._timed(rows, given.times, given.exact_times).side.elapsed
            of_fit["times"] = elapsed.between, cast("Any", side.elapsed).between
        for name, values in of_fit.items():
            if not np.allclose(*values):
                raise InvalidInputError(f"{name} must be those of the fit, or left out")

    def transition_matrix(
        self, covariates: Any = None, X: Any = None, level: float = 0.95, elapsed: Any = None,
        *, lengths: Any = None, groups: Any = None, sample_weight: Any = None,
    ) -> Any:  # fmt: skip
        """Return the probabilities of transitions, at given covariates or averaged.

        Parameters
        ----------
        covariates : array or frame (m, P), optional
            Covariates of m transitions: those of the sample that is entered, or left, as in the
            fit. None: averages over the samples of the fit, ``transmat_``.
        X : array or frame (n, D), optional
            The data of a maximum likelihood fit, for standard errors.
        level : float, default=0.95
            Level of the intervals, which are computed on log odds.
        elapsed : float or array (m,), optional
            Times over which transitions take place, of a fit with ``times``; by default the mean
            time between samples.
        lengths, groups : optional
            Sequences of the fit, which may be left out.
        sample_weight : array, optional
            Weights of the fit, for standard errors, which are then those of the sandwich.

        Returns
        -------
        array (m, K, K) or (K, K), or DataFrame
            Probabilities from state i (row) to state j (column). With ``X`` a table of
            ``estimate``, ``standard_error``, ``lower`` and ``upper`` by row of the covariates and
            states.

        Examples
        --------
        >>> import numpy as np, bayesmix as bm
        >>> rng = np.random.default_rng(0)
        >>> warm, state = rng.normal(size=500), [0]
        >>> for z in warm[1:]:
        ...     state.append(int(rng.random() < 1 / (1 + np.exp(3 - 6 * state[-1] - z))))
        >>> X = rng.normal(4.0 * np.array(state))[:, None]
        >>> hmm = bm.HiddenMarkovModel(2, covariate_effects="transitions", random_state=0)
        >>> hmm = hmm.fit(X, covariates=warm)
        >>> hmm.transition_matrix([[-2.0], [2.0]]).shape
        (2, 2, 2)
        """
        result = self._fitted()
        self._check_of_fit(GivenSequences(lengths, groups))
        if elapsed is not None:
            if X is not None:
                raise UnsupportedError("elapsed has no standard errors: leave out X")
            return self._moves_over(elapsed, self._moves_design(covariates))
        if X is not None:
            from bayesmix.sequences.transition_errors import transition_table

            design = self._moves_design(covariates)
            return transition_table(self, X, design, level, sample_weight)
        if covariates is None:
            return self.transmat_.copy()
        chain: Any = self._chain_of(result)
        return chain.transitions_of(self._moves_design(covariates))

    def state_shares(self, sample_weight: Any = None) -> Any:
        """Return the share of the persons of the fit in each state at each wave, as a DataFrame.

        These are the class proportions of latent transition analysis, averages over the sequences
        of the fit, by default with equal weights. ``stationary_distribution_`` has the shares in
        the long run.

        Examples
        --------
        >>> import numpy as np, bayesmix as bm
        >>> X = np.tile([[0.0], [5.0], [5.2], [0.1], [5.1], [4.9]], (20, 1))
        >>> hmm = bm.HiddenMarkovModel(2, random_state=0).fit(X, groups=np.repeat(range(40), 3))
        >>> hmm.state_shares().round(2)
                state 1  state 2
        wave 1      0.0      1.0
        wave 2      1.0      0.0
        wave 3      1.0      0.0
        """
        import pandas as pd

        result = self._fitted()
        chain, side = self._chain_of(result), result.side
        if side.begins is None:
            raise UndefinedError("state_shares needs a fit to sequences: use startprob_")
        shares = shares_before_data(chain, side)
        rows: Any = ArraySource(np.zeros((len(shares), 1)), side=side)
        weighted: Any = sequence_data.with_weights(rows, sample_weight)
        weights = weighted.rows.weights_or_ones
        means = means_by_wave(shares, side, weights)
        states = part_names("state", means.shape[1])
        return pd.DataFrame(means, part_names("wave", len(means)), states)

    def generator_at(self, covariates: Any) -> Array:
        """Return the rates (m, K, K) of transitions per unit of time at covariates (m, P)."""
        result = self._fitted()
        if result.side.elapsed is None:
            raise InvalidInputError("generator_at needs a fit with times")
        chain: Any = self._chain_of(result)
        design = self._moves_design(covariates)
        if design is None:
            raise InvalidInputError("covariates must have one row or more: or use generator_")
        return np.asarray(chain.rates_of(design) / result.side.elapsed.unit)

    def _moves_over(self, elapsed: Any, design: Array | None = None) -> Array:
        """Return the transitions (m, K, K) over times, with a design (m, P) at covariates."""
        result = self._fitted()
        chain: Any = self._chain_of(result)
        if result.side.elapsed is None:
            raise InvalidInputError("elapsed must be left out: the fit had no times")
        spans: Array = np.atleast_1d(np.asarray(elapsed, dtype=np.float64))
        if spans.ndim != 1 or not (np.isfinite(spans) & (spans >= 0.0)).all():
            raise InvalidInputError(f"elapsed must be times of at least 0, got {elapsed!r:.60}")
        spans = spans / result.side.elapsed.unit
        if design is None:
            moves = chain.transitions_over(spans)
        else:
            if len(spans) not in (1, len(design)):
                raise InvalidInputError(
                    f"elapsed must be one time, or one for each of the {len(design)} rows of "
                    f"covariates, got {len(spans)} times"
                )
            moves = chain.transitions_over(np.broadcast_to(spans, len(design)), design)
        one = design is None and not np.ndim(elapsed)
        return np.asarray(moves[0]) if one else moves

    def _moves_design(self, covariates: Any) -> Array | None:
        """Return the design (m, P) of transitions at covariates; None for averages."""
        if covariates is None:
            return None
        design: Any = self._fitted().side.design
        if design is None or not self._of_transitions:
            raise InvalidInputError(
                "covariates must be left out: transitions of this fit do not depend on any"
            )
        given: Any = covariates if hasattr(covariates, "shape") else np.asarray(covariates)
        if "wave" in getattr(given, "columns", ()) and "wave" not in design.names:
            waves = [name for name in design.names if name.startswith("wave ")]
            given = given.assign(**{name: 1.0 * (given["wave"] == int(name[5:])) for name in waves})
            given = given.drop(columns="wave")
        return standardised("covariates", given, len(given), design)

    def forecast(
        self,
        X: Any,
        steps: int = 1,
        level: float = 0.9,
        covariates: Any = None,
        future_covariates: Any = None,
        times: Any = None,
        future_times: Any = None,
    ) -> Forecast:
        """Return states and values of the samples that follow one sequence.

        Parameters
        ----------
        X : array or frame (n, D)
            One sequence, up to the present.
        steps : int, default=1
            Number of samples ahead.
        level : float, default=0.9
            Probability of the central predictive interval of each column. Means and intervals of
            categorical columns are NaN.
        covariates : array or frame (1, P) or (n, P), optional
            Covariates of the sequence, as in ``fit``.
        future_covariates : array or frame (steps, P), optional
            Covariates of the samples ahead, where transitions depend on them.
        times, future_times : arrays (n,) and (steps,), optional
            Times of the sequence and of the samples ahead, of a fit with ``times``.
        """
        steps = validation.integer("steps", steps, 1)
        if not 0.0 < validation.number("level", level, 0.0, strict=True) < 1.0:
            raise InvalidInputError(f"level must be between 0 and 1, got {level}")
        result = self._fitted()
        chain: Any = self._chain_of(result)
        design = self._design_ahead(steps, covariates, future_covariates)
        if result.side.elapsed is not None:
            moves = self._moves_over(self._spans_ahead(steps, times, future_times), design)
        elif design is not None:
            moves = chain.transitions_of(design)
        else:
            moves = np.broadcast_to(chain.transition, (steps, *chain.transition.shape))
        present = self.filter_proba(X, covariates=covariates, times=times)[-1]
        shares = np.empty((steps, len(present)))
        for step in range(steps):
            shares[step] = present = present @ moves[step]
        values = np.concatenate(self._draws_by_state(seed_of(self, None)))
        tails = 0.5 * (1.0 - level), 0.5 * (1.0 + level)
        bounds = np.empty((2, steps, values.shape[1]))
        for step, column in np.ndindex(bounds.shape[1:]):
            weights = np.repeat(shares[step], N_DRAWS)
            bounds[:, step, column] = quantiles(values[:, column], weights, tails)
        mean = shares @ result.unframed.plug_in().means
        nominal = self._categorical_columns()
        mean[:, nominal] = bounds[:, :, nominal] = np.nan
        names = result.columns or tuple(f"x{column}" for column in range(mean.shape[1]))
        return Forecast(shares, mean, bounds[0], bounds[1], level, names)

    def _spans_ahead(self, steps: int, times: Any, future: Any) -> Array:
        """Return the times between the samples that follow a sequence."""
        if times is None or future is None or np.shape(future) != (steps,):
            raise InvalidInputError(
                f"times and future_times, one for each of the {steps} steps ahead, are needed: the "
                "fit had times"
            )
        last = sequence_data.times_as_numbers(times)[-1:]
        spans: Any = np.diff(np.append(last, sequence_data.times_as_numbers(future)))
        if not (spans > 0).all():
            raise InvalidInputError("future_times must increase, and follow times")
        return np.asarray(spans, dtype=np.float64)

    def _design_ahead(self, steps: int, past: Any, future: Any) -> Array | None:
        """Return the design (steps, P) of transitions to the samples that follow a sequence.

        None if transitions do not depend on covariates.
        """
        result = self._fitted()
        if not self._of_transitions:
            if self._used(future) is not None:
                raise InvalidInputError(
                    "future_covariates must be left out: transitions do not depend on covariates"
                )
            return None
        if future is None or len(future) != steps:
            raise InvalidInputError(
                f"future_covariates must have a row for each of the {steps} steps ahead, as "
                "transitions depend on covariates, got "
                f"{'none' if future is None else f'{len(future)} rows'}"
            )
        design = self._moves_design(future)
        assert design is not None
        if result.side.elapsed is None and self.covariate_timing == "entered":
            return design
        if past is None:
            raise InvalidInputError("covariates of the sequence are needed: give covariates=")
        last = self._moves_design(past)
        assert last is not None
        return np.vstack([last[-1:], design[:-1]])

    def _categorical_columns(self) -> Integers:
        """Return the columns whose codes have no order."""
        coding = self._fitted().family.coding
        levels = () if coding is None else coding.levels
        return np.array([d for d, of_d in enumerate(levels) if of_d is not None], dtype=np.intp)

    def _draws_by_state(self, seed: int) -> Array:
        """Return draws (K, S, D) of the values in each state."""
        density = self._fitted().density
        counts = np.full(density.n_components, N_DRAWS)
        values = density.drawn(counts, stream(seed, Purpose.SAMPLE))
        return values.reshape(len(counts), N_DRAWS, -1)

    def pseudo_residuals(
        self, X: Any, lengths: Any = None, groups: Any = None, covariates: Any = None,
        times: Any = None, exact_times: Any = None,
    ) -> Array:  # fmt: skip
        """Return normal pseudo-residuals (n, D), standard normal if the model is correct.

        They compare each value with its distribution given the samples before it; for counts the
        middle of the jump is taken (Zucchini, MacDonald & Langrock 2016, ch. 6). Distributions are
        estimated from 20,000 draws per state. Residuals of missing values and categorical columns
        are NaN.
        """
        given = GivenSequences(lengths, groups, covariates, times, exact_times)
        source = self._sequences(X, given)
        filtered = self.filter_proba(X, *given)
        predicted = self._states().predicted(filtered, source.rows)
        values = np.asarray(source.values, dtype=np.float64)
        draws = np.sort(self._draws_by_state(seed_of(self, None)), axis=1)
        residuals = np.full(values.shape, np.nan)
        for column in range(values.shape[1]):
            observed = ~np.isnan(values[:, column])
            reached = np.zeros(observed.sum())
            for k, shares in enumerate(predicted[observed].T):
                for side in ("left", "right"):
                    below = np.searchsorted(draws[k, :, column], values[observed, column], side)
                    reached += 0.5 * shares * below / N_DRAWS
            rarest = 0.5 / N_DRAWS
            residuals[observed, column] = ndtri(reached.clip(rarest, 1.0 - rarest))
        residuals[:, self._categorical_columns()] = np.nan
        return residuals

    def sample(  # type: ignore[override]
        self,
        n_samples: int = 1,
        random_state: Any = None,
        error: Any = None,
        covariates: Any = None,
        times: Any = None,
    ) -> tuple[Array, Integers]:
        """Draw one sequence (n, D), and its states (n,).

        ``random_state`` None uses the estimator's own; ``error`` adds errors of measurement.
        ``covariates`` are those of the sequence, (1, P) or (n, P), for fits that had some. None:
        first states and transitions are averages over the samples of the fit. ``times`` (n,) are
        those of the samples, of a fit with times; None: the mean time between samples.
        """
        result = self._fitted()
        n = validation.integer("n_samples", n_samples, 1)
        generator = stream(seed_of(self, random_state), Purpose.SAMPLE)
        chain, density = self._chain_of(result), result.density
        initial, moves = chain.initial, chain.transition
        if covariates is not None or times is not None:
            begins = np.arange(n) == 0
            rows: Any = ArraySource(np.zeros((n, 1)), side=SideInformation(begins=begins))
            if times is None and result.side.elapsed is not None:
                times = np.arange(n) * result.side.elapsed.unit
            rows = self._timed(rows, times)
            side = cast("ArraySource", self._at_covariates(rows, covariates)).side
            initial, moves = chain.first_states(side), chain.transitions_at(side)
        reached = np.broadcast_to(np.cumsum(moves, axis=-1), (n, *moves.shape[-2:]))
        uniform = generator.random(n)
        states = np.empty(n, dtype=np.intp)
        last = np.cumsum(np.atleast_2d(initial)[0])
        for step in range(n):
            if step:
                last = reached[step, states[step - 1]]
            states[step] = min(np.searchsorted(last, uniform[step], side="right"), len(last) - 1)
        counts = np.bincount(states, minlength=len(last))
        drawn = density.drawn(counts, generator)
        values = np.empty_like(drawn)
        values[np.argsort(states, kind="stable")] = drawn
        if error is not None:
            values = with_errors(values, error, generator)
        return decoded(result.family, values), states

    # Looking

    def summary(self) -> str:
        """Return a summary of the fit: states, transition probabilities, expected durations.

        Of a panel it has the shares of the states at each wave.
        """
        table = columns_of([*self._transition_table()], 1)
        result = self._fitted()
        elapsed = result.side.elapsed
        over = "" if elapsed is None else f" over a time of {elapsed.unit:.3g}"
        head = f"Transition probabilities{over} and expected durations:"
        lines = [super().summary(), head, *table]
        if result.side.of_persons and int(result.side.waves.max()) < MOST_WAVES:
            shares = self.state_shares()
            cells = [(wave, *(f"{share:.3f}" for share in row)) for wave, *row in
                     shares.itertuples()]  # fmt: skip
            lines += ["Shares of the states by wave:", *columns_of([("", *shares), *cells], 1)]
        if result.side.begins is not None:
            lines.append(f"Information criteria count {sample_in_words(result)}.")
        return "\n".join(lines)

    def _transition_table(self) -> Iterator[tuple[str, ...]]:
        self._fitted()
        K = len(self.transmat_)
        yield ("from", *(f"to {k + 1}" for k in range(K)), "expected duration")
        for k, (row, duration) in enumerate(
            zip(self.transmat_, self.expected_durations_, strict=True)
        ):
            yield (str(k + 1), *(f"{value:.3f}" for value in row), f"{duration:.3g}")

    def _answer_html(self) -> str:
        head, *rows = self._transition_table()
        return super()._answer_html() + html_table(head, rows, [0.0] * len(rows))

    def plot(self, X: Any = None, ax: Any = None, **options: Any) -> Any:
        """Plot the states of a sequence over time; without X the transition graph."""
        from bayesmix.sequences.state_plots import plot_states, plot_transitions

        self._fitted()
        return plot_transitions(self, ax) if X is None else plot_states(self, X, ax=ax, **options)
