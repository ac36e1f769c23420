"""How sure, and of which columns: what fitted estimators answer beside their density."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bayesmix import validation
from bayesmix.estimators.rows import incoming
from bayesmix.estimators.rows.predictions import entropies
from bayesmix.numerics.arrays import Array
from bayesmix.parallel import single_threaded_blas
from bayesmix.random import root_seed
from bayesmix.sampling import DRAWS
from bayesmix.sources import few_enough
from bayesmix.workflow.result import FitResult

# A fit draws nothing: what does is loaded by the methods that need it.
if TYPE_CHECKING:
    from bayesmix.sampling.density.mixture_density import MixtureDensity
    from bayesmix.sampling.density.regions import DensityRegion
    from bayesmix.sampling.draws.posterior_sample import PosteriorSample


class PosteriorMethods:
    """Methods of every estimator that speak of doubt, of parts of the density and of its regions.

    Bands and intervals are from draws of whole mixtures, and take the same three parameters:

    n_draws : int, default=1000
        How many. Of draws that are given, at most so many, evenly spaced.
    method : {"variational", "gibbs", "bootstrap"} or draws, default="variational"
        Where they are from. "variational": q of a variational fit; quick, and overconfident where
        components overlap. "gibbs": the posterior itself, by ``bayesmix.gibbs``. "bootstrap":
        refits to reweighted rows, by ``bayesmix.weighted_bootstrap``; for maximum likelihood fits
        as well. The last two need ``data``. Or what one of these two functions returned for this
        fit: then nothing is drawn again; with ``gibbs(..., n_components=None)`` bands are over all
        numbers of components.
    data : array, frame or source (n, D), optional
        The rows of the fit, which an estimator does not keep. Where they have weights, a source
        that has them, or draws of your own.

    ``random_state`` None uses the estimator's own.
    """

    _fitted: Callable[[], FitResult]
    _map: Callable[..., Any]

    def density_interval(
        self,
        X: Any,
        level: float = 0.9,
        simultaneous: bool = False,
        n_draws: int = 1000,
        random_state: Any = None,
        method: Any = "variational",
        data: Any = None,
    ) -> Array:
        """Credible band (n, 2) of the density at rows: densities in data units, not logarithms.

        Pointwise the quantiles over draws; ``simultaneous``: ``level`` of the drawn densities lie
        inside at all of the rows at once. Labels of components do not matter.

        Examples
        --------
        >>> import bayesmix as bm
        >>> X = bm.datasets.load_faithful()
        >>> vb = bm.BayesianGaussianMixture(2, random_state=0).fit(X)
        >>> vb.density_interval(X[:1], level=0.9).round(3).tolist()
        [[0.007, 0.013]]
        >>> vb.density_interval(X[:1], level=0.9, method="gibbs", data=X).round(3).tolist()
        [[0.007, 0.013]]
        """
        from bayesmix.sampling.band_draws import drawn_mixtures
        from bayesmix.sampling.density.credible_bands import checked_level, density_band

        number, whole = checked_level(level), validation.flag("simultaneous", simultaneous)
        drawn = drawn_mixtures(self, method, data, n_draws, _seed(self, random_state))
        return density_band(drawn, incoming.new_rows(self, X), number, whole)

    def conditional_interval(
        self,
        X_given: Any,
        columns: Any,
        level: float = 0.9,
        n_draws: int = 1000,
        random_state: Any = None,
        method: Any = "variational",
        data: Any = None,
    ) -> Array:
        """Credible band (n, rest, 2) of the conditional mean, row by row."""
        from bayesmix.sampling.band_draws import drawn_mixtures
        from bayesmix.sampling.density.credible_bands import checked_level, conditional_band

        number = checked_level(level)
        free, known, values = density(self).given_rows(X_given, columns)
        drawn = drawn_mixtures(self, method, data, n_draws, _seed(self, random_state))
        return conditional_band(drawn, free, known, values, number)

    def assignment_interval(
        self,
        X: Any,
        level: float = 0.9,
        n_draws: int = 1000,
        random_state: Any = None,
        method: Any = "variational",
        data: Any = None,
    ) -> Array:
        """Credible interval (n, K, 2) of the probability of every component, row by row.

        ``predict_proba`` is an average over parameters; this says how far it depends on them.
        Components are those of the fit: Gibbs draws, whose labels change, are relabelled to it
        (Stephens 2000), and what a pruned fit dropped is left out.
        """
        from bayesmix.sampling.band_draws import drawn_mixtures
        from bayesmix.sampling.density.credible_bands import checked_level
        from bayesmix.sampling.labels.assignment import assignment_band

        number = checked_level(level)
        drawn = drawn_mixtures(self, method, data, n_draws, _seed(self, random_state))
        with single_threaded_blas():
            rows = few_enough(incoming.new_rows(self, X), 2 * self._fitted().n_components)
            return assignment_band(drawn, rows, number)

    def assignment_entropy(self, X: Any) -> Array:
        """-Σ p log p (n,) of ``predict_proba``, in nats: 0 where one component is certain.

        At most log K, where all are equally probable.
        """
        found: Array = self._map(X, entropies)
        return found

    def density_region(
        self,
        level: float = 0.9,
        calibration: Any = None,
        sample_weight: Any = None,
        n_draws: int = DRAWS,
        random_state: Any = None,
    ) -> DensityRegion:
        """Where the density is highest; see ``MixtureDensity.density_region``.

        ``conformal_region`` fits and calibrates in one call, on different rows.
        """
        seed = _seed(self, random_state)
        return density(self).density_region(level, calibration, sample_weight, n_draws, seed)

    def tail_probability(
        self,
        X: Any,
        calibration: Any = None,
        sample_weight: Any = None,
        n_draws: int = DRAWS,
        random_state: Any = None,
    ) -> Array:
        """How probable (n,) a row is that is no denser: small for anomalies.

        See ``MixtureDensity.tail_probability``.
        """
        seed = _seed(self, random_state)
        return density(self).tail_probability(X, calibration, sample_weight, n_draws, seed)

    def sample_posterior(self, n_draws: int = 1000, random_state: Any = None) -> PosteriorSample:
        """Independent draws of weights and parameters from the variational posterior."""
        from bayesmix.sampling.draws.posterior_sample import posterior_sample

        draws = validation.integer("n_draws", n_draws, 1)
        return posterior_sample(self._fitted(), draws, _seed(self, random_state))

    def to_arviz(self, X: Any = None, n_draws: int = 1000, random_state: Any = None) -> Any:
        """Posterior draws, trace and prior for ArviZ; of rows also their log likelihood.

        Draws are independent and in one chain, marked ``inference="variational"``: R-hat says
        nothing of them.
        """
        from bayesmix.sampling.draws.arviz_tree import variational_tree

        result = self._fitted()
        draws = validation.integer("n_draws", n_draws, 1)
        source = None if X is None else incoming.new_rows(self, X)
        seed = _seed(self, random_state)
        return variational_tree(result, source, draws, seed)

    def marginal(self, columns: Any) -> MixtureDensity:
        """The density of some columns, by name or number: the others integrated out."""
        return density(self).marginal(columns)

    def conditional(self, given: Any) -> MixtureDensity:
        """The density of the other columns where some have known values, ``{column: value}``."""
        return density(self).conditional(given)

    def conditional_mean(self, X_given: Any, columns: Any) -> Array:
        """E[other columns | those given] (n, rest), in the order of the fit: mixture regression.

        ``columns`` says, by name or number, which ones X_given (n, g) holds.
        """
        return density(self).conditional_mean(X_given, columns)


def density(estimator: Any) -> MixtureDensity:
    """The fitted density over all columns, for parts of it."""
    from bayesmix.sampling.density.mixture_density import density_of

    return density_of(estimator._fitted(), _names(estimator))


def _names(estimator: Any) -> tuple[str, ...] | None:
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else tuple(map(str, names))


def _seed(estimator: Any, random_state: Any) -> int:
    """None: the estimator's own, as in ``sample``."""
    return root_seed(estimator.random_state if random_state is None else random_state)
