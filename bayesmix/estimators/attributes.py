"""Fitted attributes of Gaussian estimators in scikit-learn's names and shapes, as fresh copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.workflow.result import FitResult

if TYPE_CHECKING:
    from bayesmix.families.gaussian import GaussianPosterior


def describe_gaussian(estimator: Any, result: FitResult) -> None:
    """means_, covariances_, precisions_, precisions_cholesky_; for q also its parameters."""
    components = result.unframed
    structure = components.structure
    root = structure.algebra.root(components.blocks)
    estimator.means_ = components.means.copy()
    estimator.covariances_ = structure.blocks.as_covariances(components.blocks)
    estimator.precisions_ = structure.blocks.as_covariances(structure.algebra.gram(root))
    estimator.precisions_cholesky_ = structure.blocks.as_covariances(root)
    if result.variational:
        _describe_posterior(estimator, result, components)


def _describe_posterior(estimator: Any, result: FitResult, q: GaussianPosterior) -> None:
    K = q.n_components
    freedom = q.precisions.degrees_of_freedom
    estimator.mean_precision_ = q.mean_precision.copy()
    estimator.degrees_of_freedom_ = np.broadcast_to(
        freedom if freedom.ndim == 1 else freedom[:, 0], (K,)
    ).copy()
    prior: Any = result.prior
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
