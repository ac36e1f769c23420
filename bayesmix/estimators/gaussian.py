"""``GaussianMixture``: maximum likelihood or maximum a posteriori; scikit-learn's and ours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.utils.validation import check_is_fitted

from bayesmix.allocation.point import FreeWeights, PointWeights
from bayesmix.core import validation
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Frame
from bayesmix.em.model import Model, Settings, resolve, working_frame
from bayesmix.em.objectives import MaximumLikelihood
from bayesmix.em.result import DensitySums, FitResult
from bayesmix.em.run import Monitor, run
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.estimators.base import MixtureEstimator
from bayesmix.estimators.fitted_attributes import FormedOnRequest, describe_gaussian
from bayesmix.estimators.parameters import family_of, noise_density, store_parameters
from bayesmix.families.gaussian.covariance.models import NAMED, SCIKIT_LEARNS, STRUCTURES
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.gaussian.point import Gaussians
from bayesmix.numerics.arrays import Array
from bayesmix.search.starts import begun
from bayesmix.version import versions

if TYPE_CHECKING:
    from bayesmix.core.priors import Weights
    from bayesmix.core.sources import Source


class GaussianMixture(MixtureEstimator):
    """Gaussian mixture by EM, with several starts and detection of degenerate components.

    Replaces scikit-learn's class of the same name; the parameters after ``verbose_interval`` are
    additional.

    Parameters
    ----------
    n_components : int, default=1
        Number of components.
    covariance_type : str or FactorAnalytic, default="full"
        "full": each component has its own matrix; "tied": all components share one matrix;
        "diag": each component has a variance for each feature; "spherical": each component has one
        variance. Also the fourteen models of mclust, such as "EII", "VEE" or "EVE", and
        ``FactorAnalytic(q)`` for many features. See the page on covariance models.
    tol : "auto" or float, default="auto"
        "auto" stops when the estimated remaining gain is below 1e-9 nats per observation (1e-6 with
        ``search="short"``). A number is a threshold for the change of the mean log likelihood, as
        in scikit-learn.
    reg_covar : "auto" or float, default="auto"
        "auto" adds nothing; degenerate components are detected instead. A number is added to every
        variance, in data units.
    max_iter : int, default=100
        Largest number of iterations of the final run. Below 10 there is no search or acceleration;
        0 returns the start.
    n_init : int, default=1
        Number of independent runs, each with its own search. The best is returned.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}, array or callable
        Start of the fit. The names are used only with ``search=None``, because a search makes its
        own starts. Responsibilities (n, K), labels (n,), or a function of (X, K, generator) that
        returns either, are used without a search, and components are then not sorted.
    weights_init, means_init, precisions_init : arrays, optional
        Starting parameters, as in scikit-learn; they are used without a search.
    random_state : None, int, RandomState or Generator
        Results with the same seed do not depend on the number of threads.
    warm_start : bool, default=False
        Continue from the last result, or from its responsibilities if data, structure or priors
        have changed. Unless ``search=None``, one fresh quick start is compared with it, and the
        better continues. A different number of components or features starts a new fit.
    verbose, verbose_interval : int
        Print progress lines, as scikit-learn does.
    prior : None, "auto" or GaussianPrior, default=None
        None is maximum likelihood. "auto" is a weak prior on the scale of the data, which prevents
        singular covariances; the fit is then the joint posterior mode of weights, means and
        covariances.
    weight_concentration_prior : float, optional
        Dirichlet concentration (at least 1, default 1) of a maximum a posteriori fit.
    search : "auto", "short" or None, default="auto"
        "auto": several starts and split-and-merge moves; "short": the starts only; None: one start.
    acceleration : "auto" or None, default="auto"
        Anderson acceleration, which never decreases the objective ("auto": if tol is "auto").
    max_passes, max_seconds : optional
        Limits for the whole fit. Results with a time limit are not reproducible.
    n_jobs : int, optional
        Number of threads, which does not change results; None: all available cores.
    progress : None or bool, default=None
        Whether to show a progress bar; None: in a terminal or notebook, after one second.
    noise : None, bool, "uniform" or density, default=None
        A fixed density for outliers, which have label -1. ``n_components`` does not count it.
        "uniform" (or True) is the uniform density on a box around the data, along the features or
        the principal axes, whichever is smaller (as in mclust). A density is a fitted estimator
        with ``score_samples``, or a function that returns log densities.
    missing : {"error", "use", "drop"}, default="error"
        Treatment of missing values: raise an error; use the observed values of each sample
        (observed-data likelihood, missing at random); or drop incomplete samples.

    Attributes
    ----------
    weights_ : array (K,)
    means_ : array (K, D)
    covariances_, precisions_, precisions_cholesky_ : arrays, shaped by ``covariance_type``
        For factor analysers (K, D, D).
    loadings_, noise_variances_ : arrays (K, D, q) and (K, D)
        For factor analysers; shared loadings are (D, q), isotropic noise is (K,).
    noise_weight_ : float
        Weight of the noise component, if any; ``weights_`` and ``noise_weight_`` sum to 1.
    n_components_ : int
    converged_, n_iter_ : bool, int
    log_likelihood_ : float
        Total, in nats.
    lower_bound_ : float
        Objective per observation, as in scikit-learn.
    objective_trace_ : array of length ``n_iter_``
        Objective after each iteration of the final run (total, in nats).
    result_ : FitResult

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> gm = bm.GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> gm.means_.round(2)
    array([[ 4.29, 79.97],
           [ 2.04, 54.48]])
    """

    covariances_ = FormedOnRequest("covariances")
    precisions_ = FormedOnRequest("precisions")
    precisions_cholesky_ = FormedOnRequest("precisions_cholesky")

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: Any = "full",
        tol: str | float = "auto",
        reg_covar: str | float = "auto",
        max_iter: int = 100,
        n_init: int = 1,
        init_params: Any = "kmeans",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        prior: Any = None,
        weight_concentration_prior: float | None = None,
        search: str | None = "auto",
        acceleration: str | None = "auto",
        max_passes: int | None = None,
        max_seconds: float | None = None,
        n_jobs: int | None = None,
        progress: bool | None = None,
        noise: Any = None,
        missing: str = "error",
    ) -> None:
        store_parameters(self, locals())

    def _model(self) -> Model:
        n_components = validation.integer("n_components", self.n_components, 1)
        family = family_of(self.covariance_type, self.reg_covar, self.precisions_init)
        inference: Any = MaximumLikelihood()
        if self.prior is not None:
            from bayesmix.allocation.dirichlet import DirichletPrior
            from bayesmix.families.gaussian.prior import GaussianPrior

            given = self.weight_concentration_prior
            concentration = validation.number(
                "weight_concentration_prior", 1.0 if given is None else given, 1.0
            )
            choice = None if isinstance(self.prior, str) else self.prior
            if isinstance(self.prior, str):
                validation.one_of("prior", self.prior, ("auto",), "a GaussianPrior or None")
            elif not isinstance(self.prior, GaussianPrior):
                raise InvalidInputError(
                    f"prior must be None, 'auto' or a GaussianPrior, got {self.prior!r}"
                )
            from bayesmix.em.under_a_prior import MaximumAPosteriori

            inference = MaximumAPosteriori(prior=choice, weights=DirichletPrior(concentration))
        elif self.weight_concentration_prior is not None:
            raise InvalidInputError(
                "weight_concentration_prior needs a prior: set prior='auto' or a GaussianPrior"
            )
        return Model(n_components, family, inference, noise=noise_density(self.noise))

    def _explicit_parameters(self) -> bool:
        given = (self.weights_init, self.means_init, self.precisions_init)
        return any(value is not None for value in given)

    def _start_mixture(self, model: Model, source: Source, settings: Settings) -> Mixture | None:
        """Complete given parameters by an M-step from ``init_params``, as scikit-learn does."""
        warm = self._last_mixture(model, source) is not None
        if warm or not self._explicit_parameters():
            return super()._start_mixture(model, source, settings)
        from bayesmix.core.given_arrays import component_weights, finite_array

        K, n_features = model.n_components, source.shape[1]
        weights: Weights | None = None
        given: dict[str, Any] = {}
        if self.weights_init is not None:
            weights = PointWeights(component_weights(self.weights_init, K))
        if self.means_init is not None:
            of = ", (n_components, n_features)"
            shape = (K, n_features)
            given["means"] = finite_array("means_init", self.means_init, shape, of=of)
        if self.precisions_init is not None:
            kind = self.covariance_type
            given["blocks"] = precision_blocks(kind, self.precisions_init, K, n_features)
        frame = working_frame(model, source)[0]
        if weights is not None and len(given) == 2:
            components: Any = Gaussians(NAMED[self.covariance_type], **given)
        else:
            problem = resolve(model, source, settings)
            start = settings.init
            if isinstance(start, str):
                from bayesmix.search.named_starts import named_start

                start = named_start(start, source, source.summary, K, settings.seed, 0)
            begin = run(problem, begun(problem, start, K), Monitor(), 1).current_mixture()
            weights, frame = weights or begin.weights, problem.frame
            data_units: Any = begin.components.released().unframed(frame)
            components = replace(data_units, **given)
        return Mixture(weights, components.framed(frame), frame)

    _describe = describe_gaussian

    @classmethod
    def from_parameters(cls, weights: Any, means: Any, covariances: Any) -> GaussianMixture:
        """Return a fitted mixture with given parameters; shapes determine ``covariance_type``.

        Parameters
        ----------
        weights : array (K,)
        means : array (K, D)
        covariances : array
            (K, D, D) full, (D, D) tied, (K, D) diag, (K,) spherical. If K = D, a symmetric positive
            definite matrix (D, D) is taken as tied.

        Examples
        --------
        >>> import bayesmix as bm
        >>> gm = bm.GaussianMixture.from_parameters([0.3, 0.7], [[1.0], [3.0]], [1.69, 2.56])
        >>> gm.covariance_type
        'spherical'
        """
        for name, given in (("weights", weights), ("means", means), ("covariances", covariances)):
            validation.unmasked(name, given)
            validation.written_out(name, given)
        means = np.array(means, dtype=np.float64)
        weights = np.array(weights, dtype=np.float64)
        covariances = np.array(covariances, dtype=np.float64)
        if means.ndim != 2 or weights.shape != (len(means),):
            raise InvalidInputError(
                "weights and means must have shapes (K,) and (K, D), got "
                f"{weights.shape} and {means.shape}"
            )
        if weights.min() < 0 or abs(weights.sum() - 1.0) > 1e-8:
            raise InvalidInputError("weights must not be negative and must sum to 1")
        kind = covariance_type_of(covariances, means)
        model = cls(n_components=len(means), covariance_type=kind)
        structure = STRUCTURES[kind]
        components = Gaussians(structure, means, structure.blocks.from_covariances(covariances))
        components.precision_root  # noqa: B018  (raises unless covariances are positive definite)
        model._adopt(point_result(Gaussian(kind), weights, components))
        return model

    def to_sklearn(self) -> Any:
        """Return scikit-learn's ``GaussianMixture`` with these parameters."""
        return to_sklearn(self)


