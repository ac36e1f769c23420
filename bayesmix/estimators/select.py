"""``select``: how many components, and of what kind, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bayesmix.estimators.search import MixtureSearch
from bayesmix.selection.criteria import OF_A_POSTERIOR


def select(
    X: Any,
    n_components: Any = tuple(range(1, 11)),
    covariance_type: str | Sequence[str] = ("full", "tied", "diag", "spherical"),
    criterion: Any = "bic",
    sample_weight: Any = None,
    random_state: Any = 0,
    **options: Any,
) -> MixtureSearch:
    """How many components, and of what kind: sensible candidates, fitted and compared.

    A variational estimator where the criterion is of a posterior, maximum likelihood otherwise.
    Further options are those of ``MixtureSearch``.

    Examples
    --------
    >>> import bayesmix as bm
    >>> search = bm.select(bm.datasets.load_faithful(), n_components=(1, 2, 3, 4))
    >>> search.best_params_
    {'covariance_type': 'tied', 'n_components': 3}
    """
    estimator: Any = options.pop("estimator", None)
    if estimator is None and criterion in OF_A_POSTERIOR:
        estimator = comparable()
    search = MixtureSearch(
        estimator,
        n_components,
        covariance_type,
        criterion=criterion,
        random_state=random_state,
        **options,
    )
    return search.fit(X, sample_weight=sample_weight)


def comparable() -> Any:
    """A variational estimator whose bounds are about K: one symmetric prior, nothing pruned."""
    from bayesmix.estimators.bayesian import BayesianGaussianMixture

    return BayesianGaussianMixture(
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1.0,
        prune=False,
    )
