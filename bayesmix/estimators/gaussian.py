"""``GaussianMixture``: maximum likelihood, or maximum a posteriori where a prior is given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np

from bayesmix.allocation.point import PointWeights
from bayesmix.core import validation
from bayesmix.core.mixture import Mixture
from bayesmix.core.priors import Weights
from bayesmix.core.rows import Frame
from bayesmix.core.sources import Source
from bayesmix.em.model import Model, Settings, resolve, working_frame
from bayesmix.em.objectives import MaximumAPosteriori, MaximumLikelihood
from bayesmix.em.result import FitResult
from bayesmix.em.run import Monitor, run
from bayesmix.errors import InvalidInputError
from bayesmix.estimators.base import MixtureEstimator
from bayesmix.estimators.fitted_attributes import FormedOnRequest, describe_gaussian
from bayesmix.estimators.parameters import family_of, noise_density, store_parameters
from bayesmix.families.gaussian.covariance.models import NAMED
from bayesmix.families.gaussian.point import Gaussians
from bayesmix.search.starts import begun, named_start


class GaussianMixture(MixtureEstimator):
    """Gaussian mixture by EM, with a search for the optimum and without collapse.

    Takes the place of scikit-learn's class of the same name. The parameters below
    ``verbose_interval`` are additions.

    Parameters
    ----------
    n_components : int, default=1
        How many components.
    covariance_type : {"full", "tied", "diag", "spherical"}, letters or family, default="full"
        A matrix each, one matrix for all, a variance a column each, one variance each. Letters are
        mclust's, for volume, shape and axes (E equal, V variable, I as the columns): "EII" (or
        "tied_spherical") one variance for all, "EEI" ("tied_diag") a variance a column for all,
        "VEI" such variances in one proportion, "EVI" of one volume; matrices: "VEE" in one
        proportion, "EVE" and "VVE" with axes in common, of one volume and of any, "EEV" and "VEV"
        with shapes in common, "EVV" of one volume. "VVV", "EEE", "VVI", "VII" are the first four.
        ``FactorAnalytic(q)`` is for many columns.
    tol : "auto" or float, default="auto"
        "auto" stops when the estimated remaining gain is under 1e-9 nats a row (1e-6 with
        ``search="short"``, whose fits are there to be compared); a number is scikit-learn's rule,
        on the change of the log likelihood per row.
    reg_covar : "auto" or float, default="auto"
        "auto" adds nothing: collapse is detected and repaired instead. A number is added to every
        variance, in data units.
    max_iter : int, default=100
        Iterations of the last run, the one returned; the search before it is limited by
        ``max_passes``. Under 10 nothing is searched or accelerated; 0 leaves the start as it is.
    n_init : int, default=1
        Independent runs, each with its own search; the best is kept. Of small data they go on in
        worker processes (``n_jobs``) once they take a while.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}, array or callable
        Also responsibilities (n, K), labels (n,), or a function of (X, K, generator) that returns
        either; the run then goes exactly as given: no search, no sorting. The search makes its own
        starts, so the names matter with ``search=None``.
    weights_init, means_init, precisions_init : arrays, optional
        Starting parameters, as in scikit-learn; the run then goes exactly as given.
    random_state : None, int, RandomState or Generator
        A seed gives the same result for any number of threads.
    warm_start : bool, default=False
        Continue from the last result: from its mixture as it is, or from the responsibilities that
        it gives where rows, structure or priors have changed. Where the number of components or of
        columns has, the fit begins afresh.
    verbose, verbose_interval : int
        Print lines, as scikit-learn.
    prior : None, "auto" or GaussianPrior, default=None
        None is maximum likelihood. "auto" is a weak prior scaled to the data, under which nothing
        is ever singular; the fit is then the joint mode of (weights, means, covariances).
    weight_concentration_prior : float, optional
        Dirichlet concentration (at least 1; default 1) of a maximum a posteriori fit.
    search : "auto", "short" or None, default="auto"
        Short starts and split-and-merge moves; the starts alone; or one plain start.
    acceleration : "auto" or None, default="auto"
        Anderson acceleration that never lets the objective fall ("auto": where tol is "auto").
    max_passes, max_seconds : optional
        Budgets of the whole fit. A limit on seconds gives up reproducibility.
    n_jobs : int, optional
        Threads; None: all cores this process may use. Changes no bit of the result.
    progress : None or bool, default=None
        A bar in a terminal or notebook when a fit takes more than a second; True: anywhere.
    noise : None, bool, "uniform" or density, default=None
        Rows that belong to no component, beside them. "uniform": 1 / V in the smaller of two boxes
        that hold all rows of the fit, along columns or principal axes (mclust's), and nothing
        outside. A density: a fitted estimator with ``score_samples``, or a function of rows that
        returns log densities. The label of noise is -1; ``n_components`` does not count it.
    missing : {"error", "use", "drop"}, default="error"
        What NaN in X means: an error; a value missing at random, so that a row counts by those that
        it has (the exact observed-data likelihood); or a row to leave out of the fit.
    checkpoint : path, optional
        A folder where finished passes over the rows are kept, every few seconds. The same fit,
        begun again after a kill or a power cut, goes on where it was and ends with the same bits.
        Passes of some milliseconds are not kept, nor any of more than 100 components.

    Attributes
    ----------
    weights_ : array (K,)
    means_ : array (K, D)
    covariances_, precisions_, precisions_cholesky_ : arrays, shaped by ``covariance_type``
        Of factor analysers (K, D, D), formed when they are asked for.
    loadings_, noise_variances_ : arrays (K, D, q) and (K, D)
        Of factor analysers; shared loadings are (D, q), one noise for all columns is (K,).
    noise_weight_ : float
        Share of the noise, where there is one: it and ``weights_`` sum to 1.
    n_components_ : int
    converged_, n_iter_ : bool, int
    log_likelihood_ : float
        Total, in nats.
    lower_bound_ : float
        The objective per row, as in scikit-learn.
    objective_trace_ : array of length ``n_iter_``
        The raw objective after every iteration of the returned run, total, in nats.
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
        checkpoint: Any = None,
    ) -> None:
        store_parameters(self, locals())

    def _model(self) -> Model:
        n_components = validation.integer("n_components", self.n_components, 1)
        family = family_of(self.covariance_type, self.reg_covar, self.precisions_init)
        inference: Any = MaximumLikelihood()
        if self.prior is not None:
            from bayesmix.allocation.dirichlet import DirichletPrior
            from bayesmix.families.gaussian.prior import GaussianPrior

            concentration = 1.0
            if self.weight_concentration_prior is not None:
                concentration = validation.number(
                    "weight_concentration_prior", self.weight_concentration_prior, 1.0
                )
            choice = None if isinstance(self.prior, str) else self.prior
            if isinstance(self.prior, str):
                validation.one_of("prior", self.prior, ("auto",), "a GaussianPrior or None")
            elif not isinstance(self.prior, GaussianPrior):
                raise InvalidInputError(
                    f"prior must be None, 'auto' or a GaussianPrior, got {self.prior!r}"
                )
            inference = MaximumAPosteriori(prior=choice, weights=DirichletPrior(concentration))
        elif self.weight_concentration_prior is not None:
            raise InvalidInputError(
                "weight_concentration_prior needs a prior: set prior='auto' or a GaussianPrior"
            )
        noise = noise_density(self.noise)
        return Model(n_components, family, inference, noise=noise)

    def _explicit_parameters(self) -> bool:
        return any(
            value is not None
            for value in (self.weights_init, self.means_init, self.precisions_init)
        )

    def _start_mixture(self, model: Model, source: Source, settings: Settings) -> Mixture | None:
        """Given parameters over those of one M-step from ``init_params``, as in scikit-learn."""
        warm = self._last_mixture(model, source) is not None
        if warm or not self._explicit_parameters():
            return super()._start_mixture(model, source, settings)
        K, n_features = model.n_components, source.shape[1]
        given = self._given_parameters(K, n_features)
        if all(part is not None for part in given):
            weights, means, blocks = given
            structure = NAMED[self.covariance_type]
            mixture: Mixture = Mixture(
                PointWeights(weights),
                Gaussians(structure, means, blocks),
                Frame.identity(n_features),
            )
            return into_frame(mixture, working_frame(model, source)[0])
        problem = resolve(model, source, settings)
        start = settings.init
        if isinstance(start, str):
            start = named_start(start, source, source.summary, K, settings.seed, 0)
        begin = run(problem, begun(problem, start, K), Monitor(), 1).at()
        components: Any = begin.components.released().unframed(problem.frame)
        weights, means, blocks = given
        if means is not None:
            components = replace(components, means=means)
        if blocks is not None:
            components = replace(components, blocks=blocks)
        own: Weights = begin.weights if weights is None else PointWeights(weights)
        mixture = Mixture(own, components, Frame.identity(n_features))
        return into_frame(mixture, problem.frame)

    def _given_parameters(self, K: int, n_features: int) -> tuple[Any, Any, Any]:
        """weights, means and covariance blocks as given, or None, checked."""
        weights = means = blocks = None
        if self.weights_init is not None:
            weights = validation.component_weights(self.weights_init, K)
        if self.means_init is not None:
            means = validation.finite_array(
                "means_init", self.means_init, (K, n_features), of=", (n_components, n_features)"
            )
        if self.precisions_init is not None:
            blocks = precision_blocks(self.covariance_type, self.precisions_init, K, n_features)
        return weights, means, blocks

    def _describe(self, result: FitResult) -> None:
        describe_gaussian(self, result)

    @classmethod
    def from_parameters(cls, weights: Any, means: Any, covariances: Any) -> GaussianMixture:
        """A fitted mixture with given parameters; ``covariance_type`` follows from the shape.

        Parameters
        ----------
        weights : array (K,)
        means : array (K, D)
        covariances : array
            (K, D, D) full, (D, D) tied, (K, D) diag, (K,) spherical. Where K = D and the shape is
            (D, D), a symmetric positive definite matrix is taken as tied.

        Examples
        --------
        >>> import bayesmix as bm
        >>> gm = bm.GaussianMixture.from_parameters([0.3, 0.7], [[1.0], [3.0]], [1.69, 2.56])
        >>> gm.covariance_type
        'spherical'
        """
        from bayesmix.export import gaussian_from_parameters

        model: GaussianMixture = gaussian_from_parameters(cls, weights, means, covariances)
        return model

    def to_sklearn(self) -> Any:
        """scikit-learn's ``GaussianMixture`` with these parameters, fitted."""
        from bayesmix.export import to_sklearn

        self._fitted()
        return to_sklearn(self)


def into_frame(mixture: Mixture, frame: Frame) -> Mixture:
    """A point mixture in data coordinates moved into a frame."""
    components = cast("Gaussians", mixture.components)
    return replace(mixture, components=components.framed(frame), frame=frame)


def precision_blocks(covariance_type: str, value: Any, K: int, n_features: int) -> Any:
    """Covariance blocks from precisions in scikit-learn's shape, checked."""
    structure = NAMED[covariance_type]
    shape = structure.blocks.covariance_shape(K, n_features)
    precisions = validation.finite_array(
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