def precision_blocks(covariance_type: str, value: Any, K: int, n_features: int) -> Any:
    """Return covariance blocks from precisions in scikit-learn's shape, after a check."""
    from bayesmix.core.given_arrays import finite_array

    structure = NAMED[covariance_type]
    shape = structure.blocks.covariance_shape(K, n_features)
    precisions = finite_array(
        "precisions_init", value, shape, of=f" for covariance_type={covariance_type!r}"
    )
    blocks = structure.blocks.from_covariances(precisions)
    if blocks.ndim == 3:
        symmetric = np.allclose(blocks, blocks.transpose(0, 2, 1))
        if not symmetric or np.linalg.eigvalsh(blocks).min() <= 0:
            raise InvalidInputError(
                "precisions_init must be symmetric and positive definite in every component"
            )
    elif blocks.min() <= 0:
        raise InvalidInputError("precisions_init must be positive")
    root = structure.algebra.root(blocks)
    return structure.algebra.gram(root)


def covariance_type_of(covariances: Array, means: Array) -> str:
    """Return the covariance structure of this shape."""
    K, n_features = means.shape
    shared = covariances.shape == (n_features, n_features) and (
        n_features != K
        or (
            np.allclose(covariances, covariances.T)
            and np.linalg.eigvalsh(covariances)[0] > 0
            and n_features > 1
        )
    )
    for name in SCIKIT_LEARNS:
        structure = STRUCTURES[name]
        shape = structure.blocks.covariance_shape(K, n_features)
        if structure.shared == shared and shape == covariances.shape:
            return name
    raise InvalidInputError(
        f"covariances must have shape ({K}, {n_features}, {n_features}), "
        f"({n_features}, {n_features}), ({K}, {n_features}) or ({K},), got {covariances.shape}"
    )


