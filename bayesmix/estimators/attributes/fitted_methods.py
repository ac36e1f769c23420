"""Methods of fitted mixtures: predictions, samples, criteria, streams, plots, notebook view."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.utils.validation import check_is_fitted

from bayesmix.core import validation
from bayesmix.core.nouns import part_names
from bayesmix.core.random import Purpose, stream
from bayesmix.data.coded_frames import decoded
from bayesmix.em.display import summary
from bayesmix.em.predictive_draws import drawn_in
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.estimators.attributes.posterior_methods import seed_of
from bayesmix.estimators.inputs import incoming
from bayesmix.estimators.inputs.constraints import at_covariates
from bayesmix.estimators.inputs.given_sources import lazily, new_rows, predictions_on_device
from bayesmix.estimators.inputs.given_trials import in_trials, numbers_of_draws
from bayesmix.numerics.arrays import Array, Integers, is_elsewhere
from bayesmix.numerics.device_arrays import here, like
from bayesmix.observation.measured import with_errors
from bayesmix.posterior import predictions
from bayesmix.posterior.predictive_sums import density_sums
from bayesmix.selection import scores
from bayesmix.sources.memory import is_collection
from bayesmix.sources.room import few_enough

if TYPE_CHECKING:
    from bayesmix.assess.description import Description
    from bayesmix.core.sources import Source
    from bayesmix.posterior.predictions import PerRow


class FittedMethods:
    """Methods of a mixture that a plain fit does not use; ``MixtureEstimator`` defers to them."""

    random_state: Any
    result_: FitResult

    # Densities and assignments

    def score_samples(self, X: Any, covariates: Any = None, *, trials: Any = None) -> Array:
        """Return the log density (n,) of each sample in nats, given its covariates if any.

        Variational fits use the posterior predictive density (Bishop 2006, eq. 10.81).
        """
        X = in_trials(self, X, trials)
        return self._map(X, FitResult.log_density, covariates=covariates)

    def responsibilities(self, X: Any, covariates: Any = None, *, trials: Any = None) -> Array:
        """Return q(Z) (n, K), as the last E-step computes it (Bishop 2006, eq. 10.49)."""
        X = in_trials(self, X, trials)
        n_components = self._fitted().n_components
        return self._map(X, FitResult.responsibilities, n_components, covariates)

    def _map(
        self, X: Any, method: Callable[..., PerRow], n_columns: int = 1, covariates: Any = None
    ) -> PerRow:
        """Return predictions for X by a method of ``FitResult``, in the array library of X."""
        return cast("PerRow", like(self._mapped(here(X), method, n_columns, covariates), X))

    def _mapped(
        self, X: Any, method: Callable[..., PerRow], n_columns: int, covariates: Any
    ) -> PerRow:
        if self._fitted().side.design is not None or covariates is not None:
            source = self._at_covariates(self._seen(X), covariates)
            return predictions.in_memory(self.result_, few_enough(source, n_columns), method)
        if is_collection(X):
            return cast("PerRow", lazily(self, X, method))
        if is_elsewhere(X):
            return cast("PerRow", predictions_on_device(self._fitted(), self._seen(X), method, X))
        return predictions.in_memory(self._fitted(), few_enough(self._seen(X), n_columns), method)

    def _at_covariates(self, source: Source, covariates: Any) -> Source:
        """Return samples with the covariates of the fit, if it had any."""
        if self._fitted().side.design is None and covariates is None:
            return source
        return at_covariates(source, self.result_, covariates)

    def _seen(self, X: Any, sample_weight: Any = None) -> Source:
        """Return checked data for the fitted columns; ``missing="use"`` allows missing values."""
        self._fitted()
        gaps = incoming.missing_of(self) == "use"
        return new_rows(self, X, sample_weight, gaps)

    def _rows(self, X: Any, sample_weight: Any = None) -> Source:
        self._fitted()
        return new_rows(self, X, sample_weight)

    def _fitted(self) -> FitResult:
        check_is_fitted(self, "result_")
        return self.result_

    def sample(
        self,
        n_samples: int = 1,
        random_state: Any = None,
        error: Any = None,
        *,
        trials: Any = None,
        totals: Any = None,
    ) -> tuple[Array, Integers]:
        """Draw samples (n, D) from the fitted density, with their components (n,).

        ``random_state=None`` uses the estimator's own. ``error``, as that of ``Measured``, adds
        errors of measurement to the true values. ``Binomial()`` needs ``trials``, a number or
        array (D,), (n,) or (n, D); ``Multinomial()`` needs ``totals``, a number or array (n,).
        These have a sample for each number, in their order; other samples are sorted by component.
        """
        result = self._fitted()
        n_rows = validation.integer("n_samples", n_samples, 1)
        seed = seed_of(self, random_state)
        generator = stream(seed, Purpose.SAMPLE)
        numbers = numbers_of_draws(result, n_rows, trials=trials, totals=totals)
        if numbers is None:
            rows, components = result.draw(n_rows, generator)
        else:
            rows, components = drawn_in(result.density, numbers, generator)
        if error is not None:
            rows = with_errors(rows, error, generator)
        return decoded(result.family, rows), components

    # Criteria with scikit-learn's sign: lower is better

    def bic(self, X: Any = None, sample_weight: Any = None, covariates: Any = None) -> float:
        """Return BIC, -2 log L + p log n, by default for the training data.

        Sample weights enter log L and n. Fits with covariates need the covariates of X.
        """
        return self._information("bic", X, covariates, sample_weight=sample_weight)

    def aic(self, X: Any = None, sample_weight: Any = None, covariates: Any = None) -> float:
        """Return Akaike's information criterion, -2 log L + 2 p."""
        return self._information("aic", X, covariates, sample_weight=sample_weight)

    def aicc(self, X: Any = None, sample_weight: Any = None, covariates: Any = None) -> float:
        """Return AIC corrected for small n (Hurvich & Tsai 1989); infinite if n - p - 1 <= 0."""
        return self._information("aicc", X, covariates, sample_weight=sample_weight)

    def icl(self, X: Any = None, sample_weight: Any = None, covariates: Any = None) -> float:
        """Return the integrated completed likelihood with hard assignments (Biernacki et al. 2000).

        For sequences it is BIC - 2 log P(most probable path) (Celeux & Durand 2008).
        """
        return self._information("icl", X, covariates, sample_weight=sample_weight)

    def _information(self, name: str, X: Any, covariates: Any, **beside: Any) -> float:

        return information(self, name, X, covariates, **beside)

    # Display and storage

    def summary(self) -> str:
        """Return the fit in words: model, components, search and events.

        Examples
        --------
        >>> import bayesmix as bm
        >>> gm = bm.GaussianMixture(2, random_state=0).fit(bm.datasets.load_faithful())
        >>> print(gm.summary().splitlines()[0][:54])
        Gaussian, 2 components, log likelihood -1130.26, conve
        """
        return summary(self._fitted())

    def describe(
        self,
        X: Any = None,
        level: float = 0.9,
        *,
        by: str = "components",
        sample_weight: Any = None,
        **beside: Any,
    ) -> Description:
        """Describe the classes or states by the columns of a table, as ``MixtureSearch.describe``.

        Class k is component k. With ``by="clusters"``, components that overlap are one cluster, as
        in ``merge_components``.

        ``beside`` has further arguments of ``predict_proba``, such as ``lengths`` of sequences or
        ``covariates``. Observations are assigned to their most probable class or state.

        Examples
        --------
        >>> import bayesmix as bm
        >>> X = bm.datasets.load_iris()
        >>> described = bm.GaussianMixture(2, random_state=0).fit(X).describe(X)
        >>> described.table[("size", "rows")].tolist()
        [100.0, 50.0]
        """
        from bayesmix.estimators.inputs import described_columns as columns
        from bayesmix.selection.clusters import number_of

        validation.one_of("by", by, ("clusters", "components"))
        result = self._fitted()
        noun, of_components = result.class_noun, np.arange(result.n_components)
        if by == "clusters":
            from bayesmix.assess.merging import merge_components

            fitted = None if X is None else columns.columns_of_the_fit(self, X)
            noun, of_components = "cluster", merge_components(self, fitted, sample_weight).labels()
        return columns.describe_fit(
            self,
            X,
            sizes=columns.sizes_of_groups(np.asarray(result.counts), of_components),
            groups=of_components,
            beside=beside,
            names=tuple(part_names(noun, number_of(of_components))),
            noun=noun,
            level=level,
            sample_weight=sample_weight,
        )

    def _answer_html(self) -> str:
        return self.result_._repr_html_()

    def plot(self, X: Any = None, ax: Any = None, **options: Any) -> Any:
        """Plot the density with its components, and the data if given; see ``plot_density``."""
        from bayesmix.plots import plot_density

        return plot_density(self, X, ax=ax, **options)


def information(estimator: Any, name: str, X: Any, covariates: Any = None, **beside: Any) -> float:
    """Return -2 times a criterion, by its name, by default for the training data.

    ``beside`` has arguments that belong to X: sample weights, or the lengths or groups of its
    sequences.
    """
    result, criterion = estimator._fitted(), getattr(scores, name)
    if X is None:
        if result.n_rows == 0:
            raise InvalidInputError("this mixture was not fitted to data: pass X")
        for argument, given in (beside | {"covariates": covariates}).items():
            if given is not None:
                raise InvalidInputError(f"{argument} needs data: pass X as well")
        if result.stream is not None:
            raise UnsupportedError(
                f"{name}() of a stream is unknown, because its data are not kept; lower_bound_ "
                f"bounds the likelihood. Pass data, {name}(X), or add up score_samples over all "
                f"batches and use result_.n_parameters, {result.n_parameters}."
            )
        sums = result.plug_in_sums
    else:
        source = estimator._at_covariates(estimator._seen(X, **beside), covariates)
        sums = density_sums(result, source)
    return -2.0 * criterion(sums, result.n_parameters)
