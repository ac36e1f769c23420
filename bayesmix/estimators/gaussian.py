"""``GaussianMixture``: maximum likelihood or maximum a posteriori."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmix.allocation.adapted_weights import AdaptedWeights, SteppedWeights
from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.core import validation
from bayesmix.core.mixture import Mixture
from bayesmix.em.model import MaximumLikelihood, Model, Settings, working_frame
from bayesmix.em.under_a_prior import MaximumAPosteriori
from bayesmix.errors import InvalidInputError
from bayesmix.estimators.attributes.factor_matrices import FactorMatrices
from bayesmix.estimators.attributes.gaussian_parameters import ParametersOfOthers, given_start
from bayesmix.estimators.base import MixtureEstimator, describe_gaussian
from bayesmix.estimators.inputs.incoming import family_of, noise_density, store_parameters
from bayesmix.families.gaussian.background import Background
from bayesmix.families.gaussian.given_prior import GaussianPrior
from bayesmix.starts.given_starts import StartAt

if TYPE_CHECKING:
    from bayesmix.core.sources import Source
    from bayesmix.em.start import Start


class GaussianMixture(FactorMatrices, ParametersOfOthers, MixtureEstimator):
    """Gaussian mixture by EM, with several starts and detection of degenerate components.

    Replaces scikit-learn's class of the same name; the parameters after ``verbose_interval`` are
    additional.

    Parameters
    ----------
    n_components : int, default=1
        Number of components.
    covariance_type : str, FactorAnalytic or CommonSubspace, default="full"
        "full": each component has its own matrix; "tied": all components share one matrix;
        "diag": each component has a variance for each feature; "spherical": each component has one
        variance. Also the fourteen models of mclust, such as "EII", "VEE" or "EVE", and
        ``CommonSubspace(q)`` or ``FactorAnalytic(q)`` for many features. See the page on
        covariance models.
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
    prior : None, "auto", GaussianPrior or from_model(...), default=None
        None is maximum likelihood. "auto" is a weak prior on the scale of the data, which prevents
        singular covariances; the fit is then the joint posterior mode of weights, means and
        covariances. ``from_model(background)`` adapts a fitted mixture to new data.
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
    spurious : {"warn", "allow"}, default="warn"
        Treatment of spurious maxima of the likelihood, which have a component with nearly no
        variance in a direction on a few observations that lie so by accident. "warn" returns the
        most likely maximum without one, and warns if a likelier one was left out; "allow" returns
        the most likely of all. Starts that are given, and ``search=None``, are used as they are.
    hold : mapping of name to array, optional
        Parameters that keep these values, in the units of the data and NaN where they are free:
        "weights" (K,), "means" (K, D), "covariances" (matrices or
        variances). Values of fewer than K components are those of the
        first. Needs maximum likelihood. See the page on held parameters.
    equal : mapping of name to labels, optional
        Parameters that components share: ``{"means": [0, 0, 1]}`` for one mean of the first two,
        ``{"weights": True}`` for equal weights, ``{"means": {0: True}}`` for one column. With
        "diag" covariance rows (K, D) of labels make columns equal, such as
        ``{"covariances": [[0, 0, 1]]}``.

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
        hold: Any = None,
        equal: Any = None,
        spurious: str = "warn",
    ) -> None:
        store_parameters(self, locals())

    def _model(self) -> Model:
        n_components = validation.integer("n_components", self.n_components, 1)
        family = family_of(self.covariance_type, self.reg_covar, self.precisions_init)
        inference: Any = MaximumLikelihood()
        if self.prior is not None:
            given = self.weight_concentration_prior
            concentration = validation.number(
                "weight_concentration_prior", 1.0 if given is None else given, 1.0
            )
            choice = None if isinstance(self.prior, str) else self.prior
            if isinstance(self.prior, str):
                validation.one_of("prior", self.prior, ("auto",), "a GaussianPrior or None")
            elif not isinstance(self.prior, GaussianPrior | Background):
                raise InvalidInputError(
                    f"prior must be None, 'auto', a GaussianPrior or from_model(...), got "
                    f"{self.prior!r}"
                )
            of_weights: Any = DirichletPrior(concentration)
            if isinstance(choice, Background):
                of_weights = AdaptedWeights(choice.weights, choice.strength, choice.adapts_all)
                choice.check(n_components, family)
            inference = MaximumAPosteriori(prior=choice, weights=of_weights)
        elif self.weight_concentration_prior is not None:
            raise InvalidInputError(
                "weight_concentration_prior needs a prior: set prior='auto' or a GaussianPrior"
            )
        return Model(n_components, family, inference, noise=noise_density(self.noise))

    def _explicit_parameters(self) -> bool:
        given = (self.weights_init, self.means_init, self.precisions_init)
        from_model = getattr(self.prior, "framed", None)
        return any(value is not None for value in (*given, from_model))

    def _start(self, model: Model, source: Source, settings: Settings) -> Start | None:
        """Complete given parameters by an M-step from ``init_params``, as scikit-learn does."""
        background = getattr(self.prior, "framed", None)
        if background is not None:
            frame = working_frame(model, source)[0]
            weights: Any = SteppedWeights(self.prior.weights)
            return StartAt(Mixture(weights, background(frame), frame))
        warm = self._last_mixture(model, source) is not None
        if warm or not self._explicit_parameters():
            return super()._start(model, source, settings)
        return StartAt(given_start(self, model, source, settings))

    _describe = describe_gaussian
