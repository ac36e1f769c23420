"""Fitted attributes of Gaussian estimators in scikit-learn's names and shapes, as fresh copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy.linalg import solve_triangular

from bayesmix import validation
from bayesmix.workflow.result import FitResult

if TYPE_CHECKING:
    from bayesmix.families.factor_analytic.factor_analysers import FactorAnalysers
    from bayesmix.families.gaussian.point import Gaussians
    from bayesmix.families.gaussian.prior import GaussianPosterior, NormalWishart

# How many arrays of their size forming matrices takes.
ARRAYS_OF_MATRICES = 2.0


def describe_gaussian(estimator: Any, result: FitResult) -> None:
    """means_, covariances_, precisions_, precisions_cholesky_; for q also its parameters."""
    if result.family.name == "factor_analytic":
        _describe_factors(estimator, cast("FactorAnalysers", result.unframed))
        return
    components = cast("Gaussians | GaussianPosterior", result.unframed)
    structure = components.structure
    root = structure.algebra.root(components.blocks)
    estimator.means_ = components.means.copy()
    estimator.covariances_ = structure.blocks.as_covariances(components.blocks)
    estimator.precisions_ = structure.blocks.as_covariances(structure.algebra.gram(root))
    estimator.precisions_cholesky_ = structure.blocks.as_covariances(root)
    if result.variational:
        _describe_posterior(estimator, result, cast("GaussianPosterior", components))


def _describe_factors(estimator: Any, components: FactorAnalysers) -> None:
    model = components.model
    estimator.means_ = components.means.copy()
    loadings, noise = components.loadings, components.noise
    estimator.loadings_ = (loadings[0] if model.shared_loadings else loadings).copy()
    estimator.noise_variances_ = (noise[:, 0] if model.isotropic_noise else noise).copy()


class FormedOnRequest:
    """Matrices (K, D, D) of factor analysers; those of other structures are set by the fit."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, estimator: Any, owner: Any) -> Any:
        if estimator is None:
            return self
        components = estimator._fitted().unframed
        K, D = components.means.shape
        validation.in_memory(
            f"{self.name}_ of {K} components over {D:,} columns",
            ARRAYS_OF_MATRICES * 8.0 * K * D * D,
            "use loadings_ and noise_variances_",
        )
        if self.name != "precisions_cholesky":
            return getattr(components, self.name)
        identity = np.eye(D)
        roots = [
            solve_triangular(np.linalg.cholesky(one), identity, lower=True).T
            for one in components.covariances
        ]
        return np.array(roots)


def _describe_posterior(estimator: Any, result: FitResult, q: GaussianPosterior) -> None:
    K = q.n_components
    freedom = q.precisions.degrees_of_freedom
    estimator.mean_precision_ = q.mean_precision.copy()
    # With missing values every column of "diag" has its own, as it has rows of its own.
    by_column = q.mean_precision.ndim == 2 and not q.structure.blocks.isotropic
    if not by_column:
        freedom = np.broadcast_to(freedom if freedom.ndim == 1 else freedom[:, 0], (K,))
    estimator.degrees_of_freedom_ = freedom.copy()
    prior = cast("NormalWishart", result.prior)
    estimator.mean_prior_ = prior.mean.copy()
    estimator.mean_precision_prior_ = float(q.prior_mean_precision)
    estimator.degrees_of_freedom_prior_ = float(prior.degrees_of_freedom)
    # E[S] under q where the scale is learned, W0^-1 where it was given.
    estimator.covariance_prior_ = q.structure.blocks.one_of(q.scale.mean)
    describe_weights(estimator, result)


def describe_weights(estimator: Any, result: FitResult) -> None:
    """weight_concentration_ and its prior, where the weights have a posterior."""
    from bayesmix.weights import StickBreaking

    weights: Any = result.mixture.weights
    concentration = getattr(result.inference.weights_prior, "concentration", None)
    if concentration is None:
        return
    estimator.weight_concentration_prior_ = float(concentration)
    if isinstance(weights, StickBreaking):
        estimator.weight_concentration_ = (weights.first.copy(), weights.rest.copy())
    else:
        estimator.weight_concentration_ = weights.concentration.copy()