def point_result(family: Any, weights: Array, components: Any) -> FitResult:
    """Return the result of a mixture with given parameters, without data."""
    K, n_features = components.means.shape
    nan = float("nan")
    return FitResult(
        family=family,
        inference=MaximumLikelihood(family, FreeWeights()),
        requested_components=K,
        mixture=Mixture(PointWeights(weights), components, Frame.identity(n_features)),
        objective=nan,
        log_likelihood=nan,
        trace=np.zeros(0),
        segments=(0,),
        status="given",
        events=(),
        counts=weights.copy(),
        hard_counts=weights.copy(),
        entropy=nan,
        plug_in_sums=DensitySums(nan, nan, nan, 0.0),
        total_weight=1.0,
        n_rows=0,
        n_features=n_features,
        passes=0,
        seconds=0.0,
        seed=0,
        form="centred",
        versions=versions(),
    )


def to_sklearn(model: Any) -> Any:
    """Return scikit-learn's ``GaussianMixture`` with the same parameters.

    A variational fit is exported at the posterior means of its parameters, because scikit-learn has
    no Student-t mixtures. A covariance structure that scikit-learn does not have becomes "full".
    """
    from sklearn import mixture

    result: FitResult = model._fitted()
    from bayesmix.em.refusals import refuse_noise

    refuse_noise(result, "scikit-learn")
    kind = model.covariance_type if model.covariance_type in SCIKIT_LEARNS else "full"
    other = mixture.GaussianMixture(model.n_components_, covariance_type=kind)
    other.weights_, other.means_ = model.weights_.copy(), model.means_.copy()
    if kind == model.covariance_type:
        for name in ("covariances_", "precisions_", "precisions_cholesky_"):
            setattr(other, name, np.array(getattr(model, name)))
    else:
        point = cast("Gaussians", result.unframed.plug_in())
        other.covariances_ = np.array(point.covariances)
        roots = np.linalg.inv(np.linalg.cholesky(other.covariances_))
        other.precisions_cholesky_ = roots.transpose(0, 2, 1)
        other.precisions_ = other.precisions_cholesky_ @ roots
    other.converged_ = model.converged_
    other.n_iter_ = model.n_iter_
    # scikit-learn has the mean log likelihood here; a variational fit has the bound.
    at_point = result.log_likelihood / result.total_weight
    other.lower_bound_ = at_point if result.variational else model.lower_bound_
    other.lower_bounds_ = [at_point] if result.variational else list(model.lower_bounds_)
    other.n_features_in_ = model.n_features_in_
    if hasattr(model, "feature_names_in_"):
        other.feature_names_in_ = model.feature_names_in_
    return other


