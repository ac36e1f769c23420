"""Matrices (K, D, D) of factor analysers and common subspaces, computed when first read."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from bayesmix.core import validation

# Memory for forming matrices, in arrays of their size.
ARRAYS_OF_MATRICES = 2.0


class FormedOnRequest:
    """Matrices (K, D, D), computed when first read."""

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
            "use the parameters of fewer directions, such as loadings_ or directions_",
        )
        if self.name != "precisions_cholesky":
            return getattr(components, self.name)
        identity = np.eye(D)
        roots = [
            solve_triangular(np.linalg.cholesky(covariance), identity, lower=True).T
            for covariance in components.covariances
        ]
        return np.array(roots)


class FactorMatrices:
    """Attributes that fits of other structures set."""

    covariances_ = FormedOnRequest("covariances")
    precisions_ = FormedOnRequest("precisions")
    precisions_cholesky_ = FormedOnRequest("precisions_cholesky")
