"""Fitted attributes of Gaussian mixtures, under scikit-learn's names."""

from __future__ import annotations

from typing import Any

from bayesmix.core.rows import FLAT_FLOOR
from bayesmix.em.result import FitResult


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
        from bayesmix.estimators.attributes.posterior_attributes import describe_posterior

        describe_posterior(estimator, result, components)