def from_sklearn(model: Any) -> Any:
    """Convert a fitted scikit-learn ``GaussianMixture``; other models raise an error.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from sklearn.mixture import GaussianMixture
    >>> X = bm.datasets.load_faithful().to_numpy()
    >>> theirs = GaussianMixture(2, random_state=0).fit(X)
    >>> ours = bm.from_sklearn(theirs)
    >>> bool(abs(ours.score(X) - theirs.score(X)) < 1e-12)
    True
    """
    from sklearn import mixture

    if not isinstance(model, mixture.GaussianMixture):
        raise UnsupportedError(
            f"only scikit-learn's GaussianMixture can be converted, got {type(model).__name__}"
        )
    check_is_fitted(model)
    ours = GaussianMixture(len(model.weights_), covariance_type=model.covariance_type)
    structure = NAMED[model.covariance_type]
    blocks = structure.blocks.from_covariances(np.array(model.covariances_, dtype=np.float64))
    components = Gaussians(structure, np.array(model.means_, dtype=np.float64), blocks)
    result = point_result(Gaussian(model.covariance_type), np.array(model.weights_), components)
    ours._adopt(replace(result, status="converged" if model.converged_ else "max_iter"))
    if hasattr(model, "feature_names_in_"):
        ours.feature_names_in_ = model.feature_names_in_
    return ours
