"""``BayesianGaussianMixture``: variational Bayes with the exact evidence lower bound."""

from __future__ import annotations

from typing import Any

from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.allocation.point import FreeWeights
from bayesmix.allocation.stick_breaking import StickBreakingPrior
from bayesmix.core import validation
from bayesmix.em.model import Model
from bayesmix.em.under_a_prior import VariationalBayes
from bayesmix.errors import InvalidInputError
from bayesmix.estimators.attributes.gaussian_parameters import to_sklearn
from bayesmix.estimators.base import MixtureEstimator, describe_gaussian
from bayesmix.estimators.inputs.incoming import family_of, noise_density, store_parameters
from bayesmix.families.gaussian.given_prior import GaussianPrior

WEIGHT_TYPES = ("dirichlet_process", "dirichlet_distribution", "type2_ml")


class BayesianGaussianMixture(MixtureEstimator):
    """Gaussian mixture by variational Bayes, with the exact evidence lower bound.

    Replaces scikit-learn's class of the same name. Each covariance structure has its own conjugate
    prior (Bishop 2006, sec. 10.2), and the bound includes all constants, so it can be compared
    across K, priors and structures.

    Parameters
    ----------
    n_components : int, default=1
        Largest number of components; see ``prune``.
    covariance_type : {"full", "tied", "diag", "spherical", "EEI", "EII"}, default="full"
        As in ``GaussianMixture``. "EEI" ("tied_diag"): all components share a variance for each
        feature. "EII" ("tied_spherical"): all share a single variance. Other structures have no
        conjugate prior and raise an error.
    reg_covar : "auto" or float, default="auto"
        "auto" adds nothing. A number is added to the variance of every feature.
    tol, max_iter, n_init, init_params, random_state, warm_start, verbose, verbose_interval
        As in ``GaussianMixture``; a numeric ``tol`` is a threshold for the change of the bound.
    weight_concentration_prior_type : str, default="dirichlet_process"
        "dirichlet_process" (truncated stick-breaking, Blei & Jordan 2006),
        "dirichlet_distribution", or "type2_ml" (weights by type-II maximum likelihood, Corduneanu &
        Bishop 2001).
    weight_concentration_prior : float, optional
        α0, by default 1 / n_components; must be None for "type2_ml".
    mean_precision_prior, mean_prior, degrees_of_freedom_prior, covariance_prior : optional
        β0, m0, ν0 and W0⁻¹ of μ | Λ ~ N(m0, (β0 Λ)⁻¹), Λ ~ Wishart(W0, ν0). By default m0 is the
        vector of medians, and β0 and W0⁻¹ are estimated, with the same values for all components.
    prune : bool, default=True
        Whether to remove components with less than one observation, if the bound does not decrease.
    search, acceleration, max_passes, max_seconds, n_jobs, progress, missing
        As in ``GaussianMixture``; the search also changes K, by the bound.
    noise : None, bool, "uniform" or density, default=None
        As in ``GaussianMixture``. The noise weight has a uniform prior.

    Attributes
    ----------
    weights_ : array (K,)
        E[π].
    means_, covariances_, precisions_, precisions_cholesky_ : arrays
        m_k, E[Λ]⁻¹, E[Λ] and its Cholesky factor.
    noise_weight_ : float
        Posterior mean of the noise weight; ``weights_`` and ``noise_weight_`` sum to 1.
    elbo_, lower_bound_ : float
        Evidence lower bound (total) in nats, with all constants and without log K!.
    weight_concentration_, mean_precision_, degrees_of_freedom_
        Parameters of q. Stick-breaking concentrations are two arrays (K - 1,).
    mean_prior_, mean_precision_prior_, degrees_of_freedom_prior_, covariance_prior_
        Priors used; for a learned scale, its mean.
    weight_concentration_prior_ : float
        α0, if the weights have a prior.
    n_components_ : int
        Number of components after pruning.
    result_ : FitResult

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> vb = bm.BayesianGaussianMixture(n_components=8, random_state=0).fit(X)
    >>> vb.n_components_
    2
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: str | float = "auto",
        reg_covar: str | float = "auto",
        max_iter: int = 100,
        n_init: int = 1,
        init_params: Any = "kmeans",
        weight_concentration_prior_type: str = "dirichlet_process",
        weight_concentration_prior: float | None = None,
        mean_precision_prior: float | None = None,
        mean_prior: Any = None,
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        prune: bool = True,
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

    def to_sklearn(self) -> Any:
        """Return scikit-learn's ``GaussianMixture`` at the posterior means of the parameters.

        Examples
        --------
        >>> import bayesmix as bm
        >>> X = bm.datasets.load_faithful()
        >>> vb = bm.BayesianGaussianMixture(3, random_state=0).fit(X)
        >>> theirs = vb.to_sklearn()
        >>> bool((theirs.predict(X) == vb.predict(X)).all())
        True
        """
        return to_sklearn(self)

    def _model(self) -> Model:
        n_components = validation.integer("n_components", self.n_components, 1)
        family = family_of(self.covariance_type, self.reg_covar)
        prior = GaussianPrior(
            self.mean_prior,
            self.mean_precision_prior,
            self.degrees_of_freedom_prior,
            self.covariance_prior,
        )
        return Model(
            n_components,
            family,
            VariationalBayes(prior=prior, weights=self._weights(n_components)),
            prune=validation.flag("prune", self.prune),
            noise=noise_density(self.noise),
        )

    def _weights(self, n_components: int) -> Any:
        kind = validation.one_of(
            "weight_concentration_prior_type",
            self.weight_concentration_prior_type,
            WEIGHT_TYPES,
        )
        if kind == "type2_ml":
            if self.weight_concentration_prior is not None:
                raise InvalidInputError(
                    "weight_concentration_prior must be None for "
                    "weight_concentration_prior_type='type2_ml': such weights have no prior"
                )
            return FreeWeights()
        given = self.weight_concentration_prior
        if given is not None:
            validation.number("weight_concentration_prior", given, 0.0, strict=True)
        concentration = 1.0 / n_components if given is None else given
        if kind == "dirichlet_distribution":
            return DirichletPrior(concentration)
        return StickBreakingPrior(concentration)

    _describe = describe_gaussian
