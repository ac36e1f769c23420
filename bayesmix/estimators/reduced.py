"""Mixtures of fewer components that stay close to a fitted one."""

from __future__ import annotations

from typing import Any

from bayesmix.assess.divergence import normal_mixture
from bayesmix.assess.reduction import reduced
from bayesmix.core import validation
from bayesmix.errors import InvalidInputError
from bayesmix.estimators.gaussian import GaussianMixture


def reduce_mixture(model: Any, n_components: int) -> GaussianMixture:
    """Return a normal mixture of fewer components by merging pairs (Runnalls 2007).

    Means and covariances of the whole are preserved. At each step the pair is merged for which an
    upper bound of the Kullback-Leibler divergence grows least.

    Parameters
    ----------
    model : fitted GaussianMixture or search
        With point parameters (maximum likelihood, maximum a posteriori or given).
    n_components : int

    Returns
    -------
    GaussianMixture
        With full covariances, heaviest component first; ``reduced_from_`` (K,) is the new
        component of each old one, ``reduction_bound_`` the sum of the bounds in nats.

    Raises
    ------
    InvalidInputError
        If the model is no normal mixture, or has fewer components.

    Examples
    --------
    >>> import bayesmix as bm
    >>> gm = bm.GaussianMixture(6, random_state=0).fit(bm.datasets.load_faithful())
    >>> small = bm.reduce_mixture(gm, 2)
    >>> small.n_components_, bool((small.means_[0] > small.means_[1]).all())
    (2, True)
    """
    parameters = normal_mixture(model)
    if parameters is None:
        raise InvalidInputError(
            "model must be a normal mixture with point parameters, such as a GaussianMixture, got "
            f"{type(model).__name__}"
        )
    n_components = validation.integer("n_components", n_components, 1)
    if n_components > len(parameters[0]):
        raise InvalidInputError(
            f"n_components must be at most the model's {len(parameters[0])}, got {n_components}"
        )
    weights, means, covariances, labels, cost = reduced(*parameters, n_components)
    small: Any = GaussianMixture.from_parameters(weights, means, covariances)
    small.reduced_from_, small.reduction_bound_ = labels, cost
    return small
