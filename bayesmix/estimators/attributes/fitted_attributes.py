"""Fitted attributes of mixtures, under scikit-learn's names; ``repr``, notebook view, ``save``."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._pprint import _EstimatorPrettyPrinter
from sklearn.utils.validation import check_is_fitted

from bayesmix.core.rows import FLAT_FLOOR
from bayesmix.em.result import FitResult

if TYPE_CHECKING:
    from bayesmix.families.gaussian.prior import GaussianPosterior, NormalWishart


def describe_gaussian(estimator: Any, result: FitResult) -> None:
    """Set means_, covariances_, precisions_, precisions_cholesky_, and the parameters of q."""
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


class Showing(BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Shows the answer in ``repr`` and notebooks once the estimator is fitted, and saves it."""

    # Attribute that a fit sets.
    _answer = "result_"

    @abstractmethod
    def summary(self) -> str:
        """Return the answer in words."""

    @abstractmethod
    def _answer_html(self) -> str:
        """Return the answer for a notebook."""

    @abstractmethod
    def plot(self, *arguments: Any, **options: Any) -> Any:
        """Plot the answer."""

    def save(self, path: Any) -> None:
        """Save the fit to one file without pickle; ``bayesmix.load`` reads it.

        The file of a search has all candidates. That of a mixture of regressions has the data of
        the fit, which ``coefficients`` needs.
        """
        from bayesmix.io import save

        check_is_fitted(self, self._answer)
        save(self, path)

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        plain: str = super().__repr__(N_CHAR_MAX)
        return f"{plain}\n{self.summary()}" if self._answer in vars(self) else plain

    def _repr_html_inner(self) -> str:
        diagram: str = super()._repr_html_inner()
        return self._shown() + diagram

    def _repr_mimebundle_(self, **options: Any) -> dict[str, str]:
        bundle: dict[str, str] = super()._repr_mimebundle_(**options)
        if "text/html" in bundle:
            bundle["text/html"] = self._shown() + bundle["text/html"]
        return bundle

    def _shown(self) -> str:
        if self._answer not in vars(self):
            return ""
        from bayesmix.estimators.attributes.notebook import small_figure

        return f"<div>{self._answer_html()}{small_figure(self)}</div>"


# Nested estimators call this through their ``__repr__``.
_EstimatorPrettyPrinter._dispatch[Showing.__repr__] = _EstimatorPrettyPrinter._pprint_estimator
