"""Conversion of scikit-learn's fitted mixtures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from bayesmix.errors import UnsupportedError
from bayesmix.estimators.gaussian import GaussianMixture as Ours
from bayesmix.families.gaussian.covariance.models import NAMED
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.gaussian.point import Gaussians


def from_sklearn(model: Any) -> Any:
    """Convert a fitted scikit-learn ``GaussianMixture``; other models raise an error.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from sklearn.mixture import GaussianMixture
    >>> X = bm.datasets.load_faithful().to_numpy()
    >>> theirs = GaussianMixture(2, random_state=0).fit(X)
    >>> ours = bm.from_sklearn(theirs)
    >>> bool(abs(ours.score(X) - theirs.score(X)) < 1e-12)
    True
    """
    from sklearn.mixture import GaussianMixture

    from bayesmix.export import point_result

    if not isinstance(model, GaussianMixture):
        raise UnsupportedError(
            f"only scikit-learn's GaussianMixture can be converted, got {type(model).__name__}"
        )
    check_is_fitted(model)
    ours = Ours(n_components=len(model.weights_), covariance_type=model.covariance_type)
    structure = NAMED[model.covariance_type]
    blocks = structure.blocks.from_covariances(np.array(model.covariances_, dtype=np.float64))
    components = Gaussians(structure, np.array(model.means_, dtype=np.float64), blocks)
    result = point_result(Gaussian(model.covariance_type), np.array(model.weights_), components)
    ours._adopt(replace(result, status="converged" if model.converged_ else "max_iter"))
    if hasattr(model, "feature_names_in_"):
        ours.feature_names_in_ = model.feature_names_in_
    return ours
