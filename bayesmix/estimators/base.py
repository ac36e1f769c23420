"""Methods and attributes that all fitted estimators share, under scikit-learn's names."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    DensityMixin,
    TransformerMixin,
)

from bayesmix.core import validation
from bayesmix.core.mixture import Mixture
from bayesmix.core.random import root_seed
from bayesmix.core.rows import FLAT_FLOOR
from bayesmix.em.model import Model, Settings, WarmStarts
from bayesmix.em.progress import Reporter
from bayesmix.em.result import FitResult
from bayesmix.em.run import AMONG_CANDIDATES, Aitken, Change, Monitor
from bayesmix.estimators.attributes.fitted_methods import FittedMethods
from bayesmix.estimators.attributes.posterior_methods import PosteriorMethods
from bayesmix.estimators.inputs import incoming
from bayesmix.estimators.inputs.constraints import constrained
from bayesmix.estimators.inputs.given_trials import in_trials
from bayesmix.estimators.inputs.held_parameters import restricted
from bayesmix.estimators.inputs.missing_rows import refuse_gaps
from bayesmix.estimators.inputs.streams import last_mixture, same_prior, with_batch
from bayesmix.estimators.searching.fitters import fitter_of
from bayesmix.estimators.showing import Showing
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.search.events import warn_of_stop
from bayesmix.search.fit import fit
from bayesmix.selection.tree_starts import partitions_of_tree
from bayesmix.sources.memory import passed
from bayesmix.sources.survey_weights import weighted
from bayesmix.starts.given_starts import StartAt, StartFrom, WarmStart
from bayesmix.starts.named_starts import start_of
from bayesmix.starts.responsibilities import INIT_PARAMS, OTHER_STARTS, OfMixture

if TYPE_CHECKING:
    from bayesmix.core.engines import Stopping
    from bayesmix.core.sources import Source
    from bayesmix.em.start import Start
    from bayesmix.families.gaussian.prior import GaussianPosterior, NormalWishart
    from bayesmix.selection.tasks import Fitter


def describe_gaussian(estimator: Any, result: FitResult) -> None:
    """Set means_, covariances_, precisions_, precisions_cholesky_, and the parameters of q."""
    frame: Any = result.mixture.frame
    if frame.rest is not None:
        inside: Any = result.mixture.components
        estimator.means_ = frame.undo(inside.means)
        estimator.directions_ = frame.basis.copy()
        blocks = inside.structure.blocks.as_covariances(inside.plug_in().blocks)
        estimator.subspace_covariances_ = blocks
        estimator.noise_variance_ = frame.rest
        estimator.column_scales_ = frame.scale.copy()
        return
    components: Any = result.unframed
    estimator.means_ = components.means.copy()
    if result.family.name == "factor_analytic":
        model, loadings, noise = components.model, components.loadings, components.noise
        estimator.loadings_ = (loadings[0] if model.shared_loadings else loadings).copy()
        estimator.noise_variances_ = (noise[:, 0] if model.isotropic_noise else noise).copy()
        return
    structure = components.structure
    framed: Any = result.mixture.components
    root = structure.algebra.root_of_lifted(framed.blocks, result.mixture.frame, FLAT_FLOOR)
    estimator.covariances_ = structure.blocks.as_covariances(components.blocks)
    estimator.precisions_ = structure.blocks.as_covariances(structure.algebra.gram(root))
    estimator.precisions_cholesky_ = structure.blocks.as_covariances(root)
    if result.variational:
        describe_posterior(estimator, result, components)


def describe_posterior(estimator: Any, result: FitResult, q: GaussianPosterior) -> None:
    """Set the parameters of q and of the prior."""
    K = q.n_components
    freedom = q.precisions.degrees_of_freedom
    estimator.mean_precision_ = q.mean_precision.copy()
    # With missing values each column of "diag" has its own value, from its own observations.
    by_column = q.mean_precision.ndim == 2 and not q.structure.blocks.isotropic
    if not by_column:
        freedom = np.broadcast_to(freedom if freedom.ndim == 1 else freedom[:, 0], (K,))
    estimator.degrees_of_freedom_ = freedom.copy()
    prior = cast("NormalWishart", result.prior)
    estimator.mean_prior_ = prior.mean.copy()
    estimator.mean_precision_prior_ = float(q.prior_mean_precision)
    estimator.degrees_of_freedom_prior_ = float(prior.degrees_of_freedom)
    # E[S] under q for a learned scale, otherwise the given W0^-1.
    estimator.covariance_prior_ = q.structure.blocks.one_of(q.scale.mean)
    describe_weights(estimator, result)


def describe_weights(estimator: Any, result: FitResult) -> None:
    """Set weight_concentration_ and its prior, if the weights have a posterior."""
    weights: Any = result.mixture.weights
    concentration = getattr(result.inference.weights_prior, "concentration", None)
    if concentration is None:
        return
    estimator.weight_concentration_prior_ = float(concentration)
    if hasattr(weights, "first"):  # sticks
        estimator.weight_concentration_ = (weights.first.copy(), weights.rest.copy())
    else:
        estimator.weight_concentration_ = weights.concentration.copy()


# Set by validation of data; all other attributes that end in "_" are set by a fit.
OF_THE_ROWS = ("n_features_in_", "feature_names_in_")


class Transforming(ClassNamePrefixFeaturesOutMixin, TransformerMixin):  # type: ignore[misc]  # scikit-learn is untyped
    """``transform`` with names of its columns, and ``set_output`` for frames."""

    _fitted: Callable[[], FitResult]

    def transform(self, X: Any) -> Array:
        """Return ``predict_proba``, for pipelines; a frame after ``set_output``."""
        return self.predict_proba(X)

    @property
    def _n_features_out(self) -> int:
        result = self._fitted()
        return result.n_components + (result.mixture.noise is not None)


class MixtureEstimator(FittedMethods, PosteriorMethods, Transforming, DensityMixin, Showing):  # type: ignore[misc]  # scikit-learn is untyped
    """Abstract base of estimators, independent of the family."""

    result_: FitResult
    n_features_in_: int
    noun = "component"  # what a component is called
    hold: Any = None
    equal: Any = None
    spurious = "warn"

    @classmethod
    @cache  # scikit-learn inspects the signature for each clone
    def _get_param_names(cls) -> Any:
        return super()._get_param_names()

    @abstractmethod
    def _model(self) -> Model:
        """Return the model from checked parameters."""

    def _model_of(self, model: Model, source: Source) -> Model:
        """Return the model for given data."""
        return self._restricted(model, source)

    def _restricted(self, model: Model, source: Source) -> Model:
        """Return the model with parameters that are held or equal."""
        return restricted(model, source, self.hold, self.equal)

    @abstractmethod
    def _describe(self, result: FitResult) -> None:
        """Set the fitted attributes of this kind of model."""

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        labels: Any = None,
        groups: Any = None,
        covariates: Any = None,
        weight_type: str | None = None,
        trials: Any = None,
    ) -> Self:
        """Fit the mixture.

        Parameters
        ----------
        X : array, frame or source (n, D)
            Data, finite real numbers.
        y : ignored
            For pipelines.
        sample_weight : array (n,), optional
            Sample weights; weight 2 is the same as including the sample twice.
        weight_type : {None, "frequency", "sampling"}, optional
            "frequency": numbers of repetitions. "sampling": survey weights, of which only ratios
            matter; they are divided by their mean. None: as given, with a warning if they look like
            survey weights.
        labels : array (n,) or (n, K), optional
            Known components: integers, -1 or missing where unknown; or a boolean matrix of allowed
            components; or probabilities that multiply the mixing weights (Côme et al. 2009).
            Components keep the order of the labels, and ``log_likelihood_`` is that of X and the
            labels.
        groups : array (n,), optional
            Samples of a group share their component, as repeated measurements of a unit do.
        covariates : array or frame (n, P), optional
            Variables on which the mixing weights depend by a multinomial logistic regression
            (latent class regression), without a constant; ``gate_coefficients`` has the standard
            errors. Predictions then need ``covariates`` too. Maximum a posteriori and variational
            fits have a weak normal prior; the ELBO is then a lower bound that is not tight.
        trials : int or array (D,), (n,), (n, 1) or (n, D), optional
            For ``Mixture(family=bm.Binomial())``: X has numbers of successes in so many trials.
            Predictions then need ``trials`` too; methods without that argument take
            ``bm.Measured(X, trials=trials)`` as X.

        Raises
        ------
        ValueError
            If parameters or data are invalid; the estimator is then unchanged.

        Examples
        --------
        >>> import numpy as np
        >>> import bayesmix as bm
        >>> X = bm.datasets.load_faithful()
        >>> labels = np.full(len(X), -1)
        >>> labels[:4] = [1, 0, 1, 0]  # the first eruption is a long one
        >>> gm = bm.GaussianMixture(2, random_state=0).fit(X, labels=labels)
        >>> gm.means_.round(0)
        array([[ 2., 54.],
               [ 4., 80.]])
        """
        X = in_trials(self, X, trials)

        def rows(n_jobs: int | None) -> Source:
            given = X, sample_weight
            if sample_weight is not None or weight_type or hasattr(X, "weights"):
                given = weighted(X, sample_weight, weight_type)
            source = incoming.training_rows(self, *given, n_jobs)
            if labels is None and groups is None and covariates is None:
                return source
            return constrained(source, labels, groups, covariates)

        self._fit(rows)
        return self

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        batch: str | int | None = None,
        forgetting: float | None = None,
    ) -> Self:
        """Update the fit with one batch; only its sums are kept.

        The first batch is fitted as by ``fit``. It fixes the scales of the computation, the default
        prior and the largest number of components: a cluster that first appears later gets no
        component. Each further call runs an E-step on its batch and an M-step on the sums of all
        batches. Only the first batch can remove components (``prune``).

        ``elbo_`` is a bound on the evidence of all data so far. For point estimates the free energy
        (``lower_bound_``, per observation) is a bound on the log likelihood or log posterior.
        Bounds decrease only when new data arrive. ``log_likelihood_`` is NaN, because it needs all
        data.

        Parameters
        ----------
        X : array, frame or source (n, D)
            The first batch needs n_components x (D + 1) samples, preferably thousands from all
            clusters; later batches may have any size. After ``fit`` a new stream begins without
            the data of that fit, and a warning is given.
        y : ignored
        sample_weight : array (n,), optional
            Sample weights.
        batch : str or int, optional
            Name of a batch that may be passed again; its sums are then replaced. About K D²
            numbers are stored for a named batch, and none for one without a name.
        forgetting : float, optional
            For data that drift: the fraction of the earlier sums to discard now. The bound then
            refers to down-weighted data.

        Raises
        ------
        ValueError
            If the data are invalid; the estimator is then unchanged.

        Examples
        --------
        >>> import bayesmix as bm
        >>> X = bm.datasets.load_faithful()
        >>> vb = bm.BayesianGaussianMixture(n_components=4, random_state=0)
        >>> for lap in range(2):
        ...     for start in (0, 136):
        ...         vb = vb.partial_fit(X[start : start + 136], batch=start)
        >>> vb.n_components_, vb.result_.n_rows
        (2, 272)
        """
        with_batch(self, X, y, sample_weight, batch, forgetting)
        return self

    def score(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        covariates: Any = None,
        *,
        trials: Any = None,
    ) -> float:
        """Return the mean log density in nats, weighted if there are sample weights."""
        from bayesmix.posterior.predictive_sums import mean_log_density

        X = in_trials(self, X, trials)
        source = self._at_covariates(self._seen(X, sample_weight), covariates)
        return mean_log_density(self.result_, source)

    def predict_proba(self, X: Any, covariates: Any = None, *, trials: Any = None) -> Array:
        """Return probabilities of the components (n, K); with noise (n, K + 1), noise last.

        ``covariates`` and ``trials`` as in ``fit``, if that had them.
        """
        X = in_trials(self, X, trials)
        n_components = self._fitted().n_components
        return self._map(X, FitResult.probabilities, n_components, covariates)

    def predict(self, X: Any, covariates: Any = None, *, trials: Any = None) -> Integers:
        """Return the most probable component (n,), -1 for noise.

        ``covariates`` and ``trials`` as in ``fit``, if that had them.
        """
        X = in_trials(self, X, trials)
        return self._map(X, FitResult.labels, covariates=covariates)

    def fit_predict(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, trials: Any = None
    ) -> Integers:
        """Fit, and return the component (n,) of each sample."""
        X = in_trials(self, X, trials)
        return self.fit(X, y, sample_weight).predict(X)

    def _fit(
        self, rows: Callable[..., Source], warm_starts: WarmStarts = None, rough: bool = False
    ) -> None:
        """Fit in a number of threads; a candidate also starts from ``warm_starts``.

        A ``rough`` fit ends once little is left to gain.
        """
        with incoming.unchanged_on_error(self):
            model = self._model()
            if incoming.missing_of(self) == "use":
                refuse_gaps(model)
            source = rows(validation.jobs(self.n_jobs))
            model = self._model_of(model, source)
            settings = self._settings(model, source).among(warm_starts)
            settings = settings.roughly() if rough else settings
            per_row = 1.0 if model.inference.variational else source.total_weight
            interval = validation.integer("verbose_interval", self.verbose_interval, 1)
            progress = validation.one_of("progress", self.progress, (None, True, False))
            verbose, name = validation.verbosity(self.verbose), type(self).__name__
            reporter = Reporter(name, verbose, interval, progress, per_row, passed(source))
            validation.optional_integer("max_passes", self.max_passes, 1)
            if self.max_seconds is not None:
                validation.number("max_seconds", self.max_seconds, 0.0, strict=True)
            monitor = reporter.attach(Monitor(self.max_passes, self.max_seconds))
            with reporter:
                start = self._start(model, source, settings)
                result = fit(model, source, settings, monitor, start)
        self._adopt(result)
        reporter.finished(result.converged, self.lower_bound_)
        self._warn(result)

    @property
    def _reads_sources(self) -> bool:
        """Whether X may be a source: not if a subclass overrides ``fit``."""
        return type(self).fit is MixtureEstimator.fit

    def _fitter(self, X: Any, sample_weight: Any = None, source: Source | None = None) -> Fitter:
        return fitter_of(self, X, sample_weight, source)

    def _settings(self, model: Model, source: Source) -> Settings:
        """Return the settings of a fit from checked parameters."""
        n_init = validation.integer("n_init", self.n_init, 1)
        max_iter = validation.integer("max_iter", self.max_iter, 0)
        validation.one_of("search", self.search, ("auto", "short", None))
        validation.one_of("acceleration", self.acceleration, ("auto", None))
        change = validation.auto_or_number("tol", self.tol, 0.0)
        # Fits of a quick search stop earlier.
        stopping: Stopping = AMONG_CANDIDATES if self.search == "short" else Aitken()
        if change is not None:
            stopping = Change(change, per_row=not model.inference.variational)
        seed = root_seed(self.random_state)
        init = self._init(model, source, seed)
        warm = self._last_mixture(model, source) is not None
        as_given = warm or not isinstance(init, str) or self._explicit_parameters()
        return Settings(
            stopping=stopping,
            max_iter=max_iter,
            n_init=n_init if isinstance(init, str) else 1,
            init=init,
            search=self.search is not None and not as_given,
            moves=self.search == "auto",
            accelerate=self.acceleration == "auto" and isinstance(stopping, Aitken),
            seed=seed,
            sort=not as_given,
            partitions=partitions_of_tree,
            spurious=validation.one_of("spurious", self.spurious, ("warn", "allow")),
        )

    def _init(self, model: Model, source: Source, seed: int) -> Any:
        value = self.init_params
        if isinstance(value, str) or value is None:
            return validation.one_of("init_params", value, INIT_PARAMS, OTHER_STARTS)
        return start_of(value, source, model.n_components, model.noise is not None, seed)

    def _explicit_parameters(self) -> bool:
        """Whether starting parameters were given, which are then used without a search."""
        return False

    def _last_mixture(self, model: Model, source: Source) -> Mixture | None:
        """Return the mixture from which ``warm_start`` continues, if the model is the same."""
        if not (validation.flag("warm_start", self.warm_start) and hasattr(self, "result_")):
            return None
        return last_mixture(self.result_, model, source)

    def _start(self, model: Model, source: Source, settings: Settings) -> Start | None:
        """Return the start at the last fit or at given parameters; None is chosen in the fit.

        If data, structure or kind of prior have changed, a warm start uses the responsibilities of
        the last mixture.
        """
        warm = self._last_mixture(model, source)
        if warm is None:
            return None
        same_family = model.family == self.result_.family
        same = same_family and same_prior(self.result_, model, source, warm.frame)
        last: Start = StartAt(warm) if same else StartFrom(OfMixture(warm))
        return last if self.search is None else WarmStart(last)

    def _adopt(self, result: FitResult) -> None:
        for name in [name for name in vars(self) if name.endswith("_")]:
            if not name.startswith("_") and name not in OF_THE_ROWS:
                delattr(self, name)
        self.result_ = result
        self.n_features_in_ = result.n_features
        self.n_components_ = result.n_components
        self.n_parameters_ = result.n_parameters
        self.weights_ = result.mixture.mean_weights.copy()
        if any(event.kind == "truncated" for event in result.events):
            self.population_weights_ = self.weights_
            self.weights_ = result.counts / result.counts.sum()
        if result.mixture.noise is not None:
            self.noise_weight_ = result.mixture.noise.weight
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
        if result.side.design is not None:
            gate: Any = result.mixture.weights
            coefficients = result.side.design.in_units(gate.coefficients)
            self.gate_intercept_, self.gate_coef_ = coefficients[..., 0], coefficients[..., 1:]
        self._describe(result)

    def _warn(self, result: FitResult) -> None:
        if result.status != "converged":
            warn_of_stop(result.status, self)
