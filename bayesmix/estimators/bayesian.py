"""``BayesianGaussianMixture``: variational Bayes with the exact evidence lower bound."""

from __future__ import annotations

from typing import Any

from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.allocation.point import FreeWeights
from bayesmix.allocation.stick_breaking import StickBreakingPrior
from bayesmix.core import validation
from bayesmix.em.model import Model
from bayesmix.em.objectives import VariationalBayes
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError
from bayesmix.estimators.base import MixtureEstimator
from bayesmix.estimators.fitted_attributes import describe_gaussian
from bayesmix.estimators.parameters import family_of, noise_density, store_parameters
from bayesmix.families.gaussian.prior import GaussianPrior

WEIGHT_PRIORS: dict[str, Any] = {
    "dirichlet_process": StickBreakingPrior,
    "dirichlet_distribution": DirichletPrior,
}


class BayesianGaussianMixture(MixtureEstimator):
    """Gaussian mixture by variational Bayes: exact bound, exact predictive, unneeded parts pruned.

    Takes the place of scikit-learn's class of the same name. Each covariance structure is its own
    exact conjugate model (Bishop 2006, sec. 10.2, and its twins), not a Wishart restricted
    afterwards, so bounds compare across K, priors and structures.

    Parameters
    ----------
    n_components : int, default=1
        The most components; see ``prune``.
    covariance_type : {"full", "tied", "diag", "spherical", "EEI", "EII"}, default="full"
        "EEI" ("tied_diag") is a variance a column for all components, "EII" ("tied_spherical") one
        for all columns as well. The other structures have no conjugate posterior and are refused.
    tol : "auto" or float, default="auto"
        "auto" stops when the estimated remaining gain is under 1e-9 nats a row (1e-6 with
        ``search="short"``, whose fits are there to be compared); a number is scikit-learn's rule,
        on the change of the bound.
    reg_covar : "auto" or float, default="auto"
        "auto" adds nothing. A number is a variance by which every value is taken to be uncertain.
    max_iter, n_init, init_params, random_state, warm_start, verbose, verbose_interval
        As in ``GaussianMixture``.
    weight_concentration_prior_type : str, default="dirichlet_process"
        "dirichlet_process" (truncated stick-breaking, Blei & Jordan 2006),
        "dirichlet_distribution", or "type2_ml" (weights by type-II maximum likelihood, Corduneanu &
        Bishop 2001).
    weight_concentration_prior : float, optional
        α0; default 1 / n_components. None for "type2_ml".
    mean_precision_prior, mean_prior, degrees_of_freedom_prior, covariance_prior : optional
        β0, m0, ν0 and W0⁻¹ of μ | Λ ~ N(m0, (β0 Λ)⁻¹), Λ ~ Wishart(W0, ν0). None is the reference
        prior: medians, a learned β0 and a learned scale shared by the components.
    prune : bool, default=True
        Drop components that hold less than a row, while the bound does not fall.
    search, acceleration, max_passes, max_seconds, n_jobs, progress, checkpoint
        As in ``GaussianMixture``; the search moves K as well, on the bound.
    noise : None, bool, "uniform" or density, default=None
        As in ``GaussianMixture``. Its weight has a uniform prior, and is split off before those of
        the components.
    missing : {"error", "use", "drop"}, default="error"
        What NaN in X means: an error; a value missing at random, so that a row counts by those that
        it has (the exact observed-data likelihood); or a row to leave out of the fit.

    Attributes
    ----------
    weights_ : array (K,)
        E[π].
    means_, covariances_, precisions_, precisions_cholesky_ : arrays
        m_k, E[Λ]⁻¹, E[Λ] and its Cholesky factor.
    noise_weight_ : float
        E[ε], where there is noise: it and ``weights_`` sum to 1.
    elbo_, lower_bound_ : float
        The exact evidence lower bound, total, in nats. No log K! in it.
    weight_concentration_, mean_precision_, degrees_of_freedom_
        Parameters of q. Stick-breaking concentrations are a pair of arrays (K - 1,).
    mean_prior_, mean_precision_prior_, degrees_of_freedom_prior_, covariance_prior_
        The priors that were used; of a learned scale its mean.
    weight_concentration_prior_ : float
        α0, where the weights have a prior.
    n_components_ : int
        What was found, after pruning.
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
        checkpoint: Any = None,
    ) -> None:
        store_parameters(self, locals())

    def _sparse_weights(self, concentration: float) -> dict[str, Any]:
        """Parameters under which components that rows do not call for stay empty."""
        return {"weight_concentration_prior": concentration}

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
            (*WEIGHT_PRIORS, "type2_ml"),
        )
        if kind == "type2_ml":
            if self.weight_concentration_prior is not None:
                raise InvalidInputError(
                    "weight_concentration_prior must be None for "
                    "weight_concentration_prior_type='type2_ml': such weights have no prior"
                )
            return FreeWeights()
        if self.weight_concentration_prior is None:
            return WEIGHT_PRIORS[kind](1.0 / n_components)
        return WEIGHT_PRIORS[kind](
            validation.number(
                "weight_concentration_prior", self.weight_concentration_prior, 0.0, strict=True
            )
        )

    def _describe(self, result: FitResult) -> None:
        describe_gaussian(self, result)
