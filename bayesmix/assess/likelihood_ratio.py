"""Likelihood ratio test of K against K + 1 components by simulation (McLachlan 1987).

The usual chi-squared limit does not hold for the number of components. The null distribution is
simulated by data sets drawn from the fitted mixture of K and refitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.assess import LEVEL
from bayesmix.assess.restriction_test import RestrictionTest, restriction_test
from bayesmix.assess.stability import no_starts, quiet, repeated, to_refit
from bayesmix.core import validation
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.em.result import FitResult
from bayesmix.em.shown import Shown
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, frozen
from bayesmix.observation.instrument import refuse_measured
from bayesmix.selection.tasks import Fitter


@dataclass(frozen=True, repr=False, eq=False)
class LikelihoodRatioTest:
    """Result of a test of K against K + 1 components; see ``likelihood_ratio_test``.

    Attributes
    ----------
    n_components : int
        K under the null hypothesis.
    statistic : float
        2 (log L of K + 1 - log L of K).
    p_value : float
        (1 + number of replicates as large or failed) / (1 + number of replicates).
    replicates : array (n_resamples,)
        The statistic of data sets simulated under K components; NaN for failed fits.
    smaller, larger : FitResult
        The two fits to the data.
    """

    n_components: int
    statistic: float
    p_value: float
    replicates: Array
    smaller: FitResult
    larger: FitResult

    @property
    def n_failed(self) -> int:
        """Number of failed replicates; each counts as evidence for K."""
        return int(np.isnan(self.replicates).sum())

    @property
    def called_for(self) -> bool:
        """Whether the test rejects K components at the 5 % level."""
        return self.p_value <= LEVEL

    @property
    def shown(self) -> Shown:
        """What text, notebooks and files show."""
        K, n = self.n_components, len(self.replicates)
        as_large = int((self.replicates >= self.statistic).sum())
        verdict = "is" if self.called_for else "is not"
        title = f"K={K} {verdict} rejected in favour of K={K + 1} (p = {self.p_value:.2g})."
        ratio = (
            f"Twice the log likelihood ratio is {self.statistic:.2f}; {as_large} of {n} data sets "
            f"simulated with K={K} have a ratio at least as large."
        )
        failed = (
            f"{self.n_failed} of {n} data sets could not be fitted or collapsed; they count "
            "as having at least the observed ratio."
        )
        return Shown(title, (ratio,), cautions=(failed,) if self.n_failed else ())

    def summary(self) -> str:
        """Return the decision, p-value and statistic."""
        return self.shown.text()

    def plot(self, ax: Any = None) -> Any:
        """Plot the replicates and the observed statistic; see ``plot_likelihood_ratio``."""
        from bayesmix.plots.assess import plot_likelihood_ratio

        return plot_likelihood_ratio(self, ax=ax)

    def __repr__(self) -> str:
        return f"<LikelihoodRatioTest: {self.shown.title}>"

    def _repr_html_(self) -> str:
        return self.shown.html()


def likelihood_ratio_test(
    model: Any,
    X: Any,
    n_components: int | None = None,
    n_resamples: int = 99,
    sample_weight: Any = None,
    n_jobs: int | None = None,
    random_state: Any = None,
    progress: bool | None = None,
    *,
    against: Any = None,
    weight_type: str | None = None,
    clusters: Any = None,
    strata: Any = None,
) -> LikelihoodRatioTest | RestrictionTest:
    """Test K components against K + 1 by the parametric bootstrap (McLachlan 1987).

    With ``against``, test restrictions of a fitted model against a fitted freer one.

    Both sizes are fitted to the data, and to ``n_resamples`` data sets of the same size simulated
    from the fitted mixture of K. Starts of the larger fit include splits of the smaller one. A
    replicate whose fit fails or collapses counts as if its ratio were at least as large as that of
    the data. Negative ratios, which only an incomplete search can give, are set to 0.

    Parameters
    ----------
    model : estimator or search
        Estimator with family, structure and settings; it need not be fitted. Maximum likelihood, or
        maximum a posteriori (the ratio then uses the likelihoods at the modes). Explicit starts are
        not used.
    X : array, frame or source (n, D)
    n_components : int, optional
        K under the null hypothesis; None: that of the model.
    n_resamples : int, default=99
        The p-value is a multiple of 1 / (n_resamples + 1).
    sample_weight : array (n,), optional
        Sample weights; simulated data sets have as many observations as their sum.
    n_jobs : int, optional
        Number of worker processes (results do not depend on it); None: all cores.
    random_state : None, int, RandomState or Generator
        Seed of the simulated data sets, and of a model without one.
    progress : None or bool, default=None
        As in the estimators. Ctrl-C returns the result for the replicates so far, with a warning.
    against : fitted estimator, optional
        A maximum likelihood fit to the same data of which ``model``, also fitted, is a special case
        with as many components: with parameters held or equal, or fewer covariances. The ratio is
        then chi-squared, with the difference of the numbers of parameters as degrees of freedom. If
        parameters are held at their limits, such as a probability of 0, p-values are too large.
    weight_type, clusters, strata : optional
        Survey of the data, for ``against``: the ratio is divided by a scaling factor.

    Returns
    -------
    LikelihoodRatioTest, or RestrictionTest with ``against``

    Raises
    ------
    ValueError
        For invalid parameters, variational estimators, and if a fit to the data collapses.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_galaxies()
    >>> tied = bm.GaussianMixture(covariance_type="tied")
    >>> test = bm.likelihood_ratio_test(tied, X, n_resamples=9, random_state=0)
    >>> test.p_value
    0.1
    >>> iris = bm.datasets.load_iris()
    >>> free = bm.GaussianMixture(3, random_state=0).fit(iris)
    >>> same = bm.GaussianMixture(3, covariance_type="tied", random_state=0).fit(iris)
    >>> bm.likelihood_ratio_test(same, iris, against=free).degrees_of_freedom
    20
    """
    if against is not None:
        if n_components is not None:
            raise InvalidInputError("n_components cannot be given with against: leave it out")
        given = against, sample_weight, weight_type, clusters, strata
        return restriction_test(model, X, *given)
    if not (weight_type is None and clusters is None and strata is None):
        raise UnsupportedError(
            "weight_type, clusters and strata need against: the bootstrap draws independent samples"
        )
    estimator = getattr(model, "best_estimator_", model)
    _check_inference(estimator)
    default = getattr(estimator, "n_components_", estimator.n_components)
    K = validation.integer("n_components", default if n_components is None else n_components, 1)
    n_resamples = validation.integer("n_resamples", n_resamples, 1)
    seed = root_seed(random_state)
    settings = {**no_starts(estimator), "n_components": K, "warm_start": False}
    smaller = to_refit(estimator, seed, 1, **settings)
    fitter = smaller._fitter(X, sample_weight)
    refuse_measured(fitter.source)
    observed = _both(fitter, K, fitter.fit)
    for result in observed:
        if result.degenerate is not None:
            raise UnsupportedError(
                f"with {result.requested_components} components the likelihood has no maximum "
                f"({result.degenerate}): use a prior (prior='auto'), or fewer components"
            )
    statistic = _ratio(observed)
    task = PairOfFits(
        to_refit(smaller, seed, n_jobs)._fitter,
        smaller.n_components,
        observed[0],
        max(2, round(fitter.source.total_weight)),
        seed,
    )
    replicates = np.array(repeated(task, n_resamples, n_jobs, "data sets", progress))
    exceeding = int((~(replicates < statistic)).sum())
    return LikelihoodRatioTest(
        n_components=K,
        statistic=statistic,
        p_value=(1 + exceeding) / (1 + len(replicates)),
        replicates=frozen(replicates),
        smaller=observed[0],
        larger=observed[1],
    )


@dataclass(frozen=True, eq=False)
class PairOfFits:
    """Simulate data from the fitted mixture and fit both sizes."""

    fitter_of: Callable[[Array], Fitter]
    n_components: int
    null: FitResult
    n_rows: int
    seed: int

    def __call__(self, number: int) -> float:
        generator = stream(self.seed, Purpose.RESAMPLE, number)
        rows, _ = self.null.draw(self.n_rows, generator)
        try:
            fitter = self.fitter_of(rows)
            results = _both(fitter, self.n_components, quiet(fitter.fit))
        except ValueError:
            return np.nan
        if any(result.degenerate is not None for result in results):
            return np.nan
        return _ratio(results)


def _both(
    fitter: Fitter, n_components: int, fit: Callable[..., FitResult]
) -> tuple[FitResult, FitResult]:
    """Return fits with K and K + 1 components; starts of the second include splits of the first."""
    first = fit(fitter.candidate({"n_components": n_components}))
    near = () if first.degenerate is not None else (first.mixture,)
    larger = fitter.candidate({"n_components": n_components + 1})
    return first, fit(larger, near)


def _ratio(results: tuple[FitResult, FitResult]) -> float:
    first, second = results
    ratio = 2.0 * (second.log_likelihood - first.log_likelihood)
    # Only maximised likelihoods of nested models are ordered.
    return max(ratio, 0.0) if first.inference.name == "maximum_likelihood" else ratio


def _check_inference(estimator: Any) -> None:
    if not hasattr(estimator, "_model"):
        raise InvalidInputError(
            "model must be a mixture estimator of bayesmix or a fitted search, got "
            f"{type(estimator).__name__}: for a pipeline, pass the last step and transformed data"
        )
    model = estimator._model()
    if model.noise is not None:
        raise UnsupportedError(
            "likelihood_ratio_test does not support noise: compare bic(), or fit with noise=None"
        )
    if model.inference.variational:
        raise UnsupportedError(
            f"{type(estimator).__name__} does not maximise a likelihood, as this test requires: "
            "compare the log evidence (MixtureSearch with criterion='elbo_log_k'), or pass a "
            "GaussianMixture"
        )
